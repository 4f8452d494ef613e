//! `kv patch`: some members only, in one call or by reading and writing.

use serde_json::{Map, Value};

use super::place::Place;
use super::{show_version, versioned_body};
use crate::cli::call::Call;
use crate::cli::client::Client;
use crate::cli::failure::{Failure, Outcome};
use crate::cli::invocation::{Invocation, members_of};
use crate::cli::refusal::CallError;

pub fn patch(run: &mut Invocation) -> Outcome {
    let removed = run.parsed.list("remove-data").to_vec();
    run.expect_args(1, usize::MAX)?;
    if run.parsed.args.len() < 2 && removed.is_empty() {
        return Err(Failure::local("Must supply data"));
    }
    let mut changes = run.data_after(1)?;
    for name in removed {
        changes.insert(name, Value::Null);
    }
    let client = run.client()?;
    let place = Place::find(run, &client)?;
    if !place.is_v2 {
        return Err(Failure::remote("K/V engine mount must be version 2 for patch support"));
    }
    let cas = run.parsed.number("cas").filter(|cas| *cas > 0);
    let path = place.value();
    let answer = match run.text("method").unwrap_or_default() {
        "rw" => read_and_write(&client, &path, changes, cas)?,
        "patch" => in_one_call(&client, &path, changes, cas).map_err(|error| error.during(&format!("Error writing data to {path}")))?,
        "" => match in_one_call(&client, &path, changes.clone(), cas) {
            Err(error) if matches!(error.status(), Some(403 | 405)) => {
                run.warn("This server or token does not allow a patch in one call: reading the secret and writing it anew.\n");
                read_and_write(&client, &path, changes, cas)?
            }
            other => other.map_err(|error| error.during(&format!("Error writing data to {path}")))?,
        },
        other => return Err(Failure::local(format!("Unsupported method provided to -method flag: {other}"))),
    };
    show_version(run, answer, &path, true)
}

fn in_one_call(
    client: &Client,
    path: &str,
    changes: Map<String, Value>,
    cas: Option<i64>,
) -> Result<Option<Map<String, Value>>, CallError> {
    client.envelope(&Call::patch(path, versioned_body(changes, cas)))
}

fn read_and_write(
    client: &Client,
    path: &str,
    changes: Map<String, Value>,
    cas: Option<i64>,
) -> Result<Option<Map<String, Value>>, Failure> {
    let found = client.find(&Call::get(path).unwrapped()).map_err(|error| error.during(&format!("Error doing pre-read at {path}")))?;
    let members = found.as_ref().map(members_of).ok_or_else(|| Failure::remote(format!("No value found at {path}")))?;
    let mut data =
        members.get("data").and_then(Value::as_object).cloned().ok_or_else(|| Failure::remote(format!("No data found at {path}")))?;
    let version = members.get("metadata").and_then(|metadata| metadata.get("version")).and_then(Value::as_i64);
    for (name, value) in changes {
        if value.is_null() {
            data.remove(&name)
        } else {
            data.insert(name, value)
        };
    }
    // The version that was read is the one that is replaced: nobody's change gets lost between the two calls.
    let call = Call::put(path, versioned_body(data, cas.or(version)));
    client.envelope(&call).map_err(|error| error.during(&format!("Error writing data to {path}")))
}
