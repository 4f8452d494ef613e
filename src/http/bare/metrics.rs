//! `sys/metrics` where the listener gives it to anyone.

use crate::core::RawRequest;
use crate::http::answer::Answer;
use crate::http::parse::{self, Head};
use crate::telemetry;

/// All metrics.
pub fn answer(head: &Head, raw: &RawRequest) -> Answer {
    let accepts = parse::header(raw, "accept").unwrap_or_default();
    let asked = match head.query("format") {
        Some(format) => format,
        None if accepts.contains("prometheus") || accepts.contains("openmetrics") => "prometheus",
        None => "",
    };
    match telemetry::export_metrics(asked) {
        Ok((content_type, text)) => Answer::bytes(200, content_type, text),
        Err(text) => Answer::error(400, text),
    }
}
