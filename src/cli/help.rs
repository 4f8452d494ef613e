//! Help texts, made from the table of commands.

use super::args::{Flag, Kind};
use super::command::Prints;
use super::command::{Command, GROUPS, all};
use super::config::{FIELD_FLAGS, FORMAT_FLAGS, HTTP_FLAGS};

const COMMON: &[&str] = &["read", "write", "delete", "list", "login", "server", "status", "unwrap"];

/// The help of the whole program.
pub fn program(name: &str) -> String {
    let mut top: Vec<(&str, &str)> =
        all().filter(|command| !command.name.contains(' ')).map(|command| (command.name, command.summary)).collect();
    top.extend(GROUPS.iter().filter(|group| !group.name.contains(' ')).map(|group| (group.name, group.summary)));
    top.push(("server", "Start a server: server -config=FILE, or server -dev"));
    top.sort_unstable();
    let common: Vec<(&str, &str)> = COMMON.iter().filter_map(|name| top.iter().find(|entry| entry.0 == *name).copied()).collect();
    let others: Vec<(&str, &str)> = top.into_iter().filter(|entry| !COMMON.contains(&entry.0)).collect();
    format!(
        "Usage: {name} <command> [options] [args]\n\nCommon commands:\n{}\n\nOther commands:\n{}\n\nHelp for one command: {name} <command> -h",
        entries(&common),
        entries(&others)
    )
}

/// The help of a group.
pub fn group(program: &str, name: &str, summary: &str) -> String {
    let below = |full: &'static str| full.strip_prefix(name).and_then(|rest| rest.strip_prefix(' ')).filter(|rest| !rest.contains(' '));
    let mut subcommands: Vec<(&str, &str)> = all().filter_map(|command| below(command.name).map(|word| (word, command.summary))).collect();
    subcommands.extend(GROUPS.iter().filter_map(|group| below(group.name).map(|word| (word, group.summary))));
    subcommands.sort_unstable();
    format!(
        "Usage: {program} {name} <subcommand> [options] [args]\n\n  {summary}.\n\nSubcommands:\n{}\n\nHelp for one: {program} {name} <subcommand> -h",
        entries(&subcommands)
    )
}

/// The help of a command.
pub fn command(program: &str, command: &Command) -> String {
    let mut text = format!("Usage: {program} {} [options] {}", command.name, command.arguments).trim_end().to_owned();
    text.push_str(&format!("\n\n  {}.\n", command.summary));
    if !command.examples.is_empty() {
        text.push_str("\nExamples:\n\n");
        for example in command.examples {
            text.push_str(&format!("    $ {program} {example}\n"));
        }
    }
    let mut section = |title: &str, groups: &[&[Flag]]| {
        let flags: Vec<&Flag> = groups.iter().flat_map(|group| group.iter()).collect();
        if !flags.is_empty() {
            text.push_str(&format!("\n{title}:\n"));
            for flag in flags {
                text.push_str(&format!("\n  -{}{}\n      {}\n", names(flag), value(flag.kind), flag.text));
            }
        }
    };
    section("Command options", &[command.flags]);
    if command.prints == Prints::Field {
        section("Output options", &[FIELD_FLAGS, FORMAT_FLAGS]);
    } else {
        section("Output options", &[FORMAT_FLAGS]);
    }
    section("HTTP options", &[HTTP_FLAGS]);
    text.trim_end().to_owned()
}

fn names(flag: &Flag) -> String {
    flag.alias.map_or_else(|| flag.name.to_owned(), |alias| format!("{alias}, -{}", flag.name))
}

fn value(kind: Kind) -> &'static str {
    match kind {
        Kind::Switch => "",
        Kind::Text | Kind::List => "=<string>",
        Kind::Number => "=<int>",
        Kind::Time => "=<duration>",
        Kind::Pairs => "=<key=value>",
    }
}

fn entries(entries: &[(&str, &str)]) -> String {
    let width = entries.iter().map(|entry| entry.0.len()).max().unwrap_or(0);
    entries.iter().map(|(name, summary)| format!("    {name:width$}    {summary}")).collect::<Vec<_>>().join("\n")
}
