//! Writes packets as a capture file that Wireshark and tcpdump read (pcap, raw IP, microseconds).

use std::fs::File;
use std::io::{self, BufWriter, Write};
use std::path::Path;
use std::time::{SystemTime, UNIX_EPOCH};

/// LINKTYPE_RAW: packets begin with their IP header.
const RAW_IP: u32 = 101;

/// A capture file that is being written.
pub struct Capture {
    file: BufWriter<File>,
}

impl Capture {
    /// # Errors
    /// If the file cannot be made.
    pub fn create(path: &Path) -> io::Result<Self> {
        let mut file = BufWriter::new(File::create(path)?);
        for word in [0xa1b2_c3d4_u32, 0x0004_0002, 0, 0, 65_535, RAW_IP] {
            file.write_all(&word.to_le_bytes())?;
        }
        Ok(Self { file })
    }

    /// Adds a packet as of now.
    ///
    /// # Errors
    /// If the disk is full.
    pub fn add(&mut self, packet: &[u8]) -> io::Result<()> {
        let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
        let length = u32::try_from(packet.len()).expect("a packet is shorter than 64 KiB");
        for word in [u32::try_from(now.as_secs()).unwrap_or(u32::MAX), now.subsec_micros(), length, length] {
            self.file.write_all(&word.to_le_bytes())?;
        }
        self.file.write_all(packet)
    }
}
