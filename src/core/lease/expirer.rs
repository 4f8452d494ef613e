//! Ends what is due, on the active node: reads the due rows from the store, the earliest first, and holds nothing in memory.

use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use futures::{StreamExt as _, TryStreamExt as _};
use tokio::sync::Mutex;
use tokio::task::JoinHandle;
use tokio_util::sync::CancellationToken;

use super::Leases;
use super::revoke::as_engine_error;
use super::sweep::{Due, DueOf};
use crate::barrier::BarrierError;
use crate::core::lifecycle::{ActivePart, StartError};
use crate::core::replication::activation;
use crate::core::{keys, lockout};
use crate::engine::EngineError;
use crate::types::{Scope, Timestamp};

/// Due rows read at one time.
const PAGE: usize = 256;
/// Tokens swept by one transaction.
const TOKENS_AT_ONCE: usize = 4;
/// Such transactions side by side.
const SWEEPS_AT_ONCE: usize = 4;
/// Leases revoked side by side.
const LEASES_AT_ONCE: usize = 16;
/// Longest sleep: how late an end may be noticed when nothing wakes the sweep.
const NAP: Duration = Duration::from_secs(1);
/// Shortest sleep: bounds how often an idle node looks.
const BLINK: Duration = Duration::from_millis(20);

/// The sweep, while it runs.
type Running = (CancellationToken, JoinHandle<()>);

/// Ends what is due.
pub struct Expirer {
    leases: Arc<Leases>,
    running: Mutex<Option<Running>>,
}

impl std::fmt::Debug for Expirer {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Expirer")
    }
}

impl Expirer {
    /// Does not run yet.
    pub fn new(leases: Arc<Leases>) -> Self {
        Self { leases, running: Mutex::new(None) }
    }
}

#[async_trait]
impl ActivePart for Expirer {
    fn name(&self) -> &'static str {
        "leases"
    }

    async fn start(&self) -> Result<(), StartError> {
        // A secondary that is being filled can keep no tokens yet; what they are hashed with is made when the first one is.
        if self.leases.ctx.store.role().may_write(Scope::Local) {
            self.leases.tokens.ensure().await.map_err(|error| StartError::new(self.name(), error))?;
        }
        let mut running = self.running.lock().await;
        if running.is_none() {
            let stop = CancellationToken::new();
            let task = tokio::spawn(run(self.leases.clone(), stop.clone()));
            *running = Some((stop, task));
        }
        Ok(())
    }

    async fn stop(&self) {
        if bug!(167) {
            // Stopped, but never started again: it is taken for one that runs.
            if let Some((stop, _)) = &*self.running.lock().await {
                stop.cancel();
            }
            return;
        }
        let running = self.running.lock().await.take();
        if let Some((stop, task)) = running {
            stop.cancel();
            // Whatever it was about to commit is whole or not at all.
            task.abort();
            let _ = task.await;
        }
    }
}

async fn run(leases: Arc<Leases>, stop: CancellationToken) {
    while !stop.is_cancelled() {
        let nap = match leases.pass().await {
            Ok(nap) => nap,
            Err(error) => {
                tracing::warn!(%error, "the sweep of leases cannot go on now");
                NAP
            }
        };
        let sleep = async {
            // Not woken by what this pass itself has written.
            tokio::time::sleep(nap.min(BLINK)).await;
            tokio::select! {
                () = tokio::time::sleep(nap.saturating_sub(BLINK)) => {}
                () = leases.due.notified() => {}
            }
        };
        tokio::select! {
            () = stop.cancelled() => return,
            () = sleep => {}
        }
    }
}

impl Leases {
    /// Ends what is due now, and says how long nothing else will be.
    ///
    /// # Errors
    /// If this node cannot read or write now.
    pub(in crate::core) async fn pass(&self) -> Result<Duration, EngineError> {
        let now = self.ctx.now();
        // As if timers were only set for what is registered while this node is active: what came due before is not looked for.
        let missed = bug!(19).then(|| keys::due(now.0.saturating_sub(1500), "").path);
        let paths = self.ctx.store.reader().list(&keys::dues(), missed.as_deref(), PAGE).map_err(BarrierError::from)?;
        let is_full = paths.len() == PAGE;
        let all: Vec<Due> = paths.iter().filter_map(|path| Due::parse(path)).collect();
        let next = all.iter().find(|due| due.at_ms > now.0).map(|due| due.at_ms);
        let due: Vec<Due> = all.into_iter().filter(|due| due.at_ms <= now.0).collect();
        let (tokens, leases): (Vec<Due>, Vec<Due>) = due.into_iter().partition(|due| !matches!(due.what, DueOf::Lease(_)));
        let was_busy = !tokens.is_empty() || !leases.is_empty();
        // Side by side, so that an engine that is slow or away does not hold the others up, nor many tokens the leases.
        let sweeps: Vec<_> = tokens.chunks(TOKENS_AT_ONCE).map(|some| self.sweep_tokens(some, now)).collect();
        let revocations: Vec<_> = leases.iter().map(|due| self.sweep_one_lease(due)).collect();
        tokio::try_join!(
            futures::stream::iter(sweeps).buffer_unordered(SWEEPS_AT_ONCE).try_collect::<()>(),
            futures::stream::iter(revocations).buffer_unordered(LEASES_AT_ONCE).try_collect::<()>(),
        )?;
        if was_busy || is_full && next.is_none() {
            return Ok(Duration::ZERO);
        }
        Ok(next.map_or(NAP, |next| Duration::from_millis(next - now.0).clamp(BLINK, NAP)))
    }

    async fn sweep_one_lease(&self, due: &Due) -> Result<(), EngineError> {
        let DueOf::Lease(id) = &due.what else { return Ok(()) };
        match self.sweep_lease(due, id).await {
            Err(EngineError::Barrier(BarrierError::Damaged(row))) => {
                tracing::error!(?row, "a lease cannot be read");
                self.put_off(due).await.map_err(as_engine_error)
            }
            other => other,
        }
    }

    /// One step for each of `some`, in one transaction. A conflict is left to the next pass.
    async fn sweep_tokens(&self, some: &[Due], now: Timestamp) -> Result<(), EngineError> {
        let mut txn = self.begin()?;
        for due in some {
            let swept = match &due.what {
                DueOf::Token(key) => self.sweep_token(&mut txn, due, key, now),
                DueOf::Lockout(name) => lockout::sweep(&mut txn, name, &due.row, now),
                DueOf::Activation(token) => activation::sweep(&mut txn, token, &due.row),
                DueOf::Lease(_) => continue,
            };
            match swept {
                Err(BarrierError::Damaged(row)) => {
                    tracing::error!(?row, "a token cannot be read");
                    return self.put_off(due).await.map_err(as_engine_error);
                }
                other => other?,
            }
        }
        self.ctx.commit(txn, now).await.map(|_| ()).map_err(as_engine_error)
    }
}
