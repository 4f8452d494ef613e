//! The connections of one listener, bounded in number. When all places are taken, the one that has been idle longest gives way, so that
//! nobody keeps others out by holding connections open.

use std::collections::HashMap;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard};
use std::time::Duration;

use tokio::sync::{Notify, OwnedSemaphorePermit, Semaphore};

use super::metrics;
use super::pace::Activity;

/// How often it looks for one that is idle, while all are busy.
const LOOK_AGAIN: Duration = Duration::from_millis(100);

/// All connections of a listener.
#[derive(Debug)]
pub struct Crowd {
    places: Arc<Semaphore>,
    members: Mutex<HashMap<u64, Arc<Member>>>,
    next: AtomicU64,
}

/// One of them.
#[derive(Debug)]
pub struct Member {
    /// What goes on on it.
    pub activity: Arc<Activity>,
    leave: Notify,
}

/// Its place; free when dropped.
#[derive(Debug)]
pub struct Place {
    crowd: Arc<Crowd>,
    number: u64,
    /// Whose it is.
    pub member: Arc<Member>,
    _permit: OwnedSemaphorePermit,
}

impl Crowd {
    /// Places for `most`.
    pub fn new(most: usize) -> Arc<Self> {
        Arc::new(Self { places: Arc::new(Semaphore::new(most)), members: Mutex::default(), next: AtomicU64::new(0) })
    }

    fn members(&self) -> MutexGuard<'_, HashMap<u64, Arc<Member>>> {
        self.members.lock().expect("no holder of this lock panics")
    }

    /// A place for a new connection. `None` if there will never be one.
    pub async fn enter(self: &Arc<Self>) -> Option<Place> {
        let permit = loop {
            if let Ok(permit) = self.places.clone().try_acquire_owned() {
                break permit;
            }
            self.make_way();
            match tokio::time::timeout(LOOK_AGAIN, self.places.clone().acquire_owned()).await {
                Ok(acquired) => break acquired.ok()?,
                Err(_) => continue,
            }
        };
        let number = self.next.fetch_add(1, Ordering::Relaxed);
        let member = Arc::new(Member { activity: Activity::start(), leave: Notify::new() });
        self.members().insert(number, member.clone());
        Some(Place { crowd: self.clone(), number, member, _permit: permit })
    }

    fn make_way(&self) {
        let idle =
            self.members().values().filter_map(|member| Some((member.activity.quiet_since()?, member.clone()))).min_by_key(|of| of.0);
        if let Some((_, member)) = idle {
            metrics::gave_way();
            member.leave.notify_one();
        }
    }
}

impl Member {
    /// Returns when this connection shall end because another one needs its place.
    pub async fn must_leave(&self) {
        loop {
            self.leave.notified().await;
            // A request may have begun meanwhile.
            if self.activity.quiet_since().is_some() {
                return;
            }
        }
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        self.crowd.members().remove(&self.number);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn the_one_that_is_idle_longest_gives_way() {
        let crowd = Crowd::new(3);
        let busy = crowd.enter().await.unwrap();
        let _request = busy.member.activity.serve();
        let old = crowd.enter().await.unwrap();
        tokio::time::sleep(Duration::from_millis(5)).await;
        let _new = crowd.enter().await.unwrap();
        let (another, ()) = tokio::join!(crowd.enter(), async {
            old.member.must_leave().await;
            drop(old);
        });
        drop(another);
        assert_eq!(crowd.members().len(), 2);
    }

    #[tokio::test]
    async fn those_that_are_busy_stay() {
        let crowd = Crowd::new(1);
        let busy = crowd.enter().await.unwrap();
        let request = busy.member.activity.serve();
        assert!(tokio::time::timeout(LOOK_AGAIN * 3, crowd.enter()).await.is_err());
        drop(request);
        let (another, ()) = tokio::join!(crowd.enter(), async {
            busy.member.must_leave().await;
            drop(busy);
        });
        assert!(another.is_some());
    }
}
