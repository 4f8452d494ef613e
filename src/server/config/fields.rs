//! Takes the fields of a stanza one by one; what nobody took is reported.

use serde_json::Value;

use super::ConfigError;
use super::tree::{Field, Stanza};
use crate::types::Ttl;

/// A stanza being read.
pub struct Fields<'f> {
    file: &'f str,
    fields: Vec<Field>,
}

impl<'f> Fields<'f> {
    /// The fields of `stanza`.
    pub fn of(file: &'f str, stanza: &Stanza) -> Self {
        Self { file, fields: stanza.fields.clone() }
    }

    fn take(&mut self, name: &str) -> Option<Field> {
        let mut found = None;
        self.fields.retain(|field| {
            let is_it = field.name == name;
            if is_it {
                found = Some(field.clone());
            }
            !is_it
        });
        found.filter(|field| !field.value.is_null())
    }

    fn wrong(&self, field: &Field, wanted: &str) -> ConfigError {
        ConfigError::at(self.file, field.line, format!("{} must be {wanted}", field.name))
    }

    /// A text; empty counts as absent.
    pub fn text(&mut self, name: &str) -> Result<Option<String>, ConfigError> {
        let Some(field) = self.take(name) else { return Ok(None) };
        match &field.value {
            Value::String(text) if text.is_empty() => Ok(None),
            Value::String(text) => Ok(Some(text.clone())),
            Value::Number(number) => Ok(Some(number.to_string())),
            _ => Err(self.wrong(&field, "a string")),
        }
    }

    /// A truth value: `true`, `"true"`, `1`, `"1"` and their opposites.
    pub fn flag(&mut self, name: &str) -> Result<Option<bool>, ConfigError> {
        let Some(field) = self.take(name) else { return Ok(None) };
        let read = match &field.value {
            Value::Bool(flag) => Some(*flag),
            Value::String(text) if text.trim().is_empty() => return Ok(None),
            Value::String(text) => truth(text),
            Value::Number(number) => truth(&number.to_string()),
            _ => None,
        };
        read.map(Some).ok_or_else(|| self.wrong(&field, "true or false"))
    }

    /// A text that `read` understands; `wanted` says which those are.
    pub fn known_text<T>(&mut self, name: &str, read: impl Fn(&str) -> Option<T>, wanted: &str) -> Result<Option<T>, ConfigError> {
        let Some(field) = self.take(name) else { return Ok(None) };
        match &field.value {
            Value::String(text) if text.is_empty() => Ok(None),
            Value::String(text) => read(text).map(Some).ok_or_else(|| self.wrong(&field, wanted)),
            _ => Err(self.wrong(&field, wanted)),
        }
    }

    /// A whole number that is not negative.
    pub fn number(&mut self, name: &str) -> Result<Option<u64>, ConfigError> {
        let Some(field) = self.take(name) else { return Ok(None) };
        let number = match &field.value {
            Value::Number(number) => number.as_u64(),
            Value::String(text) => text.trim().parse().ok(),
            _ => None,
        };
        number.map(Some).ok_or_else(|| self.wrong(&field, "a whole number"))
    }

    /// A size in bytes: a number, or a number with `kb`, `mb`, `gb` or their binary forms.
    pub fn bytes(&mut self, name: &str) -> Result<Option<u64>, ConfigError> {
        let Some(field) = self.take(name) else { return Ok(None) };
        let bytes = match &field.value {
            Value::Number(number) => number.as_u64(),
            Value::String(text) => parse_bytes(text),
            _ => None,
        };
        bytes.map(Some).ok_or_else(|| self.wrong(&field, "a size such as 1048576 or \"500mb\""))
    }

    /// A length of time: seconds, or a duration such as `"1h30m"`.
    pub fn ttl(&mut self, name: &str) -> Result<Option<Ttl>, ConfigError> {
        let Some(field) = self.take(name) else { return Ok(None) };
        let ttl = match &field.value {
            Value::Number(number) => number.as_u64().map(Ttl),
            Value::String(text) => Ttl::parse(text).ok(),
            _ => None,
        };
        ttl.map(Some).ok_or_else(|| self.wrong(&field, "a duration such as 90 or \"1h30m\""))
    }

    /// Takes fields that are known and change nothing here.
    pub fn accept(&mut self, names: &[&str]) {
        self.fields.retain(|field| !names.contains(&field.name.as_str()));
    }

    /// Reports what is left.
    pub fn finish(self, warnings: &mut Vec<String>) {
        for field in self.fields {
            warnings.push(unknown(self.file, &field.name, field.line));
        }
    }
}

/// Reads a truth value as operators write it.
pub fn truth(text: &str) -> Option<bool> {
    match text.trim().to_ascii_lowercase().as_str() {
        "true" | "t" | "1" => Some(true),
        "false" | "f" | "0" => Some(false),
        _ => None,
    }
}

/// What is said of a key that nobody knows.
pub fn unknown(file: &str, name: &str, line: usize) -> String {
    format!("unknown or unsupported field {name} found in configuration at {file}:{line}")
}

fn parse_bytes(text: &str) -> Option<u64> {
    let text = text.trim().to_ascii_lowercase();
    let digits = text.find(|c: char| !c.is_ascii_digit()).unwrap_or(text.len());
    let number: u64 = text[..digits].parse().ok()?;
    let unit = match text[digits..].trim() {
        "" | "b" => 1,
        "k" | "kb" => 1000,
        "kib" => 1 << 10,
        "m" | "mb" => 1_000_000,
        "mib" => 1 << 20,
        "g" | "gb" => 1_000_000_000,
        "gib" => 1 << 30,
        _ => return None,
    };
    number.checked_mul(unit)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sizes_have_units() {
        for (text, bytes) in [("5", Some(5)), ("500mb", Some(500_000_000)), ("1 GiB", Some(1 << 30)), ("x", None), ("5 pb", None)] {
            assert_eq!(parse_bytes(text), bytes, "{text}");
        }
    }
}
