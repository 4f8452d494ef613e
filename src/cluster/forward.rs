//! Hands requests on: a standby's to its active node, a secondary's shared writes to its primary.
//!
//! A request that did not leave this node, or that the other side says it did not touch, is `Unreachable` and may be tried again. One
//! that was sent and got no answer is `Unknown`, and nothing here sends it twice.
//! Not here: which requests are handed on (`core`, `http`), the answering side (`forward_service`, `link_service`).

use std::time::{Duration, Instant};

use async_trait::async_trait;
use tokio::sync::watch;
use tonic::{Code, Status};

use super::connection::{Failure, origin};
use super::dialer::{Dialer, Lane};
use super::forward_service::FORWARD_MESSAGE_BYTES_MAX;
use super::metrics;
use super::primary::{self, Primary};
use super::wire::cluster as wire;
use super::wire::cluster::forward_client::ForwardClient;
use crate::core::{FORWARDED_HEADER, ForwardError, PrimaryCall, PrimaryContact, PrimaryReply, RawRequest, RawResponse, Upstream};
use crate::raft::{Peer, RaftStatus};

/// How long the other side may take: as long as Vault lets a request run.
const FORWARD_TIMEOUT: Duration = Duration::from_secs(90);

/// Finds the other side and sends requests to it.
#[derive(Debug)]
pub struct Forwarder {
    dialer: Dialer,
    status: watch::Receiver<RaftStatus>,
    primary: Primary,
}

impl Forwarder {
    /// To the active node that `status` names, and to the primary that `primary` names, if this cluster is a secondary.
    pub fn new(dialer: Dialer, status: watch::Receiver<RaftStatus>, primary: watch::Receiver<Option<PrimaryContact>>) -> Self {
        Self { dialer, status, primary: Primary::new(primary) }
    }

    fn active(&self) -> Result<Peer, ForwardError> {
        let status = self.status.borrow();
        match status.leader_peer() {
            Some(leader) if !status.is_leader && leader.id != status.id => Ok(leader.clone()),
            _ => Err(ForwardError::NoActive),
        }
    }

    async fn send_to_active(&self, request: RawRequest) -> Result<RawResponse, ForwardError> {
        if request.headers.iter().any(|(name, _)| name == FORWARDED_HEADER) {
            return Err(ForwardError::NoActive);
        }
        let active = self.active()?;
        let member = &active.member;
        let connection = self.dialer.connect(&member.cluster_addr, Some(&member.name), Lane::Forward).await;
        let connection = connection.map_err(|error| ForwardError::Unreachable(error.to_string()))?;
        let mut client = ForwardClient::with_origin(connection, origin())
            .max_decoding_message_size(FORWARD_MESSAGE_BYTES_MAX)
            .max_encoding_message_size(FORWARD_MESSAGE_BYTES_MAX);
        let sent = tokio::time::timeout(FORWARD_TIMEOUT, client.to_active(raw_request(request))).await;
        let answer = sent.map_err(|_| ForwardError::Unknown("no answer in time".to_owned()))?;
        let response = answer.map_err(|status| outcome_of(&status))?.into_inner();
        Ok(RawResponse {
            status: u16::try_from(response.status).unwrap_or(500),
            headers: response.headers.into_iter().map(|header| (header.name, header.value.to_vec())).collect(),
            body: response.body,
        })
    }
}

#[async_trait]
impl Upstream for Forwarder {
    async fn to_active(&self, request: RawRequest) -> Result<RawResponse, ForwardError> {
        let began = Instant::now();
        let result = self.send_to_active(request).await;
        ::metrics::histogram!(metrics::FORWARD).record(began.elapsed().as_secs_f64() * 1000.0);
        if result.is_err() {
            ::metrics::counter!(metrics::FORWARD_ERRORS).increment(1);
        }
        count("active", &result);
        result
    }

    async fn to_primary(&self, call: PrimaryCall) -> Result<PrimaryReply, ForwardError> {
        let began = Instant::now();
        let sent = tokio::time::timeout(FORWARD_TIMEOUT, primary::call(&self.primary, call)).await;
        ::metrics::histogram!(metrics::FORWARD_SHARED).record(began.elapsed().as_secs_f64() * 1000.0);
        let result = sent.unwrap_or_else(|_| Err(ForwardError::Unknown("no answer in time".to_owned())));
        count("primary", &result);
        result
    }

    async fn find_primary(&self) -> Result<(), ForwardError> {
        self.primary.find().await
    }
}

/// What a failed call means for the request: the services answer these codes before they act, and only then.
pub(super) fn outcome_of(status: &Status) -> ForwardError {
    match Failure::of(status) {
        Failure::NotSent(why) => ForwardError::Unreachable(why),
        Failure::Answered(Code::PermissionDenied, why) => ForwardError::Refused(why),
        Failure::Answered(Code::FailedPrecondition | Code::InvalidArgument | Code::Unimplemented, why) => ForwardError::Unreachable(why),
        failure => ForwardError::Unknown(failure.to_string()),
    }
}

fn count<T>(to: &'static str, result: &Result<T, ForwardError>) {
    let outcome = match result {
        Ok(_) => "answered",
        Err(ForwardError::NoActive | ForwardError::Unreachable(_)) => "unreachable",
        Err(ForwardError::Refused(_)) => "refused",
        Err(ForwardError::Unknown(_)) => "unknown",
    };
    ::metrics::counter!(metrics::FORWARDED, "to" => to, "outcome" => outcome).increment(1);
}

fn raw_request(request: RawRequest) -> wire::RawRequest {
    wire::RawRequest {
        method: request.method,
        uri: request.uri,
        headers: request.headers.into_iter().map(|(name, value)| wire::Header { name, value: value.into() }).collect(),
        body: request.body,
        remote: request.remote,
    }
}
