//! `jepsen bank`: the planted bugs of TRACK-RECORD.md, each with the command that finds it. The page that people read is what runs.
//!
//! A command is run without the bug first, when it must be green: else its red would say nothing. Then with it, when it must be red.
//! The bug's number is in `BUG` and in `COFFER_BUG`; without one both are empty.

use std::collections::HashMap;
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Command, ExitCode, Stdio};
use std::thread::sleep;
use std::time::{Duration, Instant};

use clap::Args;
use nix::sys::signal::{Signal, killpg};
use nix::unistd::Pid;

/// How often a command that runs is looked at.
const LOOK_EVERY: Duration = Duration::from_millis(50);
/// Exit codes that speak of the command itself: our own for bad input, the shell's for programs that cannot be run.
const NO_VERDICT: [i32; 3] = [super::BAD_INPUT as i32, 126, 127];

/// Runs what finds each planted bug, and expects red.
#[derive(Debug, Args)]
pub struct Bank {
    /// Only these numbers, with commas between.
    #[arg(long, value_delimiter = ',')]
    only: Vec<u8>,
    /// Leaves out the runs without a bug.
    #[arg(long)]
    no_control: bool,
    /// Longest that one command may take, in seconds.
    #[arg(long, default_value_t = 900)]
    limit: u64,
    /// Shows what the commands say.
    #[arg(long)]
    verbose: bool,
    /// Writes the times that were measured into the page.
    #[arg(long)]
    record: bool,
    /// The page.
    #[arg(long, default_value = "jepsen/TRACK-RECORD.md")]
    page: PathBuf,
}

/// A line of the table.
#[derive(Debug, PartialEq, Eq)]
struct Row {
    number: u8,
    name: String,
    /// `None` while nothing finds it.
    command: Option<String>,
}

/// What came of a command.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Came {
    Green,
    Red,
    /// It could not be run, or took too long.
    Nothing,
}

impl Bank {
    /// Runs them in the order of the page.
    pub fn run(self) -> ExitCode {
        let unusable = |error: std::io::Error| {
            eprintln!("{}: {error}", self.page.display());
            ExitCode::from(super::BAD_INPUT)
        };
        let mut page = match std::fs::read_to_string(&self.page) {
            Ok(page) => page,
            Err(error) => return unusable(error),
        };
        let rows = rows(&page);
        let root = self.page.parent().and_then(Path::parent).filter(|path| !path.as_os_str().is_empty()).unwrap_or(Path::new("."));
        let mut controls: HashMap<&str, Came> = HashMap::new();
        let (mut passed, mut failed) = (0, 0);
        for row in rows.iter().filter(|row| self.only.is_empty() || self.only.contains(&row.number)) {
            let began = Instant::now();
            let text = match &row.command {
                None => Err("nothing finds it yet".to_owned()),
                Some(command) => {
                    let is_sound =
                        self.no_control || *controls.entry(command).or_insert_with(|| self.came(root, command, "")) == Came::Green;
                    let began = Instant::now();
                    match is_sound.then(|| self.came(root, command, &row.number.to_string())) {
                        Some(Came::Red) => {
                            let time = format!("{:.1} s", began.elapsed().as_secs_f64());
                            page = with_time(&page, row.number, &time);
                            Ok(format!("red in {time}"))
                        }
                        Some(Came::Green) => Err("green: not found".to_owned()),
                        Some(Came::Nothing) => Err("could not be run to its end".to_owned()),
                        None => Err("not green without the bug".to_owned()),
                    }
                }
            };
            if text.is_ok() {
                passed += 1
            } else {
                failed += 1
            }
            let text = text.unwrap_or_else(|text| format!("FAILED: {text}"));
            println!("{:>2} {:<34} {text}   ({:.0} s in all)", row.number, row.name, began.elapsed().as_secs_f64());
        }
        println!("{passed} passed, {failed} failed");
        match if self.record { std::fs::write(&self.page, page) } else { Ok(()) } {
            Ok(()) => ExitCode::from(u8::from(failed > 0)),
            Err(error) => unusable(error),
        }
    }

    fn came(&self, root: &Path, command: &str, bug: &str) -> Came {
        let mut shell = Command::new("sh");
        // A group of its own, so that all of it can be ended.
        shell.args(["-c", command]).current_dir(root).env("BUG", bug).env("COFFER_BUG", bug).stdin(Stdio::null()).process_group(0);
        if !self.verbose {
            shell.stdout(Stdio::null()).stderr(Stdio::null());
        }
        let Ok(mut child) = shell.spawn() else { return Came::Nothing };
        let began = Instant::now();
        loop {
            match child.try_wait() {
                Ok(None) if began.elapsed() < Duration::from_secs(self.limit) => sleep(LOOK_EVERY),
                Ok(Some(status)) if status.success() => return Came::Green,
                Ok(Some(status)) if status.code().is_some_and(|code| NO_VERDICT.contains(&code)) => return Came::Nothing,
                Ok(Some(_)) => return Came::Red,
                _ => {
                    let group = i32::try_from(child.id()).expect("a process id fits");
                    // It may have ended by itself by now.
                    let _ = killpg(Pid::from_raw(group), Signal::SIGKILL);
                    let _ = child.wait();
                    return Came::Nothing;
                }
            }
        }
    }
}

/// The lines of the page's first table that begin with a number: the second cell is the name, the last the command.
fn rows(page: &str) -> Vec<Row> {
    let cells = |line: &str| line.trim().trim_matches('|').split('|').map(|cell| cell.trim().to_owned()).collect::<Vec<_>>();
    let row = |cells: Vec<String>| {
        let number = cells.first()?.parse().ok()?;
        let command = cells.last()?.strip_prefix('`')?.strip_suffix('`').map(str::to_owned);
        Some(Row { number, name: cells.get(1)?.clone(), command })
    };
    let waits = |cells: Vec<String>| Some(Row { number: cells.first()?.parse().ok()?, name: cells.get(1)?.clone(), command: None });
    let first = page.lines().skip_while(|line| !line.starts_with('|')).take_while(|line| line.starts_with('|'));
    first.filter_map(|line| row(cells(line)).or_else(|| waits(cells(line)))).collect()
}

/// The page with a time in the cell before the command.
fn with_time(page: &str, number: u8, time: &str) -> String {
    let is_row = |line: &str| line.starts_with(&format!("| {number} |"));
    let timed = |line: &str| {
        let mut cells: Vec<&str> = line.trim().trim_matches('|').split('|').map(str::trim).collect();
        let at = cells.len().saturating_sub(2);
        cells[at] = time;
        format!("| {} |", cells.join(" | "))
    };
    let lines = page.lines().map(|line| if is_row(line) { timed(line) } else { line.to_owned() });
    lines.map(|line| line + "\n").collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_line_names_a_bug_and_what_finds_it() {
        let page = "| # | Bug | Found by | Command |\n| --: | --- | --- | --- |\n| 3 | read | sim | `make sim SEEDS=1` |\n| 4 | lease | not yet | not yet |\n";
        let wanted = [(3, "read", Some("make sim SEEDS=1".to_owned())), (4, "lease", None)];
        assert_eq!(rows(page), wanted.map(|(number, name, command)| Row { number, name: name.to_owned(), command }));
    }

    #[test]
    fn a_time_is_written_into_its_own_line() {
        let page = "# Title\n\n| 3 | read | sim | not yet | `make sim` |\n| 33 | frame | sim | not yet | `make sim` |\n";
        let timed = "# Title\n\n| 3 | read | sim | 1.5 s | `make sim` |\n| 33 | frame | sim | not yet | `make sim` |\n";
        assert_eq!(with_time(page, 3, "1.5 s"), timed);
    }

    #[test]
    fn the_page_has_all_planted_bugs() {
        let numbers: Vec<u8> = rows(include_str!("../../TRACK-RECORD.md")).iter().map(|row| row.number).collect();
        let planted = include_str!("../../../src/chaos/bugs.rs").lines();
        let planted = planted.filter_map(|line| line.trim_start().strip_prefix("bug(")?.split_once(',')?.0.parse().ok());
        assert_eq!(numbers, planted.collect::<Vec<u8>>());
    }

    #[test]
    fn red_green_and_nothing_are_told_apart() {
        let bank = Bank { only: Vec::new(), no_control: false, limit: 1, verbose: false, record: false, page: PathBuf::new() };
        let came = |command: &str| bank.came(Path::new("."), command, "7");
        assert_eq!(came("test \"$COFFER_BUG$BUG\" = 77"), Came::Green);
        assert_eq!(came("exit 101"), Came::Red);
        assert_eq!(came("no-such-program"), Came::Nothing);
        assert_eq!(came("exit 3"), Came::Nothing);
        assert_eq!(came("sleep 20"), Came::Nothing);
    }
}
