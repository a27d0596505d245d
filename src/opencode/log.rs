//! Reads opencode's own log, which it may write to stderr: `timestamp=… level=ERROR key=value key="JSON string"`.

use std::borrow::Cow;

use super::bounded::prefix;

/// Bytes of a text that are taken from a log line.
const TEXT_BYTES: usize = 400;

/// An error in the log.
#[derive(Debug, Default, PartialEq, Eq)]
pub(crate) struct LogError {
    /// `err_…`: an event on stdout about the same error has it, too.
    pub(crate) reference: Option<String>,
    /// Provider of the model that was asked.
    pub(crate) provider: Option<String>,
    /// A request to the provider failed. opencode may repeat it, silently on stdout.
    pub(crate) of_provider: bool,
    /// Such as `ProviderModelNotFoundError`.
    pub(crate) name: String,
    /// The message.
    pub(crate) text: String,
}

impl std::fmt::Display for LogError {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self.name.as_str() {
            "" => f.write_str(&self.text),
            name => write!(f, "{name}: {}", self.text),
        }
    }
}

/// Whether the line is from the log.
pub(crate) fn is_log(line: &str) -> bool {
    line.starts_with("timestamp=")
}

/// The error of a log line; none for other lines.
pub(crate) fn read(line: &str) -> Option<LogError> {
    if !is_log(line) {
        return None;
    }
    let (mut error, mut level, mut kind) = (LogError::default(), Cow::Borrowed(""), Cow::Borrowed(""));
    let mut said = [None, None, None];
    for (key, value) in fields(line) {
        match key {
            "level" => level = value,
            "message" => kind = value,
            "ref" => error.reference = Some(prefix(&value, TEXT_BYTES).to_owned()),
            "providerID" => error.provider = Some(prefix(&value, TEXT_BYTES).to_owned()),
            "error.error" => said[0] = Some(value),
            "error" => said[1] = Some(value),
            "cause" => said[2] = Some(value),
            _ => {}
        }
    }
    if level != "ERROR" {
        return None;
    }
    error.of_provider = kind == "stream error";
    let said = said.into_iter().flatten().next().unwrap_or(kind);
    (error.name, error.text) = name_and_text(&said);
    (!error.text.is_empty()).then_some(error)
}

/// `key=value` and `key="…"`; the rest of a line that was cut inside a string is its value.
fn fields(line: &str) -> impl Iterator<Item = (&str, Cow<'_, str>)> {
    let mut rest = line;
    std::iter::from_fn(move || {
        let (key, after) = rest.split_once('=')?;
        let (value, next) = if after.starts_with('"') {
            let mut strings = serde_json::Deserializer::from_str(after).into_iter::<String>();
            match strings.next() {
                Some(Ok(value)) => (
                    Cow::Owned(value),
                    after.get(strings.byte_offset()..).unwrap_or_default(),
                ),
                _ => (Cow::Borrowed(after.trim_matches('"')), ""),
            }
        } else {
            let end = after.find(char::is_whitespace).unwrap_or(after.len());
            let (value, next) = after.split_at(end);
            (Cow::Borrowed(value), next)
        };
        rest = next.trim_start();
        Some((key, value))
    })
}

/// Name and text of `Cause([Fail(SomeError: text)])` or `SomeError: text\n    at …`. Of a chain
/// `a (cause: b (cause: c))` the last cause is added, if the text does not contain it.
fn name_and_text(said: &str) -> (String, String) {
    let said = said.lines().next().unwrap_or_default();
    let said = said
        .strip_prefix("Cause([Fail(")
        .map_or(said, |inner| inner.strip_suffix(")])").unwrap_or(inner));
    let mut chain = said.split(" (cause: ");
    let (name, text) = split_name(chain.next().unwrap_or_default());
    let last = chain.last().unwrap_or_default().trim_end_matches(')');
    let text = match split_name(last).1 {
        more if more.is_empty() || text.contains(more) => prefix(text, TEXT_BYTES).to_owned(),
        _ => format!(
            "{} ({})",
            prefix(text, TEXT_BYTES / 2).trim_end(),
            prefix(last, TEXT_BYTES / 2)
        ),
    };
    (name.to_owned(), text.trim().to_owned())
}

/// `effect/sql/SqlError: text` is (`SqlError`, `text`).
fn split_name(said: &str) -> (&str, &str) {
    let is_name = |name: &&str| {
        name.ends_with("Error")
            && name
                .chars()
                .all(|c| c.is_ascii_alphanumeric() || "_/".contains(c))
    };
    match said.split_once(": ") {
        Some((name, text)) if is_name(&name) => (name.rsplit('/').next().unwrap_or(name), text),
        _ => ("", said),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn said(line: &str) -> Option<String> {
        read(line).map(|error| error.to_string())
    }

    #[test]
    fn an_error_is_read_from_its_line() {
        for (line, expected) in [
            (
                r#"timestamp=2026 level=ERROR run=1 cause="Cause([Fail(ProviderModelNotFoundError: Model not found: fake/nope.)])""#,
                Some("ProviderModelNotFoundError: Model not found: fake/nope."),
            ),
            (
                r#"timestamp=2026 level=ERROR run=1 message=failed ref=err_1 error="AError: a = \"b\"" cause="AError: a\n    at x""#,
                Some(r#"AError: a = "b""#),
            ),
            (
                r#"timestamp=2026 level=ERROR message="stream error" error.error="AI_APICallError: No (cause: Error: No)""#,
                Some("AI_APICallError: No"),
            ),
            (
                r#"timestamp=2026 level=ERROR error="effect/sql/SqlError: failed (cause: effect/X: failed (cause: SQLiteError: disk is full))""#,
                Some("SqlError: failed (SQLiteError: disk is full)"),
            ),
            ("timestamp=2026 level=ERROR message=process", Some("process")),
            (
                r#"timestamp=2026 level=ERROR error="AError: cut he"#,
                Some("AError: cut he"),
            ),
            (r#"timestamp=2026 level=INFO error="AError: no""#, None),
            (r#"level=ERROR error="AError: no""#, None),
            ("timestamp=", None),
        ] {
            assert_eq!(said(line).as_deref(), expected, "{line}");
        }
    }

    #[test]
    fn a_failed_request_names_its_provider() {
        let line = r#"timestamp=2026 level=ERROR message="stream error" providerID=fake modelID=x session.id=ses_1 error.error="AI_APICallError: down""#;
        let error = read(line).unwrap();
        assert_eq!(
            (error.of_provider, error.provider.as_deref()),
            (true, Some("fake"))
        );
        let line = r#"timestamp=2026 level=ERROR message=failed ref=err_1 error="AError: x""#;
        assert_eq!(read(line).unwrap().reference.as_deref(), Some("err_1"));
    }
}
