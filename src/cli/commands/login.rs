//! `login`: get a token from an auth method and keep it for later calls.

use serde_json::{Map, Value, json};

use crate::cli::args::Flag;
use crate::cli::call::Call;
use crate::cli::client::Client;
use crate::cli::command::{Command, Prints};
use crate::cli::config::environment;
use crate::cli::failure::{Failure, Outcome};
use crate::cli::invocation::{Invocation, members_of};
use crate::cli::{prompt, route, token_file};
use crate::types::Secret;

/// The commands of this file.
pub const COMMANDS: &[Command] = &[Command {
    name: "login",
    summary: "Log in and keep the token",
    arguments: "[TOKEN | - | K=V...]",
    examples: &["login", "login -method=userpass username=bob", "login -method=userpass -path=staff -no-store username=bob"],
    flags: &[
        Flag::text("method", "Auth method: token, userpass, ldap, okta, radius, github, cert or jwt. Default token."),
        Flag::text("path", "Where the auth method is mounted. Default: its name."),
        Flag::switch("no-store", "Do not keep the token."),
        Flag::switch("no-print", "Do not print the token."),
        Flag::switch("token-only", "Print the token and nothing else; do not keep it."),
    ],
    prints: Prints::Field,
    run: login,
}];

fn login(run: &mut Invocation) -> Outcome {
    let method = run.text("method").unwrap_or("token").trim().to_lowercase();
    let mount = run.text("path").map_or_else(|| method.clone(), route::clean_path);
    let client = run.client()?;
    let (client, envelope) = match method.as_str() {
        "token" => with_token(run, client)?,
        "userpass" | "ldap" | "okta" | "radius" => {
            let call = with_password(run, &mount, if method == "userpass" { "" } else { "USER" })?;
            let envelope = authenticate(&client, &call)?;
            (client, envelope)
        }
        "github" => {
            let token = match named(run, "token")? {
                Some(token) => token,
                None => prompt::secret("GitHub Personal Access Token (will be hidden): ", run.may_ask())?.expose().clone(),
            };
            let envelope = authenticate(&client, &Call::put(format!("auth/{mount}/login"), json!({ "token": token })))?;
            (client, envelope)
        }
        "cert" | "jwt" => {
            let data = run.data_after(0)?;
            let envelope = authenticate(&client, &Call::put(format!("auth/{mount}/login"), Value::Object(data)))?;
            (client, envelope)
        }
        other => {
            return Err(Failure::local(format!(
                "Unknown auth method: {other}. Use \"{} auth list\" to see the complete list of auth\nmethods. \
                 Additionally, some auth methods are only available via the HTTP API.",
                run.program
            )));
        }
    };
    finish(run, client, envelope)
}

fn authenticate(client: &Client, call: &Call) -> Result<Map<String, Value>, Failure> {
    let answer = client.envelope(call).map_err(|error| error.during("Error authenticating"))?;
    answer.ok_or_else(|| Failure::remote("Vault returned an empty secret"))
}

/// A parameter given as `name=value`.
fn named(run: &Invocation, name: &str) -> Result<Option<String>, Failure> {
    Ok(run.data_after(0)?.get(name).and_then(Value::as_str).map(str::to_owned))
}

fn with_password(run: &Invocation, mount: &str, user_variable: &str) -> Result<Call, Failure> {
    let mut data = run.data_after(0)?;
    let fallback = || if user_variable.is_empty() { None } else { std::env::var(user_variable).ok() };
    let user = data.remove("username").and_then(|value| value.as_str().map(str::to_owned)).or_else(fallback);
    let user = user.ok_or_else(|| Failure::local("Error authenticating: 'username' must be specified"))?;
    if !data.contains_key("password") {
        let password = prompt::secret("Password (will be hidden): ", run.may_ask())?;
        data.insert("password".into(), password.expose().clone().into());
    }
    let mount = data.remove("mount").and_then(|value| value.as_str().map(route::clean_path)).unwrap_or_else(|| mount.to_owned());
    Ok(Call::put(format!("auth/{mount}/login/{user}"), Value::Object(data)))
}

fn with_token(run: &mut Invocation, client: Client) -> Result<(Client, Map<String, Value>), Failure> {
    run.expect_args(0, 1)?;
    let token = match run.arg(0) {
        "" => prompt::secret("Token (will be hidden): ", run.may_ask())?,
        "-" => prompt::secret("", true)?,
        given => Secret::new(given.strip_prefix("token=").unwrap_or(given).trim().to_owned()),
    };
    let client = client.with_token(Some(token.clone()));
    let call = Call::get("auth/token/lookup-self").unwrapped();
    if client.explains() {
        client.send(&Call::get("auth/token/lookup-self"))?;
    }
    let answer = client.envelope(&call).map_err(|error| error.during("Error authenticating: error looking up token"))?;
    let found = members_of(&answer.unwrap_or_default());
    let of = |name: &str| found.get(name).cloned().unwrap_or(Value::Null);
    let auth = json!({
        "client_token": token.expose(),
        "accessor": of("accessor"),
        "policies": of("policies"),
        "token_policies": of("policies"),
        "identity_policies": of("identity_policies"),
        "metadata": of("meta"),
        "orphan": found.get("orphan").cloned().unwrap_or(Value::Bool(false)),
        "entity_id": of("entity_id"),
        "lease_duration": found.get("ttl").cloned().unwrap_or_else(|| 0.into()),
        "renewable": found.get("renewable").cloned().unwrap_or(Value::Bool(false)),
        "mfa_requirement": null,
    });
    let mut envelope = Map::new();
    envelope.insert("auth".into(), auth);
    Ok((client, envelope))
}

fn finish(run: &mut Invocation, client: Client, mut envelope: Map<String, Value>) -> Outcome {
    let keeps = !run.is("no-store") && !run.is("token-only");
    if let Some(wrapping) = envelope.get("wrap_info").and_then(|wrap| wrap.get("token")).and_then(Value::as_str).map(str::to_owned) {
        if run.is("token-only") {
            return print_token(run, &wrapping);
        }
        if !run.is("no-store") {
            let client = client.with_token(Some(Secret::new(wrapping)));
            let call = Call::put("sys/wrapping/unwrap", json!({})).unwrapped();
            envelope = client.envelope(&call).map_err(|error| error.during("Error unwrapping"))?.unwrap_or_default();
        }
    }
    let token = envelope.get("auth").and_then(|auth| auth.get("client_token")).and_then(Value::as_str).unwrap_or_default().to_owned();
    if run.is("token-only") {
        return print_token(run, &token);
    }
    if keeps && !token.is_empty() {
        token_file::store(&Secret::new(token.clone()))?;
        if environment("TOKEN").is_some() {
            run.warn(
                "WARNING! The VAULT_TOKEN environment variable is set! It is used before the token that is stored now:\n\
                 unset it if that is not meant.\n",
            );
        }
    } else if !run.is("no-print") && run.text("field").is_none() {
        run.warn("The token was not stored in token helper. Pass it with each call, or set VAULT_TOKEN to it.\n");
    }
    if run.is("no-print") {
        return Ok(0);
    }
    if !run.is_structured() && run.text("field").is_none() {
        let kept = if keeps {
            "\nThe token below is already stored in the token helper: later calls use it by themselves, no second login is needed."
        } else {
            ""
        };
        run.print(&format!("Success! You are now authenticated.{kept}\n"));
    }
    run.show_secret(&envelope)
}

fn print_token(run: &Invocation, token: &str) -> Outcome {
    run.show_field(Some(Value::from(token)), "token")
}
