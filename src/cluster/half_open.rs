//! Bounds the connections whose handshake is not done: in all, and from one address, so that no one stranger can hold the port.
//!
//! Not here: how long a handshake may take (`listener`).

use std::collections::HashMap;
use std::net::IpAddr;
use std::sync::{Arc, Mutex};

/// Most connections in their handshake.
const HALF_OPEN_MAX: usize = 1024;
/// Most of them from one address. Nodes behind one address (a test machine, a NAT gateway) dial less than this at one time.
const HALF_OPEN_PER_ADDR_MAX: usize = 64;

/// Counts them.
#[derive(Clone, Debug, Default)]
pub(super) struct HalfOpen(Arc<Mutex<Counts>>);

#[derive(Debug, Default)]
struct Counts {
    total: usize,
    by_addr: HashMap<IpAddr, usize>,
}

/// One connection in its handshake; over when dropped.
#[derive(Debug)]
pub(super) struct Handshaking(HalfOpen, IpAddr);

impl HalfOpen {
    /// Counts a connection from `addr`; `None` if there are too many.
    pub fn enter(&self, addr: IpAddr) -> Option<Handshaking> {
        let mut counts = self.0.lock().expect("no holder of this lock panics");
        let from_addr = counts.by_addr.get(&addr).copied().unwrap_or(0);
        if counts.total >= HALF_OPEN_MAX || from_addr >= HALF_OPEN_PER_ADDR_MAX {
            return None;
        }
        counts.total += 1;
        counts.by_addr.insert(addr, from_addr + 1);
        Some(Handshaking(self.clone(), addr))
    }
}

impl Drop for Handshaking {
    fn drop(&mut self) {
        let mut counts = self.0.0.lock().expect("no holder of this lock panics");
        counts.total -= 1;
        if let Some(count) = counts.by_addr.get_mut(&self.1) {
            *count -= 1;
            if *count == 0 {
                counts.by_addr.remove(&self.1);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn addr(last: u8) -> IpAddr {
        IpAddr::from([10, 0, 0, last])
    }

    #[test]
    fn one_address_cannot_keep_the_others_out() {
        let half_open = HalfOpen::default();
        let mut held: Vec<_> = std::iter::from_fn(|| half_open.enter(addr(1))).collect();
        assert_eq!(held.len(), HALF_OPEN_PER_ADDR_MAX);
        assert!(half_open.enter(addr(2)).is_some());
        held.pop();
        assert!(half_open.enter(addr(1)).is_some());
        drop(held);
        assert!(half_open.0.lock().unwrap().by_addr.is_empty());
    }

    #[test]
    fn all_together_are_bounded() {
        let half_open = HalfOpen::default();
        let held: Vec<_> = (0..=255).flat_map(|last| std::iter::from_fn(|| half_open.enter(addr(last))).collect::<Vec<_>>()).collect();
        assert_eq!(held.len(), HALF_OPEN_MAX);
    }
}
