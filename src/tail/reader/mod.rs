//! Reads one file onwards: decides which handle to read, from where, and whether the bytes before that point are
//! still the ones that were read. It knows nothing of lines or of the end of the run.

mod comparison;
mod handle;

use std::time::Duration;

pub(super) use comparison::Compared;
use comparison::Purpose;

use crate::tail::doubt::Doubt;
use crate::tail::file_check::{FileCheck, RecordedContent};
use crate::tail::keyed_hash::FileContent;
use crate::tail::nul_pages::{NulPages, is_nothing_else};
use crate::tail::running_digest::RunningDigest;
use crate::tail::source::{LogSource, SourceError};

/// Bytes before the offset that are read again at each look. They differ when the file was cut or rewritten, whatever
/// size its attributes tell.
const ANCHOR: usize = 64;
/// What one read found.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(in crate::tail) enum ReadOutcome {
    /// New bytes, at this range of the buffer.
    Bytes {
        /// First byte.
        from: usize,
        /// End.
        until: usize,
        /// There may be more to read at once.
        more: bool,
        /// They are NULs only, which is no growth.
        only_nuls: bool,
    },
    /// The end of what is visible.
    Nothing,
    /// The file looks like another one, or there is a page of NULs. Both may pass: look again soon.
    Doubtful,
    /// A part of the file was compared with what was read: look again at once.
    Checking,
    /// The file is another one now, and the offset is 0 again. Says what happened: "was replaced".
    Restarted(&'static str),
}

/// A source, and how far it was read.
pub(in crate::tail) struct Reader {
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
    /// The next read uses the handle as it is: it was opened and checked just now.
    skips_lookup: bool,
    /// The path names another file than the open one, which is still read.
    is_moved: bool,
    /// How far was read when another file was opened in place of the one that was read.
    replaced_at: Option<u64>,
    doubt: Doubt,
    /// The open file ends as what was read does, and holds other bytes before.
    differs_inside: bool,
    check: Option<(FileCheck, Purpose)>,
    compared: Option<Compared>,
    nuls: NulPages,
    /// Kind and text of each.
    notices: Vec<(String, String)>,
}

impl Reader {
    /// A reader at the start of the file.
    pub(in crate::tail) fn new(
        source: Box<dyn LogSource>,
        digest: bool,
        nuls_pass: bool,
        now: Duration,
    ) -> Self {
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
            skips_lookup: false,
            is_moved: false,
            replaced_at: None,
            doubt: Doubt::default(),
            differs_inside: false,
            check: None,
            compared: None,
            nuls: NulPages::new(nuls_pass),
            notices: Vec::new(),
        }
    }

    /// The source.
    pub(in crate::tail) fn source(&self) -> &dyn LogSource {
        &*self.source
    }

    /// Bytes that were read.
    pub(in crate::tail) fn offset(&self) -> u64 {
        self.offset
    }

    /// The file's size when the path was looked up last. Never decides what is read.
    pub(in crate::tail) fn size(&self) -> u64 {
        self.size
    }

    /// Whether the file was ever there.
    pub(in crate::tail) fn was_there(&self) -> bool {
        self.read_file.is_some()
    }

    /// Whether the file may be another one than the one that was read.
    pub(in crate::tail) fn is_in_doubt(&self) -> bool {
        self.doubt.is_there()
    }

    /// For how long.
    pub(in crate::tail) fn doubt_age(&self, now: Duration) -> Duration {
        self.doubt.age(now)
    }

    /// Whether NULs were taken for content only because they stayed.
    pub(in crate::tail) fn believed_nuls(&self) -> bool {
        self.nuls.were_believed
    }

    /// A look found less than it should: the next read opens the path afresh.
    pub(in crate::tail) fn want_fresh(&mut self) {
        self.stale = true;
    }

    /// The run is over: from now on every read looks the path up, and reads until nothing comes.
    pub(in crate::tail) fn end(&mut self) {
        self.stale = true;
        self.thorough = true;
    }

    /// As [`Self::end`], for somebody who waits and has no end record to compare with: NULs get less time.
    pub(in crate::tail) fn drain(&mut self) {
        self.end();
        self.nuls.is_hurried = true;
    }

    /// What a person should know since the last call, as pairs of kind and text.
    pub(in crate::tail) fn take_notices(&mut self) -> Vec<(String, String)> {
        std::mem::take(&mut self.notices)
    }

    /// Drops the handles.
    pub(in crate::tail) fn close(&mut self) {
        self.open_file = None;
        self.source.close();
    }

    /// The file is read from its start again.
    pub(in crate::tail) fn rewind(&mut self) {
        self.offset = 0;
        self.digest.reset();
        self.anchor.clear();
        self.doubt.clear();
        self.differs_inside = false;
        self.check = None;
        self.compared = None;
        self.nuls.restart();
    }

    /// Whether the next read compares the file with what was read.
    pub(in crate::tail) fn is_checking(&self) -> bool {
        self.check.is_some()
    }

    /// Reads on once. Bytes after those of the record are not opencode's. `before`: what was read, where
    /// [`Self::is_checking`].
    pub(in crate::tail) fn read_on(
        &mut self,
        now: Duration,
        record: Option<RecordedContent<'_>>,
        before: FileContent,
        buffer: &mut [u8],
    ) -> Result<ReadOutcome, SourceError> {
        let got = self.read_or_check(now, record, before, buffer);
        if got.is_err() {
            // Unknown: nothing agrees with a doubt.
            self.doubt.clear();
            self.check = None;
        }
        got
    }

    fn read_or_check(
        &mut self,
        now: Duration,
        record: Option<RecordedContent<'_>>,
        before: FileContent,
        buffer: &mut [u8],
    ) -> Result<ReadOutcome, SourceError> {
        if self.check.is_some() {
            return self.go_on_checking(now, before, buffer);
        }
        if !std::mem::take(&mut self.skips_lookup) {
            self.open_if_needed(now)?;
        }
        let got = self.read(now, record, buffer);
        if got.is_err() {
            self.open_file = None;
        }
        match got? {
            ReadOutcome::Nothing | ReadOutcome::Doubtful if self.is_moved => Ok(self.leave_old_file(now)),
            got => Ok(got),
        }
    }

    /// Reads from the anchor on. The file's size is not used: it may be stale, either way.
    fn read(
        &mut self,
        now: Duration,
        record: Option<RecordedContent<'_>>,
        buffer: &mut [u8],
    ) -> Result<ReadOutcome, SourceError> {
        if self.offset == 0 {
            self.read_file = self.open_file.or(self.read_file);
        }
        let back = self.anchor.len();
        let (got, more) = self.read_from_anchor(record, buffer)?;
        let is_other = got < back || buffer.get(..back) != Some(&*self.anchor);
        if is_other && self.is_moved {
            return Ok(ReadOutcome::Doubtful);
        }
        if is_other || self.is_unread() {
            return Ok(self.doubts(now, is_other));
        }
        if !self.is_moved || got > back {
            self.doubt.clear();
        }
        if got == back {
            return Ok(ReadOutcome::Nothing);
        }
        let limit = self.doubt_limit();
        let fresh = buffer.get(back..got).unwrap_or_default();
        let until = back + self.nuls.before(fresh, now, limit);
        if until == back {
            if let Some(record) = record
                && self.vouches(record, buffer)?
            {
                self.nuls.are_content = true;
                return self.read(now, Some(record), buffer);
            }
            self.stale = true;
            return Ok(ReadOutcome::Doubtful);
        }
        self.stale |= until < got;
        let taken = buffer.get(back..until).unwrap_or_default();
        self.take(taken);
        Ok(ReadOutcome::Bytes {
            from: back,
            until,
            more: more || until < got,
            only_nuls: is_nothing_else(taken),
        })
    }

    /// How much is in the buffer now, and whether there may be more.
    fn read_from_anchor(
        &mut self,
        record: Option<RecordedContent<'_>>,
        buffer: &mut [u8],
    ) -> Result<(usize, bool), SourceError> {
        let back = self.anchor.len();
        let room = record.map_or(u64::MAX, |record| record.bytes.saturating_sub(self.offset));
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
        Ok((got, more))
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
