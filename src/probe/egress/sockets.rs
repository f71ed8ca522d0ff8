//! TCP connects, UDP questions and unprivileged pings at targets that should not answer.

use std::io::{self, ErrorKind, IoSliceMut};
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::os::fd::{AsFd, AsRawFd};
use std::time::Duration;

use nix::errno::Errno;
use nix::sys::socket::{ControlMessageOwned, MsgFlags, SockaddrStorage, recvmsg, setsockopt, sockopt};
use socket2::{Domain, Protocol, Socket, Type};
use tokio::net::{TcpStream, UdpSocket};
use tokio::time::{Instant, timeout_at};

use crate::observation::{ProbeResult, SendError};
use crate::wire::datagram::receive;
use crate::wire::failure::words;

pub const DNS: u16 = 53;

/// Datagrams at one target within a window: a lossy way out must not look like none.
const DATAGRAMS: u32 = 3;
const BETWEEN_DATAGRAMS: Duration = Duration::from_millis(150);

/// "Who serves the root?" (RFC 1035, 4.1): the smallest question that any resolver answers.
const QUESTION: [u8; 17] = [0x4c, 0x50, 1, 0, 0, 1, 0, 0, 0, 0, 0, 0, 0, 0, 2, 0, 1];

pub async fn tcp(peer: SocketAddr, deadline: Instant) -> ProbeResult {
    let begun = Instant::now();
    match timeout_at(deadline, connected(peer)).await {
        Ok(Ok(())) => ProbeResult::Reply { replies: 1, after: begun.elapsed() },
        Ok(Err((error, by))) => after_sending(&error, by),
        Err(_) => ProbeResult::NoReply,
    }
}

/// By hand: tokio's own connect drops the socket, and with it who sent an ICMP error. A reset
/// tells nobody.
async fn connected(peer: SocketAddr) -> Result<(), (io::Error, Option<IpAddr>)> {
    let anonymous = |error: io::Error| (error, None);
    let socket = begin(peer).map_err(anonymous)?;
    let stream = TcpStream::from_std(socket).map_err(anonymous)?;
    stream.writable().await.map_err(anonymous)?;
    match stream.take_error().map_err(anonymous)? {
        None => Ok(()),
        Some(error) => Err((error, sender_of_error(&stream))),
    }
}

fn begin(peer: SocketAddr) -> io::Result<std::net::TcpStream> {
    let socket = Socket::new(Domain::for_address(peer), Type::STREAM.nonblocking(), None)?;
    keep_senders(&socket, peer.ip())?;
    match socket.connect(&peer.into()) {
        Err(error) if error.raw_os_error() != Some(Errno::EINPROGRESS as i32) => Err(error),
        Ok(()) | Err(_) => Ok(socket.into()),
    }
}

pub async fn udp_dns(ip: IpAddr, deadline: Instant) -> (u32, ProbeResult) {
    let socket = match open(ip).await {
        Ok(socket) => socket,
        Err(error) => return (0, ProbeResult::NotSent(SendError::Blocked { errno: words(&error) })),
    };
    ask(&socket, &QUESTION, deadline).await
}

/// One who pings without privilege hears of ICMP errors here, and of who sent them; surge-ping's
/// datagram socket does not, and takes a rejection for silence.
pub async fn ping(ip: IpAddr, deadline: Instant) -> (u32, ProbeResult) {
    // Type 8 of RFC 792 and 128 of RFC 4443; the kernel fills in checksum and identifier.
    let (kind, protocol) = match ip {
        IpAddr::V4(_) => (8, Protocol::ICMPV4),
        IpAddr::V6(_) => (128, Protocol::ICMPV6),
    };
    let open = || {
        let peer = SocketAddr::new(ip, 0);
        let socket = Socket::new(Domain::for_address(peer), Type::DGRAM.nonblocking(), Some(protocol))?;
        keep_senders(&socket, ip)?;
        socket.connect(&peer.into())?;
        UdpSocket::from_std(socket.into())
    };
    match open() {
        Ok(socket) => ask(&socket, &[kind, 0, 0, 0, 0, 0, 0, 1], deadline).await,
        Err(error) if error.raw_os_error() == Some(Errno::ENETUNREACH as i32) => {
            (0, ProbeResult::NotSent(SendError::NoRoute))
        }
        Err(error) => (0, ProbeResult::NotSent(SendError::Blocked { errno: words(&error) })),
    }
}

/// Sends again what may have been lost, and hears the first answer or error.
async fn ask(socket: &UdpSocket, question: &[u8], deadline: Instant) -> (u32, ProbeResult) {
    let begun = Instant::now();
    let mut sent = 0;
    let mut buffer = [0; 512];
    loop {
        if sent < DATAGRAMS {
            match socket.send(question).await {
                Ok(_) => sent += 1,
                Err(error) => return (sent, failure(socket, &error, sent)),
            }
        }
        let patience =
            if sent < DATAGRAMS { deadline.min(Instant::now() + BETWEEN_DATAGRAMS) } else { deadline };
        match timeout_at(patience, receive(socket, &mut buffer)).await {
            Ok(Ok(_)) => return (sent, ProbeResult::Reply { replies: 1, after: begun.elapsed() }),
            Ok(Err(error)) => return (sent, failure(socket, &error, sent)),
            Err(_) if Instant::now() >= deadline => return (sent, ProbeResult::NoReply),
            Err(_) => {}
        }
    }
}

async fn open(ip: IpAddr) -> io::Result<UdpSocket> {
    let any: IpAddr = match ip {
        IpAddr::V4(_) => Ipv4Addr::UNSPECIFIED.into(),
        IpAddr::V6(_) => Ipv6Addr::UNSPECIFIED.into(),
    };
    let socket = UdpSocket::bind((any, 0)).await?;
    keep_senders(&socket, ip)?;
    socket.connect((ip, DNS)).await?;
    Ok(socket)
}

/// Keeps an ICMP error with its sender: whether a router of the VPC said no, or somebody outside,
/// decides everything.
fn keep_senders(socket: &impl AsFd, ip: IpAddr) -> io::Result<()> {
    match ip {
        IpAddr::V4(_) => setsockopt(socket, sockopt::Ipv4RecvErr, &true)?,
        IpAddr::V6(_) => setsockopt(socket, sockopt::Ipv6RecvErr, &true)?,
    }
    Ok(())
}

fn failure(socket: &UdpSocket, error: &io::Error, sent: u32) -> ProbeResult {
    let by = sender_of_error(socket);
    match (sent, by) {
        (0, None) => ProbeResult::NotSent(SendError::Blocked { errno: words(error) }),
        (_, by) => after_sending(error, by),
    }
}

/// From the socket's error queue (`IP_RECVERR`, ip(7)).
fn sender_of_error(socket: &impl AsRawFd) -> Option<IpAddr> {
    let mut payload = [0; 64];
    let mut slices = [IoSliceMut::new(&mut payload)];
    let mut space = nix::cmsg_space!(nix::libc::sock_extended_err, nix::libc::sockaddr_in6);
    let flags = MsgFlags::MSG_ERRQUEUE | MsgFlags::MSG_DONTWAIT;
    let message =
        recvmsg::<SockaddrStorage>(socket.as_raw_fd(), &mut slices, Some(&mut space), flags).ok()?;
    message.cmsgs().ok()?.find_map(|control| match control {
        ControlMessageOwned::Ipv4RecvErr(_, Some(offender)) => {
            Some(IpAddr::V4(Ipv4Addr::from_bits(u32::from_be(offender.sin_addr.s_addr))))
        }
        ControlMessageOwned::Ipv6RecvErr(_, Some(offender)) => {
            Some(IpAddr::V6(Ipv6Addr::from(offender.sin6_addr.s6_addr)))
        }
        _ => None,
    })
}

/// The route was there, so the kernel took the packet: what comes now was said by somebody,
/// unless it is the machine's own filter (EPERM) or want of resources.
fn after_sending(error: &io::Error, by: Option<IpAddr>) -> ProbeResult {
    let rejection = || ProbeResult::Rejected { by, how: words(error) };
    match error.kind() {
        ErrorKind::TimedOut => ProbeResult::NoReply,
        ErrorKind::ConnectionRefused
        | ErrorKind::ConnectionReset
        | ErrorKind::HostUnreachable
        | ErrorKind::NetworkUnreachable => rejection(),
        // ICMPv6 "administratively prohibited" arrives as EACCES; a local filter says EPERM.
        ErrorKind::PermissionDenied if error.raw_os_error() == Some(Errno::EACCES as i32) => rejection(),
        _ if error.raw_os_error() == Some(Errno::ENOPROTOOPT as i32) => rejection(),
        _ => ProbeResult::NotSent(SendError::Blocked { errno: words(error) }),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_error_after_sending_is_a_rejection_and_one_before_is_not_silence() {
        let result = |errno: Errno| after_sending(&io::Error::from_raw_os_error(errno as i32), None);
        for errno in
            [Errno::ECONNREFUSED, Errno::EHOSTUNREACH, Errno::ENETUNREACH, Errno::EACCES, Errno::ENOPROTOOPT]
        {
            assert!(matches!(result(errno), ProbeResult::Rejected { .. }), "{errno}");
        }
        for errno in [Errno::EPERM, Errno::EMFILE, Errno::EADDRNOTAVAIL, Errno::EINVAL] {
            assert!(matches!(result(errno), ProbeResult::NotSent(SendError::Blocked { .. })), "{errno}");
        }
        assert_eq!(result(Errno::ETIMEDOUT), ProbeResult::NoReply);
    }

    #[tokio::test]
    async fn a_closed_port_is_told_with_who_said_so() {
        let closed = std::net::UdpSocket::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
        let socket = UdpSocket::bind("127.0.0.1:0").await.unwrap();
        setsockopt(&socket, sockopt::Ipv4RecvErr, &true).unwrap();
        socket.connect(closed).await.unwrap();
        socket.send(b"?").await.unwrap();
        let error = socket.recv(&mut [0; 8]).await.unwrap_err();
        let result = failure(&socket, &error, 1);
        let ProbeResult::Rejected { by, .. } = result else { panic!("{result:?}") };
        assert_eq!(by, Some(Ipv4Addr::LOCALHOST.into()));
    }

    #[tokio::test]
    async fn a_tcp_connection_is_an_answer_and_a_closed_port_a_rejection() {
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
        let peer = listener.local_addr().unwrap();
        let deadline = Instant::now() + Duration::from_secs(5);
        assert!(matches!(tcp(peer, deadline).await, ProbeResult::Reply { replies: 1, .. }));
        drop(listener);
        assert!(matches!(tcp(peer, deadline).await, ProbeResult::Rejected { by: None, .. }));
    }
}
