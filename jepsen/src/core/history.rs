//! A whole history: its lines in the order of real time, read from and written to JSONL and EDN.
//!
//! Not here: recording while a test runs (`recorder`).

use std::collections::BTreeSet;
use std::fmt::Write as _;
use std::path::{Path, PathBuf};
use std::{fs, io};

use super::op::{Op, Process};
use super::{edn, json};

/// How a history is written.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Format {
    /// One JSON object a line.
    Jsonl,
    /// One EDN map a line, for Jepsen's tools.
    Edn,
}

/// Lines in the order they happened.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct History {
    /// The lines; `ops[i].index == i` once they were pushed or renumbered.
    pub ops: Vec<Op>,
}

/// Why a history cannot be read or written.
#[derive(Debug, thiserror::Error)]
pub enum HistoryError {
    /// The file system said no.
    #[error("{path}: {source}")]
    File {
        /// Which file.
        path: PathBuf,
        /// What it said.
        source: io::Error,
    },
    /// A folder without a history.
    #[error("{0}: no history.jsonl or history.edn in this folder")]
    Nothing(PathBuf),
    /// A line that is no operation.
    #[error("line {line}: {what}")]
    Line {
        /// From 1.
        line: usize,
        /// What is wrong with it.
        what: String,
    },
}

impl History {
    /// A history of these lines, numbered in their order.
    pub fn from_ops(ops: impl IntoIterator<Item = Op>) -> History {
        let mut history = History { ops: ops.into_iter().collect() };
        history.renumber();
        history
    }

    /// Adds a line and gives it its index.
    pub fn push(&mut self, mut op: Op) {
        op.index = self.ops.len() as u64;
        self.ops.push(op);
    }

    /// Gives each line the index of its place.
    pub fn renumber(&mut self) {
        for (place, op) in self.ops.iter_mut().enumerate() {
            op.index = place as u64;
        }
    }

    /// The file of a history: the path itself, or what a run left in that folder.
    ///
    /// # Errors
    /// A folder without a history.
    pub fn locate(path: &Path) -> Result<PathBuf, HistoryError> {
        if !path.is_dir() {
            return Ok(path.to_owned());
        }
        let mut known = ["history.jsonl", "history.edn"].map(|name| path.join(name)).into_iter();
        known.find(|file| file.exists()).ok_or_else(|| HistoryError::Nothing(path.to_owned()))
    }

    /// Reads a file, or the history of a run's folder. The format is told by the text, not by the name.
    ///
    /// # Errors
    /// The file cannot be read, or a line is no operation: its number is told.
    pub fn read(path: &Path) -> Result<History, HistoryError> {
        let path = &History::locate(path)?;
        let bytes = fs::read(path).map_err(|source| HistoryError::File { path: path.clone(), source })?;
        let text = String::from_utf8(bytes).map_err(|error| {
            let valid = &error.as_bytes()[..error.utf8_error().valid_up_to()];
            HistoryError::Line { line: line_of(valid, valid.len()), what: "not UTF-8".into() }
        })?;
        History::parse(&text)
    }

    /// Reads a text in either format. A last line that was cut by a crash of the writer (JSONL, no line end) is left out.
    ///
    /// # Errors
    /// A line is no operation, or indices do not grow.
    pub fn parse(text: &str) -> Result<History, HistoryError> {
        let is_json = text.trim_start().strip_prefix('{').is_some_and(|rest| rest.trim_start().starts_with(['"', '}']));
        if is_json { History::parse_jsonl(text) } else { History::parse_edn(text) }
    }

    fn parse_jsonl(text: &str) -> Result<History, HistoryError> {
        let mut ops = Vec::new();
        let mut lines = text.split('\n').enumerate().peekable();
        while let Some((number, line)) = lines.next() {
            if line.trim().is_empty() {
                continue;
            }
            match json::op_from(line) {
                Ok(op) => ops.push(op),
                Err(_) if lines.peek().is_none() && !line.trim_end().ends_with('}') => {}
                Err(what) => return Err(HistoryError::Line { line: number + 1, what }),
            }
        }
        Ok(History::from_ops(ops))
    }

    fn parse_edn(text: &str) -> Result<History, HistoryError> {
        let bytes = text.as_bytes();
        let broken = |error: edn::EdnError| HistoryError::Line { line: line_of(bytes, error.at), what: error.to_string() };
        let mut reader = edn::Reader::new(text);
        let mut ops = Vec::new();
        let in_vector = reader.open_vector().map_err(broken)?;
        loop {
            if in_vector && reader.close_vector().map_err(broken)? {
                break;
            }
            let at = reader.position().map_err(broken)?;
            let Some(value) = reader.next().map_err(broken)? else { break };
            ops.push(edn::op_from(value).map_err(|what| HistoryError::Line { line: line_of(bytes, at), what })?);
        }
        Ok(History::from_ops(ops))
    }

    /// The workloads that share this history: each line of a client says whose it is (`:workload`), if there are several.
    pub fn workloads(&self) -> BTreeSet<&str> {
        self.ops.iter().filter_map(|op| op.extra.get("workload")?.as_str()).collect()
    }

    /// The lines of one workload, and all of the nemesis. They keep their indices.
    #[must_use]
    pub fn of_workload(&self, name: &str) -> History {
        let is_mine = |op: &&Op| match op.extra.get("workload") {
            Some(workload) => workload.as_str() == Some(name),
            None => op.process == Process::Nemesis,
        };
        History { ops: self.ops.iter().filter(is_mine).cloned().collect() }
    }

    /// On which line (from 1) of a text an operation (from 0) stands, if each has a line of its own.
    pub fn line_of(text: &str, operation: usize) -> Option<usize> {
        let is_operation = |line: &&str| line.contains('{') && !line.trim_start().starts_with(';');
        text.lines().enumerate().filter(|(_, line)| is_operation(line)).nth(operation).map(|(number, _)| number + 1)
    }

    /// The history as text.
    pub fn to_text(&self, format: Format) -> String {
        let mut text = String::new();
        for op in &self.ops {
            append_line(&mut text, op, format);
        }
        text
    }

    /// Writes the history to a file.
    ///
    /// # Errors
    /// The file cannot be written.
    pub fn write(&self, path: &Path, format: Format) -> Result<(), HistoryError> {
        fs::write(path, self.to_text(format)).map_err(|source| HistoryError::File { path: path.to_owned(), source })
    }
}

/// One operation and a line end.
pub(super) fn append_line(text: &mut String, op: &Op, format: Format) {
    match format {
        Format::Jsonl => write!(text, "{}", json::op_to(op)).expect("a String takes all"),
        Format::Edn => edn::write_op(text, op).expect("a String takes all"),
    }
    text.push('\n');
}

fn line_of(bytes: &[u8], at: usize) -> usize {
    bytes[..at.min(bytes.len())].iter().filter(|byte| **byte == b'\n').count() + 1
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::core::op::Kind;
    use crate::core::value::Value;

    fn example() -> History {
        let write = Op::invoke(0, "write", Value::pair("k", Value::pair(Value::Nil, 3))).on("n1").of("p");
        History::from_ops([
            write.clone().at(5),
            Op::new(Kind::Info, Process::Nemesis, "start-partition", Value::keyword("majority")).at(6),
            write.complete(Kind::Ok, Value::pair("k", Value::pair(1, 3))).at(9).with("index-hdr", 17),
        ])
    }

    #[test]
    fn a_history_survives_both_formats() {
        for format in [Format::Jsonl, Format::Edn] {
            assert_eq!(History::parse(&example().to_text(format)).unwrap(), example());
        }
    }

    #[test]
    fn edn_is_as_jepsen_writes_it() {
        let text = example().to_text(Format::Edn);
        let first = r#"{:index 0, :time 5, :type :invoke, :process 0, :f :write, :value ["k" [nil 3]], :node "n1", :cluster "p"}"#;
        assert_eq!(text.lines().next(), Some(first));
        assert!(text.lines().nth(1).unwrap().contains(":process :nemesis, :f :start-partition, :value :majority"));
    }

    #[test]
    fn a_history_in_one_vector_is_read_too() {
        let text = format!("[{}]", example().to_text(Format::Edn));
        assert_eq!(History::parse(&text).unwrap(), example());
    }

    #[track_caller]
    fn refused(text: &str, message: &str) {
        assert_eq!(History::parse(text).unwrap_err().to_string(), message);
    }

    #[test]
    fn a_bad_line_is_named_by_its_number() {
        let good = r#"{"type":"invoke","process":0,"f":"read"}"#;
        refused(&format!("{good}\n\n{{\"type\":\"ok\"}}\n"), "line 3: an operation has no :process");
        refused("{:type :invoke, :process 0, :f :read}\n{:type :ok :process", "line 2: the text ends inside a value at column 20");
        refused("{:type :invoke, :process 0, :f :read}\n\n7", "line 3: an operation is a map, not 7");
    }

    #[test]
    fn a_line_cut_by_a_crash_is_left_out() {
        let text = example().to_text(Format::Jsonl);
        assert_eq!(History::parse(&text[..text.len() - 5]).unwrap().ops.len(), 2);
    }
}
