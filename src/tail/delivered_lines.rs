//! Which lines were delivered already: a replaced or truncated file is read from its start again, and no line may
//! come twice. Only a hash of each line is kept, of a bounded number of lines. Pure.

use std::collections::{HashMap, VecDeque};
use std::hash::{BuildHasher as _, RandomState};
use std::sync::OnceLock;

/// How many of a log's last lines are remembered: 512 KiB of hashes. When a longer log is rewritten, the lines before
/// these are delivered again.
pub const REMEMBERED_LINES: usize = 1 << 16;

/// The lines of one log that were delivered.
#[derive(Debug, Default)]
pub(super) struct DeliveredLines {
    hashes: VecDeque<u64>,
    /// After a restart: how often each line, by its hash, is still to be left out. The order is free, because a
    /// rewritten file may have lost its beginning.
    to_skip: HashMap<u64, u32>,
}

impl DeliveredLines {
    /// The file is read from its start again: each line that was delivered is left out once.
    pub(super) fn restart(&mut self) {
        self.to_skip.clear();
        for hash in &self.hashes {
            *self.to_skip.entry(*hash).or_default() += 1;
        }
    }

    /// The lines that are new, each with its `\n`; remembers them.
    pub(super) fn keep_new(&mut self, lines: Vec<u8>) -> Vec<u8> {
        if self.to_skip.is_empty() {
            for line in lines_of(&lines) {
                self.remember(hash(line));
            }
            return lines;
        }
        let mut new = Vec::with_capacity(lines.len());
        for line in lines_of(&lines) {
            let hash = hash(line);
            if !self.skip(hash) {
                self.remember(hash);
                new.extend_from_slice(line);
            }
        }
        new
    }

    fn remember(&mut self, hash: u64) {
        if self.hashes.len() >= REMEMBERED_LINES {
            self.hashes.pop_front();
        }
        self.hashes.push_back(hash);
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

/// Finds one newline per call: in a build for size that is twice as fast as memchr's own iterator.
fn lines_of(mut bytes: &[u8]) -> impl Iterator<Item = &[u8]> {
    std::iter::from_fn(move || {
        let (line, rest) = bytes.split_at_checked(memchr::memchr(b'\n', bytes)? + 1)?;
        bytes = rest;
        Some(line)
    })
}

/// 64 bits by folded multiplication: every line of every log passes here, and the standard hasher takes three
/// times as long. The key is random in each process, so that no agent can print two lines of one hash on purpose.
/// Four folds at once, because one waits for the multiplication of the one before.
fn hash(line: &[u8]) -> u64 {
    static KEY: OnceLock<u64> = OnceLock::new();
    let key = *KEY.get_or_init(|| RandomState::new().hash_one(0_u8));
    let mut state = key ^ line.len() as u64;
    let (blocks, rest) = line.as_chunks::<64>();
    if !blocks.is_empty() {
        let (mut a, mut b, mut c, mut d) = (state, !state, state.rotate_left(17), !state.rotate_left(17));
        for block in blocks {
            let (pairs, _) = block.as_chunks::<16>();
            if let [first, second, third, fourth] = pairs {
                (a, b, c, d) = (fold(first, a), fold(second, b), fold(third, c), fold(fourth, d));
            }
        }
        state = fold_words(a ^ key, b, c) ^ fold_words(c ^ key, d, a).rotate_left(31);
    }
    let (pairs, rest) = rest.as_chunks::<16>();
    for pair in pairs {
        state = fold(pair, state);
    }
    let mut last = [0; 16];
    if let Some(last) = last.get_mut(..rest.len()) {
        last.copy_from_slice(rest);
    }
    fold(&last, state)
}

fn fold(pair: &[u8; 16], state: u64) -> u64 {
    let both = u128::from_le_bytes(*pair);
    fold_words(both as u64, (both >> 64) as u64, state)
}

fn fold_words(one: u64, other: u64, state: u64) -> u64 {
    let product = u128::from(one ^ 0x9E37_79B9_7F4A_7C15) * u128::from(other ^ state);
    // A zero factor must not wipe out what came before.
    (product as u64) ^ ((product >> 64) as u64) ^ state.rotate_left(23)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn keep(delivered: &mut DeliveredLines, lines: &str) -> String {
        String::from_utf8(delivered.keep_new(lines.as_bytes().to_vec())).expect("text")
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
    fn lines_that_differ_anywhere_have_hashes_of_their_own() {
        let line = [b'x'; 200];
        let mut hashes = vec![hash(&line), hash(&line[..199])];
        for at in 0..line.len() {
            for byte in [b'y', 0, 0xFF] {
                let mut other = line;
                other[at] = byte;
                hashes.push(hash(&other));
            }
            let mut swapped = [b'x'; 200];
            swapped[at] = b'a';
            swapped[(at + 64) % 200] = b'b';
            hashes.push(hash(&swapped));
        }
        let all = hashes.len();
        hashes.sort_unstable();
        hashes.dedup();
        assert_eq!(hashes.len(), all);
    }

    #[test]
    fn the_memory_is_bounded() {
        let mut delivered = DeliveredLines::default();
        for number in 0..REMEMBERED_LINES * 3 {
            delivered.keep_new(format!("{number}\n").into_bytes());
        }
        let hashes = &delivered.hashes;
        assert!(hashes.len() == REMEMBERED_LINES && hashes.capacity() <= 2 * REMEMBERED_LINES);
        delivered.restart();
        let last = format!("{}\n", REMEMBERED_LINES * 3 - 1);
        assert_eq!(keep(&mut delivered, &last), "");
    }
}
