//! Which servers a client believes, and who it says it is.
//!
//! Without `VAULT_CACERT` or `VAULT_CAPATH` the certificates of the operating system are trusted.
//! Not here: the calls themselves (`client`).

use std::path::Path;
use std::sync::Arc;

use ureq::tls::{Certificate, ClientCert, PemItem, PrivateKey, RootCerts, TlsConfig, parse_pem};

use super::config::Connection;
use super::failure::Failure;

/// Where operating systems keep the certificates they trust.
const SYSTEM_BUNDLES: &[&str] = &[
    "/etc/ssl/certs/ca-certificates.crt",
    "/etc/pki/tls/certs/ca-bundle.crt",
    "/etc/ssl/ca-bundle.pem",
    "/etc/ssl/cert.pem",
    "/etc/pki/ca-trust/extracted/pem/tls-ca-bundle.pem",
];

/// The TLS side of a connection's settings.
///
/// # Errors
/// If a file of certificates or the key cannot be read.
pub fn settings(connection: &Connection) -> Result<TlsConfig, Failure> {
    let provider = rustls::crypto::aws_lc_rs::default_provider();
    let mut builder = TlsConfig::builder()
        .unversioned_rustls_crypto_provider(Arc::new(provider))
        .disable_verification(connection.skip_verify)
        .root_certs(RootCerts::Specific(Arc::new(roots(connection)?)));
    if let Some((cert, key)) = &connection.client_cert {
        let chain = certificates(&read(Path::new(cert))?, cert)?;
        let key_pem = read(Path::new(key))?;
        let private = PrivateKey::from_pem(&key_pem).map_err(|error| Failure::local(format!("no private key in {key}: {error}")))?;
        builder = builder.client_cert(Some(ClientCert::new_with_certs(&chain, private)));
    }
    Ok(builder.build())
}

fn roots(connection: &Connection) -> Result<Vec<Certificate<'static>>, Failure> {
    if connection.skip_verify || connection.address.starts_with("http://") {
        return Ok(Vec::new());
    }
    if let Some(text) = &connection.ca_cert_text {
        return certificates(text.as_bytes(), "VAULT_CACERT_BYTES");
    }
    if let Some(file) = &connection.ca_cert {
        return certificates(&read(Path::new(file))?, file);
    }
    if let Some(folder) = &connection.ca_path {
        return folder_of(Path::new(folder));
    }
    let from_environment = std::env::var("SSL_CERT_FILE").ok();
    let bundles = from_environment.iter().map(String::as_str).chain(SYSTEM_BUNDLES.iter().copied());
    match bundles.into_iter().find(|bundle| Path::new(bundle).exists()) {
        Some(bundle) => certificates(&read(Path::new(bundle))?, bundle),
        None => Ok(Vec::new()),
    }
}

fn folder_of(folder: &Path) -> Result<Vec<Certificate<'static>>, Failure> {
    let entries =
        std::fs::read_dir(folder).map_err(|error| Failure::local(format!("Error loading CA path {}: {error}", folder.display())))?;
    let mut all = Vec::new();
    for path in entries.filter_map(Result::ok).map(|entry| entry.path()).filter(|path| path.is_file()) {
        // Keys and other files may lie there too.
        all.extend(certificates(&read(&path)?, &path.display().to_string()).unwrap_or_default());
    }
    Ok(all)
}

fn read(path: &Path) -> Result<Vec<u8>, Failure> {
    std::fs::read(path).map_err(|error| Failure::local(format!("Error loading {}: {error}", path.display())))
}

fn certificates(pem: &[u8], origin: &str) -> Result<Vec<Certificate<'static>>, Failure> {
    let mut found = Vec::new();
    for item in parse_pem(pem) {
        match item {
            Ok(PemItem::Certificate(certificate)) => found.push(certificate),
            Ok(_) => {}
            Err(error) => return Err(Failure::local(format!("Error loading {origin}: {error}"))),
        }
    }
    if found.is_empty() {
        return Err(Failure::local(format!("Error loading {origin}: no certificate in it")));
    }
    Ok(found)
}
