//! Why a run that has output failed.

use super::code;

/// A cause of failure, before it becomes the host's result.
#[derive(Debug, Default)]
pub(super) struct OutcomeFailure {
    pub(super) code: &'static str,
    /// The cause in words.
    pub(super) text: String,
    /// The host's `errorFamily`, where one fits.
    pub(super) family: Option<&'static str>,
    /// Whether the same run may succeed when it is repeated.
    pub(super) retryable: bool,
    /// The next run must not resume the session: it would fail again.
    pub(super) clear_session: bool,
    /// `text` names the cause, so that stderr need not be quoted.
    pub(super) explained: bool,
}

impl OutcomeFailure {
    /// With the family and the repetition of the code's row.
    pub(super) fn new(code: &'static str, text: impl Into<String>) -> Self {
        let row = code::row(code);
        Self {
            code,
            text: text.into(),
            family: row.and_then(|row| row.family),
            retryable: row.is_some_and(|row| row.retryable),
            ..Self::default()
        }
    }

    /// Although most failures with this code are worth a repetition.
    pub(super) fn not_retryable(self) -> Self {
        Self {
            retryable: false,
            ..self
        }
    }

    /// The next run must start a new session.
    pub(super) fn clearing(self) -> Self {
        Self {
            clear_session: true,
            ..self
        }
    }

    pub(super) fn explained(self) -> Self {
        Self {
            explained: true,
            ..self
        }
    }
}
