//! One request from top to bottom, on one screen. No middleware: each line makes the value that the next line needs.
//!
//! The whole of a request is one transaction: who is calling, whether they may, what the handler read and wrote, the use of the token,
//! the lease and the new token are read and written in it and committed as one entry. If anything of it changed meanwhile, all of
//! it runs again, a bounded number of times, and only then. An outcome that is not known is reported as such, never tried again.
//!
//! Not here: the rules themselves (`token`, `policy`, `lease`, `wrapping`), which mount answers (`router`).

mod answer;
mod help;
mod identify;
mod journal;
mod login;
mod permit;
mod primary;
mod route;
#[cfg(test)]
mod tests;

use std::time::{Duration, Instant};

use super::turns::Turn;
use super::{CommitError, Core, Refused, Response, Standing, WriteError};
use crate::engine::{EngineError, Operation, Request, Writes};
use crate::machine::Role;
use crate::types::limits::CONFLICT_RETRIES_MAX;
use crate::types::{Scope, Timestamp};
use journal::Journal;
use route::Routed;

/// Whose request it is.
#[derive(Clone, Copy, Debug)]
pub(super) enum Origin<'a> {
    /// A client of this cluster, who shows a token.
    Client,
    /// A client of a secondary, which says who it is; what they may do is decided here.
    Secondary {
        /// The secondary.
        id: &'a str,
        /// Who is calling, as the secondary says.
        caller: &'a crate::engine::Caller,
    },
}

/// What every step of one request needs.
#[derive(Clone, Copy)]
pub(super) struct Asked<'a> {
    pub(super) request: &'a Request,
    pub(super) origin: Origin<'a>,
    /// One time for the whole request, the same if it runs again.
    pub(super) now: Timestamp,
}

/// Milliseconds that a request of a client of this cluster took, whatever came of it.
const HANDLE_REQUEST: &str = "vault.core.handle_request";

impl Core {
    /// Serves one request on the active node, from top to bottom.
    ///
    /// # Errors
    /// See [`Refused`].
    pub async fn serve(&self, request: Request) -> Result<Response, Refused> {
        let began = Instant::now();
        let served = self.carry_through(Asked { request: &request, origin: Origin::Client, now: self.context.now() }).await;
        ::metrics::histogram!(HANDLE_REQUEST).record(began.elapsed().as_secs_f64() * 1000.0);
        served
    }

    pub(super) async fn carry_through(&self, asked: Asked<'_>) -> Result<Response, Refused> {
        let _landing = self.in_flight.take_off(asked.request, asked.now);
        if self.standing() != Standing::Active {
            return Err(if self.context.is_sealed() { Refused::Sealed } else { Refused::NoActive });
        }
        self.check_filled(asked)?;
        let mut journal = Journal::open(self, asked)?;
        let mut turn = Turn::default();
        for attempt in 0..CONFLICT_RETRIES_MAX {
            if !turn.is_taken() {
                self.pause(attempt).await;
            }
            match self.attempt(asked, &mut journal, &mut turn).await {
                Ok(None) => {}
                Ok(Some(response)) => {
                    let logged = journal.answer(&response).await;
                    if !bug!(24) {
                        logged?;
                    }
                    return Ok(response);
                }
                Err(refused) => {
                    drop(turn);
                    let spent = if takes_use(&refused) { self.spend_use(asked, &journal).await } else { Ok(()) };
                    return Err(journal.refuse(spent.err().unwrap_or(refused)).await);
                }
            }
        }
        Err(journal.refuse(WriteError::Conflict.into()).await)
    }

    /// A secondary that is being filled holds a part of everything: it serves nobody, but says how far it is.
    fn check_filled(&self, asked: Asked<'_>) -> Result<(), Refused> {
        let is_filling = matches!(self.context.store.role(), Role::Secondary { filling: true, .. });
        if is_filling && !bug!(36) && !asked.request.path.as_str().starts_with("sys/replication/") {
            let text = "this cluster is becoming a secondary and is being filled, try again later".to_owned();
            return Err(EngineError::Unavailable(text).into());
        }
        Ok(())
    }

    /// `Ok(None)`: what it rests on changed meanwhile, and nothing was done.
    async fn attempt(&self, asked: Asked<'_>, journal: &mut Journal<'_>, turn: &mut Turn) -> Result<Option<Response>, Refused> {
        self.context.raft.read_barrier().await.map_err(|_| Refused::NoActive)?;
        let routed = self.route(asked.request)?;
        journal.place(&routed);
        let mut txn = self.context.begin().map_err(|_| Refused::Sealed)?;
        self.check_origin(asked, &routed)?;
        let who = self.identify(&mut txn, asked, &routed)?;
        journal.caller(&who);
        let operation = self.create_or_update(&mut txn, asked, &routed, &who).await?;
        journal.operation(operation);
        let permit = self.authorize(asked, &routed, &who, operation).inspect_err(|_| journal.denied())?;
        journal.permitted(&permit);
        let target = routed.target()?;
        journal.request(&permit).await?;
        if operation == Operation::Help {
            return Ok(Some(help::answer(asked.request, &target)));
        }
        if self.belongs_upstream(&routed) {
            return self.send_to_primary(asked, &routed, &who, permit).await.map(Some);
        }
        self.execute(asked, &routed, (who, permit, operation), txn, turn).await
    }

    /// Whether the primary must run it: a shared write on a performance secondary.
    fn belongs_upstream(&self, routed: &Routed<'_>) -> bool {
        self.context.store.role().is_secondary()
            && (routed.scope() == Scope::Shared || bug!(124))
            && routed.route().is_some_and(|route| route.writes == Writes::Shared)
    }

    /// Two requests that were in conflict should not meet again at once.
    async fn pause(&self, attempt: u32) {
        if attempt > 0 {
            let mut byte = [0_u8; 1];
            self.context.entropy.fill(&mut byte);
            let longest = 1_u64 << attempt.min(6);
            tokio::time::sleep(Duration::from_micros(longest * 250 * u64::from(byte[0]) / 255)).await;
        }
    }
}

/// Whether a refused request still has to take its token's use: not where it may have been committed, was before it was sent on, or is
/// going to be by another leader, to which the client's node takes it next.
fn takes_use(refused: &Refused) -> bool {
    let is_counted = matches!(
        refused,
        Refused::Write(WriteError::Commit(CommitError::Unknown)) | Refused::Upstream { .. } | Refused::UpstreamUnreachable { .. }
    );
    !is_counted && !refused.is_for_another_leader()
}
