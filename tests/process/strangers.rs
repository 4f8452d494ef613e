//! Connections that want nothing, or want it slowly: they end in time, keep nobody out, and leave nothing behind.

use std::fs;
use std::io::{Read, Write};
use std::net::TcpStream;
use std::time::Duration;

use super::cluster::Cluster;
use super::node::{Node, wait_until};

const LONG: Duration = Duration::from_secs(60);
const GET: &[u8] = b"GET /v1/sys/health HTTP/1.1\r\nHost: x\r\n\r\n";
const HALF_A_BODY: &[u8] = b"POST /v1/sys/tools/random HTTP/1.1\r\nHost: x\r\nContent-Length: 100\r\n\r\n{";

fn dial(port: u16, said: &[u8]) -> TcpStream {
    let mut stream = TcpStream::connect(("127.0.0.1", port)).unwrap();
    stream.set_read_timeout(Some(LONG)).unwrap();
    stream.write_all(said).unwrap();
    stream
}

/// Asks on a connection that is kept open, and reads the answer.
fn ask(stream: &mut TcpStream) {
    stream.write_all(GET).unwrap();
    let mut answer = Vec::new();
    while !answer.ends_with(b"}\n") {
        let mut some = [0; 4096];
        let read = stream.read(&mut some).unwrap();
        assert!(read > 0, "the connection was closed: {}", String::from_utf8_lossy(&answer));
        answer.extend_from_slice(&some[..read]);
    }
    assert!(answer.starts_with(b"HTTP/1.1 200"), "{}", String::from_utf8_lossy(&answer));
}

fn open_files(node: &Node) -> usize {
    fs::read_dir(format!("/proc/{}/fd", node.pid().unwrap())).unwrap().count()
}

fn resident_kib(node: &Node) -> u64 {
    let status = fs::read_to_string(format!("/proc/{}/status", node.pid().unwrap())).unwrap();
    let line = status.lines().find(|line| line.starts_with("VmRSS:")).unwrap();
    line.split_whitespace().nth(1).unwrap().parse().unwrap()
}

/// Waits until the node has hung up; what it says before does not matter.
fn is_left(stream: &mut TcpStream) {
    let mut said = Vec::new();
    match stream.read_to_end(&mut said) {
        Ok(_) => {}
        Err(error) => assert_eq!(error.kind(), std::io::ErrorKind::ConnectionReset, "it is closed in time"),
    }
}

#[test]
fn slow_and_silent_connections_end_keep_nobody_out_and_leave_nothing_behind() {
    let folder = tempfile::tempdir().unwrap();
    let limits = "tls_disable = true\n  http_read_header_timeout = \"1s\"\n  http_read_timeout = \"2s\"\n  http_idle_timeout = \"1h\"\n";
    let cluster = Cluster::start_with(folder.path(), "strangers", 1, |node| node.configure("tls_disable = true\n", limits));
    let node = &cluster.nodes[0];
    let mut kept = dial(node.port, b"");
    ask(&mut kept);
    let (files, resident) = (open_files(node), resident_kib(node));

    let mut strangers = Vec::new();
    for n in 0..300 {
        strangers.push(dial(node.port, b""));
        strangers.push(dial(node.port, &GET[..20]));
        strangers.push(dial(node.port, HALF_A_BODY));
        // On the cluster's port, from one address, less than it would refuse at once.
        if n < 40 {
            strangers.push(dial(node.port + 1, b""));
        }
        let mut wrong = dial(node.port + 1, b"this is no TLS, and it is long enough for a record's head");
        is_left(&mut wrong);
        drop(dial(node.port + 1, b"\x16\x03"));
    }
    assert_eq!(node.health(), 200, "others are served meanwhile");
    strangers.iter_mut().for_each(is_left);
    ask(&mut kept);
    drop(strangers);
    wait_until("all is closed", LONG, || open_files(node) <= files + 2);
    let grown = resident_kib(node).saturating_sub(resident);
    assert!(grown < 64 * 1024, "{grown} KiB more");
    let log = fs::read_to_string(node.log_path()).unwrap();
    let said = log.lines().filter(|line| line.contains("refused a connection")).count();
    assert!((1..=2).contains(&said), "{said} lines about 300 refusals");
}
