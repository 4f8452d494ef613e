//! One server process: started, killed, started again; never left behind.

use std::fs;
use std::net::TcpListener;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::Mutex;
use std::sync::atomic::{AtomicU16, Ordering};

use anyhow::Context;
use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;

/// Those that run now, for [`end_all`].
static RUNNING: Mutex<Vec<u32>> = Mutex::new(Vec::new());

/// A server that can be started.
pub struct Server {
    pub name: String,
    program: PathBuf,
    arguments: Vec<String>,
    log: PathBuf,
    child: Option<Child>,
}

impl Server {
    /// Describes it; does not start it.
    pub fn new(name: &str, program: &Path, arguments: Vec<String>, log: PathBuf) -> Self {
        Self { name: name.into(), program: program.into(), arguments, log, child: None }
    }

    pub fn pid(&self) -> Option<u32> {
        self.child.as_ref().map(Child::id)
    }

    /// Starts the process. It ends with the thread that started it: only the main thread starts servers.
    ///
    /// # Errors
    /// If it cannot be started.
    pub fn start(&mut self) -> anyhow::Result<()> {
        if self.child.is_some() {
            return Ok(());
        }
        let log = fs::OpenOptions::new().create(true).append(true).open(&self.log).with_context(|| self.log.display().to_string())?;
        let mut command = tied(&self.program);
        command.args(&self.arguments);
        let child = command.stdin(Stdio::null()).stdout(log.try_clone()?).stderr(log).spawn();
        let child = child.with_context(|| format!("start {}", self.program.display()))?;
        running().push(child.id());
        self.child = Some(child);
        Ok(())
    }

    /// kill -9, without waiting for the end.
    pub fn signal_kill(&mut self) {
        if let Some(child) = &mut self.child {
            let _ = child.kill();
        }
    }

    /// Waits for the end of a killed process.
    pub fn reap(&mut self) {
        if let Some(mut child) = self.child.take() {
            let id = child.id();
            let _ = child.wait();
            running().retain(|pid| *pid != id);
        }
    }

    /// kill -9.
    pub fn kill(&mut self) {
        self.signal_kill();
        self.reap();
    }

    /// Whether the process ended by itself.
    pub fn has_ended(&mut self) -> bool {
        self.child.as_mut().is_some_and(|child| matches!(child.try_wait(), Ok(Some(_))))
    }

    /// The last lines that it said, for an error.
    pub fn last_words(&self) -> String {
        let log = fs::read_to_string(&self.log).unwrap_or_default();
        let tail: Vec<&str> = log.lines().rev().take(8).collect();
        tail.into_iter().rev().collect::<Vec<_>>().join("\n")
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        self.kill();
    }
}

fn running() -> std::sync::MutexGuard<'static, Vec<u32>> {
    RUNNING.lock().unwrap_or_else(std::sync::PoisonError::into_inner)
}

/// A command whose process the kernel ends with the thread that starts it, even if that is killed: by `setpriv` of util-linux, if it is here.
pub fn tied(program: &Path) -> Command {
    if !has_setpriv() {
        return Command::new(program);
    }
    let mut command = Command::new("setpriv");
    command.args(["--pdeathsig", "KILL", "--"]).arg(program);
    command
}

fn has_setpriv() -> bool {
    static HAS: std::sync::OnceLock<bool> = std::sync::OnceLock::new();
    *HAS.get_or_init(|| Command::new("setpriv").args(["--pdeathsig", "KILL", "--", "true"]).status().is_ok_and(|status| status.success()))
}

/// kill -9 of every server that runs: when the scoreboard is interrupted.
pub fn end_all() {
    for pid in running().iter() {
        let _ = kill(Pid::from_raw(i32::try_from(*pid).unwrap_or(i32::MAX)), Signal::SIGKILL);
    }
}

/// `count` ports that are free now, outside the range from which the kernel gives ports to outgoing connections: a killed node
/// finds its port free when it comes back.
///
/// # Errors
/// If there are none.
pub fn free_ports(count: usize) -> anyhow::Result<Vec<u16>> {
    static NEXT: AtomicU16 = AtomicU16::new(0);
    let first = 21_000 + u16::try_from(std::process::id() % 100).expect("below 100") * 100;
    let ports = (0..10_000).map(|_| first + NEXT.fetch_add(1, Ordering::Relaxed) % 1000);
    let ports: Vec<u16> = ports.filter(|port| TcpListener::bind(("127.0.0.1", *port)).is_ok()).take(count).collect();
    anyhow::ensure!(ports.len() == count, "no free ports");
    Ok(ports)
}

/// Finds a program: by the variable `variable`, in the cache that `deploy/peers.sh` fills, or in the search path.
///
/// # Errors
/// If it is nowhere, with what to do.
pub fn program(variable: &str, name: &str) -> anyhow::Result<PathBuf> {
    if let Some(path) = std::env::var_os(variable) {
        let path = PathBuf::from(path);
        anyhow::ensure!(path.is_file(), "{variable} names {}, which is no file", path.display());
        return Ok(path);
    }
    let cache =
        std::env::var_os("XDG_CACHE_HOME").map(PathBuf::from).or_else(|| Some(PathBuf::from(std::env::var_os("HOME")?).join(".cache")));
    let cached = cache.map(|cache| cache.join("coffer/peers/bin"));
    let searched = std::env::var_os("PATH").unwrap_or_default();
    let folders = cached.into_iter().chain(std::env::split_paths(&searched));
    let found = folders.map(|folder| folder.join(name)).find(|path| path.is_file());
    found.with_context(|| format!("no `{name}` found; deploy/peers.sh installs it, or {variable} names it"))
}

/// The first line that a program prints.
///
/// # Errors
/// If it cannot be run.
pub fn said_by(program: &Path, arguments: &[&str]) -> anyhow::Result<String> {
    let output = Command::new(program).args(arguments).output().with_context(|| program.display().to_string())?;
    let text = String::from_utf8_lossy(&output.stdout);
    Ok(text.lines().next().unwrap_or_default().trim().to_owned())
}
