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
use crate::observation::{
    Control, ControlKind, EgressEvidence, EgressProbe, ProbeResult, Protocol, SendError,
};
use crate::wire::failure::words;
use icmp::Burst;

/// One is enough to answer; a few are asked so that one dead interface does not decide.
const MOST_CONTROLS: usize = 8;

/// Where the egress check aims, by one family.
#[derive(Clone, Debug)]
pub struct EgressTargets {
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

pub async fn attempt(
    pinger: &Pinger,
    local_addresses: Vec<IpAddr>,
    targets: EgressTargets,
    controls: Controls,
) -> EgressEvidence {
    let deadline = Instant::now() + targets.window;
    let destinations = destinations(&targets);
    let (routed, mut probes) = by_route(&destinations, &targets);
    let burst =
        Burst { family: targets.family, targets: routed.iter().map(|target| target.ip).collect(), deadline };
    let ((icmp, loopback), sockets, off_host) = tokio::join!(
        pinger.ping(burst),
        all_sockets(&routed, &targets, deadline),
        off_host(controls, targets.family, deadline),
    );
    let socket = icmp.socket;
    for (target, (sent, result)) in routed.iter().zip(icmp.result) {
        probes.push(target.probe(Protocol::Icmp, None, sent, result));
    }
    probes.extend(sockets);
    probes.sort_by_key(|probe| (probe.protocol, probe.ip, probe.port));
    EgressEvidence {
        family: targets.family,
        window: targets.window,
        local_addresses: local_addresses.into_iter().filter(|ip| Family::of(*ip) == targets.family).collect(),
        icmp_socket: socket,
        probes,
        controls: std::iter::once(loopback).chain(off_host).collect(),
        unresolved: targets.unresolved,
    }
}

#[derive(Clone, Debug)]
struct Target {
    host: Option<String>,
    ip: IpAddr,
}

impl Target {
    fn probe(&self, protocol: Protocol, port: Option<u16>, sent: u32, result: ProbeResult) -> EgressProbe {
        EgressProbe { host: self.host.clone(), ip: self.ip, protocol, port, sent, result }
    }
}

fn destinations(targets: &EgressTargets) -> Vec<Target> {
    let literals = targets.literals.iter().map(|ip| Target { host: None, ip: *ip });
    let named = targets.named.iter().map(|(host, ip)| Target { host: Some(host.clone()), ip: *ip });
    literals.chain(named).filter(|target| Family::of(target.ip) == targets.family).collect()
}

/// Splits off the targets to which this machine cannot send at all. The lookup sends nothing.
fn by_route(destinations: &[Target], targets: &EgressTargets) -> (Vec<Target>, Vec<EgressProbe>) {
    let mut routed = Vec::new();
    let mut probes = Vec::new();
    for target in destinations {
        let Some(outgoing) = no_route(target.ip) else {
            routed.push(target.clone());
            continue;
        };
        let result = || ProbeResult::NotSent(outgoing.clone());
        probes.push(target.probe(Protocol::Icmp, None, 0, result()));
        probes.extend(
            targets.tcp_ports.iter().map(|port| target.probe(Protocol::Tcp, Some(*port), 0, result())),
        );
        probes.extend(targets.udp_dns.then(|| target.probe(Protocol::Udp, Some(sockets::DNS), 0, result())));
    }
    (routed, probes)
}

fn no_route(ip: IpAddr) -> Option<SendError> {
    let unspecified: IpAddr = match ip {
        IpAddr::V4(_) => Ipv4Addr::UNSPECIFIED.into(),
        IpAddr::V6(_) => Ipv6Addr::UNSPECIFIED.into(),
    };
    let lookup =
        std::net::UdpSocket::bind((unspecified, 0)).and_then(|socket| socket.connect((ip, sockets::DNS)));
    let error = lookup.err()?;
    Some(match error.kind() {
        io::ErrorKind::NetworkUnreachable => SendError::NoRoute,
        _ => SendError::Blocked { errno: words(&error) },
    })
}

async fn all_sockets(
    destinations: &[Target],
    targets: &EgressTargets,
    deadline: Instant,
) -> Vec<EgressProbe> {
    let mut running = JoinSet::new();
    for target in destinations {
        for port in targets.tcp_ports.clone() {
            let target = target.clone();
            running.spawn(async move {
                let result = sockets::tcp(SocketAddr::new(target.ip, port), deadline).await;
                let sent = u32::from(!matches!(result, ProbeResult::NotSent(_)));
                target.probe(Protocol::Tcp, Some(port), sent, result)
            });
        }
        if targets.udp_dns {
            let target = target.clone();
            running.spawn(async move {
                let (sent, result) = sockets::udp_dns(target.ip, deadline).await;
                target.probe(Protocol::Udp, Some(sockets::DNS), sent, result)
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
    let mut result: BTreeMap<SocketAddr, Option<ProbeResult>> = BTreeMap::new();
    let preferred = loop {
        let addresses = known.borrow_and_update().values().flatten().copied().collect();
        let preferred = nearest(addresses, family);
        for peer in &preferred {
            if result.len() < MOST_CONTROLS && !result.contains_key(peer) {
                result.insert(*peer, None);
                let peer = *peer;
                asking.spawn(async move { (peer, sockets::tcp(peer, deadline).await) });
            }
        }
        let answered = result.values().any(|result| matches!(result, Some(ProbeResult::Reply { .. })));
        if asking.is_empty() && answered {
            break preferred;
        }
        tokio::select! {
            Some(Ok((peer, outcome))) = asking.join_next() => { result.insert(peer, Some(outcome)); }
            changed = timeout_at(deadline, known.changed()) => if !matches!(changed, Ok(Ok(()))) { break preferred },
        }
    };
    while let Some(Ok((peer, outcome))) = asking.join_next().await {
        result.insert(peer, Some(outcome));
    }
    let result: Vec<(SocketAddr, ProbeResult)> =
        preferred.into_iter().filter_map(|peer| Some((peer, result.remove(&peer)??))).collect();
    let says = |passed| if passed { "accepted a connection" } else { "did not accept a connection" };
    first_to_answer(ControlKind::Endpoint, &result, says)
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
    result: &[(SocketAddr, ProbeResult)],
    says: impl Fn(bool) -> &'static str,
) -> Option<Control> {
    let answered = result.iter().find(|(_, result)| matches!(result, ProbeResult::Reply { .. }));
    let passed = answered.is_some();
    let (peer, _) = answered.or_else(|| result.first())?;
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
        let mut asked = std::pin::pin!(endpoint(known.subscribe(), Family::Ipv4, deadline));
        // Begun, with nobody else to ask yet.
        tokio::select! {
            biased;
            control = &mut asked => panic!("{control:?} came too early"),
            () = std::future::ready(()) => {}
        }
        known.send_modify(|known| drop(known.insert("ssm".into(), vec![alive])));
        let control = asked.await.unwrap();
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
