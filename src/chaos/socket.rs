//! The admin socket of a test build: one line of text in, one line out.
//!
//! `failpoint NAME ACTION`, `clock offset MS`, `dump`. What a dump says is the server's to give; it never holds secrets. Whoever can
//! open the socket owns the node's data folder anyway. Input is bounded: length of a line, time to send it, connections at once.

use std::io;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use tokio::io::{AsyncBufReadExt, AsyncReadExt, AsyncWriteExt, BufReader};
use tokio::net::{UnixListener, UnixStream};
use tokio::sync::Semaphore;
use tokio::time::timeout;

use super::clock::{OFFSET_MS_MAX, set_clock_offset_ms};
use super::failpoints::arm;

/// Longest line that is read.
const LINE_BYTES_MAX: u64 = 256;
/// Connections at once; others wait in the kernel's queue.
const CONNECTIONS_MAX: usize = 8;
/// A connection that says nothing for so long is closed.
const IDLE_MAX: Duration = Duration::from_secs(60);

/// Says on one line how this node stands: positions, roots, Raft's metrics.
pub type Dump = Arc<dyn Fn() -> String + Send + Sync>;

/// Listens at `path` until the future is dropped.
///
/// # Errors
/// If no socket can be made there.
pub async fn serve(path: &Path, dump: Dump) -> io::Result<()> {
    // A process that was killed leaves its socket behind; the data folder's lock says that nobody else is alive.
    match std::fs::remove_file(path) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
        _ => {}
    }
    let listener = UnixListener::bind(path)?;
    std::fs::set_permissions(path, std::fs::Permissions::from_mode(0o600))?;
    let room = Arc::new(Semaphore::new(CONNECTIONS_MAX));
    let mut talks = tokio::task::JoinSet::new();
    loop {
        let place = room.clone().acquire_owned().await.expect("the semaphore is never closed");
        let (stream, _) = listener.accept().await?;
        while talks.try_join_next().is_some() {}
        let dump = dump.clone();
        talks.spawn(async move {
            // A client that went away is no business of ours.
            let _ = talk(stream, &dump).await;
            drop(place);
        });
    }
}

async fn talk(stream: UnixStream, dump: &Dump) -> io::Result<()> {
    let (from, mut to) = stream.into_split();
    let mut from = BufReader::new(from);
    loop {
        let mut line = Vec::new();
        let read = timeout(IDLE_MAX, (&mut from).take(LINE_BYTES_MAX).read_until(b'\n', &mut line)).await;
        let Ok(Ok(1..)) = read else { return Ok(()) };
        if line.pop() != Some(b'\n') {
            return to.write_all(b"error: a line is too long or has no end\n").await;
        }
        let mut answer = answer(&String::from_utf8_lossy(&line), dump);
        answer.push('\n');
        to.write_all(answer.as_bytes()).await?;
    }
}

fn answer(line: &str, dump: &Dump) -> String {
    let done = |result: Result<(), String>| result.map_or_else(|error| format!("error: {error}"), |()| "ok".to_owned());
    match line.split_whitespace().collect::<Vec<_>>()[..] {
        ["failpoint", name, action] => done(action.parse().and_then(|action| arm(name, action))),
        ["clock", "offset", millis] => done(match millis.parse::<i64>() {
            Ok(millis) if millis.abs() <= OFFSET_MS_MAX => {
                set_clock_offset_ms(millis);
                Ok(())
            }
            _ => Err(format!("an offset is whole milliseconds, at most {OFFSET_MS_MAX} either way")),
        }),
        ["dump"] => dump(),
        _ => "error: failpoint NAME ACTION, clock offset MS, dump".to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::chaos::{Verdict, hit};

    async fn asked(lines: &[u8]) -> String {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("chaos.sock");
        let place = path.clone();
        let serving = tokio::spawn(async move { serve(&place, Arc::new(|| "{\"applied\":7}".to_owned())).await });
        let mut stream = loop {
            match UnixStream::connect(&path).await {
                Ok(stream) => break stream,
                Err(_) => tokio::time::sleep(Duration::from_millis(2)).await,
            }
        };
        stream.write_all(lines).await.unwrap();
        stream.shutdown().await.unwrap();
        let mut answers = String::new();
        stream.read_to_string(&mut answers).await.unwrap();
        serving.abort();
        answers
    }

    #[tokio::test]
    async fn each_line_is_answered_by_one() {
        let answers =
            asked(b"dump\nfailpoint test.socket error\nfailpoint nowhere kill\nfailpoint test.socket explode\nclock offset 1e9\n").await;
        let lines: Vec<&str> = answers.lines().collect();
        assert_eq!(lines[..2], ["{\"applied\":7}", "ok"]);
        assert!(lines[2..].iter().all(|line| line.starts_with("error: ")), "{lines:?}");
        assert_eq!((lines.len(), hit("test.socket")), (5, Verdict::Fail));
    }

    #[tokio::test]
    async fn a_line_that_does_not_end_is_refused() {
        assert_eq!(asked(&[b'x'; 4096]).await, "error: a line is too long or has no end\n");
        assert_eq!(asked(b"dump").await, "error: a line is too long or has no end\n");
    }
}
