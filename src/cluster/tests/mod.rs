//! What the port promises, over real TLS on loopback.

mod group;

use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use bytes::Bytes;
use futures::StreamExt;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::sync::watch;

use super::connection::{Connection, PATIENT, origin};
use super::testing::{At, Rig, authority, dialer, expired, node, secondary, status};
use super::wire::raft::CallRequest;
use super::wire::raft::raft_client::RaftClient;
use super::wire::replication::WhoIsActiveRequest;
use super::{Forwarder, RaftTransport, ReplicationLink, bootstrap, primary};
use crate::core::{FORWARDED_HEADER, ForwardError, PrimaryCall, PrimaryContact, RawRequest, Upstream};
use crate::crypto::cert::{Identity, Peer};
use crate::engine::Operation;
use crate::machine::{PAGES, PageId, PageSum};
use crate::raft::Member;
use crate::raft::transport::{Call, Transport, TransportError};
use crate::replication::link::{FromPrimary, FromSecondary, Link, LinkError};
use crate::types::{Clock, Generation, HistoryHash, NodeId, Position, SystemClock, Timestamp, WalIndex};

/// Whether `identity` gets an answer of the Raft service at `addr`; else what it got instead.
async fn reaches_raft(addr: &str, identity: &Identity) -> Result<(), String> {
    let connection = Connection::dial(addr, identity, None, PATIENT).await.map_err(|error| error.to_string())?;
    let mut client = RaftClient::with_origin(connection, origin());
    let request = CallRequest { kind: 1, message: Bytes::new() };
    client.call(request).await.map(|_| ()).map_err(|status| format!("{:?}", status.code()))
}

async fn reaches_replication(addr: &str, identity: &Identity) -> Result<(), String> {
    let connection = Connection::dial(addr, identity, None, PATIENT).await.map_err(|error| error.to_string())?;
    primary::client(connection).who_is_active(WhoIsActiveRequest {}).await.map(|_| ()).map_err(|status| format!("{:?}", status.code()))
}

#[tokio::test]
async fn a_certificate_reaches_the_services_of_its_class_and_no_other() {
    let (ours, theirs) = (authority(), authority());
    let rig = Rig::active(&ours, "a").await;
    assert_eq!(reaches_raft(&rig.addr, &node(&ours, "b")).await, Ok(()));
    assert_eq!(reaches_replication(&rig.addr, &secondary(&ours, "s")).await, Ok(()));
    assert_eq!(reaches_raft(&rig.addr, &secondary(&ours, "s")).await, Err("Unimplemented".to_owned()));
    assert_eq!(reaches_replication(&rig.addr, &node(&ours, "b")).await, Err("Unimplemented".to_owned()));
    // Of another authority, on either side of the connection; with a certificate of theirs that claims to trust ours.
    assert!(reaches_raft(&rig.addr, &node(&theirs, "b")).await.is_err());
    let stranger = Identity { ca_pem: ours.cert_pem.clone(), ..(*node(&theirs, "b")).clone() };
    assert!(reaches_raft(&rig.addr, &stranger).await.is_err());
    assert!(reaches_raft(&rig.addr, &expired(&ours, "b")).await.is_err());
    // A port is judged as well: a secondary's certificate does not serve as a node's.
    let posing = Rig::with(&ours, Some(secondary(&ours, "s")), Arc::new(SystemClock)).await;
    assert!(reaches_raft(&posing.addr, &node(&ours, "b")).await.is_err());
}

#[tokio::test]
async fn who_shows_no_certificate_is_told_nothing() {
    let ours = authority();
    let rig = Rig::active(&ours, "a").await;
    // Plain TCP: the connection ends without a byte of ours but a TLS alert.
    let mut tcp = TcpStream::connect(&rig.addr).await.unwrap();
    tcp.write_all(b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n").await.unwrap();
    let mut answer = Vec::new();
    let _ = tcp.read_to_end(&mut answer).await;
    assert!(answer.len() < 16, "{answer:?}");
    // TLS without a certificate.
    let mut roots = rustls::RootCertStore::empty();
    roots.add(rustls_pki_types::pem::PemObject::from_pem_slice(ours.cert_pem.as_bytes()).unwrap()).unwrap();
    let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
    let mut config = rustls::ClientConfig::builder_with_provider(provider)
        .with_protocol_versions(&[&rustls::version::TLS13])
        .unwrap()
        .with_root_certificates(roots)
        .with_no_client_auth();
    config.alpn_protocols = vec![b"h2".to_vec()];
    let tcp = TcpStream::connect(&rig.addr).await.unwrap();
    let greeted = tokio_rustls::TlsConnector::from(Arc::new(config)).connect(super::tls::server_name(), tcp).await;
    // In TLS 1.3 the client is done before the server has judged it: what counts is that nothing can be read.
    if let Ok(mut stream) = greeted {
        let _ = stream.write_all(b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n\0\0\0\x04\0\0\0\0\0").await;
        let mut answer = Vec::new();
        assert!(stream.read_to_end(&mut answer).await.is_err(), "{answer:?}");
    }
    assert!(rig.fakes.heard.lock().unwrap().is_empty());
}

#[tokio::test]
async fn who_says_nothing_is_hung_up_on() {
    let rig = Rig::active(&authority(), "a").await;
    let mut silent = TcpStream::connect(&rig.addr).await.unwrap();
    let ended = tokio::time::timeout(Duration::from_secs(10), silent.read_to_end(&mut Vec::new())).await;
    assert!(ended.is_ok(), "the connection is closed in time");
}

#[tokio::test]
async fn an_identity_is_followed_without_a_restart() {
    let (first, second) = (authority(), authority());
    let rig = Rig::with(&first, None, Arc::new(SystemClock)).await;
    let peer = watch::Sender::new(Some(node(&first, "b")));
    let transport = RaftTransport::new(super::Dialer::new(peer.subscribe()));
    let member = rig.member("a");
    let call = || transport.call(NodeId(1), &member, Call::Vote, Bytes::new());
    assert!(matches!(call().await, Err(TransportError::Unreachable(_))), "nothing is served without an identity");
    rig.identity.send_replace(Some(node(&first, "a")));
    assert!(call().await.is_ok());
    rig.identity.send_replace(Some(node(&second, "a")));
    peer.send_replace(Some(node(&second, "b")));
    assert!(call().await.is_ok(), "the new identity is used for a new connection");
}

#[tokio::test]
async fn raft_messages_are_answered_in_order() {
    let ours = authority();
    let rig = Rig::active(&ours, "a").await;
    let transport = RaftTransport::new(dialer(&node(&ours, "b")));
    let member = rig.member("a");
    for (call, expected) in [(Call::Vote, "Vote m"), (Call::PreVote, "PreVote m"), (Call::TransferLeader, "TransferLeader m")] {
        assert_eq!(transport.call(NodeId(1), &member, call, Bytes::from_static(b"m")).await.unwrap(), expected);
    }
    let sent: Vec<Bytes> = (0..500).map(|n| Bytes::from(vec![u8::try_from(n % 251).unwrap(); 4096])).collect();
    // A long stream that stays open, and short ones beside it.
    let long = transport.append(NodeId(1), &member, futures::stream::pending().boxed()).await.unwrap();
    for _ in 0..3 {
        let answers = transport.append(NodeId(1), &member, futures::stream::iter(sent.clone()).boxed()).await.unwrap();
        let answers: Vec<Bytes> = answers.map(Result::unwrap).collect().await;
        assert_eq!(answers, sent);
    }
    drop(long);
    let bad = vec![Bytes::from_static(b"good"), Bytes::from_static(b"bad")];
    let answers = transport.append(NodeId(1), &member, futures::stream::iter(bad).boxed()).await.unwrap();
    let answers: Vec<_> = answers.collect().await;
    assert!(matches!(&answers[..], [Ok(_), Err(TransportError::Broken(_))]), "{answers:?}");
}

#[tokio::test]
async fn a_stream_that_breaks_is_reported_and_one_that_ends_is_not() {
    let ours = authority();
    let rig = Rig::active(&ours, "a").await;
    let has_broken = || rig.fakes.heard.lock().unwrap().iter().any(|heard| heard == "broke");
    let (identity, member) = (node(&ours, "b"), rig.member("a"));
    // A runtime that is dropped closes its sockets, as a process that is killed does.
    let process = tokio::runtime::Builder::new_multi_thread().worker_threads(1).enable_all().build().unwrap();
    let opened = process.spawn(async move {
        let transport = RaftTransport::new(dialer(&identity));
        let short = futures::stream::iter([Bytes::from_static(b"m")]).boxed();
        assert!(transport.append(NodeId(1), &member, short).await.unwrap().next().await.is_some());
        transport.append(NodeId(1), &member, futures::stream::pending().boxed()).await.unwrap()
    });
    let _long = opened.await.unwrap();
    assert!(!has_broken());
    process.shutdown_background();
    let reported = async {
        while !has_broken() {
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    };
    tokio::time::timeout(Duration::from_secs(20), reported).await.expect("it is reported");
}

#[tokio::test]
async fn raft_dials_again_and_only_whom_it_means() {
    let ours = authority();
    let rig = Rig::active(&ours, "a").await;
    let transport = RaftTransport::new(dialer(&node(&ours, "b")));
    let wrong = Member { name: "c".to_owned(), ..rig.member("a") };
    let call = transport.call(NodeId(2), &wrong, Call::Vote, Bytes::new()).await;
    assert!(matches!(call, Err(TransportError::Unreachable(_))), "another node answers there: {call:?}");
    let member = rig.member("a");
    assert!(transport.call(NodeId(1), &member, Call::Vote, Bytes::new()).await.is_ok());
    let addr = rig.addr.clone();
    rig.handle.shutdown().await;
    let call = transport.call(NodeId(1), &member, Call::Vote, Bytes::new()).await;
    assert!(matches!(call, Err(TransportError::Unreachable(_))), "{call:?}");
    assert!(TcpStream::connect(&addr).await.is_err());
}

#[tokio::test]
async fn a_snapshot_arrives_file_by_file() {
    let ours = authority();
    let rig = Rig::active(&ours, "a").await;
    let transport = RaftTransport::new(dialer(&node(&ours, "b")));
    let folder = tempfile::tempdir().unwrap();
    let large: Vec<u8> = (0..1_000_003_u32).map(|n| n.to_le_bytes()[0]).collect();
    std::fs::create_dir(folder.path().join("sub")).unwrap();
    let files: [(&str, &[u8]); 4] = [("CURRENT", b"x"), ("000012.sst", &large), ("empty", b""), ("sub/OPTIONS-7", b"o")];
    for (name, content) in files {
        std::fs::write(folder.path().join(name), content).unwrap();
    }
    let head = Bytes::from_static(b"head");
    let answer = transport.snapshot(NodeId(1), &rig.member("a"), head.clone(), folder.path().to_owned()).await.unwrap();
    assert_eq!(answer, head);
    let installed = rig.fakes.folder.path().join("installed");
    for (name, content) in files {
        assert!(std::fs::read(installed.join(name)).unwrap() == content, "{name}");
    }
    // While another one is staged, the peer says "not now".
    std::fs::create_dir(rig.fakes.folder.path().join("stage")).unwrap();
    let refused = transport.snapshot(NodeId(1), &rig.member("a"), head.clone(), folder.path().to_owned()).await;
    assert!(matches!(refused, Err(TransportError::Unreachable(_))), "{refused:?}");
    // A folder that cannot be read is the sender's own failure, and leaves nothing behind.
    std::fs::remove_dir(rig.fakes.folder.path().join("stage")).unwrap();
    let broken = transport.snapshot(NodeId(1), &rig.member("a"), head, folder.path().join("missing")).await;
    assert!(matches!(broken, Err(TransportError::Broken(_))), "{broken:?}");
    assert!(!rig.fakes.folder.path().join("stage").exists());
}

/// A standby's way to `rig`, which is the active node `a`.
fn standby(ours: &crate::crypto::cert::Authority, rig: &Rig) -> Forwarder {
    let known = watch::Sender::new(status("b", false, &[rig.member("a")]));
    Forwarder::new(dialer(&node(ours, "b")), known.subscribe(), watch::Sender::new(None).subscribe())
}

#[tokio::test]
async fn a_standby_hands_requests_to_the_active_node_once() {
    let ours = authority();
    let rig = Rig::active(&ours, "a").await;
    let forwarder = standby(&ours, &rig);
    let request = RawRequest {
        method: "POST".to_owned(),
        uri: "/v1/secret/data/a?x=1".to_owned(),
        headers: vec![("x-vault-token".to_owned(), b"t\xff".to_vec())],
        body: Bytes::from(vec![7; 9 * 1024 * 1024]),
        remote: "127.0.0.1:1".to_owned(),
    };
    let response = forwarder.to_active(request.clone()).await.unwrap();
    assert_eq!(response.status, 207);
    assert!(response.body == request.body);
    assert_eq!(response.headers, [request.headers[0].clone(), (FORWARDED_HEADER.to_owned(), b"1".to_vec())]);
    assert_eq!(*rig.fakes.heard.lock().unwrap(), ["POST /v1/secret/data/a?x=1"]);
    // Once handed on, never again.
    let again = RawRequest { headers: response.headers, ..request };
    assert_eq!(forwarder.to_active(again).await.unwrap_err(), ForwardError::NoActive);
    // Who is not active does nothing.
    rig.fakes.is_active.store(false, Ordering::SeqCst);
    assert!(matches!(forwarder.to_active(RawRequest::default()).await, Err(ForwardError::Unreachable(_))));
    assert_eq!(rig.fakes.heard.lock().unwrap().len(), 1);
}

#[tokio::test]
async fn a_request_that_was_sent_and_not_answered_is_unknown() {
    let ours = authority();
    let rig = Rig::active(&ours, "a").await;
    let forwarder = Arc::new(standby(&ours, &rig));
    rig.fakes.hangs.store(true, Ordering::SeqCst);
    let waiting = tokio::spawn({
        let forwarder = forwarder.clone();
        async move { forwarder.to_active(RawRequest::default()).await }
    });
    while rig.fakes.heard.lock().unwrap().is_empty() {
        tokio::task::yield_now().await;
    }
    rig.handle.shutdown().await;
    let outcome = waiting.await.unwrap();
    assert!(matches!(outcome, Err(ForwardError::Unknown(_))), "{outcome:?}");
    let outcome = forwarder.to_active(RawRequest::default()).await;
    assert!(matches!(outcome, Err(ForwardError::Unreachable(_))), "{outcome:?}");
}

fn at(wal: u64) -> Position {
    Position { wal: WalIndex(wal), history: HistoryHash([u8::try_from(wal).unwrap(); 32]) }
}

fn contact(identity: &Arc<Identity>, addrs: &[&str]) -> watch::Receiver<Option<PrimaryContact>> {
    let cluster_addrs = addrs.iter().map(|addr| (*addr).to_owned()).collect();
    watch::Sender::new(Some(PrimaryContact { cluster_addrs, identity: (**identity).clone() })).subscribe()
}

#[tokio::test]
async fn every_message_of_a_link_arrives_as_it_was_said() {
    let ours = authority();
    let mut rig = Rig::active(&ours, "a").await;
    // The address that is known is a standby's; it names the active node.
    let other = Rig::with(&ours, Some(node(&ours, "b")), Arc::new(SystemClock)).await;
    other.status.send_replace(status("b", false, &[rig.member("a"), other.member("b")]));
    let link = ReplicationLink::new(contact(&secondary(&ours, "emea"), &["127.0.0.1:1"]));
    let mut here = link.connect(&[format!("https://{}", other.addr)]).await.unwrap();
    let (id, mut there) = rig.links.recv().await.unwrap();
    assert_eq!(id, "emea");
    let (generation, api_addr, cluster_addr) = (Generation(4), "https://s:8200".to_owned(), "s:8201".to_owned());
    let up = [
        FromSecondary::Hello { have: at(1), generation, filling: true, api_addr: api_addr.clone(), cluster_addr: cluster_addr.clone() },
        FromSecondary::Ack { upto: at(2) },
        FromSecondary::ComparePages { pages: (0..PAGES).map(|n| PageSum([n.to_le_bytes()[0]; 32])).collect() },
        FromSecondary::FetchPages { pages: vec![PageId(0), PageId(65535)] },
        FromSecondary::Heartbeat { sent: Timestamp(9) },
    ];
    for message in up {
        here.out.send(message.clone()).await.unwrap();
        assert!(there.incoming.next().await.unwrap().unwrap() == message);
    }
    let down = [
        FromPrimary::Streaming { generation, position: at(3) },
        FromPrimary::Resync { why: "trimmed".to_owned(), generation, snapshot: at(4) },
        FromPrimary::Records { generation, after: at(5), records: vec![Bytes::from_static(b"\0\xff"), Bytes::from(vec![1; 1_000_000])] },
        FromPrimary::Differing { pages: vec![PageId(7)] },
        FromPrimary::Rows { page: PageId(7), rows: vec![("a/b".to_owned(), Bytes::from_static(b"c"))], is_last: true },
        FromPrimary::Heartbeat {
            now: Timestamp(1),
            echo: Timestamp(2),
            position: at(6),
            generation,
            cluster_addrs: vec!["a:1".to_owned(), "b:2".to_owned()],
            api_addr,
            cluster_addr,
        },
    ];
    for message in down {
        there.out.send(message.clone()).await.unwrap();
        assert!(here.incoming.next().await.unwrap().unwrap() == message);
    }
    // Who hangs up is missed on the other side.
    drop(here);
    assert!(matches!(there.incoming.next().await, None | Some(Err(LinkError::Broken(_)))));
}

#[tokio::test]
async fn a_secondary_follows_only_the_addresses_that_it_is_to_be_told() {
    let ours = authority();
    let active = Rig::active(&ours, "a").await;
    let standby = Rig::with(&ours, Some(node(&ours, "b")), Arc::new(SystemClock)).await;
    standby.status.send_replace(status("b", false, &[active.member("a"), standby.member("b")]));
    let link = ReplicationLink::new(contact(&secondary(&ours, "emea"), &[&standby.addr]));
    *standby.fakes.told.lock().unwrap() = Some(vec!["127.0.0.1:1".to_owned()]);
    let refused = link.connect(&[]).await.err();
    assert!(matches!(&refused, Some(LinkError::Unreachable(why)) if why.contains("127.0.0.1:1")), "{refused:?}");
    *standby.fakes.told.lock().unwrap() = Some(vec![active.addr.clone()]);
    link.connect(&[]).await.unwrap();
}

#[tokio::test]
async fn a_secondary_that_is_revoked_is_cut_off() {
    let ours = authority();
    let mut rig = Rig::active(&ours, "a").await;
    let link = ReplicationLink::new(contact(&secondary(&ours, "emea"), &[&rig.addr]));
    let mut here = link.connect(&[]).await.unwrap();
    let _there = rig.links.recv().await.unwrap();
    rig.fakes.admits.store(false, Ordering::SeqCst);
    let last = tokio::time::timeout(Duration::from_secs(5), here.incoming.next()).await.expect("the link is cut in time");
    assert!(matches!(last, Some(Err(LinkError::Refused(_)))), "{last:?}");
    assert!(matches!(link.connect(&[]).await, Err(LinkError::Refused(_))));
}

#[tokio::test]
async fn a_link_ends_when_the_primarys_active_node_steps_down_and_that_is_no_refusal() {
    let ours = authority();
    let mut rig = Rig::active(&ours, "a").await;
    let link = ReplicationLink::new(contact(&secondary(&ours, "emea"), &[&rig.addr]));
    let mut here = link.connect(&[]).await.unwrap();
    let _there = rig.links.recv().await.unwrap();
    rig.fakes.is_active.store(false, Ordering::SeqCst);
    let last = tokio::time::timeout(Duration::from_secs(5), here.incoming.next()).await.expect("the link is cut in time");
    assert!(matches!(last, Some(Err(LinkError::Unreachable(_)))), "{last:?}");
    assert!(matches!(link.connect(&[]).await, Err(LinkError::Unreachable(_))));
}

fn a_write() -> PrimaryCall {
    PrimaryCall {
        request_id: "r".into(),
        operation: Operation::Update,
        path: "secret/data/a".into(),
        data: serde_json::from_str(r#"{"data": {"k": "v"}}"#).unwrap(),
        policies: vec!["dev".into()],
        display_name: String::new(),
        entity_id: String::new(),
        accessor: String::new(),
        remote: String::new(),
    }
}

#[tokio::test]
async fn writes_go_to_the_primary_that_is_followed_now() {
    let ours = authority();
    let (before, now) = (Rig::active(&ours, "a").await, Rig::active(&ours, "b").await);
    let identity = secondary(&ours, "emea");
    let known = |rig: &Rig| Some(PrimaryContact { cluster_addrs: vec![rig.addr.clone()], identity: (*identity).clone() });
    let followed = watch::Sender::new(known(&before));
    let nobody = watch::Sender::new(status("s", true, &[]));
    let forwarder = Forwarder::new(dialer(&node(&authority(), "s")), nobody.subscribe(), followed.subscribe());
    forwarder.to_primary(a_write()).await.unwrap();
    followed.send_replace(known(&now));
    now.fakes.admits.store(false, Ordering::SeqCst);
    let answer = forwarder.to_primary(a_write()).await;
    assert!(matches!(answer, Err(ForwardError::Refused(_))), "{answer:?}");
}

#[tokio::test]
async fn a_secondary_is_bootstrapped_and_its_writes_are_run() {
    let ours = authority();
    let rig = Rig::active(&ours, "a").await;
    let identity = secondary(&ours, "emea");
    let package = bootstrap(std::slice::from_ref(&rig.addr), &identity).await.unwrap();
    assert_eq!((package.set.as_str(), package.generation, package.root_key.expose().as_slice()), ("emea", Generation(3), &[1, 2, 3][..]));
    assert_eq!(package.raw_rows, [("keyring".to_owned(), Bytes::from_static(b"\0raw"))]);
    let nobody = watch::Sender::new(status("s", true, &[]));
    let forwarder = Forwarder::new(dialer(&node(&authority(), "s")), nobody.subscribe(), contact(&identity, &[&rig.addr]));
    let call = a_write();
    let reply = forwarder.to_primary(call.clone()).await.unwrap();
    assert_eq!((reply.status, reply.errors, reply.warnings), (200, vec!["emea".to_owned()], vec!["dev".to_owned()]));
    assert_eq!((reply.data.as_ref(), reply.position.wal), (Some(&call.data), WalIndex(7)));
    rig.fakes.admits.store(false, Ordering::SeqCst);
    assert!(matches!(forwarder.to_primary(call).await, Err(ForwardError::Refused(_))));
    assert!(matches!(bootstrap(std::slice::from_ref(&rig.addr), &identity).await, Err(LinkError::Refused(_))));
}

#[tokio::test]
async fn a_certificate_is_renewed_at_half_of_its_life() {
    let ours = authority();
    let active = Rig::active(&ours, "a").await;
    let (now, day) = (SystemClock.now(), 24 * 3600 * 1000);
    // Sixteen of thirty days are over.
    let old = ours.issue(&Peer::Node("b".to_owned()), Timestamp(now.0 - 16 * day), crate::crypto::cert::NODE_LIFE).unwrap();
    let members = [active.member("a"), Member { name: "b".to_owned(), ..Member::default() }];
    active.status.send_replace(status("a", true, &members));
    let mut aging = Rig::with(&ours, None, Arc::new(At(now))).await;
    aging.status.send_replace(status("b", false, &members));
    aging.identity.send_replace(Some(Arc::new(old)));
    let kept = tokio::time::timeout(Duration::from_secs(10), aging.kept.recv()).await.unwrap().unwrap();
    let described = kept.describe().unwrap();
    assert_eq!(described.peer, Peer::Node("b".to_owned()));
    assert!(described.not_after.0 > now.0 + 29 * day);
    assert_eq!(*active.fakes.heard.lock().unwrap(), ["issue b"]);
    assert!(aging.fakes.heard.lock().unwrap().is_empty());
}

#[tokio::test]
async fn a_node_whose_certificate_is_expired_or_lost_issues_its_own_once_it_is_unsealed() {
    let ours = authority();
    for (old, name) in [(Some(expired(&ours, "b")), "b"), (None, "rig")] {
        let mut rig = Rig::with(&ours, old, Arc::new(SystemClock)).await;
        // Sealed, it can do nothing.
        tokio::task::yield_now().await;
        assert!(rig.kept.try_recv().is_err() && rig.fakes.heard.lock().unwrap().is_empty());
        rig.standing.send_replace(crate::core::Standing::Standby { active: None });
        let kept = tokio::time::timeout(Duration::from_secs(10), rig.kept.recv()).await.unwrap().unwrap();
        let described = kept.describe().unwrap();
        assert!(described.peer == Peer::Node(name.to_owned()) && described.not_after > SystemClock.now(), "{described:?}");
        assert_eq!(rig.fakes.heard.lock().unwrap()[0], format!("issue {name}"));
    }
}

#[tokio::test]
async fn a_node_that_was_removed_gets_no_new_certificate() {
    let ours = authority();
    let active = Rig::active(&ours, "a").await;
    let connection = Connection::dial(&active.addr, &node(&ours, "b"), Some("a"), PATIENT).await.unwrap();
    let mut client = super::wire::cluster::renewal_client::RenewalClient::with_origin(connection, origin());
    let refused = client.renew(super::wire::cluster::RenewRequest {}).await.unwrap_err();
    assert_eq!(refused.code(), tonic::Code::PermissionDenied);
    assert!(active.fakes.heard.lock().unwrap().is_empty());
}
