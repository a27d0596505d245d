//! What a run reports to its host, typed until it becomes the host's `AdapterExecutionResult`.

use serde_json::{Map, Value, json};

use crate::run::failure::{CANCELLED, Failure, INTERNAL_ERROR, OUTAGE};
use crate::run::outcome::{RunResult, Usage, code};

/// What came of a run, or of an earlier one that was harvested.
#[derive(Debug, Clone, PartialEq)]
pub enum Outcome {
    /// There was output to judge.
    Judged(Box<RunResult>),
    /// It came to its end before.
    Failed(Failure),
}

/// What a run used: tokens, and their price in USD.
#[derive(Debug, Default, Clone, Copy, PartialEq)]
pub struct Used {
    /// Tokens.
    pub usage: Usage,
    /// Their price.
    pub cost_usd: f64,
}

impl Used {
    /// Whether there is anything to report.
    #[must_use]
    pub fn is_nothing(&self) -> bool {
        self.usage == Usage::default() && self.cost_usd <= 0.0
    }

    /// Both together.
    #[must_use]
    pub fn plus(self, other: Self) -> Self {
        Self {
            usage: Usage {
                input_tokens: self.usage.input_tokens.saturating_add(other.usage.input_tokens),
                output_tokens: self.usage.output_tokens.saturating_add(other.usage.output_tokens),
                cached_input_tokens: self
                    .usage
                    .cached_input_tokens
                    .saturating_add(other.usage.cached_input_tokens),
            },
            cost_usd: self.cost_usd + other.cost_usd.max(0.0),
        }
    }

    /// What was not reported yet. Never below nothing: the note of what was lies where pods can write.
    #[must_use]
    pub fn minus(self, reported: Self) -> Self {
        // Sums of prices are not exact: a rest of a millionth of a cent is none.
        let rest = self.cost_usd - reported.cost_usd.max(0.0);
        Self {
            usage: Usage {
                input_tokens: self
                    .usage
                    .input_tokens
                    .saturating_sub(reported.usage.input_tokens),
                output_tokens: self
                    .usage
                    .output_tokens
                    .saturating_sub(reported.usage.output_tokens),
                cached_input_tokens: self
                    .usage
                    .cached_input_tokens
                    .saturating_sub(reported.usage.cached_input_tokens),
            },
            cost_usd: if rest > 1e-8 { rest } else { 0.0 },
        }
    }
}

/// Earlier runs of the task that this one harvested. The runs that made their Jobs are lost and will never report what
/// they used: this one does.
#[derive(Debug, Default, Clone, PartialEq)]
pub struct Harvest {
    used: Used,
    /// The last of them: its session is the one to go on with.
    last: Option<Box<RunResult>>,
}

impl Harvest {
    /// One more earlier run.
    pub fn add(&mut self, report: Report) {
        self.used = self.used.plus(report.used());
        if let Outcome::Judged(result) = report.outcome {
            self.last = Some(result);
        }
    }

    /// The session of the last one: to be resumed, or to be forgotten. `None`: it says nothing of one.
    #[must_use]
    pub fn session(&self) -> Option<HarvestedSession> {
        let last = self.last.as_ref()?;
        if last.clear_session {
            return Some(HarvestedSession::Cleared);
        }
        let id = last.session_id.clone()?;
        let params = last.session_params.clone().unwrap_or_default();
        Some(HarvestedSession::Known { id, params })
    }
}

/// What a harvested run says about the task's session.
#[derive(Debug, Clone, PartialEq)]
pub enum HarvestedSession {
    /// The next run goes on from it.
    Known {
        /// Its id.
        id: String,
        /// What is stored with it.
        params: Map<String, Value>,
    },
    /// It must not be resumed.
    Cleared,
}

/// What is known of the log.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LogReport {
    /// Bytes that were delivered.
    pub bytes: u64,
    /// A word for its completeness.
    pub proof: String,
}

/// What a run reports.
#[derive(Debug, Clone, PartialEq)]
pub struct Report {
    /// What came of it.
    pub outcome: Outcome,
    /// What is known of its log.
    pub log: Option<LogReport>,
    /// A cancel was verified: nothing of the run is left that could work.
    pub is_acknowledged: bool,
    /// Earlier runs that it harvested.
    pub harvest: Harvest,
}

impl From<Failure> for Report {
    fn from(failure: Failure) -> Self {
        Self {
            is_acknowledged: failure.code == CANCELLED && failure.nothing_started,
            outcome: Outcome::Failed(failure),
            log: None,
            harvest: Harvest::default(),
        }
    }
}

impl Report {
    /// Why the run failed by its output and its end; none of a cancel, which somebody asked for.
    #[must_use]
    pub fn judged_failure(&self) -> Option<&str> {
        match &self.outcome {
            Outcome::Judged(result) if result.error_code != Some(CANCELLED) => {
                result.error_message.as_deref()
            }
            Outcome::Judged(_) | Outcome::Failed(_) => None,
        }
    }

    /// The same, with the message of a failure as the host may show it.
    #[must_use]
    pub fn shown(mut self, show: impl Fn(&str) -> String) -> Self {
        if let Outcome::Failed(failure) = &mut self.outcome {
            failure.message = show(&failure.message);
        }
        self
    }

    /// What the run itself used.
    #[must_use]
    pub fn used(&self) -> Used {
        match &self.outcome {
            Outcome::Judged(result) => Used {
                usage: result.usage,
                cost_usd: result.cost_usd,
            },
            Outcome::Failed(_) => Used::default(),
        }
    }

    /// Whether the run failed because its log could not be read to its end, or not at all.
    #[must_use]
    pub fn log_is_incomplete(&self) -> bool {
        let Outcome::Judged(result) = &self.outcome else {
            return false;
        };
        let is_silent = self
            .log
            .as_ref()
            .is_some_and(|log| log.bytes == 0 && log.proof == "unproven");
        match result.error_code {
            Some(code::LOG_INCOMPLETE) => true,
            Some(code::UNKNOWN_OUTCOME) => is_silent,
            _ => false,
        }
    }

    /// The code of the failure; `None` for a success.
    #[must_use]
    pub fn code(&self) -> Option<&'static str> {
        match &self.outcome {
            Outcome::Judged(result) => result.error_code,
            Outcome::Failed(failure) => Some(failure.code),
        }
    }

    /// One word for what is known of the log's completeness, without the numbers and reasons that may follow it.
    #[must_use]
    pub fn proof(&self) -> &str {
        let words = self.log.as_ref().map_or("not_read", |log| log.proof.as_str());
        words.split(':').next().unwrap_or_default()
    }

    /// Whether an operator should look: nobody knows how the run ended, or whether all of its log is there. Nobody
    /// waits for the whole log of a cancelled run.
    #[must_use]
    pub fn is_doubtful(&self) -> bool {
        if self.code() == Some(CANCELLED) {
            return !self.is_acknowledged;
        }
        let is_unknown = matches!(
            self.code(),
            Some(code::UNKNOWN_OUTCOME | code::LOG_INCOMPLETE | OUTAGE | INTERNAL_ERROR)
        );
        is_unknown || !matches!(self.proof(), "proven" | "counted" | "not_read")
    }

    /// Reports only this as used.
    pub fn set_used(&mut self, used: Used) {
        if let Outcome::Judged(result) = &mut self.outcome {
            result.usage = used.usage;
            result.cost_usd = used.cost_usd;
        }
    }

    /// The host's `AdapterExecutionResult`. The shim adds the biller, and the time of an acknowledgement: nothing here
    /// reads a wall clock.
    #[must_use]
    pub fn to_value(&self) -> Value {
        let mut value = match &self.outcome {
            Outcome::Judged(result) => self.judged(result),
            Outcome::Failed(failure) => self.failed(failure),
        };
        if self.is_acknowledged {
            value["resultJson"]["executionCancellation"] = json!({"state": "acknowledged"});
        }
        if let Some(log) = &self.log {
            value["resultJson"]["log"] = json!({"bytes": log.bytes, "proof": log.proof});
        }
        value
    }

    fn judged(&self, result: &RunResult) -> Value {
        let mut result = result.clone();
        let used = self.used().plus(self.harvest.used);
        (result.usage, result.cost_usd) = (used.usage, used.cost_usd);
        if let Some(earlier) = &self.harvest.last
            && result.session_id.is_none()
            && !result.clear_session
        {
            // The task's session is the harvested one, whatever came after it.
            result.session_id.clone_from(&earlier.session_id);
            result.session_params.clone_from(&earlier.session_params);
            result.session_display_id.clone_from(&earlier.session_display_id);
            result.clear_session = earlier.clear_session;
        }
        serde_json::to_value(&result).unwrap_or_else(|error| {
            let message = format!("the result cannot be written: {error}");
            Failure::of_input(code::UNKNOWN_OUTCOME, message).to_value()
        })
    }

    /// A run that failed before its own output still reports what it harvested.
    fn failed(&self, failure: &Failure) -> Value {
        let mut value = failure.to_value();
        let Some(earlier) = &self.harvest.last else {
            return value;
        };
        let mut kept = RunResult::clone(earlier);
        (kept.usage, kept.cost_usd) = (self.harvest.used.usage, self.harvest.used.cost_usd);
        let kept = serde_json::to_value(&kept).unwrap_or_default();
        for field in KEPT_OF_HARVEST {
            if let Some(found) = kept.get(field) {
                value[field] = found.clone();
            }
        }
        value
    }
}

/// What of a harvested run stands in the result of a run that failed before it had output of its own.
const KEPT_OF_HARVEST: [&str; 10] = [
    "usage",
    "usageBasis",
    "costUsd",
    "provider",
    "model",
    "billingType",
    "sessionId",
    "sessionParams",
    "sessionDisplayId",
    "clearSession",
];
