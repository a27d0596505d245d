//! Compares what was read with what the file holds now, and with the end record.

use std::time::Duration;

use super::{ReadOutcome, Reader};
use crate::tail::file_check::{Checked, FileCheck, RecordedContent};
use crate::tail::keyed_hash::FileContent;
use crate::tail::source::SourceError;

/// The end record may vouch for NULs while this much is left to read at most: it is read at each look.
const MAX_VOUCHED_BYTES: u64 = 16 << 20;
/// How much of a file that lost its name is compared with the one that has it.
const ORPHAN_BYTES: usize = 4_096;

/// How what was read compares with the end record.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(in crate::tail) enum Compared {
    /// It is the record's, to the byte.
    Equal,
    /// The file is being read for that: ask again at once.
    NotYet,
    /// It begins with the record's bytes, and more was read.
    Longer,
    /// The file begins with the record's bytes, and other ones were read.
    Misread,
    /// Not even the file has the record's bytes.
    Unequal,
}

/// What a check of the file is for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Purpose {
    /// Another file has the name: may it be read on where the old one was left?
    ReadOn,
    /// The end record.
    Record,
}

impl Reader {
    /// Compares what was read, which is as much as the record counts or more, with the record. Where that takes the
    /// file itself, the next reads compare a part each.
    pub(in crate::tail) fn compare(&mut self, record: RecordedContent<'_>) -> Compared {
        if self.is_recorded(record) {
            return Compared::Equal;
        }
        let Some(sha256) = record.sha256 else {
            return Compared::Longer;
        };
        if let Some(compared) = self.compared.take() {
            return compared;
        }
        let check = FileCheck::of_record(self.offset, record.bytes, sha256);
        self.check.get_or_insert((check, Purpose::Record));
        Compared::NotYet
    }

    /// Whether what was read is the record's, as far as is known without the file.
    pub(in crate::tail) fn is_recorded(&self, record: RecordedContent<'_>) -> bool {
        let agrees = |sha256| self.digest.is(sha256) == Some(true);
        self.offset == record.bytes && record.sha256.is_none_or(agrees)
    }

    /// Whether the file that was read first holds other bytes than the one in its place, which has `bytes` of them:
    /// then the agent went on writing where nobody looks.
    pub(in crate::tail) fn has_orphan(&mut self, bytes: u64) -> bool {
        let Some(at) = self.replaced_at else { return false };
        let (mut old, mut new) = ([0; ORPHAN_BYTES], [0; ORPHAN_BYTES]);
        if self.source.read_replaced_at(bytes, &mut old[..1]) > 0 {
            return true;
        }
        let length = self.source.read_replaced_at(at, &mut old);
        let (Some(old), Some(new)) = (old.get(..length), new.get_mut(..length)) else {
            return false;
        };
        let shown = self.source.read_at(at, new);
        !old.is_empty() && shown.is_ok_and(|shown| shown != length || old != new)
    }

    /// The open file is not what was read, or may not be. `is_other`: its bytes before the offset show it.
    pub(super) fn doubts(&mut self, now: Duration, is_other: bool) -> ReadOutcome {
        let limit = self.doubt_limit();
        let is_decided = self.doubt.age(now) >= limit;
        if !is_other && (is_decided || !self.differs_inside) {
            self.check = Some((FileCheck::of_read(self.offset), Purpose::ReadOn));
            return ReadOutcome::Checking;
        }
        self.stale = true;
        if !self.doubt.grows(now, limit) {
            return ReadOutcome::Doubtful;
        }
        let why = if self.is_unread() {
            "was replaced"
        } else {
            "became shorter or was rewritten"
        };
        self.read_file = self.open_file;
        self.rewind();
        ReadOutcome::Restarted(why)
    }

    pub(super) fn go_on_checking(
        &mut self,
        now: Duration,
        before: FileContent,
        buffer: &mut [u8],
    ) -> Result<ReadOutcome, SourceError> {
        let Some((check, purpose)) = &mut self.check else {
            return Ok(ReadOutcome::Checking);
        };
        let purpose = *purpose;
        let Checked::Done { is_same, is_recorded } = check.go_on(before, &mut *self.source, buffer)? else {
            return Ok(ReadOutcome::Checking);
        };
        let has_more = check.is_shorter_than(self.offset);
        self.check = None;
        match purpose {
            Purpose::Record => {
                self.compared = Some(match (is_recorded, is_same) {
                    (true, true) if has_more => Compared::Longer,
                    (true, true) => Compared::Equal,
                    (true, false) => Compared::Misread,
                    (false, _) => Compared::Unequal,
                });
            }
            Purpose::ReadOn if is_same => {
                self.read_file = self.open_file;
                self.doubt.clear();
                self.differs_inside = false;
                self.skips_lookup = true;
            }
            Purpose::ReadOn => {
                self.differs_inside = true;
                self.stale = true;
                return Ok(self.doubts(now, true));
            }
        }
        Ok(ReadOutcome::Checking)
    }

    /// Whether what was read and what is visible of the rest have the record's digest: then NULs are content.
    pub(super) fn vouches(
        &mut self,
        record: RecordedContent<'_>,
        buffer: &mut [u8],
    ) -> Result<bool, SourceError> {
        let Some(sha256) = record.sha256 else {
            return Ok(false);
        };
        if record.bytes.saturating_sub(self.offset) > MAX_VOUCHED_BYTES {
            return Ok(false);
        }
        let (mut digest, mut at) = (self.digest.clone(), self.offset);
        while at < record.bytes {
            let want = usize::try_from(record.bytes - at)
                .unwrap_or(usize::MAX)
                .min(buffer.len());
            let got = self
                .source
                .read_at(at, buffer.get_mut(..want).unwrap_or_default())?;
            if got == 0 {
                return Ok(false);
            }
            digest.update(buffer.get(..got).unwrap_or_default());
            at += got as u64;
        }
        Ok(digest.is(sha256) == Some(true))
    }
}
