//! Composes the message of a failure.

use crate::opencode::bounded::prefix;

use super::facts::FoldedFacts;
use super::failure::OutcomeFailure;
use super::plain::without_json;
use super::secrets::without_secrets;
use super::{stderr, warnings, without_ansi};

/// Bytes of the longest message.
const MESSAGE_BYTES: usize = 2048;

/// The cause, the container's reason, and the last lines of stderr where the cause is not named; joined by `; `.
pub(super) fn compose(facts: &FoldedFacts, failure: &OutcomeFailure) -> String {
    let mut parts = vec![failure.text.clone()];
    parts.extend(container_reason(facts, failure));
    if !failure.explained {
        parts.extend(warnings::missing_ripgrep(&facts.summary));
        let lines = stderr::lines(&facts.stderr);
        parts.extend(stderr::excerpt(&lines).or_else(|| stray(facts)));
    }
    fit_to_show(&parts.join("; "))
}

/// The container's reason, in the TypeScript adapter's words. That it ended with an error says nothing beside a cause.
fn container_reason(facts: &FoldedFacts, failure: &OutcomeFailure) -> Option<String> {
    let reason = facts.shown_reason();
    let is_said = |what: &str| failure.text.starts_with(what);
    if failure.text.contains(reason) || reason.split_once(": ").is_some_and(|(what, _)| is_said(what)) {
        return None;
    }
    if reason == "Completed" || facts.cancelled || (failure.explained && reason == "Error") {
        return None;
    }
    let exit = facts
        .exit_code
        .map(|exit| format!(" (exit {exit})"))
        .unwrap_or_default();
    Some(format!("Pod exited: {reason}{exit}"))
}

/// Lines on stdout that are no events: the last ones, or what an error says that is spread over them.
pub(super) fn stray(facts: &FoldedFacts) -> Option<String> {
    let lines = &facts.summary.stray_lines;
    let object = lines.iter().rev().find_map(|line| stderr::object(line));
    let last = lines.get(lines.len().saturating_sub(5)..).unwrap_or_default();
    object.or_else(|| (!last.is_empty()).then(|| prefix(&last.join("\n"), 600).to_owned()))
}

/// The text as it may be shown: plain, without secrets, at most 2 KiB, never empty and never JSON.
pub(super) fn fit_to_show(text: &str) -> String {
    let text = fit_to_store(&without_json(&without_ansi(text)));
    if text.is_empty() {
        return "the run failed".to_owned();
    }
    text
}

/// The text as it may be stored for a diagnosis: as [`fit_to_show`], but JSON stays, such as the rules that denied a
/// tool.
pub(super) fn fit_to_store(text: &str) -> String {
    let text = without_secrets(&without_ansi(text));
    let text = text.trim();
    if text.len() <= MESSAGE_BYTES {
        return text.to_owned();
    }
    format!("{}…", prefix(text, MESSAGE_BYTES - '…'.len_utf8()))
}
