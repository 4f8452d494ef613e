//! What an engine answers.

use std::collections::BTreeMap;
use std::fmt;

use serde_json::{Map, Value};

use crate::types::{Secret, Ttl};

/// The answer to one call.
#[derive(Clone, Debug, Default)]
pub struct Reply {
    /// What was asked for.
    pub body: Body,
    /// What the client should know.
    pub warnings: Vec<String>,
    /// How long the data may be used before it is read again: shown as `lease_duration`, though there is no lease. Zero for none.
    pub refresh: Ttl,
}

/// What was asked for. `Debug` shows no values.
#[derive(Clone, Default)]
pub enum Body {
    /// Nothing to say: 204, or 200 if there are warnings.
    #[default]
    Empty,
    /// What was asked for is under way: 202.
    Accepted,
    /// `data`.
    Data(Map<String, Value>),
    /// There is nothing there: 404, with `data` where there is something to say about it (a deleted version's metadata).
    Missing(Option<Map<String, Value>>),
    /// `data` with a lease.
    Leased(Map<String, Value>, LeaseSpec),
    /// What a login earned.
    Login(Box<Grant>),
    /// `data`, wrapped although the client did not ask for it: `sys/wrapping/wrap` and `secondary-token`.
    Wrap {
        /// What is wrapped.
        data: Map<String, Value>,
        /// For how long.
        ttl: Ttl,
        /// Whether the token is a JWT that tells this cluster's address.
        jwt: bool,
    },
    /// A token that the core itself made or renewed: the `auth` block as it stands. For system engines.
    Auth(Box<AuthInfo>),
    /// A lease that was renewed: top-level `lease_id`, `renewable` and `lease_duration`. For system engines.
    Renewed {
        /// Its id.
        lease_id: String,
        /// Whether it may be renewed again.
        renewable: bool,
        /// What is left, in seconds.
        lease_duration: u64,
    },
    /// An answer that was wrapped already: `sys/wrapping/rewrap`. For system engines.
    Wrapped(WrapInfo),
    /// Bytes that are no envelope: metrics.
    Raw(Raw),
}

/// The `auth` block.
#[derive(Clone, Debug, Default)]
pub struct AuthInfo {
    /// The token itself; empty where an accessor named it.
    pub client_token: Secret<String>,
    /// As in the audit log; not rendered.
    pub display_name: String,
    /// All other fields, as rendered.
    pub fields: Map<String, Value>,
}

/// The `wrap_info` block.
#[derive(Clone, Debug)]
pub struct WrapInfo {
    /// The wrapping token itself.
    pub token: Secret<String>,
    /// Its accessor.
    pub accessor: String,
    /// In seconds.
    pub ttl: u64,
    /// RFC 3339.
    pub creation_time: String,
    /// The path whose answer was wrapped.
    pub creation_path: String,
    /// The accessor of a wrapped token, or empty.
    pub wrapped_accessor: String,
}

/// An answer that is no JSON envelope.
#[derive(Clone)]
pub struct Raw {
    /// Its media type.
    pub content_type: &'static str,
    /// Its bytes.
    pub bytes: bytes::Bytes,
    /// There is nothing there (404), though the bytes say something about it.
    pub is_missing: bool,
}

impl fmt::Debug for Body {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Empty => "Empty",
            Self::Accepted => "Accepted",
            Self::Data(_) => "Data(***)",
            Self::Missing(_) => "Missing",
            Self::Leased(..) => "Leased(***)",
            Self::Login(_) => "Login(***)",
            Self::Wrap { .. } => "Wrap(***)",
            Self::Auth(_) => "Auth(***)",
            Self::Renewed { .. } => "Renewed",
            Self::Wrapped(_) => "Wrapped(***)",
            Self::Raw(_) => "Raw(***)",
        })
    }
}

/// A lease that an engine wants for what it gives out.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct LeaseSpec {
    /// Zero asks for the mount's default.
    pub ttl: Ttl,
    /// Zero asks for the mount's maximum.
    pub max_ttl: Ttl,
    /// Whether it may be renewed.
    pub renewable: bool,
    /// What the engine needs to revoke it.
    pub internal: Map<String, Value>,
}

/// The kind of a token.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub enum TokenKind {
    /// Stored, with a lease.
    #[default]
    Service,
    /// Encrypted, stored nowhere.
    Batch,
}

/// What a login earned, before it is a token.
#[derive(Clone, Debug, Default)]
pub struct Grant {
    /// As in the audit log: `userpass-tester`.
    pub display_name: String,
    /// Names of policies; `default` is added unless `no_default_policy`.
    pub policies: Vec<String>,
    /// Leave `default` out.
    pub no_default_policy: bool,
    /// Shown with the token.
    pub metadata: BTreeMap<String, String>,
    /// Zero asks for the mount's default.
    pub ttl: Ttl,
    /// Zero asks for the mount's maximum.
    pub max_ttl: Ttl,
    /// A hard end that renewing cannot pass; zero for none.
    pub explicit_max_ttl: Ttl,
    /// Not zero: renewable for ever, for this long each time.
    pub period: Ttl,
    /// Zero: any number of uses.
    pub num_uses: u32,
    /// Whether it may be renewed.
    pub renewable: bool,
    /// Service or batch.
    pub kind: TokenKind,
    /// CIDRs that the token may be used from; empty for any.
    pub bound_cidrs: Vec<String>,
    /// The name of the identity alias: the user.
    pub alias: String,
    /// What the method needs to renew it.
    pub internal: Map<String, Value>,
}

impl Reply {
    /// Nothing to say.
    pub fn empty() -> Self {
        Self::default()
    }
    /// `data`.
    pub fn data(data: Map<String, Value>) -> Self {
        Body::Data(data).into()
    }
    /// `data` out of a JSON object.
    ///
    /// # Panics
    /// If `value` is no object: a literal of ours.
    pub fn json(value: Value) -> Self {
        match value {
            Value::Object(map) => Self::data(map),
            _ => panic!("replies are built from JSON objects"),
        }
    }
    /// There is nothing there.
    pub fn missing() -> Self {
        Body::Missing(None).into()
    }
    /// A listing; an empty one is a 404, as clients expect.
    pub fn keys(keys: Vec<String>) -> Self {
        if keys.is_empty() { Self::missing() } else { Self::json(serde_json::json!({ "keys": keys })) }
    }
    /// This reply with one more warning.
    #[must_use]
    pub fn warn(mut self, warning: impl Into<String>) -> Self {
        self.warnings.push(warning.into());
        self
    }
}

impl From<Body> for Reply {
    fn from(body: Body) -> Self {
        Self { body, ..Self::default() }
    }
}
