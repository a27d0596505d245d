//! Replaces raw JSON, and XML of clouds, in a text by what it says. Pure.

use serde_json::Value;

use crate::opencode::bounded::prefix;

use super::documents;

/// The text with each JSON document in it replaced by the message that it holds.
pub(crate) fn without_json(text: &str) -> String {
    let text = text.trim();
    if text.starts_with(['{', '[']) {
        match documents::read(text) {
            Ok((value, end)) if end == text.len() => {
                return said_in(&value, 0).unwrap_or_else(|| "an error without a message".to_owned());
            }
            Err(wasted) if text.starts_with('{') && !documents::is_repr(text) => {
                return said_in_cut(text, wasted, 0).unwrap_or_else(|| "an unreadable error".to_owned());
            }
            Ok(_) | Err(_) => {}
        }
    }
    // The same for documents in the middle of a text.
    without_documents(text, &mut 0, 0)
}

/// What a provider's answer says.
pub(super) fn detail(body: &str) -> Option<String> {
    let body = body.trim();
    let said = match documents::read(body) {
        Ok((value, _)) => said_in(&value, 0)?,
        Err(wasted) if body.starts_with(['{', '[']) => said_in_cut(body, wasted, 0)?,
        Err(_) => without_documents(body, &mut 0, 1),
    };
    (!said.is_empty()).then_some(said)
}

/// A web page in words, behind those that stand before it; none for a text that is no page.
pub(super) fn page(text: &str) -> Option<String> {
    let head = prefix(text, PAGE_HEAD).to_ascii_lowercase();
    let before = text.get(..before_page(&head)?.len())?;
    let title = head.find("<title").and_then(|at| {
        let (_, title) = text.get(at..)?.split_once('>')?;
        let (title, _) = title.split_once('<')?;
        Some(prefix(title.trim(), 200)).filter(|title| !title.is_empty())
    });
    let title = title.map(|title| format!(": {title}")).unwrap_or_default();
    Some(format!("{before}a web page instead of an answer{title}"))
}

/// The words before a web page, if the text is one, also behind a few words of a client. An error that quotes HTML is
/// none.
pub(super) fn before_page(lower_case: &str) -> Option<&str> {
    const FAR: usize = 80;
    let mut begins = ["<!doctype html", "<html"]
        .iter()
        .filter_map(|begin| lower_case.find(begin));
    let before = lower_case.get(..begins.next()?)?;
    (before.len() <= FAR && !before.contains(['"', '\'', '{', '`'])).then_some(before)
}

/// Bytes of a page in which its title is looked for.
const PAGE_HEAD: usize = 4 << 10;

/// Of a document that cannot be read, the rest of its line is removed.
///
/// `wasted` counts the bytes of documents that could not be read.
fn without_documents(text: &str, wasted: &mut usize, depth: usize) -> String {
    let mut out = String::with_capacity(text.len());
    let mut rest = text;
    while let Some((before, after)) = documents::find(rest).map(|at| rest.split_at(at)) {
        out.push_str(before);
        let is_worth_it = *wasted < documents::MAX_READS * text.len();
        let (said, end) = match is_worth_it.then(|| documents::read(after)) {
            Some(Ok((value, end))) => (said_in(&value, depth + 1), end),
            not_read => {
                let bytes = not_read.and_then(Result::err).unwrap_or(0);
                *wasted += bytes;
                match said_in_cut(after, bytes, depth + 1) {
                    Some(said) => (Some(said), after.len()),
                    None if after.starts_with(OBJECT) => (None, after.find('\n').unwrap_or(after.len())),
                    // A quote behind a bracket may stand in a sentence; what Python cut says more than nothing.
                    None => {
                        out.extend(after.chars().next());
                        rest = after.get(1..).unwrap_or_default();
                        continue;
                    }
                }
            }
        };
        out.push_str(&said.unwrap_or_else(|| "…".to_owned()));
        rest = after.get(end..).unwrap_or_default();
    }
    // Joined parts could look like the beginning of an object again.
    (out + rest).replace(OBJECT, "…")
}

/// The beginning of a JSON object that a program wrote.
const OBJECT: &str = "{\"";

/// What a document says that is cut off at the end of the text.
fn said_in_cut(text: &str, wasted: usize, depth: usize) -> Option<String> {
    said_in(&documents::read_cut(text, wasted)?, depth)
}

fn said_in(value: &Value, depth: usize) -> Option<String> {
    if depth > 8 {
        return None;
    }
    match value {
        Value::String(text) => {
            let text = text.trim();
            let inner = text.starts_with(['{', '[']).then(|| documents::read(text));
            match inner {
                Some(Ok((inner, end))) if end == text.len() => said_in(&inner, depth + 1),
                Some(Err(wasted)) if text.starts_with('{') => said_in_cut(text, wasted, depth + 1),
                // A gateway quotes in words what it got.
                _ => Some(without_documents(text, &mut 0, depth + 1)).filter(|text| !text.is_empty()),
            }
        }
        Value::Array(items) => items.iter().find_map(|item| said_in(item, depth + 1)),
        Value::Object(fields) => value
            .pointer(RAW)
            .into_iter()
            .chain(SAID.iter().filter_map(|name| {
                let mut fields = fields
                    .iter()
                    .filter(|(field, _)| field.eq_ignore_ascii_case(name));
                fields.next().map(|(_, said)| said)
            }))
            .find_map(|field| said_in(field, depth + 1)),
        Value::Null | Value::Bool(_) | Value::Number(_) => None,
    }
}

/// Where a router puts the words of the provider behind it.
const RAW: &str = "/metadata/raw";
/// The fields that say something, the plainest first. Some write them with a capital. The page reads an
/// answer in the same order.
const SAID: [&str; 20] = [
    "message",
    "error_msg",
    "error_description",
    "status_msg",
    "faultstring",
    "error",
    "data",
    "detail",
    "details",
    "errors",
    "response",
    "fault",
    "base_resp",
    "description",
    "msg",
    "title",
    "reason",
    "code",
    "name",
    "type",
];

#[cfg(test)]
mod tests {
    use super::*;

    /// Each line begins a document that goes on in all lines behind it, as deep as JSON may be.
    #[test]
    fn documents_in_each_other_that_cannot_be_read_are_not_read_again_and_again() {
        let line = format!("{{\"a\":[{}\n", "0,".repeat(500));
        let text = line.repeat(64);
        let mut wasted = 0;
        assert_eq!(without_documents(&text, &mut wasted, 0), "…\n".repeat(64));
        assert!(
            wasted <= (documents::MAX_READS + 1) * text.len(),
            "{wasted} of {}",
            text.len()
        );
        // Short ones do not hide what is behind them.
        let many = format!("{}{{\"message\":\"said\"}}", "{\"x\n".repeat(1_000));
        assert!(without_documents(&many, &mut 0, 0).ends_with("…\nsaid"));
    }

    #[test]
    fn a_page_is_told_by_its_title() {
        let html = "<!DOCTYPE html>\n<html><head><title> 502 Bad Gateway </title></head>";
        for (text, said) in [
            (
                html.to_owned(),
                "a web page instead of an answer: 502 Bad Gateway",
            ),
            (
                format!("É 502: {html}"),
                "É 502: a web page instead of an answer: 502 Bad Gateway",
            ),
            ("<html><body>".to_owned(), "a web page instead of an answer"),
        ] {
            assert_eq!(page(&text).as_deref(), Some(said));
        }
        for text in ["no page", "it wrote '<html>'", r#"{"a":"<html>"}"#] {
            assert_eq!(page(text), None, "{text}");
        }
    }

    /// The page's parser reads the same answers.
    #[test]
    fn an_answer_says_the_same_here_and_on_the_page() {
        let cases: Vec<(String, String)> =
            serde_json::from_str(include_str!("../../../fixtures/answers.json")).expect("pairs of texts");
        for (body, said) in cases {
            assert_eq!(detail(&body).unwrap_or_default(), said, "{body}");
        }
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
            (
                "400 - {'error': {'message': \"it's\", 'code': None}}.",
                "400 - it's.",
            ),
            ("400 - {\n  \"error\": {\"message\": \"said\"}\n}", "400 - said"),
            (
                r#"{"detail":"Error code: 400 - {'error': {'message': 'said', 'param': None}}"}"#,
                "Error code: 400 - said",
            ),
            (
                r#"{"error":{"message":"BadRequestError: {\"error\":{\"message\":\"said\"}}"}}"#,
                "BadRequestError: said",
            ),
            ("{'error': {'message': 'said'}}", "said"),
            ("400 - {'error': 'cut", "400 - cut"),
            (r#"400 - {"error":{"message":"it was cut"#, "400 - it was cut"),
            (r#"{"error":{"code":"x","message":"it was cut"#, "it was cut"),
            ("it said {'so', or <Error> so", "it said {'so', or <Error> so"),
            (
                "403: <Error><Code>Denied</Code><Message>a &amp; b</Message></Error>.",
                "403: a & b.",
            ),
        ] {
            assert_eq!(without_json(raw), said, "{raw}");
        }
    }
}
