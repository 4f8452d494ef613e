//! Mutual TLS 1.3 between peers: configurations made of an `Identity`, and what a verified certificate says of its holder.
//!
//! Both sides show a certificate of the cluster's own authority; no other authority is trusted. Sessions are never resumed, so every
//! connection verifies the certificate anew.
//! Not here: which class may reach what (`listener`), making certificates (`crypto::cert`).

use std::sync::{Arc, LazyLock};

use rustls::client::Resumption;
use rustls::crypto::CryptoProvider;
use rustls::server::{NoServerSessionStorage, WebPkiClientVerifier};
use rustls::{ClientConfig, RootCertStore, ServerConfig};
use rustls_pki_types::pem::PemObject;
use rustls_pki_types::{CertificateDer, PrivateKeyDer, ServerName};

use crate::crypto::cert::{CLUSTER_DNS, CertError, Described, Identity, describe};

/// The only protocol on the cluster's port.
const ALPN: &[u8] = b"h2";

static PROVIDER: LazyLock<Arc<CryptoProvider>> = LazyLock::new(|| Arc::new(rustls::crypto::aws_lc_rs::default_provider()));

/// Why an identity cannot be used for TLS.
#[derive(Debug, thiserror::Error)]
pub enum TlsError {
    /// Its texts cannot be read.
    #[error("the identity cannot be read: {0}")]
    Pem(#[from] rustls_pki_types::pem::Error),
    /// Its certificate cannot be read.
    #[error(transparent)]
    Cert(#[from] CertError),
    /// Its parts do not fit each other.
    #[error("the identity cannot be used: {0}")]
    Rustls(#[from] rustls::Error),
    /// Its authority is no root of trust.
    #[error("the identity's authority cannot be used: {0}")]
    Verifier(#[from] rustls::server::VerifierBuilderError),
}

/// What the listener presents and demands.
///
/// # Errors
/// If the identity's texts are damaged.
pub fn server_config(identity: &Identity) -> Result<Arc<ServerConfig>, TlsError> {
    let verifier = WebPkiClientVerifier::builder_with_provider(Arc::new(roots(identity)?), PROVIDER.clone()).build()?;
    let mut config = ServerConfig::builder_with_provider(PROVIDER.clone())
        .with_protocol_versions(&[&rustls::version::TLS13])?
        .with_client_cert_verifier(verifier)
        .with_single_cert(vec![identity.certificate()?], key(identity)?)?;
    config.alpn_protocols = vec![ALPN.to_vec()];
    config.session_storage = Arc::new(NoServerSessionStorage {});
    config.send_tls13_tickets = 0;
    Ok(Arc::new(config))
}

/// What a dialling peer presents and demands.
///
/// # Errors
/// If the identity's texts are damaged.
pub fn client_config(identity: &Identity) -> Result<Arc<ClientConfig>, TlsError> {
    let mut config = ClientConfig::builder_with_provider(PROVIDER.clone())
        .with_protocol_versions(&[&rustls::version::TLS13])?
        .with_root_certificates(roots(identity)?)
        .with_client_auth_cert(vec![identity.certificate()?], key(identity)?)?;
    config.alpn_protocols = vec![ALPN.to_vec()];
    config.resumption = Resumption::disabled();
    Ok(Arc::new(config))
}

/// The name that every node's certificate carries, whatever its address.
pub fn server_name() -> ServerName<'static> {
    ServerName::try_from(CLUSTER_DNS).expect("the constant is a DNS name")
}

/// Who is at the other end of a connection whose handshake is done; `None` if its certificate names no peer, or it does not speak HTTP/2.
pub fn peer_of(connection: &rustls::CommonState) -> Option<Described> {
    if connection.alpn_protocol() != Some(ALPN) {
        return None;
    }
    let leaf = connection.peer_certificates()?.first()?;
    describe(leaf).ok()
}

fn roots(identity: &Identity) -> Result<RootCertStore, TlsError> {
    let mut roots = RootCertStore::empty();
    for authority in CertificateDer::pem_slice_iter(identity.ca_pem.as_bytes()) {
        roots.add(authority?)?;
    }
    Ok(roots)
}

fn key(identity: &Identity) -> Result<PrivateKeyDer<'static>, TlsError> {
    Ok(PrivateKeyDer::from_pem_slice(identity.key_pem.expose().as_bytes())?)
}
