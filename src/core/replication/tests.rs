//! Replication as operators see it: two clusters in memory, the calls between them made directly, no streams.

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};

use async_trait::async_trait;
use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use serde_json::{Map, Value, json};

use super::{Links, PrimaryClient, Wholeness, activation};
use crate::core::cluster_identity::ClusterIdentity;
use crate::core::join::JoinTarget;
use crate::core::testing::{NoLinks, NoPrimary, TestCore};
use crate::core::{BootstrapPackage, Core, Refused, Response, ServeSecondary, Standing, keys};
use crate::crypto::cert::Identity;
use crate::engine::{EngineError, Operation};
use crate::machine::{Command, Outcome, Role};
use crate::types::{Generation, Position, Secret};

/// Streams that only remember what was asked of them.
#[derive(Default)]
struct SpyLinks {
    cut: Mutex<Vec<String>>,
    wholeness: Mutex<Wholeness>,
    described: Mutex<Map<String, Value>>,
}

#[async_trait]
impl Links for SpyLinks {
    fn start(&self) {}
    async fn stop(&self) {}
    fn look_again(&self) {}
    fn cut(&self, secondary_id: &str) {
        self.cut.lock().unwrap().push(secondary_id.to_owned());
    }
    fn describe(&self) -> Map<String, Value> {
        self.described.lock().unwrap().clone()
    }
    fn wholeness(&self) -> Wholeness {
        *self.wholeness.lock().unwrap()
    }
}

/// Calls a core in the same process. May lose the next answer.
struct Direct(Arc<Core>, Arc<AtomicBool>);

#[async_trait]
impl PrimaryClient for Direct {
    async fn unwrap(&self, target: &JoinTarget, token: &Secret<String>, claim: &Secret<String>) -> Result<Value, String> {
        assert_eq!(target.leader_api_addr, "http://primary");
        let request = crate::engine::Request {
            token: Some(token.clone()),
            data: crate::engine::Data(Map::from_iter([(activation::CLAIM.to_owned(), json!(claim.expose()))])),
            ..crate::core::testing::bare_request(Operation::Update, "sys/wrapping/unwrap")
        };
        let response = self.0.serve(request).await.map_err(|refused| refused.to_string())?;
        let raw = response.raw.ok_or("not the wrapped answer")?;
        if self.1.swap(false, Ordering::Relaxed) {
            return Err("the connection broke".to_owned());
        }
        serde_json::from_slice(&raw.bytes).map_err(|error| error.to_string())
    }
    async fn bootstrap(&self, _: &[String], identity: &Identity) -> Result<BootstrapPackage, String> {
        let shown = identity.describe().map_err(|error| error.to_string())?;
        let crate::crypto::cert::Peer::Secondary(id) = shown.peer else { return Err("no secondary".to_owned()) };
        if self.0.admits(&id, &shown.fingerprint).is_err() {
            return Err("not admitted".to_owned());
        }
        ServeSecondary::bootstrap(self.0.as_ref(), &id).await
    }
}

const PERFORMANCE: &str = "sys/replication/performance";

async fn post(core: &TestCore, path: &str, data: Value) -> Result<Response, Refused> {
    core.ask(Operation::Update, &format!("{PERFORMANCE}/{path}"), data).await
}

/// After a change of role, the parts are started anew.
async fn active(core: &TestCore) {
    let mut standing = core.core.lifecycle().follow_standing();
    tokio::task::yield_now().await;
    let wait = standing.wait_for(|standing| *standing == Standing::Active);
    tokio::time::timeout(std::time::Duration::from_secs(20), wait).await.unwrap().unwrap();
}

#[track_caller]
fn refused(answer: Result<Response, Refused>, part: &str) {
    let text = answer.expect_err("it must be refused").to_string();
    assert!(text.contains(part), "{text:?} does not say {part:?}");
}

async fn token_for(primary: &TestCore, id: &str) -> String {
    let wrapped = post(primary, "primary/secondary-token", json!({ "id": id })).await.unwrap().wrap_info.unwrap();
    assert!(wrapped.token.expose().starts_with("eyJ"));
    assert_eq!(wrapped.creation_path, format!("{PERFORMANCE}/primary/secondary-token"));
    wrapped.token.expose().clone()
}

/// A primary, and a cluster that can reach it.
async fn pair() -> (TestCore, TestCore, Arc<SpyLinks>) {
    let links = Arc::new(SpyLinks::default());
    let primary = TestCore::linked(&[], 11, links.clone(), Arc::new(NoPrimary)).await;
    let other = TestCore::linked(&[], 12, Arc::new(NoLinks), Arc::new(Direct(primary.core.clone(), Arc::default()))).await;
    post(&primary, "primary/enable", json!({})).await.unwrap();
    active(&primary).await;
    (primary, other, links)
}

#[tokio::test]
async fn a_primary_that_was_given_addresses_tells_no_others() {
    let primary = TestCore::linked(&[], 11, Arc::new(NoLinks), Arc::new(NoPrimary)).await;
    refused(post(&primary, "primary/enable", json!({ "primary_cluster_addr": "https://outside" })).await, "is no host:port");
    post(&primary, "primary/enable", json!({ "primary_cluster_addr": "https://outside:8201, other:8201" })).await.unwrap();
    active(&primary).await;
    let told = vec!["https://outside:8201".to_owned(), "https://other:8201".to_owned()];
    assert_eq!(primary.core.told_addrs(), Some(told.clone()));
    let package = ServeSecondary::bootstrap(primary.core.as_ref(), "eu").await.unwrap();
    assert_eq!(package.cluster_addrs, told);
    // The keys are gone, and with them the knowledge: rather none than the wrong ones.
    primary.ground.context.drop_keys();
    assert_eq!(primary.core.told_addrs(), Some(Vec::new()));
}

#[tokio::test]
async fn a_new_secondary_takes_the_primarys_keys_and_keeps_who_it_is() {
    let (primary, secondary, _) = pair().await;
    let was = ClusterIdentity::of(&secondary.ground.context).unwrap();
    let token = token_for(&primary, "eu").await;
    post(&secondary, "secondary/enable", json!({ "token": token, "primary_api_addr": "http://primary" })).await.unwrap();
    assert!(matches!(secondary.ground.store.role(), Role::Secondary { filling: true, .. }));

    // It is unsealed still, with the primary's keys, and reads its own rows under them.
    let (ours, theirs) = (secondary.ground.context.keys().unwrap(), primary.ground.context.keys().unwrap());
    assert_eq!(ours.root.secret.expose(), theirs.root.secret.expose());
    assert_eq!(ClusterIdentity::of(&secondary.ground.context).unwrap(), was);
    assert!(secondary.ground.store.get(&keys::root_key_handover()).unwrap().is_some());
    assert_eq!(secondary.core.replication().status()["secondary_id"], "eu");

    // It serves nobody, but says how it stands.
    active(&secondary).await;
    let asked = secondary.ask(Operation::Read, "sys/mounts", Value::Null).await;
    assert!(matches!(asked, Err(Refused::Engine(EngineError::Unavailable(_)))), "{asked:?}");
    let status = secondary.data(Operation::Read, "sys/replication/status", Value::Null).await;
    assert_eq!(status["performance"]["mode"], "bootstrapping");

    // Once it is filled, the old root token is nobody's.
    let done = Command::Repair { ops: Vec::new(), done: Some(Position::default()), generation: Generation(1) };
    assert!(matches!(secondary.ground.raft.apply(&done), Outcome::Committed(_)));
    active(&secondary).await;
    let asked = secondary.ask(Operation::Read, "sys/mounts", Value::Null).await;
    assert!(matches!(asked, Err(Refused::BadToken | Refused::Denied)), "{asked:?}");
}

/// One that was known before may be the only way in from here.
#[tokio::test]
async fn addresses_that_the_primary_tells_come_before_those_that_were_known() {
    let (primary, secondary, _) = pair().await;
    let token = token_for(&primary, "eu").await;
    post(&secondary, "secondary/enable", json!({ "token": token, "primary_api_addr": "http://primary" })).await.unwrap();
    for (told, known) in [("a", &["a"][..]), ("b", &["b", "a"]), ("a", &["a", "b"])] {
        secondary.core.replication().learned(vec![told.to_owned()]).await;
        assert_eq!(secondary.core.replication().primary_addrs(), known);
    }
}

#[tokio::test]
async fn an_activation_token_works_once_and_leaves_everything_if_it_does_not() {
    let (primary, other, _) = pair().await;
    let token = token_for(&primary, "eu").await;
    let data = json!({ "token": token, "primary_api_addr": "http://primary" });
    post(&primary, "primary/revoke-secondary", json!({ "id": "eu" })).await.unwrap();
    refused(post(&other, "secondary/enable", data.clone()).await, "not admitted");
    let third = TestCore::linked(&[], 13, Arc::new(NoLinks), Arc::new(Direct(primary.core.clone(), Arc::default()))).await;
    refused(post(&third, "secondary/enable", data).await, "wrapping token is not valid");
    refused(post(&other, "secondary/enable", json!({ "token": token })).await, "supply primary_api_addr");
    refused(post(&other, "secondary/enable", json!({ "token": "a b" })).await, "no activation token");
    assert_eq!(other.ground.store.role(), Role::Alone);
    assert!(other.ask(Operation::Read, "sys/mounts", Value::Null).await.is_ok());
}

#[tokio::test]
async fn an_activation_token_that_was_cut_or_changed_is_refused_and_stays_good() {
    let (primary, other, _) = pair().await;
    let token = token_for(&primary, "eu").await;
    let enable =
        async |token: &str| post(&other, "secondary/enable", json!({ "token": token, "primary_api_addr": "http://primary" })).await;
    let (said, signature) = token.rsplit_once('.').unwrap();
    refused(enable(&token[..token.len() - 20]).await, "wrapping token is not valid");
    refused(enable(&format!("{said}.")).await, "wrapping token is not valid");
    let claims = said.split('.').nth(1).unwrap();
    let read = URL_SAFE_NO_PAD.decode(claims).unwrap();
    let changed = String::from_utf8(read).unwrap().replace("wrapping", "Wrapping");
    let forged = format!("eyJhbGciOiJFUzUxMiIsInR5cCI6IkpXVCJ9.{}.{signature}", URL_SAFE_NO_PAD.encode(changed));
    refused(enable(&forged).await, "wrapping token is not valid");
    assert_eq!(other.ground.store.role(), Role::Alone);
    enable(&token).await.unwrap();
}

#[tokio::test]
async fn a_lost_answer_is_given_again_to_the_cluster_that_asked_and_to_no_other() {
    let (primary, _, _) = pair().await;
    let cluster = async |seed, loses| {
        TestCore::linked(&[], seed, Arc::new(NoLinks), Arc::new(Direct(primary.core.clone(), Arc::new(AtomicBool::new(loses))))).await
    };
    let (ours, other) = (cluster(21, true).await, cluster(22, false).await);
    let data = json!({ "token": token_for(&primary, "eu").await, "primary_api_addr": "http://primary" });
    refused(post(&ours, "secondary/enable", data.clone()).await, "the connection broke");
    refused(post(&other, "secondary/enable", data.clone()).await, "wrapping token is not valid");
    post(&ours, "secondary/enable", data).await.unwrap();
    assert!(matches!(ours.ground.store.role(), Role::Secondary { .. }));
    // Not longer than the token would have been good for; then nothing is left of it.
    let late = cluster(23, true).await;
    let data = json!({ "token": token_for(&primary, "us").await, "primary_api_addr": "http://primary" });
    refused(post(&late, "secondary/enable", data.clone()).await, "the connection broke");
    primary.ground.clock.pass(30 * 60);
    refused(post(&late, "secondary/enable", data).await, "wrapping token is not valid");
    refused(post(&primary, "primary/secondary-token", json!({ "id": "us" })).await, "known already");
    let claims = crate::types::Prefix::new(crate::types::Scope::Local, "sys/replication/activation/");
    let swept = async {
        while !primary.ground.store.reader().list(&claims, None, 1).unwrap().is_empty() {
            tokio::time::sleep(std::time::Duration::from_millis(20)).await;
        }
    };
    tokio::time::timeout(std::time::Duration::from_secs(20), swept).await.unwrap();
}

#[tokio::test]
async fn an_id_whose_token_expired_unused_is_free_again() {
    let (primary, other, _) = pair().await;
    let old = token_for(&primary, "eu").await;
    primary.ground.clock.pass(30 * 60 - 1);
    refused(post(&primary, "primary/secondary-token", json!({ "id": "eu" })).await, "known already");
    primary.ground.clock.pass(1);
    let new = token_for(&primary, "eu").await;
    let enable =
        async |token: &str| post(&other, "secondary/enable", json!({ "token": token, "primary_api_addr": "http://primary" })).await;
    refused(enable(&old).await, "wrapping token is not valid");
    enable(&new).await.unwrap();
    primary.ground.clock.pass(60 * 60);
    refused(post(&primary, "primary/secondary-token", json!({ "id": "eu" })).await, "known already");
}

#[tokio::test]
async fn an_id_is_given_once_and_is_free_again_when_it_was_revoked() {
    let (primary, _, links) = pair().await;
    token_for(&primary, "eu").await;
    refused(post(&primary, "primary/secondary-token", json!({ "id": "eu" })).await, "known already");
    refused(post(&primary, "primary/secondary-token", json!({ "id": "a/b" })).await, "without slashes");
    refused(post(&primary, "primary/secondary-token", json!({})).await, "id");
    refused(post(&primary, "primary/secondary-token", json!({ "id": "x", "secondary_public_key": "k" })).await, "not supported");
    assert_eq!(primary.core.replication().status()["known_secondaries"], json!(["eu"]));
    post(&primary, "primary/revoke-secondary", json!({ "id": "eu" })).await.unwrap();
    assert_eq!(*links.cut.lock().unwrap(), ["eu"]);
    token_for(&primary, "eu").await;
}

#[tokio::test]
async fn a_call_in_the_wrong_mode_names_the_mode_and_the_right_call() {
    let alone = TestCore::new(&[]).await;
    refused(post(&alone, "primary/demote", json!({})).await, "disabled");
    refused(post(&alone, "primary/revoke-secondary", json!({ "id": "a" })).await, "primary/enable first");
    refused(post(&alone, "primary/disable", json!({})).await, "disabled already");
    refused(post(&alone, "primary/secondary-token", json!({ "id": "a" })).await, "primary/enable first");
    refused(post(&alone, "secondary/promote", json!({})).await, "use primary/enable");
    refused(post(&alone, "secondary/update-primary", json!({ "token": "" })).await, "use secondary/enable");
    refused(post(&alone, "secondary/disable", json!({})).await, "disabled already");
    refused(post(&alone, "secondary/generate-public-key", json!({})).await, "not supported yet");
    post(&alone, "primary/enable", json!({})).await.unwrap();
    active(&alone).await;
    refused(post(&alone, "primary/enable", json!({})).await, "a performance primary already");
    refused(post(&alone, "secondary/enable", json!({ "token": "t" })).await, "primary/demote");
    refused(post(&alone, "secondary/promote", json!({})).await, "a performance primary already");
    refused(post(&alone, "secondary/update-primary", json!({ "token": "" })).await, "use primary/demote");
    post(&alone, "primary/demote", json!({})).await.unwrap();
    active(&alone).await;
    refused(post(&alone, "primary/demote", json!({})).await, "a performance secondary already: use secondary/update-primary");
    refused(post(&alone, "primary/secondary-token", json!({ "id": "a" })).await, "use secondary/promote first");
    for wrong in ["not an addr", "http://", "host", ":1"] {
        refused(post(&alone, "secondary/update-primary", json!({ "update_primary_addrs": [wrong] })).await, "no host:port");
    }
}

#[tokio::test]
async fn a_cluster_that_was_demoted_admits_its_secondaries_until_it_follows_another() {
    let (primary, other, _) = pair().await;
    let token = token_for(&primary, "eu").await;
    let enable = json!({ "token": token, "primary_api_addr": "http://primary" });
    post(&other, "secondary/enable", enable).await.unwrap();
    let known = || {
        let mut txn = primary.core.replication().ctx.begin().unwrap();
        super::record::SecondaryRecord::read(&mut txn, "eu").unwrap()
    };
    let shown = known().unwrap().fingerprint;
    post(&primary, "primary/demote", json!({})).await.unwrap();
    active(&primary).await;
    assert_eq!(primary.core.replication().admits("eu", &shown), Ok(()));
    assert!(primary.core.replication().admits("eu", "of another").unwrap_err().contains("not a performance primary"));
    assert_eq!(primary.core.replication().status()["known_secondaries"], json!(["eu"]));
    let refusal = ServeSecondary::bootstrap(primary.core.as_ref(), "eu").await.unwrap_err();
    assert!(refusal.contains("no performance primary"), "a new one is not filled from here: {refusal}");

    let now = crate::types::Timestamp(1);
    let authority = crate::crypto::cert::Authority::create("new", now).unwrap();
    let peer = crate::crypto::cert::Peer::Secondary("old".to_owned());
    let other = super::record::KnownPrimary {
        secondary_id: "old".to_owned(),
        identity: authority.issue(&peer, now, crate::types::Ttl(3600)).unwrap(),
        cluster_addrs: vec!["https://new:8201".to_owned()],
    };
    primary.core.replication().follow(&other).await.unwrap();
    assert!(known().is_none());
    assert!(primary.core.replication().admits("eu", &shown).is_err());

    // The other may have been promoted without a key that this cluster has.
    let held = primary.ground.context.keys().unwrap();
    let kept = primary.ground.store.get(&keys::former_keys()).unwrap().unwrap().value;
    let theirs = crate::barrier::Keyring::first(&crate::crypto::entropy::SeededEntropy::new(99), now);
    let both = theirs.with_former(&held.root.cipher, &kept).unwrap();
    assert_eq!(both.ciphers(held.keyring.newest().0).count(), 2);
}

#[tokio::test]
async fn a_cluster_is_demoted_and_promoted_in_the_same_set() {
    let (primary, _, links) = pair().await;
    let set = primary.ground.store.role().set().cloned();
    let warned =
        |answer: Response, part: &str| assert!(answer.warnings.iter().any(|text| text.contains(part)), "{:?}: {part}", answer.warnings);
    *links.described.lock().unwrap() = crate::core::sys::object(json!({"secondaries": [{"node_id": "eu", "lag_records": 7}]}));
    let answer = post(&primary, "primary/demote", json!({})).await.unwrap();
    warned(answer, "\"eu\" lacks 7 records");
    active(&primary).await;
    assert_eq!(primary.ground.store.role().mode(), "secondary");
    refused(post(&primary, "secondary/update-primary", json!({ "update_primary_addrs": ["a:1"] })).await, "knows no primary");
    // Told by its primary, but not in its own state yet.
    let generation = Generation(4);
    *links.wholeness.lock().unwrap() = Wholeness { records_behind: 3, behind_ms: Some(12_300), generation, ..Wholeness::default() };
    refused(post(&primary, "secondary/promote", json!({})).await, "still catching up");
    let answer = post(&primary, "secondary/promote", json!({ "force": true })).await.unwrap();
    warned(answer, "3 records behind, and last knew itself to have everything 12.3s before");
    active(&primary).await;
    let promotion = primary.core.replication().status()["promotion"].clone();
    assert_eq!((&promotion["lag_records"], &promotion["lag_seconds"], &promotion["connected"]), (&json!(3), &json!(12.3), &json!(false)));
    assert_eq!(promotion["generation"], 5);
    let role = primary.ground.store.role();
    assert_eq!((role.mode(), role.set(), role.generation()), ("primary", set.as_ref(), Generation(5)));
    token_for(&primary, "asia").await;
    let answer = post(&primary, "primary/disable", json!({})).await.unwrap();
    warned(answer, "1 secondaries that it knows (asia)");
    assert_eq!(primary.ground.store.role(), Role::Alone);
}

#[tokio::test]
async fn the_trees_are_checked_against_their_rows() {
    let alone = TestCore::new(&[]).await;
    let report = alone.data(Operation::Update, "sys/replication/merkle-check", json!({})).await;
    let trees = &report["merkle_corruption_report"]["corrupted_tree_map"];
    assert_eq!((&trees["1"]["tree_type"], &trees["2"]["tree_type"]), (&json!("replicated"), &json!("local")));
    assert_eq!(trees["1"]["corrupted_index_tuples_map"], Value::Null);
}
