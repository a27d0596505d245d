//! Replaces raw JSON in a text by what it says. Pure.

use serde_json::Value;

use crate::opencode::bounded::prefix;

/// The text with each JSON document in it replaced by the message that it holds.
pub(crate) fn without_json(text: &str) -> String {
    let text = text.trim();
    if text.starts_with(['{', '[']) {
        match serde_json::from_str::<Value>(text) {
            Ok(value) => return said_by(&value).unwrap_or_else(|| "an error without a message".to_owned()),
            Err(_) if text.starts_with('{') => return "an unreadable error".to_owned(),
            Err(_) => {}
        }
    }
    without_inner_json(text)
}

/// What a provider's answer says. A router puts the words of the provider behind it into `metadata.raw`.
pub(super) fn detail(body: &str) -> Option<String> {
    let body = body.trim();
    let said = match serde_json::from_str::<Value>(body) {
        Ok(value) => value
            .pointer("/error/metadata/raw")
            .and_then(said_by)
            .or_else(|| said_by(&value))?,
        Err(_) if body.starts_with(['{', '[']) => return None,
        Err(_) => body.to_owned(),
    };
    (!said.is_empty()).then_some(said)
}

/// A web page in words; none for a text that is no page.
pub(super) fn page(text: &str) -> Option<String> {
    let head = prefix(text, PAGE_HEAD).to_ascii_lowercase();
    if !head.starts_with("<!doctype html") && !head.starts_with("<html") {
        return None;
    }
    let title = head.find("<title").and_then(|at| {
        let (_, title) = text.get(at..)?.split_once('>')?;
        let (title, _) = title.split_once('<')?;
        Some(prefix(title.trim(), 200)).filter(|title| !title.is_empty())
    });
    Some(match title {
        Some(title) => format!("a web page instead of an answer: {title}"),
        None => "a web page instead of an answer".to_owned(),
    })
}

/// Bytes of a page in which its title is looked for.
const PAGE_HEAD: usize = 4 << 10;

/// The same for documents in the middle of a text. Of one that cannot be read, the rest of its line is removed.
fn without_inner_json(text: &str) -> String {
    without_documents(text, &mut 0)
}

/// How often a text is read for its documents, those together that cannot be read: each may be in the one before.
const MAX_READS: usize = 2;

/// `wasted` counts the bytes of documents that could not be read.
fn without_documents(text: &str, wasted: &mut usize) -> String {
    let mut out = String::with_capacity(text.len());
    let mut rest = text;
    while let Some((before, after)) = rest.find(OBJECT).map(|at| rest.split_at(at)) {
        out.push_str(before);
        let mut values = serde_json::Deserializer::from_str(after).into_iter::<Value>();
        let is_worth_it = *wasted < MAX_READS * text.len();
        let read = is_worth_it.then(|| values.next()).flatten();
        let (said, end) = match read {
            Some(Ok(value)) => (said_by(&value), values.byte_offset()),
            not_read => {
                *wasted += not_read
                    .and_then(Result::err)
                    .map_or(0, |error| bytes_before(&error, after));
                (None, after.find('\n').unwrap_or(after.len()))
            }
        };
        out.push_str(&said.unwrap_or_else(|| "…".to_owned()));
        rest = after.get(end..).unwrap_or_default();
    }
    // Joined parts could look like the beginning of an object again.
    (out + rest).replace(OBJECT, "…")
}

/// How much of a text was read until this error.
fn bytes_before(error: &serde_json::Error, text: &str) -> usize {
    let lines = text.split_inclusive('\n').take(error.line().saturating_sub(1));
    lines.map(str::len).sum::<usize>() + error.column()
}

/// The beginning of a JSON object that a program wrote.
const OBJECT: &str = "{\"";

fn said_by(value: &Value) -> Option<String> {
    said_in(value, 0).filter(|said| !said.contains(OBJECT))
}

fn said_in(value: &Value, depth: usize) -> Option<String> {
    if depth > 8 {
        return None;
    }
    match value {
        Value::String(text) if text.trim_start().starts_with(['{', '[']) => serde_json::from_str(text)
            .ok()
            .and_then(|inner| said_in(&inner, depth + 1)),
        Value::String(text) => Some(text.trim().to_owned()).filter(|text| !text.is_empty()),
        Value::Array(items) => items.iter().find_map(|item| said_in(item, depth + 1)),
        Value::Object(fields) => [
            "message",
            "Message",
            "error_msg",
            "error_description",
            "status_msg",
            "faultstring",
            "error",
            "data",
            "detail",
            "errors",
            "fault",
            "base_resp",
            "description",
            "msg",
            "title",
            "reason",
            "code",
            "name",
            "type",
        ]
        .iter()
        .filter_map(|name| fields.get(*name))
        .find_map(|field| said_in(field, depth + 1)),
        Value::Null | Value::Bool(_) | Value::Number(_) => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Each line begins a document that goes on in all lines behind it, as deep as JSON may be.
    #[test]
    fn documents_in_each_other_that_cannot_be_read_are_not_read_again_and_again() {
        let line = format!("{{\"a\":[{}\n", "0,".repeat(500));
        let text = line.repeat(64);
        let mut wasted = 0;
        assert_eq!(without_documents(&text, &mut wasted), "…\n".repeat(64));
        assert!(
            wasted <= (MAX_READS + 1) * text.len(),
            "{wasted} of {}",
            text.len()
        );
        // Short ones do not hide what is behind them.
        let many = format!("{}{{\"message\":\"said\"}}", "{\"x\n".repeat(1_000));
        assert!(without_documents(&many, &mut 0).ends_with("…\nsaid"));
    }

    #[test]
    fn json_is_replaced_by_its_message() {
        for (raw, said) in [
            (
                r#"{"type":"error","error":{"type":"overloaded_error","message":"Overloaded"}}"#,
                "Overloaded",
            ),
            (r#"{"error":"{\"message\":\"inner\"}"}"#, "inner"),
            (
                r#"{"detail":[{"loc":["body"],"msg":"field required"}]}"#,
                "field required",
            ),
            (r#"{"type":"#, "an unreadable error"),
            ("{}", "an error without a message"),
            ("plain {json}", "plain {json}"),
            (
                r#"Error: {"message":"inner"}, twice {"a":1} and cut {"b"#,
                "Error: inner, twice … and cut …",
            ),
            (r#"[1] {"message":"{\"cut"} x"#, "[1] … x"),
            ("[x] y", "[x] y"),
        ] {
            assert_eq!(without_json(raw), said, "{raw}");
        }
    }
}
