//! A doubt about the file: its name is another file's, or it holds other bytes than before. Network volumes show such
//! things for a moment that are not so. Pure.

use std::time::Duration;

/// So many looks must agree as well: a mount that hangs shows little in a long time.
const LEAST_LOOKS: u32 = 4;

/// Since when each look has shown it.
#[derive(Debug, Default)]
pub(super) struct Doubt {
    since: Option<Duration>,
    looks: u32,
}

impl Doubt {
    /// One more look shows it. True when that has been so for `limit`: then it is believed.
    pub(super) fn grows(&mut self, now: Duration, limit: Duration) -> bool {
        self.looks = self.looks.saturating_add(1);
        self.since.get_or_insert(now);
        self.looks >= LEAST_LOOKS && self.age(now) >= limit
    }

    /// A look does not show it, or nobody can say.
    pub(super) fn clear(&mut self) {
        *self = Self::default();
    }

    /// Whether there is one.
    pub(super) fn is_there(&self) -> bool {
        self.since.is_some()
    }

    /// How long it has lasted.
    pub(super) fn age(&self, now: Duration) -> Duration {
        self.since
            .map_or(Duration::ZERO, |since| now.saturating_sub(since))
    }
}
