//! Why a call has no answer to work with, in the words Vault's own client has for it: scripts look for `Code: 404`.
//!
//! Not here: making the call (`client`).

use serde_json::Value;

use super::failure::Failure;
use super::route;

/// Why there is no answer to work with.
#[derive(Debug, thiserror::Error)]
pub enum CallError {
    /// The server said no.
    #[error("{}", refusal_text(*status, head, body))]
    Refused {
        /// The HTTP status.
        status: u16,
        /// The lines that say what was asked.
        head: String,
        /// What it said.
        body: Vec<u8>,
    },
    /// No server said anything.
    #[error("{0}")]
    Unreachable(String),
    /// The call was to be told, not made.
    #[error("{0}")]
    Told(String),
    /// Our own settings do not allow a call.
    #[error("{}", .0.text)]
    Local(Failure),
}

impl CallError {
    /// The HTTP status of a refusal.
    pub fn status(&self) -> Option<u16> {
        if let Self::Refused { status, .. } = self { Some(*status) } else { None }
    }
    /// As a failure, with what was being done in front.
    pub fn during(self, doing: &str) -> Failure {
        Failure::from(self).during(doing)
    }
}

impl From<CallError> for Failure {
    fn from(error: CallError) -> Self {
        match error {
            CallError::Told(text) => Self::answer(text),
            CallError::Local(failure) => failure,
            other => Self::remote(other.to_string()),
        }
    }
}

/// A fault on the way, in the words Go's client has for the common ones.
pub fn unreachable(method: &str, url: &str, error: &ureq::Error) -> CallError {
    let verb = match method {
        "GET" => "Get",
        "PUT" => "Put",
        "POST" => "Post",
        "PATCH" => "Patch",
        "DELETE" => "Delete",
        other => other,
    };
    let host = route::host_and_port(url);
    let why = match error {
        ureq::Error::Io(error) if error.kind() == std::io::ErrorKind::ConnectionRefused => {
            format!("dial tcp {host}: connect: connection refused")
        }
        ureq::Error::HostNotFound => {
            format!("dial tcp: lookup {}: no such host", host.rsplit_once(':').map_or(host.as_str(), |(name, _)| name))
        }
        ureq::Error::Timeout(_) => "context deadline exceeded (the request may still be running at the server)".to_owned(),
        ureq::Error::Rustls(rustls::Error::InvalidMessage(_)) | ureq::Error::Rustls(rustls::Error::InappropriateMessage { .. }) => {
            let plain = format!("http://{host}");
            format!(
                "http: server gave HTTP response to HTTPS client\n\nThe server speaks plain HTTP. If that is meant:\n\n    export VAULT_ADDR='{plain}'"
            )
        }
        ureq::Error::Rustls(rustls::Error::InvalidCertificate(why)) => unverified(&why.to_string()),
        ureq::Error::Io(error) if error.to_string().contains("invalid peer certificate") => unverified(&error.to_string()),
        ureq::Error::Io(error) if url.starts_with("https://") && error.to_string().contains("InvalidContentType") => {
            format!(
                "http: server gave HTTP response to HTTPS client\n\nThe server speaks plain HTTP. If that is meant:\n\n    export VAULT_ADDR='http://{host}'"
            )
        }
        ureq::Error::Io(error) if error.to_string().contains("alert: CertificateRequired") => {
            "remote error: tls: certificate required\n\nThe server wants to know who you are: set VAULT_CLIENT_CERT and VAULT_CLIENT_KEY."
                .to_owned()
        }
        ureq::Error::Io(error) if error.to_string().contains("alert: UnknownCA") => {
            "remote error: tls: unknown certificate authority\n\nThe server does not trust who signed VAULT_CLIENT_CERT.".to_owned()
        }
        other => other.to_string(),
    };
    CallError::Unreachable(format!("{verb} {url:?}: {why}"))
}

fn unverified(why: &str) -> String {
    if why.contains("CaUsedAsEndEntity") {
        return "tls: failed to verify certificate: it is an authority's\n\nThe server shows the certificate of an authority as its own, as `openssl \
                req -x509` makes it. Make it with -addext basicConstraints=critical,CA:FALSE, or let an authority sign it."
            .to_owned();
    }
    format!("tls: failed to verify certificate: {why}")
}

fn refusal_text(status: u16, head: &str, body: &[u8]) -> String {
    let errors = serde_json::from_slice::<Value>(body).ok().and_then(|value| match value.get("errors") {
        Some(Value::Array(errors)) => {
            Some(errors.iter().map(|error| error.as_str().map_or_else(|| error.to_string(), str::to_owned)).collect::<Vec<_>>())
        }
        _ => None,
    });
    let mut text = format!("Error making API request.\n\n{head}Code: {status}. ");
    match errors {
        Some(errors) => {
            text.push_str("Errors:\n\n");
            let lines: Vec<String> = errors.iter().map(|error| format!("* {error}")).collect();
            text.push_str(&lines.join("\n"));
        }
        None => text.push_str(&format!("Raw Message:\n\n{}", String::from_utf8_lossy(body))),
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_authority_that_poses_as_a_server_is_explained() {
        let told = unverified("invalid peer certificate: Other(OtherError(CaUsedAsEndEntity))");
        assert!(told.starts_with("tls: failed to verify certificate: it is an authority's\n") && told.contains("CA:FALSE"), "{told}");
        assert_eq!(unverified("Expired"), "tls: failed to verify certificate: Expired");
    }

    #[test]
    fn refusals_read_as_scripts_expect_them() {
        let head = "URL: PUT http://a/v1/x\n";
        assert_eq!(
            refusal_text(403, head, br#"{"errors":["permission denied","other"]}"#),
            "Error making API request.\n\nURL: PUT http://a/v1/x\nCode: 403. Errors:\n\n* permission denied\n* other"
        );
        assert_eq!(
            refusal_text(502, head, b"<html>"),
            "Error making API request.\n\nURL: PUT http://a/v1/x\nCode: 502. Raw Message:\n\n<html>"
        );
    }
}
