//! The times of an open loop, kept by a thread of its own: a runtime's timer knows milliseconds only.

use std::cell::RefCell;
use std::rc::Rc;
use std::time::{Duration, Instant};

use tokio::sync::mpsc;

/// Hands out the times at which requests should be sent, each once that time has come.
#[derive(Clone)]
pub struct Pacer(Rc<RefCell<Shared>>, Rc<tokio::sync::Notify>);

struct Shared {
    due: std::collections::VecDeque<Instant>,
    closed: bool,
}

impl Pacer {
    /// `rate` a second from `start` until `end`. Must be called within a local task set.
    pub fn new(rate: f64, start: Instant, end: Instant) -> Self {
        let (sender, mut receiver) = mpsc::unbounded_channel();
        std::thread::spawn(move || tick(rate, start, end, &sender));
        let shared = Rc::new(RefCell::new(Shared { due: std::collections::VecDeque::new(), closed: false }));
        let notify = Rc::new(tokio::sync::Notify::new());
        let pacer = Self(Rc::clone(&shared), Rc::clone(&notify));
        tokio::task::spawn_local(async move {
            while let Some(time) = receiver.recv().await {
                shared.borrow_mut().due.push_back(time);
                notify.notify_one();
            }
            shared.borrow_mut().closed = true;
            notify.notify_waiters();
        });
        pacer
    }

    /// The next time; `None` when there are no more.
    pub async fn next(&self) -> Option<Instant> {
        loop {
            let notified = self.1.notified();
            tokio::pin!(notified);
            notified.as_mut().enable();
            {
                let mut shared = self.0.borrow_mut();
                if let Some(time) = shared.due.pop_front() {
                    return Some(time);
                }
                if shared.closed {
                    return None;
                }
            }
            notified.await;
        }
    }
}

fn tick(rate: f64, start: Instant, end: Instant, sender: &mpsc::UnboundedSender<Instant>) {
    for number in 0.. {
        let time = start + Duration::from_secs_f64(f64::from(number) / rate);
        if time >= end {
            return;
        }
        let ahead = time.saturating_duration_since(Instant::now());
        if !ahead.is_zero() {
            std::thread::sleep(ahead);
        }
        if sender.send(time).is_err() {
            return;
        }
    }
}
