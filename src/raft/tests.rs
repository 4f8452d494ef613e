//! What a group promises, tried on three nodes in one process.

use std::collections::BTreeSet;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use super::testing::{Group, Place, member, options, put, wait_until, write};
use super::{CommitError, Consensus, MembershipError, StartError};
use crate::types::NodeId;

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn writes_commit_on_all_nodes_and_only_the_leader_takes_them() {
    let group = Group::of_three(Place::Memory, |_| {}).await;
    let leader = group.leader(None).await;
    for number in 0..20 {
        write(&group.nodes[leader], &format!("a/{number}")).await;
    }
    group.nodes[leader].raft().read_barrier().await.unwrap();
    assert!(group.nodes[leader].has("a/19"), "a write is applied on the leader when it is answered");
    group.check_same().await;
    let follower = (leader + 1) % 3;
    let refused = group.nodes[follower].raft().propose(&put("b", "b")).await.unwrap_err();
    assert_eq!(refused, CommitError::NotLeader { leader: Some(group.nodes[leader].id) });
    assert!(group.nodes[follower].raft().read_barrier().await.is_err());
    assert!(group.nodes[leader].raft().log_counts().syncs.load(std::sync::atomic::Ordering::Relaxed) > 0);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn another_node_leads_when_the_leader_stops_and_nothing_acknowledged_is_lost() {
    let mut group = Group::of_three(Place::Memory, |_| {}).await;
    let first = group.leader(None).await;
    for number in 0..20 {
        write(&group.nodes[first], &format!("a/{number}")).await;
    }
    group.stop(first).await;
    let second = group.leader(None).await;
    assert_ne!(first, second);
    write(&group.nodes[second], "b").await;
    for number in 0..20 {
        assert!(group.nodes[second].has(&format!("a/{number}")));
    }
    group.start(first).await;
    wait_until(&group.nodes[first], |status| status.leader.is_some()).await;
    group.check_same().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_leader_that_is_cut_off_proves_nothing_and_commits_nothing() {
    let group = Group::of_three(Place::Memory, |_| {}).await;
    let old = group.leader(None).await;
    group.cut(old, true);
    let new = group.leader(Some(old)).await;
    write(&group.nodes[new], "b").await;
    assert!(group.nodes[old].raft().read_barrier().await.is_err());
    assert!(!group.nodes[old].has("b"));
    group.cut(old, false);
    wait_until(&group.nodes[old], |status| !status.is_leader && status.leader.is_some()).await;
    group.check_same().await;
    assert!(group.nodes[old].has("b"));
}

/// With openraft's defaults this loses acknowledged writes: see `config`.
#[tokio::test(flavor = "multi_thread", worker_threads = 3)]
async fn a_leader_that_dies_and_restarts_at_once_loses_nothing_acknowledged() {
    let mut group = Group::of_three(Place::Memory, |_| {}).await;
    let acknowledged = Arc::new(Mutex::new(BTreeSet::new()));
    for round in 0..3 {
        let leader = group.leader(None).await;
        let raft = group.nodes[leader].raft.take().unwrap();
        let raft = Arc::new(raft);
        let writers: Vec<_> = (0..16)
            .map(|writer| {
                let (raft, acknowledged) = (raft.clone(), acknowledged.clone());
                tokio::spawn(async move {
                    for number in 0.. {
                        let path = format!("a/{round}/{writer}/{number}");
                        match raft.propose(&put(&path, &path)).await {
                            Ok(_) => acknowledged.lock().unwrap().insert(path),
                            Err(_) => return,
                        };
                    }
                })
            })
            .collect();
        let before = acknowledged.lock().unwrap().len();
        while acknowledged.lock().unwrap().len() < before + 200 {
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
        raft.crash().await;
        for writer in writers {
            writer.await.unwrap();
        }
        group.nodes[leader].raft = Arc::into_inner(raft);
        group.crash(leader).await;
        group.start(leader).await;
    }
    let leader = group.leader(None).await;
    write(&group.nodes[leader], "last").await;
    group.check_same().await;
    for path in acknowledged.lock().unwrap().iter() {
        assert!(group.nodes[leader].has(path), "{path} was acknowledged");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn leadership_is_handed_over() {
    let group = Group::of_three(Place::Memory, |_| {}).await;
    let old = group.leader(None).await;
    write(&group.nodes[old], "a").await;
    group.nodes[old].raft().hand_over().await.unwrap();
    let new = group.leader(None).await;
    assert_ne!(old, new);
    write(&group.nodes[new], "b").await;
    assert_eq!(group.nodes[old].raft().hand_over().await, Err(MembershipError::NotLeader));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn members_are_removed_and_updated() {
    let group = Group::of_three(Place::Memory, |_| {}).await;
    let leader = group.leader(None).await;
    let raft = group.nodes[leader].raft();
    assert_eq!(raft.remove_peer(NodeId(9)).await, Err(MembershipError::Unknown));
    let other = group.nodes[(leader + 1) % 3].id;
    let moved = super::Member { api_addr: "http://elsewhere".to_owned(), ..member(other) };
    raft.add_peer(other, moved.clone(), true).await.unwrap();
    raft.add_peer(other, moved.clone(), true).await.unwrap();
    wait_until(&group.nodes[leader], |status| status.peers.iter().any(|peer| peer.member == moved && peer.is_voter)).await;
    raft.remove_peer(other).await.unwrap();
    wait_until(&group.nodes[leader], |status| status.peers.len() == 2).await;
    write(&group.nodes[leader], "a").await;
    // A leader can remove itself: another leads then.
    let own = group.nodes[leader].id;
    raft.remove_peer(own).await.unwrap();
    wait_until(&group.nodes[leader], |status| status.is_removed).await;
    let last = (leader + 2) % 3;
    wait_until(&group.nodes[last], |status| status.is_leader).await;
    write(&group.nodes[last], "b").await;
    let refused = group.nodes[last].raft().remove_peer(group.nodes[last].id).await;
    assert!(matches!(refused, Err(MembershipError::Busy(_))), "{refused:?}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_single_node_replays_its_log_when_it_restarts() {
    let mut group = Group { wires: Arc::default(), nodes: Vec::new(), tune: |_| {} };
    group.add_node(NodeId(1), Place::Memory).await;
    group.nodes[0].raft().bootstrap(member(NodeId(1))).await.unwrap();
    group.nodes[0].raft().bootstrap(member(NodeId(1))).await.unwrap();
    for number in 0..50 {
        write(&group.nodes[0], &format!("a/{number}")).await;
    }
    group.crash(0).await;
    assert!(!group.nodes[0].has("a/1"), "the state was in memory");
    group.start(0).await;
    wait_until(&group.nodes[0], |status| status.is_leader).await;
    group.nodes[0].raft().read_barrier().await.unwrap();
    assert!((0..50).all(|number| group.nodes[0].has(&format!("a/{number}"))));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_node_whose_log_is_shorter_than_it_acknowledged_does_not_start() {
    let mut group = Group::of_three(Place::Memory, |_| {}).await;
    let leader = group.leader(None).await;
    for number in 0..20 {
        write(&group.nodes[leader], &format!("a/{number}")).await;
    }
    group.check_same().await;
    let at = (leader + 1) % 3;
    group.stop(at).await;
    let folder = group.nodes[at].folder.path().to_owned();
    let segment = super::log_file::segment_path(&folder.join("raft/log"), 1);
    let len = std::fs::metadata(&segment).unwrap().len();
    std::fs::File::options().write(true).open(&segment).unwrap().set_len(len - 200).unwrap();
    let node = &group.nodes[at];
    let transport = Arc::new(super::testing::MemTransport::new(node.id, group.wires.clone()));
    let started = super::start(options(node.id, &folder), node.store.clone(), transport, Arc::new(super::NoObserver)).await;
    assert!(matches!(started, Err(StartError::LogTooShort { .. })));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_node_far_behind_catches_up_from_a_snapshot() {
    let mut group = Group::of_three(Place::Disk, |options| {
        options.snapshot_entries = 100;
        options.log_keep_entries = 10;
    })
    .await;
    let leader = group.leader(None).await;
    let away = (leader + 1) % 3;
    group.stop(away).await;
    for number in 0..400 {
        write(&group.nodes[leader], &format!("a/{number}")).await;
    }
    let purged = group.nodes[leader].raft().openraft().wait(Some(Duration::from_secs(20)));
    purged.metrics(|now| now.purged.is_some_and(|id| id.index > 200), "the log is purged").await.unwrap();
    group.start(away).await;
    let wanted = group.nodes[leader].raft().status().borrow().committed;
    wait_until(&group.nodes[away], |status| status.applied >= wanted).await;
    assert!(group.nodes[away].has("a/0") && group.nodes[away].has("a/399"));
    write(&group.nodes[leader], "b").await;
    group.check_same().await;
    // What was installed survives, and the node can be restarted on it.
    group.stop(away).await;
    group.start(away).await;
    write(&group.nodes[leader], "c").await;
    group.check_same().await;
}
