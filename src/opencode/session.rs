//! Recognises that opencode does not know the session that it should resume.

use std::sync::LazyLock;

use memchr::memmem::Finder;

use super::escapes::without_escapes;
use super::event::{ParsedLine, error_text, js_trim};
use super::glued;
use super::log;
use super::run_error::RunError;

/// The export of the TypeScript adapter: whether an error may be about an unknown session.
///
/// Reads the error events and the lines that are no events on stdout, and all of `errors` (stderr or the parsed error).
/// What the agent says, a tool prints, or a provider answers with a status does not count. The judgement of a run asks
/// [`says_session_lost`], which knows opencode's own words only.
#[must_use]
pub fn is_unknown_session(stdout: &str, errors: &str) -> bool {
    let mut found = false;
    for line in stdout.split('\n') {
        glued::each(line, false, |text, read| {
            found |= match read {
                ParsedLine::Event(event) if event.kind.as_str() == "error" => {
                    let value = event.error_value();
                    RunError::read(value).status.is_none() && text_says_unknown_session(&error_text(value))
                }
                ParsedLine::Error { head, .. } => {
                    head.status.is_none() && text_says_unknown_session(head.message)
                }
                ParsedLine::Other => says_unknown_session(text),
                _ => false,
            };
        });
    }
    found || text_says_unknown_session(errors)
}

/// The same for a text of several lines.
fn text_says_unknown_session(text: &str) -> bool {
    text.split('\n').any(|line| match log::is_log(line) {
        // A log line names a session beside every error: only the error itself counts.
        true => log::read(line).is_some_and(|error| says_unknown_session(&error.to_string())),
        false => says_unknown_session(line),
    })
}

/// Whether opencode itself says, in a line of its own, that it has no such session or that an id is none.
pub(crate) fn says_session_lost(text: &str) -> bool {
    // Nearly every text says nothing of sessions, and each of a stream's errors is asked.
    if !may_name_session(text) {
        return false;
    }
    text.lines().any(|line| match log::read(line) {
        Some(error) => is_lost(&error.to_string()),
        None if log::is_log(line) => false,
        None => is_lost(line),
    }) || refuses_id(text)
}

/// The word without its first letter, and the beginning of an id in quotes.
static SESSION: LazyLock<[Finder<'static>; 3]> =
    LazyLock::new(|| ["ession", "ESSION", "\"ses"].map(Finder::new));

/// Whether the word may stand in a text: as it is written by programs, or in pieces between escape sequences.
fn may_name_session(text: &str) -> bool {
    SESSION.iter().any(|word| word.find(text.as_bytes()).is_some())
        || text.contains('\u{1b}')
        || text.contains('\u{9b}')
}

/// One line of it: `Error: Session not found`, also with an id or behind the name of the error, and nothing else.
fn is_lost(line: &str) -> bool {
    let line = without_escapes(line).to_ascii_lowercase();
    let mut line = line.trim_matches(is_wrapping);
    let labels = [
        "error:",
        "notfounderror:",
        "session.notfounderror:",
        "sessionnotfounderror:",
        "message:",
        "resume failed:",
    ];
    while let Some(rest) = labels.iter().find_map(|label| line.strip_prefix(label)) {
        line = rest.trim_matches(is_wrapping);
    }
    if missing_session_file(line) {
        return true;
    }
    let Some(rest) = line
        .strip_prefix("session")
        .or_else(|| line.strip_prefix("unknown session"))
    else {
        return false;
    };
    let is_bare = line.starts_with("unknown");
    let words: Vec<&str> = rest
        .split(is_wrapping)
        .filter(|word| !word.is_empty())
        .take(8)
        .collect();
    let said: Vec<&str> = words
        .iter()
        .filter(|word| !is_session_id(word))
        .copied()
        .collect();
    let is_missing = match said.as_slice() {
        [] => is_bare,
        ["not", "found"] | ["was", "not", "found"] | ["does", "not", "exist"] => true,
        _ => false,
    };
    is_missing && words.len() - said.len() <= 1
}

/// opencode's schema refuses the id: it was made by another program.
fn refuses_id(text: &str) -> bool {
    // Ids of messages and of parts are refused in the same words, with another beginning.
    let says = |words: &str| {
        text.contains(&format!("{words} \"ses\"")) || text.contains(&format!("{words} \\\"ses\\\""))
    };
    let names_field = ["sessionID", "sessionId", "session ID", "\"path\": []"]
        .iter()
        .any(|field| text.contains(field));
    names_field && says("must start with")
        || (names_field || text.contains("service=server")) && says("Expected a string starting with")
        || text.contains("Invalid session ID")
}

fn is_wrapping(c: char) -> bool {
    c.is_whitespace() || matches!(c, ':' | '"' | '\'' | '`' | ',' | '.' | '{' | '}' | '(' | ')')
}

/// An id of opencode, or one of another program.
fn is_session_id(word: &str) -> bool {
    word.starts_with("ses_") || word.len() >= 8 && word.bytes().any(|byte| byte.is_ascii_digit())
}

/// The same for one line.
fn says_unknown_session(line: &str) -> bool {
    let line = js_trim(line).to_ascii_lowercase();
    line.contains("no session")
        || words_follow(&line, "unknown", "session")
        || not_found_after_session(&line)
        || missing_session_file(&line)
        || starts_word(&line, "notfounderror")
}

/// `first`, white space, `second`.
fn words_follow(line: &str, first: &str, second: &str) -> bool {
    line.match_indices(first).any(|(at, _)| {
        let rest = line.get(at + first.len()..).unwrap_or_default();
        rest.starts_with(char::is_whitespace) && rest.trim_start().starts_with(second)
    })
}

/// The word `session`, and later `not found` as words.
fn not_found_after_session(line: &str) -> bool {
    line.match_indices("session").any(|(at, word)| {
        let rest = line.get(at + word.len()..).unwrap_or_default();
        !rest.starts_with(is_word)
            && rest.match_indices("not").any(|(at, word)| {
                let before = rest.get(..at).unwrap_or_default();
                let after = rest.get(at + word.len()..).unwrap_or_default();
                !before.ends_with(is_word)
                    && after.starts_with(char::is_whitespace)
                    && after.trim_start().starts_with("found")
            })
    })
}

/// `resource not found: …/session/….json`, by which old releases named it.
fn missing_session_file(line: &str) -> bool {
    let Some((_, path)) = line.split_once("not found:") else {
        return false;
    };
    let folder = path.find("/session/").or_else(|| path.find("\\session\\"));
    words_follow(line, "resource", "not")
        && folder.is_some_and(|at| path.get(at..).unwrap_or_default().contains(".json"))
}

/// `needle` at the beginning of a word: `NotFoundError`, but not `ProviderModelNotFoundError`.
fn starts_word(line: &str, needle: &str) -> bool {
    line.match_indices(needle)
        .any(|(at, _)| !line.get(..at).unwrap_or_default().ends_with(is_word))
}

fn is_word(c: char) -> bool {
    c.is_ascii_alphanumeric() || c == '_'
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_session_is_lost_by_opencodes_own_words_only() {
        for text in [
            "\u{1b}[91m\u{1b}[1mError: \u{1b}[0mSession not found\n",
            "Error: Session not found: ses_1",
            "Session.NotFoundError: Session not found: ses_1",
            "SessionNotFoundError: Session not found: ses_1",
            "ERROR service=server error=Expected a string starting with \"ses\", got \"catagent-1\" failed",
            "ZodError: [{\"path\": [], \"message\": \"Invalid string: must start with \\\"ses\\\"\"}]",
            "Session ses_1 was not  found",
            "NotFoundError: NotFoundError\n data: {\n  message: \"Session not found: ses_1\",\n},\n\n      at x",
            "Resource not found: /paperclip/storage/session/info/ses_1.json",
            "timestamp=1 level=ERROR error=\"NotFoundError: Session not found\"",
            "Error: Unknown session",
            "ZodError: [\n \"path\": [\"sessionID\"],\n \"message\": \"Invalid string: must start with \\\"ses\\\"\"",
            "Error: Session 0b1c6f2e-11aa does not exist",
        ] {
            assert!(says_session_lost(text), "{text}");
        }
        for text in [
            "The SSO session token associated with profile=dev was not found or is invalid.",
            "litellm.NotFoundError: NotFoundError: OpenAIException - Error code: 404",
            "[memory] no session yet, nothing to load",
            "[plugin] session not found in cache",
            "session store not found",
            "Session not found in the plugin's cache",
            "ProviderModelNotFoundError: Model not found: fake/nope.",
            "timestamp=1 level=ERROR session.id=ses_1 error.error=\"AI_APICallError: not found\"",
            "NotFoundError",
            "Session",
            "",
        ] {
            assert!(!says_session_lost(text), "{text}");
        }
    }

    #[test]
    fn an_unknown_session_is_recognised_by_opencodes_own_errors() {
        for (stdout, errors, unknown) in [
            ("", "\u{1b}[91m\u{1b}[1mError: \u{1b}[0mSession not found\n", true),
            ("", "Session ses_1 was not  found", true),
            ("Error: Unknown session", "", true),
            (
                "",
                "Resource not found: /paperclip/storage/session/info/ses_1.json",
                true,
            ),
            (r#"{"type":"error","error":{"name":"NotFoundError"}}"#, "", true),
            (
                r#"{"type":"text","part":{"text":"there is no session, session x not found"}}"#,
                "",
                false,
            ),
            (
                r#"{"type":"tool_use","part":{"state":{"output":"session not found"}}}"#,
                "",
                false,
            ),
            (r#"{"type":"text","part":{"text":"no session"#, "", false),
            (
                "",
                "ProviderModelNotFoundError: Model not found: fake/nope.",
                false,
            ),
            ("", "sessions are not found here", false),
            (
                "",
                r#"timestamp=1 level=ERROR session.id=ses_1 error.error="AI_APICallError: model not found""#,
                false,
            ),
            (
                "",
                r#"timestamp=1 level=ERROR error="NotFoundError: Session not found""#,
                true,
            ),
            ("", "", false),
        ] {
            assert_eq!(is_unknown_session(stdout, errors), unknown, "{stdout} | {errors}");
        }
    }
}
