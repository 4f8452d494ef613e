//! Whether the harness can see at all: whole runs against a toy server that is honest, forgets, shows old states, or lets every
//! compare-and-set pass. The honest one must be green, and each of the others red, by the checker that is meant to see it.
//!
//! This program is the toy too: started as `server`, it serves. It has its own `main`, as a run leaves the machine's network, which
//! must happen before there are threads; so each run is a process.

mod server;

use std::path::PathBuf;
use std::process::{Command, ExitCode};
use std::time::Duration;

use jepsen::check::{Valid, Verdict};
use jepsen::work::run::{Order, Watch, run};
use jepsen::world::netns;

/// A vice, and the verdict that must be false for it.
const CASES: &[(&str, Option<&str>)] =
    &[("none", None), ("forgets", Some("set")), ("stale", Some("register")), ("any-version", Some("register"))];

struct Silent;

impl Watch for Silent {
    fn phase(&self, _: &str) {}
    fn progress(&self, _: f64, _: u64, _: u64) {}
}

fn order(vice: &str, folder: PathBuf) -> Result<Order, String> {
    Ok(Order {
        program: std::env::current_exe().map_err(|error| error.to_string())?,
        topology: "1".parse()?,
        workloads: vec!["register".to_owned(), "set".to_owned()],
        nemesis: vec!["kill".to_owned(), "pause".to_owned()],
        plan: None,
        hands: 1,
        seconds: 12,
        seed: 5,
        folder,
        rate: 300.0,
        deadline: Duration::from_secs(2),
        storage: String::new(),
        stanzas: String::new(),
        env: vec![("TOY_VICE".to_owned(), vice.to_owned())],
        burn: 0,
        is_captured: false,
    })
}

/// Whether the verdict is what this vice deserves.
fn judge(verdict: &Verdict, seen_by: Option<&str>) -> Result<(), String> {
    let red = |name: &str| verdict.children.iter().any(|child| child.name == name && child.valid == Valid::False);
    match seen_by {
        None if verdict.is_valid() => Ok(()),
        Some(name) if red(name) => Ok(()),
        _ => Err(verdict.to_string()),
    }
}

fn one(vice: &str) -> Result<(), String> {
    let (_, seen_by) = CASES.iter().find(|(name, _)| *name == vice).ok_or("no such vice")?;
    let folder = tempfile::tempdir().map_err(|error| error.to_string())?;
    netns::leave_the_world()?;
    judge(&run(&order(vice, folder.path().join("run"))?, &Silent)?, *seen_by)
}

fn main() -> ExitCode {
    let words: Vec<String> = std::env::args().skip(1).collect();
    match words.first().map(String::as_str) {
        Some("server") => return server::serve(&words),
        Some("run") => {
            let result = one(words.get(1).map_or("", String::as_str));
            if let Err(why) = &result {
                eprintln!("{why}");
            }
            return ExitCode::from(u8::from(result.is_err()));
        }
        _ => {}
    }
    if !nix::unistd::geteuid().is_root() {
        println!("the harness needs root for its networks\n0 passed, 0 failed, {} skipped", CASES.len());
        return ExitCode::SUCCESS;
    }
    let mut failed = 0;
    for (vice, seen_by) in CASES {
        let itself = std::env::current_exe().and_then(|program| Command::new(program).args(["run", vice]).status());
        let is_right = itself.is_ok_and(|status| status.success());
        failed += usize::from(!is_right);
        let wanted = seen_by.map_or("green".to_owned(), |name| format!("red by {name}"));
        println!("test a_server_whose_vice_is_{vice} must be {wanted} ... {}", if is_right { "ok" } else { "FAILED" });
    }
    println!("{} passed, {failed} failed", CASES.len() - failed);
    ExitCode::from(u8::from(failed > 0))
}
