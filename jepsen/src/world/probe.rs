//! What this machine can do to a run: each class of fault is tried for real, in namespaces that vanish again.

use std::net::{Ipv4Addr, TcpListener};
use std::path::Path;
use std::time::{Duration, Instant};

use super::disk;
use super::link::Link;
use super::netns::{Namespace, command};
use super::rule::{CERTAIN, Rule};
use super::switch::Switch;
use crate::core::Rng;

/// One line of the table.
pub struct Finding {
    /// The class of fault.
    pub fault: &'static str,
    /// How it is made.
    pub tool: &'static str,
    /// What was seen, or why it does not work.
    pub seen: Result<String, String>,
    /// Whether runs need it.
    pub is_needed: bool,
}

/// Tries everything. The process must have left the world's network before.
pub fn run(folder: &Path) -> Vec<Finding> {
    let finding = |fault, tool, is_needed, seen| Finding { fault, tool, seen, is_needed };
    vec![
        finding("network of one's own, no way out", "network namespace", true, no_way_out()),
        finding("any packet fault, seeded", "TUN and user-space switch", true, delay()),
        finding("one-way cut", "switch", true, one_way()),
        finding("kernel's own packet faults", "tc netem (not used)", false, netem()),
        finding("crash, pause", "SIGKILL, SIGSTOP", true, pause()),
        finding("disk full", "small tmpfs", false, full(folder)),
        finding("disk that lies or breaks", "FUSE", false, exists("/dev/fuse")),
    ]
}

/// Two namespaces on a switch.
fn pair() -> Result<(Switch, Namespace, Namespace), String> {
    let (a, b) = (Namespace::new()?, Namespace::new()?);
    let links = vec![Link::new(&a, Ipv4Addr::new(198, 18, 0, 1))?, Link::new(&b, Ipv4Addr::new(198, 18, 0, 2))?];
    Ok((Switch::start(links, &Rng::new(1)), a, b))
}

/// How long a connection from the first to the second takes.
fn connect(a: &Namespace, b: &Namespace) -> Result<Duration, String> {
    let listener = b.run(|| TcpListener::bind("198.18.0.2:9")).map_err(|error| error.to_string())?;
    let address = listener.local_addr().map_err(|error| error.to_string())?;
    let begin = Instant::now();
    let stream = a.run(|| std::net::TcpStream::connect_timeout(&address, Duration::from_millis(700)));
    stream.map(|_| begin.elapsed()).map_err(|error| error.to_string())
}

fn no_way_out() -> Result<String, String> {
    let inside = Namespace::new()?;
    let address = std::net::SocketAddr::from(([192, 0, 2, 1], 9));
    match inside.run(|| std::net::TcpStream::connect_timeout(&address, Duration::from_millis(300))) {
        Err(error) if error.kind() == std::io::ErrorKind::NetworkUnreachable => Ok("the rest of the world is unreachable".to_owned()),
        other => Err(format!("it is not closed: {other:?}")),
    }
}

fn delay() -> Result<String, String> {
    let (switch, a, b) = pair()?;
    let plain = connect(&a, &b)?;
    let late = Rule { delay_us: 50_000, ..Rule::default() };
    switch.set([((0, 1), late.clone()), ((1, 0), late)]);
    let slow = connect(&a, &b)?;
    if slow < Duration::from_millis(100) {
        return Err(format!("50 ms each way took {slow:?}"));
    }
    Ok(format!("a connection takes {plain:.1?}; with 50 ms each way {slow:.1?}"))
}

fn one_way() -> Result<String, String> {
    let (switch, a, b) = pair()?;
    switch.set([((1, 0), Rule { loss: CERTAIN, ..Rule::default() })]);
    if connect(&a, &b).is_ok() {
        return Err("packets pass".to_owned());
    }
    let counts = switch.counts();
    let of = |pair| counts.get(&pair).copied().unwrap_or_default();
    let (there, back) = (of((0, 1)), of((1, 0)));
    if there.delivered == 0 || back.lost == 0 {
        return Err(format!("there {there:?}, back {back:?}"));
    }
    Ok(format!("{} packets there, none of {} back", there.delivered, back.lost))
}

fn netem() -> Result<String, String> {
    let inside = Namespace::new()?;
    inside.run(|| command("tc", &["qdisc", "add", "dev", "lo", "root", "netem", "delay", "1ms"]))?;
    Ok("works".to_owned())
}

fn pause() -> Result<String, String> {
    let state = |pid: u32| {
        let stat = std::fs::read_to_string(format!("/proc/{pid}/stat")).unwrap_or_default();
        stat.rsplit_once(')').and_then(|(_, rest)| rest.trim().chars().next())
    };
    let mut child = std::process::Command::new("sleep").arg("5").spawn().map_err(|error| error.to_string())?;
    let pid = nix::unistd::Pid::from_raw(i32::try_from(child.id()).map_err(|error| error.to_string())?);
    let stopped = nix::sys::signal::kill(pid, nix::sys::signal::Signal::SIGSTOP).map_err(|error| error.to_string());
    std::thread::sleep(Duration::from_millis(50));
    let seen = state(child.id());
    // Killed and reaped whatever was seen.
    let _ = child.kill();
    let _ = child.wait();
    stopped?;
    if seen == Some('T') { Ok("stopped and killed a process".to_owned()) } else { Err(format!("the process is in state {seen:?}")) }
}

fn full(folder: &Path) -> Result<String, String> {
    let place = folder.join("probe-disk");
    disk::small(&place, 2)?;
    let filled = disk::fill(&place);
    let refused = std::fs::write(place.join("more"), "more").map_err(|error| error.to_string());
    let unmounted = nix::mount::umount(&place).map_err(|error| error.to_string());
    // The folder is empty again, or was never made.
    let _ = std::fs::remove_dir(&place);
    filled.and(unmounted)?;
    refused.map_or_else(Ok, |()| Err("a full disk takes more".to_owned()))
}

fn exists(path: &str) -> Result<String, String> {
    std::fs::metadata(path).map(|_| format!("{path} is there")).map_err(|error| format!("{path}: {error}"))
}
