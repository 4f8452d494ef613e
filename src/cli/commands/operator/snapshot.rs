//! `operator raft snapshot`: save the cluster's state into a file, and restore it.
//!
//! A file that came incomplete does not get the name that was asked for.

use std::fs::{self, File};
use std::io::Read;
use std::os::unix::fs::OpenOptionsExt;
use std::path::Path;

use crate::cli::args::Flag;
use crate::cli::call::Call;
use crate::cli::command::{Command, Prints};
use crate::cli::failure::{Failure, Outcome};
use crate::cli::invocation::Invocation;

/// The commands of this file.
pub const COMMANDS: &[Command] = &[
    Command {
        name: "operator raft snapshot save",
        summary: "Save a snapshot into a file",
        arguments: "FILE",
        examples: &["operator raft snapshot save raft.snap"],
        flags: &[],
        prints: Prints::Text,
        run: save,
    },
    Command {
        name: "operator raft snapshot restore",
        summary: "Restore a snapshot from a file",
        arguments: "FILE",
        examples: &["operator raft snapshot restore raft.snap", "operator raft snapshot restore -force raft.snap"],
        flags: &[Flag::switch("force", "Also a snapshot of another cluster: its unseal keys apply afterwards.").or("f")],
        prints: Prints::Text,
        run: restore,
    },
];

fn save(run: &mut Invocation) -> Outcome {
    run.expect_args(1, 1)?;
    let path = run.arg(0).trim().to_owned();
    if path.is_empty() {
        return Err(Failure::local("Output file name is required"));
    }
    let client = run.client()?;
    let part = format!("{path}.part");
    let failed = |error: std::io::Error| Failure::remote(format!("Error taking the snapshot: {error}"));
    let call = Call::get("sys/storage/raft/snapshot");
    if client.explains() {
        client.send(&call)?;
    }
    let mut out = fs::OpenOptions::new().write(true).create(true).truncate(true).mode(0o600).open(&part).map_err(failed)?;
    let written = client.download(&call, &mut out);
    let result = written.map_err(|error| error.during("Error taking the snapshot")).and_then(|bytes| {
        out.sync_all().map_err(failed)?;
        check(Path::new(&part), bytes)?;
        fs::rename(&part, &path).map_err(failed)
    });
    if result.is_err() {
        let _ = fs::remove_file(&part);
    }
    result.map(|()| 0)
}

/// Whether what came can be a snapshot: not empty, and no error page.
fn check(path: &Path, bytes: u64) -> Result<(), Failure> {
    let mut start = [0_u8; 1];
    let read = File::open(path).and_then(|mut file| file.read(&mut start)).unwrap_or(0);
    if bytes == 0 || read == 0 || start[0] == b'<' {
        return Err(Failure::remote("Error taking the snapshot: what the server sent is no snapshot"));
    }
    Ok(())
}

fn restore(run: &mut Invocation) -> Outcome {
    run.expect_args(1, 1)?;
    let path = run.arg(0).trim().to_owned();
    let opened = File::open(&path).map_err(|error| Failure::remote(format!("Error opening snapshot file {path:?}: {error}")))?;
    drop(opened);
    let target = if run.is("force") { "sys/storage/raft/snapshot-force" } else { "sys/storage/raft/snapshot" };
    let open = || -> std::io::Result<Box<dyn Read>> { Ok(Box::new(File::open(&path)?)) };
    run.client()?.upload(target, &open).map_err(|error| error.during("Error installing the snapshot"))?;
    Ok(0)
}
