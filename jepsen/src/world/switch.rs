//! The network of a run: one thread that moves packets between the links of all nodes, as rules say.
//!
//! Promises: nothing passes between two nodes but through here; a new rule holds for every packet that is *sent* after `set`
//! returned; packets that wait for their delay are lost when the line is cut.
//! Not here: which rules make which fault (`nemesis`).

use std::cmp::Reverse;
use std::collections::{BTreeMap, BinaryHeap};
use std::net::Ipv4Addr;
use std::os::fd::AsFd;
use std::path::Path;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use nix::poll::{PollFd, PollFlags, PollTimeout, poll};

use super::link::Link;
use super::packet::ends;
use super::pcap::Capture;
use super::rule::{Direction, Rule};
use crate::core::Rng;

/// Read from one link before the next gets its turn.
const BURST: usize = 64;
/// How long the thread sleeps at most: also how late it notices its end.
const NAP: Duration = Duration::from_millis(50);

/// From one node to another, by their numbers.
pub type Pair = (usize, usize);

/// How many packets fared how, of one pair.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Count {
    /// Sent by the node.
    pub sent: u64,
    /// Handed to the other.
    pub delivered: u64,
    /// Lost by rule.
    pub lost: u64,
}

struct State {
    directions: BTreeMap<Pair, Direction>,
    counts: BTreeMap<Pair, Count>,
    capture: Option<Capture>,
}

/// A running switch; ends when dropped.
pub struct Switch {
    state: Arc<Mutex<State>>,
    is_over: Arc<AtomicBool>,
    thread: Option<JoinHandle<()>>,
}

impl Switch {
    /// Connects these links, all lines open.
    pub fn start(links: Vec<Link>, rng: &Rng) -> Self {
        let ids = 0..links.len();
        let pairs = ids.clone().flat_map(|from| ids.clone().map(move |to| (from, to))).filter(|(from, to)| from != to);
        let directions = pairs.map(|pair| (pair, Direction::new(rng.fork(&format!("link {}-{}", pair.0, pair.1))))).collect();
        let state = Arc::new(Mutex::new(State { directions, counts: BTreeMap::new(), capture: None }));
        let is_over = Arc::new(AtomicBool::new(false));
        let thread = {
            let (state, is_over) = (state.clone(), is_over.clone());
            std::thread::Builder::new().name("switch".to_owned()).spawn(move || Loop::new(links, state).run(&is_over))
        };
        Self { state, is_over, thread: Some(thread.expect("a thread can be started")) }
    }

    /// Sets the rules of these pairs. Unknown pairs are a mistake of the caller's.
    pub fn set(&self, rules: impl IntoIterator<Item = (Pair, Rule)>) {
        let mut state = lock(&self.state);
        for (pair, rule) in rules {
            state.directions.get_mut(&pair).expect("both nodes have links").rule = rule;
        }
    }

    /// Opens every line.
    pub fn clear(&self) {
        lock(&self.state).directions.values_mut().for_each(|direction| direction.rule = Rule::default());
    }

    /// The rules that are not clear: what is really in force.
    pub fn rules(&self) -> Vec<(Pair, Rule)> {
        let state = lock(&self.state);
        state.directions.iter().filter(|(_, line)| !line.rule.is_clear()).map(|(pair, line)| (*pair, line.rule.clone())).collect()
    }

    /// Packets so far, by pair.
    pub fn counts(&self) -> BTreeMap<Pair, Count> {
        lock(&self.state).counts.clone()
    }

    /// Writes every packet that is sent from now on to a file.
    ///
    /// # Errors
    /// If the file cannot be made.
    pub fn capture(&self, path: &Path) -> std::io::Result<()> {
        lock(&self.state).capture = Some(Capture::create(path)?);
        Ok(())
    }
}

impl Drop for Switch {
    fn drop(&mut self) {
        self.is_over.store(true, Ordering::Relaxed);
        if let Some(thread) = self.thread.take() {
            // A panic of the switch has been printed, and shows as a network that is down.
            let _ = thread.join();
        }
    }
}

fn lock(state: &Mutex<State>) -> MutexGuard<'_, State> {
    state.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Waits for its time; equal times keep the order of sending.
type Waiting = Reverse<(Duration, u64, usize, usize, Vec<u8>)>;

struct Loop {
    links: Vec<Link>,
    by_address: BTreeMap<Ipv4Addr, usize>,
    state: Arc<Mutex<State>>,
    waiting: BinaryHeap<Waiting>,
    number: u64,
    start: Instant,
}

impl Loop {
    fn new(links: Vec<Link>, state: Arc<Mutex<State>>) -> Self {
        let by_address = links.iter().enumerate().map(|(n, link)| (link.address, n)).collect();
        Self { links, by_address, state, waiting: BinaryHeap::new(), number: 0, start: Instant::now() }
    }

    fn run(mut self, is_over: &AtomicBool) {
        let mut buffer = [0; 65_536];
        while !is_over.load(Ordering::Relaxed) {
            for from in self.wait() {
                self.take(from, &mut buffer);
            }
            self.deliver_due();
        }
    }

    /// The links that have packets, or none when one that waits is due.
    fn wait(&self) -> Vec<usize> {
        let until = self.waiting.peek().map_or(NAP, |Reverse((due, ..))| due.saturating_sub(self.start.elapsed()).min(NAP));
        // Rounded up: waking early would only spin.
        let millis = u16::try_from(until.as_micros().div_ceil(1000)).expect("at most a nap");
        let mut fds: Vec<PollFd<'_>> = self.links.iter().map(|link| PollFd::new(link.as_fd(), PollFlags::POLLIN)).collect();
        if poll(&mut fds, PollTimeout::from(millis)).unwrap_or(0) <= 0 {
            return Vec::new();
        }
        fds.iter().enumerate().filter(|(_, fd)| fd.any().unwrap_or(false)).map(|(n, _)| n).collect()
    }

    fn take(&mut self, from: usize, buffer: &mut [u8]) {
        for _ in 0..BURST {
            let Some(length) = self.links[from].receive(buffer) else { return };
            let packet = &buffer[..length];
            let Some((_, destination)) = ends(packet) else { continue };
            let Some(&to) = self.by_address.get(&destination) else { continue };
            let now = self.start.elapsed();
            let mut state = lock(&self.state);
            let Some(direction) = state.directions.get_mut(&(from, to)) else { continue };
            let flights = direction.pass(now, packet);
            let count = state.counts.entry((from, to)).or_default();
            count.sent += 1;
            count.lost += u64::from(flights.is_empty());
            if let Some(capture) = &mut state.capture {
                // A full disk ends the capture, not the run.
                if capture.add(packet).is_err() {
                    state.capture = None;
                }
            }
            drop(state);
            for flight in flights {
                self.number += 1;
                self.waiting.push(Reverse((flight.due, self.number, from, to, flight.packet)));
            }
        }
    }

    fn deliver_due(&mut self) {
        let now = self.start.elapsed();
        while self.waiting.peek().is_some_and(|Reverse((due, ..))| *due <= now) {
            let Some(Reverse((_, _, from, to, packet))) = self.waiting.pop() else { return };
            let mut state = lock(&self.state);
            let is_cut = state.directions.get(&(from, to)).is_none_or(|direction| direction.rule.drop);
            let count = state.counts.entry((from, to)).or_default();
            if is_cut {
                count.lost += 1;
                continue;
            }
            let is_delivered = self.links[to].deliver(&packet).is_ok();
            count.delivered += u64::from(is_delivered);
            count.lost += u64::from(!is_delivered);
        }
    }
}
