//! The words of the system: identifiers, paths, keys, positions, time, secrets and bounds.
//!
//! Everything here is plain data: no I/O, no clock of its own, no async. All other folders may use it and it uses none of them.

pub mod hcl;
mod id;
mod key;
pub mod limits;
mod path;
mod position;
mod secret;
mod time;
mod version;

pub use id::{Accessor, ClusterId, MountId, NodeId, RequestId, SetId};
pub use key::{Key, Prefix, Scope};
pub use path::{ApiPath, PathError};
pub use position::{Generation, HistoryHash, Index, Position, Revision, Term, WalIndex};
pub use secret::Secret;
pub use time::{Clock, SystemClock, Timestamp, Ttl, TtlError, go_duration};
pub use version::{API_VERSION, BUILD_DATE};
