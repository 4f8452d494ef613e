//! The one network device of a node: a TUN whose other end is the switch.
//!
//! Not here: what happens to a packet (`switch`, `rule`).

use std::io;
use std::net::Ipv4Addr;
use std::os::fd::{AsFd, BorrowedFd};

use tun_rs::{DeviceBuilder, SyncDevice};

use super::netns::{Namespace, command};

/// Of all links. What a packet needs at most, and what the switch reads at once.
pub const MTU: u16 = 1500;
/// The block for benchmarks (RFC 2544): no real network uses it.
pub const PREFIX_LENGTH: u8 = 15;

/// The switch's end of a node's link.
pub struct Link {
    /// Where the node is.
    pub address: Ipv4Addr,
    device: SyncDevice,
}

impl Link {
    /// Makes the device inside `namespace`, with `address`; everything in the test network is reached through it.
    ///
    /// # Errors
    /// Without `/dev/net/tun`, or the `ip` tool.
    pub fn new(namespace: &Namespace, address: Ipv4Addr) -> Result<Self, String> {
        let device = namespace.run(|| {
            let device = DeviceBuilder::new().name("test0").build_sync().map_err(|error| format!("make a TUN device: {error}"))?;
            command("ip", &["addr", "add", &format!("{address}/{PREFIX_LENGTH}"), "dev", "test0"])?;
            command("ip", &["link", "set", "test0", "mtu", &MTU.to_string(), "txqueuelen", "2000", "up"])?;
            Ok::<_, String>(device)
        })?;
        device.set_nonblocking(true).map_err(|error| format!("set up a TUN device: {error}"))?;
        Ok(Self { address, device })
    }

    /// The next packet that the node sent, if there is one: its length.
    pub fn receive(&self, buffer: &mut [u8]) -> Option<usize> {
        self.device.recv(buffer).ok().filter(|length| *length > 0)
    }

    /// Hands a packet to the node. A full queue loses it, as a network does.
    pub fn deliver(&self, packet: &[u8]) -> io::Result<usize> {
        self.device.send(packet)
    }
}

impl AsFd for Link {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.device.as_fd()
    }
}
