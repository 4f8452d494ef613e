//! Starts the parts that stand for other machines (the line, the clients that look at the clock) ahead of all that is measured.
//!
//! On a busy machine a thread that is woken waits for its turn, whole ticks at a time; a line and a clock must not. They do little, so they
//! take little. `chrt` (util-linux) asks the kernel for the real-time class; where that is not permitted, they run like the rest, and the
//! result says so.

use std::process::Command;
use std::sync::OnceLock;

/// Just above everything that is not real-time.
const CLASS: [&str; 2] = ["--fifo", "1"];

/// A part of this program, ahead of others where permitted.
///
/// # Errors
/// If this program does not know where it lies.
pub fn part(name: &str) -> std::io::Result<Command> {
    let program = std::env::current_exe()?;
    let mut command = if is_permitted() {
        let mut command = Command::new("chrt");
        command.args(CLASS).arg(program);
        command
    } else {
        Command::new(program)
    };
    command.arg(name);
    Ok(command)
}

/// For the notes of a result.
pub fn said() -> String {
    let how = if is_permitted() { "ahead of all else (real-time class)" } else { "like the rest: the real-time class is not permitted" };
    format!("relay, marker and watcher ran {how}")
}

fn is_permitted() -> bool {
    static IS: OnceLock<bool> = OnceLock::new();
    *IS.get_or_init(|| Command::new("chrt").args(CLASS).arg("true").output().is_ok_and(|output| output.status.success()))
}
