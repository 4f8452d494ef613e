//! One run of a command: its flags and arguments, the server it speaks to, and the two streams it writes to.
//!
//! Answers go to standard output, warnings and errors to standard error.
//! Not here: how answers look (`output`).

use std::io::{IsTerminal, Write};

use serde_json::{Map, Value};

use super::args::Parsed;
use super::call::Call;
use super::client::Client;
use super::command::Command;
use super::config::{Connection, Format};
use super::explain::Explain;
use super::failure::{Failure, Outcome};
use super::output::value::go_text;
use super::output::{json, secret, table, yaml};
use super::{input, route};

/// A run of a command.
pub struct Invocation {
    /// The name we were called by.
    pub program: String,
    /// What runs.
    pub command: &'static Command,
    /// Flags and arguments.
    pub parsed: Parsed,
    /// How to print.
    pub format: Format,
    /// Whether a server was spoken to, or would have been.
    has_client: bool,
}

impl Invocation {
    /// A run with these flags.
    ///
    /// # Errors
    /// If the format is not known, or not for this command.
    pub fn new(program: &str, command: &'static Command, parsed: Parsed) -> Result<Self, Failure> {
        let format = Format::read(&parsed)?;
        if format == Format::Raw && command.name != "read" {
            return Err(Failure::local("This command does not support the -format=raw option."));
        }
        Ok(Self { program: program.to_owned(), command, parsed, format, has_client: false })
    }

    /// Checks the number of arguments.
    ///
    /// # Errors
    /// In the words scripts know.
    pub fn expect_args(&self, least: usize, most: usize) -> Result<(), Failure> {
        let got = self.parsed.args.len();
        let expected = if least == most || most == usize::MAX { least.to_string() } else { format!("{least}-{most}") };
        if got < least {
            Err(Failure::local(format!("Not enough arguments (expected {expected}, got {got})")))
        } else if got > most {
            Err(Failure::local(format!("Too many arguments (expected {expected}, got {got})")))
        } else {
            Ok(())
        }
    }
    /// An argument; empty if there is none.
    pub fn arg(&self, at: usize) -> &str {
        self.parsed.args.get(at).map_or("", String::as_str)
    }
    /// An argument that is a path, cleaned.
    pub fn path(&self, at: usize) -> String {
        route::clean_path(self.arg(at))
    }
    /// Whether a switch is on.
    pub fn is(&self, name: &str) -> bool {
        self.parsed.is(name)
    }
    /// What a flag was given.
    pub fn text(&self, name: &str) -> Option<&str> {
        self.parsed.text(name)
    }
    /// Whether a person may be asked.
    pub fn may_ask(&self) -> bool {
        !self.is("non-interactive")
    }

    /// The data that follows the first arguments.
    ///
    /// # Errors
    /// If it is no data.
    pub fn data_after(&self, skip: usize) -> Result<Map<String, Value>, Failure> {
        input::data(self.parsed.args.get(skip..).unwrap_or_default(), &mut std::io::stdin())
    }
    /// The parameters that follow the first arguments.
    ///
    /// # Errors
    /// If they are none.
    pub fn query_after(&self, skip: usize) -> Result<Vec<(String, String)>, Failure> {
        input::query(self.parsed.args.get(skip..).unwrap_or_default(), &mut std::io::stdin())
    }

    fn explain(&self) -> Option<Explain> {
        if self.is("output-curl-string") {
            Some(Explain::Curl)
        } else if self.is("output-policy") {
            Some(Explain::Policy)
        } else {
            None
        }
    }
    /// The client of this run.
    ///
    /// # Errors
    /// If the settings or the stored token cannot be read.
    pub fn client(&mut self) -> Result<Client, Failure> {
        self.has_client = true;
        Client::with_stored_token(Connection::read(&self.parsed)?, self.explain(), &self.program)
    }
    /// After the run: whether a call should have been told, but none was ever about to be made.
    pub fn check_told(&self) -> Result<(), Failure> {
        match self.explain() {
            Some(Explain::Curl) if !self.has_client => Err(Failure::local("Unable to generate cURL string from command")),
            Some(Explain::Policy) if !self.has_client => Err(Failure::local("Unable to generate policy from command")),
            _ => Ok(()),
        }
    }

    /// Whether programs read the output.
    pub fn is_structured(&self) -> bool {
        matches!(self.format, Format::Json | Format::Yaml)
    }
    /// Prints to standard output.
    pub fn print(&self, text: &str) {
        // A reader that went away (`| head`) is no fault of ours.
        let _ = writeln!(std::io::stdout(), "{text}");
    }
    /// Prints a sentence for people; programs get nothing.
    pub fn say(&self, text: &str) {
        if !self.is_structured() {
            self.print(text);
        }
    }
    /// Prints to standard error.
    pub fn warn(&self, text: &str) {
        let _ = writeln!(std::io::stderr(), "{text}");
    }
    /// Prints a value for programs in the order it has.
    pub fn print_structured(&self, value: &Value) {
        self.print(&if self.format == Format::Yaml { yaml::document(value) } else { json::pretty(value) });
    }
    /// Prints the server's warnings.
    pub fn warn_of(&self, envelope: &Map<String, Value>) {
        let Some(Value::Array(warnings)) = envelope.get("warnings") else { return };
        if warnings.is_empty() || (self.is_structured() && self.text("field").is_none()) {
            return;
        }
        let lines: Vec<String> = warnings.iter().map(|one| wrapped(&format!("* {}", go_text(one)))).collect();
        self.warn(&format!("WARNING! The following warnings were returned from Vault:\n\n{}\n", lines.join("\n")));
    }

    /// Prints an envelope: one field, a table, or the whole.
    ///
    /// # Errors
    /// If the field asked for is not in it.
    pub fn show_secret(&self, envelope: &Map<String, Value>) -> Outcome {
        self.warn_of(envelope);
        if let Some(name) = self.text("field") {
            return self.show_field(secret::field(envelope, name), name);
        }
        if self.is_structured() {
            self.print_structured(&json::envelope(envelope));
        } else {
            let text = secret::table(envelope);
            if !text.is_empty() {
                self.print(&text);
            }
        }
        Ok(0)
    }
    /// Prints an object of members, as a table or as it is.
    pub fn show_members(&self, members: &Map<String, Value>) {
        if self.is_structured() {
            self.print_structured(&json::sorted(&Value::Object(members.clone())));
        } else {
            self.print(&table::key_value(table::rows_of(members)));
        }
    }
    /// Prints one value; a line end only where a person reads it.
    ///
    /// # Errors
    /// If there is none.
    pub fn show_field(&self, value: Option<Value>, name: &str) -> Outcome {
        let value = value.ok_or_else(|| Failure::local(format!("Field {name:?} not present in secret")))?;
        match self.format {
            Format::Json => print_bare(&json::pretty(&json::sorted(&value))),
            Format::Yaml => self.print(&yaml::document(&value)),
            _ => print_bare(&go_text(&value)),
        }
        Ok(0)
    }
    /// Prints names, under a heading in a table.
    pub fn show_list(&self, heading: &str, names: &[String]) {
        if self.is_structured() {
            self.print_structured(&Value::from(names.to_vec()));
        } else {
            self.print(&table::list(heading, names));
        }
    }

    /// Makes a call that answers nothing of interest.
    ///
    /// # Errors
    /// As the call, with what was being done in front.
    pub fn ask(&mut self, call: &Call, doing: &str) -> Result<Option<Map<String, Value>>, Failure> {
        self.client()?.envelope(call).map_err(|error| error.during(doing))
    }
}

/// Prints what a script takes into a variable: the line end only where a person reads it.
fn print_bare(text: &str) {
    let mut out = std::io::stdout();
    let end = if out.is_terminal() { "\n" } else { "" };
    let _ = write!(out, "{text}{end}");
    let _ = out.flush();
}

/// A text in lines of at most 74 letters, each two blanks in.
fn wrapped(text: &str) -> String {
    let mut lines: Vec<String> = Vec::new();
    for paragraph in text.lines() {
        let mut line = String::new();
        for word in paragraph.split(' ') {
            if !line.is_empty() && line.chars().count() + 1 + word.chars().count() > 74 {
                lines.push(std::mem::take(&mut line));
            } else if !line.is_empty() {
                line.push(' ');
            }
            line.push_str(word);
        }
        lines.push(line);
    }
    lines.iter().map(|line| format!("  {line}")).collect::<Vec<_>>().join("\n")
}

/// The names an answer to a list holds.
pub fn keys_of(envelope: &Map<String, Value>) -> Option<Vec<String>> {
    let keys = envelope.get("data")?.get("keys")?.as_array()?;
    Some(keys.iter().map(go_text).collect())
}

/// The members of an answer: below `data` if there is such, else at the top, where older endpoints have them.
pub fn members_of(envelope: &Map<String, Value>) -> Map<String, Value> {
    envelope.get("data").and_then(Value::as_object).unwrap_or(envelope).clone()
}
