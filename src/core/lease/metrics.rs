//! Counters of what ends.

/// A lease was revoked.
pub(super) fn revoked() {
    metrics::counter!("coffer_leases_revoked_total").increment(1);
}
/// An engine failed to revoke.
pub(super) fn failed() {
    metrics::counter!("coffer_lease_revoke_failures_total").increment(1);
}
/// A token's rows were swept.
pub(super) fn swept() {
    metrics::counter!("coffer_tokens_swept_total").increment(1);
}
