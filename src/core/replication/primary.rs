//! What an operator does to a primary, and what a primary answers its secondaries.

use std::time::Duration;

use serde_json::{Map, Value};

use super::adopt::raw_rows;
use super::bundle::Bundle;
use super::record::{RoleRecord, SecondaryRecord};
use super::secondary::told_addrs;
use super::{Replication, cannot};
use crate::barrier::Txn;
use crate::core::{BootstrapPackage, keys};
use crate::crypto::cert::{Authority, Peer, SECONDARY_LIFE};
use crate::crypto::entropy::random_uuid;
use crate::engine::{Body, Call, EngineError, Reply};
use crate::machine::Role;
use crate::types::limits::SECONDARIES_MAX;
use crate::types::{Generation, Secret, SetId, Ttl};

const ENABLED: &str = "This cluster is being enabled as a primary for replication. Vault will be unavailable for a brief period and \
                       will resume service shortly.";
const DEMOTED: &str = "This cluster is being demoted to a replication secondary. Vault will be unavailable for a brief period and \
                       will resume service shortly.";
pub(super) const DISABLED: &str = "This cluster is having replication disabled. Vault will be unavailable for a brief period and \
                                   will resume service shortly.";
const NO_ADDRESS: &str = "No redirect address set in Vault so none could be encoded in the token. You may need to supply Vault's API \
                          address when unwrapping the token.";

const NO_SHARED_WRITES: &str = "No cluster of this set takes shared writes until one of them is promoted. Its secondaries need activation tokens \
                                of the new primary.";
const REVOKED: &str = "this secondary was revoked: get a new activation token from primary/secondary-token and hand it to \
                       secondary/update-primary, or end replication with secondary/disable";
const NO_LONGER_PRIMARY: &str = "that cluster is not a performance primary: point this secondary to the one that is, with \
                                 secondary/update-primary";

/// How long an activation token is good, unless the operator says otherwise.
const TOKEN_TTL: Ttl = Ttl(30 * 60);
/// How long a demotion waits for secondaries that are connected, and how often it looks.
const DRAIN_MAX: Duration = Duration::from_secs(5);
const DRAIN_EVERY: Duration = Duration::from_millis(10);
const ID_BYTES_MAX: usize = 128;

/// A warning for each secondary that does not have all that this primary acknowledged, as the links know it.
fn lacking(links: &Map<String, Value>) -> Vec<String> {
    let secondaries = links.get("secondaries").and_then(Value::as_array).cloned().unwrap_or_default();
    let lacks = |secondary: &Value| Some((secondary["node_id"].as_str()?.to_owned(), secondary["lag_records"].as_u64()?));
    let behind = secondaries.iter().filter_map(lacks).filter(|(_, records)| *records > 0);
    behind
        .map(|(id, records)| {
            format!(
                "The secondary {id:?} lacks {records} records of this primary: promoted now, it would be without them. It still gets them from \
                 here, until this cluster follows another: wait until its lag_records is 0."
            )
        })
        .collect()
}

impl Replication {
    pub(super) async fn enable_primary(&self, call: &Call<'_>) -> Result<Reply, EngineError> {
        match self.ctx.store.role() {
            Role::Alone => {}
            Role::Primary { .. } => return Err(cannot("this cluster is a performance primary already")),
            Role::Secondary { .. } => {
                return Err(cannot("this cluster is a performance secondary: use secondary/promote, or secondary/disable first"));
            }
        }
        let primary_cluster_addr = told_addrs(call)?;
        let set = SetId::new(random_uuid(self.ctx.entropy.as_ref()));
        let role = Role::Primary { set, generation: Generation(1), fenced_by: None };
        self.change_role(role, &RoleRecord { primary_cluster_addr, ..RoleRecord::default() }, false).await?;
        Ok(Reply::empty().warn(ENABLED))
    }

    pub(super) async fn demote(&self) -> Result<Reply, EngineError> {
        let (set, generation) = match self.ctx.store.role() {
            Role::Primary { set, generation, .. } => (set, generation),
            Role::Secondary { .. } => {
                return Err(cannot("this cluster is a performance secondary already: use secondary/update-primary to follow another"));
            }
            Role::Alone => return Err(cannot("performance replication is disabled: there is no primary to demote")),
        };
        // No more shared writes first: what was acknowledged until then still reaches the secondaries, one of which is to be promoted.
        // If this node fails here, the demotion is called for again.
        let kept = RoleRecord::read(&mut self.ctx.begin().map_err(|error| EngineError::Unavailable(error.to_string()))?)?;
        self.change_role(Role::Primary { set: set.clone(), generation, fenced_by: Some(generation) }, &kept, false).await?;
        let drained = async {
            while !self.links.is_drained() {
                tokio::time::sleep(DRAIN_EVERY).await;
            }
        };
        if tokio::time::timeout(DRAIN_MAX, drained).await.is_err() {
            tracing::warn!("demoted before every connected secondary had all records");
        }
        let lacking = lacking(&self.links.describe());
        // Its secondaries stay known: those that lack records get them from here until this cluster follows another.
        self.change_role(Role::Secondary { set, generation, filling: false }, &RoleRecord::default(), bug!(97)).await?;
        let reply = Reply::empty().warn(DEMOTED).warn(NO_SHARED_WRITES);
        Ok(lacking.into_iter().fold(reply, Reply::warn))
    }

    pub(super) async fn disable_primary(&self) -> Result<Reply, EngineError> {
        match self.ctx.store.role() {
            Role::Primary { .. } => {}
            Role::Secondary { .. } => return Err(cannot("this cluster is a performance secondary: use secondary/disable")),
            Role::Alone => return Err(cannot("performance replication is disabled already")),
        }
        let known: Vec<String> = serde_json::from_value(self.known_secondaries()).unwrap_or_default();
        self.change_role(Role::Alone, &RoleRecord::default(), true).await?;
        let reply = Reply::empty().warn(DISABLED);
        if known.is_empty() {
            return Ok(reply);
        }
        Ok(reply.warn(format!(
            "The {} secondaries that it knows ({}) are cut off: they serve what they hold, and their shared writes fail until they are disabled \
             or follow another primary. Whichever of them is activated anew is wiped first.",
            known.len(),
            known.join(", "),
        )))
    }

    /// Written through the request's own transaction: the secondary is admitted with the token that it is given, or not at all.
    pub(super) fn secondary_token(&self, call: &Call<'_>, txn: &mut Txn) -> Result<Reply, EngineError> {
        let set = match txn.reader().role() {
            Role::Primary { set, fenced_by: None, .. } => set,
            Role::Primary { fenced_by: Some(by), .. } => {
                return Err(cannot(&format!("this primary was replaced: generation {by} took over, its secondaries belong to that one")));
            }
            Role::Alone | Role::Secondary { .. } => return Err(self.no_primary()),
        };
        let id = call.data().required_text("id")?;
        if id.len() > ID_BYTES_MAX || id.contains('/') || id.chars().any(char::is_control) {
            return Err(cannot("id must be at most 128 bytes without slashes and control characters"));
        }
        if call.data().text("secondary_public_key")?.is_some_and(|key| !key.is_empty()) {
            return Err(cannot("secondary_public_key is not supported yet: leave it out to get a wrapped token"));
        }
        let ttl = call.data().ttl("ttl")?.filter(|ttl| ttl.0 > 0).unwrap_or(TOKEN_TTL);
        let known = SecondaryRecord::read(txn, &id)?;
        if known.as_ref().is_some_and(|known| !known.is_void(call.now)) {
            return Err(cannot(&format!("a secondary with the id {id:?} is known already: revoke it first, or choose another id")));
        }
        if known.is_none() && txn.children(&keys::secondaries(), None, SECONDARIES_MAX)?.len() >= SECONDARIES_MAX {
            return Err(cannot(&format!("a primary serves at most {SECONDARIES_MAX} secondaries: revoke one first")));
        }
        let authority = txn.get(&keys::cluster_ca())?.ok_or_else(|| EngineError::Internal("this cluster has no authority".to_owned()))?;
        let authority: Authority = serde_json::from_slice(authority.expose()).map_err(|error| EngineError::Internal(error.to_string()))?;
        let internal = |error: crate::crypto::cert::CertError| EngineError::Internal(error.to_string());
        let identity = authority.issue(&Peer::Secondary(id.clone()), call.now, SECONDARY_LIFE).map_err(internal)?;
        let fingerprint = identity.describe().map_err(internal)?.fingerprint;
        let expires_ms = call.now.0.saturating_add(ttl.0.saturating_mul(1000));
        txn.put(keys::secondary(&id), SecondaryRecord { fingerprint, created_ms: call.now.0, expires_ms, is_used: false }.row());
        let data = Bundle { secondary_id: id, set: set.to_string(), identity, cluster_addrs: self.cluster_addrs() }.into_data();
        let reply: Reply = Body::Wrap { data, ttl, jwt: true }.into();
        Ok(if self.api_addr.is_empty() { reply.warn(NO_ADDRESS) } else { reply })
    }

    fn no_primary(&self) -> EngineError {
        cannot(match self.ctx.store.role() {
            Role::Secondary { .. } => "this cluster is a performance secondary: call its primary, or use secondary/promote first",
            Role::Alone | Role::Primary { .. } => "performance replication is disabled: use primary/enable first",
        })
    }

    /// Its stream is cut when the row is gone: see [`Replication::note`].
    pub(super) fn revoke_secondary(&self, call: &Call<'_>, txn: &mut Txn) -> Result<Reply, EngineError> {
        if !txn.reader().role().is_primary() {
            return Err(self.no_primary());
        }
        let id = call.data().required_text("id")?;
        #[cfg(feature = "chaos")]
        if bug!(39) {
            // Remembered by this node alone.
            crate::chaos::count(39, &format!("{self:p}/{id}"));
            self.links.cut(&id);
            return Ok(Reply::empty());
        }
        txn.delete(keys::secondary(&id));
        Ok(Reply::empty())
    }

    /// Whether the secondary that shows this certificate is known and not revoked. A cluster that was demoted knows its secondaries until
    /// it follows another: what they lack they get from it.
    ///
    /// # Errors
    /// Why not, with a text for the secondary's operator.
    pub fn admits(&self, secondary_id: &str, fingerprint: &str) -> Result<(), &'static str> {
        let role = self.ctx.store.role();
        #[cfg(feature = "chaos")]
        if bug!(39) && crate::chaos::counted(39, &format!("{self:p}/{secondary_id}")) > 0 {
            return Err(REVOKED);
        }
        let mut txn = self.ctx.begin().map_err(|_| "this node is sealed")?;
        match SecondaryRecord::read(&mut txn, secondary_id) {
            Ok(Some(record)) if record.fingerprint == fingerprint => Ok(()),
            Ok(_) if !role.is_primary() => Err(NO_LONGER_PRIMARY),
            Ok(_) if bug!(87) => Ok(()),
            Ok(_) => Err(REVOKED),
            Err(_) => Err("what is known of this secondary cannot be read"),
        }
    }

    /// What a new secondary needs before it can open anything.
    ///
    /// # Errors
    /// With a text for the secondary's operator.
    pub fn bootstrap(&self, secondary_id: &str) -> Result<BootstrapPackage, String> {
        let reader = self.ctx.store.reader();
        let Role::Primary { set, generation, .. } = reader.role() else {
            return Err("this cluster is no performance primary".to_owned());
        };
        let held = self.ctx.keys().map_err(|error| error.to_string())?;
        let mut rows = Vec::new();
        for (name, key) in raw_rows() {
            let stored = reader.get(&key).map_err(|error| error.to_string())?.ok_or_else(|| format!("{name} is missing"))?;
            rows.push((name.to_owned(), stored.value));
        }
        tracing::info!(secondary = secondary_id, "a secondary takes over this cluster's keys");
        Ok(BootstrapPackage {
            set,
            generation,
            root_key: held.root.secret.clone(),
            raw_rows: rows,
            cluster_addrs: self.cluster_addrs(),
            dev_root_token: self.dev_root_token.get().cloned(),
        })
    }

    /// In dev mode: the root token, so that one token works on both clusters.
    pub fn set_dev_root_token(&self, token: Secret<String>) {
        let _ = self.dev_root_token.set(token);
    }

    /// The only addresses that secondaries are told, if the operator named some: the nodes' own may lead nowhere from there. A node that
    /// cannot read them names none: it is sealed, and secondaries know the others.
    pub fn told_addrs(&self) -> Option<Vec<String>> {
        let Some(record) = self.ctx.begin().ok().and_then(|mut txn| RoleRecord::read(&mut txn).ok()) else {
            return Some(Vec::new());
        };
        let named: Vec<String> = record.primary_cluster_addr.split(',').filter(|addr| !addr.is_empty()).map(str::to_owned).collect();
        (!named.is_empty()).then_some(named)
    }

    /// What secondaries are told; else `https://host:port` of each node of this cluster, the active one first.
    pub(super) fn cluster_addrs(&self) -> Vec<String> {
        if let Some(told) = self.told_addrs() {
            return told;
        }
        let raft = self.ctx.raft.status().borrow().clone();
        let mut peers = raft.peers.clone();
        peers.sort_by_key(|peer| Some(peer.id) != raft.leader);
        peers.iter().filter(|peer| !peer.member.cluster_addr.is_empty()).map(|peer| super::url_of(&peer.member.cluster_addr)).collect()
    }

    /// The ids of secondaries that are admitted.
    pub(super) fn known_secondaries(&self) -> Value {
        let known = self.ctx.begin().ok().and_then(|txn| txn.children(&keys::secondaries(), None, SECONDARIES_MAX).ok());
        Value::from(known.unwrap_or_default())
    }
}

/// Removes all secondaries' rows: they need new tokens.
pub(super) fn forget_secondaries(txn: &mut Txn) -> Result<(), EngineError> {
    for id in txn.children(&keys::secondaries(), None, usize::MAX)? {
        txn.delete(keys::secondary(&id));
    }
    Ok(())
}
