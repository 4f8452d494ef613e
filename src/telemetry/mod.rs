//! What the process tells about itself: log lines and counters. No secret can get here: `Secret` has no `Display`.
//!
//! Not here: the names of metrics (each folder's `metrics.rs`), audit records (`audit`).

mod logs;
mod metrics;

pub use logs::{Level, LogOptions, Logs, LogsError};
pub use metrics::{export as export_metrics, install as install_metrics};
