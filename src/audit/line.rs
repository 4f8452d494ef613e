//! Pure: an event becomes one line of JSON, its values hashed.

use std::collections::BTreeMap;

use bytes::Bytes;
use serde_json::{Map, Value, json};

use super::{AuditError, Event, Phase};
use crate::crypto::mac::MacKey;

/// What an operator chose for a device's lines.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Options {
    /// Write values as they are. For debugging only.
    pub log_raw: bool,
    /// Hash accessors as well.
    pub hmac_accessor: bool,
    /// Of a listing, write how many, not which.
    pub elide_list_responses: bool,
}

impl Options {
    /// Reads the options that all kinds of devices share.
    ///
    /// # Errors
    /// If one is wrong, or asks for what is left out on purpose: formats other than JSON, and prefixes, which have let a device
    /// write bytes of an attacker's choice.
    pub fn parse(options: &BTreeMap<String, String>) -> Result<Self, AuditError> {
        let flag = |name: &str, default: bool| match options.get(name).map(|text| text.trim().to_ascii_lowercase()) {
            None => Ok(default),
            Some(text) if ["true", "1", "t"].contains(&text.as_str()) => Ok(true),
            Some(text) if ["false", "0", "f", ""].contains(&text.as_str()) => Ok(false),
            Some(_) => Err(AuditError::Options(format!("option {name} must be true or false"))),
        };
        if options.get("format").is_some_and(|format| !format.is_empty() && format != "json") {
            return Err(AuditError::Options("option format must be json".to_owned()));
        }
        if options.get("prefix").is_some_and(|prefix| !prefix.is_empty()) {
            return Err(AuditError::Options("option prefix is not supported: lines are plain JSON".to_owned()));
        }
        Ok(Self {
            log_raw: flag("log_raw", false)?,
            hmac_accessor: flag("hmac_accessor", true)?,
            elide_list_responses: flag("elide_list_responses", false)?,
        })
    }
}

/// Hashes values with a device's own key.
#[derive(Clone, Debug)]
pub struct Hasher {
    key: MacKey,
    options: Options,
}

impl Hasher {
    /// With a device's key.
    pub fn new(salt: &[u8], options: Options) -> Self {
        Self { key: MacKey::new(salt), options }
    }

    /// As in `hmac-sha256:ab…`, also the answer to `sys/audit-hash`.
    pub fn hash(&self, text: &str) -> String {
        format!("hmac-sha256:{}", self.key.sign_hex(text.as_bytes()))
    }

    fn text(&self, text: &str) -> Value {
        if self.options.log_raw { text.into() } else { self.hash(text).into() }
    }

    fn accessor(&self, accessor: &str) -> Value {
        if self.options.hmac_accessor { self.text(accessor) } else { accessor.into() }
    }

    /// Every text at any depth is hashed; names, numbers and truth values stay.
    fn values(&self, value: &Value) -> Value {
        match value {
            Value::String(text) => self.text(text),
            Value::Array(values) => values.iter().map(|value| self.values(value)).collect(),
            Value::Object(map) => self.map(map),
            other => other.clone(),
        }
    }

    fn map(&self, map: &Map<String, Value>) -> Value {
        Value::Object(map.iter().map(|(key, value)| (key.clone(), self.values(value))).collect())
    }
}

/// Leaves out what says nothing.
struct Fields(Map<String, Value>);

impl Fields {
    fn new() -> Self {
        Self(Map::new())
    }
    fn add(&mut self, name: &str, value: impl Into<Value>) {
        let value = value.into();
        let is_empty = match &value {
            Value::Null => true,
            Value::String(text) => text.is_empty(),
            Value::Array(values) => values.is_empty(),
            Value::Object(map) => map.is_empty(),
            _ => false,
        };
        if !is_empty {
            self.0.insert(name.to_owned(), value);
        }
    }
}

/// The line of `event`, its end included.
pub(super) fn render(event: &Event<'_>, hasher: &Hasher) -> Bytes {
    let mut line = Fields::new();
    line.add("time", event.time.rfc3339());
    line.add("type", if event.phase == Phase::Request { "request" } else { "response" });
    line.add("auth", auth(event, hasher));
    line.add("request", request(event, hasher));
    if event.phase == Phase::Response {
        line.add("response", response(event, hasher));
    }
    line.add("error", event.error.unwrap_or_default());
    line.add("forwarded_from", event.from_secondary.unwrap_or_default());
    let mut bytes = serde_json::to_vec(&line.0).expect("maps with text keys are JSON");
    bytes.push(b'\n');
    bytes.into()
}

fn auth(event: &Event<'_>, hasher: &Hasher) -> Map<String, Value> {
    let caller = event.caller;
    let mut auth = Fields::new();
    if let Some(token) = &event.request.token {
        auth.add("client_token", hasher.text(token.expose()));
    }
    if let Some(accessor) = &caller.accessor {
        auth.add("accessor", hasher.accessor(accessor.as_str()));
    }
    auth.add("display_name", caller.display_name.as_str());
    auth.add("policies", json!(caller.policies));
    auth.add("token_policies", json!(caller.policies));
    auth.add("metadata", json!(caller.meta));
    auth.add("entity_id", caller.entity_id.as_str());
    auth.0
}

fn request(event: &Event<'_>, hasher: &Hasher) -> Map<String, Value> {
    let asked = event.request;
    let mut request = Fields::new();
    request.add("id", asked.id.as_str());
    request.add("operation", event.operation.name());
    if let Some(place) = event.place {
        request.add("mount_point", place.mount_point);
        request.add("mount_type", place.mount_type);
        request.add("mount_accessor", place.mount_accessor);
        request.add("mount_class", place.mount_class);
    }
    if let Some(token) = &asked.token {
        request.add("client_token", hasher.text(token.expose()));
    }
    if let Some(accessor) = &event.caller.accessor {
        request.add("client_token_accessor", hasher.accessor(accessor.as_str()));
    }
    request.add("namespace", json!({"id": "root"}));
    request.add("path", asked.path.as_str());
    request.add("data", hasher.map(&asked.data.0));
    if let Some(remote) = asked.connection.remote {
        request.add("remote_address", remote.ip().to_string());
        request.add("remote_port", remote.port());
    }
    if let Some(ttl) = asked.wrap_ttl {
        request.add("wrap_ttl", ttl.0);
    }
    let told = event.headers.iter().filter_map(|(name, is_hashed)| Some((name, *is_hashed, asked.headers.get(name)?)));
    let told = told.map(|(name, is_hashed, values)| {
        let values: Vec<Value> = values.iter().map(|value| if is_hashed { hasher.text(value) } else { value.as_str().into() }).collect();
        (name.clone(), Value::Array(values))
    });
    request.add("headers", told.collect::<Map<_, _>>());
    request.0
}

fn response(event: &Event<'_>, hasher: &Hasher) -> Map<String, Value> {
    let mut response = Fields::new();
    if let Some(place) = event.place {
        response.add("mount_point", place.mount_point);
        response.add("mount_type", place.mount_type);
        response.add("mount_accessor", place.mount_accessor);
        response.add("mount_class", place.mount_class);
    }
    let Some(answer) = event.answer else { return response.0 };
    if let Some(login) = answer.login {
        response.add(
            "auth",
            json!({
                "client_token": hasher.text(login.client_token.expose()),
                "accessor": hasher.accessor(login.accessor),
                "display_name": login.display_name,
                "policies": login.policies,
                "token_type": login.token_type,
            }),
        );
    }
    if !answer.lease_id.is_empty() {
        response.add("secret", json!({"lease_id": answer.lease_id}));
    }
    if let Some(data) = answer.data {
        response.add("data", listed_or_hashed(data, event, hasher));
    }
    response.add("warnings", json!(answer.warnings));
    if let Some(wrapped) = answer.wrapped {
        response.add(
            "wrap_info",
            json!({
                "token": hasher.text(wrapped.token.expose()),
                "accessor": hasher.accessor(wrapped.accessor),
                "ttl": wrapped.ttl,
                "creation_time": wrapped.creation_time,
                "creation_path": wrapped.creation_path,
            }),
        );
    }
    response.0
}

fn listed_or_hashed(data: &Map<String, Value>, event: &Event<'_>, hasher: &Hasher) -> Value {
    if event.operation != crate::engine::Operation::List || !hasher.options.elide_list_responses {
        return hasher.map(data);
    }
    let count = |value: &Value| match value {
        Value::Array(values) => values.len().into(),
        Value::Object(map) => map.len().into(),
        other => other.clone(),
    };
    Value::Object(
        data.iter()
            .map(|(key, value)| {
                (key.clone(), if ["keys", "key_info"].contains(&key.as_str()) { count(value) } else { hasher.values(value) })
            })
            .collect(),
    )
}

#[cfg(test)]
mod tests {
    use super::super::{Answer, Login, Wrapped};
    use super::*;
    use crate::engine::{Caller, Connection, Data, Operation, Request};
    use crate::types::{ApiPath, RequestId, Secret, Timestamp};

    fn asked() -> Request {
        let Value::Object(sent) = json!({"data": {"password": "hunter2", "n": 5, "list": ["canary-1"]}}) else { unreachable!() };
        Request {
            id: RequestId::new("r-1"),
            operation: Operation::Update,
            path: ApiPath::parse("secret/data/a").unwrap(),
            data: Data(sent),
            token: Some(Secret::new("hvs.canary-2".to_owned())),
            wrap_ttl: None,
            headers: ["x-told", "x-hashed", "x-not"].map(|name| (name.to_owned(), vec![format!("canary-of-{name}")])).into(),
            connection: Connection { remote: Some("10.0.0.5:41234".parse().unwrap()) },
        }
    }

    #[test]
    fn a_line_tells_no_value() {
        let request = asked();
        let hasher = Hasher::new(b"salt", Options::parse(&BTreeMap::new()).unwrap());
        let token = Secret::new("hvs.canary-3".to_owned());
        let data = json!({"secret": "canary-4"});
        let answer = Answer {
            data: data.as_object(),
            login: Some(Login { client_token: &token, accessor: "canary-5", display_name: "d", policies: &[], token_type: "service" }),
            wrapped: Some(Wrapped { token: &token, accessor: "canary-6", ttl: 60, creation_time: "t", creation_path: "p" }),
            ..Answer::default()
        };
        let event = Event {
            phase: Phase::Response,
            time: Timestamp(0),
            request: &request,
            headers: &BTreeMap::from([("x-hashed".to_owned(), true)]),
            operation: Operation::Update,
            caller: &Caller::default(),
            place: None,
            error: None,
            answer: Some(answer),
            from_secondary: None,
        };
        let line = String::from_utf8(render(&event, &hasher).to_vec()).unwrap();
        assert!(!line.contains("canary") && !line.contains("hunter2"), "{line}");
        assert!(line.ends_with('\n') && line.matches('\n').count() == 1);
        let read: Value = serde_json::from_str(&line).unwrap();
        assert_eq!(read["request"]["data"]["data"]["n"], 5);
        assert_eq!(read["request"]["data"]["data"]["password"], hasher.hash("hunter2"));
        assert_eq!(read["request"]["remote_address"], "10.0.0.5");
        assert_eq!(read["response"]["data"]["secret"], hasher.hash("canary-4"));
    }

    #[test]
    fn options_that_are_wrong_are_named() {
        let parse = |name: &str, value: &str| Options::parse(&[(name.to_owned(), value.to_owned())].into());
        assert!(parse("log_raw", "yes please").is_err());
        assert!(parse("prefix", "x").is_err());
        assert!(parse("format", "jsonx").is_err());
        assert!(parse("hmac_accessor", "false").is_ok_and(|options| !options.hmac_accessor));
    }
}
