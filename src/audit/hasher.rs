//! What an operator chose for a device's lines, and how values are hashed in them.

use std::collections::BTreeMap;

use serde_json::{Map, Value};

use super::AuditError;
use crate::crypto::mac::MacKey;

/// What an operator chose for a device's lines.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Options {
    /// Write values as they are. For debugging only.
    pub log_raw: bool,
    /// Hash accessors as well.
    pub hmac_accessor: bool,
    /// Of a listing, write how many, not which.
    pub elide_list_responses: bool,
}

impl Options {
    /// Reads the options that all kinds of devices share.
    ///
    /// # Errors
    /// If one is wrong, or asks for what is left out on purpose: formats other than JSON, and prefixes, which have let a device
    /// write bytes of an attacker's choice.
    pub fn parse(options: &BTreeMap<String, String>) -> Result<Self, AuditError> {
        let flag = |name: &str, default: bool| match options.get(name).map(|text| text.trim().to_ascii_lowercase()) {
            None => Ok(default),
            Some(text) if ["true", "1", "t"].contains(&text.as_str()) => Ok(true),
            Some(text) if ["false", "0", "f", ""].contains(&text.as_str()) => Ok(false),
            Some(_) => Err(AuditError::Options(format!("option {name} must be true or false"))),
        };
        if options.get("format").is_some_and(|format| !format.is_empty() && format != "json") {
            return Err(AuditError::Options("option format must be json".to_owned()));
        }
        if options.get("prefix").is_some_and(|prefix| !prefix.is_empty()) {
            return Err(AuditError::Options("option prefix is not supported: lines are plain JSON".to_owned()));
        }
        Ok(Self {
            log_raw: flag("log_raw", false)?,
            hmac_accessor: flag("hmac_accessor", true)?,
            elide_list_responses: flag("elide_list_responses", false)?,
        })
    }
}

/// Hashes values with a device's own key.
#[derive(Clone, Debug)]
pub struct Hasher {
    key: MacKey,
    pub(super) options: Options,
}

impl Hasher {
    /// With a device's key.
    pub fn new(salt: &[u8], options: Options) -> Self {
        Self { key: MacKey::new(salt), options }
    }

    /// As in `hmac-sha256:ab…`, also the answer to `sys/audit-hash`.
    pub fn hash(&self, text: &str) -> String {
        format!("hmac-sha256:{}", self.key.sign_hex(text.as_bytes()))
    }

    pub(super) fn text(&self, text: &str) -> Value {
        if self.options.log_raw { text.into() } else { self.hash(text).into() }
    }

    pub(super) fn accessor(&self, accessor: &str) -> Value {
        if self.options.hmac_accessor { self.text(accessor) } else { accessor.into() }
    }

    /// Every text at any depth is hashed; names, numbers and truth values stay.
    pub(super) fn values(&self, value: &Value) -> Value {
        match value {
            Value::String(text) => self.text(text),
            Value::Array(values) if !bug!(133) => values.iter().map(|value| self.values(value)).collect(),
            Value::Object(map) => self.map(map),
            other => other.clone(),
        }
    }

    pub(super) fn map(&self, map: &Map<String, Value>) -> Value {
        Value::Object(map.iter().map(|(key, value)| (key.clone(), self.values(value))).collect())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn options_that_are_wrong_are_named() {
        let parse = |name: &str, value: &str| Options::parse(&[(name.to_owned(), value.to_owned())].into());
        assert!(parse("log_raw", "yes please").is_err());
        assert!(parse("prefix", "x").is_err());
        assert!(parse("format", "jsonx").is_err());
        assert!(parse("hmac_accessor", "false").is_ok_and(|options| !options.hmac_accessor));
    }
}
