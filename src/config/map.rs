//! The shapes of maps and lists of texts: as the host stores them, and as people write them into a text field.

use serde_json::Value;

use super::ConfigError;
use super::json::{kind, shown};

/// Names and texts: an object, JSON text of one, or lines `name=value` or `name: value` (`#` begins a comment line).
///
/// # Errors
/// Names the field, and the line or entry that is none of these.
pub(super) fn pairs(field: &str, value: &Value) -> Result<Vec<(String, String)>, ConfigError> {
    let refuse = |problem: String| ConfigError::field(field, problem);
    match value {
        Value::Object(entries) => {
            let entries = entries.iter().filter(|(_, value)| !value.is_null());
            entries
                .map(|(name, value)| Ok((name.clone(), scalar(field, name, value)?)))
                .collect()
        }
        Value::String(text) if text.trim_start().starts_with('{') => match serde_json::from_str(text) {
            Ok(object) => pairs(field, &object),
            Err(error) => Err(refuse(format!(
                "must be JSON, or lines such as `name: value`: {error}"
            ))),
        },
        Value::String(text) => {
            let lines = text.lines().enumerate().filter(|(_, line)| !is_remark(line));
            let mut lines = lines.peekable();
            let mut pairs = Vec::new();
            while let Some((at, line)) = lines.next() {
                let below = lines.peek().map(|(_, below)| *below);
                let read = pair(line).and_then(|pair| is_flat(line, below).map(|()| pair));
                pairs.push(read.map_err(|problem| {
                    let shown = shown(&Value::from(line.trim()));
                    refuse(format!("cannot be read in line {}: {shown} {problem}", at + 1))
                })?);
            }
            Ok(pairs)
        }
        other => Err(refuse(format!(
            "must be an object, or lines such as `name: value`, it is {}",
            shown(other)
        ))),
    }
}

fn scalar(field: &str, name: &str, value: &Value) -> Result<String, ConfigError> {
    match value {
        Value::String(text) => Ok(text.clone()),
        Value::Number(_) | Value::Bool(_) => Ok(value.to_string()),
        other => {
            let problem = format!("must be a text, it is {}", kind(other));
            Err(ConfigError::field(format!("{field}.{name}"), problem))
        }
    }
}

fn is_remark(line: &str) -> bool {
    let line = line.trim();
    line.is_empty() || line.starts_with('#') || line == "---"
}

/// A map that was copied from a manifest with its name: the lines below it are of the map, and its name is no entry.
fn is_flat(line: &str, below: Option<&str>) -> Result<(), &'static str> {
    let indent = |line: &str| line.len() - line.trim_start().len();
    let opens = line
        .split(" #")
        .next()
        .is_some_and(|line| line.trim_end().ends_with(':'));
    if opens && below.is_some_and(|below| indent(below) > indent(line)) {
        return Err("has a map below it; write the lines of that map alone");
    }
    Ok(())
}

/// The first separator counts: neither `=` nor `:` can be in a name of Kubernetes.
fn pair(line: &str) -> Result<(String, String), &'static str> {
    if let Some((name, value)) = after_quotes(line.trim()) {
        return Ok((yaml_scalar(name)?, yaml_scalar(value)?));
    }
    let separated = line
        .split_once(['=', ':'])
        .map(|(name, value)| (name, value.trim()));
    let found = separated.filter(|(name, _)| !name.trim().is_empty());
    let (name, value) = found.ok_or("must be name=value or name: value")?;
    let is_yaml = line.get(name.len()..).is_some_and(|rest| rest.starts_with(':'));
    let value = if is_yaml {
        yaml_scalar(value)?
    } else {
        value.to_owned()
    };
    Ok((name.trim().to_owned(), value))
}

/// A name in YAML's quotes, still in them, and its value.
fn after_quotes(line: &str) -> Option<(&str, &str)> {
    let quote = line.chars().next().filter(|c| matches!(c, '"' | '\''))?;
    let (end, _) = line.char_indices().skip(2).find(|(_, c)| *c == quote)?;
    let (name, rest) = line.split_at_checked(end + quote.len_utf8())?;
    Some((name, rest.trim_start().strip_prefix(':')?.trim()))
}

/// What YAML says of a text in quotes; of another one what stands before the comment behind it.
fn yaml_scalar(value: &str) -> Result<String, &'static str> {
    if value.starts_with(['"', '\'']) {
        return serde_saphyr::from_str(value).map_err(|_| "has quotes that YAML cannot read");
    }
    let plain = match value.split_once(" #") {
        Some((value, _)) => value.trim_end(),
        None if value.starts_with('#') => "",
        None => value,
    };
    let block = plain.strip_prefix(['|', '>']);
    if block.is_some_and(|signs| signs.chars().all(|c| matches!(c, '+' | '-' | '1'..='9'))) {
        return Err("begins a text of several lines; write it in quotes, with \\n");
    }
    Ok(plain.to_owned())
}

/// Texts: a list, JSON text of one, or words. Blanks or commas before blanks separate words, quotes join them.
///
/// # Errors
/// Says what is wrong with the value.
pub(super) fn words(value: &Value) -> Result<Vec<String>, String> {
    match value {
        Value::Array(items) => {
            let word = |item: &Value| match item {
                Value::String(text) => Ok(text.clone()),
                Value::Number(_) | Value::Bool(_) => Ok(item.to_string()),
                other => Err(format!("must be a list of texts, an entry is {}", kind(other))),
            };
            items.iter().map(word).collect()
        }
        Value::String(text) if text.trim_start().starts_with('[') => match serde_json::from_str(text) {
            Ok(list) => words(&list),
            Err(error) => Err(format!("must be a JSON list of texts, or words: {error}")),
        },
        Value::String(text) => split(text),
        other => Err(format!("must be a list of texts, it is {}", shown(other))),
    }
}

fn split(text: &str) -> Result<Vec<String>, String> {
    let mut words = Vec::new();
    let mut word: Option<String> = None;
    let mut quote = None;
    let mut rest = text.chars().peekable();
    while let Some(c) = rest.next() {
        let ends = c.is_whitespace() || (c == ',' && rest.peek().is_none_or(|next| next.is_whitespace()));
        match quote {
            Some(open) if c == open => quote = None,
            Some(_) => word.get_or_insert_default().push(c),
            None if ends => words.extend(word.take()),
            None if c == '"' || c == '\'' => {
                quote = Some(c);
                word.get_or_insert_default();
            }
            None => word.get_or_insert_default().push(c),
        }
    }
    match quote {
        Some(open) => Err(format!("has a quote {open} without its end")),
        None => {
            words.extend(word);
            Ok(words)
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn read(value: Value) -> Result<Vec<(String, String)>, String> {
        pairs("labels", &value).map_err(|error| error.to_string())
    }

    fn pair(name: &str, value: &str) -> (String, String) {
        (name.to_owned(), value.to_owned())
    }

    #[test]
    fn every_shape_of_a_map_says_the_same() {
        let meant = Ok(vec![pair("disktype", "ssd"), pair("k/x", "2")]);
        for value in [
            json!({"disktype": "ssd", "k/x": 2}),
            json!({"disktype": "ssd", "gone": null, "k/x": "2"}),
            json!(r#"{"disktype": "ssd", "k/x": "2"}"#),
            json!("disktype: ssd\nk/x: \"2\""),
            json!("---\ndisktype: ssd # fast\n\n# remark\r\n k/x : '2'\r\n"),
            json!("disktype=ssd\n# remark\n k/x = 2 "),
            json!("disktype:ssd\nk/x=2"),
            json!("\"disktype\": \"ssd\"\n'k/x' : 2"),
        ] {
            assert_eq!(read(value.clone()), meant, "{value}");
        }
        assert_eq!(read(json!("")), Ok(vec![]));
        assert_eq!(read(json!({})), Ok(vec![]));
    }

    #[test]
    fn the_first_separator_counts() {
        let text = "url=http://x: y\nnote: a=b\nempty=\nsame:";
        let meant = vec![
            pair("url", "http://x: y"),
            pair("note", "a=b"),
            pair("empty", ""),
            pair("same", ""),
        ];
        assert_eq!(read(json!(text)), Ok(meant));
    }

    #[test]
    fn quotes_are_those_of_yaml() {
        for (line, value) in [
            (r#"a: "say \"hi\"""#, r#"say "hi""#),
            (r#"a: "{\"x\": 1}" # json"#, r#"{"x": 1}"#),
            (r#"a: "one\ntwo""#, "one\ntwo"),
            ("a: 'it''s'", "it's"),
            ("a: '1.10'", "1.10"),
            ("a: \"\"", ""),
            (r#"a: {"x": 1}"#, r#"{"x": 1}"#),
            ("a: say \"hi\"", "say \"hi\""),
            ("a: *", "*"),
            ("a: > b", "> b"),
        ] {
            assert_eq!(read(json!(line)), Ok(vec![pair("a", value)]), "{line}");
        }
        for line in ["a: \"b\" c", "a: \"b", "a: 'it's'", "a: |\n  b: c", "a: >-\n  b"] {
            let refused = read(json!(line)).expect_err(line);
            assert!(
                refused.starts_with("labels cannot be read in line 1: "),
                "{refused}"
            );
        }
    }

    #[test]
    fn a_map_that_was_copied_with_its_name_is_refused() {
        for text in ["nodeSelector:\n  a: b", "---\nx: # remark\n\n  # remark\n  a: b"] {
            let refused = read(json!(text)).expect_err(text);
            assert!(refused.contains("\" has a map below it"), "{refused}");
        }
        let meant = Ok(vec![pair("a", ""), pair("b", "c")]);
        for text in ["a:\nb: c", "  a:\n  b: c", "a=\n b: c", " a: ''\n  b: c"] {
            assert_eq!(read(json!(text)), meant, "{text}");
        }
    }

    #[test]
    fn what_is_no_pair_is_refused_with_its_line() {
        let refused = read(json!("a=b\nbad")).expect_err("refused");
        assert_eq!(
            refused,
            "labels cannot be read in line 2: \"bad\" must be name=value or name: value"
        );
        for value in [
            json!(42),
            json!(["x"]),
            json!(true),
            json!("{bad json"),
            json!("=x"),
        ] {
            let refused = read(value.clone()).expect_err("refused");
            assert!(refused.starts_with("labels "), "{refused}");
        }
        let nested = read(json!({"a": {"b": "c"}})).expect_err("refused");
        assert_eq!(nested, "labels.a must be a text, it is an object");
    }

    #[test]
    fn words_are_a_list_json_or_a_line() {
        let meant = ["--title", "a b", "--x=1,2"].map(str::to_owned).to_vec();
        for value in [
            json!(["--title", "a b", "--x=1,2"]),
            json!(r#"["--title", "a b", "--x=1,2"]"#),
            json!("--title 'a b' --x=1,2"),
            json!("--title, \"a b\", --x=1,2"),
        ] {
            assert_eq!(words(&value), Ok(meant.clone()), "{value}");
        }
        assert_eq!(words(&json!(" ")), Ok(vec![]));
        assert_eq!(words(&json!("a ''")), Ok(vec!["a".to_owned(), String::new()]));
        for value in [json!("a 'b"), json!([{}]), json!(5), json!("[1,")] {
            assert!(words(&value).is_err(), "{value}");
        }
    }
}
