//! A run that came to its end before there was output to judge.

use serde_json::{Value, json};

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

/// The request lacks something or holds what must not reach a path or the API.
pub const INVALID_REQUEST: &str = "k8s_invalid_request";
/// A field of the agent's configuration has a bad value.
pub const CONFIG_INVALID: &str = "k8s_config_invalid";
/// No client can be made, or the server's own pod cannot be read.
pub const SELF_POD_FAILED: &str = "k8s_self_pod_failed";
/// No shared claim at `/paperclip`, or it is not usable here.
pub const SHARED_VOLUME_MISSING: &str = "k8s_shared_volume_missing";
/// The list of running Jobs cannot be read.
pub const GUARD_UNREACHABLE: &str = "k8s_concurrency_guard_unreachable";
/// Another Job of the agent still runs after `guardWaitSec`.
pub const GUARD_BLOCKED: &str = "k8s_concurrent_run_blocked";
/// Job, Secret or claim cannot be created.
pub const JOB_CREATE_FAILED: &str = "k8s_job_create_failed";
/// The pod was not scheduled or did not start.
pub const POD_SCHEDULE_FAILED: &str = "k8s_pod_schedule_failed";
/// The API server cannot be reached for too long; the Job is kept.
pub const OUTAGE: &str = "k8s_api_unreachable";
/// These two are a judgement as well.
pub use crate::run::outcome::code::{CANCELLED, LOG_INCOMPLETE};

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
