//! No local row is ever in a record for secondaries, nor what belongs to a local mount.

use coffer::machine::{Op, decode_record};
use coffer::types::Scope;

use super::{Commit, Invariant};

/// In the names of all that is written to local mounts, so that it is recognized wherever it turns up.
pub const LOCAL_CANARY: &str = "stays-here";

/// Nothing is kept: each record is looked into.
#[derive(Default)]
pub struct LocalRowsStay;

impl Invariant for LocalRowsStay {
    fn name(&self) -> &'static str {
        "local rows stay in their cluster"
    }
    fn commits(&mut self, commit: &Commit<'_>) -> Result<(), String> {
        for (wal, record) in commit.applied.iter().flat_map(|applied| &applied.records) {
            let decoded = decode_record(record).map_err(|error| format!("record {wal} cannot be read: {error}"))?;
            for op in &decoded.ops {
                let (Op::Put { key, .. } | Op::Delete { key }) = op;
                if key.scope != Scope::Shared || key.path.contains(LOCAL_CANARY) {
                    return Err(format!("record {wal} carries {:?} {}", key.scope, key.path));
                }
            }
        }
        for row in commit.applied.iter().flat_map(|applied| &applied.rows) {
            if row.key.scope == Scope::Shared && row.key.path.contains(LOCAL_CANARY) {
                return Err(format!("{} became a shared row", row.key.path));
            }
        }
        Ok(())
    }
}
