//! One waiting window in which everything is tried at once that could get out, from every global
//! address of the host, beside the controls that show that a reply would have been received.

mod controls;
mod icmp;
mod loopback;
mod netlink;
mod next_hop;
mod other_routes;
mod route;
mod sockets;
mod targets;
mod tcp;
mod udp;

use std::collections::BTreeSet;
use std::net::{IpAddr, SocketAddr};

use futures_util::future::join_all;
use tokio::task::JoinSet;
use tokio::time::{Instant, sleep_until};

pub use controls::Controls;
pub use icmp::Pinger;

use crate::check::Family;
use crate::network::Cidr;
use crate::observation::{
    Control, EgressEvidence, EgressGap, EgressProbe, EgressRequest, EgressSource, IcmpSocket, ProbeResult,
    Protocol, SourceJudgment,
};
use icmp::Burst;
use other_routes::Probes;
use targets::Target;

/// So many addresses get all probes: each costs a hundred sockets in the window.
const MOST_SOURCES: usize = 16;
/// At most this many are probed at all. After the first ones an address gets one ping and one TCP port,
/// at two operators.
const MOST_PROBED: usize = 256;

/// `sources` are the host's global addresses of both families.
pub async fn attempt(
    pinger: &Pinger,
    sources: Vec<EgressSource>,
    family_disabled: Option<String>,
    request: EgressRequest,
    controls: Controls,
) -> EgressEvidence {
    let own: Vec<IpAddr> = sources.iter().map(|source| source.ip).collect();
    let sources = chosen(sources, request.family, &request.settings.sources);
    let (targets, here): (Vec<Target>, Vec<Target>) =
        targets::of(&request).into_iter().partition(|target| !own.contains(&target.ip));
    let (looks, mut probes) = by_route(&sources, &targets);
    let mut gaps = request.gaps.clone();
    let is_here = |target: &Target| Family::of(target.ip) == request.family && own.contains(&target.ip);
    gaps.extend(targets::own(&request).filter(is_here).map(own_address));
    gaps.extend(routed_elsewhere(&looks, &targets, targets::elsewhere(request.family)));
    let routed = routed(&sources, &targets, &request);
    if request.settings.other_routes {
        gaps.extend(other_routes::find(&routed));
    }
    let deadline = Instant::now() + request.settings.window;
    let (pings, sockets, controls) = tokio::join!(
        pings(pinger, request.family, &looks, deadline),
        all_sockets(&looks, deadline),
        all_controls(&sources, controls, deadline),
    );
    let (icmp_socket, loopback, pings) = pings;
    probes.extend(pings);
    probes.extend(sockets);
    gaps.extend(next_hop::silent(&routed));
    gaps.extend(routed_by_now(&looks, &targets, deadline).await);
    probes.sort_by_key(|probe| {
        let source = sources.iter().position(|source| source.ip == probe.source);
        (source, probe.protocol, probe.decoy, probe.ip, probe.port)
    });
    EgressEvidence {
        family: request.family,
        window: request.settings.window,
        sources,
        family_disabled,
        icmp_socket,
        probes,
        controls: std::iter::once(loopback).chain(controls).collect(),
        controls_passed: None,
        unresolved: request.unresolved.into_iter().chain(here.iter().map(not_outside)).collect(),
        gaps,
        left_out: Vec::new(),
    }
}

/// The sources of one family, each marked with how far it is probed.
fn chosen(sources: Vec<EgressSource>, family: Family, ranges: &[Cidr]) -> Vec<EgressSource> {
    let of_family = sources.into_iter().filter(|source| Family::of(source.ip) == family);
    let mut probed = 0;
    let mark = |mut source: EgressSource| {
        if !ranges.is_empty() && !ranges.iter().any(|range| range.contains(source.ip)) {
            source.judged = Some(SourceJudgment::LeftOut);
            return source;
        }
        source.reduced = probed >= MOST_SOURCES;
        source.judged = (probed >= MOST_PROBED).then_some(SourceJudgment::OverLimit);
        probed += 1;
        source
    };
    of_family.map(mark).collect()
}

/// A target of the operator's own, which nothing else stands for.
fn own_address(target: Target) -> EgressGap {
    let host = target.host.unwrap_or_else(|| target.ip.to_string());
    EgressGap::TargetNotProbed { host, why: "this host has its address".to_owned() }
}

fn not_outside(target: &Target) -> String {
    format!("{} is not probed: this host has it", target.ip)
}

/// One source, with what is sent from it.
struct Look {
    source: IpAddr,
    targets: Vec<Target>,
}

impl Look {
    /// A route for decoys alone is none to the internet.
    fn is_unrouted(&self) -> bool {
        self.targets.iter().all(|target| target.decoy)
    }
}

/// Splits off what the kernel has no route for, from a source to a target by one protocol and port:
/// rules may tell them apart. The lookup sends nothing.
fn by_route(sources: &[EgressSource], all: &[Target]) -> (Vec<Look>, Vec<EgressProbe>) {
    let few = targets::reduced(all);
    let mut looks = Vec::new();
    let mut probes = Vec::new();
    for source in sources.iter().filter(|source| source.judged.is_none()) {
        let mut look = Look { source: source.ip, targets: Vec::new() };
        for target in if source.reduced { few.as_slice() } else { all } {
            let mut routed = target.bare();
            for (protocol, port) in target.kinds() {
                match route::obstacle(source.ip, target.ip, protocol, port) {
                    None => routed.allow(protocol, port),
                    Some(obstacle) => {
                        let unsent = (0, ProbeResult::NotSent(obstacle));
                        probes.push(target.probe(source.ip, protocol, port, unsent));
                    }
                }
            }
            if routed.kinds().next().is_some() {
                look.targets.push(routed);
            }
        }
        looks.push(look);
    }
    (looks, probes)
}

/// Where no target has a route, whether some other public address has: a host may have routes that
/// refuse just the well-known addresses.
fn routed_elsewhere(looks: &[Look], targets: &[Target], others: &[IpAddr]) -> Vec<EgressGap> {
    let kinds = kinds(targets);
    let routed = |source: IpAddr, to: IpAddr| {
        kinds.iter().any(|(protocol, port)| route::obstacle(source, to, *protocol, *port).is_none())
    };
    let elsewhere = looks.iter().filter(|look| look.is_unrouted()).filter_map(|look| {
        let to = *others.iter().find(|to| routed(look.source, **to))?;
        Some(EgressGap::RoutedElsewhere { source: look.source, to })
    });
    elsewhere.collect()
}

/// A host without a route sends nothing during the window, and may get one meanwhile, as at boot.
async fn routed_by_now(looks: &[Look], targets: &[Target], deadline: Instant) -> Vec<EgressGap> {
    if !looks.iter().any(Look::is_unrouted) {
        return Vec::new();
    }
    sleep_until(deadline).await;
    let literals = targets.iter().filter(|target| !target.decoy && target.host.is_none());
    let literals: Vec<IpAddr> = literals.map(|target| target.ip).collect();
    routed_elsewhere(looks, targets, &literals)
}

fn routed<'a>(sources: &[EgressSource], targets: &[Target], request: &'a EgressRequest) -> Probes<'a> {
    let literals = targets.iter().filter(|target| !target.decoy && target.host.is_none());
    let sending = sources.iter().filter(|source| source.judged.is_none());
    Probes {
        sources: sending.map(|source| source.ip).collect(),
        targets: literals.map(|target| target.ip).collect(),
        kinds: kinds(targets),
        inside: &request.inside,
        only: &request.settings.sources,
    }
}

fn kinds(targets: &[Target]) -> BTreeSet<(Protocol, Option<u16>)> {
    targets.iter().flat_map(Target::kinds).collect()
}

async fn pings(
    pinger: &Pinger,
    family: Family,
    looks: &[Look],
    deadline: Instant,
) -> (IcmpSocket, Control, Vec<EgressProbe>) {
    let to_ping = |look: &Look| look.targets.iter().filter(|target| target.icmp).cloned().collect();
    let by_source: Vec<(IpAddr, Vec<Target>)> =
        looks.iter().map(|look| (look.source, to_ping(look))).collect();
    let sources = by_source
        .iter()
        .map(|(source, targets)| (*source, targets.iter().map(|target| target.ip).collect::<Vec<IpAddr>>()));
    let sources = sources.filter(|(_, targets)| !targets.is_empty()).collect();
    let echoes = pinger.ping(Burst { family, sources, deadline }).await;
    let by_source = by_source.iter().filter(|(_, targets)| !targets.is_empty());
    let probes = by_source.zip(echoes.results).flat_map(|((source, targets), results)| {
        let probe = |(target, result): (&Target, _)| target.probe(*source, Protocol::Icmp, None, result);
        targets.iter().zip(results).map(probe).collect::<Vec<EgressProbe>>()
    });
    (echoes.socket, echoes.loopback, probes.collect())
}

async fn all_sockets(looks: &[Look], deadline: Instant) -> Vec<EgressProbe> {
    let mut running = JoinSet::new();
    for look in looks {
        for target in &look.targets {
            for (protocol, port) in target.kinds() {
                let Some(number) = port else { continue };
                let (source, target) = (look.source, target.clone());
                let peer = SocketAddr::new(target.ip, number);
                running.spawn(async move {
                    let result = match protocol {
                        Protocol::Udp => udp::ask(source, peer, deadline).await,
                        Protocol::Icmp | Protocol::Tcp => tcp::connect_twice(source, peer, deadline).await,
                    };
                    target.probe(source, protocol, port, result)
                });
            }
        }
    }
    running.join_all().await
}

async fn all_controls(sources: &[EgressSource], controls: Controls, deadline: Instant) -> Vec<Control> {
    let probed = sources.iter().filter(|source| source.judged.is_none());
    let asked = probed.map(|source| controls::from_source(source, controls.clone(), deadline));
    join_all(asked).await.into_iter().flatten().collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn source(ip: &str) -> EgressSource {
        EgressSource { ip: ip.parse().unwrap(), interface: "eth0".into(), reduced: false, judged: None }
    }

    #[test]
    fn sources_are_of_one_family_and_in_the_given_ranges() {
        let all = ["10.0.1.23", "172.17.0.1", "2001:db8::23"].map(source).to_vec();
        let marks = |ranges: &[&str]| {
            let ranges: Vec<Cidr> = ranges.iter().map(|range| range.parse().unwrap()).collect();
            let chosen = chosen(all.clone(), Family::Ipv4, &ranges);
            chosen.iter().map(|source| source.judged).collect::<Vec<_>>()
        };
        assert_eq!(marks(&[]), [None, None]);
        assert_eq!(marks(&["10.0.0.0/16"]), [None, Some(SourceJudgment::LeftOut)]);
    }

    #[test]
    fn many_sources_get_few_probes_and_too_many_none() {
        let all = (0..300).map(|n| source(&format!("10.0.{}.{}", n / 200, n % 200 + 1))).collect();
        let chosen = chosen(all, Family::Ipv4, &[]);
        let count = |wanted: fn(&EgressSource) -> bool| chosen.iter().filter(|source| wanted(source)).count();
        assert_eq!(count(|source| !source.reduced), MOST_SOURCES);
        assert_eq!(count(|source| source.judged.is_none()), MOST_PROBED);
        assert_eq!(count(|source| source.judged == Some(SourceJudgment::OverLimit)), 300 - MOST_PROBED);
    }
}
