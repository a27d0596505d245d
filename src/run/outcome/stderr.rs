//! Reads from opencode's stderr what its stream does not say.

use std::collections::HashSet;

use crate::opencode::RunError;
use crate::opencode::bounded::{prefix, suffix};
use crate::opencode::log::{self, LogError};
use crate::opencode::small::SmallValue;

use super::plain::without_json;
use super::without_ansi;

/// Longest piece of stderr in a message.
const EXCERPT: usize = 1000;

/// opencode's stderr as plain lines, without escape codes, log lines below ERROR, JSON events and stack frames.
pub(super) fn lines(stderr: &str) -> Vec<String> {
    let is_frame = |line: &str| line.starts_with(char::is_whitespace) && line.trim_start().starts_with("at ");
    let is_log = |line: &str| log::is_log(line) && !line.contains(" level=ERROR ");
    let is_event = |line: &str| line.starts_with("{\"type\"");
    let text = without_ansi(stderr);
    let mut quote = ConfigQuote::at_start(&text);
    text.lines()
        .filter(|line| !quote.covers(line))
        .map(str::trim_end)
        .filter(|line| !line.trim().is_empty() && !is_log(line) && !is_event(line) && !is_frame(line))
        .map(str::to_owned)
        .collect()
}

/// Where a line is in opencode's report on a configuration file that is no JSON. The report quotes the whole file, with
/// the keys and passwords in it; the errors follow.
#[derive(Clone, Copy, PartialEq)]
enum ConfigQuote {
    Outside,
    InFile,
    InErrors,
}

const INPUT: &str = "--- JSONC Input ---";
const ERRORS: &str = "--- Errors ---";

impl ConfigQuote {
    /// Only the end of a long stderr is known: it may begin inside a quoted file.
    fn at_start(text: &str) -> Self {
        let first = text
            .lines()
            .map(str::trim)
            .find(|line| [INPUT, ERRORS].contains(line));
        if first == Some(ERRORS) {
            Self::InFile
        } else {
            Self::Outside
        }
    }

    /// Whether the next line is of the quoted file, or a marker of the report.
    fn covers(&mut self, line: &str) -> bool {
        let line = line.trim();
        match line {
            INPUT => *self = Self::InFile,
            ERRORS if *self == Self::InFile => *self = Self::InErrors,
            "--- End ---" => *self = Self::Outside,
            _ => {
                let quotes = line.starts_with("Line ") || line == "^";
                return *self == Self::InFile || *self == Self::InErrors && quotes;
            }
        }
        true
    }
}

/// The lines that explain a failure: those from `Error:` on, else the last ones.
pub(super) fn excerpt(lines: &[String]) -> Option<String> {
    let start = lines
        .iter()
        .position(|line| behind_error(line).is_some_and(|said| !said.starts_with(UNEXPECTED)))
        .or_else(|| {
            let is_unexpected = lines.iter().any(|line| behind_error(line).is_some());
            let named = || lines.iter().position(|line| names_error(line));
            is_unexpected.then(named).flatten()
        })
        .unwrap_or(0);
    let short = |line: &String| log::read(line).map_or_else(|| line.clone(), |error| error.to_string());
    let mut seen = HashSet::new();
    let mut said: Vec<String> = lines.get(start..)?.iter().map(short).collect();
    said.retain(|line| seen.insert(line.clone()));
    let text = said.join("\n");
    let text = object(text.trim()).unwrap_or_else(|| text.trim().to_owned());
    let text = text.as_str();
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

/// What an error says that is printed as an object of several lines, or its name and its fields; none for other texts.
pub(super) fn object(text: &str) -> Option<String> {
    let object = text.strip_prefix("Error:").unwrap_or(text).trim_start();
    let value = serde_json::from_str::<SmallValue<'_>>(object).ok()?;
    value.as_fields()?;
    let said = match value.get("name") {
        Some(_) => RunError::read(&value).message,
        None => without_json(object),
    };
    Some(format!("Error: {said}"))
}

/// What opencode says of an error that it has no words for. What it prints of it then stands elsewhere.
const UNEXPECTED: &str = "Unexpected error";

/// What a line says behind `Error:`.
fn behind_error(line: &str) -> Option<&str> {
    line.trim_start().strip_prefix("Error:").map(str::trim_start)
}

/// Whether a line begins with the name of an error, but not with `Error` alone.
fn names_error(line: &str) -> bool {
    let first = line.split_whitespace().next().unwrap_or_default();
    let name = first
        .strip_suffix(':')
        .and_then(|name| name.strip_suffix("Error"));
    name.is_some_and(|kind| !kind.is_empty())
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

/// The cause in opencode's own log of an error that stdout only refers to.
pub(super) fn hidden_cause(lines: &[String], reference: Option<&str>) -> Option<LogError> {
    let errors = || lines.iter().filter_map(|line| log::read(line));
    match reference {
        Some(reference) => errors().find(|error| error.reference.as_deref() == Some(reference)),
        None => errors().find(|error| error.reference.is_some()),
    }
}

/// How requests to the provider failed, which opencode repeats silently: `fake failed 3 times, last with: …`.
pub(super) fn failed_requests(lines: &[String]) -> Option<String> {
    let errors = lines.iter().filter_map(|line| log::read(line));
    let failed: Vec<LogError> = errors.filter(|error| error.of_provider).collect();
    let last = failed.last()?;
    let who = last.provider.as_deref().unwrap_or("the provider");
    let times = match failed.len() {
        1 => "once".to_owned(),
        times => format!("{times} times, last"),
    };
    Some(format!("{who} failed {times} with: {}", last.text))
}

/// The error of a provider in a line of stderr: of opencode's log, or `Error: AI_APICallError: …`.
pub(super) fn provider_error(line: &str) -> Option<LogError> {
    if let Some(error) = log::read(line) {
        return Some(error).filter(|error| error.of_provider || is_of_provider(&error.name));
    }
    let line = line.trim();
    let line = line.strip_prefix("Error:").map_or(line, str::trim_start);
    let (name, text) = line.split_once(": ")?;
    let name = match name {
        "Model not found" => "ProviderModelNotFoundError",
        name => name,
    };
    is_of_provider(name).then(|| LogError {
        of_provider: true,
        name: name.to_owned(),
        text: prefix(text, EXCERPT / 2).to_owned(),
        ..LogError::default()
    })
}

fn is_of_provider(name: &str) -> bool {
    name.ends_with("Error") && (name.starts_with("AI_") || name.starts_with("Provider"))
}

/// The line that says a disk is full.
pub(super) fn full_disk(lines: &[String]) -> Option<String> {
    let line = lines.iter().find(|line| says_full_disk(line))?;
    let said = log::read(line).map_or_else(|| line.trim().to_owned(), |error| error.to_string());
    Some(prefix(&said, EXCERPT / 2).to_owned())
}

/// Whether the kernel, Node or sqlite says that a disk or a quota is used up.
pub(super) fn says_full_disk(text: &str) -> bool {
    let text = text.to_ascii_lowercase();
    // The kernel uses the same error for its limit of watched files.
    if says_too_many_watches(&text) {
        return false;
    }
    [
        "enospc",
        "no space left on device",
        "disk is full",
        "sqlite_full",
        "edquot",
        "disk quota exceeded",
    ]
    .iter()
    .any(|words| text.contains(words))
}

/// Whether the node's limit of watched files is reached, which the kernel calls a full device.
pub(super) fn says_too_many_watches(text: &str) -> bool {
    let text = text.to_ascii_lowercase();
    text.contains("inotify")
        || text.contains("file watchers")
        || text.contains("enospc") && text.contains("watch '")
}

/// What a person does about a start that failed in these words.
pub(super) fn hint(said: &str) -> Option<&'static str> {
    HINTS
        .iter()
        .find(|(words, _)| words.iter().any(|word| said.contains(word)))
        .map(|(_, hint)| *hint)
        .or_else(|| {
            let hint = "the node's limit of inotify watches is reached: raise fs.inotify.max_user_watches on the node";
            says_too_many_watches(said).then_some(hint)
        })
}

const HINTS: &[(&[&str], &str)] = &[
    (
        &["database is locked", "SQLITE_BUSY"],
        "another opencode has its database locked: give each agent a database of its own",
    ),
    (
        &[
            "database disk image is malformed",
            "file is not a database",
            "SQLITE_CORRUPT",
        ],
        "its database is damaged: move it away, and the next run makes a new one",
    ),
    (
        &[
            "readonly database",
            "SQLITE_READONLY",
            "EROFS",
            "read-only file system",
        ],
        "its database or home cannot be written",
    ),
    (
        &["no such column", "no such table", "Failed to run the query"],
        "its database is of another version of opencode: keep to one, or move the database away",
    ),
    (
        &["Failed to execute statement"],
        "its database cannot be written: is it locked by another run, or is the disk full or read-only?",
    ),
    (
        &["EACCES", "EPERM", "ermission denied"],
        "its user may not read or write there",
    ),
    (
        &["EMFILE", "ENFILE", "oo many open files"],
        "the limit of open files is reached (ulimit -n, fs.inotify.max_user_instances)",
    ),
    (
        &["exec format error", "Exec format error"],
        "the image is made for another processor",
    ),
    (
        &["BunInstallFailedError", "Cannot find module", "MODULE_NOT_FOUND"],
        "a plugin or package could not be loaded: is the registry reachable from the pod?",
    ),
];

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
                   timestamp=2026 level=ERROR message=\"stream error\" providerID=fake \
                   error.error=\"AError: an older one\"\n\
                   timestamp=2026 level=ERROR ref=err_1 \
                   cause=\"Cause([Fail(ProviderModelNotFoundError: Model not found: fake/nope.)])\"";
        let lines = lines(log);
        for reference in [None, Some("err_1")] {
            let cause = hidden_cause(&lines, reference).unwrap().to_string();
            assert_eq!(cause, "ProviderModelNotFoundError: Model not found: fake/nope.");
        }
        assert_eq!(hidden_cause(&lines, Some("err_2")), None);
        assert_eq!(
            failed_requests(&lines).as_deref(),
            Some("fake failed once with: an older one")
        );
    }

    #[test]
    fn a_quoted_configuration_file_is_left_out() {
        let text = "\u{1b}[91mError: \u{1b}[0mConfig file at /c/opencode.json is not valid JSON(C): \n\
                    --- JSONC Input ---\n\
                    { \"provider\": { \"acme\": { \"headers\": { \"x\": \"topsecret\" } } },\n\n--- Errors ---\n\
                    CloseBraceExpected at line 2, column 1\n\x20  Line 1: { \"x\": \"topsecret\"\n            ^\n\
                    --- End ---\nmore";
        assert_eq!(
            excerpt(&lines(text)).unwrap(),
            "Error: Config file at /c/opencode.json is not valid JSON(C):\nCloseBraceExpected at line 2, column 1\nmore"
        );
        let (_, end) = text.split_once("headers").unwrap();
        assert_eq!(
            excerpt(&lines(end)).unwrap(),
            "CloseBraceExpected at line 2, column 1\nmore"
        );
    }

    #[test]
    fn rejected_rules() {
        let text = "\u{1b}[93m\u{1b}[1m! \u{1b}[0mpermission requested: external_directory (/etc/*); auto-rejecting\n";
        assert_eq!(rejected(&lines(&text.repeat(2))), ["external_directory (/etc/*)"]);
    }
}
