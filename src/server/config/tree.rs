//! A configuration file as a tree of fields and blocks with their lines, whether it was written in HCL or in JSON.
//!
//! Not here: which keys exist (`read`).

use hcl_edit::Span;
use hcl_edit::expr::Expression;
use hcl_edit::structure::{Body, Structure};
use serde_json::{Map, Value};

use super::ConfigError;

/// A field of a stanza.
#[derive(Clone, Debug)]
pub struct Field {
    /// Its key.
    pub name: String,
    /// What it is set to.
    pub value: Value,
    /// Where; zero if not known.
    pub line: usize,
}

/// A stanza: `listener "tcp" { … }`, or the whole file.
#[derive(Clone, Debug, Default)]
pub struct Stanza {
    /// `listener`.
    pub name: String,
    /// `tcp`; empty for none.
    pub label: String,
    /// Its fields, in order.
    pub fields: Vec<Field>,
    /// Its stanzas, in order.
    pub blocks: Vec<Stanza>,
    /// Where; zero if not known.
    pub line: usize,
}

/// Keys that hold stanzas with a label.
const LABELED: &[&str] =
    &["listener", "storage", "backend", "ha_storage", "seal", "user_lockout", "service_registration", "kms_library", "entropy"];
/// Keys that hold stanzas without a label.
const UNLABELED: &[&str] =
    &["telemetry", "replication", "retry_join", "profiling", "reporting", "inflight_requests_logging", "sentinel", "request_limiter"];

/// Reads a file's text.
///
/// # Errors
/// With file, line and reason.
pub fn parse(file: &str, text: &str) -> Result<Stanza, ConfigError> {
    if text.trim_start().starts_with('{') {
        let value: Value =
            serde_json::from_str(text).map_err(|error| ConfigError::at(file, error.line(), strip_place(&error.to_string())))?;
        let Value::Object(map) = value else { return Err(ConfigError::at(file, 1, "the file must hold a JSON object")) };
        return from_json(file, "", "", &map);
    }
    let body = hcl_edit::parser::parse_body(text)
        .map_err(|error| ConfigError::at(file, error.location().line(), format!("is no HCL: {}", error.message())))?;
    from_hcl(file, text, &body)
}

fn strip_place(text: &str) -> String {
    text.split(" at line ").next().unwrap_or(text).to_owned()
}

fn line_of(text: &str, at: Option<std::ops::Range<usize>>) -> usize {
    at.map_or(0, |span| text.as_bytes()[..span.start.min(text.len())].iter().filter(|byte| **byte == b'\n').count() + 1)
}

fn from_hcl(file: &str, text: &str, body: &Body) -> Result<Stanza, ConfigError> {
    let mut stanza = Stanza::default();
    for structure in body {
        match structure {
            Structure::Attribute(attribute) => {
                let line = line_of(text, attribute.key.span());
                let value = value_of(&attribute.value).ok_or_else(|| {
                    ConfigError::at(
                        file,
                        line,
                        format!("{} must be a literal: expressions and templates are not supported", attribute.key.as_str()),
                    )
                })?;
                add(&mut stanza, file, attribute.key.as_str(), value, line)?;
            }
            Structure::Block(block) => {
                let mut inner = from_hcl(file, text, &block.body)?;
                inner.name = block.ident.as_str().to_owned();
                inner.line = line_of(text, block.ident.span());
                inner.label = block.labels.first().map(|label| label.as_str().to_owned()).unwrap_or_default();
                stanza.blocks.push(inner);
            }
        }
    }
    Ok(stanza)
}

fn from_json(file: &str, name: &str, label: &str, map: &Map<String, Value>) -> Result<Stanza, ConfigError> {
    let mut stanza = Stanza { name: name.to_owned(), label: label.to_owned(), ..Stanza::default() };
    for (key, value) in map {
        add(&mut stanza, file, key, value.clone(), 0)?;
    }
    Ok(stanza)
}

/// Adds a field, or the stanzas that an object or a list of objects stands for.
fn add(stanza: &mut Stanza, file: &str, key: &str, value: Value, line: usize) -> Result<(), ConfigError> {
    let wrong = || ConfigError::at(file, line, format!("{key} must be an object or a list of objects"));
    if LABELED.contains(&key) {
        for labels in one_or_many(value) {
            for (label, inner) in labels.as_object().ok_or_else(wrong)? {
                for inner in one_or_many(inner.clone()) {
                    let mut inner = from_json(file, key, label, inner.as_object().ok_or_else(wrong)?)?;
                    inner.line = line;
                    stanza.blocks.push(inner);
                }
            }
        }
    } else if UNLABELED.contains(&key) {
        for inner in one_or_many(value) {
            let mut inner = from_json(file, key, "", inner.as_object().ok_or_else(wrong)?)?;
            inner.line = line;
            stanza.blocks.push(inner);
        }
    } else {
        stanza.fields.push(Field { name: key.to_owned(), value, line });
    }
    Ok(())
}

fn one_or_many(value: Value) -> Vec<Value> {
    match value {
        Value::Array(values) => values,
        value => vec![value],
    }
}

fn value_of(expression: &Expression) -> Option<Value> {
    match expression {
        Expression::Null(_) => Some(Value::Null),
        Expression::Bool(flag) => Some(Value::Bool(*flag.value())),
        Expression::String(text) => Some(Value::String(text.as_str().to_owned())),
        Expression::Number(number) => {
            let number = number.value();
            match (number.as_u64(), number.as_i64(), number.as_f64()) {
                (Some(number), _, _) => Some(number.into()),
                (_, Some(number), _) => Some(number.into()),
                (_, _, Some(number)) => Some(number.into()),
                _ => None,
            }
        }
        Expression::Array(values) => values.iter().map(value_of).collect::<Option<Vec<_>>>().map(Value::Array),
        Expression::Object(entries) => entries
            .iter()
            .map(|(key, value)| {
                let key = key.as_ident().map(|ident| ident.as_str().to_owned()).or_else(|| key.as_expr()?.as_str().map(str::to_owned))?;
                Some((key, value_of(value.expr())?))
            })
            .collect::<Option<Map<_, _>>>()
            .map(Value::Object),
        Expression::HeredocTemplate(heredoc) => {
            let mut text = String::new();
            for element in &heredoc.template {
                match element {
                    hcl_edit::template::Element::Literal(literal) => text.push_str(literal.as_str()),
                    _ => return None,
                }
            }
            Some(Value::String(text))
        }
        Expression::Parenthesis(inner) => value_of(inner.inner()),
        Expression::UnaryOp(operation) => {
            let number = value_of(&operation.expr)?.as_i64()?;
            Some(number.checked_neg()?.into())
        }
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn hcl_and_json_say_the_same() {
        let hcl = parse("a.hcl", "ui = true\nlistener \"tcp\" {\n  address = \"127.0.0.1:8200\"\n}\nstorage \"raft\" {\n  path = \"/d\"\n  retry_join {\n    leader_api_addr = \"x\"\n  }\n}\n").unwrap();
        let json = parse(
            "a.json",
            r#"{"ui": true, "listener": [{"tcp": {"address": "127.0.0.1:8200"}}], "storage": {"raft": {"path": "/d", "retry_join": [{"leader_api_addr": "x"}]}}}"#,
        )
        .unwrap();
        for tree in [&hcl, &json] {
            assert_eq!(tree.fields[0].name, "ui");
            let listener = tree.blocks.iter().find(|block| block.name == "listener").unwrap();
            assert_eq!((listener.label.as_str(), listener.fields[0].value.as_str()), ("tcp", Some("127.0.0.1:8200")));
            let storage = tree.blocks.iter().find(|block| block.name == "storage").unwrap();
            assert_eq!(storage.blocks[0].name, "retry_join");
        }
        assert_eq!(hcl.blocks[0].line, 2);
        assert_eq!(hcl.blocks[0].fields[0].line, 3);
    }

    #[test]
    fn mistakes_are_named_by_line() {
        assert!(parse("a.hcl", "ui = true\nlog_level = \n").unwrap_err().to_string().starts_with("a.hcl:2"));
        assert!(parse("a.json", "{\n\"ui\": nope,\n}").unwrap_err().to_string().starts_with("a.json:2"));
        assert!(parse("a.hcl", "\nui = foo(1)").unwrap_err().to_string().contains("a.hcl:2: ui must be a literal"));
    }
}
