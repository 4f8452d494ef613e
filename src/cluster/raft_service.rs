//! The receiving side of Raft: hands messages of other nodes to `raft::transport::Receiver`.
//!
//! Not here: what messages mean (`raft`), files of a snapshot (`snapshot`).

use std::sync::Arc;

use futures::StreamExt;
use futures::stream::BoxStream;
use tonic::{Request, Response, Status, Streaming};

use super::wire::raft::raft_server::{Raft, RaftServer};
use super::wire::raft::{AppendFrame, CallReply, CallRequest, SnapshotPart, SnapshotReply, call_request::Kind};
use super::{Services, snapshot};
use crate::raft::transport::{Appends, Call, Receiver};
use crate::types::limits::RPC_MESSAGE_BYTES_MAX;

/// The service for other nodes.
pub(super) fn raft_service(services: &Services) -> RaftServer<RaftService> {
    RaftServer::new(RaftService { receiver: services.raft.clone() })
        .max_decoding_message_size(RPC_MESSAGE_BYTES_MAX)
        .max_encoding_message_size(RPC_MESSAGE_BYTES_MAX)
}

pub(super) struct RaftService {
    receiver: Arc<dyn Receiver>,
}

#[async_trait::async_trait]
impl Raft for RaftService {
    type AppendStream = BoxStream<'static, Result<AppendFrame, Status>>;

    async fn call(&self, request: Request<CallRequest>) -> Result<Response<CallReply>, Status> {
        let request = request.into_inner();
        let call = match request.kind() {
            Kind::Vote => Call::Vote,
            Kind::PreVote => Call::PreVote,
            Kind::TransferLeader => Call::TransferLeader,
            Kind::Reach => Call::Reach,
            Kind::Ping => Call::Ping,
            Kind::Unspecified => return Err(Status::invalid_argument("unknown kind of message")),
        };
        let message = self.receiver.call(call, request.message).await.map_err(Status::internal)?;
        Ok(Response::new(CallReply { message }))
    }

    async fn append(&self, request: Request<Streaming<AppendFrame>>) -> Result<Response<Self::AppendStream>, Status> {
        let messages = request.into_inner().map(|frame| frame.map(|frame| frame.message));
        let messages = Appends::new(messages, self.receiver.clone());
        let answers = self.receiver.append(messages.boxed()).await.map_err(Status::unavailable)?;
        let answers = answers.map(|answer| answer.map(|message| AppendFrame { message }).map_err(Status::internal));
        Ok(Response::new(answers.boxed()))
    }

    async fn snapshot(&self, request: Request<Streaming<SnapshotPart>>) -> Result<Response<SnapshotReply>, Status> {
        let folder = self.receiver.stage().await.map_err(Status::unavailable)?;
        let received = snapshot::receive(request.into_inner(), &folder).await;
        let installed = match received {
            Ok(head) => self.receiver.install(head, folder.clone()).await.map_err(Status::unavailable),
            Err(error) => Err(error),
        };
        match installed {
            Ok(message) => Ok(Response::new(SnapshotReply { message })),
            Err(status) => {
                tracing::warn!(error = status.message(), "an incoming snapshot was given up");
                // Best effort: `raft` clears its staging area when it starts.
                let _ = tokio::fs::remove_dir_all(&folder).await;
                Err(status)
            }
        }
    }
}
