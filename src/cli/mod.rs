//! The command line: speaks only HTTP, to this server or any other with Vault's API.
//!
//! Commands, flags, output and exit codes are those of Vault's own client, so that scripts need not care which one they call.
//! Reading order: `command` (the table), `args` and `config` (what was asked for), `invocation` (one run), `client` (the calls),
//! `output` (how answers look), `commands` (the commands themselves).
//!
//! Not here: the server (`server`), and anything that is not reachable through the API.

mod args;
mod call;
mod client;
mod command;
mod commands;
mod config;
mod explain;
mod failure;
mod help;
mod input;
mod invocation;
mod output;
mod prompt;
mod refusal;
mod route;
mod tls;
mod token_file;

use std::io::Write;
use std::process::ExitCode;

use args::Parsed;
use failure::{Failure, Outcome};
use invocation::Invocation;

/// Runs a command line and gives back its exit code. `args` is all of argv, the program's name first.
pub fn run(args: Vec<String>) -> ExitCode {
    let program = args.first().and_then(|path| path.rsplit('/').next()).filter(|name| !name.is_empty()).unwrap_or("coffer").to_owned();
    let words = args.get(1..).unwrap_or_default();
    match dispatch(&program, words) {
        Ok(code) => ExitCode::from(code),
        Err(failure) => {
            if failure.is_answer {
                let _ = writeln!(std::io::stdout(), "{}", failure.text);
            } else if !failure.text.is_empty() {
                let _ = writeln!(std::io::stderr(), "{}", failure.text);
            }
            ExitCode::from(failure.code)
        }
    }
}

fn dispatch(program: &str, words: &[String]) -> Outcome {
    match words.first().map(String::as_str) {
        Some("-v" | "-version" | "--version") => return Err(Failure::answer(commands::version_text(program))),
        Some("-h" | "-help" | "--help") => return Err(Failure::answer(help::program(program))),
        Some("-autocomplete-install" | "--autocomplete-install" | "-autocomplete-uninstall" | "--autocomplete-uninstall") => {
            return Err(Failure::local(format!("start files are left alone here: add `source <({program} completion bash)` to yours")));
        }
        _ => {}
    }
    if let Some((command, count)) = command::find(words) {
        let rest = words.get(count..).unwrap_or_default();
        let parsed = Parsed::read(&command.all_flags(), rest).map_err(Failure::local)?;
        if parsed.help {
            return Err(Failure::answer(help::command(program, command)));
        }
        return run_command(program, command, parsed);
    }
    if let Some(group) = command::find_group(words) {
        let text = help::group(program, group.name, group.summary);
        let wants_help = words.iter().any(|word| matches!(word.as_str(), "-h" | "-help" | "--help"));
        return Err(if wants_help { Failure::answer(text) } else { Failure::local(text) });
    }
    Err(Failure { code: 127, ..Failure::local(help::program(program)) })
}

fn run_command(program: &str, command: &'static command::Command, parsed: Parsed) -> Outcome {
    let mut invocation = Invocation::new(program, command, parsed)?;
    let late = invocation.parsed.late_flags();
    if !late.is_empty() && !invocation.is_structured() {
        let text = "Command flags must be provided before positional arguments. The following arguments will not be parsed as flags";
        invocation.warn(&format!("{text}: [{}]", late.join(" ")));
    }
    let code = (command.run)(&mut invocation)?;
    invocation.check_told()?;
    Ok(code)
}
