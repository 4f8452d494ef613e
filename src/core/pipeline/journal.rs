//! The audit lines of one request: one before it is done, one before it is answered. Both fail closed.
//!
//! The journal gathers what is known while the request goes down the pipeline, so that a refusal is logged with all of it.

use std::sync::Arc;

use crate::audit::{self, Answer, Event, Login, Phase, Place, Shown, Verdict, Wrapped};
use crate::core::audit_table::Devices;
use crate::core::mounts::{Mounted, TableError};
use crate::core::sys::builtin_version;
use crate::core::token::client_id;
use crate::core::{Core, Refused, Response};
use crate::engine::{Caller, EngineError, MountClass, Operation};
use crate::types::Timestamp;

use super::identify::Who;
use super::permit::Permit;
use super::route::Routed;
use super::{Asked, Origin};

/// What is known of one request, and what of it was logged.
pub(super) struct Journal<'r> {
    core: &'r Core,
    asked: Asked<'r>,
    devices: Arc<Devices>,
    mounted: Option<Arc<Mounted>>,
    caller: Arc<Caller>,
    shown: Option<Shown<'static>>,
    verdict: Option<Result<Vec<String>, ()>>,
    operation: Operation,
    is_logged: bool,
    /// Those that were there when it began.
    takers: audit::Devices,
}

impl<'r> Journal<'r> {
    pub(super) fn open(core: &'r Core, asked: Asked<'r>) -> Result<Self, Refused> {
        let devices = core.audit.devices().map_err(refused)?;
        let (operation, takers) = (asked.request.operation, devices.broker.devices());
        Ok(Self {
            core,
            asked,
            devices,
            mounted: None,
            caller: Arc::default(),
            shown: None,
            verdict: None,
            operation,
            is_logged: false,
            takers,
        })
    }

    pub(super) fn place(&mut self, routed: &Routed<'_>) {
        self.mounted.clone_from(&routed.mounted);
    }
    pub(super) fn caller(&mut self, who: &Who) {
        self.caller = who.caller.clone();
        self.shown = who.token.as_ref().map(|token| Shown {
            token_type: token.entry.kind_name(),
            ttl: token.entry.creation_ttl_secs,
            issued: Timestamp(token.entry.issued_ms),
            remaining_uses: token.entry.num_uses.into(),
        });
    }
    /// Policies let them, or none need to.
    pub(super) fn permitted(&mut self, permit: &Permit) {
        self.verdict = Some(Ok(permit.granting().to_vec()));
    }
    /// Policies do not let them.
    pub(super) fn denied(&mut self) {
        self.verdict = Some(Err(()));
    }
    pub(super) fn operation(&mut self, operation: Operation) {
        self.operation = operation;
    }
    /// Whether the token has a limited number of uses, one of which a refused request takes.
    pub(super) fn uses_token(&self) -> bool {
        self.shown.is_some_and(|shown| shown.remaining_uses > 0)
    }

    /// Logs the request, once: a rerun is the same request.
    pub(super) async fn request(&mut self, _: &Permit) -> Result<(), Refused> {
        if !self.is_logged && !bug!(49) {
            self.log(Phase::Request, None, None).await.map_err(|()| Refused::Audit)?;
            self.is_logged = true;
        }
        Ok(())
    }

    /// Logs the answer. The write stands if this fails, but the client does not see its answer.
    pub(super) async fn answer(&mut self, response: &Response) -> Result<(), Refused> {
        // The request may have changed which devices there are.
        self.devices = self.core.audit.devices().unwrap_or_else(|_| self.devices.clone());
        let empty = Vec::new();
        let answer = Answer {
            data: response.data.as_ref().filter(|_| response.wrap_info.is_none()),
            lease_id: &response.lease_id,
            warnings: if response.wrap_info.is_some() { &empty } else { &response.warnings },
            login: response.auth.as_ref().filter(|_| response.wrap_info.is_none()).map(|auth| Login {
                client_token: &auth.client_token,
                display_name: &auth.display_name,
                block: &auth.fields,
            }),
            wrapped: response.wrap_info.as_ref().map(|wrap| Wrapped {
                token: &wrap.token,
                accessor: &wrap.accessor,
                ttl: wrap.ttl,
                creation_time: &wrap.creation_time,
                creation_path: &wrap.creation_path,
                wrapped_accessor: &wrap.wrapped_accessor,
            }),
        };
        self.log(Phase::Response, None, Some(answer)).await.map_err(|()| Refused::AuditResponse)
    }

    /// Logs that the request is refused, and gives back what the client is told.
    pub(super) async fn refuse(&mut self, why: Refused) -> Refused {
        if matches!(why, Refused::Audit) {
            return why;
        }
        let text = match &why {
            Refused::Denied if self.asked.request.token.is_none() => why.to_string(),
            _ => (self.core.refusal_status)(&why).1.join("; "),
        };
        // Nobody may probe unseen.
        if !self.is_logged && self.log(Phase::Request, Some(&text), None).await.is_err() {
            return Refused::Audit;
        }
        self.is_logged = true;
        // If this fails, whether a write happened must be told all the same.
        let _ = self.log(Phase::Response, Some(&text), None).await;
        why
    }

    async fn log(&self, phase: Phase, error: Option<&str>, answer: Option<Answer<'_>>) -> Result<(), ()> {
        // What a device has seen asked, it sees answered: the last one may be closed by this request, or go with all rows.
        let now = self.devices.broker.devices();
        let devices = if now.is_empty() { &self.takers } else { &now };
        if devices.is_empty() {
            return Ok(());
        }
        let version = builtin_version();
        let place = self.mounted.as_ref().map(|mounted| Place {
            mount_point: &mounted.mount.path,
            mount_type: &mounted.row.kind,
            mount_accessor: &mounted.row.accessor,
            mount_class: match mounted.class {
                MountClass::Secret => "secret",
                MountClass::Auth => "auth",
            },
            running_version: &version,
        });
        let event = Event {
            phase,
            time: self.core.context.now(),
            request: self.asked.request,
            headers: &self.core.settings.audited_headers(),
            operation: self.operation,
            caller: &self.caller,
            shown: self.shown,
            client_id: &client_id(&self.caller),
            verdict: self.verdict.as_ref().map(|verdict| match verdict {
                Ok(granting) => Verdict::Allowed(granting),
                Err(()) => Verdict::Denied,
            }),
            place,
            error,
            answer,
            from_secondary: match self.asked.origin {
                Origin::Client => None,
                Origin::Secondary { id, .. } => Some(id),
            },
        };
        audit::log(devices, &event).await.map_err(|_| ())
    }
}

fn refused(error: TableError) -> Refused {
    match error {
        TableError::Sealed(_) => Refused::Sealed,
        TableError::NotActive => Refused::NoActive,
        TableError::Barrier(error) => EngineError::Barrier(error).into(),
    }
}
