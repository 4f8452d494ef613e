//! The certificates of a cluster: one authority, and identities that say in the certificate what class of peer they are.
//!
//! A peer's class and name are a URI in its certificate (`coffer://node/NAME`, `coffer://secondary/ID`), never a common name.
//! Nodes also carry the DNS name [`CLUSTER_DNS`], which clients verify whatever address they dialled.
//!
//! Not here: keeping identities (`core`), handshakes and what a class may reach (`cluster`).

use std::time::Duration;

use rcgen::string::Ia5String;
use rcgen::{
    BasicConstraints, CertificateParams, DnType, ExtendedKeyUsagePurpose, IsCa, Issuer, KeyPair, KeyUsagePurpose, PKCS_ED25519, SanType,
    SerialNumber, date_time_ymd,
};
use rustls_pki_types::CertificateDer;
use rustls_pki_types::pem::PemObject;
use serde::{Deserialize, Serialize};
use x509_parser::prelude::{FromDer, GeneralName, X509Certificate};

use super::entropy::{OsEntropy, random};
use crate::types::{Secret, Timestamp, Ttl};

/// The DNS name in every node's certificate.
pub const CLUSTER_DNS: &str = "coffer-cluster";

/// How long a node's certificate is good. Renewed at half of it; short, so that a node that was removed is locked out by time too.
pub const NODE_LIFE: Ttl = Ttl(30 * 24 * 3600);

/// How long a secondary's certificate is good: as long as the authority, because its primary checks its row at every use.
pub const SECONDARY_LIFE: Ttl = AUTHORITY_LIFE;

/// How long an authority is good: ten years.
pub const AUTHORITY_LIFE: Ttl = Ttl(10 * 365 * 24 * 3600);

/// How far clocks of nodes may differ before a fresh certificate is taken for one of the future.
const CLOCK_SKEW: Duration = Duration::from_secs(3600);

/// Longest name in a certificate, in bytes.
const NAME_BYTES_MAX: usize = 256;

/// What a certificate says of its holder.
#[derive(Clone, PartialEq, Eq, Hash, Debug)]
pub enum Peer {
    /// The node of this cluster that the operator calls so.
    Node(String),
    /// The performance secondary with this id.
    Secondary(String),
}

/// Why a certificate could not be made or read.
#[derive(Debug, thiserror::Error)]
pub enum CertError {
    /// A name that cannot stand in a certificate.
    #[error("{0:?} cannot stand in a certificate")]
    Name(String),
    /// Making it failed.
    #[error("the certificate cannot be made: {0}")]
    Make(#[from] rcgen::Error),
    /// Reading it failed.
    #[error("the certificate cannot be read: {0}")]
    Read(String),
}

impl Peer {
    fn uri(&self) -> Result<String, CertError> {
        let (class, name) = match self {
            Self::Node(name) => ("node", name),
            Self::Secondary(id) => ("secondary", id),
        };
        if name.is_empty() || name.len() > NAME_BYTES_MAX {
            return Err(CertError::Name(name.chars().take(64).collect()));
        }
        let name = percent_encoding::utf8_percent_encode(name, percent_encoding::NON_ALPHANUMERIC);
        Ok(format!("coffer://{class}/{name}"))
    }

    fn of_uri(uri: &str) -> Option<Self> {
        let (class, name) = uri.strip_prefix("coffer://")?.split_once('/')?;
        let name = percent_encoding::percent_decode_str(name).decode_utf8().ok()?.into_owned();
        if name.is_empty() || name.len() > NAME_BYTES_MAX {
            return None;
        }
        match class {
            "node" => Some(Self::Node(name)),
            "secondary" => Some(Self::Secondary(name)),
            _ => None,
        }
    }
}

/// What a certificate says, read without judging who signed it.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Described {
    /// Its holder.
    pub peer: Peer,
    /// Good from.
    pub not_before: Timestamp,
    /// Good until.
    pub not_after: Timestamp,
    /// SHA-256 of the certificate, in hexadecimal.
    pub fingerprint: String,
}

/// Reads a certificate of a peer.
///
/// # Errors
/// If it is no certificate, or does not hold exactly one peer's URI.
pub fn describe(der: &[u8]) -> Result<Described, CertError> {
    let (_, parsed) = X509Certificate::from_der(der).map_err(|error| CertError::Read(error.to_string()))?;
    let names = parsed.subject_alternative_name().map_err(|error| CertError::Read(error.to_string()))?;
    let mut peers = names.iter().flat_map(|names| &names.value.general_names).filter_map(|name| match name {
        GeneralName::URI(uri) => Some(Peer::of_uri(uri)),
        _ => None,
    });
    let (Some(Some(peer)), None) = (peers.next(), peers.next()) else {
        return Err(CertError::Read("it does not name one peer".to_owned()));
    };
    let secs = |at: i64| Timestamp::from_secs(u64::try_from(at).unwrap_or(0));
    Ok(Described {
        peer,
        not_before: secs(parsed.validity().not_before.timestamp()),
        not_after: secs(parsed.validity().not_after.timestamp()),
        fingerprint: fingerprint(der),
    })
}

/// SHA-256 of a certificate, in hexadecimal: how a primary knows its secondaries' certificates again.
pub fn fingerprint(der: &[u8]) -> String {
    hex::encode(aws_lc_rs::digest::digest(&aws_lc_rs::digest::SHA256, der))
}

/// The certificate authority of one cluster: signs nodes' and secondaries' certificates and nothing else.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Authority {
    /// Its certificate.
    pub cert_pem: String,
    /// Its private key.
    #[serde(with = "secret_text")]
    pub key_pem: Secret<String>,
}

impl Authority {
    /// Makes a new authority (Ed25519) for the cluster called `cluster`.
    ///
    /// # Errors
    /// If the library refuses the name.
    pub fn create(cluster: &str, now: Timestamp) -> Result<Self, CertError> {
        let key = new_key()?;
        let mut params = new_params();
        params.distinguished_name.push(DnType::CommonName, format!("Coffer cluster {cluster}"));
        params.is_ca = IsCa::Ca(BasicConstraints::Constrained(0));
        params.key_usages = vec![KeyUsagePurpose::KeyCertSign, KeyUsagePurpose::CrlSign, KeyUsagePurpose::DigitalSignature];
        bound_life(&mut params, now, AUTHORITY_LIFE);
        let cert_pem = params.self_signed(&key)?.pem();
        Ok(Self { cert_pem, key_pem: Secret::new(key.serialize_pem()) })
    }

    /// Issues an identity with a fresh key to `peer`, good from `now` for `life`.
    ///
    /// # Errors
    /// If this authority's own texts are damaged, or the name cannot stand in a certificate.
    pub fn issue(&self, peer: &Peer, now: Timestamp, life: Ttl) -> Result<Identity, CertError> {
        let issuer = Issuer::from_ca_cert_pem(&self.cert_pem, KeyPair::from_pem(self.key_pem.expose())?)?;
        let key = new_key()?;
        let mut params = new_params();
        let uri = peer.uri()?;
        params.subject_alt_names.push(SanType::URI(ia5(&uri)?));
        params.extended_key_usages = vec![ExtendedKeyUsagePurpose::ClientAuth];
        if let Peer::Node(_) = peer {
            params.subject_alt_names.push(SanType::DnsName(ia5(CLUSTER_DNS)?));
            params.extended_key_usages.push(ExtendedKeyUsagePurpose::ServerAuth);
        }
        params.key_usages = vec![KeyUsagePurpose::DigitalSignature];
        params.use_authority_key_identifier_extension = true;
        bound_life(&mut params, now, life);
        let cert_pem = params.signed_by(&key, &issuer)?.pem();
        Ok(Identity { ca_pem: self.cert_pem.clone(), cert_pem, key_pem: Secret::new(key.serialize_pem()) })
    }
}

/// What one peer proves itself with, and whom it trusts.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Identity {
    /// The authority that it trusts.
    pub ca_pem: String,
    /// Its own certificate, signed by the authority.
    pub cert_pem: String,
    /// Its own private key.
    #[serde(with = "secret_text")]
    pub key_pem: Secret<String>,
}

impl Identity {
    /// Its own certificate, in DER.
    ///
    /// # Errors
    /// If the text holds none.
    pub fn certificate(&self) -> Result<CertificateDer<'static>, CertError> {
        CertificateDer::from_pem_slice(self.cert_pem.as_bytes()).map_err(|error| CertError::Read(error.to_string()))
    }

    /// What its own certificate says.
    ///
    /// # Errors
    /// If it cannot be read.
    pub fn describe(&self) -> Result<Described, CertError> {
        describe(&self.certificate()?)
    }
}

impl PartialEq for Identity {
    /// Certificates decide: a key belongs to its certificate.
    fn eq(&self, other: &Self) -> bool {
        self.cert_pem == other.cert_pem && self.ca_pem == other.ca_pem
    }
}

/// Ed25519: its keys and signatures (RFC 8032) are of one length, so certificates of one name are too.
fn new_key() -> Result<KeyPair, CertError> {
    Ok(KeyPair::generate_for(&PKCS_ED25519)?)
}

/// With a serial number of 16 bytes (RFC 5280 4.1.2.2: positive, at most 20), none of which is a leading zero that DER would leave out.
fn new_params() -> CertificateParams {
    let mut serial: [u8; 16] = random(&OsEntropy);
    serial[0] = serial[0] & 0x7f | 0x40;
    let mut params = CertificateParams::default();
    params.serial_number = Some(SerialNumber::from_slice(&serial));
    params
}

fn bound_life(params: &mut CertificateParams, now: Timestamp, life: Ttl) {
    let epoch = date_time_ymd(1970, 1, 1);
    params.not_before = epoch + Duration::from_secs(now.secs()).saturating_sub(CLOCK_SKEW);
    params.not_after = epoch + Duration::from_secs(now.plus(life).secs());
}

fn ia5(text: &str) -> Result<Ia5String, CertError> {
    Ia5String::try_from(text).map_err(|_| CertError::Name(text.to_owned()))
}

/// Stores a secret text as plain text: only for what is itself encrypted or lies in a file of mode 0600.
mod secret_text {
    use serde::{Deserialize, Deserializer, Serializer};

    use crate::types::Secret;

    pub fn serialize<S: Serializer>(secret: &Secret<String>, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(secret.expose())
    }

    pub fn deserialize<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Secret<String>, D::Error> {
        String::deserialize(deserializer).map(Secret::new)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const NOW: Timestamp = Timestamp(1_780_000_000_000);

    #[test]
    fn certificates_of_one_name_are_of_one_length() {
        let made = || {
            let authority = Authority::create("blue", NOW).unwrap();
            let identity = authority.issue(&Peer::Node("a".to_owned()), NOW, NODE_LIFE).unwrap();
            [authority.cert_pem.len(), authority.key_pem.expose().len(), identity.cert_pem.len(), identity.key_pem.expose().len()]
        };
        let first = made();
        assert!((0..600).all(|_| made() == first));
    }

    #[test]
    fn a_certificate_says_what_class_of_peer_holds_it() {
        let authority = Authority::create("blue", NOW).unwrap();
        for peer in [Peer::Node("node-1.example/ü".to_owned()), Peer::Secondary("emea".to_owned())] {
            let identity = authority.issue(&peer, NOW, NODE_LIFE).unwrap();
            let said = identity.describe().unwrap();
            assert_eq!(said.peer, peer);
            assert_eq!(said.not_after, NOW.plus(NODE_LIFE));
            assert_eq!(said.fingerprint.len(), 64);
        }
        assert!(authority.issue(&Peer::Node(String::new()), NOW, NODE_LIFE).is_err());
    }

    #[test]
    fn identities_survive_json_and_do_not_print_their_keys() {
        let authority = Authority::create("blue", NOW).unwrap();
        let identity = authority.issue(&Peer::Node("a".to_owned()), NOW, NODE_LIFE).unwrap();
        let json = serde_json::to_string(&identity).unwrap();
        let again: Identity = serde_json::from_str(&json).unwrap();
        assert_eq!(again, identity);
        assert_eq!(again.key_pem.expose(), identity.key_pem.expose());
        assert!(!format!("{identity:?} {authority:?}").contains("PRIVATE"));
    }

    #[test]
    fn an_authority_that_was_stored_still_signs() {
        let authority = Authority::create("blue", NOW).unwrap();
        let stored = serde_json::to_vec(&authority).unwrap();
        let again: Authority = serde_json::from_slice(&stored).unwrap();
        let identity = again.issue(&Peer::Node("a".to_owned()), NOW, NODE_LIFE).unwrap();
        assert_eq!(identity.ca_pem, authority.cert_pem);
    }

    #[test]
    fn the_authority_itself_is_nobodys_certificate() {
        let authority = Authority::create("blue", NOW).unwrap();
        let der = CertificateDer::from_pem_slice(authority.cert_pem.as_bytes()).unwrap();
        assert!(describe(&der).is_err());
    }
}
