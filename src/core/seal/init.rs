//! Bringing a cluster into being: its keys, its authority, its first rows in one entry of a new log.

use std::fmt;
use std::sync::Arc;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use serde::{Deserialize, Serialize};

use super::super::cluster_identity::ClusterIdentity;
use super::super::keys;
use super::super::{RootKey, WriteError};
use super::stored::{SealConfig, UnsealKey};
use super::{Seal, SealError};
use crate::barrier::{Keyring, Txn};
use crate::crypto::aead::KEY_BYTES;
use crate::crypto::cert::{Authority, Peer};
use crate::crypto::{entropy, shamir};
use crate::engine::EngineError;
use crate::machine::{Command, Outcome};
use crate::types::limits::COMMIT_TIMEOUT;
use crate::types::{Secret, Timestamp};

/// What the other parts of the core write into a new cluster's first entry.
pub trait FirstRows: Send + Sync + 'static {
    /// The mounts that every cluster has.
    ///
    /// # Errors
    /// If they cannot be written.
    fn mounts(&self, txn: &mut Txn, now: Timestamp) -> Result<(), EngineError>;
    /// A new root token: with this id in dev mode, or `hvs.` and 24 random characters.
    ///
    /// # Errors
    /// If it cannot be written.
    fn root_token(&self, txn: &mut Txn, now: Timestamp, id: Option<&Secret<String>>) -> Result<Secret<String>, EngineError>;
}

/// `POST sys/init`.
#[derive(Clone, Default, Deserialize)]
#[serde(default)]
pub struct InitRequest {
    /// How many shares to make.
    pub secret_shares: i64,
    /// How many of them unseal.
    pub secret_threshold: i64,
    /// Not supported.
    pub pgp_keys: Option<Vec<String>>,
    /// Not supported.
    pub root_token_pgp_key: Option<String>,
    /// Of auto-unseal: refused.
    pub recovery_shares: Option<i64>,
    /// Of auto-unseal: refused.
    pub recovery_threshold: Option<i64>,
    /// Of auto-unseal: refused.
    pub recovery_pgp_keys: Option<Vec<String>>,
    /// Accepted, without meaning.
    pub stored_shares: Option<i64>,
    /// Dev mode only: the root token to make.
    #[serde(skip)]
    pub root_token_id: Option<Secret<String>>,
}

impl fmt::Debug for InitRequest {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "InitRequest({} of {})", self.secret_threshold, self.secret_shares)
    }
}

/// What is shown once and kept nowhere.
#[derive(Clone, Serialize)]
pub struct InitAnswer {
    /// The shares, in hexadecimal.
    pub keys: Vec<String>,
    /// The shares, in base64.
    pub keys_base64: Vec<String>,
    /// The root token.
    pub root_token: String,
}

impl fmt::Debug for InitAnswer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("InitAnswer(***)")
    }
}

impl InitRequest {
    fn checked(&self) -> Result<SealConfig, SealError> {
        let recovery = [
            ("recovery_shares", self.recovery_shares.is_some_and(|n| n != 0)),
            ("recovery_threshold", self.recovery_threshold.is_some_and(|n| n != 0)),
            ("recovery_pgp_keys", self.recovery_pgp_keys.as_ref().is_some_and(|keys| !keys.is_empty())),
        ];
        let given: Vec<&str> = recovery.into_iter().filter(|(_, given)| *given).map(|(name, _)| name).collect();
        if !given.is_empty() {
            return Err(SealError::Invalid(format!("parameters {} not applicable to seal type shamir", given.join(","))));
        }
        let config = SealConfig::checked(self.secret_shares, self.secret_threshold)
            .map_err(|text| SealError::Invalid(format!("invalid seal configuration: {text}")))?;
        if let Some(keys) = self.pgp_keys.as_ref().filter(|keys| !keys.is_empty()) {
            if keys.len() != usize::from(config.secret_shares) {
                return Err(SealError::invalid(
                    "invalid seal configuration: count mismatch between number of provided PGP keys and number of shares",
                ));
            }
            return Err(SealError::invalid("pgp_keys are not supported by this server"));
        }
        if self.root_token_pgp_key.as_ref().is_some_and(|key| !key.is_empty()) {
            return Err(SealError::invalid("root_token_pgp_key is not supported by this server"));
        }
        Ok(config)
    }
}

/// Shares as they are shown: in hexadecimal and in base64.
pub(super) fn shown(shares: &[Secret<Vec<u8>>]) -> (Vec<String>, Vec<String>) {
    let hex = shares.iter().map(|share| hex::encode(share.expose())).collect();
    (hex, shares.iter().map(|share| STANDARD.encode(share.expose())).collect())
}

impl Seal {
    /// Brings the cluster into being, with this node as its only member, which stays sealed.
    ///
    /// # Errors
    /// If it exists already, the request does not fit, or the log cannot be written.
    pub async fn init(&self, request: InitRequest) -> Result<InitAnswer, SealError> {
        let _turn = if bug!(165) { None } else { Some(self.turn.lock().await) };
        if self.is_initialized() {
            return Err(SealError::invalid("Vault is already initialized"));
        }
        let config = request.checked()?;
        let (source, now) = (self.ctx.entropy.as_ref(), self.ctx.now());

        let unseal_key = UnsealKey::fresh(source);
        let shares = shamir::split(source, unseal_key.expose(), config.secret_shares, config.secret_threshold)
            .map_err(|error| SealError::Failed(error.to_string()))?;
        let root = RootKey::new(entropy::random_secret(source, KEY_BYTES)).map_err(|error| SealError::Failed(error.to_string()))?;
        let keyring = Arc::new(Keyring::first(source, now));
        let cluster = ClusterIdentity::fresh(source, self.cluster_name.as_deref());

        let authority = Authority::create(&cluster.id, now).map_err(|error| SealError::Failed(error.to_string()))?;
        let mine = authority.issue(&Peer::Node(self.me.name.clone()), now, self.identity.life());
        let mine = mine.map_err(|error| SealError::Failed(error.to_string()))?;
        self.identity.store(mine).map_err(|error| SealError::Failed(format!("failed to store this node's identity: {error}")))?;
        self.found_group().await?;

        let mut txn = Txn::new(self.ctx.store.reader(), keyring.clone(), self.ctx.entropy.clone());
        if txn.exists(&keys::seal_config()).map_err(WriteError::from)? {
            return Err(SealError::invalid("Vault is already initialized"));
        }
        txn.put_raw(keys::seal_config(), config.row());
        txn.put_raw(keys::root_key(), unseal_key.root_key_row(source, &root));
        txn.put_raw(keys::keyring(), keyring.encrypt(&root.cipher, source).into());
        txn.put(keys::join_key(), unseal_key.join_key());
        txn.put(keys::cluster_identity(), cluster.row());
        let authority = serde_json::to_vec(&authority).expect("texts are JSON");
        txn.put(keys::cluster_ca(), Secret::new(authority));
        self.first_rows.mounts(&mut txn, now)?;
        let root_token = self.first_rows.root_token(&mut txn, now, request.root_token_id.as_ref())?;

        failpoint!("init-commit.before", SealError::failed("told to fail"));
        match self.ctx.raft.propose(&Command::Write(txn.into_batch(now))).await.map_err(WriteError::from)? {
            Outcome::Committed(_) => {}
            Outcome::Conflict(_) => return Err(SealError::invalid("Vault is already initialized")),
            Outcome::Refused(refusal) => return Err(WriteError::Refused(refusal).into()),
        }
        failpoint!("init-commit.after", SealError::failed("told to fail"));
        tracing::info!(cluster_id = cluster.id, shares = config.secret_shares, threshold = config.secret_threshold, "cluster initialized");
        self.announce();
        let (hex, base64) = shown(&shares);
        Ok(InitAnswer { keys: hex, keys_base64: base64, root_token: root_token.expose().clone() })
    }

    /// Starts the Raft group and waits until this node leads it.
    async fn found_group(&self) -> Result<(), SealError> {
        self.ctx.raft.bootstrap(self.me.clone()).await.map_err(|error| SealError::Failed(error.to_string()))?;
        let mut status = self.ctx.raft.status();
        let led = tokio::time::timeout(COMMIT_TIMEOUT, status.wait_for(|status| status.is_leader)).await;
        match led {
            Ok(Ok(_)) => Ok(()),
            _ => Err(SealError::failed("the new Raft group has no leader")),
        }
    }
}
