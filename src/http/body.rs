//! A JSON body, read within bounds: depth, strings, items, no key twice. Says where it went wrong, never what was there.
//!
//! Not here: the size of the body (`listener` counts it while it arrives), what fields mean (`engine::Data`).

use std::fmt;

use serde::de::{DeserializeSeed, Deserializer, Error as _, MapAccess, SeqAccess, Visitor};
use serde_json::{Map, Number, Value};

use crate::types::limits::{JSON_DEPTH_MAX, JSON_ITEMS_MAX, JSON_STRING_BYTES_MAX};

/// A body that is no JSON object within bounds. The text holds nothing of the body.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("failed to parse JSON input: {0}")]
pub struct BodyError(String);

/// The fields of `body`: empty and `null` mean none.
///
/// # Errors
/// See [`BodyError`].
pub fn parse(body: &[u8]) -> Result<Map<String, Value>, BodyError> {
    if body.iter().all(u8::is_ascii_whitespace) {
        return Ok(Map::new());
    }
    let mut deserializer = serde_json::Deserializer::from_slice(body);
    let value = Bounded { depth_left: JSON_DEPTH_MAX }
        .deserialize(&mut deserializer)
        .and_then(|value| deserializer.end().map(|()| value))
        .map_err(|error| BodyError(error.to_string()))?;
    match value {
        Value::Object(map) => Ok(map),
        Value::Null => Ok(Map::new()),
        _ => Err(BodyError("the body must be a JSON object".to_owned())),
    }
}

/// Reads one value that may nest `depth_left` levels.
#[derive(Clone, Copy)]
struct Bounded {
    depth_left: usize,
}

impl Bounded {
    fn deeper<E: serde::de::Error>(self) -> Result<Self, E> {
        match self.depth_left.checked_sub(1) {
            Some(depth_left) => Ok(Self { depth_left }),
            None => Err(E::custom("JSON input exceeds allowed nesting depth")),
        }
    }
}

fn bounded_text<E: serde::de::Error>(text: &str) -> Result<(), E> {
    if text.len() > JSON_STRING_BYTES_MAX {
        return Err(E::custom("JSON string value exceeds allowed length"));
    }
    Ok(())
}

impl<'de> DeserializeSeed<'de> for Bounded {
    type Value = Value;
    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<Value, D::Error> {
        deserializer.deserialize_any(self)
    }
}

impl<'de> Visitor<'de> for Bounded {
    type Value = Value;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("JSON")
    }
    fn visit_unit<E>(self) -> Result<Value, E> {
        Ok(Value::Null)
    }
    fn visit_bool<E>(self, value: bool) -> Result<Value, E> {
        Ok(Value::Bool(value))
    }
    fn visit_i64<E>(self, value: i64) -> Result<Value, E> {
        Ok(Value::Number(value.into()))
    }
    fn visit_u64<E>(self, value: u64) -> Result<Value, E> {
        Ok(Value::Number(value.into()))
    }
    fn visit_f64<E>(self, value: f64) -> Result<Value, E> {
        Ok(Number::from_f64(value).map_or(Value::Null, Value::Number))
    }
    fn visit_str<E: serde::de::Error>(self, text: &str) -> Result<Value, E> {
        bounded_text(text)?;
        Ok(Value::String(text.to_owned()))
    }
    fn visit_string<E: serde::de::Error>(self, text: String) -> Result<Value, E> {
        bounded_text(&text)?;
        Ok(Value::String(text))
    }
    fn visit_seq<A: SeqAccess<'de>>(self, mut sequence: A) -> Result<Value, A::Error> {
        let inner = self.deeper()?;
        let mut values = Vec::new();
        while let Some(value) = sequence.next_element_seed(inner)? {
            if values.len() >= JSON_ITEMS_MAX {
                return Err(A::Error::custom("JSON array exceeds allowed element count"));
            }
            values.push(value);
        }
        Ok(Value::Array(values))
    }
    fn visit_map<A: MapAccess<'de>>(self, mut entries: A) -> Result<Value, A::Error> {
        let inner = self.deeper()?;
        let mut map = Map::new();
        while let Some(key) = entries.next_key::<String>()? {
            bounded_text(&key)?;
            if map.len() >= JSON_ITEMS_MAX {
                return Err(A::Error::custom("JSON object exceeds allowed entry count"));
            }
            if map.contains_key(&key) {
                return Err(A::Error::custom("JSON object has a duplicate key"));
            }
            let value = entries.next_value_seed(inner)?;
            map.insert(key, value);
        }
        Ok(Value::Object(map))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(body: &str, expected: Result<&str, &str>) {
        match (parse(body.as_bytes()), expected) {
            (Ok(map), Ok(text)) => assert_eq!(Value::Object(map).to_string(), text),
            (Err(error), Err(part)) => assert!(error.to_string().contains(part), "{error}"),
            (got, _) => panic!("{got:?} for {:.60}", body),
        }
    }

    #[test]
    fn bodies_are_read_within_bounds() {
        check("", Ok("{}"));
        check(" \n", Ok("{}"));
        check("null", Ok("{}"));
        check(r#"{"b":1,"a":[true,null,"x",1.5,-3]}"#, Ok(r#"{"b":1,"a":[true,null,"x",1.5,-3]}"#));
        check(r#"{"n":18446744073709551615}"#, Ok(r#"{"n":18446744073709551615}"#));
        check("[1]", Err("must be a JSON object"));
        check("\"text\"", Err("must be a JSON object"));
        check(r#"{"a":1} trailing"#, Err("trailing"));
        check(r#"{"a":1,"a":2}"#, Err("duplicate key"));
        check(r#"{"a":{"b":1,"b":2}}"#, Err("duplicate key"));
        check(&format!("{{\"a\":{}{}}}", "[".repeat(99), "]".repeat(99)), Ok(&format!("{{\"a\":{}{}}}", "[".repeat(99), "]".repeat(99))));
        check(&format!("{{\"a\":{}{}}}", "[".repeat(100), "]".repeat(100)), Err("nesting depth"));
        check(&format!("{{\"a\":{}", "[".repeat(1_000_000)), Err("nesting depth"));
        check(&format!("{{\"a\":\"{}\"}}", "x".repeat(JSON_STRING_BYTES_MAX + 1)), Err("length"));
        check(&format!("{{\"a\":[{}1]}}", "1,".repeat(JSON_ITEMS_MAX)), Err("element count"));
    }

    #[test]
    fn errors_do_not_repeat_the_body() {
        for body in [r#"{"a": hunter2}"#, r#"{"a": "hunter2"#, r#"hunter2"#, r#""hunter2""#, r#"{"hunter2":1,"hunter2":2}"#, "a=hunter2"] {
            let text = parse(body.as_bytes()).unwrap_err().to_string();
            assert!(!text.contains("hunter2"), "{text}");
        }
    }
}
