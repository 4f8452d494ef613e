//! One client of whichever system: what the load does, in that system's words.

use super::etcd_client::EtcdClient;
use super::plan::{Plan, Target};
use super::vault_client::VaultClient;

/// A connection, ready for its next request.
pub enum Client {
    Vault(VaultClient),
    Etcd(EtcdClient),
}

/// Why a request did not succeed.
#[derive(Clone, Debug, PartialEq)]
pub enum Failure {
    /// The server said so.
    Answer(String),
    /// There was no answer: whether it was carried out is not known.
    Broken(String),
}

/// What a key holds.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Found {
    pub attempt: u64,
    pub versions: u64,
}

impl Client {
    pub async fn connect(plan: &Plan) -> anyhow::Result<Self> {
        Ok(match &plan.target {
            Target::Vault { address, token } => Self::Vault(VaultClient::connect(address, token, plan).await?),
            Target::Etcd { address } => Self::Etcd(EtcdClient::connect(address, plan.value_bytes).await?),
        })
    }

    pub async fn reconnect(&mut self) -> anyhow::Result<()> {
        match self {
            Self::Vault(client) => client.reconnect().await,
            // The channel connects by itself.
            Self::Etcd(_) => Ok(()),
        }
    }

    pub async fn write(&mut self, key: u32, attempt: u64) -> Result<(), Failure> {
        match self {
            Self::Vault(client) => client.write(key, attempt).await,
            Self::Etcd(client) => client.write(key, attempt).await,
        }
    }

    /// A read for speed.
    pub async fn touch(&mut self, key: u32, value_bytes: usize) -> Result<(), Failure> {
        match self {
            Self::Vault(client) => client.touch(key, value_bytes).await,
            Self::Etcd(client) => client.read(key).await.map(|_| ()),
        }
    }

    /// A read for truth.
    pub async fn read(&mut self, key: u32) -> Result<Option<Found>, Failure> {
        match self {
            Self::Vault(client) => client.read(key).await,
            Self::Etcd(client) => client.read(key).await,
        }
    }

    /// The plan's own request; the token in the answer.
    pub async fn call(&mut self) -> Result<Option<String>, Failure> {
        match self {
            Self::Vault(client) => client.call().await,
            Self::Etcd(_) => Err(Failure::Answer("etcd has no such request".into())),
        }
    }
}
