//! What the kernel knows of a TCP connection (`TCP_INFO` of tcp(7)), asked by sock_diag(7).
//!
//! Every function here may know nothing.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::os::fd::OwnedFd;
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use netlink_packet_core::{NLM_F_DUMP, NetlinkPayload};
use netlink_packet_sock_diag::SockDiagMessage;
use netlink_packet_sock_diag::constants::{AF_INET, AF_INET6, IPPROTO_TCP};
use netlink_packet_sock_diag::inet::nlas::Nla;
use netlink_packet_sock_diag::inet::{ExtensionFlags, InetRequest, SocketId, StateFlags};
use nix::sys::socket::SockProtocol;
use nix::unistd::geteuid;
use tokio::time::Instant;

use super::netlink::{self, MOST_BUFFERS};

/// A SYN without an answer is sent again after a second. From then on the round trip of the answered one
/// does not explain the wait.
pub const SYN_RETRANSMISSION: Duration = Duration::from_secs(1);

/// Refusals in a row, after which the kernel is asked once in `AFTER_REFUSALS` only: one that lacks
/// the module starts modprobe for each question.
const MOST_REFUSALS: u32 = 3;
const AFTER_REFUSALS: Duration = Duration::from_mins(5);
static KERNEL: Mutex<Kernel> =
    Mutex::new(Kernel { socket: None, refusals: Refusals { in_a_row: 0, last: None } });

/// Offsets in `struct tcp_info`, which the kernel only ever extends.
const TIMEOUTS: usize = 2;
const PROBES: usize = 3;
const UNACKED: usize = 24;
const RETRANS: usize = 36;
const LAST_DATA_SENT: usize = 44;
const TOTAL_RETRANS: usize = 100;
const NOTSENT_BYTES: usize = 144;
const MIN_RTT: usize = 148;
/// A u64, of which this is the low half on little-endian machines.
const RWND_LIMITED: usize = 176;

/// The shortest round trip of an open TCP connection on which nothing was sent twice. Before any data
/// it is that of the handshake.
pub fn tcp_round_trip(local: SocketAddr, peer: SocketAddr) -> Option<Duration> {
    let info = ask(local, peer)?;
    let round_trip = Duration::from_micros(number(&info, MIN_RTT)?.into());
    (number(&info, TOTAL_RETRANS)? == 0).then_some(round_trip)
}

/// Whether this host kept the SYN of a connection back when it was to be sent again: a packet filter
/// drops it, and neither `connect` nor the socket's error tells. `None` before the first second is over.
pub fn is_kept_back(local: SocketAddr, peer: SocketAddr) -> Option<bool> {
    kept_back(&ask(local, peer)?)
}

/// The same of any connection that this user is opening to the peer, where a library has the socket.
pub fn is_any_kept_back(peer: SocketAddr) -> bool {
    opening(peer).unwrap_or_default().iter().any(|info| kept_back(info) == Some(true))
}

/// Why the peer did not get what was sent.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum NotDelivered {
    /// This host did not send it.
    KeptBack,
    /// It was sent again, and not acknowledged.
    Unacknowledged,
}

/// Of the last data on an open connection. The kernel tries again after 200 ms at the earliest; before
/// that, nothing is known.
pub fn why_not_delivered(local: SocketAddr, peer: SocketAddr) -> Option<NotDelivered> {
    of_data(&ask(local, peer)?)
}

fn of_data(info: &[u8]) -> Option<NotDelivered> {
    let (timeouts, probes) = (*info.get(TIMEOUTS)?, *info.get(PROBES)?);
    let is_retransmitted = number(info, RETRANS)? > 0;
    let window_is_open = number(info, RWND_LIMITED)? == 0;
    match (number(info, UNACKED)?, number(info, NOTSENT_BYTES)?) {
        (0, 0) => None,
        (0, _) => (probes > 0 && window_is_open).then_some(NotDelivered::KeptBack),
        (_, _) if is_retransmitted => {
            let had_time = number(info, LAST_DATA_SENT)? >= TIME_TO_ACKNOWLEDGE;
            (timeouts > 1 || timeouts == 1 && had_time).then_some(NotDelivered::Unacknowledged)
        }
        (_, _) => (timeouts > 0).then_some(NotDelivered::KeptBack),
    }
}

/// What is said of a packet that was kept back.
pub const KEPT_BACK: &str = "the kernel could not send the packet";

fn kept_back(info: &[u8]) -> Option<bool> {
    // Tried so often in all, against those of them that are on their way.
    (number(info, TOTAL_RETRANS)? > 0).then_some(number(info, RETRANS)? == 0)
}

fn number(info: &[u8], at: usize) -> Option<u32> {
    Some(u32::from_ne_bytes(*info.get(at..)?.first_chunk()?))
}

fn ask(local: SocketAddr, peer: SocketAddr) -> Option<Vec<u8>> {
    // Held while asking, which takes microseconds.
    let mut kernel = KERNEL.lock().unwrap_or_else(PoisonError::into_inner);
    if !kernel.refusals.may_ask() {
        return None;
    }
    let answer = kernel.tcp_info(local, peer)?;
    kernel.refusals.note(answer.is_none());
    answer
}

/// Whether a round trip is why connecting took as long as it did by our own clock.
pub fn explains(round_trip: Duration, felt: Duration) -> bool {
    felt < SYN_RETRANSMISSION && round_trip <= felt
}

/// In milliseconds: the least time after which the kernel sends data again.
const TIME_TO_ACKNOWLEDGE: u32 = 200;

#[derive(Debug)]
struct Kernel {
    /// One for all questions: to open and close it costs as much as to ask.
    socket: Option<OwnedFd>,
    refusals: Refusals,
}

impl Kernel {
    /// `None` where the kernel could not be asked, `Some(None)` where it refused.
    fn tcp_info(&mut self, local: SocketAddr, peer: SocketAddr) -> Option<Option<Vec<u8>>> {
        let open = || netlink::open(SockProtocol::NetlinkSockDiag).ok();
        // Put back only after an answer, so that no question gets the answer to another.
        let socket = self.socket.take().or_else(open)?;
        let answer = tcp_info(&socket, local, peer)?;
        self.socket = Some(socket);
        Some(answer)
    }
}

#[derive(Debug)]
struct Refusals {
    in_a_row: u32,
    last: Option<Instant>,
}

impl Refusals {
    fn may_ask(&self) -> bool {
        self.in_a_row < MOST_REFUSALS || self.last.is_none_or(|last| last.elapsed() >= AFTER_REFUSALS)
    }

    fn note(&mut self, is_refusal: bool) {
        if is_refusal {
            *self = Self { in_a_row: self.in_a_row.saturating_add(1), last: Some(Instant::now()) };
        } else {
            self.in_a_row = 0;
        }
    }
}

/// This does not sleep; only while the kernel loads the module, for the first question on the host, it
/// waits.
fn tcp_info(kernel: &OwnedFd, local: SocketAddr, peer: SocketAddr) -> Option<Option<Vec<u8>>> {
    netlink::ask(kernel, question(Some(local), peer, StateFlags::all()), 0).ok()?;
    Some(netlink::answers(kernel).ok()?.into_iter().find_map(|payload| match payload {
        NetlinkPayload::InnerMessage(SockDiagMessage::InetResponse(response)) => info_of(response.nlas),
        _ => None,
    }))
}

fn info_of(attributes: impl IntoIterator<Item = Nla>) -> Option<Vec<u8>> {
    attributes.into_iter().find_map(|attribute| match attribute {
        Nla::TcpInfo(info) => Some(info),
        _ => None,
    })
}

/// `ss -t state syn-sent`, of this user to this peer.
fn opening(peer: SocketAddr) -> Option<Vec<Vec<u8>>> {
    let kernel = netlink::open(SockProtocol::NetlinkSockDiag).ok()?;
    netlink::ask(&kernel, question(None, peer, StateFlags::SYN_SENT), NLM_F_DUMP).ok()?;
    let mut found = Vec::new();
    for _ in 0..MOST_BUFFERS {
        for payload in netlink::answers(&kernel).ok()? {
            let NetlinkPayload::InnerMessage(SockDiagMessage::InetResponse(response)) = payload else {
                return Some(found);
            };
            let (id, uid) = (&response.header.socket_id, response.header.uid);
            let is_ours = uid == geteuid().as_raw()
                && (id.destination_address, id.destination_port) == (peer.ip(), peer.port());
            if is_ours {
                found.extend(info_of(response.nlas));
            }
        }
    }
    Some(found)
}

/// About one connection, or without `local` about those to a port.
fn question(local: Option<SocketAddr>, peer: SocketAddr, states: StateFlags) -> SockDiagMessage {
    let any: IpAddr =
        if peer.is_ipv4() { Ipv4Addr::UNSPECIFIED.into() } else { Ipv6Addr::UNSPECIFIED.into() };
    let local = local.unwrap_or(SocketAddr::new(any, 0));
    let socket_id = SocketId {
        source_port: local.port(),
        destination_port: peer.port(),
        source_address: local.ip(),
        destination_address: peer.ip(),
        interface_id: 0,
        // INET_DIAG_NOCOOKIE: whichever socket has these addresses.
        cookie: [0xff; 8],
    };
    SockDiagMessage::InetRequest(InetRequest {
        family: if peer.ip().is_ipv4() { AF_INET } else { AF_INET6 },
        protocol: IPPROTO_TCP,
        extensions: ExtensionFlags::INFO,
        states,
        socket_id,
    })
}

#[cfg(test)]
mod tests {
    use tokio::net::{TcpListener, TcpStream};

    use super::*;

    #[tokio::test]
    async fn an_open_connection_has_a_round_trip_and_another_has_none() {
        for address in ["127.0.0.1:0", "[::1]:0"] {
            let listener = TcpListener::bind(address).await.unwrap();
            let stream = TcpStream::connect(listener.local_addr().unwrap()).await.unwrap();
            let (local, peer) = (stream.local_addr().unwrap(), stream.peer_addr().unwrap());
            let took = tcp_round_trip(local, peer).expect("the kernel has tcp_diag");
            assert!(took > Duration::ZERO && took < SYN_RETRANSMISSION, "{took:?}");
            let other = SocketAddr::new(local.ip(), 1);
            let mut kernel = Kernel { socket: None, refusals: Refusals { in_a_row: 0, last: None } };
            assert_eq!(kernel.tcp_info(local, other), Some(None));
            assert!(kernel.tcp_info(local, peer).unwrap().is_some(), "over the same socket");
        }
    }

    #[test]
    fn data_that_did_not_arrive_is_with_this_host_or_on_its_way() {
        // Packets unacknowledged, timeouts, packets on their way again, milliseconds since the last one,
        // bytes not sent, probes, and the time that the peer's window was closed.
        for (fields, expected) in [
            ([0, 0, 0, 0, 0, 0, 0], None),
            // Sent just now, and sent again just now.
            ([2, 0, 0, 0, 0, 0, 0], None),
            ([2, 1, 1, 199, 0, 0, 0], None),
            ([2, 1, 1, 200, 0, 0, 0], Some(NotDelivered::Unacknowledged)),
            ([2, 2, 1, 0, 0, 0, 0], Some(NotDelivered::Unacknowledged)),
            ([2, 1, 0, 0, 0, 0, 0], Some(NotDelivered::KeptBack)),
            ([0, 0, 0, 0, 3000, 0, 0], None),
            ([0, 0, 0, 0, 3000, 1, 0], Some(NotDelivered::KeptBack)),
            ([0, 0, 0, 0, 3000, 1, 800], None),
        ] {
            let mut info = vec![0; 232];
            let places = [UNACKED, TIMEOUTS, RETRANS, LAST_DATA_SENT, NOTSENT_BYTES, PROBES, RWND_LIMITED];
            for (place, field) in places.into_iter().zip(fields) {
                if [TIMEOUTS, PROBES].contains(&place) {
                    info[place] = u8::try_from(field).unwrap();
                } else {
                    info[place..place + 4].copy_from_slice(&u32::to_ne_bytes(field));
                }
            }
            assert_eq!(of_data(&info), expected, "{fields:?}");
            assert_eq!(of_data(&info[..RWND_LIMITED]), None, "an older kernel");
        }
    }

    #[tokio::test(start_paused = true)]
    async fn a_kernel_that_refuses_is_asked_seldom() {
        let mut refusals = Refusals { in_a_row: 0, last: None };
        for _ in 0..MOST_REFUSALS {
            assert!(refusals.may_ask());
            refusals.note(true);
        }
        assert!(!refusals.may_ask());
        tokio::time::advance(AFTER_REFUSALS).await;
        assert!(refusals.may_ask());
        refusals.note(true);
        assert!(!refusals.may_ask(), "again for as long");
        tokio::time::advance(AFTER_REFUSALS).await;
        refusals.note(false);
        assert!(refusals.may_ask());
        refusals.note(true);
        assert!(refusals.may_ask(), "counted anew");
    }

    #[test]
    fn a_round_trip_does_not_explain_a_lost_syn_nor_a_shorter_time() {
        let [short, long] = [30, 300].map(Duration::from_micros);
        assert!(explains(short, long) && explains(short, short));
        assert!(!explains(long, short));
        assert!(!explains(short, SYN_RETRANSMISSION));
    }
}
