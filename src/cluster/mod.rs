//! Nodes and clusters talking to each other: one port, mutual TLS 1.3, gRPC.
//!
//! # Overview
//!
//! A cluster has one certificate authority. A peer's certificate says what it is: a node of this cluster, or a secondary that this
//! cluster admitted. [`start`] serves the port; what a connection can reach follows from its certificate alone:
//!
//! | class | services |
//! | --- | --- |
//! | node | `Raft`, `Forward`, `Renewal` |
//! | secondary | `Replication` |
//! | anyone else | nothing: the connection is closed |
//!
//! The other direction are the seams of lower layers, filled here: [`RaftTransport`] for `raft::transport::Transport`,
//! [`Forwarder`] for `core::Upstream`, [`ReplicationLink`] for `replication::link::Link`. All dial through a [`Dialer`], which follows
//! this node's identity as it is renewed.
//!
//! Order of wiring: identity → [`Dialer`] → [`RaftTransport`] → `raft` → [`Forwarder`] → `core` → [`start`].
//!
//! Invariants: nothing is served and nobody is dialled without an identity; a request that may have been done is never sent twice.
//! Not here: what messages mean (`raft`, `replication`, `core`), where identities are kept (`core`).

pub mod tls;

mod connection;
mod dialer;
mod forward;
mod forward_service;
mod half_open;
mod link_service;
mod link_wire;
mod listener;
mod metered;
mod metrics;
mod primary;
mod raft_service;
mod raft_transport;
mod renew;
mod replication_link;
mod snapshot;
mod wire;

#[cfg(test)]
mod testing;
#[cfg(test)]
mod tests;

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use tokio::net::TcpListener;
use tokio::sync::watch;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

pub use dialer::Dialer;
pub use forward::Forwarder;
pub use raft_transport::RaftTransport;
pub use replication_link::{ReplicationLink, bootstrap};

use crate::core::{Serve, ServeNode, ServeSecondary, Standing};
use crate::crypto::cert::Identity;
use crate::raft::RaftStatus;
use crate::replication::link::Accept;
use crate::types::{Clock, Ttl};

/// How this node takes part.
pub struct Options {
    /// What the operator calls this node.
    pub name: String,
    /// The cluster's port, bound.
    pub listener: TcpListener,
    /// This node's identity, once it has one, and as it is renewed.
    pub identity: watch::Receiver<Option<Arc<Identity>>>,
    /// For asking the active node for a new certificate.
    pub dialer: Dialer,
    /// Who leads and who is a member.
    pub status: watch::Receiver<RaftStatus>,
    /// Whether this node is unsealed, and so can issue certificates.
    pub standing: watch::Receiver<Standing>,
    /// How long certificates of nodes are good.
    pub life: Ttl,
    /// For the life of certificates.
    pub clock: Arc<dyn Clock>,
}

/// What this node answers with.
#[derive(Clone)]
pub struct Services {
    /// Raft messages.
    pub raft: Arc<dyn crate::raft::transport::Receiver>,
    /// Requests of standbys.
    pub requests: Arc<dyn Serve>,
    /// Certificates, and whether this node is active.
    pub node: Arc<dyn ServeNode>,
    /// A primary's answers to secondaries.
    pub secondaries: Arc<dyn ServeSecondary>,
    /// A primary's side of links.
    pub links: Arc<dyn Accept>,
}

/// The running port.
#[derive(Debug)]
pub struct Handle {
    addr: SocketAddr,
    stop: CancellationToken,
    tasks: TaskTracker,
}

/// Serves the cluster's port and keeps this node's certificate fresh, until [`Handle::shutdown`].
///
/// # Errors
/// If the listener has no address, which means that it is not bound.
pub fn start(options: Options, services: Services) -> std::io::Result<Handle> {
    let addr = options.listener.local_addr()?;
    let (stop, tasks) = (CancellationToken::new(), TaskTracker::new());
    let renewal = renew::Renewal {
        name: options.name,
        life: options.life,
        standing: options.standing,
        identity: options.identity.clone(),
        status: options.status.clone(),
        dialer: options.dialer,
        node: services.node.clone(),
        clock: options.clock.clone(),
    };
    let port = listener::Port {
        listener: options.listener,
        identity: options.identity,
        status: options.status,
        clock: options.clock,
        services,
        stop: stop.clone(),
        tasks: tasks.clone(),
    };
    tasks.spawn(stop.clone().run_until_cancelled_owned(renewal.run()));
    tasks.spawn(port.run());
    Ok(Handle { addr, stop, tasks })
}

impl Handle {
    /// Where it listens.
    pub fn local_addr(&self) -> SocketAddr {
        self.addr
    }

    /// Takes no more connections, lets running requests finish for a moment, and closes the rest.
    pub async fn shutdown(self) {
        self.stop.cancel();
        self.tasks.close();
        if tokio::time::timeout(listener::GRACE + Duration::from_secs(1), self.tasks.wait()).await.is_err() {
            tracing::warn!(left = self.tasks.len(), "cluster tasks did not end in time");
        }
    }
}
