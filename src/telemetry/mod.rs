//! What the process tells about itself: log lines and counters. No secret can get here: `Secret` has no `Display`.
//!
//! Not here: the counting (each folder's `metrics.rs`), audit records (`audit`).

mod catalogue;
mod logs;
mod metrics;
mod process;
mod seldom;

pub use catalogue::{Entry as Metric, entries as all_metrics};
pub use logs::{Level, LogOptions, Logs, LogsError};
pub use metrics::{export as export_metrics, install as install_metrics};
pub use seldom::Seldom;
