//! Which mount a path belongs to: the longest mounted prefix wins. Pure; an immutable table that is replaced as a whole.
//!
//! Not here: where the table comes from (`mounts`), which route of the mount answers (`engine::find_route`).

use std::collections::{BTreeMap, HashMap};
use std::sync::Arc;

use super::mounts::Mounted;
use crate::types::MountId;

/// All mounts of one moment.
#[derive(Clone, Debug, Default)]
pub struct Router {
    by_path: BTreeMap<String, Arc<Mounted>>,
    by_id: HashMap<MountId, Arc<Mounted>>,
}

/// Why nothing can be mounted at a path. Texts are for the client; paths in them have no `auth/`.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Clash {
    /// Something is mounted exactly there.
    #[error("path is already in use at {0}")]
    Same(String),
    /// Something is mounted above or below it.
    #[error("existing mount at {0}")]
    Nested(String),
}

impl Router {
    /// Adds `mounted`, or replaces what is at its path.
    pub fn insert(&mut self, mounted: Arc<Mounted>) {
        self.remove(&mounted.mount.path);
        self.by_id.insert(mounted.mount.id.clone(), mounted.clone());
        self.by_path.insert(mounted.mount.path.clone(), mounted);
    }

    /// Removes what is mounted exactly at `path` (with its final slash).
    pub fn remove(&mut self, path: &str) -> Option<Arc<Mounted>> {
        let removed = self.by_path.remove(path)?;
        // A moved mount may be known at its new path already.
        if self.by_id.get(&removed.mount.id).is_some_and(|known| Arc::ptr_eq(known, &removed)) {
            self.by_id.remove(&removed.mount.id);
        }
        Some(removed)
    }

    /// The mount that `path` belongs to, and what of the path lies below it. `secret` belongs to `secret/`.
    pub fn find<'p>(&self, path: &'p str) -> Option<(&Arc<Mounted>, &'p str)> {
        let mut end = path.len();
        while let Some(slash) = path[..end].rfind('/') {
            if let Some(mounted) = self.by_path.get(&path[..=slash]) {
                return Some((mounted, &path[slash + 1..]));
            }
            end = slash;
        }
        self.by_path.get(&format!("{path}/")).map(|mounted| (mounted, ""))
    }

    /// What is mounted exactly at `path` (with its final slash).
    pub fn at(&self, path: &str) -> Option<&Arc<Mounted>> {
        self.by_path.get(path)
    }

    /// The mount with this identity.
    pub fn by_id(&self, id: &MountId) -> Option<&Arc<Mounted>> {
        self.by_id.get(id)
    }

    /// The mount with this accessor.
    pub fn by_accessor(&self, accessor: &str) -> Option<&Arc<Mounted>> {
        self.by_path.values().find(|mounted| mounted.row.accessor == accessor)
    }

    /// All mounts, in order of path.
    pub fn all(&self) -> impl Iterator<Item = &Arc<Mounted>> {
        self.by_path.values()
    }

    /// Whether something could be mounted at `path` (with its final slash).
    ///
    /// # Errors
    /// What is in the way.
    pub fn check_free(&self, path: &str) -> Result<(), Clash> {
        let shown = |mounted: &Mounted| mounted.mount.path.strip_prefix("auth/").unwrap_or(&mounted.mount.path).to_owned();
        if let Some(mounted) = self.by_path.get(path) {
            return Err(Clash::Same(shown(mounted)));
        }
        let nested = self.all().find(|mounted| mounted.mount.path.starts_with(path) || path.starts_with(&mounted.mount.path) && !bug!(128));
        nested.map_or(Ok(()), |mounted| Err(Clash::Nested(shown(mounted))))
    }
}
