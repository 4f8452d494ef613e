//! What a rule allows: a small set of capabilities.

use crate::engine::Operation;

/// One capability.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
#[repr(u16)]
pub(super) enum Capability {
    Create = 1,
    Delete = 2,
    List = 4,
    Patch = 8,
    Read = 16,
    Recover = 32,
    Subscribe = 64,
    Sudo = 128,
    Update = 256,
    Deny = 512,
}

/// In the order in which clients are shown them.
const NAMES: &[(&str, Capability)] = &[
    ("create", Capability::Create),
    ("delete", Capability::Delete),
    ("deny", Capability::Deny),
    ("list", Capability::List),
    ("patch", Capability::Patch),
    ("read", Capability::Read),
    ("recover", Capability::Recover),
    ("subscribe", Capability::Subscribe),
    ("sudo", Capability::Sudo),
    ("update", Capability::Update),
];

impl Capability {
    /// By its name.
    pub(super) fn parse(name: &str) -> Option<Self> {
        NAMES.iter().find(|(known, _)| *known == name).map(|(_, capability)| *capability)
    }

    /// What an operation takes; `None` for help, which anyone may have.
    pub(super) fn needed(operation: Operation) -> Option<Self> {
        match operation {
            Operation::Read => Some(Self::Read),
            Operation::List => Some(Self::List),
            Operation::Create => Some(Self::Create),
            Operation::Update => Some(Self::Update),
            Operation::Patch => Some(Self::Patch),
            Operation::Delete => Some(Self::Delete),
            Operation::Help => None,
        }
    }
}

/// A set of capabilities.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) struct Capabilities(u16);

impl Capabilities {
    /// The empty set.
    pub(super) const NONE: Self = Self(0);

    /// These.
    pub(super) fn of(list: &[Capability]) -> Self {
        list.iter().fold(Self::NONE, |set, capability| set.with(*capability))
    }
    /// With one more.
    pub(super) fn with(self, capability: Capability) -> Self {
        Self(self.0 | capability as u16)
    }
    /// Both.
    pub(super) fn union(self, other: Self) -> Self {
        Self(self.0 | other.0)
    }
    /// Whether it has this one.
    pub(super) fn has(self, capability: Capability) -> bool {
        self.0 & capability as u16 != 0
    }
    /// Whether it allows nothing: empty, or denied.
    pub(super) fn is_denied(self) -> bool {
        self.0 == 0 || self.has(Capability::Deny)
    }
    /// Names in alphabetical order; `deny` stands alone.
    pub(super) fn names(self) -> Vec<&'static str> {
        if self.is_denied() {
            return vec!["deny"];
        }
        NAMES.iter().filter(|(_, capability)| self.has(*capability)).map(|(name, _)| *name).collect()
    }
}
