//! What this node proves itself with in its cluster: kept in its data folder, outside the replicated state, because a sealed node
//! takes part in Raft too.

use std::fmt;
use std::fs;
use std::io::{self, Write};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use tokio::sync::watch;

use crate::crypto::cert::{Identity, NODE_LIFE};
use crate::types::Ttl;

const FILE: &str = "node-identity.json";

/// This node's certificate and key. Listener and clients follow [`NodeIdentity::subscribe`].
pub struct NodeIdentity {
    file: Option<PathBuf>,
    life: Ttl,
    current: watch::Sender<Option<Arc<Identity>>>,
}

impl fmt::Debug for NodeIdentity {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("NodeIdentity")
    }
}

impl NodeIdentity {
    /// Kept in `folder`, which exists; reads what is there.
    ///
    /// # Errors
    /// If the file is there but cannot be read.
    pub fn open(folder: &Path) -> io::Result<Self> {
        let file = folder.join(FILE);
        let current = match fs::read(&file) {
            Ok(bytes) => Some(Arc::new(serde_json::from_slice(&bytes)?)),
            Err(error) if error.kind() == io::ErrorKind::NotFound => None,
            Err(error) => return Err(error),
        };
        Ok(Self { file: Some(file), life: NODE_LIFE, current: watch::Sender::new(current) })
    }

    /// Kept in memory only: dev mode and tests.
    pub fn in_memory() -> Self {
        Self { file: None, life: NODE_LIFE, current: watch::Sender::new(None) }
    }

    /// The same, for certificates that are good for `life` only: tests do not wait for days.
    #[cfg(test)]
    pub fn aging(self, life: Ttl) -> Self {
        Self { life, ..self }
    }

    /// How long a certificate is good that this node issues, to itself or to another.
    pub fn life(&self) -> Ttl {
        self.life
    }

    /// What it is now; `None` before init or join.
    pub fn current(&self) -> Option<Arc<Identity>> {
        self.current.borrow().clone()
    }

    /// Follows it.
    pub fn subscribe(&self) -> watch::Receiver<Option<Arc<Identity>>> {
        self.current.subscribe()
    }

    /// Takes another one, and keeps it: the file is replaced whole or not at all.
    ///
    /// # Errors
    /// If the file cannot be written.
    pub fn store(&self, identity: Identity) -> io::Result<()> {
        if let Some(file) = &self.file {
            replace(file, &serde_json::to_vec(&identity)?)?;
        }
        self.current.send_replace(Some(Arc::new(identity)));
        Ok(())
    }
}

fn replace(file: &Path, bytes: &[u8]) -> io::Result<()> {
    use std::os::unix::fs::OpenOptionsExt;
    let beside = file.with_extension("json.new");
    let mut new = fs::OpenOptions::new().write(true).create(true).truncate(true).mode(0o600).open(&beside)?;
    new.write_all(bytes)?;
    new.sync_all()?;
    fs::rename(&beside, file)?;
    let folder = file.parent().unwrap_or(Path::new("."));
    fs::File::open(folder)?.sync_all()
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::PermissionsExt;

    use super::*;
    use crate::crypto::cert::{Authority, Peer};
    use crate::types::Timestamp;

    #[test]
    fn an_identity_is_kept_for_its_owner_only() {
        let folder = tempfile::tempdir().unwrap();
        let now = Timestamp::parse_rfc3339("2026-01-01T00:00:00Z").unwrap();
        let identity = Authority::create("c", now).unwrap().issue(&Peer::Node("a".into()), now, NODE_LIFE).unwrap();
        let kept = NodeIdentity::open(folder.path()).unwrap();
        assert!(kept.current().is_none());
        kept.store(identity.clone()).unwrap();
        let mode = fs::metadata(folder.path().join(FILE)).unwrap().permissions().mode();
        assert_eq!(mode & 0o777, 0o600);
        let again = NodeIdentity::open(folder.path()).unwrap();
        assert_eq!(*again.current().unwrap(), identity);
        assert_eq!(again.life(), NODE_LIFE);
    }
}
