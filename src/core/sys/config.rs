//! `sys/config/…`: what is configured through the API (CORS, headers of the web interface, audited headers) and the sanitized state.

use async_trait::async_trait;
use serde_json::{Map, json};

use crate::barrier::Txn;
use crate::core::{Cors, Options, SystemEngine, keys, mounts};
use crate::engine::{Access, Call, EngineError, Operation, Reply, Route, Writes};

/// `sys/config`.
pub struct Config(pub Options);

const CHANGE: &[Operation] = &[Operation::Read, Operation::Update, Operation::Delete];

const fn route(pattern: &'static str, operations: &'static [Operation], writes: Writes, help: &'static str) -> Route {
    Route { pattern, operations, access: Access::Sudo, writes, help }
}

static ROUTES: &[Route] = &[
    Route {
        pattern: "config/state/sanitized",
        operations: &[Operation::Read],
        access: Access::Policy,
        writes: Writes::Nothing,
        help: "Show the server's configuration without its secrets.",
    },
    route("config/cors", CHANGE, Writes::Depends, "Configure cross-origin requests."),
    route("config/ui/headers", &[Operation::List], Writes::Nothing, "List the headers of the web interface."),
    route("config/ui/headers/:header", CHANGE, Writes::Depends, "Configure a header of the web interface."),
    route("config/auditing/request-headers", &[Operation::Read], Writes::Nothing, "List the headers that are audited."),
    route("config/auditing/request-headers/:header", CHANGE, Writes::Depends, "Configure whether a header is audited."),
];

#[async_trait]
impl SystemEngine for Config {
    fn routes(&self) -> &'static [Route] {
        ROUTES
    }

    async fn handle(&self, call: &Call<'_>, txn: &mut Txn) -> Result<Reply, EngineError> {
        match call.route.pattern {
            "config/state/sanitized" => Ok(Reply::data(self.0.sanitized.clone())),
            "config/cors" => cors(call, txn),
            "config/ui/headers" => Ok(Reply::keys(txn.children(&keys::configs("ui-headers/"), None, usize::MAX)?)),
            "config/ui/headers/:header" => ui_header(call, txn),
            "config/auditing/request-headers" => audited_headers(txn),
            _ => audited_header(call, txn),
        }
    }
}

fn cors(call: &Call<'_>, txn: &mut Txn) -> Result<Reply, EngineError> {
    let key = keys::config("cors");
    match call.operation {
        Operation::Read => Ok(match mounts::get_row::<Cors>(txn, &key)? {
            Some(cors) => Reply::json(json!({
                "enabled": cors.enabled,
                "allowed_origins": cors.allowed_origins,
                "allowed_headers": cors.allowed_headers,
            })),
            None => Reply::json(json!({ "enabled": false })),
        }),
        Operation::Delete => {
            txn.delete(key);
            Ok(Reply::empty())
        }
        _ => {
            let data = call.data();
            if data.flag("enable")? == Some(false) {
                txn.delete(key);
                return Ok(Reply::empty());
            }
            let origins = data.texts("allowed_origins")?.unwrap_or_default();
            if origins.is_empty() {
                return Err(EngineError::invalid("at least one origin or the wildcard must be provided"));
            }
            if origins.len() > 1 && origins.iter().any(|origin| origin == "*") {
                return Err(EngineError::invalid("to allow all origins the '*' must be the only value for allowed_origins"));
            }
            let headers = data.texts("allowed_headers")?.unwrap_or_default();
            mounts::put_row(txn, key, &Cors { enabled: true, allowed_origins: origins, allowed_headers: headers });
            Ok(Reply::empty())
        }
    }
}

fn ui_header(call: &Call<'_>, txn: &mut Txn) -> Result<Reply, EngineError> {
    let name = call.captures.get("header");
    let key = keys::config(&format!("ui-headers/{}", name.to_ascii_lowercase()));
    match call.operation {
        Operation::Read => {
            let Some(values) = mounts::get_row::<Vec<String>>(txn, &key)? else { return Ok(Reply::missing()) };
            if call.data().flag("multivalue")?.unwrap_or(false) {
                return Ok(Reply::json(json!({ "values": values })));
            }
            Ok(Reply::json(json!({ "value": values.first() })))
        }
        Operation::Delete => {
            txn.delete(key);
            Ok(Reply::empty())
        }
        _ => {
            let values = call.data().texts("values")?.unwrap_or_default();
            if values.is_empty() {
                return Err(EngineError::invalid("header and values must be specified"));
            }
            if name.to_ascii_lowercase().starts_with("x-vault-") {
                return Err(EngineError::invalid("X-Vault headers cannot be set"));
            }
            mounts::put_row(txn, key, &values);
            Ok(Reply::empty())
        }
    }
}

const AUDITED: &str = "audited-headers/";

fn audited_headers(txn: &mut Txn) -> Result<Reply, EngineError> {
    let mut shown = Map::new();
    for name in txn.children(&keys::configs(AUDITED), None, usize::MAX)? {
        let hmac: Option<bool> = mounts::get_row(txn, &keys::config(&format!("{AUDITED}{name}")))?;
        shown.insert(name, json!({ "hmac": hmac.unwrap_or(false) }));
    }
    Ok(Reply::json(json!({ "headers": shown })))
}

fn audited_header(call: &Call<'_>, txn: &mut Txn) -> Result<Reply, EngineError> {
    let name = call.captures.get("header").to_ascii_lowercase();
    let key = keys::config(&format!("{AUDITED}{name}"));
    match call.operation {
        Operation::Read => {
            let hmac: Option<bool> = mounts::get_row(txn, &key)?;
            let hmac = hmac.ok_or_else(|| EngineError::invalid("Could not find header in config"))?;
            Ok(Reply::data(Map::from_iter([(name, json!({ "hmac": hmac }))])))
        }
        Operation::Delete => {
            txn.delete(key);
            Ok(Reply::empty())
        }
        _ => {
            mounts::put_row(txn, key, &call.data().flag("hmac")?.unwrap_or(false));
            Ok(Reply::empty())
        }
    }
}
