//! Reads a line without parsing it, where it begins and ends as opencode writes it. Most bytes of a stream are in
//! finished tool calls, whose content does not matter here; and a stream of errors must not cost more than others.

use std::borrow::Cow;
use std::sync::LazyLock;

use memchr::memmem::Finder;

use super::event::{ParsedLine, js_trim};
use super::last_errors::{ErrorHead, MAX_LINE_BYTES};

/// Keys behind an error's head that may say something else than it does.
static SAYS_MORE: LazyLock<[Finder<'static>; 3]> =
    LazyLock::new(|| [r#""status"#, r#""message":"#, r#""reason":"#].map(Finder::new));

/// Keys behind a failed call's error that may say something else of it.
static SAYS_MORE_OF_TOOL: LazyLock<[Finder<'static>; 4]> =
    LazyLock::new(|| [r#""status":"#, r#""error":"#, r#""tool":"#, r#""state":"#].map(Finder::new));

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

/// A tool call that succeeded or failed.
fn tool<'a>(session: &'a str, rest: &'a str) -> Option<ParsedLine<'a>> {
    let (tool, rest) = plain_string(rest.strip_prefix(r#","part":{"type":"tool","tool":"#)?)?;
    let (_call, rest) = plain_string(rest.strip_prefix(r#","callID":"#)?)?;
    let rest = rest.strip_prefix(r#","state":{"status":""#)?;
    if rest.starts_with(r#"completed","#) {
        return Some(ParsedLine::ToolDone { session, tool });
    }
    let rest = behind_object(rest.strip_prefix(r#"error","input":"#)?)?;
    let (error, rest) = string(rest.strip_prefix(r#","error":"#)?)?;
    let says_more = SAYS_MORE_OF_TOOL
        .iter()
        .any(|key| key.find(rest.as_bytes()).is_some());
    (!says_more).then_some(ParsedLine::ToolFailed { session, tool, error })
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

/// A JSON string, and what follows it.
fn string(text: &str) -> Option<(Cow<'_, str>, &str)> {
    if let Some((plain, rest)) = plain_string(text) {
        return Some((Cow::Borrowed(plain), rest));
    }
    let (quoted, rest) = text.split_at_checked(string_end(text.as_bytes())?)?;
    Some((Cow::Owned(serde_json::from_str(quoted).ok()?), rest))
}

/// Where the JSON string ends that the text begins with.
fn string_end(text: &[u8]) -> Option<usize> {
    let mut at = usize::from(text.first() == Some(&b'"'));
    loop {
        at += memchr::memchr2(b'"', b'\\', text.get(at..)?)?;
        if text.get(at) == Some(&b'"') {
            return Some(at + 1);
        }
        at += 2;
    }
}

/// What follows the JSON object that the text begins with. Only its braces and strings are looked at.
fn behind_object(text: &str) -> Option<&str> {
    let bytes = text.as_bytes();
    let (mut at, mut depth) = (usize::from(bytes.first()? == &b'{'), 1_usize);
    while at > 0 && depth > 0 {
        at += memchr::memchr3(b'"', b'{', b'}', bytes.get(at..)?)?;
        match bytes.get(at)? {
            b'{' => depth += 1,
            b'}' => depth -= 1,
            _ => at += string_end(bytes.get(at..)?)? - 1,
        }
        at += 1;
    }
    text.get(at..).filter(|_| at > 0)
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
            read(&line("running", "}}"), &mut scratch),
            ParsedLine::Event(_)
        ));
        assert!(matches!(
            read(&line("completed", ""), &mut scratch),
            ParsedLine::Broken
        ));
    }

    #[test]
    fn a_failed_tool_that_is_not_parsed_is_the_one_that_parsing_gives() {
        let of = |state: &str, end: &str| {
            let start = r#"{"type":"tool_use","timestamp":1,"sessionID":"s","part":{"type":"tool","tool":"bash","callID":"c","state":{"status":"error""#;
            format!("{start}{state}}}{end}}}}}")
        };
        let end = r#","id":"p","sessionID":"s","messageID":"m""#;
        let mut scratch = String::new();
        for (state, end, is_skimmed) in [
            (r#","input":{},"error":"no""#, end, true),
            (
                r#","input":{"a":{"b":"}\"}{"},"c":[{}]},"error":"no","time":{"start":1}"#,
                end,
                true,
            ),
            (r#","input":{"a":"\\"},"error":" a \"word\"\n\u00e9 ""#, end, true),
            (r#","input":{},"error":"""#, end, true),
            (r#","input":{},"error":"half \ud83d""#, end, false),
            (r#","input":{},"error":"no","error":"yes""#, end, false),
            (r#","input":{},"error":"no","status":"completed""#, end, false),
            (r#","input":{},"error":"no""#, r#","tool":"read""#, false),
            (r#","input":{},"error":"no""#, r#","state":{}"#, false),
            (r#","input":[],"error":"no""#, end, false),
            (r#","input":{},"error":{"a":"b"}"#, end, false),
            (r#","error":"no","input":{}"#, end, false),
        ] {
            let line = of(state, end);
            let ParsedLine::Event(event) = read_fully(&line, &mut scratch) else {
                panic!("no event: {line}")
            };
            match skim(&line) {
                Some(ParsedLine::ToolFailed { session, tool, error }) => {
                    assert!(is_skimmed, "{line}");
                    let part = &event.part;
                    assert_eq!(
                        (session, tool, error.as_ref()),
                        (
                            event.session.as_str(),
                            part.tool.as_str(),
                            part.state.error.as_str()
                        )
                    );
                }
                _ => assert!(!is_skimmed, "{line}"),
            }
        }
        for cut in 0..line_of_a_failed_tool().len() {
            let line = line_of_a_failed_tool();
            assert!(skim(line.get(..cut).unwrap_or_default()).is_none(), "{cut}");
        }
    }

    fn line_of_a_failed_tool() -> &'static str {
        r#"{"type":"tool_use","timestamp":1,"sessionID":"s","part":{"type":"tool","tool":"a","callID":"c","state":{"status":"error","input":{"a":"\""},"error":"\n"},"messageID":"m"}}"#
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
