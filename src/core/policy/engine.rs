//! `sys/policies/acl` and the older `sys/policy`.

use async_trait::async_trait;
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use serde_json::{Map, json};

use super::Policy;
use super::builtin::{DEFAULT, DEFAULT_TEXT, RESPONSE_WRAPPING, ROOT};
use super::cache::StoredPolicy;
use crate::barrier::Txn;
use crate::core::token::engine_roles::all_names;
use crate::core::token::entry::{read_json, write_json};
use crate::core::{SystemEngine, keys};
use crate::engine::{Access, Call, EngineError, Operation, Reply, Route, Writes};

use Operation::{Delete, List, Read, Update};

const fn route(pattern: &'static str, operations: &'static [Operation], writes: Writes, help: &'static str) -> Route {
    Route { pattern, operations, access: Access::Policy, writes, help }
}

const ROUTES: &[Route] = &[
    route("policies/acl", &[List, Read], Writes::Nothing, "List the policies."),
    route("policies/acl/:name", &[Read], Writes::Nothing, "Read a policy."),
    route("policies/acl/:name", &[Update, Delete], Writes::Shared, "Write or delete a policy."),
    route("policy", &[List, Read], Writes::Nothing, "List the policies."),
    route("policy/:name", &[Read], Writes::Nothing, "Read a policy."),
    route("policy/:name", &[Update, Delete], Writes::Shared, "Write or delete a policy."),
];

/// `sys/policies/acl`, `sys/policy`.
#[derive(Clone, Copy, Debug, Default)]
pub struct PolicyEngine;

fn list(txn: &Txn, is_old: bool) -> Result<Reply, EngineError> {
    let mut names = all_names(txn, &keys::policies())?;
    names.extend([DEFAULT.to_owned(), ROOT.to_owned()]);
    names.sort_unstable();
    names.dedup();
    Ok(Reply::json(if is_old { json!({ "keys": names, "policies": names }) } else { json!({ "keys": names }) }))
}

fn read(txn: &mut Txn, name: &str, is_old: bool) -> Result<Reply, EngineError> {
    let text = match name {
        ROOT => Some(String::new()),
        RESPONSE_WRAPPING => Some(super::builtin::RESPONSE_WRAPPING_TEXT.to_owned()),
        _ => {
            let stored: Option<StoredPolicy> = read_json(txn, &keys::policy(name))?;
            stored.map(|stored| stored.text).or_else(|| (name == DEFAULT).then(|| DEFAULT_TEXT.to_owned()))
        }
    };
    let Some(text) = text else { return Ok(Reply::missing()) };
    let mut data = Map::new();
    data.insert("name".to_owned(), json!(name));
    data.insert(if is_old { "rules" } else { "policy" }.to_owned(), json!(text));
    Ok(Reply::data(data))
}

fn write(call: &Call<'_>, txn: &mut Txn, name: &str, is_old: bool) -> Result<Reply, EngineError> {
    if name == ROOT || name == RESPONSE_WRAPPING {
        return Err(EngineError::invalid(format!("cannot update {name:?} policy")));
    }
    let mut reply = Reply::empty();
    let rules = if is_old { call.data().text("rules")?.filter(|rules| !rules.is_empty()) } else { None };
    let text = match (call.data().text("policy")?.filter(|text| !text.is_empty()), rules) {
        (Some(text), _) => text,
        (None, Some(rules)) => {
            reply = reply.warn("'rules' is deprecated, please use 'policy' instead");
            rules
        }
        (None, None) => return Err(EngineError::invalid("'policy' parameter not supplied or empty")),
    };
    let text = decoded(&text).unwrap_or(text);
    Policy::parse(&text).map_err(|error| EngineError::invalid(format!("failed to parse policy: {error}")))?;
    write_json(txn, keys::policy(name), &StoredPolicy { text });
    let asked = call.captures.get("name");
    Ok(if asked == name { reply } else { reply.warn(format!("policy name was converted to {name}")) })
}

/// The text inside base64, if it is that: no policy of any use is also base64.
fn decoded(text: &str) -> Option<String> {
    let bytes = STANDARD.decode(text.trim()).ok()?;
    String::from_utf8(bytes).ok()
}

#[async_trait]
impl SystemEngine for PolicyEngine {
    fn routes(&self) -> &'static [Route] {
        ROUTES
    }

    async fn handle(&self, call: &Call<'_>, txn: &mut Txn) -> Result<Reply, EngineError> {
        let is_old = call.route.pattern.starts_with("policy");
        if !call.route.pattern.ends_with(":name") {
            return list(txn, is_old);
        }
        let name = call.captures.get("name").to_lowercase();
        match call.operation {
            Read => read(txn, &name, is_old),
            Delete => match name.as_str() {
                ROOT | RESPONSE_WRAPPING => Err(EngineError::invalid(format!("cannot delete {name:?} policy"))),
                DEFAULT => Err(EngineError::invalid("cannot delete default policy")),
                _ => {
                    txn.delete(keys::policy(if bug!(174) { call.captures.get("name") } else { &name }));
                    Ok(Reply::empty())
                }
            },
            _ => write(call, txn, &name, is_old),
        }
    }
}
