//! `sys/storage/raft/…`: peers, the leader's side of joining, and autopilot's settings.

use std::sync::Arc;

use async_trait::async_trait;
use serde_json::{Map, Value, json};

use crate::barrier::Txn;
use crate::core::autopilot::{Autopilot, settings};
use crate::core::join::Joins;
use crate::core::{Context, SystemEngine, keys};
use crate::engine::{Access, Call, Data, EngineError, Operation, Reply, Route, Writes};
use crate::raft::{Member, MembershipError, RaftStatus};
use crate::types::{NodeId, Secret, Ttl};

/// The Raft group.
pub struct RaftArea {
    /// For the group itself.
    pub context: Arc<Context>,
    /// Takes nodes in.
    pub joins: Arc<Joins>,
    /// Watches them.
    pub autopilot: Arc<Autopilot>,
}

const NO_SNAPSHOTS: &str = "this server does not offer snapshots through its API yet: replicate to a secondary cluster instead";

const fn route(pattern: &'static str, operations: &'static [Operation], access: Access, writes: Writes, help: &'static str) -> Route {
    Route { pattern, operations, access, writes, help }
}

static ROUTES: &[Route] = &[
    route("storage/raft/configuration", &[Operation::Read], Access::Policy, Writes::Nothing, "List the nodes of the cluster."),
    route("storage/raft/remove-peer", &[Operation::Update], Access::Policy, Writes::Nothing, "Remove a node from the cluster."),
    route("storage/raft/snapshot", &[Operation::Read, Operation::Update], Access::Policy, Writes::Nothing, "Not there yet."),
    route("storage/raft/snapshot-force", &[Operation::Update], Access::Policy, Writes::Nothing, "Not there yet."),
    route("storage/raft/bootstrap/challenge", &[Operation::Update], Access::Anyone, Writes::Nothing, "Ask to join the cluster."),
    route("storage/raft/bootstrap/answer", &[Operation::Update], Access::Anyone, Writes::Nothing, "Prove to belong to the cluster."),
    route("storage/raft/autopilot/state", &[Operation::Read], Access::Policy, Writes::Nothing, "Show how the cluster is doing."),
    route(
        "storage/raft/autopilot/configuration",
        &[Operation::Read, Operation::Update],
        Access::Policy,
        Writes::Local,
        "Configure autopilot.",
    ),
];

#[async_trait]
impl SystemEngine for RaftArea {
    fn routes(&self) -> &'static [Route] {
        ROUTES
    }

    async fn handle(&self, call: &Call<'_>, txn: &mut Txn) -> Result<Reply, EngineError> {
        let data = call.data();
        let text = |field: &str| Ok::<_, EngineError>(data.text(field)?.unwrap_or_default());
        match (call.route.pattern, call.operation) {
            ("storage/raft/configuration", _) => Ok(Reply::json(configuration(&self.status()))),
            ("storage/raft/remove-peer", _) => self.remove(&text("server_id")?).await,
            ("storage/raft/snapshot" | "storage/raft/snapshot-force", _) => Err(EngineError::NotFound(NO_SNAPSHOTS.to_owned())),
            ("storage/raft/bootstrap/challenge", _) => self.joins.challenge(&text("server_id")?).map(Reply::json),
            ("storage/raft/bootstrap/answer", _) => {
                let name = text("server_id")?;
                let member = Member { name: name.clone(), cluster_addr: text("cluster_addr")?, api_addr: text("api_addr")? };
                let is_voter = data.flag("non_voter")? != Some(true);
                self.joins.answer(&name, &text("answer")?, member, is_voter, call.now).await.map(Reply::json)
            }
            ("storage/raft/autopilot/state", _) => Ok(Reply::json(self.autopilot.state(&settings(txn)?))),
            (_, Operation::Read) => Ok(Reply::data(settings(txn)?)),
            _ => {
                let config = changed_autopilot(settings(txn)?, data)?;
                let row = serde_json::to_vec(&config).expect("texts and numbers are JSON");
                txn.put(keys::autopilot(), Secret::new(row));
                Ok(Reply::empty())
            }
        }
    }
}

impl RaftArea {
    fn status(&self) -> RaftStatus {
        self.context.raft.status().borrow().clone()
    }

    async fn remove(&self, server_id: &str) -> Result<Reply, EngineError> {
        if server_id.is_empty() {
            return Err(EngineError::invalid("no server id provided"));
        }
        match self.context.raft.remove_peer(NodeId::of_name(server_id)).await {
            Ok(()) => {
                tracing::warn!(node = server_id, "a node was removed from the cluster");
                Ok(Reply::empty())
            }
            // As Vault does.
            Err(MembershipError::Unknown) => Ok(Reply::empty()),
            Err(MembershipError::NotLeader) => Err(EngineError::Unavailable("node is not the leader".to_owned())),
            Err(MembershipError::Busy(reason)) => Err(EngineError::Invalid(reason)),
        }
    }
}

fn configuration(raft: &RaftStatus) -> Value {
    let servers: Vec<Value> = raft
        .peers
        .iter()
        .map(|peer| {
            json!({
                "node_id": peer.member.name,
                "address": peer.member.cluster_addr,
                "leader": raft.leader == Some(peer.id),
                "protocol_version": "3",
                "voter": peer.is_voter,
            })
        })
        .collect();
    json!({ "config": { "index": 0, "servers": servers } })
}

/// Checks and takes what an operator changes. Dead servers are never removed by themselves, so that is refused.
fn changed_autopilot(mut config: Map<String, Value>, data: &Data) -> Result<Map<String, Value>, EngineError> {
    for field in ["last_contact_threshold", "dead_server_last_contact_threshold", "server_stabilization_time"] {
        if let Some(length) = data.ttl(field)? {
            if field == "dead_server_last_contact_threshold" && length < Ttl(60) {
                return Err(EngineError::Invalid(format!("{field} should not be set to less than 1m; received: {length}")));
            }
            config.insert(field.to_owned(), json!(length.go_string()));
        }
    }
    for field in ["max_trailing_logs", "min_quorum"] {
        if let Some(number) = data.integer(field)? {
            config.insert(field.to_owned(), json!(number));
        }
    }
    if data.flag("cleanup_dead_servers")? == Some(true) {
        let min_quorum = config.get("min_quorum").and_then(Value::as_i64).unwrap_or(0);
        return Err(EngineError::Invalid(if min_quorum < 3 {
            format!(
                "min_quorum must be set when cleanup_dead_servers is set and it should at least be 3; cleanup_dead_servers: true, min_quorum: {min_quorum}"
            )
        } else {
            "cleanup_dead_servers is not supported by this server".to_owned()
        }));
    }
    if data.flag("disable_upgrade_migration")? == Some(true) {
        return Err(EngineError::invalid("disable_upgrade_migration is only available in Vault Enterprise"));
    }
    Ok(config)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::raft::Peer;

    fn three() -> RaftStatus {
        let peer = |name: &str, is_voter| {
            let member = Member { name: name.into(), cluster_addr: format!("{name}:8201"), api_addr: format!("http://{name}:8200") };
            Peer { id: NodeId::of_name(name), member, is_voter }
        };
        let peers = vec![peer("a", true), peer("b", true), peer("c", false)];
        RaftStatus { id: peers[0].id, leader: Some(peers[0].id), is_leader: true, peers, ..RaftStatus::default() }
    }

    #[test]
    fn peers_are_listed_as_clients_expect() {
        let listed = configuration(&three());
        let servers = listed["config"]["servers"].as_array().unwrap();
        assert_eq!(servers[0], json!({ "node_id": "a", "address": "a:8201", "leader": true, "protocol_version": "3", "voter": true }));
        assert_eq!(servers[2], json!({ "node_id": "c", "address": "c:8201", "leader": false, "protocol_version": "3", "voter": false }));
    }

    #[test]
    fn settings_of_autopilot_are_checked() {
        let change = |data: Value| changed_autopilot(Map::new(), &Data(super::super::object(data))).map_err(|error| error.to_string());
        assert_eq!(change(json!({ "last_contact_threshold": "20s" })).unwrap()["last_contact_threshold"], "20s");
        let short = change(json!({ "dead_server_last_contact_threshold": "30s" })).unwrap_err();
        assert_eq!(short, "dead_server_last_contact_threshold should not be set to less than 1m; received: 30s");
        let dead = change(json!({ "cleanup_dead_servers": true, "min_quorum": 0 })).unwrap_err();
        assert!(dead.starts_with("min_quorum must be set when cleanup_dead_servers is set"));
        assert!(change(json!({ "cleanup_dead_servers": true })).is_err());
    }
}
