//! Deletes what disabled mounts left behind, page by page, in the background of the active node.
//!
//! A mount is gone for clients as soon as its row is deleted; a *doomed* row written with that deletion keeps the work from being
//! forgotten. Every cluster of a replication set sweeps what is its own: on a secondary, shared rows are the primary's to delete,
//! and local sub-paths of a shared mount are the secondary's.
//!
//! Not here: leases and tokens that the mount gave out (`lease` revokes them by prefix, before the rows go).

use std::sync::Arc;
use std::time::Duration;

use super::{DoomedRow, Mounts, all_paths, get_row};
use crate::core::lease::{Leases, OnFailure};
use crate::core::{Context, WriteError, keys};
use crate::types::{MountId, Prefix, Scope};

/// Rows deleted in one entry: small enough that requests do not wait for it.
const PAGE_ROWS: usize = 256;

/// Written last of the mounts that every cluster has: a secondary has it only once it is filled.
const CUBBYHOLE_PATH: &str = "cubbyhole/";

/// How long to wait after a failure, and between looks when nothing happens.
const PAUSE: Duration = Duration::from_secs(30);

/// The background work of one active node.
pub struct Sweeper {
    context: Arc<Context>,
    mounts: Arc<Mounts>,
    leases: Arc<Leases>,
}

impl Sweeper {
    /// Not running yet.
    pub fn new(context: Arc<Context>, mounts: Arc<Mounts>, leases: Arc<Leases>) -> Self {
        Self { context, mounts, leases }
    }

    /// Sweeps until the task that runs this is aborted. What it does is safe to stop anywhere.
    pub async fn run(self) {
        if let Err(error) = self.adopt_orphans() {
            tracing::warn!(%error, "orphaned rows could not be looked for");
        }
        loop {
            // A removal that came from the primary takes effect here without waiting for the next request.
            let swept = match self.mounts.fresh_table() {
                Ok(table) if table.at(CUBBYHOLE_PATH).is_none() => match self.mounts.write_defaults().await {
                    Ok(()) => self.sweep_all().await,
                    Err(error) => Err(error),
                },
                Ok(_) => self.sweep_all().await,
                Err(error) => {
                    tracing::warn!(%error, "the mount table could not be brought up to date");
                    Ok(())
                }
            };
            if let Err(error) = swept {
                tracing::warn!(%error, "rows of a disabled mount could not be deleted, trying again");
                tokio::time::sleep(PAUSE).await;
                continue;
            }
            let _ = tokio::time::timeout(PAUSE, self.mounts.wake.notified()).await;
        }
    }

    /// Sweeps everything that waits to be swept now.
    ///
    /// # Errors
    /// See [`WriteError`].
    pub async fn sweep_all(&self) -> Result<(), WriteError> {
        for scope in [Scope::Shared, Scope::Local] {
            let doomed = {
                let mut txn = self.context.begin()?;
                let mut doomed = Vec::new();
                for key in all_paths(&txn, &keys::doomed_mounts(scope))? {
                    if let Some(row) = get_row::<DoomedRow>(&mut txn, &key)? {
                        doomed.push((key, row));
                    }
                }
                doomed
            };
            for (key, row) in doomed {
                self.sweep(&MountId::new(&row.row.uuid), Some(&row.path)).await?;
                if self.context.store.role().may_write(scope) {
                    self.context
                        .write(|txn| {
                            txn.delete(key.clone());
                            Ok(())
                        })
                        .await?;
                    tracing::info!(path = row.path, uuid = row.row.uuid, "a disabled mount is deleted");
                }
            }
        }
        let removed = std::mem::take(&mut self.mounts.pending().removed);
        for (id, path) in removed {
            self.sweep(&id, path.as_deref()).await?;
        }
        Ok(())
    }

    async fn sweep(&self, id: &MountId, path: Option<&str>) -> Result<(), WriteError> {
        if bug!(40) {
            return Ok(());
        }
        // Another mount may have taken the path meanwhile: what is below it is no longer the old one's.
        let is_free = |path: &&str| self.mounts.table().at(path).is_none() || bug!(170);
        // As if whoever disabled it had ended everything before its row was deleted.
        let was_ended = || bug!(171) && !self.context.store.role().is_secondary();
        if let Some(path) = path.filter(|path| is_free(path) && !bug!(82) && !was_ended()) {
            self.leases.revoke_prefix(path, OnFailure::Stop).await?;
        }
        for scope in [Scope::Shared, Scope::Local] {
            while self.context.store.role().may_write(scope) && self.delete_page(scope, id).await? {}
        }
        Ok(())
    }

    /// Deletes some rows; `false` when there were none.
    async fn delete_page(&self, scope: Scope, id: &MountId) -> Result<bool, WriteError> {
        let under = Prefix::new(scope, format!("{id}/"));
        self.context
            .write(|txn| {
                let page = txn.stored_paths(&under, None, PAGE_ROWS)?;
                for path in &page {
                    txn.delete(crate::types::Key::new(scope, path.clone()));
                }
                Ok(!page.is_empty())
            })
            .await
    }

    /// Finds local rows of shared mounts that the primary deleted while this cluster had no active node.
    fn adopt_orphans(&self) -> Result<(), WriteError> {
        let txn = self.context.begin()?;
        let mut known: Vec<String> = vec!["sys".to_owned(), keys::CUBBYHOLE_ID.to_owned()];
        for scope in [Scope::Shared, Scope::Local] {
            for class in [crate::engine::MountClass::Secret, crate::engine::MountClass::Auth] {
                if bug!(135) && class == crate::engine::MountClass::Auth {
                    continue;
                }
                let mut rows = self.context.begin()?;
                known.extend(super::read_rows(&mut rows, scope, class)?.into_iter().map(|(_, row)| row.uuid));
            }
        }
        for folder in txn.children(&Prefix::new(Scope::Local, ""), None, usize::MAX)? {
            let id = folder.trim_end_matches('/');
            if !known.iter().any(|known| known == id) {
                self.mounts.pending().removed.insert(MountId::new(id), None);
            }
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::barrier::Txn;
    use crate::core::mounts::{MountRow, SystemTtls, default_row, put_row};
    use crate::core::token::testing::World;
    use crate::engine::{Grant, MountClass};

    /// Whether a login at `auth/up/` outlives the sweep of a mount that was disabled there.
    async fn login_outlives_the_sweep(is_taken_again: bool) -> bool {
        let world = World::new().await;
        let mount = world.mount("auth/up/");
        let login = |txn: &mut Txn| world.tokens.login(txn, &mount, "auth/up/login/a", Grant::default(), "", world.now());
        let token = world.write(login).await.unwrap().token;
        let row = |uuid: &str| MountRow { uuid: uuid.to_owned(), ..default_row("userpass") };
        let disable = |txn: &mut Txn| {
            put_row(txn, keys::doomed_mount(Scope::Shared, "old"), &DoomedRow { path: mount.path.clone(), row: row("old") });
            if is_taken_again {
                put_row(txn, keys::mount(Scope::Shared, MountClass::Auth, "up"), &row("new"));
            }
            Ok(())
        };
        world.write(disable).await.unwrap();
        let system = SystemTtls { default: mount.default_ttl, max: mount.max_ttl };
        let mounts = Arc::new(Mounts::new(world.ground.context.clone(), crate::auth::ALL, system, None));
        mounts.fill().await.unwrap();
        Sweeper::new(world.ground.context.clone(), mounts, world.leases.clone()).sweep_all().await.unwrap();
        world.find(&token).is_some()
    }

    #[tokio::test]
    async fn a_login_that_came_beside_the_disabling_of_its_mount_ends() {
        assert!(!login_outlives_the_sweep(false).await);
    }

    #[tokio::test]
    async fn logins_of_a_mount_that_took_the_path_live_on() {
        assert!(login_outlives_the_sweep(true).await);
    }
}
