//! The bytes of an echo request and of its reply (RFC 792, RFC 4443).

use std::net::IpAddr;

use crate::probe::egress::sockets::random;

/// A random part that comes back in the reply: identifier and sequence alone can be guessed.
pub type Nonce = [u8; 8];

const REQUEST: u8 = 8;
const REPLY: u8 = 0;
const REQUEST_V6: u8 = 128;
const REPLY_V6: u8 = 129;

const HEADER: usize = 8;
/// For those who meet the packet in a capture.
const NAME: [u8; 16] = *b"linkproof egress";
const LENGTH: usize = HEADER + NAME.len() + size_of::<Nonce>();

/// The echoes of one socket.
#[derive(Debug)]
pub struct Echo {
    is_ipv4: bool,
    /// A datagram socket replaces it by its own.
    identifier: [u8; 2],
    sequence: u16,
}

impl Echo {
    pub fn from(source: IpAddr) -> Self {
        Self { is_ipv4: source.is_ipv4(), identifier: random(), sequence: 0 }
    }

    pub fn next(&mut self) -> ([u8; LENGTH], Nonce) {
        let nonce: Nonce = random();
        let mut packet = [0; LENGTH];
        packet[0] = if self.is_ipv4 { REQUEST } else { REQUEST_V6 };
        packet[4..6].copy_from_slice(&self.identifier);
        packet[6..8].copy_from_slice(&self.sequence.to_be_bytes());
        packet[HEADER..HEADER + NAME.len()].copy_from_slice(&NAME);
        packet[HEADER + NAME.len()..].copy_from_slice(&nonce);
        if self.is_ipv4 {
            // For IPv6 it covers addresses too, and the kernel fills it in.
            let sum = checksum(&packet);
            packet[2..4].copy_from_slice(&sum.to_be_bytes());
        }
        self.sequence = self.sequence.wrapping_add(1);
        (packet, nonce)
    }

    /// What an echo reply carries. A raw IPv4 socket delivers the IP header too.
    pub fn reply(&self, bytes: &[u8], raw: bool) -> Option<Nonce> {
        let bytes = if raw && self.is_ipv4 { bytes.get(header_length(bytes)?..)? } else { bytes };
        let expected = if self.is_ipv4 { REPLY } else { REPLY_V6 };
        let is_named = bytes.get(HEADER..HEADER + NAME.len()) == Some(&NAME[..]);
        (bytes.first() == Some(&expected) && is_named).then(|| nonce(bytes))?
    }

    /// Whether an ICMP error is about an echo of this socket. A router need not quote more than
    /// eight bytes; what it quotes must be right.
    pub fn quoted(&self, bytes: &[u8], is_known: impl Fn(&Nonce) -> bool) -> bool {
        let expected = if self.is_ipv4 { REQUEST } else { REQUEST_V6 };
        bytes.first() == Some(&expected) && nonce(bytes).is_none_or(|nonce| is_known(&nonce))
    }
}

fn nonce(bytes: &[u8]) -> Option<Nonce> {
    bytes.get(HEADER + NAME.len()..LENGTH)?.try_into().ok()
}

fn header_length(bytes: &[u8]) -> Option<usize> {
    bytes.first().map(|first| usize::from(first & 0x0f) * 4)
}

/// RFC 1071, of an even number of bytes.
fn checksum(bytes: &[u8]) -> u16 {
    let words = bytes.chunks_exact(2).map(|pair| u32::from(u16::from_be_bytes([pair[0], pair[1]])));
    let sum: u32 = words.sum();
    let folded = (sum & 0xffff) + (sum >> 16);
    !u16::try_from((folded & 0xffff) + (folded >> 16)).unwrap_or(u16::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn echo(source: &str) -> Echo {
        Echo::from(source.parse().unwrap())
    }

    #[test]
    fn a_reply_is_known_by_its_random_payload_alone() {
        let mut echo = echo("10.0.0.1");
        let (mut packet, nonce) = echo.next();
        assert_eq!(echo.reply(&packet, false), None, "a request");
        packet[0] = REPLY;
        assert_eq!(echo.reply(&packet, false), Some(nonce));
        assert_eq!(echo.reply(&packet[..LENGTH - 1], false), None, "cut");
        let with_header = [&[0x45; 20][..], &packet].concat();
        assert_eq!(echo.reply(&with_header, true), Some(nonce));
        packet[LENGTH - 1] ^= 1;
        assert_ne!(echo.reply(&packet, false), Some(nonce), "the same identifier and sequence");
    }

    #[test]
    fn no_two_echoes_carry_the_same() {
        let mut echo = echo("2001:db8::1");
        let nonces: std::collections::BTreeSet<Nonce> = (0..100).map(|_| echo.next().1).collect();
        assert_eq!(nonces.len(), 100);
    }

    #[test]
    fn an_error_quotes_what_was_sent() {
        let mut echo = echo("10.0.0.1");
        let (packet, sent) = echo.next();
        let is_known = |nonce: &Nonce| *nonce == sent;
        assert!(echo.quoted(&packet, is_known) && echo.quoted(&packet[..8], is_known));
        let (other, _) = echo.next();
        assert!(!echo.quoted(&other, is_known) && !echo.quoted(&[], is_known));
    }

    #[test]
    fn the_checksum_makes_the_sum_of_a_packet_zero() {
        let (packet, _) = echo("10.0.0.1").next();
        assert_eq!(checksum(&packet), 0);
    }
}
