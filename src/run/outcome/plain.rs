//! Removes from a text what must not be shown: escape codes, raw JSON, secrets. Pure.

use serde_json::Value;

/// The text without ANSI sequences and control characters (newlines and tabs stay).
pub(crate) fn without_ansi(text: &str) -> String {
    let mut plain = String::with_capacity(text.len());
    let mut chars = text.chars().peekable();
    while let Some(c) = chars.next() {
        match c {
            '\u{1b}' => match chars.next() {
                // CSI: up to its final byte. OSC: up to BEL or ESC \.
                Some('[') => while chars.next().is_some_and(|c| !('@'..='~').contains(&c)) {},
                Some(']') => {
                    while let Some(c) = chars.next() {
                        if c == '\u{7}' || (c == '\u{1b}' && chars.next_if_eq(&'\\').is_some()) {
                            break;
                        }
                    }
                }
                _ => {}
            },
            '\n' | '\t' => plain.push(c),
            c if c.is_control() => {}
            c => plain.push(c),
        }
    }
    plain
}

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

/// The same for documents in the middle of a text. Of one that cannot be read, the rest of its line is removed.
fn without_inner_json(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    let mut rest = text;
    while let Some((before, after)) = rest.find(OBJECT).map(|at| rest.split_at(at)) {
        out.push_str(before);
        let mut values = serde_json::Deserializer::from_str(after).into_iter::<Value>();
        let said = values.next().and_then(Result::ok).map(|value| said_by(&value));
        let end = match said {
            Some(_) => values.byte_offset(),
            None => after.find('\n').unwrap_or(after.len()),
        };
        out.push_str(&said.flatten().unwrap_or_else(|| "…".to_owned()));
        rest = after.get(end..).unwrap_or_default();
    }
    // Joined parts could look like the beginning of an object again.
    (out + rest).replace(OBJECT, "…")
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
            "error",
            "data",
            "detail",
            "errors",
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

/// The text with everything that looks like a credential replaced.
pub(crate) fn without_secrets(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    let mut context = Context::None;
    for (word, gap) in words(text) {
        if is_secret(word) || (context.announces_secret() && word.len() >= context.min_secret_bytes()) {
            out.push_str("[redacted]");
        } else {
            out.push_str(word);
        }
        out.push_str(gap);
        context = context.after(word, gap);
    }
    without_url_passwords(&out)
}

/// What stands before a word.
#[derive(Clone, Copy, PartialEq)]
enum Context {
    None,
    /// `Bearer` and a space.
    Scheme,
    /// A name such as `api_key` and `=` or `:`.
    Name,
    /// `key` or `token` and a space.
    Key,
    /// `key provided:`, by which a provider quotes a key that it refused.
    Refused,
}

impl Context {
    fn announces_secret(self) -> bool {
        matches!(self, Self::Scheme | Self::Name | Self::Refused)
    }

    /// Bytes of the shortest word that is taken for a secret.
    fn min_secret_bytes(self) -> usize {
        if self == Self::Refused { 4 } else { 8 }
    }

    /// The context of the word that follows this one.
    fn after(self, word: &str, gap: &str) -> Self {
        let lower = word.to_ascii_lowercase();
        let names = [
            "api_key",
            "apikey",
            "api-key",
            "token",
            "secret",
            "password",
            "passwd",
            "authorization",
        ];
        let assigns = gap.starts_with(['=', ':', '"', '\'']) && gap.contains(['=', ':']);
        if ["bearer", "basic"].contains(&lower.as_str()) && gap.trim().is_empty() && !gap.is_empty() {
            Self::Scheme
        } else if assigns && names.iter().any(|name| lower.ends_with(name)) && !gap.contains('\n') {
            Self::Name
        } else if ["provided", "passed", "received", "used"].contains(&lower.as_str()) {
            let quotes = self == Self::Key && gap.contains([':', '=']) && !gap.contains('\n');
            if quotes { Self::Refused } else { Self::None }
        } else if ["key", "token"].contains(&lower.as_str()) && gap == " " {
            Self::Key
        } else {
            Self::None
        }
    }
}

/// The words of the text, each with the gap after it. A word has only characters that credentials have.
fn words(text: &str) -> impl Iterator<Item = (&str, &str)> {
    let in_word = |c: char| c.is_ascii_alphanumeric() || matches!(c, '_' | '-' | '.' | '+');
    let mut rest = text;
    std::iter::from_fn(move || {
        if rest.is_empty() {
            return None;
        }
        let word_end = rest.find(|c| !in_word(c)).unwrap_or(rest.len());
        let (word, after) = rest.split_at(word_end);
        let gap_end = after.find(in_word).unwrap_or(after.len());
        let (gap, next) = after.split_at(gap_end);
        rest = next;
        Some((word, gap))
    })
}

fn is_secret(word: &str) -> bool {
    let long_after =
        |start: &str, least: usize| word.strip_prefix(start).is_some_and(|rest| rest.len() >= least);
    let jwt = word.starts_with("eyJ") && word.len() >= 24 && word.contains('.');
    jwt || long_after("sk-", 8)
        || [
            "ghp_",
            "gho_",
            "ghu_",
            "ghs_",
            "ghr_",
            "github_pat_",
            "glpat-",
            "xoxb-",
            "xoxp-",
            "AIza",
            "AKIA",
        ]
        .iter()
        .any(|start| long_after(start, 12))
}

/// `scheme://user:password@host` without the password.
fn without_url_passwords(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    let mut rest = text;
    while let Some((before, after)) = rest.split_once("://") {
        out.push_str(before);
        out.push_str("://");
        let end = after
            .find(|c: char| c.is_whitespace() || matches!(c, '/' | '"' | '?'))
            .unwrap_or(after.len());
        let (authority, tail) = after.split_at(end);
        match authority.rsplit_once('@') {
            Some((_, host)) => {
                out.push_str("[redacted]@");
                out.push_str(host);
            }
            None => out.push_str(authority),
        }
        rest = tail;
    }
    out + rest
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn escape_codes_are_removed() {
        assert_eq!(
            without_ansi("\u{1b}[91m\u{1b}[1mError: \u{1b}[0mSession\r\n\tnot\u{0} found"),
            "Error: Session\n\tnot found"
        );
        assert_eq!(
            without_ansi("a\u{1b}]8;;http://x\u{7}link\u{1b}]8;;\u{1b}\\b\u{1b}"),
            "alinkb"
        );
        assert_eq!(without_ansi("cut \u{1b}[9"), "cut ");
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

    #[test]
    fn credentials_are_redacted() {
        for (raw, plain) in [
            (
                "Authorization: Bearer abcdefghijk",
                "Authorization: Bearer [redacted]",
            ),
            ("key sk-proj-abcdefgh1234.", "key [redacted]"),
            ("token=abcdefghijkl x", "token=[redacted] x"),
            ("ghp_0123456789abcdef failed", "[redacted] failed"),
            ("eyJhbGciOiJIUzI1NiJ9.eyJzdWIiOiIxIn0.c2ln", "[redacted]"),
            (
                "Incorrect API key provided: fake-key.",
                "Incorrect API key provided: [redacted]",
            ),
            (
                "Invalid token passed: abcd efgh",
                "Invalid token passed: [redacted] efgh",
            ),
            ("no API key provided", "no API key provided"),
            (
                "the key used by default is fine",
                "the key used by default is fine",
            ),
            ("https://user:pa55@host/x", "https://[redacted]@host/x"),
            ("context: 128000 tokens", "context: 128000 tokens"),
        ] {
            assert_eq!(without_secrets(raw), plain, "{raw}");
        }
    }
}
