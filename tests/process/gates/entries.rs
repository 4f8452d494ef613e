//! Entries of the log, by kind of request: none for what only reads, one for what writes, whatever it writes.
//!
//! The count is the active node's own (`vault.raft.apply`), so work that the node does by itself is in it: what a token or a mount
//! leaves behind when it ends is swept after the answer. The table says so.

use std::path::Path;
use std::time::{Duration, Instant};

use serde_json::{Value, json};

use crate::cluster::Cluster;
use crate::node::{Node, wait_until};

const LONG: Duration = Duration::from_secs(60);
/// Each kind is asked for so often, each time with something else.
const TIMES: u64 = 3;

/// What the node goes on to do when it has answered.
#[derive(Clone, Copy)]
enum Then {
    Nothing,
    /// So many entries for each request.
    Entries(u64),
    /// The sweep of a token; tokens that ended together are swept in one entry.
    TokenSwept,
}

/// Entries that this node proposed and that came back applied.
fn proposed(node: &Node) -> u64 {
    node.metric("vault_raft_apply").map_or(0, |count| count as u64)
}

/// Asks and counts; gathers what is not as it should be, so that one run shows all.
struct Count<'n> {
    node: &'n Node,
    root: &'n str,
    counted: u64,
    wrong: Vec<String>,
}

impl Count<'_> {
    /// `ask` is answered with `status`, and has cost `entries` entries by then; `then` is what follows.
    fn check_with(&mut self, name: &str, status: u16, entries: u64, then: Then, ask: impl Fn(&Node, u64) -> Option<(u16, Value)>) {
        let before = proposed(self.node);
        if before != self.counted {
            self.wrong.push(format!("before {name}: {} entries that nobody asked for", before - self.counted));
        }
        let swept = || self.node.metric("coffer_tokens_swept_total").unwrap_or_default();
        let swept_before = swept();
        for n in 0..TIMES {
            let (answered, body) = ask(self.node, n).expect("an answer");
            if answered != status {
                self.wrong.push(format!("{name}: answered {answered} {body}, not {status}"));
            }
        }
        let at_once = proposed(self.node) - before;
        let wanted = TIMES * entries;
        if at_once < wanted {
            self.wrong.push(format!("{name}: {at_once} entries for {TIMES} requests when they were answered, not {wanted}"));
        }
        let (least, most) = match then {
            Then::Nothing => (wanted, wanted),
            Then::Entries(more) => (wanted + TIMES * more, wanted + TIMES * more),
            // A sweep that meets the next request tries again: at most once for each, usually one sweep does for several.
            Then::TokenSwept => (wanted + 1, wanted + 2 * TIMES),
        };
        let is_done = || match then {
            Then::Nothing => true,
            Then::Entries(_) => proposed(self.node) >= before + least,
            Then::TokenSwept => swept() >= swept_before + TIMES as f64,
        };
        // What does not come in time is reported with all else that is wrong.
        let deadline = Instant::now() + LONG;
        while !is_done() && Instant::now() < deadline {
            std::thread::sleep(Duration::from_millis(20));
        }
        if !is_done() {
            self.wrong.push(format!("{name}: what should follow has not happened"));
        }
        if matches!(then, Then::TokenSwept) {
            wait_until("the sweep is over", LONG, || std::mem::replace(&mut self.counted, proposed(self.node)) == self.counted);
        }
        self.counted = proposed(self.node);
        let all = self.counted - before;
        if !(least..=most).contains(&all) {
            self.wrong.push(format!("{name}: {all} entries for {TIMES} requests, not {least} to {most}"));
        }
    }

    /// A request of the root token that is over when it is answered.
    fn check(&mut self, entries: u64, status: u16, method: &str, path: &str, body: Value) {
        let root = self.root.to_owned();
        self.check_as(&[&root], entries, status, method, path, body);
    }

    /// The same with a token of its own for each time. `{n}` in path and body is the number of the time.
    fn check_as(&mut self, tokens: &[&str], entries: u64, status: u16, method: &str, path: &str, body: Value) {
        self.check_with(&format!("{method} {path}"), status, entries, Then::Nothing, |node, n| {
            let token = tokens[n as usize % tokens.len()];
            let body = (!body.is_null()).then(|| serde_json::from_str(&numbered(&body.to_string(), n)).unwrap());
            node.call(method, &numbered(path, n), token, body.as_ref())
        });
    }
}

fn numbered(text: &str, n: u64) -> String {
    text.replace("{n}", &n.to_string())
}

/// So many tokens, made with `body`.
fn tokens(node: &Node, root: &str, path: &str, body: &Value) -> Vec<(String, String)> {
    let text = |value: &Value| value.as_str().unwrap_or_default().to_owned();
    (0..TIMES)
        .map(|_| {
            let auth = &node.must(path, root, body)["auth"];
            (text(&auth["client_token"]), text(&auth["accessor"]))
        })
        .collect()
}

fn firsts(pairs: &[(String, String)]) -> Vec<&str> {
    pairs.iter().map(|(first, _)| first.as_str()).collect()
}

pub(super) fn each_kind_of_request(cluster: &Cluster, folder: &Path) {
    let (node, root) = (cluster.active(), cluster.root.as_str());
    let standby = cluster.nodes.iter().find(|other| other.port != node.port).expect("three nodes");
    prepare(node, root);
    let mut count = Count { node, root, counted: 0, wrong: Vec::new() };
    // What the preparation leaves behind is over when nothing has been proposed between two looks.
    wait_until("the preparation is over", LONG, || std::mem::replace(&mut count.counted, proposed(node)) == count.counted);

    kv(&mut count);
    count.check_with("PUT through a standby", 200, 1, Then::Nothing, |_, n| {
        standby.put(&format!("secret/data/standby{n}"), root, &json!({"data": {"v": n}}))
    });
    count.check_with("GET through a standby", 200, 0, Then::Nothing, |_, n| standby.get(&format!("secret/data/standby{n}"), root));
    a_token_and_what_it_may(&mut count);
    logins(&mut count);
    wrapping(&mut count);
    system(&mut count, folder);
    assert!(count.wrong.is_empty(), "\n{}", count.wrong.join("\n"));
}

fn prepare(node: &Node, root: &str) {
    node.must("sys/policies/acl/reader", root, &json!({"policy": "path \"secret/data/open*\" { capabilities = [\"read\"] }"}));
    node.must("secret/data/open", root, &json!({"data": {"v": 1}}));
    node.must("sys/mounts/one", root, &json!({"type": "kv"}));
    node.must("sys/auth/userpass", root, &json!({"type": "userpass"}));
    for n in 0..TIMES {
        node.must(&format!("auth/userpass/users/user{n}"), root, &json!({"password": "changeme", "policies": "reader"}));
    }
    // The first makes the key that they are encrypted with.
    node.must("auth/token/create", root, &json!({"type": "batch", "policies": ["reader"]}));
}

fn kv(count: &mut Count<'_>) {
    count.check(1, 200, "PUT", "secret/data/a{n}", json!({"data": {"v": 1}}));
    count.check(1, 200, "PUT", "secret/data/a{n}", json!({"data": {"v": 2}, "options": {"cas": 1}}));
    count.check(0, 400, "PUT", "secret/data/a{n}", json!({"data": {"v": 2}, "options": {"cas": 7}}));
    count.check(1, 200, "PATCH", "secret/data/a{n}", json!({"data": {"w": 1}}));
    count.check(0, 200, "GET", "secret/data/a{n}", Value::Null);
    count.check(0, 404, "GET", "secret/data/missing{n}", Value::Null);
    count.check(0, 200, "GET", "secret/metadata/a{n}", Value::Null);
    count.check(0, 200, "LIST", "secret/metadata", Value::Null);
    count.check(0, 200, "GET", "secret/subkeys/a{n}", Value::Null);
    count.check(1, 204, "DELETE", "secret/data/a{n}", Value::Null);
    count.check(1, 204, "PUT", "secret/undelete/a{n}", json!({"versions": [3]}));
    count.check(1, 204, "PUT", "secret/delete/a{n}", json!({"versions": [1]}));
    count.check(1, 204, "PUT", "secret/destroy/a{n}", json!({"versions": [1]}));
    count.check(1, 204, "PUT", "secret/metadata/a{n}", json!({"max_versions": 5}));
    count.check(1, 204, "DELETE", "secret/metadata/a{n}", Value::Null);
    count.check(1, 204, "PUT", "secret/config", json!({"max_versions": "1{n}"}));
    count.check(0, 200, "GET", "secret/config", Value::Null);
    count.check(1, 204, "PUT", "one/a{n}", json!({"v": 1}));
    count.check(0, 200, "GET", "one/a{n}", Value::Null);
    count.check(1, 204, "DELETE", "one/a{n}", Value::Null);
    count.check(1, 204, "PUT", "cubbyhole/a{n}", json!({"v": 1}));
    count.check(0, 200, "GET", "cubbyhole/a{n}", Value::Null);
    count.check(1, 204, "DELETE", "cubbyhole/a{n}", Value::Null);
}

fn a_token_and_what_it_may(count: &mut Count<'_>) {
    let (node, root) = (count.node, count.root);
    count.check(1, 200, "PUT", "auth/token/create", json!({"policies": ["reader"]}));
    count.check(1, 200, "PUT", "auth/token/create-orphan", json!({"policies": ["reader"]}));
    count.check(0, 200, "PUT", "auth/token/create", json!({"type": "batch", "policies": ["reader"]}));
    let service = tokens(node, root, "auth/token/create", &json!({"policies": ["reader"], "ttl": "1h"}));
    let batch = tokens(node, root, "auth/token/create", &json!({"type": "batch", "policies": ["reader"]}));
    let used = tokens(node, root, "auth/token/create", &json!({"policies": ["reader"], "num_uses": 3}));
    let parents = tokens(node, root, "auth/token/create", &json!({"policies": ["reader", "root"]}));
    let by_accessor = tokens(node, root, "auth/token/create", &json!({"policies": ["reader"]}));
    let leased = tokens(node, root, "auth/token/create", &json!({"policies": ["reader"]}));
    count.counted = proposed(node);
    for tokens in [&service, &batch] {
        count.check_as(&firsts(tokens), 0, 200, "GET", "secret/data/open", Value::Null);
        count.check_as(&firsts(tokens), 0, 403, "GET", "secret/data/closed", Value::Null);
        count.check_as(&firsts(tokens), 0, 403, "PUT", "secret/data/open", json!({"data": {}}));
        count.check_as(&firsts(tokens), 0, 200, "GET", "auth/token/lookup-self", Value::Null);
    }
    count.check_as(&["", "hvs.unknown", "hvb.AAAA"], 0, 403, "GET", "secret/data/open", Value::Null);
    count.check_as(&firsts(&service), 1, 200, "PUT", "auth/token/renew-self", json!({"increment": "2h"}));
    count.check_with("PUT auth/token/lookup", 200, 0, Then::Nothing, |node, n| {
        node.put("auth/token/lookup", root, &json!({"token": service[n as usize].0}))
    });
    // Every use of a token whose uses are counted is written, a refused one too; the last ends the token, which is then swept.
    count.check_as(&firsts(&used), 1, 200, "GET", "secret/data/open", Value::Null);
    count.check_as(&firsts(&used), 1, 403, "GET", "secret/data/closed", Value::Null);
    count.check_with("the last use of a token", 200, 1, Then::TokenSwept, |node, n| node.get("secret/data/open", &used[n as usize].0));
    count.check_with("PUT auth/token/revoke", 204, 1, Then::TokenSwept, |node, n| {
        node.put("auth/token/revoke", root, &json!({"token": service[n as usize].0}))
    });
    count.check_with("PUT auth/token/revoke-accessor", 204, 1, Then::TokenSwept, |node, n| {
        node.put("auth/token/revoke-accessor", root, &json!({"accessor": by_accessor[n as usize].1}))
    });
    count.check_with("PUT auth/token/revoke-orphan", 204, 1, Then::TokenSwept, |node, n| {
        node.put("auth/token/revoke-orphan", root, &json!({"token": parents[n as usize].0}))
    });
    count.check_with("PUT auth/token/revoke-self", 204, 1, Then::TokenSwept, |node, n| {
        node.put("auth/token/revoke-self", &leased[n as usize].0, &json!({}))
    });
    count.check(1, 204, "PUT", "auth/token/roles/r{n}", json!({"allowed_policies": "reader"}));
    count.check(1, 200, "PUT", "auth/token/create/r{n}", json!({}));
    count.check(1, 204, "DELETE", "auth/token/roles/r{n}", Value::Null);
}

fn logins(count: &mut Count<'_>) {
    count.check_as(&[""], 1, 200, "PUT", "auth/userpass/login/user{n}", json!({"password": "changeme"}));
    // A wrong one is counted, for the lockout; the right one after it ends the count in its own entry.
    count.check_as(&[""], 1, 400, "PUT", "auth/userpass/login/user{n}", json!({"password": "wrong"}));
    count.check_as(&[""], 1, 200, "PUT", "auth/userpass/login/user{n}", json!({"password": "changeme"}));
    count.check(1, 204, "PUT", "auth/userpass/users/new{n}", json!({"password": "changeme"}));
    count.check(1, 204, "DELETE", "auth/userpass/users/new{n}", Value::Null);
}

fn wrapping(count: &mut Count<'_>) {
    let root = count.root;
    let wrap = |node: &Node, method: &str, path: &str| {
        let body = json!({"v": 1});
        let headers = [("X-Vault-Token", root), ("X-Vault-Wrap-TTL", "5m")];
        node.call_with(method, path, &headers, (method == "PUT").then_some(&body))
    };
    count.check_with("PUT sys/wrapping/wrap", 200, 1, Then::Nothing, |node, _| wrap(node, "PUT", "sys/wrapping/wrap"));
    count.check_with("a wrapped read", 200, 1, Then::Nothing, |node, _| wrap(node, "GET", "secret/data/open"));
    let made: Vec<String> = (0..TIMES)
        .map(|_| {
            let (_, answer) = wrap(count.node, "PUT", "sys/wrapping/wrap").expect("an answer");
            answer["wrap_info"]["token"].as_str().expect("a wrapping token").to_owned()
        })
        .collect();
    count.counted = proposed(count.node);
    let asked = |n: u64| json!({"token": made[n as usize]});
    count.check_with("PUT sys/wrapping/lookup", 200, 0, Then::Nothing, |node, n| node.put("sys/wrapping/lookup", root, &asked(n)));
    count.check_with("PUT sys/wrapping/unwrap", 200, 1, Then::Nothing, |node, n| node.put("sys/wrapping/unwrap", root, &asked(n)));
    count.check_with("PUT sys/wrapping/unwrap, again", 400, 0, Then::Nothing, |node, n| node.put("sys/wrapping/unwrap", root, &asked(n)));
}

fn system(count: &mut Count<'_>, folder: &Path) {
    let root = count.root;
    count.check(1, 204, "PUT", "sys/policies/acl/p{n}", json!({"policy": "path \"a\" { capabilities = [\"read\"] }"}));
    count.check(0, 200, "GET", "sys/policies/acl/p{n}", Value::Null);
    count.check(1, 204, "DELETE", "sys/policies/acl/p{n}", Value::Null);
    count.check(0, 200, "PUT", "sys/capabilities-self", json!({"path": "secret/data/open"}));
    count.check(1, 204, "PUT", "sys/mounts/m{n}", json!({"type": "kv", "options": {"version": "2"}}));
    count.check(1, 204, "PUT", "sys/mounts/m{n}/tune", json!({"max_lease_ttl": "2h"}));
    count.check(0, 200, "GET", "sys/mounts", Value::Null);
    count.check(1, 200, "PUT", "m{n}/data/a", json!({"data": {"v": 1}}));
    // The mount is gone when this is answered; what it held goes afterwards, then the note that it has to.
    count.check_with("DELETE sys/mounts", 204, 1, Then::Entries(2), |node, n| node.call("DELETE", &format!("sys/mounts/m{n}"), root, None));
    count.check(1, 204, "PUT", "sys/auth/up{n}", json!({"type": "userpass"}));
    count.check(1, 204, "PUT", "sys/auth/up{n}/tune", json!({"max_lease_ttl": "2h"}));
    count.check_with("DELETE sys/auth", 204, 1, Then::Entries(1), |node, n| node.call("DELETE", &format!("sys/auth/up{n}"), root, None));
    let file = |name: &str| folder.join(name).display().to_string();
    count.check(1, 204, "PUT", "sys/audit/f{n}", json!({"type": "file", "options": {"file_path": file("audit-{n}.log")}}));
    count.check(1, 200, "PUT", "secret/data/audited{n}", json!({"data": {"v": 1}}));
    count.check(0, 200, "GET", "secret/data/audited{n}", Value::Null);
    count.check(1, 204, "DELETE", "sys/audit/f{n}", Value::Null);
    count.check(1, 204, "PUT", "sys/rotate", Value::Null);
    count.check(0, 200, "GET", "sys/key-status", Value::Null);
}
