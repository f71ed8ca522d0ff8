//! The egress check: its window in one sentence, its probes and its controls.

use std::collections::{BTreeMap, BTreeSet};
use std::net::{IpAddr, SocketAddr};

use super::Length;
use super::text::{clean, list, timed};
use crate::check::Family;
use crate::network::Cidr;
use crate::observation::{
    Control, ControlKind, EgressEvidence, EgressGap, EgressProbe, EgressSource, IcmpSocket, Outcome,
    ProbeJudgment, ProbeResult, Protocol, Reason, SendError, SourceJudgment,
};

/// What a pass does not say.
pub const LIMITS: &str = "The egress check covers what this host sends directly. It does not cover proxies, recursive DNS, one-way traffic, other network namespaces or VRFs, IPsec, this host's NAT, or its firewall rules for incoming packets, packet marks or other users.";

pub fn summary(outcome: Outcome, evidence: &EgressEvidence, length: Length) -> String {
    match (outcome, length) {
        (Outcome::Pass, Length::Brief) => brief_pass(evidence),
        (Outcome::Pass, Length::Full) => quiet(evidence),
        (Outcome::Fail(reason), Length::Brief) => brief_leak(reason, evidence),
        (Outcome::Fail(reason), Length::Full) => leak(reason, evidence),
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

/// What was looked at, from where, and what makes the silence count.
fn quiet(evidence: &EgressEvidence) -> String {
    if evidence.controls_passed.is_none() && !evidence.probes.is_empty() {
        let targets = targets(evidence.probes.iter());
        return format!("no route to any of {targets} targets; nothing was sent");
    }
    let counted: Vec<&EgressProbe> = evidence.probes.iter().filter(|probe| counts(probe)).collect();
    let rejected = judged(evidence, ProbeJudgment::RejectedNearby).count();
    let result = if rejected == 0 {
        String::new()
    } else {
        format!(", {rejected} of {} probes rejected from nearby", counted.len())
    };
    let parts = [
        format!(
            "no reply from {} targets ({}) to {}{result}",
            targets(counted.iter().copied()),
            kinds(&counted),
            addresses(evidence, SourceJudgment::Claimed)
        ),
        sources(evidence, SourceJudgment::NoRoute, "no route from"),
        sources(evidence, SourceJudgment::NotClaimed, "not claimed for"),
        left_out(evidence),
        controls(evidence),
    ];
    parts.into_iter().filter(|part| !part.is_empty()).collect::<Vec<String>>().join("; ")
}

/// The same for a table.
fn brief_pass(evidence: &EgressEvidence) -> String {
    if evidence.controls_passed.is_none() {
        return quiet(evidence);
    }
    let counted: Vec<&EgressProbe> = evidence.probes.iter().filter(|probe| counts(probe)).collect();
    let passed = |kind| {
        let mut controls = evidence.controls.iter();
        controls
            .find(move |control| control.control == kind && control.passed)
            .and_then(|control| control.target)
    };
    let control = match passed(ControlKind::Endpoint) {
        Some(endpoint) => format!("control {}", endpoint.ip()),
        None => "control: resolver".to_owned(),
    };
    // From its only address all is said; of several, those that count.
    let from = if evidence.sources.len() > 1 {
        format!(" from {}", addresses(evidence, SourceJudgment::Claimed))
    } else {
        String::new()
    };
    let left_out = match left_out(evidence) {
        none if none.is_empty() => none,
        left_out => format!("; {left_out}"),
    };
    format!("no reply: {}{from}; {control}{left_out}", kinds(&counted))
}

/// Silence that counts: not a decoy's, and from a source with a control.
fn counts(probe: &EgressProbe) -> bool {
    !probe.decoy && matches!(probe.judged, Some(ProbeJudgment::Silent | ProbeJudgment::RejectedNearby))
}

fn judged(evidence: &EgressEvidence, wanted: ProbeJudgment) -> impl Iterator<Item = &EgressProbe> {
    evidence.probes.iter().filter(move |probe| probe.judged == Some(wanted))
}

fn targets<'a>(probes: impl Iterator<Item = &'a EgressProbe>) -> usize {
    probes.filter(|probe| !probe.decoy).map(|probe| probe.ip).collect::<BTreeSet<IpAddr>>().len()
}

/// `ICMP, TCP 80/443, UDP 53/123`; what went to one host alone is said with its name.
fn kinds(probes: &[&EgressProbe]) -> String {
    let mut hosts: BTreeMap<(Protocol, Option<u16>), BTreeSet<String>> = BTreeMap::new();
    for probe in probes {
        let host = probe.host.clone().unwrap_or_else(|| probe.ip.to_string());
        hosts.entry((probe.protocol, probe.port)).or_default().insert(host);
    }
    let mut groups: BTreeMap<(Option<&String>, Protocol), Vec<String>> = BTreeMap::new();
    for ((protocol, port), hosts) in &hosts {
        let only = hosts.first().filter(|_| hosts.len() == 1);
        groups.entry((only, *protocol)).or_default().extend(port.map(|port| port.to_string()));
    }
    list(groups.into_iter().map(|((only, protocol), ports)| {
        let name = protocol.code().to_uppercase();
        let ports = if ports.is_empty() { String::new() } else { format!(" {}", ports.join("/")) };
        only.map_or_else(|| format!("{name}{ports}"), |host| format!("{name}{ports} to {host}"))
    }))
}

/// A host has few addresses as a rule; of many the first and how many more.
fn addresses(evidence: &EgressEvidence, wanted: SourceJudgment) -> String {
    let of_kind = || evidence.sources.iter().filter(|source| source.judged == Some(wanted));
    let reduced: Vec<IpAddr> = of_kind().filter(|source| source.reduced).map(|source| source.ip).collect();
    let all: Vec<IpAddr> = of_kind().map(|source| source.ip).collect();
    if reduced.is_empty() {
        return first(&all);
    }
    format!("{} ({} with one ping and one port each)", first(&all), first(&reduced))
}

fn first(ips: &[IpAddr]) -> String {
    const SHOWN: usize = 3;
    let more = ips.len().saturating_sub(SHOWN);
    let more = if more == 0 { String::new() } else { format!(" and {more} more") };
    format!("{}{more}", list(ips.iter().take(SHOWN)))
}

fn sources(evidence: &EgressEvidence, wanted: SourceJudgment, words: &str) -> String {
    let all = addresses(evidence, wanted);
    if all.is_empty() { all } else { format!("{words} {all}") }
}

fn left_out(evidence: &EgressEvidence) -> String {
    if evidence.left_out.is_empty() {
        return String::new();
    }
    format!("not probed by configuration: {}", list(&evidence.left_out))
}

/// The strongest control that passed.
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
        (Some(first), 1) => format!("{}{}", result(first), from(evidence, first)),
        (Some(first), count) => {
            let probes = evidence.probes.iter().filter(|probe| !probe.decoy).count();
            format!("{}{}, and {} more of {probes} probes", result(first), from(evidence, first), count - 1)
        }
    }
}

/// The same without what can wait: when it answered, and by which name it was found.
fn brief_leak(reason: Reason, evidence: &EgressEvidence) -> String {
    let (Some(first), count) = leaks(reason, evidence) else { return reason.words().to_owned() };
    let what = match (&first.result, first.protocol) {
        (ProbeResult::Reply { .. }, Protocol::Tcp) => "connected".to_owned(),
        (ProbeResult::Reply { replies, .. }, Protocol::Icmp | Protocol::Udp) => {
            format!("replied to {replies} of {}", first.sent)
        }
        (ProbeResult::Rejected { by: Some(by), .. }, _) => format!("rejected by {by}"),
        (ProbeResult::Rejected { by: None, .. } | ProbeResult::NoReply | ProbeResult::NotSent(_), _) => {
            return result(first);
        }
    };
    let probes = evidence.probes.iter().filter(|probe| !probe.decoy).count();
    let got = if reason == Reason::TrafficIntercepted { "were intercepted" } else { "reached the internet" };
    format!("{} {what}; {count} of {probes} probes {got}", target(first))
}

/// The one that shows the reason best, and how many show it.
fn leaks(reason: Reason, evidence: &EgressEvidence) -> (Option<&EgressProbe>, usize) {
    let shown =
        if reason == Reason::TrafficIntercepted { ProbeJudgment::Intercepted } else { ProbeJudgment::Leak };
    let leaks: Vec<&EgressProbe> = judged(evidence, shown).filter(|probe| !probe.decoy).collect();
    let fits = |probe: &&&EgressProbe| {
        matches!(probe.result, ProbeResult::Reply { .. }) && answered_with(probe.protocol) == reason
    };
    (leaks.iter().find(fits).or(leaks.first()).copied(), leaks.len())
}

fn answered_with(protocol: Protocol) -> Reason {
    match protocol {
        Protocol::Icmp => Reason::IcmpReply,
        Protocol::Tcp => Reason::TcpConnected,
        Protocol::Udp => Reason::UdpReply,
    }
}

fn not_seen(reason: Reason, evidence: &EgressEvidence) -> String {
    if let Some(probe) = evidence.probes.iter().find(|probe| shows(probe, reason)) {
        return format!("{}{}", result(probe), from(evidence, probe));
    }
    if let Some(gap) = evidence.gaps.iter().find(|gap| makes(gap, reason)) {
        return self::gap(gap);
    }
    match reason {
        Reason::NotPermitted if evidence.icmp_socket == IcmpSocket::None => {
            "ping not sent: no ICMP socket could be opened".to_owned()
        }
        Reason::ControlFailed => failed_controls(evidence),
        Reason::TooFewTargets if evidence.sources.iter().all(is_left_out) => {
            "no address of this host is among the configured sources".to_owned()
        }
        Reason::FamilyMissing => {
            let family = evidence.family.name();
            let why = evidence.family_disabled.as_ref().map(|why| format!(" ({})", clean(why)));
            format!(
                "metadata lists an {family} address, but no interface of this host has one{}",
                why.unwrap_or_default()
            )
        }
        _ => reason.words().to_owned(),
    }
}

fn is_left_out(source: &EgressSource) -> bool {
    source.judged == Some(SourceJudgment::LeftOut)
}

fn makes(gap: &EgressGap, reason: Reason) -> bool {
    match gap {
        EgressGap::TargetNotProbed { .. } => reason == Reason::TooFewTargets,
        EgressGap::OtherRoute { .. }
        | EgressGap::RoutesUnknown { .. }
        | EgressGap::RoutedElsewhere { .. }
        | EgressGap::SourcesNotProbed { .. }
        | EgressGap::RouterSilent { .. } => reason == Reason::RouteNotProbed,
    }
}

pub fn gap(gap: &EgressGap) -> String {
    match gap {
        EgressGap::RoutedElsewhere { source, to } => {
            format!("from {source} no target had a route to probe, but {to} has one: it may be reached")
        }
        EgressGap::OtherRoute { range, rule, router, interface } => {
            other_route(*range, *rule, *router, interface)
        }
        EgressGap::SourcesNotProbed { range } => {
            format!(
                "this host can send from every address of {range} (ip route show table local), and no probe did"
            )
        }
        EgressGap::RoutesUnknown { why } => {
            format!("whether other packets take other routes is not known: {}", clean(why))
        }
        EgressGap::TargetNotProbed { host, why } => {
            format!("the target {} was not probed: {}", clean(host), clean(why))
        }
        EgressGap::RouterSilent { router, interface } => {
            let asked = if router.is_ipv4() { "ARP" } else { "neighbor discovery" };
            let interface = clean(interface);
            format!(
                "{router} on {interface} did not answer {asked}, so nothing that was sent through it left this host"
            )
        }
    }
}

fn other_route(range: Option<Cidr>, rule: Option<u32>, router: Option<IpAddr>, interface: &str) -> String {
    let interface = clean(interface);
    let packets = match (range, rule) {
        (Some(range), _) => format!("packets that take the route to {range}"),
        (None, Some(rule)) => format!("packets that match rule {rule} (ip rule)"),
        (None, None) => format!("packets of a socket bound to {interface}"),
    };
    let hop = router.map(|router| format!("to router {router} on {interface}"));
    let hop = hop.unwrap_or_else(|| format!("out on {interface}"));
    format!("{packets} go {hop}, where no probe went")
}

fn shows(probe: &EgressProbe, reason: Reason) -> bool {
    match (reason, probe.judged) {
        (Reason::Rejected, judged) => judged == Some(ProbeJudgment::Rejected),
        (Reason::TrafficIntercepted, judged) => judged == Some(ProbeJudgment::Intercepted),
        (Reason::SendBlocked, Some(ProbeJudgment::RejectedHere)) => true,
        (Reason::NotPermitted, _) => probe.result == ProbeResult::NotSent(SendError::NotPermitted),
        (Reason::SendBlocked, _) => matches!(probe.result, ProbeResult::NotSent(SendError::Blocked { .. })),
        (Reason::NoResources, _) => {
            matches!(probe.result, ProbeResult::NotSent(SendError::NoResources { .. }))
        }
        _ => false,
    }
}

/// Where the host has several addresses, the one that it was.
fn from(evidence: &EgressEvidence, probe: &EgressProbe) -> String {
    let is_other = |source: &EgressSource| source.ip != probe.source;
    if evidence.sources.iter().any(is_other) { format!(", from {}", probe.source) } else { String::new() }
}

/// Details: the controls, what is special, then which source got no reply from which target.
pub fn lines(evidence: &EgressEvidence) -> Vec<String> {
    let controls = evidence.controls.iter().map(control);
    let is_quiet = |probe: &&EgressProbe| {
        matches!(
            probe.judged,
            Some(ProbeJudgment::Silent | ProbeJudgment::NotClaimed | ProbeJudgment::NoRoute)
        )
    };
    let (quiet, mut loud): (Vec<&EgressProbe>, Vec<&EgressProbe>) =
        evidence.probes.iter().partition(is_quiet);
    loud.sort_by_key(|probe| probe.judged != Some(ProbeJudgment::Leak));
    let loud = loud.into_iter().map(|probe| format!("{}{}", result(probe), from(evidence, probe)));
    let silent = evidence.sources.iter().filter_map(|source| silence(source, &quiet));
    let gaps = evidence.gaps.iter().map(gap);
    controls.chain(loud).chain(silent).chain(gaps).chain(evidence.unresolved.iter().cloned()).collect()
}

fn silence(source: &EgressSource, quiet: &[&EgressProbe]) -> Option<String> {
    let name = format!("{} ({})", source.ip, source.interface);
    let of_source: Vec<&EgressProbe> =
        quiet.iter().filter(|probe| probe.source == source.ip && !probe.decoy).copied().collect();
    let why = match source.judged? {
        SourceJudgment::LeftOut => return Some(format!("{name}: left out by sources")),
        SourceJudgment::OverLimit => {
            return Some(format!("{name}: not probed, the host has too many addresses"));
        }
        SourceJudgment::NoRoute => "no route",
        SourceJudgment::Claimed => "no reply",
        SourceJudgment::NotClaimed => "no reply, but no control answered from here, so that proves nothing",
    };
    let ips: BTreeSet<IpAddr> = of_source.iter().map(|probe| probe.ip).collect();
    (!ips.is_empty()).then(|| format!("{name}: {why}: {} ({})", list(ips), kinds(&of_source)))
}

fn failed_controls(evidence: &EgressEvidence) -> String {
    let failed = evidence.controls.iter().filter(|control| !control.passed).map(control);
    let failed: Vec<String> = failed.collect();
    let proof = "silence proves nothing";
    if failed.is_empty() {
        format!("no control was available, so {proof}")
    } else {
        format!("{proof}: {}", list(failed))
    }
}

/// A control and its result: `control endpoint 10.0.1.57:443: ok`.
pub fn control(control: &Control) -> String {
    let kind = match control.control {
        ControlKind::Loopback => "loopback ping",
        ControlKind::Endpoint => "endpoint",
        ControlKind::Resolver => "resolver",
    };
    let address = control.target.map(|target| format!(" {target}")).unwrap_or_default();
    let outcome = if control.passed { "ok" } else { "failed" };
    let detail = if control.detail.is_empty() { String::new() } else { format!(" ({})", control.detail) };
    format!("control {kind}{address}: {outcome}{detail}")
}

/// `ping 1.1.1.1`, `TCP 1.1.1.1:443`.
fn target(probe: &EgressProbe) -> String {
    let kind = match probe.protocol {
        Protocol::Icmp => "ping",
        Protocol::Tcp => "TCP",
        Protocol::Udp => "UDP",
    };
    match probe.port {
        Some(port) => format!("{kind} {}", SocketAddr::new(probe.ip, port)),
        None => format!("{kind} {}", probe.ip),
    }
}

/// A probe and its result.
pub fn result(probe: &EgressProbe) -> String {
    let name = probe.host.as_ref().map(|host| format!(" ({host})")).unwrap_or_default();
    let what = match (&probe.result, probe.protocol) {
        (ProbeResult::Reply { after, kernel, .. }, Protocol::Tcp) => {
            format!("connected after {}", timed(*after, *kernel))
        }
        (ProbeResult::Reply { replies, after, kernel }, Protocol::Icmp | Protocol::Udp) => {
            format!("replied to {replies} of {}, first after {}", probe.sent, timed(*after, *kernel))
        }
        (ProbeResult::NoReply, _) => format!("no reply to {} sent", probe.sent),
        (ProbeResult::Rejected { by: Some(by), how, .. }, _) => format!("rejected by {by}: {how}"),
        (ProbeResult::Rejected { by: None, how, .. }, _) => {
            format!("rejected by an unknown sender: {how}")
        }
        (ProbeResult::NotSent(SendError::NoRoute), _) => "not sent: no route".to_owned(),
        (ProbeResult::NotSent(SendError::NotPermitted), _) => {
            "not sent: no socket could be opened".to_owned()
        }
        (ProbeResult::NotSent(SendError::Blocked { errno }), _) => {
            format!("not sent: {errno} (blocked on this host)")
        }
        (ProbeResult::NotSent(SendError::NoResources { errno }), _) => format!("not sent: {errno}"),
    };
    let decoy = if probe.decoy { " (decoy)" } else { "" };
    format!("{}{name}{decoy} {what}", target(probe))
}
