//! Starting this node's part of the Raft group.
//!
//! A node may start before the group exists: it then serves its [`super::transport::Receiver`] and waits for a leader to add it,
//! or for [`super::Consensus::bootstrap`]. Not here: what is done with a running group (`handle`).

use std::path::PathBuf;
use std::sync::atomic::AtomicBool;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use tokio::sync::{Mutex as AsyncMutex, Notify, RwLock};
use tokio::time::Instant;

use super::adapter::{StateMachine, stored_state};
use super::compaction::Compaction;
use super::config::config;
use super::contact::{Heard, RoundTrips};
use super::disk::{Disk, SystemDisk};
use super::handle::Raft;
use super::log::{self, LOG, LogStore};
use super::log_file::{FORMAT, foreign_format};
use super::network::Network;
use super::reach::Reach;
use super::receiver::Gated;
use super::snapshot::Shelf;
use super::succession::{Succession, lead_again};
use super::transport::Transport;
use super::{Observer, watcher};
use crate::pool::off_thread;
use crate::storage::Physical;
use crate::types::NodeId;

/// How this node takes part.
#[derive(Clone, Debug)]
pub struct Options {
    /// This node.
    pub node_id: NodeId,
    /// Where the log, the vote and snapshots lie: a folder of their own, made if missing. The state lies elsewhere (`storage`).
    pub folder: PathBuf,
    /// What the log is written to.
    pub disk: Arc<dyn Disk>,
    /// How often the leader speaks, and the life of one append message.
    pub heartbeat_interval: Duration,
    /// Shortest and longest wait without a leader before a node stands for election; the longest is also the leader's lease.
    pub election_timeout: (Duration, Duration),
    /// A snapshot is taken after this many entries since the last one,
    pub snapshot_entries: u64,
    /// or after this many bytes of entries.
    pub snapshot_bytes: u64,
    /// Entries kept in the log behind the last snapshot, so that a node that was away need not be sent a snapshot.
    pub log_keep_entries: u64,
    /// Most bytes of the log that are kept for that reason.
    pub log_keep_bytes: u64,
}

impl Options {
    /// What a server uses.
    pub fn new(node_id: NodeId, folder: impl Into<PathBuf>) -> Self {
        Self {
            node_id,
            folder: folder.into(),
            disk: Arc::new(SystemDisk),
            heartbeat_interval: Duration::from_millis(100),
            election_timeout: (Duration::from_millis(300), Duration::from_millis(500)),
            snapshot_entries: 100_000,
            snapshot_bytes: 256 * 1024 * 1024,
            log_keep_entries: 100_000,
            log_keep_bytes: 512 * 1024 * 1024,
        }
    }
}

/// Why this node cannot take part.
#[derive(Debug, thiserror::Error)]
pub enum StartError {
    /// The log or the state cannot be read.
    #[error("{action}")]
    Io {
        /// What was attempted.
        action: &'static str,
        /// The system's own words.
        #[source]
        source: std::io::Error,
    },
    /// Another version of Coffer wrote the log.
    #[error(
        "the raft log has format {found} and this build reads format {FORMAT}: another version of Coffer wrote this data folder; \
         start that version, or remove this node from the cluster, clear its data folder and join it anew"
    )]
    Format {
        /// The log's.
        found: u8,
    },
    /// The log lost what this node had acknowledged: it must not vote again under this name.
    #[error(
        "the raft log ends at entry {found} and has lost entries or votes that this node acknowledged (its state is at entry {applied}): \
         remove this node from the cluster, clear its data folder and join it anew"
    )]
    LogTooShort {
        /// Where the log ends.
        found: u64,
        /// Where the state stands.
        applied: u64,
    },
    /// openraft refuses.
    #[error("start raft: {0}")]
    Raft(String),
}

/// Recovers the log, brings the state up to what is known to be committed, and takes part.
///
/// # Errors
/// See [`StartError`].
pub async fn start(
    options: Options,
    store: Arc<dyn Physical>,
    transport: Arc<dyn Transport>,
    observer: Arc<dyn Observer>,
) -> Result<Raft, StartError> {
    let io = |action: &'static str| move |source: std::io::Error| StartError::Io { action, source };
    let config = Arc::new(config(&options)?);
    let foreign = foreign_format(&*options.disk, &options.folder.join(LOG)).map_err(io("open the raft log"))?;
    if let Some(found) = foreign {
        return Err(StartError::Format { found });
    }
    let (applied, _) = stored_state(&*store).map_err(io("read how far the state reaches"))?;
    let (folder, disk) = (options.folder.clone(), options.disk.clone());
    let opened = off_thread(move || -> Result<(LogStore, Shelf), StartError> {
        std::fs::create_dir_all(&folder).map_err(io("make the raft folder"))?;
        Ok((log::open(&disk, &folder, applied)?, Shelf::open(&folder).map_err(io("open the snapshots"))?))
    });
    let (log, shelf) = opened.await.map_err(|error| StartError::Raft(error.to_string()))??;
    let (log_control, shelf) = (log.control(), Arc::new(shelf));
    let state_machine = StateMachine::open(store.clone(), observer, shelf.clone()).map_err(io("read the state"))?;
    // The process may have died when it had installed a snapshot of its leader and not yet put one on its own shelf. The log does not
    // lead from an older one to the state, so whoever were sent that would be asked for entries that nobody has.
    if let (Some(applied), Some(shelved)) = (applied, shelf.current())
        && !log_control.leads(shelved.meta.last_log_id, applied)
    {
        state_machine.take().await.map_err(io("take a snapshot"))?;
        tracing::info!(%applied, "a snapshot was taken: the log does not reach back to the last one");
    }
    let me = options.node_id.0;
    let told_removed = Arc::new(tokio::sync::watch::Sender::new(false));
    let (round_trips, stall) = (RoundTrips::default(), options.heartbeat_interval * 10);
    let network = Network { transport: transport.clone(), me, told_removed: told_removed.clone(), stall, round_trips: round_trips.clone() };

    // A leader reads under a lease that its followers' answers gave it. One of them that restarts has forgotten when it answered,
    // so it waits out the longest lease before it stands, or votes for anyone but that leader: whoever asks for votes reads under no
    // lease. Whoever voted for itself last has promised nothing.
    let vote = log_control.vote();
    let promised_to = vote.map(|vote| vote.leader_id.voted_for).filter(|leader| *leader != me && !bug!(140));
    let wait = if promised_to.is_some() { options.election_timeout.1 } else { Duration::ZERO };
    let has_led = vote.is_some_and(|vote| vote.committed && vote.leader_id.voted_for == me);

    let raft = openraft::Raft::build(me, config, network, log, state_machine).await;
    let raft = raft.map_err(|error| StartError::Raft(error.to_string()))?;
    raft.run();
    let (heard, broke) = (Arc::new(Heard::default()), Arc::new(Notify::new()));
    let reach = Arc::new(Reach {
        raft: raft.clone(),
        transport,
        beat: options.heartbeat_interval,
        missed: stall,
        measuring: AsyncMutex::new(()),
        handed: Mutex::default(),
    });
    let (heir, named) = tokio::sync::watch::channel(None);
    let receiver = Gated {
        raft: raft.clone(),
        log: log_control.clone(),
        shelf,
        gate: Arc::new(RwLock::new(())),
        installing: AsyncMutex::new(()),
        votes_from: Instant::now() + wait,
        promised_to,
        heard: heard.clone(),
        broke: broke.clone(),
        reach: reach.clone(),
    };
    let closing = Arc::new(AtomicBool::new(false));
    let elections = {
        let (raft, again, give_up) = (raft.clone(), options.heartbeat_interval, Instant::now() + options.election_timeout.1 * 2);
        tokio::spawn(async move {
            tokio::time::sleep(wait).await;
            raft.runtime_config().elect(true);
            if has_led {
                lead_again(&raft, again, give_up).await;
            }
        })
    };
    let succession = Succession {
        raft: raft.clone(),
        broke,
        heard: heard.clone(),
        lease: options.election_timeout.1,
        step: options.heartbeat_interval / 2,
    };
    let (status, watching) = watcher::spawn(
        raft.clone(),
        options.node_id,
        options.folder.clone(),
        told_removed.subscribe(),
        named,
        closing.clone(),
        options.election_timeout.1,
        round_trips.clone(),
        heard,
    );
    let compaction = Compaction { raft: raft.clone(), store: store.clone(), log: log_control.clone(), options };
    let lines = tokio::spawn(reach.watch(round_trips.clone(), heir));
    let tasks = vec![elections, watching, lines, tokio::spawn(compaction.run()), tokio::spawn(succession.run())];
    Ok(Raft::new(raft, log_control, store, Arc::new(receiver), round_trips, status, closing, tasks))
}
