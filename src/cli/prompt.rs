//! Asking a person: hidden on a terminal, one line of standard input otherwise.

use std::io::{IsTerminal, Write};

use super::failure::Failure;
use crate::types::Secret;

/// Whether somebody sits there.
pub fn is_terminal() -> bool {
    std::io::stdin().is_terminal()
}

/// Asks for a secret without showing it; takes a line of standard input where there is no terminal.
///
/// # Errors
/// If nothing can be read, or asking was forbidden.
pub fn secret(question: &str, is_allowed: bool) -> Result<Secret<String>, Failure> {
    if !is_allowed {
        return Err(Failure::local("-non-interactive is set: a value is missing and nobody may be asked"));
    }
    if is_terminal() {
        // To standard error: standard output is for the answer, which may go into a file.
        eprint!("{question}");
        let _ = std::io::stderr().flush();
        let answer = rpassword::read_password().map_err(|error| Failure::local(format!("cannot read from the terminal: {error}")))?;
        return Ok(Secret::new(answer.trim().to_owned()));
    }
    let mut line = String::new();
    std::io::stdin().read_line(&mut line).map_err(|error| Failure::local(format!("cannot read standard input: {error}")))?;
    let line = Secret::new(line);
    let answer = line.expose().trim();
    if answer.is_empty() {
        return Err(Failure::local(
            "nothing came from standard input, which is no terminal: give the value as an argument or through a pipe",
        ));
    }
    Ok(Secret::new(answer.to_owned()))
}
