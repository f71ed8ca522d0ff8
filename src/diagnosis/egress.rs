//! What gets out to the internet, and why the silence of the rest proves nothing.

use std::collections::BTreeSet;
use std::net::SocketAddr;

use super::Cause;
use super::context::{Context, Failure};
use super::finding::Finding;
use super::presumption::default_cause;
use crate::check::Family;
use crate::network::{Scope, embedded_ipv4};
use crate::observation::{
    ControlKind, EgressEvidence, EgressProbe, Evidence, Observation, ProbeResult, Protocol, Reason, SendError,
};
use crate::wording;

pub fn findings(context: &Context<'_>, observation: &Observation, failure: &Failure) -> Vec<Finding> {
    let Evidence::Egress(evidence) = &observation.evidence else {
        let fact = format!("{}: {}", observation.check, failure.reason.words());
        return default_cause(failure.reason).map(|cause| Finding::new(cause, fact)).into_iter().collect();
    };
    if failure.reason == Reason::ControlFailed {
        return loopback_failed(evidence).into_iter().collect();
    }
    let Some(default_cause) = default_cause(failure.reason) else { return vec![] };
    if default_cause == Cause::InternetRouteOpen {
        return vec![leak(context, evidence, failure.reason)];
    }
    let finding = Finding::new(default_cause, unproven(evidence, failure.reason));
    vec![if failure.reason == Reason::SendBlocked { finding.healed_by(LET_OUT) } else { finding }]
}

// Not the cause's own remedy: taking this host's own refusal for silence would prove nothing.
const LET_OUT: &str = "This host's own packet filter refuses to send. Let linkproof's probes out there (nft list ruleset, output): only then does silence speak for the subnet.";

fn leak(context: &Context<'_>, evidence: &EgressEvidence, reason: Reason) -> Finding {
    let out: Vec<&EgressProbe> = evidence.probes.iter().filter(|probe| is_leak(context, probe)).collect();
    let answered: BTreeSet<Protocol> = out
        .iter()
        .filter(|probe| matches!(probe.result, ProbeResult::Reply { .. }))
        .map(|probe| probe.protocol)
        .collect();
    // Beside a rejection from outside, silence tells nothing: ping may not hear its own.
    let closed: Vec<&str> = if answered.is_empty() {
        vec![]
    } else {
        Protocol::ALL.into_iter().filter(|probe| is_silent(evidence, *probe)).map(name).collect()
    };
    let cause = if !closed.is_empty() && !is_lossy(&out) {
        Cause::EgressFilteredByProtocol
    } else if evidence.family == Family::Ipv4 {
        Cause::InternetRouteOpen
    } else {
        Cause::Ipv6EgressOpen
    };
    Finding::new(cause, leak_fact(evidence, &out, &closed, reason)).advising(nat64(&out))
}

/// Where even the kinds that got out lost some, the silence of the others is no rule's work: a
/// route that is just being opened looks like this.
fn is_lossy(out: &[&EgressProbe]) -> bool {
    out.iter().any(|probe| matches!(probe.result, ProbeResult::Reply { replies, .. } if replies < probe.sent))
}

/// A reply from a target, or from a router beyond the VPC, whose own speaks from a link-local address.
fn is_leak(context: &Context<'_>, probe: &EgressProbe) -> bool {
    match &probe.result {
        ProbeResult::Reply { .. } => true,
        ProbeResult::Rejected { by, .. } => {
            by.is_some_and(|by| matches!(context.scope(by), Scope::Public | Scope::Private))
        }
        ProbeResult::NoReply | ProbeResult::NotSent(_) => false,
    }
}

/// Sent, and nothing at all came back.
fn is_silent(evidence: &EgressEvidence, protocol: Protocol) -> bool {
    let mut probes = evidence.probes.iter().filter(|probe| probe.protocol == protocol).peekable();
    probes.peek().is_some() && probes.all(|probe| probe.result == ProbeResult::NoReply)
}

fn leak_fact(evidence: &EgressEvidence, out: &[&EgressProbe], closed: &[&str], reason: Reason) -> String {
    if out.is_empty() {
        return format!("{}: {}", evidence.family.name(), reason.words());
    }
    let result = wording::names(out.iter().map(|probe| answer(probe)));
    match closed {
        [] => result,
        closed => {
            format!("{result}; {} over {} got no answer", wording::names(closed), evidence.family.name())
        }
    }
}

fn answer(probe: &EgressProbe) -> String {
    let target = target(probe);
    match &probe.result {
        ProbeResult::Reply { after, .. } => format!("{target} answered after {}", wording::duration(*after)),
        ProbeResult::Rejected { by: Some(by), how } => {
            format!("{by} answered for {target} ({})", wording::clip(how, 60))
        }
        ProbeResult::Rejected { by: None, how } => {
            format!("{target} was rejected ({})", wording::clip(how, 60))
        }
        ProbeResult::NoReply => format!("{target} stayed silent"),
        ProbeResult::NotSent(SendError::NoRoute) => format!("{target} has no route"),
        ProbeResult::NotSent(SendError::NotPermitted) => format!("{target} may not be sent to"),
        ProbeResult::NotSent(SendError::Blocked { errno }) => {
            format!("{target} could not be sent to ({errno})")
        }
    }
}

fn target(probe: &EgressProbe) -> String {
    let ip = match probe.port {
        Some(port) => SocketAddr::new(probe.ip, port).to_string(),
        None => probe.ip.to_string(),
    };
    match &probe.host {
        Some(host) => format!("{} {ip} ({host})", name(probe.protocol)),
        None => format!("{} {ip}", name(probe.protocol)),
    }
}

fn name(protocol: Protocol) -> &'static str {
    match protocol {
        Protocol::Icmp => "ping",
        Protocol::Tcp => "TCP",
        Protocol::Udp => "UDP",
    }
}

fn nat64(out: &[&EgressProbe]) -> Option<String> {
    let translated = |probe: &&EgressProbe| embedded_ipv4(probe.ip) != probe.ip;
    out.iter().any(translated).then(|| {
        "NAT64 leads out: remove 64:ff9b::/96 to nat- from the subnet's route table, and turn off DNS64 on the subnet."
            .to_owned()
    })
}

/// The control failed at the socket itself: ping hears not even loopback. A control that only
/// missed the endpoints is explained by what ails them.
fn loopback_failed(evidence: &EgressEvidence) -> Option<Finding> {
    let loopback = evidence.controls.iter().find(|c| c.control == ControlKind::Loopback && !c.passed)?;
    let detail = wording::clip(&loopback.detail, 120);
    let why = if detail.is_empty() { detail } else { format!(" ({detail})") };
    let fact = format!("ping did not hear its own loopback{why}");
    let advice = "If the socket opens, a host firewall drops ICMP on lo: let it through.";
    Some(Finding::new(Cause::PingNotPermitted, fact).advising(advice.to_owned()))
}

fn unproven(evidence: &EgressEvidence, reason: Reason) -> String {
    if reason == Reason::NotPermitted {
        return "no ICMP socket could be opened, neither datagram nor raw".to_owned();
    }
    let telling = |probe: &&EgressProbe| match &probe.result {
        ProbeResult::Rejected { .. } => reason == Reason::Rejected,
        ProbeResult::NotSent(SendError::Blocked { .. }) => reason == Reason::SendBlocked,
        ProbeResult::NotSent(SendError::NoRoute | SendError::NotPermitted)
        | ProbeResult::Reply { .. }
        | ProbeResult::NoReply => false,
    };
    let result = wording::names(evidence.probes.iter().filter(telling).map(answer));
    if result.is_empty() { format!("{}: {}", evidence.family.name(), reason.words()) } else { result }
}
