//! What a line tells.

use std::collections::BTreeMap;

use serde_json::{Map, Value};

use crate::engine::{Caller, Operation, Request};
use crate::types::{Secret, Timestamp};

/// Before it is done, or before it is answered.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Phase {
    /// Before it is done.
    Request,
    /// Before it is answered.
    Response,
}

/// Where the request was routed.
#[derive(Clone, Copy, Debug, Default)]
pub struct Place<'a> {
    /// As in `secret/`.
    pub mount_point: &'a str,
    /// As in `kv`.
    pub mount_type: &'a str,
    /// As in `kv_2a7c9b10`.
    pub mount_accessor: &'a str,
    /// `secret` or `auth`.
    pub mount_class: &'a str,
}

/// A login's answer.
#[derive(Clone, Copy, Debug)]
pub struct Login<'a> {
    /// The token, hashed in the line.
    pub client_token: &'a Secret<String>,
    /// Its accessor.
    pub accessor: &'a str,
    /// As in `userpass-tester`.
    pub display_name: &'a str,
    /// Its policies.
    pub policies: &'a [String],
    /// `service` or `batch`.
    pub token_type: &'a str,
}

/// A wrapped answer: what was wrapped is not told.
#[derive(Clone, Copy, Debug)]
pub struct Wrapped<'a> {
    /// The wrapping token, hashed in the line.
    pub token: &'a Secret<String>,
    /// Its accessor.
    pub accessor: &'a str,
    /// In seconds.
    pub ttl: u64,
    /// RFC 3339.
    pub creation_time: &'a str,
    /// The path whose answer was wrapped.
    pub creation_path: &'a str,
}

/// What is about to be answered.
#[derive(Clone, Copy, Default)]
pub struct Answer<'a> {
    /// `data`; leave it out if the answer is wrapped.
    pub data: Option<&'a Map<String, Value>>,
    /// Of a lease.
    pub lease_id: &'a str,
    /// What the client is told.
    pub warnings: &'a [String],
    /// Of a login.
    pub login: Option<Login<'a>>,
    /// Of a wrapped answer.
    pub wrapped: Option<Wrapped<'a>>,
}

/// One line.
#[derive(Clone, Copy)]
pub struct Event<'a> {
    /// Which of the two lines of a request.
    pub phase: Phase,
    /// When.
    pub time: Timestamp,
    /// The request.
    pub request: &'a Request,
    /// Its headers that are to be told, by name in lower case, and whether their values are hashed.
    pub headers: &'a BTreeMap<String, bool>,
    /// What it was found to be.
    pub operation: Operation,
    /// Who asks.
    pub caller: &'a Caller,
    /// Where it was routed; `None` if nowhere.
    pub place: Option<Place<'a>>,
    /// Why it is refused, as the client is told.
    pub error: Option<&'a str>,
    /// Of a response line.
    pub answer: Option<Answer<'a>>,
    /// The secondary that handed the request on, if one did.
    pub from_secondary: Option<&'a str>,
}
