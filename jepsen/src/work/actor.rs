//! One logical process: one connection to one node, one operation at a time, everything recorded before it is sent.
//!
//! A process that got an `info` is never heard of again: its actor goes on under a new number, on a new connection.

use std::time::Duration;

use crate::client::http::{Connection, Failure, Reply, Request};
use crate::client::outcome::Outcome;
use crate::core::{Kind, Op, Process, Rng, Value};
use crate::world::node::Node;

use super::stage::Stage;

/// Someone who works, on a thread inside the clients' network.
pub struct Actor<'s> {
    /// What all share.
    pub stage: &'s Stage,
    /// Which of the workload's processes this is.
    pub slot: usize,
    /// How many steps it has taken.
    pub steps: u64,
    /// Its own dice.
    pub rng: Rng,
    workload: &'static str,
    process: u64,
    node: &'s Node,
    connection: Connection,
    counts: (u64, u64),
}

impl<'s> Actor<'s> {
    /// An actor who asks `node` with a token that may do everything in its cluster.
    pub fn new(stage: &'s Stage, workload: &'static str, slot: usize, node: &'s Node, rng: Rng) -> Self {
        let (process, connection) = (stage.process(), Connection::new(node.address));
        Self { stage, slot, steps: 0, rng, workload, process, node, connection, counts: (0, 0) }
    }

    /// The node that it asks.
    pub fn node(&self) -> &'s Node {
        self.node
    }

    /// A token that may do everything in that node's cluster, now: it changes when a cluster is activated anew.
    pub fn token(&self) -> String {
        self.stage.world.cluster(&self.node.cluster).map(|cluster| cluster.token()).unwrap_or_default()
    }

    /// How many operations ended well and otherwise since this was last asked.
    pub fn take_counts(&mut self) -> (u64, u64) {
        std::mem::take(&mut self.counts)
    }

    /// Asks another node from now on.
    pub fn move_to(&mut self, node: &'s Node) {
        if node.name != self.node.name {
            self.node = node;
            self.connection = Connection::new(node.address);
        }
    }

    /// Records that something begins.
    ///
    /// # Panics
    /// If the history cannot be written: a run without a record is worth nothing.
    pub fn begin(&self, f: &str, value: impl Into<Value>) -> Op {
        self.begin_with(f, value, [])
    }

    /// The same, with more that is known.
    ///
    /// # Panics
    /// If the history cannot be written.
    pub fn begin_with<const N: usize>(&self, f: &str, value: impl Into<Value>, more: [(&'static str, Value); N]) -> Op {
        let op = Op::invoke(self.process, f, value).on(&self.node.name).of(&self.node.cluster).with("workload", self.workload);
        self.record(more.into_iter().fold(op, |op, (name, value)| op.with(name, value)))
    }

    /// Records something that the harness itself saw.
    ///
    /// # Panics
    /// If the history cannot be written.
    pub fn note(&self, f: &str, value: impl Into<Value>) {
        self.record(self.fact(f, value));
    }

    /// A line about something that the harness saw, to be added to and recorded with `tell`.
    pub fn fact(&self, f: &str, value: impl Into<Value>) -> Op {
        let op = Op::new(Kind::Info, Process::Nemesis, f, value);
        op.on(&self.node.name).of(&self.node.cluster).with("workload", self.workload)
    }

    /// Records such a line.
    ///
    /// # Panics
    /// If the history cannot be written.
    pub fn tell(&self, op: Op) {
        self.record(op);
    }

    /// Nanoseconds since the start of the history.
    pub fn now(&self) -> u64 {
        u64::try_from(self.stage.recorder.start().elapsed().as_nanos()).unwrap_or(u64::MAX)
    }

    /// Asks with the actor's token.
    ///
    /// # Errors
    /// If there is no answer within the deadline.
    pub fn ask(&mut self, request: Request) -> Result<Reply, Failure> {
        let request = request.with_token(&self.token());
        self.ask_bare(&request)
    }

    /// Asks with whatever token the request has.
    ///
    /// # Errors
    /// If there is no answer within the deadline.
    pub fn ask_bare(&mut self, request: &Request) -> Result<Reply, Failure> {
        self.connection.call(request, self.stage.deadline)
    }

    /// The same with a deadline of its own.
    ///
    /// # Errors
    /// If there is no answer within `limit`.
    pub fn ask_within(&mut self, request: Request, limit: Duration) -> Result<Reply, Failure> {
        let request = request.with_token(&self.token());
        self.connection.call(&request, limit)
    }

    /// Records how it ended; `value` makes the ok line's value, or says why the answer cannot be understood.
    ///
    /// # Panics
    /// If the history cannot be written.
    pub fn end(&mut self, begun: &Op, outcome: &Outcome, value: impl FnOnce(&Reply) -> Result<Value, String>) -> Kind {
        self.finish(begun, outcome, |reply| value(reply).map(|value| (value, Vec::new())))
    }

    /// The same, with more that is known.
    ///
    /// # Panics
    /// If the history cannot be written.
    pub fn finish(
        &mut self,
        begun: &Op,
        outcome: &Outcome,
        value: impl FnOnce(&Reply) -> Result<(Value, Vec<(&'static str, Value)>), String>,
    ) -> Kind {
        let op = match outcome {
            Outcome::Ok(reply) => match value(reply) {
                Ok((value, more)) => more.into_iter().fold(begun.complete(Kind::Ok, value), |op, (name, value)| op.with(name, value)),
                // An answer that makes no sense says nothing about what happened.
                Err(why) => begun.complete(Kind::Info, begun.value.clone()).because(why),
            },
            Outcome::Fail(why, _) => begun.complete(Kind::Fail, begun.value.clone()).because(why),
            Outcome::Info(why, _) => begun.complete(Kind::Info, begun.value.clone()).because(why),
        };
        let kind = op.kind;
        let (good, bad) = self.counts;
        self.counts = if kind == Kind::Ok { (good + 1, bad) } else { (good, bad + 1) };
        self.record(with_headers(op, outcome.reply()));
        if kind == Kind::Info {
            self.process = self.stage.process();
            self.connection = Connection::new(self.node.address);
        }
        kind
    }

    fn record(&self, op: Op) -> Op {
        self.stage.recorder.record(op).expect("the disk takes the history")
    }
}

/// Adds what the answer said of itself.
fn with_headers(mut op: Op, reply: Option<&Reply>) -> Op {
    let Some(reply) = reply else { return op };
    // Where the cluster's shared history stood when the write was in it.
    if let Some(position) = reply.headers.get("x-coffer-wal").and_then(|text| text.parse::<i64>().ok()) {
        op = op.with("position", position);
    }
    if let Some(text) = reply.headers.get("x-vault-index") {
        op = op.with("index-hdr", text.as_str());
    }
    match reply.body["request_id"].as_str() {
        Some(id) => op.with("request-id", id),
        None => op,
    }
}
