//! Mounts that come and go, and what must not be left of them.

use std::collections::BTreeSet;
use std::sync::Arc;

use coffer::types::{Prefix, Scope};
use serde_json::{Value, json};

use crate::clients::{Clients, Told};
use crate::operator::{active, stored};
use crate::rng::Rng;

/// A mount's rows lie below its UUID.
const UUID_LEN: usize = 36;

impl Clients {
    /// Mounts an engine, writes to it, has it move perhaps, and disables it. Each step is so at once, whichever node is asked, and nothing
    /// can be mounted below.
    pub async fn come_and_go(self: Arc<Self>, mut rng: Rng) {
        let (mut path, root) = (format!("brief{}", self.fresh()), self.token(0));
        let kind = json!({ "type": "kv" });
        let mut steps = vec![("PUT", format!("sys/mounts/{path}"), kind.clone()), ("POST", format!("{path}/a"), json!({ "v": 1 }))];
        if rng.permille(300) {
            let to = format!("{path}-moved");
            steps.push(("POST", "sys/remount".to_owned(), json!({ "from": path, "to": to })));
            path = to;
        }
        steps.push(("GET", format!("{path}/a"), Value::Null));
        steps.push(("DELETE", format!("sys/mounts/{path}"), Value::Null));
        let mut is_there = false;
        for (method, at, body) in steps {
            match self.told(self.any_host(0, &mut rng), method, &at, &root, &body).await {
                Told::Done(_) => {}
                Told::Refused(404, why) if is_there => return self.world.fail(format!("{method} {at}: {why}, of a mount that was made")),
                _ => return,
            }
            is_there = true;
            let below = format!("sys/mounts/{path}/below");
            if rng.permille(200)
                && method == "GET"
                && let Told::Done(_) = self.told(self.any_host(0, &mut rng), "PUT", &below, &root, &kind).await
            {
                return self.world.fail(format!("{below} was made, which hides what is there"));
            }
        }
        let told = self.told(self.any_host(0, &mut rng), "GET", &format!("{path}/a"), &root, &Value::Null).await;
        if let Told::Done(_) = told {
            self.world.fail(format!("{path} was disabled, and is read"));
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
            let Told::Done(answer) = self.told(host, "GET", path, &self.token(cluster), &Value::Null).await else {
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
