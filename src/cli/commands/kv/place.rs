//! Where a secret lies: the mount, the path below it, and which of the two engines is mounted there.
//!
//! The server is asked first (`sys/internal/ui/mounts/…`): only it knows where a mount ends and what version it has.

use serde_json::Value;

use crate::cli::args::Flag;
use crate::cli::call::Call;
use crate::cli::client::Client;
use crate::cli::failure::Failure;
use crate::cli::invocation::{Invocation, members_of};
use crate::cli::route::clean_path;

/// The flag of all `kv` commands.
pub const MOUNT: Flag = Flag::text("mount", "Path of the mount; PATH is then relative to it. Else PATH begins with it.");

/// Where a secret lies.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Place {
    /// The mount, with a slash at the end.
    pub mount: String,
    /// The path below the mount.
    pub path: String,
    /// Whether the mount keeps versions.
    pub is_v2: bool,
}

impl Place {
    /// Asks the server where the first argument lies.
    ///
    /// # Errors
    /// If it does not say.
    pub fn find(run: &Invocation, client: &Client) -> Result<Self, Failure> {
        let given = run.path(0);
        match run.text("mount").map(clean_path) {
            Some(mount) => {
                let (found, is_v2) = ask(client, &mount)?;
                Ok(Self { mount: if found.is_empty() { format!("{mount}/") } else { found }, path: given, is_v2 })
            }
            None => {
                let (mount, is_v2) = ask(client, &given)?;
                let path =
                    format!("{given}/").strip_prefix(&mount).map_or_else(|| given.clone(), |rest| rest.trim_end_matches('/').to_owned());
                Ok(Self { mount, path, is_v2 })
            }
        }
    }

    /// The API's path of the value itself.
    pub fn value(&self) -> String {
        if self.is_v2 { self.below("data") } else { clean_path(&format!("{}{}", self.mount, self.path)) }
    }
    /// The API's path of one of the mount's parts: `data`, `metadata`, `delete`, `undelete`, `destroy`.
    pub fn below(&self, part: &str) -> String {
        clean_path(&format!("{}{part}/{}", self.mount, self.path))
    }
}

fn ask(client: &Client, path: &str) -> Result<(String, bool), Failure> {
    let call = Call::get(format!("sys/internal/ui/mounts/{path}")).unwrapped();
    let answer = match client.envelope(&call) {
        // Servers of long ago do not know the question.
        Err(error) if error.status() == Some(404) => return Ok((String::new(), false)),
        other => other.map_err(Failure::from)?,
    };
    let members = members_of(&answer.unwrap_or_default());
    let mount = members.get("path").and_then(Value::as_str).unwrap_or_default().to_owned();
    let version = members.get("options").and_then(|options| options.get("version"));
    let is_v2 = version.is_some_and(|version| version.as_str() == Some("2") || version.as_i64() == Some(2));
    Ok((mount, is_v2))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn paths_are_built_by_the_version_of_the_mount() {
        let place = Place { mount: "team/kv/".into(), path: "a/b".into(), is_v2: true };
        assert_eq!(place.value(), "team/kv/data/a/b");
        assert_eq!(place.below("metadata"), "team/kv/metadata/a/b");
        assert_eq!(Place { is_v2: false, ..place }.value(), "team/kv/a/b");
        let root = Place { mount: "secret/".into(), path: String::new(), is_v2: true };
        assert_eq!(root.below("metadata"), "secret/metadata");
    }
}
