//! Running the handler, and making its reply into an answer: lease, token and wrapping join the handler's own transaction.

use crate::barrier::Txn;
use crate::core::lease::NewLease;
use crate::core::lockout::Lock;
use crate::core::turns::Turn;
use crate::core::{Core, Refused, Response};
use crate::engine::{Access, Body, EngineError, Operation, Reply};
use crate::types::{Scope, Ttl};

use super::identify::Who;
use super::login::silenced;
use super::permit::Permit;
use super::route::{By, Routed, Target};
use super::{Asked, Origin};

/// Paths whose answers are never wrapped: they are about wrapping.
const UNWRAPPABLE: [&str; 3] = ["sys/wrapping/lookup", "sys/wrapping/unwrap", "sys/wrapping/rewrap"];

/// How an answer is to be wrapped.
#[derive(Clone, Copy, Debug)]
pub(super) struct Wrapping {
    ttl: Ttl,
    /// A token that says which cluster made it.
    jwt: bool,
}

impl Core {
    /// `Ok(None)`: what it rests on changed meanwhile, and nothing was done.
    pub(super) async fn execute(
        &self,
        asked: Asked<'_>,
        routed: &Routed<'_>,
        (mut who, permit, operation): (Who, Permit, Operation),
        mut txn: Txn,
        turn: &mut Turn,
    ) -> Result<Option<Response>, Refused> {
        let target = routed.target()?;
        // An open route takes no use: looking at a wrapping token must not spend it.
        if let Some(token) = who.token.as_mut().filter(|_| target.route.access != Access::Anyone) {
            self.tokens.use_once(&mut txn, token, asked.now).map_err(EngineError::from)?;
        }
        let lock = self.lock_of(&mut txn, asked, &target)?;
        if lock == Lock::Told {
            return Err(Refused::Denied);
        }
        let handled = self.handle(asked, &target, &who, operation, &mut txn).await;
        let reply = match if lock == Lock::Silent { silenced(handled) } else { handled } {
            Err(EngineError::BadLogin { is_known }) => {
                drop(txn);
                // Counting the failure is a change of its own, perhaps of the same row.
                *turn = Turn::default();
                self.login_failed(asked, &target, is_known).await?;
                return Err(EngineError::BadLogin { is_known }.into());
            }
            handled => handled?,
        };
        if txn.reader().role().is_secondary() && txn.writes(Scope::Shared) {
            return self.send_to_primary(asked, routed, &who, permit).await.map(Some);
        }
        let wrapping = wrapping(asked, &reply);
        let mut response = self.render(asked, &target, &who, reply, &mut txn)?;
        self.wrap(asked, wrapping, &mut response, &mut txn)?;
        let writes = !txn.is_read_only();
        failpoint!("use-count-commit.before", if who.token.as_ref().is_some_and(|token| token.entry.is_limited));
        failpoint!("lease-persist.before", if response.auth.is_some() || !response.lease_id.is_empty());
        failpoint!("keyring-write.before", if asked.request.path.as_str() == "sys/rotate");
        failpoint!("revoke-write.before", if asked.request.path.as_str().contains("revoke"));
        let Some(positions) = self.context.commit_in_turn(txn, asked.now, turn).await? else { return Ok(None) };
        failpoint!("use-count-commit.after", if who.token.as_ref().is_some_and(|token| token.entry.is_limited));
        failpoint!("lease-persist.after", if response.auth.is_some() || !response.lease_id.is_empty());
        failpoint!("keyring-write.after", if asked.request.path.as_str() == "sys/rotate");
        failpoint!("revoke-write.after", if asked.request.path.as_str().contains("revoke"));
        response.written = writes.then_some(positions);
        Ok(Some(response))
    }

    async fn handle(
        &self,
        asked: Asked<'_>,
        target: &Target<'_>,
        who: &Who,
        operation: Operation,
        txn: &mut Txn,
    ) -> Result<Reply, EngineError> {
        let mount = &target.mounted.mount;
        let call = target.call(asked, &who.caller, operation);
        match &target.by {
            By::Engine(kind, engine) => engine.handle(&call, &mut txn.view(&mount.id, mount.scope, kind.local)).await,
            By::System(area) => area.handle(&call, txn).await,
        }
    }

    fn render(&self, asked: Asked<'_>, target: &Target<'_>, who: &Who, reply: Reply, txn: &mut Txn) -> Result<Response, EngineError> {
        let Reply { body, warnings, refresh } = reply;
        let path = asked.request.path.as_str();
        let mount = &target.mounted.mount;
        let mut response = blank(asked, target);
        response.warnings = warnings;
        let says_nothing = matches!(body, Body::Empty | Body::Accepted | Body::Missing(_)) && response.warnings.is_empty();
        response.lease_duration = refresh.0;
        match body {
            Body::Empty => {}
            Body::Accepted => response.is_accepted = true,
            Body::Data(data) | Body::Wrap { data, .. } => response.data = Some(data),
            Body::Missing(data) => {
                response.data = data;
                response.is_missing = true;
            }
            Body::Leased(data, spec) => {
                let token =
                    who.token.as_ref().ok_or_else(|| EngineError::Internal("a lease needs a token that it ends with".to_owned()))?;
                let lease = self.leases.register(txn, NewLease { path, mount, spec: &spec, token }, asked.now)?;
                response.data = Some(data);
                response.lease_id = lease.id;
                response.lease_duration = lease.ttl.0;
                response.renewable = lease.renewable;
                response.warnings.extend(lease.warnings);
            }
            Body::Login(grant) => {
                let mut made = self.tokens.login(txn, mount, path, *grant, "", asked.now)?;
                response.warnings.append(&mut made.warnings);
                response.auth = Some(made.auth(asked.now));
                self.login_succeeded(txn, asked, target)?;
            }
            Body::Auth(auth) => response.auth = Some(*auth),
            Body::Renewed { lease_id, renewable, lease_duration } => {
                response.lease_id = lease_id;
                response.renewable = renewable;
                response.lease_duration = lease_duration;
            }
            Body::Wrapped(wrap) => response.wrap_info = Some(wrap),
            Body::Raw(raw) => response.raw = Some(raw),
        }
        // Where there is nothing else to say there is no body to say it in.
        if !says_nothing {
            response.warnings.extend(target.remarks(asked.request));
        }
        Ok(response)
    }

    /// Puts the answer away and gives a token for it instead.
    pub(super) fn wrap(
        &self,
        asked: Asked<'_>,
        wrapping: Option<Wrapping>,
        response: &mut Response,
        txn: &mut Txn,
    ) -> Result<(), EngineError> {
        let has_answer = response.data.is_some() || response.auth.is_some() || !response.warnings.is_empty();
        if let Some(Wrapping { ttl, jwt }) = wrapping.filter(|_| has_answer && response.wrap_info.is_none()) {
            let path = asked.request.path.as_str();
            let (request_id, mount_type) = (response.request_id.clone(), response.mount_type.clone());
            let wrap = self.wrapping.wrap(txn, std::mem::take(response), path, ttl, jwt, asked.now)?;
            *response = Response { wrap_info: Some(wrap), request_id, mount_type, ..Response::default() };
        }
        Ok(())
    }
}

/// An answer that says nothing yet.
pub(super) fn blank(asked: Asked<'_>, target: &Target<'_>) -> Response {
    Response { request_id: asked.request.id.as_str().to_owned(), mount_type: target.mounted.row.kind.clone(), ..Response::default() }
}

/// Whether and how the answer is wrapped: the client asks, or the handler insists; the shorter time counts.
pub(super) fn wrapping(asked: Asked<'_>, reply: &Reply) -> Option<Wrapping> {
    let asks_jwt = || asked.request.headers.get("x-vault-wrap-format").is_some_and(|values| values.iter().any(|value| value == "jwt"));
    // A secondary wraps for its own clients: the token must be known where it is used.
    let wanted = asked.request.wrap_ttl.filter(|ttl| ttl.0 > 0 && matches!(asked.origin, Origin::Client));
    let wanted = wanted.filter(|_| !UNWRAPPABLE.contains(&asked.request.path.as_str()));
    match (&reply.body, wanted) {
        (Body::Wrap { ttl, jwt, .. }, wanted) => {
            Some(Wrapping { ttl: wanted.map_or(*ttl, |wanted| wanted.min(*ttl)), jwt: *jwt || asks_jwt() })
        }
        (_, wanted) => wanted.map(|ttl| Wrapping { ttl, jwt: asks_jwt() }),
    }
}
