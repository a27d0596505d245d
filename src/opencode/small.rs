//! A JSON value of which only so much is kept. What describes an error is small; a hostile line is not, and building all of
//! its 15 MiB took 1.35 GB.

use std::fmt;

use serde::de::{
    Deserialize, DeserializeSeed, Deserializer, Error, IgnoredAny, MapAccess, SeqAccess, Visitor,
};
use serde_json::{Map, Value};

use super::bounded;

/// Most values that are built, all levels together.
const VALUES: usize = 256;
/// Most bytes of text in them, keys included.
const TEXT: usize = 64 << 10;
/// Levels below the value itself.
const DEPTH: usize = 16;

/// A value: absent (`None`) only where the field is; what is over the bounds is left out of it.
#[derive(Debug, Default)]
pub(crate) struct SmallValue(pub(crate) Option<Value>);

/// What may still be built.
struct Room {
    values: usize,
    text: usize,
}

impl Room {
    fn text(&mut self, text: &str) -> String {
        let kept = bounded::head(text, self.text);
        self.text -= kept.len();
        kept
    }
}

impl<'de> Deserialize<'de> for SmallValue {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let mut room = Room {
            values: VALUES,
            text: TEXT,
        };
        let seed = Part {
            room: &mut room,
            depth: 0,
        };
        seed.deserialize(deserializer).map(|value| Self(Some(value)))
    }
}

/// One value below the small one.
struct Part<'r> {
    room: &'r mut Room,
    depth: usize,
}

impl<'de> DeserializeSeed<'de> for Part<'_> {
    type Value = Value;

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<Value, D::Error> {
        if self.depth > DEPTH || self.room.values == 0 {
            return IgnoredAny::deserialize(deserializer).map(|_| Value::Null);
        }
        self.room.values -= 1;
        deserializer.deserialize_any(self)
    }
}

impl<'de> Visitor<'de> for Part<'_> {
    type Value = Value;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("anything")
    }
    fn visit_unit<E: Error>(self) -> Result<Value, E> {
        Ok(Value::Null)
    }
    fn visit_bool<E: Error>(self, value: bool) -> Result<Value, E> {
        Ok(value.into())
    }
    fn visit_i64<E: Error>(self, value: i64) -> Result<Value, E> {
        Ok(value.into())
    }
    fn visit_u64<E: Error>(self, value: u64) -> Result<Value, E> {
        Ok(value.into())
    }
    fn visit_f64<E: Error>(self, value: f64) -> Result<Value, E> {
        Ok(value.into())
    }
    fn visit_str<E: Error>(self, value: &str) -> Result<Value, E> {
        Ok(Value::String(self.room.text(value)))
    }
    fn visit_seq<A: SeqAccess<'de>>(self, mut seq: A) -> Result<Value, A::Error> {
        let mut items = Vec::new();
        while self.room.values > 0 {
            let part = Part {
                room: &mut *self.room,
                depth: self.depth + 1,
            };
            match seq.next_element_seed(part)? {
                Some(item) => items.push(item),
                None => return Ok(Value::Array(items)),
            }
        }
        while seq.next_element::<IgnoredAny>()?.is_some() {}
        Ok(Value::Array(items))
    }
    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Value, A::Error> {
        let mut fields = Map::new();
        while self.room.values > 0 {
            let Some(key) = map.next_key::<std::borrow::Cow<'_, str>>()? else {
                return Ok(Value::Object(fields));
            };
            let key = self.room.text(&key);
            let part = Part {
                room: &mut *self.room,
                depth: self.depth + 1,
            };
            let value = map.next_value_seed(part)?;
            fields.insert(key, value);
        }
        while map.next_entry::<IgnoredAny, IgnoredAny>()?.is_some() {}
        Ok(Value::Object(fields))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn small(text: &str) -> Value {
        let SmallValue(value) = serde_json::from_str(text).expect("JSON");
        value.expect("a value")
    }

    #[test]
    fn what_is_small_stays_as_it_is() {
        let text =
            r#"{"name":"APIError","data":{"message":"no","statusCode":429,"list":[1,-2.5,true,null]}}"#;
        assert_eq!(small(text), serde_json::from_str::<Value>(text).expect("JSON"));
    }

    #[test]
    fn what_is_hostile_is_read_to_its_end_and_not_built() {
        let wide = format!("[{}1]", "1,".repeat(1 << 20));
        assert_eq!(small(&wide).as_array().map(Vec::len), Some(VALUES - 1));
        let long = format!(r#"{{"message":"{}"}}"#, "x".repeat(1 << 20));
        assert!(
            small(&long)["message"]
                .as_str()
                .is_some_and(|text| text.len() <= TEXT)
        );
        let deep = format!("{}{}", "[".repeat(5_000), "]".repeat(5_000));
        assert!(small(&deep).is_array(), "and no level of it overflows a stack");
    }
}
