//! What the process takes of its machine, read from `/proc` when somebody asks.

use std::fs;
use std::sync::LazyLock;
use std::time::{SystemTime, UNIX_EPOCH};

/// The kernel's clock ticks a second, as `/proc` counts them: always 100 for programs.
const TICKS: f64 = 100.0;
const PAGE_BYTES: f64 = 4096.0;

static BEGAN: LazyLock<f64> = LazyLock::new(|| SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default().as_secs_f64());

/// Notes when the process began.
pub fn began() {
    LazyLock::force(&BEGAN);
}

/// Sets the gauges. What cannot be read is left as it was.
pub fn measure() {
    metrics::gauge!("process_start_time_seconds").set(*BEGAN);
    if let Ok(runtime) = tokio::runtime::Handle::try_current() {
        metrics::gauge!("coffer_runtime_tasks").set(count(runtime.metrics().num_alive_tasks()));
    }
    if let Ok(open) = fs::read_dir("/proc/self/fd") {
        metrics::gauge!("process_open_fds").set(count(open.count()));
    }
    let Ok(stat) = fs::read_to_string("/proc/self/stat") else { return };
    if let Some([cpu_seconds, threads, resident]) = of_stat(&stat) {
        metrics::gauge!("process_cpu_seconds_total").set(cpu_seconds);
        metrics::gauge!("process_threads").set(threads);
        metrics::gauge!("process_resident_memory_bytes").set(resident);
    }
}

/// Seconds of processor, threads, resident bytes.
fn of_stat(stat: &str) -> Option<[f64; 3]> {
    // The second field is the program's name in brackets, and may hold anything.
    let fields: Vec<&str> = stat.rsplit_once(')')?.1.split_whitespace().collect();
    let field = |number: usize| fields.get(number - 3)?.parse::<f64>().ok();
    Some([(field(14)? + field(15)?) / TICKS, field(20)?, field(24)? * PAGE_BYTES])
}

fn count(number: usize) -> f64 {
    f64::from(u32::try_from(number).unwrap_or(u32::MAX))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_kernels_line_is_read_whatever_the_program_is_called() {
        let stat = "1 (a ) b) S 1 1 1 0 -1 4194560 100 0 0 0 250 50 0 0 20 0 7 0 1000 9999 300 18446744073709551615 1";
        assert_eq!(of_stat(stat), Some([3.0, 7.0, 300.0 * 4096.0]));
        assert_eq!(of_stat("nonsense"), None);
    }
}
