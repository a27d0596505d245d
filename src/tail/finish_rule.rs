//! How a tail finishes once its run is over, and what it then knows about its completeness. Pure values.

use std::time::Duration;

/// How long [`FinishRule::Drain`] retries while the file system answers with errors; then the rest counts as
/// unreadable.
pub(super) const DRAIN_RETRY_LIMIT: Duration = Duration::from_millis(1_500);

/// When a tail is finished whose run is over.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum FinishRule {
    /// Read to the end of the file once more.
    Drain,
    /// Read until count and digest agree with the pod's end record.
    Prove {
        /// Bytes of the log.
        bytes: u64,
        /// SHA-256 in lower-case hex; `None` where the image has no `sha256sum`.
        sha256: Option<String>,
        /// How long to wait for bytes that are not visible yet; `None`: as long as this kind of file system may hide
        /// them.
        limit: Option<Duration>,
    },
    /// No end record will come: read until two fresh looks, `quiet` apart, find nothing more.
    Settle {
        /// The time between the two looks.
        quiet: Duration,
    },
}

impl FinishRule {
    /// Whether this rule replaces `other`, which the tail was given before: `Prove` replaces `Settle`, `Drain`
    /// replaces both.
    pub(super) fn outranks(&self, other: &Self) -> bool {
        let rank = |rule: &Self| match rule {
            Self::Settle { .. } => 1,
            Self::Prove { .. } => 2,
            Self::Drain => 3,
        };
        rank(self) > rank(other)
    }

    /// How long the tail may take to finish while the file system shows nothing new or does not answer.
    /// `visibility_lag`: how long this kind of file system may hide bytes.
    pub(super) fn time_limit(&self, visibility_lag: Duration) -> Duration {
        match self {
            Self::Drain => DRAIN_RETRY_LIMIT,
            Self::Prove { limit, .. } => limit.unwrap_or(visibility_lag),
            Self::Settle { quiet } => quiet.saturating_mul(2).max(visibility_lag),
        }
    }
}

/// What a finished tail knows about its completeness.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Proof {
    /// The lines that were given are the file's lines, each once, in order, and the file is the end record's: count and
    /// digest agree.
    Proven,
    /// The same by the count alone: the end record has no digest.
    Counted,
    /// There was no end record to compare with, or the lines that were given are not just the file's.
    Unproven,
    /// The end record counts more bytes than could be read, or its digest is of other bytes.
    Incomplete {
        /// Bytes that were read.
        have: u64,
        /// Bytes that the end record counts.
        want: u64,
    },
    /// The file never appeared, is nothing that may be read, or could not be read to its end.
    Failed(String),
}

/// The wait until late bytes are looked for again: 50 ms at first, up to 1 s as the wait grows.
pub(super) fn retry_wait(waited: Duration) -> Duration {
    (waited / 4).clamp(Duration::from_millis(50), Duration::from_secs(1))
}
