//! What opencode's stderr tells that its stream does not.

use std::collections::HashSet;

use crate::opencode::bounded::{prefix, suffix};

use super::plain::without_ansi;

/// Longest piece of stderr in a message.
const EXCERPT: usize = 1000;

/// opencode's stderr as plain lines: no escape codes, no log lines below ERROR, no JSON events, no stack frames.
pub(super) fn lines(stderr: &str) -> Vec<String> {
    let is_frame = |line: &str| line.starts_with(char::is_whitespace) && line.trim_start().starts_with("at ");
    let is_log = |line: &str| line.starts_with("timestamp=") && !line.contains(" level=ERROR ");
    let is_event = |line: &str| line.starts_with("{\"type\"");
    without_ansi(stderr)
        .lines()
        .map(str::trim_end)
        .filter(|line| !line.trim().is_empty() && !is_log(line) && !is_event(line) && !is_frame(line))
        .map(str::to_owned)
        .collect()
}

/// The lines that explain a failure: from `Error:` on, if there is one, and the last ones.
pub(super) fn excerpt(lines: &[String]) -> Option<String> {
    let start = lines
        .iter()
        .position(|line| line.trim_start().starts_with("Error:"))
        .unwrap_or(0);
    let short = |line: &String| log_cause(line).map_or_else(|| line.clone(), |cause| cause.to_string());
    let mut seen = HashSet::new();
    let unseen = lines
        .get(start..)?
        .iter()
        .filter(|line| seen.insert(line.as_str()));
    let text = unseen.map(short).collect::<Vec<_>>().join("\n");
    let text = text.trim();
    if text.is_empty() {
        return None;
    }
    if text.len() <= EXCERPT {
        return Some(text.to_owned());
    }
    if start == 0 && !text.starts_with("Error:") {
        return Some(format!("… {}", suffix(text, EXCERPT).trim_start()));
    }
    Some(format!(
        "{} … {}",
        prefix(text, EXCERPT / 2).trim_end(),
        suffix(text, EXCERPT / 2).trim_start()
    ))
}

/// Whether opencode printed its usage: it did not accept its command line.
pub(super) fn is_usage(lines: &[String]) -> bool {
    lines
        .first()
        .is_some_and(|line| line.starts_with("opencode run [message"))
}

/// What was asked for and rejected: `external_directory (/etc/*)`.
pub(super) fn rejected(lines: &[String]) -> Vec<String> {
    let mut rules: Vec<String> = Vec::new();
    for line in lines {
        let rule = line
            .split_once("permission requested: ")
            .and_then(|(_, rest)| rest.split_once("; auto-reject"));
        if let Some((rule, _)) = rule
            && rules.len() < 8
            && !rules.iter().any(|known| known == rule)
        {
            rules.push(rule.to_owned());
        }
    }
    rules
}

/// An error that opencode wrote only to its log.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Cause {
    /// Such as `ProviderModelNotFoundError`.
    pub(super) name: String,
    /// Its message.
    pub(super) message: String,
}

impl std::fmt::Display for Cause {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{}: {}", self.name, self.message)
    }
}

/// The cause in opencode's own log lines (with `--print-logs` they are on stderr).
pub(super) fn hidden_cause(lines: &[String]) -> Option<Cause> {
    lines.iter().find_map(|line| log_cause(line))
}

/// `cause="Cause([Fail(SomeError: what it says)])"` in one log line.
fn log_cause(line: &str) -> Option<Cause> {
    if !line.starts_with("timestamp=") {
        return None;
    }
    let (before, after) = line.split_once("Error: ")?;
    let name_at = before
        .rfind(|c: char| !c.is_ascii_alphanumeric())
        .map_or(0, |at| at + 1);
    let name = format!("{}Error", before.get(name_at..).unwrap_or_default());
    let end = [")]", "\\n", "\"", "\n"]
        .iter()
        .filter_map(|stop| after.find(stop))
        .min()
        .unwrap_or(after.len());
    let message = prefix(after.get(..end).unwrap_or_default(), 400)
        .trim()
        .to_owned();
    (!message.is_empty()).then_some(Cause { name, message })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_long_stderr_keeps_its_error_and_its_end() {
        let noise = format!(
            "warning\n\u{1b}[91mError: \u{1b}[0mbad thing\n{}last line",
            (0..2000).map(|n| format!("{n}\n")).collect::<String>()
        );
        let text = excerpt(&lines(&noise)).unwrap();
        assert!(
            text.starts_with("Error: bad thing") && text.ends_with("last line") && text.len() < 1100,
            "{text}"
        );
        let tail = excerpt(&lines(&format!(
            "{}last",
            (0..2000).map(|n| format!("é{n}\n")).collect::<String>()
        )))
        .unwrap();
        assert!(tail.starts_with('…') && tail.ends_with("last"));
        assert_eq!(excerpt(&lines("\n\u{1b}[0m\n")), None);
    }

    #[test]
    fn the_real_cause_of_an_unexpected_error() {
        let log = "timestamp=2026 level=INFO message=\"OtherError: no\"\n\
                   timestamp=2026 level=ERROR run=1 cause=\"Cause([Fail(ProviderModelNotFoundError: Model not found: fake/nope.)])\"";
        let cause = hidden_cause(&lines(log)).unwrap();
        assert_eq!(
            cause.to_string(),
            "ProviderModelNotFoundError: Model not found: fake/nope."
        );
    }

    #[test]
    fn rejected_rules() {
        let text = "\u{1b}[93m\u{1b}[1m! \u{1b}[0mpermission requested: external_directory (/etc/*); auto-rejecting\n";
        assert_eq!(rejected(&lines(&text.repeat(2))), ["external_directory (/etc/*)"]);
    }
}
