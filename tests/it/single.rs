//! One configured node: initialized by hand, ended and started again.

use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::{Duration, Instant};

use serde_json::{Value, json};

use crate::process::Server;

fn config(home: &Path) -> PathBuf {
    let path = home.join("config.hcl");
    let text = format!(
        "listener \"tcp\" {{\n  address = \"127.0.0.1:0\"\n  tls_disable = true\n}}\nstorage \"raft\" {{\n  path = \"{}\"\n  node_id = \"n1\"\n}}\nlog_level = \"warn\"\n",
        home.join("data").display()
    );
    std::fs::write(&path, text).unwrap();
    path
}

fn start(home: &Path) -> Server {
    let config = format!("-config={}", config(home).display());
    Server::start(&[&config], home)
}

fn unseal(server: &Server, keys: &[String]) {
    for key in keys {
        assert_eq!(server.json("PUT", "/v1/sys/unseal", "", &json!({"key": key})).status, 200);
    }
    let deadline = Instant::now() + Duration::from_secs(30);
    while server.call("GET", "/v1/sys/health", &[], b"").status != 200 {
        assert!(Instant::now() < deadline, "it becomes active");
        std::thread::sleep(Duration::from_millis(20));
    }
}

#[test]
fn a_node_keeps_what_it_acknowledged() {
    let home = tempfile::tempdir().unwrap();
    let server = start(home.path());
    assert_eq!(server.call("GET", "/v1/sys/health", &[], b"").status, 501);
    assert_eq!(server.call("GET", "/v1/sys/init", &[], b"").json, json!({"initialized": false}));
    let init = server.json("PUT", "/v1/sys/init", "", &json!({"secret_shares": 3, "secret_threshold": 2}));
    assert_eq!(init.status, 200, "{}", init.text);
    let root = init.json["root_token"].as_str().unwrap().to_owned();
    let keys: Vec<String> =
        init.json["keys_base64"].as_array().unwrap().iter().take(2).map(|key| key.as_str().unwrap().to_owned()).collect();
    assert_eq!(server.json("PUT", "/v1/sys/init", "", &json!({"secret_shares": 1, "secret_threshold": 1})).status, 400);
    assert_eq!(server.call("GET", "/v1/sys/health", &[], b"").status, 503);

    unseal(&server, &keys);
    assert_eq!(server.json("POST", "/v1/sys/mounts/kv", &root, &json!({"type": "kv"})).status, 204);
    assert_eq!(server.json("PUT", "/v1/kv/a", &root, &json!({"k": "v"})).status, 204);

    let second = Command::new(env!("CARGO_BIN_EXE_coffer"))
        .args(["server", &format!("-config={}", config(home.path()).display())])
        .output()
        .unwrap();
    let text = String::from_utf8_lossy(&second.stderr);
    assert!(!second.status.success() && text.contains("in use by another process"), "{text}");

    assert!(server.end());
    let server = start(home.path());
    assert_eq!(server.call("GET", "/v1/sys/health", &[], b"").status, 503);
    unseal(&server, &keys);
    let read = server.json("GET", "/v1/kv/a", &root, &Value::Null);
    assert_eq!((read.status, &read.json["data"]), (200, &json!({"k": "v"})), "{}", read.text);
    assert!(server.end());
}

#[test]
fn a_configuration_that_cannot_be_used_is_one_clear_error() {
    let home = tempfile::tempdir().unwrap();
    let check = |text: &str, expected: &str| {
        let path = home.path().join("bad.hcl");
        std::fs::write(&path, text).unwrap();
        let output = Command::new(env!("CARGO_BIN_EXE_coffer")).args(["server", "-config", path.to_str().unwrap()]).output().unwrap();
        let said = String::from_utf8_lossy(&output.stderr);
        assert_eq!(output.status.code(), Some(1), "{said}");
        assert!(said.contains(expected) && said.trim().lines().count() == 1, "{said}");
    };
    check("storage \"file\" {\n path = \"/d\"\n}", "bad.hcl:1: storage \"file\" is not supported");
    check("listener \"tcp\" {\n", "bad.hcl:");
    check("{\n\"listener\": {\"tcp\": {\n\"tls_disable\": \"maybe\"}}}", "bad.hcl:3: tls_disable must be true or false");
    check("ui = true\nlog_level = \"loud\"", "bad.hcl:2: log_level must be trace, debug, info, warn or error");
    let output = Command::new(env!("CARGO_BIN_EXE_coffer")).arg("server").output().unwrap();
    assert!(String::from_utf8_lossy(&output.stderr).contains("Must specify at least one config path using -config"));
}
