//! The rules of the egress check, one by one.

mod gaps;

use std::time::Duration;

use super::*;
use crate::check::Family;
use crate::config::{Config, EgressConfig};
use crate::observation::{Control, EgressSettings, IcmpSocket};
use crate::verdict::tests::network;

const LITERALS: [&str; 3] = ["1.1.1.1", "8.8.8.8", "9.9.9.9"];
const DECOY: &str = "192.0.2.1";
const SOURCE: &str = "10.0.1.23";
const OTHER: &str = "10.0.3.23";

fn plan() -> Egress {
    let settings = Config::default().egress.map(|EgressConfig { settings, .. }| settings).unwrap();
    Egress {
        settings: EgressSettings { tcp_ports: vec![443], udp_ports: vec![53], ..settings },
        accept_reject: false,
        interval: Duration::from_mins(1),
        network: network(),
        expected_families: vec![Family::Ipv4],
    }
}

fn lenient() -> Egress {
    Egress { accept_reject: true, ..plan() }
}

fn port(protocol: Protocol) -> Option<u16> {
    match protocol {
        Protocol::Icmp => None,
        Protocol::Tcp => Some(443),
        Protocol::Udp => Some(53),
    }
}

fn probe(ip: &str, protocol: Protocol, result: ProbeResult) -> EgressProbe {
    let sent = if matches!(result, ProbeResult::NotSent(_)) { 0 } else { 3 };
    EgressProbe {
        host: None,
        source: SOURCE.parse().unwrap(),
        ip: ip.parse().unwrap(),
        protocol,
        port: port(protocol),
        decoy: ip == DECOY,
        sent,
        result,
        judged: None,
    }
}

fn source(ip: &str) -> EgressSource {
    EgressSource { ip: ip.parse().unwrap(), interface: "eth0".into(), reduced: false, judged: None }
}

fn control(control: ControlKind, source: &str, passed: bool) -> Control {
    let source = (control != ControlKind::Loopback).then(|| source.parse().unwrap());
    Control { control, source, target: None, passed, detail: String::new() }
}

/// From one source; `result` says what each literal and the decoy did.
fn evidence(result: impl Fn(&str, Protocol) -> ProbeResult) -> EgressEvidence {
    let targets = LITERALS.iter().chain([&DECOY]);
    let probes =
        targets.flat_map(|ip| Protocol::ALL.map(|protocol| probe(ip, protocol, result(ip, protocol))));
    EgressEvidence {
        gaps: vec![],
        family: Family::Ipv4,
        window: Duration::from_secs(1),
        sources: vec![source(SOURCE)],
        family_disabled: None,
        icmp_socket: IcmpSocket::Dgram,
        probes: probes.collect(),
        controls: vec![
            control(ControlKind::Loopback, SOURCE, true),
            control(ControlKind::Endpoint, SOURCE, true),
        ],
        controls_passed: None,
        unresolved: vec![],
        left_out: vec![],
    }
}

fn silence() -> EgressEvidence {
    evidence(|_, _| ProbeResult::NoReply)
}

/// A second source that saw the same, without a control of its own.
fn with_other_source(mut evidence: EgressEvidence) -> EgressEvidence {
    let other = evidence.probes.iter().cloned();
    let other: Vec<EgressProbe> =
        other.map(|probe| EgressProbe { source: OTHER.parse().unwrap(), ..probe }).collect();
    evidence.probes.extend(other);
    evidence.sources.push(source(OTHER));
    evidence
}

fn of_other(evidence: &mut EgressEvidence) -> impl Iterator<Item = &mut EgressProbe> {
    evidence.probes.iter_mut().filter(|probe| probe.source.to_string() == OTHER)
}

fn answer() -> ProbeResult {
    ProbeResult::Reply { replies: 1, after: Duration::from_millis(9), kernel: None }
}

fn rejection(by: Option<&str>) -> ProbeResult {
    ProbeResult::Rejected { by: by.map(|by| by.parse().unwrap()), how: String::new(), reset: false }
}

fn reset() -> ProbeResult {
    ProbeResult::Rejected { by: None, how: String::new(), reset: true }
}

fn judge(mut evidence: EgressEvidence, plan: &Egress) -> (Outcome, EgressEvidence) {
    let outcome = egress(&mut evidence, plan).outcome;
    (outcome, evidence)
}

fn outcome(evidence: &EgressEvidence) -> Outcome {
    judge(evidence.clone(), &plan()).0
}

#[test]
fn silence_of_independent_targets_beside_working_controls_passes() {
    let (outcome, evidence) = judge(silence(), &plan());
    assert_eq!(outcome, Outcome::Pass);
    assert_eq!(evidence.controls_passed, Some(true));
    assert_eq!(evidence.sources[0].judged, Some(SourceJudgment::Claimed));
    assert!(evidence.probes.iter().all(|probe| probe.judged == Some(ProbeJudgment::Silent)));
}

#[test]
fn one_answer_of_many_is_a_leak_whatever_else_was_seen() {
    for (protocol, reason) in [
        (Protocol::Icmp, Reason::IcmpReply),
        (Protocol::Tcp, Reason::TcpConnected),
        (Protocol::Udp, Reason::UdpReply),
    ] {
        let mut evidence = evidence(|ip, at| match (ip, at) {
            ("9.9.9.9", at) if at == protocol => answer(),
            (_, Protocol::Icmp) => ProbeResult::NotSent(SendError::NotPermitted),
            _ => rejection(None),
        });
        evidence.controls.clear();
        evidence.sources.clear();
        assert_eq!(outcome(&evidence), Outcome::Fail(reason));
    }
}

#[test]
fn a_name_proves_nothing_by_leading_into_the_vpc_or_by_its_silence() {
    let named = |ip: &str, result| EgressProbe {
        host: Some("www.amazon.com".into()),
        ..probe(ip, Protocol::Tcp, result)
    };
    let with = |probe| {
        let mut evidence = silence();
        evidence.probes.push(probe);
        evidence
    };
    assert_eq!(outcome(&with(named("10.0.1.57", answer()))), Outcome::Pass);
    assert_eq!(outcome(&with(named("192.168.7.7", answer()))), Outcome::Pass);
    assert_eq!(outcome(&with(named("203.0.113.10", answer()))), Outcome::Fail(Reason::TcpConnected));
    let mut names_only = silence();
    names_only.probes.iter_mut().for_each(|probe| probe.host = Some("www.amazon.com".into()));
    assert_eq!(outcome(&names_only), Outcome::Inconclusive(Reason::TooFewTargets));
    names_only.probes.clear();
    assert_eq!(outcome(&names_only), Outcome::Inconclusive(Reason::TooFewTargets));
}

#[test]
fn without_an_address_of_the_family_nothing_was_shown() {
    let mut evidence = silence();
    evidence.sources.clear();
    assert_eq!(outcome(&evidence), Outcome::Inconclusive(Reason::FamilyMissing));
    evidence.family = Family::Ipv6;
    assert_eq!(outcome(&evidence), Outcome::Skipped(Reason::FamilyUnavailable));
}

#[test]
fn no_route_to_any_target_is_proof_without_controls_but_to_some_is_not() {
    let mut evidence = evidence(|_, _| ProbeResult::NotSent(SendError::NoRoute));
    evidence.controls.clear();
    assert_eq!(outcome(&evidence), Outcome::Pass);
    assert_eq!(judge(evidence.clone(), &plan()).1.controls_passed, None);
    evidence.probes[0].result = ProbeResult::NoReply;
    assert_eq!(outcome(&evidence), Outcome::Inconclusive(Reason::TooFewTargets));
    evidence.probes.clear();
    assert_eq!(outcome(&evidence), Outcome::Inconclusive(Reason::TooFewTargets));
}

#[test]
fn a_source_without_a_route_is_closed_and_the_others_are_judged() {
    let mut evidence = with_other_source(silence());
    of_other(&mut evidence).for_each(|probe| {
        probe.result = ProbeResult::NotSent(SendError::NoRoute);
        probe.sent = 0;
    });
    let (outcome, judged) = judge(evidence.clone(), &plan());
    assert_eq!(outcome, Outcome::Pass);
    assert_eq!(judged.sources[1].judged, Some(SourceJudgment::NoRoute));
    evidence.controls.pop();
    assert_eq!(judge(evidence, &plan()).0, Outcome::Inconclusive(Reason::ControlFailed));
}

#[test]
fn what_could_not_be_sent_is_not_silence() {
    let with = |error: &SendError| {
        outcome(&evidence(|_, protocol| match protocol {
            Protocol::Icmp => ProbeResult::NotSent(error.clone()),
            Protocol::Tcp | Protocol::Udp => ProbeResult::NoReply,
        }))
    };
    assert_eq!(with(&SendError::NotPermitted), Outcome::Inconclusive(Reason::NotPermitted));
    let blocked = SendError::Blocked { errno: "EPERM".into() };
    assert_eq!(with(&blocked), Outcome::Inconclusive(Reason::SendBlocked));
    let scarce = SendError::NoResources { errno: "EMFILE".into() };
    assert_eq!(with(&scarce), Outcome::Inconclusive(Reason::NoResources));
    assert_eq!(with(&SendError::NoRoute), Outcome::Inconclusive(Reason::TooFewTargets));
}

#[test]
fn every_kind_of_probe_needs_two_operators() {
    for protocol in Protocol::ALL {
        let mut evidence = silence();
        evidence
            .probes
            .retain(|probe| probe.decoy || probe.protocol != protocol || probe.ip.to_string() == "1.1.1.1");
        assert_eq!(outcome(&evidence), Outcome::Inconclusive(Reason::TooFewTargets), "{protocol:?}");
        evidence.probes.push(probe("1.0.0.1", protocol, ProbeResult::NoReply));
        assert_eq!(outcome(&evidence), Outcome::Inconclusive(Reason::TooFewTargets), "{protocol:?}");
        evidence.probes.push(probe("8.8.8.8", protocol, ProbeResult::NoReply));
        assert_eq!(outcome(&evidence), Outcome::Pass, "{protocol:?}");
        let of_kind = evidence.probes.iter_mut().filter(|probe| probe.protocol == protocol);
        of_kind.for_each(|probe| probe.sent = 0);
        assert_eq!(outcome(&evidence), Outcome::Inconclusive(Reason::TooFewTargets), "{protocol:?}");
    }
}

#[test]
fn every_port_needs_two_operators() {
    let mut plan = plan();
    plan.settings.tcp_ports.push(80);
    assert_eq!(judge(silence(), &plan).0, Outcome::Inconclusive(Reason::TooFewTargets));
    plan.settings.tcp_ports.pop();
    plan.settings.udp_ports.push(123);
    assert_eq!(judge(silence(), &plan).0, Outcome::Inconclusive(Reason::TooFewTargets));
}

#[test]
fn what_the_configuration_leaves_out_is_not_asked_for_and_is_named() {
    let mut quiet = plan();
    quiet.settings.protocols = vec![Protocol::Icmp];
    quiet.settings.families = vec![Family::Ipv4];
    quiet.settings.decoys = false;
    let mut icmp_only = silence();
    icmp_only.probes.retain(|probe| probe.protocol == Protocol::Icmp && !probe.decoy);
    let (outcome, judged) = judge(icmp_only, &quiet);
    assert_eq!(outcome, Outcome::Pass);
    assert_eq!(judged.left_out, ["tcp", "udp", "ipv6", "decoys"]);
    let mut no_ping = plan();
    no_ping.settings.protocols = vec![Protocol::Tcp];
    let mut tcp_only = silence();
    tcp_only.probes.retain(|probe| probe.protocol == Protocol::Tcp);
    tcp_only.controls.remove(0);
    assert_eq!(judge(tcp_only, &no_ping).0, Outcome::Pass, "loopback is a control of ping alone");
}

#[test]
fn a_source_that_is_left_out_is_named_and_makes_no_claim() {
    let mut evidence = silence();
    let left_out = EgressSource { judged: Some(SourceJudgment::LeftOut), ..source(OTHER) };
    evidence.sources.push(left_out.clone());
    let (outcome, judged) = judge(evidence, &plan());
    assert_eq!((outcome, judged.left_out), (Outcome::Pass, vec!["udp/123", "sources"]));
    let mut unrouted = without_routes();
    unrouted.sources.push(left_out.clone());
    assert_eq!(judge(unrouted, &plan()).0, Outcome::Pass);
    let mut nothing = silence();
    nothing.probes.clear();
    nothing.sources = vec![left_out];
    assert_eq!(judge(nothing, &plan()).0, Outcome::Inconclusive(Reason::TooFewTargets));
}

#[test]
fn the_silence_of_a_literal_inside_the_vpc_says_nothing_of_the_internet() {
    let cidrs = ["10.0.0.0/16", "8.8.0.0/16", "9.9.0.0/16"];
    let vpc = cidrs.map(|cidr| cidr.parse().unwrap()).to_vec();
    let owner = Egress { network: Network { vpc, ..network() }, ..plan() };
    assert_eq!(judge(silence(), &owner).0, Outcome::Inconclusive(Reason::TooFewTargets));
    let replied = evidence(|ip, _| if ip == "8.8.8.8" { answer() } else { ProbeResult::NoReply });
    assert_eq!(
        judge(replied, &owner).0,
        Outcome::Inconclusive(Reason::TooFewTargets),
        "nothing left the VPC"
    );
}

#[test]
fn silence_counts_only_beside_both_controls() {
    use ControlKind::{Endpoint, Loopback, Resolver};
    for (controls, passes) in [
        (vec![(Loopback, true), (Endpoint, true)], true),
        (vec![(Loopback, true), (Endpoint, false), (Resolver, true)], true),
        (vec![(Loopback, true), (Endpoint, false)], false),
        (vec![(Loopback, false), (Endpoint, true)], false),
        (vec![(Loopback, true)], false),
        (vec![(Resolver, true)], false),
        (vec![], false),
    ] {
        let mut evidence = silence();
        evidence.controls = controls.iter().map(|(kind, passed)| control(*kind, SOURCE, *passed)).collect();
        let expected = if passes { Outcome::Pass } else { Outcome::Inconclusive(Reason::ControlFailed) };
        let (outcome, judged) = judge(evidence, &plan());
        assert_eq!((outcome, judged.controls_passed), (expected, Some(passes)), "{controls:?}");
    }
}

#[test]
fn a_control_counts_for_the_source_that_it_answered() {
    let mut evidence = silence();
    evidence.controls[1] = control(ControlKind::Endpoint, OTHER, true);
    assert_eq!(outcome(&evidence), Outcome::Inconclusive(Reason::ControlFailed));
}

#[test]
fn a_source_without_a_control_leaks_by_a_reply_and_claims_nothing_by_silence() {
    let mut evidence = with_other_source(silence());
    let (outcome, judged) = judge(evidence.clone(), &plan());
    assert_eq!(outcome, Outcome::Pass);
    assert_eq!(judged.sources[1].judged, Some(SourceJudgment::NotClaimed));
    let mut unclaimed = judged.probes.iter().filter(|probe| probe.source.to_string() == OTHER);
    assert!(unclaimed.all(|probe| probe.judged == Some(ProbeJudgment::NotClaimed)));
    for result in [reset(), ProbeResult::NotSent(SendError::Blocked { errno: String::new() })] {
        of_other(&mut evidence).for_each(|probe| probe.result = result.clone());
        assert_eq!(judge(evidence.clone(), &plan()).0, Outcome::Pass, "{result:?}");
    }
    of_other(&mut evidence).next().unwrap().result = answer();
    assert_eq!(judge(evidence, &plan()).0, Outcome::Fail(Reason::IcmpReply));
}

#[test]
fn the_worst_of_several_sources_with_a_control_decides() {
    let mut evidence = with_other_source(silence());
    evidence.controls.push(control(ControlKind::Resolver, OTHER, true));
    assert_eq!(outcome(&evidence), Outcome::Pass);
    of_other(&mut evidence).next().unwrap().result = reset();
    assert_eq!(outcome(&evidence), Outcome::Inconclusive(Reason::Rejected));
    of_other(&mut evidence).for_each(|probe| probe.sent = 0);
    assert_eq!(outcome(&evidence), Outcome::Inconclusive(Reason::TooFewTargets));
}

#[test]
fn a_reduced_source_needs_one_port_and_too_many_sources_are_never_a_pass() {
    let mut evidence = with_other_source(silence());
    evidence.controls.push(control(ControlKind::Endpoint, OTHER, true));
    evidence.sources[1].reduced = true;
    let without = |left_out| {
        let mut evidence = evidence.clone();
        evidence.probes.retain(|probe| probe.source.to_string() == SOURCE || probe.protocol != left_out);
        outcome(&evidence)
    };
    assert_eq!(without(Protocol::Tcp), Outcome::Inconclusive(Reason::TooFewTargets));
    assert_eq!(without(Protocol::Icmp), Outcome::Inconclusive(Reason::TooFewTargets));
    evidence.probes.retain(|probe| probe.source.to_string() == SOURCE || probe.protocol != Protocol::Udp);
    assert_eq!(outcome(&evidence), Outcome::Pass);
    evidence.probes.retain(|probe| probe.source.to_string() == SOURCE || probe.protocol != Protocol::Tcp);
    assert_eq!(outcome(&evidence), Outcome::Inconclusive(Reason::TooFewTargets));
    let mut crowded = silence();
    crowded.sources.push(EgressSource { judged: Some(SourceJudgment::OverLimit), ..source(OTHER) });
    assert_eq!(outcome(&crowded), Outcome::Inconclusive(Reason::TooFewTargets));
}

fn one(by: Option<&str>) -> EgressEvidence {
    evidence(move |ip, probe| match (ip, probe) {
        ("8.8.8.8", Protocol::Icmp) => rejection(by),
        _ => ProbeResult::NoReply,
    })
}

#[test]
fn a_rejection_is_judged_by_its_sender() {
    for (by, expected, accepted) in [
        (Some("10.0.1.1"), Outcome::Pass, Outcome::Pass),
        (Some("fe80::1"), Outcome::Pass, Outcome::Pass),
        (Some("169.254.1.1"), Outcome::Pass, Outcome::Pass),
        (Some("fd00:ec2::1"), Outcome::Pass, Outcome::Pass),
        (
            Some("203.0.113.1"),
            Outcome::Fail(Reason::ErrorFromOutside),
            Outcome::Fail(Reason::ErrorFromOutside),
        ),
        (Some("172.16.0.1"), Outcome::Inconclusive(Reason::Rejected), Outcome::Pass),
        (Some("fd12:3456::1"), Outcome::Inconclusive(Reason::Rejected), Outcome::Pass),
        (None, Outcome::Inconclusive(Reason::Rejected), Outcome::Inconclusive(Reason::Rejected)),
    ] {
        assert_eq!(judge(one(by), &plan()).0, expected, "{by:?}");
        assert_eq!(judge(one(by), &lenient()).0, accepted, "accepted: {by:?}");
    }
}

#[test]
fn while_the_vpc_is_unknown_a_public_sender_may_be_its_own() {
    let blind = Egress { network: Network::default(), ..plan() };
    for by in ["203.0.113.1", "10.0.1.1"] {
        assert_eq!(judge(one(Some(by)), &blind).0, Outcome::Inconclusive(Reason::Rejected), "{by}");
    }
}

#[test]
fn an_expected_range_is_as_good_as_the_vpc_and_its_error_is_no_leak_anywhere() {
    let expected = vec!["198.18.0.0/15".parse().unwrap()];
    let hub = Egress { network: Network { expected, ..network() }, ..plan() };
    let (outcome, judged) = judge(one(Some("198.18.0.9")), &hub);
    assert_eq!(outcome, Outcome::Pass);
    assert!(judged.probes.iter().all(|probe| probe.judged != Some(ProbeJudgment::Leak)));
}

#[test]
fn an_error_from_this_host_is_its_own_packet_filter() {
    let (outcome, judged) = judge(one(Some(SOURCE)), &lenient());
    assert_eq!(outcome, Outcome::Inconclusive(Reason::SendBlocked));
    assert!(judged.probes.iter().any(|probe| probe.judged == Some(ProbeJudgment::RejectedHere)));
    assert_eq!(judge(one(Some("127.0.0.1")), &lenient()).0, Outcome::Inconclusive(Reason::SendBlocked));
}

#[test]
fn a_reset_is_accepted_only_where_the_decoy_got_one_too() {
    let tcp = |ip: &str, protocol| protocol == Protocol::Tcp && ip != DECOY;
    let own = || evidence(|ip, at| if tcp(ip, at) { reset() } else { ProbeResult::NoReply });
    assert_eq!(judge(own(), &lenient()).0, Outcome::Inconclusive(Reason::Rejected), "the target's own");
    let near = || evidence(|_, at| if at == Protocol::Tcp { reset() } else { ProbeResult::NoReply });
    assert_eq!(judge(near(), &lenient()).0, Outcome::Pass);
    assert_eq!(judge(near(), &plan()).0, Outcome::Inconclusive(Reason::Rejected));
    let mut elsewhere = near();
    for decoy in elsewhere.probes.iter_mut().filter(|probe| probe.decoy) {
        decoy.source = OTHER.parse().unwrap();
    }
    assert_eq!(judge(elsewhere, &lenient()).0, Outcome::Inconclusive(Reason::Rejected), "another source");
    let mut other_port = near();
    other_port.probes.iter_mut().filter(|probe| probe.decoy).for_each(|decoy| decoy.port = Some(80));
    assert_eq!(judge(other_port, &lenient()).0, Outcome::Inconclusive(Reason::Rejected), "another port");
}

#[test]
fn a_reply_that_the_decoy_got_too_is_an_interception_and_any_other_reply_goes_first() {
    let udp = |_: &str, at| if at == Protocol::Udp { answer() } else { ProbeResult::NoReply };
    let (outcome, judged) = judge(evidence(udp), &plan());
    assert_eq!(outcome, Outcome::Fail(Reason::TrafficIntercepted));
    let replied = judged.probes.iter().filter(|probe| probe.protocol == Protocol::Udp);
    assert!(replied.clone().all(|probe| probe.judged == Some(ProbeJudgment::Intercepted)));
    let with_leak =
        evidence(|ip, at| if (ip, at) == ("8.8.8.8", Protocol::Icmp) { answer() } else { udp(ip, at) });
    assert_eq!(judge(with_leak, &plan()).0, Outcome::Fail(Reason::IcmpReply));
    let alone = evidence(|ip, at| if ip == DECOY { udp(ip, at) } else { ProbeResult::NoReply });
    assert_eq!(judge(alone, &plan()).0, Outcome::Inconclusive(Reason::TrafficIntercepted));
    let other_protocol = evidence(|ip, at| match (ip == DECOY, at) {
        (true, Protocol::Udp) | (false, Protocol::Tcp) => answer(),
        _ => ProbeResult::NoReply,
    });
    assert_eq!(judge(other_protocol, &plan()).0, Outcome::Fail(Reason::TcpConnected));
}

#[test]
fn an_error_in_the_targets_own_name_is_an_interception_where_the_decoy_sent_one() {
    let spoofed = evidence(|ip, at| match at {
        Protocol::Udp => rejection(Some(ip)),
        Protocol::Icmp | Protocol::Tcp => ProbeResult::NoReply,
    });
    assert_eq!(judge(spoofed, &plan()).0, Outcome::Fail(Reason::TrafficIntercepted));
    let real = evidence(|ip, at| match at {
        Protocol::Udp if ip != DECOY => rejection(Some(ip)),
        _ => ProbeResult::NoReply,
    });
    assert_eq!(judge(real, &plan()).0, Outcome::Fail(Reason::ErrorFromOutside));
}

fn without_routes() -> EgressEvidence {
    evidence(|ip, _| match ip {
        DECOY => ProbeResult::NoReply,
        _ => ProbeResult::NotSent(SendError::NoRoute),
    })
}
