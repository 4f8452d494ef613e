//! Network namespaces that this process makes, and threads that work inside one.
//!
//! A namespace here has no name and no file: it lives as long as someone holds it open, so a run that is killed leaves none.
//! Not here: what is inside one (`link`), who may talk to whom (`switch`).

use std::fs::File;
use std::process::Command;
use std::sync::Arc;

use nix::sched::{CloneFlags, setns, unshare};

/// A network namespace with nothing in it but a loopback device.
#[derive(Clone, Debug)]
pub struct Namespace {
    file: Arc<File>,
}

impl Namespace {
    /// Makes one; the caller's thread stays where it is.
    ///
    /// # Errors
    /// Without the right to make namespaces (root, or `CAP_SYS_ADMIN`), and on a kernel without them.
    pub fn new() -> Result<Self, String> {
        let made = std::thread::spawn(|| {
            unshare(CloneFlags::CLONE_NEWNET).map_err(|error| format!("make a network namespace: {error}"))?;
            command("ip", &["link", "set", "lo", "up"])?;
            let file = File::open("/proc/thread-self/ns/net").map_err(|error| format!("open the new namespace: {error}"))?;
            Ok(Self { file: Arc::new(file) })
        });
        made.join().unwrap_or_else(|_| Err("make a network namespace: the thread panicked".to_owned()))
    }

    /// Runs `work` on a thread of its own inside the namespace. Sockets and processes that it makes stay there.
    ///
    /// # Panics
    /// If `work` does.
    pub fn run<T: Send>(&self, work: impl FnOnce() -> T + Send) -> T {
        let inside = || {
            self.enter().expect("a namespace that is held open can be entered");
            work()
        };
        std::thread::scope(|scope| scope.spawn(inside).join().expect("work inside a namespace does not panic"))
    }

    /// Moves the calling thread into the namespace for the rest of its life.
    ///
    /// # Errors
    /// If the kernel refuses.
    pub fn enter(&self) -> Result<(), String> {
        setns(self.file.as_ref(), CloneFlags::CLONE_NEWNET).map_err(|error| format!("enter a network namespace: {error}"))
    }
}

/// Moves this process, before it has threads, to a network without any way out and to mounts that nobody else sees.
///
/// # Errors
/// Says plainly when the rights are missing.
pub fn leave_the_world() -> Result<(), String> {
    if !nix::unistd::geteuid().is_root() {
        return Err("the harness makes network namespaces and TUN devices, and needs to be root for that".to_owned());
    }
    unshare(CloneFlags::CLONE_NEWNET | CloneFlags::CLONE_NEWNS).map_err(|error| format!("leave the network and mounts: {error}"))?;
    let flags = nix::mount::MsFlags::MS_REC | nix::mount::MsFlags::MS_PRIVATE;
    nix::mount::mount(None::<&str>, "/", None::<&str>, flags, None::<&str>).map_err(|error| format!("make mounts private: {error}"))?;
    command("ip", &["link", "set", "lo", "up"])
}

/// Runs a tool to its end.
///
/// # Errors
/// What it said, if it failed.
pub fn command(program: &str, args: &[&str]) -> Result<(), String> {
    let output = Command::new(program).args(args).output().map_err(|error| format!("{program}: {error}"))?;
    if output.status.success() {
        return Ok(());
    }
    Err(format!("{program} {}: {}", args.join(" "), String::from_utf8_lossy(&output.stderr).trim()))
}
