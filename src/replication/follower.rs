//! Follows the primary: connects, has [`Following`] serve the stream, reconnects with back-off through all known addresses.

use std::time::Duration;

use tokio::time::Instant;
use tokio_util::sync::CancellationToken;

use super::applier::Phase;
use super::following::Following;
use super::status::Connection;
use super::{Parts, Shared};
use crate::machine::{Batch, Command, Outcome};
use crate::types::limits::FAILOVER_PATIENCE;

/// The pause while another node of the primary may be taking over; after [`FAILOVER_PATIENCE`] it doubles, up to [`PAUSE_MAX`].
const PAUSE_FIRST: Duration = Duration::from_millis(250);
const PAUSE_MAX: Duration = Duration::from_secs(10);

/// Follows the primary until `stop`.
pub(super) async fn follow(shared: &Shared, stop: &CancellationToken) {
    let mut pause = PAUSE_FIRST;
    let mut lost: Option<Instant> = None;
    loop {
        let clock = &shared.parts.clock;
        let addrs = shared.parts.primary.addrs();
        shared.status.known_addrs(addrs.iter().map(|addr| super::url_of(addr)).collect());
        if addrs.is_empty() {
            // Demoted, or told to forget its primary: `update-primary` wakes it.
            let why = "this secondary knows no primary: update-primary names one";
            shared.status.connection(Connection::Idle, Some(why.to_owned()), clock.now());
            return stop.cancelled().await;
        }
        shared.status.connection(Connection::Connecting, None, clock.now());
        let connected = tokio::select! {
            () = stop.cancelled() => return,
            connected = shared.parts.link.connect(&addrs) => connected,
        };
        let why = match connected {
            Err(error) => error.to_string(),
            Ok(stream) => {
                shared.status.connection(Connection::Ready, None, clock.now());
                let mut following = Following::new(shared);
                let run = async {
                    match settle_earlier(&shared.parts).await {
                        Ok(()) => following.run(stream).await,
                        Err(why) => why,
                    }
                };
                let why = tokio::select! {
                    () = stop.cancelled() => return,
                    why = run => why,
                };
                if following.streamed {
                    (pause, lost) = (PAUSE_FIRST, None);
                }
                why
            }
        };
        let is_new = lost.is_none();
        let may_be_failover = lost.get_or_insert_with(Instant::now).elapsed() < FAILOVER_PATIENCE;
        if is_new || !may_be_failover {
            tracing::warn!(why, pause_ms = u64::try_from(pause.as_millis()).unwrap_or(u64::MAX), "lost the link to the primary");
        } else {
            tracing::debug!(why, "no link to the primary yet");
        }
        shared.status.phase(Phase::Idle, clock.now());
        shared.status.connection(Connection::TransientFailure, Some(why), clock.now());
        tokio::select! {
            () = stop.cancelled() => return,
            () = tokio::time::sleep(pause) => {}
        }
        if !may_be_failover {
            pause = (pause * 2).min(PAUSE_MAX);
        }
    }
}

/// What an earlier stream proposed may be committed late, and would then change rows under a comparison that has read them: a row that
/// the primary no longer has could come back. An entry that changes nothing comes after it in the log; when that is there, nothing of
/// before is under way any more.
async fn settle_earlier(parts: &Parts) -> Result<(), String> {
    let nothing = Command::Write(Batch { at: parts.clock.now(), ..Batch::default() });
    match parts.raft.propose(&nothing).await {
        Ok(Outcome::Committed(_)) => Ok(()),
        Ok(outcome) => Err(format!("an entry that changes nothing was not accepted: {outcome:?}")),
        Err(error) => Err(error.to_string()),
    }
}
