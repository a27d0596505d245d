//! A JSON value of which only so much is kept. What describes an error is small; a hostile line is not, and building
//! all of its 15 MiB took 1.35 GB.

use std::borrow::Cow;
use std::fmt;

use serde::de::{
    Deserialize, DeserializeSeed, Deserializer, Error, IgnoredAny, MapAccess, SeqAccess, Visitor,
};
use serde_json::{Number, Value};

use super::bounded;
use super::lenient::Key;

/// Most values that are built, all levels together.
const VALUES: usize = 256;
/// Most bytes of text in them, keys included, but for the short ones.
const TEXT: usize = 64 << 10;
/// Most bytes of one text: what stands behind a long one, such as a status, says more than its end.
const LONG: usize = 16 << 10;
/// Bytes of a text that are kept in any case.
const SHORT: usize = 256;
/// Levels below the value itself.
const DEPTH: usize = 16;

/// A value with what is over the bounds left out of it. Its texts are the line's own, so that a stream of errors is not
/// a stream of allocations.
#[derive(Debug, Default, Clone, PartialEq)]
pub(crate) enum SmallValue<'a> {
    /// `null`, and a field that is not there.
    #[default]
    Null,
    Bool(bool),
    Number(Number),
    Text(Cow<'a, str>),
    List(Vec<SmallValue<'a>>),
    /// In the order of the line; of two equal keys the last counts.
    Fields(Vec<(Cow<'a, str>, SmallValue<'a>)>),
}

impl<'a> SmallValue<'a> {
    /// The value behind these keys, each one level deeper.
    pub(crate) fn at(&self, path: &[&str]) -> Option<&Self> {
        path.iter().try_fold(self, |value, key| value.get(key))
    }

    /// A field of an object.
    pub(crate) fn get(&self, key: &str) -> Option<&Self> {
        let Self::Fields(fields) = self else { return None };
        let last = fields.iter().rev().find(|(name, _)| name == key);
        last.map(|(_, value)| value)
    }

    /// The fields of an object.
    pub(crate) fn as_fields(&self) -> Option<&[(Cow<'a, str>, Self)]> {
        match self {
            Self::Fields(fields) => Some(fields),
            _ => None,
        }
    }

    /// The items of a list; none of anything else.
    pub(crate) fn items(&self) -> &[Self] {
        match self {
            Self::List(items) => items,
            _ => &[],
        }
    }

    /// The text, if it is one.
    pub(crate) fn as_str(&self) -> Option<&str> {
        match self {
            Self::Text(text) => Some(text),
            _ => None,
        }
    }

    /// The truth value, if it is one.
    pub(crate) fn as_bool(&self) -> Option<bool> {
        match self {
            Self::Bool(value) => Some(*value),
            _ => None,
        }
    }

    /// The whole number, if it is one and not negative.
    pub(crate) fn as_u64(&self) -> Option<u64> {
        match self {
            Self::Number(number) => number.as_u64(),
            _ => None,
        }
    }

    /// As JSON, each key once.
    pub(crate) fn to_json(&self) -> Value {
        self.to_short_json(usize::MAX)
    }

    /// The same with at most so many bytes of each text.
    pub(crate) fn to_short_json(&self, text_bytes: usize) -> Value {
        match self {
            Self::Null => Value::Null,
            Self::Bool(value) => Value::Bool(*value),
            Self::Number(number) => Value::Number(number.clone()),
            Self::Text(text) => Value::String(bounded::head(text, text_bytes)),
            Self::List(items) => {
                Value::Array(items.iter().map(|item| item.to_short_json(text_bytes)).collect())
            }
            Self::Fields(fields) => {
                let fields = fields.iter();
                Value::Object(
                    fields
                        .map(|(key, value)| (key.clone().into_owned(), value.to_short_json(text_bytes)))
                        .collect(),
                )
            }
        }
    }
}

/// What may still be built.
struct Room {
    values: usize,
    text: usize,
}

impl Room {
    /// Bytes of the next text that are kept.
    fn for_text(&self) -> usize {
        self.text.clamp(SHORT, LONG)
    }

    fn text<'a>(&mut self, text: Cow<'a, str>) -> Cow<'a, str> {
        let kept = match text {
            Cow::Borrowed(text) => Cow::Borrowed(bounded::prefix(text, self.for_text())),
            Cow::Owned(mut text) => {
                text.truncate(bounded::prefix(&text, self.for_text()).len());
                Cow::Owned(text)
            }
        };
        self.text = self.text.saturating_sub(kept.len());
        kept
    }
}

impl<'de: 'a, 'a> Deserialize<'de> for SmallValue<'a> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let mut room = Room {
            values: VALUES,
            text: TEXT,
        };
        let seed = Part {
            room: &mut room,
            depth: 0,
        };
        seed.deserialize(deserializer)
    }
}

/// One value below the small one.
struct Part<'r> {
    room: &'r mut Room,
    depth: usize,
}

impl<'de> DeserializeSeed<'de> for Part<'_> {
    type Value = SmallValue<'de>;

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<Self::Value, D::Error> {
        if self.depth > DEPTH || self.room.values == 0 {
            return IgnoredAny::deserialize(deserializer).map(|_| SmallValue::Null);
        }
        self.room.values -= 1;
        deserializer.deserialize_any(self)
    }
}

impl<'de> Visitor<'de> for Part<'_> {
    type Value = SmallValue<'de>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("anything")
    }
    fn visit_unit<E: Error>(self) -> Result<Self::Value, E> {
        Ok(SmallValue::Null)
    }
    fn visit_bool<E: Error>(self, value: bool) -> Result<Self::Value, E> {
        Ok(SmallValue::Bool(value))
    }
    fn visit_i64<E: Error>(self, value: i64) -> Result<Self::Value, E> {
        Ok(SmallValue::Number(value.into()))
    }
    fn visit_u64<E: Error>(self, value: u64) -> Result<Self::Value, E> {
        Ok(SmallValue::Number(value.into()))
    }
    fn visit_f64<E: Error>(self, value: f64) -> Result<Self::Value, E> {
        Ok(Number::from_f64(value).map_or(SmallValue::Null, SmallValue::Number))
    }
    fn visit_borrowed_str<E: Error>(self, value: &'de str) -> Result<Self::Value, E> {
        Ok(SmallValue::Text(self.room.text(Cow::Borrowed(value))))
    }
    fn visit_str<E: Error>(self, value: &str) -> Result<Self::Value, E> {
        let kept = bounded::head(value, self.room.for_text());
        Ok(SmallValue::Text(self.room.text(Cow::Owned(kept))))
    }
    fn visit_seq<A: SeqAccess<'de>>(self, mut seq: A) -> Result<Self::Value, A::Error> {
        let mut items = Vec::new();
        while self.room.values > 0 {
            let part = Part {
                room: &mut *self.room,
                depth: self.depth + 1,
            };
            match seq.next_element_seed(part)? {
                Some(item) => items.push(item),
                None => return Ok(SmallValue::List(items)),
            }
        }
        while seq.next_element::<IgnoredAny>()?.is_some() {}
        Ok(SmallValue::List(items))
    }
    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Self::Value, A::Error> {
        let mut fields = Vec::new();
        while self.room.values > 0 {
            let Some(Key(key)) = map.next_key()? else {
                return Ok(SmallValue::Fields(fields));
            };
            let key = self.room.text(key);
            let part = Part {
                room: &mut *self.room,
                depth: self.depth + 1,
            };
            fields.push((key, map.next_value_seed(part)?));
        }
        while map.next_entry::<IgnoredAny, IgnoredAny>()?.is_some() {}
        Ok(SmallValue::Fields(fields))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn small(text: &str) -> Value {
        let value: SmallValue<'_> = serde_json::from_str(text).expect("JSON");
        value.to_json()
    }

    #[test]
    fn what_is_small_stays_as_it_is() {
        let text =
            r#"{"name":"APIError","data":{"message":"no","statusCode":429,"list":[1,-2.5,true,null]}}"#;
        assert_eq!(small(text), serde_json::from_str::<Value>(text).expect("JSON"));
    }

    #[test]
    fn long_texts_leave_room_for_what_is_behind_them() {
        let long = "x".repeat(TEXT);
        let texts: String = (0..10).map(|n| format!(r#""text{n}":"{long}","#)).collect();
        let value = small(&format!(r#"{{{texts}"statusCode":400,"code":"short"}}"#));
        assert_eq!(
            (&value["statusCode"], &value["code"]),
            (&400.into(), &"short".into())
        );
        let bytes: usize = (0..10)
            .filter_map(|n| value[format!("text{n}")].as_str())
            .map(str::len)
            .sum();
        assert!(bytes <= TEXT + 10 * SHORT, "{bytes}");
    }

    #[test]
    fn of_two_equal_keys_the_last_counts() {
        let value: SmallValue<'_> = serde_json::from_str(r#"{"a":1,"b":{"c":"d"},"a":2}"#).expect("JSON");
        assert_eq!(value.get("a").and_then(SmallValue::as_u64), Some(2));
        assert_eq!(value.at(&["b", "c"]).and_then(SmallValue::as_str), Some("d"));
        assert_eq!(value.at(&["b", "x", "c"]), None);
        assert_eq!(value.to_json().to_string(), r#"{"a":2,"b":{"c":"d"}}"#);
    }

    #[test]
    fn what_is_hostile_is_read_to_its_end_and_not_built() {
        let wide = format!("[{}1]", "1,".repeat(1 << 20));
        assert_eq!(small(&wide).as_array().map(Vec::len), Some(VALUES - 1));
        let long = format!(r#"{{"message":"{}"}}"#, "x".repeat(1 << 20));
        assert!(
            small(&long)["message"]
                .as_str()
                .is_some_and(|text| text.len() <= LONG)
        );
        let deep = format!("{}{}", "[".repeat(5_000), "]".repeat(5_000));
        assert!(small(&deep).is_array(), "and no level of it overflows a stack");
    }
}
