//! Reading JSON of the host: `null` equals absent, and so does a value of another type than the asked one.

use serde::de::DeserializeOwned;
use serde_json::{Map, Value};

/// What a reader asks of a JSON value.
pub trait Json {
    /// The value under `key`, when this is an object that has it and it is not `null`.
    fn member(&self, key: &str) -> Option<&Value>;

    /// The text under `key`, when there is one that is not empty.
    fn text(&self, key: &str) -> Option<&str> {
        let text = self.member(key)?.as_str()?;
        (!text.is_empty()).then_some(text)
    }

    /// The text under `key` without the white space around it, when something is left.
    fn trimmed(&self, key: &str) -> Option<&str> {
        let text = self.member(key)?.as_str()?.trim();
        (!text.is_empty()).then_some(text)
    }
}

impl Json for Value {
    fn member(&self, key: &str) -> Option<&Value> {
        self.get(key).filter(|value| !value.is_null())
    }
}

/// Reads JSON text whose fields all have defaults.
///
/// # Errors
/// Names the field that has another type than it must have.
pub fn read_named<T: DeserializeOwned>(text: &str) -> Result<T, String> {
    serde_json::from_str(text).map_err(|error| {
        let value = serde_json::from_str(text).ok();
        value
            .and_then(|value| misread_field::<T>(&value))
            .unwrap_or_else(|| error.to_string())
    })
}

/// What is wrong with a YAML text, and where, in one line: what quotes the text would show what it holds.
pub(super) fn yaml_problem(error: &serde_saphyr::Error) -> String {
    let words = error.to_string();
    let line = words.lines().next().unwrap_or_default();
    line.strip_prefix("error: ").unwrap_or(line).to_owned()
}

/// What is wrong with the first field that cannot be read even alone.
fn misread_field<T: DeserializeOwned>(value: &Value) -> Option<String> {
    let only = |key: &str, value: Value| Value::Object(Map::from_iter([(key.to_owned(), value)]));
    value.as_object()?.iter().find_map(|(key, inner)| {
        let error = serde_json::from_value::<T>(only(key, inner.clone()))
            .err()?
            .to_string();
        // Where no object can stand, none of its fields is to blame.
        let takes_objects = serde_json::from_value::<T>(only(key, Value::Object(Map::new()))).is_ok();
        let fields = inner.as_object().filter(|_| takes_objects).into_iter().flatten();
        let deeper = fields.map(|(name, field)| (name, only(key, only(name, field.clone()))));
        let named = deeper
            .filter(|(_, alone)| serde_json::from_value::<T>(alone.clone()).is_err())
            .map(|(name, _)| format!("{key}.{name}"))
            .next();
        let field = named.unwrap_or_else(|| key.clone());
        let says_so = error.starts_with(&field);
        Some(if says_so {
            error
        } else {
            format!("{field}: {error}")
        })
    })
}

/// The elements of a list; none for anything else.
pub(crate) fn items(value: &Value) -> &[Value] {
    value.as_array().map(Vec::as_slice).unwrap_or_default()
}

/// What kind of value this is, for messages.
pub(crate) fn kind(value: &Value) -> &'static str {
    match value {
        Value::Null => "null",
        Value::Bool(_) => "a boolean",
        Value::Number(_) => "a number",
        Value::String(_) => "a text",
        Value::Array(_) => "a list",
        Value::Object(_) => "an object",
    }
}

/// A value for a message: a short text as it is, a number or a boolean, else its kind.
pub(super) fn shown(value: &Value) -> String {
    match value {
        Value::String(text) if text.chars().count() <= 60 => format!("{text:?}"),
        Value::Number(_) | Value::Bool(_) => value.to_string(),
        other => kind(other).to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parse(text: &str) -> Value {
        serde_json::from_str(text).expect("valid")
    }

    #[test]
    fn order_and_text_survive() {
        let text = r#"{"z":1,"a":[true,null,-2,0.5,"\u001f é"],"m":{"y":{},"x":[]}}"#;
        assert_eq!(parse(text).to_string(), text);
    }

    #[test]
    fn the_last_of_equal_keys_counts_and_null_is_absent() {
        let value = parse(r#"{"a":1,"b":null,"a":"x"}"#);
        assert_eq!(value.text("a"), Some("x"));
        assert_eq!(value.member("b"), None);
        assert_eq!(value.member("c"), None);
        assert_eq!(Value::Null.member("a"), None);
    }

    #[test]
    fn an_object_in_the_place_of_a_text_is_named_and_not_its_field() {
        #[derive(Debug, Default, serde::Deserialize)]
        #[serde(default)]
        struct Request {
            port: Option<String>,
            agent: Agent,
        }
        #[derive(Debug, Default, serde::Deserialize)]
        #[serde(default)]
        struct Agent {
            id: String,
        }
        let said = |text: &str| read_named::<Request>(text).expect_err("refused");
        assert!(said(r#"{"port":{"k":1}}"#).starts_with("port: invalid type: map"));
        assert!(said(r#"{"agent":{"id":1}}"#).starts_with("agent.id: invalid type"));
    }

    #[test]
    fn a_context_of_many_keys_is_read_in_one_pass() {
        let entries: Vec<String> = (0..80_000).map(|key| format!(r#""k{key}":{key}"#)).collect();
        let text = format!("{{{}}}", entries.join(","));
        // Comparing each key with all before it takes minutes, and whoever waits for it sees it.
        assert_eq!(parse(&text)["k79999"], 79_999);
    }
}
