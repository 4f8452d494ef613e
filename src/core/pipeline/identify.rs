//! Who is calling.

use std::sync::Arc;

use crate::barrier::Txn;
use crate::core::mounts::Opened;
use crate::core::token::{Identified, TokenError};
use crate::core::{Core, Refused};
use crate::engine::{Access, Caller, EngineError};

use super::journal::Journal;
use super::route::Routed;
use super::{Asked, Origin};

/// Who is calling.
#[derive(Clone, Debug, Default)]
pub(super) struct Who {
    /// The token, where one is needed. Open paths take no use from a token.
    pub(super) token: Option<Identified>,
    /// As far as an engine may know. Shared with the audit lines.
    pub(super) caller: Arc<Caller>,
}

impl From<Identified> for Who {
    fn from(token: Identified) -> Self {
        Self { caller: Arc::new(token.caller()), token: Some(token) }
    }
}

impl Core {
    pub(super) fn identify(&self, txn: &mut Txn, asked: Asked<'_>, routed: &Routed<'_>) -> Result<Who, Refused> {
        if let Origin::Secondary { caller, .. } = asked.origin {
            return Ok(Who { token: None, caller: Arc::new(caller.clone()) });
        }
        let is_open = routed.access() == Access::Anyone;
        let Some(token) = &asked.request.token else {
            return if is_open { Ok(Who::default()) } else { Err(Refused::Denied) };
        };
        // An open path of the core may show more to those who show a token; an engine's never looks at it.
        let is_looked_at = routed.mounted.as_ref().is_some_and(|mounted| matches!(mounted.opened, Opened::System | Opened::Token));
        if is_open && !is_looked_at {
            return Ok(Who::default());
        }
        match self.tokens.identify(txn, token, &asked.request.connection, asked.now) {
            Ok(identified) if is_open => Ok(Who { token: None, caller: Arc::new(identified.caller()) }),
            Ok(identified) => Ok(identified.into()),
            Err(TokenError::Barrier(error)) => Err(EngineError::Barrier(error).into()),
            Err(TokenError::Sealed(_)) => Err(Refused::Sealed),
            Err(_) if is_open => Ok(Who::default()),
            Err(TokenError::Unknown) => Err(Refused::BadToken),
            Err(TokenError::WrongAddress) => Err(Refused::Denied),
        }
    }

    /// A request that was refused uses its token all the same: in an entry of its own, because its transaction is gone.
    ///
    /// # Errors
    /// If that could not be counted, or somebody else took the last use meanwhile: why it was refused is told to nobody then.
    pub(super) async fn spend_use(&self, asked: Asked<'_>, journal: &Journal<'_>) -> Result<(), Refused> {
        let Some(token) = asked.request.token.as_ref().filter(|_| journal.uses_token() && !bug!(48)) else { return Ok(()) };
        let is_spent = self
            .context
            .write(|txn| match self.tokens.identify(txn, token, &asked.request.connection, asked.now) {
                Ok(mut identified) => Ok(self.tokens.use_once(txn, &mut identified, asked.now).map(|()| true)?),
                Err(TokenError::Unknown) => Ok(false),
                Err(error) => Err(error.into()),
            })
            .await?;
        if is_spent { Ok(()) } else { Err(Refused::BadToken) }
    }
}
