//! Echo requests, on a thread of their own: TLS work beside them would bend their times.
//!
//! Our own sockets, since no crate compares the payload of a reply, binds each socket to a source,
//! and keeps the sender of an ICMP error on an unprivileged socket. The control on loopback is
//! confirmed by surge-ping, another implementation.

mod packet;

use std::collections::HashMap;
use std::io;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::time::{Duration, SystemTime};

use socket2::{Protocol, Type};
use tokio::io::Interest;
use tokio::net::UdpSocket;
use tokio::sync::{mpsc, oneshot};
use tokio::task::JoinSet;
use tokio::time::{Instant, timeout_at};

use super::loopback;
use super::sockets::{after_sending, not_sent, open};
use crate::check::Family;
use crate::observation::{Control, ControlKind, IcmpSocket, ProbeResult, SendError};
use crate::threads;
use crate::wire::datagram;
use crate::wire::icmp_error::{QueuedError, queued_error};
use crate::wire::kernel_time::{Sent, note_arrivals};
use packet::{Echo, Nonce};

/// Echoes at one target within a window. Spaced, since kernels limit the rate of ICMP errors;
/// several, since a way out that loses most packets is still a way out.
const ECHOES: u32 = 5;
const BETWEEN_ECHOES: Duration = Duration::from_millis(100);

/// Bursts wait their turn here; more than both families of two rounds cannot pile up.
const QUEUE: usize = 4;

/// All that one family's window pings.
pub struct Burst {
    pub family: Family,
    /// By source: where to.
    pub sources: Vec<(IpAddr, Vec<IpAddr>)>,
    pub deadline: Instant,
}

pub struct Echoes {
    pub socket: IcmpSocket,
    /// In the order of the burst, by source and target: how many were sent, and what came back.
    pub results: Vec<Vec<(u32, ProbeResult)>>,
    pub loopback: Control,
}

type Job = (Burst, oneshot::Sender<Echoes>);

/// The way to the thread.
#[derive(Clone, Debug)]
pub struct Pinger {
    jobs: mpsc::Sender<Job>,
}

impl Pinger {
    pub fn start() -> io::Result<Self> {
        let (jobs, mut inbox) = mpsc::channel::<Job>(QUEUE);
        threads::with_runtime("icmp", move |runtime| {
            runtime.block_on(async {
                let mut running = JoinSet::new();
                loop {
                    tokio::select! {
                        job = inbox.recv() => match job {
                            Some((burst, answer)) => { running.spawn(async move { answer.send(ping(burst).await) }); }
                            None => break,
                        },
                        Some(_) = running.join_next() => {}
                    }
                }
            });
        })?;
        Ok(Self { jobs })
    }

    pub async fn ping(&self, burst: Burst) -> Echoes {
        let (family, targets) = (burst.family, burst.sources.iter().map(|(_, to)| to.len()).collect());
        let (answer, result) = oneshot::channel();
        if self.jobs.send((burst, answer)).await.is_ok()
            && let Ok(echoes) = result.await
        {
            return echoes;
        }
        gone(family, targets)
    }
}

/// The thread has panicked. Nothing is known, and nothing may pass.
fn gone(family: Family, targets: Vec<usize>) -> Echoes {
    let error = SendError::NoResources { errno: "the ICMP thread has ended".to_owned() };
    let results =
        targets.into_iter().map(|count| vec![(0, ProbeResult::NotSent(error.clone())); count]).collect();
    Echoes { socket: IcmpSocket::None, results, loopback: control(family, None, false) }
}

async fn ping(burst: Burst) -> Echoes {
    let (family, deadline) = (burst.family, burst.deadline);
    let mut running = JoinSet::new();
    for (place, (source, targets)) in burst.sources.into_iter().enumerate() {
        running.spawn(async move { (place, ping_from(source, targets, ECHOES, deadline).await) });
    }
    let (mut socket, received) =
        ping_from(loopback_address(family), vec![loopback_address(family)], 1, deadline).await;
    let confirmed = loopback::answers(loopback_address(family), socket, deadline).await;
    let mut results = running.join_all().await;
    results.sort_by_key(|(place, _)| *place);
    if let Some((_, (opened, _))) = results.first() {
        socket = *opened;
    }
    let results = results.into_iter().map(|(_, (_, results))| results).collect();
    Echoes { socket, results, loopback: control(family, received.first(), confirmed) }
}

fn loopback_address(family: Family) -> IpAddr {
    match family {
        Family::Ipv4 => Ipv4Addr::LOCALHOST.into(),
        Family::Ipv6 => Ipv6Addr::LOCALHOST.into(),
    }
}

/// `confirmed` says that another implementation of ping got its reply too.
fn control(family: Family, result: Option<&(u32, ProbeResult)>, confirmed: bool) -> Control {
    let passed = confirmed && matches!(result, Some((_, ProbeResult::Reply { .. })));
    let detail = match result {
        Some((_, ProbeResult::NotSent(SendError::Blocked { errno } | SendError::NoResources { errno }))) => {
            errno.clone()
        }
        _ if passed => format!("the ICMP socket received its own echo on {}", loopback_address(family)),
        _ => format!("the ICMP socket received nothing on {}", loopback_address(family)),
    };
    Control { control: ControlKind::Loopback, source: None, target: None, passed, detail }
}

/// From one source to many targets, over one socket.
async fn ping_from(
    source: IpAddr,
    targets: Vec<IpAddr>,
    echoes: u32,
    deadline: Instant,
) -> (IcmpSocket, Vec<(u32, ProbeResult)>) {
    let (socket, kind) = match ping_socket(source) {
        Ok(opened) => opened,
        Err(error) => return (IcmpSocket::None, vec![(0, ProbeResult::NotSent(error)); targets.len()]),
    };
    let mut flight = Flight::new(socket, kind, source, targets);
    let mut next = Instant::now();
    for _ in 0..echoes {
        flight.send_wave().await;
        next += BETWEEN_ECHOES;
        flight.listen(next.min(deadline)).await;
    }
    flight.listen_for_all(deadline).await;
    (kind, flight.results())
}

/// A datagram socket needs no privilege, but its group must be in `net.ipv4.ping_group_range`;
/// a raw one needs `CAP_NET_RAW`.
fn ping_socket(source: IpAddr) -> Result<(UdpSocket, IcmpSocket), SendError> {
    let protocol = if source.is_ipv4() { Protocol::ICMPV4 } else { Protocol::ICMPV6 };
    let mut last = None;
    for (kind, name) in [(Type::DGRAM, IcmpSocket::Dgram), (Type::RAW, IcmpSocket::Raw)] {
        let opened = open(source, kind, Some(protocol)).and_then(|socket| UdpSocket::from_std(socket.into()));
        match opened {
            Ok(socket) => {
                note_arrivals(&socket);
                return Ok((socket, name));
            }
            Err(error) if error.kind() == io::ErrorKind::PermissionDenied => last = last.or(None),
            Err(error) => last = last.or(Some(not_sent(&error))),
        }
    }
    Err(last.unwrap_or(SendError::NotPermitted))
}

/// What is under way from one source.
struct Flight {
    socket: UdpSocket,
    kind: IcmpSocket,
    echo: Echo,
    targets: Vec<Target>,
    /// What each echo carried: which target it went to, and when.
    nonces: HashMap<Nonce, (usize, Sent)>,
}

struct Target {
    ip: IpAddr,
    sent: u32,
    replies: u32,
    /// Of the fastest reply, by our clock and by the kernel's.
    first: Option<(Duration, Option<Duration>)>,
    other: Option<ProbeResult>,
}

/// What a socket has to say.
enum Received {
    Reply(Nonce, Option<SystemTime>),
    Error(QueuedError),
    /// A packet of another program, or a part of one.
    Nothing,
}

impl Flight {
    fn new(socket: UdpSocket, kind: IcmpSocket, source: IpAddr, targets: Vec<IpAddr>) -> Self {
        let target = |ip| Target { ip, sent: 0, replies: 0, first: None, other: None };
        Self {
            socket,
            kind,
            echo: Echo::from(source),
            targets: targets.into_iter().map(target).collect(),
            nonces: HashMap::new(),
        }
    }

    async fn send_wave(&mut self) {
        // Not a part of the first echo's time.
        let _ = self.socket.writable().await;
        for index in 0..self.targets.len() {
            let (packet, nonce) = self.echo.next();
            let peer = SocketAddr::new(self.targets[index].ip, 0);
            self.nonces.insert(nonce, (index, Sent::now()));
            let mut sent = self.socket.send_to(&packet, peer).await;
            if sent.is_err() && self.take_errors() {
                // It was the error of an earlier packet that the kernel had not handed over.
                sent = self.socket.send_to(&packet, peer).await;
            }
            let target = &mut self.targets[index];
            match sent {
                Ok(_) => target.sent += 1,
                Err(error) => {
                    self.nonces.remove(&nonce);
                    target.other.get_or_insert(ProbeResult::NotSent(not_sent(&error)));
                }
            }
        }
    }

    async fn listen(&mut self, until: Instant) {
        while let Ok(received) = timeout_at(until, self.next()).await {
            self.take(received);
        }
    }

    /// Until the deadline, or until every echo has been replied to.
    async fn listen_for_all(&mut self, deadline: Instant) {
        while self.targets.iter().any(|target| target.replies < target.sent) {
            match timeout_at(deadline, self.next()).await {
                Ok(received) => self.take(received),
                Err(_) => break,
            }
        }
    }

    async fn next(&self) -> Received {
        let received = || match queued_error(&self.socket) {
            Some(error) => Ok(Received::Error(error)),
            None => self.receive(),
        };
        // An error here is that of the queue, which has been read.
        self.socket
            .async_io(Interest::READABLE | Interest::ERROR, received)
            .await
            .unwrap_or(Received::Nothing)
    }

    fn receive(&self) -> io::Result<Received> {
        let mut buffer = [0; 256];
        let datagram::Received { length, came, .. } = datagram::read(&self.socket, &mut buffer)?;
        let nonce = self.echo.reply(&buffer[..length], self.kind == IcmpSocket::Raw);
        Ok(nonce.map_or(Received::Nothing, |nonce| Received::Reply(nonce, came)))
    }

    fn take_errors(&mut self) -> bool {
        let mut any = false;
        while let Some(error) = queued_error(&self.socket) {
            self.take(Received::Error(error));
            any = true;
        }
        any
    }

    fn take(&mut self, received: Received) {
        match received {
            Received::Reply(nonce, came) => {
                // Taken out: a reply that comes twice counts once.
                let Some((index, sent)) = self.nonces.remove(&nonce) else { return };
                let (target, took) = (&mut self.targets[index], (sent.felt(), sent.until(came)));
                target.replies += 1;
                target.first = Some(target.first.map_or(took, |first| first.min(took)));
            }
            Received::Error(error) => {
                let is_ours = self.echo.quoted(&error.quoted, |nonce| self.nonces.contains_key(nonce));
                let target = self.targets.iter_mut().find(|target| Some(target.ip) == error.target);
                if let Some(target) = target.filter(|_| is_ours) {
                    target.other = Some(after_sending(&error.error, error.by));
                }
            }
            Received::Nothing => {}
        }
    }

    fn results(self) -> Vec<(u32, ProbeResult)> {
        let result = |target: Target| match (target.first, target.other) {
            (Some((after, kernel)), _) => {
                (target.sent, ProbeResult::Reply { replies: target.replies, after, kernel })
            }
            (None, Some(other)) => (target.sent, other),
            (None, None) => (target.sent, ProbeResult::NoReply),
        };
        self.targets.into_iter().map(result).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn loopback_replies_to_every_echo() {
        for family in Family::BOTH {
            let deadline = Instant::now() + Duration::from_secs(5);
            let (socket, results) =
                ping_from(loopback_address(family), vec![loopback_address(family)], 3, deadline).await;
            assert_ne!(socket, IcmpSocket::None, "the tests need a ping socket");
            let [(3, ProbeResult::Reply { replies: 3, .. })] = results[..] else { panic!("{results:?}") };
        }
    }
}
