//! YAML for programs and people: names sorted, lists not indented, texts quoted only where they must be.
//!
//! Written by hand because the quoting is a contract too: Go's library says `"8"` where others say `'8'`.

use serde_json::Value;

/// A value as a YAML document, without the last line end.
pub fn document(value: &Value) -> String {
    let mut out = String::new();
    match value {
        Value::Object(members) if !members.is_empty() => write(value, 0, &mut out),
        Value::Array(several) if !several.is_empty() => write(value, 0, &mut out),
        scalar => out.push_str(&inline(scalar, 0)),
    }
    out.trim_end_matches('\n').to_owned()
}

fn write(value: &Value, depth: usize, out: &mut String) {
    let margin = "  ".repeat(depth);
    match value {
        Value::Object(members) => {
            let mut names: Vec<&String> = members.keys().collect();
            names.sort();
            for name in names {
                out.push_str(&format!("{margin}{}:", text(name, 0)));
                member(&members[name], depth, out);
            }
        }
        Value::Array(several) => {
            for one in several {
                out.push_str(&format!("{margin}-"));
                match one {
                    Value::Object(members) if !members.is_empty() => {
                        let mut nested = String::new();
                        write(one, depth + 1, &mut nested);
                        out.push(' ');
                        out.push_str(nested.trim_start());
                    }
                    Value::Array(inner) if !inner.is_empty() => {
                        let mut nested = String::new();
                        write(one, depth + 1, &mut nested);
                        out.push(' ');
                        out.push_str(nested.trim_start());
                    }
                    scalar => out.push_str(&format!(" {}\n", inline(scalar, depth + 1))),
                }
            }
        }
        scalar => out.push_str(&format!("{margin}{}\n", inline(scalar, depth))),
    }
}

fn member(value: &Value, depth: usize, out: &mut String) {
    match value {
        Value::Object(members) if !members.is_empty() => {
            out.push('\n');
            write(value, depth + 1, out);
        }
        Value::Array(several) if !several.is_empty() => {
            out.push('\n');
            write(value, depth, out);
        }
        scalar => out.push_str(&format!(" {}\n", inline(scalar, depth + 1))),
    }
}

fn inline(value: &Value, depth: usize) -> String {
    match value {
        Value::Null => "null".to_owned(),
        Value::String(content) => text(content, depth),
        Value::Object(_) => "{}".to_owned(),
        Value::Array(_) => "[]".to_owned(),
        other => other.to_string(),
    }
}

fn text(content: &str, depth: usize) -> String {
    if content.is_empty() || reads_as_another_type(content) || content.chars().any(|c| c.is_control() && c != '\n') {
        return quoted(content);
    }
    if content.contains('\n') {
        if content.starts_with([' ', '\n']) || content.ends_with("\n\n") {
            return quoted(content);
        }
        let mark = if content.ends_with('\n') { "|" } else { "|-" };
        let margin = "  ".repeat(depth.max(1));
        let lines: Vec<String> = content
            .trim_end_matches('\n')
            .lines()
            .map(|line| if line.is_empty() { String::new() } else { format!("{margin}{line}") })
            .collect();
        return format!("{mark}\n{}", lines.join("\n"));
    }
    if is_plain(content) { content.to_owned() } else { format!("'{}'", content.replace('\'', "''")) }
}

/// In double quotes: YAML reads all that JSON writes.
fn quoted(content: &str) -> String {
    serde_json::to_string(content).unwrap_or_default()
}

fn reads_as_another_type(content: &str) -> bool {
    const WORDS: &[&str] = &["null", "~", "true", "false", "yes", "no", "on", "off", "y", "n", "<<", ".nan", ".inf", "-.inf"];
    let lower = content.to_ascii_lowercase();
    let digits = content.trim_start_matches(['-', '+']).replace('_', "");
    let is_number = !digits.is_empty() && digits.starts_with(|c: char| c.is_ascii_digit() || c == '.') && digits.parse::<f64>().is_ok();
    let is_radix =
        ["0x", "0o", "0b"].iter().any(|start| digits.strip_prefix(start).is_some_and(|rest| u64::from_str_radix(rest, 16).is_ok()));
    let bytes = content.as_bytes();
    let is_day = bytes.len() >= 10
        && bytes[..4].iter().all(u8::is_ascii_digit)
        && bytes[4] == b'-'
        && bytes[5..7].iter().all(u8::is_ascii_digit)
        && bytes[7] == b'-'
        && (bytes.len() == 10 || matches!(bytes[10], b'T' | b't' | b' '));
    WORDS.contains(&lower.as_str()) || is_number || is_radix || is_day
}

fn is_plain(content: &str) -> bool {
    let first = content.chars().next().unwrap_or(' ');
    let second_blank = content.chars().nth(1).is_none_or(|c| c == ' ');
    let bad_first = "#,[]{}&*!|>'\"%@`".contains(first) || (matches!(first, '-' | '?' | ':') && second_blank);
    !bad_first
        && !content.starts_with(' ')
        && !content.ends_with(' ')
        && !content.ends_with(':')
        && !content.contains(": ")
        && !content.contains(" #")
        && !content.starts_with("---")
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn documents_read_as_gos_library_writes_them() {
        let value = json!({
            "t": 1, "n": 1, "empty": "", "list": ["default", "8"], "none": null, "map": {}, "yes": true,
            "time": "2026-11-25T00:20:46.683846135Z", "nested": {"dsn": "postgres://db1", "pool": "8", "l": [{"b": 1, "a": "x"}]},
            "text": "a\nb\n", "odd": "a: b", "kv/": "x"
        });
        let expected = "empty: \"\"\nkv/: x\nlist:\n- default\n- \"8\"\nmap: {}\n\"n\": 1\nnested:\n  dsn: postgres://db1\n  l:\n  - a: x\n    b: 1\n  pool: \"8\"\nnone: null\nodd: 'a: b'\nt: 1\ntext: |\n  a\n  b\ntime: \"2026-11-25T00:20:46.683846135Z\"\n\"yes\": true";
        assert_eq!(document(&value), expected);
        assert_eq!(document(&json!(["a", "b"])), "- a\n- b");
        assert_eq!(document(&json!({})), "{}");
    }

    #[test]
    fn documents_read_back_as_they_were() {
        let value = json!({"a": "it's \"q\"", "b": "- x", "c": " lead", "d": "x\n\ny", "e": ["", "~", "0x1f", "1e3", "multi\nline"], "f": [[1, 2], {"k": {"z": []}}], "g": "\u{1b}[0m"});
        let back: Value = serde_yaml_ng::from_str(&document(&value)).unwrap();
        assert_eq!(back, value);
    }
}
