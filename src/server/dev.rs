//! Dev mode: a cluster of one in a folder that goes when the server does, initialized, unsealed, and open about its secrets.

use std::io::Write;
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};
use std::time::Duration;

use anyhow::{Context, bail};

use super::args::Args;
use super::config::{Config, Listener, Storage, Tls};
use super::dev_tls::DevTls;
use crate::core::seal::{InitRequest, UnsealRequest};
use crate::core::{Core, Standing};
use crate::types::Secret;

/// How long the server may take to become active.
const ACTIVE_TIMEOUT: Duration = Duration::from_secs(30);

/// A folder that is removed when this is dropped.
#[derive(Debug)]
pub struct DevFolder(PathBuf);

impl DevFolder {
    /// A new one.
    ///
    /// # Errors
    /// If there is no room for it.
    pub fn make() -> std::io::Result<Self> {
        let path = std::env::temp_dir().join(format!("coffer-dev-{}", uuid::Uuid::new_v4().simple()));
        std::os::unix::fs::DirBuilderExt::mode(&mut std::fs::DirBuilder::new(), 0o700).create(&path)?;
        Ok(Self(path))
    }
}

impl Drop for DevFolder {
    fn drop(&mut self) {
        let _ = std::fs::remove_dir_all(&self.0);
    }
}

/// What dev mode leaves behind nowhere: dropped, it is gone.
#[derive(Debug)]
pub struct DevMode {
    folder: DevFolder,
    /// The certificates, where they were asked for.
    pub tls: Option<DevTls>,
}

impl DevMode {
    /// Makes what `args` ask for.
    ///
    /// # Errors
    /// If a folder or a certificate cannot be made.
    pub fn make(args: &Args) -> anyhow::Result<Self> {
        let folder = DevFolder::make().context("make a folder for dev mode")?;
        let tls = match args.dev_tls {
            true => Some(DevTls::make(args.dev_tls_cert_dir.as_deref().unwrap_or(&folder.0), listen_address(args))?),
            false => None,
        };
        Ok(Self { folder, tls })
    }

    /// Changes `config` to what dev mode is.
    pub fn configure(&self, config: &mut Config, args: &Args) {
        let tls = self.tls.as_ref().map(|tls| Tls {
            cert_file: tls.cert_file.clone(),
            key_file: tls.key_file.clone(),
            only_tls13: false,
            client_ca_file: None,
            require_client_cert: false,
        });
        config.listeners.insert(0, Listener { address: listen_address(args).to_owned(), tls, ..Listener::default() });
        config.storage = Some(Storage {
            path: self.folder.0.join("data"),
            node_id: Some("dev".to_owned()),
            retry_join: Vec::new(),
            joins_without_vote: false,
            performance_multiplier: 1,
            snapshot_threshold: None,
            trailing_logs: None,
        });
        config.ui = true;
    }
}

fn listen_address(args: &Args) -> &str {
    args.dev_listen_address.as_deref().unwrap_or("127.0.0.1:8200")
}

/// The version of the key-value engine at `secret/`, if there is to be one.
pub fn kv_version(args: &Args) -> Option<&'static str> {
    match (args.dev, args.dev_no_kv, args.dev_kv_v1) {
        (false, _, _) | (_, true, _) => None,
        (_, _, true) => Some("1"),
        (_, _, false) => Some("2"),
    }
}

/// What the operator is shown.
pub struct Opened {
    /// The only unseal share, in base64.
    pub unseal_key: String,
    /// The root token.
    pub root_token: String,
}

/// Initializes and unseals, and waits until the node serves.
///
/// # Errors
/// If any of it fails.
pub async fn open(core: &Core, root_token: Option<&str>) -> anyhow::Result<Opened> {
    if root_token.is_some_and(|token| token.trim().is_empty() || token.contains(char::is_whitespace)) {
        bail!("the root token of dev mode must not contain blanks");
    }
    let request = InitRequest {
        secret_shares: 1,
        secret_threshold: 1,
        root_token_id: root_token.map(|token| Secret::new(token.to_owned())),
        ..InitRequest::default()
    };
    let answer = core.seal().init(request).await.context("initialize")?;
    let share = answer.keys.first().context("init gave no share")?;
    core.seal().unseal(UnsealRequest { key: Some(share.clone()), ..UnsealRequest::default() }).await.context("unseal")?;
    let mut standing = core.lifecycle().follow_standing();
    let active = standing.wait_for(|standing| *standing == Standing::Active);
    match tokio::time::timeout(ACTIVE_TIMEOUT, active).await {
        Ok(Ok(_)) => {}
        _ => bail!("the server did not become active"),
    }
    core.replication().set_dev_root_token(Secret::new(answer.root_token.clone()));
    let unseal_key = answer.keys_base64.first().cloned().unwrap_or_default();
    Ok(Opened { unseal_key, root_token: answer.root_token.clone() })
}

/// Stores the root token where command lines look for it. It was there before in dev mode's name: the last one wins.
///
/// # Errors
/// If it cannot be written.
pub fn store_token(home: &Path, token: &str) -> std::io::Result<()> {
    let path = home.join(".vault-token");
    let beside = home.join(format!(".vault-token.{}", std::process::id()));
    let mut file = std::fs::OpenOptions::new().create(true).write(true).truncate(true).mode(0o600).open(&beside)?;
    file.write_all(token.as_bytes())?;
    file.sync_all()?;
    std::fs::rename(beside, path)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_folder_goes_with_the_server() {
        let folder = DevFolder::make().unwrap();
        let path = folder.0.clone();
        std::fs::write(path.join("a"), "b").unwrap();
        drop(folder);
        assert!(!path.exists());
    }

    #[test]
    fn the_token_file_is_for_the_owner_only() {
        use std::os::unix::fs::PermissionsExt;
        let home = tempfile::tempdir().unwrap();
        store_token(home.path(), "t").unwrap();
        let file = home.path().join(".vault-token");
        assert_eq!(std::fs::read_to_string(&file).unwrap(), "t");
        assert_eq!(file.metadata().unwrap().permissions().mode() & 0o777, 0o600);
    }
}
