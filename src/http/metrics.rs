//! What this folder counts.

use std::time::Duration;

/// Histogram, in seconds, by class of status (`2xx`).
const REQUESTS: &str = "coffer_http_request_seconds";

/// Connections that were closed because others needed their place.
const GAVE_WAY: &str = "coffer_http_connections_gave_way_total";

/// An idle connection is closed for a new one.
pub fn gave_way() {
    metrics::counter!(GAVE_WAY).increment(1);
}

/// A request was answered.
pub fn answered(status: u16, took: Duration) {
    let class = match status / 100 {
        2 => "2xx",
        3 => "3xx",
        4 => "4xx",
        5 => "5xx",
        _ => "other",
    };
    metrics::histogram!(REQUESTS, "status" => class).record(took.as_secs_f64());
}
