//! One `coffer server` process: configuration, start, kill -9, and HTTP to it.

use std::fs;
use std::net::TcpListener;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use nix::sys::signal::Signal;
use serde_json::{Value, json};

/// An answer: status, and the body as JSON (`null` if it is none).
pub type Answer = (u16, Value);

pub struct Node {
    pub name: String,
    pub port: u16,
    config: PathBuf,
    child: Option<Child>,
    agent: ureq::Agent,
}

/// Two neighbouring ports that are free now: API and cluster. Each test process looks in a range of its own, below those that the system
/// gives to outgoing connections, which could take one between now and its use.
pub fn free_ports() -> u16 {
    use std::sync::atomic::{AtomicU16, Ordering};
    static NEXT: AtomicU16 = AtomicU16::new(0);
    let base = 10_000 + u16::try_from(std::process::id() % 200).expect("below 200") * 100;
    for _ in 0..1000 {
        let port = base + NEXT.fetch_add(2, Ordering::Relaxed) % 2_000;
        let is_free = |port: u16| TcpListener::bind(("127.0.0.1", port)).is_ok();
        if is_free(port) && is_free(port + 1) {
            return port;
        }
    }
    panic!("no free ports");
}

impl Node {
    /// Writes the configuration of a node that joins the others by itself; does not start it.
    pub fn new(folder: &Path, cluster: &str, name: &str, port: u16, others: &[u16]) -> Self {
        let data = folder.join(name);
        fs::create_dir_all(&data).unwrap();
        let joins: String =
            others.iter().map(|other| format!("  retry_join {{ leader_api_addr = \"http://127.0.0.1:{other}\" }}\n")).collect();
        let text = format!(
            "cluster_name = \"{cluster}\"\napi_addr = \"http://127.0.0.1:{port}\"\ncluster_addr = \"https://127.0.0.1:{cluster_port}\"\n\
             disable_mlock = true\nlog_level = \"info\"\n\
             listener \"tcp\" {{\n  address = \"127.0.0.1:{port}\"\n  cluster_address = \"127.0.0.1:{cluster_port}\"\n  tls_disable = true\n  telemetry {{ unauthenticated_metrics_access = true }}\n}}\n\
             storage \"raft\" {{\n  path = \"{path}\"\n  node_id = \"{name}\"\n{joins}}}\n",
            cluster_port = port + 1,
            path = data.display(),
        );
        let config = folder.join(format!("{name}.hcl"));
        fs::write(&config, text).unwrap();
        let agent = ureq::Agent::config_builder()
            .http_status_as_error(false)
            .allow_non_standard_methods(true)
            .timeout_global(Some(Duration::from_secs(40)))
            .build()
            .into();
        Self { name: name.to_owned(), port, config, child: None, agent }
    }

    /// Changes the configuration of a node that is not started yet: all of `from` becomes `to`.
    #[track_caller]
    pub fn configure(&self, from: &str, to: &str) {
        let text = fs::read_to_string(&self.config).unwrap();
        assert!(text.contains(from), "{text} has no {from}");
        fs::write(&self.config, text.replace(from, to)).unwrap();
    }

    /// Starts the process and waits until it answers.
    pub fn start(&mut self) {
        assert!(self.child.is_none(), "{} is running", self.name);
        let log = fs::OpenOptions::new().create(true).append(true).open(self.log_path()).unwrap();
        let child = Command::new(env!("CARGO_BIN_EXE_coffer"))
            .arg("server")
            .arg(format!("-config={}", self.config.display()))
            .stdin(Stdio::null())
            .stdout(log.try_clone().unwrap())
            .stderr(log)
            .spawn()
            .unwrap();
        self.child = Some(child);
        wait_until("the node answers", Duration::from_secs(30), || self.get("sys/seal-status", "").is_some());
    }

    pub fn log_path(&self) -> PathBuf {
        self.config.with_extension("log")
    }

    /// Says a line to the socket of a test build; its answer.
    #[cfg(feature = "chaos")]
    pub fn chaos(&self, line: &str) -> String {
        use std::io::{BufRead, BufReader, Write};
        let mut socket = std::os::unix::net::UnixStream::connect(self.config.with_extension("").join("chaos.sock")).unwrap();
        socket.write_all(format!("{line}\n").as_bytes()).unwrap();
        let mut answer = String::new();
        BufReader::new(socket).read_line(&mut answer).unwrap();
        answer.trim_end().to_owned()
    }

    /// Whether the process has ended by itself.
    #[cfg(feature = "chaos")]
    pub fn has_ended(&mut self) -> bool {
        self.child.as_mut().is_none_or(|child| child.try_wait().unwrap().is_some())
    }

    pub fn is_running(&self) -> bool {
        self.child.is_some()
    }

    /// The number of the process, while it runs.
    pub fn pid(&self) -> Option<u32> {
        self.child.as_ref().map(Child::id)
    }

    /// kill -9.
    pub fn kill(&mut self) {
        if let Some(mut child) = self.child.take() {
            child.kill().unwrap();
            child.wait().unwrap();
        }
    }

    pub fn signal(&self, signal: Signal) {
        let id = self.child.as_ref().expect("it runs").id();
        nix::sys::signal::kill(nix::unistd::Pid::from_raw(i32::try_from(id).unwrap()), signal).unwrap();
    }

    /// Asks the process to end, and waits until it has.
    pub fn terminate(&mut self) {
        if self.is_running() {
            self.signal(Signal::SIGTERM);
            self.ended_well();
        }
    }

    /// Waits for the end of a process that was asked to end.
    pub fn ended_well(&mut self) {
        let mut child = self.child.take().expect("it runs");
        assert!(child.wait().unwrap().success(), "{} ended well", self.name);
    }

    /// Runs the command line against this node, with more variables; its exit code and all that it said.
    pub fn coffer(&self, args: &[&str], env: &[(&str, &str)]) -> (i32, String) {
        let mut command = Command::new(env!("CARGO_BIN_EXE_coffer"));
        command
            .args(args)
            .env_clear()
            .env("HOME", self.config.parent().unwrap())
            .env("VAULT_ADDR", format!("http://127.0.0.1:{}", self.port));
        let output = command.envs(env.iter().copied()).output().unwrap();
        let said = format!("{}{}", String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr));
        (output.status.code().unwrap_or(-1), said)
    }

    /// Sends a request; `None` if there was no answer.
    pub fn call(&self, method: &str, path: &str, token: &str, body: Option<&Value>) -> Option<Answer> {
        let json = if method == "PATCH" { "application/merge-patch+json" } else { "application/json" };
        self.call_with(method, path, &[("X-Vault-Token", token), ("Content-Type", json)], body)
    }

    /// The same with headers of one's own.
    pub fn call_with(&self, method: &str, path: &str, headers: &[(&str, &str)], body: Option<&Value>) -> Option<Answer> {
        let uri = format!("http://127.0.0.1:{}/v1/{path}", self.port);
        let mut request = ureq::http::Request::builder().method(method).uri(uri);
        for (name, value) in headers {
            request = request.header(*name, *value);
        }
        let request = request.body(body.map(Value::to_string).unwrap_or_default()).unwrap();
        let mut answer = self.agent.run(request).ok()?;
        let status = answer.status().as_u16();
        let text = answer.body_mut().read_to_string().ok()?;
        Some((status, serde_json::from_str(&text).unwrap_or(Value::Null)))
    }

    pub fn get(&self, path: &str, token: &str) -> Option<Answer> {
        self.call("GET", path, token, None)
    }

    pub fn put(&self, path: &str, token: &str, body: &Value) -> Option<Answer> {
        self.call("PUT", path, token, Some(body))
    }

    /// A write that must succeed.
    #[track_caller]
    pub fn must(&self, path: &str, token: &str, body: &Value) -> Value {
        let (status, answer) = self.put(path, token, body).expect("an answer");
        assert!(status < 300, "{path}: {status} {answer}");
        answer
    }

    /// `sys/health`'s status: 200 active, 429 standby, 503 sealed.
    pub fn health(&self) -> u16 {
        self.get("sys/health", "").map_or(0, |(status, _)| status)
    }

    /// Gives unseal keys until the node serves.
    pub fn unseal(&self, keys: &[String]) {
        wait_until("the unsealed node serves", Duration::from_secs(60), || {
            if matches!(self.health(), 200 | 429) {
                return true;
            }
            for key in keys {
                self.put("sys/unseal", "", &json!({ "key": key }));
            }
            false
        });
    }

    /// The value of a metric without labels, or the sum over its labels.
    pub fn metric(&self, name: &str) -> Option<f64> {
        let uri = format!("http://127.0.0.1:{}/v1/sys/metrics?format=prometheus", self.port);
        let text = self.agent.get(&uri).call().ok()?.body_mut().read_to_string().ok()?;
        let of_name = |line: &&str| line.strip_prefix(name).is_some_and(|rest| rest.starts_with([' ', '{']));
        let values: Vec<f64> = text.lines().filter(of_name).filter_map(|line| line.rsplit(' ').next()?.parse().ok()).collect();
        (!values.is_empty()).then(|| values.iter().sum())
    }
}

impl Drop for Node {
    fn drop(&mut self) {
        self.kill();
        if std::thread::panicking() {
            let log = fs::read_to_string(self.log_path()).unwrap_or_default();
            let tail: Vec<&str> = log.lines().rev().take(15).collect();
            eprintln!("--- log of {}\n{}", self.name, tail.into_iter().rev().collect::<Vec<_>>().join("\n"));
        }
    }
}

/// Asks again and again until `done`; fails with `what` after `limit`.
#[track_caller]
pub fn wait_until(what: &str, limit: Duration, mut done: impl FnMut() -> bool) {
    let start = Instant::now();
    while !done() {
        assert!(start.elapsed() < limit, "waited {limit:?} until {what}");
        std::thread::sleep(Duration::from_millis(50));
    }
}
