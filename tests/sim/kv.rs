//! What clients do with secrets: registers with versions, a set, and what is only there for its own cluster.

use jepsen::core::{Kind, Op, Value};
use serde_json::json;

use crate::clients::{COPIES, Clients, REGISTER, SET, Told};
use crate::invariants::LOCAL_CANARY;
use crate::net::HostId;
use crate::rng::Rng;

impl Clients {
    /// Reads a register.
    pub async fn read(&self, cluster: usize, host: HostId, rng: &mut Rng, process: &mut u64, workload: &'static str) {
        let key = rng.below(self.world.plan.keys);
        let begun = self.histories.record(workload, Op::invoke(*process, "read", Value::pair(key, Value::Nil)).of(format!("{cluster}")));
        let (kind, value, why) =
            match self.told(host, "GET", &format!("kv/data/r{key}"), &self.token(cluster), &serde_json::Value::Null).await {
                Told::Done(answer) => (Kind::Ok, Value::pair(key, seen(&answer)), String::new()),
                // Nothing was ever written there; the mount itself may not be there yet on a copy.
                Told::Refused(404, text) if text == "[]" => (Kind::Ok, Value::pair(key, Value::pair(0, Value::Nil)), String::new()),
                Told::Refused(_, why) | Told::Unknown(why) => (Kind::Fail, Value::pair(key, Value::Nil), why),
            };
        self.histories.end(workload, &begun, kind, value, &why, process);
    }

    /// Writes a register.
    pub async fn write(&self, cluster: usize, host: HostId, rng: &mut Rng, process: &mut u64) {
        let (key, value) = (rng.below(self.world.plan.keys), self.fresh());
        let argument = Value::pair(key, Value::pair(Value::Nil, value));
        let begun = self.histories.record(REGISTER, Op::invoke(*process, "write", argument.clone()));
        let body = json!({ "data": { "v": value } });
        let told = self.told(host, "POST", &format!("kv/data/r{key}"), &self.token(cluster), &body).await;
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
        let told = self.told(host, "POST", &format!("kv/data/r{key}"), &self.token(cluster), &body).await;
        self.is_there(cluster, &told, key, *process);
        let (kind, result, why) = match told {
            Told::Refused(400, text) if text.contains("check-and-set parameter did not match") => {
                (Kind::Fail, argument, "mismatch".to_owned())
            }
            told => written(told, key, value, argument),
        };
        self.histories.end(REGISTER, &begun, kind, result, &why, process);
    }

    /// What was answered without a warning is there for whoever asks the same cluster.
    fn is_there(&self, cluster: usize, told: &Told, key: u64, process: u64) {
        let Told::Done(answer) = told else { return };
        if let (Some(version), true) = (answer["data"]["version"].as_i64(), answer["warnings"].is_null()) {
            let seen = Value::pair(key, Value::pair(version, Value::Nil));
            let begun = Op::invoke(process, "write", seen.clone()).of(format!("{cluster}"));
            self.histories.record(COPIES, begun.complete(Kind::Ok, seen));
        }
    }

    /// Adds to the set.
    pub async fn add(&self, cluster: usize, host: HostId, process: &mut u64) {
        let element = self.fresh();
        let begun = self.histories.record(SET, Op::invoke(*process, "add", element));
        let body = json!({ "data": { "v": element } });
        let told = self.told(host, "POST", &format!("kv/data/set/e{element}"), &self.token(cluster), &body).await;
        let (kind, why) = told.outcome();
        self.histories.end(SET, &begun, kind, element, &why, process);
    }

    /// Writes to the local mount: what is there must never be seen elsewhere.
    pub async fn keep_here(&self, cluster: usize, host: HostId) {
        let (n, body) = (self.fresh() % 20, json!({ "v": format!("{LOCAL_CANARY} {cluster}") }));
        let _ = self.told(host, "POST", &format!("{LOCAL_CANARY}/{LOCAL_CANARY}-{cluster}-{n}"), &self.token(cluster), &body).await;
    }

    /// Reads every element of the set through `host`, as one read.
    ///
    /// # Errors
    /// If they cannot be listed.
    pub async fn read_set(&self, cluster: usize, host: HostId, name: &str) -> Result<(), String> {
        let mut process = self.histories.process();
        let begun = self.histories.record(SET, Op::invoke(process, "read", Value::Nil).on(name));
        match self.told(host, "LIST", "kv/metadata/set", &self.token(cluster), &serde_json::Value::Null).await {
            Told::Done(answer) => {
                let names = answer["data"]["keys"].as_array().cloned().unwrap_or_default();
                let elements = names.iter().filter_map(|name| name.as_str()?.strip_prefix('e')?.parse::<i64>().ok()).map(Value::from);
                self.histories.end(SET, &begun, Kind::Ok, Value::from(elements.collect::<Vec<_>>()), "", &mut process);
                Ok(())
            }
            Told::Refused(404, text) if text == "[]" => {
                self.histories.end(SET, &begun, Kind::Ok, Value::from(Vec::new()), "", &mut process);
                Ok(())
            }
            Told::Refused(_, why) | Told::Unknown(why) => {
                self.histories.end(SET, &begun, Kind::Fail, Value::Nil, &why, &mut process);
                Err(format!("the set cannot be listed at {name}: {why}"))
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
