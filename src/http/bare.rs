//! Endpoints that are no part of the pipeline: node-local, unauthenticated, answered with bare JSON.

use super::answer::Answer;
use super::parse::Head;
use super::serve::Origin;
use crate::core::{Core, RawRequest};

/// Answers what every node answers for itself, sealed or not; `None` for everything else.
pub async fn local(core: &Core, head: &Head, raw: &RawRequest, origin: Origin) -> Option<Answer> {
    let _ = (core, head, raw, origin);
    None
}

/// What the active node answers with bare JSON.
pub async fn on_active(core: &Core, head: &Head, raw: &RawRequest) -> Option<Answer> {
    let _ = (core, head, raw);
    None
}

/// Answers anything else while sealed.
pub fn while_sealed(head: &Head) -> Answer {
    let _ = head;
    Answer::error(503, "Vault is sealed")
}
