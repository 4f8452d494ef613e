//! What needs no server or hardly one: `version`, `print token`, `completion`, `version-history`, and what is not available here.

use crate::cli::args::{Flag, Kind};
use crate::cli::call::Call;
use crate::cli::command::{Command, GROUPS, Prints, all};
use crate::cli::failure::{Failure, Outcome};
use crate::cli::invocation::{Invocation, keys_of};
use crate::cli::output::{table, value::go_text};
use crate::cli::token_file;
use crate::types::{API_VERSION, BUILD_DATE};
use clap::Arg;

/// The commands of this file.
pub const COMMANDS: &[Command] = &[
    Command {
        name: "version",
        summary: "Print the version of this program",
        arguments: "",
        examples: &["version"],
        flags: &[],
        prints: Prints::Text,
        run: version,
    },
    Command {
        name: "version-history",
        summary: "Print the versions a server has run",
        arguments: "",
        examples: &["version-history"],
        flags: &[],
        prints: Prints::Format,
        run: version_history,
    },
    Command {
        name: "print token",
        summary: "Print the token that calls are made with",
        arguments: "",
        examples: &["print token"],
        flags: &[],
        prints: Prints::Text,
        run: print_token,
    },
    Command {
        name: "completion",
        summary: "Print the completion script of a shell",
        arguments: "bash|zsh|fish|powershell|elvish",
        examples: &["completion bash > /etc/bash_completion.d/coffer"],
        flags: &[],
        prints: Prints::Text,
        run: completion,
    },
    unavailable("agent", "Not available: use a sidecar of your platform, or the vault program against this server"),
    unavailable("proxy", "Not available: standbys forward by themselves"),
    unavailable("debug", "Not available: see status, operator members, sys/metrics and the server's log"),
    unavailable("monitor", "Not available: the server's log goes to its standard error"),
];

const fn unavailable(name: &'static str, summary: &'static str) -> Command {
    Command { name, summary, arguments: "", examples: &[], flags: ANY, prints: Prints::Text, run: refuse }
}

/// Flags people call the unavailable commands with: so that they read why it does not work, not that a flag is unknown.
const ANY: &[Flag] = &[Flag::list("config", "Ignored."), Flag::text("duration", "Ignored."), Flag::text("output", "Ignored.")];

fn refuse(run: &mut Invocation) -> Outcome {
    Err(Failure::local(format!("{} {}: {}", run.program, run.command.name, run.command.summary.to_lowercase())))
}

/// What `-version` prints. Called as `vault`, in the form that programs take apart.
pub fn version_text(program: &str) -> String {
    if program == "vault" {
        format!("Vault v{API_VERSION} (coffer {}), built {BUILD_DATE}", env!("CARGO_PKG_VERSION"))
    } else {
        format!("Coffer v{} (commands and API of Vault {API_VERSION})", env!("CARGO_PKG_VERSION"))
    }
}

fn version(run: &mut Invocation) -> Outcome {
    run.print(&version_text(&run.program));
    Ok(0)
}

fn version_history(run: &mut Invocation) -> Outcome {
    run.expect_args(0, 0)?;
    let found = run.client()?.find(&Call::list("sys/version-history")).map_err(|error| error.during("Error reading version history"))?;
    let envelope = found.ok_or_else(|| Failure::remote("No version history found"))?;
    if run.is_structured() {
        run.print_structured(&crate::cli::output::json::envelope(&envelope));
        return Ok(0);
    }
    let details = envelope.get("data").and_then(|members| members.get("key_info"));
    let of = |name: &str, field: &str| {
        details
            .and_then(|all| all.get(name))
            .and_then(|one| one.get(field))
            .filter(|value| !value.is_null())
            .map(go_text)
            .unwrap_or_default()
    };
    let rows = keys_of(&envelope)
        .unwrap_or_default()
        .into_iter()
        .map(|name| vec![name.clone(), of(&name, "timestamp_installed"), of(&name, "build_date")])
        .collect();
    run.print(&table::with_heading(&["Version", "Installation Time", "Build Date"], rows));
    Ok(0)
}

fn print_token(run: &mut Invocation) -> Outcome {
    run.expect_args(0, 0)?;
    match token_file::find()? {
        Some(token) => run.print(token.expose()),
        None => run.print(""),
    }
    Ok(0)
}

fn completion(run: &mut Invocation) -> Outcome {
    run.expect_args(1, 1)?;
    let shell: clap_complete::Shell =
        run.arg(0).parse().map_err(|_| Failure::local(format!("no completion for the shell {:?}", run.arg(0))))?;
    let mut tree = clap::Command::new(run.program.clone()).disable_help_subcommand(true);
    for command in all() {
        tree = graft(tree, command.name, command);
    }
    let mut script = Vec::new();
    clap_complete::generate(shell, &mut tree, run.program.clone(), &mut script);
    run.print(&String::from_utf8_lossy(&script));
    Ok(0)
}

/// Puts a command into the tree at its words, making the groups on the way.
fn graft(tree: clap::Command, words: &'static str, command: &'static Command) -> clap::Command {
    let (word, rest) = words.split_once(' ').map_or((words, None), |(word, rest)| (word, Some(rest)));
    let fresh = || {
        let summary = GROUPS.iter().find(|group| group.name.rsplit(' ').next() == Some(word)).map_or("", |group| group.summary);
        clap::Command::new(word).about(summary).disable_help_subcommand(true)
    };
    let tree = if tree.find_subcommand(word).is_some() { tree } else { tree.subcommand(fresh()) };
    tree.mut_subcommand(word, |branch| match rest {
        Some(rest) => graft(branch, rest, command),
        None => branch.about(command.summary).args(command.all_flags().into_iter().flatten().map(arg)),
    })
}

fn arg(flag: &'static Flag) -> Arg {
    let arg = Arg::new(flag.name).long(flag.name).help(flag.text);
    match flag.kind {
        Kind::Switch => arg.action(clap::ArgAction::SetTrue),
        Kind::List | Kind::Pairs => arg.action(clap::ArgAction::Append),
        _ => arg,
    }
}
