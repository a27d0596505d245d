//! Failures by an error that opencode reported in its stream and did not recover from.

use crate::opencode::log::LogError;
use crate::opencode::{RunError, Summary};

use super::facts::FoldedFacts;
use super::failure::OutcomeFailure;
use super::plain::{self, without_json};
use super::provider_error::{Kind, kind};
use super::verdict::permission_failure;
use super::without_ansi;
use super::{code, kill, provider, stderr};

/// The failure behind the last error, if the run ended on one.
pub(super) fn judge(facts: &FoldedFacts, lines: &[String]) -> Option<OutcomeFailure> {
    let error = cause(&facts.summary)?;
    let last = facts.summary.unrecovered_errors().last()?;
    if is_aborted(last) && kill::judge(facts).is_some() {
        return None; // the signal is the cause
    }
    let text = said(error);
    if is_aborted(error) {
        let text = format!("Aborted: opencode stopped its work without a reason ({text})");
        return Some(OutcomeFailure::new(code::OPENCODE_ERROR, text).explained());
    }
    if text.contains("rejected permission") || error.name == "permission.rejected" {
        return Some(permission_failure(&facts.summary, &stderr::rejected(lines)));
    }
    let failure = match kind(error).filter(|_| !is_hidden(error)) {
        Some(kind) => of_provider(facts, error, kind, &text),
        None => other(facts, lines, error, &text),
    };
    Some(failure.explained())
}

/// The error that ended the run: the last one that nothing made good, or the one before it, if that last one only says
/// that the work stopped.
pub(super) fn cause(summary: &Summary) -> Option<&RunError> {
    let errors = summary.unrecovered_errors();
    errors
        .iter()
        .rev()
        .find(|error| !is_follower(error))
        .or(errors.last())
}

/// What the last error said that has a cause of its own, and not that of the run's end.
pub(super) fn last_said(facts: &FoldedFacts) -> Option<String> {
    let error = cause(&facts.summary).filter(|error| !is_follower(error) && !facts.summary.tries_again)?;
    Some(said(error))
}

/// Whether the provider had refused what the session holds when somebody else ended the run.
pub(super) fn refuses_history(facts: &FoldedFacts) -> bool {
    let refused = || cause(&facts.summary).and_then(kind) == Some(Kind::History);
    // It is the end of opencode's run: what is missing of the log comes after it.
    let is_last = facts.log_state.is_whole() || facts.exit_code == Some(1);
    // A step that began after it shows that its request was taken.
    is_last && !facts.summary.tries_again && refused()
}

/// Whether opencode's log has the cause, and the stream only a reference to it.
fn is_hidden(error: &RunError) -> bool {
    error.reference.is_some() || error.message.contains("Unexpected server error")
}

/// Whether an error tells by itself how a provider, or the way to it, failed.
pub(super) fn is_of_provider(error: &RunError) -> bool {
    !is_hidden(error) && kind(error).is_some()
}

fn is_aborted(error: &RunError) -> bool {
    ["MessageAbortedError", "aborted"].contains(&error.name.as_str())
}

/// Whether an error only says that the work stopped: the error before it has the cause.
fn is_follower(error: &RunError) -> bool {
    error.status.is_none() && (is_aborted(error) || error.message.contains("No output generated"))
}

/// What an error says; where its message says nothing, the provider's answer is told, too.
pub(super) fn said(error: &RunError) -> String {
    let text = plain(&error.message);
    let body = error.body.as_deref().filter(|_| says_nothing(error, &text));
    match body.and_then(plain::detail).map(|detail| plain(&detail)) {
        Some(detail) if text == error.name => detail,
        Some(detail) if !text.contains(&detail) => format!("{text}: {detail}"),
        _ if text == error.name && error.status.is_some() => "no reason given".to_owned(),
        _ => text,
    }
}

/// Whether a message is only a status in words, or that of a router which passes on what another one said.
fn says_nothing(error: &RunError, text: &str) -> bool {
    let text = text.trim_end_matches('.').to_ascii_lowercase();
    // What a client puts around a status: `BadRequestError: 400`, `Request failed with status code 400`.
    let label = text
        .split_once(": ")
        .filter(|(name, _)| name.ends_with("error") && !name.contains(' '));
    let rest = label.map_or(text.as_str(), |(_, rest)| rest);
    let rest = ["request failed with", "status code", "(no body)", "http"]
        .iter()
        .fold(rest.to_owned(), |rest, words| rest.replace(words, ""));
    let rest: Vec<&str> = rest
        .split_whitespace()
        .filter(|word| word.len() != 3 || word.parse::<u16>().is_err())
        .collect();
    let rest = rest.join(" ");
    let words = [
        "",
        "bad request",
        "invalid request",
        "unauthorized",
        "payment required",
        "forbidden",
        "not found",
        "too many requests",
        "internal server error",
        "bad gateway",
        "service unavailable",
        "unprocessable entity",
        "provider returned error",
        "upstream request failed",
        "upstream error",
        "error",
    ];
    text == error.name.to_ascii_lowercase()
        || words.contains(&rest.as_str())
        || text.starts_with("provider request failed with http")
        || text.ends_with("error") && !text.contains(' ')
}

/// The text of an error without escape codes, JSON and HTML.
pub(super) fn plain(message: &str) -> String {
    let text = without_ansi(message);
    plain::page(text.trim()).unwrap_or_else(|| without_json(text.trim()))
}

fn of_provider(facts: &FoldedFacts, error: &RunError, kind: Kind, text: &str) -> OutcomeFailure {
    let code = match kind {
        Kind::Overflow => return overflow(facts, text),
        Kind::Filtered => {
            return OutcomeFailure::new(code::CONTENT_FILTERED, format!("Content filter: {text}"));
        }
        Kind::History => return history(facts, &answered(facts, error, text)),
        Kind::BrokenStream => {
            return OutcomeFailure::new(code::STREAM_EOF, malformed(text));
        }
        Kind::BadCall => code::LLM_API_ERROR,
        Kind::Quota => code::PROVIDER_QUOTA,
        Kind::RateLimited => code::PROVIDER_RATE_LIMITED,
        Kind::NoModel => code::MODEL_NOT_FOUND,
        Kind::Auth => code::PROVIDER_AUTH,
        Kind::Rejected => code::PROVIDER_REJECTED_REQUEST,
        Kind::Away | Kind::Misconfigured => code::PROVIDER_UNAVAILABLE,
    };
    let failure = OutcomeFailure::new(code, answered(facts, error, text));
    // opencode says so of every 404 of OpenAI, and of every 5xx.
    let means_it = error.status.is_none_or(|status| status != 404 && status < 500);
    let may_be_repeated = error.retryable == Some(true) && means_it;
    match kind {
        // Neither time nor a repetition changes a certificate.
        Kind::Misconfigured => OutcomeFailure {
            family: None,
            ..failure.not_retryable()
        },
        Kind::Rejected if may_be_repeated => OutcomeFailure {
            retryable: true,
            ..failure
        },
        _ => failure,
    }
}

fn malformed(text: &str) -> String {
    format!("Malformed stream: {text}")
}

fn overflow(facts: &FoldedFacts, text: &str) -> OutcomeFailure {
    let text = text.trim_end_matches('.');
    // A new session that fails at its first request holds only the prompt.
    if !facts.has_history() {
        let text = format!("Context overflow: {text}; the prompt alone is too long for this model");
        return OutcomeFailure::new(code::CONTEXT_OVERFLOW, text)
            .not_retryable()
            .clearing();
    }
    let circle = facts.circle().map(|said| format!("; {said}")).unwrap_or_default();
    let text = format!("Context overflow: {text}{circle}; the next run starts a new session");
    OutcomeFailure::new(code::CONTEXT_OVERFLOW, text).clearing()
}

/// The provider refuses what the session holds: each later run of the session would fail at once, with the same words.
fn history(facts: &FoldedFacts, answered: &str) -> OutcomeFailure {
    let text = answered.trim_end_matches('.');
    let text = format!("{text}; the session's history is refused, and the next run starts a new session");
    let failure = OutcomeFailure::new(code::PROVIDER_REJECTED_REQUEST, text).clearing();
    OutcomeFailure {
        retryable: facts.has_history(),
        ..failure
    }
}

/// `fake answered 401: Incorrect API key …`.
fn answered(facts: &FoldedFacts, error: &RunError, text: &str) -> String {
    let known = facts.model.as_deref().and_then(|model| provider::split(model).0);
    let who = known
        .or_else(|| error.host.clone())
        .unwrap_or_else(|| "The provider".to_owned());
    match error.status {
        Some(status) if status >= 300 => format!("{who} answered {status}: {text}"),
        // An answer that began well is no answer any more.
        _ => format!("{who}: {text}"),
    }
}

/// Errors of opencode itself, recognised by their text or by opencode's log.
fn other(facts: &FoldedFacts, lines: &[String], error: &RunError, text: &str) -> OutcomeFailure {
    let model = facts.model.as_deref().unwrap_or_default().trim();
    if let Some(cause) = is_hidden(error)
        .then(|| stderr::hidden_cause(lines, error.reference.as_deref()))
        .flatten()
    {
        return hidden_failure(facts, &cause, text);
    }
    if error.name == "MessageOutputLengthError" {
        return OutcomeFailure::new(code::LLM_API_ERROR, output_limit()).not_retryable();
    }
    if text.contains("ModelNotFoundError") || text.contains("Model not found") {
        return OutcomeFailure::new(code::MODEL_NOT_FOUND, text);
    }
    if is_malformed_answer(text) {
        return OutcomeFailure::new(code::RESPONSE_TYPE_CRASH, malformed(text));
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

/// Whether opencode stumbled over a field that the provider's answer does not have.
fn is_malformed_answer(text: &str) -> bool {
    let is_absent = ["undefined", "null is not an object", "of null"]
        .iter()
        .any(|word| text.contains(word));
    let fields = [
        ".type",
        "choices",
        ".delta",
        "'delta'",
        "candidates",
        "chunk.",
        "usage",
    ];
    is_absent && fields.iter().any(|field| text.contains(field))
}

/// opencode's log has the cause of an error that its stream only refers to.
fn hidden_failure(facts: &FoldedFacts, cause: &LogError, text: &str) -> OutcomeFailure {
    if cause.name == "ProviderModelNotFoundError" {
        return model_not_found(facts, cause).explained();
    }
    let said = format!("{cause} ({text})");
    let logged = RunError {
        name: cause.name.clone(),
        message: cause.text.clone(),
        ..RunError::default()
    };
    match kind(&logged) {
        Some(kind) => of_provider(facts, &logged, kind, &said),
        None => OutcomeFailure::new(code::OPENCODE_ERROR, said),
    }
}

/// The model first: the name of opencode's own error says nothing more.
fn model_not_found(facts: &FoldedFacts, error: &LogError) -> OutcomeFailure {
    let asked = facts.model.as_deref().unwrap_or("the model");
    let text = match error.text == error.name {
        true => format!("Model not found: opencode does not know {asked}"),
        false => format!(
            "Model not found: {}",
            error.text.trim_start_matches("Model not found: ")
        ),
    };
    OutcomeFailure::new(code::MODEL_NOT_FOUND, text)
}

/// The failure that stderr tells where the stream has none: a failed request, or a provider that could not be made.
pub(super) fn by_stderr(facts: &FoldedFacts, lines: &[String]) -> Option<OutcomeFailure> {
    let error = lines.iter().rev().find_map(|line| stderr::provider_error(line))?;
    if error.name.contains("ModelNotFound") {
        return Some(model_not_found(facts, &error).explained());
    }
    let text = plain(&error.text);
    let error = RunError {
        name: error.name,
        message: error.text,
        ..RunError::default()
    };
    kind(&error).map(|kind| of_provider(facts, &error, kind, &text).explained())
}

/// What is said of a model that used all its output for thoughts.
pub(super) fn output_limit() -> &'static str {
    "Output limit reached: the model gave no answer before it"
}
