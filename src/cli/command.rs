//! The table of commands: what each is called, takes and runs.
//!
//! Not here: reading flags (`args`), what a command has at hand (`invocation`).

use super::args::Flag;
use super::commands;
use super::config::{FIELD_FLAGS, FORMAT_FLAGS, HTTP_FLAGS};
use super::failure::Outcome;
use super::invocation::Invocation;

/// What a command prints, and so which common flags it takes.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Prints {
    /// Sentences only.
    Text,
    /// Structured output: `-format`.
    Format,
    /// One secret: `-format` and `-field`.
    Field,
}

/// One command.
pub struct Command {
    /// Its words: `token create`.
    pub name: &'static str,
    /// One line for lists of commands.
    pub summary: &'static str,
    /// What follows the flags: `PATH [K=V...]`.
    pub arguments: &'static str,
    /// Lines of example calls, without the program's name.
    pub examples: &'static [&'static str],
    /// Its own flags.
    pub flags: &'static [Flag],
    /// What it prints.
    pub prints: Prints,
    /// Runs it.
    pub run: fn(&mut Invocation) -> Outcome,
}

impl Command {
    /// All flags it takes.
    pub fn all_flags(&self) -> Vec<&'static [Flag]> {
        let mut groups = vec![self.flags];
        // Its own flags come first: `-format` of a command may differ.
        if self.prints == Prints::Field {
            groups.push(FIELD_FLAGS);
        }
        groups.push(FORMAT_FLAGS);
        groups.push(HTTP_FLAGS);
        groups
    }
}

/// A word that only holds commands together.
pub struct Group {
    /// Its words.
    pub name: &'static str,
    /// One line for lists of commands.
    pub summary: &'static str,
}

/// All groups.
pub const GROUPS: &[Group] = &[
    Group { name: "audit", summary: "Interact with audit devices" },
    Group { name: "auth", summary: "Interact with auth methods" },
    Group { name: "kv", summary: "Interact with key-value storage" },
    Group { name: "kv metadata", summary: "Interact with the metadata of keys" },
    Group { name: "lease", summary: "Interact with leases" },
    Group { name: "operator", summary: "Run and repair a cluster" },
    Group { name: "operator raft", summary: "Interact with the Raft cluster" },
    Group { name: "operator raft snapshot", summary: "Save and restore snapshots" },
    Group { name: "operator raft autopilot", summary: "Interact with autopilot" },
    Group { name: "operator replication", summary: "See replication between clusters" },
    Group { name: "policy", summary: "Interact with policies" },
    Group { name: "print", summary: "Print what this client uses" },
    Group { name: "replication", summary: "See replication between clusters" },
    Group { name: "secrets", summary: "Interact with secrets engines" },
    Group { name: "token", summary: "Interact with tokens" },
];

/// All commands, by folder.
pub fn all() -> impl Iterator<Item = &'static Command> {
    commands::TABLES.iter().flat_map(|table| table.iter())
}

/// Finds the command that the words begin with, and how many words name it. The longest wins.
pub fn find(words: &[String]) -> Option<(&'static Command, usize)> {
    (1..=words.len().min(4)).rev().find_map(|count| {
        let name = words[..count].join(" ");
        all().find(|command| command.name == name).map(|command| (command, count))
    })
}

/// Finds the group that the words begin with. The longest wins.
pub fn find_group(words: &[String]) -> Option<&'static Group> {
    (1..=words.len().min(3)).rev().find_map(|count| {
        let name = words[..count].join(" ");
        GROUPS.iter().find(|group| group.name == name)
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn words(line: &str) -> Vec<String> {
        line.split_whitespace().map(str::to_owned).collect()
    }

    #[test]
    fn the_longest_name_wins() {
        assert_eq!(find(&words("kv metadata get -x")).map(|(command, count)| (command.name, count)), Some(("kv metadata get", 3)));
        assert_eq!(find(&words("read a b")).map(|(command, count)| (command.name, count)), Some(("read", 1)));
        assert!(find(&words("kv")).is_none());
        assert_eq!(find_group(&words("operator raft nope")).map(|group| group.name), Some("operator raft"));
    }

    #[test]
    fn names_are_told_apart_and_their_groups_exist() {
        let mut names: Vec<&str> = all().map(|command| command.name).collect();
        for name in &names {
            if let Some((group, _)) = name.rsplit_once(' ') {
                assert!(GROUPS.iter().any(|known| known.name == group), "{name}: no group");
            }
        }
        let count = names.len();
        names.sort_unstable();
        names.dedup();
        assert_eq!(names.len(), count);
    }

    #[test]
    fn no_flag_hides_another() {
        for command in all() {
            let mut names: Vec<&str> = command
                .all_flags()
                .iter()
                .flat_map(|group| group.iter())
                .flat_map(|flag| [Some(flag.name), flag.alias])
                .flatten()
                .collect();
            let count = names.len();
            names.sort_unstable();
            names.dedup();
            assert_eq!(names.len(), count, "{}", command.name);
        }
    }
}
