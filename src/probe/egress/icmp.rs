//! Echo requests, on a thread of their own: TLS work beside them would bend their times.

use std::io;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};
use std::sync::atomic::{AtomicU16, Ordering};
use std::thread;
use std::time::Duration;

use surge_ping::{Client, Config, ICMP, IcmpPacket, PingIdentifier, PingSequence, SurgeError};
use tokio::runtime;
use tokio::sync::{mpsc, oneshot};
use tokio::task::JoinSet;
use tokio::time::{Instant, sleep_until};

use super::sockets;
use crate::check::Family;
use crate::observation::{Control, ControlKind, IcmpSocket, ProbeResult, SendError};
use crate::wire::failure::words;

/// Echoes at one target within a window. Spaced, since kernels limit the rate of ICMP errors;
/// several, since a way out that loses most packets is still a way out.
const ECHOES: u32 = 5;
const BETWEEN_ECHOES: Duration = Duration::from_millis(100);
const PAYLOAD: [u8; 24] = *b"linkproof egress control";

/// Types of RFC 792 and RFC 4443. An ICMP error reaches a raw socket like a reply.
const ECHO_REPLY: u8 = 0;
const ECHO_REPLY_V6: u8 = 129;

/// Bursts wait their turn here; more than both families of two rounds cannot pile up.
const QUEUE: usize = 4;

pub struct Burst {
    pub family: Family,
    pub targets: Vec<IpAddr>,
    pub deadline: Instant,
}

pub struct Echoes {
    pub socket: IcmpSocket,
    /// By target: how many were sent, and what was heard.
    pub result: Vec<(u32, ProbeResult)>,
}

type Job = (Burst, oneshot::Sender<(Echoes, Control)>);

/// The way to the thread.
#[derive(Clone, Debug)]
pub struct Pinger {
    jobs: mpsc::Sender<Job>,
}

impl Pinger {
    pub fn start() -> io::Result<Self> {
        let (jobs, mut inbox) = mpsc::channel::<Job>(QUEUE);
        let runtime = runtime::Builder::new_current_thread().enable_all().build()?;
        thread::Builder::new().name("icmp".to_owned()).spawn(move || {
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

    pub async fn ping(&self, burst: Burst) -> (Echoes, Control) {
        let targets = burst.targets.len();
        let (answer, result) = oneshot::channel();
        let gone = || {
            failed(
                IcmpSocket::None,
                targets,
                &SendError::Blocked { errno: "the ICMP thread is gone".to_owned() },
            )
        };
        if self.jobs.send((burst, answer)).await.is_err() {
            return gone();
        }
        result.await.unwrap_or_else(|_| gone())
    }
}

async fn ping(burst: Burst) -> (Echoes, Control) {
    let kind = match burst.family {
        Family::Ipv4 => ICMP::V4,
        Family::Ipv6 => ICMP::V6,
    };
    // A raw socket where it is permitted, since it hears ICMP errors too; surge-ping tries a
    // datagram one next, which needs no privilege.
    let config = Config::builder().kind(kind).sock_type_hint(socket2::Type::RAW).build();
    let client = match Client::new(&config) {
        Ok(client) => client,
        Err(error) if error.kind() == io::ErrorKind::PermissionDenied => {
            return failed(IcmpSocket::None, burst.targets.len(), &SendError::NotPermitted);
        }
        Err(error) => {
            let outgoing = SendError::Blocked { errno: words(&error) };
            return failed(IcmpSocket::None, burst.targets.len(), &outgoing);
        }
    };
    let raw = client.get_socket().get_type() == socket2::Type::RAW;
    let socket = if raw { IcmpSocket::Raw } else { IcmpSocket::Dgram };
    let loopback = match burst.family {
        Family::Ipv4 => IpAddr::V4(Ipv4Addr::LOCALHOST),
        Family::Ipv6 => IpAddr::V6(Ipv6Addr::LOCALHOST),
    };
    let mut running = JoinSet::new();
    for (place, ip) in burst.targets.iter().copied().chain([loopback]).enumerate() {
        let client = client.clone();
        running.spawn(async move {
            let once = ip == loopback;
            let echoes = echo_at(&client, ip, burst.deadline, once);
            let result = if raw || once {
                echoes.await
            } else {
                let (echoes, errors) = tokio::join!(echoes, sockets::ping(ip, burst.deadline));
                both(echoes, errors)
            };
            (place, result)
        });
    }
    let mut result = running.join_all().await;
    result.sort_by_key(|(place, _)| *place);
    let mut result: Vec<(u32, ProbeResult)> = result.into_iter().map(|(_, result)| result).collect();
    let control = control(result.pop().as_ref());
    (Echoes { socket, result }, control)
}

/// Of one target, by two sockets: an answer says most, then a rejection, then that nothing was sent.
fn both((sent, echoes): (u32, ProbeResult), (more, errors): (u32, ProbeResult)) -> (u32, ProbeResult) {
    let result = match (echoes, errors) {
        (ProbeResult::Reply { replies, after }, ProbeResult::Reply { replies: more, after: other }) => {
            ProbeResult::Reply { replies: replies + more, after: after.min(other) }
        }
        (answer @ ProbeResult::Reply { .. }, _) | (_, answer @ ProbeResult::Reply { .. }) => answer,
        (rejection @ ProbeResult::Rejected { .. }, _) | (_, rejection @ ProbeResult::Rejected { .. }) => {
            rejection
        }
        (unsent @ ProbeResult::NotSent(_), _) | (_, unsent @ ProbeResult::NotSent(_)) => unsent,
        (ProbeResult::NoReply, ProbeResult::NoReply) => ProbeResult::NoReply,
    };
    (sent + more, result)
}

fn failed(socket: IcmpSocket, targets: usize, outgoing: &SendError) -> (Echoes, Control) {
    let result = vec![(0, ProbeResult::NotSent(outgoing.clone())); targets];
    (Echoes { socket, result }, control(None))
}

fn control(result: Option<&(u32, ProbeResult)>) -> Control {
    let passed = matches!(result, Some((_, ProbeResult::Reply { .. })));
    let detail = if passed {
        "the ICMP socket heard itself on loopback"
    } else {
        "the ICMP socket heard nothing on loopback"
    };
    Control { control: ControlKind::Loopback, target: None, passed, detail: detail.to_owned() }
}

async fn echo_at(client: &Client, ip: IpAddr, deadline: Instant, once: bool) -> (u32, ProbeResult) {
    let begun = Instant::now();
    let mut running = JoinSet::new();
    for number in 0..if once { 1 } else { ECHOES } {
        let client = client.clone();
        running.spawn(async move {
            sleep_until((begun + BETWEEN_ECHOES * number).min(deadline)).await;
            echo(&client, ip, deadline).await
        });
    }
    let mut sent = 0;
    let mut replies = 0;
    let mut first: Option<Duration> = None;
    let mut other = None;
    while let Some(result) = running.join_next().await {
        match result {
            Ok(Echo::QueryResult(after)) => {
                sent += 1;
                replies += 1;
                first = Some(first.map_or(after, |first| first.min(after)));
            }
            Ok(Echo::Silence) => sent += 1,
            Ok(Echo::Rejection(by)) => {
                sent += 1;
                other = Some(ProbeResult::Rejected { by: Some(by), how: "ICMP error".to_owned() });
            }
            Ok(Echo::Unsent(outgoing)) => other = other.or(Some(ProbeResult::NotSent(outgoing))),
            Err(error) => other = Some(ProbeResult::NotSent(SendError::Blocked { errno: words(&error) })),
        }
    }
    match (first, other) {
        (Some(after), _) => (sent, ProbeResult::Reply { replies, after }),
        (None, Some(other)) => (sent, other),
        (None, None) => (sent, ProbeResult::NoReply),
    }
}

enum Echo {
    QueryResult(Duration),
    Silence,
    Rejection(IpAddr),
    Unsent(SendError),
}

async fn echo(client: &Client, ip: IpAddr, deadline: Instant) -> Echo {
    // One sequence for the process: a datagram socket has no identifier of its own choosing.
    static SEQUENCE: AtomicU16 = AtomicU16::new(0);
    let sequence = SEQUENCE.fetch_add(1, Ordering::Relaxed);
    let mut pinger = client.pinger(ip, PingIdentifier(fastrand::u16(..))).await;
    pinger.timeout(deadline.saturating_duration_since(Instant::now()));
    match pinger.ping(PingSequence(sequence), &PAYLOAD).await {
        Ok((packet, after)) => match error_sender(&packet) {
            Some(by) => Echo::Rejection(by),
            None => Echo::QueryResult(after),
        },
        Err(SurgeError::Timeout { .. }) => Echo::Silence,
        Err(SurgeError::IOError(error)) => Echo::Unsent(SendError::Blocked { errno: words(&error) }),
        Err(other) => Echo::Unsent(SendError::Blocked { errno: words(&other) }),
    }
}

/// Who sent an ICMP error; `None` for an echo reply.
fn error_sender(packet: &IcmpPacket) -> Option<IpAddr> {
    match packet {
        IcmpPacket::V4(packet) => {
            (packet.get_icmp_type().0 != ECHO_REPLY).then(|| packet.get_source().into())
        }
        IcmpPacket::V6(packet) => {
            (packet.get_icmpv6_type().0 != ECHO_REPLY_V6).then(|| packet.get_source().into())
        }
    }
}
