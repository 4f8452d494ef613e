//! Work that blocks, off the threads that serve: scans, syncs, checkpoints, hashes of passwords.
//!
//! A seam: the simulator, where one thread is all there is, has it run at once, so that its order is the seed's.

use std::io;

use tokio::task::{JoinError, spawn_blocking};

/// Runs `work` on the blocking pool. It is carried through even if nobody waits for it any more.
///
/// # Errors
/// If it panics, or the runtime ends first.
pub async fn off_thread<T: Send + 'static>(work: impl FnOnce() -> T + Send + 'static) -> Result<T, JoinError> {
    #[cfg(feature = "sim")]
    if simulated::runs_inline() {
        return Ok(work());
    }
    spawn_blocking(work).await
}

/// Runs `work`, which blocks now and then, on a thread of its own until it ends; the name is the thread's, of at most 15 bytes.
///
/// # Errors
/// If the system gives no thread.
pub fn on_own_thread(name: &str, work: impl Future<Output = ()> + Send + 'static) -> io::Result<()> {
    #[cfg(feature = "sim")]
    if simulated::runs_inline() {
        tokio::spawn(work);
        return Ok(());
    }
    std::thread::Builder::new().name(name.to_owned()).spawn(move || futures::executor::block_on(work)).map(|_| ())
}

/// The simulator's switch.
#[cfg(feature = "sim")]
pub mod simulated {
    use std::sync::atomic::{AtomicBool, Ordering};

    static INLINE: AtomicBool = AtomicBool::new(false);

    /// From now on work runs at once, in this process.
    pub fn run_inline() {
        INLINE.store(true, Ordering::Relaxed);
    }

    pub(super) fn runs_inline() -> bool {
        INLINE.load(Ordering::Relaxed)
    }
}
