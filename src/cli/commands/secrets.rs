//! `secrets`: the engines that are mounted.

use serde_json::Value;

use super::mount_flags as flags;
use super::mounts::{entries, move_mount, print_detailed, print_entries, text};
use crate::cli::call::Call;
use crate::cli::command::{Command, Prints};
use crate::cli::failure::Outcome;
use crate::cli::invocation::Invocation;
use crate::cli::output::table;
use crate::cli::route::{clean_path, mount_path};

/// The commands of this file.
pub const COMMANDS: &[Command] = &[
    Command {
        name: "secrets enable",
        summary: "Mount a secrets engine",
        arguments: "TYPE",
        examples: &["secrets enable -version=2 kv", "secrets enable -path=db database"],
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
            flags::FORCE_NO_CACHE,
            flags::PLUGIN_NAME,
            flags::PLUGIN_VERSION,
            flags::OPTIONS,
            flags::LOCAL,
            flags::SEAL_WRAP,
            flags::ENTROPY,
            flags::VERSION,
            flags::MANAGED_KEYS,
        ],
        prints: Prints::Text,
        run: enable,
    },
    Command {
        name: "secrets disable",
        summary: "Unmount a secrets engine, with all it holds",
        arguments: "PATH",
        examples: &["secrets disable db/"],
        flags: &[],
        prints: Prints::Text,
        run: disable,
    },
    Command {
        name: "secrets tune",
        summary: "Change the settings of a mount",
        arguments: "PATH",
        examples: &["secrets tune -default-lease-ttl=72h db/"],
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
            flags::VERSION,
            flags::MANAGED_KEYS,
        ],
        prints: Prints::Text,
        run: tune,
    },
    Command {
        name: "secrets move",
        summary: "Move a secrets engine to another path",
        arguments: "SOURCE TARGET",
        examples: &["secrets move secret/ kv/"],
        flags: &[],
        prints: Prints::Text,
        run: move_engine,
    },
    Command {
        name: "secrets list",
        summary: "List the secrets engines",
        arguments: "",
        examples: &["secrets list", "secrets list -detailed"],
        flags: &[],
        prints: Prints::Format,
        run: list,
    },
];

fn enable(run: &mut Invocation) -> Outcome {
    run.expect_args(1, 1)?;
    let kind = run.arg(0).trim().to_owned();
    let kind = if kind == "plugin" { run.text("plugin-name").unwrap_or_default().to_owned() } else { kind };
    let path = mount_path(run.text("path").unwrap_or(&kind));
    let body = flags::enable_body(run, &kind);
    run.ask(&Call::post(format!("sys/mounts/{}", clean_path(&path)), body), "Error enabling")?;
    run.say(&format!("Success! Enabled the {kind} secrets engine at: {path}"));
    Ok(0)
}

fn disable(run: &mut Invocation) -> Outcome {
    run.expect_args(1, 1)?;
    let path = mount_path(run.arg(0));
    run.ask(&Call::delete(format!("sys/mounts/{}", clean_path(&path))), &format!("Error disabling secrets engine at {path}"))?;
    run.say(&format!("Success! Disabled the secrets engine (if it existed) at: {path}"));
    Ok(0)
}

fn tune(run: &mut Invocation) -> Outcome {
    run.expect_args(1, 1)?;
    let path = mount_path(run.arg(0));
    let call = Call::post(format!("sys/mounts/{}/tune", clean_path(&path)), Value::Object(flags::tune_body(run)));
    run.ask(&call, &format!("Error tuning secrets engine {path}"))?;
    run.say(&format!("Success! Tuned the secrets engine at: {path}"));
    Ok(0)
}

fn move_engine(run: &mut Invocation) -> Outcome {
    run.expect_args(2, 2)?;
    let (source, target) = (mount_path(run.arg(0)), mount_path(run.arg(1)));
    move_mount(run, "secrets engine", &source, &target, &source, &target)
}

fn list(run: &mut Invocation) -> Outcome {
    run.expect_args(0, 0)?;
    let entries = entries(run, "sys/mounts", "Error listing secrets engines")?;
    if run.is_structured() {
        print_entries(run, &entries);
    } else if run.is("detailed") {
        let no_cache = |entry: &serde_json::Map<String, Value>| {
            entry.get("config").and_then(|config| config.get("force_no_cache")).and_then(Value::as_bool).unwrap_or(false).to_string()
        };
        print_detailed(run, &entries, "Force No Cache", &no_cache);
    } else {
        let rows = entries
            .iter()
            .map(|(path, entry)| vec![path.clone(), text(entry, "type"), text(entry, "accessor"), text(entry, "description")])
            .collect();
        run.print(&table::with_heading(&["Path", "Type", "Accessor", "Description"], rows));
    }
    Ok(0)
}
