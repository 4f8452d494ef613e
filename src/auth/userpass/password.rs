//! Passwords and their bcrypt hashes, on the blocking pool: one costs about fifty milliseconds of a processor.
//!
//! As many are hashed at one time as there are processors, so that logins, which anybody may try, leave the rest of the node its
//! share; a bounded number waits, and what comes beyond that is told to try again later.

use std::sync::LazyLock;

use tokio::sync::Semaphore;

use crate::crypto::{Entropy, entropy};
use crate::engine::{Data, EngineError};
use crate::pool::off_thread;
use crate::types::Secret;
use crate::types::limits::PASSWORD_HASHES_WAITING_MAX;

/// Work factor of hashes made here, as in Vault.
const COST: u32 = 10;
/// Work factors that an imported hash may have: below, it is weak; above, a login could be used to keep the node busy.
const IMPORTED_COSTS: std::ops::RangeInclusive<u32> = 5..=12;
/// bcrypt looks at no more than this.
const PASSWORD_BYTES_MAX: usize = 72;

/// What stands in for the hash of a user that does not exist: no password has it.
static NOBODY: LazyLock<String> = LazyLock::new(|| {
    bcrypt::hash_with_salt(b"nobody", COST, [0; 16]).map(|parts| parts.to_string()).expect("a fixed password within bcrypt's limits")
});

/// What a request sets a password to.
pub(super) enum Given {
    Password(Secret<String>),
    Hash(String),
}

/// The password or hash that a request gives, if any.
pub(super) fn given(data: &Data) -> Result<Option<Given>, EngineError> {
    let password = data.text("password")?.filter(|text| !text.is_empty());
    let hash = data.text("password_hash")?.filter(|text| !text.is_empty());
    match (password, hash) {
        (Some(_), Some(_)) => Err(EngineError::invalid("only one of password or password_hash may be provided")),
        (Some(password), None) if password.len() > PASSWORD_BYTES_MAX => {
            Err(EngineError::invalid("password is longer than 72 bytes, of which bcrypt would ignore the rest"))
        }
        (Some(password), None) => Ok(Some(Given::Password(Secret::new(password)))),
        (None, Some(hash)) => {
            let is_fine = hash.parse::<bcrypt::HashParts>().is_ok_and(|parts| IMPORTED_COSTS.contains(&parts.get_cost()));
            if is_fine { Ok(Some(Given::Hash(hash))) } else { Err(EngineError::invalid("password_hash is no bcrypt hash of cost 5 to 12")) }
        }
        (None, None) => Ok(None),
    }
}

/// The hash to store.
pub(super) async fn hash(given: Given, source: &dyn Entropy) -> Result<String, EngineError> {
    match given {
        Given::Hash(hash) => Ok(hash),
        Given::Password(password) => {
            let salt = entropy::random(source);
            blocking(move || bcrypt::hash_with_salt(password.expose().as_bytes(), COST, salt).map(|parts| parts.to_string())).await
        }
    }
}

/// Whether `password` is the one of `hash`; takes as long if there is no hash.
pub(super) async fn verify(password: String, hash: Option<String>) -> Result<bool, EngineError> {
    let password = Secret::new(password);
    blocking(move || {
        let is_known = hash.is_some();
        let hash = hash.unwrap_or_else(|| NOBODY.clone());
        let fits = password.expose().len() <= PASSWORD_BYTES_MAX;
        let shown = if fits { password.expose().as_bytes() } else { b"" };
        bcrypt::verify(shown, &hash).map(|is_right| is_right && is_known && fits)
    })
    .await
}

/// Where passwords are hashed.
struct Workshop {
    /// One for each hash that waits or is made.
    places: Semaphore,
    /// One for each that is made.
    processors: Semaphore,
}

static WORKSHOP: LazyLock<Workshop> = LazyLock::new(|| Workshop::new(std::thread::available_parallelism().map_or(1, usize::from)));

impl Workshop {
    fn new(processors: usize) -> Self {
        Self { places: Semaphore::new(processors + PASSWORD_HASHES_WAITING_MAX), processors: Semaphore::new(processors) }
    }

    /// Runs `work` on the blocking pool, when its turn comes.
    async fn run<T: Send + 'static>(&'static self, work: impl FnOnce() -> T + Send + 'static) -> Result<T, EngineError> {
        let busy = || EngineError::Unavailable("too many logins at one time, try again later".to_owned());
        let _place = self.places.try_acquire().map_err(|_| busy())?;
        let processor = self.processors.acquire().await.map_err(|_| busy())?;
        // The permit goes along: a client that goes away does not take the processor from the thread.
        let done = off_thread(move || {
            let _processor = processor;
            work()
        });
        done.await.map_err(|_| EngineError::Internal("the password thread ended".to_owned()))
    }
}

async fn blocking<T: Send + 'static>(work: impl FnOnce() -> Result<T, bcrypt::BcryptError> + Send + 'static) -> Result<T, EngineError> {
    WORKSHOP.run(work).await?.map_err(|error| EngineError::Internal(format!("bcrypt: {error}")))
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::{AtomicUsize, Ordering};

    use super::*;

    #[tokio::test]
    async fn hashes_are_made_side_by_side_up_to_a_bound_and_wait_up_to_another() {
        let shop: &'static Workshop = Box::leak(Box::new(Workshop::new(2)));
        let at_once: &'static AtomicUsize = Box::leak(Box::default());
        let (go, wait) = std::sync::mpsc::channel::<()>();
        let wait = std::sync::Arc::new(std::sync::Mutex::new(wait));
        let works: Vec<_> = (0..PASSWORD_HASHES_WAITING_MAX + 2)
            .map(|_| {
                let wait = wait.clone();
                tokio::spawn(shop.run(move || {
                    let together = at_once.fetch_add(1, Ordering::SeqCst) + 1;
                    wait.lock().unwrap().recv().unwrap();
                    at_once.fetch_sub(1, Ordering::SeqCst);
                    together
                }))
            })
            .collect();
        while shop.places.available_permits() > 0 {
            tokio::task::yield_now().await;
        }
        let refused = shop.run(|| 0).await.unwrap_err();
        assert!(matches!(refused, EngineError::Unavailable(_)), "{refused}");
        works.iter().for_each(|_| go.send(()).unwrap());
        for work in works {
            assert!(work.await.unwrap().unwrap() <= 2);
        }
    }
}
