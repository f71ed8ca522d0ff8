//! How each source and each probe counts. Everything that is shown reads these judgments.

use std::net::IpAddr;

use super::is_answered;
use crate::check::Family;
use crate::network::{Network, Scope, is_aws_local};
use crate::observation::{
    ControlKind, EgressEvidence, EgressGap, EgressProbe, EgressSource, ProbeJudgment, ProbeResult, Protocol,
    SendError, SourceJudgment,
};
use crate::plan::Egress;

pub fn annotate(evidence: &mut EgressEvidence, egress: &Egress) {
    evidence.left_out = left_out(evidence, egress);
    let sources: Vec<Option<SourceJudgment>> =
        evidence.sources.iter().map(|source| Some(of_source(source, evidence))).collect();
    for (source, judged) in evidence.sources.iter_mut().zip(sources) {
        source.judged = judged;
    }
    let probes: Vec<ProbeJudgment> =
        evidence.probes.iter().map(|probe| of_probe(probe, evidence, egress)).collect();
    for (probe, judged) in evidence.probes.iter_mut().zip(probes) {
        probe.judged = Some(judged);
    }
    evidence.controls_passed = controls_passed(evidence, egress);
}

fn of_source(source: &EgressSource, evidence: &EgressEvidence) -> SourceJudgment {
    if let Some(judged @ (SourceJudgment::LeftOut | SourceJudgment::OverLimit)) = source.judged {
        return judged;
    }
    let of_source = || evidence.probes.iter().filter(|probe| probe.source == source.ip && !probe.decoy);
    let unrouted = |probe: &EgressProbe| probe.result == ProbeResult::NotSent(SendError::NoRoute);
    let elsewhere = |gap: &EgressGap| matches!(gap, EgressGap::RoutedElsewhere { source: from, .. } if *from == source.ip);
    let is_routed = evidence.gaps.iter().any(elsewhere);
    if of_source().any(|probe| probe.host.is_none()) && of_source().all(unrouted) && !is_routed {
        return SourceJudgment::NoRoute;
    }
    if is_answered(source, &evidence.controls) { SourceJudgment::Claimed } else { SourceJudgment::NotClaimed }
}

/// `None` where no source needs a control.
fn controls_passed(evidence: &EgressEvidence, egress: &Egress) -> Option<bool> {
    let has = |wanted| evidence.sources.iter().any(|source| source.judged == Some(wanted));
    if !has(SourceJudgment::Claimed) && !has(SourceJudgment::NotClaimed) {
        return None;
    }
    let loopback = evidence.controls.iter().any(|c| c.control == ControlKind::Loopback && c.passed);
    let hears = loopback || !egress.settings.probes(Protocol::Icmp);
    Some(hears && has(SourceJudgment::Claimed))
}

fn of_probe(probe: &EgressProbe, evidence: &EgressEvidence, egress: &Egress) -> ProbeJudgment {
    if !probe.decoy && !is_aimed_outside(probe, &egress.network) {
        return ProbeJudgment::Disregarded;
    }
    match &probe.result {
        ProbeResult::Reply { .. } => {
            let same = |result: &ProbeResult| matches!(result, ProbeResult::Reply { .. });
            if probe.decoy || decoy_got(probe, evidence, same) {
                ProbeJudgment::Intercepted
            } else {
                ProbeJudgment::Leak
            }
        }
        // An address that cannot exist sent an error: whatever answers for it answers for the target too.
        ProbeResult::Rejected { by: Some(by), .. } if *by == probe.ip && decoy_spoke(probe, evidence) => {
            ProbeJudgment::Intercepted
        }
        ProbeResult::Rejected { by: Some(by), .. } => of_sender(*by, evidence, egress),
        ProbeResult::Rejected { by: None, reset, .. } => {
            let same = |result: &ProbeResult| matches!(result, ProbeResult::Rejected { reset: true, .. });
            // A reset that the decoy did not get may be the target's own, and then packets leave.
            let is_near = *reset && decoy_got(probe, evidence, same);
            if is_near && egress.accept_reject {
                ProbeJudgment::RejectedNearby
            } else {
                ProbeJudgment::Rejected
            }
        }
        ProbeResult::NoReply => {
            let mut sources = evidence.sources.iter();
            let claims = |source: &EgressSource| {
                source.ip == probe.source && source.judged == Some(SourceJudgment::Claimed)
            };
            if sources.any(claims) { ProbeJudgment::Silent } else { ProbeJudgment::NotClaimed }
        }
        ProbeResult::NotSent(SendError::NoRoute) => ProbeJudgment::NoRoute,
        ProbeResult::NotSent(_) => ProbeJudgment::NotSent,
    }
}

/// A name that leads into the VPC or to another private host proves nothing either way.
fn is_aimed_outside(probe: &EgressProbe, network: &Network) -> bool {
    match probe.host {
        Some(_) => network.scope(probe.ip) == Scope::Public,
        None => !network.scope(probe.ip).is_inside(),
    }
}

/// Whether the decoy got the like by the same protocol and port from the same source.
fn decoy_got(probe: &EgressProbe, evidence: &EgressEvidence, like: impl Fn(&ProbeResult) -> bool) -> bool {
    evidence.probes.iter().any(|decoy| {
        decoy.decoy
            && (decoy.source, decoy.protocol, decoy.port) == (probe.source, probe.protocol, probe.port)
            && like(&decoy.result)
    })
}

fn decoy_spoke(probe: &EgressProbe, evidence: &EgressEvidence) -> bool {
    let decoys = evidence.probes.iter().filter(|probe| probe.decoy).map(|decoy| decoy.ip);
    let ips: Vec<IpAddr> = decoys.collect();
    decoy_got(
        probe,
        evidence,
        |result| matches!(result, ProbeResult::Rejected { by: Some(by), .. } if ips.contains(by)),
    )
}

fn of_sender(by: IpAddr, evidence: &EgressEvidence, egress: &Egress) -> ProbeJudgment {
    if by.is_loopback() || evidence.sources.iter().any(|source| source.ip == by) {
        return ProbeJudgment::RejectedHere;
    }
    if is_aws_local(by) {
        return ProbeJudgment::RejectedNearby;
    }
    match egress.network.scope(by) {
        // The VPC's router speaks from a link-local address.
        Scope::Vpc | Scope::Expected | Scope::Special => ProbeJudgment::RejectedNearby,
        // While the VPC's ranges are unknown, a public address may be its own.
        Scope::Public if egress.network.is_known() => ProbeJudgment::Leak,
        Scope::Private if egress.accept_reject => ProbeJudgment::RejectedNearby,
        Scope::Public | Scope::Private => ProbeJudgment::Rejected,
    }
}

fn left_out(evidence: &EgressEvidence, egress: &Egress) -> Vec<&'static str> {
    let settings = &egress.settings;
    let (tcp, udp) = (settings.ports(Protocol::Tcp), settings.ports(Protocol::Udp));
    let left_out = |source: &EgressSource| source.judged == Some(SourceJudgment::LeftOut);
    [
        (!settings.probes(Protocol::Icmp), "icmp"),
        (tcp.is_empty(), "tcp"),
        (udp.is_empty(), "udp"),
        (!udp.is_empty() && !udp.contains(&53), "udp/53"),
        (!udp.is_empty() && !udp.contains(&123), "udp/123"),
        (!settings.families.contains(&Family::Ipv4), "ipv4"),
        (!settings.families.contains(&Family::Ipv6), "ipv6"),
        (evidence.sources.iter().any(left_out), "sources"),
        (!settings.decoys, "decoys"),
        (!settings.other_routes, "other_routes"),
    ]
    .into_iter()
    .filter_map(|(is_out, name)| is_out.then_some(name))
    .collect()
}
