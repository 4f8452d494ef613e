//! `sys/seal` and `sys/decode-token`. All else of the seal is bare: see `core::seal`.

use std::sync::Arc;

use async_trait::async_trait;
use serde_json::json;

use crate::barrier::Txn;
use crate::core::SystemEngine;
use crate::core::seal::{Seal, decode_token};
use crate::engine::{Access, Call, EngineError, Operation, Reply, Route, Writes};

/// What the seal answers through the pipeline.
pub struct SealArea(pub Arc<Seal>);

static ROUTES: &[Route] = &[
    Route {
        pattern: "seal",
        operations: &[Operation::Update],
        access: Access::Sudo,
        writes: Writes::Nothing,
        help: "Seal the active node.",
    },
    Route {
        pattern: "rekey/backup",
        operations: &[Operation::Read, Operation::Delete],
        access: Access::Sudo,
        writes: Writes::Nothing,
        help: "Show or remove encrypted copies of new unseal shares. None are kept.",
    },
    Route {
        pattern: "rekey/recovery-key-backup",
        operations: &[Operation::Read, Operation::Delete],
        access: Access::Sudo,
        writes: Writes::Nothing,
        help: "Show or remove encrypted copies of new recovery shares. None are kept.",
    },
    Route {
        pattern: "decode-token",
        operations: &[Operation::Update],
        access: Access::Anyone,
        writes: Writes::Nothing,
        help: "Decode a generated root token with its one-time password.",
    },
];

#[async_trait]
impl SystemEngine for SealArea {
    fn routes(&self) -> &'static [Route] {
        ROUTES
    }

    async fn handle(&self, call: &Call<'_>, _: &mut Txn) -> Result<Reply, EngineError> {
        match call.route.pattern {
            "seal" => {
                self.0.seal();
                Ok(Reply::empty())
            }
            "rekey/backup" | "rekey/recovery-key-backup" if call.operation == Operation::Read => {
                Err(EngineError::invalid("no backed-up keys found"))
            }
            "rekey/backup" | "rekey/recovery-key-backup" => Ok(Reply::empty()),
            _ => {
                let text = |field| Ok::<_, EngineError>(call.data().text(field)?.unwrap_or_default());
                let token = decode_token(&text("encoded_token")?, &text("otp")?).map_err(EngineError::Invalid)?;
                Ok(Reply::json(json!({ "token": token.expose() })))
            }
        }
    }
}
