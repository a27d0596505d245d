//! How a tail is told that its run is over, and what it can say then. Pure values.

use std::time::Duration;

/// A stop waits this long for a file system that answers with errors, before the rest counts as unreadable.
pub(super) const DRAIN_PATIENCE: Duration = Duration::from_millis(1_500);

/// How the tail is told that the run is over.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Ending {
    /// Read to the end of the file once more, then stop.
    Drain,
    /// The pod's record says what the log holds: read on until count and digest agree.
    Prove {
        /// Bytes of the log.
        bytes: u64,
        /// SHA-256 in lower-case hex, where the pod could tell.
        sha256: Option<String>,
        /// How long bytes may stay invisible; `None` = what the file system is known for.
        limit: Option<Duration>,
    },
    /// No record will come: read until two fresh looks `quiet` apart find nothing more.
    Settle {
        /// The time between the two looks.
        quiet: Duration,
    },
}

impl Ending {
    /// A record wins over having none, a stop over both; otherwise the first word counts.
    pub(super) fn outranks(&self, other: &Self) -> bool {
        let rank = |ending: &Self| match ending {
            Self::Settle { .. } => 1,
            Self::Prove { .. } => 2,
            Self::Drain => 3,
        };
        rank(self) > rank(other)
    }

    /// How long the tail may take to end although the file system gives nothing or does not answer; `known` is what
    /// the file system is known for.
    pub(super) fn patience(&self, known: Duration) -> Duration {
        match self {
            Self::Drain => DRAIN_PATIENCE,
            Self::Prove { limit, .. } => limit.unwrap_or(known),
            Self::Settle { quiet } => quiet.saturating_mul(2).max(known),
        }
    }
}

/// What a finished tail can say about its completeness.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Proof {
    /// Every byte that the record counts was read, and the digest agrees.
    Proven,
    /// There was nothing to compare with.
    Unproven,
    /// The record counts more bytes than could be read, or other ones.
    Incomplete {
        /// Bytes that were read.
        have: u64,
        /// Bytes that the record counts.
        want: u64,
    },
    /// The file never appeared, is nothing that may be read, or could not be read to its end.
    Failed(String),
}

/// 50 ms at first, slower as the wait for late bytes grows.
pub(super) fn retry_wait(waited: Duration) -> Duration {
    (waited / 4).clamp(Duration::from_millis(50), Duration::from_secs(1))
}
