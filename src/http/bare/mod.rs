//! Endpoints with bare JSON instead of the envelope: what a node answers for itself, sealed or not, and what operators do with shares.
//!
//! None of them takes a token: shares, or nothing secret at all. Not here: everything that a policy decides (`core`).

mod health;
mod metrics;

use serde::Serialize;
use serde::de::DeserializeOwned;
use serde_json::{Value, json};

use super::answer::Answer;
use super::body;
use super::parse::Head;
use super::serve::Origin;
use crate::core::seal::SealError;
use crate::core::{Core, RawRequest};
use crate::engine::Operation;

/// Answers what every node answers for itself, sealed or not; `None` for everything else.
pub async fn local(core: &Core, head: &Head, raw: &RawRequest, origin: Origin) -> Option<Answer> {
    let seal = core.seal();
    let is_read = head.operation == Operation::Read;
    let is_write = head.operation == Operation::Update;
    Some(match head.path.as_str() {
        "sys/health" if is_read => health::answer(&core.health(), head),
        "sys/seal-status" if is_read => result(seal.status()),
        "sys/leader" if is_read => match core.leader() {
            Ok(status) => Answer::json(200, &status),
            Err(sealed) => Answer::error(503, sealed.to_string()),
        },
        "sys/init" if is_read => Answer::json(200, &json!({ "initialized": seal.is_initialized() })),
        "sys/init" if is_write => match fields(raw) {
            Ok(request) => result(seal.init(request).await),
            Err(answer) => answer,
        },
        "sys/unseal" if is_write => match fields(raw) {
            Ok(request) => result(seal.unseal(request).await),
            Err(answer) => answer,
        },
        "sys/storage/raft/join" if is_write => match fields(raw) {
            Ok(request) => result(seal.join(request).await),
            Err(answer) => answer,
        },
        "sys/metrics" if is_read && origin == (Origin::Client { unauthenticated_metrics: true }) => metrics::answer(head, raw),
        "sys/internal/ui/feature-flags" if is_read => Answer::json(200, &json!({ "feature_flags": null })),
        "sys/health" | "sys/seal-status" | "sys/leader" | "sys/init" | "sys/unseal" | "sys/storage/raft/join" => {
            Answer::errors(405, Vec::new())
        }
        _ => return None,
    })
}

/// What the active node answers with bare JSON: standbys hand it on.
pub async fn on_active(core: &Core, head: &Head, raw: &RawRequest) -> Option<Answer> {
    let seal = core.seal();
    let is_read = head.operation == Operation::Read;
    let is_write = head.operation == Operation::Update;
    let is_delete = head.operation == Operation::Delete;
    Some(match head.path.as_str() {
        "sys/generate-root" | "sys/generate-root/attempt" if is_read => result(seal.generate_root_status()),
        "sys/generate-root" | "sys/generate-root/attempt" if is_write => match fields(raw) {
            Ok(request) => result(seal.generate_root_start(&request)),
            Err(answer) => answer,
        },
        "sys/generate-root" | "sys/generate-root/attempt" if is_delete => done(seal.generate_root_cancel()),
        "sys/generate-root/update" if is_write => match fields(raw) {
            Ok(request) => result(seal.generate_root_update(&request).await),
            Err(answer) => answer,
        },
        "sys/rekey/init" if is_read => result(seal.rekey_status()),
        "sys/rekey/init" if is_write => match fields(raw) {
            Ok(request) => result(seal.rekey_start(&request)),
            Err(answer) => answer,
        },
        "sys/rekey/init" if is_delete => done(seal.rekey_cancel()),
        "sys/rekey/update" if is_write => match fields(raw) {
            Ok(request) => result(seal.rekey_update(&request).await),
            Err(answer) => answer,
        },
        "sys/rekey/verify" if is_read => result(seal.rekey_verify_status()),
        "sys/rekey/verify" if is_write => match fields(raw) {
            Ok(request) => result(seal.rekey_verify(&request).await),
            Err(answer) => answer,
        },
        "sys/rekey/verify" if is_delete => result(seal.rekey_verify_restart()),
        "sys/rekey-recovery-key/init" | "sys/rekey-recovery-key/update" | "sys/rekey-recovery-key/verify" => {
            Answer::error(400, "recovery rekeying not supported")
        }
        "sys/generate-root" | "sys/generate-root/attempt" | "sys/generate-root/update" | "sys/rekey/init" | "sys/rekey/update" => {
            Answer::errors(405, Vec::new())
        }
        _ => return None,
    })
}

/// Answers anything else while sealed.
pub fn while_sealed(head: &Head) -> Answer {
    match head.path.as_str() {
        // There is nothing to do.
        "sys/seal" | "sys/step-down" if head.operation == Operation::Update => Answer::empty(204),
        _ => Answer::error(503, "Vault is sealed"),
    }
}

/// What a standby refuses instead of handing it on.
pub fn on_standby(head: &Head) -> Option<Answer> {
    let is_seal = head.path.as_str() == "sys/seal" && head.operation == Operation::Update;
    is_seal.then(|| Answer::error(500, "vault cannot seal when in standby mode; please restart instead"))
}

/// The fields of a body; `null` counts as absent.
fn fields<T: DeserializeOwned>(raw: &RawRequest) -> Result<T, Answer> {
    let mut map = body::parse(&raw.body).map_err(|error| Answer::error(400, error.to_string()))?;
    map.retain(|_, value| !value.is_null());
    serde_json::from_value(Value::Object(map)).map_err(|_| Answer::error(400, "failed to parse JSON input: a field has the wrong type"))
}

fn result<T: Serialize>(result: Result<T, SealError>) -> Answer {
    match result {
        Ok(value) => Answer::json(200, &value),
        Err(error) => refused(&error),
    }
}

fn done(result: Result<(), SealError>) -> Answer {
    match result {
        Ok(()) => Answer::empty(204),
        Err(error) => refused(&error),
    }
}

fn refused(error: &SealError) -> Answer {
    let status = match error {
        SealError::Invalid(_) => 400,
        SealError::Sealed | SealError::Standby => 503,
        SealError::Failed(_) => 500,
    };
    Answer::error(status, error.to_string())
}
