//! Failures by an error that opencode reported in its stream and did not recover from.

use crate::opencode::RunError;

use super::facts::{FoldedFacts, Session};
use super::failure::OutcomeFailure;
use super::plain::{without_ansi, without_json};
use super::verdict::permission_failure;
use super::{code, kill, provider, stderr};

/// The failure behind the last error, if the run ended on one.
pub(super) fn judge(facts: &FoldedFacts, lines: &[String]) -> Option<OutcomeFailure> {
    let error = facts.summary.last_error().filter(|_| facts.summary.unrecovered)?;
    let text = plain(&error.message);
    if text.contains("rejected permission") {
        return Some(permission_failure(&facts.summary, &stderr::rejected(lines)));
    }
    if error.name == "MessageAbortedError" && kill::judge(facts).is_some() {
        return None; // the signal is the cause
    }
    let failure = match error.name.as_str() {
        "ContextOverflowError" => overflow(facts, &text),
        _ if is_overflow(&text) || error.body.as_deref().is_some_and(is_overflow) => overflow(facts, &text),
        "ContentFilterError" => OutcomeFailure::new(code::CONTENT_FILTERED, text),
        "ProviderAuthError" => OutcomeFailure::new(code::PROVIDER_AUTH, answered(facts, error, &text)),
        "APIError" => api(facts, error, &text),
        _ => other(facts, lines, error, &text),
    };
    Some(failure.explained())
}

/// The text of an error without escape codes and JSON.
pub(super) fn plain(message: &str) -> String {
    without_json(without_ansi(message).trim())
}

fn overflow(facts: &FoldedFacts, text: &str) -> OutcomeFailure {
    let text = text.trim_end_matches('.');
    // A new session that fails at its first request holds only the prompt.
    let resumed = facts.session.as_ref().and_then(Session::id).is_some();
    if !resumed && facts.summary.steps_started == 0 {
        let text = format!("Context overflow: {text}; the prompt alone is too long for this model");
        return OutcomeFailure {
            clear_session: true,
            ..OutcomeFailure::new(code::CONTEXT_OVERFLOW, text).not_retryable()
        };
    }
    let text = format!("Context overflow: {text}; the next run starts a new session");
    OutcomeFailure {
        clear_session: true,
        ..OutcomeFailure::new(code::CONTEXT_OVERFLOW, text)
    }
}

fn is_overflow(text: &str) -> bool {
    let text = text.to_ascii_lowercase();
    [
        "context_length_exceeded",
        "prompt is too long",
        "maximum context length",
        "context window",
    ]
    .iter()
    .any(|phrase| text.contains(phrase))
}

fn api(facts: &FoldedFacts, error: &RunError, text: &str) -> OutcomeFailure {
    let said = answered(facts, error, text);
    let says = |phrases: &[&str]| {
        let all = format!("{text} {}", error.body.as_deref().unwrap_or_default()).to_ascii_lowercase();
        phrases.iter().any(|phrase| all.contains(phrase))
    };
    let out_of_credit = says(&[
        "insufficient_quota",
        "quota",
        "billing",
        "credit balance",
        "usage limit",
    ]);

    match error.status {
        Some(401 | 403) => OutcomeFailure::new(code::PROVIDER_AUTH, said),
        Some(402) => OutcomeFailure::new(code::PROVIDER_QUOTA, said),
        Some(429) if out_of_credit => OutcomeFailure::new(code::PROVIDER_QUOTA, said),
        Some(429) => OutcomeFailure::new(code::PROVIDER_RATE_LIMITED, said),
        Some(408 | 500..) => OutcomeFailure::new(code::PROVIDER_UNAVAILABLE, said),
        Some(404) if says(&["model"]) => OutcomeFailure::new(code::MODEL_NOT_FOUND, said),
        Some(_) => OutcomeFailure::new(code::PROVIDER_REJECTED_REQUEST, said),
        None if error.retryable == Some(false) => OutcomeFailure::new(code::PROVIDER_REJECTED_REQUEST, said),
        None => OutcomeFailure::new(code::PROVIDER_UNAVAILABLE, said),
    }
}

/// `fake answered 401: Incorrect API key …`.
fn answered(facts: &FoldedFacts, error: &RunError, text: &str) -> String {
    let known = facts.model.as_deref().and_then(|model| provider::split(model).0);
    let who = known
        .or_else(|| error.host.clone())
        .unwrap_or_else(|| "The provider".to_owned());
    match error.status {
        Some(status) => format!("{who} answered {status}: {text}"),
        None => format!("{who}: {text}"),
    }
}

/// Errors without a name of their own, recognised by their text or by opencode's log.
fn other(facts: &FoldedFacts, lines: &[String], error: &RunError, text: &str) -> OutcomeFailure {
    let model = facts.model.as_deref().unwrap_or_default().trim();
    let hidden = error.reference.is_some() || text.contains("Unexpected server error");
    if let Some(cause) = hidden
        .then(|| stderr::hidden_cause(lines, error.reference.as_deref()))
        .flatten()
    {
        let code = if cause.name == "ProviderModelNotFoundError" {
            code::MODEL_NOT_FOUND
        } else {
            code::OPENCODE_ERROR
        };
        return OutcomeFailure::new(code, format!("{cause} ({text})"));
    }
    if text.contains("ModelNotFoundError") || text.contains("Model not found") {
        return OutcomeFailure::new(code::MODEL_NOT_FOUND, text);
    }
    let malformed = |code| OutcomeFailure::new(code, format!("The provider's stream was malformed: {text}"));
    if text.contains("JSON parsing failed") || text.contains("JSON Parse error") {
        return malformed(code::STREAM_EOF);
    }
    if text.contains("undefined") && text.contains(".type") {
        return malformed(code::RESPONSE_TYPE_CRASH);
    }
    if text.contains("Unexpected server error") && facts.summary.steps_started == 0 && !model.is_empty() {
        if !model.contains('/') {
            let hint = format!("{text} The model {model:?} names no provider (wanted: provider/model)");
            return OutcomeFailure::new(code::MODEL_NOT_FOUND, hint);
        }
        let hint = format!(
            "{text} It came before the first step, which is how opencode reports a model, provider or command it \
             does not know; this run asked for {model:?}"
        );
        return OutcomeFailure::new(code::OPENCODE_ERROR, hint);
    }
    OutcomeFailure::new(code::OPENCODE_ERROR, text)
}
