//! HTTP/1.1 over one connection, written by hand so that it is known what was sent and what was not.
//!
//! Promises: a request is sent once at most; nothing outlives its deadline; headers are kept as they came.
//! Not here: what a status means (`outcome`), TLS (listeners under test speak plain HTTP; what needs TLS is between nodes).

use std::collections::BTreeMap;
use std::io::{ErrorKind, Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::time::{Duration, Instant};

use serde_json::Value;

/// No answer of the product is longer.
const ANSWER_BYTES_MAX: usize = 32 * 1024 * 1024;

/// What to ask.
#[derive(Clone, Debug, Default)]
pub struct Request {
    /// GET, PUT, …
    pub method: String,
    /// Behind `/v1/`.
    pub path: String,
    /// Besides those that HTTP needs.
    pub headers: Vec<(String, String)>,
    /// Sent as JSON.
    pub body: Option<Value>,
}

impl Request {
    /// Without headers or body.
    pub fn new(method: &str, path: impl Into<String>) -> Self {
        Self { method: method.to_owned(), path: path.into(), ..Self::default() }
    }

    /// Adds a body.
    #[must_use]
    pub fn with_body(mut self, body: Value) -> Self {
        self.body = Some(body);
        self
    }

    /// Adds a header.
    #[must_use]
    pub fn with_header(mut self, name: &str, value: impl Into<String>) -> Self {
        self.headers.push((name.to_owned(), value.into()));
        self
    }

    /// Adds the token; none if it is empty.
    #[must_use]
    pub fn with_token(self, token: &str) -> Self {
        if token.is_empty() { self } else { self.with_header("X-Vault-Token", token) }
    }

    fn bytes(&self, host: SocketAddr) -> Vec<u8> {
        let body = self.body.as_ref().map(Value::to_string).unwrap_or_default();
        let mut text = format!("{} /v1/{} HTTP/1.1\r\nHost: {host}\r\nContent-Length: {}\r\n", self.method, self.path, body.len());
        if self.body.is_some() {
            text.push_str("Content-Type: application/json\r\n");
        }
        for (name, value) in &self.headers {
            text.push_str(&format!("{name}: {value}\r\n"));
        }
        text.push_str("\r\n");
        text.push_str(&body);
        text.into_bytes()
    }
}

/// A whole answer.
#[derive(Clone, Debug)]
pub struct Reply {
    /// HTTP's.
    pub status: u16,
    /// Names in lower case.
    pub headers: BTreeMap<String, String>,
    /// Null if it is no JSON.
    pub body: Value,
}

/// Why there is no answer.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Failure {
    /// Not a byte of the request left: it cannot have happened.
    NotSent(String),
    /// It was sent, or a part of it: it may have happened, or happen yet.
    Unknown(String),
}

/// A connection that is made when it is needed, and again after it broke.
pub struct Connection {
    address: SocketAddr,
    stream: Option<TcpStream>,
}

impl Connection {
    /// To this address; nothing is sent yet.
    pub fn new(address: SocketAddr) -> Self {
        Self { address, stream: None }
    }

    /// Where it leads.
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// Asks once.
    ///
    /// # Errors
    /// If there is no whole answer in time; the connection is given up then.
    pub fn call(&mut self, request: &Request, limit: Duration) -> Result<Reply, Failure> {
        let deadline = Instant::now() + limit;
        let mut stream = match self.stream.take() {
            Some(stream) => stream,
            None => self.connect(limit)?,
        };
        let sent = stream.set_write_timeout(Some(limit)).and_then(|()| stream.write_all(&request.bytes(self.address)));
        sent.map_err(|error| Failure::Unknown(format!("send: {}", name(&error))))?;
        let (reply, is_last) = read(&mut stream, deadline).map_err(Failure::Unknown)?;
        if !is_last {
            self.stream = Some(stream);
        }
        Ok(reply)
    }

    fn connect(&self, limit: Duration) -> Result<TcpStream, Failure> {
        let stream = TcpStream::connect_timeout(&self.address, limit);
        let stream = stream.map_err(|error| Failure::NotSent(format!("connect: {}", name(&error))))?;
        // Small requests must not wait for company.
        stream.set_nodelay(true).map_err(|error| Failure::NotSent(name(&error)))?;
        Ok(stream)
    }
}

/// Errors in words that do not change with the system's language.
fn name(error: &std::io::Error) -> String {
    match error.kind() {
        ErrorKind::WouldBlock | ErrorKind::TimedOut => "timeout".to_owned(),
        kind => kind.to_string(),
    }
}

struct Answer<'s> {
    stream: &'s mut TcpStream,
    deadline: Instant,
    bytes: Vec<u8>,
}

impl Answer<'_> {
    fn more(&mut self) -> Result<(), String> {
        let left = self.deadline.saturating_duration_since(Instant::now());
        if left.is_zero() {
            return Err("timeout".to_owned());
        }
        self.stream.set_read_timeout(Some(left)).map_err(|error| name(&error))?;
        let mut chunk = [0; 16 * 1024];
        match self.stream.read(&mut chunk) {
            Ok(0) => Err("the server closed the connection".to_owned()),
            Ok(length) if self.bytes.len() + length > ANSWER_BYTES_MAX => Err("the answer has no end".to_owned()),
            Ok(length) => {
                self.bytes.extend_from_slice(&chunk[..length]);
                Ok(())
            }
            Err(error) => Err(name(&error)),
        }
    }

    /// Where `needle` ends, from `start` on, once it is there.
    fn find(&mut self, needle: &[u8], start: usize) -> Result<usize, String> {
        let mut from = start;
        loop {
            let seen = self.bytes.get(from..).unwrap_or_default();
            if let Some(at) = seen.windows(needle.len()).position(|window| window == needle) {
                return Ok(from + at + needle.len());
            }
            from = self.bytes.len().saturating_sub(needle.len() - 1).max(start);
            self.more()?;
        }
    }

    fn fill(&mut self, length: usize) -> Result<(), String> {
        while self.bytes.len() < length {
            self.more()?;
        }
        Ok(())
    }

    fn chunks(&mut self, mut at: usize) -> Result<Vec<u8>, String> {
        let mut body = Vec::new();
        loop {
            let end = self.find(b"\r\n", at)?;
            let size = String::from_utf8_lossy(&self.bytes[at..end - 2]).into_owned();
            let size = usize::from_str_radix(size.split(';').next().unwrap_or_default().trim(), 16).map_err(|_| "a broken chunk")?;
            if size > ANSWER_BYTES_MAX {
                return Err("a broken chunk".to_owned());
            }
            self.fill(end + size + 2)?;
            body.extend_from_slice(&self.bytes[end..end + size]);
            at = end + size + 2;
            if size == 0 {
                return Ok(body);
            }
        }
    }
}

/// The next answer, and whether the connection ends with it.
fn read(stream: &mut TcpStream, deadline: Instant) -> Result<(Reply, bool), String> {
    let mut answer = Answer { stream, deadline, bytes: Vec::new() };
    let head_end = answer.find(b"\r\n\r\n", 0)?;
    let head = String::from_utf8_lossy(&answer.bytes[..head_end]).into_owned();
    let mut lines = head.split("\r\n");
    let status = lines.next().and_then(|line| line.split(' ').nth(1)).and_then(|code| code.parse().ok());
    let status: u16 = status.ok_or("no HTTP answer")?;
    let pair = |line: &str| line.split_once(':').map(|(name, value)| (name.trim().to_lowercase(), value.trim().to_owned()));
    let headers: BTreeMap<String, String> = lines.filter_map(pair).collect();
    let is_last = headers.get("connection").is_some_and(|value| value.eq_ignore_ascii_case("close"));
    let body = match (headers.get("content-length"), headers.get("transfer-encoding")) {
        _ if status == 204 => Vec::new(),
        (Some(length), _) => {
            let length: usize = length.parse().map_err(|_| "a broken length")?;
            let end = head_end.checked_add(length).filter(|end| *end <= ANSWER_BYTES_MAX).ok_or("the answer has no end")?;
            answer.fill(end)?;
            answer.bytes[head_end..end].to_vec()
        }
        (None, Some(_)) => answer.chunks(head_end)?,
        (None, None) => Vec::new(),
    };
    Ok((Reply { status, headers, body: serde_json::from_slice(&body).unwrap_or(Value::Null) }, is_last))
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::net::TcpListener;

    /// A server that answers each connection's first request with `answer`, piece by piece.
    fn server(pieces: &'static [&'static str]) -> SocketAddr {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let address = listener.local_addr().unwrap();
        std::thread::spawn(move || {
            let (mut stream, _) = listener.accept().unwrap();
            let _ = stream.read(&mut [0; 4096]).unwrap();
            for piece in pieces {
                stream.write_all(piece.as_bytes()).unwrap();
                std::thread::sleep(Duration::from_millis(5));
            }
        });
        address
    }

    fn ask(pieces: &'static [&'static str]) -> Result<Reply, Failure> {
        Connection::new(server(pieces)).call(&Request::new("GET", "x"), Duration::from_millis(300))
    }

    #[test]
    fn answers_come_in_pieces_with_a_length_or_in_chunks() {
        let reply = ask(&["HTTP/1.1 200 OK\r\nX-Vault-Index: a b\r\nContent-", "Length: 7\r\n\r\n{\"a\"", ":1}"]).unwrap();
        assert_eq!((reply.status, reply.body["a"].as_i64(), reply.headers["x-vault-index"].as_str()), (200, Some(1), "a b"));
        let reply = ask(&["HTTP/1.1 404 Not Found\r\nTransfer-Encoding: chunked\r\n\r\n3\r\n{\"a", "\r\n4\r\n\":2}\r\n0\r\n\r\n"]).unwrap();
        assert_eq!((reply.status, reply.body["a"].as_i64()), (404, Some(2)));
    }

    #[test]
    fn what_was_not_sent_is_told_from_what_may_have_happened() {
        let nobody = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
        let refused = Connection::new(nobody).call(&Request::new("GET", "x"), Duration::from_millis(300));
        assert_eq!(refused.unwrap_err(), Failure::NotSent("connect: connection refused".to_owned()));
        assert!(matches!(ask(&["HTTP/1.1 200 OK\r\nContent-Length: 7\r\n\r\n{"]), Err(Failure::Unknown(_))));
        assert!(matches!(ask(&[]), Err(Failure::Unknown(_))));
    }
}
