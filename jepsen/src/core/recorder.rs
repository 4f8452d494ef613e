//! Records a history while it happens, on disk: a crash of the harness loses nothing that was sent.
//!
//! One lock orders the lines, and time is read under it: the order of lines is the order of real time.

use std::fs::{self, File};
use std::io::{self, Write as _};
use std::path::{Path, PathBuf};
use std::sync::{Mutex, PoisonError};
use std::time::Instant;

use super::history::{self, Format, History};
use super::op::Op;

/// Writes `history.jsonl` into a run's folder, line by line, and `history.edn` at the end.
#[derive(Debug)]
pub struct Recorder {
    folder: PathBuf,
    start: Instant,
    state: Mutex<State>,
}

#[derive(Debug)]
struct State {
    file: File,
    history: History,
}

/// Why a line was not recorded.
#[derive(Debug, thiserror::Error)]
#[error("record history in {folder}")]
pub struct RecordError {
    folder: PathBuf,
    source: io::Error,
}

impl Recorder {
    /// Begins a history in a folder, which is made if it is missing.
    ///
    /// # Errors
    /// The folder or the file cannot be made.
    pub fn create(folder: &Path) -> Result<Recorder, RecordError> {
        let made = fs::create_dir_all(folder).and_then(|()| File::create(folder.join("history.jsonl")));
        let file = made.map_err(|source| RecordError { folder: folder.to_owned(), source })?;
        let state = Mutex::new(State { file, history: History::default() });
        Ok(Recorder { folder: folder.to_owned(), start: Instant::now(), state })
    }

    /// When the history began: moments of lines count from here.
    pub fn start(&self) -> Instant {
        self.start
    }

    /// Records a line and gives it back with its index and time. Call it before sending and after the answer.
    ///
    /// # Errors
    /// The disk does not take it: the run is worth nothing from here on.
    pub fn record(&self, mut op: Op) -> Result<Op, RecordError> {
        let mut state = self.state.lock().unwrap_or_else(PoisonError::into_inner);
        op.time = u64::try_from(self.start.elapsed().as_nanos()).unwrap_or(u64::MAX);
        op.index = state.history.ops.len() as u64;
        let mut line = String::new();
        history::append_line(&mut line, &op, Format::Jsonl);
        // One write, no buffer: what was recorded outlives this process.
        state.file.write_all(line.as_bytes()).map_err(|source| RecordError { folder: self.folder.clone(), source })?;
        state.history.ops.push(op.clone());
        Ok(op)
    }

    /// A copy of what was recorded so far.
    pub fn history(&self) -> History {
        self.state.lock().unwrap_or_else(PoisonError::into_inner).history.clone()
    }

    /// Ends the history: writes `history.edn` beside `history.jsonl` and gives back all lines.
    ///
    /// # Errors
    /// The disk does not take it.
    pub fn finish(&self) -> Result<History, RecordError> {
        let history = self.history();
        let written = fs::write(self.folder.join("history.edn"), history.to_text(Format::Edn));
        written.map_err(|source| RecordError { folder: self.folder.clone(), source })?;
        Ok(history)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::core::op::Kind;
    use crate::core::value::Value;

    #[test]
    fn lines_of_many_threads_are_numbered_in_the_order_of_their_times() {
        let folder = tempfile::tempdir().unwrap();
        let recorder = Recorder::create(folder.path()).unwrap();
        std::thread::scope(|scope| {
            for process in 0..4 {
                let recorder = &recorder;
                scope.spawn(move || {
                    for _ in 0..50 {
                        let begun = recorder.record(Op::invoke(process, "read", Value::Nil)).unwrap();
                        recorder.record(begun.complete(Kind::Ok, 1)).unwrap();
                    }
                });
            }
        });
        // Before it is finished, as after a crash: all lines are on disk.
        let on_disk = History::read(folder.path()).unwrap();
        assert_eq!(on_disk.ops.len(), 400);
        assert!(on_disk.ops.windows(2).all(|pair| pair[0].time <= pair[1].time && pair[0].index + 1 == pair[1].index));
        assert_eq!(crate::core::calls(&on_disk).unwrap().len(), 200);
        assert_eq!(recorder.finish().unwrap(), on_disk);
        assert_eq!(History::read(&folder.path().join("history.edn")).unwrap(), on_disk);
    }
}
