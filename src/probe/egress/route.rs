//! Whether the kernel has a route at all, from one source to one target. Nothing is sent.

use std::net::{IpAddr, SocketAddr};
use std::os::fd::AsRawFd;

use nix::errno::Errno;
use nix::sys::socket::{
    AddressFamily, MsgFlags, NetlinkAddr, SockFlag, SockProtocol, SockType, recv, sendto, socket,
};
use socket2::Type;

use super::sockets::{not_sent, open};
use crate::observation::SendError;

/// Any port will do: the route does not depend on it.
const PORT: u16 = 53;

/// What keeps packets from leaving, or `None`. A UDP `connect` looks the route up and sends nothing.
pub fn obstacle(source: IpAddr, target: IpAddr) -> Option<SendError> {
    let socket = match open(source, Type::DGRAM, None) {
        Ok(socket) => socket,
        Err(error) => return Some(not_sent(&error)),
    };
    let error = socket.connect(&SocketAddr::new(target, PORT).into()).err()?;
    Some(match error.raw_os_error().map(Errno::from_raw) {
        Some(Errno::ENETUNREACH | Errno::EHOSTUNREACH) => SendError::NoRoute,
        // A blackhole or a prohibition in the route table; but a security module says the same.
        Some(errno @ (Errno::EINVAL | Errno::EACCES)) if lookup(source, target) == Err(errno) => {
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
const HEADER: usize = 16;

/// The kernel's own route lookup (`ip route get TARGET from SOURCE`).
fn lookup(source: IpAddr, target: IpAddr) -> Result<(), Errno> {
    let netlink = socket(
        AddressFamily::Netlink,
        SockType::Raw,
        SockFlag::SOCK_CLOEXEC,
        Some(SockProtocol::NetlinkRoute),
    )?;
    sendto(netlink.as_raw_fd(), &request(source, target), &NetlinkAddr::new(0, 0), MsgFlags::empty())?;
    let mut answer = [0; 1024];
    let length = recv(netlink.as_raw_fd(), &mut answer, MsgFlags::MSG_DONTWAIT)?;
    error_of(&answer[..length])
}

fn request(source: IpAddr, target: IpAddr) -> Vec<u8> {
    let octets = |ip: IpAddr| match ip {
        IpAddr::V4(ip) => ip.octets().to_vec(),
        IpAddr::V6(ip) => ip.octets().to_vec(),
    };
    let (family, bits) = if target.is_ipv4() { (nix::libc::AF_INET, 32) } else { (nix::libc::AF_INET6, 128) };
    // Family, prefix lengths of target and source; the rest of the 12 bytes is left to the kernel.
    let mut body = vec![u8::try_from(family).unwrap_or_default(), bits, bits, 0, 0, 0, 0, 0, 0, 0, 0, 0];
    for (kind, ip) in [(RTA_DST, target), (RTA_SRC, source)] {
        let octets = octets(ip);
        body.extend(u16::try_from(octets.len() + 4).unwrap_or_default().to_ne_bytes());
        body.extend(kind.to_ne_bytes());
        body.extend(octets);
    }
    let mut message = u32::try_from(HEADER + body.len()).unwrap_or_default().to_ne_bytes().to_vec();
    message.extend(RTM_GETROUTE.to_ne_bytes());
    message.extend(NLM_F_REQUEST.to_ne_bytes());
    message.extend([0; 8]);
    message.extend(body);
    message
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
            assert_eq!(obstacle(address, address), None);
            assert_eq!(lookup(address, address), Ok(()));
        }
    }

    #[test]
    fn the_kernel_is_asked_with_the_source() {
        // This host lacks the source address, so it cannot send from it.
        let refused = [Errno::EINVAL, Errno::ENETUNREACH];
        assert!(lookup(ip("192.0.2.77"), ip("127.0.0.1")).is_err_and(|errno| refused.contains(&errno)));
    }

    #[test]
    fn a_short_answer_is_no_error_code() {
        assert_eq!(error_of(&[]), Ok(()));
        assert_eq!(error_of(&[0, 0, 0, 0, 2, 0, 0]), Ok(()));
    }
}
