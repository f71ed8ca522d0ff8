//! What the window towards the internet heard, in one sentence.

use std::collections::BTreeSet;
use std::net::{IpAddr, SocketAddr};

use crate::check::Family;
use crate::network::{Network, Scope};
use crate::observation::{
    Control, ControlKind, EgressEvidence, EgressProbe, IcmpSocket, Outcome, ProbeResult, Protocol, Reason,
    SendError,
};
use crate::report::words::{list, time};

pub fn summary(outcome: Outcome, evidence: &EgressEvidence) -> String {
    match outcome {
        Outcome::Pass => quiet(evidence),
        Outcome::Fail(reason) => leak(reason, evidence),
        Outcome::Inconclusive(reason) => unseen(reason, evidence),
        Outcome::Skipped(reason) => absent(reason, evidence.family),
    }
}

fn absent(reason: Reason, family: Family) -> String {
    if reason == Reason::FamilyUnavailable {
        return format!("the instance has no global {} address", family.name());
    }
    reason.words().to_owned()
}

fn quiet(evidence: &EgressEvidence) -> String {
    let targets = evidence.probes.iter().map(|probe| probe.ip).collect::<BTreeSet<IpAddr>>().len();
    let unrouted = |probe: &EgressProbe| probe.result == ProbeResult::NotSent(SendError::NoRoute);
    if !evidence.probes.is_empty() && evidence.probes.iter().all(unrouted) {
        return format!("the kernel has no route to any of {targets} targets; nothing was sent");
    }
    let sent: u32 = evidence.probes.iter().map(|probe| probe.sent).sum();
    let rejected =
        evidence.probes.iter().filter(|probe| matches!(probe.result, ProbeResult::Rejected { .. })).count();
    let result = if rejected == 0 { "none answered".to_owned() } else { format!("{rejected} rejected") };
    format!("silence: {targets} targets, {sent} packets sent, {result}; {}", controls(evidence))
}

/// The strongest control that held.
fn controls(evidence: &EgressEvidence) -> String {
    let held = |kind| evidence.controls.iter().find(move |control| control.control == kind && control.passed);
    let target = |control: &Control| control.target.map(|target| target.to_string()).unwrap_or_default();
    if let Some(control) = held(ControlKind::Endpoint) {
        return format!("control: {} accepted", target(control));
    }
    match held(ControlKind::Resolver) {
        Some(control) => format!("control: only the resolver {} answered", target(control)),
        None => "no control held".to_owned(),
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

/// The same without what can wait: when it answered, and by which name it was found.
pub fn brief(reason: Reason, evidence: &EgressEvidence) -> String {
    let (Some(first), count) = leaks(reason, evidence) else { return reason.words().to_owned() };
    let what = match (&first.result, first.protocol) {
        (ProbeResult::Reply { .. }, Protocol::Tcp) => "connected".to_owned(),
        (ProbeResult::Reply { replies, .. }, Protocol::Icmp | Protocol::Udp) => {
            format!("answered {replies} of {}", first.sent)
        }
        (ProbeResult::Rejected { by: Some(by), .. }, _) => format!("rejected by {by}"),
        (ProbeResult::Rejected { by: None, .. } | ProbeResult::NoReply | ProbeResult::NotSent(_), _) => {
            return result(first);
        }
    };
    format!("{} {what}; {count} of {} got out", aim(first), evidence.probes.len())
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

fn unseen(reason: Reason, evidence: &EgressEvidence) -> String {
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
        return "ping was not sent: no ICMP socket was permitted".to_owned();
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
    let failed = evidence.controls.iter().filter(|control| !control.passed).map(control);
    let failed: Vec<String> = failed.collect();
    let proof = "silence proves nothing";
    if failed.is_empty() { format!("no control, so {proof}") } else { format!("{proof}: {}", list(failed)) }
}

/// A control, and how it went.
pub fn control(control: &Control) -> String {
    let kind = match control.control {
        ControlKind::Loopback => "ping of loopback",
        ControlKind::Endpoint => "endpoint",
        ControlKind::Resolver => "resolver",
    };
    let target = control.target.map(|target| format!(" {target}")).unwrap_or_default();
    let outcome = if control.passed { "held" } else { "failed" };
    let detail = if control.detail.is_empty() { String::new() } else { format!(" ({})", control.detail) };
    format!("{kind}{target} {outcome}{detail}")
}

/// `ping 1.1.1.1`, `tcp 1.1.1.1:443`.
fn aim(probe: &EgressProbe) -> String {
    let kind = match probe.protocol {
        Protocol::Icmp => "ping",
        Protocol::Tcp => "tcp",
        Protocol::Udp => "udp",
    };
    match probe.port {
        Some(port) => format!("{kind} {}", SocketAddr::new(probe.ip, port)),
        None => format!("{kind} {}", probe.ip),
    }
}

/// One probe and what came of it.
pub fn result(probe: &EgressProbe) -> String {
    let name = probe.host.as_ref().map(|host| format!(" ({host})")).unwrap_or_default();
    let what = match (&probe.result, probe.protocol) {
        (ProbeResult::Reply { after, .. }, Protocol::Tcp) => format!("connected after {}", time(*after)),
        (ProbeResult::Reply { replies, after }, Protocol::Icmp | Protocol::Udp) => {
            format!("answered {replies} of {}, the first after {}", probe.sent, time(*after))
        }
        (ProbeResult::NoReply, _) => format!("{} sent, silence", probe.sent),
        (ProbeResult::Rejected { by: Some(by), how }, _) => format!("rejected by {by}: {how}"),
        (ProbeResult::Rejected { by: None, how }, _) => {
            format!("rejected, and nobody can say by whom: {how}")
        }
        (ProbeResult::NotSent(SendError::NoRoute), _) => "not sent: no route".to_owned(),
        (ProbeResult::NotSent(SendError::NotPermitted), _) => "not sent: no socket was permitted".to_owned(),
        (ProbeResult::NotSent(SendError::Blocked { errno }), _) => {
            format!("not sent: blocked on this machine ({errno})")
        }
    };
    format!("{}{name} {what}", aim(probe))
}
