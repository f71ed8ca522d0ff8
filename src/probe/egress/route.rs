//! Whether the kernel has a route at all, from one source to one target by one protocol and port.
//! Nothing is sent.

use std::net::{IpAddr, SocketAddr};
use std::os::fd::AsRawFd;

use nix::errno::Errno;
use nix::sys::socket::{
    AddressFamily, MsgFlags, NetlinkAddr, SockFlag, SockProtocol, SockType, recv, sendto, socket,
};
use socket2::Type;

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
    match refusal(source, target, Some((protocol, port))) {
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
    Some(match error.raw_os_error().map(Errno::from_raw) {
        Some(Errno::ENETUNREACH | Errno::EHOSTUNREACH) => SendError::NoRoute,
        // A blackhole or a prohibition in the route table; but a security module says the same.
        Some(errno @ (Errno::EINVAL | Errno::EACCES))
            if refusal(source, target, Some((Protocol::Udp, Some(port)))) == Some(errno)
                || refusal(source, target, None) == Some(errno) =>
        {
            SendError::NoRoute
        }
        Some(_) | None => not_sent(&error),
    })
}

// rtnetlink(7), netlink(7).
const RTM_GETROUTE: u16 = 26;
const NLM_F_REQUEST: u16 = 1;
const NLMSG_ERROR: u16 = 2;
const RTA_DST: u16 = 1;
const RTA_SRC: u16 = 2;
const RTA_IP_PROTO: u16 = 27;
const RTA_DPORT: u16 = 29;
const HEADER: usize = 16;

/// The kernel's own route lookup (`ip route get TARGET from SOURCE ipproto PROTOCOL dport PORT`), where
/// it finds no route. That it could not be asked is no refusal: a security module may forbid asking,
/// with the same code.
fn refusal(source: IpAddr, target: IpAddr, kind: Option<(Protocol, Option<u16>)>) -> Option<Errno> {
    ask(&request(source, target, kind)).ok().and_then(|answer| error_of(&answer).err())
}

fn ask(request: &[u8]) -> nix::Result<Vec<u8>> {
    let netlink = socket(
        AddressFamily::Netlink,
        SockType::Raw,
        SockFlag::SOCK_CLOEXEC,
        Some(SockProtocol::NetlinkRoute),
    )?;
    sendto(netlink.as_raw_fd(), request, &NetlinkAddr::new(0, 0), MsgFlags::empty())?;
    let mut answer = vec![0; 1024];
    let length = recv(netlink.as_raw_fd(), &mut answer, MsgFlags::MSG_DONTWAIT)?;
    answer.truncate(length);
    Ok(answer)
}

fn request(source: IpAddr, target: IpAddr, kind: Option<(Protocol, Option<u16>)>) -> Vec<u8> {
    let octets = |ip: IpAddr| match ip {
        IpAddr::V4(ip) => ip.octets().to_vec(),
        IpAddr::V6(ip) => ip.octets().to_vec(),
    };
    let (family, bits) = if target.is_ipv4() { (nix::libc::AF_INET, 32) } else { (nix::libc::AF_INET6, 128) };
    // Family, prefix lengths of target and source; the rest of the 12 bytes is left to the kernel.
    let mut body = vec![u8::try_from(family).unwrap_or_default(), bits, bits, 0, 0, 0, 0, 0, 0, 0, 0, 0];
    let mut attributes = vec![(RTA_DST, octets(target)), (RTA_SRC, octets(source))];
    if let Some((protocol, port)) = kind {
        attributes.push((RTA_IP_PROTO, vec![number(protocol, target)]));
        attributes.extend(port.map(|port| (RTA_DPORT, port.to_be_bytes().to_vec())));
    }
    for (name, value) in attributes {
        body.extend(u16::try_from(value.len() + 4).unwrap_or_default().to_ne_bytes());
        body.extend(name.to_ne_bytes());
        body.extend(&value);
        body.resize(body.len().next_multiple_of(4), 0);
    }
    let mut message = u32::try_from(HEADER + body.len()).unwrap_or_default().to_ne_bytes().to_vec();
    message.extend(RTM_GETROUTE.to_ne_bytes());
    message.extend(NLM_F_REQUEST.to_ne_bytes());
    message.extend([0; 8]);
    message.extend(body);
    message
}

/// The protocol's number in IP headers.
fn number(protocol: Protocol, target: IpAddr) -> u8 {
    match protocol {
        Protocol::Tcp => 6,
        Protocol::Udp => 17,
        Protocol::Icmp if target.is_ipv4() => 1,
        Protocol::Icmp => 58,
    }
}

fn error_of(answer: &[u8]) -> Result<(), Errno> {
    let kind = answer.get(4..6).map(|bytes| u16::from_ne_bytes([bytes[0], bytes[1]]));
    let code = answer.get(HEADER..HEADER + 4).map(|b| i32::from_ne_bytes([b[0], b[1], b[2], b[3]]));
    match (kind, code) {
        (Some(NLMSG_ERROR), Some(code)) if code < 0 => Err(Errno::from_raw(code.wrapping_neg())),
        _ => Ok(()),
    }
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
                assert_eq!(refusal(address, address, Some((protocol, port))), None);
                assert!(ask(&request(address, address, Some((protocol, port)))).is_ok(), "it can be asked");
            }
        }
    }

    #[test]
    fn the_kernel_is_asked_with_the_source() {
        // This host lacks the source address, so it cannot send from it.
        let refused = [Errno::EINVAL, Errno::ENETUNREACH];
        assert!(
            refusal(ip("192.0.2.77"), ip("127.0.0.1"), None).is_some_and(|errno| refused.contains(&errno))
        );
    }

    #[test]
    fn a_short_answer_is_no_error_code() {
        assert_eq!(error_of(&[]), Ok(()));
        assert_eq!(error_of(&[0, 0, 0, 0, 2, 0, 0]), Ok(()));
    }
}
