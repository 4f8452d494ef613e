//! Control calls to a server that speaks the Vault API: rare, so they may be slow.

use std::time::Duration;

use anyhow::Context;
use serde_json::Value;

/// Talks to one node.
#[derive(Clone)]
pub struct VaultApi {
    pub address: String,
    agent: ureq::Agent,
}

impl VaultApi {
    /// For `127.0.0.1:8200`.
    pub fn new(address: &str) -> Self {
        let agent = ureq::Agent::config_builder()
            .http_status_as_error(false)
            .allow_non_standard_methods(true)
            .max_redirects(0)
            .timeout_global(Some(Duration::from_secs(20)))
            .build()
            .into();
        Self { address: address.into(), agent }
    }

    /// Status and body; `null` if there is none.
    ///
    /// # Errors
    /// If there was no answer.
    pub fn call(&self, method: &str, path: &str, token: &str, body: Option<&Value>) -> anyhow::Result<(u16, Value)> {
        let (status, text) = self.text(method, path, token, body)?;
        Ok((status, serde_json::from_str(&text).unwrap_or(Value::Null)))
    }

    /// Status and body as text.
    ///
    /// # Errors
    /// If there was no answer.
    pub fn text(&self, method: &str, path: &str, token: &str, body: Option<&Value>) -> anyhow::Result<(u16, String)> {
        let request = ureq::http::Request::builder()
            .method(method)
            .uri(format!("http://{}/v1/{path}", self.address))
            .header("X-Vault-Token", token)
            .body(body.map(Value::to_string).unwrap_or_default())?;
        let mut answer = self.agent.run(request).with_context(|| format!("{method} {path} at {}", self.address))?;
        Ok((answer.status().as_u16(), answer.body_mut().read_to_string()?))
    }

    /// A call that must succeed.
    ///
    /// # Errors
    /// If it does not.
    pub fn must(&self, method: &str, path: &str, token: &str, body: &Value) -> anyhow::Result<Value> {
        let (status, answer) = self.call(method, path, token, Some(body))?;
        anyhow::ensure!(status < 300, "{method} {path}: {status} {answer}");
        Ok(answer)
    }

    /// `sys/health`: 200 active, 429 standby, 503 sealed; 0 if there is no answer.
    pub fn health(&self) -> u16 {
        self.call("GET", "sys/health", "", None).map_or(0, |(status, _)| status)
    }

    /// A metric of the node, summed over its labels; `None` if it is not exported.
    pub fn metric(&self, name: &str, token: &str) -> Option<f64> {
        self.metrics(token)?.sum(name)
    }

    /// All metrics of the node as they are now; `None` if it does not say.
    pub fn metrics(&self, token: &str) -> Option<Metrics> {
        self.text("GET", "sys/metrics?format=prometheus", token, None).ok().map(|(_, text)| Metrics(text))
    }
}

/// What a node exports, in Prometheus' format.
pub struct Metrics(String);

impl Metrics {
    /// A metric summed over its labels; `None` if there is none of that name.
    pub fn sum(&self, name: &str) -> Option<f64> {
        self.samples(name).map(|(_, value)| value).reduce(|sum, value| sum + value)
    }

    /// The greatest that a summary saw lately; `None` if it saw nothing.
    pub fn greatest(&self, name: &str) -> Option<f64> {
        let of_all = self.samples(name).filter(|(labels, _)| labels.contains("quantile=\"1\""));
        of_all.map(|(_, value)| value).reduce(f64::max)
    }

    /// Labels and value of each sample of a metric.
    fn samples(&self, name: &str) -> impl Iterator<Item = (&str, f64)> {
        let of_name = move |line: &&str| line.strip_prefix(name).is_some_and(|rest| rest.starts_with([' ', '{']));
        self.0.lines().filter(of_name).filter_map(|line| {
            let (labels, value) = line.rsplit_once(' ')?;
            Some((labels, value.parse().ok()?))
        })
    }
}
