//! Operations as JSON, one object a line. Every value survives the way there and back.
//!
//! JSON has no keywords and no keys but text, so text says what it was by its first letter: `:name` is a keyword, `#…` another value as
//! EDN (keys of maps only), `\…` plain text that begins with one of these three.

use serde_json::{Map, Value as Json};

use super::edn;
use super::op::Op;
use super::value::Value;

fn mark(text: &str) -> String {
    if text.starts_with([':', '#', '\\']) { format!("\\{text}") } else { text.to_owned() }
}

fn unmark(text: String) -> Result<Value, String> {
    match text.as_bytes() {
        [b':', rest @ ..] if !rest.is_empty() => Ok(Value::keyword(&text[1..])),
        [b'#', ..] => match edn::Reader::new(&text[1..]).next() {
            Ok(Some(value)) => Ok(value),
            _ => Err(format!("`{text}` is no value")),
        },
        [b'\\', ..] => Ok(Value::text(&text[1..])),
        _ => Ok(Value::Text(text)),
    }
}

pub(super) fn value_to(value: &Value) -> Json {
    match value {
        Value::Nil => Json::Null,
        Value::Bool(truth) => Json::Bool(*truth),
        Value::Int(number) => Json::from(*number),
        Value::Text(text) => Json::String(mark(text)),
        Value::Keyword(name) => Json::String(format!(":{name}")),
        Value::List(members) => Json::Array(members.iter().map(value_to).collect()),
        Value::Map(entries) => {
            let key = |key: &Value| match key {
                Value::Text(text) => mark(text),
                Value::Keyword(name) => format!(":{name}"),
                other => format!("#{other}"),
            };
            Json::Object(entries.iter().map(|(name, value)| (key(name), value_to(value))).collect())
        }
    }
}

pub(super) fn value_from(json: Json) -> Result<Value, String> {
    Ok(match json {
        Json::Null => Value::Nil,
        Json::Bool(truth) => Value::Bool(truth),
        Json::Number(number) => number.as_i64().map_or_else(|| Value::text(number.to_string()), Value::Int),
        Json::String(text) => unmark(text)?,
        Json::Array(members) => Value::List(members.into_iter().map(value_from).collect::<Result<_, _>>()?),
        Json::Object(entries) => {
            let entry = |(key, value): (String, Json)| Ok::<_, String>((unmark(key)?, value_from(value)?));
            Value::Map(entries.into_iter().map(entry).collect::<Result<_, _>>()?)
        }
    })
}

pub(super) fn op_to(op: &Op) -> Json {
    let mut parts = Map::new();
    parts.insert("index".into(), op.index.into());
    parts.insert("time".into(), op.time.into());
    parts.insert("type".into(), op.kind.name().into());
    parts.insert(
        "process".into(),
        match op.process {
            super::op::Process::Client(number) => number.into(),
            super::op::Process::Nemesis => "nemesis".into(),
        },
    );
    parts.insert("f".into(), op.f.as_str().into());
    parts.insert("value".into(), value_to(&op.value));
    for (name, text) in [("node", &op.node), ("cluster", &op.cluster), ("error", &op.error)] {
        if let Some(text) = text {
            parts.insert(name.into(), mark(text).into());
        }
    }
    for (name, value) in &op.extra {
        parts.insert(name.clone(), value_to(value));
    }
    Json::Object(parts)
}

pub(super) fn op_from(line: &str) -> Result<Op, String> {
    let json: Json = serde_json::from_str(line).map_err(|error| error.to_string())?;
    edn::op_from(value_from(json)?)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::core::op::Kind;
    use std::collections::BTreeMap;

    #[test]
    fn every_value_survives_the_way_there_and_back() {
        let odd = Value::Map(BTreeMap::from([(Value::Int(3), Value::text(":not a keyword")), (Value::text("#x"), Value::keyword("k"))]));
        let op = Op::invoke(4, "write", Value::pair(odd, Value::text("\\")))
            .complete(Kind::Info, Value::Nil)
            .because(":timeout")
            .with("index-hdr", Value::list([1, 2]));
        let back = op_from(&op_to(&op).to_string()).unwrap();
        assert_eq!(back, op);
    }
}
