//! `egress/*`: no probe got a reply, and a reply would have been received. First match wins.

mod judge;

use std::collections::BTreeSet;

use super::Judgment;
use crate::network::{Network, operator};
use crate::observation::{
    Control, ControlKind, EgressEvidence, EgressGap, EgressProbe, EgressSource, Outcome, ProbeJudgment,
    ProbeResult, Protocol, Reason, SendError, SourceJudgment,
};
use crate::plan::Egress;

/// Silence proves something only when several independent parties were silent.
const OPERATORS: usize = 2;

/// Also notes in the evidence how each source and probe was judged, so that whatever is shown
/// rests on the same judgment.
pub fn egress(evidence: &mut EgressEvidence, egress: &Egress) -> Judgment {
    judge::annotate(evidence, egress);
    let evidence = &*evidence;
    let outcome = leak(evidence)
        .or_else(|| family_absent(evidence, egress))
        .or_else(|| target_not_probed(evidence))
        .or_else(|| route_not_probed(evidence))
        .or_else(|| no_route(evidence))
        .or_else(|| unable(evidence, egress).map(Outcome::Inconclusive))
        .or_else(|| rejected(evidence))
        .unwrap_or(Outcome::Pass);
    Judgment::without_addresses(outcome)
}

fn leak(evidence: &EgressEvidence) -> Option<Outcome> {
    let judged = |wanted| evidence.probes.iter().filter(move |probe| probe.judged == Some(wanted));
    let mut leaks = judged(ProbeJudgment::Leak).peekable();
    if leaks.peek().is_some() {
        let replied = leaks.find(|probe| matches!(probe.result, ProbeResult::Reply { .. }));
        return Some(Outcome::Fail(match replied.map(|probe| probe.protocol) {
            Some(Protocol::Icmp) => Reason::IcmpReply,
            Some(Protocol::Tcp) => Reason::TcpConnected,
            Some(Protocol::Udp) => Reason::UdpReply,
            None => Reason::ErrorFromOutside,
        }));
    }
    let mut intercepted = judged(ProbeJudgment::Intercepted).peekable();
    intercepted.peek()?;
    // The decoy alone: something answers for addresses that do not exist, and no target did.
    let reason = Reason::TrafficIntercepted;
    let decoy_alone = intercepted.all(|probe| probe.decoy);
    Some(if decoy_alone { Outcome::Inconclusive(reason) } else { Outcome::Fail(reason) })
}

fn family_absent(evidence: &EgressEvidence, egress: &Egress) -> Option<Outcome> {
    if !evidence.sources.is_empty() {
        return None;
    }
    Some(if egress.expected_families.contains(&evidence.family) {
        Outcome::Inconclusive(Reason::FamilyMissing)
    } else {
        Outcome::Skipped(Reason::FamilyUnavailable)
    })
}

/// The operator's own targets are the only ones that can show that other ports are closed.
fn target_not_probed(evidence: &EgressEvidence) -> Option<Outcome> {
    let is_target = |gap: &EgressGap| matches!(gap, EgressGap::TargetNotProbed { .. });
    evidence.gaps.iter().any(is_target).then_some(Outcome::Inconclusive(Reason::TooFewTargets))
}

fn route_not_probed(evidence: &EgressEvidence) -> Option<Outcome> {
    let is_open = |gap: &EgressGap| match gap {
        EgressGap::OtherRoute { .. }
        | EgressGap::RoutesUnknown { .. }
        | EgressGap::RouterSilent { .. }
        | EgressGap::SourcesNotProbed { .. }
        | EgressGap::RoutedElsewhere { .. } => true,
        EgressGap::TargetNotProbed { .. } => false,
    };
    evidence.gaps.iter().any(is_open).then_some(Outcome::Inconclusive(Reason::RouteNotProbed))
}

/// Where no source has a route to any target, there is no way to send: proof by itself.
fn no_route(evidence: &EgressEvidence) -> Option<Outcome> {
    let mut probed = evidence.sources.iter().filter(|source| is_probed(source)).peekable();
    probed.peek()?;
    probed.all(|source| source.judged == Some(SourceJudgment::NoRoute)).then_some(Outcome::Pass)
}

fn is_probed(source: &EgressSource) -> bool {
    source.judged != Some(SourceJudgment::LeftOut)
}

/// What keeps silence from counting. Of the sources that have a route those with a control are
/// looked at; where none has one, all are, since the reason may explain why.
fn unable(evidence: &EgressEvidence, egress: &Egress) -> Option<Reason> {
    let judged = |wanted| evidence.sources.iter().filter(move |source| source.judged == Some(wanted));
    if judged(SourceJudgment::OverLimit).next().is_some() {
        return Some(Reason::TooFewTargets);
    }
    let claimed: Vec<&EgressSource> = judged(SourceJudgment::Claimed).collect();
    let unclaimed: Vec<&EgressSource> = judged(SourceJudgment::NotClaimed).collect();
    let relevant = if claimed.is_empty() { &unclaimed } else { &claimed };
    if relevant.is_empty() {
        return Some(Reason::TooFewTargets);
    }
    let unsent = relevant.iter().find_map(|source| unsent(evidence, source));
    let too_few = relevant.iter().any(|source| !is_enough(evidence, source, egress));
    unsent
        .or(too_few.then_some(Reason::TooFewTargets))
        .or((evidence.controls_passed != Some(true)).then_some(Reason::ControlFailed))
}

fn unsent(evidence: &EgressEvidence, source: &EgressSource) -> Option<Reason> {
    let of_source = evidence.probes.iter().filter(|probe| probe.source == source.ip);
    let reasons: BTreeSet<Reason> = of_source.filter_map(why_unsent).collect();
    [Reason::NotPermitted, Reason::SendBlocked, Reason::NoResources]
        .into_iter()
        .find(|reason| reasons.contains(reason))
}

fn why_unsent(probe: &EgressProbe) -> Option<Reason> {
    match (probe.judged, &probe.result) {
        // A reject rule of this host answers before anything leaves.
        (Some(ProbeJudgment::RejectedHere), _) => Some(Reason::SendBlocked),
        (_, ProbeResult::NotSent(SendError::NotPermitted)) => Some(Reason::NotPermitted),
        (_, ProbeResult::NotSent(SendError::Blocked { .. })) => Some(Reason::SendBlocked),
        (_, ProbeResult::NotSent(SendError::NoResources { .. })) => Some(Reason::NoResources),
        (_, ProbeResult::NotSent(SendError::NoRoute)) => None,
        (_, ProbeResult::Reply { .. } | ProbeResult::NoReply | ProbeResult::Rejected { .. }) => None,
    }
}

/// Whether every kind of packet really went from the source to literals of independent operators.
fn is_enough(evidence: &EgressEvidence, source: &EgressSource, egress: &Egress) -> bool {
    let reaches = |(protocol, port)| {
        let sent = evidence.probes.iter().filter(|probe| {
            probe.source == source.ip && probe.protocol == protocol && probe.port == port && probe.sent > 0
        });
        let outside = sent.filter(|probe| is_outside(probe, &egress.network));
        outside.map(|probe| operator(probe.ip)).collect::<BTreeSet<u32>>().len() >= OPERATORS
    };
    let required = required(egress);
    if source.reduced {
        return [Protocol::Icmp, Protocol::Tcp].into_iter().all(|protocol| {
            let mut kinds = required.iter().filter(|(of, _)| *of == protocol).peekable();
            kinds.peek().is_none() || kinds.any(|kind| reaches(*kind))
        });
    }
    required.into_iter().all(reaches)
}

/// A literal outside the VPC, which may own public ranges.
fn is_outside(probe: &EgressProbe, network: &Network) -> bool {
    probe.host.is_none() && !probe.decoy && !network.scope(probe.ip).is_inside()
}

fn required(egress: &Egress) -> Vec<(Protocol, Option<u16>)> {
    let settings = &egress.settings;
    let icmp = settings.probes(Protocol::Icmp).then_some((Protocol::Icmp, None));
    let ports = [Protocol::Tcp, Protocol::Udp]
        .into_iter()
        .flat_map(|protocol| settings.ports(protocol).iter().map(move |port| (protocol, Some(*port))));
    icmp.into_iter().chain(ports).collect()
}

fn rejected(evidence: &EgressEvidence) -> Option<Outcome> {
    let is_claimed = |probe: &EgressProbe| {
        let mut sources = evidence.sources.iter();
        sources.any(|source| source.ip == probe.source && source.judged == Some(SourceJudgment::Claimed))
    };
    let mut rejections = evidence.probes.iter().filter(|probe| probe.judged == Some(ProbeJudgment::Rejected));
    rejections.any(is_claimed).then_some(Outcome::Inconclusive(Reason::Rejected))
}

/// Whether something off this host answered from the source.
fn is_answered(source: &EgressSource, controls: &[Control]) -> bool {
    controls.iter().any(|control| {
        control.passed && control.source == Some(source.ip) && control.control != ControlKind::Loopback
    })
}

#[cfg(test)]
mod tests;
