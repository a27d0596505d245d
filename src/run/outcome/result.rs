//! The host's `AdapterExecutionResult`.

use serde::Serialize;
use serde_json::{Map, Value, json};

use super::excerpt::{STDOUT_LIMIT, excerpt};
use super::facts::{FoldedFacts, LogState, Session};
use super::failure::OutcomeFailure;
use super::secrets::without_secrets;
use super::verdict::Verdict;
use super::{code, errors, message, provider, without_ansi};

/// Tokens as the host counts them.
#[derive(Debug, Default, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Usage {
    /// Input that was not read from the provider's cache, including what was written to it.
    pub input_tokens: u64,
    /// Output and reasoning.
    pub output_tokens: u64,
    /// Input read from the cache.
    pub cached_input_tokens: u64,
}

/// What the adapter returns to the host. The shim adds `biller`.
#[derive(Debug, Clone, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct RunResult {
    /// 0 exactly for a success.
    pub exit_code: Option<i32>,
    /// Signal that ended a failed run.
    pub signal: Option<String>,
    /// The deadline passed.
    pub timed_out: bool,
    /// Set exactly for a failure.
    pub error_message: Option<String>,
    /// One of [`super::code`]; set exactly for a failure.
    pub error_code: Option<&'static str>,
    /// `transient_upstream`, `provider_quota` or `model_refusal`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub error_family: Option<&'static str>,
    /// `retryable`, and what the provider answered.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub error_meta: Option<Value>,
    /// Tokens of this run.
    pub usage: Usage,
    /// `per_run`.
    pub usage_basis: &'static str,
    /// Session that the next run can resume. Absent: the host keeps what it has.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub session_id: Option<String>,
    /// Its parameters.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub session_params: Option<Map<String, Value>>,
    /// The id to show.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub session_display_id: Option<String>,
    /// The provider that serves the model.
    pub provider: Option<String>,
    /// The model without its provider.
    pub model: Option<String>,
    /// `unknown`: the shim infers it.
    pub billing_type: &'static str,
    /// Cost in USD by opencode's price table.
    pub cost_usd: f64,
    /// Excerpt of stdout and details.
    pub result_json: Value,
    /// What the agent said last.
    pub summary: String,
    /// The next run must not resume the session.
    pub clear_session: bool,
    /// Sentences for the run's log; not part of the host's result.
    #[serde(skip)]
    pub warnings: Vec<String>,
}

impl RunResult {
    /// Replaces each text that may hold what the agent or a provider said.
    pub(crate) fn redact(&mut self, hide: &dyn Fn(&str) -> String) {
        let texts = [&mut self.summary].into_iter().chain(&mut self.error_message);
        for text in texts.chain(&mut self.warnings) {
            *text = hide(text);
        }
        // An id is an agent's word as well.
        let is_secret = |id: &mut String| hide(id) != *id;
        if self.session_id.as_mut().is_some_and(is_secret) {
            (self.session_id, self.session_params, self.session_display_id) = (None, None, None);
        }
        redact_value(&mut self.result_json, hide);
        // What stands for a secret may be longer.
        if let Some(Value::String(stdout)) = self.result_json.get_mut("stdout")
            && stdout.len() > STDOUT_LIMIT
        {
            *stdout = excerpt(stdout);
        }
        if let Some(meta) = &mut self.error_meta {
            redact_value(meta, hide);
        }
    }

    /// The same work, but the run failed for this reason, which nothing in its output can tell.
    pub(crate) fn fail(&mut self, code: &'static str, message: String) {
        (self.exit_code, self.signal, self.timed_out) = (None, None, false);
        (self.error_code, self.error_message) = (Some(code), Some(message));
        (self.error_family, self.error_meta) = (None, None);
        self.warnings.clear();
    }
}

/// The values that this crate made are a few levels deep.
fn redact_value(value: &mut Value, hide: &dyn Fn(&str) -> String) {
    match value {
        Value::String(text) => *text = hide(text),
        Value::Array(items) => items.iter_mut().for_each(|item| redact_value(item, hide)),
        Value::Object(fields) => fields.values_mut().for_each(|field| redact_value(field, hide)),
        Value::Null | Value::Bool(_) | Value::Number(_) => {}
    }
}

pub(super) fn assemble(facts: &FoldedFacts, verdict: Verdict) -> RunResult {
    let (warnings, failure) = match verdict {
        Verdict::Success(warnings) => (warnings, None),
        Verdict::Failure(failure) => (Vec::new(), Some(failure)),
    };
    let warnings: Vec<String> = warnings.iter().map(|text| message::fit_to_show(text)).collect();
    let sum = &facts.summary;
    let clears = failure.as_ref().is_some_and(|failure| failure.clear_session);
    let session_id = if clears { None } else { session_id(facts) };
    let (provider, model) = provider::split(facts.model.as_deref().unwrap_or_default());
    RunResult {
        exit_code: exit_code(facts, failure.as_ref()),
        signal: facts
            .signal
            .clone()
            .filter(|_| failure.as_ref().is_some_and(|f| f.code != code::CANCELLED)),
        timed_out: failure
            .as_ref()
            .is_some_and(|failure| failure.code == code::TIMEOUT),
        error_message: failure.as_ref().map(|failure| message::compose(facts, failure)),
        error_code: failure.as_ref().map(|failure| failure.code),
        error_family: failure.as_ref().and_then(|failure| failure.family),
        error_meta: failure.as_ref().map(|failure| error_meta(facts, failure)),
        usage: Usage {
            input_tokens: whole(sum.tokens.input + sum.tokens.cache_write),
            output_tokens: whole(sum.tokens.output + sum.tokens.reasoning),
            cached_input_tokens: whole(sum.tokens.cache_read),
        },
        usage_basis: "per_run",
        session_params: session_id.as_deref().map(|id| session_params(facts, id)),
        session_display_id: session_id.clone(),
        session_id,
        provider,
        model,
        billing_type: "unknown",
        cost_usd: if sum.cost_usd.is_finite() {
            sum.cost_usd.max(0.0)
        } else {
            0.0
        },
        result_json: result_json(facts, &warnings),
        summary: summary(facts),
        clear_session: clears || sum.step_limit,
        warnings,
    }
}

/// 0 exactly for a success; null only beside a message.
fn exit_code(facts: &FoldedFacts, failure: Option<&OutcomeFailure>) -> Option<i32> {
    match failure.map(|failure| failure.code) {
        None => Some(0),
        Some(code::CANCELLED) => None,
        Some(code::TIMEOUT) => facts.exit_code,
        Some(_) if facts.exit_code == Some(0) => Some(1),
        Some(_) => facts.exit_code,
    }
}

fn session_id(facts: &FoldedFacts) -> Option<String> {
    let resumed = facts.session.as_ref().and_then(Session::id);
    let seen = facts.summary.session_id.as_deref();
    seen.filter(|id| without_secrets(id) == *id)
        .or(resumed)
        .map(str::to_owned)
}

fn session_params(facts: &FoldedFacts, id: &str) -> Map<String, Value> {
    let mut params = match &facts.session {
        Some(Session::Params(params)) => params.clone(),
        Some(Session::Id(_) | Session::Other(_)) | None => Map::new(),
    };
    params.insert("sessionId".to_owned(), json!(id));
    params
}

fn summary(facts: &FoldedFacts) -> String {
    let sum = &facts.summary;
    // What an agent says may hold the output of a program, and is shown in terminals and pages.
    match &sum.cut_text {
        Some(cut) => format!("{}…", without_secrets(without_ansi(cut).trim_end())),
        None => without_secrets(&without_ansi(&sum.answer)),
    }
}

fn error_meta(facts: &FoldedFacts, failure: &OutcomeFailure) -> Value {
    let error = errors::cause(&facts.summary);
    json!({
        "retryable": failure.retryable,
        "opencodeError": error.map(|error| message::fit_to_store(&error.name)),
        "providerStatus": error.and_then(|error| error.status),
        "providerHost": error.and_then(|error| error.host.as_deref()).map(without_secrets),
    })
}

fn result_json(facts: &FoldedFacts, warnings: &[String]) -> Value {
    let sum = &facts.summary;
    let tool_errors: Vec<Value> = sum
        .tool_errors
        .iter()
        .map(|tool| json!({ "tool": message::fit_to_store(&tool.tool), "error": message::fit_to_store(&tool.error) }))
        .collect();
    json!({
        "stdout": excerpt(&without_secrets(&facts.stdout_excerpt)),
        "opencodeExitCode": facts.exit_code,
        "logState": match facts.log_state {
            LogState::Proven => "proven",
            LogState::Counted => "counted",
            LogState::Unproven => "unproven",
            LogState::Incomplete => "incomplete",
        },
        "lastStepReason": sum.last_reason.as_deref().map(message::fit_to_store),
        "steps": sum.steps_finished,
        "toolCalls": sum.tool_calls,
        "toolErrors": tool_errors,
        "cacheWriteTokens": whole(sum.tokens.cache_write),
        "contextTokens": whole(sum.last_step_tokens.input + sum.last_step_tokens.cache_read + sum.last_step_tokens.cache_write),
        "compacted": sum.compactions > 0,
        "warnings": warnings,
    })
}

/// Tokens are whole and not negative, whatever the stream says.
#[expect(
    clippy::cast_possible_truncation,
    clippy::cast_sign_loss,
    reason = "clamped to the exact range"
)]
fn whole(tokens: f64) -> u64 {
    tokens.clamp(0.0, 9_007_199_254_740_991.0).round() as u64
}
