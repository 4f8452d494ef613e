//! What a user types as data: `k=v`, `k=@file`, `k=\@literal`, `k=-`, `-` and `@file`.
//!
//! Values are texts; numbers and switches come in through JSON only. Standard input is read once.
//! Not here: flags (`args`).

use std::io::Read;

use serde_json::{Map, Value};

use super::failure::Failure;

/// Reads the pairs of a command into one JSON object.
///
/// # Errors
/// What is no pair, what cannot be read, and a second use of standard input.
pub fn data(args: &[String], stdin: &mut dyn Read) -> Result<Map<String, Value>, Failure> {
    let mut found = Map::new();
    let mut stdin = Some(stdin);
    for arg in args {
        let wrong = |what: String| Failure::local(format!("Failed to parse K=V data: invalid key/value pair {arg:?}: {what}"));
        if arg == "-" {
            let text = read_all(&mut stdin).map_err(wrong)?;
            merge(&mut found, &text).map_err(wrong)?;
            continue;
        }
        if let Some(path) = arg.strip_prefix('@') {
            let text = read_file(path).map_err(wrong)?;
            merge(&mut found, &text).map_err(wrong)?;
            continue;
        }
        let Some((key, value)) = arg.split_once('=') else { return Err(wrong("format must be key=value".to_owned())) };
        let value = if value == "-" {
            read_all(&mut stdin).map_err(wrong)?
        } else if let Some(path) = value.strip_prefix('@') {
            read_file(path).map_err(|error| wrong(format!("error reading file: {error}")))?
        } else if value.starts_with("\\@") {
            value[1..].to_owned()
        } else {
            value.to_owned()
        };
        add(&mut found, key, Value::String(value));
    }
    Ok(found)
}

/// The same for parameters of a query: every value is a text, repeated ones stay apart.
///
/// # Errors
/// As [`data`].
pub fn query(args: &[String], stdin: &mut dyn Read) -> Result<Vec<(String, String)>, Failure> {
    let mut found = Vec::new();
    for (key, value) in data(args, stdin)? {
        match value {
            Value::Array(several) => found.extend(several.into_iter().map(|one| (key.clone(), plain(&one)))),
            one => found.push((key, plain(&one))),
        }
    }
    Ok(found)
}

fn plain(value: &Value) -> String {
    value.as_str().map_or_else(|| value.to_string(), str::to_owned)
}

fn add(found: &mut Map<String, Value>, key: &str, value: Value) {
    match found.get_mut(key) {
        None => {
            found.insert(key.to_owned(), value);
        }
        Some(Value::Array(several)) => several.push(value),
        Some(first) => *first = Value::Array(vec![first.take(), value]),
    }
}

fn merge(found: &mut Map<String, Value>, text: &str) -> Result<(), String> {
    if text.trim().is_empty() {
        return Err("EOF".to_owned());
    }
    match serde_json::from_str(text) {
        Ok(Value::Object(members)) => {
            found.extend(members);
            Ok(())
        }
        Ok(_) => Err("the JSON is no object".to_owned()),
        Err(error) => Err(error.to_string()),
    }
}

fn read_all(stdin: &mut Option<&mut dyn Read>) -> Result<String, String> {
    let source = stdin.take().ok_or_else(|| "stdin already consumed".to_owned())?;
    let mut text = String::new();
    source.read_to_string(&mut text).map_err(|error| error.to_string())?;
    Ok(text)
}

/// A file's whole text; a fault in the words that Go has for it.
pub fn read_file(path: &str) -> Result<String, String> {
    std::fs::read_to_string(path).map_err(|error| match error.kind() {
        std::io::ErrorKind::NotFound => format!("open {path}: no such file or directory"),
        std::io::ErrorKind::PermissionDenied => format!("open {path}: permission denied"),
        _ => format!("open {path}: {error}"),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(args: &[&str], stdin: &str, expected: &str) {
        let args: Vec<String> = args.iter().map(|&arg| arg.to_owned()).collect();
        let found = match data(&args, &mut stdin.as_bytes()) {
            Ok(members) => Value::Object(members).to_string(),
            Err(failure) => failure.text,
        };
        assert_eq!(found, expected, "{args:?}");
    }

    #[test]
    fn every_form_of_input_is_read() {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("v");
        std::fs::write(&file, "line\n").unwrap();
        let json = folder.path().join("j");
        std::fs::write(&json, r#"{"n":1}"#).unwrap();
        check(&["a=b", "c=d=e", "empty="], "", r#"{"a":"b","c":"d=e","empty":""}"#);
        check(&["a=1", "a=2", "a=3"], "", r#"{"a":["1","2","3"]}"#);
        check(&["a=\\@x"], "", r#"{"a":"@x"}"#);
        check(&["a=-"], "in\n", r#"{"a":"in\n"}"#);
        check(&["-"], r#"{"n":1,"b":true}"#, r#"{"n":1,"b":true}"#);
        check(&[&format!("a=@{}", file.display())], "", r#"{"a":"line\n"}"#);
        check(&[&format!("@{}", json.display()), "k=v"], "", r#"{"n":1,"k":"v"}"#);
    }

    #[test]
    fn wrong_input_is_named() {
        check(&["b"], "", "Failed to parse K=V data: invalid key/value pair \"b\": format must be key=value");
        check(&["a=-", "b=-"], "x", "Failed to parse K=V data: invalid key/value pair \"b=-\": stdin already consumed");
        check(&["-"], "", "Failed to parse K=V data: invalid key/value pair \"-\": EOF");
        check(
            &["a=@/no/such/file"],
            "",
            "Failed to parse K=V data: invalid key/value pair \"a=@/no/such/file\": error reading file: open /no/such/file: no such file or directory",
        );
    }
}
