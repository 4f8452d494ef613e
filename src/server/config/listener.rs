//! `listener "tcp"`: where a node listens, how it proves who it is, and its bounds.
//!
//! Not here: binding and certificates (`http`).

use std::path::PathBuf;
use std::time::Duration;

use super::fields::{Fields, unknown};
use super::read::{put, set};
use super::tree::Stanza;
use super::{Config, ConfigError};
use crate::types::Ttl;
use crate::types::limits::TTL_SECS_MAX;

/// One `listener "tcp"`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Listener {
    /// Where it listens.
    pub address: String,
    /// Where the cluster's port listens; address with the next port if not set.
    pub cluster_address: Option<String>,
    /// Certificate and key; `None` for plain HTTP.
    pub tls: Option<Tls>,
    /// Largest body.
    pub max_request_bytes: u64,
    /// Longest a request may take, if not as long as everywhere.
    pub max_request_duration: Option<Duration>,
    /// Longest that headers may take to arrive.
    pub read_header_timeout: Duration,
    /// Longest that a body may take to arrive.
    pub read_timeout: Duration,
    /// Longest that a connection may be idle between requests.
    pub idle_timeout: Duration,
    /// Longest that a client may take nothing of its answer; as long as it may be idle, if not set.
    pub write_timeout: Option<Duration>,
    /// Whether `sys/metrics` needs no token here.
    pub unauthenticated_metrics: bool,
}

impl Default for Listener {
    fn default() -> Self {
        Self {
            address: "127.0.0.1:8200".to_owned(),
            cluster_address: None,
            tls: None,
            max_request_bytes: crate::types::limits::BODY_BYTES_MAX as u64,
            max_request_duration: None,
            read_header_timeout: Duration::from_secs(10),
            read_timeout: Duration::from_secs(30),
            idle_timeout: Duration::from_secs(300),
            write_timeout: None,
            unauthenticated_metrics: false,
        }
    }
}

/// How a listener proves who it is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Tls {
    /// PEM: certificate and chain.
    pub cert_file: PathBuf,
    /// PEM: private key.
    pub key_file: PathBuf,
    /// Refuse TLS 1.2.
    pub only_tls13: bool,
    /// PEM: who may have signed a client's certificate.
    pub client_ca_file: Option<PathBuf>,
    /// Refuse clients without a certificate.
    pub require_client_cert: bool,
}

/// Reads a `listener` stanza.
///
/// # Errors
/// The first mistake.
pub fn read(config: &mut Config, file: &str, block: &Stanza) -> Result<Listener, ConfigError> {
    if block.label != "tcp" {
        return Err(ConfigError::at(file, block.line, format!("listener {:?} is not supported: only \"tcp\" is", block.label)));
    }
    let mut listener = Listener::default();
    let mut fields = Fields::of(file, block);
    if let Some(address) = fields.text("address")? {
        listener.address = with_port(&address).ok_or_else(|| {
            ConfigError::at(file, block.line, format!("address {address:?} must be a host and a port, such as 127.0.0.1:8200"))
        })?;
    }
    set(&mut listener.cluster_address, fields.text("cluster_address")?);
    if let Some(bytes) = fields.bytes("max_request_size")?.filter(|bytes| *bytes > 0) {
        listener.max_request_bytes = bytes;
    }
    set(&mut listener.max_request_duration, fields.ttl("max_request_duration")?.filter(|ttl| ttl.0 > 0).map(|ttl| ttl.duration()));
    put(&mut listener.read_header_timeout, timeout(&mut fields, "http_read_header_timeout")?);
    put(&mut listener.read_timeout, timeout(&mut fields, "http_read_timeout")?);
    put(&mut listener.idle_timeout, timeout(&mut fields, "http_idle_timeout")?);
    listener.write_timeout = timeout(&mut fields, "http_write_timeout")?;
    let is_plain = fields.flag("tls_disable")?.unwrap_or(false);
    let cert_file = fields.text("tls_cert_file")?;
    let key_file = fields.text("tls_key_file")?;
    let only_tls13 = match fields.text("tls_min_version")?.as_deref() {
        None | Some("tls10" | "tls11" | "tls12") => false,
        Some("tls13") => true,
        Some(other) => return Err(ConfigError::at(file, block.line, format!("tls_min_version {other:?} is not known: tls12 or tls13"))),
    };
    let asks_clients = !fields.flag("tls_disable_client_certs")?.unwrap_or(false);
    let client_ca_file = fields.text("tls_client_ca_file")?.map(PathBuf::from).filter(|_| asks_clients);
    let require_client_cert = fields.flag("tls_require_and_verify_client_cert")?.unwrap_or(false);
    if !is_plain {
        let (Some(cert_file), Some(key_file)) = (cert_file, key_file) else {
            return Err(ConfigError::at(file, block.line, "listener needs tls_cert_file and tls_key_file, or tls_disable = true"));
        };
        if require_client_cert && !asks_clients {
            return Err(ConfigError::at(file, block.line, "tls_require_and_verify_client_cert contradicts tls_disable_client_certs"));
        }
        if require_client_cert && client_ca_file.is_none() {
            return Err(ConfigError::at(file, block.line, "tls_require_and_verify_client_cert needs tls_client_ca_file"));
        }
        listener.tls =
            Some(Tls { cert_file: cert_file.into(), key_file: key_file.into(), only_tls13, client_ca_file, require_client_cert });
    }
    fields.accept(&["tls_max_version", "tls_cipher_suites"]);
    fields.finish(&mut config.warnings);
    for inner in &block.blocks {
        if inner.name == "telemetry" {
            let mut fields = Fields::of(file, inner);
            put(&mut listener.unauthenticated_metrics, fields.flag("unauthenticated_metrics_access")?);
            fields.finish(&mut config.warnings);
        } else {
            config.warnings.push(unknown(file, &inner.name, inner.line));
        }
    }
    Ok(listener)
}

/// A time limit of connections; zero is none, as in Vault.
fn timeout(fields: &mut Fields<'_>, name: &str) -> Result<Option<Duration>, ConfigError> {
    Ok(fields.ttl(name)?.map(|ttl| if ttl.0 == 0 { Ttl(TTL_SECS_MAX) } else { ttl }.duration()))
}

/// `host:8200` for a bare host; `None` if the port is none.
fn with_port(address: &str) -> Option<String> {
    let (host, port) = match address.rsplit_once(':') {
        Some((host, port)) if !host.contains(':') || host.ends_with(']') => (host, port),
        _ => (address, "8200"),
    };
    let is_whole = !host.is_empty() && (!host.contains(':') || (host.starts_with('[') && host.ends_with(']')));
    (is_whole && port.parse::<u16>().is_ok()).then(|| format!("{host}:{port}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_address_gets_the_usual_port() {
        for (address, expected) in [
            ("a", Some("a:8200")),
            ("a:1", Some("a:1")),
            ("[::1]:1", Some("[::1]:1")),
            ("[::1]", Some("[::1]:8200")),
            ("a:99999", None),
            ("a:b", None),
            (":1", None),
            ("::1", None),
        ] {
            assert_eq!(with_port(address).as_deref(), expected, "{address}");
        }
    }
}
