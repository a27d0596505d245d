//! Which lines were given out already: a replaced or truncated file is read from its start again, and no line may
//! come twice. Pure. Only a hash of each line is kept, and of a bounded number of lines.

use std::collections::{HashMap, VecDeque};
use std::hash::{BuildHasher as _, RandomState};
use std::sync::OnceLock;

/// Lines that are remembered, the last ones of the log: 512 KiB of hashes. A longer log that is rewritten repeats
/// what lies before them.
pub const REMEMBERED_LINES: usize = 1 << 16;

/// The lines of one log that were given out.
#[derive(Debug, Default)]
pub(super) struct DeliveredLines {
    hashes: VecDeque<u64>,
    /// After a restart: how often each given line may still come again. A line counts as the one given before when
    /// its bytes are the same; the order is free, because a rewritten file may have lost its beginning.
    owed: HashMap<u64, u32>,
}

impl DeliveredLines {
    /// The file starts again: what was given until now is not to be given again.
    pub(super) fn restart(&mut self) {
        self.owed.clear();
        for hash in &self.hashes {
            *self.owed.entry(*hash).or_default() += 1;
        }
    }

    /// Keeps the lines that are new, each with its `\n`, and remembers them.
    pub(super) fn keep_new(&mut self, lines: Vec<u8>) -> Vec<u8> {
        if self.owed.is_empty() {
            for line in lines_of(&lines) {
                self.remember(hash(line));
            }
            return lines;
        }
        let mut new = Vec::with_capacity(lines.len());
        for line in lines_of(&lines) {
            let hash = hash(line);
            if !self.pay(hash) {
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

    /// Whether a line of this hash is owed; then it is owed once less.
    fn pay(&mut self, hash: u64) -> bool {
        let Some(count) = self.owed.get_mut(&hash) else {
            return false;
        };
        *count -= 1;
        if *count == 0 {
            self.owed.remove(&hash);
        }
        true
    }
}

/// One call for each line: in a build for size it is twice as fast as the iterator of the same crate.
fn lines_of(mut bytes: &[u8]) -> impl Iterator<Item = &[u8]> {
    std::iter::from_fn(move || {
        let (line, rest) = bytes.split_at_checked(memchr::memchr(b'\n', bytes)? + 1)?;
        bytes = rest;
        Some(line)
    })
}

/// 64 bits by folded multiplication: every line of every log passes here, and the standard hasher takes three
/// times as long. The key is of the process, so that nobody can prepare two lines of one hash.
fn hash(line: &[u8]) -> u64 {
    static KEY: OnceLock<u64> = OnceLock::new();
    let mut state = KEY.get_or_init(|| RandomState::new().hash_one(0_u8)) ^ line.len() as u64;
    let (pairs, rest) = line.as_chunks::<16>();
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
    let product = u128::from(both as u64 ^ 0x9E37_79B9_7F4A_7C15) * u128::from((both >> 64) as u64 ^ state);
    // A zero factor must not wipe out what came before.
    (product as u64) ^ ((product >> 64) as u64) ^ state.rotate_left(23)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn keep(given: &mut DeliveredLines, lines: &str) -> String {
        String::from_utf8(given.keep_new(lines.as_bytes().to_vec())).expect("text")
    }

    #[test]
    fn equal_lines_of_one_file_are_all_given() {
        assert_eq!(keep(&mut DeliveredLines::default(), "a\na\n\n\n"), "a\na\n\n\n");
    }

    #[test]
    fn after_a_restart_each_given_line_is_left_out_once() {
        let mut given = DeliveredLines::default();
        keep(&mut given, "a\nb\na\n");
        given.restart();
        assert_eq!(keep(&mut given, "a\nb\nc\n"), "c\n");
        assert_eq!(keep(&mut given, "a\na\n"), "a\n");
        given.restart();
        assert_eq!(keep(&mut given, "b\nc\nd\n"), "d\n");
    }

    #[test]
    fn the_memory_is_bounded() {
        let mut given = DeliveredLines::default();
        for number in 0..REMEMBERED_LINES * 3 {
            given.keep_new(format!("{number}\n").into_bytes());
        }
        assert!(given.hashes.len() == REMEMBERED_LINES && given.hashes.capacity() <= 2 * REMEMBERED_LINES);
        given.restart();
        assert_eq!(keep(&mut given, &format!("{}\n", REMEMBERED_LINES * 3 - 1)), "");
    }
}
