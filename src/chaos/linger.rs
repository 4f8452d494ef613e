//! Places where work may take long: the simulator, where it would take no time at all, says how long.

use std::cell::RefCell;
use std::rc::Rc;
use std::time::Duration;

/// How long work takes at a place.
type Pace = Rc<dyn Fn(&'static str) -> Duration>;

thread_local! {
    static PACE: RefCell<Option<Pace>> = const { RefCell::new(None) };
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
