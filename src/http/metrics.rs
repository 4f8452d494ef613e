//! What this folder counts.

use std::time::Duration;

/// Histogram, in seconds, by class of status (`2xx`).
const REQUESTS: &str = "coffer_http_request_seconds";

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
