//! Autopilot: how the nodes of this cluster are doing, as its active node measures it. It watches; it removes nobody.
//!
//! Not here: the paths of the API (`sys::raft`), the measuring of contacts (`raft`), making voters of learners (`raft`).

use std::collections::BTreeMap;
use std::fmt;
use std::sync::{Arc, Mutex, MutexGuard};
use std::time::Duration;

use async_trait::async_trait;
use serde_json::{Map, Value, json};
use tokio::task::JoinHandle;

use super::lifecycle::{ActivePart, StartError};
use super::{Context, keys};
use crate::barrier::{BarrierError, Txn};
use crate::raft::{Contact, Contacts, Peer, RaftStatus};
use crate::types::{API_VERSION, NodeId, Timestamp, Ttl, go_duration};

const HEALTHY: &str = "vault.autopilot.healthy";
const FAILURE_TOLERANCE: &str = "vault.autopilot.failure_tolerance";
const NODE_HEALTHY: &str = "vault.autopilot.node.healthy";

/// How often it looks while nobody asks.
const LOOK_EVERY: Duration = Duration::from_secs(2);

/// What is stored, or what holds unless something is.
///
/// # Errors
/// If it cannot be read.
pub fn settings(txn: &mut Txn) -> Result<Map<String, Value>, BarrierError> {
    let stored = txn.get(&keys::autopilot())?;
    let stored = stored.and_then(|row| serde_json::from_slice(row.expose()).ok());
    Ok(stored.unwrap_or_else(|| {
        super::sys::object(json!({
            "cleanup_dead_servers": false,
            "dead_server_last_contact_threshold": "24h0m0s",
            "disable_upgrade_migration": false,
            "last_contact_threshold": "10s",
            "max_trailing_logs": 1000,
            "min_quorum": 0,
            "server_stabilization_time": "10s",
        }))
    }))
}

/// What makes a node unhealthy.
#[derive(Clone, Copy, Debug)]
struct Thresholds {
    last_contact: Duration,
    trailing: u64,
}

impl Thresholds {
    fn of(settings: &Map<String, Value>) -> Self {
        let contact = settings.get("last_contact_threshold").and_then(Value::as_str).and_then(|text| Ttl::parse(text).ok());
        let trailing = settings.get("max_trailing_logs").and_then(Value::as_u64);
        Self { last_contact: contact.unwrap_or(Ttl(10)).duration(), trailing: trailing.unwrap_or(1000) }
    }
}

/// A node, as it is now.
#[derive(Clone, Debug)]
struct Server {
    peer: Peer,
    is_leader: bool,
    contact: Option<Contact>,
    node_status: &'static str,
    is_healthy: bool,
}

/// The leader is healthy: it leads, so a majority answers it. Another node is if it answers in time and lacks few entries.
fn judge(raft: &RaftStatus, contacts: &Contacts, thresholds: Thresholds) -> Vec<Server> {
    let server = |peer: &Peer| {
        let is_leader = raft.leader == Some(peer.id);
        let contact = contacts.peers.get(&peer.id).copied();
        let node_status = match contact.and_then(|contact| contact.answered) {
            _ if is_leader => "alive",
            Some(ago) if ago <= thresholds.last_contact => "alive",
            Some(_) => "failed",
            None => "unknown",
        };
        let lacks = contacts.last.0.saturating_sub(contact.map_or(0, |contact| contact.matched.0));
        let is_healthy = is_leader || node_status == "alive" && lacks <= thresholds.trailing;
        Server { peer: peer.clone(), is_leader, contact, node_status, is_healthy }
    };
    raft.peers.iter().map(server).collect()
}

/// How many of these may fail before there is no majority of voters.
fn failure_tolerance(servers: &[Server]) -> usize {
    let voters = servers.iter().filter(|server| server.peer.is_voter);
    let (all, healthy) = voters.fold((0, 0), |(all, healthy), voter| (all + 1, healthy + usize::from(voter.is_healthy)));
    usize::saturating_sub(healthy, if bug!(161) { healthy } else { all } / 2 + 1)
}

/// Looks after the cluster, on its active node.
pub struct Autopilot {
    ctx: Arc<Context>,
    /// Since when each node has been as healthy as it is, by this node's clock.
    seen: Mutex<BTreeMap<NodeId, (bool, Timestamp)>>,
    task: Mutex<Option<JoinHandle<()>>>,
}

impl fmt::Debug for Autopilot {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Autopilot")
    }
}

impl Autopilot {
    /// Answers at once; looks by itself once it is started.
    pub fn new(ctx: Arc<Context>) -> Arc<Self> {
        Arc::new(Self { ctx, seen: Mutex::default(), task: Mutex::default() })
    }

    fn seen(&self) -> MutexGuard<'_, BTreeMap<NodeId, (bool, Timestamp)>> {
        self.seen.lock().expect("no holder of this lock panics")
    }

    /// The servers now, and since when each has been so.
    fn look(&self, settings: &Map<String, Value>) -> Vec<(Server, Timestamp)> {
        let now = self.ctx.now();
        let servers = judge(&self.ctx.raft.status().borrow(), &self.ctx.raft.contacts(), Thresholds::of(settings));
        let mut seen = self.seen();
        seen.retain(|id, _| servers.iter().any(|server| server.peer.id == *id));
        let since = |server: Server| {
            let (was, since) = seen.entry(server.peer.id).or_insert((server.is_healthy, now));
            if *was != server.is_healthy {
                (*was, *since) = (server.is_healthy, now);
            }
            let since = *since;
            (server, since)
        };
        servers.into_iter().map(since).collect()
    }

    /// `autopilot/state`.
    pub fn state(&self, settings: &Map<String, Value>) -> Value {
        shown(&self.look(settings), &self.ctx.raft.status().borrow())
    }

    fn measure(&self) {
        let Ok(settings) = self.ctx.begin().map_err(drop).and_then(|mut txn| settings(&mut txn).map_err(drop)) else { return };
        let servers: Vec<Server> = self.look(&settings).into_iter().map(|(server, _)| server).collect();
        let truth = |is: bool| if is { 1.0 } else { 0.0 };
        metrics::gauge!(HEALTHY).set(truth(servers.iter().all(|server| server.is_healthy)));
        metrics::gauge!(FAILURE_TOLERANCE).set(f64::from(u32::try_from(failure_tolerance(&servers)).unwrap_or(u32::MAX)));
        for server in &servers {
            metrics::gauge!(NODE_HEALTHY, "node_id" => server.peer.member.name.clone()).set(truth(server.is_healthy));
        }
    }
}

#[async_trait]
impl ActivePart for Arc<Autopilot> {
    fn name(&self) -> &'static str {
        "autopilot"
    }

    async fn start(&self) -> Result<(), StartError> {
        let autopilot = self.clone();
        let task = tokio::spawn(async move {
            let mut tick = tokio::time::interval(LOOK_EVERY);
            loop {
                tick.tick().await;
                autopilot.measure();
            }
        });
        *self.task.lock().expect("no holder of this lock panics") = Some(task);
        Ok(())
    }

    async fn stop(&self) {
        let task = self.task.lock().expect("no holder of this lock panics").take();
        if let Some(task) = task {
            task.abort();
            let _ = task.await;
        }
        // What only the active node knows is no number elsewhere.
        metrics::gauge!(HEALTHY).set(f64::NAN);
        metrics::gauge!(FAILURE_TOLERANCE).set(f64::NAN);
        let names: BTreeMap<NodeId, String> =
            self.ctx.raft.status().borrow().peers.iter().map(|peer| (peer.id, peer.member.name.clone())).collect();
        for (id, _) in std::mem::take(&mut *self.seen()) {
            if let Some(name) = names.get(&id) {
                metrics::gauge!(NODE_HEALTHY, "node_id" => name.clone()).set(f64::NAN);
            }
        }
    }
}

fn shown(servers: &[(Server, Timestamp)], raft: &RaftStatus) -> Value {
    let names = |voters: bool| -> Vec<&str> {
        let of_kind = servers.iter().filter(|(server, _)| server.peer.is_voter == voters);
        of_kind.map(|(server, _)| server.peer.member.name.as_str()).collect()
    };
    let all: Vec<Server> = servers.iter().map(|(server, _)| server.clone()).collect();
    let each: Map<String, Value> =
        servers.iter().map(|(server, since)| (server.peer.member.name.clone(), server_shown(server, *since, raft))).collect();
    json!({
        "healthy": all.iter().all(|server| server.is_healthy),
        "failure_tolerance": failure_tolerance(&all),
        "leader": raft.leader_peer().map_or("", |peer| peer.member.name.as_str()),
        "voters": names(true),
        "non_voters": names(false),
        "servers": each,
    })
}

fn server_shown(server: &Server, since: Timestamp, raft: &RaftStatus) -> Value {
    let status = match (server.is_leader, server.peer.is_voter) {
        (true, _) => "leader",
        (false, true) => "voter",
        (false, false) => "non-voter",
    };
    let mut shown = json!({
        "id": server.peer.member.name,
        "name": server.peer.member.name,
        "address": server.peer.member.cluster_addr,
        "node_status": server.node_status,
        "healthy": server.is_healthy,
        "stable_since": since.rfc3339(),
        "status": status,
        "version": API_VERSION,
        "node_type": if server.peer.is_voter { "voter" } else { "read-replica" },
    });
    // Of a node that has answered nothing yet, nothing is known: left out rather than made up.
    if server.is_leader {
        shown["last_contact"] = json!("0s");
        shown["last_term"] = json!(raft.term.0);
        shown["last_index"] = json!(raft.committed.0);
    } else if let Some((contact, ago)) = server.contact.and_then(|contact| Some((contact, contact.answered?))) {
        shown["last_contact"] = json!(go_duration(ago));
        shown["last_term"] = json!(contact.matched_term.0);
        shown["last_index"] = json!(contact.matched.0);
    }
    shown
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::raft::Member;
    use crate::types::{Index, Term};

    fn cluster(votes: &[bool]) -> RaftStatus {
        let peer = |(n, is_voter): (usize, &bool)| {
            let name = ["a", "b", "c", "d"][n].to_owned();
            Peer { id: NodeId(n as u64 + 1), member: Member { name, ..Member::default() }, is_voter: *is_voter }
        };
        let peers = votes.iter().enumerate().map(peer).collect();
        RaftStatus {
            id: NodeId(1),
            leader: Some(NodeId(1)),
            is_leader: true,
            term: Term(3),
            committed: Index(5000),
            peers,
            ..RaftStatus::default()
        }
    }

    /// `others`: seconds since the last answer, and the last entry held.
    #[track_caller]
    fn check(votes: &[bool], others: &[Option<(u64, u64)>], healthy: &[bool], tolerance: usize) -> Value {
        let raft = cluster(votes);
        let contact = |(n, known): (usize, &Option<(u64, u64)>)| {
            let answered = known.map(|(secs, _)| Duration::from_millis(secs * 1000 + 250));
            let matched = Index(known.map_or(0, |(_, matched)| matched));
            (NodeId(n as u64 + 2), Contact { answered, matched, matched_term: Term(2), round_trip: None })
        };
        let contacts = Contacts { last: Index(5000), peers: others.iter().enumerate().map(contact).collect(), leader: None };
        let servers = judge(&raft, &contacts, Thresholds { last_contact: Duration::from_secs(10), trailing: 1000 });
        assert_eq!(servers.iter().map(|server| server.is_healthy).collect::<Vec<_>>(), healthy);
        assert_eq!(failure_tolerance(&servers), tolerance);
        let servers: Vec<(Server, Timestamp)> = servers.into_iter().map(|server| (server, Timestamp(1))).collect();
        shown(&servers, &raft)
    }

    #[test]
    fn a_node_is_healthy_if_it_answers_in_time_and_lacks_little() {
        check(&[true], &[], &[true], 0);
        let state = check(&[true, true, true], &[Some((0, 5000)), Some((1, 4000))], &[true, true, true], 1);
        assert_eq!((&state["healthy"], &state["servers"]["b"]["last_contact"]), (&json!(true), &json!("250ms")));
        assert_eq!((&state["servers"]["c"]["last_index"], &state["servers"]["c"]["last_term"]), (&json!(4000), &json!(2)));
        let state = check(&[true, true, true], &[Some((75, 5000)), Some((0, 5000))], &[true, false, true], 0);
        assert_eq!((&state["servers"]["b"]["node_status"], &state["servers"]["b"]["last_contact"]), (&json!("failed"), &json!("1m15.25s")));
        check(&[true, true, true], &[Some((0, 3999)), Some((0, 5000))], &[true, false, true], 0);
        let one_away = [Some((75, 5000)), Some((0, 5000)), Some((0, 5000))];
        check(&[true; 4], &one_away, &[true, false, true, true], 0);
        let state = check(&[true, true, false], &[Some((0, 5000)), None], &[true, true, false], 0);
        assert_eq!((&state["healthy"], &state["servers"]["c"]["node_status"]), (&json!(false), &json!("unknown")));
        assert!(state["servers"]["c"].get("last_contact").is_none());
        assert_eq!(
            (&state["voters"], &state["non_voters"], &state["servers"]["c"]["status"]),
            (&json!(["a", "b"]), &json!(["c"]), &json!("non-voter"))
        );
    }
}
