//! `token`: create, look up, renew, revoke, and what one may do.

use serde_json::{Map, Value, json};

use crate::cli::args::Flag;
use crate::cli::call::Call;
use crate::cli::command::{Command, Prints};
use crate::cli::failure::{Failure, Outcome};
use crate::cli::invocation::Invocation;
use crate::cli::output::value::go_text;

const ACCESSOR: Flag = Flag::switch("accessor", "The argument is an accessor, not a token.");

/// The commands of this file.
pub const COMMANDS: &[Command] = &[
    Command {
        name: "token create",
        summary: "Create a token",
        arguments: "",
        examples: &["token create -policy=dev -ttl=1h", "token create -role=ci -field=token", "token create -type=batch -policy=dev"],
        flags: &[
            Flag::text("id", "Value of the token."),
            Flag::text("display-name", "Name to show."),
            Flag::time("ttl", "Lifetime at first."),
            Flag::time("explicit-max-ttl", "Lifetime that no renewal passes."),
            Flag::time("period", "Makes a periodic token: each renewal sets this lifetime."),
            Flag::switch("renewable", "Whether it can be renewed. Default true."),
            Flag::switch("orphan", "Without a parent."),
            Flag::switch("no-default-policy", "Without the policy default."),
            Flag::number("use-limit", "How often it can be used; 0 is without limit."),
            Flag::text("role", "Token role to create it by."),
            Flag::text("type", "service or batch. Default service."),
            Flag::pairs("metadata", "key=value to keep with it; repeatable."),
            Flag::list("policy", "A policy of it; repeatable."),
            Flag::text("entity-alias", "Name of the entity alias to tie it to; with -role."),
        ],
        prints: Prints::Field,
        run: create,
    },
    Command {
        name: "token lookup",
        summary: "Show a token",
        arguments: "[TOKEN | ACCESSOR]",
        examples: &["token lookup", "token lookup -accessor 9793c9b3-e04a"],
        flags: &[ACCESSOR],
        prints: Prints::Field,
        run: lookup,
    },
    Command {
        name: "token renew",
        summary: "Extend a token",
        arguments: "[TOKEN]",
        examples: &["token renew", "token renew -increment=30m hvs.CAESI..."],
        flags: &[ACCESSOR, Flag::time("increment", "How much longer, from now.").or("i")],
        prints: Prints::Field,
        run: renew,
    },
    Command {
        name: "token revoke",
        summary: "Revoke a token and its children",
        arguments: "[TOKEN | ACCESSOR]",
        examples: &[
            "token revoke hvs.CAESI...",
            "token revoke -self",
            "token revoke -accessor 9793c9b3-e04a",
            "token revoke -mode=orphan hvs.CAESI...",
        ],
        flags: &[
            ACCESSOR,
            Flag::switch("self", "Revoke the token this call is made with."),
            Flag::text("mode", "orphan: leave the children alive; path: the argument is a path, revoke all created there."),
        ],
        prints: Prints::Text,
        run: revoke,
    },
    Command {
        name: "token capabilities",
        summary: "Show what a token may do at a path",
        arguments: "[TOKEN | ACCESSOR] PATH",
        examples: &["token capabilities secret/data/app", "token capabilities hvs.CAESI... secret/data/app"],
        flags: &[ACCESSOR],
        prints: Prints::Format,
        run: capabilities,
    },
];

fn create(run: &mut Invocation) -> Outcome {
    run.expect_args(0, 0)?;
    let mut body = Map::new();
    for (flag, field) in [("id", "id"), ("display-name", "display_name"), ("entity-alias", "entity_alias"), ("type", "type")] {
        if let Some(text) = run.text(flag) {
            body.insert(field.into(), text.into());
        }
    }
    for (flag, field) in [("ttl", "ttl"), ("explicit-max-ttl", "explicit_max_ttl"), ("period", "period")] {
        if let Some(ttl) = run.parsed.time(flag) {
            body.insert(field.into(), ttl.go_string().into());
        }
    }
    let metadata: Map<String, Value> =
        run.parsed.pairs("metadata").into_iter().map(|(name, value)| (name.to_owned(), value.into())).collect();
    if !metadata.is_empty() {
        body.insert("meta".into(), Value::Object(metadata));
    }
    body.insert("policies".into(), run.parsed.list("policy").to_vec().into());
    body.insert("no_default_policy".into(), run.is("no-default-policy").into());
    body.insert("num_uses".into(), run.parsed.number("use-limit").unwrap_or(0).into());
    let is_batch = run.text("type") == Some("batch");
    if run.parsed.has("renewable") || !is_batch {
        body.insert("renewable".into(), (!run.parsed.has("renewable") || run.is("renewable")).into());
    }
    let path = match run.text("role") {
        Some(role) => {
            if run.is("orphan") {
                body.insert("no_parent".into(), true.into());
            }
            format!("auth/token/create/{role}")
        }
        None if run.is("orphan") => "auth/token/create-orphan".to_owned(),
        None => "auth/token/create".to_owned(),
    };
    let answer = run.ask(&Call::post(path, Value::Object(body)), "Error creating token")?;
    run.show_secret(&answer.unwrap_or_default())
}

fn lookup(run: &mut Invocation) -> Outcome {
    run.expect_args(0, 1)?;
    let given = run.arg(0).trim().to_owned();
    let call = match (given.is_empty(), run.is("accessor")) {
        (true, true) => return Err(Failure::local("Not enough arguments with -accessor (expected 1, got 0)")),
        (true, false) => Call::get("auth/token/lookup-self"),
        (false, true) => Call::post("auth/token/lookup-accessor", json!({ "accessor": given })),
        (false, false) => Call::post("auth/token/lookup", json!({ "token": given })),
    };
    let answer = run.ask(&call, "Error looking up token")?;
    run.show_secret(&answer.unwrap_or_default())
}

fn renew(run: &mut Invocation) -> Outcome {
    run.expect_args(0, 1)?;
    let given = run.arg(0).trim().to_owned();
    let increment = run.parsed.time("increment").map_or(0, |ttl| ttl.0);
    let call = match (given.is_empty(), run.is("accessor")) {
        (true, true) => return Err(Failure::local("Not enough arguments with -accessor (expected 1, got 0)")),
        (true, false) => Call::put("auth/token/renew-self", json!({ "increment": increment })),
        (false, true) => Call::post("auth/token/renew-accessor", json!({ "accessor": given, "increment": increment })),
        (false, false) => Call::put("auth/token/renew", json!({ "token": given, "increment": increment })),
    };
    let answer = run.ask(&call, "Error renewing token")?;
    run.show_secret(&answer.unwrap_or_default())
}

fn revoke(run: &mut Invocation) -> Outcome {
    let given = run.arg(0).trim().to_owned();
    let (is_self, by_accessor, mode) = (run.is("self"), run.is("accessor"), run.text("mode").unwrap_or_default().to_owned());
    if is_self && !given.is_empty() {
        return Err(Failure::local(format!("Too many arguments with -self (expected 0, got {})", run.parsed.args.len())));
    }
    if !is_self && given.is_empty() {
        return Err(Failure::local("Not enough arguments (expected 1 or -self, got 0)"));
    }
    if !is_self && run.parsed.args.len() > 1 {
        return Err(Failure::local(format!("Too many arguments (expected 1 or -self, got {})", run.parsed.args.len())));
    }
    if is_self && by_accessor {
        return Err(Failure::local("Cannot use -self with -accessor!"));
    }
    if is_self && !mode.is_empty() {
        return Err(Failure::local("Cannot use -self with -mode!"));
    }
    if by_accessor && mode == "orphan" {
        return Err(Failure::local("Cannot use -accessor with -mode=orphan!"));
    }
    if by_accessor && mode == "path" {
        return Err(Failure::local("Cannot use -accessor with -mode=path!"));
    }
    let call = match mode.as_str() {
        "" if is_self => Call::put("auth/token/revoke-self", json!({})),
        "" if by_accessor => Call::post("auth/token/revoke-accessor", json!({ "accessor": given })),
        "" => Call::put("auth/token/revoke", json!({ "token": given })),
        "orphan" => Call::put("auth/token/revoke-orphan", json!({ "token": given })),
        "path" => Call::put(format!("sys/leases/revoke-prefix/{}", crate::cli::route::clean_path(&given)), json!({})),
        other => return Err(Failure::local(format!("Invalid mode: {other}"))),
    };
    run.ask(&call, "Error revoking token")?;
    run.say("Success! Revoked token (if it existed)");
    Ok(0)
}

fn capabilities(run: &mut Invocation) -> Outcome {
    run.expect_args(1, 2)?;
    let call = match (run.parsed.args.len(), run.is("accessor")) {
        (1, true) => return Err(Failure::local("Not enough arguments with -accessor (expected 2, got 1)")),
        (1, false) => Call::post("sys/capabilities-self", json!({ "path": run.arg(0) })),
        (_, true) => Call::post("sys/capabilities-accessor", json!({ "accessor": run.arg(0), "path": run.arg(1) })),
        (_, false) => Call::post("sys/capabilities", json!({ "token": run.arg(0), "path": run.arg(1) })),
    };
    let path = run.arg(run.parsed.args.len() - 1).to_owned();
    let answer = run.ask(&call, "Error listing capabilities")?.unwrap_or_default();
    let members = crate::cli::invocation::members_of(&answer);
    let found = members.get(&path).or_else(|| members.get("capabilities")).and_then(Value::as_array).cloned().unwrap_or_default();
    let mut names: Vec<String> = found.iter().map(go_text).collect();
    names.sort();
    if run.is_structured() {
        run.print_structured(&names.into());
    } else {
        run.print(&names.join(", "));
    }
    Ok(0)
}
