//! Requests of etcd: put and range over gRPC, one HTTP/2 connection a client.

use anyhow::Context;
use bytes::Bytes;
use http::uri::PathAndQuery;
use tonic::client::Grpc;
use tonic::transport::{Channel, Endpoint};

use super::clients::{Failure, Found};
use super::etcd_wire::{PutRequest, PutResponse, RangeRequest, RangeResponse};
use super::vault_client::{ATTEMPT_DIGITS, KEY_DIGITS, digits};

/// One client.
pub struct EtcdClient {
    grpc: Grpc<Channel>,
    value_bytes: usize,
}

const PUT: PathAndQuery = PathAndQuery::from_static("/etcdserverpb.KV/Put");
const RANGE: PathAndQuery = PathAndQuery::from_static("/etcdserverpb.KV/Range");

impl EtcdClient {
    pub async fn connect(address: &str, value_bytes: usize) -> anyhow::Result<Self> {
        let endpoint = Endpoint::from_shared(format!("http://{address}"))?.tcp_nodelay(true);
        let channel = endpoint.connect().await.with_context(|| format!("connect to {address}"))?;
        Ok(Self { grpc: Grpc::new(channel), value_bytes })
    }

    pub async fn write(&mut self, key: u32, attempt: u64) -> Result<(), Failure> {
        let mut value = vec![b'x'; self.value_bytes];
        digits(&mut value[..ATTEMPT_DIGITS], attempt);
        let request = PutRequest { key: name(key), value: value.into() };
        self.grpc.ready().await.map_err(|error| Failure::Broken(format!("{error:?}")))?;
        let codec: tonic_prost::ProstCodec<PutRequest, PutResponse> = tonic_prost::ProstCodec::default();
        self.grpc.unary(tonic::Request::new(request), PUT, codec).await.map_err(|status| failure(&status))?;
        Ok(())
    }

    pub async fn read(&mut self, key: u32) -> Result<Option<Found>, Failure> {
        let request = RangeRequest { key: name(key), serializable: false };
        self.grpc.ready().await.map_err(|error| Failure::Broken(format!("{error:?}")))?;
        let codec: tonic_prost::ProstCodec<RangeRequest, RangeResponse> = tonic_prost::ProstCodec::default();
        let answer = self.grpc.unary(tonic::Request::new(request), RANGE, codec).await.map_err(|status| failure(&status))?;
        let Some(found) = answer.into_inner().kvs.pop() else { return Ok(None) };
        let attempt = found.value.get(..ATTEMPT_DIGITS).and_then(|digits| std::str::from_utf8(digits).ok()?.parse().ok());
        let attempt = attempt.ok_or_else(|| Failure::Answer("another value".into()))?;
        Ok(Some(Found { attempt, versions: u64::try_from(found.version).unwrap_or_default() }))
    }
}

fn name(key: u32) -> Bytes {
    let mut name = b"bench-00000000".to_vec();
    let at = name.len() - KEY_DIGITS;
    digits(&mut name[at..], u64::from(key));
    name.into()
}

fn failure(status: &tonic::Status) -> Failure {
    use tonic::Code::{Cancelled, Unavailable, Unknown};
    let text = format!("{:?}", status.code());
    if matches!(status.code(), Unavailable | Unknown | Cancelled) { Failure::Broken(text) } else { Failure::Answer(text) }
}
