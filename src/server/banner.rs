//! What a server prints at its start, in the form that scripts and people know.

use std::fmt::Write;
use std::path::Path;
use std::time::Duration;

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
        rows.push((format!("Listener {}", number + 1), describe(listener, cluster_addr, config.request_duration(listener))));
    }
    rows.sort();
    let mut out = String::from("==> Vault server configuration:\n\n");
    for (name, value) in rows {
        let _ = writeln!(out, "{name:>24}: {value}");
    }
    out.push_str("\n==> Vault server started! Log data will stream in below:\n");
    out
}

fn describe(listener: &Listener, cluster_addr: &str, longest: Duration) -> String {
    format!(
        "tcp (addr: {:?}, cluster address: {:?}, max_request_duration: {:?}, max_request_size: \"{}\", tls: {:?})",
        listener.address,
        listener.cluster_address.as_deref().unwrap_or(cluster_addr),
        Ttl(longest.as_secs()).go_string(),
        listener.max_request_bytes,
        if listener.tls.is_some() { "enabled" } else { "disabled" },
    )
}

/// What a dev server says of itself, besides its addresses.
pub struct Dev<'d> {
    /// The API.
    pub api_addr: &'d str,
    /// Whom clients must trust, if it speaks TLS.
    pub ca_file: Option<&'d Path>,
    /// The only share.
    pub unseal_key: &'d str,
    /// The root token.
    pub root_token: &'d str,
    /// Whether command lines find the root token by themselves.
    pub is_stored: bool,
}

/// The text for people and scripts. It holds secrets: they are printed on purpose.
pub fn dev(dev: &Dev<'_>) -> String {
    let Dev { api_addr, unseal_key, root_token, .. } = dev;
    let trust = dev.ca_file.map(|file| format!("    $ export VAULT_CACERT='{}'\n", file.display())).unwrap_or_default();
    let variables = if trust.is_empty() { "variable" } else { "variables" };
    let stored = match dev.is_stored {
        true => "the root token is\nstored for the command line client already.",
        false => "the root token is\nnot stored anywhere: use it with `login` or VAULT_TOKEN.",
    };
    format!(
        "\
WARNING! dev mode is on: this server keeps its data only until it ends, is
unsealed already, and shows its root token and its only unseal key here.

To use it, set the following environment {variables}:

    $ export VAULT_ADDR='{api_addr}'
{trust}
The unseal key is not needed unless you seal the server; {stored}

Unseal Key: {unseal_key}
Root Token: {root_token}

Development mode should NOT be used in production installations!

"
    )
}
