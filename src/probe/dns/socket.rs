//! Sockets for hickory that hear what it would not: an ICMP error, and a refusal that leaves out
//! the question. Both would end as silence, after the whole time that there is.

use std::io;
use std::net::SocketAddr;
use std::pin::Pin;
use std::sync::atomic::{AtomicBool, AtomicU32, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, OnceLock, PoisonError};
use std::task::{Context, Poll};
use std::time::Duration;

use hickory_resolver::net::runtime::{DnsUdpSocket, RuntimeProvider, TokioRuntimeProvider, TokioTime};
use nix::errno::Errno;
use tokio::net::UdpSocket;

use crate::wire::datagram;
use crate::wire::kernel_time::{Sent, note_arrivals};

const HEADER: usize = 12;
const QUESTIONS: std::ops::Range<usize> = 4..6;

/// Opens a connected socket for each datagram, and counts them.
#[derive(Clone, Default)]
pub struct Sockets {
    tokio: TokioRuntimeProvider,
    seen: Arc<Seen>,
}

/// By all sockets of one question.
#[derive(Default)]
struct Seen {
    opened: AtomicU32,
    is_blocked: AtomicBool,
    is_unrouted: AtomicBool,
    kernel: Mutex<Option<Duration>>,
}

impl Sockets {
    pub fn opened(&self) -> u32 {
        self.seen.opened.load(Ordering::Relaxed)
    }

    /// Whether a datagram did not pass this host's own packet filter.
    pub fn is_blocked_here(&self) -> bool {
        self.seen.is_blocked.load(Ordering::Relaxed)
    }

    /// Whether this host's own routes lead nowhere.
    pub fn is_unrouted_here(&self) -> bool {
        self.seen.is_unrouted.load(Ordering::Relaxed)
    }

    /// By the kernel's clock, from the question until the last datagram that came. `None` once the
    /// question was sent again: then it is open which of them was answered.
    pub fn kernel_time(&self) -> Option<Duration> {
        let kernel = *lock(&self.seen.kernel);
        kernel.filter(|_| self.opened() == 1)
    }
}

/// What connect(2) says without a route, and with one of the types unreachable, prohibit and blackhole.
fn is_unrouted(error: &io::Error) -> bool {
    let routes = [Errno::ENETUNREACH, Errno::EHOSTUNREACH, Errno::EACCES, Errno::EINVAL];
    routes.iter().any(|errno| error.raw_os_error() == Some(*errno as i32))
}

fn lock<T>(value: &Mutex<T>) -> MutexGuard<'_, T> {
    value.lock().unwrap_or_else(PoisonError::into_inner)
}

type Opening<T> = Pin<Box<dyn Future<Output = io::Result<T>> + Send>>;

impl RuntimeProvider for Sockets {
    type Handle = <TokioRuntimeProvider as RuntimeProvider>::Handle;
    type Timer = <TokioRuntimeProvider as RuntimeProvider>::Timer;
    type Udp = Socket;
    type Tcp = <TokioRuntimeProvider as RuntimeProvider>::Tcp;

    fn create_handle(&self) -> Self::Handle {
        self.tokio.create_handle()
    }

    fn connect_tcp(
        &self,
        server: SocketAddr,
        bind: Option<SocketAddr>,
        timeout: Option<Duration>,
    ) -> Opening<Self::Tcp> {
        self.tokio.connect_tcp(server, bind, timeout)
    }

    fn bind_udp(&self, local: SocketAddr, server: SocketAddr) -> Opening<Self::Udp> {
        let seen = Arc::clone(&self.seen);
        seen.opened.fetch_add(1, Ordering::Relaxed);
        Box::pin(async move {
            let udp = UdpSocket::bind(local).await?;
            if let Err(error) = udp.connect(server).await {
                seen.is_unrouted.fetch_or(is_unrouted(&error), Ordering::Relaxed);
                return Err(error);
            }
            note_arrivals(&udp);
            Ok(Socket { udp, server, asked: OnceLock::new(), sent: Mutex::default(), seen })
        })
    }
}

/// One question and its answer.
pub struct Socket {
    udp: UdpSocket,
    server: SocketAddr,
    asked: OnceLock<Vec<u8>>,
    sent: Mutex<Option<Sent>>,
    seen: Arc<Seen>,
}

impl DnsUdpSocket for Socket {
    type Time = TokioTime;

    fn poll_recv_from(
        &self,
        context: &mut Context<'_>,
        buffer: &mut [u8],
    ) -> Poll<io::Result<(usize, SocketAddr)>> {
        DnsUdpSocket::poll_recv_from(&self.udp, context, buffer)
    }

    fn poll_send_to(
        &self,
        context: &mut Context<'_>,
        buffer: &[u8],
        target: SocketAddr,
    ) -> Poll<io::Result<usize>> {
        self.asked.get_or_init(|| buffer.to_vec());
        // Each time: the first one only learns that a fresh socket can send.
        *lock(&self.sent) = Some(Sent::now());
        let sent = DnsUdpSocket::poll_send_to(&self.udp, context, buffer, target);
        // What the kernel says of a datagram that its packet filter drops or rejects.
        let is_blocked = |error: &io::Error| error.raw_os_error() == Some(Errno::EPERM as i32);
        if matches!(&sent, Poll::Ready(Err(error)) if is_blocked(error)) {
            self.seen.is_blocked.store(true, Ordering::Relaxed);
        }
        sent
    }

    fn recv_from<'socket, 'buffer, 'both>(
        &'socket self,
        buffer: &'buffer mut [u8],
    ) -> Pin<Box<dyn Future<Output = io::Result<(usize, SocketAddr)>> + Send + 'both>>
    where
        'socket: 'both,
        'buffer: 'both,
    {
        Box::pin(async move {
            let received = datagram::receive(&self.udp, buffer).await?;
            *lock(&self.seen.kernel) = lock(&self.sent).and_then(|sent| sent.until(received.came));
            let asked = self.asked.get().map_or(&[][..], Vec::as_slice);
            Ok((with_question(buffer, received.length, asked), self.server))
        })
    }
}

/// Some servers refuse with a bare header (unbound, by its access list). Hickory takes that for a
/// forgery and waits on; with the question put back it is read as what it is. Only an error can
/// come this way: an answer with records keeps whatever question it has.
fn with_question(buffer: &mut [u8], length: usize, asked: &[u8]) -> usize {
    let bare = length == HEADER && buffer[QUESTIONS] == [0, 0];
    let refuses = bare && buffer[3] & 0x0f != 0;
    // The question ends at the root label, its type and class.
    let question = asked.get(HEADER..).and_then(|rest| {
        let end = rest.iter().position(|byte| *byte == 0)? + 5;
        rest.get(..end)
    });
    match question {
        Some(question) if refuses && buffer.len() >= length + question.len() => {
            buffer[QUESTIONS].copy_from_slice(&[0, 1]);
            buffer[length..length + question.len()].copy_from_slice(question);
            length + question.len()
        }
        _ => length,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const ASKED: &[u8] = b"\x12\x34\x01\x00\x00\x01\x00\x00\x00\x00\x00\x00\x02ns\x03lab\x00\x00\x01\x00\x01";
    const REFUSED: &[u8] = b"\x12\x34\x81\x05\x00\x00\x00\x00\x00\x00\x00\x00";

    fn restored(answer: &[u8], asked: &[u8]) -> Vec<u8> {
        let mut buffer = [0; 64];
        buffer[..answer.len()].copy_from_slice(answer);
        let length = with_question(&mut buffer, answer.len(), asked);
        buffer[..length].to_vec()
    }

    #[test]
    fn a_bare_refusal_gets_its_question_back_and_nothing_else_does() {
        let whole = [b"\x12\x34\x81\x05\x00\x01\x00\x00\x00\x00\x00\x00", &ASKED[HEADER..]].concat();
        assert_eq!(restored(REFUSED, ASKED), whole);
        let no_error = b"\x12\x34\x81\x00\x00\x00\x00\x00\x00\x00\x00\x00";
        for (answer, asked) in [(&no_error[..], ASKED), (&whole, ASKED), (REFUSED, b""), (b"\x12", ASKED)] {
            assert_eq!(restored(answer, asked), answer);
        }
    }
}
