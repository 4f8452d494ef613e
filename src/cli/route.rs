//! How a path becomes a URL, and how a URL becomes an address.
//!
//! Encoding follows Go's client, so that the URL in an error reads the same.
//! Not here: making the call (`client`).

use std::net::IpAddr;

use ureq::Agent;
use ureq::config::Config;
use ureq::http::Uri;
use ureq::unversioned::resolver::{DefaultResolver, ResolvedSocketAddrs, Resolver};
use ureq::unversioned::transport::{DefaultConnector, NextTimeout};

/// Encodes a path, leaving its slashes.
pub fn encode_path(path: &str) -> String {
    encode(path, b"-_.~$&+,/:;=@")
}

/// Encodes the parameters of a query, sorted by name as Go does.
pub fn encode_query(pairs: &[(String, String)]) -> String {
    let mut sorted: Vec<&(String, String)> = pairs.iter().collect();
    sorted.sort_by(|a, b| a.0.cmp(&b.0));
    let parts: Vec<String> = sorted.iter().map(|(name, value)| format!("{}={}", encode(name, b"-_.~"), encode(value, b"-_.~"))).collect();
    parts.join("&")
}

fn encode(text: &str, plain: &[u8]) -> String {
    let mut out = String::with_capacity(text.len());
    for byte in text.bytes() {
        if byte.is_ascii_alphanumeric() || plain.contains(&byte) {
            out.push(char::from(byte));
        } else {
            out.push_str(&format!("%{byte:02X}"));
        }
    }
    out
}

/// A path as a user may type it: no blanks around, no slashes at the ends.
pub fn clean_path(path: &str) -> String {
    path.trim().trim_matches('/').to_owned()
}

/// A path of a mount: as [`clean_path`], with a slash at the end.
pub fn mount_path(path: &str) -> String {
    format!("{}/", clean_path(path))
}

/// Scheme, host and port of a URL.
pub fn origin(url: &str) -> String {
    let after_scheme = url.find("://").map_or(0, |at| at + 3);
    let end = url[after_scheme..].find('/').map_or(url.len(), |at| after_scheme + at);
    url[..end].to_owned()
}

/// Host and port of a URL.
pub fn host_and_port(url: &str) -> String {
    let origin = origin(url);
    let (scheme, host) = origin.split_once("://").unwrap_or(("https", &origin));
    let has_port = host.rsplit_once(':').is_some_and(|(_, port)| !port.is_empty() && port.bytes().all(|byte| byte.is_ascii_digit()));
    if has_port { host.to_owned() } else { format!("{host}:{}", if scheme == "http" { 80 } else { 443 }) }
}

/// Whether a host is this machine: no proxy is asked for it.
pub fn is_loopback(host: &str) -> bool {
    let bare = host.trim_start_matches('[').trim_end_matches(']');
    bare == "localhost" || bare.parse::<IpAddr>().is_ok_and(|ip| ip.is_loopback())
}

/// An agent that connects to `real` whatever host a URL names: so a certificate can be checked against another name.
pub fn pinned_agent(config: Config, real: Uri) -> Agent {
    Agent::with_parts(config, DefaultConnector::new(), Pinned { real, resolver: DefaultResolver::default() })
}

#[derive(Debug)]
struct Pinned {
    real: Uri,
    resolver: DefaultResolver,
}

impl Resolver for Pinned {
    fn resolve(&self, _uri: &Uri, config: &Config, timeout: NextTimeout) -> Result<ResolvedSocketAddrs, ureq::Error> {
        self.resolver.resolve(&self.real, config, timeout)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn paths_are_encoded_as_go_does() {
        assert_eq!(encode_path("secret/a b/ü?x#y%z:=@"), "secret/a%20b/%C3%BC%3Fx%23y%25z:=@");
        let pairs = [("version".to_owned(), "1 2".to_owned()), ("a".to_owned(), "&".to_owned())];
        assert_eq!(encode_query(&pairs), "a=%26&version=1%202");
    }

    #[test]
    fn addresses_are_taken_apart() {
        assert_eq!(origin("https://h:1/v1/x"), "https://h:1");
        assert_eq!(host_and_port("https://h/v1/x"), "h:443");
        assert_eq!(host_and_port("http://[::1]:8200"), "[::1]:8200");
        assert!(is_loopback("localhost") && is_loopback("127.0.0.1") && !is_loopback("10.0.0.1"));
        assert_eq!(mount_path("/kv/"), "kv/");
    }
}
