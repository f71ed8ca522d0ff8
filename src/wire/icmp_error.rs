//! ICMP errors with their senders. Who sent one decides everything: this host, a router of the VPC, or
//! one outside.

use std::io::{self, IoSliceMut};
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::os::fd::{AsFd, AsRawFd};
use std::time::Duration;

use nix::ifaddrs::getifaddrs;
use nix::sys::socket::{
    ControlMessageOwned, MsgFlags, SockaddrLike, SockaddrStorage, recvmsg, setsockopt, sockopt,
};
use nix::sys::time::TimeSpec;
use socket2::{Domain, Socket, Type};
use tokio::net::TcpStream;
use tokio::time::timeout;

/// A packet filter of this host answers at once.
const OWN_ANSWER: Duration = Duration::from_millis(100);

/// Whether this host itself rejects connections to the peer (REJECT in the output chain of its packet
/// filter). Opens one more to see.
pub async fn is_rejected_here(peer: SocketAddr) -> bool {
    let Ok(stream) = begin(peer) else { return false };
    let _ = timeout(OWN_ANSWER, stream.writable()).await;
    queued_error(&stream).and_then(|error| error.by).is_some_and(|by| by != peer.ip() && is_own(by))
}

fn begin(peer: SocketAddr) -> io::Result<TcpStream> {
    let socket = Socket::new(Domain::for_address(peer), Type::STREAM.nonblocking(), None)?;
    keep_errors(&socket, peer.ip())?;
    // In progress, or rejected by now: the queue has the sender.
    let _ = socket.connect(&peer.into());
    TcpStream::from_std(socket.into())
}

/// Whether this host has the address.
fn is_own(ip: IpAddr) -> bool {
    let has = |addresses: nix::ifaddrs::InterfaceAddressIterator| {
        addresses.filter_map(|interface| ip_of(&interface.address?)).any(|own| own == ip)
    };
    ip.is_loopback() || getifaddrs().is_ok_and(has)
}

/// Keeps an ICMP error with its sender (`IP_RECVERR`, ip(7)).
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
            let by = offender.map(|by| IpAddr::V6(Ipv6Addr::from(by.sin6_addr.s6_addr)));
            Some((by, error.ee_errno))
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
