//! What the window towards the internet heard, in one sentence.

use std::collections::BTreeSet;
use std::net::{IpAddr, SocketAddr};

use crate::check::Family;
use crate::network::{Network, Scope};
use crate::observation::{
    Control, ControlKind, EgressSeen, Heard, IcmpSocket, Outcome, Outgoing, Probe, Reason, Shot,
};
use crate::report::words::{list, time};

pub fn summary(outcome: Outcome, seen: &EgressSeen) -> String {
    match outcome {
        Outcome::Pass => quiet(seen),
        Outcome::Fail(reason) => leak(reason, seen),
        Outcome::Inconclusive(reason) => unseen(reason, seen),
        Outcome::Skipped(reason) => absent(reason, seen.family),
    }
}

fn absent(reason: Reason, family: Family) -> String {
    if reason == Reason::FamilyUnavailable {
        return format!("the instance has no global {} address", family.name());
    }
    reason.words().to_owned()
}

fn quiet(seen: &EgressSeen) -> String {
    let targets = seen.shots.iter().map(|shot| shot.ip).collect::<BTreeSet<IpAddr>>().len();
    let unrouted = |shot: &Shot| shot.heard == Heard::Unsent(Outgoing::NoRoute);
    if !seen.shots.is_empty() && seen.shots.iter().all(unrouted) {
        return format!("the kernel has no route to any of {targets} targets; nothing was sent");
    }
    let sent: u32 = seen.shots.iter().map(|shot| shot.sent).sum();
    let rejected = seen.shots.iter().filter(|shot| matches!(shot.heard, Heard::Rejection { .. })).count();
    let heard = if rejected == 0 { "none answered".to_owned() } else { format!("{rejected} rejected") };
    format!("silence: {targets} targets, {sent} packets sent, {heard}; {}", controls(seen))
}

/// The strongest control that held.
fn controls(seen: &EgressSeen) -> String {
    let held = |kind| seen.controls.iter().find(move |control| control.control == kind && control.passed);
    let target = |control: &Control| control.target.map(|target| target.to_string()).unwrap_or_default();
    if let Some(control) = held(ControlKind::Endpoint) {
        return format!("control: {} accepted", target(control));
    }
    match held(ControlKind::Resolver) {
        Some(control) => format!("control: only the resolver {} answered", target(control)),
        None => "no control held".to_owned(),
    }
}

fn leak(reason: Reason, seen: &EgressSeen) -> String {
    match leaks(reason, seen) {
        (None, _) => reason.words().to_owned(),
        (Some(first), 1) => heard(first),
        (Some(first), count) => {
            format!("{}, and {} more of {} probes", heard(first), count - 1, seen.shots.len())
        }
    }
}

/// The same without what can wait: when it answered, and by which name it was found.
pub fn brief(reason: Reason, seen: &EgressSeen) -> String {
    let (Some(first), count) = leaks(reason, seen) else { return reason.words().to_owned() };
    let what = match (&first.heard, first.probe) {
        (Heard::Answer { .. }, Probe::Tcp) => "connected".to_owned(),
        (Heard::Answer { replies, .. }, Probe::Icmp | Probe::Udp) => {
            format!("answered {replies} of {}", first.sent)
        }
        (Heard::Rejection { by: Some(by), .. }, _) => format!("rejected by {by}"),
        (Heard::Rejection { by: None, .. } | Heard::Silence | Heard::Unsent(_), _) => return heard(first),
    };
    format!("{} {what}; {count} of {} got out", aim(first), seen.shots.len())
}

/// The one that shows the reason best, and how many show it.
fn leaks(reason: Reason, seen: &EgressSeen) -> (Option<&Shot>, usize) {
    let leaks: Vec<&Shot> = if reason == Reason::ErrorFromOutside {
        errors(seen)
    } else {
        seen.shots.iter().filter(|shot| matches!(shot.heard, Heard::Answer { .. })).collect()
    };
    let fits = |shot: &&&Shot| answered_with(shot.probe) == reason;
    (leaks.iter().find(fits).or(leaks.first()).copied(), leaks.len())
}

/// Rejections by a known sender. The evidence does not carry the VPC's ranges, so those by
/// a public address come alone where there are any: they are outside for certain.
fn errors(seen: &EgressSeen) -> Vec<&Shot> {
    let by = |shot: &&Shot, wanted: fn(Scope) -> bool| match shot.heard {
        Heard::Rejection { by: Some(by), .. } => wanted(Network::default().scope(by)),
        Heard::Rejection { by: None, .. } | Heard::Answer { .. } | Heard::Silence | Heard::Unsent(_) => false,
    };
    let public: Vec<&Shot> =
        seen.shots.iter().filter(|shot| by(shot, |scope| scope == Scope::Public)).collect();
    if public.is_empty() { seen.shots.iter().filter(|shot| by(shot, |_| true)).collect() } else { public }
}

fn answered_with(probe: Probe) -> Reason {
    match probe {
        Probe::Icmp => Reason::IcmpReply,
        Probe::Tcp => Reason::TcpConnected,
        Probe::Udp => Reason::UdpReply,
    }
}

fn unseen(reason: Reason, seen: &EgressSeen) -> String {
    type Wanted = fn(&Heard) -> bool;
    let shown: [(Reason, Wanted); 3] = [
        (Reason::NotPermitted, |heard| *heard == Heard::Unsent(Outgoing::NotPermitted)),
        (Reason::SendBlocked, |heard| matches!(heard, Heard::Unsent(Outgoing::Blocked { .. }))),
        (Reason::Rejected, |heard| matches!(heard, Heard::Rejection { by: None, .. })),
    ];
    let wanted = shown.iter().find(|(of, _)| *of == reason).map(|(_, wanted)| wanted);
    if let Some(shot) = wanted.and_then(|wanted| seen.shots.iter().find(|shot| wanted(&shot.heard))) {
        return heard(shot);
    }
    if reason == Reason::NotPermitted && seen.icmp_socket == IcmpSocket::None {
        return "ping was not sent: no ICMP socket was permitted".to_owned();
    }
    if reason == Reason::ControlFailed {
        return failed_controls(seen);
    }
    if reason == Reason::FamilyMissing {
        return format!("metadata lists an {} address, but the instance has none", seen.family.name());
    }
    reason.words().to_owned()
}

fn failed_controls(seen: &EgressSeen) -> String {
    let failed = seen.controls.iter().filter(|control| !control.passed).map(control);
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
fn aim(shot: &Shot) -> String {
    let kind = match shot.probe {
        Probe::Icmp => "ping",
        Probe::Tcp => "tcp",
        Probe::Udp => "udp",
    };
    match shot.port {
        Some(port) => format!("{kind} {}", SocketAddr::new(shot.ip, port)),
        None => format!("{kind} {}", shot.ip),
    }
}

/// One probe and what came of it.
pub fn heard(shot: &Shot) -> String {
    let name = shot.host.as_ref().map(|host| format!(" ({host})")).unwrap_or_default();
    let what = match (&shot.heard, shot.probe) {
        (Heard::Answer { after, .. }, Probe::Tcp) => format!("connected after {}", time(*after)),
        (Heard::Answer { replies, after }, Probe::Icmp | Probe::Udp) => {
            format!("answered {replies} of {}, the first after {}", shot.sent, time(*after))
        }
        (Heard::Silence, _) => format!("{} sent, silence", shot.sent),
        (Heard::Rejection { by: Some(by), how }, _) => format!("rejected by {by}: {how}"),
        (Heard::Rejection { by: None, how }, _) => format!("rejected, and nobody can say by whom: {how}"),
        (Heard::Unsent(Outgoing::NoRoute), _) => "not sent: no route".to_owned(),
        (Heard::Unsent(Outgoing::NotPermitted), _) => "not sent: no socket was permitted".to_owned(),
        (Heard::Unsent(Outgoing::Blocked { errno }), _) => {
            format!("not sent: blocked on this machine ({errno})")
        }
    };
    format!("{}{name} {what}", aim(shot))
}
