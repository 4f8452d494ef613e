//! `operator init`: give a new cluster its keys. What it prints is read by provisioning scripts: not a letter of the key lines changes.

use serde_json::{Map, Value, json};

use crate::cli::args::Flag;
use crate::cli::call::Call;
use crate::cli::command::{Command, Prints};
use crate::cli::failure::{Failure, Outcome};
use crate::cli::input::read_file;
use crate::cli::invocation::Invocation;
use crate::cli::output::value::go_text;

/// The commands of this file.
pub const COMMANDS: &[Command] = &[Command {
    name: "operator init",
    summary: "Give a new cluster its keys",
    arguments: "",
    examples: &["operator init", "operator init -n 5 -t 3 -format=json", "operator init -status"],
    flags: &[
        Flag::switch("status", "Only tell whether it is initialized: exit code 0 yes, 2 no, 1 unknown."),
        Flag::number("key-shares", "Into how many shares the key is split. Default 5.").or("n"),
        Flag::number("key-threshold", "How many shares unseal. Default 3.").or("t"),
        Flag::list("pgp-keys", "Files with the PGP keys to encrypt the shares with."),
        Flag::text("root-token-pgp-key", "File with the PGP key to encrypt the root token with."),
        Flag::number("recovery-shares", "With an auto-unseal: shares of the recovery key. Default 5."),
        Flag::number("recovery-threshold", "With an auto-unseal: threshold of the recovery key. Default 3."),
        Flag::list("recovery-pgp-keys", "Files with the PGP keys to encrypt the recovery shares with."),
        Flag::number("stored-shares", "Ignored."),
    ],
    prints: Prints::Format,
    run: init,
}];

fn init(run: &mut Invocation) -> Outcome {
    run.expect_args(0, 0)?;
    if run.is("status") {
        return status(run);
    }
    let client = run.client()?;
    // Told calls need no answer.
    let is_auto = !client.explains() && has_stored_keys(&client);
    let shares = |flag: &str, default: i64| run.parsed.number(flag).unwrap_or(default);
    let mut body = Map::new();
    if is_auto {
        body.insert("recovery_shares".into(), shares("recovery-shares", 5).into());
        body.insert("recovery_threshold".into(), shares("recovery-threshold", 3).into());
        insert_keys(run, &mut body, "recovery-pgp-keys", "recovery_pgp_keys")?;
    } else {
        body.insert("secret_shares".into(), shares("key-shares", 5).into());
        body.insert("secret_threshold".into(), shares("key-threshold", 3).into());
        insert_keys(run, &mut body, "pgp-keys", "pgp_keys")?;
    }
    if let Some(file) = run.text("root-token-pgp-key") {
        body.insert("root_token_pgp_key".into(), pgp_key(file)?.into());
    }
    let made = client
        .envelope(&Call::put("sys/init", Value::Object(body.clone())))
        .map_err(|error| error.during("Error initializing"))?
        .unwrap_or_default();
    if run.is_structured() {
        run.print_structured(&machine_form(&made, &body));
    } else {
        run.print(&human_form(&made, &body, is_auto, &run.program));
    }
    Ok(0)
}

fn has_stored_keys(client: &crate::cli::client::Client) -> bool {
    let seal = client.envelope(&Call::get("sys/seal-status")).ok().flatten().unwrap_or_default();
    seal.get("recovery_seal").and_then(Value::as_bool).unwrap_or(false)
}

fn insert_keys(run: &Invocation, body: &mut Map<String, Value>, flag: &str, field: &str) -> Result<(), Failure> {
    let files: Vec<&str> = run.parsed.list(flag).iter().flat_map(|list| list.split(',')).filter(|file| !file.is_empty()).collect();
    if !files.is_empty() {
        let keys: Vec<String> = files.into_iter().map(pgp_key).collect::<Result<_, _>>()?;
        body.insert(field.into(), keys.into());
    }
    Ok(())
}

/// A PGP key from a file: base64, or what a file of base64 holds.
pub fn pgp_key(file: &str) -> Result<String, Failure> {
    read_file(file.trim_start_matches('@'))
        .map(|text| text.trim().to_owned())
        .map_err(|error| Failure::local(format!("Error reading PGP key: {error}")))
}

fn status(run: &mut Invocation) -> Outcome {
    let client = run.client()?;
    let answer =
        client.envelope(&Call::get("sys/init")).map_err(|error| Failure { code: 1, ..error.during("Error checking init status") })?;
    let is_initialized = answer.and_then(|answer| answer.get("initialized").and_then(Value::as_bool)).unwrap_or(false);
    if run.is_structured() {
        run.print_structured(&json!({ "Initialized": is_initialized }));
    } else {
        run.print(if is_initialized { "Vault is initialized" } else { "Vault is not initialized" });
    }
    Ok(if is_initialized { 0 } else { 2 })
}

fn list(made: &Map<String, Value>, name: &str) -> Vec<String> {
    made.get(name).and_then(Value::as_array).map(|keys| keys.iter().map(go_text).collect()).unwrap_or_default()
}

fn machine_form(made: &Map<String, Value>, asked: &Map<String, Value>) -> Value {
    let number = |name: &str| asked.get(name).cloned().unwrap_or_else(|| 0.into());
    json!({
        "unseal_keys_b64": list(made, "keys_base64"),
        "unseal_keys_hex": list(made, "keys"),
        "unseal_shares": number("secret_shares"),
        "unseal_threshold": number("secret_threshold"),
        "recovery_keys_b64": list(made, "recovery_keys_base64"),
        "recovery_keys_hex": list(made, "recovery_keys"),
        "recovery_keys_shares": number("recovery_shares"),
        "recovery_keys_threshold": number("recovery_threshold"),
        "root_token": made.get("root_token").cloned().unwrap_or(Value::Null),
    })
}

fn human_form(made: &Map<String, Value>, asked: &Map<String, Value>, is_auto: bool, program: &str) -> String {
    let mut lines: Vec<String> = Vec::new();
    for (name, label) in [("keys_base64", "Unseal Key"), ("recovery_keys_base64", "Recovery Key")] {
        lines.extend(list(made, name).iter().enumerate().map(|(at, key)| format!("{label} {}: {key}", at + 1)));
    }
    lines.push(String::new());
    lines.push(format!("Initial Root Token: {}", made.get("root_token").map(go_text).unwrap_or_default()));
    lines.push(String::new());
    let number = |name: &str| asked.get(name).and_then(Value::as_i64).unwrap_or(0);
    if is_auto {
        lines.push(format!(
            "Success! Vault is initialized\n\nThe recovery key is split into {} shares, {} of which allow recovery operations.\nKeep them apart and safe.",
            number("recovery_shares"),
            number("recovery_threshold")
        ));
    } else {
        let (shares, threshold) = (number("secret_shares"), number("secret_threshold"));
        lines.push(format!(
            "Vault initialized with {shares} key shares and a key threshold of {threshold}. Hand the shares to different people:\n\
             after each restart or seal, {threshold} of them must be given to every node before it serves requests.\n\n\
             The key that the shares make up is stored nowhere. With fewer than {threshold} shares all data stay encrypted for good:\n\
             there is no other way in.\n\n\
             New shares, or another number of them, are made with \"{program} operator rekey\"; it needs {threshold} of the present ones."
        ));
    }
    lines.join("\n")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn object(value: Value) -> Map<String, Value> {
        value.as_object().unwrap().clone()
    }

    #[test]
    fn keys_and_token_print_as_scripts_read_them() {
        let made = object(json!({"keys": ["aa", "bb"], "keys_base64": ["qg==", "uw=="], "root_token": "hvs.R"}));
        let asked = object(json!({"secret_shares": 2, "secret_threshold": 2}));
        let text = human_form(&made, &asked, false, "coffer");
        assert!(
            text.starts_with("Unseal Key 1: qg==\nUnseal Key 2: uw==\n\nInitial Root Token: hvs.R\n\nVault initialized with 2 key shares"),
            "{text}"
        );
        assert_eq!(
            machine_form(&made, &asked).to_string(),
            r#"{"unseal_keys_b64":["qg==","uw=="],"unseal_keys_hex":["aa","bb"],"unseal_shares":2,"unseal_threshold":2,"recovery_keys_b64":[],"recovery_keys_hex":[],"recovery_keys_shares":0,"recovery_keys_threshold":0,"root_token":"hvs.R"}"#
        );
    }
}
