//! A TCP relay that keeps every byte that it passes on, in both directions: what an eavesdropper between two nodes would have.
//!
//! Not here: what is searched for in it (`needles`), and what it must not hold (`traffic`).

use std::io::{Read, Write};
use std::net::{Shutdown, TcpListener, TcpStream};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};
use std::thread;

/// What went one way over one connection.
type Tape = Arc<Mutex<Vec<u8>>>;

/// Listens on a port of the kernel's choosing and passes everything on to `target`.
pub struct Relay {
    pub port: u16,
    tapes: Arc<Mutex<Vec<Tape>>>,
    is_over: Arc<AtomicBool>,
}

impl Relay {
    pub fn to(target: u16) -> Self {
        let listener = TcpListener::bind(("127.0.0.1", 0)).unwrap();
        let port = listener.local_addr().unwrap().port();
        let (tapes, is_over) = (Arc::<Mutex<Vec<Tape>>>::default(), Arc::new(AtomicBool::new(false)));
        let (kept, over) = (tapes.clone(), is_over.clone());
        thread::spawn(move || {
            for caller in listener.incoming() {
                if over.load(Ordering::Acquire) {
                    return;
                }
                // A node that is down: the caller is hung up on.
                let (Ok(caller), Ok(called)) = (caller, TcpStream::connect(("127.0.0.1", target))) else { continue };
                for (from, to) in [(&caller, &called), (&called, &caller)] {
                    let (from, to) = (from.try_clone().unwrap(), to.try_clone().unwrap());
                    let tape = Tape::default();
                    kept.lock().unwrap().push(tape.clone());
                    thread::spawn(move || pass_on(from, to, &tape));
                }
            }
        });
        Self { port, tapes, is_over }
    }

    /// What went each way over each connection so far.
    pub fn tapes(&self) -> Vec<Vec<u8>> {
        let tapes = self.tapes.lock().unwrap().clone();
        tapes.iter().map(|tape| tape.lock().unwrap().clone()).collect()
    }

    /// How much that is.
    pub fn bytes(&self) -> usize {
        self.tapes.lock().unwrap().iter().map(|tape| tape.lock().unwrap().len()).sum()
    }
}

impl Drop for Relay {
    fn drop(&mut self) {
        self.is_over.store(true, Ordering::Release);
        drop(TcpStream::connect(("127.0.0.1", self.port)));
    }
}

/// Kept first, sent then: what the other side has, the tape has.
fn pass_on(mut from: TcpStream, mut to: TcpStream, tape: &Tape) {
    let mut buffer = vec![0; 64 * 1024];
    while let Ok(len @ 1..) = from.read(&mut buffer) {
        tape.lock().unwrap().extend_from_slice(&buffer[..len]);
        if to.write_all(&buffer[..len]).is_err() {
            break;
        }
    }
    let _ = (from.shutdown(Shutdown::Both), to.shutdown(Shutdown::Both));
}

/// How many TLS records these bytes are: all of them, from the first to the last, which may be cut off.
pub fn tls_records(mut bytes: &[u8]) -> Result<usize, String> {
    let mut count = 0;
    while let [kind, major, minor, high, low, rest @ ..] = bytes {
        if !(20..=23).contains(kind) || *major != 3 || *minor > 4 {
            return Err(format!("after {count} records: {:?}", String::from_utf8_lossy(&bytes[..bytes.len().min(64)])));
        }
        count += 1;
        bytes = rest.get(usize::from(*high) << 8 | usize::from(*low)..).unwrap_or_default();
    }
    Ok(count)
}

#[test]
fn only_tls_passes_for_tls() {
    assert_eq!(tls_records(&[22, 3, 1, 0, 2, 9, 9, 23, 3, 3, 0, 1, 7, 23, 3, 3]), Ok(2));
    assert!(tls_records(b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n").is_err());
    assert!(tls_records(&[22, 3, 1, 0, 1, 9, b'G', b'E', b'T', b' ', b'/']).is_err());
}
