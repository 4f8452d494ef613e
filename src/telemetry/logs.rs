//! Log lines: a level that can be changed while running, plain text or JSON, to standard error or a file.

use std::fmt;
use std::fs::{File, OpenOptions};
use std::io::{self, Write};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use arc_swap::ArcSwap;
use tracing::level_filters::LevelFilter;
use tracing_subscriber::layer::SubscriberExt;
use tracing_subscriber::util::SubscriberInitExt;
use tracing_subscriber::{Layer, Registry, filter, fmt as lines, reload};

/// How much is logged, in the words that operators use.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Level(LevelFilter);

impl Level {
    /// What is logged where nobody says otherwise.
    pub const INFO: Self = Self(LevelFilter::INFO);

    /// Reads `trace`, `debug`, `info` (`notice`), `warn` (`warning`), `error` (`err`), `off`.
    pub fn parse(text: &str) -> Option<Self> {
        Some(Self(match text.trim().to_ascii_lowercase().as_str() {
            "trace" => LevelFilter::TRACE,
            "debug" => LevelFilter::DEBUG,
            "info" | "notice" | "" => LevelFilter::INFO,
            "warn" | "warning" => LevelFilter::WARN,
            "error" | "err" => LevelFilter::ERROR,
            "off" => LevelFilter::OFF,
            _ => return None,
        }))
    }

    /// Ours at this level; libraries one level quieter, or a server at `debug` would drown.
    fn targets(self) -> filter::Targets {
        let libraries = match self.0 {
            LevelFilter::TRACE => LevelFilter::DEBUG,
            LevelFilter::DEBUG => LevelFilter::INFO,
            LevelFilter::INFO => LevelFilter::WARN,
            level => level,
        };
        // openraft reports every lost heartbeat as an error; `raft` says what matters itself.
        filter::Targets::new()
            .with_default(libraries)
            .with_target("openraft", LevelFilter::ERROR.min(libraries))
            .with_target("coffer", self.0)
    }
}

impl fmt::Display for Level {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(&self.0, f)
    }
}

/// Where and how log lines go.
#[derive(Clone, Debug)]
pub struct LogOptions {
    /// How much.
    pub level: Level,
    /// One JSON object a line.
    pub is_json: bool,
    /// Here instead of standard error.
    pub file: Option<PathBuf>,
}

/// Why logging could not start.
#[derive(Debug, thiserror::Error)]
pub enum LogsError {
    /// The log file cannot be written.
    #[error("cannot open the log file {0}: {1}")]
    File(PathBuf, std::io::Error),
    /// The process logs already.
    #[error("the process logs already")]
    Twice,
}

/// The running log.
#[derive(Clone, Debug)]
pub struct Logs {
    filter: reload::Handle<filter::Targets, Registry>,
    file: Option<LogFile>,
}

/// A file that can be opened anew while lines go to it.
#[derive(Clone, Debug)]
struct LogFile {
    path: PathBuf,
    current: Arc<ArcSwap<File>>,
}

impl LogFile {
    fn open(path: &Path) -> Result<Self, LogsError> {
        Ok(Self { path: path.to_owned(), current: Arc::new(ArcSwap::from_pointee(append_to(path)?)) })
    }
}

impl Write for LogFile {
    fn write(&mut self, line: &[u8]) -> io::Result<usize> {
        self.current.load().as_ref().write(line)
    }
    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

fn append_to(path: &Path) -> Result<File, LogsError> {
    OpenOptions::new().create(true).append(true).open(path).map_err(|error| LogsError::File(path.to_owned(), error))
}

impl Logs {
    /// Starts logging.
    ///
    /// # Errors
    /// See [`LogsError`].
    pub fn start(options: &LogOptions) -> Result<Self, LogsError> {
        let (filter, handle) = reload::Layer::new(options.level.targets());
        let file = options.file.as_deref().map(LogFile::open).transpose()?;
        let plain: Box<dyn Layer<_> + Send + Sync> = match (file.clone(), options.is_json) {
            (None, false) => lines::layer().with_ansi(false).with_writer(io::stderr).boxed(),
            (None, true) => lines::layer().json().with_writer(io::stderr).boxed(),
            (Some(file), false) => lines::layer().with_ansi(false).with_writer(move || file.clone()).boxed(),
            (Some(file), true) => lines::layer().json().with_writer(move || file.clone()).boxed(),
        };
        tracing_subscriber::registry().with(filter).with(plain).try_init().map_err(|_| LogsError::Twice)?;
        Ok(Self { filter: handle, file })
    }

    /// Opens the log file anew: it may have been moved away.
    ///
    /// # Errors
    /// If that fails; then lines go to the file that was open.
    pub fn reopen(&self) -> Result<(), LogsError> {
        if let Some(file) = &self.file {
            file.current.store(Arc::new(append_to(&file.path)?));
        }
        Ok(())
    }

    /// Logs this much from now on.
    pub fn set_level(&self, level: Level) {
        if let Err(error) = self.filter.reload(level.targets()) {
            tracing::warn!(%error, "the log level could not be changed");
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lines_follow_a_file_that_was_moved_away() {
        let folder = tempfile::tempdir().unwrap();
        let (path, old) = (folder.path().join("log"), folder.path().join("old"));
        let mut file = LogFile::open(&path).unwrap();
        let (filter, _) = reload::Layer::new(Level(LevelFilter::INFO).targets());
        let logs = Logs { filter: reload::Layer::handle(&filter), file: Some(file.clone()) };
        file.write_all(b"one\n").unwrap();
        std::fs::rename(&path, &old).unwrap();
        logs.reopen().unwrap();
        file.write_all(b"two\n").unwrap();
        assert_eq!((std::fs::read_to_string(&old).unwrap(), std::fs::read_to_string(&path).unwrap()), ("one\n".into(), "two\n".into()));
    }

    #[test]
    fn levels_are_known_by_all_their_names() {
        for (text, level) in
            [("warn", Some("warn")), ("WARNING", Some("warn")), ("notice", Some("info")), ("err", Some("error")), ("loud", None)]
        {
            assert_eq!(Level::parse(text).map(|level| level.to_string()).as_deref(), level, "{text}");
        }
    }
}
