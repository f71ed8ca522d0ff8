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
use crate::observation::{Control, ControlKind, Heard, IcmpSocket, Outgoing};
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
    pub heard: Vec<(u32, Heard)>,
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
        let (answer, heard) = oneshot::channel();
        let gone = || {
            failed(
                IcmpSocket::None,
                targets,
                &Outgoing::Blocked { errno: "the ICMP thread is gone".to_owned() },
            )
        };
        if self.jobs.send((burst, answer)).await.is_err() {
            return gone();
        }
        heard.await.unwrap_or_else(|_| gone())
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
            return failed(IcmpSocket::None, burst.targets.len(), &Outgoing::NotPermitted);
        }
        Err(error) => {
            let outgoing = Outgoing::Blocked { errno: words(&error) };
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
            let heard = if raw || once {
                echoes.await
            } else {
                let (echoes, errors) = tokio::join!(echoes, sockets::ping(ip, burst.deadline));
                both(echoes, errors)
            };
            (place, heard)
        });
    }
    let mut heard = running.join_all().await;
    heard.sort_by_key(|(place, _)| *place);
    let mut heard: Vec<(u32, Heard)> = heard.into_iter().map(|(_, heard)| heard).collect();
    let control = control(heard.pop().as_ref());
    (Echoes { socket, heard }, control)
}

/// Of one target, by two sockets: an answer says most, then a rejection, then that nothing was sent.
fn both((sent, echoes): (u32, Heard), (more, errors): (u32, Heard)) -> (u32, Heard) {
    let heard = match (echoes, errors) {
        (Heard::Answer { replies, after }, Heard::Answer { replies: more, after: other }) => {
            Heard::Answer { replies: replies + more, after: after.min(other) }
        }
        (answer @ Heard::Answer { .. }, _) | (_, answer @ Heard::Answer { .. }) => answer,
        (rejection @ Heard::Rejection { .. }, _) | (_, rejection @ Heard::Rejection { .. }) => rejection,
        (unsent @ Heard::Unsent(_), _) | (_, unsent @ Heard::Unsent(_)) => unsent,
        (Heard::Silence, Heard::Silence) => Heard::Silence,
    };
    (sent + more, heard)
}

fn failed(socket: IcmpSocket, targets: usize, outgoing: &Outgoing) -> (Echoes, Control) {
    let heard = vec![(0, Heard::Unsent(outgoing.clone())); targets];
    (Echoes { socket, heard }, control(None))
}

fn control(heard: Option<&(u32, Heard)>) -> Control {
    let passed = matches!(heard, Some((_, Heard::Answer { .. })));
    let detail = if passed {
        "the ICMP socket heard itself on loopback"
    } else {
        "the ICMP socket heard nothing on loopback"
    };
    Control { control: ControlKind::Loopback, target: None, passed, detail: detail.to_owned() }
}

async fn echo_at(client: &Client, ip: IpAddr, deadline: Instant, once: bool) -> (u32, Heard) {
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
            Ok(Echo::Reply(after)) => {
                sent += 1;
                replies += 1;
                first = Some(first.map_or(after, |first| first.min(after)));
            }
            Ok(Echo::Silence) => sent += 1,
            Ok(Echo::Rejection(by)) => {
                sent += 1;
                other = Some(Heard::Rejection { by: Some(by), how: "ICMP error".to_owned() });
            }
            Ok(Echo::Unsent(outgoing)) => other = other.or(Some(Heard::Unsent(outgoing))),
            Err(error) => other = Some(Heard::Unsent(Outgoing::Blocked { errno: words(&error) })),
        }
    }
    match (first, other) {
        (Some(after), _) => (sent, Heard::Answer { replies, after }),
        (None, Some(other)) => (sent, other),
        (None, None) => (sent, Heard::Silence),
    }
}

enum Echo {
    Reply(Duration),
    Silence,
    Rejection(IpAddr),
    Unsent(Outgoing),
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
            None => Echo::Reply(after),
        },
        Err(SurgeError::Timeout { .. }) => Echo::Silence,
        Err(SurgeError::IOError(error)) => Echo::Unsent(Outgoing::Blocked { errno: words(&error) }),
        Err(other) => Echo::Unsent(Outgoing::Blocked { errno: words(&other) }),
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
