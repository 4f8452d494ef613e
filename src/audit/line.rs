//! Pure: an event becomes one line of JSON, its values hashed.

use bytes::Bytes;
use serde_json::{Map, Value, json};

use super::{Event, Hasher, Login, Phase, Place, Verdict};

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
    /// Zero says nothing.
    fn add_number(&mut self, name: &str, number: u64) {
        self.add(name, if number == 0 { Value::Null } else { number.into() });
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

/// Who asked: on the answer to a login, who they turned out to be.
fn auth(event: &Event<'_>, hasher: &Hasher) -> Map<String, Value> {
    let mut auth = Fields::new();
    match event.answer.and_then(|answer| answer.login) {
        Some(made) if event.shown.is_none() => auth.0 = login(&made, hasher),
        _ => {
            let caller = event.caller;
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
            auth.add("token_type", event.shown.map_or("default", |shown| shown.token_type));
        }
    }
    if let Some(shown) = event.shown {
        auth.add_number("remaining_uses", shown.remaining_uses);
        auth.add_number("token_ttl", shown.ttl);
        auth.add("token_issue_time", shown.issued.rfc3339());
    }
    match event.verdict {
        None => {}
        Some(Verdict::Denied) => auth.add("policy_results", json!({"allowed": false})),
        Some(Verdict::Allowed(granting)) => {
            let mut results = Fields::new();
            results.add("allowed", true);
            let policy = |name: &String| json!({"name": name, "namespace_id": "root", "type": "acl"});
            results.add("granting_policies", granting.iter().map(policy).collect::<Vec<_>>());
            auth.add("policy_results", results.0);
        }
    }
    auth.0
}

/// What may be told of a token that was made. Its own fields are chosen one by one: others may be secret.
fn login(made: &Login<'_>, hasher: &Hasher) -> Map<String, Value> {
    let mut auth = Fields::new();
    if !made.client_token.expose().is_empty() {
        auth.add("client_token", hasher.text(made.client_token.expose()));
    }
    if let Some(accessor) = made.block.get("accessor").and_then(Value::as_str).filter(|accessor| !accessor.is_empty()) {
        auth.add("accessor", hasher.accessor(accessor));
    }
    auth.add("display_name", made.display_name);
    for name in ["policies", "token_policies", "metadata", "entity_id", "token_type"] {
        auth.add(name, made.block.get(name).cloned().unwrap_or_default());
    }
    for (name, field) in [("num_uses", "num_uses"), ("token_ttl", "lease_duration")] {
        auth.add_number(name, made.block.get(field).and_then(Value::as_u64).unwrap_or_default());
    }
    auth.0
}

fn add_place(fields: &mut Fields, place: &Place<'_>, version: &str) {
    fields.add("mount_point", place.mount_point);
    fields.add("mount_type", place.mount_type);
    fields.add("mount_accessor", place.mount_accessor);
    fields.add(version, place.running_version);
    fields.add("mount_class", place.mount_class);
}

fn request(event: &Event<'_>, hasher: &Hasher) -> Map<String, Value> {
    let asked = event.request;
    let mut request = Fields::new();
    request.add("id", asked.id.as_str());
    request.add("client_id", event.client_id);
    request.add("operation", event.operation.name());
    if let Some(place) = event.place {
        add_place(&mut request, &place, "mount_running_version");
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
        add_place(&mut response, &place, "mount_running_plugin_version");
    }
    let Some(answer) = event.answer else { return response.0 };
    if let Some(made) = answer.login {
        response.add("auth", login(&made, hasher));
    }
    if !answer.lease_id.is_empty() {
        response.add("secret", json!({"lease_id": answer.lease_id}));
    }
    if let Some(data) = answer.data {
        response.add("data", listed_or_hashed(data, event, hasher));
    }
    response.add("warnings", json!(answer.warnings));
    if let Some(wrapped) = answer.wrapped {
        let mut info = Fields::new();
        info.add("ttl", wrapped.ttl);
        info.add("token", hasher.text(wrapped.token.expose()));
        info.add("accessor", hasher.accessor(wrapped.accessor));
        info.add("creation_time", wrapped.creation_time);
        info.add("creation_path", wrapped.creation_path);
        if !wrapped.wrapped_accessor.is_empty() {
            info.add("wrapped_accessor", hasher.accessor(wrapped.wrapped_accessor));
        }
        response.add("wrap_info", info.0);
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
    use std::collections::BTreeMap;

    use super::super::{Answer, Options, Shown, Wrapped};
    use super::*;
    use crate::engine::{Caller, Connection, Data, Operation, Request};
    use crate::types::{Accessor, ApiPath, RequestId, Secret, Timestamp};

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

    fn hasher() -> Hasher {
        Hasher::new(b"salt", Options::parse(&BTreeMap::new()).unwrap())
    }

    /// What the line of this event says, once it is certain that it says no more than it should.
    fn line(event: &Event<'_>) -> Value {
        let line = String::from_utf8(render(event, &hasher()).to_vec()).unwrap();
        assert!(!line.contains("canary") && !line.contains("hunter2"), "{line}");
        assert!(line.ends_with('\n') && line.matches('\n').count() == 1);
        serde_json::from_str(&line).unwrap()
    }

    fn event<'a>(phase: Phase, request: &'a Request, caller: &'a Caller, headers: &'a BTreeMap<String, bool>) -> Event<'a> {
        Event {
            phase,
            time: Timestamp(0),
            request,
            headers,
            operation: Operation::Update,
            caller,
            shown: None,
            client_id: "",
            verdict: None,
            place: None,
            error: None,
            answer: None,
            from_secondary: None,
        }
    }

    #[test]
    fn a_line_tells_no_value() {
        let (request, caller, hasher) = (asked(), Caller::default(), hasher());
        let token = Secret::new("hvs.canary-3".to_owned());
        let data = json!({"secret": "canary-4"});
        let block = json!({"accessor": "canary-5", "policies": ["default"], "num_uses": 3, "more": "canary-7"});
        let answer = Answer {
            data: data.as_object(),
            login: Some(Login { client_token: &token, display_name: "d", block: block.as_object().unwrap() }),
            wrapped: Some(Wrapped {
                token: &token,
                accessor: "canary-6",
                ttl: 60,
                creation_time: "t",
                creation_path: "p",
                wrapped_accessor: "canary-8",
            }),
            ..Answer::default()
        };
        let headers = BTreeMap::from([("x-hashed".to_owned(), true)]);
        let read = line(&Event { answer: Some(answer), ..event(Phase::Response, &request, &caller, &headers) });
        assert_eq!(read["request"]["data"]["data"]["n"], 5);
        assert_eq!(read["request"]["data"]["data"]["password"], hasher.hash("hunter2"));
        assert_eq!(read["request"]["remote_address"], "10.0.0.5");
        assert_eq!(read["response"]["data"]["secret"], hasher.hash("canary-4"));
        assert_eq!(read["response"]["wrap_info"]["wrapped_accessor"], hasher.hash("canary-8"));
        // Who logged in is who asked.
        let made = json!({
            "client_token": hasher.hash("hvs.canary-3"),
            "accessor": hasher.hash("canary-5"),
            "display_name": "d",
            "policies": ["default"],
            "num_uses": 3,
        });
        assert_eq!((&read["response"]["auth"], &read["auth"]), (&made, &made));
    }

    #[test]
    fn a_line_tells_who_asked_and_which_policies_let_them() {
        let (request, headers) = (asked(), BTreeMap::new());
        let caller = Caller { accessor: Some(Accessor::new("canary-9")), policies: vec!["app".to_owned()], ..Caller::default() };
        let shown = Shown { token_type: "service", ttl: 60, issued: Timestamp(1_770_798_543_511), remaining_uses: 0 };
        let asked = Event { shown: Some(shown), client_id: "c", ..event(Phase::Request, &request, &caller, &headers) };
        let granting = ["app".to_owned()];
        let allowed = line(&Event { verdict: Some(Verdict::Allowed(&granting)), ..asked });
        let expected = json!({
            "client_token": hasher().hash("hvs.canary-2"),
            "accessor": hasher().hash("canary-9"),
            "policies": ["app"],
            "token_policies": ["app"],
            "policy_results": {"allowed": true, "granting_policies": [{"name": "app", "namespace_id": "root", "type": "acl"}]},
            "token_type": "service",
            "token_ttl": 60,
            "token_issue_time": "2026-02-11T08:29:03.511Z",
        });
        assert_eq!((&allowed["auth"], &allowed["request"]["client_id"]), (&expected, &json!("c")));
        let denied = line(&Event { verdict: Some(Verdict::Denied), ..asked });
        assert_eq!(denied["auth"]["policy_results"], json!({"allowed": false}));
        let nobody = line(&event(Phase::Request, &request, &Caller::default(), &headers));
        assert_eq!((&nobody["auth"]["token_type"], &nobody["auth"]["policy_results"]), (&json!("default"), &Value::Null));
    }
}
