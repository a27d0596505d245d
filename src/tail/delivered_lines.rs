//! Which lines were delivered already: a replaced or truncated file is read from its start again, and no line may
//! come twice. Only a hash of each line is kept, of a bounded number of lines; and whether what was delivered is what
//! the file holds. Pure.

use std::collections::HashMap;

use super::framer::{LineSink, append_decoded};
use super::keyed_hash::{Key, LineSequence, key};
use super::text_buffers;

/// How many of a log's last lines are remembered: 512 KiB of hashes. When a longer log is rewritten, the lines before
/// these are delivered again.
pub const REMEMBERED_LINES: usize = 1 << 16;

/// Bytes that are taken together: they are read four times, and so much stays in the cache that is nearest.
const PIECE_BYTES: usize = 16 << 10;

/// The lines of one log that were delivered, and those that are about to be.
#[derive(Debug)]
pub(super) struct DeliveredLines {
    key: &'static Key,
    last: LastLines,
    /// After a restart: how often each line, by its hash, is still to be left out. The order is free, because a
    /// rewritten file may have lost its beginning.
    to_skip: HashMap<u64, u32>,
    /// The file is read again for what it holds: nothing of it is delivered.
    skips_all: bool,
    delivered: LineSequence,
    /// The lines of the file since it was read from its start again; `None` while it was not.
    of_file: Option<LineSequence>,
    /// Text of the lines that are new, since the last [`Self::take_text`].
    text: String,
    /// Text of all lines since then, where some are left out.
    text_of_file: Option<String>,
}

impl Default for DeliveredLines {
    fn default() -> Self {
        Self {
            key: key(),
            last: LastLines::default(),
            to_skip: HashMap::new(),
            skips_all: false,
            delivered: LineSequence::default(),
            of_file: None,
            text: String::new(),
            text_of_file: None,
        }
    }
}

impl DeliveredLines {
    /// The same bytes are read from their start again: all of their lines were delivered.
    pub(super) fn repeat(&mut self) {
        self.restart();
        self.skips_all = true;
    }

    /// Whether the lines that were delivered are the file's lines, each once, in order.
    pub(super) fn are_of_file(&self) -> bool {
        self.lines_of_file() == self.delivered
    }

    /// The lines that the file showed since it was read from its start.
    pub(super) fn lines_of_file(&self) -> LineSequence {
        self.of_file.unwrap_or(self.delivered)
    }

    /// The file is read from its start again: each line that was delivered is left out once.
    pub(super) fn restart(&mut self) {
        self.of_file = Some(LineSequence::default());
        self.skips_all = false;
        self.to_skip.clear();
        for hash in &self.last.hashes {
            *self.to_skip.entry(*hash).or_default() += 1;
        }
    }

    /// Makes room for this many bytes of text.
    pub(super) fn reserve(&mut self, bytes: usize) {
        if self.text.capacity() == 0 {
            self.text = text_buffers::with_capacity(bytes);
        }
    }

    /// The text of the lines that are new, and of all lines where some were left out.
    pub(super) fn take_text(&mut self) -> (String, Option<String>) {
        let leaves_out = self.leaves_out();
        let of_file = self.text_of_file.take().or_else(|| leaves_out.then(String::new));
        (std::mem::take(&mut self.text), of_file)
    }

    fn leaves_out(&self) -> bool {
        self.skips_all || !self.to_skip.is_empty()
    }

    fn is_in_file(&mut self, hash: u64) {
        if let Some(of_file) = &mut self.of_file {
            of_file.push(hash, self.key);
        }
    }

    fn remember(&mut self, hash: u64) {
        self.is_in_file(hash);
        self.delivered.push(hash, self.key);
        self.last.push(hash);
    }

    /// Whether a line of this hash is to be left out; then there is one less to leave out.
    fn skip(&mut self, hash: u64) -> bool {
        let Some(count) = self.to_skip.get_mut(&hash) else {
            return false;
        };
        *count -= 1;
        if *count == 0 {
            self.to_skip.remove(&hash);
        }
        true
    }
}

impl LineSink for DeliveredLines {
    /// Keeps the lines that are new, and remembers them.
    fn take(&mut self, lines: &[u8]) {
        if !self.leaves_out() && self.text_of_file.is_none() {
            for piece in pieces_of(lines, PIECE_BYTES) {
                for line in lines_of(piece) {
                    self.remember(self.key.of_line(line));
                }
                append_decoded(&mut self.text, piece);
            }
            return;
        }
        append_decoded(self.text_of_file.get_or_insert_default(), lines);
        for line in lines_of(lines) {
            let hash = self.key.of_line(line);
            if self.skips_all || self.skip(hash) {
                self.is_in_file(hash);
            } else {
                self.remember(hash);
                append_decoded(&mut self.text, line);
            }
        }
    }
}

/// The hashes of the last lines; the oldest makes room for the newest.
#[derive(Debug, Default)]
struct LastLines {
    hashes: Vec<u64>,
    /// Where the oldest one is, once there is no room.
    oldest: usize,
}

impl LastLines {
    fn push(&mut self, hash: u64) {
        if self.hashes.len() < REMEMBERED_LINES {
            return self.hashes.push(hash);
        }
        if let Some(place) = self.hashes.get_mut(self.oldest) {
            *place = hash;
        }
        self.oldest = (self.oldest + 1) % REMEMBERED_LINES;
    }
}

/// The whole lines that the bytes begin with.
pub(super) fn lines_of(mut bytes: &[u8]) -> impl Iterator<Item = &[u8]> {
    std::iter::from_fn(move || {
        let (line, rest) = bytes.split_at_checked(memchr::memchr(b'\n', bytes)? + 1)?;
        bytes = rest;
        Some(line)
    })
}

/// The same in pieces of at most `size` bytes; a longer line is a piece of its own.
fn pieces_of(mut lines: &[u8], size: usize) -> impl Iterator<Item = &[u8]> {
    std::iter::from_fn(move || {
        let first = lines.get(..size).unwrap_or(lines);
        let newline = memchr::memrchr(b'\n', first).or_else(|| memchr::memchr(b'\n', lines));
        let (piece, rest) = lines.split_at_checked(newline? + 1)?;
        lines = rest;
        Some(piece)
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn keep(delivered: &mut DeliveredLines, lines: &str) -> String {
        delivered.take(lines.as_bytes());
        delivered.take_text().0
    }

    #[test]
    fn equal_lines_of_one_file_are_all_delivered() {
        assert_eq!(keep(&mut DeliveredLines::default(), "a\na\n\n\n"), "a\na\n\n\n");
    }

    #[test]
    fn after_a_restart_each_delivered_line_is_left_out_once() {
        let mut delivered = DeliveredLines::default();
        keep(&mut delivered, "a\nb\na\n");
        delivered.restart();
        assert_eq!(keep(&mut delivered, "a\nb\nc\n"), "c\n");
        assert_eq!(keep(&mut delivered, "a\na\n"), "a\n");
        delivered.restart();
        assert_eq!(keep(&mut delivered, "b\nc\nd\n"), "d\n");
    }

    #[test]
    fn only_the_files_own_lines_in_order_are_of_the_file() {
        let mut delivered = DeliveredLines::default();
        keep(&mut delivered, "a\nb\n");
        assert!(delivered.are_of_file());
        delivered.restart();
        assert!(!delivered.are_of_file(), "none of them was seen in it yet");
        keep(&mut delivered, "a\nb\nc\n");
        assert!(delivered.are_of_file());
        delivered.repeat();
        assert_eq!(keep(&mut delivered, "a\nb\nd\n"), "");
        assert!(!delivered.are_of_file());
        delivered.restart();
        keep(&mut delivered, "b\na\nc\n");
        assert!(!delivered.are_of_file());
    }

    #[test]
    fn pieces_are_all_lines_in_order_and_only_a_long_line_is_a_long_piece() {
        let lines = "one\n\ntwo\na line that is too long for a piece\nx\n".as_bytes();
        for size in 1..50 {
            let pieces: Vec<&[u8]> = pieces_of(lines, size).collect();
            assert_eq!(pieces.concat(), lines);
            for piece in pieces {
                assert!(piece.ends_with(b"\n") && (piece.len() <= size || lines_of(piece).count() == 1));
            }
        }
    }

    #[test]
    fn the_memory_is_bounded() {
        let mut delivered = DeliveredLines::default();
        for number in 0..REMEMBERED_LINES * 3 {
            keep(&mut delivered, &format!("{number}\n"));
        }
        let hashes = &delivered.last.hashes;
        assert!(hashes.len() == REMEMBERED_LINES && hashes.capacity() <= 2 * REMEMBERED_LINES);
        delivered.restart();
        let last = format!("{}\n", REMEMBERED_LINES * 3 - 1);
        assert_eq!(keep(&mut delivered, &last), "");
    }
}
