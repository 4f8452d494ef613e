//! What an activation token stands for, and reading the token before anything can be verified.

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

use crate::crypto::cert::Identity;
use crate::types::Secret;

/// Wrapped by the primary, unwrapped by the secondary: everything for the first call over the cluster's port.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Bundle {
    /// The name under which the primary knows the secondary.
    pub secondary_id: String,
    /// The replication set.
    pub set: String,
    /// What the secondary proves itself with.
    pub identity: Identity,
    /// `https://host:port` of each node of the primary.
    pub cluster_addrs: Vec<String>,
}

impl Bundle {
    /// As the data of an answer.
    pub fn into_data(self) -> Map<String, Value> {
        match serde_json::to_value(self) {
            Ok(Value::Object(map)) => map,
            _ => Map::new(),
        }
    }

    /// Out of the envelope that unwrapping gave.
    pub fn of_envelope(envelope: &Value) -> Option<Self> {
        serde_json::from_value(envelope.get("data")?.clone()).ok()
    }
}

/// An activation token, taken apart without verification: only the primary can verify it, and does when it is unwrapped.
#[derive(Clone, Debug)]
pub struct Activation {
    /// What to unwrap with: the text as it was given, so that the primary sees whether it is whole and as it was signed.
    pub whole: Secret<String>,
    /// The bare token inside.
    pub token: Secret<String>,
    /// URL of the primary's API; empty if the token does not tell.
    pub api_addr: String,
}

/// Longest activation token, in bytes.
const TOKEN_BYTES_MAX: usize = 16 * 1024;

impl Activation {
    /// Reads a JWT, or takes a bare wrapping token as it is. `None` if it is neither.
    pub fn read(text: &str) -> Option<Self> {
        let text = text.trim();
        if text.is_empty() || text.len() > TOKEN_BYTES_MAX || text.contains(char::is_whitespace) {
            return None;
        }
        if !text.starts_with("eyJ") {
            let token = Secret::new(text.to_owned());
            return Some(Self { whole: token.clone(), token, api_addr: String::new() });
        }
        let claims = URL_SAFE_NO_PAD.decode(text.split('.').nth(1)?).ok()?;
        let claims: Value = serde_json::from_slice(&claims).ok()?;
        let claim = |name: &str| claims.get(name).and_then(Value::as_str).unwrap_or_default().to_owned();
        let token = claim("jti");
        (!token.is_empty()).then(|| Self { whole: Secret::new(text.to_owned()), token: Secret::new(token), api_addr: claim("addr") })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(text: &str, expected: Option<(&str, &str)>) {
        let read = Activation::read(text);
        assert_eq!(read.as_ref().map(|read| (read.token.expose().as_str(), read.api_addr.as_str())), expected, "{text}");
        assert!(read.is_none_or(|read| read.whole.expose() == text.trim()), "{text}");
    }

    #[test]
    fn a_token_tells_where_to_unwrap_it() {
        let claims = |json: &str| format!("eyJhIjoxfQ.{}.c2ln", URL_SAFE_NO_PAD.encode(json));
        check(&claims(r#"{"addr":"http://p:8200","jti":"hvs.A","type":"wrapping"}"#), Some(("hvs.A", "http://p:8200")));
        check(&claims(r#"{"jti":"hvs.A"}"#), Some(("hvs.A", "")));
        check(" hvs.A\n", Some(("hvs.A", "")));
        check(&claims(r#"{"addr":"x"}"#), None);
        check("eyJ.x", None);
        check("eyJ", None);
        check("", None);
        check("a b", None);
    }
}
