//! Mounts that come and go, and what must not be left of them.

use std::collections::BTreeSet;

use coffer::types::{Prefix, Scope};
use serde_json::json;

use crate::clients::{Clients, Told};
use crate::net::HostId;
use crate::operator::{active, stored};

/// A mount's rows lie below its UUID.
const UUID_LEN: usize = 36;

impl Clients {
    /// Mounts an engine, writes to it, and disables it; each step only if the one before was done.
    pub async fn come_and_go(&self, host: HostId) {
        let path = format!("brief{}", self.fresh());
        let root = self.token(0);
        let steps = [
            ("PUT", format!("sys/mounts/{path}"), json!({ "type": "kv" })),
            ("POST", format!("{path}/a"), json!({ "v": 1 })),
            ("DELETE", format!("sys/mounts/{path}"), serde_json::Value::Null),
        ];
        for (method, path, body) in steps {
            if !matches!(self.told(host, method, &path, &root, &body).await, Told::Done(_)) {
                return;
            }
        }
    }

    /// Paths of rows whose mount is gone.
    ///
    /// # Errors
    /// If the cluster does not tell now.
    pub async fn without_mount(&self, cluster: usize) -> Result<Vec<String>, String> {
        let host = active(&self.world, cluster).ok_or("nobody is active")?;
        let mut known = BTreeSet::new();
        for path in ["sys/mounts", "sys/auth"] {
            let Told::Done(answer) = self.told(host, "GET", path, &self.token(cluster), &serde_json::Value::Null).await else {
                return Err(format!("{path} cannot be read"));
            };
            let mounts = answer["data"].as_object().into_iter().flat_map(|mounts| mounts.values());
            known.extend(mounts.filter_map(|mount| mount["uuid"].as_str().map(str::to_owned)));
        }
        let mut left = Vec::new();
        for scope in [Scope::Shared, Scope::Local] {
            let paths = stored(&self.world, cluster, &Prefix::new(scope, ""))?;
            let of_mounts = paths.iter().filter_map(|path| Some((path, path.split_once('/')?.0)));
            left.extend(of_mounts.filter(|(_, id)| id.len() == UUID_LEN && !known.contains(*id)).map(|(path, _)| path.to_string()));
        }
        Ok(left)
    }
}
