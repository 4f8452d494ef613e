//! Audit: who asked for what, written before it is done and again before it is answered.
//!
//! If there is a device, at least one must take each line, or the request is refused ([`Broker`]). Values are replaced by a keyed
//! hash, so that a line tells what was used without telling what it was; each device has its own key.
//!
//! Not here: which devices are enabled (`core::audit_table`), what a request may do.

mod broker;
mod event;
mod file;
mod hasher;
mod line;
mod metrics;

use std::collections::BTreeMap;
use std::sync::Arc;

use async_trait::async_trait;
use bytes::Bytes;

pub use broker::{Broker, Device, Devices, log};
pub use event::{Answer, Event, Login, Phase, Place, Shown, Verdict, Wrapped};
pub use hasher::{Hasher, Options};

/// Why a line was not taken, or a device not opened. The text is for the operator.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum AuditError {
    /// The options make no device.
    #[error("{0}")]
    Options(String),
    /// The place cannot be opened.
    #[error("open audit file: {0}")]
    Open(String),
    /// The line could not be written.
    #[error("write audit line: {0}")]
    Write(String),
    /// There are devices, and none took the line.
    #[error("no audit device took the line")]
    NobodyTookIt,
}

/// Where lines go.
#[async_trait]
pub trait AuditDevice: Send + Sync + 'static {
    /// Writes one line, its end included; returns when the system has it.
    ///
    /// # Errors
    /// If it could not be written whole.
    async fn record(&self, line: Bytes) -> Result<(), AuditError>;
    /// Opens the place anew, after its file was moved away.
    ///
    /// # Errors
    /// If it cannot be opened; lines go on to where they went.
    async fn reopen(&self) -> Result<(), AuditError>;
}

/// A type of device, as in `vault audit enable NAME`.
pub struct Kind {
    /// Its name.
    pub name: &'static str,
    /// Opens one with the operator's options.
    pub open: fn(&BTreeMap<String, String>) -> Result<Arc<dyn AuditDevice>, AuditError>,
}

/// All kinds of devices.
pub static ALL: &[&Kind] = &[&file::KIND];
