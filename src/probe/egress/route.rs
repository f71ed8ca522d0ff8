//! Whether the kernel has a route at all, from one source to one target by one protocol and port.
//! Nothing is sent.

use std::net::{IpAddr, SocketAddr};

use nix::errno::Errno;
use socket2::Type;

use super::netlink::{Packet, refusal};
use super::sockets::{not_sent, open};
use crate::observation::{Protocol, SendError};

/// For what has no port of its own.
const PORT: u16 = 53;

/// What keeps packets from leaving, or `None`.
pub fn obstacle(source: IpAddr, target: IpAddr, protocol: Protocol, port: Option<u16>) -> Option<SendError> {
    let over_udp = udp_obstacle(source, target, port.unwrap_or(PORT));
    let is_routed_or_not = matches!(over_udp, None | Some(SendError::NoRoute));
    if protocol == Protocol::Udp || !is_routed_or_not {
        return over_udp;
    }
    // Rules may send another protocol elsewhere, and only sending would show it otherwise.
    match refusal(&Packet::of(source, target, protocol, port)) {
        Some(Errno::ENETUNREACH | Errno::EHOSTUNREACH | Errno::EACCES) => Some(SendError::NoRoute),
        // A blackhole; or the kernel does not know the question.
        Some(Errno::EINVAL) => over_udp,
        Some(_) | None => None,
    }
}

/// A UDP `connect` looks the route up and sends nothing.
fn udp_obstacle(source: IpAddr, target: IpAddr, port: u16) -> Option<SendError> {
    let socket = match open(source, Type::DGRAM, None) {
        Ok(socket) => socket,
        Err(error) => return Some(not_sent(&error)),
    };
    let error = socket.connect(&SocketAddr::new(target, port).into()).err()?;
    let plain = Packet { source: Some(source), ..Packet::to(target) };
    Some(match error.raw_os_error().map(Errno::from_raw) {
        Some(Errno::ENETUNREACH | Errno::EHOSTUNREACH) => SendError::NoRoute,
        // A blackhole or a prohibition in the route table; but a security module says the same.
        Some(errno @ (Errno::EINVAL | Errno::EACCES))
            if refusal(&Packet::of(source, target, Protocol::Udp, Some(port))) == Some(errno)
                || refusal(&plain) == Some(errno) =>
        {
            SendError::NoRoute
        }
        Some(_) | None => not_sent(&error),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn ip(text: &str) -> IpAddr {
        text.parse().unwrap()
    }

    #[test]
    fn loopback_has_a_route_in_both_lookups() {
        for address in ["127.0.0.1", "::1"].map(ip) {
            for (protocol, port) in
                [(Protocol::Icmp, None), (Protocol::Tcp, Some(443)), (Protocol::Udp, Some(53))]
            {
                assert_eq!(obstacle(address, address, protocol, port), None);
                let packet = Packet::of(address, address, protocol, port);
                assert_eq!(refusal(&packet), None);
            }
        }
    }

    #[test]
    fn the_kernel_is_asked_with_the_source() {
        // This host lacks the source address, so it cannot send from it.
        let refused = [Errno::EINVAL, Errno::ENETUNREACH];
        let packet = Packet { source: Some(ip("192.0.2.77")), ..Packet::to(ip("127.0.0.1")) };
        assert!(refusal(&packet).is_some_and(|errno| refused.contains(&errno)));
    }
}
