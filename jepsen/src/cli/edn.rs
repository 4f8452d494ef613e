//! `jepsen edn`: histories as other checkers take them.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::process::ExitCode;

use clap::Args;

use super::subject::{Subject, refuse};
use crate::core::{Format, History, Kind, Op, Process, Value};

/// Write a history as Jepsen's EDN: whole, or one file for each key.
#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  jepsen edn runs/7                                   to standard output
  jepsen edn runs/7 --out history.edn
  jepsen edn runs/7 --workload register --per-key     runs/7/keys/KEY.edn, values without their keys
  jepsen edn runs/7 --workload register --per-key --plain
                                                      without versions: for Knossos' `register`, where a CAS that
                                                      happened is a write and one that was refused is left out
  jepsen edn runs/7 --workload append --out a.edn     for Elle
  jepsen edn h.edn --jsonl --out h.jsonl              for Porcupine")]
pub struct Edn {
    #[command(flatten)]
    subject: Subject,
    /// One file for each key of `[key value]`, with plain values.
    #[arg(long)]
    per_key: bool,
    /// Without versions: values alone. Says less than the history does, and nothing that is not so.
    #[arg(long, requires = "per_key")]
    plain: bool,
    /// As JSON, one object a line, instead of EDN: for Porcupine (see peers/porcupine).
    #[arg(long)]
    jsonl: bool,
    /// The file, or with --per-key the folder; otherwise standard output, or `keys` beside the history.
    #[arg(long, value_name = "PATH")]
    out: Option<PathBuf>,
}

impl Edn {
    /// Writes.
    pub fn run(self) -> ExitCode {
        match self.write() {
            Ok(()) => ExitCode::SUCCESS,
            Err(why) => refuse(&why),
        }
    }

    fn format(&self) -> Format {
        if self.jsonl { Format::Jsonl } else { Format::Edn }
    }

    fn write(&self) -> Result<(), String> {
        let history = self.subject.read()?;
        if self.per_key {
            return self.write_keys(&history);
        }
        let text = History::from_ops(history.ops).to_text(self.format());
        match &self.out {
            None => {
                print!("{text}");
                Ok(())
            }
            Some(file) => std::fs::write(file, text).map_err(|error| format!("{}: {error}", file.display())),
        }
    }

    fn write_keys(&self, history: &History) -> Result<(), String> {
        let beside = if self.subject.path.is_dir() { Some(self.subject.path.as_path()) } else { self.subject.path.parent() };
        let folder = self.out.clone().unwrap_or_else(|| beside.unwrap_or(Path::new(".")).join("keys"));
        std::fs::create_dir_all(&folder).map_err(|error| format!("{}: {error}", folder.display()))?;
        let keys = by_key(history);
        if keys.is_empty() {
            return Err(format!("{}: no line has a value [key value]", self.subject.path.display()));
        }
        for (key, ops) in &keys {
            let ops = if self.plain { plain(ops) } else { ops.clone() };
            let file = folder.join(format!("{}.{}", file_name(key), if self.jsonl { "jsonl" } else { "edn" }));
            let text = History::from_ops(ops).to_text(self.format());
            std::fs::write(&file, text).map_err(|error| format!("{}: {error}", file.display()))?;
        }
        println!("{} keys in {}", keys.len(), folder.display());
        Ok(())
    }
}

/// A key as a name of a file.
fn file_name(key: &Value) -> String {
    let text = key.as_str().map_or_else(|| key.to_string(), str::to_owned);
    text.chars().map(|letter| if letter.is_ascii_alphanumeric() || "-_.".contains(letter) { letter } else { '_' }).collect()
}

/// The clients' lines of each key, their values without it.
fn by_key(history: &History) -> BTreeMap<Value, Vec<Op>> {
    let mut keys: BTreeMap<Value, Vec<Op>> = BTreeMap::new();
    // An end may have no value: the key is that of its beginning.
    let mut open: BTreeMap<Process, Value> = BTreeMap::new();
    for op in history.ops.iter().filter(|op| op.process != Process::Nemesis) {
        let own = op.value.as_pair().map(|(key, value)| (key.clone(), value.clone()));
        let begun = if op.kind == Kind::Invoke { None } else { open.remove(&op.process) };
        let Some((key, value)) = own.or(begun.map(|key| (key, Value::Nil))) else { continue };
        if op.kind == Kind::Invoke {
            open.insert(op.process, key.clone());
        }
        keys.entry(key).or_default().push(Op { value, ..op.clone() });
    }
    keys
}

/// Without versions. A CAS compares versions, which a plain register has not: as far as it is known to have happened it is a write.
fn plain(ops: &[Op]) -> Vec<Op> {
    let refused: Vec<(Process, u64)> =
        ops.iter().filter(|op| op.kind == Kind::Fail && op.f == "cas").map(|op| (op.process, op.index)).collect();
    let mut begun: BTreeMap<Process, u64> = BTreeMap::new();
    let mut gone = Vec::new();
    for op in ops {
        if op.kind == Kind::Invoke {
            begun.insert(op.process, op.index);
        } else if refused.contains(&(op.process, op.index)) {
            gone.extend([Some(op.index), begun.get(&op.process).copied()].into_iter().flatten());
        }
    }
    let value = |op: &Op| op.value.as_pair().map_or_else(|| op.value.clone(), |(_, value)| value.clone());
    let without = |op: &Op| Op { value: value(op), f: if op.f == "cas" { "write".to_owned() } else { op.f.clone() }, ..op.clone() };
    ops.iter().filter(|op| !gone.contains(&op.index)).map(without).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_key_has_plain_values_and_no_refused_cas() {
        let pair = |seen: Value| Value::pair("k", seen);
        let write = Op::invoke(0, "write", pair(Value::pair(Value::Nil, 5)));
        let cas = Op::invoke(1, "cas", pair(Value::pair(7, 6)));
        let read = Op::invoke(2, "read", pair(Value::Nil));
        let lines = [
            write.clone(),
            write.complete(Kind::Ok, pair(Value::pair(1, 5))),
            cas.clone(),
            cas.complete(Kind::Fail, Value::Nil),
            read.clone(),
            read.complete(Kind::Ok, pair(Value::pair(1, 5))),
        ];
        let keys = by_key(&History::from_ops(lines));
        let text = History::from_ops(plain(&keys[&Value::text("k")])).to_text(Format::Edn);
        let told: Vec<&str> = text.lines().map(|line| line.split(":type ").nth(1).unwrap()).collect();
        assert_eq!(
            told,
            [
                ":invoke, :process 0, :f :write, :value 5}",
                ":ok, :process 0, :f :write, :value 5}",
                ":invoke, :process 2, :f :read, :value nil}",
                ":ok, :process 2, :f :read, :value 5}",
            ]
        );
    }
}
