//! What planted bugs remember where the right code would write it down: counters by name, for the process, or for the thread that
//! chose its bugs itself, so that one simulation knows nothing of another.

use std::cell::RefCell;
use std::collections::HashMap;
use std::sync::{Mutex, OnceLock};

type Counters = HashMap<(u8, String), u64>;

thread_local! {
    static HERE: RefCell<Counters> = RefCell::default();
}

fn with<T>(then: impl FnOnce(&mut Counters) -> T) -> T {
    static PROCESS: OnceLock<Mutex<Counters>> = OnceLock::new();
    if super::bugs::is_chosen_here() {
        return HERE.with_borrow_mut(then);
    }
    then(&mut PROCESS.get_or_init(Mutex::default).lock().expect("no holder of this lock panics"))
}

/// Counts one more of `name` for this bug, and says how many there are; the first gives 1. Name what is lost with a restart by the
/// address of something that is lost with it.
pub fn count(bug: u8, name: &str) -> u64 {
    with(|counters| {
        let counter = counters.entry((bug, name.to_owned())).or_default();
        *counter += 1;
        *counter
    })
}

/// How many of `name` were counted for this bug.
pub fn counted(bug: u8, name: &str) -> u64 {
    with(|counters| counters.get(&(bug, name.to_owned())).copied().unwrap_or(0))
}

/// This thread's next choice of bugs begins without a memory.
pub(super) fn forget_here() {
    HERE.with_borrow_mut(HashMap::clear);
}
