//! What the seal promises, on nodes in memory.

use std::sync::Arc;

use super::super::{Keys, RootKey, keys};
use super::testing::{Net, Node, token_row};
use super::*;
use crate::barrier::{Keyring, decrypt_value, encrypt_value};
use crate::machine::{Batch, Command, Op};
use crate::types::{Key, Secret, Timestamp};

fn share(key: &str, nonce: &str) -> ShareRequest {
    ShareRequest { key: Some(key.to_owned()), nonce: nonce.to_owned() }
}

#[tokio::test]
async fn a_new_cluster_stays_sealed_until_any_threshold_of_shares_is_given() {
    let node = Node::new(&Arc::default(), "a");
    assert!(!node.seal.status().unwrap().initialized);
    let answer = node.init(5, 3).await;
    assert_eq!((answer.keys.len(), answer.keys_base64.len(), answer.root_token.len()), (5, 5, 28));
    assert!(node.has(&token_row(&answer.root_token)) && node.has(&Key::shared("test/mounts")));
    let status = node.seal.status().unwrap();
    assert_eq!((status.initialized, status.sealed, status.t, status.n, status.cluster_id), (true, true, 3, 5, None));
    assert!(node.seal.identity().current().is_some());

    for skip in 0..3 {
        node.seal.seal();
        let status = node.unseal(&answer.keys[skip]).await.unwrap();
        assert_eq!((status.sealed, status.progress, status.nonce.is_empty()), (true, 1, false));
        assert_eq!(node.unseal(&answer.keys[skip]).await.unwrap().progress, 1, "a share counts once");
        node.unseal(&answer.keys_base64[skip + 1]).await.unwrap();
        let status = node.unseal(&answer.keys[skip + 2]).await.unwrap();
        assert_eq!((status.sealed, status.progress, status.nonce.as_str()), (false, 0, ""));
        assert_eq!(status.cluster_name.as_deref(), Some("test"));
        assert!(node.can_read());
    }
    let again = node.seal.init(InitRequest { secret_shares: 1, secret_threshold: 1, ..InitRequest::default() }).await;
    assert_eq!(again.unwrap_err().to_string(), "Vault is already initialized");
}

#[tokio::test]
async fn wrong_shares_are_refused_and_forgotten() {
    let node = Node::new(&Arc::default(), "a");
    assert_eq!(node.unseal(&"ab".repeat(33)).await.unwrap_err(), "Vault is not initialized");
    let answer = node.init(3, 2).await;
    let stranger = Node::new(&Arc::default(), "b").init(3, 2).await;
    node.unseal(&answer.keys[0]).await.unwrap();
    let foreign = stranger.keys.iter().find(|key| key[64..] != answer.keys[0][64..]).unwrap();
    assert_eq!(node.unseal(foreign).await.unwrap_err(), "Unseal failed, invalid key");
    assert_eq!(node.seal.status().unwrap().progress, 0);
    node.unseal(&answer.keys[0]).await.unwrap();
    node.seal.unseal(UnsealRequest { reset: true, ..UnsealRequest::default() }).await.unwrap();
    assert_eq!(node.seal.status().unwrap().progress, 0);
    node.unseal_all(&answer.keys[..2]).await;
}

#[tokio::test]
async fn init_says_what_does_not_fit() {
    let node = Node::new(&Arc::default(), "a");
    for (shares, threshold, text) in [
        (0, 0, "shares must be at least one"),
        (1, 0, "threshold must be at least one"),
        (3, 1, "threshold must be greater than one for multiple shares"),
        (2, 3, "threshold cannot be larger than shares"),
        (256, 3, "shares must be less than 256"),
    ] {
        let request = InitRequest { secret_shares: shares, secret_threshold: threshold, ..InitRequest::default() };
        assert_eq!(node.seal.init(request).await.unwrap_err().to_string(), format!("invalid seal configuration: {text}"));
    }
    let request = InitRequest { recovery_shares: Some(1), recovery_threshold: Some(1), ..InitRequest::default() };
    let text = "parameters recovery_shares,recovery_threshold not applicable to seal type shamir";
    assert_eq!(node.seal.init(request).await.unwrap_err().to_string(), text);
}

#[tokio::test]
async fn a_root_token_is_made_for_whoever_knows_the_shares() {
    let node = Node::new(&Arc::default(), "a");
    let answer = node.init(3, 2).await;
    let start = GenerateRootRequest::default();
    assert!(matches!(node.seal.generate_root_start(&start), Err(SealError::Sealed)));
    node.unseal_all(&answer.keys[..2]).await;
    let nothing = node.seal.generate_root_update(&share(&answer.keys[0], "n")).await.unwrap_err();
    assert_eq!(nothing.to_string(), "no root generation in progress");
    let started = node.seal.generate_root_start(&start).unwrap();
    assert_eq!((started.started, started.required, started.otp.len()), (true, 2, 28));
    assert!(node.seal.generate_root_status().unwrap().otp.is_empty());
    assert_eq!(node.seal.generate_root_start(&start).unwrap_err().to_string(), "root generation already in progress");

    let wrong = node.seal.generate_root_update(&share(&answer.keys[0], "n")).await.unwrap_err().to_string();
    assert_eq!(wrong, format!("incorrect nonce supplied; nonce for this root generation operation is \"{}\"", started.nonce));
    let one = node.seal.generate_root_update(&share(&answer.keys[0], &started.nonce)).await.unwrap();
    assert_eq!((one.progress, one.complete), (1, false));
    let twice = node.seal.generate_root_update(&share(&answer.keys[0], &started.nonce)).await.unwrap_err().to_string();
    assert_eq!(twice, "given key has already been provided during this generation operation");
    let mut forged = answer.keys[1].clone();
    forged.replace_range(..2, if forged.starts_with("00") { "01" } else { "00" });
    assert!(node.seal.generate_root_update(&share(&forged, &started.nonce)).await.unwrap_err().to_string().contains("verification failed"));
    assert_eq!(node.seal.generate_root_status().unwrap().progress, 0);

    node.seal.generate_root_update(&share(&answer.keys[1], &started.nonce)).await.unwrap();
    let done = node.seal.generate_root_update(&share(&answer.keys[2], &started.nonce)).await.unwrap();
    assert!(done.complete);
    let token = decode_token(&done.encoded_token, &started.otp).unwrap();
    assert!(node.has(&token_row(token.expose())));
    assert!(!node.seal.generate_root_status().unwrap().started);
}

#[tokio::test]
async fn a_rotation_that_is_not_committed_changes_no_key() {
    let node = Node::new(&Arc::default(), "a");
    let keys = node.init(1, 1).await.keys;
    node.unseal_all(&keys).await;
    let term = || node.ctx.keys().unwrap().keyring.newest().0;
    let before = term();
    node.raft.lead(false);
    node.ctx.write(|txn| rotate(&node.ctx, txn, Timestamp(1))).await.unwrap_err();
    assert_eq!(term(), before);
}

#[tokio::test]
async fn a_rotated_keyring_is_followed_and_still_opens_what_is_old() {
    let node = Node::new(&Arc::default(), "a");
    let answer = node.init(1, 1).await;
    node.unseal_all(&answer.keys).await;
    node.ctx.write(|txn| rotate(&node.ctx, txn, Timestamp(1))).await.unwrap();
    assert_eq!(node.term(), 2);
    assert!(node.can_read());
    node.seal.seal();
    node.unseal_all(&answer.keys).await;
    assert_eq!(node.term(), 2);
}

/// Gives a node's seal new shares for its `old` ones.
async fn rekeyed(node: &Node, old: &[String], shares: i64, threshold: i64) -> Vec<String> {
    let request = RekeyRequest { secret_shares: shares, secret_threshold: threshold, ..RekeyRequest::default() };
    let nonce = node.seal.rekey_start(&request).unwrap().nonce;
    for key in old {
        if let RekeyAnswer::Done { keys, .. } = node.seal.rekey_update(&share(key, &nonce)).await.unwrap() {
            return keys;
        }
    }
    panic!("they are too few")
}

#[tokio::test]
async fn new_shares_replace_the_old_ones() {
    let node = Node::new(&Arc::default(), "a");
    let old = node.init(1, 1).await;
    node.unseal_all(&old.keys).await;
    let new = rekeyed(&node, &old.keys, 3, 2).await;
    node.seal.seal();
    node.unseal(&old.keys[0]).await.unwrap();
    assert!(node.unseal(&new[0]).await.is_err());
    node.unseal_all(&new[1..]).await;
}

#[tokio::test]
async fn new_shares_that_must_be_verified_count_once_they_were_given_back() {
    let node = Node::new(&Arc::default(), "a");
    let old = node.init(1, 1).await;
    node.unseal_all(&old.keys).await;
    let refused = |error: SealError, part: &str| assert!(error.to_string().contains(part), "{error}: {part}");
    refused(node.seal.rekey_verify_status().unwrap_err(), "no rekey configuration found");
    refused(node.seal.rekey_verify(&share(&old.keys[0], "n")).await.unwrap_err(), "no rekey in progress");
    let request = RekeyRequest { secret_shares: 3, secret_threshold: 2, require_verification: true, ..RekeyRequest::default() };
    let nonce = node.seal.rekey_start(&request).unwrap().nonce;
    refused(node.seal.rekey_verify_status().unwrap_err(), "no rekey verification in progress");
    let RekeyAnswer::Done { keys: new, verification_required: true, verification_nonce: Some(check), .. } =
        node.seal.rekey_update(&share(&old.keys[0], &nonce)).await.unwrap()
    else {
        panic!("one share is enough, and a verification was asked for")
    };
    refused(node.seal.rekey_update(&share(&old.keys[0], &nonce)).await.unwrap_err(), "must be verified");
    assert_eq!(node.seal.rekey_status().unwrap().verification_nonce.as_ref(), Some(&check));

    // Shares that are not the new ones, or not for this verification, change nothing.
    refused(node.seal.rekey_verify(&share(&new[0], &nonce)).await.unwrap_err(), "incorrect nonce");
    assert!(matches!(node.seal.rekey_verify(&share(&new[0], &check)).await.unwrap(), VerifyAnswer::More(VerifyStatus { progress: 1, .. })));
    refused(node.seal.rekey_verify(&share(&new[0], &check)).await.unwrap_err(), "already been provided");
    refused(node.seal.rekey_verify(&share(&old.keys[0], &check)).await.unwrap_err(), "incorrect key shares");
    let again = node.seal.rekey_verify_restart().unwrap();
    assert!(again.progress == 0 && again.nonce != check);

    // With enough of them the old ones are void.
    node.seal.rekey_verify(&share(&new[2], &again.nonce)).await.unwrap();
    let done = node.seal.rekey_verify(&share(&new[1], &again.nonce)).await.unwrap();
    assert!(matches!(done, VerifyAnswer::Done { complete: true, .. }));
    assert!(!node.seal.rekey_status().unwrap().started);
    node.seal.seal();
    node.unseal(&old.keys[0]).await.unwrap();
    assert!(node.unseal(&new[0]).await.is_err());
    node.unseal_all(&new[..2]).await;
}

#[tokio::test]
async fn new_shares_that_were_not_verified_leave_the_old_ones_in_force() {
    let node = Node::new(&Arc::default(), "a");
    let old = node.init(1, 1).await;
    node.unseal_all(&old.keys).await;
    let request = RekeyRequest { secret_shares: 1, secret_threshold: 1, require_verification: true, ..RekeyRequest::default() };
    let nonce = node.seal.rekey_start(&request).unwrap().nonce;
    let RekeyAnswer::Done { keys: new, .. } = node.seal.rekey_update(&share(&old.keys[0], &nonce)).await.unwrap() else {
        panic!("one share is enough")
    };
    node.seal.seal();
    assert!(node.unseal(&new[0]).await.is_err());
    node.unseal_all(&old.keys).await;
    assert!(!node.seal.rekey_status().unwrap().started);
}

#[tokio::test]
async fn a_keyring_that_lacks_a_key_of_this_cluster_leaves_what_is_local_readable() {
    let node = Node::new(&Arc::default(), "a");
    let answer = node.init(1, 1).await;
    node.unseal_all(&answer.keys).await;
    let first = node.ctx.keys().unwrap().keyring.clone();
    node.ctx.write(|txn| rotate(&node.ctx, txn, Timestamp(1))).await.unwrap();
    let (source, here) = (node.ctx.entropy.as_ref(), Key::local("mount/a"));
    let held = node.ctx.keys().unwrap();
    let value = encrypt_value(&held.keyring, source, &here, b"v");
    // This cluster comes to follow another, which was promoted before it had that rotation, and made one of its own.
    let row = |key, value: Vec<u8>| Command::Write(Batch { ops: vec![Op::Put { key, value: value.into() }], ..Batch::default() });
    node.raft.apply(&row(keys::former_keys(), held.keyring.encrypt_all(&held.root.cipher, source)));
    let theirs = first.rotated(source, Timestamp(2));
    node.raft.apply(&row(keys::keyring(), theirs.encrypt(&held.root.cipher, source)));
    let new = encrypt_value(&theirs, source, &here, b"w");
    for _ in 0..2 {
        let keyring = &node.ctx.keys().unwrap().keyring;
        assert_eq!(decrypt_value(keyring, &here, &value).unwrap().expose(), b"v");
        assert_eq!(decrypt_value(keyring, &here, &new).unwrap().expose(), b"w");
        node.seal.seal();
        node.unseal_all(&answer.keys).await;
    }
}

fn adopted(node: &Node, handed_over: bool) -> Command {
    let source = node.ctx.entropy.as_ref();
    let root = RootKey::new(Secret::new(vec![3; 32])).unwrap();
    let keyring = Keyring::first(source, Timestamp(5)).rotated(source, Timestamp(6)).rotated(source, Timestamp(7));
    let Keys { root: old, .. } = (*node.ctx.keys().unwrap()).clone();
    let mut ops = vec![Op::Put { key: keys::keyring(), value: keyring.encrypt(&root.cipher, source).into() }];
    if handed_over {
        ops.push(Op::Put { key: keys::root_key_handover(), value: root_key_handover_row(source, &old, &root) });
    }
    Command::Write(Batch { ops, ..Batch::default() })
}

#[tokio::test]
async fn another_root_key_is_followed_where_it_was_handed_over_and_seals_otherwise() {
    for handed_over in [true, false] {
        let node = Node::new(&Arc::default(), "a");
        let answer = node.init(1, 1).await;
        node.unseal_all(&answer.keys).await;
        node.raft.apply(&adopted(&node, handed_over));
        assert_eq!(node.ctx.is_sealed(), !handed_over);
        if handed_over {
            assert_eq!(node.term(), 3);
        }
    }
}

/// A cluster of one node, `a`, and another node that can reach it.
async fn leader_and_joiner(shares: i64, threshold: usize) -> (Node, Node, InitAnswer) {
    on_one_net(&Arc::default(), shares, threshold).await
}

/// The same, on this net.
async fn on_one_net(net: &Arc<Net>, shares: i64, threshold: usize) -> (Node, Node, InitAnswer) {
    let (leader, joiner) = (Node::new(net, "a"), Node::new(net, "b"));
    let answer = leader.init(shares, threshold as i64).await;
    leader.unseal_all(&answer.keys[..threshold]).await;
    (leader, joiner, answer)
}

#[tokio::test]
async fn a_joining_node_is_taken_in_by_the_shares_of_the_cluster() {
    let (leader, joiner, answer) = leader_and_joiner(3, 2).await;
    let refused = joiner.find("nobody").await.unwrap_err().to_string();
    assert_eq!(refused, "failed to join raft cluster: connection refused");
    assert!(joiner.find("a").await.unwrap().joined);
    let status = joiner.seal.status().unwrap();
    assert_eq!((status.initialized, status.sealed, status.t, status.n), (true, true, 2, 3));

    joiner.unseal(&answer.keys[0]).await.unwrap();
    let mut forged = answer.keys[1].clone();
    forged.replace_range(..2, if forged.starts_with("00") { "01" } else { "00" });
    assert_eq!(joiner.unseal(&forged).await.unwrap_err(), "Unseal failed, invalid key");
    assert!(joiner.seal.identity().current().is_none());

    joiner.unseal_all(&answer.keys[1..]).await;
    assert!(joiner.can_read() && !joiner.seal.is_joining());
    let (theirs, ours) = (joiner.seal.identity().current().unwrap(), leader.seal.identity().current().unwrap());
    assert_eq!(theirs.ca_pem, ours.ca_pem);
    assert_eq!(theirs.describe().unwrap().peer, crate::crypto::cert::Peer::Node("b".into()));
}

#[tokio::test]
async fn a_cluster_that_was_rekeyed_while_a_node_waits_to_join_is_joined_by_its_new_shares() {
    let (leader, joiner, old) = leader_and_joiner(3, 3).await;
    joiner.find("a").await.unwrap();
    joiner.unseal(&old.keys[0]).await.unwrap();

    let new = rekeyed(&leader, &old.keys, 2, 2).await;
    let status = joiner.unseal(&new[0]).await.unwrap();
    assert_eq!((status.t, status.n, status.progress), (2, 2, 1), "the old share is forgotten");
    joiner.unseal_all(&new[1..]).await;
    assert!(joiner.can_read() && !joiner.seal.is_joining());
}

#[tokio::test]
async fn a_node_whose_leader_is_lost_before_it_was_added_joins_again() {
    let net = Arc::default();
    let (_leader, joiner, answer) = on_one_net(&net, 1, 1).await;
    net.loses.store(1, std::sync::atomic::Ordering::Relaxed);
    joiner.find("a").await.unwrap();
    joiner.unseal(&answer.keys[0]).await.unwrap();
    let joined = async {
        while !joiner.can_read() {
            tokio::time::sleep(std::time::Duration::from_millis(50)).await;
        }
    };
    tokio::time::timeout(crate::types::limits::JOIN_PATIENCE * 4, joined).await.unwrap();
    assert!(!joiner.seal.is_joining());
    assert!(joiner.ctx.raft.status().borrow().peers.iter().any(|peer| peer.member.name == "b"), "its group knows it");
}

#[tokio::test]
async fn a_node_that_joined_is_unsealed_by_the_shares_that_are_in_force() {
    let net = Arc::default();
    let (leader, joiner, old) = on_one_net(&net, 1, 1).await;
    joiner.find("a").await.unwrap();
    joiner.unseal_all(&old.keys).await;

    let new = rekeyed(&leader, &old.keys, 3, 2).await;
    net.send_state("a", "b");
    joiner.seal.seal();
    let status = joiner.seal.status().unwrap();
    assert_eq!((status.t, status.n), (2, 3));
    joiner.unseal_all(&new[1..]).await;
    assert!(joiner.can_read());
}

/// The second waits for its turn, and finds that the cluster is there.
#[tokio::test]
async fn of_two_inits_at_one_time_one_founds_the_cluster() {
    let node = Node::new(&Arc::default(), "a");
    let request = || InitRequest { secret_shares: 1, secret_threshold: 1, ..InitRequest::default() };
    let (one, two) = tokio::join!(node.seal.init(request()), node.seal.init(request()));
    assert_eq!(two.unwrap_err().to_string(), "Vault is already initialized");
    node.unseal_all(&one.unwrap().keys).await;
    let mine = node.seal.identity().current().unwrap();
    let authority = node.ctx.begin().unwrap().get(&keys::cluster_ca()).unwrap().unwrap();
    let authority: crate::crypto::cert::Authority = serde_json::from_slice(authority.expose()).unwrap();
    assert_eq!(mine.ca_pem, authority.cert_pem);
}

#[tokio::test]
async fn an_answer_of_a_stranger_is_refused() {
    let net = Arc::new(Net::default());
    let leader = Node::new(&net, "a");
    let answer = leader.init(1, 1).await;
    leader.unseal_all(&answer.keys).await;
    let member = |addr: &str| crate::raft::Member { name: "x".into(), cluster_addr: addr.into(), api_addr: String::new() };
    let mut texts = vec![leader.joins.challenge("").unwrap_err().to_string()];
    leader.joins.challenge("x").unwrap();
    for (answer, addr) in [("", "x:1"), ("AA==", ""), ("*", "x:1"), ("AA==", "x:1"), ("AA==", "x:1")] {
        texts.push(leader.joins.answer("x", answer, member(addr), true, Timestamp(0)).await.unwrap_err().to_string());
    }
    assert_eq!(
        texts,
        [
            "no server_id provided",
            "no answer provided",
            "no cluster_addr provided",
            "could not base64 decode answer",
            "invalid answer given",
            "no expected answer for the server id provided",
        ]
    );
}

/// Before the commit the old shares are good, after it the new ones: never neither.
#[cfg(feature = "chaos")]
#[tokio::test]
async fn a_rekey_that_breaks_off_leaves_shares_that_unseal() {
    for point in ["seal-config-write.before", "seal-config-write.between"] {
        let node = Node::new(&Arc::default(), "a");
        let old = node.init(3, 3).await;
        node.unseal_all(&old.keys).await;
        let request = RekeyRequest { secret_shares: 2, secret_threshold: 2, ..RekeyRequest::default() };
        let nonce = node.seal.rekey_start(&request).unwrap().nonce;
        for key in &old.keys[..2] {
            node.seal.rekey_update(&share(key, &nonce)).await.unwrap();
        }
        crate::chaos::hook(move |name| if name == point { crate::chaos::Verdict::Fail } else { crate::chaos::Verdict::Pass });
        let answer = node.seal.rekey_update(&share(&old.keys[2], &nonce)).await;
        crate::chaos::unhook();
        node.seal.seal();
        match answer {
            Ok(RekeyAnswer::Done { keys: new, .. }) => node.unseal_all(&new).await,
            Ok(RekeyAnswer::More(status)) => panic!("{status:?}"),
            Err(_) => node.unseal_all(&old.keys).await,
        }
    }
}

/// It has lost what it acknowledged, which must not count in a majority as if it had not.
#[tokio::test]
async fn a_voter_that_joins_with_nothing_is_removed_first() {
    let (leader, joiner, answer) = leader_and_joiner(1, 1).await;
    let id = crate::types::NodeId::of_name("b");
    let member = crate::raft::Member { name: "b".into(), ..crate::raft::Member::default() };
    leader.raft.seat(crate::raft::Peer { id, member, is_voter: true });
    joiner.find("a").await.unwrap();
    // Before it is out of the group it gets nothing that it could answer Raft with.
    leader.raft.keeps_peers.store(true, std::sync::atomic::Ordering::Relaxed);
    let refused = joiner.unseal(&answer.keys[0]).await.unwrap_err();
    assert!(refused.contains("votes in this cluster and cannot be removed now"), "{refused}");
    assert!(joiner.seal.identity().current().is_none());
    leader.raft.keeps_peers.store(false, std::sync::atomic::Ordering::Relaxed);
    joiner.find("a").await.unwrap();
    joiner.unseal_all(&answer.keys).await;
    assert!(joiner.seal.identity().current().is_some() && leader.raft.removed.lock().unwrap().contains(&id));
}
