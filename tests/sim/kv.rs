//! What clients do with secrets: registers with versions, a set, and what is only there for its own cluster.

use std::time::Duration;

use jepsen::core::{Kind, Op, Value};
use serde_json::json;

use crate::clients::{COPIES, Clients, LOCAL, REGISTER, SET, Told};
use crate::invariants::LOCAL_CANARY;
use crate::net::HostId;
use crate::operator::{PASSWORD, READER, active};
use crate::rng::Rng;

/// So often a user tries to log in while a cluster is filled.
const LOGINS_WHILE_FILLED: usize = 8;

/// What local secrets hold.
pub const LOCAL_VALUE: &str = "stays-here-too";

impl Clients {
    /// Reads a register.
    pub async fn read(&self, cluster: usize, host: HostId, rng: &mut Rng, process: &mut u64, workload: &'static str) {
        let key = rng.below(self.world.plan.keys);
        self.read_with(&self.token(cluster), (cluster, host), key, process, workload).await;
    }

    /// Reads a register of a cluster through `host` with a token.
    async fn read_with(&self, token: &str, (cluster, host): (usize, HostId), key: u64, process: &mut u64, workload: &'static str) {
        let Some(belief) = self.world.belief(cluster) else { return };
        let label = format!("{cluster}.{belief}");
        let begun = self.histories.record(workload, Op::invoke(*process, "read", Value::pair(key, Value::Nil)).of(label));
        let (kind, value, why) = match self.told(host, "GET", &format!("kv/data/r{key}"), token, &serde_json::Value::Null).await {
            Told::Done(answer) => (Kind::Ok, Value::pair(key, seen(&answer)), String::new()),
            // Nothing was ever written there, or so it says: the mount has been there since before clients began.
            Told::Refused(404, text) if text == "[]" || text.contains("no handler") => {
                (Kind::Ok, Value::pair(key, Value::pair(0, Value::Nil)), String::new())
            }
            Told::Refused(_, why) | Told::Unknown(why) => (Kind::Fail, Value::pair(key, Value::Nil), why),
        };
        let kind = if self.world.still_believes(cluster, Some(belief)) { kind } else { Kind::Fail };
        self.histories.end(workload, &begun, kind, value, &why, process);
    }

    /// Writes a register.
    pub async fn write(&self, cluster: usize, host: HostId, rng: &mut Rng, process: &mut u64) {
        let (key, value) = (rng.below(self.world.plan.keys), self.fresh());
        let argument = Value::pair(key, Value::pair(Value::Nil, value));
        let begun = self.histories.record(REGISTER, Op::invoke(*process, "write", argument.clone()));
        let body = json!({ "data": { "v": value } });
        let told = self.told_to_keep(cluster, host, &format!("kv/data/r{key}"), &body).await;
        self.is_there(cluster, &told, key, *process);
        let (kind, result, why) = written(told, key, value, argument);
        self.histories.end(REGISTER, &begun, kind, result, &why, process);
    }

    /// Writes a register if it is still as it was read.
    pub async fn cas(&self, cluster: usize, host: HostId, rng: &mut Rng, process: &mut u64) {
        let (key, value) = (rng.below(self.world.plan.keys), self.fresh());
        let expected = match self.told(host, "GET", &format!("kv/data/r{key}"), &self.token(cluster), &serde_json::Value::Null).await {
            Told::Done(answer) => answer["data"]["metadata"]["version"].as_i64().unwrap_or(0),
            _ => 0,
        };
        let argument = Value::pair(key, Value::pair(expected, value));
        let begun = self.histories.record(REGISTER, Op::invoke(*process, "cas", argument.clone()));
        let body = json!({ "options": { "cas": expected }, "data": { "v": value } });
        let told = self.told_to_keep(cluster, host, &format!("kv/data/r{key}"), &body).await;
        self.is_there(cluster, &told, key, *process);
        let (kind, result, why) = match told {
            Told::Refused(400, text) if text.contains("check-and-set parameter did not match") => {
                (Kind::Fail, argument, "mismatch".to_owned())
            }
            told => written(told, key, value, argument),
        };
        self.histories.end(REGISTER, &begun, kind, result, &why, process);
    }

    /// What is said to a write of shared data, which is not known if it counts for nothing.
    async fn told_to_keep(&self, cluster: usize, host: HostId, path: &str, body: &serde_json::Value) -> Told {
        let belief = self.world.belief(cluster);
        match self.told(host, "POST", path, &self.token(cluster), body).await {
            Told::Refused(0, why) => Told::Refused(0, why),
            told if self.world.still_believes(cluster, belief) => told,
            _ => Told::Unknown("what its cluster says does not count".to_owned()),
        }
    }

    /// What was answered without a warning is there for whoever asks the same cluster.
    fn is_there(&self, cluster: usize, told: &Told, key: u64, process: u64) {
        if let Told::Done(answer) = told
            && answer["warnings"].is_null()
            && let Some(version) = answer["data"]["version"].as_i64()
        {
            self.shows(cluster, process, key, version);
        }
    }

    /// A cluster shows a version from now on, or a later one.
    fn shows(&self, cluster: usize, process: u64, key: u64, version: i64) {
        let Some(belief) = self.world.belief(cluster) else { return };
        let seen = Value::pair(key, Value::pair(version, Value::Nil));
        let begun = Op::invoke(process, "write", seen.clone()).of(format!("{cluster}.{belief}"));
        self.histories.record(COPIES, begun.complete(Kind::Ok, seen));
    }

    /// The version of each register that a cluster shows.
    pub async fn versions(&self, cluster: usize) -> Vec<(u64, i64)> {
        let mut versions = Vec::new();
        for key in 0..self.world.plan.keys {
            let Some(host) = active(&self.world, cluster) else { continue };
            let path = format!("kv/data/r{key}");
            if let Told::Done(answer) = self.told(host, "GET", &path, &self.token(cluster), &serde_json::Value::Null).await {
                versions.extend(answer["data"]["metadata"]["version"].as_i64().map(|version| (key, version)));
            }
        }
        versions
    }

    /// Logs in to a cluster as soon as it lets anybody in, and reads all registers: what it shows from the first answer on counts.
    pub async fn read_as_user(&self, cluster: usize) {
        let mut process = self.histories.process();
        for _ in 0..LOGINS_WHILE_FILLED {
            tokio::time::sleep(Duration::from_millis(150)).await;
            let Some(host) = active(&self.world, cluster) else { continue };
            let told = self.told(host, "PUT", &format!("auth/up/login/{READER}"), "", &json!({ "password": PASSWORD })).await;
            let Some(token) = told.token() else { continue };
            for key in 0..self.world.plan.keys {
                self.read_with(&token, (cluster, host), key, &mut process, COPIES).await;
            }
        }
    }

    /// Another cluster shows them from now on, or later ones.
    pub fn are_there(&self, cluster: usize, versions: Vec<(u64, i64)>) {
        let process = self.histories.process();
        versions.into_iter().for_each(|(key, version)| self.shows(cluster, process, key, version));
    }

    /// Adds to the set.
    pub async fn add(&self, cluster: usize, host: HostId, process: &mut u64) {
        let element = self.fresh();
        let begun = self.histories.record(SET, Op::invoke(*process, "add", element));
        let body = json!({ "data": { "v": element } });
        let told = self.told_to_keep(cluster, host, &format!("kv/data/set/e{element}"), &body).await;
        let is_kept = match &told {
            // Only what is on the cluster that will be promoted outlives that.
            Told::Done(answer) => !self.world.plan.forces() || (cluster == 1 && answer["warnings"].is_null()),
            _ => true,
        };
        let (kind, why) = if is_kept { told.outcome() } else { (Kind::Info, "it may be lost".to_owned()) };
        self.histories.end(SET, &begun, kind, element, &why, process);
    }

    /// Writes to the local mount: what is there must never be seen elsewhere.
    pub async fn keep_here(&self, cluster: usize, host: HostId, process: &mut u64) {
        // Lists are as secret as what stands alone.
        let (element, body) = (self.fresh(), json!({ "v": LOCAL_VALUE, "all": [LOCAL_VALUE, [{ "v": LOCAL_VALUE }]] }));
        let (workload, belief) = (LOCAL[cluster], self.world.belief(cluster));
        // Users of a local mount stay too.
        if element % 16 == 0 {
            let user = format!("auth/{LOCAL_CANARY}/users/{LOCAL_CANARY}-{element}");
            self.told(host, "POST", &user, &self.token(cluster), &json!({ "password": LOCAL_VALUE })).await;
        }
        let begun = self.histories.record(workload, Op::invoke(*process, "add", element));
        let told = self.told(host, "POST", &format!("{LOCAL_CANARY}/{LOCAL_CANARY}/e{element}"), &self.token(cluster), &body).await;
        let (kind, why) = if self.world.still_believes(cluster, belief) { told.outcome() } else { (Kind::Info, "it may go".to_owned()) };
        self.histories.end(workload, &begun, kind, element, &why, process);
    }

    /// Reads every element of both sets through `host`, each as one read.
    ///
    /// # Errors
    /// If they cannot be listed.
    pub async fn read_sets(&self, cluster: usize, host: HostId, name: &str) -> Result<(), String> {
        self.read_set(cluster, host, name, (SET, "kv/metadata/set")).await?;
        self.read_set(cluster, host, name, (LOCAL[cluster], &format!("{LOCAL_CANARY}/{LOCAL_CANARY}"))).await
    }

    async fn read_set(&self, cluster: usize, host: HostId, name: &str, (workload, path): (&'static str, &str)) -> Result<(), String> {
        let mut process = self.histories.process();
        let begun = self.histories.record(workload, Op::invoke(process, "read", Value::Nil).on(name));
        match self.told(host, "LIST", path, &self.token(cluster), &serde_json::Value::Null).await {
            Told::Done(answer) => {
                let names = answer["data"]["keys"].as_array().cloned().unwrap_or_default();
                let elements = names.iter().filter_map(|name| name.as_str()?.strip_prefix('e')?.parse::<i64>().ok()).map(Value::from);
                self.histories.end(workload, &begun, Kind::Ok, Value::from(elements.collect::<Vec<_>>()), "", &mut process);
                Ok(())
            }
            Told::Refused(404, text) if text == "[]" => {
                self.histories.end(workload, &begun, Kind::Ok, Value::from(Vec::new()), "", &mut process);
                Ok(())
            }
            Told::Refused(_, why) | Told::Unknown(why) => {
                self.histories.end(workload, &begun, Kind::Fail, Value::Nil, &why, &mut process);
                Err(format!("{path} cannot be listed at {name}: {why}"))
            }
        }
    }
}

fn seen(answer: &serde_json::Value) -> Value {
    let version = answer["data"]["metadata"]["version"].as_i64().unwrap_or(0);
    Value::pair(version, answer["data"]["data"]["v"].as_i64().map_or(Value::Nil, Value::from))
}

fn written(told: Told, key: u64, value: i64, argument: Value) -> (Kind, Value, String) {
    match told {
        Told::Done(answer) => match answer["data"]["version"].as_i64() {
            Some(version) => (Kind::Ok, Value::pair(key, Value::pair(version, value)), String::new()),
            None => (Kind::Info, argument, format!("no version in {answer}")),
        },
        Told::Refused(_, why) => (Kind::Fail, argument, why),
        Told::Unknown(why) => (Kind::Info, argument, why),
    }
}
