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
    /// As in `v0.1.0+builtin`.
    pub running_version: &'a str,
}

/// The token that a request showed, as far as its row tells: before the request takes one of its uses.
#[derive(Clone, Copy, Debug)]
pub struct Shown<'a> {
    /// `service` or `batch`.
    pub token_type: &'a str,
    /// The TTL that it was made with, in seconds; zero for none.
    pub ttl: u64,
    /// When it was made.
    pub issued: Timestamp,
    /// Uses left; zero for any number of them.
    pub remaining_uses: u64,
}

/// What policies said.
#[derive(Clone, Copy, Debug)]
pub enum Verdict<'a> {
    /// It may be done: these policies say so, or none need to.
    Allowed(&'a [String]),
    /// It may not.
    Denied,
}

/// A token that is about to be given out.
#[derive(Clone, Copy, Debug)]
pub struct Login<'a> {
    /// The token, hashed in the line; empty where an accessor named it.
    pub client_token: &'a Secret<String>,
    /// As in `userpass-tester`.
    pub display_name: &'a str,
    /// The `auth` block of the answer.
    pub block: &'a Map<String, Value>,
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
    /// The accessor of a token in it, or empty.
    pub wrapped_accessor: &'a str,
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
    /// Of a login, or of another token that was made or renewed.
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
    /// The token that they showed; `None` where none was looked at.
    pub shown: Option<Shown<'a>>,
    /// Whom the request counts for as a client: an entity, or a set of policies; empty for nobody.
    pub client_id: &'a str,
    /// What policies said; `None` if they were not asked.
    pub verdict: Option<Verdict<'a>>,
    /// Where it was routed; `None` if nowhere.
    pub place: Option<Place<'a>>,
    /// Why it is refused, as the client is told.
    pub error: Option<&'a str>,
    /// Of a response line.
    pub answer: Option<Answer<'a>>,
    /// The secondary that handed the request on, if one did.
    pub from_secondary: Option<&'a str>,
}
