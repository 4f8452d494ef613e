//! One value as text, the way Go prints it: `map[a:1 b:2]`, `[a b]`, `<nil>`.
//!
//! Not here: columns (`table`).

use serde_json::Value;

/// Any value as Go's `%v` shows it.
pub fn go_text(value: &Value) -> String {
    match value {
        Value::Null => "<nil>".to_owned(),
        Value::String(text) => text.clone(),
        Value::Array(several) => format!("[{}]", several.iter().map(go_text).collect::<Vec<_>>().join(" ")),
        Value::Object(members) => {
            let mut parts: Vec<(&String, String)> = members.iter().map(|(name, value)| (name, go_text(value))).collect();
            parts.sort();
            format!("map[{}]", parts.into_iter().map(|(name, text)| format!("{name}:{text}")).collect::<Vec<_>>().join(" "))
        }
        other => other.to_string(),
    }
}

/// The text of a row's value: as [`go_text`], but seconds under a name that means a length of time read as one.
pub fn cell(name: &str, value: &Value) -> String {
    match value.as_i64() {
        Some(secs) if means_time(name) => human_time(secs),
        _ => go_text(value),
    }
}

fn means_time(name: &str) -> bool {
    matches!(name, "ttl" | "period" | "duration" | "lease_max" | "ttl_max")
        || ["_ttl", "_period", "_duration"].iter().any(|end| name.ends_with(end))
}

/// Seconds as `1h30m`: zero units at the end are cut, nothing at all is `0s`.
pub fn human_time(secs: i64) -> String {
    if secs == 0 {
        return "0s".to_owned();
    }
    let sign = if secs < 0 { "-" } else { "" };
    let all = secs.unsigned_abs();
    let (hours, minutes, secs) = (all / 3600, all / 60 % 60, all % 60);
    let mut text = sign.to_owned();
    if hours > 0 {
        text.push_str(&format!("{hours}h"));
    }
    if minutes > 0 || (hours > 0 && secs > 0) {
        text.push_str(&format!("{minutes}m"));
    }
    if secs > 0 {
        text.push_str(&format!("{secs}s"));
    }
    text
}

/// A list as Go's `%q` shows it: `["default" "dev"]`; nothing is `[]`.
pub fn quoted_list(value: Option<&Value>) -> String {
    let several = value.and_then(Value::as_array).map(Vec::as_slice).unwrap_or_default();
    let parts: Vec<String> = several.iter().map(|one| format!("{:?}", go_text(one))).collect();
    format!("[{}]", parts.join(" "))
}

/// A time such as `2026-04-02T08:15:30.1Z` in the form of Go's `String`: `2026-04-02 08:15:30.1 +0000 UTC`.
pub fn go_time(rfc3339: &str) -> String {
    match rfc3339.strip_suffix('Z').and_then(|text| text.split_once('T')) {
        Some((day, time)) => format!("{day} {time} +0000 UTC"),
        None => rfc3339.to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn values_read_as_go_prints_them() {
        assert_eq!(
            go_text(&json!({"b": 2, "a": {"x": null, "y": ""}, "c": [1, "two", true]})),
            "map[a:map[x:<nil> y:] b:2 c:[1 two true]]"
        );
        assert_eq!(quoted_list(Some(&json!(["default", "dev"]))), r#"["default" "dev"]"#);
        assert_eq!(quoted_list(None), "[]");
        assert_eq!(go_time("2026-04-02T08:15:30.123456789Z"), "2026-04-02 08:15:30.123456789 +0000 UTC");
    }

    #[test]
    fn seconds_read_as_lengths_of_time_where_the_name_says_so() {
        for (secs, expected) in
            [(0, "0s"), (45, "45s"), (60, "1m"), (3600, "1h"), (5400, "1h30m"), (3601, "1h0m1s"), (2_764_800, "768h"), (-60, "-1m")]
        {
            assert_eq!(cell("default_lease_ttl", &json!(secs)), expected);
        }
        assert_eq!(cell("ttl", &json!("1h")), "1h");
        assert_eq!(cell("version", &json!(60)), "60");
    }
}
