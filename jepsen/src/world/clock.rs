//! A node's wall clock, bent by `libfaketime` that is preloaded into its process. The clock of the machine is never set.
//!
//! The monotonic clock stays right: timers are not what is tested. A program that is linked statically cannot be bent.

use std::fs;
use std::path::{Path, PathBuf};

/// Where distributions put the library.
const PLACES: &[&str] = &[
    "/usr/lib/x86_64-linux-gnu/faketime/libfaketimeMT.so.1",
    "/usr/lib/aarch64-linux-gnu/faketime/libfaketimeMT.so.1",
    "/usr/lib64/faketime/libfaketimeMT.so.1",
    "/usr/lib/faketime/libfaketimeMT.so.1",
];

/// The library, if this machine has it.
pub fn library() -> Option<&'static Path> {
    PLACES.iter().map(Path::new).find(|path| path.exists())
}

/// The clock of one node.
#[derive(Clone, Debug)]
pub struct Clock {
    library: &'static Path,
    control: PathBuf,
}

impl Clock {
    /// A clock that is right, for now.
    ///
    /// # Errors
    /// Without the library, or if the control file cannot be written.
    pub fn new(control: PathBuf) -> Result<Self, String> {
        let library = library().ok_or("libfaketime is not installed: `apt-get install faketime`")?;
        let clock = Self { library, control };
        clock.shift(0)?;
        Ok(clock)
    }

    /// What the process needs in its environment.
    pub fn env(&self) -> Vec<(String, String)> {
        let control = self.control.display().to_string();
        let library = self.library.display().to_string();
        let pairs = [
            ("LD_PRELOAD", library.as_str()),
            ("FAKETIME_TIMESTAMP_FILE", &control),
            // Looked at again each second.
            ("FAKETIME_CACHE_DURATION", "1"),
            ("FAKETIME_DONT_FAKE_MONOTONIC", "1"),
        ];
        pairs.map(|(name, value)| (name.to_owned(), value.to_owned())).to_vec()
    }

    /// Sets the clock this many seconds off, within a second.
    ///
    /// # Errors
    /// If the control file cannot be written.
    pub fn shift(&self, seconds: i64) -> Result<(), String> {
        // Renamed into place: the library must not read half a number.
        let fresh = self.control.with_extension("new");
        let written = fs::write(&fresh, format!("{seconds:+}\n")).and_then(|()| fs::rename(&fresh, &self.control));
        written.map_err(|error| format!("{}: {error}", self.control.display()))
    }
}
