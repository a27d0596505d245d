//! Reads a line without parsing it, where it begins and ends as opencode writes it. Most bytes of a stream are in
//! finished tool calls, whose content does not matter here; and a stream of errors must not cost more than others.

use std::sync::LazyLock;

use memchr::memmem::Finder;

use super::event::{ParsedLine, js_trim};
use super::last_errors::{ErrorHead, MAX_LINE_BYTES};

/// Keys behind an error's head that may say something else than it does.
static SAYS_MORE: LazyLock<[Finder<'static>; 3]> =
    LazyLock::new(|| [r#""status"#, r#""message":"#, r#""reason":"#].map(Finder::new));

/// What the line is; none if it has to be parsed.
pub(crate) fn skim(line: &str) -> Option<ParsedLine<'_>> {
    let (kind, rest) = plain_string(line.strip_prefix(r#"{"type":"#)?)?;
    let end = match kind {
        "tool_use" | "step_start" => r#""}}"#,
        "error" => "}}}",
        _ => return None,
    };
    if !line.trim_end().ends_with(end) {
        return None;
    }
    let rest = rest
        .strip_prefix(r#","timestamp":"#)?
        .trim_start_matches(|c: char| c.is_ascii_digit());
    let (session, rest) = plain_string(rest.strip_prefix(r#","sessionID":"#)?)?;
    match kind {
        "tool_use" => tool(session, rest),
        "error" => error(session, rest).filter(|_| line.len() <= MAX_LINE_BYTES),
        _ => step(session, rest),
    }
}

fn step<'a>(session: &'a str, rest: &'a str) -> Option<ParsedLine<'a>> {
    let (_part, rest) = plain_string(rest.strip_prefix(r#","part":{"id":"#)?)?;
    let (message, _) = plain_string(rest.strip_prefix(r#","messageID":"#)?)?;
    Some(ParsedLine::StepStart { session, message })
}

/// A tool call that succeeded.
fn tool<'a>(session: &'a str, rest: &'a str) -> Option<ParsedLine<'a>> {
    let (tool, rest) = plain_string(rest.strip_prefix(r#","part":{"type":"tool","tool":"#)?)?;
    let (_call, rest) = plain_string(rest.strip_prefix(r#","callID":"#)?)?;
    rest.starts_with(r#","state":{"status":"completed","#)
        .then_some(ParsedLine::ToolDone { session, tool })
}

/// An error of 1.x that has a message.
fn error<'a>(session: &'a str, rest: &'a str) -> Option<ParsedLine<'a>> {
    let (name, rest) = plain_string(rest.strip_prefix(r#","error":{"name":"#)?)?;
    let (message, rest) = plain_string(rest.strip_prefix(r#","data":{"message":"#)?)?;
    let message = js_trim(message);
    let (status, rest) = match rest.strip_prefix(r#","statusCode":"#) {
        Some(rest) => {
            let (digits, rest) = rest.split_at_checked(3)?;
            (
                Some(
                    digits
                        .parse()
                        .ok()
                        .filter(|status| (100..1000).contains(status))?,
                ),
                rest,
            )
        }
        None => (None, rest),
    };
    let goes_on = rest.starts_with([',', '}']);
    let says_more = SAYS_MORE.iter().any(|key| key.find(rest.as_bytes()).is_some());
    let head = ErrorHead {
        name,
        message,
        status,
    };
    (goes_on && !says_more && !message.is_empty()).then_some(ParsedLine::Error { session, head })
}

/// A JSON string without escapes, and what follows it.
fn plain_string(text: &str) -> Option<(&str, &str)> {
    let text = text.strip_prefix('"')?;
    let end = memchr::memchr2(b'"', b'\\', text.as_bytes())?;
    let (string, rest) = text.split_at_checked(end)?;
    Some((string, rest.strip_prefix('"')?))
}

#[cfg(test)]
mod tests {
    use super::super::event::{read, read_fully};
    use super::super::run_error::RunError;
    use super::*;

    #[test]
    fn a_skimmed_line_says_what_the_whole_line_says() {
        let line = r#"{"type":"step_start","timestamp":1,"sessionID":"s","part":{"id":"p","messageID":"m","type":"step-start"}}"#;
        let mut scratch = String::new();
        assert!(matches!(
            read(line, &mut scratch),
            ParsedLine::StepStart {
                session: "s",
                message: "m"
            }
        ));
        let ParsedLine::Event(event) = read_fully(line, &mut scratch) else {
            panic!("not an event")
        };
        assert_eq!(
            (event.session.as_str(), event.part.message_id.as_str()),
            ("s", "m")
        );
    }

    #[test]
    fn completed_tools_are_not_parsed() {
        let line = |status: &str, end: &str| {
            let start = r#"{"type":"tool_use","timestamp":1,"sessionID":"s","part":{"type":"tool","tool":"bash","callID":"c","state":{"status":""#;
            format!(r#"{start}{status}","input":{{}}}}{end}"#)
        };
        let mut scratch = String::new();
        assert!(matches!(
            read(&line("completed", r#","messageID":"m"}}"#), &mut scratch),
            ParsedLine::ToolDone {
                session: "s",
                tool: "bash"
            }
        ));
        assert!(matches!(
            read(&line("error", "}}"), &mut scratch),
            ParsedLine::Event(_)
        ));
        assert!(matches!(
            read(&line("completed", ""), &mut scratch),
            ParsedLine::Broken
        ));
    }

    #[test]
    fn an_error_that_is_not_parsed_is_the_one_that_parsing_gives() {
        let of = |error: &str| format!(r#"{{"type":"error","timestamp":1,"sessionID":"s","error":{error}}}"#);
        let mut scratch = String::new();
        for (error, is_skimmed) in [
            (
                r#"{"name":"APIError","data":{"message":" no ","statusCode":429,"isRetryable":true}}"#,
                true,
            ),
            (
                r#"{"name":"APIError","data":{"message":"no","isRetryable":true}}"#,
                true,
            ),
            (
                r#"{"name":"UnknownError","data":{"message":"no","ref":"err_1"}}"#,
                true,
            ),
            (r#"{"name":"UnknownError","data":{"message":"no"}}"#, true),
            (
                r#"{"name":"APIError","data":{"message":"no","isRetryable":true,"statusCode":429}}"#,
                false,
            ),
            (
                r#"{"name":"APIError","data":{"message":"no","statusCode":4290}}"#,
                false,
            ),
            (
                r#"{"name":"APIError","data":{"message":"no","statusCode":42}}"#,
                false,
            ),
            (
                r#"{"name":"APIError","data":{"message":"no","statusCode":"429"}}"#,
                false,
            ),
            (
                r#"{"name":"APIError","data":{"message":" ","statusCode":429}}"#,
                false,
            ),
            (
                r#"{"name":"APIError","data":{"message":"a \"word\"","statusCode":429}}"#,
                false,
            ),
            (
                r#"{"name":"A","data":{"message":"no"},"message":{"x":{}}}"#,
                false,
            ),
            (r#"{"name":"A","data":{"message":"no"},"status":{"x":{}}}"#, false),
            (r#"{"name":"A","data":{"message":"no"},"reason":{"x":{}}}"#, false),
            (
                r#"{"name":"A","data":{"message":"no","message":"yes","a":{"x":{}}}}"#,
                false,
            ),
        ] {
            let line = of(error);
            let ParsedLine::Event(event) = read_fully(&line, &mut scratch) else {
                panic!("no event: {line}")
            };
            let whole = RunError::read(event.error_value());
            match skim(&line) {
                Some(ParsedLine::Error { session, head }) => {
                    assert!(is_skimmed, "{line}");
                    assert_eq!(session, event.session.as_str());
                    assert_eq!(
                        (head.name, head.message),
                        (whole.name.as_str(), whole.message.as_str())
                    );
                    assert_eq!(head.status, whole.status);
                }
                _ => assert!(!is_skimmed, "{line}"),
            }
        }
    }
}
