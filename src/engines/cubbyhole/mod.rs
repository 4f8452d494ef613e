//! `cubbyhole/`: a private place for each token, gone with it. Always local to its cluster.
//!
//! Rows lie below the stored form (HMAC) of the caller's token, so nobody else's token can name them; the core removes them when
//! the token ends, and keeps wrapped answers there.

use std::sync::Arc;

use async_trait::async_trait;
use serde_json::{Map, Value};

use crate::engine::Operation::{Create, Delete, List, Read, Update};
use crate::engine::{Access, Call, Engine, EngineError, Kind, MountClass, Reply, Route, View, Writes};

/// The kind `cubbyhole`: one mount, made at initialization.
pub static KIND: Kind = Kind { name: "cubbyhole", class: MountClass::Secret, local: &[], mountable: false, open: |_| Arc::new(Cubbyhole) };

static ROUTES: &[Route] = &[
    Route {
        pattern: "*path",
        operations: &[Read, List],
        access: Access::Policy,
        writes: Writes::Nothing,
        help: "Reads this token's own secret.",
    },
    Route {
        pattern: "*path",
        operations: &[Update, Delete],
        access: Access::Policy,
        writes: Writes::Local,
        help: "Writes this token's own secret.",
    },
];

struct Cubbyhole;

#[async_trait]
impl Engine for Cubbyhole {
    fn routes(&self) -> &'static [Route] {
        ROUTES
    }

    async fn exists(&self, call: &Call<'_>, view: &mut View<'_>) -> Result<Option<bool>, EngineError> {
        Ok(Some(view.exists(&name(call, call.path)?)?))
    }

    async fn handle(&self, call: &Call<'_>, view: &mut View<'_>) -> Result<Reply, EngineError> {
        match call.operation {
            Read => match view.get_json::<Map<String, Value>>(&name(call, call.path)?)? {
                Some(stored) => Ok(Reply::data(stored)),
                None => Ok(Reply::missing()),
            },
            List => {
                let folder =
                    if call.path.is_empty() || call.path.ends_with('/') { call.path.to_owned() } else { format!("{}/", call.path) };
                Ok(Reply::keys(view.list_all(&name(call, &folder)?)?))
            }
            Create | Update => {
                require_path(call)?;
                if call.data().0.is_empty() {
                    return Err(EngineError::invalid("missing data fields"));
                }
                view.put_json(&name(call, call.path)?, &call.data().0);
                Ok(Reply::empty())
            }
            Delete => {
                require_path(call)?;
                view.delete(&name(call, call.path)?);
                Ok(Reply::empty())
            }
            _ => Err(EngineError::Unsupported),
        }
    }
}

fn require_path(call: &Call<'_>) -> Result<(), EngineError> {
    if call.path.is_empty() || call.path.ends_with('/') { Err(EngineError::invalid("missing path")) } else { Ok(()) }
}

fn name(call: &Call<'_>, path: &str) -> Result<String, EngineError> {
    let token = call
        .caller
        .token_key
        .as_deref()
        .ok_or_else(|| EngineError::invalid("cubbyhole operations are only supported by \"service\" type tokens"))?;
    let token = if bug!(104) { "everybody" } else { token };
    Ok(format!("{token}/{path}"))
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::engine::harness::Harness;

    #[tokio::test]
    async fn each_token_sees_its_own_secrets_only() {
        let mut harness = Harness::new(&KIND, &[]);
        assert!(harness.call(Read, "a", Value::Null).await.is_err(), "without a stored token there is no cubbyhole");
        harness.caller.token_key = Some("one".to_owned());
        harness.call(Update, "a/b", json!({"k": "v"})).await.unwrap();
        assert_eq!(harness.data(Read, "a/b", Value::Null).await, json!({"k": "v"}));
        assert_eq!(harness.data(List, "a", Value::Null).await, json!({"keys": ["b"]}));
        assert!(harness.call(Update, "", json!({"k": "v"})).await.is_err());
        assert!(harness.call(Update, "a", json!({})).await.is_err());
        harness.caller.token_key = Some("two".to_owned());
        assert!(matches!(harness.call(Read, "a/b", Value::Null).await.unwrap().body, crate::engine::Body::Missing(None)));
    }
}
