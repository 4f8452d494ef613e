//! The system's random numbers, taken over: hash maps, tokio's choices, uuids and election timeouts follow from the seed too.
//!
//! Everything in this process that asks the C library gets these. What asks the kernel itself (the TLS library, for keys of
//! certificates) does not; no decision hangs on those bytes.

#![allow(unsafe_code, reason = "a function of the C library is replaced, as nothing else reaches what dependencies draw")]

use std::sync::Mutex;

use crate::rng::Rng;

static STREAM: Mutex<Option<Rng>> = Mutex::new(None);

/// From now on, the stream of `seed`. Before anything else of the simulation is built: what was drawn earlier is the system's.
pub fn follow(seed: u64) {
    *STREAM.lock().expect("no holder of this lock panics") = Some(Rng::new(seed, "system"));
}

fn fill(out: &mut [u8]) {
    let mut stream = STREAM.lock().expect("no holder of this lock panics");
    // Before `follow` nothing of the simulation runs; a constant is as good as any.
    let stream = stream.get_or_insert_with(|| Rng::new(0, "before"));
    for bytes in out.chunks_mut(8) {
        let number = stream.number().to_le_bytes();
        bytes.copy_from_slice(&number[..bytes.len()]);
    }
}

/// getrandom(2), as the C library declares it.
///
/// # Safety
/// `out` points to `len` bytes that may be written, as every caller of the original promises.
#[unsafe(no_mangle)]
unsafe extern "C" fn getrandom(out: *mut u8, len: usize, _flags: u32) -> isize {
    if out.is_null() {
        return -1;
    }
    // SAFETY: the caller promises that these bytes are there.
    fill(unsafe { std::slice::from_raw_parts_mut(out, len) });
    isize::try_from(len).unwrap_or(-1)
}
