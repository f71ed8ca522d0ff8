//! What all probes share: sockets bound to one source, who sent an ICMP error, and what an error
//! says about whether a packet left.

use std::io::{self, ErrorKind, IoSliceMut};
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::os::fd::{AsFd, AsRawFd};

use nix::errno::Errno;
use nix::sys::socket::{
    ControlMessageOwned, MsgFlags, SockaddrLike, SockaddrStorage, recvmsg, setsockopt, sockopt,
};
use nix::sys::time::TimeSpec;
use socket2::{Domain, Protocol, Socket, Type};

use crate::observation::{ProbeResult, SendError};
use crate::wire::failure::words;
use crate::wire::resources;

/// Without blocking, with ICMP errors kept, and bound: so the kernel routes by this source.
pub fn open(source: IpAddr, kind: Type, protocol: Option<Protocol>) -> io::Result<Socket> {
    let address = SocketAddr::new(source, 0);
    let socket = Socket::new(Domain::for_address(address), kind.nonblocking(), protocol)?;
    keep_errors(&socket, source)?;
    socket.bind(&address.into())?;
    Ok(socket)
}

/// What cannot be guessed by one who sprays replies.
pub fn random<const N: usize>() -> [u8; N] {
    let mut bytes = [0; N];
    if aws_lc_rs::rand::fill(&mut bytes).is_err() {
        bytes.fill_with(|| fastrand::u8(..));
    }
    bytes
}

/// Keeps an ICMP error with its sender: whether a router of the VPC sent it, or one outside,
/// decides everything.
pub fn keep_errors(socket: &impl AsFd, ip: IpAddr) -> io::Result<()> {
    match ip {
        IpAddr::V4(_) => setsockopt(socket, sockopt::Ipv4RecvErr, &true)?,
        IpAddr::V6(_) => setsockopt(socket, sockopt::Ipv6RecvErr, &true)?,
    }
    Ok(())
}

/// One entry of a socket's error queue (`IP_RECVERR`, ip(7)).
#[derive(Debug)]
pub struct QueuedError {
    /// The router or host that sent the ICMP error.
    pub by: Option<IpAddr>,
    /// Where the packet was going.
    pub target: Option<IpAddr>,
    pub error: io::Error,
    /// The beginning of the packet, as the error quotes it.
    pub quoted: Vec<u8>,
}

/// More than any probe's packet.
const QUOTED: usize = 128;

pub fn queued_error(socket: &impl AsRawFd) -> Option<QueuedError> {
    let mut payload = [0; QUOTED];
    let mut slices = [IoSliceMut::new(&mut payload)];
    // The time at which the error came stands before it: see `kernel_time`.
    let mut space = nix::cmsg_space!([TimeSpec; 3], nix::libc::sock_extended_err, nix::libc::sockaddr_in6);
    let flags = MsgFlags::MSG_ERRQUEUE | MsgFlags::MSG_DONTWAIT;
    let message =
        recvmsg::<SockaddrStorage>(socket.as_raw_fd(), &mut slices, Some(&mut space), flags).ok()?;
    let (by, errno) = message.cmsgs().ok()?.find_map(|control| match control {
        ControlMessageOwned::Ipv4RecvErr(error, offender) => {
            let by = offender.map(|by| IpAddr::V4(Ipv4Addr::from_bits(u32::from_be(by.sin_addr.s_addr))));
            Some((by, error.ee_errno))
        }
        ControlMessageOwned::Ipv6RecvErr(error, offender) => {
            Some((offender.map(|by| IpAddr::V6(Ipv6Addr::from(by.sin6_addr.s6_addr))), error.ee_errno))
        }
        _ => None,
    })?;
    let (target, length) = (message.address.as_ref().and_then(ip_of), message.bytes);
    let error = io::Error::from_raw_os_error(errno.cast_signed());
    Some(QueuedError { by, target, error, quoted: payload[..length.min(QUOTED)].to_vec() })
}

pub fn ip_of(address: &SockaddrStorage) -> Option<IpAddr> {
    address.family()?;
    let ipv4 = address.as_sockaddr_in().map(|v4| IpAddr::V4(v4.ip()));
    ipv4.or_else(|| address.as_sockaddr_in6().map(|v6| IpAddr::V6(v6.ip())))
}

/// Of two looks at one target, what says most: a reply, then a rejection, then that nothing was sent.
pub fn stronger(one: ProbeResult, other: ProbeResult) -> ProbeResult {
    let rank = |result: &ProbeResult| match result {
        ProbeResult::Reply { .. } => 3,
        ProbeResult::Rejected { .. } => 2,
        ProbeResult::NotSent(_) => 1,
        ProbeResult::NoReply => 0,
    };
    if rank(&other) > rank(&one) { other } else { one }
}

/// Why a packet did not leave, by the call that failed. A route that vanished since it was looked
/// up counts as blocked, not as closed: what was sent before may have got out.
pub fn not_sent(error: &io::Error) -> SendError {
    let unsupported = [Errno::EAFNOSUPPORT, Errno::EPROTONOSUPPORT];
    let is_unsupported = unsupported.iter().any(|errno| error.raw_os_error() == Some(*errno as i32));
    let errno = words(error);
    if resources::are_lacking(error) || is_unsupported {
        return SendError::NoResources { errno };
    }
    SendError::Blocked { errno }
}

/// The kernel took the packet: what comes now is an answer to it, unless it is the host's own
/// packet filter (EPERM) or a lack of resources.
pub fn after_sending(error: &io::Error, by: Option<IpAddr>) -> ProbeResult {
    let rejection = |reset| ProbeResult::Rejected { by, how: words(error), reset };
    match error.kind() {
        ErrorKind::TimedOut => ProbeResult::NoReply,
        ErrorKind::ConnectionRefused | ErrorKind::ConnectionReset => rejection(by.is_none()),
        ErrorKind::HostUnreachable | ErrorKind::NetworkUnreachable => rejection(false),
        // ICMPv6 "administratively prohibited" arrives as EACCES; a local filter says EPERM.
        ErrorKind::PermissionDenied if error.raw_os_error() == Some(Errno::EACCES as i32) => rejection(false),
        _ if error.raw_os_error() == Some(Errno::ENOPROTOOPT as i32) => rejection(false),
        // EPROTO is what the kernel makes of an ICMP parameter problem.
        _ if by.is_some() || error.raw_os_error() == Some(Errno::EPROTO as i32) => rejection(false),
        _ => ProbeResult::NotSent(not_sent(error)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn errno(errno: Errno) -> io::Error {
        io::Error::from_raw_os_error(errno as i32)
    }

    #[test]
    fn an_error_after_sending_is_a_rejection_and_one_before_is_not_silence() {
        let result = |code: Errno| after_sending(&errno(code), None);
        for code in
            [Errno::ECONNREFUSED, Errno::EHOSTUNREACH, Errno::ENETUNREACH, Errno::EACCES, Errno::ENOPROTOOPT]
        {
            assert!(matches!(result(code), ProbeResult::Rejected { .. }), "{code}");
        }
        for code in [Errno::EPERM, Errno::EMFILE, Errno::EADDRNOTAVAIL, Errno::EINVAL] {
            assert!(matches!(result(code), ProbeResult::NotSent(_)), "{code}");
        }
        assert_eq!(result(Errno::ETIMEDOUT), ProbeResult::NoReply);
    }

    #[test]
    fn only_a_refusal_without_a_sender_is_a_reset() {
        let reset =
            |code, by| matches!(after_sending(&errno(code), by), ProbeResult::Rejected { reset: true, .. });
        assert!(reset(Errno::ECONNREFUSED, None) && reset(Errno::ECONNRESET, None));
        assert!(!reset(Errno::ECONNREFUSED, Some(Ipv4Addr::LOCALHOST.into())));
        assert!(!reset(Errno::EHOSTUNREACH, None));
    }

    #[test]
    fn a_lack_of_resources_is_no_packet_filter() {
        for code in [Errno::EMFILE, Errno::ENFILE, Errno::ENOBUFS, Errno::ENOMEM, Errno::EAFNOSUPPORT] {
            assert!(matches!(not_sent(&errno(code)), SendError::NoResources { .. }), "{code}");
        }
        for code in [Errno::EPERM, Errno::EACCES] {
            assert!(matches!(not_sent(&errno(code)), SendError::Blocked { .. }), "{code}");
        }
    }
}
