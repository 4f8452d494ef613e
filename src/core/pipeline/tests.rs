//! The promises of the pipeline, over a whole core in memory.

use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};

use async_trait::async_trait;
use serde_json::{Value, json};

use crate::core::testing::TestCore;
use crate::core::{PrimaryCall, PrimaryReply, Refused, WriteError};
use crate::engine::{
    Access, Body, Call, Engine, EngineError, Kind, LeaseSpec, Mount, MountClass, Operation, Reply, Request, Route, View, Writes,
};
use crate::machine::Role;
use crate::raft::CommitError;
use crate::types::{Generation, Key, Position, Prefix, Scope, SetId, Ttl, WalIndex};

/// Keeps numbers: `n/NAME` reads, writes, deletes and adds to one.
struct Numbers;

static NUMBERS: Kind = Kind { name: "numbers", class: MountClass::Secret, local: &["seen/"], mountable: true, open };
static RUNS: AtomicU32 = AtomicU32::new(0);

fn open(_: Mount) -> Arc<dyn Engine> {
    Arc::new(Numbers)
}

const WRITE: &[Operation] = &[Operation::Read, Operation::Update, Operation::Delete];

static ROUTES: &[Route] = &[
    Route { pattern: "n/:name", operations: WRITE, access: Access::Policy, writes: Writes::Shared, help: "A number." },
    Route { pattern: "add/:name", operations: &[Operation::Update], access: Access::Policy, writes: Writes::Shared, help: "Add one." },
    Route { pattern: "lease", operations: &[Operation::Read], access: Access::Policy, writes: Writes::Local, help: "Something leased." },
    Route { pattern: "seen", operations: &[Operation::Update], access: Access::Policy, writes: Writes::Local, help: "Local only." },
    Route {
        pattern: "either",
        operations: &[Operation::Update],
        access: Access::Policy,
        writes: Writes::Depends,
        help: "Shared after all.",
    },
    Route { pattern: "open", operations: &[Operation::Read], access: Access::Anyone, writes: Writes::Nothing, help: "Open to all." },
    Route { pattern: "closed", operations: &[Operation::Read], access: Access::Sudo, writes: Writes::Nothing, help: "Sudo only." },
];

#[async_trait]
impl Engine for Numbers {
    fn routes(&self) -> &'static [Route] {
        ROUTES
    }
    async fn exists(&self, call: &Call<'_>, view: &mut View<'_>) -> Result<Option<bool>, EngineError> {
        Ok(Some(view.exists(call.captures.get("name"))?))
    }
    async fn handle(&self, call: &Call<'_>, view: &mut View<'_>) -> Result<Reply, EngineError> {
        let name = call.captures.get("name");
        match (call.route.pattern, call.operation) {
            ("n/:name", Operation::Read) => {
                Ok(view.get_json::<i64>(name)?.map_or_else(Reply::missing, |number| Reply::json(json!({ "number": number }))))
            }
            ("n/:name", Operation::Delete) => {
                view.delete(name);
                Ok(Reply::empty())
            }
            ("n/:name", _) => {
                view.put_json(name, &call.data().integer("number")?.unwrap_or(0));
                Ok(Reply::empty())
            }
            ("add/:name", _) => {
                RUNS.fetch_add(1, Ordering::Relaxed);
                let number = view.get_json::<i64>(name)?.unwrap_or(0);
                tokio::task::yield_now().await;
                view.put_json(name, &(number + 1));
                Ok(Reply::json(json!({ "number": number + 1 })))
            }
            ("lease", _) => {
                let spec = LeaseSpec { ttl: Ttl(60), renewable: true, ..LeaseSpec::default() };
                let Body::Data(data) = Reply::json(json!({ "key": "k" })).body else { return Err(EngineError::Denied) };
                Ok(Body::Leased(data, spec).into())
            }
            ("seen", _) => {
                view.put_json("seen/x", &1);
                Ok(Reply::empty())
            }
            ("either", _) => {
                view.put_json("x", &1);
                Ok(Reply::empty())
            }
            _ => Ok(Reply::json(json!({ "caller": call.caller.display_name }))),
        }
    }
}

static KINDS: &[&Kind] = &[&NUMBERS];

async fn mounted() -> TestCore {
    let test = TestCore::new(KINDS).await;
    test.ask(Operation::Update, "sys/mounts/num", json!({ "type": "numbers" })).await.unwrap();
    test
}

fn secondary() -> Role {
    Role::Secondary { set: SetId::new("s"), generation: Generation(1), filling: false }
}

fn primary() -> Role {
    Role::Primary { set: SetId::new("s"), generation: Generation(1), fenced_by: None }
}

#[track_caller]
fn refused<T: std::fmt::Debug>(result: Result<T, Refused>, text: &str) {
    let error = result.unwrap_err().to_string();
    assert!(error.contains(text), "{error:?} does not say {text:?}");
}

fn rows_of(test: &TestCore, scope: Scope, mount: &str) -> usize {
    test.ground.store.reader().list(&Prefix::new(scope, format!("{mount}/")), None, 100).unwrap().len()
}

#[tokio::test]
async fn what_was_written_is_read() {
    let test = mounted().await;
    test.ask(Operation::Update, "num/n/a", json!({ "number": 7 })).await.unwrap();
    assert_eq!(test.data(Operation::Read, "num/n/a", Value::Null).await, json!({ "number": 7 }));
    test.ask(Operation::Delete, "num/n/a", Value::Null).await.unwrap();
    assert!(test.ask(Operation::Read, "num/n/a", Value::Null).await.unwrap().is_missing);
}

#[tokio::test]
async fn paths_that_lead_nowhere_are_told_apart_only_to_those_who_may() {
    let test = mounted().await;
    refused(test.ask(Operation::Read, "nope/a", Value::Null).await, "no handler for route \"nope/a\". route entry not found.");
    refused(test.ask(Operation::Read, "num/x/y/z", Value::Null).await, "unsupported path");
    refused(test.ask(Operation::List, "num/n/a", Value::Null).await, "unsupported operation");
    let weak = test.token(&["default"]).await;
    refused(test.ask_as(&weak, Operation::Read, "nope/a", Value::Null).await, "permission denied");
    refused(test.ask_as(&weak, Operation::Read, "num/x/y/z", Value::Null).await, "permission denied");
    let nobody = "hvs.nobody".to_owned().into();
    assert!(matches!(test.ask_as(&nobody, Operation::Read, "num/n/a", Value::Null).await, Err(Refused::BadToken)));
    let request = Request { token: None, ..test.request(Operation::Read, "nope/a", Value::Null) };
    assert!(matches!(test.core.serve(request).await, Err(Refused::Denied)));
}

#[tokio::test]
async fn policies_tell_create_from_update_and_sudo() {
    let test = mounted().await;
    let policy = r#"path "num/n/*" { capabilities = ["create", "read"] } path "num/closed" { capabilities = ["read"] }"#;
    test.ask(Operation::Update, "sys/policies/acl/maker", json!({ "policy": policy })).await.unwrap();
    let maker = test.token(&["maker"]).await;
    test.ask_as(&maker, Operation::Update, "num/n/a", json!({ "number": 1 })).await.unwrap();
    refused(test.ask_as(&maker, Operation::Update, "num/n/a", json!({ "number": 2 })).await, "permission denied");
    refused(test.ask_as(&maker, Operation::Read, "num/closed", Value::Null).await, "permission denied");
    test.ask(Operation::Read, "num/closed", Value::Null).await.unwrap();
}

#[tokio::test]
async fn open_paths_need_no_token_and_look_at_none() {
    let test = mounted().await;
    assert_eq!(test.data(Operation::Read, "num/open", Value::Null).await, json!({ "caller": "" }));
    let request = Request { token: None, ..test.request(Operation::Read, "num/open", Value::Null) };
    test.core.serve(request).await.unwrap();
}

#[tokio::test]
async fn of_many_at_one_time_each_counts_once() {
    let test = Arc::new(mounted().await);
    let before = RUNS.load(Ordering::Relaxed);
    let tasks: Vec<_> = (0..8)
        .map(|_| {
            let test = test.clone();
            tokio::spawn(async move { test.ask(Operation::Update, "num/add/x", Value::Null).await.unwrap() })
        })
        .collect();
    for task in tasks {
        task.await.unwrap();
    }
    assert_eq!(test.data(Operation::Read, "num/n/x", Value::Null).await, json!({ "number": 8 }));
    assert!(RUNS.load(Ordering::Relaxed) - before > 8, "some ran again");
}

#[tokio::test]
async fn an_unknown_outcome_is_told_and_not_tried_again() {
    let test = mounted().await;
    test.ground.raft.loses_next_answer.store(true, Ordering::Relaxed);
    let result = test.ask(Operation::Update, "num/add/x", Value::Null).await;
    assert!(matches!(result, Err(Refused::Write(WriteError::Commit(CommitError::Unknown)))), "{result:?}");
    assert_eq!(test.data(Operation::Read, "num/n/x", Value::Null).await, json!({ "number": 1 }));
}

#[tokio::test]
async fn a_limited_token_is_used_up_whatever_its_requests_end_in() {
    let test = mounted().await;
    let make = json!({ "policies": ["root"], "num_uses": 2 });
    let token = test.ask(Operation::Update, "auth/token/create", make).await.unwrap().auth.unwrap().client_token;
    test.ask_as(&token, Operation::Update, "num/add/x", Value::Null).await.unwrap();
    refused(test.ask_as(&token, Operation::Read, "nope", Value::Null).await, "no handler");
    assert!(matches!(test.ask_as(&token, Operation::Read, "num/n/x", Value::Null).await, Err(Refused::BadToken)));
}

/// Who is told was counted.
#[tokio::test]
async fn nobody_is_told_why_he_was_refused_whose_use_was_not_counted() {
    let test = mounted().await;
    let make = json!({ "policies": ["default"], "num_uses": 2 });
    let token = test.ask(Operation::Update, "auth/token/create", make).await.unwrap().auth.unwrap().client_token;
    test.ground.raft.loses_next_answer.store(true, Ordering::Relaxed);
    let lost = test.ask_as(&token, Operation::Read, "num/n/x", Value::Null).await;
    assert!(matches!(lost, Err(Refused::Write(WriteError::Commit(CommitError::Unknown)))), "{lost:?}");
    // Its entry was committed after all. Of two at once, one takes what is left.
    let ask = || test.ask_as(&token, Operation::Read, "num/n/x", Value::Null);
    let (one, other) = tokio::join!(ask(), ask());
    let told = [one, other].into_iter().filter(|told| matches!(told, Err(Refused::Denied))).count();
    assert_eq!(told, 1);
    assert!(matches!(ask().await, Err(Refused::BadToken)));
}

#[tokio::test]
async fn a_wrapped_answer_is_given_out_once() {
    let test = mounted().await;
    test.ask(Operation::Update, "num/n/a", json!({ "number": 7 })).await.unwrap();
    let request = Request { wrap_ttl: Some(Ttl(60)), ..test.request(Operation::Read, "num/n/a", Value::Null) };
    let response = test.core.serve(request).await.unwrap();
    assert!(response.data.is_none());
    let wrap = response.wrap_info.unwrap();
    assert_eq!((wrap.ttl, wrap.creation_path.as_str()), (60, "num/n/a"));
    let unwrapped = test.ask(Operation::Update, "sys/wrapping/unwrap", json!({ "token": wrap.token.expose() })).await.unwrap();
    let envelope: Value = serde_json::from_slice(&unwrapped.raw.unwrap().bytes).unwrap();
    assert_eq!(envelope["data"], json!({ "number": 7 }));
    let again = test.ask(Operation::Update, "sys/wrapping/unwrap", json!({ "token": wrap.token.expose() })).await;
    refused(again, "wrapping token is not valid or does not exist");
}

#[tokio::test]
async fn disabling_ends_leases_and_deletes_rows() {
    let test = mounted().await;
    let lease = test.ask(Operation::Read, "num/lease", Value::Null).await.unwrap();
    assert!(lease.lease_id.starts_with("num/lease/") && lease.lease_duration == 60 && lease.renewable);
    test.ask(Operation::Update, "num/n/a", json!({ "number": 7 })).await.unwrap();
    test.ask(Operation::Update, "num/seen", Value::Null).await.unwrap();
    let uuid = test.data(Operation::Read, "sys/mounts/num", Value::Null).await["uuid"].as_str().unwrap().to_owned();
    assert_eq!((rows_of(&test, Scope::Shared, &uuid), rows_of(&test, Scope::Local, &uuid)), (1, 1));
    test.ask(Operation::Delete, "sys/mounts/num", Value::Null).await.unwrap();
    refused(test.ask(Operation::Read, "num/n/a", Value::Null).await, "no handler");
    refused(test.ask(Operation::Update, "sys/leases/lookup", json!({ "lease_id": lease.lease_id })).await, "invalid lease");
    let gone = async {
        while rows_of(&test, Scope::Shared, &uuid) + rows_of(&test, Scope::Local, &uuid) > 0 {
            tokio::task::yield_now().await;
        }
    };
    tokio::time::timeout(std::time::Duration::from_secs(10), gone).await.unwrap();
}

#[tokio::test]
async fn a_standby_serves_nobody() {
    let test = mounted().await;
    test.ground.raft.lead(false);
    assert!(matches!(test.ask(Operation::Read, "num/n/a", Value::Null).await, Err(Refused::NoActive)));
}

/// A secondary's active node.
async fn following() -> TestCore {
    let test = mounted().await;
    test.ground.set_role(secondary());
    let mut active = test.core.lifecycle().follow_standing();
    let again = active.wait_for(|standing| *standing == crate::core::Standing::Active);
    tokio::time::timeout(std::time::Duration::from_secs(10), again).await.unwrap().unwrap();
    test
}

#[tokio::test]
async fn each_outage_of_the_primary_counts_from_its_own_beginning() {
    let test = following().await;
    let here = test.core.context().store.positions().performance;
    let back = async {
        while test.core.primary_reach.lost_since().is_none() {
            tokio::task::yield_now().await;
        }
        *test.upstream.primary.lock().unwrap() = Some(PrimaryReply { status: 204, position: here, ..PrimaryReply::default() });
    };
    let (told, ()) = tokio::join!(retry_while_restarting(&test, "num/n/a"), back);
    told.unwrap();
    assert!(test.core.primary_reach.lost_since().is_none());
}

#[tokio::test]
async fn a_secondary_sends_shared_writes_to_its_primary() {
    let test = following().await;
    let here = test.core.context().store.positions().performance;
    *test.upstream.primary.lock().unwrap() = Some(PrimaryReply { status: 204, position: here, ..PrimaryReply::default() });

    for path in ["num/n/a", "num/either"] {
        retry_while_restarting(&test, path).await.unwrap();
    }
    let asked: Vec<String> = test.upstream.asked.lock().unwrap().iter().map(|call| call.path.clone()).collect();
    assert_eq!(asked, ["num/n/a", "num/either"]);

    test.ask(Operation::Update, "num/seen", Value::Null).await.unwrap();
    assert_eq!(test.upstream.asked.lock().unwrap().len(), 2, "local writes stay");

    // A cluster that was promoted meanwhile has a history of its own, which comes by the same number.
    let elsewhere = Position { history: crate::types::HistoryHash([9; 32]), ..here };
    *test.upstream.primary.lock().unwrap() = Some(PrimaryReply { status: 204, position: elsewhere, ..PrimaryReply::default() });
    let response = test.ask(Operation::Update, "num/n/a", Value::Null).await.unwrap();
    assert!(response.warnings[0].contains("may encounter stale reads"), "{:?}", response.warnings);

    let ahead = Position { wal: WalIndex(here.wal.0 + 1), ..here };
    *test.upstream.primary.lock().unwrap() = Some(PrimaryReply { status: 204, position: ahead, ..PrimaryReply::default() });
    let response = test.ask(Operation::Update, "num/n/a", Value::Null).await.unwrap();
    assert!(response.warnings[0].contains("may encounter stale reads"), "{:?}", response.warnings);

    *test.upstream.primary.lock().unwrap() =
        Some(PrimaryReply { status: 403, errors: vec!["permission denied".to_owned()], ..PrimaryReply::default() });
    assert!(matches!(test.ask(Operation::Update, "num/n/a", Value::Null).await, Err(Refused::Upstream { status: 403, .. })));
    *test.upstream.primary.lock().unwrap() = None;
    let before = test.upstream.asked.lock().unwrap().len();
    refused(test.ask(Operation::Update, "num/n/a", Value::Null).await, "cannot write to readonly storage");
    let asked = test.upstream.asked.lock().unwrap().len();
    assert!(asked > before + 10, "nothing happened, so it is tried again while a failover takes");
    // That has lasted too long for a failover now: nobody waits any more, until the primary is back.
    for _ in 0..3 {
        refused(test.ask(Operation::Update, "num/n/a", Value::Null).await, "the primary has not been reached for a while");
    }
    assert_eq!(test.upstream.asked.lock().unwrap().len(), asked, "nobody tries");
    *test.upstream.primary.lock().unwrap() = Some(PrimaryReply { status: 204, position: here, ..PrimaryReply::default() });
    let back = async {
        while test.ask(Operation::Update, "num/n/a", Value::Null).await.is_err() {
            tokio::time::sleep(std::time::Duration::from_millis(20)).await;
        }
    };
    tokio::time::timeout(std::time::Duration::from_secs(20), back).await.unwrap();
    // A primary that says no is asked once.
    test.upstream.is_revoked.store(true, Ordering::Relaxed);
    let asked = test.upstream.asked.lock().unwrap().len();
    refused(test.ask(Operation::Update, "num/n/a", Value::Null).await, "cannot write to readonly storage: the primary refuses");
    assert_eq!(test.upstream.asked.lock().unwrap().len(), asked + 1);
}

/// A change of role restarts what is active; what is asked meanwhile is refused.
async fn retry_while_restarting(test: &TestCore, path: &str) -> Result<crate::core::Response, Refused> {
    loop {
        match test.ask(Operation::Update, path, Value::Null).await {
            Err(Refused::NoActive) => tokio::task::yield_now().await,
            other => return other,
        }
    }
}

fn call(path: &str, policies: &[&str]) -> PrimaryCall {
    PrimaryCall {
        request_id: "r".to_owned(),
        operation: Operation::Update,
        path: path.to_owned(),
        data: serde_json::Map::from_iter([("number".to_owned(), json!(5))]),
        policies: policies.iter().map(|name| (*name).to_owned()).collect(),
        display_name: "from afar".to_owned(),
        entity_id: String::new(),
        accessor: String::new(),
        remote: String::new(),
    }
}

#[tokio::test]
async fn a_primary_authorizes_again_and_runs_only_what_is_shared() {
    let test = mounted().await;
    test.ask(Operation::Update, "sys/mounts/here", json!({ "type": "numbers", "local": true })).await.unwrap();
    assert!(test.core.serve_primary_call("b", call("num/n/a", &["root"])).await.is_none(), "it is no primary");
    test.ground.set_role(primary());
    let reply = loop {
        if let Some(reply) = test.core.serve_primary_call("b", call("num/n/a", &["root"])).await {
            break reply;
        }
        tokio::task::yield_now().await;
    };
    assert_eq!(reply.status, 204);
    assert_eq!(reply.position, test.core.context().store.positions().performance);
    assert_eq!(test.data(Operation::Read, "num/n/a", Value::Null).await, json!({ "number": 5 }));
    for (path, policies) in [("num/n/a", ["default"]), ("here/n/a", ["root"]), ("num/seen", ["root"]), ("auth/token/create", ["root"])] {
        assert_eq!(test.core.serve_primary_call("b", call(path, &policies)).await.unwrap().status, 403, "{path}");
    }
}

#[tokio::test]
async fn nothing_is_done_that_no_audit_device_logs() {
    let test = mounted().await;
    let folder = tempfile::tempdir().unwrap();
    let log = folder.path().join("audit.log");
    let file = |path: &std::path::Path| json!({ "type": "file", "options": { "file_path": path.display().to_string() } });
    test.ask(Operation::Update, "sys/audit/file", file(&log)).await.unwrap();
    test.ask(Operation::Update, "sys/config/auditing/request-headers/X-Mine", json!({ "hmac": false })).await.unwrap();
    let headers = [("x-mine".to_owned(), vec!["told".to_owned()]), ("x-other".to_owned(), vec!["untold".to_owned()])].into();
    let request = Request { headers, ..test.request(Operation::Update, "num/n/a", json!({ "number": 7 })) };
    test.core.serve(request).await.unwrap();
    let lines = std::fs::read_to_string(&log).unwrap();
    assert!(lines.contains(r#""headers":{"x-mine":["told"]}"#) && !lines.contains("untold"), "{lines}");
    assert!(lines.lines().count() >= 2 && lines.contains("num/n/a"), "{lines}");
    test.ask(Operation::Delete, "sys/audit/file", Value::Null).await.unwrap();
    let lines = std::fs::read_to_string(&log).unwrap();
    let ends: Vec<Value> = lines.lines().rev().take(2).map(|line| serde_json::from_str(line).unwrap()).collect();
    let of = |line: &Value| (line["type"].clone(), line["request"]["path"].clone());
    let path = json!("sys/audit/file");
    assert_eq!(
        (of(&ends[1]), of(&ends[0])),
        ((json!("request"), path.clone()), (json!("response"), path)),
        "what it saw asked, it sees answered"
    );
    let missing = folder.path().join("none/audit.log");
    refused(test.ask(Operation::Update, "sys/audit/file", file(&missing)).await, "audit backend failed test message");

    // A row whose device cannot be opened here, as a secondary may receive one.
    let row = json!({ "type": "file", "description": "", "options": { "file_path": missing.display().to_string() }, "salt": "00" });
    let put = |txn: &mut crate::barrier::Txn| {
        txn.put(Key::shared("sys/audit/file"), row.to_string().into_bytes().into());
        Ok(())
    };
    test.core.context().write(put).await.unwrap();
    assert!(matches!(test.ask(Operation::Update, "num/n/a", json!({ "number": 8 })).await, Err(Refused::Audit)));
    let proposed = test.ground.raft.proposed.load(Ordering::Relaxed);
    assert!(matches!(test.ask(Operation::Read, "num/n/a", Value::Null).await, Err(Refused::Audit)));
    assert_eq!(test.ground.raft.proposed.load(Ordering::Relaxed), proposed);
    assert!(test.ground.store.role() == Role::Alone);
}

/// The audit lines so far, as pairs of request and response.
fn pairs(log: &std::path::Path) -> Vec<(Value, Value)> {
    let lines: Vec<Value> = std::fs::read_to_string(log).unwrap().lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    lines.chunks(2).map(|pair| (pair[0].clone(), pair[1].clone())).collect()
}

#[tokio::test]
async fn both_lines_of_a_request_tell_who_asked_and_what_policies_said() {
    let folder = tempfile::tempdir().unwrap();
    let log = folder.path().join("audit.log");
    let test = mounted().await;
    let reader = json!({"policy": "path \"num/n/*\" { capabilities = [\"read\"] }"});
    test.ask(Operation::Update, "sys/policies/acl/reader", reader).await.unwrap();
    let token = test.ask(Operation::Update, "auth/token/create", json!({"policies": ["reader"], "num_uses": 3, "ttl": 60})).await.unwrap();
    let token = token.auth.unwrap().client_token;
    test.ask(Operation::Update, "sys/audit/file", json!({"type": "file", "options": {"file_path": log}})).await.unwrap();
    std::fs::write(&log, "").unwrap();

    let text = |line: &Value, at: &str| line.pointer(at).cloned().unwrap_or(Value::Null);
    let _ = test.ask_as(&token, Operation::Read, "num/n/a", Value::Null).await;
    refused(test.ask_as(&token, Operation::Update, "num/n/a", Value::Null).await, "permission denied");
    let wrapped = Request { wrap_ttl: Some(Ttl(60)), ..test.request(Operation::Update, "auth/token/create", json!({})) };
    test.core.serve(wrapped).await.unwrap();
    let nobody = Request { token: None, ..test.request(Operation::Read, "num/open", Value::Null) };
    let _ = test.core.serve(nobody).await;

    let pairs = pairs(&log);
    assert_eq!(pairs.len(), 4, "{pairs:#?}");
    for (request, response) in &pairs {
        assert_eq!((text(request, "/type"), text(response, "/type")), (json!("request"), json!("response")));
        assert_eq!((text(request, "/request"), text(request, "/auth")), (text(response, "/request"), text(response, "/auth")));
    }
    let [(read, _), (denied, denied_too), (_, wrapped), (open, _)] = &pairs[..] else { unreachable!() };
    let reader = json!({"allowed": true, "granting_policies": [{"name": "reader", "namespace_id": "root", "type": "acl"}]});
    assert_eq!(text(read, "/auth/policy_results"), reader);
    assert_eq!((text(read, "/auth/token_type"), text(read, "/auth/token_ttl")), (json!("service"), json!(60)));
    assert_eq!((text(read, "/auth/remaining_uses"), text(denied, "/auth/remaining_uses")), (json!(3), json!(2)));
    assert!(text(read, "/request/mount_running_version").is_string() && text(read, "/request/client_id").is_string());
    assert_eq!(text(denied, "/auth/policy_results"), json!({"allowed": false}));
    assert_eq!((text(denied, "/error"), text(denied_too, "/error")), (json!("permission denied"), json!("permission denied")));
    let accessor = text(wrapped, "/response/wrap_info/wrapped_accessor");
    assert!(accessor.as_str().unwrap().starts_with("hmac-sha256:") && text(wrapped, "/response/auth").is_null(), "{wrapped}");
    assert_eq!(text(open, "/auth"), json!({"token_type": "default", "policy_results": {"allowed": true}}));
}

#[tokio::test]
async fn a_secondary_that_is_filled_serves_nobody() {
    let test = mounted().await;
    test.ask(Operation::Update, "num/n/a", json!({ "number": 7 })).await.unwrap();
    let filling = Role::Secondary { set: SetId::new("set"), generation: Generation(1), filling: true };
    test.ground.set_role(filling);
    let answer = loop {
        match test.ask(Operation::Read, "num/n/a", Value::Null).await {
            Err(Refused::NoActive) => tokio::task::yield_now().await,
            other => break other,
        }
    };
    refused(answer, "is being filled");
}

#[test]
fn a_refused_request_takes_a_use_unless_it_took_one_or_will() {
    for (refused, takes) in [
        (Refused::Denied, true),
        (Refused::Engine(EngineError::Invalid("wrong".to_owned())), true),
        (Refused::Write(WriteError::Conflict), true),
        (Refused::Write(CommitError::Unknown.into()), false),
        (Refused::Write(CommitError::NotLeader { leader: None }.into()), false),
        (Refused::NoActive, false),
    ] {
        assert_eq!(super::takes_use(&refused), takes, "{refused:?}");
    }
}
