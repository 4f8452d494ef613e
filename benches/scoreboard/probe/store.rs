//! What a row costs in Coffer's storage: RocksDB below, without sync, which is the Raft log's.

use std::path::Path;

use bytes::Bytes;
use coffer::machine::{Batch, Command, Op, Stage};
use coffer::storage::{Physical, PhysicalView, RocksOptions, RocksStore};
use coffer::types::{Index, Key, Timestamp};

use super::thread_cpu_us;

/// Processor time of one read and of one write of 256 bytes among `rows` rows, in microseconds.
pub fn probe(folder: &Path, rows: u32) -> anyhow::Result<(f64, f64)> {
    let store = RocksStore::open(RocksOptions::new(folder.join("store")))?;
    let key = |row: u32| Key::shared(format!("logical/probe/{row:08}"));
    let before = thread_cpu_us();
    for row in 0..rows {
        let op = Op::Put { key: key(row), value: Bytes::from(vec![7; 256]) };
        let command = Command::Write(Batch { ops: vec![op], at: Timestamp(7), ..Batch::default() });
        let view = PhysicalView(&store);
        let mut stage = Stage::new(&view);
        stage.apply(Index(u64::from(row) + 1), &command)?;
        store.commit(&stage.into_applied(), &vec![("applied", row.to_be_bytes().to_vec())])?;
    }
    let written = thread_cpu_us();
    let mut row = 0;
    for _ in 0..rows {
        // All rows, in an order that jumps.
        row = (row + 7919) % rows;
        anyhow::ensure!(store.get(&key(row))?.is_some(), "a row is gone");
    }
    Ok(((thread_cpu_us() - written) / f64::from(rows), (written - before) / f64::from(rows)))
}
