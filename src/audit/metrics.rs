//! Counters of audit.

/// Lines that no device took: each is a request that was refused.
pub(super) const LOG_REQUEST_FAILURE: &str = "vault_audit_log_request_failure";
/// Answers that no device took: each is a request that was done and not answered.
pub(super) const LOG_RESPONSE_FAILURE: &str = "vault_audit_log_response_failure";
