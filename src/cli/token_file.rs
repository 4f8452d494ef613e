//! Where a client's token lies between two calls: the environment, a helper program, or `~/.vault-token`.
//!
//! The file holds the token only, with mode 0600, and is replaced whole.
//! Not here: asking for a token (`commands::login`).

use std::fs;
use std::io::Write;
use std::os::unix::fs::OpenOptionsExt;
use std::path::PathBuf;
use std::process::{Command, Stdio};

use super::config::environment;
use super::failure::Failure;
use crate::types::{Secret, hcl};

/// The token of the environment, else the stored one.
///
/// # Errors
/// If the file or the helper program cannot be read, or the token cannot go into a header.
pub fn find() -> Result<Option<Secret<String>>, Failure> {
    let text = match environment("TOKEN") {
        Some(token) => token,
        None => stored()?,
    };
    let token = text.trim().to_owned();
    if token.chars().any(|c| c.is_control() || !c.is_ascii()) {
        return Err(Failure::local("the token contains non-printable characters"));
    }
    Ok((!token.is_empty()).then(|| Secret::new(token)))
}

/// Keeps a token for later calls.
///
/// # Errors
/// If it cannot be written.
pub fn store(token: &Secret<String>) -> Result<(), Failure> {
    if let Some(program) = helper()? {
        return run_helper(&program, "store", Some(token.expose())).map(|_| ());
    }
    let path = file()?;
    let fresh = path.with_extension("tmp");
    let write = || -> std::io::Result<()> {
        // Removed first: the mode of a file that is already there would stay as it is.
        let _ = fs::remove_file(&fresh);
        let mut out = fs::OpenOptions::new().write(true).create_new(true).mode(0o600).open(&fresh)?;
        out.write_all(token.expose().as_bytes())?;
        out.sync_all()?;
        fs::rename(&fresh, &path)
    };
    write().map_err(|error| Failure::local(format!("cannot write {}: {error}", path.display())))
}

fn stored() -> Result<String, Failure> {
    if let Some(program) = helper()? {
        return run_helper(&program, "get", None);
    }
    // No home, no token: servers started by init systems call us too.
    let Ok(path) = file() else { return Ok(String::new()) };
    match fs::read_to_string(&path) {
        Ok(text) => Ok(text),
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => Ok(String::new()),
        Err(error) => Err(Failure::local(format!("cannot read the token from {}: {error}", path.display()))),
    }
}

fn home() -> Option<PathBuf> {
    std::env::var_os("HOME").filter(|home| !home.is_empty()).map(PathBuf::from)
}

fn file() -> Result<PathBuf, Failure> {
    home().map(|home| home.join(".vault-token")).ok_or_else(|| Failure::local("HOME is not set: nowhere to keep the token"))
}

/// The helper program that the client's configuration file names.
fn helper() -> Result<Option<String>, Failure> {
    let Some(path) = environment("CONFIG_PATH").map(PathBuf::from).or_else(|| home().map(|home| home.join(".vault"))) else {
        return Ok(None);
    };
    let Ok(text) = fs::read_to_string(&path) else { return Ok(None) };
    let wrong = |what: String| Failure::local(format!("error reading the client configuration {}: {what}", path.display()));
    let lines = hcl::read(&text).map_err(|malformed| wrong(malformed.to_string()))?;
    let body = hcl::Node::Object(lines).into_json();
    let body = body.as_object().ok_or_else(|| wrong("expected keys and values".to_owned()))?;
    if let Some(key) = body.keys().find(|key| *key != "token_helper") {
        return Err(wrong(format!("invalid key {key:?}")));
    }
    match body.get("token_helper").and_then(|value| value.as_str()) {
        None | Some("") => Ok(None),
        Some(program) if program.starts_with('/') => Ok(Some(program.to_owned())),
        Some(program) => Err(wrong(format!("token_helper must be an absolute path, not {program:?}"))),
    }
}

fn run_helper(program: &str, verb: &str, input: Option<&str>) -> Result<String, Failure> {
    let failed = |what: String| Failure::local(format!("token helper {program}: {what}"));
    let mut child = Command::new("/bin/sh")
        .arg("-c")
        .arg(format!("{program} {verb}"))
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .map_err(|error| failed(error.to_string()))?;
    if let (Some(text), Some(mut pipe)) = (input, child.stdin.take()) {
        pipe.write_all(text.as_bytes()).map_err(|error| failed(error.to_string()))?;
    }
    let output = child.wait_with_output().map_err(|error| failed(error.to_string()))?;
    if output.status.success() { Ok(String::from_utf8_lossy(&output.stdout).into_owned()) } else { Err(failed(output.status.to_string())) }
}
