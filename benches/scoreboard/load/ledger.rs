//! What was tried and acknowledged, key by key: what a read-back is compared with. `tests/scoreboard.rs` tests it.

use std::fs;
use std::path::Path;

use serde::{Deserialize, Serialize};

/// One key. A write carries the number of its attempt, counted from one.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Entry {
    /// Writes sent.
    pub attempts: u64,
    /// Writes acknowledged.
    pub acknowledged: u64,
    /// The attempt that was acknowledged last.
    pub last_acknowledged: u64,
    /// Several clients wrote it at once, so nobody knows in which order.
    #[serde(default)]
    pub contended: bool,
}

impl Entry {
    /// Whether a key whose newest value is of `attempt`, and which was written `versions` times, agrees with what was acknowledged.
    ///
    /// Nothing acknowledged may be missing: the newest value is the last acknowledged, or one sent after it whose answer was lost; and
    /// the store counts at least as many versions as were acknowledged, at most as many as were sent.
    /// Of a contended key any attempt may be the newest, but none may be missing all the same.
    pub fn agrees(&self, attempt: u64, versions: u64) -> bool {
        let oldest = if self.contended { 1 } else { self.last_acknowledged };
        (oldest..=self.attempts).contains(&attempt) && (self.acknowledged..=self.attempts).contains(&versions)
    }
}

/// All keys, and tokens that were handed out.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Ledger {
    pub keys: Vec<Entry>,
    pub tokens: Vec<String>,
}

impl Ledger {
    /// The ledger at `path`; an empty one if there is none.
    ///
    /// # Errors
    /// If it is there and cannot be read.
    pub fn read(path: &Path) -> anyhow::Result<Self> {
        if !path.exists() {
            return Ok(Self::default());
        }
        Ok(serde_json::from_str(&fs::read_to_string(path)?)?)
    }

    /// # Errors
    /// If it cannot be written.
    pub fn write(&self, path: &Path) -> anyhow::Result<()> {
        Ok(fs::write(path, serde_json::to_string(self)?)?)
    }
}
