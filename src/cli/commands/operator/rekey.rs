//! `operator rekey`: new unseal keys from a threshold of the present ones.

use serde_json::{Map, Value, json};

use crate::cli::args::Flag;
use crate::cli::call::Call;
use crate::cli::command::{Command, Prints};
use crate::cli::failure::{Failure, Outcome};
use crate::cli::invocation::{Invocation, members_of};
use crate::cli::output::{table, value::go_text};
use crate::cli::prompt;

/// The commands of this file.
pub const COMMANDS: &[Command] = &[Command {
    name: "operator rekey",
    summary: "Make new unseal keys",
    arguments: "[KEY]",
    examples: &["operator rekey -init -key-shares=5 -key-threshold=3", "operator rekey", "operator rekey -status"],
    flags: &[
        Flag::switch("init", "Begin."),
        Flag::switch("cancel", "Give up what has begun."),
        Flag::switch("status", "Show how far it is."),
        Flag::switch("verify", "The key given, or what is asked about, is of the verification."),
        Flag::number("key-shares", "Into how many shares the key is split. Default 5.").or("n"),
        Flag::number("key-threshold", "How many shares unseal. Default 3.").or("t"),
        Flag::text("nonce", "The nonce of what has begun."),
        Flag::text("target", "barrier or recovery. Default barrier."),
        Flag::list("pgp-keys", "Files with the PGP keys to encrypt the shares with."),
        Flag::switch("backup", "Keep the encrypted shares on the server."),
        Flag::switch("backup-retrieve", "Print the kept shares."),
        Flag::switch("backup-delete", "Delete the kept shares."),
    ],
    prints: Prints::Format,
    run: rekey,
}];

fn rekey(run: &mut Invocation) -> Outcome {
    run.expect_args(0, 1)?;
    let is_recovery = match run.text("target").unwrap_or("barrier").trim() {
        "barrier" => false,
        "recovery" | "hsm" => true,
        other => return Err(Failure::local(format!("Unknown target: {other}"))),
    };
    let family = if is_recovery { "sys/rekey-recovery-key" } else { "sys/rekey" };
    let kept = if is_recovery { "sys/rekey/recovery-key-backup" } else { "sys/rekey/backup" };
    let part = if run.is("verify") { "verify" } else { "init" };
    if run.is("backup-delete") {
        run.ask(&Call::delete(kept), "Error deleting stored keys")?;
        run.say("Success! Deleted stored keys (if they existed)");
        Ok(0)
    } else if run.is("backup-retrieve") {
        let answer = run.ask(&Call::get(kept), "Error retrieving stored keys")?.unwrap_or_default();
        run.show_members(&members_of(&answer));
        Ok(0)
    } else if run.is("init") {
        init(run, family)
    } else if run.is("cancel") {
        run.ask(&Call::delete(format!("{family}/{part}")), "Error canceling rekey")?;
        run.say("Success! Canceled rekeying (if it was started)");
        Ok(0)
    } else if run.is("status") {
        let status = run.ask(&Call::get(format!("{family}/{part}")), "Error reading rekey status")?.unwrap_or_default();
        print_status(run, &status);
        Ok(0)
    } else {
        provide(run, family, part)
    }
}

fn init(run: &mut Invocation, family: &str) -> Outcome {
    let files: Vec<&str> = run.parsed.list("pgp-keys").iter().flat_map(|list| list.split(',')).filter(|file| !file.is_empty()).collect();
    let keys: Vec<String> = files.into_iter().map(super::init::pgp_key).collect::<Result<_, _>>()?;
    let body = json!({
        "secret_shares": run.parsed.number("key-shares").unwrap_or(5),
        "secret_threshold": run.parsed.number("key-threshold").unwrap_or(3),
        "pgp_keys": keys,
        "backup": run.is("backup"),
        "require_verification": run.is("verify"),
    });
    let status = run.ask(&Call::put(format!("{family}/init"), body), "Error initializing rekey")?.unwrap_or_default();
    if !run.is_structured() && run.parsed.list("pgp-keys").is_empty() {
        run.warn("WARNING! Without -pgp-keys the new shares come in plain text to whoever gives the last of the present ones.\n");
        if !run.is("verify") {
            run.warn(
                "WARNING! Nobody can show the new shares again: if they get lost, the data are lost.\n\
                 With -verify the present ones go on unsealing until enough of the new ones were given back.\n",
            );
        }
    }
    print_status(run, &status);
    Ok(0)
}

fn provide(run: &mut Invocation, family: &str, part: &str) -> Outcome {
    let client = run.client()?;
    let status = client
        .envelope(&Call::get(format!("{family}/{part}")))
        .map_err(|error| error.during("Error getting rekey status"))?
        .unwrap_or_default();
    if part == "init" && !status.get("started").and_then(Value::as_bool).unwrap_or(false) {
        return Err(Failure::local(format!(
            "No rekey is in progress. Start a rekey process by running \"{} operator rekey -init\".",
            run.program
        )));
    }
    let nonce = run.text("nonce").map_or_else(|| status.get("nonce").map(go_text).unwrap_or_default(), str::to_owned);
    let key = match run.arg(0).trim() {
        "" => {
            if prompt::is_terminal() {
                run.warn(&format!("Rekey operation nonce: {nonce}"));
            }
            prompt::secret("Unseal Key (will be hidden): ", run.may_ask())?.expose().clone()
        }
        "-" => prompt::secret("", true)?.expose().clone(),
        given => given.to_owned(),
    };
    let path = if part == "verify" { format!("{family}/verify") } else { format!("{family}/update") };
    let answer = client
        .envelope(&Call::put(path, json!({ "key": key, "nonce": nonce })))
        .map_err(|error| error.during("Error posting unseal key"))?
        .unwrap_or_default();
    if !answer.get("complete").and_then(Value::as_bool).unwrap_or(false) {
        let status = client.envelope(&Call::get(format!("{family}/{part}"))).ok().flatten().unwrap_or(answer);
        print_status(run, &status);
        return Ok(0);
    }
    if part == "verify" {
        if run.is_structured() {
            run.print_structured(&Value::Object(answer));
        } else {
            run.print("Success! Rekey verification complete. The new keys are active.");
        }
        return Ok(0);
    }
    if run.is_structured() {
        run.print_structured(&Value::Object(answer));
    } else {
        run.print(&finished(&answer, &status));
    }
    Ok(0)
}

fn finished(answer: &Map<String, Value>, status: &Map<String, Value>) -> String {
    let text = |from: &Map<String, Value>, name: &str| from.get(name).filter(|value| !value.is_null()).map(go_text).unwrap_or_default();
    let keys = answer.get("keys_base64").and_then(Value::as_array).cloned().unwrap_or_default();
    let prints = answer.get("pgp_fingerprints").and_then(Value::as_array).cloned().unwrap_or_default();
    let mut lines: Vec<String> = keys
        .iter()
        .enumerate()
        .map(|(at, key)| match prints.get(at) {
            Some(print) => format!("Key {} fingerprint: {}; value: {}", at + 1, go_text(print), go_text(key)),
            None => format!("Key {}: {}", at + 1, go_text(key)),
        })
        .collect();
    lines.push(String::new());
    lines.push(format!("Operation nonce: {}", text(answer, "nonce")));
    lines.push(String::new());
    let needs_check = answer.get("verification_required").and_then(Value::as_bool).unwrap_or(false);
    if needs_check {
        lines.push(format!(
            "The new keys are not active yet: verify them with \"operator rekey -verify\".\nVerification nonce: {}",
            text(answer, "verification_nonce")
        ));
    } else {
        lines.push(format!(
            "Vault unseal keys rekeyed to {} key shares and a key threshold of {}. The old shares no longer unseal.",
            keys.len(),
            text(status, "t")
        ));
    }
    lines.join("\n")
}

fn print_status(run: &Invocation, status: &Map<String, Value>) {
    if run.is_structured() {
        return run.print_structured(&Value::Object(status.clone()));
    }
    run.print(&table::key_value(rows(status)));
}

fn rows(status: &Map<String, Value>) -> Vec<(String, String)> {
    let text = |name: &str| status.get(name).filter(|value| !value.is_null()).map(go_text).unwrap_or_default();
    let is_on = |name: &str| status.get(name).and_then(Value::as_bool).unwrap_or(false);
    let mut rows = vec![("Nonce", text("nonce")), ("Started", text("started"))];
    if is_on("started") || status.contains_key("progress") && !status.contains_key("required") {
        let required = if status.contains_key("required") { text("required") } else { text("t") };
        rows.push((
            if status.contains_key("required") { "Rekey Progress" } else { "Verification Progress" },
            format!("{}/{required}", text("progress")),
        ));
        rows.push(("New Shares", text("n")));
        rows.push(("New Threshold", text("t")));
        if status.contains_key("verification_required") {
            rows.push(("Verification Required", text("verification_required")));
        }
        if !text("verification_nonce").is_empty() {
            rows.push(("Verification Nonce", text("verification_nonce")));
        }
    }
    if status.get("pgp_fingerprints").and_then(Value::as_array).is_some_and(|prints| !prints.is_empty()) {
        rows.push(("PGP Fingerprints", text("pgp_fingerprints")));
        rows.push(("Backup", text("backup")));
    }
    rows.into_iter().map(|(name, value)| (name.to_owned(), value)).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_state_prints_under_a_heading() {
        let status = json!({"nonce": "n", "started": true, "progress": 0, "required": 3, "n": 5, "t": 3, "verification_required": false, "pgp_fingerprints": null});
        assert_eq!(
            table::key_value(rows(status.as_object().unwrap())),
            "Key                      Value\n---                      -----\nNonce                    n\nStarted                  true\nRekey Progress           0/3\n\
             New Shares               5\nNew Threshold            3\nVerification Required    false"
        );
    }
}
