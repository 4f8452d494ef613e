//! Requests of the Vault API, built once: a write differs from the next in a few digits.

use serde_json::Value;

use super::clients::{Failure, Found};
use super::http_client::HttpClient;
use super::plan::{Plan, Work};
use crate::cluster::vault::MOUNT;

/// One client.
pub struct VaultClient {
    http: HttpClient,
    write: Template,
    read: Template,
    call: Vec<u8>,
}

/// A request with places for the key's number and the attempt's.
struct Template {
    bytes: Vec<u8>,
    key_at: usize,
    attempt_at: usize,
}

/// Digits of a key's number, and of an attempt's.
pub const KEY_DIGITS: usize = 8;
pub const ATTEMPT_DIGITS: usize = 12;

const KEY_PLACE: &str = "KKKKKKKK";
const ATTEMPT_PLACE: &str = "AAAAAAAAAAAA";

impl VaultClient {
    pub async fn connect(address: &str, token: &str, plan: &Plan) -> anyhow::Result<Self> {
        let request = |method: &str, path: &str, body: &str| {
            let length = body.len();
            format!(
                "{method} /v1/{path} HTTP/1.1\r\nHost: {address}\r\nX-Vault-Token: {token}\r\nContent-Type: application/json\r\n\
                 Content-Length: {length}\r\n\r\n{body}"
            )
        };
        let path = format!("{MOUNT}/data/bench-{KEY_PLACE}");
        let filler = "x".repeat(plan.value_bytes.saturating_sub(ATTEMPT_DIGITS));
        let body = format!("{{\"data\":{{\"value\":\"{ATTEMPT_PLACE}{filler}\"}}}}");
        let call = match &plan.work {
            Work::Call { method, path, body, .. } => request(method, path, body),
            _ => String::new(),
        };
        Ok(Self {
            http: HttpClient::connect(address).await?,
            write: Template::new(&request("PUT", &path, &body)),
            read: Template::new(&request("GET", &path, "")),
            call: call.into_bytes(),
        })
    }

    pub async fn reconnect(&mut self) -> anyhow::Result<()> {
        self.http.reconnect().await
    }

    pub async fn write(&mut self, key: u32, attempt: u64) -> Result<(), Failure> {
        self.write.key(key);
        self.write.attempt(attempt);
        good(self.http.exchange(&self.write.bytes).await?.status)
    }

    /// A read whose content is looked at no further than that it is long enough to hold the value.
    pub async fn touch(&mut self, key: u32, value_bytes: usize) -> Result<(), Failure> {
        self.read.key(key);
        let answer = self.http.exchange(&self.read.bytes).await?;
        good(answer.status)?;
        if answer.body.len() < value_bytes { Err(Failure::Answer("short answer".into())) } else { Ok(()) }
    }

    pub async fn read(&mut self, key: u32) -> Result<Option<Found>, Failure> {
        self.read.key(key);
        let answer = self.http.exchange(&self.read.bytes).await?;
        if answer.status == 404 {
            return Ok(None);
        }
        good(answer.status)?;
        let body: Value = serde_json::from_slice(answer.body).map_err(|_| Failure::Answer("no JSON".into()))?;
        let value = body["data"]["data"]["value"].as_str().unwrap_or_default();
        let attempt = value.get(..ATTEMPT_DIGITS).and_then(|digits| digits.parse().ok());
        let versions = body["data"]["metadata"]["version"].as_u64();
        let found = attempt.zip(versions).map(|(attempt, versions)| Found { attempt, versions });
        found.map(Some).ok_or_else(|| Failure::Answer("another secret".into()))
    }

    /// Sends the plan's own request; returns the token that the answer holds, if any.
    pub async fn call(&mut self) -> Result<Option<String>, Failure> {
        let answer = self.http.exchange(&self.call).await?;
        good(answer.status)?;
        let text = std::str::from_utf8(answer.body).unwrap_or_default();
        let token = text.split_once("\"client_token\":\"").and_then(|(_, rest)| rest.split_once('"'));
        Ok(token.map(|(token, _)| token.to_owned()))
    }

    /// Whether the server knows `token`.
    pub async fn knows(&mut self, address: &str, token: &str) -> Result<bool, Failure> {
        let request = format!("GET /v1/auth/token/lookup-self HTTP/1.1\r\nHost: {address}\r\nX-Vault-Token: {token}\r\n\r\n");
        Ok(self.http.exchange(request.as_bytes()).await?.status == 200)
    }
}

fn good(status: u16) -> Result<(), Failure> {
    if (200..300).contains(&status) { Ok(()) } else { Err(Failure::Answer(format!("status {status}"))) }
}

impl Template {
    fn new(text: &str) -> Self {
        let at = |place: &str| text.find(place).unwrap_or_default();
        Self { key_at: at(KEY_PLACE), attempt_at: at(ATTEMPT_PLACE), bytes: text.as_bytes().to_vec() }
    }
    fn key(&mut self, key: u32) {
        digits(&mut self.bytes[self.key_at..self.key_at + KEY_DIGITS], u64::from(key));
    }
    fn attempt(&mut self, attempt: u64) {
        digits(&mut self.bytes[self.attempt_at..self.attempt_at + ATTEMPT_DIGITS], attempt);
    }
}

/// Writes `number` into `place`, right-aligned, with leading zeros.
pub fn digits(place: &mut [u8], mut number: u64) {
    for digit in place.iter_mut().rev() {
        *digit = b'0' + u8::try_from(number % 10).expect("a digit");
        number /= 10;
    }
}
