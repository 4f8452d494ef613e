//! How a joining node calls the API of its leader: over HTTP or HTTPS, with the authorities and certificates that the join names.

use std::net::{SocketAddr, ToSocketAddrs};
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use http::Uri;
use serde_json::Value;
use ureq::Agent;
use ureq::config::Config;
use ureq::tls::{Certificate, ClientCert, PemItem, PrivateKey, RootCerts, TlsConfig};
use ureq::unversioned::resolver::{ResolvedSocketAddrs, Resolver};
use ureq::unversioned::transport::{DefaultConnector, NextTimeout};

use crate::core::join::{JoinClient, JoinTarget};
use crate::types::Secret;

/// How long one call may take.
const CALL_MAX: Duration = Duration::from_secs(15);
/// Largest answer, in bytes: a list of peers and a certificate.
const ANSWER_BYTES_MAX: u64 = 1024 * 1024;
/// Where systems keep the authorities that they trust.
const SYSTEM_AUTHORITIES: [&str; 3] = ["/etc/ssl/certs/ca-certificates.crt", "/etc/pki/tls/certs/ca-bundle.crt", "/etc/ssl/cert.pem"];

/// What the operator calls the settings of a call.
struct Words {
    address: &'static str,
    authorities: &'static str,
}

const JOINING: Words = Words { address: "leader_api_addr", authorities: "leader_ca_cert and leader_tls_servername" };
/// A call with a token is one of `secondary/enable` or `secondary/update-primary`.
const ACTIVATING: Words = Words { address: "primary_api_addr", authorities: "ca_file and ca_path" };

/// Calls leaders on the blocking pool. Keeps no connections: a node joins once.
#[derive(Clone, Copy, Debug, Default)]
pub struct HttpJoinClient;

#[async_trait]
impl JoinClient for HttpJoinClient {
    async fn post(&self, target: &JoinTarget, path: &str, body: Value) -> Result<Value, String> {
        let (target, path) = (target.clone(), path.to_owned());
        let call = tokio::task::spawn_blocking(move || post(&target, &path, None, &body));
        call.await.map_err(|error| error.to_string())?
    }
}

/// Posts to another cluster's or node's API, with a token if there is one. Blocks.
///
/// # Errors
/// With a text for the operator.
pub(super) fn post(target: &JoinTarget, path: &str, token: Option<&Secret<String>>, body: &Value) -> Result<Value, String> {
    let words = if token.is_none() { &JOINING } else { &ACTIVATING };
    let (base, name) = (target.leader_api_addr.trim_end_matches('/'), words.address);
    let address: Uri = base.parse().map_err(|error| format!("{name} {base:?} is no URL: {error}"))?;
    let is_tls = match address.scheme_str() {
        Some("https") => true,
        Some("http") => false,
        _ => return Err(format!("{name} {base:?} must start with http:// or https://")),
    };
    let host = address.host().ok_or_else(|| format!("{name} {base:?} names no host"))?;
    let port = address.port_u16().unwrap_or(if is_tls { 443 } else { 80 });
    let dialled = (host.trim_start_matches('[').trim_end_matches(']'), port);
    let addrs: Vec<SocketAddr> = dialled.to_socket_addrs().map_err(|error| format!("{host}: {error}"))?.collect();

    let mut config = Agent::config_builder()
        .timeout_global(Some(CALL_MAX))
        .http_status_as_error(false)
        .max_redirects(0)
        .proxy(None)
        .user_agent(concat!("coffer/", env!("CARGO_PKG_VERSION")));
    if is_tls {
        config = config.tls_config(tls(target)?);
    }
    let agent = Agent::with_parts(config.build(), DefaultConnector::new(), Dialled(addrs));
    let verified = if target.leader_tls_servername.is_empty() { host } else { &target.leader_tls_servername };
    let scheme = if is_tls { "https" } else { "http" };
    let mut request = agent.post(format!("{scheme}://{verified}:{port}/v1/{path}"));
    if let Some(token) = token {
        request = request.header("X-Vault-Token", token.expose().as_str());
    }
    let mut answer = request.send_json(body).map_err(|error| format!("{base}: {}", told(&error, words)))?;
    let status = answer.status().as_u16();
    let text = answer.body_mut().with_config().limit(ANSWER_BYTES_MAX).read_to_string().map_err(|error| error.to_string())?;
    let json: Value = serde_json::from_str(&text).unwrap_or_default();
    if (200..300).contains(&status) {
        return Ok(json);
    }
    let errors = json["errors"].as_array().map(|texts| texts.iter().filter_map(Value::as_str).collect::<Vec<_>>().join("; "));
    Err(format!("{base} answered {status}: {}", errors.unwrap_or_default()))
}

/// What went wrong, and for the usual mistakes what to do.
fn told(error: &ureq::Error, words: &Words) -> String {
    let tls = match error {
        ureq::Error::Rustls(error) => Some(error),
        ureq::Error::Io(error) => error.get_ref().and_then(|inner| inner.downcast_ref::<rustls::Error>()),
        _ => None,
    };
    match tls {
        Some(rustls::Error::InvalidMessage(_)) => "it speaks plain HTTP: use http:// if that is meant".to_owned(),
        Some(rustls::Error::InvalidCertificate(why)) if why.to_string().contains("CaUsedAsEndEntity") => {
            "it shows the certificate of an authority as its own: make it with basicConstraints=CA:FALSE, or let an authority sign it"
                .to_owned()
        }
        Some(rustls::Error::InvalidCertificate(why)) => {
            format!("its certificate is not trusted ({why}): see {}", words.authorities)
        }
        Some(rustls::Error::AlertReceived(_)) => format!("it refuses the TLS connection ({error}): see leader_client_cert"),
        _ => error.to_string(),
    }
}

fn tls(target: &JoinTarget) -> Result<TlsConfig, String> {
    let (name, pem) = match target.leader_ca_cert.as_str() {
        "" => ("the system's authorities", system_authorities()?),
        pem => ("leader_ca_cert", pem.as_bytes().to_vec()),
    };
    let authorities = certificates(name, &pem)?;
    let mut config = TlsConfig::builder()
        .root_certs(RootCerts::new_with_certs(&authorities))
        .unversioned_rustls_crypto_provider(Arc::new(rustls::crypto::aws_lc_rs::default_provider()));
    match (target.leader_client_cert.as_str(), target.leader_client_key.as_str()) {
        ("", "") => {}
        ("", _) | (_, "") => return Err("leader_client_cert and leader_client_key must be given together".to_owned()),
        (cert, key) => {
            let chain = certificates("leader_client_cert", cert.as_bytes())?;
            let key = PrivateKey::from_pem(key.as_bytes()).map_err(|error| format!("leader_client_key: {error}"))?;
            config = config.client_cert(Some(ClientCert::new_with_certs(&chain, key)));
        }
    }
    Ok(config.build())
}

fn certificates(name: &str, pem: &[u8]) -> Result<Vec<Certificate<'static>>, String> {
    let parsed: Result<Vec<_>, _> = ureq::tls::parse_pem(pem).collect();
    let items = parsed.map_err(|error| format!("{name}: {error}"))?;
    let found: Vec<_> =
        items.into_iter().filter_map(|item| if let PemItem::Certificate(cert) = item { Some(cert) } else { None }).collect();
    if found.is_empty() { Err(format!("{name}: no certificate in it")) } else { Ok(found) }
}

fn system_authorities() -> Result<Vec<u8>, String> {
    let named = std::env::var("SSL_CERT_FILE").ok();
    let files = named.iter().map(String::as_str).chain(SYSTEM_AUTHORITIES).map(Path::new);
    files
        .filter_map(|file| std::fs::read(file).ok())
        .next()
        .ok_or_else(|| "this system has no list of trusted authorities: set leader_ca_cert".to_owned())
}

/// Dials what the URL named, whatever name is verified.
#[derive(Debug)]
struct Dialled(Vec<SocketAddr>);

impl Resolver for Dialled {
    fn resolve(&self, _: &Uri, _: &Config, _: NextTimeout) -> Result<ResolvedSocketAddrs, ureq::Error> {
        let mut addrs = self.empty();
        self.0.iter().take(16).for_each(|addr| addrs.push(*addr));
        if addrs.is_empty() { Err(ureq::Error::HostNotFound) } else { Ok(addrs) }
    }
}

#[cfg(test)]
mod tests {
    use std::io::{Read, Write};
    use std::net::TcpListener;

    use serde_json::json;

    use super::*;

    fn answering(answer: &'static str) -> String {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let url = format!("http://{}", listener.local_addr().unwrap());
        std::thread::spawn(move || {
            let (mut stream, _) = listener.accept().unwrap();
            let mut request = [0; 4096];
            let _ = stream.read(&mut request).unwrap();
            stream.write_all(answer.as_bytes()).unwrap();
        });
        url
    }

    async fn call(leader_api_addr: String) -> Result<Value, String> {
        HttpJoinClient.post(&JoinTarget { leader_api_addr, ..JoinTarget::default() }, "sys/x", json!({ "server_id": "a" })).await
    }

    #[tokio::test]
    async fn answers_and_refusals_come_back_as_the_leader_gave_them() {
        let url = answering("HTTP/1.1 200 OK\r\ncontent-length: 16\r\nconnection: close\r\n\r\n{\"data\":{\"a\":1}}");
        assert_eq!(call(url).await.unwrap(), json!({ "data": { "a": 1 } }));
        let url = answering("HTTP/1.1 400 Bad Request\r\ncontent-length: 17\r\nconnection: close\r\n\r\n{\"errors\":[\"no\"]}");
        assert_eq!(call(url.clone()).await.unwrap_err(), format!("{url} answered 400: no"));
        assert!(call("leader:8200".into()).await.unwrap_err().contains("must start with http:// or https://"));
    }

    #[tokio::test]
    async fn a_leader_that_shows_an_authoritys_certificate_is_told_apart() {
        let mut params = rcgen::CertificateParams::new(vec!["localhost".to_owned()]).unwrap();
        params.is_ca = rcgen::IsCa::Ca(rcgen::BasicConstraints::Unconstrained);
        let key = rcgen::KeyPair::generate().unwrap();
        let cert = params.self_signed(&key).unwrap();
        let private = rustls_pki_types::PrivateKeyDer::try_from(key.serialize_der()).unwrap();
        let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
        let config = rustls::ServerConfig::builder_with_provider(provider).with_safe_default_protocol_versions().unwrap();
        let config = Arc::new(config.with_no_client_auth().with_single_cert(vec![cert.der().clone()], private).unwrap());
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let port = listener.local_addr().unwrap().port();
        std::thread::spawn(move || {
            let (mut stream, _) = listener.accept().unwrap();
            let mut connection = rustls::ServerConnection::new(config).unwrap();
            while connection.is_handshaking() && connection.complete_io(&mut stream).is_ok() {}
        });
        let leader_api_addr = format!("https://localhost:{port}");
        let target = JoinTarget { leader_api_addr, leader_ca_cert: cert.pem(), ..JoinTarget::default() };
        let refused = HttpJoinClient.post(&target, "sys/x", json!({})).await.unwrap_err();
        assert!(refused.contains("the certificate of an authority as its own"), "{refused}");
    }

    #[test]
    fn a_mistake_is_told_with_the_words_of_the_call() {
        let untrusted = || ureq::Error::Rustls(rustls::Error::InvalidCertificate(rustls::CertificateError::UnknownIssuer));
        assert!(told(&untrusted(), &JOINING).ends_with("see leader_ca_cert and leader_tls_servername"));
        assert!(told(&untrusted(), &ACTIVATING).ends_with("see ca_file and ca_path"));
        let target = JoinTarget { leader_api_addr: "p:8200".into(), ..JoinTarget::default() };
        let refused = |token: Option<&Secret<String>>| post(&target, "sys/x", token, &json!({})).unwrap_err();
        assert!(refused(None).starts_with("leader_api_addr \"p:8200\" must start with"));
        assert!(refused(Some(&Secret::new("t".to_owned()))).starts_with("primary_api_addr \"p:8200\" must start with"));
    }

    #[test]
    fn bad_certificates_are_named() {
        let target = JoinTarget { leader_ca_cert: "x".into(), ..JoinTarget::default() };
        assert!(tls(&target).unwrap_err().starts_with("leader_ca_cert"));
    }
}
