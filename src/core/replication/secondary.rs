//! What an operator does to a secondary, or to a cluster that becomes one.

use std::time::Duration;

use serde_json::json;

use super::bundle::{Activation, Bundle};
use super::primary::{DISABLED, forget_secondaries};
use super::record::{KnownPrimary, Promotion, RoleRecord};
use super::{Replication, Wholeness, cannot};
use crate::core::join::JoinTarget;
use crate::core::keys;
use crate::engine::{Call, EngineError, Reply};
use crate::machine::Role;
use crate::types::{Generation, SetId, go_duration};

const FOUND: &str = "Vault has successfully found secondary information; it may take a while to perform setup tasks. Vault will be \
                     unavailable until these tasks and initial sync complete.";
const PROMOTED: &str = "This cluster is being promoted to a replication primary. Vault will be unavailable for a brief period and \
                        will resume service shortly.";
/// Most addresses that are remembered of a primary.
const ADDRS_MAX: usize = 16;
const KEEPS_A_COPY: &str = "This cluster keeps a copy of everything shared, takes writes of its own, and gets no more of its primary's. Enabled as a \
                            secondary again, it is wiped first, local mounts included.";
const OTHERS_FOLLOW: &str = "Other clusters of the set follow this one only once secondary/update-primary gives them an activation token that was \
                             made here; a primary that was not demoted goes on taking writes that this cluster will not have.";
const BEHIND: &str = "replication is still catching up, try again later or provide the \"force\" argument";

impl Replication {
    pub(super) async fn enable_secondary(&self, call: &Call<'_>) -> Result<Reply, EngineError> {
        match self.ctx.store.role() {
            Role::Alone => {}
            Role::Primary { .. } => {
                return Err(cannot("this cluster is a performance primary: use primary/demote or primary/disable first"));
            }
            Role::Secondary { .. } => {
                return Err(cannot("this cluster is a performance secondary already: use secondary/update-primary to follow another"));
            }
        }
        let bundle = self.unwrapped(call).await?;
        self.follow_anew(bundle).await
    }

    /// Everything of this cluster is replaced by the primary's.
    async fn follow_anew(&self, bundle: Bundle) -> Result<Reply, EngineError> {
        let package = self.primary_client.bootstrap(&bundle.cluster_addrs, &bundle.identity).await;
        let package = package.map_err(|why| EngineError::Invalid(format!("error fetching secondary bootstrap package: {why}")))?;
        if package.set.as_str() != bundle.set {
            return Err(cannot("the primary belongs to another replication set than the token says"));
        }
        let record = RoleRecord { primary: Some(known(bundle)), ..RoleRecord::default() };
        self.adopt(package, &record).await?;
        self.refresh();
        Ok(Reply::empty().warn(FOUND))
    }

    pub(super) async fn disable_secondary(&self) -> Result<Reply, EngineError> {
        match self.ctx.store.role() {
            Role::Secondary { filling: false, .. } => {}
            Role::Secondary { filling: true, .. } => {
                return Err(cannot("this cluster is being filled for the first time and holds only a part: wait, or use update-primary"));
            }
            Role::Primary { .. } => return Err(cannot("this cluster is a performance primary: use primary/disable")),
            Role::Alone => return Err(cannot("performance replication is disabled already")),
        }
        self.change_role(Role::Alone, &RoleRecord::default(), true).await?;
        Ok(Reply::empty().warn(DISABLED).warn(KEEPS_A_COPY))
    }

    pub(super) async fn promote(&self, call: &Call<'_>) -> Result<Reply, EngineError> {
        let (set, generation) = match self.ctx.store.role() {
            Role::Secondary { set, generation, filling: false } => (set, generation),
            Role::Secondary { filling: true, .. } => {
                return Err(EngineError::Unavailable("this cluster is being filled for the first time, try again later".to_owned()));
            }
            Role::Primary { .. } => return Err(cannot("this cluster is a performance primary already")),
            Role::Alone => return Err(cannot("performance replication is disabled: use primary/enable")),
        };
        let primary_cluster_addr = told_addrs(call)?;
        let whole = self.links.wholeness();
        let behind = whole.records_behind;
        if (whole.is_comparing || behind > 0) && !call.data().flag("force")?.unwrap_or(false) {
            return Err(EngineError::Unavailable(BEHIND.to_owned()));
        }
        let raised = Generation(if bug!(37) { generation.0 } else { generation.max(whole.generation).0 + 1 });
        let role = Role::Primary { set, generation: raised, fenced_by: None };
        tracing::warn!(generation = raised.0, behind, connected = whole.is_connected, "this cluster is promoted");
        let promotion = Promotion {
            generation: raised.0,
            at_ms: self.ctx.now().0,
            wal: self.ctx.store.positions().performance.wal.0,
            is_connected: whole.is_connected,
            records_behind: behind,
            behind_ms: whole.behind_ms,
        };
        self.change_role(role, &RoleRecord { primary_cluster_addr, primary: None, promotion: Some(promotion) }, true).await?;
        let reply = Reply::empty().warn(PROMOTED).warn(OTHERS_FOLLOW);
        Ok(if whole.may_miss() { reply.warn(missing(&whole)) } else { reply })
    }

    pub(super) async fn update_primary(&self, call: &Call<'_>) -> Result<Reply, EngineError> {
        let set = match self.ctx.store.role() {
            Role::Secondary { set, .. } => set,
            Role::Primary { .. } => return Err(cannot("this cluster is a performance primary: use primary/demote first")),
            Role::Alone => return Err(cannot("performance replication is disabled: use secondary/enable")),
        };
        let token = call.data().text("token")?;
        let addrs = call.data().texts("update_primary_addrs")?.unwrap_or_default();
        match (token.as_deref(), addrs.is_empty()) {
            (Some(token), false) if !token.is_empty() => Err(cannot("token and update_primary_addrs exclude each other")),
            (_, false) => {
                let addrs = addrs.iter().map(|addr| cluster_addr(addr)).collect::<Result<Vec<String>, _>>()?;
                self.change_record(|_, record| match &mut record.primary {
                    Some(primary) => {
                        primary.cluster_addrs.clone_from(&addrs);
                        Ok(())
                    }
                    None => Err(cannot("this secondary knows no primary: update-primary needs a token of the new one")),
                })
                .await?;
                self.reconnect();
                Ok(Reply::empty().warn(FOUND))
            }
            (None, true) => Err(cannot("missing token or update_primary_addrs")),
            (Some(""), true) => {
                self.change_record(|_, record| {
                    record.primary.iter_mut().for_each(|primary| primary.cluster_addrs.clear());
                    Ok(())
                })
                .await?;
                self.reconnect();
                Ok(Reply::empty().warn("This cluster no longer follows its primary until update-primary names one."))
            }
            (Some(_), true) => {
                let bundle = self.unwrapped(call).await?;
                if SetId::new(bundle.set.as_str()) != set {
                    return self.follow_anew(bundle).await;
                }
                let primary = known(bundle);
                self.follow(&primary).await?;
                self.reconnect();
                Ok(Reply::empty().warn(FOUND))
            }
        }
    }

    /// Remembers another primary of the same set, and forgets its own secondaries, which a cluster that was demoted still serves. Keeps
    /// the keys it holds: the other may have been promoted without them, and what is local here is encrypted with them.
    pub(super) async fn follow(&self, primary: &KnownPrimary) -> Result<(), EngineError> {
        let held = self.ctx.keys().map_err(|error| EngineError::Unavailable(error.to_string()))?;
        self.change_record(|txn, record| {
            record.primary = Some(primary.clone());
            txn.put_raw(keys::former_keys(), held.keyring.encrypt_all(&held.root.cipher, self.ctx.entropy.as_ref()).into());
            forget_secondaries(txn)
        })
        .await
    }

    /// What the activation token in the request stands for. It is spent by this, but for this cluster, which may ask again.
    async fn unwrapped(&self, call: &Call<'_>) -> Result<Bundle, EngineError> {
        let text = call.data().required_text("token")?;
        let activation = Activation::read(&text).ok_or_else(|| cannot("the token is no activation token"))?;
        let given = call.data().text("primary_api_addr")?.unwrap_or_default();
        let leader_api_addr = if given.is_empty() { activation.api_addr.clone() } else { given };
        if leader_api_addr.is_empty() {
            return Err(cannot("the token does not tell the primary's API address: supply primary_api_addr"));
        }
        let target = JoinTarget { leader_api_addr, leader_ca_cert: authorities(call).await?, ..JoinTarget::default() };
        let claim = self.claim(&activation.token).map_err(|sealed| EngineError::Unavailable(sealed.to_string()))?;
        let envelope = self.primary_client.unwrap(&target, &activation.whole, &claim).await.map_err(|why| {
            let asked = &target.leader_api_addr;
            let text = format!("error unwrapping secondary token at {asked}: {why} (primary_api_addr names another node of the primary)");
            EngineError::Invalid(text)
        })?;
        Bundle::of_envelope(&envelope).ok_or_else(|| cannot("the token was not made by primary/secondary-token"))
    }

    /// Where the primary may be found; empty if it is to be left alone.
    pub fn primary_addrs(&self) -> Vec<String> {
        self.contact.borrow().as_ref().map(|contact| contact.cluster_addrs.clone()).unwrap_or_default()
    }

    /// The primary told its addresses. Those known before stay, after them: one may be the only way in from here.
    pub async fn learned(&self, told: Vec<String>) {
        let changed = self
            .change_record(|_, record| {
                if let Some(primary) = &mut record.primary {
                    let before = std::mem::take(&mut primary.cluster_addrs);
                    let mut all = told.clone();
                    all.extend(before.into_iter().filter(|addr| !told.contains(addr) && !bug!(162)));
                    all.truncate(ADDRS_MAX);
                    primary.cluster_addrs = all;
                }
                Ok(())
            })
            .await;
        if let Err(error) = changed {
            tracing::warn!(%error, "the primary's addresses were not stored");
        }
    }
}

/// What a new primary is to tell its secondaries, as it is stored: URLs with commas between, or nothing.
pub(super) fn told_addrs(call: &Call<'_>) -> Result<String, EngineError> {
    let addrs = call.data().texts("primary_cluster_addr")?.unwrap_or_default();
    if addrs.len() > ADDRS_MAX {
        return Err(cannot(&format!("primary_cluster_addr names more than {ADDRS_MAX} addresses")));
    }
    let addrs = addrs.iter().map(|addr| cluster_addr(addr)).collect::<Result<Vec<String>, _>>()?;
    Ok(addrs.join(","))
}

/// What a promotion may have cost, as this cluster knew it in that moment.
fn missing(whole: &Wholeness) -> String {
    let link = if whole.is_connected { "while it was still catching up" } else { "without a link to its primary" };
    let records = match whole.records_behind {
        0 => String::new(),
        records => format!("knew itself to be {records} records behind, and "),
    };
    let time = match whole.behind_ms {
        Some(ms) => format!("last knew itself to have everything {} before", go_duration(Duration::from_millis(ms))),
        None => "does not know when it last had everything".to_owned(),
    };
    format!(
        "This cluster was promoted {link}: it {records}{time}. Unless the primary was demoted first, what it acknowledged after that is missing \
         here, and is given up by the old primary when it follows this cluster."
    )
}

/// `host:port`, or that as a URL, as the URL that is stored.
fn cluster_addr(text: &str) -> Result<String, EngineError> {
    let bare = text.split_once("://").map_or(text, |(_, rest)| rest).trim_end_matches('/');
    let is_addr = bare.parse::<http::uri::Authority>().is_ok_and(|addr| !addr.host().is_empty() && addr.port_u16().is_some());
    if is_addr { Ok(super::url_of(text)) } else { Err(cannot(&format!("{text:?} is no host:port of a cluster listener"))) }
}

fn known(bundle: Bundle) -> KnownPrimary {
    KnownPrimary { secondary_id: bundle.secondary_id, identity: bundle.identity, cluster_addrs: bundle.cluster_addrs }
}

/// PEM of `ca_file`, or of all files in `ca_path`: on this server's disk, for the call to the primary's API alone.
async fn authorities(call: &Call<'_>) -> Result<String, EngineError> {
    let file = call.data().text("ca_file")?.unwrap_or_default();
    let folder = call.data().text("ca_path")?.unwrap_or_default();
    let unreadable = |error: std::io::Error| EngineError::Invalid(format!("ca_file or ca_path cannot be read: {error}"));
    if !file.is_empty() {
        return tokio::fs::read_to_string(&file).await.map_err(unreadable);
    }
    let mut all = String::new();
    if !folder.is_empty() {
        let mut entries = tokio::fs::read_dir(&folder).await.map_err(unreadable)?;
        while let Some(entry) = entries.next_entry().await.map_err(unreadable)? {
            if entry.path().extension().is_some_and(|extension| extension == "pem" || extension == "crt") {
                all.push_str(&tokio::fs::read_to_string(entry.path()).await.map_err(unreadable)?);
                all.push('\n');
            }
        }
    }
    Ok(all)
}

/// A status body's part about the primary.
pub(super) fn describe(record: &RoleRecord) -> serde_json::Value {
    match &record.primary {
        Some(primary) => json!({
            "secondary_id": primary.secondary_id,
            "known_primary_cluster_addrs": primary.cluster_addrs,
        }),
        None => json!({ "secondary_id": "", "known_primary_cluster_addrs": [] }),
    }
}
