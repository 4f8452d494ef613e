//! Messages between clusters, to and from their wire form. What cannot be read is an error, never a default.
//!
//! Not here: sending them.

use bytes::Bytes;
use serde_json::{Map, Value};

use super::wire::replication as wire;
use super::wire::replication::from_primary::Kind as ToSecondary;
use super::wire::replication::from_secondary::Kind as ToPrimary;
use super::wire::replication::primary_call::Operation as WireOperation;
use super::wire::replication::{from_primary, from_secondary};
use crate::core::{BootstrapPackage, PrimaryCall, PrimaryReply};
use crate::engine::Operation;
use crate::machine::{PAGES, PageId, PageSum};
use crate::replication::link::{FromPrimary, FromSecondary};
use crate::types::{Generation, HistoryHash, Position, Secret, SetId, Timestamp, WalIndex};

/// A message that says nothing this version understands.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("a message of the other cluster cannot be read: {0}")]
pub(super) struct Unreadable(&'static str);

fn position(position: Position) -> Option<wire::Position> {
    Some(wire::Position { wal: position.wal.0, history: Bytes::copy_from_slice(&position.history.0) })
}

fn read_position(position: Option<wire::Position>) -> Result<Position, Unreadable> {
    let position = position.ok_or(Unreadable("a position is missing"))?;
    let history = position.history.as_ref().try_into().map_err(|_| Unreadable("a history hash has 32 bytes"))?;
    Ok(Position { wal: WalIndex(position.wal), history: HistoryHash(history) })
}

fn read_page(page: u32) -> Result<PageId, Unreadable> {
    u16::try_from(page).map(PageId).map_err(|_| Unreadable("no such page"))
}

fn read_pages(pages: Vec<u32>) -> Result<Vec<PageId>, Unreadable> {
    pages.into_iter().map(read_page).collect()
}

fn pages(pages: Vec<PageId>) -> Vec<u32> {
    pages.into_iter().map(|page| page.0.into()).collect()
}

pub(super) fn from_secondary(message: FromSecondary) -> wire::FromSecondary {
    let kind = match message {
        FromSecondary::Hello { have, generation, filling, api_addr, cluster_addr } => {
            ToPrimary::Hello(from_secondary::Hello { have: position(have), generation: generation.0, filling, api_addr, cluster_addr })
        }
        FromSecondary::Ack { upto } => ToPrimary::Ack(from_secondary::Ack { upto: position(upto) }),
        FromSecondary::ComparePages { pages } => {
            let sums: Vec<u8> = pages.iter().flat_map(|sum| sum.0).collect();
            ToPrimary::ComparePages(from_secondary::ComparePages { sums: sums.into() })
        }
        FromSecondary::FetchPages { pages: wanted } => ToPrimary::FetchPages(from_secondary::FetchPages { pages: pages(wanted) }),
        FromSecondary::Heartbeat { sent } => ToPrimary::Heartbeat(from_secondary::Heartbeat { sent_ms: sent.0 }),
    };
    wire::FromSecondary { kind: Some(kind) }
}

pub(super) fn read_from_secondary(message: wire::FromSecondary) -> Result<FromSecondary, Unreadable> {
    Ok(match message.kind.ok_or(Unreadable("unknown message"))? {
        ToPrimary::Hello(hello) => FromSecondary::Hello {
            have: read_position(hello.have)?,
            generation: Generation(hello.generation),
            filling: hello.filling,
            api_addr: hello.api_addr,
            cluster_addr: hello.cluster_addr,
        },
        ToPrimary::Ack(ack) => FromSecondary::Ack { upto: read_position(ack.upto)? },
        ToPrimary::ComparePages(compare) => {
            let (sums, rest) = compare.sums.as_chunks::<32>();
            if sums.len() != PAGES || !rest.is_empty() {
                return Err(Unreadable("not one sum for each page"));
            }
            FromSecondary::ComparePages { pages: sums.iter().map(|sum| PageSum(*sum)).collect() }
        }
        ToPrimary::FetchPages(fetch) => FromSecondary::FetchPages { pages: read_pages(fetch.pages)? },
        ToPrimary::Heartbeat(heartbeat) => FromSecondary::Heartbeat { sent: Timestamp(heartbeat.sent_ms) },
    })
}

pub(super) fn from_primary(message: FromPrimary) -> wire::FromPrimary {
    let kind = match message {
        FromPrimary::Streaming { generation, position: at } => {
            ToSecondary::Streaming(from_primary::Streaming { generation: generation.0, position: position(at) })
        }
        FromPrimary::Resync { why, generation, snapshot } => {
            ToSecondary::Resync(from_primary::Resync { why, generation: generation.0, snapshot: position(snapshot) })
        }
        FromPrimary::Records { generation, after, records } => {
            ToSecondary::Records(from_primary::Records { generation: generation.0, after: position(after), records })
        }
        FromPrimary::Differing { pages: differing } => ToSecondary::Differing(from_primary::Differing { pages: pages(differing) }),
        FromPrimary::Rows { page, rows, is_last } => ToSecondary::Rows(from_primary::Rows {
            page: page.0.into(),
            rows: rows.into_iter().map(|(path, value)| wire::Row { path, value }).collect(),
            is_last,
        }),
        FromPrimary::Heartbeat { now, echo, position: at, generation, cluster_addrs, api_addr, cluster_addr } => {
            ToSecondary::Heartbeat(from_primary::Heartbeat {
                now_ms: now.0,
                echo_ms: echo.0,
                position: position(at),
                generation: generation.0,
                cluster_addrs,
                api_addr,
                cluster_addr,
            })
        }
    };
    wire::FromPrimary { kind: Some(kind) }
}

pub(super) fn read_from_primary(message: wire::FromPrimary) -> Result<FromPrimary, Unreadable> {
    Ok(match message.kind.ok_or(Unreadable("unknown message"))? {
        ToSecondary::Streaming(streaming) => {
            FromPrimary::Streaming { generation: Generation(streaming.generation), position: read_position(streaming.position)? }
        }
        ToSecondary::Resync(resync) => {
            FromPrimary::Resync { why: resync.why, generation: Generation(resync.generation), snapshot: read_position(resync.snapshot)? }
        }
        ToSecondary::Records(records) => FromPrimary::Records {
            generation: Generation(records.generation),
            after: read_position(records.after)?,
            records: records.records,
        },
        ToSecondary::Differing(differing) => FromPrimary::Differing { pages: read_pages(differing.pages)? },
        ToSecondary::Rows(rows) => FromPrimary::Rows {
            page: read_page(rows.page)?,
            rows: rows.rows.into_iter().map(|row| (row.path, row.value)).collect(),
            is_last: rows.is_last,
        },
        ToSecondary::Heartbeat(heartbeat) => FromPrimary::Heartbeat {
            now: Timestamp(heartbeat.now_ms),
            echo: Timestamp(heartbeat.echo_ms),
            position: read_position(heartbeat.position)?,
            generation: Generation(heartbeat.generation),
            cluster_addrs: heartbeat.cluster_addrs,
            api_addr: heartbeat.api_addr,
            cluster_addr: heartbeat.cluster_addr,
        },
    })
}

const OPERATIONS: [(Operation, WireOperation); 7] = [
    (Operation::Read, WireOperation::Read),
    (Operation::List, WireOperation::List),
    (Operation::Create, WireOperation::Create),
    (Operation::Update, WireOperation::Update),
    (Operation::Patch, WireOperation::Patch),
    (Operation::Delete, WireOperation::Delete),
    (Operation::Help, WireOperation::Help),
];

fn json(object: &Map<String, Value>) -> Bytes {
    serde_json::to_vec(object).expect("a map of JSON values is JSON").into()
}

fn read_json(bytes: &[u8]) -> Result<Map<String, Value>, Unreadable> {
    serde_json::from_slice(bytes).map_err(|_| Unreadable("not a JSON object"))
}

pub(super) fn primary_call(call: PrimaryCall) -> wire::PrimaryCall {
    let operation = OPERATIONS.iter().find(|(ours, _)| *ours == call.operation).map_or(WireOperation::Unspecified, |(_, theirs)| *theirs);
    wire::PrimaryCall {
        request_id: call.request_id,
        operation: operation.into(),
        path: call.path,
        data: json(&call.data),
        policies: call.policies,
        display_name: call.display_name,
        entity_id: call.entity_id,
        accessor: call.accessor,
        remote: call.remote,
    }
}

pub(super) fn read_primary_call(call: wire::PrimaryCall) -> Result<PrimaryCall, Unreadable> {
    let wanted = call.operation();
    let found = OPERATIONS.iter().find(|(_, theirs)| *theirs == wanted);
    Ok(PrimaryCall {
        operation: found.ok_or(Unreadable("unknown operation"))?.0,
        data: read_json(&call.data)?,
        request_id: call.request_id,
        path: call.path,
        policies: call.policies,
        display_name: call.display_name,
        entity_id: call.entity_id,
        accessor: call.accessor,
        remote: call.remote,
    })
}

pub(super) fn primary_reply(reply: PrimaryReply) -> wire::PrimaryReply {
    wire::PrimaryReply {
        status: reply.status.into(),
        errors: reply.errors,
        data: reply.data.as_ref().map(json),
        warnings: reply.warnings,
        position: position(reply.position),
    }
}

pub(super) fn read_primary_reply(reply: wire::PrimaryReply) -> Result<PrimaryReply, Unreadable> {
    Ok(PrimaryReply {
        status: u16::try_from(reply.status).map_err(|_| Unreadable("no such status"))?,
        errors: reply.errors,
        data: reply.data.map(|data| read_json(&data)).transpose()?,
        warnings: reply.warnings,
        position: read_position(reply.position)?,
    })
}

/// The root key in it is as bare as the connection lets it be: encrypted by TLS, and copied by the encoder.
pub(super) fn package(package: BootstrapPackage) -> wire::BootstrapReply {
    wire::BootstrapReply {
        set: package.set.as_str().to_owned(),
        generation: package.generation.0,
        root_key: Bytes::copy_from_slice(package.root_key.expose()),
        raw_rows: package.raw_rows.into_iter().map(|(path, value)| wire::Row { path, value }).collect(),
        cluster_addrs: package.cluster_addrs,
        dev_root_token: package.dev_root_token.map(|token| token.expose().clone()),
    }
}

pub(super) fn read_package(reply: wire::BootstrapReply) -> BootstrapPackage {
    BootstrapPackage {
        set: SetId::new(reply.set),
        generation: Generation(reply.generation),
        root_key: Secret::new(reply.root_key.to_vec()),
        raw_rows: reply.raw_rows.into_iter().map(|row| (row.path, row.value)).collect(),
        cluster_addrs: reply.cluster_addrs,
        dev_root_token: reply.dev_root_token.map(Secret::new),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_cannot_be_read_is_an_error() {
        assert!(read_from_primary(wire::FromPrimary { kind: None }).is_err());
        assert!(read_from_secondary(wire::FromSecondary { kind: None }).is_err());
        let short = from_secondary::ComparePages { sums: Bytes::from_static(&[0; 31]) };
        assert!(read_from_secondary(wire::FromSecondary { kind: Some(ToPrimary::ComparePages(short)) }).is_err());
        let ack = from_secondary::Ack { upto: Some(wire::Position { wal: 1, history: Bytes::from_static(b"short") }) };
        assert!(read_from_secondary(wire::FromSecondary { kind: Some(ToPrimary::Ack(ack)) }).is_err());
        let fetch = from_secondary::FetchPages { pages: vec![70_000] };
        assert!(read_from_secondary(wire::FromSecondary { kind: Some(ToPrimary::FetchPages(fetch)) }).is_err());
        assert!(read_primary_call(wire::PrimaryCall { data: Bytes::from_static(b"{}"), ..Default::default() }).is_err());
    }

    #[test]
    fn calls_survive_the_wire() {
        for (operation, _) in OPERATIONS {
            let call = PrimaryCall {
                request_id: "r".into(),
                operation,
                path: "secret/data/a".into(),
                data: serde_json::from_str(r#"{"z": {"n": [1, null]}, "a": "ü"}"#).unwrap(),
                policies: vec!["a".into(), "b".into()],
                display_name: "d".into(),
                entity_id: "e".into(),
                accessor: "c".into(),
                remote: "127.0.0.1".into(),
            };
            assert!(read_primary_call(primary_call(call.clone())).unwrap() == call);
        }
    }
}
