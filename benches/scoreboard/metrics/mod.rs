//! All metrics, in the order of their numbers. A new one is a file here and a line in [`all`].

mod absent;
mod audit;
mod failover;
mod kv_cpu;
mod kv_disk;
mod kv_latency;
mod kv_read;
mod kv_write;
mod lag;
mod listing;
mod login;
mod outage;
mod restart;
mod shipping;
mod tokens;

use crate::metric::Metric;

/// Those that exist.
pub fn all() -> Vec<Box<dyn Metric>> {
    let mut all: Vec<Box<dyn Metric>> = vec![
        Box::new(kv_write::Throughput),
        Box::new(kv_latency::Latency),
        Box::new(kv_disk::Disk),
        Box::new(kv_cpu::Processor),
        Box::new(kv_read::Reads),
        Box::new(tokens::Tokens),
        Box::new(login::Logins),
        Box::new(audit::Audit),
        Box::new(lag::Lag),
        Box::new(shipping::Shipping),
        Box::new(outage::Outage),
        Box::new(failover::Failover),
        Box::new(restart::Restart),
        Box::new(listing::Listing),
    ];
    all.extend(absent::ALL.into_iter().map(|metric| Box::new(metric) as Box<dyn Metric>));
    all.sort_by_key(|metric| metric.number());
    all
}
