//! Recognises that opencode does not know the session that it should resume.

use super::event::{self, ParsedLine, error_text, js_trim};
use super::log;

/// Whether opencode says that it does not know the session.
///
/// Reads the error events and the lines that are no events on stdout, and all of `errors` (stderr or the parsed error).
/// What the agent says, or a tool prints, does not count.
#[must_use]
pub fn is_unknown_session(stdout: &str, errors: &str) -> bool {
    stdout.split('\n').any(|line| {
        let mut scratch = String::new();
        match event::read(line, &mut scratch) {
            ParsedLine::Event(event) if event.kind.as_str() == "error" => {
                text_says_unknown_session(&error_text(event.error_value()))
            }
            ParsedLine::Other => says_unknown_session(line),
            _ => false,
        }
    }) || text_says_unknown_session(errors)
}

/// The same for a text of several lines.
pub(crate) fn text_says_unknown_session(text: &str) -> bool {
    text.split('\n').any(|line| match log::is_log(line) {
        // A log line names a session beside every error: only the error itself counts.
        true => log::read(line).is_some_and(|error| says_unknown_session(&error.to_string())),
        false => says_unknown_session(line),
    })
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
