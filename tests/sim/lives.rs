//! What belongs to one client alone: a secret with all its versions. What he was told was done is so, at once and everywhere, and
//! nothing else is. He stops when he cannot know any more.

use std::collections::BTreeMap;
use std::sync::{Arc, MutexGuard};

use coffer::types::{Prefix, Scope};
use serde_json::{Value, json};

use crate::clients::{Clients, Told};
use crate::operator::stored;
use crate::rng::Rng;

/// Acts of one life.
const ACTS: usize = 10;
/// Names that are longer than this differ at their ends only.
const LONG: usize = 600;

/// A version of a secret.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum Version {
    Live(i64),
    Deleted(i64),
    Destroyed,
}

impl Version {
    fn undeleted(self) -> Self {
        if let Self::Deleted(value) = self { Self::Live(value) } else { self }
    }

    fn deleted(self) -> Self {
        if let Self::Live(value) = self { Self::Deleted(value) } else { self }
    }
}

/// What is done to a secret: method, folder of the mount, body, and what is left of its versions.
fn act(versions: &[Version], value: i64, rng: &mut Rng) -> (&'static str, &'static str, Value, Vec<Version>) {
    let mut after = versions.to_vec();
    let at = if versions.is_empty() { 0 } else { rng.index(versions.len()) };
    let these = json!({ "versions": [at + 1] });
    let choice = rng.below(10);
    match if versions.is_empty() { 0 } else { choice } {
        4 => {
            let last = after.len() - 1;
            after[last] = after[last].deleted();
            ("DELETE", "data", Value::Null, after)
        }
        5 => {
            after[at] = after[at].deleted();
            ("POST", "delete", these, after)
        }
        6 | 7 => {
            after[at] = after[at].undeleted();
            ("POST", "undelete", these, after)
        }
        8 => {
            after[at] = Version::Destroyed;
            ("PUT", "destroy", these, after)
        }
        9 => ("DELETE", "metadata", Value::Null, Vec::new()),
        3 if matches!(versions.last(), Some(Version::Live(_))) => {
            after.push(Version::Live(value));
            ("PATCH", "data", json!({ "data": { "v": value } }), after)
        }
        _ => {
            after.push(Version::Live(value));
            ("POST", "data", json!({ "data": { "v": value } }), after)
        }
    }
}

impl Clients {
    /// Writes a secret, deletes and destroys versions of it, takes some back, and looks at one after each step.
    pub async fn keep_secret(self: Arc<Self>, mut rng: Rng) {
        let (long, token) = (if rng.permille(300) { "x".repeat(LONG) } else { String::new() }, self.token(0));
        let name = format!("{long}own{}", self.fresh());
        let mut versions = Vec::new();
        // So many versions are kept, and who writes must say what he has seen, unless its settings go with it.
        let mut limit = rng.permille(300).then(|| rng.index(3) + 1);
        let mut is_guarded = rng.permille(300);
        if limit.is_some() || is_guarded {
            let settings = json!({ "max_versions": limit.unwrap_or(0), "cas_required": is_guarded });
            let path = format!("kv/metadata/{name}");
            if !matches!(self.told(self.any_host(0, &mut rng), "POST", &path, &token, &settings).await, Told::Done(_)) {
                return;
            }
        }
        for _ in 0..ACTS {
            let (method, folder, mut body, mut after) = act(&versions, self.fresh(), &mut rng);
            if is_guarded && folder == "data" && after.len() > versions.len() {
                if self.writes_blindly(&name, &body, &mut rng).await {
                    return self.world.fail(format!("{name} was written without a version, which it requires"));
                }
                body["options"] = json!({ "cas": versions.len() });
            }
            let too_old = limit.map_or(0, |limit| after.len().saturating_sub(limit));
            after[..too_old].fill(Version::Destroyed);
            let what = format!("{method} kv/{folder}/{name} {body}");
            self.owned().remove(&name);
            match self.told(self.any_host(0, &mut rng), method, &format!("kv/{folder}/{name}"), &token, &body).await {
                Told::Done(_) => {
                    versions = after;
                    limit = limit.filter(|_| !versions.is_empty());
                    is_guarded &= !versions.is_empty();
                }
                // It reached nobody.
                Told::Refused(0, _) => {}
                Told::Refused(_, why) => return self.world.fail(format!("{what} was refused: {why}; there was {versions:?}")),
                Told::Unknown(_) => return,
            }
            self.owned().insert(name.clone(), versions.iter().map(|version| *version == Version::Destroyed).collect());
            if let Some(seen) = self.look_at(&name, &versions, &mut rng).await {
                return self.world.fail(format!("after {what} there should be {versions:?}, and there is {seen}"));
            }
        }
    }

    fn owned(&self) -> MutexGuard<'_, BTreeMap<String, Vec<bool>>> {
        self.owned.lock().expect("no holder of this lock panics")
    }

    /// Values that are stored of versions that were destroyed.
    ///
    /// # Errors
    /// If nobody is active.
    pub async fn destroyed(&self, cluster: usize) -> Result<Vec<String>, String> {
        let paths = stored(&self.world, cluster, &Prefix::new(Scope::Shared, ""))?;
        let owned = self.owned();
        let is_destroyed = |path: &str| {
            let [_, "version", name, number] = path.split('/').collect::<Vec<_>>()[..] else { return false };
            let number = number.parse::<usize>().unwrap_or_default();
            owned.get(name).is_some_and(|versions| versions.get(number.wrapping_sub(1)).is_none_or(|is_destroyed| *is_destroyed))
        };
        Ok(paths.iter().filter(|path| is_destroyed(path)).map(ToString::to_string).collect())
    }

    /// Whether a secret can be written by one who does not say which version he has seen.
    async fn writes_blindly(&self, name: &str, body: &Value, rng: &mut Rng) -> bool {
        if !rng.permille(300) {
            return false;
        }
        let path = format!("kv/data/{name}");
        matches!(self.told(self.any_host(0, rng), "POST", &path, &self.token(0), body).await, Told::Done(_))
    }

    /// What is wrong about one version, or one that is not there yet.
    async fn look_at(&self, name: &str, versions: &[Version], rng: &mut Rng) -> Option<String> {
        let number = rng.index(versions.len() + 1) + 1;
        let path = format!("kv/data/{name}?version={number}");
        let answer = match self.told(self.any_host(0, rng), "GET", &path, &self.token(0), &Value::Null).await {
            Told::Done(answer) => Ok(answer),
            Told::Refused(404, why) => Err(why),
            Told::Refused(..) | Told::Unknown(_) => return None,
        };
        let is_so = match versions.get(number - 1) {
            Some(Version::Live(value)) => answer.as_ref().is_ok_and(|answer| answer["data"]["data"]["v"].as_i64() == Some(*value)),
            Some(Version::Deleted(_) | Version::Destroyed) | None => answer.is_err(),
        };
        (!is_so).then(|| format!("of version {number}: {answer:?}"))
    }
}
