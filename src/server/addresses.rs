//! Where this node listens and what it tells others: guessed from the listener where the operator says nothing.

use std::net::SocketAddr;

use super::config::{Config, ConfigError};

/// What this node is known by.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Addresses {
    /// URL of the API.
    pub api: String,
    /// `host:port` of the cluster's port.
    pub cluster: String,
    /// A word for the operator, if `api` is a guess that others may not be able to use.
    pub warning: Option<String>,
}

/// Where the cluster's port is bound: as configured, or the port after the first listener's.
///
/// # Errors
/// If the first listener's address has no port.
pub fn cluster_bind(config: &Config) -> Result<String, ConfigError> {
    let listener = config.listeners.first().ok_or_else(|| ConfigError::whole("at least one listener is required"))?;
    if let Some(address) = &listener.cluster_address {
        return Ok(address.clone());
    }
    let (host, port) = split(&listener.address)?;
    Ok(match port {
        0 => format!("{host}:0"),
        port => format!("{host}:{}", next(port)?),
    })
}

/// What to tell others, once the ports are bound.
///
/// # Errors
/// If an address is none.
pub fn advertised(config: &Config, api_bound: SocketAddr, cluster_bound: SocketAddr) -> Result<Addresses, ConfigError> {
    let listener = config.listeners.first().ok_or_else(|| ConfigError::whole("at least one listener is required"))?;
    let mut warning = None;
    let api = match &config.api_addr {
        Some(addr) if addr.starts_with("http://") || addr.starts_with("https://") => addr.trim_end_matches('/').to_owned(),
        Some(addr) => return Err(ConfigError::whole(format!("api_addr must be a URL such as https://10.0.0.1:8200, but is {addr:?}"))),
        None => {
            let scheme = if listener.tls.is_some() { "https" } else { "http" };
            let (host, _) = split(&listener.address)?;
            let host = match api_bound.ip().is_unspecified() {
                true => {
                    warning = Some("api_addr is not set and the listener has no address of its own: others are told 127.0.0.1".to_owned());
                    "127.0.0.1"
                }
                false => host,
            };
            format!("{scheme}://{host}:{}", api_bound.port())
        }
    };
    let cluster = match &config.cluster_addr {
        Some(addr) => {
            let bare = addr.split_once("://").map_or(addr.as_str(), |(_, rest)| rest).trim_end_matches('/');
            split(bare)
                .map_err(|_| ConfigError::whole(format!("cluster_addr must be a URL such as https://10.0.0.1:8201, but is {addr:?}")))?;
            bare.to_owned()
        }
        None => {
            let authority = api.split_once("://").map_or(api.as_str(), |(_, rest)| rest);
            let host = match authority.rsplit_once(':') {
                Some((host, port)) if port.parse::<u16>().is_ok() => host,
                _ => authority,
            };
            format!("{host}:{}", cluster_bound.port())
        }
    };
    Ok(Addresses { api, cluster, warning })
}

fn split(address: &str) -> Result<(&str, u16), ConfigError> {
    address
        .rsplit_once(':')
        .and_then(|(host, port)| Some((host, port.parse().ok()?)))
        .ok_or_else(|| ConfigError::whole(format!("{address:?} must be an address with a port, such as 127.0.0.1:8200")))
}

fn next(port: u16) -> Result<u16, ConfigError> {
    port.checked_add(1).ok_or_else(|| ConfigError::whole("there is no port after 65535 for the cluster: set cluster_address"))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::server::config::Listener;

    #[track_caller]
    fn check(address: &str, api_addr: Option<&str>, cluster_addr: Option<&str>, expected: (&str, &str)) {
        let config = Config {
            listeners: vec![Listener { address: address.to_owned(), ..Listener::default() }],
            api_addr: api_addr.map(str::to_owned),
            cluster_addr: cluster_addr.map(str::to_owned),
            ..Config::default()
        };
        let bound = address.replace("localhost", "127.0.0.1").parse().unwrap();
        let cluster = cluster_bind(&config).unwrap().replace("localhost", "127.0.0.1").parse().unwrap();
        let got = advertised(&config, bound, cluster).unwrap();
        assert_eq!((got.api.as_str(), got.cluster.as_str()), expected);
    }

    #[test]
    fn addresses_are_guessed_from_the_listener() {
        check("127.0.0.1:8200", None, None, ("http://127.0.0.1:8200", "127.0.0.1:8201"));
        check("localhost:8200", None, None, ("http://localhost:8200", "localhost:8201"));
        check("0.0.0.0:8200", None, None, ("http://127.0.0.1:8200", "127.0.0.1:8201"));
        check("0.0.0.0:8200", Some("https://a.example:443/"), None, ("https://a.example:443", "a.example:8201"));
        check("127.0.0.1:8200", None, Some("https://10.0.0.1:8201"), ("http://127.0.0.1:8200", "10.0.0.1:8201"));
    }
}
