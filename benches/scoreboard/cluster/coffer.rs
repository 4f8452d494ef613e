//! Three nodes of Coffer: the binary that cargo built with this program.

use std::path::PathBuf;

use super::vault::{Program, VaultCluster};
use super::{System, Wanted};

/// Names another binary than the one built with this program: to compare two versions.
const OTHER: &str = "COFFER_BENCH_COFFER";

/// The binary under test.
pub fn binary() -> PathBuf {
    std::env::var_os(OTHER).map_or_else(|| env!("CARGO_BIN_EXE_coffer").into(), PathBuf::from)
}

/// Starts and prepares a cluster.
///
/// # Errors
/// If a node does not start or does not join.
pub fn start(wanted: &Wanted) -> anyhow::Result<VaultCluster> {
    let program = Program { system: System::Coffer, binary: binary(), lines: "disable_mlock = true\n".into() };
    let cluster = VaultCluster::start(&program, wanted)?;
    if wanted.audit {
        let options = serde_json::json!({"type": "file", "options": {"file_path": wanted.folder.join("audit.log")}});
        cluster.active()?.must("PUT", "sys/audit/file", &cluster.root_token, &options)?;
    }
    Ok(cluster)
}

/// Version of the binary.
pub fn version() -> anyhow::Result<String> {
    let said = super::server::said_by(&binary(), &["version"])?;
    Ok(std::env::var_os(OTHER).map_or(said.clone(), |path| format!("{said}, NOT built here: {}", path.display())))
}
