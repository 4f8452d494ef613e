//! What `replication/status` said while the truth was measured.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::JoinHandle;
use std::time::Duration;

use serde_json::Value;

use super::clock::now_ns;
use super::samples::Lags;
use crate::cluster::vault_api::VaultApi;

const PATH: &str = "sys/replication/performance/status";
/// How often it is asked: as often as a monitoring system may, not as often as to disturb.
const EVERY: Duration = Duration::from_millis(250);

/// The status body of a node; `null` if there is none now.
pub fn of(api: &VaultApi) -> Value {
    api.call("GET", PATH, "", None).map(|(_, mut answer)| answer["data"].take()).unwrap_or_default()
}

/// One answer: when it came, and the lag that it told in microseconds.
type Told = (u64, u64);

/// Asks the secondary until it is ended.
pub struct Asking {
    stop: Arc<AtomicBool>,
    thread: JoinHandle<Vec<Told>>,
}

/// How far what was told lies from the truth, in milliseconds.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Honesty {
    pub asked: usize,
    pub told_max_ms: f64,
    pub true_max_ms: f64,
    /// Told less than the truth by at most this.
    pub too_low_ms: f64,
    /// Told more than the truth by at most this.
    pub too_high_ms: f64,
}

impl Asking {
    /// Starts to ask.
    pub fn begin(secondary: VaultApi) -> Self {
        let stop = Arc::new(AtomicBool::new(false));
        let stopped = Arc::clone(&stop);
        let thread = std::thread::spawn(move || {
            let mut told = Vec::new();
            while !stopped.load(Ordering::Relaxed) {
                if let Some(seconds) = of(&secondary)["lag_seconds"].as_f64() {
                    told.push((now_ns(), (seconds * 1e6) as u64));
                }
                std::thread::sleep(EVERY);
            }
            told
        });
        Self { stop, thread }
    }

    /// Compares what it heard with the truth.
    pub fn end(self, lags: &Lags) -> Honesty {
        self.stop.store(true, Ordering::Relaxed);
        honesty(&self.thread.join().unwrap_or_default(), lags)
    }
}

fn honesty(told: &[Told], lags: &Lags) -> Honesty {
    let ms = |us: u64| us as f64 / 1000.0;
    let mut honesty = Honesty { asked: told.len(), ..Honesty::default() };
    for (at, said) in told {
        let truth = lags.behind_us(*at);
        honesty.told_max_ms = honesty.told_max_ms.max(ms(*said));
        honesty.true_max_ms = honesty.true_max_ms.max(ms(truth));
        honesty.too_low_ms = honesty.too_low_ms.max(ms(truth.saturating_sub(*said)));
        honesty.too_high_ms = honesty.too_high_ms.max(ms(said.saturating_sub(truth)));
    }
    honesty
}
