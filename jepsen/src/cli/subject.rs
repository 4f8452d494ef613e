//! What `check`, `edn` and `shrink` share: which history, which part of it, which checker.

use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::time::Duration;

use clap::Args;

use super::BAD_INPUT;
use crate::check::Valid;
use crate::check::compose::{NAMED, Named, for_workload, named};
use crate::check::wgl::Limits;
use crate::core::{History, Malformed, calls};

/// A history and how to look at it.
#[derive(Debug, Args)]
pub struct Subject {
    /// A run's folder, or a history as JSONL or EDN.
    pub path: PathBuf,
    /// Which checker; several with commas. Without it: what the lines' `:workload` asks for, or the file's own `; model:` line.
    #[arg(long, value_name = "NAME", value_delimiter = ',')]
    pub model: Vec<String>,
    /// Only the lines of this workload.
    #[arg(long, value_name = "NAME")]
    pub workload: Option<String>,
    /// Most steps of a search; it is given up after them, and the verdict is unknown.
    #[arg(long, default_value_t = Limits::default().steps)]
    pub steps: u64,
    /// Longest search, in seconds.
    #[arg(long, default_value_t = 60)]
    pub seconds: u64,
}

/// A part of a history and who judges it.
pub struct Case {
    /// The lines.
    pub history: History,
    /// The checker.
    pub named: &'static Named,
}

impl Subject {
    /// Bounds of a search.
    pub fn limits(&self) -> Limits {
        Limits { steps: self.steps, time: Some(Duration::from_secs(self.seconds)) }
    }

    /// Reads the history, or says why it cannot be used.
    ///
    /// # Errors
    /// For the user: which file, which line.
    pub fn read(&self) -> Result<History, String> {
        let file = History::locate(&self.path).map_err(|refused| refused.to_string())?;
        let history = History::read(&file).map_err(|refused| at(&file, &refused.to_string()))?;
        if let Some(workload) = &self.workload
            && !history.workloads().contains(workload.as_str())
        {
            return Err(format!("{}: no lines of workload `{workload}`: there are {:?}", file.display(), history.workloads()));
        }
        calls(&history).map_err(|malformed| self.explain(&history, &malformed))?;
        Ok(match &self.workload {
            Some(workload) => history.of_workload(workload),
            None => history,
        })
    }

    /// What is to be judged by whom.
    ///
    /// # Errors
    /// For the user: what to give.
    pub fn cases(&self, history: &History) -> Result<Vec<Case>, String> {
        let of = |name: &str| named(name).ok_or_else(|| format!("no model `{name}`. {}", models()));
        if !self.model.is_empty() {
            let cases = self.model.iter().map(|name| Ok(Case { history: history.clone(), named: of(name)? }));
            return cases.collect();
        }
        let workloads = history.workloads();
        if !workloads.is_empty() {
            let case = |workload: &&str| {
                let named = for_workload(workload)
                    .ok_or_else(|| format!("no checker is known for workload `{workload}`: give --model. {}", models()))?;
                Ok(Case { history: history.of_workload(workload), named })
            };
            return workloads.iter().map(case).collect();
        }
        let text = History::locate(&self.path).ok().and_then(|file| std::fs::read_to_string(file).ok()).unwrap_or_default();
        match text.lines().find_map(|line| line.strip_prefix("; model: ")) {
            Some(name) => Ok(vec![Case { history: history.clone(), named: of(name.trim())? }]),
            None => Err(format!("which model? Give --model. {}", models())),
        }
    }

    /// Names the line of the file that a checker cannot use.
    pub fn explain(&self, history: &History, malformed: &Malformed) -> String {
        let file = History::locate(&self.path).unwrap_or_else(|_| self.path.clone());
        let index = history.ops.get(malformed.index).map_or(malformed.index, |op| usize::try_from(op.index).unwrap_or(usize::MAX));
        let text = std::fs::read_to_string(&file).unwrap_or_default();
        match History::line_of(&text, index) {
            Some(line) => at(&file, &format!("line {line}: {malformed}")),
            None => at(&file, &malformed.to_string()),
        }
    }
}

fn at(file: &Path, what: &str) -> String {
    let file = file.display().to_string();
    if what.starts_with(&file) { what.to_owned() } else { format!("{file}: {what}") }
}

fn models() -> String {
    let lines: Vec<String> = NAMED.iter().map(|named| format!("  {:<18} {}", named.name, named.about)).collect();
    format!("Models are:\n{}", lines.join("\n"))
}

/// Tells the user why there is no verdict.
pub fn refuse(why: &str) -> ExitCode {
    eprintln!("jepsen: {why}");
    ExitCode::from(BAD_INPUT)
}

/// 0, 1 or 2.
pub fn code(valid: Valid) -> ExitCode {
    ExitCode::from(match valid {
        Valid::True => 0,
        Valid::False => 1,
        Valid::Unknown => 2,
    })
}
