//! The success envelope: field order, nulls, and the keys that clients older than the envelope read at the top.

use serde_json::{Map, Value, json};

use super::{AuthInfo, Response, WrapInfo};

impl Response {
    /// The envelope, as clients and wrapping tokens are given it; `path` is the whole path of the request.
    pub fn envelope(self, path: &str) -> Value {
        envelope(path, self)
    }
}

fn envelope(path: &str, response: Response) -> Value {
    let wrapped = response.wrap_info.is_some();
    let mut out = Map::new();
    out.insert("request_id".to_owned(), json!(if wrapped { "" } else { &response.request_id }));
    out.insert("lease_id".to_owned(), json!(response.lease_id));
    out.insert("renewable".to_owned(), json!(response.renewable));
    out.insert("lease_duration".to_owned(), json!(response.lease_duration));
    let mirrored = match (&response.data, wrapped) {
        (Some(data), false) if is_mirrored(path) => data.clone(),
        _ => Map::new(),
    };
    out.insert("data".to_owned(), if wrapped { Value::Null } else { response.data.map_or(Value::Null, Value::Object) });
    out.insert("wrap_info".to_owned(), response.wrap_info.map_or(Value::Null, wrap_info));
    out.insert("warnings".to_owned(), if response.warnings.is_empty() { Value::Null } else { json!(response.warnings) });
    out.insert("auth".to_owned(), if wrapped { Value::Null } else { response.auth.map_or(Value::Null, auth) });
    out.insert("mount_type".to_owned(), json!(response.mount_type));
    for (key, value) in mirrored {
        out.entry(key).or_insert(value);
    }
    Value::Object(out)
}

fn wrap_info(wrap: WrapInfo) -> Value {
    let mut out = json!({
        "token": wrap.token.expose(),
        "accessor": wrap.accessor,
        "ttl": wrap.ttl,
        "creation_time": wrap.creation_time,
        "creation_path": wrap.creation_path,
    });
    if !wrap.wrapped_accessor.is_empty() {
        out["wrapped_accessor"] = json!(wrap.wrapped_accessor);
    }
    out
}

fn auth(auth: AuthInfo) -> Value {
    let mut out = Map::new();
    out.insert("client_token".to_owned(), json!(auth.client_token.expose()));
    out.extend(auth.fields);
    Value::Object(out)
}

/// Whether every key of `data` is repeated at the top.
fn is_mirrored(path: &str) -> bool {
    let Some(path) = path.strip_prefix("sys/") else { return false };
    let path = path.strip_suffix('/').unwrap_or(path);
    let (first, rest) = path.split_once('/').unwrap_or((path, ""));
    match first {
        "audit" | "audit-hash" | "auth" | "mounts" | "policy" => true,
        "capabilities" | "capabilities-self" | "capabilities-accessor" | "ha-status" | "key-status" | "remount" | "rotate" => {
            rest.is_empty()
        }
        "config" => rest == "cors" || rest.starts_with("auditing/request-headers"),
        "rekey" => matches!(rest, "backup" | "recovery-key-backup"),
        "wrapping" => rest == "wrap",
        _ => false,
    }
}
