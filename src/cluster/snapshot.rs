//! A snapshot's folder, file by file, in bounded chunks; and the same folder on the other side.
//!
//! Names are judged where they arrive: relative, a few plain components, nothing that is already there. A snapshot without its end is
//! not whole, and every file is on disk before it is said to be received.
//! Not here: what the head says, installing (`raft`).

use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex};

use bytes::{Bytes, BytesMut};
use futures::{Stream, StreamExt};
use tokio::fs::File;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::sync::mpsc;
use tokio_stream::wrappers::ReceiverStream;
use tonic::Status;

use super::metrics;
use super::wire::raft::SnapshotPart;
use super::wire::raft::snapshot_part::{End, FileHead, Part};

/// Size of a chunk: large enough to be cheap, small enough to share a connection.
const CHUNK_BYTES: usize = 256 * 1024;
/// Chunks read ahead of the network.
const CHUNKS_AHEAD: usize = 4;
/// Most files of a snapshot: a store of a terabyte in files of 64 MiB has 16 thousand.
const FILES_MAX: u64 = 100_000;
/// Deepest folder of a snapshot, and longest component of a name.
const DEPTH_MAX: usize = 4;
const COMPONENT_BYTES_MAX: usize = 128;

/// Why the sending side stopped, if it did.
#[derive(Clone, Default)]
pub(super) struct SendFailure(Arc<Mutex<Option<String>>>);

impl SendFailure {
    pub fn take(&self) -> Option<String> {
        self.0.lock().expect("no holder of this lock panics").take()
    }
    fn set(&self, why: String) {
        *self.0.lock().expect("no holder of this lock panics") = Some(why);
    }
}

/// The parts of the snapshot in `folder`. If reading fails, they end without the end, and the second value says why.
pub(super) fn send(head: Bytes, folder: PathBuf) -> (ReceiverStream<SnapshotPart>, SendFailure) {
    let (tx, rx) = mpsc::channel(CHUNKS_AHEAD);
    let failure = SendFailure::default();
    let report = failure.clone();
    tokio::spawn(async move {
        match send_all(&tx, head, &folder).await {
            Ok(()) | Err(SendError::Gone) => {}
            Err(SendError::Read(why)) => report.set(why),
        }
    });
    (ReceiverStream::new(rx), failure)
}

enum SendError {
    /// The receiver hung up: the call says why.
    Gone,
    Read(String),
}

impl From<std::io::Error> for SendError {
    fn from(error: std::io::Error) -> Self {
        Self::Read(format!("the snapshot cannot be read: {error}"))
    }
}

async fn send_all(tx: &mpsc::Sender<SnapshotPart>, head: Bytes, folder: &Path) -> Result<(), SendError> {
    say(tx, Part::Head(head)).await?;
    let mut files = 0;
    let mut folders = vec![(folder.to_owned(), String::new())];
    while let Some((folder, prefix)) = folders.pop() {
        let mut entries = tokio::fs::read_dir(&folder).await?;
        while let Some(entry) = entries.next_entry().await? {
            let name = entry.file_name().into_string().map_err(|_| SendError::Read("a file's name is no text".to_owned()))?;
            let name = if prefix.is_empty() { name } else { format!("{prefix}/{name}") };
            let kind = entry.file_type().await?;
            if kind.is_dir() {
                folders.push((entry.path(), name));
            } else if kind.is_file() {
                send_file(tx, name, &entry.path()).await?;
                files += 1;
            }
        }
    }
    say(tx, Part::End(End { files })).await
}

async fn send_file(tx: &mpsc::Sender<SnapshotPart>, name: String, path: &Path) -> Result<(), SendError> {
    let mut file = File::open(path).await?;
    let bytes = file.metadata().await?.len();
    say(tx, Part::File(FileHead { name, bytes })).await?;
    let mut left = bytes;
    while left > 0 {
        let want = left.min(CHUNK_BYTES as u64);
        let mut chunk = BytesMut::with_capacity(CHUNK_BYTES);
        let mut reader = (&mut file).take(want);
        while (chunk.len() as u64) < want {
            if reader.read_buf(&mut chunk).await? == 0 {
                return Err(SendError::Read("a file of the snapshot became shorter".to_owned()));
            }
        }
        left -= want;
        ::metrics::counter!(metrics::SNAPSHOT_BYTES, "direction" => "sent").increment(chunk.len() as u64);
        say(tx, Part::Chunk(chunk.freeze())).await?;
    }
    Ok(())
}

async fn say(tx: &mpsc::Sender<SnapshotPart>, part: Part) -> Result<(), SendError> {
    tx.send(SnapshotPart { part: Some(part) }).await.map_err(|_| SendError::Gone)
}

/// A file that is being received.
struct Incoming {
    file: File,
    left: u64,
}

/// Receives a snapshot's files into the empty folder `into` and gives back its head. On an error the folder may hold part of it.
pub(super) async fn receive(parts: impl Stream<Item = Result<SnapshotPart, Status>>, into: &Path) -> Result<Bytes, Status> {
    futures::pin_mut!(parts);
    let mut head = None;
    let mut files: u64 = 0;
    let mut open: Option<Incoming> = None;
    while let Some(part) = parts.next().await {
        match part?.part {
            Some(Part::Head(bytes)) if head.is_none() => head = Some(bytes),
            Some(Part::File(file)) if head.is_some() => {
                finish(open.take()).await?;
                files += 1;
                if files > FILES_MAX {
                    return Err(Status::invalid_argument("the snapshot has too many files"));
                }
                open = Some(create(into, &file).await?);
            }
            Some(Part::Chunk(chunk)) => {
                let incoming = open.as_mut().ok_or_else(|| Status::invalid_argument("a chunk of no file"))?;
                let len = chunk.len() as u64;
                incoming.left = incoming.left.checked_sub(len).ok_or_else(|| Status::invalid_argument("a file is longer than it said"))?;
                incoming.file.write_all(&chunk).await.map_err(cannot_write)?;
                ::metrics::counter!(metrics::SNAPSHOT_BYTES, "direction" => "received").increment(len);
            }
            Some(Part::End(end)) => {
                finish(open.take()).await?;
                if end.files != files || parts.next().await.is_some() {
                    return Err(Status::invalid_argument("the snapshot is not whole"));
                }
                sync_folder(into).await?;
                return head.ok_or_else(|| Status::invalid_argument("the snapshot has no head"));
            }
            _ => return Err(Status::invalid_argument("a part of the snapshot is out of place")),
        }
    }
    Err(Status::invalid_argument("the snapshot is not whole"))
}

async fn create(into: &Path, head: &FileHead) -> Result<Incoming, Status> {
    let relative = plain_path(&head.name).ok_or_else(|| Status::invalid_argument("a file's name is not allowed"))?;
    let path = into.join(relative);
    if let Some(parent) = path.parent()
        && parent != into
    {
        tokio::fs::create_dir_all(parent).await.map_err(cannot_write)?;
    }
    // `create_new` follows no link and overwrites nothing.
    let file = File::options().write(true).create_new(true).open(&path).await.map_err(cannot_write)?;
    Ok(Incoming { file, left: head.bytes })
}

async fn finish(incoming: Option<Incoming>) -> Result<(), Status> {
    let Some(mut incoming) = incoming else { return Ok(()) };
    if incoming.left > 0 {
        return Err(Status::invalid_argument("a file is shorter than it said"));
    }
    incoming.file.flush().await.map_err(cannot_write)?;
    incoming.file.sync_all().await.map_err(cannot_write)
}

async fn sync_folder(folder: &Path) -> Result<(), Status> {
    let folder = File::open(folder).await.map_err(cannot_write)?;
    folder.sync_all().await.map_err(cannot_write)
}

#[expect(clippy::needless_pass_by_value, reason = "used as a function for map_err")]
fn cannot_write(error: std::io::Error) -> Status {
    tracing::error!(%error, "an incoming snapshot cannot be written");
    Status::unavailable("the snapshot cannot be written")
}

/// `name` as a path that stays below the folder it is joined to; `None` if it could leave it or is odd.
fn plain_path(name: &str) -> Option<PathBuf> {
    let is_plain = |component: &str| {
        !component.is_empty()
            && component.len() <= COMPONENT_BYTES_MAX
            && !component.bytes().all(|byte| byte == b'.')
            && component.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"._-".contains(&byte))
    };
    let components: Vec<&str> = name.split('/').collect();
    (components.len() <= DEPTH_MAX && components.iter().all(|component| is_plain(component))).then(|| components.iter().collect())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn part(part: Part) -> Result<SnapshotPart, Status> {
        Ok(SnapshotPart { part: Some(part) })
    }

    fn file(name: &str, bytes: u64) -> Result<SnapshotPart, Status> {
        part(Part::File(FileHead { name: name.to_owned(), bytes }))
    }

    fn head() -> Result<SnapshotPart, Status> {
        part(Part::Head(Bytes::from_static(b"head")))
    }

    fn chunk(text: &'static str) -> Result<SnapshotPart, Status> {
        part(Part::Chunk(Bytes::from_static(text.as_bytes())))
    }

    fn end(files: u64) -> Result<SnapshotPart, Status> {
        part(Part::End(End { files }))
    }

    async fn check(parts: Vec<Result<SnapshotPart, Status>>, is_taken: bool) {
        let described = format!("{parts:?}");
        let folder = tempfile::tempdir().unwrap();
        let into = folder.path().join("stage");
        std::fs::create_dir(&into).unwrap();
        let received = receive(futures::stream::iter(parts), &into).await;
        assert_eq!(received.is_ok(), is_taken, "{described} gave {received:?}");
        assert_eq!(std::fs::read_dir(folder.path()).unwrap().count(), 1, "nothing may appear outside of the folder: {described}");
    }

    #[tokio::test]
    async fn only_whole_snapshots_are_taken() {
        check(vec![head(), end(0)], true).await;
        check(vec![head(), file("a", 3), chunk("ab"), chunk("c"), file("b.d/c", 0), end(2)], true).await;
        check(vec![], false).await;
        check(vec![head()], false).await;
        check(vec![end(0)], false).await;
        check(vec![file("a", 0), end(1)], false).await;
        check(vec![head(), head(), end(0)], false).await;
        check(vec![head(), chunk("a"), end(0)], false).await;
        check(vec![head(), file("a", 3), chunk("ab"), end(1)], false).await;
        check(vec![head(), file("a", 1), chunk("ab"), end(1)], false).await;
        check(vec![head(), file("a", 0), end(2)], false).await;
        check(vec![head(), file("a", 0), file("a", 0), end(2)], false).await;
        check(vec![head(), end(0), head()], false).await;
        check(vec![head(), Err(Status::internal("broke"))], false).await;
    }

    #[tokio::test]
    async fn names_that_leave_the_folder_are_refused() {
        for name in ["", ".", "..", "../a", "a/../../b", "/etc/passwd", "a//b", "a/", "a\\b", "a\0b", "a b", "~", "x/x/x/x/x", "…"] {
            check(vec![head(), file(name, 0), end(1)], false).await;
        }
        let long = "a".repeat(COMPONENT_BYTES_MAX + 1);
        check(vec![head(), file(&long, 0), end(1)], false).await;
    }
}
