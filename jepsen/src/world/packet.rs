//! What the switch must know of an IPv4 packet: from where, to where, and how to break it so that TCP does not notice.

use std::net::Ipv4Addr;

const TCP: u8 = 6;

/// Source and destination of an IPv4 packet.
pub fn ends(packet: &[u8]) -> Option<(Ipv4Addr, Ipv4Addr)> {
    if packet.len() < 20 || packet[0] >> 4 != 4 {
        return None;
    }
    let at = |start: usize| Ipv4Addr::new(packet[start], packet[start + 1], packet[start + 2], packet[start + 3]);
    Some((at(12), at(16)))
}

/// Where the payload of a TCP packet begins; `None` if it has none.
fn payload(packet: &[u8]) -> Option<(usize, usize)> {
    let header = usize::from(packet[0] & 15) * 4;
    if packet.len() < header + 20 || packet[9] != TCP {
        return None;
    }
    let start = header + usize::from(packet[header + 12] >> 4) * 4;
    (start < packet.len()).then_some((header, start))
}

/// Flips one bit, chosen by `choice`: of the payload with the checksum set right again if `is_hidden`, of the whole packet
/// otherwise. Says whether anything changed: a hidden flip needs a payload.
pub fn corrupt(packet: &mut [u8], choice: u64, is_hidden: bool) -> bool {
    let pick = |from: usize, to: usize| from + usize::try_from(choice >> 3).unwrap_or(0) % (to - from);
    let bit = 1u8 << (choice & 7);
    if !is_hidden {
        // Behind the addresses: the packet still arrives where it was meant to.
        if packet.len() > 20 {
            packet[pick(20, packet.len())] ^= bit;
        }
        return packet.len() > 20;
    }
    let Some((header, start)) = payload(packet) else { return false };
    packet[pick(start, packet.len())] ^= bit;
    let sum = tcp_checksum(packet, header);
    packet[header + 16..header + 18].copy_from_slice(&sum.to_be_bytes());
    true
}

/// RFC 9293, 3.1: over a pseudo header and the segment, its own field counted as zero.
fn tcp_checksum(packet: &[u8], header: usize) -> u16 {
    let segment = &packet[header..];
    let length = u32::try_from(segment.len()).expect("a packet is shorter than 64 KiB");
    let word = |pair: &[u8]| u32::from(pair[0]) << 8 | u32::from(*pair.get(1).unwrap_or(&0));
    let mut sum: u32 = packet[12..20].chunks(2).map(word).sum::<u32>() + u32::from(TCP) + length;
    sum += segment.chunks(2).enumerate().filter(|(n, _)| *n != 8).map(|(_, pair)| word(pair)).sum::<u32>();
    while sum >> 16 != 0 {
        sum = (sum & 0xffff) + (sum >> 16);
    }
    !u16::try_from(sum).expect("folded to sixteen bits")
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A TCP packet with a payload of four bytes and a checksum that is right.
    fn sample() -> Vec<u8> {
        let mut packet = vec![0x45, 0, 0, 44, 0, 0, 0, 0, 64, TCP, 0, 0, 198, 18, 0, 1, 198, 18, 0, 2];
        packet.extend([0x1f, 0x90, 0x20, 0xfb, 0, 0, 0, 1, 0, 0, 0, 2, 0x50, 0x18, 0, 64, 0, 0, 0, 0]);
        packet.extend(b"abcd");
        let sum = tcp_checksum(&packet, 20);
        packet[36..38].copy_from_slice(&sum.to_be_bytes());
        packet
    }

    /// Adds up to zero: what a receiver checks.
    fn is_right(packet: &[u8]) -> bool {
        u16::from_be_bytes([packet[36], packet[37]]) == tcp_checksum(packet, 20)
    }

    #[test]
    fn the_ends_of_a_packet_are_read() {
        assert_eq!(ends(&sample()), Some((Ipv4Addr::new(198, 18, 0, 1), Ipv4Addr::new(198, 18, 0, 2))));
        assert_eq!(ends(&[0x60; 40]), None);
        assert_eq!(ends(&[0x45; 4]), None);
    }

    #[test]
    fn plain_damage_breaks_the_checksum_and_hidden_damage_does_not() {
        for choice in (0..4096).step_by(7) {
            let (mut plain, mut hidden) = (sample(), sample());
            assert!(corrupt(&mut plain, choice, false) && plain != sample());
            assert!(corrupt(&mut hidden, choice, true) && is_right(&hidden));
            assert_ne!(hidden[40..], sample()[40..], "it is in the payload");
            assert_eq!(hidden[..36], sample()[..36], "it is nowhere else");
        }
    }

    #[test]
    fn a_packet_without_payload_cannot_be_damaged_in_secret() {
        let mut packet = sample()[..40].to_vec();
        assert!(!corrupt(&mut packet, 1, true));
    }
}
