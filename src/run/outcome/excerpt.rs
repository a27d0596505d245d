//! The part of stdout that is stored in the result: of a long one, whole lines from its beginning and its end. Pure.

use std::collections::VecDeque;

use crate::opencode::bounded::suffix;

/// Bytes of `resultJson.stdout`. It bounds the time of a judgement, too: of the worst text a tenth of a second, in which
/// secrets are looked for.
pub const STDOUT_LIMIT: usize = 1024 * 1024;
/// Bytes of a stderr that are judged; a run's own has fewer.
const STDERR_LIMIT: usize = 256 * 1024;
/// Bytes of the line that says how many lines are missing.
const MARKER: usize = 64;

/// Collects lines. Over its limit it keeps the first quarter of the limit, and the last lines. It holds bytes, not
/// lines: a million empty lines cost a megabyte.
#[derive(Debug, Clone)]
pub struct Excerpt {
    limit: usize,
    head: String,
    /// Whole lines, each with its newline.
    tail: VecDeque<u8>,
    tail_lines: u64,
    dropped: u64,
    is_over: bool,
}

impl Default for Excerpt {
    fn default() -> Self {
        Self::new(STDOUT_LIMIT - MARKER)
    }
}

impl Excerpt {
    /// An empty excerpt of at most `limit` bytes, one marker line aside.
    #[must_use]
    pub fn new(limit: usize) -> Self {
        Self {
            limit,
            head: String::new(),
            tail: VecDeque::new(),
            tail_lines: 0,
            dropped: 0,
            is_over: false,
        }
    }

    /// Takes one line, without its newline.
    pub fn push_line(&mut self, line: &str) {
        let bytes = line.len() + 1;
        if !self.is_over && self.tail.len() + bytes > self.limit {
            self.is_over = true;
            self.fill_head();
        }
        if self.head.len() + bytes > self.limit {
            // It fits nowhere, and nothing before it is the end any more.
            self.dropped += self.tail_lines + 1;
            self.tail.clear();
            self.tail_lines = 0;
            return;
        }
        while self.head.len() + self.tail.len() + bytes > self.limit {
            let oldest = self.oldest();
            self.tail.drain(..oldest);
            self.tail_lines -= 1;
            self.dropped += 1;
        }
        self.tail.extend(line.as_bytes());
        self.tail.push_back(b'\n');
        self.tail_lines += 1;
    }

    fn fill_head(&mut self) {
        while self.tail_lines > 0 && self.head.len() + self.oldest() - 1 < self.limit / 4 {
            let oldest = self.oldest();
            let line: Vec<u8> = self.tail.drain(..oldest).collect();
            self.head.push_str(&String::from_utf8_lossy(&line));
            self.tail_lines -= 1;
        }
    }

    /// Bytes of the oldest line with its newline; 0 when there is none.
    fn oldest(&self) -> usize {
        let (front, back) = self.tail.as_slices();
        let in_front = memchr::memchr(b'\n', front);
        let at = in_front.or_else(|| memchr::memchr(b'\n', back).map(|at| front.len() + at));
        at.map_or(0, |at| at + 1)
    }

    /// The kept lines, with a marker where some are missing.
    #[must_use]
    pub fn finish(&self) -> String {
        let mut text = self.head.clone();
        if self.dropped > 0 {
            text.push_str(&format!("[paperclip] {} lines left out here\n", self.dropped));
        }
        let (front, back) = self.tail.as_slices();
        text.push_str(&String::from_utf8_lossy(&[front, back].concat()));
        text
    }
}

/// The excerpt of a whole text; a short one is given back as it is.
pub(super) fn excerpt(stdout: &str) -> String {
    if stdout.len() <= STDOUT_LIMIT {
        return stdout.to_owned();
    }
    let mut excerpt = Excerpt::default();
    for line in stdout.split_terminator('\n') {
        excerpt.push_line(line);
    }
    excerpt.finish()
}

/// The end of a long stderr, from a line or a word on: half a secret is known by nothing.
pub(super) fn end(stderr: &str) -> &str {
    let end = suffix(stderr, STDERR_LIMIT);
    if end.len() == stderr.len() {
        return stderr;
    }
    let from = end.find('\n').or_else(|| end.find(char::is_whitespace));
    end.get(from.unwrap_or(0)..).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn of_a_long_stderr_the_end_is_judged_from_a_line_on() {
        let long = format!("sk-{}\nlast words", "x".repeat(STDERR_LIMIT - 20));
        assert_eq!(end(&long), long);
        assert_eq!(end(&format!("{}{long}", "y".repeat(20))), "\nlast words");
        let words = format!("{} secret", "z".repeat(STDERR_LIMIT));
        assert_eq!(end(&words), " secret");
    }

    #[test]
    fn head_and_tail_stay_whole_lines() {
        let mut excerpt = Excerpt::new(400);
        for n in 0..1000 {
            excerpt.push_line(&format!("line {n}"));
        }
        let text = excerpt.finish();
        assert!(
            text.starts_with("line 0\nline 1\n") && text.ends_with("line 999\n"),
            "{text}"
        );
        assert!(
            text.contains("lines left out here") && text.len() < 450,
            "{}",
            text.len()
        );
    }

    #[test]
    fn a_line_that_does_not_fit_is_left_out() {
        let mut excerpt = Excerpt::new(100);
        for line in ["first", &"x".repeat(500), "last"] {
            excerpt.push_line(line);
        }
        assert_eq!(
            excerpt.finish(),
            "first\n[paperclip] 1 lines left out here\nlast\n"
        );
    }

    #[test]
    fn what_is_stored_is_never_over_its_limit() {
        let stdout = format!("{}\n", "a".repeat(99)).repeat(20_000);
        let text = excerpt(&stdout);
        assert!(text.contains("lines left out here"));
        assert!(
            text.len() <= STDOUT_LIMIT && text.len() > STDOUT_LIMIT - 1_000,
            "{}",
            text.len()
        );
    }
}
