//! The failure of a run that ended before there was output to judge.

use serde_json::{Value, json};

pub use crate::codes::{
    CANCELLED, CONFIG_INVALID, GUARD_BLOCKED, GUARD_UNREACHABLE, INTERNAL_ERROR, INVALID_ID, INVALID_REQUEST,
    JOB_CREATE_FAILED, LEASE_LOST, LOG_INCOMPLETE, OUTAGE, POD_SCHEDULE_FAILED, SELF_POD_FAILED,
    SHARED_VOLUME_MISSING,
};

/// Why the run failed, as the host stores it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Failure {
    /// One of the codes below.
    pub code: &'static str,
    /// What failed, on what, and what to do.
    pub message: String,
    /// opencode provably never started: the host may repeat the run by itself.
    pub nothing_started: bool,
}

impl Failure {
    /// A failure before opencode could have started.
    #[must_use]
    pub fn before_start(code: &'static str, message: impl Into<String>) -> Self {
        Self {
            code,
            message: message.into(),
            nothing_started: true,
        }
    }

    /// A failure by a request or a configuration: to repeat the run is of no use.
    #[must_use]
    pub fn of_input(code: &'static str, message: impl Into<String>) -> Self {
        Self {
            code,
            message: message.into(),
            nothing_started: false,
        }
    }

    /// The host's `AdapterExecutionResult`.
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

/// The failure of a run that was cancelled while it had no Job.
#[must_use]
pub fn cancelled(reason: &str) -> Failure {
    Failure::before_start(
        CANCELLED,
        format!("Run cancelled ({reason}) before the agent was started"),
    )
}

/// The end of a run that its host has given up without a cancel.
#[must_use]
pub fn lease_lost() -> Failure {
    Failure::of_input(
        LEASE_LOST,
        "Run given up by Paperclip: its server shuts down, or another one took the run for lost. A Job of the run is \
         kept, and the task's next run takes it over",
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
