//! Reads one file onwards: decides which handle to read, from where, and whether the bytes before that point are
//! still the ones that were read. It knows nothing of lines or of the end of the run.

use std::time::Duration;

use super::follower::read_error_notice;
use super::running_digest::RunningDigest;
use super::source::{Freshness, LogSource, SourceError};

/// Bytes before the offset that are read again at each look. They differ when the file was cut or rewritten, whatever
/// size its attributes tell.
const ANCHOR: usize = 64;
/// How often the path of a local file is looked up: a read of it shows all that was written, and a look-up at each
/// poll would double what an idle file costs.
const LOCAL_LOOKUP_INTERVAL: Duration = Duration::from_secs(2);
/// While somebody waits for the end, NULs that stay for more looks than this are the file's content.
const NUL_LOOKS: u32 = 8;

/// What one read found.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum ReadOutcome {
    /// New bytes, at this range of the buffer.
    Bytes {
        /// First byte.
        from: usize,
        /// End.
        until: usize,
        /// There may be more to read at once.
        more: bool,
    },
    /// The end of what is visible.
    Nothing,
    /// The anchor differs, or there is a page of NULs. Both may pass: look again soon.
    Doubtful,
    /// The file is another one now, and the offset is 0 again. Says what happened: "was replaced".
    Restarted(&'static str),
}

/// A source, and how far it was read.
pub(super) struct Reader {
    source: Box<dyn LogSource>,
    digest: RunningDigest,
    offset: u64,
    /// The last bytes before the offset.
    anchor: Vec<u8>,
    /// Identity of the open file. `None`: there is no usable handle.
    open_file: Option<(u64, u64)>,
    /// Identity of the file that was read last.
    read_file: Option<(u64, u64)>,
    size: u64,
    opened_at: Duration,
    looked_up_at: Duration,
    /// The next read opens the path afresh.
    stale: bool,
    /// The run is over: every read looks the path up, and reads until nothing comes.
    thorough: bool,
    /// The last read found other bytes before the offset.
    anchor_differed: bool,
    nul_since: Option<Duration>,
    nul_looks: u32,
    draining: bool,
    /// Kind and text of each.
    notices: Vec<(String, String)>,
}

impl Reader {
    /// A reader at the start of the file.
    pub(super) fn new(source: Box<dyn LogSource>, digest: bool, now: Duration) -> Self {
        Self {
            source,
            digest: RunningDigest::new(digest),
            offset: 0,
            anchor: Vec::with_capacity(ANCHOR),
            open_file: None,
            read_file: None,
            size: 0,
            opened_at: now,
            looked_up_at: now,
            stale: false,
            thorough: false,
            anchor_differed: false,
            nul_since: None,
            nul_looks: 0,
            draining: false,
            notices: Vec::new(),
        }
    }

    /// The source.
    pub(super) fn source(&self) -> &dyn LogSource {
        &*self.source
    }

    /// Bytes that were read.
    pub(super) fn offset(&self) -> u64 {
        self.offset
    }

    /// The file's size when the path was looked up last. Never decides what is read.
    pub(super) fn size(&self) -> u64 {
        self.size
    }

    /// Whether the file was ever there.
    pub(super) fn was_there(&self) -> bool {
        self.read_file.is_some()
    }

    /// A look found less than it should: the next read opens the path afresh.
    pub(super) fn want_fresh(&mut self) {
        self.stale = true;
    }

    /// The run is over: from now on every read looks the path up, and reads until nothing comes.
    pub(super) fn end(&mut self) {
        self.stale = true;
        self.thorough = true;
    }

    /// As [`Self::end`], for somebody who waits and has no end record to compare with: NULs get less time.
    pub(super) fn drain(&mut self) {
        self.end();
        self.draining = true;
    }

    /// What a person should know since the last call, as pairs of kind and text.
    pub(super) fn take_notices(&mut self) -> Vec<(String, String)> {
        std::mem::take(&mut self.notices)
    }

    /// Drops the handles.
    pub(super) fn close(&mut self) {
        self.open_file = None;
        self.source.close();
    }

    /// Whether what was read begins with `bytes` bytes of this digest.
    pub(super) fn agrees(&mut self, bytes: u64, sha256: Option<&str>, buffer: &mut [u8]) -> bool {
        let Some(sha256) = sha256 else { return true };
        self.digest
            .agrees(self.offset, bytes, sha256, &mut *self.source, buffer)
    }

    /// Reads on once. `stop_at`: bytes from there on are not opencode's.
    pub(super) fn read_on(
        &mut self,
        now: Duration,
        stop_at: Option<u64>,
        buffer: &mut [u8],
    ) -> Result<ReadOutcome, SourceError> {
        let moved = self.open_if_needed(now)?;
        if let Some(why) = self.changed() {
            return Ok(self.restart(why));
        }
        let got = self.read(now, stop_at, buffer);
        if got.is_err() {
            self.open_file = None;
        }
        match got? {
            // The replaced file is read to its end; now open the one that has its name.
            ReadOutcome::Nothing if moved => {
                self.stale = true;
                if let Err(error) = self.open(now) {
                    self.notices.push((error.to_string(), read_error_notice(&error)));
                    return Ok(ReadOutcome::Nothing);
                }
                Ok(self
                    .changed()
                    .map_or(ReadOutcome::Nothing, |why| self.restart(why)))
            }
            got => Ok(got),
        }
    }

    /// Whether a read shows all that was written, so that the path need not be looked up each time.
    fn trusts_reads(&self) -> bool {
        self.source.freshness() == Freshness::Local && !self.thorough
    }

    /// Whether the open handle is good enough without looking the path up.
    fn handle_is_fresh(&self, now: Duration) -> bool {
        let since = |at: Duration| now.saturating_sub(at);
        self.open_file.is_some()
            && self.trusts_reads()
            && !self.stale
            && since(self.looked_up_at) < LOCAL_LOOKUP_INTERVAL
            && since(self.opened_at) < self.source.freshness().handle_lifetime()
    }

    /// Opens the path if there is no handle or the handle is old. True when the path names another file now, and the
    /// old one is still open.
    fn open_if_needed(&mut self, now: Duration) -> Result<bool, SourceError> {
        if self.handle_is_fresh(now) {
            return Ok(false);
        }
        self.looked_up_at = now;
        let there = self.source.look();
        let Some(open_file) = self.open_file else {
            there?;
            self.open(now)?;
            return Ok(false);
        };
        match there {
            Ok(found) if found.identity != open_file => return Ok(true),
            Ok(found) => {
                self.size = found.size;
                if found.links > 1 {
                    self.notices.push((
                        "link".to_owned(),
                        "the log file has a second hard link".to_owned(),
                    ));
                }
                let age = now.saturating_sub(self.opened_at);
                if self.stale || age >= self.source.freshness().handle_lifetime() {
                    self.open(now)?;
                }
            }
            // The handle still reads what the writer appends; after another error it must be opened anew.
            Err(error @ (SourceError::Missing | SourceError::Hostile(_))) => {
                self.notices.push((error.to_string(), read_error_notice(&error)));
            }
            Err(error) => {
                self.open_file = None;
                return Err(error);
            }
        }
        Ok(false)
    }

    fn open(&mut self, now: Duration) -> Result<(), SourceError> {
        let found = self.source.open()?;
        self.open_file = Some(found.identity);
        self.size = found.size;
        self.opened_at = now;
        self.stale = false;
        Ok(())
    }

    /// What happened, if the open file is another one than the one that was read.
    fn changed(&mut self) -> Option<&'static str> {
        let before = self.read_file;
        self.read_file = self.open_file.or(before);
        (before.is_some() && before != self.read_file).then_some("was replaced")
    }

    fn restart(&mut self, why: &'static str) -> ReadOutcome {
        self.offset = 0;
        self.digest.reset();
        self.anchor.clear();
        self.anchor_differed = false;
        self.nul_since = None;
        ReadOutcome::Restarted(why)
    }

    /// Reads from the anchor on. The file's size is not used: it may be stale, either way.
    fn read(
        &mut self,
        now: Duration,
        stop_at: Option<u64>,
        buffer: &mut [u8],
    ) -> Result<ReadOutcome, SourceError> {
        let back = self.anchor.len();
        let room = stop_at.map_or(u64::MAX, |stop| stop.saturating_sub(self.offset));
        let want = buffer
            .len()
            .min(usize::try_from(room).unwrap_or(usize::MAX).saturating_add(back));
        let from = self.offset - back as u64;
        let (mut got, mut more) = (0, true);
        let mut believed = self.trusts_reads();
        while more && got < want {
            let read = self
                .source
                .read_at(from + got as u64, buffer.get_mut(got..want).unwrap_or_default())?;
            got += read;
            // A short read is not the end of the file, only an empty one is. A local file is read again at the next
            // poll.
            believed &= got >= back;
            more = read > 0 && !(believed && got < want);
        }
        if got < back || buffer.get(..back) != Some(&*self.anchor) {
            return Ok(self.anchor_differs());
        }
        self.anchor_differed = false;
        if got == back {
            return Ok(ReadOutcome::Nothing);
        }
        let until = self.before_nul(back, got, now, buffer);
        if until == back {
            return Ok(ReadOutcome::Doubtful);
        }
        self.take(buffer.get(back..until).unwrap_or_default());
        Ok(ReadOutcome::Bytes {
            from: back,
            until,
            more: more || until < got,
        })
    }

    /// The first time this may be an old page of a cache: a fresh handle decides.
    fn anchor_differs(&mut self) -> ReadOutcome {
        if self.anchor_differed {
            return self.restart("became shorter or was rewritten");
        }
        self.anchor_differed = true;
        self.stale = true;
        ReadOutcome::Doubtful
    }

    /// Where to stop in `from..until`: at the first NUL, while it may pass. Network volumes show a page of NULs where
    /// bytes are still on their way, and JSON lines hold none.
    fn before_nul(&mut self, from: usize, until: usize, now: Duration, buffer: &[u8]) -> usize {
        let Some(nul) = memchr::memchr(0, buffer.get(from..until).unwrap_or_default()) else {
            self.nul_since = None;
            return until;
        };
        if nul == 0 {
            self.nul_looks += 1;
        } else {
            self.nul_looks = 0;
            self.nul_since = None;
        }
        let since = *self.nul_since.get_or_insert(now);
        let waited = now.saturating_sub(since) >= self.source.freshness().visibility_lag() / 2;
        if waited || (self.draining && self.nul_looks > NUL_LOOKS) {
            return until;
        }
        self.stale = true;
        from + nul
    }

    fn take(&mut self, fresh: &[u8]) {
        self.digest.update(fresh);
        self.offset += fresh.len() as u64;
        let kept = fresh
            .get(fresh.len().saturating_sub(ANCHOR)..)
            .unwrap_or_default();
        let over = (self.anchor.len() + kept.len()).saturating_sub(ANCHOR);
        self.anchor.drain(..over);
        self.anchor.extend_from_slice(kept);
    }
}
