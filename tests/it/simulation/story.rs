//! What happened, in order, for whoever reads a failure.

use std::fmt::Write as _;
use std::sync::Mutex;
use std::time::Duration;

use tokio::time::Instant;

pub(crate) struct Story {
    since: Instant,
    lines: Mutex<Vec<(Duration, String)>>,
    faults: Mutex<Vec<String>>,
}

impl Story {
    pub(crate) fn new() -> Self {
        Self {
            since: Instant::now(),
            lines: Mutex::default(),
            faults: Mutex::default(),
        }
    }

    pub(crate) fn tell(&self, line: impl Into<String>) {
        self.lines
            .lock()
            .unwrap()
            .push((self.since.elapsed(), line.into()));
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
