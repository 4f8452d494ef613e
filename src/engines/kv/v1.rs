//! KV version 1: one JSON object a path, stored as it came.

use async_trait::async_trait;
use serde_json::{Map, Value};

use super::{PLAIN, as_folder};
use crate::engine::Operation::{Create, Delete, List, Read, Update};
use crate::engine::{Access, Call, Engine, EngineError, Fields, Page, Reply, Route, View, Writes};
use crate::types::Ttl;

static ROUTES: &[Route] = &[
    Route { pattern: "*path", operations: &[Read, List], access: Access::Policy, writes: Writes::Nothing, help: "Reads or lists secrets." },
    Route {
        pattern: "*path",
        operations: &[Update, Delete],
        access: Access::Policy,
        writes: Writes::Shared,
        help: "Writes or deletes a secret.",
    },
];

fn name(path: &str) -> String {
    format!("{PLAIN}{path}")
}

pub(super) struct KvV1;

#[async_trait]
impl Engine for KvV1 {
    fn routes(&self) -> &'static [Route] {
        ROUTES
    }

    fn fields(&self, route: &Route) -> Fields {
        // A write takes all that is sent: it is the secret.
        if route.answers(Read) { Fields::Only(&[]) } else { Fields::Any }
    }

    async fn exists(&self, call: &Call<'_>, view: &mut View<'_>) -> Result<Option<bool>, EngineError> {
        Ok(Some(view.exists(&name(call.path))?))
    }

    async fn handle(&self, call: &Call<'_>, view: &mut View<'_>) -> Result<Reply, EngineError> {
        match call.operation {
            Read => match view.get_json::<Map<String, Value>>(&name(call.path))? {
                Some(stored) => {
                    let refresh = refresh_of(&stored).unwrap_or(call.mount.default_ttl);
                    Ok(Reply { refresh, ..Reply::data(stored) })
                }
                None => Ok(Reply::missing()),
            },
            List => Ok(Reply::keys(list(call, view, &name(&as_folder(call.path)))?)),
            Create | Update => {
                if call.path.is_empty() || call.path.ends_with('/') {
                    return Err(EngineError::invalid("missing path"));
                }
                if call.data().0.is_empty() {
                    return Err(EngineError::invalid("missing data fields"));
                }
                view.put_json(&name(call.path), &call.data().0);
                Ok(Reply::empty())
            }
            Delete => {
                view.delete(&name(call.path));
                Ok(Reply::empty())
            }
            _ => Err(EngineError::Unsupported),
        }
    }
}

/// A listing, paged by `after` and `limit` if the request asks for it.
pub(super) fn list(call: &Call<'_>, view: &mut View<'_>, under: &str) -> Result<Vec<String>, EngineError> {
    let after = call.data().text("after")?.filter(|after| !after.is_empty());
    match call.data().integer("limit")?.and_then(|limit| usize::try_from(limit).ok()).filter(|limit| *limit > 0) {
        Some(limit) => Ok(view.list(under, &Page { after, limit })?),
        None if after.is_some() => Ok(view.list(under, &Page { after, limit: usize::MAX })?),
        None => Ok(view.list_all(under)?),
    }
}

/// A secret may say itself how long it can be kept.
fn refresh_of(stored: &Map<String, Value>) -> Option<Ttl> {
    match stored.get("ttl").or_else(|| stored.get("lease"))? {
        Value::String(text) => Ttl::parse(text).ok().filter(|ttl| *ttl != Ttl::ZERO),
        Value::Number(number) => number.as_u64().map(Ttl),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::super::KIND;
    use super::*;
    use crate::engine::Body;
    use crate::engine::harness::Harness;

    #[tokio::test]
    async fn a_secret_is_read_as_it_was_written() {
        let mut harness = Harness::new(&KIND, &[]);
        let secret = json!({"user": "svc", "n": 5, "ttl": "30m", "nested": {"a": [1, null]}});
        harness.call(Update, "app/db", secret.clone()).await.unwrap();
        let reply = harness.call(Read, "app/db", Value::Null).await.unwrap();
        assert_eq!(reply.refresh, Ttl(1800));
        assert!(matches!(reply.body, Body::Data(map) if Value::Object(map.clone()) == secret));
        assert_eq!(harness.data(List, "", Value::Null).await, json!({"keys": ["app/"]}));
        assert_eq!(harness.data(List, "app", Value::Null).await, json!({"keys": ["db"]}));
        harness.call(Delete, "app/db", Value::Null).await.unwrap();
        harness.call(Delete, "app/db", Value::Null).await.unwrap();
        assert!(matches!(harness.call(Read, "app/db", Value::Null).await.unwrap().body, Body::Missing(None)));
        assert!(matches!(harness.call(List, "app", Value::Null).await.unwrap().body, Body::Missing(None)));
    }

    #[tokio::test]
    async fn a_write_needs_a_path_and_data() {
        let mut harness = Harness::new(&KIND, &[]);
        assert_eq!(harness.call(Update, "", json!({"a": 1})).await.unwrap_err().to_string(), "missing path");
        assert_eq!(harness.call(Update, "a/", json!({"a": 1})).await.unwrap_err().to_string(), "missing path");
        assert_eq!(harness.call(Update, "a", json!({})).await.unwrap_err().to_string(), "missing data fields");
    }

    #[tokio::test]
    async fn a_listing_is_paged_when_asked() {
        let mut harness = Harness::new(&KIND, &[]);
        for name in ["a", "b", "c", "d/e"] {
            harness.call(Update, name, json!({"k": "v"})).await.unwrap();
        }
        assert_eq!(harness.data(List, "", json!({"limit": "2"})).await, json!({"keys": ["a", "b"]}));
        assert_eq!(harness.data(List, "", json!({"limit": "2", "after": "b"})).await, json!({"keys": ["c", "d/"]}));
    }
}
