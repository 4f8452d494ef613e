//! Whose turn it is to change a row: writers of one row follow one another on the active node, instead of refuting each other in
//! the log.
//!
//! A turn only orders; what keeps writes right are the guards of their entries. So whoever waits for too long goes on without.
//! Not here: guards (`machine`), running a request again (`pipeline`).

use std::collections::HashMap;
use std::fmt;
use std::sync::{Arc, Mutex as Lock};
use std::time::Duration;

use tokio::sync::{Mutex, OwnedMutexGuard};
use tokio::time::{Instant, timeout_at};

use crate::types::Key;

/// Longest wait for a turn.
const PATIENCE: Duration = Duration::from_secs(2);

type Rows = Arc<Lock<HashMap<Key, Arc<Mutex<()>>>>>;

const UNPOISONED: &str = "no holder of this lock panics";

/// The rows that somebody is changing now.
#[derive(Default)]
pub struct Turns(Rows);

impl fmt::Debug for Turns {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Turns")
    }
}

/// What one request has the turn for. It is over when dropped.
#[derive(Default)]
pub struct Turn {
    places: Vec<Place>,
    goes_without: bool,
}

impl fmt::Debug for Turn {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Turn({})", self.places.len())
    }
}

impl Turn {
    /// Whether a row is kept for this request.
    pub fn is_taken(&self) -> bool {
        !self.places.is_empty()
    }
}

/// One row's turn.
struct Place {
    rows: Rows,
    key: Key,
    /// `None` only while it is being dropped.
    held: Option<OwnedMutexGuard<()>>,
}

impl Drop for Place {
    fn drop(&mut self) {
        self.held = None;
        let mut rows = self.rows.lock().expect(UNPOISONED);
        // Nobody else holds it or waits for it: whoever comes next takes it out of the map, which is locked.
        if rows.get(&self.key).is_some_and(|row| Arc::strong_count(row) == 1) {
            rows.remove(&self.key);
        }
    }
}

impl Turns {
    /// Takes the turn for `keys`, in order, if nobody has one of them; else waits for it and answers false: what the caller has read
    /// is old by then. `turn` holds it in either case, unless the wait was too long.
    pub async fn take(&self, keys: Vec<Key>, turn: &mut Turn) -> bool {
        if turn.goes_without || keys.iter().all(|key| turn.places.iter().any(|place| place.key == *key)) {
            return true;
        }
        #[cfg(feature = "sim")]
        if crate::chaos::is_disorderly() {
            turn.goes_without = true;
            return true;
        }
        // Two that each wait for what the other holds would wait for ever.
        turn.places.clear();
        if let Some(places) = self.take_now(&keys) {
            turn.places = places;
            return true;
        }
        let deadline = Instant::now() + PATIENCE;
        for key in keys {
            let row = self.row(&key);
            match timeout_at(deadline, row.lock_owned()).await {
                Ok(held) => turn.places.push(self.place(key, held)),
                Err(_) => {
                    turn.places.clear();
                    turn.goes_without = true;
                    break;
                }
            }
        }
        false
    }

    fn take_now(&self, keys: &[Key]) -> Option<Vec<Place>> {
        let mut places = Vec::with_capacity(keys.len());
        for key in keys {
            let held = self.row(key).try_lock_owned().ok()?;
            places.push(self.place(key.clone(), held));
        }
        Some(places)
    }

    fn row(&self, key: &Key) -> Arc<Mutex<()>> {
        self.0.lock().expect(UNPOISONED).entry(key.clone()).or_default().clone()
    }

    fn place(&self, key: Key, held: OwnedMutexGuard<()>) -> Place {
        Place { rows: self.0.clone(), key, held: Some(held) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn keys(paths: &[&str]) -> Vec<Key> {
        paths.iter().map(|path| Key::shared(*path)).collect()
    }

    #[tokio::test]
    async fn a_row_that_somebody_changes_is_waited_for_and_forgotten_after() {
        let turns = Turns::default();
        let (mut first, mut second) = (Turn::default(), Turn::default());
        assert!(turns.take(keys(&["a", "b"]), &mut first).await);
        assert!(turns.take(keys(&["a"]), &mut first).await, "it has the turn already");
        let waiting = turns.take(keys(&["b", "c"]), &mut second);
        let mut waiting = Box::pin(waiting);
        assert!(futures::poll!(&mut waiting).is_pending());
        drop(first);
        assert!(!waiting.await, "what it read is old");
        assert!(turns.take(keys(&["b", "c"]), &mut second).await);
        drop(second);
        assert!(turns.0.lock().unwrap().is_empty());
    }

    #[tokio::test]
    async fn others_are_not_kept_waiting_by_one_that_waits() {
        let turns = Turns::default();
        let (mut first, mut second, mut third) = (Turn::default(), Turn::default(), Turn::default());
        assert!(turns.take(keys(&["b"]), &mut first).await);
        assert!(turns.take(keys(&["a"]), &mut second).await);
        {
            // Wants more than it has: gives up what it has first.
            let mut waiting = Box::pin(turns.take(keys(&["a", "b"]), &mut second));
            assert!(futures::poll!(&mut waiting).is_pending());
        }
        assert_eq!(second.places.len(), 1, "the turn for `a` was taken anew, in order");
        drop(second);
        assert!(turns.take(keys(&["a"]), &mut third).await);
        drop((first, third));
        assert!(turns.0.lock().unwrap().is_empty());
    }
}
