//! JSON that was cut off, as far as it goes: a field behind a long text, or the end of one, is lost, and the rest says
//! what is wrong. Pure.

use serde_json::Value;

/// The document with what was open at the end of the text closed.
pub(super) fn read(text: &str) -> Option<Value> {
    let mut closers = Vec::new();
    let (mut is_quoted, mut escape) = (false, None);
    for (at, c) in text.char_indices() {
        match c {
            _ if escape.is_some() => escape = None,
            '\\' if is_quoted => escape = Some(at),
            '"' => is_quoted = !is_quoted,
            _ if is_quoted => {}
            '{' => closers.push('}'),
            '[' => closers.push(']'),
            '}' | ']' if closers.pop() != Some(c) => return None,
            _ => {}
        }
    }
    if closers.is_empty() {
        return None;
    }
    // Half of an escape, or of a number or a word, is none.
    let mut kept = match (escape, is_quoted) {
        (Some(at), _) => text.get(..at)?.to_owned(),
        (None, true) => without_half_of_escape(text).to_owned(),
        (None, false) => text
            .trim_end_matches(|c: char| c.is_ascii_alphanumeric() || "+-. \n\r\t".contains(c))
            .to_owned(),
    };
    if is_quoted {
        kept.push('"');
    }
    let kept = kept.trim_end_matches(',');
    let closing: String = closers.iter().rev().collect();
    // The text may end inside a value, behind a key, or behind its colon.
    ["", ":null", "null"]
        .iter()
        .find_map(|value| serde_json::from_str(&format!("{kept}{value}{closing}")).ok())
}

/// The text without the beginning of a `\u` escape at its end.
fn without_half_of_escape(text: &str) -> &str {
    let digits = text.len() - text.trim_end_matches(|c: char| c.is_ascii_hexdigit()).len();
    let begun = text
        .get(..text.len() - digits)
        .and_then(|text| text.strip_suffix("\\u"));
    begun.filter(|_| digits < 4).unwrap_or(text)
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn what_is_there_is_read() {
        for (text, value) in [
            (
                r#"{"error":{"message":"cut in the mid"#,
                json!({"error": {"message": "cut in the mid"}}),
            ),
            (r#"{"a":"b\"#, json!({"a": "b"})),
            (r#"{"a":"b\u00"#, json!({"a": "b"})),
            (r#"{"a":"b\u00e9"#, json!({"a": "bé"})),
            (r#"{"a":1,"b"#, json!({"a": 1, "b": null})),
            (r#"{"a":1,"b":"#, json!({"a": 1, "b": null})),
            (r#"{"a":1,"b":tru"#, json!({"a": 1, "b": null})),
            (r#"{"a":[1,{"b":2},"#, json!({"a": [1, {"b": 2}]})),
            (r#"[{"a":"x","#, json!([{"a": "x"}])),
        ] {
            assert_eq!(read(text), Some(value), "{text}");
        }
        for text in [r#"{"a":x"b"#, r#"{"a":1]"#, "", "words"] {
            assert_eq!(read(text), None, "{text}");
        }
    }
}
