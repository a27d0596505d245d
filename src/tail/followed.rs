//! One followed log: what to do at each look at the file, and when it is over. No clock (the time is an argument),
//! no thread, no file (the source is an argument).

use std::time::Duration;

use sha2::{Digest, Sha256};

use super::cadence::{Cadence, Pace};
use super::framer::{Framer, decode};
use super::source::{LogSource, Seen, SourceError};

/// Size of the buffer that the caller lends to [`Followed::look`]: what one look reads at most. Bounds memory and
/// the turn of one noisy run.
pub const CHUNK: usize = 64 << 10;
/// Looks at bytes that stay NUL before they are taken as the file's real content (network volumes show a page
/// of NULs that heals).
const NUL_PATIENCE: u32 = 8;

/// How the tail is told that the run is over.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Ending {
    /// Read to the end of the file once more, then stop.
    Drain,
    /// The pod's record says what the log holds: read on until count and digest agree.
    Prove {
        /// Bytes of the log.
        bytes: u64,
        /// SHA-256 in lower-case hex, where the pod could tell.
        sha256: Option<String>,
        /// How long bytes may stay invisible; `None` = what the file system is known for.
        limit: Option<Duration>,
    },
    /// No record will come: read until two fresh looks `quiet` apart find nothing more.
    Settle {
        /// The time between the two looks.
        quiet: Duration,
    },
}

/// What a finished tail can say about its completeness.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Proof {
    /// Every byte that the record counts was read, and the digest agrees.
    Proven,
    /// There was nothing to compare with.
    Unproven,
    /// The record counts more bytes than could be read, or other ones.
    Incomplete {
        /// Bytes that were read.
        have: u64,
        /// Bytes that the record counts.
        want: u64,
    },
    /// The file never appeared, or is nothing that may be read.
    Failed(String),
}

/// Something for a person to know, once.
pub type Notice = String;

/// What one look gave.
#[derive(Debug, Default)]
pub struct Look {
    /// Whole lines, each with its newline.
    pub text: String,
    /// New notices for stderr.
    pub notices: Vec<Notice>,
    /// Set when the tail is over.
    pub end: Option<Proof>,
    /// The last line of `text` has no newline in the file.
    pub cut: bool,
    /// When to look again; zero while there is more to read.
    pub again_in: Duration,
}

/// The state of one tail.
pub struct Followed {
    source: Box<dyn LogSource>,
    shown: String,
    pace: Pace,
    framer: Framer,
    cadence: Cadence,
    digest: Sha256,
    offset: u64,
    identity: Option<(u64, u64)>,
    since: Duration,
    opened_at: Duration,
    shrunk_once: bool,
    nul_looks: u32,
    reported: Vec<String>,
    ending: Option<(Ending, Duration)>,
    quiet_since: Option<(Duration, u64)>,
}

impl Followed {
    /// `shown` is the path in messages; `now` the time of the first look.
    #[must_use]
    pub fn new(source: Box<dyn LogSource>, shown: String, pace: Pace, now: Duration) -> Self {
        Self {
            source,
            shown,
            pace,
            framer: Framer::default(),
            cadence: Cadence::default(),
            digest: Sha256::new(),
            offset: 0,
            identity: None,
            since: now,
            opened_at: now,
            shrunk_once: false,
            nul_looks: 0,
            reported: Vec::new(),
            ending: None,
            quiet_since: None,
        }
    }

    /// Bytes read so far.
    #[must_use]
    pub fn offset(&self) -> u64 {
        self.offset
    }

    /// Tells the tail that the run is over. A record wins over having none, a stop over
    /// both; otherwise the first word counts.
    pub fn end(&mut self, ending: Ending, now: Duration) {
        let rank = |ending: &Ending| match ending {
            Ending::Settle { .. } => 1,
            Ending::Prove { .. } => 2,
            Ending::Drain => 3,
        };
        if self
            .ending
            .as_ref()
            .is_none_or(|(known, _)| rank(known) < rank(&ending))
        {
            self.ending = Some((ending, now));
            self.quiet_since = None;
            self.source.reopen();
        }
    }

    /// Looks at the file.
    pub fn look(&mut self, now: Duration, buffer: &mut [u8]) -> Look {
        let mut look = Look::default();
        if now.saturating_sub(self.opened_at) >= self.source.freshness().handle_lifetime() {
            self.source.reopen();
            self.opened_at = now;
        }
        let mut lines = Vec::new();
        let result = self
            .check_identity(&mut look)
            .and_then(|()| self.read(buffer, &mut lines));
        match result {
            Ok(read) => self.judge(read, now, buffer, &mut lines, &mut look),
            Err(error) => self.failed(&error, now, &mut lines, &mut look),
        }
        if self.framer.take_cut_lines() > 0 {
            self.report(
                "long",
                || "a line of the log is over 16 MiB and was cut".to_owned(),
                &mut look,
            );
        }
        look.text = decode(lines);
        look
    }

    /// A replaced or truncated file starts again at 0, and says so.
    fn check_identity(&mut self, look: &mut Look) -> Result<(), SourceError> {
        let seen = self.source.look()?;
        if seen.links == 0 {
            // Removed, or replaced by a rename: what stands at the path now?
            self.source.reopen();
            let there_now = self.source.look()?;
            self.compare(there_now, look);
        } else {
            self.compare(seen, look);
        }
        Ok(())
    }

    fn compare(&mut self, seen: Seen, look: &mut Look) {
        let replaced = self.identity.is_some_and(|known| known != seen.identity);
        // A smaller size may be an old attribute: believed when a second look agrees.
        let shrunk = seen.size < self.offset;
        let truncated = shrunk && self.shrunk_once;
        self.shrunk_once = shrunk;
        if shrunk && !truncated {
            self.source.reopen();
        }
        if replaced || truncated {
            let what = if replaced {
                "was replaced"
            } else {
                "became shorter"
            };
            self.report(
                what,
                || format!("the log file {what}; reading it again from its start"),
                look,
            );
            self.offset = 0;
            self.digest = Sha256::new();
            self.framer.reset();
            self.shrunk_once = false;
        }
        if seen.links > 1 {
            self.report("link", || "the log file has a second hard link".to_owned(), look);
        }
        self.identity = Some(seen.identity);
    }

    /// Reads once at the offset. The size is never asked: it may be stale.
    fn read(&mut self, buffer: &mut [u8], lines: &mut Vec<u8>) -> Result<usize, SourceError> {
        let read = self.source.read_at(self.offset, buffer)?;
        let mut fresh = buffer.get(..read).unwrap_or_default();
        if let Some(nul) = memchr::memchr(0, fresh)
            && self.nul_looks < NUL_PATIENCE
        {
            self.nul_looks += 1;
            self.source.reopen();
            fresh = fresh.get(..nul).unwrap_or_default();
        } else {
            self.nul_looks = 0;
        }
        self.digest.update(fresh);
        self.framer.push(fresh, lines);
        let taken = fresh.len();
        self.offset += taken as u64;
        Ok(taken)
    }

    /// After a look that could read: is there more, is it over, when to look again?
    fn judge(&mut self, read: usize, now: Duration, buffer: &mut [u8], lines: &mut Vec<u8>, look: &mut Look) {
        let paced = self.cadence.next(&self.pace, read > 0);
        look.again_in = if read > 0 { Duration::ZERO } else { paced };
        let Some((ending, asked)) = self.ending.clone() else {
            return;
        };
        match ending {
            Ending::Drain if read == 0 => self.finish(Proof::Unproven, lines, look),
            Ending::Drain => {}
            Ending::Prove { bytes, sha256, limit } => {
                if self.offset >= bytes && self.agrees(bytes, sha256.as_deref(), buffer) {
                    self.finish(Proof::Proven, lines, look);
                } else if read == 0 && now.saturating_sub(asked) >= self.proof_limit(limit) {
                    self.finish(
                        Proof::Incomplete {
                            have: self.offset,
                            want: bytes,
                        },
                        lines,
                        look,
                    );
                } else if read == 0 {
                    self.source.reopen();
                    look.again_in = retry_wait(now.saturating_sub(asked));
                }
            }
            Ending::Settle { quiet } => self.settle(quiet, read, now, lines, look),
        }
    }

    fn proof_limit(&self, limit: Option<Duration>) -> Duration {
        limit.unwrap_or_else(|| self.source.freshness().proof_limit())
    }

    fn settle(&mut self, quiet: Duration, read: usize, now: Duration, lines: &mut Vec<u8>, look: &mut Look) {
        match self.quiet_since {
            Some((since, offset)) if read == 0 && offset == self.offset => {
                if now.saturating_sub(since) >= quiet {
                    self.finish(Proof::Unproven, lines, look);
                    return;
                }
            }
            _ => self.quiet_since = Some((now, self.offset)),
        }
        if read == 0 {
            self.source.reopen();
            look.again_in = Duration::from_millis(250).min(quiet);
        }
    }

    /// Whether the first `bytes` bytes have this digest. Bytes after them come from processes that outlived
    /// opencode; then the file is read once more, for the digest only.
    fn agrees(&mut self, bytes: u64, sha256: Option<&str>, buffer: &mut [u8]) -> bool {
        let Some(expected) = sha256 else { return true };
        let digest = if self.offset == bytes {
            self.digest.clone()
        } else {
            self.digest_of_prefix(bytes, buffer)
        };
        hex(&digest.finalize()) == expected
    }

    fn digest_of_prefix(&mut self, bytes: u64, buffer: &mut [u8]) -> Sha256 {
        let mut digest = Sha256::new();
        let mut at = 0_u64;
        while at < bytes {
            let want = usize::try_from(bytes - at).unwrap_or(CHUNK).min(buffer.len());
            let Some(part) = buffer.get_mut(..want) else { break };
            match self.source.read_at(at, part) {
                Ok(read @ 1..) => {
                    digest.update(part.get(..read).unwrap_or_default());
                    at += read as u64;
                }
                _ => break,
            }
        }
        digest
    }

    /// After a look that failed: errors are reported once per kind and retried, only the end of the run ends it.
    fn failed(&mut self, error: &SourceError, now: Duration, lines: &mut Vec<u8>, look: &mut Look) {
        look.again_in = self.cadence.next(&self.pace, false);
        let never_seen = self.identity.is_none();
        match error {
            SourceError::Missing if never_seen => {
                if self
                    .pace
                    .appear
                    .is_some_and(|limit| now.saturating_sub(self.since) >= limit)
                {
                    let message = format!("Pod log file never appeared at {}", self.shown);
                    return self.finish(Proof::Failed(message), lines, look);
                }
                look.again_in = self.pace.poll;
            }
            SourceError::Hostile(what) if never_seen => {
                let message = format!("Pod log file at {} is not read: {what}", self.shown);
                return self.finish(Proof::Failed(message), lines, look);
            }
            error => {
                let text = format!("reading the log file failed ({error}); trying again");
                self.report(&error.to_string(), || text, look);
            }
        }
        self.end_without_file(now, lines, look);
    }

    fn end_without_file(&mut self, now: Duration, lines: &mut Vec<u8>, look: &mut Look) {
        let Some((ending, asked)) = self.ending.clone() else {
            return;
        };
        let waited = now.saturating_sub(asked);
        match ending {
            Ending::Drain => self.finish(Proof::Unproven, lines, look),
            Ending::Prove { bytes, limit, .. } if waited >= self.proof_limit(limit) => {
                self.finish(
                    Proof::Incomplete {
                        have: self.offset,
                        want: bytes,
                    },
                    lines,
                    look,
                );
            }
            Ending::Settle { quiet } if waited >= quiet => self.finish(Proof::Unproven, lines, look),
            _ => look.again_in = retry_wait(waited),
        }
    }

    fn finish(&mut self, proof: Proof, lines: &mut Vec<u8>, look: &mut Look) {
        look.cut = self.framer.has_partial();
        self.framer.finish(lines);
        self.source.reopen();
        look.end = Some(proof);
    }

    fn report(&mut self, kind: &str, text: impl FnOnce() -> String, look: &mut Look) {
        if !self.reported.iter().any(|known| known == kind) {
            self.reported.push(kind.to_owned());
            look.notices.push(text());
        }
    }
}

/// 50 ms at first, slower as the wait for late bytes grows.
fn retry_wait(waited: Duration) -> Duration {
    (waited / 4).clamp(Duration::from_millis(50), Duration::from_secs(1))
}

fn hex(bytes: &[u8]) -> String {
    use std::fmt::Write as _;
    bytes
        .iter()
        .fold(String::with_capacity(bytes.len() * 2), |mut text, byte| {
            // Writing to a String cannot fail.
            let _ = write!(text, "{byte:02x}");
            text
        })
}
