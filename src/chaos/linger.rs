//! What the simulator decides of how work goes: how long it takes at places where it would take no time at all, and whether those who
//! want the same wait for one another.

use std::cell::{Cell, RefCell};
use std::rc::Rc;
use std::time::Duration;

/// How long work takes at a place.
type Pace = Rc<dyn Fn(&'static str) -> Duration>;

thread_local! {
    static PACE: RefCell<Option<Pace>> = const { RefCell::new(None) };
    static IS_DISORDERLY: Cell<bool> = const { Cell::new(false) };
}

/// From now on, writers of one row on this thread do not follow one another (`core::turns`): what keeps them right is left alone.
pub fn be_disorderly(is_so: bool) {
    IS_DISORDERLY.set(is_so);
}

/// Whether they do not.
pub fn is_disorderly() -> bool {
    IS_DISORDERLY.get()
}

/// From now on, work on this thread takes as long as `pace` says.
pub fn take_time(pace: impl Fn(&'static str) -> Duration + 'static) {
    PACE.set(Some(Rc::new(pace)));
}

/// Takes the time that work at `place` takes; none unless somebody says so.
pub async fn linger(place: &'static str) {
    let takes = PACE.with_borrow(Clone::clone).map_or(Duration::ZERO, |pace| pace(place));
    if !takes.is_zero() {
        tokio::time::sleep(takes).await;
    }
}
