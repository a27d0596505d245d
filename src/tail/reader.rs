//! Reads one file onwards: which handle, from where, and whether the bytes before that point are still the ones that
//! were read. Decides nothing about lines or the end of the run.

use std::time::Duration;

use super::followed::trouble;
use super::running_digest::RunningDigest;
use super::source::{Freshness, LogSource, SourceError};

/// Bytes before the offset that are read again at each look: a file that was cut or rewritten shows there, whatever
/// size its attributes tell.
const ANCHOR: usize = 64;
/// How long a local file system is not asked again which file has the path's name: there a read shows all that was
/// written, and asking at each poll would double what an idle file costs.
const LOCAL_LOOK: Duration = Duration::from_secs(2);
/// NULs that stay for this many looks are the file's content when somebody waits for the end.
const NUL_LOOKS: u32 = 8;

/// What one turn found.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Got {
    /// New bytes, at this range of the buffer.
    Bytes {
        /// First byte.
        from: usize,
        /// End.
        until: usize,
        /// The end of what is visible was not reached.
        more: bool,
    },
    /// The end of what is visible.
    Nothing,
    /// Something that may heal: other bytes than before, or a page of NULs. Look again soon.
    Doubtful,
    /// The file is another one now (the words say how); the offset is 0 again.
    Restarted(&'static str),
}

/// A source and the place in it.
pub(super) struct Reader {
    source: Box<dyn LogSource>,
    digest: RunningDigest,
    offset: u64,
    /// The last bytes before the offset.
    anchor: Vec<u8>,
    /// The open file. `None`: there is no handle of use.
    held: Option<(u64, u64)>,
    last: Option<(u64, u64)>,
    size: u64,
    opened_at: Duration,
    looked_at: Duration,
    stale: bool,
    /// The run is over: nothing is taken for granted any more.
    thorough: bool,
    /// The last turn found other bytes before the offset.
    doubt: bool,
    nul_since: Option<Duration>,
    nul_looks: u32,
    draining: bool,
    events: Vec<(String, String)>,
}

impl Reader {
    /// A reader at the start of the file.
    pub(super) fn new(source: Box<dyn LogSource>, digest: bool, now: Duration) -> Self {
        Self {
            source,
            digest: RunningDigest::new(digest),
            offset: 0,
            anchor: Vec::with_capacity(ANCHOR),
            held: None,
            last: None,
            size: 0,
            opened_at: now,
            looked_at: now,
            stale: false,
            thorough: false,
            doubt: false,
            nul_since: None,
            nul_looks: 0,
            draining: false,
            events: Vec::new(),
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

    /// The file's size when it was looked at last. Never decides what is read.
    pub(super) fn size(&self) -> u64 {
        self.size
    }

    /// Whether the file was ever there.
    pub(super) fn seen(&self) -> bool {
        self.last.is_some()
    }

    /// A look gave less than it should: the next turn opens the path afresh.
    pub(super) fn want_fresh(&mut self) {
        self.stale = true;
    }

    /// The run is over: from now on each turn asks for the path and reads until nothing comes.
    pub(super) fn end(&mut self) {
        self.stale = true;
        self.thorough = true;
    }

    /// Somebody waits for the end and has nothing to compare with: NULs are not waited for as long.
    pub(super) fn drain(&mut self) {
        self.end();
        self.draining = true;
    }

    /// Things to report, with their kind.
    pub(super) fn take_events(&mut self) -> Vec<(String, String)> {
        std::mem::take(&mut self.events)
    }

    /// Drops the handles.
    pub(super) fn close(&mut self) {
        self.held = None;
        self.source.close();
    }

    /// Whether what was read begins with `bytes` bytes of this digest.
    pub(super) fn agrees(&mut self, bytes: u64, sha256: Option<&str>, buffer: &mut [u8]) -> bool {
        let Some(sha256) = sha256 else { return true };
        self.digest
            .agrees(self.offset, bytes, sha256, &mut *self.source, buffer)
    }

    /// Reads on once. `stop_at`: bytes from there on are not opencode's.
    pub(super) fn turn(
        &mut self,
        now: Duration,
        stop_at: Option<u64>,
        buffer: &mut [u8],
    ) -> Result<Got, SourceError> {
        let moved = self.choose(now)?;
        if let Some(why) = self.changed() {
            return Ok(self.restart(why));
        }
        let got = self.read(now, stop_at, buffer);
        if got.is_err() {
            self.held = None;
        }
        match got? {
            // What the old file still held is read; now the one that has its name.
            Got::Nothing if moved => {
                self.stale = true;
                if let Err(error) = self.open(now) {
                    self.events.push((error.to_string(), trouble(&error)));
                    return Ok(Got::Nothing);
                }
                Ok(self.changed().map_or(Got::Nothing, |why| self.restart(why)))
            }
            got => Ok(got),
        }
    }

    /// Whether reads alone tell the truth: what they do not give is not there.
    fn trusts_reads(&self) -> bool {
        self.source.freshness() == Freshness::Local && !self.thorough
    }

    /// Whether the path need not be asked this time.
    fn knows_its_file(&self, now: Duration) -> bool {
        let since = |at: Duration| now.saturating_sub(at);
        self.held.is_some()
            && self.trusts_reads()
            && !self.stale
            && since(self.looked_at) < LOCAL_LOOK
            && since(self.opened_at) < self.source.freshness().handle_lifetime()
    }

    /// Opens the path if there is no handle or the handle is old; tells whether the path names another file now.
    fn choose(&mut self, now: Duration) -> Result<bool, SourceError> {
        if self.knows_its_file(now) {
            return Ok(false);
        }
        self.looked_at = now;
        let there = self.source.look();
        let Some(held) = self.held else {
            there?;
            self.open(now)?;
            return Ok(false);
        };
        match there {
            Ok(seen) if seen.identity != held => return Ok(true),
            Ok(seen) => {
                self.size = seen.size;
                if seen.links > 1 {
                    self.events.push((
                        "link".to_owned(),
                        "the log file has a second hard link".to_owned(),
                    ));
                }
                let age = now.saturating_sub(self.opened_at);
                if self.stale || age >= self.source.freshness().handle_lifetime() {
                    self.open(now)?;
                }
            }
            // The handle still reads what the writer appends; after an error of the server it has to be got anew.
            Err(error @ (SourceError::Missing | SourceError::Hostile(_))) => {
                self.events.push((error.to_string(), trouble(&error)));
            }
            Err(error) => {
                self.held = None;
                return Err(error);
            }
        }
        Ok(false)
    }

    fn open(&mut self, now: Duration) -> Result<(), SourceError> {
        let seen = self.source.open()?;
        self.held = Some(seen.identity);
        self.size = seen.size;
        self.opened_at = now;
        self.stale = false;
        Ok(())
    }

    /// Whether the handle is another file than the one that was read.
    fn changed(&mut self) -> Option<&'static str> {
        let before = self.last;
        self.last = self.held.or(before);
        (before.is_some() && before != self.last).then_some("was replaced")
    }

    fn restart(&mut self, why: &'static str) -> Got {
        self.offset = 0;
        self.digest.reset();
        self.anchor.clear();
        self.doubt = false;
        self.nul_since = None;
        Got::Restarted(why)
    }

    /// Reads from the anchor on. The size is never asked: it may be stale, either way.
    fn read(&mut self, now: Duration, stop_at: Option<u64>, buffer: &mut [u8]) -> Result<Got, SourceError> {
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
            // A short read is no end of the file, only a read of nothing is; a local file is asked at the next poll.
            believed &= got >= back;
            more = read > 0 && !(believed && got < want);
        }
        if got < back || buffer.get(..back) != Some(&*self.anchor) {
            return Ok(self.doubted());
        }
        self.doubt = false;
        if got == back {
            return Ok(Got::Nothing);
        }
        let until = self.before_nul(back, got, now, buffer);
        if until == back {
            return Ok(Got::Doubtful);
        }
        self.take(buffer.get(back..until).unwrap_or_default());
        Ok(Got::Bytes {
            from: back,
            until,
            more: more || until < got,
        })
    }

    /// The first time it may be an old page: a fresh handle has the last word.
    fn doubted(&mut self) -> Got {
        if self.doubt {
            return self.restart("became shorter or was rewritten");
        }
        self.doubt = true;
        self.stale = true;
        Got::Doubtful
    }

    /// Network volumes show a page of NULs where bytes are still on their way, and JSON lines hold none.
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
        let waited = now.saturating_sub(since) >= self.source.freshness().proof_limit() / 2;
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
