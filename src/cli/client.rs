//! The calls to a server: HTTP with Vault's headers, one followed redirect, and another try after a server's fault.
//!
//! Not here: which call a command makes, how a refusal is worded (`refusal`) or an answer printed (`output`).

use std::cell::OnceCell;
use std::io::{Read, Write};
use std::time::Duration;

use serde_json::{Map, Value};
use ureq::http::{Request, Uri};
use ureq::{Agent, Body, SendBody};

use super::call::{Answer, Call};
use super::config::Connection;
use super::explain::{self, Explain};
use super::failure::Failure;
use super::refusal::{CallError, unreachable};
use super::route::{self, encode_path, encode_query};
use super::{tls, token_file};
use crate::types::Secret;

/// The most of an answer that is taken into memory.
const ANSWER_BYTES_MAX: u64 = 128 * 1024 * 1024;

/// How often a call is made again when the node asked has not yet seen what we wrote before (412): that passes by itself.
const STALE_RETRIES: u32 = 2;

/// What one command speaks to a server through.
pub struct Client {
    connection: Connection,
    token: Option<Secret<String>>,
    explain: Option<Explain>,
    program: String,
    agent: OnceCell<Agent>,
}

impl Client {
    /// A client with these settings. `program` is our own name, for what is told.
    pub fn new(connection: Connection, token: Option<Secret<String>>, explain: Option<Explain>, program: &str) -> Self {
        Self { connection, token, explain, program: program.to_owned(), agent: OnceCell::new() }
    }
    /// A client that finds its token where this user keeps it.
    ///
    /// # Errors
    /// If the stored token cannot be read.
    pub fn with_stored_token(connection: Connection, explain: Option<Explain>, program: &str) -> Result<Self, Failure> {
        Ok(Self::new(connection, token_file::find()?, explain, program))
    }
    /// The same client with another token.
    #[must_use]
    pub fn with_token(mut self, token: Option<Secret<String>>) -> Self {
        self.token = token;
        self
    }
    /// The server's address.
    pub fn address(&self) -> &str {
        &self.connection.address
    }
    /// Whether calls are told instead of made.
    pub fn explains(&self) -> bool {
        self.explain.is_some()
    }

    /// Makes a call; an answer of 400 and above is an error.
    ///
    /// # Errors
    /// If the server refuses or is not to be reached, or the call was to be told.
    pub fn send(&self, call: &Call) -> Result<Answer, CallError> {
        if let Some(explain) = self.explain.filter(|_| call.may_wrap) {
            return Err(CallError::Told(self.tell(explain, call)));
        }
        let url = self.url(call);
        let mut tries = 0;
        loop {
            let tried = self.attempt(call, &url);
            let limit = match &tried {
                Ok(answer) if answer.status == 412 => self.connection.retries.max(STALE_RETRIES),
                Ok(answer) if answer.status >= 500 && answer.status != 501 => self.connection.retries,
                Err(CallError::Unreachable(_)) => self.connection.retries,
                _ => 0,
            };
            if tries < limit {
                tries += 1;
                std::thread::sleep(Duration::from_millis(1000).saturating_add(Duration::from_millis(250).saturating_mul(tries)));
                continue;
            }
            return match tried? {
                answer if answer.status < 400 => Ok(answer),
                answer => Err(CallError::Refused { status: answer.status, head: self.head(call, &url), body: answer.body }),
            };
        }
    }

    /// Makes a call and reads the envelope; `None` if there is no body.
    ///
    /// # Errors
    /// As [`Client::send`].
    pub fn envelope(&self, call: &Call) -> Result<Option<Map<String, Value>>, CallError> {
        let answer = self.send(call)?;
        if answer.body.iter().all(u8::is_ascii_whitespace) {
            return Ok(None);
        }
        match answer.json() {
            Some(envelope) => Ok(Some(envelope)),
            None => Err(CallError::Unreachable(format!("{} {:?}: the answer is no JSON object", call.method, self.url(call)))),
        }
    }

    /// As [`Client::envelope`], but "not found" is `None`, unless the body says more: a deleted version comes with 404 and its metadata.
    ///
    /// # Errors
    /// As [`Client::send`], except for 404.
    pub fn find(&self, call: &Call) -> Result<Option<Map<String, Value>>, CallError> {
        match self.envelope(call) {
            Err(CallError::Refused { status: 404, body, .. }) => Ok(serde_json::from_slice(&body).ok().filter(says_something)),
            other => other,
        }
    }

    /// Makes a call whose answer goes to `out` as it comes. No time limit: what is large takes its time.
    ///
    /// # Errors
    /// As [`Client::send`], and if `out` does not take it.
    pub fn download(&self, call: &Call, out: &mut dyn Write) -> Result<u64, CallError> {
        if let Some(explain) = self.explain {
            return Err(CallError::Told(self.tell(explain, call)));
        }
        let url = self.url(call);
        let mut response = self.follow(
            call.method,
            &url,
            self.headers(call),
            &mut |agent, request| agent.run(request.body(()).map_err(ureq::Error::Http)?),
            true,
        )?;
        let status = response.status().as_u16();
        if status >= 400 {
            return Err(CallError::Refused {
                status,
                head: self.head(call, &url),
                body: read_body(response.body_mut()).unwrap_or_default(),
            });
        }
        let mut reader = response.body_mut().as_reader();
        std::io::copy(&mut reader, out).map_err(|error| CallError::Unreachable(error.to_string()))
    }

    /// Sends what `open` gives as the body of a POST, as it is.
    ///
    /// # Errors
    /// As [`Client::send`].
    pub fn upload(&self, path: &str, open: &dyn Fn() -> std::io::Result<Box<dyn Read>>) -> Result<Answer, CallError> {
        let call = Call { body: None, ..Call::post(path, Value::Null) };
        if let Some(explain) = self.explain {
            return Err(CallError::Told(self.tell(explain, &call)));
        }
        let url = self.url(&call);
        let mut response = self.follow(
            "POST",
            &url,
            self.headers(&call),
            &mut |agent, request| {
                let mut source = open().map_err(ureq::Error::Io)?;
                agent.run(request.body(SendBody::from_reader(&mut source)).map_err(ureq::Error::Http)?)
            },
            true,
        )?;
        let status = response.status().as_u16();
        let body = read_body(response.body_mut()).map_err(|error| unreachable("POST", &url, &error))?;
        if status >= 400 { Err(CallError::Refused { status, head: self.head(&call, &url), body }) } else { Ok(Answer { status, body }) }
    }

    fn attempt(&self, call: &Call, url: &str) -> Result<Answer, CallError> {
        let headers = self.headers(call);
        let bytes = call.body.as_ref().map(|body| body.to_string().into_bytes());
        let mut response = self.follow(
            call.method,
            url,
            headers,
            &mut |agent, request| match &bytes {
                Some(bytes) => agent.run(request.body(bytes.as_slice()).map_err(ureq::Error::Http)?),
                None => agent.run(request.body(()).map_err(ureq::Error::Http)?),
            },
            false,
        )?;
        let status = response.status().as_u16();
        let body = read_body(response.body_mut()).map_err(|error| unreachable(call.method, url, &error))?;
        Ok(Answer { status, body })
    }

    /// Sends once, and once more to where a redirect points; never from TLS to plain text.
    fn follow(
        &self,
        method: &str,
        url: &str,
        headers: Vec<(String, String)>,
        send: &mut dyn FnMut(&Agent, ureq::http::request::Builder) -> Result<ureq::http::Response<Body>, ureq::Error>,
        is_slow: bool,
    ) -> Result<ureq::http::Response<Body>, CallError> {
        let mut target = url.to_owned();
        for hop in 0..2 {
            let agent = if hop == 0 && !is_slow { self.agent()?.clone() } else { self.build_agent(&target, is_slow)? };
            let (shown, host) = self.disguise(&target);
            let mut request = Request::builder().method(method).uri(&shown);
            if let Some(host) = host {
                request = request.header("Host", host);
            }
            for (name, value) in &headers {
                request = request.header(name, value);
            }
            if let Some(token) = &self.token {
                request = request.header("X-Vault-Token", token.expose());
            }
            let response = send(&agent, request).map_err(|error| unreachable(method, &target, &error))?;
            let is_redirect = matches!(response.status().as_u16(), 301 | 302 | 307 | 308);
            let next = response.headers().get("location").and_then(|value| value.to_str().ok()).map(str::to_owned);
            match next {
                Some(next) if is_redirect && hop == 0 && !self.connection.ignores_redirects => {
                    let next = if next.starts_with('/') { format!("{}{next}", route::origin(&target)) } else { next };
                    if target.starts_with("https://") && next.starts_with("http://") {
                        return Err(CallError::Unreachable(format!("redirect would cause protocol downgrade: {next}")));
                    }
                    target = next;
                }
                _ => return Ok(response),
            }
        }
        Err(CallError::Unreachable(format!("{method} {url:?}: too many redirects")))
    }

    fn url(&self, call: &Call) -> String {
        let mut url = format!("{}/v1/{}", self.connection.address, encode_path(&call.path));
        if !call.query.is_empty() {
            url.push('?');
            url.push_str(&encode_query(&call.query));
        }
        url
    }

    fn headers(&self, call: &Call) -> Vec<(String, String)> {
        let mut headers = vec![("X-Vault-Request".to_owned(), "true".to_owned())];
        headers.extend(self.chosen_headers(call));
        if call.body.is_some() {
            let kind = if call.method == "PATCH" { "application/merge-patch+json" } else { "application/json" };
            headers.push(("Content-Type".to_owned(), kind.to_owned()));
        }
        headers
    }

    fn chosen_headers(&self, call: &Call) -> Vec<(String, String)> {
        let mut headers = Vec::new();
        if let Some(namespace) = &self.connection.namespace {
            headers.push(("X-Vault-Namespace".to_owned(), format!("{namespace}/")));
        }
        let default = (call.path == "sys/wrapping/wrap" && matches!(call.method, "PUT" | "POST")).then(|| "5m".to_owned());
        if let Some(ttl) = self.connection.wrap_ttl.clone().or(default).filter(|_| call.may_wrap) {
            headers.push(("X-Vault-Wrap-TTL".to_owned(), ttl));
        }
        headers.extend(self.connection.headers.iter().cloned());
        headers
    }

    fn tell(&self, explain: Explain, call: &Call) -> String {
        match explain {
            Explain::Curl => explain::curl(call, &self.url(call), &self.chosen_headers(call), self.connection.skip_verify, &self.program),
            Explain::Policy => explain::policy(call),
        }
    }

    fn head(&self, call: &Call, url: &str) -> String {
        let namespace = self.connection.namespace.as_ref().map(|path| format!("Namespace: {path}/\n")).unwrap_or_default();
        format!("{namespace}URL: {} {url}\n", call.method)
    }

    fn agent(&self) -> Result<&Agent, CallError> {
        if let Some(agent) = self.agent.get() {
            return Ok(agent);
        }
        let agent = self.build_agent(&self.connection.address, false)?;
        Ok(self.agent.get_or_init(|| agent))
    }

    fn build_agent(&self, url: &str, is_slow: bool) -> Result<Agent, CallError> {
        let real: Uri = url.parse().map_err(|error| CallError::Local(Failure::local(format!("address {url:?}: {error}"))))?;
        let proxy = match &self.connection.proxy {
            Some(text) => {
                Some(ureq::Proxy::new(text).map_err(|error| CallError::Local(Failure::local(format!("proxy {text:?}: {error}"))))?)
            }
            None if route::is_loopback(real.host().unwrap_or_default()) => None,
            None => ureq::Proxy::try_from_env(),
        };
        let config = Agent::config_builder()
            .http_status_as_error(false)
            .max_redirects(0)
            .max_redirects_will_error(false)
            .timeout_global((!is_slow).then_some(self.connection.timeout))
            .timeout_connect(Some(self.connection.timeout))
            .user_agent(concat!("coffer/", env!("CARGO_PKG_VERSION")))
            .tls_config(tls::settings(&self.connection).map_err(CallError::Local)?)
            .proxy(proxy)
            .build();
        Ok(match &self.connection.server_name {
            Some(_) => route::pinned_agent(config, real),
            None => Agent::new_with_config(config),
        })
    }

    /// The URL that carries the expected server name, and the real host for the header.
    fn disguise(&self, url: &str) -> (String, Option<String>) {
        let Some(name) = self.connection.server_name.as_ref().filter(|_| url.starts_with("https://")) else {
            return (url.to_owned(), None);
        };
        let Ok(uri) = url.parse::<Uri>() else { return (url.to_owned(), None) };
        let Some(authority) = uri.authority() else { return (url.to_owned(), None) };
        let port = authority.port_u16().unwrap_or(443);
        (url.replacen(authority.as_str(), &format!("{name}:{port}"), 1), Some(authority.as_str().to_owned()))
    }
}

fn read_body(body: &mut Body) -> Result<Vec<u8>, ureq::Error> {
    body.with_config().limit(ANSWER_BYTES_MAX).read_to_vec()
}

fn says_something(envelope: &Map<String, Value>) -> bool {
    let is_filled = |name: &str| match envelope.get(name) {
        Some(Value::Object(members)) => !members.is_empty(),
        Some(Value::Array(several)) => !several.is_empty(),
        _ => false,
    };
    is_filled("data") || is_filled("warnings")
}

#[cfg(test)]
mod tests {
    use std::io::{BufRead, BufReader};
    use std::net::TcpListener;

    use super::*;
    use crate::cli::args::Parsed;

    /// A server that gives these answers, one a connection, and hands back what it was asked.
    fn server(answers: Vec<String>) -> (String, std::thread::JoinHandle<Vec<String>>) {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let address = format!("http://{}", listener.local_addr().unwrap());
        let own = address.clone();
        let serving = std::thread::spawn(move || {
            let mut asked = Vec::new();
            for answer in answers {
                let (mut stream, _) = listener.accept().unwrap();
                let mut reader = BufReader::new(stream.try_clone().unwrap());
                let mut head = String::new();
                let mut length = 0;
                loop {
                    let mut line = String::new();
                    reader.read_line(&mut line).unwrap();
                    if let Some(text) = line.to_lowercase().strip_prefix("content-length:") {
                        length = text.trim().parse().unwrap();
                    }
                    head.push_str(&line);
                    if line == "\r\n" || line.is_empty() {
                        break;
                    }
                }
                let mut body = vec![0; length];
                reader.read_exact(&mut body).unwrap();
                asked.push(format!("{head}{}", String::from_utf8(body).unwrap()));
                stream.write_all(answer.replace("SELF", &own).as_bytes()).unwrap();
            }
            asked
        });
        (address, serving)
    }

    fn answer(status: &str, body: &str) -> String {
        format!("HTTP/1.1 {status}\r\ncontent-length: {}\r\nconnection: close\r\n\r\n{body}", body.len())
    }

    fn client(address: &str) -> Client {
        let mut connection = Connection::read(&Parsed::default()).unwrap();
        connection.address = address.to_owned();
        connection.retries = 0;
        Client::new(connection, Some(Secret::new("hvs.T".to_owned())), None, "coffer")
    }

    #[test]
    fn a_redirect_is_followed_once_with_the_same_body() {
        let moved =
            "HTTP/1.1 307 Temporary Redirect\r\nlocation: SELF/v1/other\r\ncontent-length: 0\r\nconnection: close\r\n\r\n".to_owned();
        let (address, serving) = server(vec![moved, answer("200 OK", r#"{"data":{}}"#)]);
        let call = Call::put("secret/x", serde_json::json!({"a": "b"}));
        assert!(client(&address).envelope(&call).unwrap().is_some());
        let asked = serving.join().unwrap();
        assert!(asked[0].starts_with("PUT /v1/secret/x "), "{}", asked[0]);
        assert!(asked[1].starts_with("PUT /v1/other ") && asked[1].ends_with(r#"{"a":"b"}"#), "{}", asked[1]);
        assert!(asked[1].to_lowercase().contains("x-vault-token: hvs.t"), "{}", asked[1]);
    }

    #[test]
    fn a_stale_node_is_asked_again() {
        let (address, serving) = server(vec![answer("412 Precondition Failed", "{}"), answer("204 No Content", "")]);
        assert!(client(&address).envelope(&Call::get("x")).unwrap().is_none());
        assert_eq!(serving.join().unwrap().len(), 2);
    }

    #[test]
    fn what_is_not_there_is_no_failure_unless_it_says_more() {
        let deleted = r#"{"data":{"data":null,"metadata":{"version":1}}}"#;
        let (address, serving) =
            server(vec![answer("404 Not Found", r#"{"errors":[]}"#), answer("404 Not Found", deleted), answer("403 Forbidden", "{}")]);
        let client = client(&address);
        assert!(client.find(&Call::get("x")).unwrap().is_none());
        assert!(client.find(&Call::get("x")).unwrap().is_some());
        assert_eq!(client.find(&Call::get("x")).unwrap_err().status(), Some(403));
        serving.join().unwrap();
    }

    #[test]
    fn nobody_there_reads_as_go_says_it() {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let address = listener.local_addr().unwrap();
        drop(listener);
        let error = client(&format!("http://{address}")).envelope(&Call::get("x")).unwrap_err();
        assert_eq!(error.to_string(), format!("Get \"http://{address}/v1/x\": dial tcp {address}: connect: connection refused"));
    }
}
