//! The flags of `coffer server`, in Go's way: one dash or two, `-flag=value` or `-flag value`.

use std::path::PathBuf;

/// What was asked for on the command line.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Args {
    /// `-config`, repeatable: files and folders.
    pub config: Vec<PathBuf>,
    /// `-dev`.
    pub dev: bool,
    /// `-dev-root-token-id`.
    pub dev_root_token: Option<String>,
    /// `-dev-listen-address`.
    pub dev_listen_address: Option<String>,
    /// `-dev-no-store-token`.
    pub dev_no_store_token: bool,
    /// `-dev-no-kv`.
    pub dev_no_kv: bool,
    /// `-dev-kv-v1`.
    pub dev_kv_v1: bool,
    /// `-dev-tls`.
    pub dev_tls: bool,
    /// `-dev-tls-cert-dir`: where the certificates of dev mode go.
    pub dev_tls_cert_dir: Option<PathBuf>,
    /// `-log-level`.
    pub log_level: Option<String>,
    /// `-log-format`.
    pub log_format: Option<String>,
    /// `-log-file`.
    pub log_file: Option<PathBuf>,
    /// `-help`.
    pub help: bool,
}

/// Flags with a value that are taken and change nothing.
const IGNORED_VALUES: &[&str] = &[
    "experiment",
    "log-rotate-bytes",
    "log-rotate-duration",
    "log-rotate-max-files",
    "dev-plugin-dir",
    "dev-latency",
    "dev-latency-jitter",
];
/// Flags without a value that are taken and change nothing.
const IGNORED: &[&str] = &["exit-on-core-shutdown", "combine-logs", "disable-gated-logs", "dev-ha", "dev-transactional", "dev-plugin-init"];
/// Flags that we do not offer, and what to do instead: better said than ignored.
const REFUSED: &[(&str, &str)] = &[
    ("recovery", "unseal keys cannot be recovered without the shares"),
    ("dev-three-node", "start three servers whose storage stanzas name each other in retry_join"),
    ("dev-four-cluster", "start several servers, and join them by replication as docs/replication.md says"),
    ("dev-auto-seal", "only Shamir seals are there yet"),
    ("dev-skip-init", "start a server with -config: it waits for `operator init`"),
    ("dev-leased-kv", "secrets of the key-value engine have no leases"),
    ("dev-cluster-json", "addresses of the cluster are printed at the start"),
];

/// What `coffer server -help` prints.
pub const HELP: &str = "\
Usage: coffer server [options]

  Starts a server. Outside dev mode it needs a configuration:

      $ coffer server -config=/etc/coffer/config.hcl

  In dev mode it keeps nothing, is initialized and unsealed, and mounts a
  key-value engine at secret/:

      $ coffer server -dev -dev-root-token-id=root

Options:

  -config=<path>              File (.hcl, .json) or folder of files. Repeatable.
  -log-level=<level>          trace, debug, info, warn or error.
  -log-format=<format>        standard or json.
  -log-file=<path>            Write log lines here.
  -dev                        Dev mode.
  -dev-root-token-id=<token>  The root token of dev mode. Also VAULT_DEV_ROOT_TOKEN_ID.
  -dev-listen-address=<addr>  Where dev mode listens (127.0.0.1:8200). Also VAULT_DEV_LISTEN_ADDRESS.
  -dev-no-store-token         Do not write the root token to ~/.vault-token.
  -dev-no-kv                  Do not mount secret/.
  -dev-kv-v1                  Mount version 1 of the key-value engine at secret/.
  -dev-tls                    Listen with TLS, with a certificate of an authority made for it.
  -dev-tls-cert-dir=<path>    Put the certificates of -dev-tls into this folder.
";

impl Args {
    /// Reads the flags after `server`.
    ///
    /// # Errors
    /// With a text for the operator.
    pub fn parse(args: impl IntoIterator<Item = String>) -> Result<Self, String> {
        let mut out = Self::default();
        let mut args = args.into_iter();
        while let Some(arg) = args.next() {
            let Some(flag) = arg.strip_prefix("--").or_else(|| arg.strip_prefix('-')) else {
                return Err(format!("unexpected argument {arg:?}: server takes flags only"));
            };
            let (name, inline) = match flag.split_once('=') {
                Some((name, value)) => (name, Some(value.to_owned())),
                None => (flag, None),
            };
            let is_on = match inline.as_deref() {
                None => Ok(true),
                Some(text) => truth(text).ok_or_else(|| format!("invalid boolean value {text:?} for -{name}")),
            };
            let mut value = || inline.clone().or_else(|| args.next()).ok_or_else(|| format!("flag needs an argument: -{name}"));
            match name {
                "config" => out.config.push(value()?.into()),
                "log-level" => out.log_level = Some(value()?),
                "log-format" => out.log_format = Some(value()?),
                "log-file" => out.log_file = Some(value()?.into()),
                "dev-root-token-id" => out.dev_root_token = Some(value()?),
                "dev-listen-address" => out.dev_listen_address = Some(value()?),
                "dev" => out.dev = is_on?,
                "dev-no-store-token" => out.dev_no_store_token = is_on?,
                "dev-no-kv" => out.dev_no_kv = is_on?,
                "dev-kv-v1" => out.dev_kv_v1 = is_on?,
                "dev-tls" => out.dev_tls = is_on?,
                "dev-tls-cert-dir" => out.dev_tls_cert_dir = Some(value()?.into()),
                "h" | "help" => out.help = true,
                _ if IGNORED.contains(&name) => {}
                _ if IGNORED_VALUES.contains(&name) => drop(value()?),
                _ => match REFUSED.iter().find(|(refused, _)| *refused == name) {
                    Some((_, instead)) => return Err(format!("-{name} is not supported: {instead}")),
                    None => return Err(format!("flag provided but not defined: -{name}")),
                },
            }
        }
        // These make no sense without dev mode, so they ask for it, as in Vault.
        out.dev |= out.dev_tls || out.dev_kv_v1;
        Ok(out)
    }

    /// Adds what the environment says of dev mode; flags win.
    pub fn with_environment(mut self, env: &dyn Fn(&str) -> Option<String>) -> Self {
        self.dev_root_token = self.dev_root_token.or_else(|| env("VAULT_DEV_ROOT_TOKEN_ID"));
        self.dev_listen_address = self.dev_listen_address.or_else(|| env("VAULT_DEV_LISTEN_ADDRESS"));
        self
    }
}

/// Reads a boolean flag's value.
fn truth(text: &str) -> Option<bool> {
    match text {
        "1" | "t" | "T" | "true" | "TRUE" | "True" => Some(true),
        "0" | "f" | "F" | "false" | "FALSE" | "False" => Some(false),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parse(args: &[&str]) -> Result<Args, String> {
        Args::parse(args.iter().map(|arg| (*arg).to_owned()))
    }

    #[test]
    fn flags_are_read_in_all_their_forms() {
        let expected = Args { config: vec!["a.hcl".into(), "b".into()], dev: true, dev_root_token: Some("root".into()), ..Args::default() };
        assert_eq!(parse(&["-config=a.hcl", "-config", "b", "-dev", "-dev-root-token-id=root"]), Ok(expected.clone()));
        assert_eq!(parse(&["--config=a.hcl", "--config=b", "-dev=true", "-dev-root-token-id", "root", "-dev-ha"]), Ok(expected));
        assert_eq!(parse(&["-dev=false"]).map(|args| args.dev), Ok(false));
        let tls = parse(&["-dev-tls", "-dev-tls-cert-dir=certs"]).unwrap();
        assert!(tls.dev && tls.dev_tls && tls.dev_tls_cert_dir == Some("certs".into()));
    }

    #[test]
    fn mistakes_are_told() {
        for (args, part) in [
            (&["-config"][..], "needs an argument"),
            (&["-nope"], "not defined: -nope"),
            (&["start"], "unexpected argument"),
            (&["-dev=maybe"], "invalid boolean"),
            (&["-recovery"], "not supported"),
            (&["-dev", "-dev-three-node"], "-dev-three-node is not supported: start three servers"),
        ] {
            let error = parse(args).unwrap_err();
            assert!(error.contains(part), "{error}");
        }
    }
}
