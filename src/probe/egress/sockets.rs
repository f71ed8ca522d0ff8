//! What all probes share: sockets bound to one source, and what an error says about whether a packet
//! left.

use std::io::{self, ErrorKind};
use std::net::{IpAddr, SocketAddr};

use nix::errno::Errno;
use socket2::{Domain, Protocol, Socket, Type};

use crate::observation::{ProbeResult, SendError};
use crate::wire::failure::words;
use crate::wire::icmp_error::keep_errors;
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
    use std::net::Ipv4Addr;

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
