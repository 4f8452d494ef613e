//! Counters of audit.

/// Lines that no device took: each is a request that was refused.
pub(super) const LOG_REQUEST_FAILURE: &str = "vault.audit.log_request_failure";
/// Answers that no device took: each is a request that was done and not answered.
pub(super) const LOG_RESPONSE_FAILURE: &str = "vault.audit.log_response_failure";
/// Milliseconds until a request's line was taken by all devices.
pub(super) const LOG_REQUEST: &str = "vault.audit.log_request";
/// The same of an answer's line.
pub(super) const LOG_RESPONSE: &str = "vault.audit.log_response";
