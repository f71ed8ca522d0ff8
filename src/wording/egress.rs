//! The egress check: its window in one sentence, its probes and its controls.

use std::collections::BTreeSet;
use std::net::{IpAddr, SocketAddr};

use super::Length;
use super::text::{duration, list};
use crate::check::Family;
use crate::network::{Network, Scope};
use crate::observation::{
    Control, ControlKind, EgressEvidence, EgressProbe, IcmpSocket, Outcome, ProbeResult, Protocol, Reason,
    SendError,
};

pub fn summary(outcome: Outcome, evidence: &EgressEvidence, length: Length) -> String {
    match (outcome, length) {
        (Outcome::Fail(reason), Length::Brief) => brief_leak(reason, evidence),
        (Outcome::Fail(reason), Length::Full) => leak(reason, evidence),
        (Outcome::Pass, length) => quiet(evidence, length),
        (Outcome::Inconclusive(reason), _) => not_seen(reason, evidence),
        (Outcome::Skipped(reason), _) => absent(reason, evidence.family),
    }
}

fn absent(reason: Reason, family: Family) -> String {
    if reason == Reason::FamilyUnavailable {
        return format!("the instance has no global {} address", family.name());
    }
    reason.words().to_owned()
}

fn quiet(evidence: &EgressEvidence, length: Length) -> String {
    let targets = evidence.probes.iter().map(|probe| probe.ip).collect::<BTreeSet<IpAddr>>().len();
    let unrouted = |probe: &EgressProbe| probe.result == ProbeResult::NotSent(SendError::NoRoute);
    if !evidence.probes.is_empty() && evidence.probes.iter().all(unrouted) {
        return format!("no route to any of {targets} targets; nothing was sent");
    }
    let rejected =
        evidence.probes.iter().filter(|probe| matches!(probe.result, ProbeResult::Rejected { .. })).count();
    let rejected = if rejected == 0 { String::new() } else { format!(", {rejected} probes rejected") };
    let silence = format!("no reply from {targets} targets ({}){rejected}", protocols(evidence));
    if length == Length::Brief { silence } else { format!("{silence}; {}", controls(evidence)) }
}

/// `ICMP, TCP 80/443, UDP 53`: what was really sent.
fn protocols(evidence: &EgressEvidence) -> String {
    let of = |protocol| {
        let sent = evidence.probes.iter().filter(move |probe| probe.protocol == protocol && probe.sent > 0);
        let ports: BTreeSet<u16> = sent.clone().filter_map(|probe| probe.port).collect();
        let ports: Vec<String> = ports.iter().map(ToString::to_string).collect();
        let name = if ports.is_empty() {
            protocol_name(protocol).to_owned()
        } else {
            format!("{} {}", protocol_name(protocol), ports.join("/"))
        };
        sent.clone().next().map(|_| name)
    };
    list(Protocol::ALL.into_iter().filter_map(of))
}

fn protocol_name(protocol: Protocol) -> &'static str {
    match protocol {
        Protocol::Icmp => "ICMP",
        Protocol::Tcp => "TCP",
        Protocol::Udp => "UDP",
    }
}

/// The strongest control that succeeded.
fn controls(evidence: &EgressEvidence) -> String {
    let passed =
        |kind| evidence.controls.iter().find(move |control| control.control == kind && control.passed);
    let target = |control: &Control| control.target.map(|target| target.to_string()).unwrap_or_default();
    if let Some(control) = passed(ControlKind::Endpoint) {
        return format!("control {} connected", target(control));
    }
    match passed(ControlKind::Resolver) {
        Some(control) => format!("control: only the resolver {} answered", target(control)),
        None => "no control succeeded".to_owned(),
    }
}

fn leak(reason: Reason, evidence: &EgressEvidence) -> String {
    match leaks(reason, evidence) {
        (None, _) => reason.words().to_owned(),
        (Some(first), 1) => result(first),
        (Some(first), count) => {
            format!("{}, and {} more of {} probes", result(first), count - 1, evidence.probes.len())
        }
    }
}

/// Without the time and the name by which the target was found.
fn brief_leak(reason: Reason, evidence: &EgressEvidence) -> String {
    let (Some(first), count) = leaks(reason, evidence) else { return reason.words().to_owned() };
    let what = match (&first.result, first.protocol) {
        (ProbeResult::Reply { .. }, Protocol::Tcp) => "connected".to_owned(),
        (ProbeResult::Reply { .. }, Protocol::Icmp | Protocol::Udp) => "replied".to_owned(),
        (ProbeResult::Rejected { by: Some(by), .. }, _) => format!("rejected by {by}"),
        (ProbeResult::Rejected { by: None, .. } | ProbeResult::NoReply | ProbeResult::NotSent(_), _) => {
            return result(first);
        }
    };
    let probes = evidence.probes.len();
    format!("{} {what}; {count} of {probes} probes reached the internet", target(first))
}

/// The one that shows the reason best, and how many show it.
fn leaks(reason: Reason, evidence: &EgressEvidence) -> (Option<&EgressProbe>, usize) {
    let leaks: Vec<&EgressProbe> = if reason == Reason::ErrorFromOutside {
        errors(evidence)
    } else {
        evidence.probes.iter().filter(|probe| matches!(probe.result, ProbeResult::Reply { .. })).collect()
    };
    let fits = |probe: &&&EgressProbe| answered_with(probe.protocol) == reason;
    (leaks.iter().find(fits).or(leaks.first()).copied(), leaks.len())
}

/// Rejections by a known sender. The evidence does not carry the VPC's ranges, so those by
/// a public address come alone where there are any: they are outside for certain.
fn errors(evidence: &EgressEvidence) -> Vec<&EgressProbe> {
    let by = |probe: &&EgressProbe, wanted: fn(Scope) -> bool| match probe.result {
        ProbeResult::Rejected { by: Some(by), .. } => wanted(Network::default().scope(by)),
        ProbeResult::Rejected { by: None, .. }
        | ProbeResult::Reply { .. }
        | ProbeResult::NoReply
        | ProbeResult::NotSent(_) => false,
    };
    let public: Vec<&EgressProbe> =
        evidence.probes.iter().filter(|probe| by(probe, |scope| scope == Scope::Public)).collect();
    if public.is_empty() {
        evidence.probes.iter().filter(|probe| by(probe, |_| true)).collect()
    } else {
        public
    }
}

fn answered_with(protocol: Protocol) -> Reason {
    match protocol {
        Protocol::Icmp => Reason::IcmpReply,
        Protocol::Tcp => Reason::TcpConnected,
        Protocol::Udp => Reason::UdpReply,
    }
}

fn not_seen(reason: Reason, evidence: &EgressEvidence) -> String {
    type Wanted = fn(&ProbeResult) -> bool;
    let shown: [(Reason, Wanted); 3] = [
        (Reason::NotPermitted, |result| *result == ProbeResult::NotSent(SendError::NotPermitted)),
        (Reason::SendBlocked, |result| matches!(result, ProbeResult::NotSent(SendError::Blocked { .. }))),
        (Reason::Rejected, |result| matches!(result, ProbeResult::Rejected { by: None, .. })),
    ];
    let wanted = shown.iter().find(|(of, _)| *of == reason).map(|(_, wanted)| wanted);
    if let Some(probe) = wanted.and_then(|wanted| evidence.probes.iter().find(|probe| wanted(&probe.result)))
    {
        return result(probe);
    }
    if reason == Reason::NotPermitted && evidence.icmp_socket == IcmpSocket::None {
        return "ping not sent: no ICMP socket could be opened".to_owned();
    }
    if reason == Reason::ControlFailed {
        return failed_controls(evidence);
    }
    if reason == Reason::FamilyMissing {
        return format!("metadata lists an {} address, but the instance has none", evidence.family.name());
    }
    reason.words().to_owned()
}

fn failed_controls(evidence: &EgressEvidence) -> String {
    let failed: Vec<String> =
        evidence.controls.iter().filter(|control| !control.passed).map(control).collect();
    if failed.is_empty() {
        return "no control was available, so silence proves nothing".to_owned();
    }
    format!("silence proves nothing: {}", list(failed))
}

/// A control and its result: `control endpoint 10.0.1.57:443: ok`.
pub fn control(control: &Control) -> String {
    let kind = match control.control {
        ControlKind::Loopback => "loopback ping",
        ControlKind::Endpoint => "endpoint",
        ControlKind::Resolver => "resolver",
    };
    let target = control.target.map(|target| format!(" {target}")).unwrap_or_default();
    let outcome = if control.passed { "ok" } else { "failed" };
    let detail = if control.detail.is_empty() { String::new() } else { format!(" ({})", control.detail) };
    format!("control {kind}{target}: {outcome}{detail}")
}

/// `ping 1.1.1.1`, `TCP 1.1.1.1:443`, with the name that led there.
pub fn target(probe: &EgressProbe) -> String {
    let protocol = if probe.protocol == Protocol::Icmp { "ping" } else { protocol_name(probe.protocol) };
    let host = probe.host.as_ref().map(|host| format!(" ({host})")).unwrap_or_default();
    match probe.port {
        Some(port) => format!("{protocol} {}{host}", SocketAddr::new(probe.ip, port)),
        None => format!("{protocol} {}{host}", probe.ip),
    }
}

/// A probe and its result.
pub fn result(probe: &EgressProbe) -> String {
    let what = match (&probe.result, probe.protocol) {
        (ProbeResult::Reply { after, .. }, Protocol::Tcp) => format!("connected after {}", duration(*after)),
        (ProbeResult::Reply { replies, after }, Protocol::Icmp | Protocol::Udp) => {
            format!("replied to {replies} of {}, first after {}", probe.sent, duration(*after))
        }
        (ProbeResult::NoReply, _) => format!("no reply to {} sent", probe.sent),
        (ProbeResult::Rejected { by: Some(by), how }, _) => format!("rejected by {by}: {how}"),
        (ProbeResult::Rejected { by: None, how }, _) => format!("rejected by an unknown sender: {how}"),
        (ProbeResult::NotSent(error), _) => format!("not sent: {}", send_error(error)),
    };
    format!("{} {what}", target(probe))
}

pub fn send_error(error: &SendError) -> String {
    match error {
        SendError::NoRoute => "no route".to_owned(),
        SendError::NotPermitted => "no socket could be opened".to_owned(),
        SendError::Blocked { errno } => format!("{errno} (blocked on this host)"),
    }
}
