//! Whether the page sums are those of the rows: they are stored in one write, so this finds broken disks and broken programs.

use std::collections::BTreeMap;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use serde_json::{Map, Value, json};

use crate::machine::{PageId, PageSum, item_hash, page_of, root_of};
use crate::storage::{Reader, StorageError};
use crate::types::limits::PAGE_NAMES_MAX;
use crate::types::{Key, Prefix, Scope, Timestamp};

/// The sums that the rows of `scope` should have, of pages that are not empty.
fn sums_of_rows(reader: &dyn Reader, scope: Scope) -> Result<BTreeMap<PageId, PageSum>, StorageError> {
    let all = Prefix::new(scope, "");
    let mut sums: BTreeMap<PageId, PageSum> = BTreeMap::new();
    let mut after: Option<std::sync::Arc<str>> = None;
    loop {
        let paths = reader.list(&all, after.as_deref(), PAGE_NAMES_MAX)?;
        for path in &paths {
            if let Some(stored) = reader.get(&Key::new(scope, path.clone()))? {
                sums.entry(page_of(path)).or_default().add(item_hash(path, &stored.value));
            }
        }
        match paths.last() {
            Some(last) if paths.len() == PAGE_NAMES_MAX => after = Some(last.clone()),
            _ => return Ok(sums),
        }
    }
}

/// The root over `pages`, as shown: 20 bytes.
pub(super) fn root(pages: &[PageSum]) -> [u8; 20] {
    let mut short = [0; 20];
    short.copy_from_slice(&root_of(pages.iter())[..20]);
    short
}

/// Vault's report: per tree its root and the pages that do not match their rows. Scans everything: for the blocking pool.
///
/// # Errors
/// If the store cannot be read.
pub(super) fn report(reader: &dyn Reader, now: Timestamp) -> Result<(Map<String, Value>, bool), StorageError> {
    let mut trees = Map::new();
    let mut is_any_wrong = false;
    for (id, scope, name) in [("1", Scope::Shared, "replicated"), ("2", Scope::Local, "local")] {
        let pages = reader.pages(scope);
        let rows = sums_of_rows(reader, scope)?;
        let wrong: Map<String, Value> = (0..=u16::MAX)
            .zip(pages.iter())
            .filter(|(page, sum)| rows.get(&PageId(*page)).copied().unwrap_or_default() != **sum)
            .map(|(page, _)| (page.to_string(), json!({ "corrupted": true, "subpages": [] })))
            .collect();
        is_any_wrong |= !wrong.is_empty();
        trees.insert(
            id.to_owned(),
            json!({
                "tree_type": name,
                "root_hash": STANDARD.encode(root(&pages)),
                "corrupted_subtree_root": false,
                "corrupted_index_tuples_map": if wrong.is_empty() { Value::Null } else { Value::Object(wrong) },
            }),
        );
    }
    let report = json!({
        "merkle_corruption_report": {
            "corrupted_root": false,
            "last_corruption_check_epoch": now.secs().to_string(),
            "corrupted_tree_map": trees,
        }
    });
    Ok((crate::core::sys::object(report), is_any_wrong))
}
