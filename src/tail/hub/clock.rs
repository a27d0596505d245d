//! The hub's clock: the one place where the tail reads time.

use std::sync::OnceLock;
use std::time::{Duration, Instant};

/// Whose time it is.
#[derive(Debug, Clone, Copy, Default)]
pub(super) enum Clock {
    /// Of the machine, since the first use of a hub in this process.
    #[default]
    Machine,
    /// Of tokio, which tests can stop, since this moment.
    Runtime(tokio::time::Instant),
}

impl Clock {
    /// The time now.
    #[expect(
        clippy::disallowed_methods,
        reason = "the edge of the tail: a thread has no stoppable clock"
    )]
    pub(super) fn now(self) -> Duration {
        static EPOCH: OnceLock<Instant> = OnceLock::new();
        match self {
            Self::Machine => EPOCH.get_or_init(Instant::now).elapsed(),
            Self::Runtime(since) => since.elapsed(),
        }
    }
}
