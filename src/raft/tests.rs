//! What a group promises, tried on three nodes in one process.

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;
use std::sync::atomic::Ordering;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use bytes::Bytes;
use futures::StreamExt;
use openraft::EntryPayload;
use openraft::async_runtime::watch::WatchReceiver;
use openraft::raft::{AppendEntriesRequest, VoteRequest};

use super::adapter::stored_state;
use super::entry::put_log_id;
use super::testing::{Group, Place, member, options, put, wait_for, wait_until, write};
use super::transport::Call;
use super::types::{Entry, Membership, Seat, SnapshotMeta, Types, Vote, log_id as id};
use super::wire::{SnapshotHead, decode_appended, encode, encode_append};
use super::{CommitError, Consensus, MembershipError, StartError};
use crate::machine::{Applied, PageId, PageSum, Positions, Role, Stored};
use crate::storage::{MemStore, Meta, Physical, Reader, RecordsKept, StorageError};
use crate::types::{Key, NodeId, Position, Scope, WalIndex};

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

/// Found by simulation: a leader's disk hung while the others committed, and its process ended after the state was flushed.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_state_that_is_ahead_of_its_log_starts_with_a_snapshot_that_reaches_as_far() {
    let mut group = Group::of_three(Place::Disk, |_| {}).await;
    let last = (group.leader(None).await + 1) % 3;
    group.stop(last).await;
    let folder = group.nodes[last].folder.path().join("raft");
    let files = |folder: &Path| -> Vec<(std::path::PathBuf, Vec<u8>)> {
        let segments = std::fs::read_dir(folder.join("log")).unwrap().map(|file| file.unwrap().path());
        segments.chain([folder.join("acknowledged")]).map(|file| (file.clone(), std::fs::read(&file).unwrap())).collect()
    };
    let before = files(&folder);
    group.start(last).await;
    let leader = group.leader(None).await;
    for number in 0..20 {
        write(&group.nodes[leader], &format!("a/{number}")).await;
    }
    group.check_same().await;
    // The state is flushed with this.
    group.stop(last).await;
    before.iter().for_each(|(file, bytes)| std::fs::write(file, bytes).unwrap());
    group.start(last).await;
    wait_until(&group.nodes[last], |status| status.leader.is_some()).await;
    group.check_same().await;
    let (purged, snapshot) = {
        let metrics = group.nodes[last].raft().openraft().metrics();
        let now = metrics.borrow_watched();
        (now.purged, now.snapshot)
    };
    assert!(purged.is_some() && purged <= snapshot, "purged {purged:?}, snapshot {snapshot:?}");
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
    group.nodes[old].raft().read_barrier().await.unwrap();
    group.cut(old, true);
    // A proof that was good until now is good no longer than the lease it rests on.
    let proving = async {
        let mut proved = std::time::Instant::now();
        loop {
            let asked = std::time::Instant::now();
            if group.nodes[old].raft().read_barrier().await.is_err() {
                return proved;
            }
            proved = asked;
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    };
    let writing = async {
        let new = group.leader(Some(old)).await;
        write(&group.nodes[new], "b").await;
        std::time::Instant::now()
    };
    let (proved, written) = tokio::join!(proving, writing);
    assert!(proved < written, "it proved to lead after another did");
    assert!(group.nodes[old].raft().read_barrier().await.is_err());
    assert!(!group.nodes[old].has("b"));
    wait_until(&group.nodes[old], |status| !status.is_leader && status.leader.is_none()).await;
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

/// What a lease may last at most, where no test is to see its end.
const LONGER_THAN_A_TEST: Duration = Duration::from_secs(120);

/// Nodes that have just started wait out the lease that they may have granted; its holder need not.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_group_that_restarts_whole_is_led_again_before_its_leases_have_run_out() {
    let mut group = Group::of_three(Place::Memory, |options| options.election_timeout.1 = LONGER_THAN_A_TEST).await;
    let leader = group.leader(None).await;
    write(&group.nodes[leader], "a").await;
    group.check_same().await;
    for at in 0..3 {
        group.crash(at).await;
    }
    // The one that led starts first, when nobody can answer it yet.
    for at in [leader, (leader + 1) % 3, (leader + 2) % 3] {
        group.start(at).await;
    }
    assert_eq!(group.leader(None).await, leader);
    write(&group.nodes[leader], "b").await;
    group.check_same().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_node_that_restarts_votes_for_nobody_else_before_the_lease_that_it_gave_is_over() {
    let mut group = Group::of_three(Place::Memory, |options| options.election_timeout.1 = LONGER_THAN_A_TEST).await;
    let leader = group.leader(None).await;
    write(&group.nodes[leader], "a").await;
    let (at, other) = ((leader + 1) % 3, (leader + 2) % 3);
    group.crash(at).await;
    group.start(at).await;
    let receiver = group.nodes[at].raft().receiver();
    let request = |of: usize| encode(&VoteRequest::<Types>::new(Vote::new(99, group.nodes[of].id.0), Some(id(98, 999))));
    for call in [Call::PreVote, Call::Vote] {
        let refused = receiver.call(call, request(other)).await.unwrap_err();
        assert!(refused.contains("gives no vote yet"), "{refused}");
    }
    receiver.call(Call::PreVote, request(leader)).await.unwrap();
}

/// Another node may hold it too, and lead with it later.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn whether_an_entry_commits_that_was_replaced_here_is_not_known() {
    let group = Group::of_three(Place::Memory, |_| {}).await;
    let old = group.leader(None).await;
    group.cut(old, true);
    let change = put("lost", "lost");
    let losing = group.nodes[old].raft().propose(&change);
    let healing = async {
        let new = group.leader(Some(old)).await;
        write(&group.nodes[new], "kept").await;
        group.cut(old, false);
    };
    let (lost, ()) = tokio::join!(losing, healing);
    assert!(matches!(lost, Err(CommitError::Unknown)), "{lost:?}");
    group.check_same().await;
    assert!(group.nodes[old].has("kept") && !group.nodes[old].has("lost"));
}

/// Nobody waits for more than the lease when a leader's connection breaks: openraft's own elections are off here.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_leader_whose_connections_broke_is_succeeded_at_the_end_of_its_lease() {
    let mut group = Group::of_three(Place::Memory, |_| {}).await;
    let leader = group.leader(None).await;
    write(&group.nodes[leader], "a").await;
    group.check_same().await;
    let others = [(leader + 1) % 3, (leader + 2) % 3];
    let broke = |group: &Group| others.iter().for_each(|at| group.nodes[*at].raft().receiver().broke());
    for at in others {
        group.nodes[at].raft().openraft().runtime_config().elect(false);
    }
    // One that lives goes on leading, whatever broke.
    broke(&group);
    for number in 0..10 {
        write(&group.nodes[leader], &format!("b/{number}")).await;
        tokio::time::sleep(options(NodeId(1), group.nodes[leader].folder.path()).election_timeout.1 / 4).await;
    }
    assert_eq!(group.leader(None).await, leader);
    group.crash(leader).await;
    broke(&group);
    let next = group.leader(None).await;
    assert_ne!(next, leader);
    write(&group.nodes[next], "c").await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_node_that_died_when_it_had_installed_a_snapshot_takes_one_of_its_own_when_it_starts() {
    let mut group = Group::of_three(Place::Memory, |_| {}).await;
    let leader = group.leader(None).await;
    let behind = (leader + 1) % 3;
    write(&group.nodes[leader], "a").await;
    group.check_same().await;
    group.nodes[behind].raft().openraft().trigger().snapshot().await.unwrap();
    wait_for_snapshot(&group.nodes[behind], 0).await;
    group.stop(behind).await;
    for number in 0..5 {
        write(&group.nodes[leader], &format!("b/{number}")).await;
    }
    let (folder, applied) = (tempfile::tempdir().unwrap(), stored_state(&*group.nodes[leader].store).unwrap().0.unwrap());
    group.nodes[leader].store.checkpoint(&folder.path().join("state")).unwrap();
    group.nodes[behind].store.install(&folder.path().join("state")).unwrap();
    group.start(behind).await;
    wait_for_snapshot(&group.nodes[behind], applied.index).await;
    write(&group.nodes[leader], "c").await;
    group.check_same().await;
}

async fn wait_for_snapshot(node: &super::testing::Node, from: u64) {
    let is_there = move |now: &openraft::RaftMetrics<super::types::Types>| now.snapshot.is_some_and(|id| id.index >= from);
    node.raft().openraft().wait(Some(Duration::from_secs(20))).metrics(is_there, "a snapshot").await.unwrap();
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

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn a_new_leader_proves_nothing_before_it_has_applied_what_was_committed() {
    let group = Group::of_three(Place::Memory, |_| {}).await;
    let old = group.leader(None).await;
    let heir = &group.nodes[(old + 1) % 3];
    heir.held.0.store(true, Ordering::Release);
    // The first holds the heir up; the second is committed by the others, and not applied there.
    write(&group.nodes[old], "a").await;
    write(&group.nodes[old], "b").await;
    // Where processors are busy the other one may be quicker than the heir: then it hands on what it got.
    let mut leader = old;
    for _ in 0..5 {
        super::membership::hand_over(group.nodes[leader].raft().openraft(), Some(heir.id)).await.unwrap();
        leader = group.leader(None).await;
        if group.nodes[leader].id == heir.id {
            break;
        }
    }
    wait_until(heir, |status| status.is_leader).await;
    tokio::select! {
        proved = heir.raft().read_barrier() => assert!(proved.is_err() || heir.has("b"), "it read an old state"),
        () = tokio::time::sleep(Duration::from_millis(500)) => {}
    }
    heir.held.0.store(false, Ordering::Release);
    heir.raft().read_barrier().await.unwrap();
    assert!(heir.has("b"));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_leader_whose_lines_are_slow_names_an_heir_that_then_leads() {
    let group = Group::of_three(Place::Memory, |_| {}).await;
    let old = group.leader(None).await;
    assert_eq!(group.nodes[old].raft().status().borrow().heir, None);
    group.slow_down(old);
    wait_until(&group.nodes[old], |status| status.heir.is_some()).await;
    let heir = group.nodes[old].raft().status().borrow().heir;
    group.nodes[old].raft().hand_over().await.unwrap();
    let new = group.leader(None).await;
    assert_eq!(Some(group.nodes[new].id), heir);
    wait_until(&group.nodes[old], |status| status.heir.is_none()).await;
    write(&group.nodes[new], "a").await;
}

/// Simulator, seeds 160 and 188: a standby said that it was well, and named an active node that was gone.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_leader_that_is_gone_is_not_named_though_nobody_can_be_elected() {
    let mut group = Group::of_three(Place::Memory, |_| {}).await;
    let leader = group.leader(None).await;
    let left = (leader + 1) % 3;
    wait_until(&group.nodes[left], |status| status.leader.is_some()).await;
    group.crash((leader + 2) % 3).await;
    group.crash(leader).await;
    wait_until(&group.nodes[left], |status| status.leader.is_none()).await;
    // Not in the moment of an election only.
    tokio::time::sleep(Duration::from_secs(3)).await;
    assert_eq!(group.nodes[left].raft().status().borrow().leader, None);
    // Nor is it after a restart, though the vote for it is kept.
    group.crash(left).await;
    group.start(left).await;
    tokio::time::sleep(Duration::from_millis(200)).await;
    assert_eq!(group.nodes[left].raft().status().borrow().leader, None);
    group.start(leader).await;
    wait_until(&group.nodes[left], |status| status.leader.is_some()).await;
}

/// Its lines may be good by the next time.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_heir_that_is_not_handed_anything_is_named_for_a_while_only() {
    let group = Group::of_three(Place::Memory, |_| {}).await;
    let leader = group.leader(None).await;
    group.slow_down(leader);
    wait_until(&group.nodes[leader], |status| status.heir.is_some()).await;
    wait_until(&group.nodes[leader], |status| status.heir.is_none() && status.is_leader).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn members_are_removed_and_updated() {
    let mut group = Group::of_three(Place::Memory, |_| {}).await;
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
    // Nobody sends it entries any more: it learns of it when it asks for votes.
    let removed = (leader + 1) % 3;
    wait_until(&group.nodes[removed], |status| status.is_removed).await;
    write(&group.nodes[leader], "a").await;
    // It knows when it starts again, though its log does not say so and nobody can be asked.
    group.stop(removed).await;
    group.cut(removed, true);
    group.start(removed).await;
    wait_until(&group.nodes[removed], |status| status.is_removed).await;
    // A leader can remove itself: another leads then.
    let own = group.nodes[leader].id;
    group.nodes[leader].raft().remove_peer(own).await.unwrap();
    wait_until(&group.nodes[leader], |status| status.is_removed).await;
    let last = (leader + 2) % 3;
    wait_until(&group.nodes[last], |status| status.is_leader).await;
    write(&group.nodes[last], "b").await;
    let refused = group.nodes[last].raft().remove_peer(group.nodes[last].id).await;
    assert!(matches!(refused, Err(MembershipError::Busy(_))), "{refused:?}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_voter_that_answers_is_not_removed_while_the_rest_would_be_no_majority() {
    let mut group = Group::of_three(Place::Memory, |_| {}).await;
    let leader = group.leader(None).await;
    let (gone, alive) = ((leader + 1) % 3, (leader + 2) % 3);
    write(&group.nodes[leader], "a").await;
    group.stop(gone).await;
    // Its last answer is forgotten after a while.
    tokio::time::sleep(Duration::from_secs(2)).await;
    let refused = group.nodes[leader].raft().remove_peer(group.nodes[alive].id).await;
    let Err(MembershipError::Busy(why)) = refused else { panic!("{refused:?}") };
    assert!(why.contains("leave 2 voters, of which 1 answer"), "{why}");
    // Nothing is under way that could not end.
    write(&group.nodes[leader], "b").await;
    group.nodes[leader].raft().remove_peer(group.nodes[gone].id).await.unwrap();
    write(&group.nodes[leader], "c").await;
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
async fn a_log_of_another_version_is_refused_in_words() {
    let mut group = Group { wires: Arc::default(), nodes: Vec::new(), tune: |_| {} };
    group.add_node(NodeId(1), Place::Memory).await;
    group.nodes[0].raft().bootstrap(member(NodeId(1))).await.unwrap();
    group.crash(0).await;
    let node = &group.nodes[0];
    let segment = super::log_file::segment_path(&node.folder.path().join("raft/log"), 1);
    let mut bytes = std::fs::read(&segment).unwrap();
    let len = u32::from_be_bytes(bytes[..4].try_into().unwrap()) as usize;
    bytes[9] = 1;
    let crc = crc32fast::hash(&bytes[8..8 + len]);
    bytes[4..8].copy_from_slice(&crc.to_be_bytes());
    std::fs::write(&segment, bytes).unwrap();
    std::fs::write(segment.with_file_name("0-not-ours.log"), "a file that is no segment").unwrap();
    let transport = Arc::new(super::testing::MemTransport::new(node.id, group.wires.clone()));
    let started = super::start(options(node.id, node.folder.path()), node.store.clone(), transport, Arc::new(super::NoObserver)).await;
    assert!(matches!(started, Err(StartError::Format { found: 1 })), "{:?}", started.err());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_state_says_which_entry_it_holds_last() {
    let mut group = Group { wires: Arc::default(), nodes: Vec::new(), tune: |_| {} };
    group.add_node(NodeId(1), Place::Memory).await;
    group.nodes[0].raft().bootstrap(member(NodeId(1))).await.unwrap();
    for number in 0..3 {
        write(&group.nodes[0], &format!("a/{number}")).await;
        let last = group.nodes[0].raft().openraft().metrics().borrow_watched().last_log_index;
        let stored = super::adapter::stored_state(&*group.nodes[0].store).unwrap().0;
        assert_eq!(stored.map(|id| id.index), last, "what was answered is applied");
    }
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
        // Snapshots beside other tests may hold a node up for longer than usual; who leads is not what this asks.
        options.election_timeout = (Duration::from_secs(3), Duration::from_secs(6));
    })
    .await;
    let leader = group.leader(None).await;
    let away = (leader + 1) % 3;
    group.stop(away).await;
    for number in 0..400 {
        write(&group.nodes[leader], &format!("a/{number}")).await;
    }
    // For one that has just gone the log is kept a while, and what is purged is purged after writes.
    let is_purged = || group.nodes[leader].raft().openraft().metrics().borrow_watched().purged.is_some_and(|id| id.index > 200);
    let deadline = tokio::time::Instant::now() + Duration::from_secs(20);
    while !is_purged() {
        assert!(tokio::time::Instant::now() < deadline, "the log is not purged");
        write(&group.nodes[leader], "more").await;
    }
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

/// A state whose snapshots are one small file and take their time to be installed.
struct SlowState(MemStore);

impl Physical for SlowState {
    fn reader(&self) -> Arc<dyn Reader> {
        self.0.reader()
    }
    fn get(&self, key: &Key) -> Result<Option<Stored>, StorageError> {
        Physical::get(&self.0, key)
    }
    fn role(&self) -> Role {
        Physical::role(&self.0)
    }
    fn positions(&self) -> Positions {
        Physical::positions(&self.0)
    }
    fn key_uses(&self) -> crate::machine::KeyUses {
        Physical::key_uses(&self.0)
    }
    fn page(&self, scope: Scope, page: PageId) -> PageSum {
        self.0.page(scope, page)
    }
    fn meta(&self, name: &str) -> Result<Option<Vec<u8>>, StorageError> {
        self.0.meta(name)
    }
    fn commit(&self, applied: &[Applied], meta: &Meta) -> Result<(), StorageError> {
        self.0.commit(applied, meta)
    }
    fn flush(&self) -> Result<(), StorageError> {
        Ok(())
    }
    fn records(&self, after: WalIndex, bytes_max: usize) -> Result<Option<Vec<Bytes>>, StorageError> {
        self.0.records(after, bytes_max)
    }
    fn position_at(&self, wal: WalIndex) -> Result<Option<Position>, StorageError> {
        self.0.position_at(wal)
    }
    fn records_kept(&self) -> RecordsKept {
        self.0.records_kept()
    }
    fn trim_records(&self, upto: WalIndex) -> Result<(), StorageError> {
        self.0.trim_records(upto)
    }
    fn checkpoint(&self, into: &Path) -> Result<(), StorageError> {
        std::fs::create_dir(into).unwrap();
        std::fs::write(into.join("applied"), self.0.meta("raft.applied")?.unwrap()).unwrap();
        Ok(())
    }
    fn install(&self, from: &Path) -> Result<(), StorageError> {
        std::thread::sleep(Duration::from_millis(150));
        let applied = std::fs::read(from.join("applied")).unwrap();
        self.0.commit(&[], &vec![("raft.applied", applied)])
    }
}

/// The traffic that makes an ungated openraft panic for good: a second snapshot and repeated appends of a new leader while the first
/// snapshot is still being installed.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_second_snapshot_while_one_is_installed_does_no_harm() {
    let folder = tempfile::tempdir().unwrap();
    let transport = Arc::new(super::testing::MemTransport::new(NodeId(3), Arc::default()));
    let store = Arc::new(SlowState(MemStore::new()));
    let node = super::start(options(NodeId(3), folder.path()), store, transport, Arc::new(super::NoObserver)).await.unwrap();
    let receiver = node.receiver();
    let seats = (1..=3).map(|id| (id, Seat { member: member(NodeId(id)), wants_vote: true }));
    let members = openraft::Membership::new(vec![(1..=3).collect::<BTreeSet<u64>>()], seats.collect::<BTreeMap<u64, Seat>>()).unwrap();

    let blank = |index| Entry { log_id: id(1, index), payload: EntryPayload::Blank };
    let append = |term: u64, after: Option<u64>, entries: Vec<Entry>, commit: Option<u64>| {
        let receiver = receiver.clone();
        let request = AppendEntriesRequest {
            vote: Vote::new_committed(term, term),
            prev_log_id: after.map(|index| id(1, index)),
            entries,
            leader_commit: commit.map(|index| id(1, index)),
        };
        async move {
            let messages = futures::stream::iter([encode_append(&request)]).boxed();
            let answer = receiver.append(messages).await.unwrap().next().await.unwrap().unwrap();
            decode_appended(answer).unwrap()
        }
    };
    let install = |term: u64, index: u64| {
        let receiver = receiver.clone();
        let meta = SnapshotMeta { last_log_id: Some(id(1, index)), last_membership: Membership::new(Some(id(1, 0)), members.clone()) };
        let head = encode(&SnapshotHead { vote: Vote::new_committed(term, term), meta });
        async move {
            let staged = receiver.stage().await?;
            let mut applied = Vec::new();
            put_log_id(&mut applied, &id(1, index));
            std::fs::write(staged.join("applied"), applied).unwrap();
            receiver.install(head, staged).await
        }
    };

    let first = vec![Entry { log_id: id(1, 0), payload: EntryPayload::Membership(members.clone()) }, blank(1), blank(2)];
    append(1, None, first, Some(2)).await.unwrap();
    let installing = tokio::spawn(install(1, 20));
    tokio::time::sleep(Duration::from_millis(30)).await;
    let mut under_way = vec![tokio::spawn(append(1, Some(20), (21..30).map(blank).collect(), Some(20)))];
    tokio::time::sleep(Duration::from_millis(10)).await;
    under_way.push(tokio::spawn(append(2, Some(20), (21..25).map(blank).collect(), Some(24))));
    under_way.push(tokio::spawn(append(2, Some(20), (21..30).map(blank).collect(), Some(29))));
    tokio::time::sleep(Duration::from_millis(10)).await;
    let second = install(2, 25).await;
    assert_eq!(second, Err("a snapshot is being installed".to_owned()));
    installing.await.unwrap().unwrap();
    for sent in under_way {
        // An append of the old leader may be refused by now; the node lives.
        let _ = sent.await.unwrap();
    }
    // A snapshot of entries that are here is not installed: they are committed instead.
    install(2, 29).await.unwrap();
    append(2, Some(29), vec![blank(30)], Some(30)).await.unwrap();
    wait_for(&node, |status| status.applied.0 == 30).await;
}
