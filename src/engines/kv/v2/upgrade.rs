//! From version 1 to version 2: each secret becomes the first version of its key.

use serde_json::{Map, Value};

use super::super::PLAIN;
use super::record::{Config, KeyRecord};
use super::{save, version_name};
use crate::engine::{EngineError, View};
use crate::types::Timestamp;

/// Most secrets that one transaction converts: three writes each.
const SECRETS_MAX: usize = 1000;

/// Converts all secrets of the mount.
pub(super) fn convert(view: &mut View<'_>, now: Timestamp) -> Result<(), EngineError> {
    let paths = all_paths(view)?;
    for path in paths {
        let name = format!("{PLAIN}{path}");
        let Some(value) = view.get_json::<Map<String, Value>>(&name)? else { continue };
        let mut record = KeyRecord::new(now);
        let (number, _) = record.add_version(&Config::default(), now);
        view.put_json(&version_name(&path, number), &value);
        save(view, &path, &record);
        view.delete(&name);
    }
    Ok(())
}

fn all_paths(view: &mut View<'_>) -> Result<Vec<String>, EngineError> {
    let mut folders = vec![String::new()];
    let mut paths = Vec::new();
    while let Some(folder) = folders.pop() {
        for name in view.list_all(&format!("{PLAIN}{folder}"))? {
            let path = format!("{folder}{name}");
            if path.ends_with('/') {
                folders.push(path);
            } else {
                paths.push(path);
            }
            if paths.len() + folders.len() > SECRETS_MAX {
                let text = format!("this mount holds more than {SECRETS_MAX} secrets, too many to upgrade it in one step");
                return Err(EngineError::Invalid(text));
            }
        }
    }
    Ok(paths)
}
