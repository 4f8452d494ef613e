//! Makes one cluster the primary of another, as the operators' guide says, and tells whether they are equal.

use std::time::{Duration, Instant};

use serde_json::{Value, json};

use super::cluster::{Cluster, LONG};

/// The policy that may do everything; on both sides, as policies are shared.
const SUPERUSER: &str = "path \"*\" { capabilities = [\"create\",\"read\",\"update\",\"patch\",\"delete\",\"list\",\"sudo\"] }";
const API: &str = "sys/replication/performance";

/// Makes `primary` one, with a user who can log in on secondaries.
///
/// # Errors
/// What was refused.
pub fn enable(primary: &Cluster) -> Result<(), String> {
    primary.must("sys/policies/acl/superuser", &json!({ "policy": SUPERUSER }))?;
    primary.must("sys/auth/userpass", &json!({"type": "userpass"}))?;
    primary.must("auth/userpass/users/tester", &json!({"password": "changeme", "policies": "superuser"}))?;
    primary.must(&format!("{API}/primary/enable"), &json!({}))?;
    until("the primary serves as one", LONG, || primary.replication()["mode"] == "primary")
}

/// Activates `secondary` under this id, waits until it streams, and logs in there.
///
/// # Errors
/// What was refused or did not happen.
pub fn activate(primary: &Cluster, secondary: &Cluster, id: &str) -> Result<(), String> {
    let token = activation(primary, id)?;
    secondary.must(&format!("{API}/secondary/enable"), &json!({ "token": token }))?;
    secondary.change(|secrets| secrets.keys = primary.keys());
    until("the secondary streams", LONG, || secondary.replication()["state"] == "stream-wals")?;
    secondary.heal(LONG)?;
    log_in(secondary)
}

/// A token that activates a secondary.
///
/// # Errors
/// What was refused.
pub fn activation(primary: &Cluster, id: &str) -> Result<String, String> {
    let answer = primary.must(&format!("{API}/primary/secondary-token"), &json!({ "id": id }))?;
    answer["wrap_info"]["token"].as_str().map(str::to_owned).ok_or_else(|| format!("no activation token in {answer}"))
}

/// Gets a token of the secondary's own.
///
/// # Errors
/// If the primary's user cannot log in there in time.
pub fn log_in(secondary: &Cluster) -> Result<(), String> {
    let mut token = None;
    until("the primary's user logs in on the secondary", LONG, || {
        let reply = secondary.active().and_then(|node| node.put("auth/userpass/login/tester", "", json!({"password": "changeme"})));
        token = reply.and_then(|reply| reply.body["auth"]["client_token"].as_str().map(str::to_owned));
        token.is_some()
    })?;
    secondary.change(|secrets| secrets.token = token.unwrap_or_default());
    Ok(())
}

/// Where both sides stand: `(root, position)` of each.
pub fn standing(primary: &Cluster, secondary: &Cluster) -> [(Value, Value); 2] {
    let (here, there) = (primary.replication(), secondary.replication());
    [(here["merkle_root"].clone(), here["last_performance_wal"].clone()), (there["merkle_root"].clone(), there["last_remote_wal"].clone())]
}

/// Waits until both hold the same at the same position.
///
/// # Errors
/// After `limit`, with where they stand: permanent difference is a finding.
pub fn converge(primary: &Cluster, secondary: &Cluster, limit: Duration) -> Result<Duration, String> {
    let begin = Instant::now();
    loop {
        let [here, there] = standing(primary, secondary);
        if here.0.is_string() && here == there {
            return Ok(begin.elapsed());
        }
        if begin.elapsed() > limit {
            return Err(format!("not equal after {limit:?}: {here:?} and {there:?}; {}", secondary.replication()));
        }
        std::thread::sleep(Duration::from_millis(100));
    }
}

/// Asks again and again.
///
/// # Errors
/// After `limit`.
pub fn until(what: &str, limit: Duration, mut done: impl FnMut() -> bool) -> Result<(), String> {
    let begin = Instant::now();
    while !done() {
        if begin.elapsed() > limit {
            return Err(format!("waited {limit:?} until {what}"));
        }
        std::thread::sleep(Duration::from_millis(100));
    }
    Ok(())
}
