//! Reads one line of opencode's stream: what it is, and the fields that are needed.

use std::borrow::Cow;
use std::marker::PhantomData;

use serde::de::{Deserialize, Deserializer, Error, IgnoredAny, MapAccess, SeqAccess, Visitor};

use super::last_errors::ErrorHead;
use super::lenient::{Flag, Key, Num, Text, else_default, record};
use super::skim;
use super::small::SmallValue;

record! {
    /// The outer object of a line.
    Event {
        kind: Text<'a> = "type",
        session: Text<'a> = "sessionID",
        part: Part<'a> = "part",
        error: SmallValue<'a> = "error",
        message: SmallValue<'a> = "message",
        reason: Text<'a> = "reason",
        rejected: SmallValue<'a> = "rejected",
    }
}

record! {
    /// `part`: the text, tool call or step that the line is about.
    Part {
        message_id: Text<'a> = "messageID",
        text: Text<'a> = "text",
        synthetic: Flag = "synthetic",
        message: Text<'a> = "message",
        reason: Text<'a> = "reason",
        tool: Text<'a> = "tool",
        state: ToolState<'a> = "state",
        tokens: StepTokens<'a> = "tokens",
        cost: Num = "cost",
    }
}

record! {
    /// `part.state` of a tool call. Input and output are skipped: they can be hundreds of kilobytes.
    ToolState {
        status: Text<'a> = "status",
        error: Text<'a> = "error",
    }
}

record! {
    /// `part.tokens` of a finished step.
    StepTokens {
        input: Num = "input",
        output: Num = "output",
        reasoning: Num = "reasoning",
        cache: CacheTokens<'a> = "cache",
    }
}

record! {
    /// `part.tokens.cache`.
    CacheTokens {
        read: Num = "read",
        write: Num = "write",
    }
}

/// What one line is.
#[derive(Debug)]
pub(crate) enum ParsedLine<'a> {
    /// White space only.
    Blank,
    /// A JSON object.
    Event(Box<Event<'a>>),
    /// A tool call that succeeded.
    ToolDone {
        /// Its session.
        session: &'a str,
        /// Its name.
        tool: &'a str,
    },
    /// A tool call that failed.
    ToolFailed {
        /// Its session.
        session: &'a str,
        /// Its name.
        tool: &'a str,
        /// What it failed with.
        error: Cow<'a, str>,
    },
    /// A step begins.
    StepStart {
        /// Its session.
        session: &'a str,
        /// Its message.
        message: &'a str,
    },
    /// An error.
    Error {
        /// Its session.
        session: &'a str,
        /// What it begins with.
        head: ErrorHead<'a>,
    },
    /// Text, or JSON that is no object: no event.
    Other,
    /// Begins like an object and is none: cut off or overwritten.
    Broken,
}

/// Reads one whole line. `scratch` holds the repaired copy of a line that needs one.
///
/// A line that begins and ends as opencode writes it need not be parsed for what is wanted of it.
pub(crate) fn read<'a>(line: &'a str, scratch: &'a mut String) -> ParsedLine<'a> {
    skim::skim(line).unwrap_or_else(|| read_fully(line, scratch))
}

/// Reads a line that may be cut off.
pub(crate) fn read_fully<'a>(line: &'a str, scratch: &'a mut String) -> ParsedLine<'a> {
    let line = js_trim(line);
    if line.is_empty() {
        return ParsedLine::Blank;
    }
    if !line.starts_with('{') {
        return ParsedLine::Other;
    }
    if let Ok(event) = serde_json::from_str(line) {
        return ParsedLine::Event(Box::new(event));
    }
    // JSON.stringify writes half a surrogate pair as \udXXX, when a text was cut inside an emoji. JavaScript reads
    // that, serde refuses it.
    match mend_surrogates(line) {
        Cow::Borrowed(_) => ParsedLine::Broken,
        Cow::Owned(mended) => {
            *scratch = mended;
            serde_json::from_str(scratch)
                .map_or(ParsedLine::Broken, |event| ParsedLine::Event(Box::new(event)))
        }
    }
}

/// `String.prototype.trim`: Unicode white space and the byte order mark, but not NEL.
pub(crate) fn js_trim(text: &str) -> &str {
    text.trim_matches(|c: char| (c.is_whitespace() && c != '\u{85}') || c == '\u{feff}')
}

/// Replaces every `\udXXX` escape that is not half of a pair by `\ufffd`.
pub(crate) fn mend_surrogates(line: &str) -> Cow<'_, str> {
    let bytes = line.as_bytes();
    let mut lone = Vec::new();
    let mut at = 0;
    while let Some(step) = memchr::memchr(b'\\', bytes.get(at..).unwrap_or_default()) {
        at += step;
        match surrogate(bytes, at) {
            Some(unit) if unit < 0xdc00 && matches!(surrogate(bytes, at + 6), Some(0xdc00..)) => at += 12,
            Some(_) => {
                lone.push(at);
                at += 6;
            }
            None => at += 2,
        }
    }
    if lone.is_empty() {
        return Cow::Borrowed(line);
    }
    let mut mended = line.as_bytes().to_vec();
    for at in lone {
        if let Some(escape) = mended.get_mut(at..at + 6) {
            escape.copy_from_slice(br"\ufffd");
        }
    }
    String::from_utf8(mended).map_or(Cow::Borrowed(line), Cow::Owned)
}

/// The surrogate that the escape at `at` stands for, if it is one.
fn surrogate(bytes: &[u8], at: usize) -> Option<u16> {
    let digits = bytes.get(at..at + 6)?.strip_prefix(br"\u")?;
    let unit = u16::from_str_radix(std::str::from_utf8(digits).ok()?, 16).ok()?;
    (0xd800..=0xdfff).contains(&unit).then_some(unit)
}

/// The message in an error value, looked for in the TypeScript adapter's order.
pub(crate) fn error_text(value: &SmallValue<'_>) -> String {
    if let Some(text) = value.as_str() {
        return js_trim(text).to_owned();
    }
    let paths: [&[&str]; 4] = [&["message"], &["data", "message"], &["name"], &["code"]];
    let found = paths.iter().find_map(|path| {
        let text = js_trim(value.at(path)?.as_str()?);
        (!text.is_empty()).then_some(text)
    });
    match (found, value) {
        (Some(text), _) => text.to_owned(),
        (None, SmallValue::Fields(_)) => value.to_json().to_string(),
        (None, _) => "{}".to_owned(),
    }
}

impl<'a> Event<'a> {
    /// The value that describes an error: `error`, else `message` (null counts as absent).
    pub(crate) fn error_value(&self) -> &SmallValue<'a> {
        match &self.error {
            SmallValue::Null => &self.message,
            error => error,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn text_of(line: &str) -> Option<String> {
        let mut scratch = String::new();
        match read(line, &mut scratch) {
            ParsedLine::Event(event) => Some(event.part.text.as_str().to_owned()),
            _ => None,
        }
    }

    #[test]
    fn a_line_with_half_a_surrogate_pair_is_read() {
        assert_eq!(
            text_of(r#"{"part":{"text":"a\ud83d"}}"#).as_deref(),
            Some("a\u{fffd}")
        );
        assert_eq!(
            text_of(r#"{"part":{"text":"\ud83d\ude80 \ude80"}}"#).as_deref(),
            Some("🚀 \u{fffd}")
        );
        assert_eq!(
            text_of(r#"{"part":{"text":"\\ud83d"}}"#).as_deref(),
            Some(r"\ud83d")
        );
        assert_eq!(text_of(r#"{"part":{"text":"\ud8"}}"#), None);
    }

    #[test]
    fn wrong_types_are_empty_fields() {
        for line in [
            r#"{"part":"x"}"#,
            r#"{"part":[1,{"text":"no"}]}"#,
            r#"{"part":null}"#,
            r#"{"part":{"text":{"a":1}}}"#,
        ] {
            assert_eq!(text_of(line).as_deref(), Some(""), "{line}");
        }
        assert_eq!(
            text_of(r#"{"part":{"text":"first","text":"last"}}"#).as_deref(),
            Some("last")
        );
    }

    #[test]
    fn deep_tool_output_is_skipped_not_refused() {
        let deep = format!(
            r#"{{"part":{{"text":"t","state":{{"output":{}{}}}}}}}"#,
            "[".repeat(5000),
            "]".repeat(5000)
        );
        assert_eq!(text_of(&deep).as_deref(), Some("t"));
    }
}
