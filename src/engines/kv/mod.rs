//! `kv`: static secrets. Version 1 keeps one object a path; version 2 keeps versions of it, with check-and-set.

mod v1;
mod v2;

use std::sync::Arc;

use crate::engine::{Engine, Kind, Mount, MountClass};

/// The kind `kv`; the mount option `version` says which.
pub static KIND: Kind = Kind { name: "kv", class: MountClass::Secret, local: &[], mountable: true, open };

fn open(mount: Mount) -> Arc<dyn Engine> {
    if mount.options.get("version").is_some_and(|version| version == "2") { Arc::new(v2::KvV2) } else { Arc::new(v1::KvV1) }
}

/// Rows of version 1 lie below this name, so that version 2 can tell them from its own.
const PLAIN: &str = "plain/";

/// A listing is of a folder, with or without its final slash.
fn as_folder(path: &str) -> String {
    if path.is_empty() || path.ends_with('/') { path.to_owned() } else { format!("{path}/") }
}
