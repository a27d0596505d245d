//! 64-bit hashes of lines, by folded multiplication: every byte of every log passes here once. The keys are random in
//! each process, and both factors of each product depend on one: so no agent can print two lines of one hash on
//! purpose, or bytes that wipe out what stands beside them. Pure.

use std::hash::{BuildHasher as _, RandomState};
use std::sync::OnceLock;

use super::framer::Framer;

const BLOCK: usize = 64;

type Words = [u64; 4];

/// What makes the hashes of this process its own.
#[derive(Debug)]
pub(super) struct Key {
    /// For one factor of each lane.
    factors: Words,
    /// Where each lane starts, which is what makes its other factor secret.
    starts: Words,
}

/// The key of this process.
pub(super) fn key() -> &'static Key {
    static KEY: OnceLock<Key> = OnceLock::new();
    KEY.get_or_init(|| {
        let random = RandomState::new();
        let words = |from: u64| [from, from + 1, from + 2, from + 3].map(|number| random.hash_one(number));
        Key {
            factors: words(0),
            starts: words(4),
        }
    })
}

impl Key {
    /// The hash of one line.
    #[inline]
    pub(super) fn of_line(&self, line: &[u8]) -> u64 {
        let length = line.len() as u64;
        let [first, second, third, fourth] = match line.last_chunk() {
            Some(last) => {
                let (blocks, _) = line.as_chunks::<BLOCK>();
                let start = self.starts;
                let state = blocks.iter().fold(start, |state, block| self.fold(state, block));
                // It may count bytes twice; what is left is never hashed byte by byte.
                self.fold(state, last)
            }
            None => {
                let mut padded = [0; BLOCK];
                if let Some(start) = padded.get_mut(..line.len()) {
                    start.copy_from_slice(line);
                }
                self.fold(self.starts, &padded)
            }
        };
        let [one, two, three, _] = self.factors;
        let joined = (
            multiplied(first ^ one, second ^ length),
            multiplied(third ^ two, fourth),
        );
        multiplied(joined.0 ^ three, joined.1 ^ length)
    }

    /// Four products at once, because one waits for the multiplication of the one before.
    #[inline]
    fn fold(&self, state: Words, block: &[u8; BLOCK]) -> Words {
        let mut next = state;
        let (pairs, _) = block.as_chunks::<16>();
        for ((state, factor), pair) in next.iter_mut().zip(self.factors).zip(pairs) {
            let both = u128::from_le_bytes(*pair);
            *state = multiplied(both as u64 ^ factor, (both >> 64) as u64 ^ *state);
        }
        next
    }
}

#[inline]
fn multiplied(one: u64, other: u64) -> u64 {
    let product = u128::from(one) * u128::from(other);
    (product as u64) ^ ((product >> 64) as u64)
}

/// The hash of a sequence of lines.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(super) struct LineSequence {
    lines: u64,
    state: u64,
}

impl LineSequence {
    /// Adds a line by its hash.
    #[inline]
    pub(super) fn push(&mut self, line: u64, key: &Key) {
        let ([factor, ..], [.., start]) = (key.factors, key.starts);
        self.lines += 1;
        self.state = multiplied(line ^ factor, self.state ^ start ^ self.lines);
    }
}

/// What was read of a file: its whole lines, and the beginning of the next one. Of a line that was cut the rest is not
/// compared, because nothing was given of it.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(super) struct FileContent {
    lines: LineSequence,
    unfinished: u64,
    is_cut: bool,
}

impl FileContent {
    /// The lines that a framer gave, and what it holds.
    pub(super) fn of(lines: LineSequence, framer: &Framer) -> Self {
        let (unfinished, is_cut) = framer.partial();
        Self {
            lines,
            unfinished: key().of_line(unfinished),
            is_cut,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_bit_one_byte_more_and_the_order_make_another_hash() {
        let bytes: Vec<u8> = (0..=255).collect();
        let mut seen = std::collections::HashSet::new();
        for length in 0..bytes.len() {
            let line = &bytes[..length];
            assert!(seen.insert(key().of_line(line)));
            let copy = line.to_vec();
            assert_eq!(key().of_line(line), key().of_line(&copy));
            for bit in 0..length * 8 {
                let mut other = line.to_vec();
                other[bit / 8] ^= 1 << (bit % 8);
                assert!(seen.insert(key().of_line(&other)), "bit {bit} of {length} bytes");
            }
        }
    }

    #[test]
    fn parts_that_change_places_make_another_hash() {
        let parts: Vec<[u8; 16]> = (0..16).map(|number| [number; 16]).collect();
        let whole = key().of_line(&parts.concat());
        for one in 0..parts.len() {
            for other in 0..one {
                let mut swapped = parts.clone();
                swapped.swap(one, other);
                assert_ne!(key().of_line(&swapped.concat()), whole, "{one} and {other}");
            }
        }
    }

    #[test]
    fn a_sequence_is_its_lines_in_their_order() {
        let of = |lines: &[u64]| {
            let mut sequence = LineSequence::default();
            lines.iter().for_each(|line| sequence.push(*line, key()));
            sequence
        };
        assert_eq!(of(&[1, 2]), of(&[1, 2]));
        assert_ne!(of(&[1, 2]), of(&[2, 1]));
        assert_ne!(of(&[1]), of(&[1, 1]));
    }
}
