//! One API request, immutable, and one call of an engine made from it.

use std::collections::BTreeMap;
use std::net::SocketAddr;

use serde_json::Value;

use super::{Captures, Mount, Route};
use crate::types::{Accessor, ApiPath, RequestId, Secret, Timestamp, Ttl};

/// What a client wants done with a path. `Update` becomes `Create` where the engine says that the thing does not exist yet.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub enum Operation {
    /// `GET`.
    Read,
    /// `LIST`, or `GET` with `list=true`.
    List,
    /// A write of something new.
    Create,
    /// `POST` or `PUT`.
    Update,
    /// `PATCH`.
    Patch,
    /// `DELETE`.
    Delete,
    /// `GET` with `help=1`.
    Help,
}

impl Operation {
    /// As the audit log says it.
    pub fn name(self) -> &'static str {
        match self {
            Self::Read => "read",
            Self::List => "list",
            Self::Create => "create",
            Self::Update => "update",
            Self::Patch => "patch",
            Self::Delete => "delete",
            Self::Help => "help",
        }
    }
    /// Whether it writes, by the verb alone.
    pub fn is_write(self) -> bool {
        matches!(self, Self::Create | Self::Update | Self::Patch | Self::Delete)
    }
}

/// The connection that a request came over.
#[derive(Clone, Debug, Default)]
pub struct Connection {
    /// The client's address, as the first node saw it.
    pub remote: Option<SocketAddr>,
}

/// Why a field of a request's data could not be used. The text is for the client.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum FieldError {
    /// A required field is not there.
    #[error("missing {0}")]
    Missing(String),
    /// A field has a value of another type.
    #[error("Field validation failed: error converting input for field \"{field}\": must be {wanted}")]
    Wrong {
        /// Which field.
        field: String,
        /// What it must be.
        wanted: &'static str,
    },
}

/// The fields of a request: body, or query of a read, with Vault's weak typing (`"5"` is a number, `"a,b"` is a list).
///
/// `Debug` shows names only: values are secrets.
#[derive(Clone, Default, PartialEq, Eq)]
pub struct Data(pub serde_json::Map<String, Value>);

impl std::fmt::Debug for Data {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_set().entries(self.0.keys()).finish()
    }
}

impl Data {
    /// The field as it was sent; `null` counts as absent.
    pub fn get(&self, field: &str) -> Option<&Value> {
        self.0.get(field).filter(|value| !value.is_null())
    }

    /// A text; numbers and booleans are taken as text.
    ///
    /// # Errors
    /// If it is a list or an object.
    pub fn text(&self, field: &str) -> Result<Option<String>, FieldError> {
        match self.get(field) {
            None => Ok(None),
            Some(Value::String(text)) => Ok(Some(text.clone())),
            Some(Value::Number(number)) => Ok(Some(number.to_string())),
            Some(Value::Bool(flag)) => Ok(Some(flag.to_string())),
            Some(_) => Err(wrong(field, "a string")),
        }
    }

    /// A text that must be there and not be empty.
    ///
    /// # Errors
    /// If it is not.
    pub fn required_text(&self, field: &str) -> Result<String, FieldError> {
        self.text(field)?.filter(|text| !text.is_empty()).ok_or_else(|| FieldError::Missing(field.to_owned()))
    }

    /// A whole number, or its text.
    ///
    /// # Errors
    /// If it is none.
    pub fn integer(&self, field: &str) -> Result<Option<i64>, FieldError> {
        match self.get(field) {
            None => Ok(None),
            Some(Value::Number(number)) => number.as_i64().map(Some).ok_or_else(|| wrong(field, "an integer")),
            Some(Value::String(text)) if text.is_empty() => Ok(None),
            Some(Value::String(text)) => text.trim().parse().map(Some).map_err(|_| wrong(field, "an integer")),
            Some(_) => Err(wrong(field, "an integer")),
        }
    }

    /// A truth value: `true`, `"true"`, `"1"`, `1` and their opposites.
    ///
    /// # Errors
    /// If it is none.
    pub fn flag(&self, field: &str) -> Result<Option<bool>, FieldError> {
        let text = match self.get(field) {
            None => return Ok(None),
            Some(Value::Bool(flag)) => return Ok(Some(*flag)),
            Some(Value::String(text)) => text.trim().to_ascii_lowercase(),
            Some(Value::Number(number)) => number.to_string(),
            Some(_) => return Err(wrong(field, "a boolean")),
        };
        match text.as_str() {
            "true" | "t" | "1" => Ok(Some(true)),
            "false" | "f" | "0" => Ok(Some(false)),
            "" => Ok(None),
            _ => Err(wrong(field, "a boolean")),
        }
    }

    /// A length of time: seconds, or a duration such as `1h30m`.
    ///
    /// # Errors
    /// If it is none.
    pub fn ttl(&self, field: &str) -> Result<Option<Ttl>, FieldError> {
        const WANTED: &str = "a duration such as 90, 45s or 1h30m";
        match self.get(field) {
            None => Ok(None),
            Some(Value::Number(number)) => number.as_u64().map(|secs| Some(Ttl(secs))).ok_or_else(|| wrong(field, WANTED)),
            Some(Value::String(text)) => Ttl::parse(text).map(Some).map_err(|_| wrong(field, WANTED)),
            Some(_) => Err(wrong(field, WANTED)),
        }
    }

    /// A list of texts, or one text with commas.
    ///
    /// # Errors
    /// If it is neither.
    pub fn texts(&self, field: &str) -> Result<Option<Vec<String>>, FieldError> {
        const WANTED: &str = "a list of strings";
        match self.get(field) {
            None => Ok(None),
            Some(Value::String(text)) => {
                Ok(Some(text.split(',').map(str::trim).filter(|part| !part.is_empty()).map(str::to_owned).collect()))
            }
            Some(Value::Array(values)) => values
                .iter()
                .map(|value| match value {
                    Value::String(text) => Ok(text.trim().to_owned()),
                    Value::Number(number) => Ok(number.to_string()),
                    _ => Err(wrong(field, WANTED)),
                })
                .collect::<Result<_, _>>()
                .map(Some),
            Some(_) => Err(wrong(field, WANTED)),
        }
    }

    /// A map of texts: an object, or `k=v` texts.
    ///
    /// # Errors
    /// If it is neither.
    pub fn text_map(&self, field: &str) -> Result<Option<BTreeMap<String, String>>, FieldError> {
        const WANTED: &str = "a map of strings";
        let pair = |text: &str| text.split_once('=').map(|(k, v)| (k.trim().to_owned(), v.to_owned())).ok_or_else(|| wrong(field, WANTED));
        match self.get(field) {
            None => Ok(None),
            Some(Value::Object(map)) => map
                .iter()
                .map(|(key, value)| match value {
                    Value::String(text) => Ok((key.clone(), text.clone())),
                    Value::Number(_) | Value::Bool(_) => Ok((key.clone(), value.to_string())),
                    _ => Err(wrong(field, WANTED)),
                })
                .collect::<Result<_, _>>()
                .map(Some),
            Some(Value::String(text)) if text.is_empty() => Ok(Some(BTreeMap::new())),
            Some(Value::String(text)) => pair(text).map(|pair| Some(BTreeMap::from([pair]))),
            Some(Value::Array(values)) => values
                .iter()
                .map(|value| value.as_str().ok_or_else(|| wrong(field, WANTED)).and_then(pair))
                .collect::<Result<_, _>>()
                .map(Some),
            Some(_) => Err(wrong(field, WANTED)),
        }
    }
}

fn wrong(field: &str, wanted: &'static str) -> FieldError {
    FieldError::Wrong { field: field.to_owned(), wanted }
}

/// One API request, as it arrived and was parsed at the edge.
#[derive(Clone, Debug)]
pub struct Request {
    /// Its identity, in the answer and in the audit log.
    pub id: RequestId,
    /// What is wanted.
    pub operation: Operation,
    /// The whole path, canonical, without `/v1/`.
    pub path: ApiPath,
    /// Body, or query of a read.
    pub data: Data,
    /// `X-Vault-Token`, or a bearer token.
    pub token: Option<Secret<String>>,
    /// `X-Vault-Wrap-TTL`.
    pub wrap_ttl: Option<Ttl>,
    /// Headers that audit devices or engines may want; never the token.
    pub headers: BTreeMap<String, Vec<String>>,
    /// Where it came from.
    pub connection: Connection,
}

/// Who is calling, as far as an engine may know.
#[derive(Clone, Debug, Default)]
pub struct Caller {
    /// The accessor of the caller's token.
    pub accessor: Option<Accessor>,
    /// The stored form of the caller's token (its HMAC), which names its cubbyhole. Never the token.
    pub token_key: Option<String>,
    /// As in the audit log.
    pub display_name: String,
    /// The caller's policies.
    pub policies: Vec<String>,
    /// The caller's metadata.
    pub meta: BTreeMap<String, String>,
    /// The identity entity, or empty.
    pub entity_id: String,
}

/// One call of an engine.
#[derive(Debug)]
pub struct Call<'a> {
    /// The request it was made from.
    pub request: &'a Request,
    /// `Update` or `Create`, `Read` and so on: decided, unlike the request's.
    pub operation: Operation,
    /// The path below the mount: `data/a` for `secret/data/a`.
    pub path: &'a str,
    /// The route that matched.
    pub route: &'static Route,
    /// What the route's placeholders matched.
    pub captures: Captures<'a>,
    /// Who is calling; empty on routes that are open to anyone, but for the core's own.
    pub caller: &'a Caller,
    /// The mount that is called.
    pub mount: &'a Mount,
    /// One time for the whole request, the same if it runs again.
    pub now: Timestamp,
}

impl Call<'_> {
    /// The fields of the request.
    pub fn data(&self) -> &Data {
        &self.request.data
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn data(value: Value) -> Data {
        let Value::Object(map) = value else { panic!("tests pass objects") };
        Data(map)
    }

    #[test]
    fn fields_are_weakly_typed_as_clients_expect() {
        let sent = data(json!({"n": "5", "f": "true", "l": "a, b", "t": "1h", "m": ["a=b"], "s": 7, "z": null, "bad": {}}));
        assert_eq!(sent.integer("n"), Ok(Some(5)));
        assert_eq!(sent.flag("f"), Ok(Some(true)));
        assert_eq!(sent.texts("l"), Ok(Some(vec!["a".to_owned(), "b".to_owned()])));
        assert_eq!(sent.ttl("t"), Ok(Some(Ttl(3600))));
        assert_eq!(sent.text_map("m"), Ok(Some(BTreeMap::from([("a".to_owned(), "b".to_owned())]))));
        assert_eq!(sent.text("s"), Ok(Some("7".to_owned())));
        assert_eq!(sent.text("z"), Ok(None));
        assert!(sent.text("bad").is_err());
        assert_eq!(sent.required_text("none"), Err(FieldError::Missing("none".to_owned())));
    }

    #[test]
    fn debug_shows_no_values() {
        assert!(!format!("{:?}", data(json!({"password": "hunter2"}))).contains("hunter2"));
    }
}
