//! Threads that take processors away from the nodes, as a busy neighbour does.

use std::hint::spin_loop;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;

/// They run until it is dropped.
pub struct Burn(Arc<AtomicBool>);

impl Burn {
    /// So many of them.
    pub fn threads(count: usize) -> Self {
        let is_over = Arc::new(AtomicBool::new(false));
        for _ in 0..count {
            let is_over = is_over.clone();
            thread::spawn(move || {
                while !is_over.load(Ordering::Relaxed) {
                    (0..10_000).for_each(|_| spin_loop());
                }
            });
        }
        Self(is_over)
    }
}

impl Drop for Burn {
    fn drop(&mut self) {
        self.0.store(true, Ordering::Relaxed);
    }
}
