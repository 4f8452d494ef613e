//! Reads a request's body, within bounds of size and time, and within what all bodies together may take of memory.

use std::sync::Arc;
use std::time::Duration;

use axum::body::Body;
use bytes::{Bytes, BytesMut};
use http::HeaderMap;
use http_body_util::{BodyExt, LengthLimitError, Limited};
use tokio::sync::{OwnedSemaphorePermit, Semaphore};

use super::answer::Answer;
use crate::types::limits::{BODIES_KIB_MAX, BODY_BYTES_FREE};

/// What is free of the memory for large bodies, in KiB. One for all listeners of a node.
#[derive(Clone, Debug)]
pub struct Intake(Arc<Semaphore>);

/// A body, and its part of the memory; given back when dropped.
pub struct Taken {
    /// The body.
    pub bytes: Bytes,
    /// Held until the request is answered.
    pub room: Option<OwnedSemaphorePermit>,
}

impl Default for Intake {
    fn default() -> Self {
        Self(Arc::new(Semaphore::new(BODIES_KIB_MAX)))
    }
}

impl Intake {
    /// The whole of `body`, if it is no larger than `most` bytes and arrives within `patience`.
    pub async fn take(&self, headers: &HeaderMap, body: Body, most: usize, patience: Duration) -> Result<Taken, Answer> {
        let declared = headers.get(http::header::CONTENT_LENGTH).and_then(|value| value.to_str().ok()?.parse::<u64>().ok());
        if declared.is_some_and(|bytes| bytes > most as u64) {
            return Err(too_large());
        }
        match tokio::time::timeout(patience, self.collect(Limited::new(body, most))).await {
            Ok(taken) => taken,
            Err(_) => Err(Answer::error(408, "the request body took too long to arrive")),
        }
    }

    async fn collect(&self, mut body: Limited<Body>) -> Result<Taken, Answer> {
        // Most bodies come in one part, which is not copied.
        let mut bytes = Bytes::new();
        let mut room: Option<OwnedSemaphorePermit> = None;
        while let Some(frame) = body.frame().await {
            let frame = frame.map_err(|error| match error.is::<LengthLimitError>() {
                true => too_large(),
                false => Answer::error(400, "the request body could not be read"),
            })?;
            let Ok(part) = frame.into_data() else { continue };
            let needed = (bytes.len() + part.len()).saturating_sub(BODY_BYTES_FREE).div_ceil(1024);
            let missing = needed.saturating_sub(room.as_ref().map_or(0, OwnedSemaphorePermit::num_permits));
            if missing > 0 {
                let missing = u32::try_from(missing).map_err(|_| too_large())?;
                let more = self.0.clone().try_acquire_many_owned(missing).map_err(|_| too_many())?;
                match &mut room {
                    Some(room) => room.merge(more),
                    None => room = Some(more),
                }
            }
            bytes = if bytes.is_empty() { part } else { joined(bytes, &part) };
        }
        Ok(Taken { bytes, room })
    }
}

fn joined(bytes: Bytes, part: &[u8]) -> Bytes {
    // Bytes that were joined before are this function's alone, so they grow in place.
    let mut whole = bytes.try_into_mut().unwrap_or_else(|shared| BytesMut::from(&shared[..]));
    whole.extend_from_slice(part);
    whole.freeze()
}

fn too_large() -> Answer {
    Answer::error(413, "http: request body too large")
}

fn too_many() -> Answer {
    Answer::error(503, "too many large request bodies at one time, try again later")
}

#[cfg(test)]
mod tests {
    use super::*;

    const LONG: Duration = Duration::from_secs(60);

    async fn take(intake: &Intake, bytes: usize, most: usize) -> Result<Taken, u16> {
        let taken = intake.take(&HeaderMap::new(), Body::from(vec![b'x'; bytes]), most, LONG).await;
        taken.map_err(|answer| answer.status)
    }

    #[tokio::test]
    async fn a_body_is_bounded() {
        let intake = Intake::default();
        assert_eq!(take(&intake, 100, 100).await.unwrap().bytes.len(), 100);
        assert_eq!(take(&intake, 101, 100).await.err(), Some(413));
        let headers = HeaderMap::from_iter([(http::header::CONTENT_LENGTH, http::HeaderValue::from(101))]);
        let declared = intake.take(&headers, Body::from_stream(futures::stream::pending::<Result<Bytes, std::io::Error>>()), 100, LONG);
        assert_eq!(declared.await.err().map(|answer| answer.status), Some(413), "without waiting for it");
        let silent = Body::from_stream(futures::stream::pending::<Result<Bytes, std::io::Error>>());
        let late = intake.take(&HeaderMap::new(), silent, 100, Duration::from_millis(5)).await;
        assert_eq!(late.err().map(|answer| answer.status), Some(408));
    }

    #[tokio::test]
    async fn large_bodies_together_are_bounded_and_small_ones_pass_all_the_same() {
        let intake = Intake(Arc::new(Semaphore::new(100)));
        let most = BODY_BYTES_FREE + 100 * 1024;
        let held = take(&intake, most, most).await.unwrap();
        assert_eq!(take(&intake, BODY_BYTES_FREE + 1, most).await.err(), Some(503));
        assert!(take(&intake, BODY_BYTES_FREE, most).await.is_ok());
        drop(held);
        assert!(take(&intake, most, most).await.is_ok(), "it is given back");
    }
}
