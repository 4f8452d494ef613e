//! What a node answers secondaries before replication is wired in: nothing.

use async_trait::async_trait;

use crate::core::{BootstrapPackage, PrimaryCall, PrimaryReply, ServeSecondary};
use crate::replication::link::{Accept, Duplex, FromPrimary, FromSecondary};

/// Refuses every secondary.
#[derive(Clone, Copy, Debug)]
pub struct Unreplicated;

#[async_trait]
impl ServeSecondary for Unreplicated {
    fn admits(&self, _: &str, _: &str) -> bool {
        false
    }
    async fn serve_call(&self, _: &str, _: PrimaryCall) -> PrimaryReply {
        PrimaryReply { status: 503, errors: vec!["this cluster is no primary".to_owned()], ..PrimaryReply::default() }
    }
    async fn bootstrap(&self, _: &str) -> Result<BootstrapPackage, String> {
        Err("this cluster is no primary".to_owned())
    }
}

#[async_trait]
impl Accept for Unreplicated {
    async fn accept(&self, _: String, _: Duplex<FromPrimary, FromSecondary>) {}
}
