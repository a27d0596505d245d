//! 64-bit hashes of lines and of a file's content, by folded multiplication: every byte of every log passes here, and
//! the standard hasher takes three times as long. The key is random in each process, so that no agent can print two
//! lines of one hash on purpose. Pure.

use std::hash::{BuildHasher as _, RandomState};
use std::sync::OnceLock;

const BLOCK: usize = 64;

fn key() -> u64 {
    static KEY: OnceLock<u64> = OnceLock::new();
    *KEY.get_or_init(|| RandomState::new().hash_one(0_u8))
}

/// The hash of one line.
pub(super) fn of_line(line: &[u8]) -> u64 {
    let mut state = key() ^ line.len() as u64;
    let (blocks, rest) = line.as_chunks::<BLOCK>();
    if !blocks.is_empty() {
        let mut lanes = Lanes::new(state);
        blocks.iter().for_each(|block| lanes.fold(block));
        state = lanes.joined();
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

/// Four folds at once, because one waits for the multiplication of the one before.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Lanes(u64, u64, u64, u64);

impl Lanes {
    fn new(state: u64) -> Self {
        Self(state, !state, state.rotate_left(17), !state.rotate_left(17))
    }

    fn fold(&mut self, block: &[u8; BLOCK]) {
        let (pairs, _) = block.as_chunks::<16>();
        if let [first, second, third, fourth] = pairs {
            *self = Self(
                fold(first, self.0),
                fold(second, self.1),
                fold(third, self.2),
                fold(fourth, self.3),
            );
        }
    }

    fn joined(self) -> u64 {
        let key = key();
        fold_words(self.0 ^ key, self.1, self.2) ^ fold_words(self.2 ^ key, self.3, self.0).rotate_left(31)
    }
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

/// The hash of a sequence of lines.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(super) struct LineSequence {
    lines: u64,
    state: u64,
}

impl LineSequence {
    /// Adds a line by its hash.
    pub(super) fn push(&mut self, line: u64) {
        self.lines += 1;
        self.state = fold_words(line, self.lines, self.state ^ key());
    }
}

/// The hash of bytes that come in pieces: the pieces do not matter.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct ContentHash {
    lanes: Lanes,
    rest: Vec<u8>,
}

impl Default for ContentHash {
    fn default() -> Self {
        Self {
            lanes: Lanes::new(key()),
            rest: Vec::with_capacity(BLOCK),
        }
    }
}

impl ContentHash {
    /// Adds bytes.
    pub(super) fn update(&mut self, mut bytes: &[u8]) {
        if !self.rest.is_empty() {
            let missing = (BLOCK - self.rest.len()).min(bytes.len());
            let (head, more) = bytes.split_at(missing);
            self.rest.extend_from_slice(head);
            bytes = more;
            if let Some(block) = self.rest.first_chunk() {
                self.lanes.fold(block);
                self.rest.clear();
            }
        }
        let (blocks, rest) = bytes.as_chunks::<BLOCK>();
        blocks.iter().for_each(|block| self.lanes.fold(block));
        self.rest.extend_from_slice(rest);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lines_that_differ_anywhere_have_hashes_of_their_own() {
        let line = [b'x'; 200];
        let mut hashes = vec![of_line(&line), of_line(&line[..199])];
        for at in 0..line.len() {
            for byte in [b'y', 0, 0xFF] {
                let mut other = line;
                other[at] = byte;
                hashes.push(of_line(&other));
            }
            let mut swapped = [b'x'; 200];
            swapped[at] = b'a';
            swapped[(at + 64) % 200] = b'b';
            hashes.push(of_line(&swapped));
        }
        let all = hashes.len();
        hashes.sort_unstable();
        hashes.dedup();
        assert_eq!(hashes.len(), all);
    }

    #[test]
    fn pieces_do_not_matter_and_bytes_do() {
        let bytes: Vec<u8> = (0..200).collect();
        let mut whole = ContentHash::default();
        whole.update(&bytes);
        for cut in 0..bytes.len() {
            let (a, b) = bytes.split_at(cut);
            let mut parts = ContentHash::default();
            parts.update(a);
            assert_ne!(parts, whole);
            parts.update(b);
            assert_eq!(parts, whole);
        }
        let mut other = ContentHash::default();
        other.update(&bytes[..199]);
        other.update(&[0]);
        assert_ne!(other, whole);
    }

    #[test]
    fn a_sequence_is_its_lines_in_their_order() {
        let of = |lines: &[u64]| {
            let mut sequence = LineSequence::default();
            lines.iter().for_each(|line| sequence.push(*line));
            sequence
        };
        assert_eq!(of(&[1, 2]), of(&[1, 2]));
        assert_ne!(of(&[1, 2]), of(&[2, 1]));
        assert_ne!(of(&[1]), of(&[1, 1]));
    }
}
