//! The admin socket of a test build, `chaos.sock` in the data folder: what a node says of itself to a checker.

use std::path::PathBuf;
use std::sync::Arc;

use serde_json::json;
use tokio_util::sync::CancellationToken;

use crate::chaos;
use crate::machine::root_of;
use crate::raft::{Consensus, Raft};
use crate::storage::Physical;
use crate::types::Scope;

/// The socket's name in the data folder.
const SOCKET: &str = "chaos.sock";

/// Serves the socket until `stop`. A node without one runs all the same: whoever needs it will notice.
pub async fn serve(folder: PathBuf, store: Arc<dyn Physical>, raft: Arc<Raft>, stop: CancellationToken) {
    tracing::warn!("{}", chaos::MARKER);
    let dump = Arc::new(move || dump(&*store, &raft));
    let path = folder.join(SOCKET);
    let served = tokio::select! {
        () = stop.cancelled() => return,
        served = chaos::serve(&path, dump) => served,
    };
    if let Err(error) = served {
        tracing::error!(%error, "there is no chaos socket");
    }
}

/// Positions, roots of the trees, Raft's metrics. Numbers and hashes only: no row, no key, no secret.
fn dump(store: &dyn Physical, raft: &Raft) -> String {
    // One moment: positions and roots belong together.
    let reader = store.reader();
    let (positions, role) = (reader.positions(), reader.role());
    let root = |scope| hex::encode(root_of(reader.pages(scope).iter()));
    let status = raft.status().borrow().clone();
    let peers: Vec<_> = status.peers.iter().map(|peer| json!({ "name": peer.member.name, "votes": peer.is_voter })).collect();
    json!({
        "role": role.mode(),
        "set": role.set().map(|set| set.to_string()),
        "generation": role.generation().0,
        "performance": positions.performance.wal.0,
        "history": hex::encode(positions.performance.history.0),
        "dr": positions.dr.0,
        "kept": { "first": store.records_kept().first.0, "last": store.records_kept().last.0 },
        "roots": { "shared": root(Scope::Shared), "local": root(Scope::Local) },
        "raft": {
            "id": status.id.0,
            "leader": status.leader.map(|leader| leader.0),
            "leads": status.is_leader,
            "term": status.term.0,
            "committed": status.committed.0,
            "applied": status.applied.0,
            "removed": status.is_removed,
            "peers": peers,
            "metrics": raft.metrics_in_words(),
        },
        "clock_offset_ms": chaos::clock_offset_ms(),
        "failpoints": chaos::hits().into_iter().filter(|(_, hits)| *hits > 0).collect::<std::collections::BTreeMap<_, _>>(),
    })
    .to_string()
}
