//! One direction of one connection: a thread reads and stamps, another writes when the time has come.
//!
//! Threads, because a runtime's timer knows milliseconds only. Bytes are moved as they are. While the line is cut, nothing is read or
//! written and nothing is closed: both ends see silence, as with a broken cable; what was under way arrives when it is mended.

use std::io::{Read, Write};
use std::net::{Shutdown, TcpStream};
use std::sync::mpsc::{Receiver, SyncSender, sync_channel};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use super::line::{Direction, Line};

/// Bytes read at once.
const CHUNK_BYTES: usize = 64 * 1024;
/// Chunks under way in one direction of a connection; then its sender waits.
const CHUNKS_MAX: usize = 4096;

/// The line as all its connections see it.
pub struct Wire {
    began: Instant,
    now: Mutex<State>,
    mended: Condvar,
}

/// What [`Wire`] guards.
pub struct State {
    pub line: Line,
    pub is_cut: bool,
    pub directions: [Direction; 2],
    /// Bytes that came out: to the far side, and back.
    pub bytes: [u64; 2],
    /// Writes that came out, and by how much the latest of them was late.
    pub chunks: u64,
    pub late_max: Duration,
    pub late_sum: Duration,
}

/// A chunk under way: when it comes out; empty at the end of the stream.
type Chunk = (Duration, Vec<u8>);

impl Wire {
    pub fn new() -> Self {
        let state = State {
            line: Line::default(),
            is_cut: false,
            directions: [Direction::new(0x9e37_79b9_7f4a_7c15), Direction::new(0xd1b5_4a32_d192_ed03)],
            bytes: [0; 2],
            chunks: 0,
            late_max: Duration::ZERO,
            late_sum: Duration::ZERO,
        };
        Self { began: Instant::now(), now: Mutex::new(state), mended: Condvar::new() }
    }

    pub fn state(&self) -> MutexGuard<'_, State> {
        self.now.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Cuts or mends the line.
    pub fn cut(&self, is_cut: bool) {
        self.state().is_cut = is_cut;
        self.mended.notify_all();
    }

    /// The state, once the line is whole.
    fn whole(&self) -> MutexGuard<'_, State> {
        self.mended.wait_while(self.state(), |state| state.is_cut).unwrap_or_else(PoisonError::into_inner)
    }
}

/// Moves bytes from `from` to `to` until one of them ends. `way` is 0 to the far side and 1 back.
pub fn pump(wire: &Arc<Wire>, way: usize, from: TcpStream, to: TcpStream) {
    let (sender, receiver) = sync_channel(CHUNKS_MAX);
    let (reading, writing) = (Arc::clone(wire), Arc::clone(wire));
    std::thread::spawn(move || read(&reading, way, from, &sender));
    std::thread::spawn(move || write(&writing, way, to, &receiver));
}

fn read(wire: &Wire, way: usize, mut from: TcpStream, sender: &SyncSender<Chunk>) {
    let mut buffer = vec![0; CHUNK_BYTES];
    // A dialler has heard from the far side before it sends: the handshake of TCP, which the loopback did at once.
    let mut handshake = if way == 0 { 2 * wire.state().line.delay } else { Duration::ZERO };
    let mut after = Duration::ZERO;
    loop {
        let count = from.read(&mut buffer).unwrap_or(0);
        {
            let mut state = wire.whole();
            let (now, line) = (wire.began.elapsed() + std::mem::take(&mut handshake), state.line);
            after = state.directions[way].arrival(&line, now, count, after);
        }
        // The writer is gone, so is the connection.
        if sender.send((after, buffer[..count].to_vec())).is_err() || count == 0 {
            return;
        }
    }
}

fn write(wire: &Wire, way: usize, mut to: TcpStream, receiver: &Receiver<Chunk>) {
    while let Ok((due, bytes)) = receiver.recv() {
        let ahead = due.saturating_sub(wire.began.elapsed());
        if !ahead.is_zero() {
            std::thread::sleep(ahead);
        }
        {
            let mut state = wire.whole();
            let late = wire.began.elapsed().saturating_sub(due);
            state.late_max = state.late_max.max(late);
            state.late_sum += late;
            state.chunks += 1;
            state.bytes[way] += bytes.len() as u64;
        }
        if bytes.is_empty() || to.write_all(&bytes).is_err() {
            break;
        }
    }
    // The other half may still have something to say; if the peer is gone, it sees that itself.
    let _ = to.shutdown(Shutdown::Write);
}
