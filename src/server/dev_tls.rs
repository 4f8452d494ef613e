//! The certificates of `-dev-tls`: an authority made for this one start, and a certificate for names of this machine.
//!
//! Written as three files under the names that clients' scripts know, and removed at the end. Not here: serving them (`http::tls`).

use std::fs::OpenOptions;
use std::io::Write;
use std::net::IpAddr;
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};

use anyhow::Context;
use rcgen::{BasicConstraints, CertificateParams, DnType, ExtendedKeyUsagePurpose, IsCa, Issuer, KeyPair, KeyUsagePurpose};

/// Names of this machine that a certificate of dev mode is good for, besides the one it listens on.
const NAMES: [&str; 4] = ["localhost", "localhost.localdomain", "127.0.0.1", "::1"];

/// Three files, removed when this is dropped.
#[derive(Debug)]
pub struct DevTls {
    /// PEM: whom clients are to trust.
    pub ca_file: PathBuf,
    /// PEM: what the listener shows.
    pub cert_file: PathBuf,
    /// PEM: its key, readable for the owner only.
    pub key_file: PathBuf,
}

impl DevTls {
    /// Makes authority and certificate, and writes them into `folder`.
    ///
    /// # Errors
    /// If the folder is missing or cannot be written.
    pub fn make(folder: &Path, listen_address: &str) -> anyhow::Result<Self> {
        let ca_key = KeyPair::generate()?;
        let mut ca = CertificateParams::default();
        ca.distinguished_name.push(DnType::CommonName, "Coffer dev mode");
        ca.is_ca = IsCa::Ca(BasicConstraints::Constrained(0));
        ca.key_usages = vec![KeyUsagePurpose::KeyCertSign, KeyUsagePurpose::CrlSign];
        let ca_pem = ca.self_signed(&ca_key)?.pem();

        let key = KeyPair::generate()?;
        let mut leaf = CertificateParams::new(names(listen_address)).context("the listen address cannot stand in a certificate")?;
        leaf.distinguished_name.push(DnType::CommonName, "localhost");
        leaf.key_usages = vec![KeyUsagePurpose::DigitalSignature];
        leaf.extended_key_usages = vec![ExtendedKeyUsagePurpose::ServerAuth];
        leaf.use_authority_key_identifier_extension = true;
        let cert_pem = leaf.signed_by(&key, &Issuer::from_ca_cert_pem(&ca_pem, ca_key)?)?.pem();

        let made =
            Self { ca_file: folder.join("vault-ca.pem"), cert_file: folder.join("vault-cert.pem"), key_file: folder.join("vault-key.pem") };
        write(&made.ca_file, &ca_pem, 0o644)?;
        write(&made.cert_file, &cert_pem, 0o644)?;
        write(&made.key_file, &key.serialize_pem(), 0o600)?;
        Ok(made)
    }
}

impl Drop for DevTls {
    fn drop(&mut self) {
        for file in [&self.ca_file, &self.cert_file, &self.key_file] {
            let _ = std::fs::remove_file(file);
        }
    }
}

fn names(listen_address: &str) -> Vec<String> {
    let host = listen_address.rsplit_once(':').map_or(listen_address, |(host, _)| host).trim_matches(['[', ']']);
    let mut names: Vec<String> = NAMES.map(str::to_owned).to_vec();
    let is_everywhere = host.parse::<IpAddr>().is_ok_and(|address| address.is_unspecified());
    if !host.is_empty() && !is_everywhere && !names.iter().any(|name| name == host) {
        names.push(host.to_owned());
    }
    names
}

/// A file that was there from an earlier start is replaced, so that its mode is ours.
fn write(path: &Path, text: &str, mode: u32) -> anyhow::Result<()> {
    let wrong = || format!("cannot write {}", path.display());
    if path.exists() {
        std::fs::remove_file(path).with_context(wrong)?;
    }
    let mut file = OpenOptions::new().write(true).create_new(true).mode(mode).open(path).with_context(wrong)?;
    file.write_all(text.as_bytes()).with_context(wrong)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn certificates_come_and_go_with_the_server() {
        use std::os::unix::fs::PermissionsExt;
        let folder = tempfile::tempdir().unwrap();
        let made = DevTls::make(folder.path(), "127.0.0.1:8200").unwrap();
        assert_eq!(made.key_file.metadata().unwrap().permissions().mode() & 0o777, 0o600);
        drop(made);
        assert_eq!(std::fs::read_dir(folder.path()).unwrap().count(), 0);
        let missing = folder.path().join("missing");
        assert!(format!("{:#}", DevTls::make(&missing, "a:1").unwrap_err()).contains("missing/vault-ca.pem: No such file"));
    }

    #[test]
    fn the_name_that_is_listened_on_is_in_the_certificate() {
        for (address, last) in [("dev.example:1", "dev.example"), ("10.0.0.1:1", "10.0.0.1"), ("[::1]:1", "::1"), ("0.0.0.0:1", "::1")] {
            assert_eq!(names(address).last().map(String::as_str), Some(last), "{address}");
        }
    }
}
