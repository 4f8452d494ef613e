//! What a call is set up with: flags first, then the environment (`COFFER_X` before `VAULT_X`), then the default.
//!
//! Not here: the flags of single commands, where the token lies (`token_file`).

use std::time::Duration;

use super::args::{Flag, Parsed, switch};
use super::failure::Failure;
use crate::types::Ttl;

/// Flags of every command that speaks to a server.
pub const HTTP_FLAGS: &[Flag] = &[
    Flag::text("address", "Address of the server. VAULT_ADDR; default https://127.0.0.1:8200."),
    Flag::text("agent-address", "Address of an agent, before -address. VAULT_AGENT_ADDR."),
    Flag::text("ca-cert", "PEM file with the certificates to trust. VAULT_CACERT."),
    Flag::text("ca-path", "Folder of PEM files to trust. VAULT_CAPATH."),
    Flag::text("client-cert", "PEM file with this client's certificate. VAULT_CLIENT_CERT."),
    Flag::text("client-key", "PEM file with the key of -client-cert. VAULT_CLIENT_KEY."),
    Flag::switch("tls-skip-verify", "Do not verify the server's certificate. VAULT_SKIP_VERIFY."),
    Flag::text("tls-server-name", "Name to expect in the server's certificate. VAULT_TLS_SERVER_NAME."),
    Flag::text("namespace", "Namespace to work in. VAULT_NAMESPACE.").or("ns"),
    Flag::time("wrap-ttl", "Wrap the answer in a one-time token of this lifetime. VAULT_WRAP_TTL."),
    Flag::pairs("header", "A further header to send, name=value; repeatable."),
    Flag::list("mfa", "A credential for multi-factor authentication; repeatable. VAULT_MFA."),
    Flag::switch("policy-override", "Override soft-mandatory policies."),
    Flag::switch("disable-redirects", "Do not follow a redirect. VAULT_DISABLE_REDIRECTS."),
    Flag::switch("non-interactive", "Never ask on the terminal."),
    Flag::text("unlock-key", "Key to unlock the API of a namespace."),
    Flag::switch("output-curl-string", "Print the curl call instead of making it."),
    Flag::switch("output-policy", "Print the policy the call needs instead of making it."),
];

/// The flag of every command with structured output.
pub const FORMAT_FLAGS: &[Flag] = &[
    Flag::text("format", "Form of the output: table, json, yaml or pretty. VAULT_FORMAT; default table."),
    Flag::switch("detailed", "Print more columns, where a list has them. VAULT_DETAILED."),
];

/// The flag of every command that prints one secret.
pub const FIELD_FLAGS: &[Flag] = &[Flag::text("field", "Print only this field, without a line end if not to a terminal.")];

/// Reads a setting of the environment: ours first, then Vault's. Empty is not set.
pub fn environment(name: &str) -> Option<String> {
    ["COFFER", "VAULT"].iter().find_map(|prefix| std::env::var(format!("{prefix}_{name}")).ok().filter(|value| !value.is_empty()))
}

/// Whether a setting of the environment is switched on.
pub fn is_set(name: &str) -> bool {
    environment(name).as_deref().and_then(switch).unwrap_or(false)
}

/// How the output is printed.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Format {
    /// For people.
    Table,
    /// For programs.
    Json,
    /// For programs and people.
    Yaml,
    /// Like a table, nested.
    Pretty,
    /// The body as it came.
    Raw,
}

impl Format {
    /// Reads a format from the flag or the environment.
    ///
    /// # Errors
    /// If nobody knows the format.
    pub fn read(parsed: &Parsed) -> Result<Self, Failure> {
        let text = parsed.text("format").map(str::to_owned).or_else(|| environment("FORMAT")).unwrap_or_else(|| "table".to_owned());
        match text.to_lowercase().as_str() {
            "table" => Ok(Self::Table),
            "json" => Ok(Self::Json),
            "yaml" | "yml" => Ok(Self::Yaml),
            "pretty" => Ok(Self::Pretty),
            "raw" => Ok(Self::Raw),
            _ => Err(Failure::local(format!("Invalid output format: {text}"))),
        }
    }
}

/// How a server is reached.
#[derive(Clone, Debug)]
pub struct Connection {
    /// Scheme, host and port, without a slash at the end.
    pub address: String,
    /// File of certificates to trust.
    pub ca_cert: Option<String>,
    /// The same as text.
    pub ca_cert_text: Option<String>,
    /// Folder of certificates to trust.
    pub ca_path: Option<String>,
    /// This client's certificate and key.
    pub client_cert: Option<(String, String)>,
    /// Whether any certificate will do.
    pub skip_verify: bool,
    /// The name to expect in the certificate, if not the host's.
    pub server_name: Option<String>,
    /// The proxy to go through.
    pub proxy: Option<String>,
    /// How long one call may take.
    pub timeout: Duration,
    /// How often a call is made again after a server's fault.
    pub retries: u32,
    /// Whether redirects are left alone.
    pub ignores_redirects: bool,
    /// The namespace to work in.
    pub namespace: Option<String>,
    /// The lifetime of the wrapping token, as it goes into the header.
    pub wrap_ttl: Option<String>,
    /// Further headers.
    pub headers: Vec<(String, String)>,
}

impl Connection {
    /// Gathers all settings.
    ///
    /// # Errors
    /// If a setting has a value of the wrong kind, or a header is ours to send.
    pub fn read(parsed: &Parsed) -> Result<Self, Failure> {
        let either = |flag: &str, name: &str| parsed.text(flag).map(str::to_owned).or_else(|| environment(name));
        let on = |flag: &str, name: &str| if parsed.has(flag) { parsed.is(flag) } else { is_set(name) };
        let address = either("agent-address", "AGENT_ADDR")
            .or_else(|| either("address", "ADDR"))
            .unwrap_or_else(|| "https://127.0.0.1:8200".to_owned());
        if address.starts_with("unix:") {
            return Err(Failure::local(format!("addresses of sockets are not available: {address}")));
        }
        let address = if address.contains("://") { address } else { format!("https://{address}") };
        let timeout = match environment("CLIENT_TIMEOUT") {
            Some(text) => {
                Ttl::parse(&text).map_err(|_| Failure::local(format!("could not parse {text:?}: not a length of time")))?.duration()
            }
            None => Duration::from_secs(60),
        };
        let retries = match environment("MAX_RETRIES") {
            Some(text) => text.parse().map_err(|_| Failure::local(format!("could not parse {text:?}: not a whole number")))?,
            None => 0,
        };
        let mut headers: Vec<(String, String)> = Vec::new();
        for (name, value) in parsed.pairs("header") {
            if name.to_lowercase().starts_with("x-vault-") {
                let text = format!("failed to setup Headers[{name}]: Header starting by 'X-Vault-' are for internal usage only");
                return Err(Failure::local(text));
            }
            headers.push((name.to_owned(), value.to_owned()));
        }
        let mfa = if parsed.has("mfa") { parsed.list("mfa").to_vec() } else { environment("MFA").into_iter().collect() };
        headers.extend(mfa.iter().flat_map(|list| list.split(',')).map(|one| ("X-Vault-MFA".to_owned(), one.to_owned())));
        if parsed.is("policy-override") {
            headers.push(("X-Vault-Policy-Override".to_owned(), "true".to_owned()));
        }
        let key = either("client-key", "CLIENT_KEY");
        let client_cert = either("client-cert", "CLIENT_CERT").map(|cert| (cert.clone(), key.unwrap_or(cert)));
        Ok(Self {
            address: address.trim_end_matches('/').to_owned(),
            ca_cert: either("ca-cert", "CACERT"),
            ca_cert_text: environment("CACERT_BYTES"),
            ca_path: either("ca-path", "CAPATH"),
            client_cert,
            skip_verify: on("tls-skip-verify", "SKIP_VERIFY"),
            server_name: either("tls-server-name", "TLS_SERVER_NAME"),
            proxy: environment("PROXY_ADDR").or_else(|| environment("HTTP_PROXY")),
            timeout,
            retries,
            ignores_redirects: on("disable-redirects", "DISABLE_REDIRECTS"),
            namespace: either("namespace", "NAMESPACE").map(|path| path.trim_matches('/').to_owned()).filter(|path| !path.is_empty()),
            wrap_ttl: parsed.time("wrap-ttl").map(|ttl| format!("{}s", ttl.0)).or_else(|| environment("WRAP_TTL")),
            headers,
        })
    }
}
