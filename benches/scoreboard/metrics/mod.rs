//! All metrics, in the order of their numbers. A new one is a file here and a line in [`all`].

mod kv_write;

use crate::metric::Metric;

/// Those that exist.
pub fn all() -> Vec<Box<dyn Metric>> {
    vec![Box::new(kv_write::Throughput)]
}
