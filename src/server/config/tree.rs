//! A configuration file as a tree of fields and blocks with their lines, whether it was written in HCL or in JSON.
//!
//! Not here: which keys exist (`read`).

use serde_json::Value;

use super::ConfigError;
use crate::types::hcl::{self, Line, Node};

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
    let is_json = text.trim_start().starts_with('{');
    let lines = hcl::read(text).map_err(|malformed| {
        // What reads JSON names the place in its text too.
        let reason = malformed.text.split(" at line ").next().unwrap_or_default();
        ConfigError::at(file, malformed.line, format!("is no {}: {reason}", if is_json { "JSON" } else { "HCL" }))
    })?;
    stanza_of(file, lines)
}

fn stanza_of(file: &str, lines: Vec<Line>) -> Result<Stanza, ConfigError> {
    let mut stanza = Stanza::default();
    for line in lines {
        let mut keys = line.keys.into_iter();
        let name = keys.next().unwrap_or_default();
        let label = keys.next();
        if keys.next().is_some() {
            return Err(ConfigError::at(file, line.line, format!("{name} has more than one label")));
        }
        add_node(&mut stanza, file, (&name, label), line.node, line.line)?;
    }
    Ok(stanza)
}

/// Adds what a line says. `storage = { raft = { … } }` and `storage { raft { … } }` are `storage "raft" { … }`.
fn add_node(stanza: &mut Stanza, file: &str, (name, label): (&str, Option<String>), node: Node, at: usize) -> Result<(), ConfigError> {
    let is_stanza = LABELED.contains(&name) || UNLABELED.contains(&name);
    match node {
        Node::Object(lines) => {
            let has_labels = !lines.is_empty() && lines.iter().all(|line| matches!(line.node, Node::Object(_) | Node::List(_)));
            if label.is_none() && LABELED.contains(&name) && has_labels {
                for line in lines {
                    add_node(stanza, file, (name, Some(line.keys.join("."))), line.node, line.line)?;
                }
            } else {
                let inner = stanza_of(file, lines)?;
                stanza.blocks.push(Stanza { name: name.to_owned(), label: label.unwrap_or_default(), line: at, ..inner });
            }
        }
        Node::List(nodes) if is_stanza => {
            for node in nodes {
                add_node(stanza, file, (name, label.clone()), node, at)?;
            }
        }
        _ if is_stanza || label.is_some() => {
            return Err(ConfigError::at(file, at, format!("{name} must be an object or a list of objects")));
        }
        node => stanza.fields.push(Field { name: name.to_owned(), value: node.into_json(), line: at }),
    }
    Ok(())
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
        let json = parse("a.json", "{\n\"listener\": [{\"tcp\": {\n\"address\": \"a\"}}]}").unwrap();
        assert_eq!((json.blocks[0].line, json.blocks[0].fields[0].line), (2, 3));
    }

    #[test]
    fn mistakes_are_named_by_line() {
        assert!(parse("a.hcl", "ui = true\nlog_level = \n").unwrap_err().to_string().starts_with("a.hcl:2"));
        assert!(parse("a.json", "{\n\"ui\": nope,\n}").unwrap_err().to_string().starts_with("a.json:2: is no JSON: expected"));
        assert!(parse("a.hcl", "\nui = foo(1)").unwrap_err().to_string().contains("a.hcl:2: is no HCL: unknown value"));
        assert!(parse("a.hcl", "\nstorage = 1").unwrap_err().to_string().contains("a.hcl:2: storage must be an object"));
    }

    #[test]
    fn all_habits_of_writing_are_understood() {
        for text in [
            r#"storage "raft" { path = "/d" node_id = "n" }"#,
            r#""storage" "raft" { "path" = "/d", "node_id" = "n" } // one"#,
            r#"storage = { raft = { path = "/d" node_id = "n" } }"#,
            "/* a\nb */ storage { raft { path = \"/d\"\n node_id = \"n\" } } # end",
            r#"storage = [{ "raft": { "path": "/d", "node_id": "n" } }]"#,
        ] {
            let tree = parse("a.hcl", text).unwrap();
            let said: Vec<_> = tree.blocks.iter().map(|block| (block.name.as_str(), block.label.as_str())).collect();
            assert_eq!(said, [("storage", "raft")], "{text}");
            let fields: Vec<_> = tree.blocks[0].fields.iter().map(|field| (field.name.as_str(), field.value.as_str().unwrap())).collect();
            assert_eq!(fields, [("path", "/d"), ("node_id", "n")], "{text}");
        }
    }
}
