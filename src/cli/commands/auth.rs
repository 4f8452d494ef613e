//! `auth`: the auth methods that are mounted.

use serde_json::{Map, Value};

use super::mount_flags as flags;
use super::mounts::{entries, move_mount, print_detailed, print_entries, text};
use crate::cli::args::Flag;
use crate::cli::call::Call;
use crate::cli::command::{Command, Prints};
use crate::cli::failure::{Failure, Outcome};
use crate::cli::invocation::Invocation;
use crate::cli::output::table;
use crate::cli::route::{clean_path, mount_path};

/// The commands of this file.
pub const COMMANDS: &[Command] = &[
    Command {
        name: "auth enable",
        summary: "Mount an auth method",
        arguments: "TYPE",
        examples: &["auth enable userpass", "auth enable -path=ci approle"],
        flags: &[
            flags::PATH,
            flags::DESCRIPTION,
            flags::DEFAULT_TTL,
            flags::MAX_TTL,
            flags::AUDIT_REQUEST,
            flags::AUDIT_RESPONSE,
            flags::LISTING,
            flags::PASSTHROUGH,
            flags::ALLOWED,
            flags::PLUGIN_NAME,
            flags::PLUGIN_VERSION,
            flags::OPTIONS,
            flags::LOCAL,
            flags::SEAL_WRAP,
            flags::ENTROPY,
            flags::TOKEN_TYPE,
            flags::VERSION,
        ],
        prints: Prints::Text,
        run: enable,
    },
    Command {
        name: "auth disable",
        summary: "Unmount an auth method; its tokens are revoked",
        arguments: "PATH",
        examples: &["auth disable ci/"],
        flags: &[],
        prints: Prints::Text,
        run: disable,
    },
    Command {
        name: "auth tune",
        summary: "Change the settings of an auth method",
        arguments: "PATH",
        examples: &["auth tune -default-lease-ttl=72h userpass/"],
        flags: &[
            flags::DESCRIPTION,
            flags::DEFAULT_TTL,
            flags::MAX_TTL,
            flags::AUDIT_REQUEST,
            flags::AUDIT_RESPONSE,
            flags::LISTING,
            flags::PASSTHROUGH,
            flags::ALLOWED,
            flags::OPTIONS,
            flags::PLUGIN_VERSION,
            flags::TOKEN_TYPE,
            flags::VERSION,
            Flag::number("user-lockout-threshold", "Failed logins until a user is locked out."),
            Flag::time("user-lockout-duration", "How long a user is locked out."),
            Flag::time("user-lockout-counter-reset-duration", "When failed logins are forgotten."),
            Flag::switch("user-lockout-disable", "Never lock out."),
        ],
        prints: Prints::Text,
        run: tune,
    },
    Command {
        name: "auth move",
        summary: "Move an auth method to another path",
        arguments: "SOURCE TARGET",
        examples: &["auth move ci/ build/"],
        flags: &[],
        prints: Prints::Text,
        run: move_method,
    },
    Command {
        name: "auth list",
        summary: "List the auth methods",
        arguments: "",
        examples: &["auth list", "auth list -detailed"],
        flags: &[],
        prints: Prints::Format,
        run: list,
    },
    Command {
        name: "auth help",
        summary: "Show how to log in with an auth method",
        arguments: "TYPE|PATH",
        examples: &["auth help userpass"],
        flags: &[],
        prints: Prints::Text,
        run: help,
    },
];

fn enable(run: &mut Invocation) -> Outcome {
    run.expect_args(1, 1)?;
    let kind = run.arg(0).trim().to_owned();
    let kind = if kind == "plugin" { run.text("plugin-name").unwrap_or_default().to_owned() } else { kind };
    let path = mount_path(run.text("path").unwrap_or(&kind));
    let body = flags::enable_body(run, &kind);
    run.ask(&Call::post(format!("sys/auth/{}", clean_path(&path)), body), &format!("Error enabling {kind} auth"))?;
    run.say(&format!("Success! Enabled {kind} auth method at: {path}"));
    Ok(0)
}

fn disable(run: &mut Invocation) -> Outcome {
    run.expect_args(1, 1)?;
    let path = mount_path(run.arg(0));
    run.ask(&Call::delete(format!("sys/auth/{}", clean_path(&path))), &format!("Error disabling auth method at {path}"))?;
    run.say(&format!("Success! Disabled the auth method (if it existed) at: {path}"));
    Ok(0)
}

fn lockout_of(run: &Invocation) -> Map<String, Value> {
    let mut lockout = Map::new();
    if let Some(threshold) = run.parsed.number("user-lockout-threshold") {
        lockout.insert("lockout_threshold".into(), threshold.to_string().into());
    }
    for (flag, field) in [("user-lockout-duration", "lockout_duration"), ("user-lockout-counter-reset-duration", "lockout_counter_reset")] {
        if let Some(ttl) = run.parsed.time(flag) {
            lockout.insert(field.into(), format!("{}s", ttl.0).into());
        }
    }
    if run.parsed.has("user-lockout-disable") {
        lockout.insert("lockout_disable".into(), run.is("user-lockout-disable").into());
    }
    lockout
}

fn tune(run: &mut Invocation) -> Outcome {
    run.expect_args(1, 1)?;
    let path = mount_path(run.arg(0));
    let mut body = flags::tune_body(run);
    let lockout = lockout_of(run);
    if !lockout.is_empty() {
        body.insert("user_lockout_config".into(), Value::Object(lockout));
    }
    let call = Call::post(format!("sys/mounts/auth/{}/tune", clean_path(&path)), Value::Object(body));
    run.ask(&call, &format!("Error tuning auth method {path}"))?;
    run.say(&format!("Success! Tuned the auth method at: {path}"));
    Ok(0)
}

fn move_method(run: &mut Invocation) -> Outcome {
    run.expect_args(2, 2)?;
    let (source, target) = (mount_path(run.arg(0)), mount_path(run.arg(1)));
    move_mount(run, "auth method", &source, &target, &below_auth(&source), &below_auth(&target))
}

/// The path among all mounts; people give it with `auth/` or without.
fn below_auth(path: &str) -> String {
    if path.starts_with("auth/") { path.to_owned() } else { format!("auth/{path}") }
}

fn list(run: &mut Invocation) -> Outcome {
    run.expect_args(0, 0)?;
    let entries = entries(run, "sys/auth", "Error listing enabled authentications")?;
    if run.is_structured() {
        print_entries(run, &entries);
    } else if run.is("detailed") {
        let token_type = |entry: &Map<String, Value>| {
            entry.get("config").and_then(Value::as_object).map(|config| text(config, "token_type")).unwrap_or_default()
        };
        print_detailed(run, &entries, "Token Type", &token_type);
    } else {
        let rows = entries
            .iter()
            .map(|(path, entry)| {
                vec![path.clone(), text(entry, "type"), text(entry, "accessor"), text(entry, "description"), text(entry, "plugin_version")]
            })
            .collect();
        run.print(&table::with_heading(&["Path", "Type", "Accessor", "Description", "Version"], rows));
    }
    Ok(0)
}

/// How to log in, by type.
const LOGINS: &[(&str, &str)] = &[
    ("token", "login TOKEN, or login and type it"),
    ("userpass", "login -method=userpass username=NAME [password=PASSWORD]"),
    ("ldap", "login -method=ldap username=NAME [password=PASSWORD]"),
    ("okta", "login -method=okta username=NAME [password=PASSWORD]"),
    ("radius", "login -method=radius username=NAME [password=PASSWORD]"),
    ("github", "login -method=github [token=TOKEN]"),
    ("cert", "login -method=cert -client-cert=FILE -client-key=FILE [name=ROLE]"),
    ("jwt", "login -method=jwt role=ROLE jwt=JWT"),
    ("approle", "write auth/approle/login role_id=ID secret_id=ID"),
];

fn help(run: &mut Invocation) -> Outcome {
    run.expect_args(1, 1)?;
    let given = run.arg(0).trim().to_owned();
    let known = |kind: &str| LOGINS.iter().find(|login| login.0 == kind);
    let mut found = known(given.trim_end_matches('/'));
    if found.is_none() {
        let path = mount_path(&given);
        let entries = entries(run, "sys/auth", "Error listing auth methods")?;
        let entry = entries.iter().find(|(mounted, _)| *mounted == path);
        let kind = entry
            .map(|(_, entry)| text(entry, "type"))
            .ok_or_else(|| Failure::local(format!("No auth method available on the server at {path:?}")))?;
        found = known(&kind);
    }
    let (kind, line) = found
        .ok_or_else(|| Failure::local(format!("No help for the auth method {given}: see `{} path-help auth/{given}`", run.program)))?;
    run.print(&format!(
        "Usage: {} {line}\n\n  Logs in with the {kind} auth method. A password or token that is missing is asked for, hidden.",
        run.program
    ));
    Ok(0)
}
