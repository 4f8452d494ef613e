//! What a server prints at its start, in the form that scripts and people know.

use std::fmt::Write;

use super::config::{Config, Listener};
use crate::types::{API_VERSION, Ttl};

/// The list of settings.
pub fn settings(config: &Config, api_addr: &str, cluster_addr: &str, storage: &str) -> String {
    let mut rows = vec![
        ("Api Address".to_owned(), api_addr.to_owned()),
        ("Cluster Address".to_owned(), format!("https://{cluster_addr}")),
        ("Log Level".to_owned(), config.log.level.clone().unwrap_or_else(|| "info".to_owned())),
        ("Storage".to_owned(), storage.to_owned()),
        ("Version".to_owned(), format!("Vault v{API_VERSION} (Coffer {})", env!("CARGO_PKG_VERSION"))),
    ];
    for (number, listener) in config.listeners.iter().enumerate() {
        rows.push((format!("Listener {}", number + 1), describe(listener, cluster_addr)));
    }
    rows.sort();
    let mut out = String::from("==> Vault server configuration:\n\n");
    for (name, value) in rows {
        let _ = writeln!(out, "{name:>24}: {value}");
    }
    out.push_str("\n==> Vault server started! Log data will stream in below:\n");
    out
}

fn describe(listener: &Listener, cluster_addr: &str) -> String {
    format!(
        "tcp (addr: {:?}, cluster address: {:?}, max_request_duration: {:?}, max_request_size: \"{}\", tls: {:?})",
        listener.address,
        listener.cluster_address.as_deref().unwrap_or(cluster_addr),
        Ttl(listener.max_request_duration.as_secs()).go_string(),
        listener.max_request_bytes,
        if listener.tls.is_some() { "enabled" } else { "disabled" },
    )
}

/// What a dev server says of itself. The caller hands in secrets: they are printed on purpose.
pub fn dev(api_addr: &str, unseal_key: &str, root_token: &str) -> String {
    format!(
        "\
WARNING! dev mode is on: this server keeps its data only until it ends, is
unsealed already, and shows its root token and its only unseal key here.

To use it, set the following environment variable:

    $ export VAULT_ADDR='{api_addr}'

The unseal key is not needed unless you seal the server; the root token is
already stored for the command line client, unless you asked otherwise.

Unseal Key: {unseal_key}
Root Token: {root_token}

Development mode should NOT be used in production installations!

"
    )
}
