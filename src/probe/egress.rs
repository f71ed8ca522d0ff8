//! One waiting window in which everything is tried at once that could get out, beside the
//! controls that show that an answer would have been heard.

mod icmp;
mod sockets;

use std::collections::BTreeMap;
use std::io;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::time::Duration;

use futures_util::future::join_all;
use tokio::sync::watch;
use tokio::task::JoinSet;
use tokio::time::{Instant, timeout_at};

pub use icmp::Pinger;

use crate::check::{EndpointName, Family};
use crate::observation::{Control, ControlKind, EgressSeen, Heard, Outgoing, Probe, Shot};
use crate::wire::failure::words;
use icmp::Burst;

/// One is enough to answer; a few are asked so that one dead interface does not decide.
const MOST_CONTROLS: usize = 8;

/// Where the egress check aims, by one family.
#[derive(Clone, Debug)]
pub struct Aim {
    pub family: Family,
    pub literals: Vec<IpAddr>,
    /// Names with the addresses that they led to.
    pub named: Vec<(String, IpAddr)>,
    pub unresolved: Vec<String>,
    pub tcp_ports: Vec<u16>,
    pub udp_dns: bool,
    pub window: Duration,
}

/// What should answer, off this host.
#[derive(Clone, Debug)]
pub struct Controls {
    /// Addresses of endpoints, as soon as somebody has resolved them.
    pub endpoints: watch::Receiver<BTreeMap<EndpointName, Vec<SocketAddr>>>,
    pub resolvers: Vec<SocketAddr>,
}

pub async fn attempt(pinger: &Pinger, own: Vec<IpAddr>, aim: Aim, controls: Controls) -> EgressSeen {
    let deadline = Instant::now() + aim.window;
    let targets = targets(&aim);
    let (routed, mut shots) = by_route(&targets, &aim);
    let burst =
        Burst { family: aim.family, targets: routed.iter().map(|target| target.ip).collect(), deadline };
    let ((icmp, loopback), sockets, off_host) = tokio::join!(
        pinger.ping(burst),
        all_sockets(&routed, &aim, deadline),
        off_host(controls, aim.family, deadline),
    );
    let socket = icmp.socket;
    for (target, (sent, heard)) in routed.iter().zip(icmp.heard) {
        shots.push(target.shot(Probe::Icmp, None, sent, heard));
    }
    shots.extend(sockets);
    shots.sort_by_key(|shot| (shot.probe, shot.ip, shot.port));
    EgressSeen {
        family: aim.family,
        window: aim.window,
        own_addresses: own.into_iter().filter(|ip| Family::of(*ip) == aim.family).collect(),
        icmp_socket: socket,
        shots,
        controls: std::iter::once(loopback).chain(off_host).collect(),
        unresolved: aim.unresolved,
    }
}

#[derive(Clone, Debug)]
struct Target {
    host: Option<String>,
    ip: IpAddr,
}

impl Target {
    fn shot(&self, probe: Probe, port: Option<u16>, sent: u32, heard: Heard) -> Shot {
        Shot { host: self.host.clone(), ip: self.ip, probe, port, sent, heard }
    }
}

fn targets(aim: &Aim) -> Vec<Target> {
    let literals = aim.literals.iter().map(|ip| Target { host: None, ip: *ip });
    let named = aim.named.iter().map(|(host, ip)| Target { host: Some(host.clone()), ip: *ip });
    literals.chain(named).filter(|target| Family::of(target.ip) == aim.family).collect()
}

/// Splits off the targets to which this machine cannot send at all. The lookup sends nothing.
fn by_route(targets: &[Target], aim: &Aim) -> (Vec<Target>, Vec<Shot>) {
    let mut routed = Vec::new();
    let mut shots = Vec::new();
    for target in targets {
        let Some(outgoing) = no_route(target.ip) else {
            routed.push(target.clone());
            continue;
        };
        let heard = || Heard::Unsent(outgoing.clone());
        shots.push(target.shot(Probe::Icmp, None, 0, heard()));
        shots.extend(aim.tcp_ports.iter().map(|port| target.shot(Probe::Tcp, Some(*port), 0, heard())));
        shots.extend(aim.udp_dns.then(|| target.shot(Probe::Udp, Some(sockets::DNS), 0, heard())));
    }
    (routed, shots)
}

fn no_route(ip: IpAddr) -> Option<Outgoing> {
    let unspecified: IpAddr = match ip {
        IpAddr::V4(_) => Ipv4Addr::UNSPECIFIED.into(),
        IpAddr::V6(_) => Ipv6Addr::UNSPECIFIED.into(),
    };
    let lookup =
        std::net::UdpSocket::bind((unspecified, 0)).and_then(|socket| socket.connect((ip, sockets::DNS)));
    let error = lookup.err()?;
    Some(match error.kind() {
        io::ErrorKind::NetworkUnreachable => Outgoing::NoRoute,
        _ => Outgoing::Blocked { errno: words(&error) },
    })
}

async fn all_sockets(targets: &[Target], aim: &Aim, deadline: Instant) -> Vec<Shot> {
    let mut running = JoinSet::new();
    for target in targets {
        for port in aim.tcp_ports.clone() {
            let target = target.clone();
            running.spawn(async move {
                let heard = sockets::tcp(SocketAddr::new(target.ip, port), deadline).await;
                let sent = u32::from(!matches!(heard, Heard::Unsent(_)));
                target.shot(Probe::Tcp, Some(port), sent, heard)
            });
        }
        if aim.udp_dns {
            let target = target.clone();
            running.spawn(async move {
                let (sent, heard) = sockets::udp_dns(target.ip, deadline).await;
                target.shot(Probe::Udp, Some(sockets::DNS), sent, heard)
            });
        }
    }
    running.join_all().await
}

async fn off_host(controls: Controls, family: Family, deadline: Instant) -> Vec<Control> {
    let resolvers = controls.resolvers.clone();
    let (endpoint, resolver) =
        tokio::join!(endpoint(controls.endpoints, family, deadline), resolver(resolvers, family, deadline));
    [endpoint, resolver].into_iter().flatten().collect()
}

/// The strong control: something with our own kind of traffic answers. `None` while no address
/// is known. Whoever is known first may be dead, so those that become known later are asked as
/// well, until somebody answers or the window closes.
async fn endpoint(
    mut known: watch::Receiver<BTreeMap<EndpointName, Vec<SocketAddr>>>,
    family: Family,
    deadline: Instant,
) -> Option<Control> {
    let mut asking = JoinSet::new();
    let mut heard: BTreeMap<SocketAddr, Option<Heard>> = BTreeMap::new();
    let preferred = loop {
        let addresses = known.borrow_and_update().values().flatten().copied().collect();
        let preferred = nearest(addresses, family);
        for peer in &preferred {
            if heard.len() < MOST_CONTROLS && !heard.contains_key(peer) {
                heard.insert(*peer, None);
                let peer = *peer;
                asking.spawn(async move { (peer, sockets::tcp(peer, deadline).await) });
            }
        }
        let answered = heard.values().any(|heard| matches!(heard, Some(Heard::Answer { .. })));
        if asking.is_empty() && answered {
            break preferred;
        }
        tokio::select! {
            Some(Ok((peer, outcome))) = asking.join_next() => { heard.insert(peer, Some(outcome)); }
            changed = timeout_at(deadline, known.changed()) => if !matches!(changed, Ok(Ok(()))) { break preferred },
        }
    };
    while let Some(Ok((peer, outcome))) = asking.join_next().await {
        heard.insert(peer, Some(outcome));
    }
    let heard: Vec<(SocketAddr, Heard)> =
        preferred.into_iter().filter_map(|peer| Some((peer, heard.remove(&peer)??))).collect();
    let says = |passed| if passed { "accepted a connection" } else { "did not accept a connection" };
    first_to_answer(ControlKind::Endpoint, &heard, says)
}

async fn resolver(resolvers: Vec<SocketAddr>, family: Family, deadline: Instant) -> Option<Control> {
    let mut asked = Vec::new();
    for peer in nearest(resolvers, family) {
        asked.push(async move { (peer, sockets::udp_dns(peer.ip(), deadline).await.1) });
    }
    let says = |passed| if passed { "answered" } else { "did not answer" };
    first_to_answer(ControlKind::Resolver, &join_all(asked).await, says)
}

/// In the order in which they were preferred, so that each attempt names the same one.
fn first_to_answer(
    control: ControlKind,
    heard: &[(SocketAddr, Heard)],
    says: impl Fn(bool) -> &'static str,
) -> Option<Control> {
    let answered = heard.iter().find(|(_, heard)| matches!(heard, Heard::Answer { .. }));
    let passed = answered.is_some();
    let (peer, _) = answered.or_else(|| heard.first())?;
    let detail = format!("{peer} {}", says(passed));
    Some(Control { control, target: Some(*peer), passed, detail })
}

/// Those of the family under test first: they exercise the same stack.
fn nearest(mut addresses: Vec<SocketAddr>, family: Family) -> Vec<SocketAddr> {
    addresses.sort_by_key(|address| Family::of(address.ip()) != family);
    addresses.truncate(MOST_CONTROLS);
    addresses
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn an_endpoint_that_is_dead_and_known_first_is_not_the_only_one_asked() {
        let dead = SocketAddr::from(([127, 0, 0, 1], 1));
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
        let alive = listener.local_addr().unwrap();
        let known = watch::Sender::new(BTreeMap::from([("monitoring".into(), vec![dead])]));
        let deadline = Instant::now() + Duration::from_secs(5);
        let asked = tokio::spawn(endpoint(known.subscribe(), Family::Ipv4, deadline));
        // It has been refused by now, or is about to be: either way there is nobody else yet.
        tokio::task::yield_now().await;
        known.send_modify(|known| drop(known.insert("ssm".into(), vec![alive])));
        let control = asked.await.unwrap().unwrap();
        assert_eq!((control.target, control.passed), (Some(alive), true));
    }

    #[tokio::test]
    async fn where_none_answers_the_preferred_one_is_named() {
        let dead = SocketAddr::from(([127, 0, 0, 1], 1));
        let known = watch::Sender::new(BTreeMap::from([("monitoring".into(), vec![dead])]));
        let deadline = Instant::now() + Duration::from_millis(50);
        let control = endpoint(known.subscribe(), Family::Ipv4, deadline).await.unwrap();
        assert_eq!((control.target, control.passed), (Some(dead), false));
    }
}
