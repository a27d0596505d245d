//! How the tails of a run whose end is known are to finish. Pure.

use crate::run::timing::{CANCELLED_PROOF, SETTLE, STDERR_PROOF};
use crate::tail::EndRecord;
use crate::tail::follower::FinishRule;

/// How the tails of stdout and stderr are to finish.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum LogFinish {
    /// The record says what the log holds.
    Prove {
        /// The record.
        record: EndRecord,
        /// Somebody waits for the end: what is missing after a short while stays missing.
        is_hurried: bool,
    },
    /// No record is there: what two looks agree on is the log.
    Settle,
    /// What can be read now is the log.
    Drain,
}

impl LogFinish {
    /// How the tail of stdout is to finish.
    #[must_use]
    pub fn of_stdout(&self) -> FinishRule {
        match self {
            Self::Prove { record, is_hurried } => FinishRule::Prove {
                bytes: record.bytes,
                sha256: record.sha256.clone(),
                limit: is_hurried.then_some(CANCELLED_PROOF),
            },
            Self::Settle => FinishRule::Settle { quiet: SETTLE },
            Self::Drain => FinishRule::Drain,
        }
    }

    /// How the tail of stderr is to finish.
    #[must_use]
    pub fn of_stderr(&self) -> FinishRule {
        match self {
            Self::Prove { record, .. } => FinishRule::Prove {
                bytes: record.err_bytes,
                sha256: None,
                limit: Some(STDERR_PROOF),
            },
            Self::Settle | Self::Drain => FinishRule::Drain,
        }
    }
}
