//! Finds what programs write into their errors: JSON, what Python prints of the same, and XML. Pure.

use serde_json::Value;

mod cut;
mod xml;

/// Where the first document of a program begins in a text: a bracket and a quote behind it, or an element of XML.
pub(super) fn find(text: &str) -> Option<usize> {
    text.match_indices(['{', '<']).map(|(at, _)| at).find(|&at| {
        let begun = text.get(at..).unwrap_or_default();
        let behind = begun.strip_prefix('{').unwrap_or_default();
        behind.trim_start().starts_with(['"', '\'']) || xml::may_begin(begun)
    })
}

/// The document that the text begins with, and where it ends; else how much of the text was read in vain.
pub(super) fn read(text: &str) -> Result<(Value, usize), usize> {
    if text.starts_with('<') {
        let found = Some(text).filter(|text| xml::may_begin(text)).and_then(xml::read);
        return found.ok_or(text.len());
    }
    let mut values = serde_json::Deserializer::from_str(text).into_iter::<Value>();
    let wasted = match values.next() {
        Some(Ok(value)) => return Ok((value, values.byte_offset())),
        Some(Err(error)) => bytes_before(&error, text),
        None => 0,
    };
    if !is_repr(text) {
        return Err(wasted);
    }
    let (json, end) = json_of_repr(text).ok_or(text.len())?;
    let end = end.ok_or(text.len())?;
    serde_json::from_str(&json).map_or(Err(text.len()), |value| Ok((value, end)))
}

/// As much as there is of a document of JSON or Python that the text begins with, and that is cut off at its end:
/// `wasted` tells how much of it was read in vain.
pub(super) fn read_cut(text: &str, wasted: usize) -> Option<Value> {
    if wasted < text.len() {
        return None;
    }
    match is_repr(text) {
        false => cut::read(text),
        true => cut::read(&json_of_repr(text)?.0),
    }
}

/// Whether an object has the quotes of Python.
pub(super) fn is_repr(text: &str) -> bool {
    let inside = text.trim_start_matches(['[', '(']);
    inside
        .strip_prefix('{')
        .is_some_and(|inside| inside.trim_start().starts_with('\''))
}

/// All documents of a text, from the first to the last, as far as they can be read.
pub(super) fn all(text: &str) -> Vec<Value> {
    let (mut found, mut rest, mut wasted) = (Vec::new(), text, 0);
    while let Some(at) = find(rest).filter(|_| wasted < MAX_READS * text.len()) {
        let object = rest.get(at..).unwrap_or_default();
        let end = match read(object) {
            Ok((value, end)) => {
                found.push(value);
                end
            }
            Err(bytes) => match read_cut(object, bytes) {
                Some(value) => {
                    found.push(value);
                    object.len()
                }
                None => {
                    wasted += bytes;
                    1
                }
            },
        };
        rest = object.get(end..).unwrap_or_default();
    }
    found
}

/// How often a text is read for its documents, those together that cannot be read: each may be in the one before.
pub(super) const MAX_READS: usize = 2;

/// How much of a text was read until this error.
fn bytes_before(error: &serde_json::Error, text: &str) -> usize {
    let lines = text.split_inclusive('\n').take(error.line().saturating_sub(1));
    lines.map(str::len).sum::<usize>() + error.column()
}

/// The JSON of what Python prints of a dictionary or a list, and where that ends, if it does.
fn json_of_repr(text: &str) -> Option<(String, Option<usize>)> {
    let mut json = String::new();
    let mut depth = 0_usize;
    let mut chars = text.char_indices().peekable();
    while let Some((at, c)) = chars.next() {
        match c {
            '\'' | '"' => {
                json.push('"');
                loop {
                    let Some((_, inside)) = chars.next() else {
                        return Some((json, None));
                    };
                    match inside {
                        end if end == c => break,
                        '"' => json.push_str("\\\""),
                        '\\' => match chars.next().map_or('\\', |(_, escaped)| escaped) {
                            quote @ ('\'' | '"') if quote == '\'' => json.push(quote),
                            // Two digits where JSON has four.
                            'x' => json.push_str("\\u00"),
                            escaped => json.extend(['\\', escaped]),
                        },
                        control if control.is_control() => json.push(' '),
                        other => json.push(other),
                    }
                }
                json.push('"');
            }
            '{' | '[' | '(' => {
                depth += 1;
                json.push(if c == '(' { '[' } else { c });
            }
            '}' | ']' | ')' => {
                json.push(if c == ')' { ']' } else { c });
                depth = depth.checked_sub(1)?;
                if depth == 0 {
                    return Some((json, Some(at + c.len_utf8())));
                }
            }
            'b' if chars.peek().is_some_and(|(_, quote)| matches!(quote, '\'' | '"')) => {}
            c if c.is_ascii_alphabetic() => {
                let mut word = c.to_string();
                while let Some((_, more)) = chars.next_if(|(_, more)| more.is_ascii_alphanumeric()) {
                    word.push(more);
                }
                json.push_str(match word.as_str() {
                    "None" => "null",
                    "True" => "true",
                    "False" => "false",
                    _ => return None,
                });
            }
            c => json.push(c),
        }
    }
    Some((json, None))
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn what_python_prints_is_read() {
        let text = r#"{'a': "it's", 'b': 'a "word" \'q\' \xe9 \\', 'c': [None, True, -1.5, (1, 2)], 'd': b'x'} rest"#;
        let (value, end) = read(text).expect("a document");
        let wanted =
            json!({"a": "it's", "b": "a \"word\" 'q' é \\", "c": [null, true, -1.5, [1, 2]], "d": "x"});
        assert_eq!((value, text.get(end..)), (wanted, Some(" rest")));
        for broken in ["{'a': x}", "{'a'", "{'a': 'b", "{'a')}", "{'"] {
            assert!(read(broken).is_err(), "{broken}");
        }
    }

    #[test]
    fn documents_are_found_behind_words() {
        let found = all("x {y} {'a': 1} and {\n \"b\": {\"c\": 2}} {\"cut");
        assert_eq!(
            found,
            [json!({"a": 1}), json!({"b": {"c": 2}}), json!({"cut": null})]
        );
        let cut = "400 - {'error': {'code': 'x', 'message': 'it\\'s cut in th";
        assert_eq!(
            all(cut),
            [json!({"error": {"code": "x", "message": "it's cut in th"}})]
        );
        let xml = "403: <Error><Code>No</Code></Error>, {\"a\":1}";
        assert_eq!(all(xml), [json!({"Code": "No"}), json!({"a": 1})]);
    }
}
