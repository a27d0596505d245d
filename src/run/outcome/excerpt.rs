//! The part of a long stdout that is stored: whole lines from its beginning and its end.

use std::collections::VecDeque;

/// What `resultJson.stdout` may hold.
pub const STDOUT_LIMIT: usize = 1024 * 1024;

/// Collects lines; over its limit it keeps the first quarter and the end.
#[derive(Debug, Clone)]
pub struct Excerpt {
    limit: usize,
    head: String,
    tail: VecDeque<String>,
    tail_bytes: usize,
    dropped: u64,
    over: bool,
}

impl Default for Excerpt {
    fn default() -> Self {
        Self::new(STDOUT_LIMIT)
    }
}

impl Excerpt {
    /// An empty excerpt of at most `limit` bytes, one marker line aside.
    #[must_use]
    pub fn new(limit: usize) -> Self {
        let tail = VecDeque::new();
        Self {
            limit,
            head: String::new(),
            tail,
            tail_bytes: 0,
            dropped: 0,
            over: false,
        }
    }

    /// Takes one line, without its newline.
    pub fn push_line(&mut self, line: &str) {
        self.tail.push_back(line.to_owned());
        self.tail_bytes += line.len() + 1;
        if !self.over && self.tail_bytes > self.limit {
            self.over = true;
            self.fill_head();
        }
        while self.head.len() + self.tail_bytes > self.limit {
            if self.take_oldest().is_none() {
                break;
            }
            self.dropped += 1;
        }
    }

    fn fill_head(&mut self) {
        while self
            .tail
            .front()
            .is_some_and(|line| self.head.len() + line.len() < self.limit / 4)
        {
            let Some(line) = self.take_oldest() else { break };
            self.head.push_str(&line);
            self.head.push('\n');
        }
    }

    fn take_oldest(&mut self) -> Option<String> {
        let line = self.tail.pop_front()?;
        self.tail_bytes -= line.len() + 1;
        Some(line)
    }

    /// The kept lines, with a marker where some are missing.
    #[must_use]
    pub fn finish(&self) -> String {
        let mut text = self.head.clone();
        if self.dropped > 0 {
            text.push_str(&format!("[paperclip] {} lines left out here\n", self.dropped));
        }
        for line in &self.tail {
            text.push_str(line);
            text.push('\n');
        }
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

#[cfg(test)]
mod tests {
    use super::*;

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
}
