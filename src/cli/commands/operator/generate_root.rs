//! `operator generate-root`: a new root token from a threshold of unseal keys.

use base64::Engine;
use base64::engine::general_purpose::{STANDARD, STANDARD_NO_PAD};
use serde_json::{Map, Value, json};

use crate::cli::args::Flag;
use crate::cli::call::Call;
use crate::cli::client::Client;
use crate::cli::command::{Command, Prints};
use crate::cli::failure::{Failure, Outcome};
use crate::cli::invocation::Invocation;
use crate::cli::output::{table, value::go_text};
use crate::cli::prompt;

/// The commands of this file.
pub const COMMANDS: &[Command] = &[Command {
    name: "operator generate-root",
    summary: "Make a root token from unseal keys",
    arguments: "[KEY]",
    examples: &["operator generate-root -init", "operator generate-root", "operator generate-root -decode=ENCODED -otp=OTP"],
    flags: &[
        Flag::switch("init", "Begin."),
        Flag::switch("cancel", "Give up what has begun."),
        Flag::switch("status", "Show how far it is."),
        Flag::switch("generate-otp", "Print a one-time password to begin with."),
        Flag::text("otp", "The one-time password, with -init or -decode."),
        Flag::text("decode", "The encoded token to decode with -otp."),
        Flag::text("pgp-key", "File with the PGP key to encrypt the token with, instead of -otp."),
        Flag::text("nonce", "The nonce of what has begun; with a key from standard input."),
        Flag::switch("dr-token", "A token for operations on a DR secondary instead."),
        Flag::switch("recovery-token", "A token for recovery mode instead."),
    ],
    prints: Prints::Format,
    run: generate_root,
}];

fn family(run: &Invocation) -> &'static str {
    if run.is("dr-token") {
        "sys/replication/dr/secondary/generate-operation-token"
    } else if run.is("recovery-token") {
        "sys/generate-recovery-token"
    } else {
        "sys/generate-root"
    }
}

fn generate_root(run: &mut Invocation) -> Outcome {
    run.expect_args(0, 1)?;
    if let Some(encoded) = run.text("decode").map(str::to_owned) {
        return decode(run, &encoded);
    }
    let family = family(run);
    let attempt = format!("{family}/attempt");
    if run.is("generate-otp") {
        let length = otp_length(&run.client()?, &attempt)?;
        run.print(&new_otp(length)?);
        return Ok(0);
    }
    if run.is("init") {
        return init(run, &attempt);
    }
    if run.is("cancel") {
        run.ask(&Call::delete(attempt), "Error canceling root token generation")?;
        run.say("Success! Root token generation canceled (if it was started)");
        return Ok(0);
    }
    if run.is("status") {
        let status = run.ask(&Call::get(attempt), "Error getting root generation status")?.unwrap_or_default();
        print_status(run, &status);
        return Ok(0);
    }
    provide(run, family)
}

fn otp_length(client: &Client, attempt: &str) -> Result<usize, Failure> {
    let status =
        client.envelope(&Call::get(attempt)).map_err(|error| error.during("Error getting root generation status"))?.unwrap_or_default();
    Ok(status
        .get("otp_length")
        .and_then(Value::as_u64)
        .and_then(|length| usize::try_from(length).ok())
        .filter(|length| *length > 0 && *length < 4096)
        .unwrap_or(28))
}

/// A random password of letters and digits.
fn new_otp(length: usize) -> Result<String, Failure> {
    const LETTERS: &[u8] = b"0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz";
    let mut otp = String::with_capacity(length);
    let mut noise = [0_u8; 64];
    while otp.len() < length {
        getrandom::fill(&mut noise).map_err(|error| Failure::local(format!("Error generating OTP: {error}")))?;
        // 248 = 4 * 62: what lies above would make the first letters likelier.
        let fair = noise.iter().filter(|byte| **byte < 248).map(|byte| char::from(LETTERS[usize::from(*byte) % LETTERS.len()]));
        otp.extend(fair.take(length - otp.len()));
    }
    Ok(otp)
}

fn init(run: &mut Invocation, attempt: &str) -> Outcome {
    let client = run.client()?;
    let mut body = Map::new();
    if let Some(file) = run.text("pgp-key") {
        body.insert("pgp_key".into(), super::init::pgp_key(file)?.into());
    } else if let Some(otp) = run.text("otp") {
        body.insert("otp".into(), otp.into());
    }
    let status = client
        .envelope(&Call::put(attempt, Value::Object(body)))
        .map_err(|error| error.during("Error initializing root generation"))?
        .unwrap_or_default();
    if !run.is_structured() && status.get("otp").and_then(Value::as_str).is_some_and(|otp| !otp.is_empty()) {
        run.warn("A One-Time-Password has been generated for you and is shown in the OTP field.\nIt is needed to decode the token in the end: keep it, nobody can show it again.\n");
    }
    print_status(run, &status);
    Ok(0)
}

fn provide(run: &mut Invocation, family: &str) -> Outcome {
    let client = run.client()?;
    let attempt = format!("{family}/attempt");
    let status =
        client.envelope(&Call::get(&attempt)).map_err(|error| error.during("Error getting root generation status"))?.unwrap_or_default();
    if !status.get("started").and_then(Value::as_bool).unwrap_or(false) {
        return Err(Failure::local(format!(
            "No root generation is in progress. Start a root generation by running\n\"{} operator generate-root -init\".",
            run.program
        )));
    }
    let nonce = match run.text("nonce") {
        Some(nonce) => nonce.to_owned(),
        None => status.get("nonce").map(go_text).unwrap_or_default(),
    };
    let key = match run.arg(0).trim() {
        "" => {
            if prompt::is_terminal() {
                run.warn(&format!("Operation nonce: {nonce}"));
            }
            prompt::secret("Unseal Key (will be hidden): ", run.may_ask())?.expose().clone()
        }
        "-" => prompt::secret("", true)?.expose().clone(),
        given => given.to_owned(),
    };
    let call = Call::put(format!("{family}/update"), json!({ "key": key, "nonce": nonce }));
    let status = client.envelope(&call).map_err(|error| error.during("Error posting unseal key"))?.unwrap_or_default();
    print_status(run, &status);
    Ok(0)
}

fn print_status(run: &Invocation, status: &Map<String, Value>) {
    if run.is_structured() {
        run.print_structured(&Value::Object(status.clone()));
        return;
    }
    run.print(&table::columns(&rows(status)));
}

fn rows(status: &Map<String, Value>) -> Vec<Vec<String>> {
    let text = |name: &str| status.get(name).filter(|value| !value.is_null()).map(go_text).unwrap_or_default();
    let mut rows = vec![
        ("Nonce", text("nonce")),
        ("Started", text("started")),
        ("Progress", format!("{}/{}", text("progress"), text("required"))),
        ("Complete", text("complete")),
    ];
    if !text("pgp_fingerprint").is_empty() {
        rows.push(("PGP Fingerprint", text("pgp_fingerprint")));
    }
    let encoded = if text("encoded_token").is_empty() { text("encoded_root_token") } else { text("encoded_token") };
    if !encoded.is_empty() {
        rows.push(("Encoded Token", encoded));
    }
    if !text("otp").is_empty() {
        rows.push(("OTP", text("otp")));
    }
    rows.push(("OTP Length", text("otp_length")));
    rows.into_iter().map(|(name, value)| vec![name.to_owned(), value]).collect()
}

/// Decodes here: it works with no server up.
fn decode(run: &Invocation, encoded: &str) -> Outcome {
    let otp = run.text("otp").unwrap_or_default();
    if encoded.is_empty() {
        return Err(Failure::local("Missing encoded value: use -decode=<string> to supply it"));
    }
    if otp.is_empty() {
        return Err(Failure::local("Missing otp: use -otp to supply it"));
    }
    let encoded = if encoded == "-" { prompt::secret("", true)?.expose().clone() } else { encoded.to_owned() };
    let token = open(&encoded, otp).map_err(|why| Failure::local(format!("Error decoding root token: {why}")))?;
    if run.is_structured() {
        run.print_structured(&json!({ "token": token }));
    } else {
        run.print(&token);
    }
    Ok(0)
}

fn open(encoded: &str, otp: &str) -> Result<String, String> {
    let trimmed = encoded.trim();
    let bytes = STANDARD_NO_PAD.decode(trimmed).or_else(|_| STANDARD.decode(trimmed)).map_err(|error| error.to_string())?;
    if bytes.len() != otp.len() {
        return Err(format!("length of the encoded token and of the OTP differ: {} and {}", bytes.len(), otp.len()));
    }
    String::from_utf8(bytes.iter().zip(otp.bytes()).map(|(a, b)| a ^ b).collect()).map_err(|_| "the OTP does not fit".to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn tokens_are_decoded_with_their_password() {
        let (token, otp) = ("hvs.abcdefghijklmnopqrstuvwx", new_otp(28).unwrap());
        let masked: Vec<u8> = token.bytes().zip(otp.bytes()).map(|(a, b)| a ^ b).collect();
        assert_eq!(open(&STANDARD_NO_PAD.encode(&masked), &otp).as_deref(), Ok(token));
        assert!(open(&STANDARD_NO_PAD.encode(&masked), "short").is_err());
    }

    #[test]
    fn the_state_prints_without_a_heading() {
        let status = json!({"nonce": "n", "started": true, "progress": 0, "required": 3, "complete": false, "otp_length": 28, "otp": ""});
        let text = table::columns(&rows(status.as_object().unwrap()));
        assert_eq!(text, "Nonce         n\nStarted       true\nProgress      0/3\nComplete      false\nOTP Length    28");
    }
}
