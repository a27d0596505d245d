//! Reading single fields of the raw configuration. Fields that the TypeScript adapter had keep its reading: a value of
//! the wrong type counts as absent. Fields that are new are strict, and also accept the text that a form stores.

use super::{ConfigError, Json};

/// The raw configuration under its field names.
#[derive(Clone, Copy)]
pub(super) struct Fields<'a>(pub(super) &'a Json);

impl<'a> Fields<'a> {
    /// A text as it is, when it is one and not empty.
    pub(super) fn text(self, key: &str) -> Option<&'a str> {
        self.0.text(key)
    }

    /// A number, or the default for anything else.
    pub(super) fn lenient_number(self, key: &str, default: f64) -> f64 {
        self.0.get(key).and_then(Json::as_f64).unwrap_or(default)
    }

    /// A boolean, or the default for anything else.
    pub(super) fn lenient_flag(self, key: &str, default: bool) -> bool {
        self.0.get(key).and_then(Json::as_bool).unwrap_or(default)
    }

    /// A duration in whole seconds (fractions are rounded up); negative counts as 0.
    pub(super) fn seconds(self, key: &str, default: u64) -> Result<u64, ConfigError> {
        Ok(self.number(key)?.map_or(default, whole))
    }

    /// A number, also as text.
    pub(super) fn number(self, key: &str) -> Result<Option<f64>, ConfigError> {
        let Some(value) = self.present(key) else {
            return Ok(None);
        };
        let number = value
            .as_f64()
            .or_else(|| value.as_str()?.trim().parse().ok())
            .filter(|n| n.is_finite());
        match number {
            Some(number) => Ok(Some(number)),
            None => Err(ConfigError::field(
                key,
                format!("must be a number, it is {}", shown(value)),
            )),
        }
    }

    /// A boolean, also as text.
    pub(super) fn flag(self, key: &str, default: bool) -> Result<bool, ConfigError> {
        let Some(value) = self.present(key) else {
            return Ok(default);
        };
        match (value.as_bool(), value.as_str().map(str::trim)) {
            (Some(flag), _) => Ok(flag),
            (None, Some("true")) => Ok(true),
            (None, Some("false")) => Ok(false),
            _ => Err(ConfigError::field(
                key,
                format!("must be true or false, it is {}", shown(value)),
            )),
        }
    }

    /// A field that is there, not `null` and not an empty text.
    pub(super) fn present(self, key: &str) -> Option<&'a Json> {
        self.0
            .get(key)
            .filter(|value| value.as_str().is_none_or(|text| !text.trim().is_empty()))
    }

    /// A field under its dotted name, else inside nested objects: `a.b.c` wins over `{a:{b:{c}}}`.
    pub(super) fn dotted(self, path: &str) -> Option<&'a Json> {
        self.present(path).or_else(|| {
            let nested = path.split('.').try_fold(self.0, |value, key| value.get(key))?;
            nested
                .as_str()
                .is_none_or(|text| !text.trim().is_empty())
                .then_some(nested)
        })
    }
}

/// A number of seconds as whole seconds, rounded up, never negative.
pub(super) fn whole(number: f64) -> u64 {
    // `as` saturates: a negative number becomes 0 and a huge one stays huge.
    number.ceil() as u64
}

/// Pairs of texts from an object, from JSON text of one, or from lines `key=value` (`#` starts a comment line).
/// What is neither is left out.
pub(super) fn pairs(value: Option<&Json>) -> Vec<(String, String)> {
    let texts = |object: &Json| {
        let entries = object.entries().iter();
        entries
            .filter_map(|(key, value)| Some((key.clone(), value.as_str()?.to_owned())))
            .collect()
    };
    let Some(value) = value else { return Vec::new() };
    let Some(text) = value.as_str().map(str::trim) else {
        return texts(value);
    };
    if let Some(object @ Json::Object(_)) = Json::parse(text) {
        return texts(&object);
    }
    let lines = text.lines().map(str::trim).filter(|line| !line.starts_with('#'));
    let pairs = lines.filter_map(|line| line.split_once('='));
    let pairs = pairs.map(|(key, value)| (key.trim().to_owned(), value.trim().to_owned()));
    pairs.filter(|(key, _)| !key.is_empty()).collect()
}

/// A value for an error message: a short text as it is, else its kind.
pub(super) fn shown(value: &Json) -> String {
    match value {
        Json::String(text) if text.chars().count() <= 60 => format!("{text:?}"),
        Json::Number(number) => number.to_string(),
        other => other.kind().to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pairs_come_from_objects_json_text_and_lines() {
        let read = |text: &str| pairs(Json::parse(text).as_ref());
        let pair = |key: &str, value: &str| (key.to_owned(), value.to_owned());
        assert_eq!(read(r#"{"a":1,"b":"x"}"#), [pair("b", "x")]);
        assert_eq!(read(r#""{\"k\":\"v\"}""#), [pair("k", "v")]);
        assert_eq!(
            read(r#""a=b\n# c\n\r\n k/x = y=z \nbad\n=x\ny=""#),
            [pair("a", "b"), pair("k/x", "y=z"), pair("y", "")]
        );
        assert!(read("42").is_empty() && read(r#"["x"]"#).is_empty() && read(r#""{bad json""#).is_empty());
    }

    #[test]
    fn seconds_are_whole_and_strict_where_new() {
        let config = Json::parse(r#"{"a":1.2,"b":"30","c":-4,"d":"soon","e":"","f":true}"#).expect("valid");
        let fields = Fields(&config);
        assert_eq!(fields.seconds("a", 9), Ok(2));
        assert_eq!(fields.seconds("b", 9), Ok(30));
        assert_eq!(fields.seconds("c", 9), Ok(0));
        assert_eq!(fields.seconds("e", 9), Ok(9));
        assert_eq!(fields.seconds("x", 9), Ok(9));
        let message = fields.seconds("d", 9).expect_err("refused").to_string();
        assert_eq!(
            message,
            "adapter configuration: d must be a number, it is \"soon\""
        );
        assert_eq!(fields.flag("f", false), Ok(true));
        assert!(fields.flag("b", false).is_err());
        assert_eq!(fields.lenient_number("b", 5.0), 5.0);
    }

    #[test]
    fn dotted_wins_over_nested() {
        let config = Json::parse(r#"{"a.b":"dot","a":{"b":"nest","c":"nest"},"d":"bad"}"#).expect("valid");
        let read = |path: &str| Fields(&config).dotted(path).and_then(Json::as_str);
        assert_eq!(read("a.b"), Some("dot"));
        assert_eq!(read("a.c"), Some("nest"));
        assert_eq!(read("d.e"), None);
    }
}
