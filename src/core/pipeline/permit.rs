//! Whether they may. A [`Permit`] can be had nowhere else: whoever holds one was allowed.

use crate::barrier::Txn;
use crate::core::{Core, Refused};
use crate::engine::{Access, Operation};

use super::Asked;
use super::identify::Who;
use super::route::{By, Routed};

/// The request may be done.
#[derive(Debug)]
pub(super) struct Permit {
    granting: Vec<String>,
}

impl Permit {
    /// The policies that allow it; empty where none need to.
    pub(super) fn granting(&self) -> &[String] {
        &self.granting
    }
}

impl Core {
    /// `Create` where the engine says that the thing does not exist yet.
    pub(super) async fn create_or_update(
        &self,
        txn: &mut Txn,
        asked: Asked<'_>,
        routed: &Routed<'_>,
        who: &Who,
    ) -> Result<Operation, Refused> {
        let operation = asked.request.operation;
        let Some(target) = routed.found() else { return Ok(operation) };
        let By::Engine(kind, engine) = &target.by else { return Ok(operation) };
        if operation != Operation::Update {
            return Ok(operation);
        }
        let mount = &target.mounted.mount;
        let call = target.call(asked, &who.caller, operation);
        let exists = engine.exists(&call, &mut txn.view(&mount.id, mount.scope, kind.local)).await?;
        Ok(if exists == Some(false) { Operation::Create } else { operation })
    }

    pub(super) fn authorize(&self, asked: Asked<'_>, routed: &Routed<'_>, who: &Who, operation: Operation) -> Result<Permit, Refused> {
        let access = routed.access();
        let is_decided = bug!(148) && matches!(asked.origin, super::Origin::Secondary { .. });
        if access == Access::Anyone || is_decided {
            return Ok(Permit { granting: Vec::new() });
        }
        let request = asked.request;
        let acl = self.policies.acl_for(&who.caller.policies)?;
        let decision = acl.decide(operation, request.path.as_str(), &request.data, request.wrap_ttl);
        let is_allowed = decision.is_allowed && (access != Access::Sudo || decision.is_sudo || operation == Operation::Help);
        if is_allowed { Ok(Permit { granting: decision.granting.to_vec() }) } else { Err(Refused::Denied) }
    }
}
