//! Bytes in, whole lines out. Pure: no file, no clock; all state is in the struct, so any chunking of the same
//! bytes gives the same lines. Only the total of all unfinished lines is counted for the process: whoever writes logs
//! without a newline must not hold the memory of all.

use std::sync::atomic::{AtomicUsize, Ordering};

/// Longest line that is given out whole: 16 MiB. A longer one is cut and marked, because the memory of the host is
/// shared by all runs.
pub const MAX_LINE_BYTES: usize = 16 << 20;

/// Ends a line that was longer than the limit.
pub const CUT_MARKER: &str = " …[line cut: it is longer than the limit]";

/// Bytes of unfinished lines of all framers together, above which a line over [`FAIR_LINE_BYTES`] is cut.
pub const MAX_UNFINISHED_BYTES: usize = 128 << 20;
/// What a line may always have, however many others are unfinished.
pub const FAIR_LINE_BYTES: usize = 1 << 20;

static UNFINISHED_BYTES: AtomicUsize = AtomicUsize::new(0);

/// Most capacity that the buffer of the unfinished line keeps.
const KEPT_CAPACITY: usize = 256 << 10;

/// Takes what a [`Framer`] gives out.
pub trait LineSink {
    /// One or more lines, each with its `\n`.
    fn take(&mut self, lines: &[u8]);
}

impl LineSink for Vec<u8> {
    fn take(&mut self, lines: &[u8]) {
        self.extend_from_slice(lines);
    }
}

/// Splits a byte stream on `\n` only (a JSON line may hold U+2028, `\r` stays part of its line).
#[derive(Debug)]
pub struct Framer {
    partial: Vec<u8>,
    /// What of it stands in the total.
    counted: usize,
    discarding: bool,
    limit: usize,
    cut_lines: u64,
}

impl Drop for Framer {
    fn drop(&mut self) {
        self.partial = Vec::new();
        self.count();
    }
}

impl Default for Framer {
    fn default() -> Self {
        Self::new(MAX_LINE_BYTES)
    }
}

impl Framer {
    /// A framer that cuts lines longer than `limit` bytes.
    #[must_use]
    pub fn new(limit: usize) -> Self {
        Self {
            partial: Vec::new(),
            counted: 0,
            discarding: false,
            limit: limit.max(1),
            cut_lines: 0,
        }
    }

    /// Gives every line that `chunk` completes to `out`; keeps the rest.
    pub fn push(&mut self, chunk: &[u8], out: &mut impl LineSink) {
        self.push_all(chunk, out);
        self.count();
    }

    /// Brings the total up to date.
    fn count(&mut self) {
        let held = self.partial.capacity();
        if held > self.counted {
            UNFINISHED_BYTES.fetch_add(held - self.counted, Ordering::Relaxed);
        } else {
            UNFINISHED_BYTES.fetch_sub(self.counted - held, Ordering::Relaxed);
        }
        self.counted = held;
    }

    /// The longest line now.
    fn limit_now(&self) -> usize {
        match UNFINISHED_BYTES.load(Ordering::Relaxed) > MAX_UNFINISHED_BYTES {
            true => self.limit.min(FAIR_LINE_BYTES),
            false => self.limit,
        }
    }

    fn push_all(&mut self, mut chunk: &[u8], out: &mut impl LineSink) {
        if self.discarding || !self.partial.is_empty() || chunk.len() > self.limit {
            chunk = self.push_slowly(chunk, out);
        }
        // What is left starts a line, and every line in it is shorter than the limit.
        match memchr::memrchr(b'\n', chunk) {
            Some(last) => {
                let (whole, rest) = chunk.split_at(last + 1);
                out.take(whole);
                self.partial.extend_from_slice(rest);
            }
            None => self.partial.extend_from_slice(chunk),
        }
    }

    /// Ends the unfinished line, then goes on line by line while a line might exceed the limit.
    fn push_slowly<'a>(&mut self, mut chunk: &'a [u8], out: &mut impl LineSink) -> &'a [u8] {
        while let Some(newline) = memchr::memchr(b'\n', chunk) {
            let (line, rest) = chunk.split_at(newline);
            self.extend(line, out);
            if !self.discarding {
                self.give_partial(out);
            }
            self.discarding = false;
            chunk = rest.get(1..).unwrap_or_default();
            if chunk.len() <= self.limit {
                return chunk;
            }
        }
        self.extend(chunk, out);
        &[]
    }

    /// Adds to the unfinished line; gives out its beginning and drops the rest once it is too long.
    fn extend(&mut self, bytes: &[u8], out: &mut impl LineSink) {
        if self.discarding {
            return;
        }
        let limit = self.limit_now();
        let room = limit - self.partial.len().min(limit);
        let taken = bytes.get(..room.min(bytes.len())).unwrap_or_default();
        self.partial.extend_from_slice(taken);
        if taken.len() < bytes.len() {
            self.partial.truncate(char_boundary(&self.partial));
            self.partial.extend_from_slice(CUT_MARKER.as_bytes());
            self.give_partial(out);
            self.discarding = true;
            self.cut_lines += 1;
        }
    }

    /// The stream is over: gives out the last line, with a newline, if it has none.
    pub fn finish(&mut self, out: &mut impl LineSink) {
        if !self.partial.is_empty() {
            self.give_partial(out);
        }
        self.discarding = false;
        self.count();
    }

    /// Gives out the unfinished line, with a newline.
    fn give_partial(&mut self, out: &mut impl LineSink) {
        self.partial.push(b'\n');
        out.take(&self.partial);
        self.partial.clear();
        // One long line must not cost its size for the rest of the run.
        if self.partial.capacity() > KEPT_CAPACITY {
            self.partial = Vec::new();
        }
    }

    /// Whether bytes of an unfinished line are held.
    #[must_use]
    pub fn has_partial(&self) -> bool {
        !self.partial.is_empty()
    }

    /// What is held of the unfinished line, and whether the rest of it is dropped.
    #[must_use]
    pub fn partial(&self) -> (&[u8], bool) {
        (&self.partial, self.discarding)
    }

    /// How many lines were cut since the last call.
    pub fn take_cut_lines(&mut self) -> u64 {
        std::mem::take(&mut self.cut_lines)
    }

    /// Forgets the unfinished line: the file was replaced.
    pub fn reset(&mut self) {
        self.partial = Vec::new();
        self.discarding = false;
        self.count();
    }
}

/// Length of the longest prefix that does not end inside a UTF-8 sequence.
fn char_boundary(bytes: &[u8]) -> usize {
    for back in 1..=bytes.len().min(4) {
        let at = bytes.len() - back;
        let width = match bytes.get(at) {
            Some(0xC0..=0xDF) => 2,
            Some(0xE0..=0xEF) => 3,
            Some(0xF0..=0xF7) => 4,
            Some(0x80..=0xBF) => continue,
            _ => 1,
        };
        return if width > back { at } else { bytes.len() };
    }
    bytes.len()
}

/// Appends whole lines to a text; bytes that are no UTF-8 become U+FFFD.
pub fn append_decoded(text: &mut String, lines: &[u8]) {
    match simdutf8::basic::from_utf8(lines) {
        Ok(lines) => text.push_str(lines),
        Err(_) => text.push_str(&String::from_utf8_lossy(lines)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn frame(chunks: &[&[u8]], limit: usize) -> Vec<String> {
        let mut framer = Framer::new(limit);
        let mut out = Vec::new();
        for chunk in chunks {
            framer.push(chunk, &mut out);
        }
        framer.finish(&mut out);
        let mut text = String::new();
        append_decoded(&mut text, &out);
        text.split_inclusive('\n').map(str::to_owned).collect()
    }

    #[test]
    fn a_line_is_given_out_when_its_newline_is_there() {
        let mut framer = Framer::default();
        let mut out = Vec::new();
        framer.push(b"first\nsec", &mut out);
        assert_eq!(out, b"first\n");
        framer.push(b"ond\n", &mut out);
        assert_eq!(out, b"first\nsecond\n");
    }

    #[test]
    fn unfinished_lines_of_many_files_hold_no_more_than_their_total() {
        let chunk = vec![b'x'; 8 << 20];
        let mut out = Vec::new();
        let mut framers: Vec<Framer> = (0..40).map(|_| Framer::default()).collect();
        for framer in &mut framers {
            framer.push(b"{", &mut out);
            framer.push(&chunk, &mut out);
        }
        let held: usize = framers.iter().map(|framer| framer.partial.capacity()).sum();
        assert!(held <= MAX_UNFINISHED_BYTES + (17 << 20), "{held}");
        assert!(framers.iter_mut().any(|framer| framer.take_cut_lines() > 0));
        // A line of ordinary length is whole all the same.
        let mut other = Framer::default();
        out.clear();
        other.push(b"{", &mut out);
        other.push(&vec![b'y'; 600 << 10], &mut out);
        other.push(b"}\n", &mut out);
        assert_eq!(out.len(), (600 << 10) + 3);
    }

    #[test]
    fn a_character_split_over_two_reads_arrives_intact() {
        let text = "日本語 🎉\n".as_bytes();
        for at in 0..text.len() {
            let (a, b) = text.split_at(at);
            assert_eq!(frame(&[a, b], 1 << 20), ["日本語 🎉\n"]);
        }
    }

    #[test]
    fn invalid_bytes_become_replacement_characters_of_their_line_only() {
        assert_eq!(
            frame(&[b"a\xff\xe2\x82\nb\n"], 100),
            ["a\u{fffd}\u{fffd}\n", "b\n"]
        );
    }

    #[test]
    fn a_line_over_the_limit_is_cut_marked_and_does_not_take_the_next_one_along() {
        let lines = frame(&[b"0123456789", b"abcdef", b"ghi\nnext\n"], 12);
        assert_eq!(
            lines,
            [format!("0123456789ab{CUT_MARKER}\n"), "next\n".to_owned()]
        );
    }

    #[test]
    fn an_endless_line_does_not_grow_the_memory() {
        let mut framer = Framer::new(1_000);
        let mut out = Vec::new();
        for _ in 0..50 {
            framer.push(&[b'x'; 8_192], &mut out);
        }
        assert!(framer.partial.capacity() <= 8_192 && out.len() < 2_000);
        assert_eq!(framer.take_cut_lines(), 1);
    }

    proptest! {
        #[test]
        fn any_chunking_of_the_same_bytes_gives_the_same_lines(
            bytes in proptest::collection::vec(prop_oneof![3 => any::<u8>(), 1 => Just(b'\n'), 1 => Just(b'\r')], 0..400),
            cuts in proptest::collection::vec(0usize..400, 0..20),
            limit in prop_oneof![Just(7usize), Just(64), Just(MAX_LINE_BYTES)],
        ) {
            let mut cuts: Vec<usize> = cuts.into_iter().map(|c| c.min(bytes.len())).collect();
            cuts.sort_unstable();
            let mut chunks = Vec::new();
            let mut from = 0;
            for cut in cuts {
                chunks.push(&bytes[from..cut]);
                from = cut;
            }
            chunks.push(&bytes[from..]);
            prop_assert_eq!(frame(&chunks, limit), frame(&[&bytes], limit));
        }
    }
}
