//! What gets out to the internet, and why the silence of the rest proves nothing. Everything here
//! reads how the verdict judged each probe.

use std::collections::BTreeSet;
use std::net::{IpAddr, SocketAddr};
use std::time::Duration;

use super::Cause;
use super::context::{Context, Failure};
use super::finding::Finding;
use super::presumption::default_cause;
use crate::check::Family;
use crate::network::embedded_ipv4;
use crate::observation::{
    ControlKind, EgressEvidence, EgressGap, EgressProbe, EgressSource, Evidence, Observation, ProbeJudgment,
    ProbeResult, Protocol, Reason, SendError, SourceJudgment,
};
use crate::wording;

/// RFC 6298, 2.1: the kernel sends an unanswered SYN again after a second.
const SYN_RETRANSMISSION: Duration = Duration::from_secs(1);

pub fn findings(_: &Context<'_>, observation: &Observation, failure: &Failure) -> Vec<Finding> {
    let Evidence::Egress(evidence) = &observation.evidence else {
        let fact = format!("{}: {}", observation.check, failure.reason.words());
        return default_cause(failure.reason).map(|cause| Finding::new(cause, fact)).into_iter().collect();
    };
    if failure.reason == Reason::TooFewTargets
        && let Some(finding) = settings(evidence).or_else(|| partly_routed(evidence))
    {
        return vec![finding];
    }
    if failure.reason == Reason::ControlFailed {
        return loopback_failed(evidence).into_iter().collect();
    }
    let Some(default_cause) = default_cause(failure.reason) else { return vec![] };
    match default_cause {
        Cause::InternetRouteOpen => vec![leak(evidence, failure.reason)],
        Cause::AddressNotConfigured => vec![family_missing(evidence)],
        cause => {
            let silent = router_silent(evidence).filter(|_| cause == Cause::RouteNotProbed);
            vec![silent.unwrap_or_else(|| Finding::new(cause, unproven(evidence, failure.reason)))]
        }
    }
}

/// What the configuration names, and this host or its DNS does not have.
fn settings(evidence: &EgressEvidence) -> Option<Finding> {
    let family = evidence.family.name();
    let is_left_out = |source: &EgressSource| source.judged == Some(SourceJudgment::LeftOut);
    if !evidence.sources.is_empty() && evidence.sources.iter().all(is_left_out) {
        let has = wording::names(evidence.sources.iter().map(|source| source.ip));
        let fact = format!("{family}: none of this host's addresses ({has}) is among sources under [egress]");
        let remedy =
            "Correct sources under [egress], or leave it out: then every global address is probed from.";
        return Some(Finding::new(Cause::Unexplained, fact).healed_by(remedy));
    }
    let gap = evidence.gaps.iter().find(|gap| matches!(gap, EgressGap::TargetNotProbed { .. }))?;
    let fact = format!("{family}: {}", wording::egress::gap(gap));
    let remedy = "Correct the host of that [[egress.target]], or its DNS; a target must be on the internet, with at most eight addresses.";
    Some(Finding::new(Cause::Unexplained, fact).healed_by(remedy))
}

/// Routes to a part of the internet alone.
fn partly_routed(evidence: &EgressEvidence) -> Option<Finding> {
    let (without, with): (Vec<&EgressProbe>, Vec<&EgressProbe>) = evidence
        .probes
        .iter()
        .filter(|probe| !probe.decoy)
        .partition(|probe| probe.result == ProbeResult::NotSent(SendError::NoRoute));
    let ips = |probes: Vec<&EgressProbe>| probes.into_iter().map(|probe| probe.ip).collect::<BTreeSet<_>>();
    let (without, with) = (ips(without), ips(with));
    if with.is_empty() || without.is_empty() {
        return None;
    }
    let fact = format!(
        "this host has a route to {}, and none to {}",
        wording::names(&with),
        wording::names(&without)
    );
    let remedy = "See where it leads: ip route, ip rule. Remove it if nothing needs it. Otherwise give addresses of two operators that it covers in [egress] addresses.";
    Some(Finding::new(Cause::RouteNotProbed, fact).healed_by(remedy))
}

fn leak(evidence: &EgressEvidence, reason: Reason) -> Finding {
    let out = judged(evidence, ProbeJudgment::Leak);
    let answered: BTreeSet<Protocol> = out
        .iter()
        .filter(|probe| matches!(probe.result, ProbeResult::Reply { .. }))
        .map(|probe| probe.protocol)
        .collect();
    let source = one_source(evidence, &out);
    // Beside a rejection from outside, silence tells nothing: ping may not hear its own.
    let closed: Vec<&str> = if answered.is_empty() {
        vec![]
    } else {
        let silent = Protocol::ALL.into_iter().filter(|protocol| is_silent(evidence, &out, *protocol));
        silent.filter(|protocol| counts(evidence, &out, *protocol)).map(name).collect()
    };
    let cause = if !closed.is_empty() {
        Cause::EgressFilteredByProtocol
    } else if evidence.family == Family::Ipv4 {
        Cause::InternetRouteOpen
    } else {
        Cause::Ipv6EgressOpen
    };
    let fact = leak_fact(evidence, &out, &closed, reason);
    let fact = match source {
        Some(source) => format!("{fact}; only from {source}"),
        None => fact,
    };
    Finding::new(cause, fact).advising(nat64(&out)).advising(source.map(of_source))
}

fn judged(evidence: &EgressEvidence, wanted: ProbeJudgment) -> Vec<&EgressProbe> {
    evidence.probes.iter().filter(|probe| probe.judged == Some(wanted)).collect()
}

/// The one address from which everything got out, where the host has others.
fn one_source(evidence: &EgressEvidence, out: &[&EgressProbe]) -> Option<IpAddr> {
    let probed: BTreeSet<IpAddr> = evidence.probes.iter().map(|probe| probe.source).collect();
    let leaking: BTreeSet<IpAddr> = out.iter().map(|probe| probe.source).collect();
    (probed.len() > 1 && leaking.len() == 1).then(|| leaking.first().copied())?
}

fn of_source(source: IpAddr) -> String {
    format!(
        "Packets leave from {source} alone: look at ip rule and ip route get 1.1.1.1 from {source}, and at the subnet and security groups of its network interface."
    )
}

/// Whether a protocol's silence shows a filter: it had its chance while the way was open. UDP sends
/// once more halfway.
fn counts(evidence: &EgressEvidence, out: &[&EgressProbe], protocol: Protocol) -> bool {
    let had_answered = |probe: &&EgressProbe| {
        probe.protocol == Protocol::Tcp
            && probe.sent == 1
            && matches!(probe.result, ProbeResult::Reply { after, .. } if after < evidence.window / 2)
    };
    !is_lossy(out) || (protocol == Protocol::Udp && out.iter().any(had_answered))
}

/// A way that loses packets, or one that opened while the probes were under way.
fn is_lossy(out: &[&EgressProbe]) -> bool {
    let lost = |probe: &&EgressProbe| matches!(probe.result, ProbeResult::Reply { replies, .. } if replies < probe.sent);
    let (echoes, others): (Vec<_>, Vec<_>) = out.iter().partition(|probe| probe.protocol == Protocol::Icmp);
    echoes.iter().any(lost) || (echoes.is_empty() && others.iter().all(|probe| came_late(probe)))
}

/// Answered, but not to its first packet.
fn came_late(probe: &EgressProbe) -> bool {
    match probe.result {
        ProbeResult::Reply { after, .. } => probe.sent > 1 || after >= SYN_RETRANSMISSION,
        _ => false,
    }
}

/// Sent from where others got out, and nothing at all came back.
fn is_silent(evidence: &EgressEvidence, out: &[&EgressProbe], protocol: Protocol) -> bool {
    let comparable = |probe: &&EgressProbe| {
        probe.protocol == protocol && !probe.decoy && out.iter().any(|leak| leak.source == probe.source)
    };
    let mut probes = evidence.probes.iter().filter(comparable).peekable();
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
        ProbeResult::Rejected { by: Some(by), how, .. } => {
            format!("{by} answered for {target} ({})", wording::clip(how, 60))
        }
        ProbeResult::Rejected { by: None, how, .. } => {
            format!("{target} was rejected ({})", wording::clip(how, 60))
        }
        ProbeResult::NoReply => format!("{target} stayed silent"),
        ProbeResult::NotSent(SendError::NoRoute) => format!("{target} has no route"),
        ProbeResult::NotSent(SendError::NotPermitted) => format!("{target} not sent: no socket is permitted"),
        ProbeResult::NotSent(SendError::Blocked { errno } | SendError::NoResources { errno }) => {
            format!("{target} not sent: {errno}")
        }
    }
}

fn target(probe: &EgressProbe) -> String {
    let ip = match probe.port {
        Some(port) => SocketAddr::new(probe.ip, port).to_string(),
        None => probe.ip.to_string(),
    };
    let decoy = if probe.decoy { "decoy " } else { "" };
    match &probe.host {
        Some(host) => format!("{} {ip} ({host})", name(probe.protocol)),
        None => format!("{} {decoy}{ip}", name(probe.protocol)),
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

/// The control failed on this host: not even loopback answered. If only endpoints did not answer, their
/// own causes explain it.
fn loopback_failed(evidence: &EgressEvidence) -> Option<Finding> {
    let loopback = evidence.controls.iter().find(|c| c.control == ControlKind::Loopback && !c.passed)?;
    let detail = wording::clip(&loopback.detail, 120);
    let why = if detail.is_empty() { detail } else { format!(" ({detail})") };
    let fact = format!("ping to loopback got no reply{why}");
    let settings = match evidence.family {
        Family::Ipv4 => "net.ipv4.icmp_echo_ignore_all=0",
        Family::Ipv6 => "net.ipv6.icmp.echo_ignore_all=0 net.ipv6.conf.lo.disable_ipv6=0",
    };
    let remedy = format!(
        "This host must answer its own pings: ip link set lo up; sysctl -w {settings}; let ICMP on lo through the host firewall (nft list ruleset). If linkproof cannot open a ping socket, see the runbook."
    );
    Some(Finding::new(Cause::PingNotPermitted, fact).healed_by(remedy))
}

fn family_missing(evidence: &EgressEvidence) -> Finding {
    let family = evidence.family.name();
    match &evidence.family_disabled {
        Some(why) => Finding::new(Cause::Ipv6Disabled, wording::clip(why, 160)),
        None => Finding::new(
            Cause::AddressNotConfigured,
            format!("metadata lists an {family} address, but no interface of this host has one"),
        ),
    }
}

fn router_silent(evidence: &EgressEvidence) -> Option<Finding> {
    let gap = evidence.gaps.iter().find(|gap| matches!(gap, EgressGap::RouterSilent { .. }))?;
    let fact = format!("{}: {}", evidence.family.name(), wording::egress::gap(gap));
    Some(Finding::new(Cause::RouterSilent, fact))
}

fn unproven(evidence: &EgressEvidence, reason: Reason) -> String {
    if reason == Reason::NotPermitted {
        return "no ICMP socket could be opened, neither datagram nor raw".to_owned();
    }
    let telling = |probe: &&EgressProbe| match (&probe.result, probe.judged) {
        (_, Some(ProbeJudgment::Rejected)) => reason == Reason::Rejected,
        (_, Some(ProbeJudgment::Intercepted)) => reason == Reason::TrafficIntercepted,
        (_, Some(ProbeJudgment::RejectedHere)) => reason == Reason::SendBlocked,
        (ProbeResult::NotSent(SendError::Blocked { .. }), _) => reason == Reason::SendBlocked,
        (ProbeResult::NotSent(SendError::NoResources { .. }), _) => reason == Reason::NoResources,
        (ProbeResult::NotSent(_) | ProbeResult::Reply { .. }, _) => false,
        (ProbeResult::NoReply | ProbeResult::Rejected { .. }, _) => false,
    };
    let mut probes: Vec<&EgressProbe> = evidence.probes.iter().filter(telling).collect();
    // The decoy's reply is what shows an interception; elsewhere it says least.
    probes.sort_by_key(|probe| probe.decoy != (reason == Reason::TrafficIntercepted));
    let result = wording::names(probes.into_iter().map(answer));
    if !result.is_empty() {
        return result;
    }
    let shows = |gap: &&EgressGap| match gap {
        EgressGap::OtherRoute { .. }
        | EgressGap::RoutesUnknown { .. }
        | EgressGap::RoutedElsewhere { .. }
        | EgressGap::SourcesNotProbed { .. }
        | EgressGap::RouterSilent { .. } => reason == Reason::RouteNotProbed,
        EgressGap::TargetNotProbed { .. } => false,
    };
    match evidence.gaps.iter().find(shows) {
        Some(gap) => format!("{}: {}", evidence.family.name(), wording::egress::gap(gap)),
        None => format!("{}: {}", evidence.family.name(), reason.words()),
    }
}
