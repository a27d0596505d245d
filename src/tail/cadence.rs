//! The settings of a tail, and how long it waits until the next look at its file. Pure.

use std::time::Duration;

/// The settings of a tail.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct TailOptions {
    /// Wait between two polls while the file grows. Default 250 ms.
    pub poll: Duration,
    /// Wait after `idle_polls` polls without growth. Default 1000 ms.
    pub idle_poll: Duration,
    /// After how many polls without growth the wait becomes `idle_poll`. Default 5.
    pub idle_polls: u32,
    /// How long a file may be absent before the tail fails; `None` = for ever. Default 30 s.
    pub appear: Option<Duration>,
    /// Keep a running digest of what is read, for a proof against the end record, and tell what the file holds when it
    /// turns out to be another one than was read. Default true.
    pub digest: bool,
    /// Give NULs out at once, which may be bytes that are still on their way. Default false.
    pub nuls_pass: bool,
    /// Keep the text for whoever wants all of it at the end. Default false.
    pub collect: bool,
}

impl Default for TailOptions {
    fn default() -> Self {
        Self {
            poll: Duration::from_millis(250),
            idle_poll: Duration::from_millis(1_000),
            idle_polls: 5,
            appear: Some(Duration::from_secs(30)),
            digest: true,
            nuls_pass: false,
            collect: false,
        }
    }
}

/// Counts polls without growth.
#[derive(Debug, Default)]
pub struct Cadence {
    idle: u32,
}

impl Cadence {
    /// The wait after a poll that did or did not find new bytes.
    pub fn next(&mut self, options: &TailOptions, grew: bool) -> Duration {
        self.idle = if grew { 0 } else { self.idle.saturating_add(1) };
        if self.idle >= options.idle_polls {
            options.idle_poll.max(options.poll)
        } else {
            options.poll
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn five_idle_polls_slow_it_down_and_growth_speeds_it_up() {
        let options = TailOptions::default();
        let mut cadence = Cadence::default();
        let waits: Vec<u128> = [false, false, false, false, false, false, true, false]
            .map(|g| cadence.next(&options, g).as_millis())
            .into();
        assert_eq!(waits, [250, 250, 250, 250, 1000, 1000, 250, 250]);
    }
}
