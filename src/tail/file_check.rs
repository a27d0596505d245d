//! Reads a file from its start for its content only, a part at each look: are these the bytes that were read before,
//! and are they the end record's?

use super::delivered_lines::lines_of;
use super::framer::{Framer, LineSink};
use super::keyed_hash::{FileContent, LineSequence, key};
use super::running_digest::RunningDigest;
use super::source::{LogSource, SourceError};

/// The end record, as a reader compares it.
#[derive(Debug, Clone, Copy)]
pub(super) struct RecordedContent<'a> {
    /// Bytes of the log.
    pub(super) bytes: u64,
    /// Their digest; `None` where the image cannot make one.
    pub(super) sha256: Option<&'a str>,
}

/// What a check has found.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Checked {
    /// There is more to read.
    NotYet,
    /// The check is over.
    Done {
        /// The file begins with the bytes that were read before.
        is_same: bool,
        /// The file begins with the bytes of the end record; false without one.
        is_recorded: bool,
    },
}

/// A check in progress.
#[derive(Debug)]
pub(super) struct FileCheck {
    at: u64,
    read: u64,
    framer: Framer,
    lines: Lines,
    is_same: bool,
    recorded: Option<(u64, String)>,
    digest: RunningDigest,
    is_recorded: bool,
}

/// The lines of the file so far.
#[derive(Debug, Default)]
struct Lines(LineSequence);

impl LineSink for Lines {
    fn take(&mut self, lines: &[u8]) {
        let key = key();
        for line in lines_of(lines) {
            self.0.push(key.of_line(line), key);
        }
    }
}

impl FileCheck {
    /// Compares the first `read` bytes with those that were read before.
    pub(super) fn of_read(read: u64) -> Self {
        Self {
            at: 0,
            read,
            framer: Framer::default(),
            lines: Lines::default(),
            is_same: false,
            recorded: None,
            digest: RunningDigest::new(false),
            is_recorded: false,
        }
    }

    /// The same, and compares with the record.
    pub(super) fn of_record(read: u64, bytes: u64, sha256: &str) -> Self {
        Self {
            recorded: Some((bytes, sha256.to_owned())),
            digest: RunningDigest::new(true),
            ..Self::of_read(read)
        }
    }

    /// Whether the record counts fewer bytes than these.
    pub(super) fn is_shorter_than(&self, bytes: u64) -> bool {
        self.recorded
            .as_ref()
            .is_some_and(|(recorded, _)| *recorded < bytes)
    }

    /// Reads one buffer more. `before`: the content that was read before.
    pub(super) fn go_on(
        &mut self,
        before: FileContent,
        source: &mut dyn LogSource,
        buffer: &mut [u8],
    ) -> Result<Checked, SourceError> {
        self.compare(before);
        let recorded = self.recorded.as_ref().map_or(0, |(bytes, _)| *bytes);
        let next = [recorded, self.read]
            .into_iter()
            .filter(|end| *end > self.at)
            .min();
        let Some(end) = next else {
            return Ok(self.done());
        };
        let want = usize::try_from(end - self.at)
            .unwrap_or(usize::MAX)
            .min(buffer.len());
        let got = source.read_at(self.at, buffer.get_mut(..want).unwrap_or_default())?;
        let bytes = buffer.get(..got).unwrap_or_default();
        self.framer.push(bytes, &mut self.lines);
        self.digest.update(bytes);
        self.at += got as u64;
        self.compare(before);
        Ok(if got == 0 { self.done() } else { Checked::NotYet })
    }

    fn compare(&mut self, before: FileContent) {
        if self.at == self.read {
            self.is_same = FileContent::of(self.lines.0, &self.framer) == before;
        }
        if let Some((bytes, sha256)) = &self.recorded
            && self.at == *bytes
        {
            self.is_recorded = self.digest.is(sha256) == Some(true);
        }
    }

    fn done(&self) -> Checked {
        Checked::Done {
            is_same: self.is_same,
            is_recorded: self.is_recorded,
        }
    }
}
