//! A run that came to its end before there was output to judge.

use serde_json::{Value, json};

pub use crate::codes::{
    CANCELLED, CONFIG_INVALID, GUARD_BLOCKED, GUARD_UNREACHABLE, INVALID_REQUEST, JOB_CREATE_FAILED,
    LOG_INCOMPLETE, OUTAGE, POD_SCHEDULE_FAILED, SELF_POD_FAILED, SHARED_VOLUME_MISSING,
};

/// What went wrong, in the words that the host stores.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Failure {
    /// A code of the contract.
    pub code: &'static str,
    /// What failed, on what, and what to do.
    pub message: String,
    /// opencode provably never started: the host may try again by itself.
    pub nothing_started: bool,
}

impl Failure {
    /// Before anything was created.
    #[must_use]
    pub fn before_start(code: &'static str, message: impl Into<String>) -> Self {
        Self {
            code,
            message: message.into(),
            nothing_started: true,
        }
    }

    /// Of a request or configuration that no repetition will mend.
    #[must_use]
    pub fn of_input(code: &'static str, message: impl Into<String>) -> Self {
        Self {
            code,
            message: message.into(),
            nothing_started: false,
        }
    }

    /// As the host's result.
    #[must_use]
    pub fn to_value(&self) -> Value {
        let mut result = json!({
            "exitCode": null,
            "signal": null,
            "timedOut": false,
            "errorCode": self.code,
            "errorMessage": self.message,
        });
        if self.nothing_started && self.code != CANCELLED {
            result["executionRecovery"] = json!({"kind": "bootstrap", "providerWorkStarted": false});
        }
        result
    }
}

/// Cancelled while there was no Job, or none any more: nothing is left that could run.
#[must_use]
pub fn cancelled(reason: &str) -> Failure {
    Failure::before_start(
        CANCELLED,
        format!("Run cancelled ({reason}) before the agent was started"),
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_failure_is_never_a_success_in_the_host() {
        let result = Failure::before_start(JOB_CREATE_FAILED, "quota").to_value();
        assert_eq!(result["exitCode"], Value::Null);
        assert_eq!(result["errorMessage"], "quota");
        assert_eq!(result["executionRecovery"]["providerWorkStarted"], false);
        let input = Failure::of_input(CONFIG_INVALID, "x").to_value();
        assert!(input.get("executionRecovery").is_none());
        let cancelled = cancelled("signal").to_value();
        assert!(cancelled.get("executionRecovery").is_none());
    }
}
