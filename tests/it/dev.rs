//! A dev server, from its banner to its end.

use serde_json::{Value, json};

use crate::process::Server;

fn dev(home: &std::path::Path) -> Server {
    Server::start(&["-dev", "-dev-root-token-id=root", "-dev-listen-address=127.0.0.1:0", "-log-level=warn"], home)
}

#[test]
fn a_dev_server_serves() {
    let home = tempfile::tempdir().unwrap();
    let server = dev(home.path());
    assert_eq!(server.said("Root Token: "), "root");
    assert!(!server.said("Unseal Key: ").is_empty());
    assert_eq!(std::fs::read_to_string(home.path().join(".vault-token")).unwrap(), "root");

    reads_what_was_written(&server);
    says_no_in_the_known_words(&server);
    refuses_bodies_out_of_bounds(&server);
    seals_and_unseals(&server);

    assert!(server.end(), "a dev server ends well");
    let left: Vec<_> = std::fs::read_dir(home.path()).unwrap().flatten().map(|entry| entry.file_name()).collect();
    assert_eq!(left, [".vault-token"], "the data goes with the server");
}

#[test]
fn a_dev_server_speaks_tls_to_whom_it_names_its_authority() {
    let home = tempfile::tempdir().unwrap();
    let args = ["-dev", "-dev-tls", "-dev-kv-v1", "-dev-root-token-id=root", "-dev-listen-address=127.0.0.1:0", "-log-level=warn"];
    let server = Server::start(&args, home.path());
    let authority = server.said("$ export VAULT_CACERT=").trim_matches('\'').to_owned();
    let address = server.said("$ export VAULT_ADDR=").trim_matches('\'').to_owned();
    let coffer = |args: &[&str], authority: &str| {
        let mut command = std::process::Command::new(env!("CARGO_BIN_EXE_coffer"));
        command.args(args).env_clear().envs([("VAULT_ADDR", address.as_str()), ("VAULT_CACERT", authority), ("VAULT_TOKEN", "root")]);
        let output = command.output().unwrap();
        (output.status.code(), String::from_utf8_lossy(&output.stdout).into_owned(), String::from_utf8_lossy(&output.stderr).into_owned())
    };
    let wrote = coffer(&["write", "secret/a", "b=1"], &authority);
    assert_eq!(wrote.0, Some(0), "{wrote:?}");
    assert_eq!(coffer(&["read", "-field=b", "secret/a"], &authority).1, "1", "version 1 has no data/ in its paths");
    let doubted = coffer(&["status"], "");
    assert!(doubted.0 == Some(1) && doubted.2.contains("failed to verify certificate"), "{doubted:?}");
    assert!(server.end());
    assert!(!std::path::Path::new(&authority).exists());
}

fn reads_what_was_written(server: &Server) {
    let wrote = server.json("POST", "/v1/secret/data/a", "root", &json!({"data": {"k": "v"}}));
    assert_eq!((wrote.status, &wrote.json["data"]["version"]), (200, &json!(1)), "{}", wrote.text);
    let read = server.json("GET", "/v1/secret/data/a", "root", &Value::Null);
    assert_eq!((read.status, &read.json["data"]["data"]["k"]), (200, &json!("v")), "{}", read.text);
    assert_eq!(read.header("content-type"), Some("application/json"));
    assert_eq!(read.header("cache-control"), Some("no-store"));
    for method in ["LIST", "GET"] {
        let path = if method == "GET" { "/v1/secret/metadata?list=true" } else { "/v1/secret/metadata" };
        let listed = server.json(method, path, "root", &Value::Null);
        assert_eq!((listed.status, &listed.json["data"]["keys"]), (200, &json!(["a"])), "{}", listed.text);
    }
    let me = server.json("GET", "/v1/auth/token/lookup-self", "root", &Value::Null);
    assert_eq!((me.status, &me.json["data"]["policies"]), (200, &json!(["root"])), "{}", me.text);
    let health = server.call("GET", "/v1/sys/health", &[], b"");
    assert_eq!((health.status, &health.json["standby"]), (200, &json!(false)), "{}", health.text);
    let head = server.call("HEAD", "/v1/sys/health?activecode=299", &[], b"");
    assert_eq!((head.status, head.text.as_str()), (299, ""));
}

fn says_no_in_the_known_words(server: &Server) {
    let check = |method: &str, path: &str, token: &str, status: u16, text: &str| {
        let answer = server.json(method, path, token, &Value::Null);
        assert_eq!(answer.status, status, "{method} {path}: {}", answer.text);
        assert!(answer.text.contains(text), "{method} {path}: {}", answer.text);
    };
    check("GET", "/v1/secret/data/none", "root", 404, r#"{"errors":[]}"#);
    check("GET", "/v1/none/a", "root", 404, "no handler for route");
    check("GET", "/v1/secret/data/a", "wrong", 403, "permission denied");
    check("GET", "/v1/secret/data/a", "", 403, "permission denied");
    check("GET", "/v1/secret/../sys/mounts", "root", 400, "parent references");
    check("GET", "/elsewhere", "root", 404, r#"{"errors":[]}"#);
    check("TRACE", "/v1/secret/data/a", "root", 405, r#"{"errors":[]}"#);
}

fn refuses_bodies_out_of_bounds(server: &Server) {
    let post = |body: &[u8]| server.call("POST", "/v1/secret/data/b", &[("x-vault-token", "root")], body);
    let deep = format!("{{\"data\":{}1{}}}", "[".repeat(5000), "]".repeat(5000));
    let answer = post(deep.as_bytes());
    assert_eq!(answer.status, 400, "{}", answer.text);
    let answer = post(b"{\"data\": hunter2}");
    assert!(answer.status == 400 && !answer.text.contains("hunter2"), "{}", answer.text);
    assert_eq!(post(b"[1]").status, 400);
    let answer = post(&vec![b'x'; 32 * 1024 * 1024 + 1]);
    assert!(answer.status == 413 || answer.status == 0, "{}", answer.text);
    assert_eq!(server.json("GET", "/v1/secret/data/b", "root", &Value::Null).status, 404, "nothing was written");
}

fn seals_and_unseals(server: &Server) {
    assert_eq!(server.json("PUT", "/v1/sys/seal", "root", &Value::Null).status, 204);
    let answer = server.json("GET", "/v1/secret/data/a", "root", &Value::Null);
    assert_eq!((answer.status, &answer.json["errors"][0]), (503, &json!("Vault is sealed")), "{}", answer.text);
    assert_eq!(server.call("GET", "/v1/sys/health", &[], b"").status, 503);
    let status = server.call("GET", "/v1/sys/seal-status", &[], b"");
    assert_eq!((status.status, &status.json["sealed"]), (200, &json!(true)), "{}", status.text);
    let unsealed = server.json("PUT", "/v1/sys/unseal", "", &json!({"key": server.said("Unseal Key: ")}));
    assert_eq!((unsealed.status, &unsealed.json["sealed"]), (200, &json!(false)), "{}", unsealed.text);
    let deadline = std::time::Instant::now() + std::time::Duration::from_secs(20);
    loop {
        let read = server.json("GET", "/v1/secret/data/a", "root", &Value::Null);
        if read.status == 200 {
            assert_eq!(read.json["data"]["data"]["k"], json!("v"));
            break;
        }
        assert!(std::time::Instant::now() < deadline, "{} {}", read.status, read.text);
        std::thread::sleep(std::time::Duration::from_millis(20));
    }
}
