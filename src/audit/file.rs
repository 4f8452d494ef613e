//! The device `file`: a file, standard output, or nowhere.
//!
//! One thread writes; all lines that wait at that moment go in one write. A line is taken when the system has it: audit lines are
//! not synced to disk one by one, as in Vault.

use std::collections::BTreeMap;
use std::fs::{File, OpenOptions};
use std::io::{self, Write};
use std::os::unix::fs::{OpenOptionsExt, PermissionsExt};
use std::path::PathBuf;
use std::sync::Arc;

use async_trait::async_trait;
use bytes::Bytes;
use tokio::sync::{mpsc, oneshot};

use super::{AuditDevice, AuditError, Kind};
use crate::pool::on_own_thread;

/// The kind `file`.
pub(super) static KIND: Kind = Kind { name: "file", open };

/// Lines that may wait at one time; then requests wait too.
const WAITING_MAX: usize = 1024;
const MODE_DEFAULT: u32 = 0o600;

enum Place {
    File { path: PathBuf, mode: u32 },
    Stdout,
    Discard,
}

enum Job {
    Record(Bytes, oneshot::Sender<Result<(), AuditError>>),
    Reopen(oneshot::Sender<Result<(), AuditError>>),
}

struct FileDevice(mpsc::Sender<Job>);

fn open(options: &BTreeMap<String, String>) -> Result<Arc<dyn AuditDevice>, AuditError> {
    let path = options
        .get("file_path")
        .or_else(|| options.get("path"))
        .filter(|path| !path.is_empty())
        .ok_or_else(|| AuditError::Options("file_path is required".to_owned()))?;
    let place = match path.as_str() {
        "stdout" => Place::Stdout,
        "discard" => Place::Discard,
        path => Place::File { path: path.into(), mode: mode(options)? },
    };
    let writer = place.open()?;
    let (jobs, waiting) = mpsc::channel(WAITING_MAX);
    on_own_thread("audit-file", write_lines(place, writer, waiting)).map_err(|error| AuditError::Open(error.to_string()))?;
    Ok(Arc::new(FileDevice(jobs)))
}

fn mode(options: &BTreeMap<String, String>) -> Result<u32, AuditError> {
    let Some(text) = options.get("mode").filter(|text| !text.is_empty()) else { return Ok(MODE_DEFAULT) };
    let mode = u32::from_str_radix(text, 8).map_err(|_| AuditError::Options("mode must be octal, as in 0600".to_owned()))?;
    if mode & !0o666 != 0 {
        return Err(AuditError::Options("mode must not make the file executable".to_owned()));
    }
    Ok(mode)
}

impl Place {
    fn open(&self) -> Result<Box<dyn Write + Send>, AuditError> {
        let wrong = |error: io::Error| AuditError::Open(error.to_string());
        match self {
            Self::Stdout => Ok(Box::new(io::stdout())),
            Self::Discard => Ok(Box::new(io::sink())),
            Self::File { path, mode } => {
                let create_mode = if *mode == 0 { MODE_DEFAULT } else { *mode };
                let file: File = OpenOptions::new().append(true).create(true).mode(create_mode).open(path).map_err(wrong)?;
                if !file.metadata().map_err(wrong)?.is_file() {
                    return Err(AuditError::Open("not a regular file".to_owned()));
                }
                if *mode != 0 {
                    file.set_permissions(std::fs::Permissions::from_mode(*mode)).map_err(wrong)?;
                }
                Ok(Box::new(file))
            }
        }
    }
}

/// Ends when the device is dropped.
async fn write_lines(place: Place, mut writer: Box<dyn Write + Send>, mut waiting: mpsc::Receiver<Job>) {
    while let Some(first) = waiting.recv().await {
        let mut bytes = Vec::new();
        let mut writers = Vec::new();
        let mut reopens = Vec::new();
        let mut next = Some(first);
        while let Some(job) = next {
            match job {
                Job::Record(line, done) => {
                    bytes.extend_from_slice(&line);
                    writers.push(done);
                }
                Job::Reopen(done) => reopens.push(done),
            }
            next = waiting.try_recv().ok();
        }
        let written = write_bytes(&mut *writer, &bytes);
        for done in writers {
            // A request that gave up waiting does not want to know.
            let _ = done.send(written.clone());
        }
        for done in reopens {
            let opened = place.open().map(|opened| writer = opened);
            // The same.
            let _ = done.send(opened);
        }
    }
}

fn write_bytes(writer: &mut dyn Write, bytes: &[u8]) -> Result<(), AuditError> {
    failpoint!("audit-write.before", AuditError::Write("told to fail".to_owned()));
    writer.write_all(bytes).and_then(|()| writer.flush()).map_err(|error| AuditError::Write(error.to_string()))?;
    failpoint!("audit-write.after", AuditError::Write("told to fail".to_owned()));
    Ok(())
}

#[async_trait]
impl AuditDevice for FileDevice {
    async fn record(&self, line: Bytes) -> Result<(), AuditError> {
        self.ask(|done| Job::Record(line, done)).await
    }
    async fn reopen(&self) -> Result<(), AuditError> {
        self.ask(Job::Reopen).await
    }
}

impl FileDevice {
    async fn ask(&self, job: impl FnOnce(oneshot::Sender<Result<(), AuditError>>) -> Job) -> Result<(), AuditError> {
        let ended = || AuditError::Write("the audit thread ended".to_owned());
        let (done, answer) = oneshot::channel();
        self.0.send(job(done)).await.map_err(|_| ended())?;
        answer.await.map_err(|_| ended())?
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn options(path: &str) -> BTreeMap<String, String> {
        [("file_path".to_owned(), path.to_owned())].into()
    }

    #[tokio::test]
    async fn lines_follow_a_file_that_was_moved_away() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("audit.log");
        let device = open(&options(path.to_str().unwrap())).unwrap();
        device.record(Bytes::from_static(b"one\n")).await.unwrap();
        std::fs::rename(&path, folder.path().join("old")).unwrap();
        device.reopen().await.unwrap();
        device.record(Bytes::from_static(b"two\n")).await.unwrap();
        assert_eq!(std::fs::read_to_string(&path).unwrap(), "two\n");
        assert_eq!(std::fs::read_to_string(folder.path().join("old")).unwrap(), "one\n");
        assert_eq!(std::fs::metadata(&path).unwrap().permissions().mode() & 0o777, 0o600);
    }

    #[tokio::test]
    async fn places_that_take_no_lines_are_refused() {
        assert!(open(&options("/nowhere/audit.log")).is_err());
        assert!(open(&options("/tmp")).is_err());
        assert!(open(&BTreeMap::new()).is_err());
        let mut executable = options("discard");
        open(&executable).unwrap().record(Bytes::from_static(b"x")).await.unwrap();
        executable.insert("file_path".to_owned(), "/tmp/x".to_owned());
        executable.insert("mode".to_owned(), "0755".to_owned());
        assert!(open(&executable).is_err());
    }
}
