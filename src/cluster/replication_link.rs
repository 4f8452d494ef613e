//! A secondary's side of the link, and its first question: what does it need to open the primary's data?
//!
//! Not here: what is said on the link (`replication`), finding the active node (`primary`).

use std::time::Duration;

use async_trait::async_trait;
use futures::StreamExt;
use tokio::sync::{mpsc, watch};
use tokio_stream::wrappers::ReceiverStream;
use tonic::{Code, Status};

use super::connection::{Failure, PATIENT};
use super::wire::replication::BootstrapRequest;
use super::{link_wire, primary};
use crate::core::{BootstrapPackage, PrimaryContact};
use crate::crypto::cert::Identity;
use crate::replication::link::{Duplex, FromPrimary, FromSecondary, Link, LinkError};

/// Messages that wait for the network on each side; then sending waits.
pub(super) const MESSAGES_AHEAD: usize = 8;
/// How long the primary may take to open the link, or to answer a bootstrap.
const ANSWER_TIMEOUT: Duration = Duration::from_secs(20);

/// Opens links as the secondary that the contact's identity names.
#[derive(Debug)]
pub struct ReplicationLink {
    contact: watch::Receiver<Option<PrimaryContact>>,
}

impl ReplicationLink {
    /// Links to the primary that `contact` names at the time.
    pub fn new(contact: watch::Receiver<Option<PrimaryContact>>) -> Self {
        Self { contact }
    }
}

#[async_trait]
impl Link for ReplicationLink {
    async fn connect(&self, addrs: &[String]) -> Result<Duplex<FromSecondary, FromPrimary>, LinkError> {
        let contact = self.contact.borrow().clone();
        let contact = contact.ok_or_else(|| LinkError::Unreachable("this cluster is no secondary".to_owned()))?;
        let mut all = addrs.to_vec();
        all.extend(contact.cluster_addrs);
        let connection = primary::find_active(&all, &contact.identity, PATIENT).await?;
        let (out, rx) = mpsc::channel(MESSAGES_AHEAD);
        let said = ReceiverStream::new(rx).map(link_wire::from_secondary);
        let answer = tokio::time::timeout(ANSWER_TIMEOUT, primary::client(connection).link(said)).await;
        let answer = answer.map_err(|_| LinkError::Unreachable("no answer in time".to_owned()))?;
        let incoming = answer.map_err(|status| link_error(&status))?.into_inner().map(|message| match message {
            Ok(message) => link_wire::read_from_primary(message).map_err(|wrong| LinkError::Broken(wrong.to_string())),
            Err(status) => Err(link_error(&status)),
        });
        Ok(Duplex { out, incoming: incoming.boxed() })
    }
}

/// Asks the primary at `addrs` for what a new secondary needs, as the secondary that `identity` names.
///
/// # Errors
/// `Refused` if the primary knows this secondary not, or no longer; else it may be tried again.
pub async fn bootstrap(addrs: &[String], identity: &Identity) -> Result<BootstrapPackage, LinkError> {
    let connection = primary::find_active(addrs, identity, PATIENT).await?;
    let answer = tokio::time::timeout(ANSWER_TIMEOUT, primary::client(connection).bootstrap(BootstrapRequest {})).await;
    let answer = answer.map_err(|_| LinkError::Unreachable("no answer in time".to_owned()))?;
    Ok(link_wire::read_package(answer.map_err(|status| link_error(&status))?.into_inner()))
}

fn link_error(status: &Status) -> LinkError {
    match Failure::of(status) {
        Failure::Answered(Code::PermissionDenied, why) => LinkError::Refused(why),
        Failure::Answered(Code::FailedPrecondition, why) | Failure::NotSent(why) => LinkError::Unreachable(why),
        failure => LinkError::Broken(failure.to_string()),
    }
}
