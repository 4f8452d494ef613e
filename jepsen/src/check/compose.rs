//! Several checkers of one history, as one tree; and checkers by name, for the command line and for fixtures.

use super::verdict::Verdict;
use super::versioned::Versioned;
use super::wgl::{self, Lifecycle, Limits, Mutex, Objects, Register, Set};
use super::{
    append, audit, canary, converge, coverage, crossing, fence, kin, lease, monotonic, policy, prefix, register, setfull, unwrap, uses,
};
use crate::core::{History, Malformed, Value};

/// A checker with its name.
pub type Checker<'a> = (&'a str, &'a dyn Fn(&History) -> Result<Verdict, Malformed>);

/// Runs all. A history that a checker cannot read is a failure of the harness: unknown, and no excuse for what others found.
pub fn compose(name: &str, history: &History, checkers: &[Checker<'_>]) -> Verdict {
    let run = |(name, check): &Checker<'_>| check(history).unwrap_or_else(|malformed| Verdict::unknown(*name, malformed.to_string()));
    Verdict::all(name, checkers.iter().map(run).collect())
}

/// A checker that can be named.
#[derive(Clone, Copy)]
pub struct Named {
    /// As on the command line.
    pub name: &'static str,
    /// What it decides.
    pub about: &'static str,
    /// Decides.
    pub check: fn(&History, Limits) -> Result<Verdict, Malformed>,
}

/// All that can be named.
pub const NAMED: &[Named] = &[
    Named { name: "versioned", about: "KV version 2 register, exactly, in one sweep", check: |history, _| register::check(history) },
    Named {
        name: "versioned-search",
        about: "the same by search, to compare",
        check: |history, limits| wgl::check("versioned", history, &Versioned, Objects::PerKey, limits),
    },
    Named {
        name: "cas-register",
        about: "plain register with read, write and cas [old new]; values [k v] if all are, else one register",
        check: |history, limits| wgl::check("cas-register", history, &Register::default(), objects(history), limits),
    },
    Named {
        name: "set",
        about: "growing set, linearizable, by search",
        check: |history, limits| wgl::check("set", history, &Set, Objects::One, limits),
    },
    Named {
        name: "set-full",
        about: "growing set: lost, unexpected, duplicated; stale is told, not refused",
        check: |history, _| setfull::check(history, setfull::Stale::Allowed),
    },
    Named {
        name: "set-full-strict",
        about: "the same, stale refused",
        check: |history, _| setfull::check(history, setfull::Stale::Refused),
    },
    Named {
        name: "mutex",
        about: "acquire and release",
        check: |history, limits| wgl::check("mutex", history, &Mutex, Objects::One, limits),
    },
    Named {
        name: "lifecycle",
        about: "KV version 2 with deletion, destruction and trimming, by search",
        check: |history, limits| wgl::check("lifecycle", history, &Lifecycle, Objects::PerKey, limits),
    },
    Named { name: "append", about: "list-append transactions, strictly serializable", check: |history, _| append::check(history) },
    Named {
        name: "prefix",
        about: "batches at a secondary are states of the primary, in order",
        check: |history, _| prefix::check(history),
    },
    Named {
        name: "monotonic",
        about: "sessions never see less than before, nor less than asked",
        check: |history, _| monotonic::check(history),
    },
    Named { name: "uses", about: "use-limited tokens", check: |history, _| uses::check(history) },
    Named { name: "unwrap", about: "wrapping tokens open once", check: |history, _| unwrap::check(history) },
    Named {
        name: "lease",
        about: "credentials end with their leases",
        check: |history, _| lease::check(history, lease::Options::default()),
    },
    Named { name: "kin", about: "tokens go with what made them, and for no other reason", check: |history, _| kin::check(history) },
    Named { name: "policy", about: "policies hold from their acknowledgement on", check: policy::check },
    Named { name: "canary", about: "what is local stays local", check: |history, _| canary::check(history) },
    Named {
        name: "crossing",
        about: "tokens and leases work where they should, and only there",
        check: |history, _| crossing::check(history),
    },
    Named {
        name: "fence",
        about: "one primary at a time, roles changed in order",
        check: |history, _| fence::check(history, fence::Change::Ordered),
    },
    Named {
        name: "fence-forced",
        about: "one primary at a time, promotion by force",
        check: |history, _| fence::check(history, fence::Change::Forced),
    },
    Named { name: "converge", about: "equal roots and answers on all nodes", check: |history, _| converge::check(history) },
    Named { name: "audit", about: "what was answered is in an audit device", check: |history, _| audit::check(history) },
    Named { name: "activity", about: "every function succeeded at least once", check: |history, _| coverage::activity(history) },
    Named { name: "healed", about: "no fault was left in force", check: |history, _| Ok(coverage::healed(history)) },
];

/// The checker of that name.
pub fn named(name: &str) -> Option<&'static Named> {
    NAMED.iter().find(|named| named.name == name)
}

/// The checker for what a workload of that name does, where it is not called the same.
pub fn for_workload(workload: &str) -> Option<&'static Named> {
    named(match workload {
        "register" | "forward" => "versioned",
        "set" => "set-full",
        "session" => "monotonic",
        "wrap" => "unwrap",
        "family" => "kin",
        other => other,
    })
}

/// Values are `[key value]` if all of them are; a `[old new]` of a plain register is taken for one only if writes are pairs too.
fn objects(history: &History) -> Objects {
    let mut writes = history.ops.iter().filter(|op| op.f == "write").peekable();
    let has_writes = writes.peek().is_some();
    let mut reads = history.ops.iter().filter(|op| op.f == "read");
    let is_pair = |value: &Value| value.as_pair().is_some();
    let are_keyed = if has_writes { writes.all(|op| is_pair(&op.value)) } else { reads.all(|op| is_pair(&op.value)) };
    if are_keyed { Objects::PerKey } else { Objects::One }
}
