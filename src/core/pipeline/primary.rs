//! Shared writes between clusters: a secondary sends them to its primary, and the primary runs them.
//!
//! The primary trusts a secondary to say who is calling, not what they may do: it authorizes again, by its own policies. It runs
//! only what is the primary's to run; nothing of its own cluster's (tokens, leases, local mounts) can be reached this way.

use std::time::Duration;

use crate::core::{Core, ForwardError, PrimaryCall, PrimaryReply, Refused, Response, Standing};
use crate::engine::{Caller, Connection, Data, EngineError, Reply, Request, Writes};
use crate::types::limits::{FAILOVER_LOOK_AGAIN, FAILOVER_PATIENCE, TOKEN_BYTES_MAX};
use crate::types::{Accessor, ApiPath, Position, RequestId, Scope};

use super::answer::{blank, wrapping};
use super::identify::Who;
use super::permit::Permit;
use super::route::Routed;
use super::{Asked, Origin};

const STALE: &str = "Timeout hit while waiting for local replicated cluster to apply primary's write; \
                     this client may encounter stale reads of values written during this operation.";

impl Core {
    /// Has the primary run a shared write, and waits a while until it is here.
    pub(super) async fn send_to_primary(&self, asked: Asked<'_>, routed: &Routed<'_>, who: &Who, _: Permit) -> Result<Response, Refused> {
        let target = routed.target()?;
        if matches!(asked.origin, Origin::Secondary { .. }) {
            return Err(EngineError::Unavailable("this cluster is a secondary itself".to_owned()).into());
        }
        let request = asked.request;
        if let Some(token) =
            request.token.as_ref().filter(|_| who.token.as_ref().is_some_and(|token| token.entry.num_uses > 0 && !bug!(111)))
        {
            self.context
                .write(|txn| {
                    let mut found = self.tokens.identify(txn, token, &request.connection, asked.now)?;
                    Ok(self.tokens.use_once(txn, &mut found, asked.now)?)
                })
                .await?;
        }
        let call = PrimaryCall {
            request_id: request.id.to_string(),
            operation: request.operation,
            path: request.path.to_string(),
            data: request.data.0.clone(),
            policies: who.caller.policies.clone(),
            display_name: who.caller.display_name.clone(),
            entity_id: who.caller.entity_id.clone(),
            accessor: who.caller.accessor.as_ref().map(|accessor| accessor.as_str().to_owned()).unwrap_or_default(),
            remote: request.connection.remote.map(|remote| remote.to_string()).unwrap_or_default(),
        };
        let reply = self.ask_primary(call).await?;
        if reply.status >= 400 && reply.data.is_none() {
            return Err(Refused::Upstream { status: reply.status, errors: reply.errors });
        }
        let is_here = bug!(23) || self.wait_for(reply.position, self.options.wal_wait).await;
        let mut response = blank(asked, &target);
        response.is_missing = reply.status == 404;
        response.data = reply.data;
        response.warnings = reply.warnings;
        if !is_here {
            response.warnings.push(STALE.to_owned());
        }
        if let Some(wanted) = wrapping(asked, &Reply::empty()) {
            let wrapped = self
                .context
                .write(|txn| {
                    let mut wrapped = response.clone();
                    self.wrap(asked, Some(wanted), &mut wrapped, txn)?;
                    Ok(wrapped)
                })
                .await?;
            response = wrapped;
        }
        response.written = Some(self.context.store.positions());
        Ok(response)
    }

    /// The primary's answer. While nothing has happened, because another of its nodes takes over, the request waits here; not so if
    /// the primary has been away for longer than that takes, or refuses this cluster.
    async fn ask_primary(&self, call: PrimaryCall) -> Result<PrimaryReply, Refused> {
        let readonly = |why: &str| format!("cannot write to readonly storage: {why}");
        let failed = |text: String, may_have_happened: bool| Err(Refused::UpstreamUnreachable { text, may_have_happened });
        if let Some(why) = self.primary_reach.given_up() {
            return failed(readonly(&format!("the primary has not been reached for a while: {why}")), false);
        }
        let deadline = tokio::time::Instant::now() + FAILOVER_PATIENCE;
        loop {
            let why = match self.upstream.to_primary(call.clone()).await {
                Ok(reply) => {
                    if !bug!(163) {
                        self.primary_reach.reached();
                    }
                    return Ok(reply);
                }
                Err(ForwardError::Unknown(why)) if bug!(78) => why,
                Err(error @ ForwardError::Unknown(_)) => return failed(format!("the primary was asked to write: {error}"), true),
                Err(ForwardError::Refused(why)) => return failed(readonly(&format!("the primary refuses this secondary: {why}")), false),
                Err(ForwardError::NoActive) => "this secondary knows no primary: secondary/update-primary names one".to_owned(),
                Err(ForwardError::Unreachable(why)) => format!("no way to the primary: {why}"),
            };
            let is_late = self.primary_reach.lost(&why) || tokio::time::Instant::now() >= deadline;
            if self.standing() != Standing::Active {
                self.primary_reach.reached();
                return failed(readonly(&why), false);
            }
            if is_late {
                return failed(readonly(&why), false);
            }
            tokio::time::sleep(FAILOVER_LOOK_AGAIN).await;
        }
    }

    /// Whether this cluster's shared history has come to `position`, after waiting for it at most `longest`. It has not if it went another
    /// way, as that of a cluster which was promoted meanwhile.
    pub(super) async fn wait_for(&self, position: Position, longest: Duration) -> bool {
        let mut applied = self.applied.subscribe();
        let reached = async {
            while self.context.store.positions().performance.wal < position.wal {
                if applied.changed().await.is_err() {
                    return;
                }
            }
        };
        tokio::time::timeout(longest, reached).await.is_ok() && (bug!(79) || self.has_passed(position))
    }

    fn has_passed(&self, position: Position) -> bool {
        let store = &self.context.store;
        store.positions().performance == position || matches!(store.position_at(position.wal), Ok(Some(there)) if there == position)
    }

    /// Runs a shared write for a secondary. `None`: another node must, and nothing happened here.
    pub async fn serve_primary_call(&self, secondary_id: &str, call: PrimaryCall) -> Option<PrimaryReply> {
        let caller = Caller {
            accessor: Some(call.accessor).filter(|text| !text.is_empty() && text.len() <= TOKEN_BYTES_MAX).map(Accessor::new),
            token_key: None,
            display_name: call.display_name,
            policies: call.policies,
            meta: std::collections::BTreeMap::new(),
            entity_id: call.entity_id,
        };
        let Ok(path) = ApiPath::parse(&call.path) else {
            return Some(self.refusal(&EngineError::invalid("the path is not one").into()));
        };
        let request = Request {
            id: RequestId::new(call.request_id),
            operation: call.operation,
            path,
            data: Data(call.data),
            token: None,
            wrap_ttl: None,
            headers: std::collections::BTreeMap::new(),
            connection: Connection { remote: call.remote.parse().ok() },
        };
        let origin = Origin::Secondary { id: secondary_id, caller: &caller };
        Some(match self.carry_through(Asked { request: &request, origin, now: self.context.now() }).await {
            Err(refused) if refused.is_for_another_leader() => return None,
            Err(refused) => self.refusal(&refused),
            Ok(response) => {
                let position = response.written.unwrap_or_else(|| self.context.store.positions()).performance;
                let status = match (response.is_missing, response.data.is_some() || !response.warnings.is_empty()) {
                    (true, _) => 404,
                    (false, true) => 200,
                    (false, false) => 204,
                };
                PrimaryReply { status, errors: Vec::new(), data: response.data, warnings: response.warnings, position }
            }
        })
    }

    fn refusal(&self, refused: &Refused) -> PrimaryReply {
        let (status, errors) = (self.refusal_status)(refused);
        PrimaryReply { status, errors, position: self.context.store.positions().performance, ..PrimaryReply::default() }
    }

    /// Refuses what a secondary may not ask of its primary: everything that is not a write to what they share.
    pub(super) fn check_origin(&self, asked: Asked<'_>, routed: &Routed<'_>) -> Result<(), Refused> {
        if matches!(asked.origin, Origin::Client) {
            return Ok(());
        }
        if !self.context.store.role().is_primary() {
            return Err(Refused::NoActive);
        }
        let is_shared =
            routed.scope() == Scope::Shared && routed.route().is_none_or(|route| matches!(route.writes, Writes::Shared | Writes::Depends));
        if is_shared { Ok(()) } else { Err(Refused::Denied) }
    }
}
