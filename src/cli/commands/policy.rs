//! `policy`: read, write, list, delete, and format a file.

use serde_json::{Value, json};

use crate::cli::call::Call;
use crate::cli::command::{Command, Prints};
use crate::cli::failure::{Failure, Outcome};
use crate::cli::input::read_file;
use crate::cli::invocation::{Invocation, keys_of, members_of};

/// The commands of this file.
pub const COMMANDS: &[Command] = &[
    Command {
        name: "policy list",
        summary: "List the policies",
        arguments: "",
        examples: &["policy list"],
        flags: &[],
        prints: Prints::Format,
        run: list,
    },
    Command {
        name: "policy read",
        summary: "Print a policy",
        arguments: "NAME",
        examples: &["policy read dev"],
        flags: &[],
        prints: Prints::Format,
        run: read,
    },
    Command {
        name: "policy write",
        summary: "Create or replace a policy",
        arguments: "NAME FILE|-",
        examples: &["policy write dev dev.hcl", "cat dev.hcl | coffer policy write dev -"],
        flags: &[],
        prints: Prints::Text,
        run: write,
    },
    Command {
        name: "policy delete",
        summary: "Delete a policy",
        arguments: "NAME",
        examples: &["policy delete dev"],
        flags: &[],
        prints: Prints::Text,
        run: delete,
    },
    Command {
        name: "policy fmt",
        summary: "Format a policy file in place",
        arguments: "FILE",
        examples: &["policy fmt dev.hcl"],
        flags: &[],
        prints: Prints::Text,
        run: fmt,
    },
];

fn name_of(run: &Invocation) -> String {
    run.arg(0).trim().to_lowercase()
}

fn list(run: &mut Invocation) -> Outcome {
    run.expect_args(0, 0)?;
    let answer = run.ask(&Call::list("sys/policies/acl"), "Error listing policies")?.unwrap_or_default();
    let names = keys_of(&answer).unwrap_or_default();
    if run.is_structured() {
        run.print_structured(&names.into());
    } else {
        names.iter().for_each(|name| run.print(name));
    }
    Ok(0)
}

fn read(run: &mut Invocation) -> Outcome {
    run.expect_args(1, 1)?;
    let name = name_of(run);
    let found = run.client()?.find(&Call::get(format!("sys/policies/acl/{name}")));
    let envelope = found.map_err(|error| error.during(&format!("Error reading policy named {name}")))?;
    let rules = envelope.as_ref().map(members_of).and_then(|members| members.get("policy").and_then(Value::as_str).map(str::to_owned));
    let rules = rules.ok_or_else(|| Failure::remote(format!("No policy named: {name}")))?;
    if run.is_structured() {
        run.print_structured(&json!({ "policy": rules }));
    } else {
        run.print(rules.trim());
    }
    Ok(0)
}

fn write(run: &mut Invocation) -> Outcome {
    run.expect_args(2, 2)?;
    let name = name_of(run);
    if name != run.arg(0).trim() {
        run.warn(&format!("Policy name was converted from {:?} to {name:?}", run.arg(0).trim()));
    }
    let rules = match run.arg(1).trim() {
        "-" => std::io::read_to_string(std::io::stdin()).map_err(|error| Failure::local(format!("Error reading policy: {error}")))?,
        path => read_file(path).map_err(|error| Failure::remote(format!("Error opening policy file: {error}")))?,
    };
    run.ask(&Call::put(format!("sys/policies/acl/{name}"), json!({ "policy": rules })), "Error uploading policy")?;
    run.say(&format!("Success! Uploaded policy: {name}"));
    Ok(0)
}

fn delete(run: &mut Invocation) -> Outcome {
    run.expect_args(1, 1)?;
    let name = name_of(run);
    run.ask(&Call::delete(format!("sys/policies/acl/{name}")), &format!("Error deleting {name}"))?;
    run.say(&format!("Success! Deleted policy: {name}"));
    Ok(0)
}

fn fmt(run: &mut Invocation) -> Outcome {
    run.expect_args(1, 1)?;
    let path = run.arg(0).trim().to_owned();
    let text = read_file(&path).map_err(|error| Failure::local(format!("Error reading source file: {error}")))?;
    let body = text.parse::<hcl_edit::structure::Body>();
    body.map_err(|error| Failure::local(format!("failed to parse policy: {error}")))?;
    let formatted = tidy(&text);
    std::fs::write(&path, formatted).map_err(|error| Failure::local(format!("Error writing result: {error}")))?;
    run.say(&format!("Success! Formatted policy: {path}"));
    Ok(0)
}

/// Indents by depth and drops what trails. Comments stay where they are, which is why the text is not printed anew from its meaning.
fn tidy(text: &str) -> String {
    let mut depth: usize = 0;
    let mut out = String::new();
    let mut was_blank = true;
    for line in text.lines() {
        let line = line.trim();
        if line.is_empty() {
            if !was_blank {
                out.push('\n');
            }
            was_blank = true;
            continue;
        }
        was_blank = false;
        let (opens, closes, leading) = brackets(line);
        out.push_str(&"  ".repeat(depth.saturating_sub(leading)));
        out.push_str(&spaced(line));
        out.push('\n');
        depth = (depth + opens).saturating_sub(closes);
    }
    format!("{}\n", out.trim_end())
}

/// Brackets that open, that close, and that close at the beginning of the line; not those in texts and comments.
fn brackets(line: &str) -> (usize, usize, usize) {
    let (mut opens, mut closes, mut leading, mut in_text, mut only_closing) = (0, 0, 0, false, true);
    let mut previous = ' ';
    for c in line.chars() {
        if !in_text && (c == '#' || (c == '/' && previous == '/')) {
            break;
        }
        match c {
            '"' if previous != '\\' => in_text = !in_text,
            '{' | '[' if !in_text => opens += 1,
            '}' | ']' if !in_text => {
                closes += 1;
                leading += usize::from(only_closing);
            }
            _ => {}
        }
        only_closing &= matches!(c, '}' | ']');
        previous = c;
    }
    (opens, closes, leading)
}

/// `a=b` as `a = b`, where the name is a plain word.
fn spaced(line: &str) -> String {
    match line.split_once('=') {
        Some((name, value)) if name.trim().chars().all(|c| c.is_alphanumeric() || c == '_' || c == '-') && !name.trim().is_empty() => {
            format!("{} = {}", name.trim(), value.trim())
        }
        _ => line.to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn formatting_indents_and_keeps_comments() {
        let text = "# why = so\npath   \"secret/*\" {\ncapabilities=[\"read\",\n\"list\"] # {\n\n\n}\n";
        assert_eq!(tidy(text), "# why = so\npath   \"secret/*\" {\n  capabilities = [\"read\",\n    \"list\"] # {\n\n}\n");
    }
}
