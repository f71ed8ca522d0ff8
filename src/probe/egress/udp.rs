//! UDP requests at targets that should not answer: DNS, NTP, and a line of text for other ports.

use std::io;
use std::net::{IpAddr, SocketAddr};
use std::time::{Duration, SystemTime};

use socket2::Type;
use tokio::net::UdpSocket;
use tokio::time::{Instant, timeout_at};

use super::sockets::{after_sending, not_sent, open, random};
use crate::observation::ProbeResult;
use crate::wire::datagram::receive;
use crate::wire::icmp_error::queued_error;
use crate::wire::kernel_time::{Sent, note_arrivals};

const DNS: u16 = 53;
const NTP: u16 = 123;

/// The second datagram follows soon: a lossy way out must not look like none.
const SOON: Duration = Duration::from_millis(150);

/// "Who serves the root?" (RFC 1035, 4.1): the smallest question that any resolver answers. The
/// first two bytes are the id.
const QUESTION: [u8; 17] = [0, 0, 1, 0, 0, 1, 0, 0, 0, 0, 0, 0, 0, 0, 2, 0, 1];

/// RFC 5905: no leap indicator, version 4, mode 3 (client), of 48 bytes.
const NTP_LENGTH: usize = 48;
const NTP_CLIENT: u8 = 0x23;
const NTP_MODE: u8 = 0x07;
const NTP_SERVER: u8 = 4;
/// A server copies the request's transmit timestamp into the origin timestamp of its answer.
const NTP_TRANSMIT: usize = 40;
const NTP_ORIGIN: usize = 24;

const TEXT: &[u8] = b"linkproof egress probe\n";

/// A request with a random part, by which its answer is known from a sprayed one.
#[derive(Debug)]
enum Request {
    Dns([u8; 17]),
    Ntp([u8; NTP_LENGTH]),
    Text,
}

impl Request {
    fn to_port(port: u16) -> Self {
        match port {
            DNS => {
                let mut question = QUESTION;
                question[..2].copy_from_slice(&random::<2>());
                Self::Dns(question)
            }
            NTP => {
                let mut request = [0; NTP_LENGTH];
                request[0] = NTP_CLIENT;
                request[NTP_TRANSMIT..].copy_from_slice(&random::<8>());
                Self::Ntp(request)
            }
            _ => Self::Text,
        }
    }

    fn bytes(&self) -> &[u8] {
        match self {
            Self::Dns(question) => question,
            Self::Ntp(request) => request,
            Self::Text => TEXT,
        }
    }

    /// From any sender, if it contains the random part of the request.
    fn is_answered_by(&self, datagram: &[u8], by_peer: bool) -> bool {
        match self {
            Self::Dns(question) => {
                let repeats = datagram.get(12..17) == question.get(12..17);
                datagram.get(..2) == question.get(..2)
                    && datagram.get(2).is_some_and(|flags| flags & 0x80 != 0)
                    && (by_peer || repeats)
            }
            Self::Ntp(request) => {
                datagram.first().is_some_and(|first| first & NTP_MODE == NTP_SERVER)
                    && datagram.get(NTP_ORIGIN..NTP_ORIGIN + 8) == request.get(NTP_TRANSMIT..)
            }
            Self::Text => by_peer,
        }
    }
}

/// Sends again what may have been lost, and returns with the first answer or error.
pub async fn ask(source: IpAddr, peer: SocketAddr, deadline: Instant) -> (u32, ProbeResult) {
    let request = Request::to_port(peer.port());
    let socket = match opened(source) {
        Ok(socket) => socket,
        Err(error) => return (0, ProbeResult::NotSent(not_sent(&error))),
    };
    let begun = Instant::now();
    let halfway = begun + deadline.saturating_duration_since(begun) / 2;
    let (mut sent, mut buffer) = (0, [0; 512]);
    for until in [begun + SOON, halfway, deadline] {
        // Not a part of the answer's time.
        let _ = socket.writable().await;
        // Of the first datagram alone: later it is open which one was answered.
        let handed = (sent == 0).then(Sent::now);
        match socket.send_to(request.bytes(), peer).await {
            Ok(_) => sent += 1,
            Err(error) => return (sent, failure(&socket, &error, sent)),
        }
        match timeout_at(until.min(deadline), answer(&socket, peer, &request, &mut buffer)).await {
            Ok(Ok(came)) => {
                let after = begun.elapsed();
                let kernel = handed.and_then(|handed| handed.until(came));
                return (sent, ProbeResult::Reply { replies: 1, after, kernel });
            }
            Ok(Err(error)) => return (sent, failure(&socket, &error, sent)),
            Err(_) => {}
        }
    }
    (sent, ProbeResult::NoReply)
}

/// When it came, by the kernel's clock.
async fn answer(
    socket: &UdpSocket,
    peer: SocketAddr,
    request: &Request,
    buffer: &mut [u8],
) -> io::Result<Option<SystemTime>> {
    loop {
        let received = receive(socket, buffer).await?;
        let by_peer = received.from.is_some_and(|from| (from.ip(), from.port()) == (peer.ip(), peer.port()));
        if request.is_answered_by(&buffer[..received.length], by_peer) {
            return Ok(received.came);
        }
    }
}

/// Not connected: a translator on the way may answer in its own name, and that is a reply too.
fn opened(source: IpAddr) -> io::Result<UdpSocket> {
    let socket = open(source, Type::DGRAM, None)?;
    note_arrivals(&socket);
    UdpSocket::from_std(socket.into())
}

fn failure(socket: &UdpSocket, error: &io::Error, sent: u32) -> ProbeResult {
    match queued_error(socket).and_then(|error| error.by) {
        None if sent == 0 => ProbeResult::NotSent(not_sent(error)),
        by => after_sending(error, by),
    }
}

#[cfg(test)]
mod tests {
    use std::net::Ipv4Addr;

    use super::*;

    const LOOPBACK: IpAddr = IpAddr::V4(Ipv4Addr::LOCALHOST);

    fn soon() -> Instant {
        Instant::now() + Duration::from_secs(5)
    }

    #[tokio::test]
    async fn a_closed_port_is_a_rejection_with_its_sender() {
        let closed = std::net::UdpSocket::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
        let (sent, result) = ask(LOOPBACK, closed, soon()).await;
        let ProbeResult::Rejected { by, reset, .. } = result else { panic!("{result:?}") };
        assert_eq!((sent, by, reset), (1, Some(LOOPBACK), false));
    }

    #[tokio::test]
    async fn an_answer_from_the_source_that_was_asked_for_is_a_reply() {
        let server = UdpSocket::bind("127.0.0.1:0").await.unwrap();
        let peer = server.local_addr().unwrap();
        let source = IpAddr::V4(Ipv4Addr::new(127, 0, 0, 9));
        let serve = async {
            let (_, client) = server.recv_from(&mut [0; 64]).await.unwrap();
            server.send_to(b"yes", client).await.unwrap();
            client.ip()
        };
        let ((_, result), client) = tokio::join!(ask(source, peer, soon()), serve);
        assert!(matches!(result, ProbeResult::Reply { .. }), "{result:?}");
        assert_eq!(client, source);
    }

    #[test]
    fn a_line_of_text_is_answered_by_the_peer_alone() {
        let request = Request::to_port(9999);
        assert!(request.is_answered_by(b"anything", true) && !request.is_answered_by(b"anything", false));
    }

    #[test]
    fn an_ntp_answer_is_known_by_the_timestamp_that_it_returns() {
        let request = Request::to_port(NTP);
        let mut answer = [0; NTP_LENGTH];
        answer[0] = 0x24;
        assert!(!request.is_answered_by(&answer, true), "sprayed");
        answer[NTP_ORIGIN..NTP_ORIGIN + 8].copy_from_slice(&request.bytes()[NTP_TRANSMIT..]);
        assert!(request.is_answered_by(&answer, true));
        assert!(!request.is_answered_by(request.bytes(), true), "an echo of the request");
        assert!(!request.is_answered_by(&answer[..20], true));
    }

    #[test]
    fn a_dns_answer_is_known_by_its_id() {
        let request = Request::to_port(DNS);
        let mut answer = request.bytes().to_vec();
        assert!(!request.is_answered_by(&answer, true), "an echo of the question");
        answer[2] |= 0x80;
        assert!(request.is_answered_by(&answer, true));
        assert!(request.is_answered_by(&answer, false), "a translator answers in its own name");
        assert!(!request.is_answered_by(&answer[..12], false), "without the question");
        answer[0] ^= 1;
        assert!(!request.is_answered_by(&answer, true), "another id");
        assert!(!request.is_answered_by(&[], true));
    }
}
