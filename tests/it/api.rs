//! Promises to clients that only a race or an odd request can break.

use serde_json::{Value, json};

use crate::process::{Answer, Server};

#[test]
fn races_and_odd_requests_end_as_clients_expect() {
    let home = tempfile::tempdir().unwrap();
    let server = Server::start(&["-dev", "-dev-root-token-id=root", "-dev-listen-address=127.0.0.1:0", "-log-level=warn"], home.path());
    one_of_many_writers_wins_each_version(&server);
    a_token_is_used_as_often_as_it_says_by_many_at_once(&server);
    one_of_many_unwraps_what_was_wrapped(&server);
    a_deleted_secret_is_wrapped_too(&server);
    work_in_the_background_is_accepted(&server);
    what_cannot_be_renewed_is_the_clients_fault(&server);
    a_child_is_refused_as_soon_as_its_parent_is_revoked(&server);
    an_upgraded_mount_keeps_its_secrets(&server);
}

/// How many of `many` calls at the same time got `status`.
fn race(many: usize, status: u16, call: impl Fn(usize) -> Answer + Sync) -> usize {
    let start = std::sync::Barrier::new(many);
    std::thread::scope(|scope| {
        let all: Vec<_> = (0..many)
            .map(|number| {
                let (start, call) = (&start, &call);
                scope.spawn(move || {
                    start.wait();
                    call(number).status
                })
            })
            .collect();
        all.into_iter().map(|one| one.join().unwrap()).filter(|got| *got == status).count()
    })
}

fn ok(server: &Server, method: &str, path: &str, token: &str, body: &Value) -> Value {
    let answer = server.json(method, path, token, body);
    assert!(matches!(answer.status, 200 | 204), "{method} {path}: {} {}", answer.status, answer.text);
    answer.json
}

fn refused(server: &Server, method: &str, path: &str, token: &str, body: &Value, status: u16, text: &str) {
    let answer = server.json(method, path, token, body);
    assert_eq!(answer.status, status, "{method} {path}: {}", answer.text);
    assert!(answer.text.contains(text), "{method} {path}: {}", answer.text);
}

fn token(server: &Server, by: &str, body: &Value) -> String {
    ok(server, "POST", "/v1/auth/token/create", by, body)["auth"]["client_token"].as_str().unwrap().to_owned()
}

fn wrapped(server: &Server, path: &str) -> String {
    let answer = server.call("GET", path, &[("x-vault-token", "root"), ("x-vault-wrap-ttl", "60")], b"");
    assert_eq!(answer.status, 200, "{path}: {}", answer.text);
    answer.json["wrap_info"]["token"].as_str().unwrap().to_owned()
}

fn one_of_many_writers_wins_each_version(server: &Server) {
    for version in 0..3 {
        let write = |number: usize| {
            let body = json!({"data": {"by": number}, "options": {"cas": version}});
            server.json("POST", "/v1/secret/data/race", "root", &body)
        };
        assert_eq!(race(32, 200, write), 1);
    }
    let metadata = ok(server, "GET", "/v1/secret/metadata/race", "root", &Value::Null);
    assert_eq!(metadata["data"]["current_version"], 3);
}

fn a_token_is_used_as_often_as_it_says_by_many_at_once(server: &Server) {
    for uses in [1, 5] {
        let token = token(server, "root", &json!({"policies": ["default"], "num_uses": uses}));
        let look = |_| server.json("GET", "/v1/auth/token/lookup-self", &token, &Value::Null);
        assert_eq!(race(32, 200, look), uses);
    }
}

fn one_of_many_unwraps_what_was_wrapped(server: &Server) {
    let by_field = wrapped(server, "/v1/secret/data/race");
    let unwrap = |_| server.json("POST", "/v1/sys/wrapping/unwrap", "root", &json!({ "token": by_field }));
    assert_eq!(race(32, 200, unwrap), 1);
    let by_header = wrapped(server, "/v1/secret/data/race");
    assert_eq!(race(32, 200, |_| server.json("POST", "/v1/sys/wrapping/unwrap", &by_header, &Value::Null)), 1);
}

fn a_deleted_secret_is_wrapped_too(server: &Server) {
    ok(server, "POST", "/v1/secret/data/gone", "root", &json!({"data": {"a": "b"}}));
    ok(server, "DELETE", "/v1/secret/data/gone", "root", &Value::Null);
    let answer = server.json("POST", "/v1/sys/wrapping/unwrap", &wrapped(server, "/v1/secret/data/gone"), &Value::Null);
    // As without wrapping: what is left of a deleted version comes with a 404.
    assert_eq!(answer.status, 404, "{}", answer.text);
    let inner = answer.json;
    assert_eq!((&inner["data"]["data"], &inner["data"]["metadata"]["version"]), (&Value::Null, &json!(1)));
}

fn work_in_the_background_is_accepted(server: &Server) {
    for (path, body) in [
        ("/v1/sys/leases/tidy", json!({})),
        ("/v1/auth/token/tidy", json!({})),
        ("/v1/sys/leases/revoke", json!({"lease_id": "none", "sync": false})),
        ("/v1/sys/leases/revoke-prefix/none", json!({"sync": false})),
    ] {
        let answer = server.json("PUT", path, "root", &body);
        assert_eq!(answer.status, 202, "{path}: {}", answer.text);
    }
    assert_eq!(server.json("PUT", "/v1/sys/leases/revoke", "root", &json!({"lease_id": "none"})).status, 204);
}

fn what_cannot_be_renewed_is_the_clients_fault(server: &Server) {
    refused(server, "POST", "/v1/auth/token/renew-self", "root", &json!({}), 400, "lease is not renewable");
    ok(server, "POST", "/v1/auth/token/roles/brief", "root", &json!({"allowed_policies": "default"}));
    let made = ok(server, "POST", "/v1/auth/token/create/brief", "root", &json!({}));
    ok(server, "DELETE", "/v1/auth/token/roles/brief", "root", &Value::Null);
    let body = json!({"token": made["auth"]["client_token"]});
    refused(server, "POST", "/v1/auth/token/renew", "root", &body, 400, "could not be found, not renewing");
}

fn a_child_is_refused_as_soon_as_its_parent_is_revoked(server: &Server) {
    let parent = token(server, "root", &json!({"policies": ["root"], "ttl": "1h"}));
    let children: Vec<String> = (0..450).map(|_| token(server, &parent, &json!({"policies": ["default"]}))).collect();
    ok(server, "POST", "/v1/auth/token/revoke", "root", &json!({ "token": parent }));
    for child in children.iter().step_by(40) {
        refused(server, "GET", "/v1/auth/token/lookup-self", child, &Value::Null, 403, "permission denied");
    }
}

fn an_upgraded_mount_keeps_its_secrets(server: &Server) {
    ok(server, "POST", "/v1/sys/mounts/old", "root", &json!({"type": "kv", "options": {"version": "1"}}));
    ok(server, "POST", "/v1/old/a/b", "root", &json!({"k": "v"}));
    let tuned = ok(server, "POST", "/v1/sys/mounts/old/tune", "root", &json!({"options": {"version": "2"}}));
    assert!(tuned["warnings"][0].as_str().unwrap().starts_with("Upgrading mount from version 1 to version 2."));
    let read = ok(server, "GET", "/v1/old/data/a/b", "root", &Value::Null);
    assert_eq!((&read["data"]["data"], &read["data"]["metadata"]["version"]), (&json!({"k": "v"}), &json!(1)));
    let back = json!({"options": {"version": "1"}});
    refused(server, "POST", "/v1/sys/mounts/old/tune", "root", &back, 400, "cannot downgrade mount from version 2");
}
