//! A process that this run started: where it runs, how it is stopped, and what is written down so that a later `clean` finds it.
//!
//! Only processes that were started here are ever signalled, and by `clean` only if number *and* start time agree with what was
//! written down. Not here: what the process is (`node`).

use std::fs::{self, OpenOptions};
use std::io::Write;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitStatus, Stdio};

use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;

use super::netns::Namespace;

/// A child of ours.
#[derive(Debug)]
pub struct Process {
    child: Child,
    is_paused: bool,
}

/// What to start, and where.
#[derive(Clone, Debug)]
pub struct Start {
    /// The program and its arguments.
    pub program: PathBuf,
    /// Behind the program.
    pub args: Vec<String>,
    /// Added to an environment that has only `PATH` and `HOME`.
    pub env: Vec<(String, String)>,
    /// Takes standard output and error, at its end.
    pub log: PathBuf,
    /// The run's list of processes.
    pub list: PathBuf,
}

impl Process {
    /// Starts a child inside `namespace`.
    ///
    /// # Errors
    /// If the program or the log cannot be opened.
    pub fn start(start: &Start, namespace: &Namespace) -> Result<Self, String> {
        let named = |what: &Path, error: std::io::Error| format!("{}: {error}", what.display());
        let log = OpenOptions::new().create(true).append(true).open(&start.log).map_err(|error| named(&start.log, error))?;
        let copy = log.try_clone().map_err(|error| named(&start.log, error))?;
        let mut command = Command::new(&start.program);
        command.args(&start.args).env_clear().env("PATH", "/usr/bin:/bin").env("HOME", "/nonexistent");
        command.envs(start.env.iter().map(|(name, value)| (name, value)));
        command.stdin(Stdio::null()).stdout(log).stderr(copy);
        // A child inherits the network of the thread that starts it.
        let child = namespace.run(|| command.spawn()).map_err(|error| named(&start.program, error))?;
        write_down(&start.list, child.id())?;
        Ok(Self { child, is_paused: false })
    }

    /// Its number.
    pub fn pid(&self) -> u32 {
        self.child.id()
    }

    /// Whether it was paused and not resumed.
    pub fn is_paused(&self) -> bool {
        self.is_paused
    }

    /// kill -9, and waits until it is gone.
    pub fn kill(&mut self) {
        // It may be gone already: then there is nothing to do.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }

    /// Asks it to end; `ended` says when it has.
    pub fn terminate(&self) {
        self.signal(Signal::SIGTERM);
    }

    /// Stops it in the middle of whatever it does.
    pub fn pause(&mut self) {
        self.signal(Signal::SIGSTOP);
        self.is_paused = true;
    }

    /// Lets it go on.
    pub fn resume(&mut self) {
        self.signal(Signal::SIGCONT);
        self.is_paused = false;
    }

    /// How it ended, if it has.
    pub fn ended(&mut self) -> Option<ExitStatus> {
        self.child.try_wait().ok().flatten()
    }

    fn signal(&self, signal: Signal) {
        if let Ok(pid) = i32::try_from(self.child.id()) {
            // Not reaped yet, so the number is still its own.
            let _ = kill(Pid::from_raw(pid), signal);
        }
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        self.kill();
    }
}

/// When a process began, in clock ticks after boot: with its number it names a process for ever.
pub fn start_time(pid: u32) -> Option<u64> {
    let stat = fs::read_to_string(format!("/proc/{pid}/stat")).ok()?;
    // The name of the program may hold spaces and parentheses, but no later field does.
    stat.rsplit_once(')')?.1.split_whitespace().nth(19)?.parse().ok()
}

/// Adds a process to the run's list.
///
/// # Errors
/// If the disk is full.
pub fn write_down(list: &Path, pid: u32) -> Result<(), String> {
    let line = format!("{pid} {}\n", start_time(pid).unwrap_or_default());
    let file = OpenOptions::new().create(true).append(true).open(list);
    file.and_then(|mut file| file.write_all(line.as_bytes())).map_err(|error| format!("{}: {error}", list.display()))
}

/// Kills what a list names and still runs: how many.
pub fn kill_listed(list: &Path) -> usize {
    let text = fs::read_to_string(list).unwrap_or_default();
    let named = text.lines().filter_map(|line| {
        let (pid, start) = line.split_once(' ')?;
        Some((pid.parse::<u32>().ok()?, start.parse::<u64>().ok()?))
    });
    let mut killed = 0;
    for (pid, start) in named {
        let is_it = pid != std::process::id() && start_time(pid) == Some(start);
        if let (true, Ok(pid)) = (is_it, i32::try_from(pid)) {
            killed += usize::from(kill(Pid::from_raw(pid), Signal::SIGKILL).is_ok());
        }
    }
    killed
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_a_process_with_the_right_start_time_is_killed() {
        let folder = tempfile::tempdir().unwrap();
        let list = folder.path().join("processes");
        let mut child = Command::new("sleep").arg("60").spawn().unwrap();
        let start = start_time(child.id()).unwrap();
        fs::write(&list, format!("{} {}\n", child.id(), start + 1)).unwrap();
        assert_eq!(kill_listed(&list), 0);
        assert!(child.try_wait().unwrap().is_none());
        write_down(&list, child.id()).unwrap();
        assert_eq!(kill_listed(&list), 1);
        assert!(!child.wait().unwrap().success());
    }
}
