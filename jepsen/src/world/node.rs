//! One node: its configuration, its process, and requests to it that do not cross the test network.
//!
//! Control runs inside the node's own namespace, over loopback: no fault of the network touches it.
//! Not here: what makes nodes a cluster (`cluster`).

use std::fs;
use std::net::{Ipv4Addr, SocketAddr};
use std::path::{Path, PathBuf};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use serde_json::{Value, json};

use super::faultfs::Disk;
use super::netns::Namespace;
use super::process::{Process, Start};
use crate::client::http::{Connection, Reply, Request};

/// For the API of each node; the next one is for its cluster.
pub const PORT: u16 = 8200;
/// What control waits for one answer.
const CONTROL: Duration = Duration::from_secs(15);

/// A node of a cluster under test. Shared between those who work and those who break it.
pub struct Node {
    /// `a1`, `p2`, …
    pub name: String,
    /// Its cluster's name.
    pub cluster: String,
    /// Its place among all links of the switch.
    pub link: usize,
    /// In the test network.
    pub address: SocketAddr,
    /// Its network.
    pub namespace: Namespace,
    /// Its storage.
    pub data: PathBuf,
    start: Start,
    process: Mutex<Option<Process>>,
    crashes: Mutex<Vec<String>>,
    /// Its disk, if it can break. The last field: it is unmounted once the process is gone.
    pub disk: Option<Disk>,
}

/// Of a node's configuration, what differs between runs.
#[derive(Clone, Debug)]
pub struct Settings {
    /// The product's program.
    pub program: PathBuf,
    /// Lines for `storage "raft"`.
    pub storage: String,
    /// Whole stanzas.
    pub stanzas: String,
    /// For the process.
    pub env: Vec<(String, String)>,
}

impl Node {
    /// Writes the configuration; starts nothing.
    ///
    /// # Errors
    /// If the folder cannot be written.
    pub fn new(
        folder: &Path,
        (cluster, name, link): (&str, &str, usize),
        address: Ipv4Addr,
        others: &[Ipv4Addr],
        namespace: Namespace,
        settings: &Settings,
        disk: Option<Disk>,
    ) -> Result<Self, String> {
        let home = folder.join("nodes").join(name);
        let data = home.join("data");
        let joins: String =
            others.iter().map(|other| format!("  retry_join {{ leader_api_addr = \"http://{other}:{PORT}\" }}\n")).collect();
        let text = format!(
            "cluster_name = \"{cluster}\"\napi_addr = \"http://{address}:{PORT}\"\ncluster_addr = \"https://{address}:{}\"\n\
             disable_mlock = true\nlog_level = \"info\"\n\
             listener \"tcp\" {{\n  address = \"{address}:{PORT}\"\n  cluster_address = \"{address}:{}\"\n  tls_disable = true\n  \
             telemetry {{ unauthenticated_metrics_access = true }}\n}}\n{}\
             storage \"raft\" {{\n  path = \"{}\"\n  node_id = \"{name}\"\n{}{joins}}}\n",
            PORT + 1,
            PORT + 1,
            settings.stanzas,
            data.display(),
            settings.storage,
        );
        let config = home.join("config.hcl");
        let logs = folder.join("logs");
        let written = fs::create_dir_all(&data).and_then(|()| fs::create_dir_all(&logs)).and_then(|()| fs::write(&config, text));
        written.map_err(|error| format!("{}: {error}", home.display()))?;
        let start = Start {
            program: settings.program.clone(),
            args: vec!["server".to_owned(), format!("-config={}", config.display())],
            env: settings.env.clone(),
            log: logs.join(format!("{name}.log")),
            list: folder.join("processes"),
        };
        Ok(Self {
            name: name.to_owned(),
            cluster: cluster.to_owned(),
            link,
            address: SocketAddr::from((address, PORT)),
            namespace,
            data,
            start,
            process: Mutex::new(None),
            crashes: Mutex::default(),
            disk,
        })
    }

    fn process(&self) -> MutexGuard<'_, Option<Process>> {
        self.process.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Starts the process and waits until it answers; nothing to do if it runs.
    ///
    /// # Errors
    /// If it does not answer in time, with the end of its log.
    pub fn start(&self) -> Result<(), String> {
        {
            let mut process = self.process();
            match process.as_mut().map(Process::ended) {
                Some(None) => return Ok(()),
                Some(Some(status)) => self.note_crash(status.to_string()),
                None => {}
            }
            *process = Some(Process::start(&self.start, &self.namespace)?);
        }
        self.wait("answers", Duration::from_secs(60), || self.has_ended() || self.get("sys/seal-status", "").is_some())?;
        if self.has_ended() { Err(format!("{}: ended as it started\n{}", self.name, self.log_end())) } else { Ok(()) }
    }

    /// Asks it to end; `has_ended` says when it has.
    pub fn terminate(&self) {
        if let Some(process) = self.process().as_ref() {
            process.terminate();
        }
    }

    /// kill -9. If it had ended by itself before, that is noted.
    pub fn kill(&self) {
        if let Some(status) = self.process().take().and_then(|mut process| process.ended()) {
            self.note_crash(status.to_string());
        }
    }

    /// Forgets an end that was to be expected.
    pub fn excuse(&self) {
        *self.process() = None;
    }

    /// Stops it where it is.
    pub fn pause(&self) {
        if let Some(process) = self.process().as_mut() {
            process.pause();
        }
    }

    /// Lets it go on.
    pub fn resume(&self) {
        if let Some(process) = self.process().as_mut() {
            process.resume();
        }
    }

    /// Whether it runs and is not paused.
    pub fn is_running(&self) -> bool {
        self.process().as_mut().is_some_and(|process| !process.is_paused() && process.ended().is_none())
    }

    /// Whether it ended by itself and was not started again.
    pub fn has_ended(&self) -> bool {
        self.process().as_mut().is_some_and(|process| process.ended().is_some())
    }

    /// How it ended by itself, each time: findings.
    pub fn crashes(&self) -> Vec<String> {
        let now = self.process().as_mut().and_then(Process::ended).map(|status| status.to_string());
        let before = self.crashes.lock().unwrap_or_else(PoisonError::into_inner).clone();
        before.into_iter().chain(now).collect()
    }

    fn note_crash(&self, how: String) {
        self.crashes.lock().unwrap_or_else(PoisonError::into_inner).push(how);
    }

    /// Its number, while it runs.
    pub fn pid(&self) -> Option<u32> {
        self.process().as_ref().map(Process::pid)
    }

    /// Where its output goes.
    pub fn log(&self) -> &Path {
        &self.start.log
    }

    /// Sets a variable for later starts.
    pub fn set_env(&mut self, name: &str, value: &str) {
        self.start.env.push((name.to_owned(), value.to_owned()));
    }

    /// Asks the node without crossing the test network.
    pub fn ask(&self, request: &Request) -> Option<Reply> {
        self.namespace.run(|| Connection::new(self.address).call(request, CONTROL)).ok()
    }

    /// Reads.
    pub fn get(&self, path: &str, token: &str) -> Option<Reply> {
        self.ask(&Request::new("GET", path).with_token(token))
    }

    /// Writes.
    pub fn put(&self, path: &str, token: &str, body: Value) -> Option<Reply> {
        self.ask(&Request::new("PUT", path).with_token(token).with_body(body))
    }

    /// A write that must succeed: its answer.
    ///
    /// # Errors
    /// What the node said instead.
    pub fn must(&self, path: &str, token: &str, body: Value) -> Result<Value, String> {
        let reply = self.put(path, token, body).ok_or_else(|| format!("{}: {path}: no answer", self.name))?;
        if reply.status < 300 {
            return Ok(reply.body);
        }
        Err(format!("{}: {path}: {} {}", self.name, reply.status, reply.body))
    }

    /// `sys/health`'s status: 200 active, 429 standby, 503 sealed, 501 not initialized; 0 without an answer.
    pub fn health(&self) -> u16 {
        if self.is_running() { self.get("sys/health", "").map_or(0, |reply| reply.status) } else { 0 }
    }

    /// Gives unseal keys, as they are by then, until the node is unsealed; it may yet have to find a leader.
    ///
    /// # Errors
    /// If it is not within `limit`.
    pub fn unseal(&self, keys: impl Fn() -> Vec<String>, limit: Duration) -> Result<(), String> {
        self.wait("is unsealed", limit, || {
            let is_open = |reply: Reply| reply.body["sealed"] == false;
            if self.get("sys/seal-status", "").is_some_and(is_open) {
                return true;
            }
            keys().iter().any(|key| self.put("sys/unseal", "", json!({ "key": key })).is_some_and(is_open))
        })
    }

    /// Asks again and again until `done`.
    ///
    /// # Errors
    /// After `limit`, with the end of the log.
    pub fn wait(&self, what: &str, limit: Duration, mut done: impl FnMut() -> bool) -> Result<(), String> {
        let begin = Instant::now();
        while !done() {
            if begin.elapsed() > limit {
                return Err(format!("{}: waited {limit:?} until it {what}\n{}", self.name, self.log_end()));
            }
            std::thread::sleep(Duration::from_millis(100));
        }
        Ok(())
    }

    fn log_end(&self) -> String {
        let log = fs::read_to_string(self.log()).unwrap_or_default();
        let lines: Vec<&str> = log.lines().collect();
        lines[lines.len().saturating_sub(12)..].join("\n")
    }
}
