//! The metric registry, in Prometheus' text format.

use std::sync::OnceLock;
use std::time::Duration;

use metrics_exporter_prometheus::{PrometheusBuilder, PrometheusHandle};

static HANDLE: OnceLock<PrometheusHandle> = OnceLock::new();

/// How often old samples are dropped from histograms.
const UPKEEP: Duration = Duration::from_secs(30);

/// Collects from now on. Once a process; later calls do nothing.
pub fn install() {
    match PrometheusBuilder::new().install_recorder() {
        Ok(handle) => {
            let kept = HANDLE.get_or_init(|| handle).clone();
            if let Ok(runtime) = tokio::runtime::Handle::try_current() {
                runtime.spawn(async move {
                    loop {
                        tokio::time::sleep(UPKEEP).await;
                        kept.run_upkeep();
                    }
                });
            }
        }
        Err(error) => tracing::debug!(%error, "metrics were already collected"),
    }
}

/// All metrics now, or `None` if none are collected.
pub fn render() -> Option<String> {
    HANDLE.get().map(PrometheusHandle::render)
}
