//! What happened, in order, for whoever reads a failure.

use std::fmt::Write as _;
use std::sync::Mutex;
use std::time::Duration;

use tokio::sync::watch;
use tokio::time::Instant;

pub(crate) struct Story {
    since: Instant,
    lines: Mutex<Vec<(Duration, String)>>,
    faults: Mutex<Vec<String>>,
    number_of_lines: watch::Sender<usize>,
}

impl Story {
    pub(crate) fn new() -> Self {
        Self {
            since: Instant::now(),
            lines: Mutex::default(),
            faults: Mutex::default(),
            number_of_lines: watch::Sender::new(0),
        }
    }

    pub(crate) fn tell(&self, line: impl Into<String>) {
        self.lines
            .lock()
            .unwrap()
            .push((self.since.elapsed(), line.into()));
        self.number_of_lines.send_modify(|lines| *lines += 1);
    }

    /// Waits for a line with all these words, from the line of this number on; gives the number of the one after it.
    pub(crate) async fn until(&self, from: usize, words: &[&str]) -> usize {
        let mut lines = self.number_of_lines.subscribe();
        let mut next = from;
        loop {
            let found = self.lines.lock().unwrap()[next..]
                .iter()
                .position(|(_, line)| words.iter().all(|word| line.contains(word)));
            if let Some(at) = found {
                return next + at + 1;
            }
            next = *lines.borrow_and_update();
            lines.changed().await.expect("the story is not over");
        }
    }

    /// Something that must never be.
    pub(crate) fn fault(&self, line: impl Into<String>) {
        let line = line.into();
        self.tell(format!("!!! {line}"));
        self.faults.lock().unwrap().push(line);
    }

    pub(crate) fn faults(&self) -> Vec<String> {
        self.faults.lock().unwrap().clone()
    }

    pub(crate) fn now(&self) -> Duration {
        self.since.elapsed()
    }

    pub(crate) fn text(&self) -> String {
        let mut text = String::new();
        for (at, line) in self.lines.lock().unwrap().iter() {
            let _ = writeln!(text, "{:>10.3}  {line}", at.as_secs_f64());
        }
        text
    }
}
