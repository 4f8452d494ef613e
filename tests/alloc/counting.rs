//! The system's allocator, with a count of what this thread takes from it.

#![allow(unsafe_code, reason = "an allocator cannot be written without; it passes everything on to the system's")]

use std::alloc::{GlobalAlloc, Layout, System};
use std::backtrace::Backtrace;
use std::cell::Cell;
use std::collections::BTreeMap;
use std::sync::Mutex;

/// What was allocated.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub struct Taken {
    /// Allocations, and growths of what was allocated.
    pub allocations: u64,
    /// Their bytes.
    pub bytes: u64,
}

thread_local! {
    static TAKEN: Cell<Taken> = const { Cell::new(Taken { allocations: 0, bytes: 0 }) };
    static IS_TRACING: Cell<bool> = const { Cell::new(false) };
}

static SITES: Mutex<BTreeMap<String, u64>> = Mutex::new(BTreeMap::new());

struct Counting;

#[global_allocator]
static COUNTING: Counting = Counting;

fn count(bytes: usize) {
    let taken = TAKEN.get();
    TAKEN.set(Taken { allocations: taken.allocations + 1, bytes: taken.bytes + bytes as u64 });
    if IS_TRACING.replace(false) {
        let stack = Backtrace::force_capture().to_string();
        let ours = |line: &&str| line.contains("coffer::") && !line.contains("{closure#0}::{closure#0}");
        let site: Vec<&str> = stack
            .lines()
            .filter(ours)
            .take(3)
            .map(|line| line.trim_start_matches([' ', ':', '0', '1', '2', '3', '4', '5', '6', '7', '8', '9']))
            .collect();
        *SITES.lock().unwrap().entry(site.join(" < ")).or_default() += 1;
        IS_TRACING.set(true);
    }
}

// SAFETY: every call goes to the system's allocator as it came, so what that promises holds here.
unsafe impl GlobalAlloc for Counting {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        count(layout.size());
        // SAFETY: as for this call.
        unsafe { System.alloc(layout) }
    }
    unsafe fn dealloc(&self, at: *mut u8, layout: Layout) {
        // SAFETY: as for this call; `at` came from the system's allocator.
        unsafe { System.dealloc(at, layout) }
    }
    unsafe fn realloc(&self, at: *mut u8, layout: Layout, size: usize) -> *mut u8 {
        count(size);
        // SAFETY: as for this call; `at` came from the system's allocator.
        unsafe { System.realloc(at, layout, size) }
    }
}

/// What this thread has taken so far.
pub fn taken() -> Taken {
    TAKEN.get()
}

/// Remembers where allocations come from, until called with `false`: then prints the places, the busiest first.
pub fn trace(is_on: bool) {
    IS_TRACING.set(is_on);
    if !is_on {
        let mut sites: Vec<(String, u64)> = std::mem::take(&mut *SITES.lock().unwrap()).into_iter().collect();
        sites.sort_by_key(|(_, count)| std::cmp::Reverse(*count));
        for (site, count) in sites {
            println!("{count:5}  {site}");
        }
    }
}
