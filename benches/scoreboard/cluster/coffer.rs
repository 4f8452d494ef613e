//! Three nodes of Coffer: the binary that cargo built with this program.

use std::path::Path;

use super::vault::{Program, VaultCluster};
use super::{System, Wanted};

/// The binary under test.
pub fn binary() -> &'static Path {
    Path::new(env!("CARGO_BIN_EXE_coffer"))
}

/// Starts and prepares a cluster.
///
/// # Errors
/// If a node does not start or does not join.
pub fn start(wanted: &Wanted) -> anyhow::Result<VaultCluster> {
    let program = Program { system: System::Coffer, binary: binary().into(), lines: "disable_mlock = true\n".into() };
    let cluster = VaultCluster::start(&program, wanted)?;
    if wanted.audit {
        let options = serde_json::json!({"type": "file", "options": {"file_path": wanted.folder.join("audit.log")}});
        cluster.active()?.must("PUT", "sys/audit/file", &cluster.root_token, &options)?;
    }
    Ok(cluster)
}

/// Version of the binary.
pub fn version() -> anyhow::Result<String> {
    super::server::said_by(binary(), &["version"])
}
