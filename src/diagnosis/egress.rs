//! What gets out to the internet, and why the silence of the rest proves nothing.

use std::collections::BTreeSet;
use std::net::SocketAddr;

use super::finding::Finding;
use super::presumption::presumed;
use super::scene::{Fault, Scene};
use super::{Cause, text};
use crate::check::Family;
use crate::network::{Scope, embedded_ipv4};
use crate::observation::{
    ControlKind, EgressSeen, Evidence, Heard, Observation, Outgoing, Probe, Reason, Shot,
};

pub fn findings(scene: &Scene<'_>, observation: &Observation, fault: &Fault) -> Vec<Finding> {
    let Evidence::Egress(seen) = &observation.evidence else {
        let fact = format!("{}: {}", observation.check, fault.reason.words());
        return presumed(fault.reason).map(|cause| Finding::new(cause, fact)).into_iter().collect();
    };
    if fault.reason == Reason::ControlFailed {
        return deaf(seen).into_iter().collect();
    }
    let Some(presumed) = presumed(fault.reason) else { return vec![] };
    if presumed == Cause::InternetRouteOpen {
        return vec![leak(scene, seen, fault.reason)];
    }
    let finding = Finding::new(presumed, unproven(seen, fault.reason));
    vec![if fault.reason == Reason::SendBlocked { finding.healed_by(LET_OUT) } else { finding }]
}

// Not the cause's own remedy: taking this host's own refusal for silence would prove nothing.
const LET_OUT: &str = "This host's own packet filter refuses to send. Let linkproof's probes out there (nft list ruleset, output): only then does silence speak for the subnet.";

fn leak(scene: &Scene<'_>, seen: &EgressSeen, reason: Reason) -> Finding {
    let out: Vec<&Shot> = seen.shots.iter().filter(|shot| is_leak(scene, shot)).collect();
    let answered: BTreeSet<Probe> =
        out.iter().filter(|shot| matches!(shot.heard, Heard::Answer { .. })).map(|shot| shot.probe).collect();
    // Beside a rejection from outside, silence tells nothing: ping may not hear its own.
    let closed: Vec<&str> = if answered.is_empty() {
        vec![]
    } else {
        Probe::ALL.into_iter().filter(|probe| is_silent(seen, *probe)).map(name).collect()
    };
    let cause = if !closed.is_empty() && !is_lossy(&out) {
        Cause::EgressFilteredByProtocol
    } else if seen.family == Family::Ipv4 {
        Cause::InternetRouteOpen
    } else {
        Cause::Ipv6EgressOpen
    };
    Finding::new(cause, leak_fact(seen, &out, &closed, reason)).advising(nat64(&out))
}

/// Where even the kinds that got out lost some, the silence of the others is no rule's work: a
/// route that is just being opened looks like this.
fn is_lossy(out: &[&Shot]) -> bool {
    out.iter().any(|shot| matches!(shot.heard, Heard::Answer { replies, .. } if replies < shot.sent))
}

/// A reply from a target, or from a router beyond the VPC, whose own speaks from a link-local address.
fn is_leak(scene: &Scene<'_>, shot: &Shot) -> bool {
    match &shot.heard {
        Heard::Answer { .. } => true,
        Heard::Rejection { by, .. } => {
            by.is_some_and(|by| matches!(scene.scope(by), Scope::Public | Scope::Private))
        }
        Heard::Silence | Heard::Unsent(_) => false,
    }
}

/// Sent, and nothing at all came back.
fn is_silent(seen: &EgressSeen, probe: Probe) -> bool {
    let mut shots = seen.shots.iter().filter(|shot| shot.probe == probe).peekable();
    shots.peek().is_some() && shots.all(|shot| shot.heard == Heard::Silence)
}

fn leak_fact(seen: &EgressSeen, out: &[&Shot], closed: &[&str], reason: Reason) -> String {
    if out.is_empty() {
        return format!("{}: {}", seen.family.name(), reason.words());
    }
    let heard = text::listed(out.iter().map(|shot| answer(shot)));
    match closed {
        [] => heard,
        closed => format!("{heard}; {} over {} got no answer", text::listed(closed), seen.family.name()),
    }
}

fn answer(shot: &Shot) -> String {
    let target = target(shot);
    match &shot.heard {
        Heard::Answer { after, .. } => format!("{target} answered after {}", text::spell(*after)),
        Heard::Rejection { by: Some(by), how } => {
            format!("{by} answered for {target} ({})", text::clip(how, 60))
        }
        Heard::Rejection { by: None, how } => format!("{target} was rejected ({})", text::clip(how, 60)),
        Heard::Silence => format!("{target} stayed silent"),
        Heard::Unsent(Outgoing::NoRoute) => format!("{target} has no route"),
        Heard::Unsent(Outgoing::NotPermitted) => format!("{target} may not be sent to"),
        Heard::Unsent(Outgoing::Blocked { errno }) => format!("{target} could not be sent to ({errno})"),
    }
}

fn target(shot: &Shot) -> String {
    let ip = match shot.port {
        Some(port) => SocketAddr::new(shot.ip, port).to_string(),
        None => shot.ip.to_string(),
    };
    match &shot.host {
        Some(host) => format!("{} {ip} ({host})", name(shot.probe)),
        None => format!("{} {ip}", name(shot.probe)),
    }
}

fn name(probe: Probe) -> &'static str {
    match probe {
        Probe::Icmp => "ping",
        Probe::Tcp => "TCP",
        Probe::Udp => "UDP",
    }
}

fn nat64(out: &[&Shot]) -> Option<String> {
    let translated = |shot: &&Shot| embedded_ipv4(shot.ip) != shot.ip;
    out.iter().any(translated).then(|| {
        "NAT64 leads out: remove 64:ff9b::/96 to nat- from the subnet's route table, and turn off DNS64 on the subnet."
            .to_owned()
    })
}

/// The control failed at the socket itself: ping hears not even loopback. A control that only
/// missed the endpoints is explained by what ails them.
fn deaf(seen: &EgressSeen) -> Option<Finding> {
    let loopback = seen.controls.iter().find(|c| c.control == ControlKind::Loopback && !c.passed)?;
    let detail = text::clip(&loopback.detail, 120);
    let why = if detail.is_empty() { detail } else { format!(" ({detail})") };
    let fact = format!("ping did not hear its own loopback{why}");
    let advice = "If the socket opens, a host firewall drops ICMP on lo: let it through.";
    Some(Finding::new(Cause::PingNotPermitted, fact).advising(advice.to_owned()))
}

fn unproven(seen: &EgressSeen, reason: Reason) -> String {
    if reason == Reason::NotPermitted {
        return "no ICMP socket could be opened, neither datagram nor raw".to_owned();
    }
    let telling = |shot: &&Shot| match &shot.heard {
        Heard::Rejection { .. } => reason == Reason::Rejected,
        Heard::Unsent(Outgoing::Blocked { .. }) => reason == Reason::SendBlocked,
        Heard::Unsent(Outgoing::NoRoute | Outgoing::NotPermitted) | Heard::Answer { .. } | Heard::Silence => {
            false
        }
    };
    let heard = text::listed(seen.shots.iter().filter(telling).map(answer));
    if heard.is_empty() { format!("{}: {}", seen.family.name(), reason.words()) } else { heard }
}
