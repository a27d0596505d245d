//! The values of the settings, read as what is meant: `"false"` is false, `"3600"` and `1h` are an hour, and every map
//! has its shapes. What cannot be read is refused by name, and never replaced by a default.

use serde_json::Value;

use super::ConfigError;
use super::checks::{company_namespace, is_dns_label, is_dns_subdomain, is_image, quantity};
use super::json::{Json, shown};
use super::map;
use super::row::{Format, Kind, Row};

/// A value that was read.
#[derive(Clone, Debug, PartialEq)]
pub(super) enum Setting {
    /// Of a text, a choice or a quantity.
    Text(String),
    Flag(bool),
    /// Seconds, bytes, or a count.
    Number(u64),
    Pairs(Vec<(String, String)>),
    Words(Vec<String>),
    /// A list or an object, or the text of one: its reader knows the type.
    List(Value),
}

/// The setting of a row in this configuration; none for the default.
pub(super) fn read(row: &Row, config: &Value) -> Result<Option<Setting>, ConfigError> {
    match find(row.key, config)? {
        // Present but empty is none, where the default is something.
        Some(value) if !is_blank(value) || matches!(row.kind, Kind::Map | Kind::List | Kind::Object) => {
            of_kind(row, value).map(Some)
        }
        _ => Ok(None),
    }
}

/// The setting of a row that is not configured; none where it has no default.
pub(super) fn default_of(row: &Row) -> Result<Option<Setting>, ConfigError> {
    match row.default.is_null() {
        true => Ok(None),
        false => of_kind(row, &row.default).map(Some),
    }
}

/// A key under its dotted name, else inside nested objects: `a.b.c` wins over `{a: {b: {c}}}`.
fn find<'a>(key: &str, config: &'a Value) -> Result<Option<&'a Value>, ConfigError> {
    let named = config.member(key);
    if !key.contains('.') {
        return Ok(named);
    }
    if let Some(value) = named.filter(|value| !is_blank(value)) {
        return Ok(Some(value));
    }
    let (mut value, mut parts, mut length) = (config, key.split('.').peekable(), 0);
    while let Some(part) = parts.next() {
        let Some(inner) = value.member(part) else {
            return Ok(None);
        };
        if parts.peek().is_none() {
            return Ok(Some(inner));
        }
        length += part.len();
        if !inner.is_object() && !is_blank(inner) {
            let problem = format!("must be an object, it is {}", shown(inner));
            return Err(ConfigError::field(key.get(..length).unwrap_or(key), problem));
        }
        (value, length) = (inner, length + 1);
    }
    Ok(None)
}

fn is_blank(value: &Value) -> bool {
    value.as_str().is_some_and(|text| text.trim().is_empty())
}

fn of_kind(row: &Row, value: &Value) -> Result<Setting, ConfigError> {
    let refuse = |problem: String| ConfigError::field(row.key, problem);
    let wrong = |wanted: &str| refuse(format!("must be {wanted}, it is {}", shown(value)));
    let bounded = |number: f64| {
        // `as` saturates: a negative number becomes 0 and a huge one stays huge.
        let whole = (number.ceil() as u64).max(row.min);
        Setting::Number(whole.min(row.max.unwrap_or(u64::MAX)))
    };
    match row.kind {
        Kind::Text => {
            let text = match value {
                Value::Number(number) if row.format == Some(Format::Id) => number.to_string(),
                _ => value
                    .as_str()
                    .map(|text| text.trim().to_owned())
                    .ok_or_else(|| wrong("a text"))?,
            };
            formatted(row.format, &text).map_err(refuse)?;
            Ok(Setting::Text(text))
        }
        Kind::Flag => flag(value)
            .map(Setting::Flag)
            .ok_or_else(|| wrong("true or false")),
        Kind::Duration => seconds(value)
            .map(bounded)
            .ok_or_else(|| wrong("a number of seconds, or a time such as 90s, 5m, 1h30m or 7d")),
        Kind::Count => number(value)
            .filter(|number| *number >= 0.0 && number.fract() == 0.0)
            .map(bounded)
            .ok_or_else(|| wrong("a whole number")),
        Kind::Bytes => size(value)
            .map(bounded)
            .ok_or_else(|| wrong("a number of bytes, or a size such as 500Mi or 2Gi")),
        Kind::Quantity => {
            let text = match value {
                Value::Number(number) => number.to_string(),
                other => other.as_str().unwrap_or_default().trim().to_owned(),
            };
            formatted(row.format, &text).map_err(refuse)?;
            match quantity(&text) {
                Some(size) if size >= row.min as f64 => Ok(Setting::Text(text)),
                _ => Err(wrong("a quantity such as 500m or 2Gi")),
            }
        }
        Kind::Choice => {
            choice(row, value).ok_or_else(|| wrong(&format!("one of {}", words_of(row).join(", "))))
        }
        Kind::Map => map::pairs(row.key, value).map(Setting::Pairs),
        Kind::Words => map::words(value).map(Setting::Words).map_err(refuse),
        Kind::List => match value {
            Value::Array(_) | Value::String(_) => Ok(Setting::List(value.clone())),
            _ => Err(wrong("a list, or JSON or YAML text of one")),
        },
        Kind::Object => match value {
            Value::Object(_) | Value::String(_) => Ok(Setting::List(value.clone())),
            _ => Err(wrong("an object, or JSON or YAML text of one")),
        },
    }
}

/// The words of a choice, without the empty one that stands for the default.
fn words_of(row: &Row) -> Vec<&'static str> {
    let words = row.options.iter().map(|option| option.value);
    words.filter(|word| !word.is_empty()).collect()
}

fn choice(row: &Row, value: &Value) -> Option<Setting> {
    let text = value.as_str()?.trim();
    let found = words_of(row)
        .into_iter()
        .find(|word| word.eq_ignore_ascii_case(text))?;
    Some(Setting::Text(found.to_owned()))
}

fn formatted(format: Option<Format>, text: &str) -> Result<(), String> {
    let (fits, wanted) = match format {
        None => return Ok(()),
        Some(Format::Path) => (text.starts_with('/'), "must be an absolute path"),
        Some(Format::Namespace) => (
            is_dns_label(&company_namespace(text, "c")),
            "must be a namespace (lower-case letters, digits and `-`, at most 63)",
        ),
        Some(Format::Name) => (
            is_dns_subdomain(text),
            "must be a name of Kubernetes (lower-case letters, digits, `-` and `.`)",
        ),
        Some(Format::Word) => (
            !text.starts_with('-'),
            "cannot begin with `-`, where opencode sees an option",
        ),
        Some(Format::Bytes) => (
            !is_part_of_a_byte(text),
            "must be a size such as 500Mi or 2Gi (`m` is a thousandth)",
        ),
        Some(Format::Image) => (
            is_image(text),
            "must be a name of an image such as registry.example.com/opencode:1.0",
        ),
        Some(Format::Id) => (
            text == "none" || text.parse().is_ok_and(|id: i32| id > 0),
            "must be a number above 0, or none for the namespace's own",
        ),
    };
    match fits {
        true => Ok(()),
        false => Err(format!("{wanted}, it is {text:?}")),
    }
}

fn flag(value: &Value) -> Option<bool> {
    let said = |word: &str| {
        value
            .as_str()
            .is_some_and(|text| text.trim().eq_ignore_ascii_case(word))
    };
    match value {
        Value::Bool(flag) => Some(*flag),
        _ if said("true") => Some(true),
        _ if said("false") => Some(false),
        _ => None,
    }
}

/// A finite number, also as text.
fn number(value: &Value) -> Option<f64> {
    let number = value.as_f64().or_else(|| value.as_str()?.trim().parse().ok())?;
    number.is_finite().then_some(number)
}

fn seconds(value: &Value) -> Option<f64> {
    number(value).or_else(|| time(value.as_str()?.trim()))
}

/// The seconds of a text such as `90s`, `1h30m` or `1.5d`.
fn time(text: &str) -> Option<f64> {
    let (mut rest, mut sum) = (text, 0.0);
    while !rest.is_empty() {
        let digits = rest.find(|c: char| !c.is_ascii_digit() && c != '.')?;
        let (number, unit) = rest.split_at(digits);
        let scale = match unit.chars().next()? {
            's' => 1.0,
            'm' => 60.0,
            'h' => 3_600.0,
            'd' => 86_400.0,
            'w' => 604_800.0,
            _ => return None,
        };
        sum += number.parse::<f64>().ok()? * scale;
        rest = unit.get(1..)?.trim_start();
    }
    (!text.is_empty()).then_some(sum)
}

fn size(value: &Value) -> Option<f64> {
    let of_text = |text: &str| quantity(text).filter(|_| !is_part_of_a_byte(text));
    number(value).or_else(|| of_text(value.as_str()?.trim()))
}

/// Whoever writes `500m` for bytes means `500Mi`, and Kubernetes would read half a byte.
fn is_part_of_a_byte(text: &str) -> bool {
    text.ends_with(['m', 'u', 'n'])
}

#[cfg(test)]
mod tests {
    use super::super::row::rows;
    use super::*;
    use serde_json::json;

    fn of(key: &str, config: Value) -> Result<Option<Setting>, String> {
        let row = rows().iter().find(|row| row.key == key).expect("a row");
        let read = read(row, &config).map_err(|error| error.to_string())?;
        Ok(read.or(default_of(row).expect("a default")))
    }

    #[test]
    fn every_default_can_be_read() {
        for row in rows() {
            let default = default_of(row).expect(row.key);
            assert_eq!(default.is_none(), row.default.is_null(), "{}", row.key);
        }
    }

    #[test]
    fn booleans_and_numbers_mean_what_they_say_also_as_text() {
        let flag = |value: Value| {
            of(
                "dangerouslySkipPermissions",
                json!({"dangerouslySkipPermissions": value}),
            )
        };
        for (value, meant) in [
            (json!(false), false),
            (json!("false"), false),
            (json!(" True "), true),
            (json!(""), true),
        ] {
            assert_eq!(flag(value.clone()), Ok(Some(Setting::Flag(meant))), "{value}");
        }
        for value in [json!("no way"), json!(0), json!([])] {
            let refused = flag(value.clone()).expect_err("refused");
            assert!(
                refused.starts_with("dangerouslySkipPermissions must be true or false, it is"),
                "{refused}"
            );
        }
        let seconds = |value: Value| of("timeoutSec", json!({"timeoutSec": value}));
        let table = [
            (json!(3600), 3600),
            (json!("3600"), 3600),
            (json!("1h"), 3600),
            (json!(" 1h30m "), 5400),
            (json!("7d"), 604_800),
            (json!("90s"), 90),
            (json!(1.5), 2),
            (json!("1.5m"), 90),
            (json!(-5), 0),
            (json!(0), 0),
            (json!(""), 0),
            (json!(null), 0),
            (json!(1e300), 2_147_483_647),
            (json!("99999999999d"), 2_147_483_647),
        ];
        for (value, meant) in table {
            assert_eq!(
                seconds(value.clone()),
                Ok(Some(Setting::Number(meant))),
                "{value}"
            );
        }
        for value in [
            json!("soon"),
            json!("5 apples"),
            json!("m"),
            json!("1y"),
            json!([]),
            json!(true),
            json!("inf"),
        ] {
            let refused = seconds(value.clone()).expect_err("refused");
            assert!(
                refused.starts_with("timeoutSec must be a number of seconds, or"),
                "{refused}"
            );
        }
    }

    #[test]
    fn sizes_have_units() {
        let bytes = |value: Value| of("maxLogBytes", json!({"maxLogBytes": value}));
        for (value, meant) in [
            (json!("2Gi"), 2 << 30),
            (json!("500M"), 500_000_000),
            (json!(5), 5),
            (json!(1e300), 1 << 53),
        ] {
            assert_eq!(bytes(value.clone()), Ok(Some(Setting::Number(meant))), "{value}");
        }
        assert!(bytes(json!("lots")).is_err());
        assert!(of("agentDbStorageCapacity", json!({"agentDbStorageCapacity": "0"})).is_err());
        let cpu = of(
            "resources.limits.cpu",
            json!({"resources": {"limits": {"cpu": 2}}}),
        );
        assert_eq!(cpu, Ok(Some(Setting::Text("2".to_owned()))));
    }

    #[test]
    fn dotted_wins_over_nested_and_what_is_no_object_is_refused() {
        let both = json!({"resources.requests.cpu": "250m", "resources": {"requests": {"cpu": "9"}}});
        assert_eq!(
            of("resources.requests.cpu", both),
            Ok(Some(Setting::Text("250m".to_owned())))
        );
        for (config, field) in [
            (json!({"resources": "bad"}), "resources must be an object"),
            (
                json!({"resources": {"requests": [1]}}),
                "resources.requests must be an object",
            ),
        ] {
            let refused = of("resources.requests.cpu", config).expect_err("refused");
            assert!(refused.starts_with(field), "{refused}");
        }
    }

    #[test]
    fn a_choice_is_one_of_its_words() {
        let policy = |value: &str| of("imagePullPolicy", json!({"imagePullPolicy": value}));
        assert_eq!(policy("always"), Ok(Some(Setting::Text("Always".to_owned()))));
        assert_eq!(policy(""), Ok(Some(Setting::Text("IfNotPresent".to_owned()))));
        assert!(policy("Sometimes").is_err_and(|said| said.contains("IfNotPresent, Always, Never")));
        assert_eq!(of("agentDbMode", json!({"agentDbMode": ""})), Ok(None));
    }
}
