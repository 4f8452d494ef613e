//! `lease`: look up, renew, revoke.

use serde_json::{Map, Value, json};

use crate::cli::args::Flag;
use crate::cli::call::Call;
use crate::cli::command::{Command, Prints};
use crate::cli::failure::{Failure, Outcome};
use crate::cli::invocation::Invocation;
use crate::cli::route::clean_path;

/// The commands of this file.
pub const COMMANDS: &[Command] = &[
    Command {
        name: "lease lookup",
        summary: "Show a lease",
        arguments: "ID",
        examples: &["lease lookup database/creds/readonly/2f6a614c..."],
        flags: &[],
        prints: Prints::Field,
        run: lookup,
    },
    Command {
        name: "lease renew",
        summary: "Extend a lease",
        arguments: "ID",
        examples: &["lease renew -increment=1h database/creds/readonly/2f6a614c..."],
        flags: &[Flag::time("increment", "How much longer, from now.").or("i")],
        prints: Prints::Field,
        run: renew,
    },
    Command {
        name: "lease revoke",
        summary: "Revoke a lease, or all below a prefix",
        arguments: "ID",
        examples: &["lease revoke database/creds/readonly/2f6a614c...", "lease revoke -prefix database/creds"],
        flags: &[
            Flag::switch("prefix", "Revoke all leases below the given prefix."),
            Flag::switch("force", "With -prefix: forget the leases even where revoking fails.").or("f"),
            Flag::switch("sync", "Wait until it is done."),
        ],
        prints: Prints::Text,
        run: revoke,
    },
];

fn lookup(run: &mut Invocation) -> Outcome {
    run.expect_args(1, 1)?;
    let id = run.arg(0).trim().to_owned();
    let answer = run.ask(&Call::put("sys/leases/lookup", json!({ "lease_id": id })), &format!("error looking up lease id {id}"))?;
    run.show_secret(&answer.unwrap_or_default())
}

fn renew(run: &mut Invocation) -> Outcome {
    run.expect_args(1, 1)?;
    let id = run.arg(0).trim().to_owned();
    let increment = run.parsed.time("increment").map_or(0, |ttl| ttl.0);
    let mut body = Map::new();
    body.insert("lease_id".into(), id.clone().into());
    body.insert("increment".into(), increment.into());
    let answer = run.ask(&Call::put("sys/leases/renew", Value::Object(body)), &format!("Error renewing {id}"))?;
    run.show_secret(&answer.unwrap_or_default())
}

fn revoke(run: &mut Invocation) -> Outcome {
    run.expect_args(1, 1)?;
    let id = run.arg(0).trim().to_owned();
    let sync = run.is("sync");
    if run.is("force") && !run.is("prefix") {
        return Err(Failure::local("Specifying -force requires also specifying -prefix"));
    }
    let prefix = clean_path(&id);
    let (call, doing, done) = if run.is("force") {
        run.say("Warning! Forcing lease removals can leave secrets outside of this store alive that nothing here knows any more!");
        let call = Call::put(format!("sys/leases/revoke-force/{prefix}"), json!({}));
        (call, format!("Error force revoking leases with prefix {id}"), format!("Success! Force revoked any leases with prefix: {id}"))
    } else if run.is("prefix") {
        let call = Call::put(format!("sys/leases/revoke-prefix/{prefix}"), json!({ "sync": sync }));
        (call, format!("Error revoking leases with prefix {id}"), format!("Success! Revoked any leases with prefix: {id}"))
    } else {
        let call = Call::put("sys/leases/revoke", json!({ "lease_id": id, "sync": sync }));
        (call, format!("Error revoking lease {id}"), format!("Success! Revoked lease: {id}"))
    };
    run.ask(&call, &doing)?;
    run.say(if sync || run.is("force") { &done } else { "All revocation operations queued successfully!" });
    Ok(0)
}
