//! Which devices there are, and each line handed to all of them; fails closed unless at least one has it.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Instant;

use arc_swap::ArcSwap;
use futures::future::join_all;
use tracing::{error, warn};

use super::line::render;
use super::{AuditDevice, AuditError, Event, Hasher, Phase, metrics};

/// An enabled device.
#[derive(Clone)]
pub struct Device {
    /// Hashes with the device's own key.
    pub hasher: Hasher,
    /// Where its lines go.
    pub writer: Arc<dyn AuditDevice>,
}

/// Devices by path (`file/`).
pub type Devices = Arc<BTreeMap<String, Device>>;

/// All enabled devices.
#[derive(Default)]
pub struct Broker(ArcSwap<BTreeMap<String, Device>>);

impl Broker {
    /// Without devices.
    pub fn new() -> Self {
        Self::default()
    }

    /// Adds or replaces the device at `path`.
    pub fn add(&self, path: &str, device: Device) {
        self.0.rcu(|devices| {
            let mut devices = BTreeMap::clone(devices);
            devices.insert(path.to_owned(), device.clone());
            devices
        });
    }

    /// Removes the device at `path`.
    pub fn remove(&self, path: &str) {
        self.0.rcu(|devices| {
            let mut devices = BTreeMap::clone(devices);
            devices.remove(path);
            devices
        });
    }

    /// Removes all devices: this node no longer serves.
    pub fn clear(&self) {
        self.0.store(Arc::default());
    }

    /// Paths of all devices.
    pub fn paths(&self) -> Vec<String> {
        self.0.load().keys().cloned().collect()
    }

    /// How the device at `path` would write `text`.
    pub fn hash(&self, path: &str, text: &str) -> Option<String> {
        self.0.load().get(path).map(|device| device.hasher.hash(text))
    }

    /// All devices of this moment.
    pub fn devices(&self) -> Devices {
        self.0.load_full()
    }

    /// Opens all files anew, after they were moved away.
    pub async fn reopen(&self) {
        let devices = self.0.load_full();
        for (path, device) in devices.iter() {
            if let Err(problem) = device.writer.reopen().await {
                error!(%path, %problem, "audit file could not be opened anew");
            }
        }
    }
}

/// Writes the line of `event` to all of `devices`; without any, nothing is logged and nothing refused.
///
/// # Errors
/// If there are devices and none took it.
pub async fn log(devices: &Devices, event: &Event<'_>) -> Result<(), AuditError> {
    if devices.is_empty() {
        return Ok(());
    }
    let began = Instant::now();
    let writes = devices.iter().map(|(path, device)| {
        let line = render(event, &device.hasher);
        async move {
            let taken = device.writer.record(line).await;
            if let Err(problem) = &taken {
                warn!(%path, %problem, "audit device did not take a line");
            }
            taken.is_ok()
        }
    });
    let taken = join_all(writes).await;
    let name = if event.phase == Phase::Request { metrics::LOG_REQUEST } else { metrics::LOG_RESPONSE };
    ::metrics::histogram!(name).record(began.elapsed().as_secs_f64() * 1000.0);
    if taken.into_iter().any(|is_taken| is_taken) {
        return Ok(());
    }
    error!("no audit device took a line, refusing the request");
    let counter = if event.phase == Phase::Request { metrics::LOG_REQUEST_FAILURE } else { metrics::LOG_RESPONSE_FAILURE };
    ::metrics::counter!(counter).increment(1);
    Err(AuditError::NobodyTookIt)
}
