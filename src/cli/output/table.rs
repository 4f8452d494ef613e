//! Columns: padded to the widest cell, four blanks apart, the last one not padded, an empty cell shown as `n/a`.
//!
//! Not here: what a value reads as (`value`).

use serde_json::{Map, Value};

use super::value::cell;

/// Rows as aligned columns.
pub fn columns(rows: &[Vec<String>]) -> String {
    let shown: Vec<Vec<&str>> =
        rows.iter().map(|row| row.iter().map(|text| if text.is_empty() { "n/a" } else { text.as_str() }).collect()).collect();
    let count = shown.iter().map(Vec::len).max().unwrap_or(0);
    let widths: Vec<usize> =
        (0..count).map(|at| shown.iter().filter_map(|row| row.get(at)).map(|text| text.chars().count()).max().unwrap_or(0)).collect();
    let mut lines = Vec::with_capacity(shown.len());
    for row in &shown {
        let mut line = String::new();
        for (at, text) in row.iter().enumerate() {
            line.push_str(text);
            if at + 1 < row.len() {
                let pad = widths.get(at).copied().unwrap_or(0).saturating_sub(text.chars().count()) + 4;
                line.extend(std::iter::repeat_n(' ', pad));
            }
        }
        lines.push(line);
    }
    lines.join("\n")
}

/// Rows under a heading: names, and a rule under each.
pub fn with_heading(names: &[&str], rows: Vec<Vec<String>>) -> String {
    let mut all = vec![names.iter().map(|&name| name.to_owned()).collect::<Vec<_>>()];
    all.push(names.iter().map(|name| "-".repeat(name.chars().count())).collect());
    all.extend(rows);
    columns(&all)
}

/// `Key` and `Value`.
pub fn key_value(rows: Vec<(String, String)>) -> String {
    with_heading(&["Key", "Value"], rows.into_iter().map(|(name, text)| vec![name, text]).collect())
}

/// The members of an object as rows, sorted by name.
pub fn rows_of(members: &Map<String, Value>) -> Vec<(String, String)> {
    let mut rows: Vec<(String, String)> = members.iter().map(|(name, value)| (name.clone(), cell(name, value))).collect();
    rows.sort();
    rows
}

/// A list under one heading.
pub fn list(name: &str, several: &[String]) -> String {
    with_heading(&[name], several.iter().map(|one| vec![one.clone()]).collect())
}

/// A title framed by `=`, for a block whose longest name, or whose only line, has this width.
pub fn frame(title: &str, width: usize) -> String {
    let mut equals = width.saturating_sub(title.len() + 2);
    if equals == 0 {
        equals = 4;
    }
    let side = "=".repeat(equals.div_ceil(2));
    format!("{side} {title} {side}")
}

/// A framed title over a table of members.
pub fn framed_members(title: &str, members: &Map<String, Value>) -> String {
    let longest = members.keys().map(|name| name.chars().count()).max().unwrap_or(0);
    format!("{}\n{}", frame(title, longest + 9), key_value(rows_of(members)))
}

/// A framed title over one line.
pub fn framed_path(title: &str, path: &str) -> String {
    format!("{}\n{path}", frame(title, path.len()))
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn object(value: Value) -> Map<String, Value> {
        value.as_object().unwrap().clone()
    }

    #[test]
    fn tables_have_aligned_columns_and_rules() {
        let text = key_value(vec![("refresh_interval".into(), "768h".into()), ("password".into(), String::new())]);
        assert_eq!(text, "Key                 Value\n---                 -----\nrefresh_interval    768h\npassword            n/a");
        assert_eq!(list("Keys", &["app/".to_owned(), "db".to_owned()]), "Keys\n----\napp/\ndb");
    }

    #[test]
    fn frames_follow_the_width_of_what_they_head() {
        assert_eq!(framed_path("Secret Path", "secret/data/app"), "= Secret Path =\nsecret/data/app");
        assert_eq!(framed_path("Secret Path", "secret/data/a"), "== Secret Path ==\nsecret/data/a");
        assert_eq!(framed_path("Metadata Path", "secret/metadata/a"), "= Metadata Path =\nsecret/metadata/a");
        let metadata = object(json!({"custom_metadata": null, "version": 3, "deletion_time": ""}));
        assert_eq!(
            framed_members("Metadata", &metadata),
            "======= Metadata =======\nKey                Value\n---                -----\ncustom_metadata    <nil>\ndeletion_time      n/a\nversion            3"
        );
        assert_eq!(framed_members("Data", &object(json!({"b": "c"}))), "== Data ==\nKey    Value\n---    -----\nb      c");
        assert_eq!(
            framed_members("Data", &object(json!({"pool": "8", "dsn": "x"}))),
            "==== Data ====\nKey     Value\n---     -----\ndsn     x\npool    8"
        );
    }
}
