//! One call to be made, and what comes back.
//!
//! Not here: making it (`client`), why there is no answer (`refusal`).

use serde_json::{Map, Value};

/// One call to be made.
#[derive(Clone, Debug)]
pub struct Call {
    /// The HTTP method.
    pub method: &'static str,
    /// The path below `/v1/`, not yet encoded.
    pub path: String,
    /// The parameters.
    pub query: Vec<(String, String)>,
    /// The JSON body.
    pub body: Option<Value>,
    /// Whether the answer may be wrapped.
    pub may_wrap: bool,
}

impl Call {
    fn new(method: &'static str, path: impl Into<String>, body: Option<Value>) -> Self {
        Self { method, path: path.into(), query: Vec::new(), body, may_wrap: true }
    }
    /// Reads.
    pub fn get(path: impl Into<String>) -> Self {
        Self::new("GET", path, None)
    }
    /// Lists.
    pub fn list(path: impl Into<String>) -> Self {
        Self::get(path).with("list", "true")
    }
    /// Writes.
    pub fn put(path: impl Into<String>, body: Value) -> Self {
        Self::new("PUT", path, Some(body))
    }
    /// Writes, where Vault's client says POST.
    pub fn post(path: impl Into<String>, body: Value) -> Self {
        Self::new("POST", path, Some(body))
    }
    /// Changes a part.
    pub fn patch(path: impl Into<String>, body: Value) -> Self {
        Self::new("PATCH", path, Some(body))
    }
    /// Deletes.
    pub fn delete(path: impl Into<String>) -> Self {
        Self::new("DELETE", path, None)
    }
    /// The same with one more parameter.
    #[must_use]
    pub fn with(mut self, name: &str, value: &str) -> Self {
        self.query.push((name.to_owned(), value.to_owned()));
        self
    }
    /// The same, never wrapped: its answer is for us and not for the user.
    #[must_use]
    pub fn unwrapped(mut self) -> Self {
        self.may_wrap = false;
        self
    }
}

/// What a server said.
#[derive(Clone, Debug)]
pub struct Answer {
    /// The HTTP status.
    pub status: u16,
    /// The body.
    pub body: Vec<u8>,
}

impl Answer {
    /// The body as a JSON object, if it is one.
    pub fn json(&self) -> Option<Map<String, Value>> {
        serde_json::from_slice(&self.body).ok()
    }
}
