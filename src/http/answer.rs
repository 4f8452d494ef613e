//! A finished answer: status, headers, body. What every part of this folder ends in.

use bytes::Bytes;
use serde::Serialize;
use serde_json::json;

use crate::core::RawResponse;

/// A finished answer. `Debug` does not show its body.
#[derive(Clone)]
pub struct Answer {
    /// HTTP status.
    pub status: u16,
    /// Names in lower case.
    headers: Vec<(&'static str, String)>,
    body: Bytes,
}

impl std::fmt::Debug for Answer {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Answer({})", self.status)
    }
}

/// The media type of every JSON body; some clients compare the whole value.
pub const JSON: &str = "application/json";

impl Answer {
    /// Bytes of a media type.
    pub fn bytes(status: u16, content_type: &str, body: impl Into<Bytes>) -> Self {
        Self { status, headers: vec![("content-type", content_type.to_owned())], body: body.into() }
    }
    /// No body.
    pub fn empty(status: u16) -> Self {
        Self::bytes(status, JSON, Bytes::new())
    }
    /// A JSON object and a line end.
    pub fn json(status: u16, body: &impl Serialize) -> Self {
        match serde_json::to_vec(body) {
            Ok(mut bytes) => {
                bytes.push(b'\n');
                Self::bytes(status, JSON, bytes)
            }
            Err(error) => {
                tracing::error!(%error, "an answer could not be rendered");
                Self::bytes(500, JSON, Bytes::from_static(b"{\"errors\":[\"internal error\"]}\n"))
            }
        }
    }
    /// `{"errors": […]}`.
    pub fn errors(status: u16, errors: Vec<String>) -> Self {
        Self::json(status, &json!({ "errors": errors }))
    }
    /// `{"errors": ["…"]}`.
    pub fn error(status: u16, text: impl Into<String>) -> Self {
        Self::errors(status, vec![text.into()])
    }
    /// With one more header.
    #[must_use]
    pub fn with_header(mut self, name: &'static str, value: String) -> Self {
        self.headers.push((name, value));
        self
    }
    /// A header's value.
    #[cfg(test)]
    pub fn header(&self, name: &str) -> Option<&str> {
        self.headers.iter().find(|(key, _)| *key == name).map(|(_, value)| value.as_str())
    }
    /// The body.
    #[cfg(test)]
    pub fn body(&self) -> &Bytes {
        &self.body
    }
    /// As it goes over the wire, with the headers that every answer has.
    pub fn into_raw(self) -> RawResponse {
        let mut headers: Vec<(String, Vec<u8>)> = vec![
            ("cache-control".to_owned(), b"no-store".to_vec()),
            ("strict-transport-security".to_owned(), b"max-age=31536000; includeSubDomains".to_vec()),
        ];
        headers.extend(self.headers.into_iter().map(|(name, value)| (name.to_owned(), value.into_bytes())));
        RawResponse { status: self.status, headers, body: self.body }
    }
}
