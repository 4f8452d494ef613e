//! The audit lines of one request: one before it is done, one before it is answered. Both fail closed.
//!
//! The journal gathers what is known while the request goes down the pipeline, so that a refusal is logged with all of it.

use std::sync::Arc;

use crate::audit::{Answer, Event, Login, Phase, Place, Wrapped};
use crate::core::audit_table::Devices;
use crate::core::mounts::{Mounted, TableError};
use crate::core::{Core, Refused, Response};
use crate::engine::{Caller, EngineError, MountClass, Operation};

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
    caller: Caller,
    operation: Operation,
    uses_token: bool,
    is_logged: bool,
}

impl<'r> Journal<'r> {
    pub(super) fn open(core: &'r Core, asked: Asked<'r>) -> Result<Self, Refused> {
        let devices = core.audit.devices().map_err(refused)?;
        let operation = asked.request.operation;
        Ok(Self { core, asked, devices, mounted: None, caller: Caller::default(), operation, uses_token: false, is_logged: false })
    }

    pub(super) fn place(&mut self, routed: &Routed<'_>) {
        self.mounted.clone_from(&routed.mounted);
    }
    pub(super) fn caller(&mut self, who: &Who) {
        self.caller = who.caller.clone();
        self.uses_token = who.token.as_ref().is_some_and(|token| token.entry.num_uses > 0);
    }
    pub(super) fn operation(&mut self, operation: Operation) {
        self.operation = operation;
    }
    /// Whether the token has a limited number of uses, one of which a refused request takes.
    pub(super) fn uses_token(&self) -> bool {
        self.uses_token
    }

    /// Logs the request, once: a rerun is the same request.
    pub(super) async fn request(&mut self, _: &Permit) -> Result<(), Refused> {
        if !self.is_logged {
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
        let text = |fields: &serde_json::Map<String, serde_json::Value>, name: &str| {
            fields.get(name).and_then(serde_json::Value::as_str).unwrap_or_default().to_owned()
        };
        let login = response.auth.as_ref().map(|auth| {
            let policies: Vec<String> = auth
                .fields
                .get("policies")
                .and_then(serde_json::Value::as_array)
                .map_or_else(Vec::new, |list| list.iter().filter_map(|name| name.as_str().map(str::to_owned)).collect());
            (auth, text(&auth.fields, "accessor"), text(&auth.fields, "token_type"), policies)
        });
        let answer = Answer {
            data: response.data.as_ref().filter(|_| response.wrap_info.is_none()),
            lease_id: &response.lease_id,
            warnings: if response.wrap_info.is_some() { &empty } else { &response.warnings },
            login: login.as_ref().filter(|_| response.wrap_info.is_none()).map(|(auth, accessor, token_type, policies)| Login {
                client_token: &auth.client_token,
                accessor,
                display_name: "",
                policies,
                token_type,
            }),
            wrapped: response.wrap_info.as_ref().map(|wrap| Wrapped {
                token: &wrap.token,
                accessor: &wrap.accessor,
                ttl: wrap.ttl,
                creation_time: &wrap.creation_time,
                creation_path: &wrap.creation_path,
            }),
        };
        self.log(Phase::Response, None, Some(answer)).await.map_err(|()| Refused::AuditResponse)
    }

    /// Logs that the request is refused, and gives back what the client is told.
    pub(super) async fn refuse(&mut self, why: Refused) -> Refused {
        if matches!(why, Refused::Audit) {
            return why;
        }
        let text = why.to_string();
        let phase = if self.is_logged { Phase::Response } else { Phase::Request };
        match self.log(phase, Some(&text), None).await {
            Ok(()) => why,
            // Nobody may probe unseen; but whether a write happened must be told.
            Err(()) if phase == Phase::Request => Refused::Audit,
            Err(()) => why,
        }
    }

    async fn log(&self, phase: Phase, error: Option<&str>, answer: Option<Answer<'_>>) -> Result<(), ()> {
        let place = self.mounted.as_ref().map(|mounted| Place {
            mount_point: &mounted.mount.path,
            mount_type: &mounted.row.kind,
            mount_accessor: &mounted.row.accessor,
            mount_class: match mounted.class {
                MountClass::Secret => "secret",
                MountClass::Auth => "auth",
            },
        });
        let event = Event {
            phase,
            time: self.core.context.now(),
            request: self.asked.request,
            headers: &self.core.settings.audited_headers(),
            operation: self.operation,
            caller: &self.caller,
            place,
            error,
            answer,
            from_secondary: match self.asked.origin {
                Origin::Client => None,
                Origin::Secondary { id, .. } => Some(id),
            },
        };
        self.devices.broker.log(&event).await.map_err(|_| ())
    }
}

fn refused(error: TableError) -> Refused {
    match error {
        TableError::Sealed(_) => Refused::Sealed,
        TableError::NotActive => Refused::NoActive,
        TableError::Barrier(error) => EngineError::Barrier(error).into(),
    }
}
