//! `egress/*`: nothing got out, and an answer would have been heard. First match wins.

use std::collections::BTreeSet;
use std::net::IpAddr;

use super::Judgment;
use crate::network::{Network, Scope, operator};
use crate::observation::{
    ControlKind, EgressEvidence, EgressProbe, Outcome, ProbeResult, Protocol, Reason, SendError,
};
use crate::plan::Egress;

/// Silence proves something only when several independent parties were silent.
const OPERATORS: usize = 2;

pub fn egress(evidence: &EgressEvidence, egress: &Egress) -> Judgment {
    let probes: Vec<&EgressProbe> =
        evidence.probes.iter().filter(|probe| is_aimed_outside(probe, &egress.network)).collect();
    let outcome = leak(&probes, &egress.network)
        .map(Outcome::Fail)
        .or_else(|| family_absent(evidence, egress))
        .or_else(|| no_route(&probes))
        .or_else(|| unable(evidence, &probes, egress).map(Outcome::Inconclusive))
        .or_else(|| rejected(&probes, egress))
        .unwrap_or(Outcome::Pass);
    Judgment::without_addresses(outcome)
}

/// A name that leads into the VPC, or to somebody's private host, proves nothing either way.
fn is_aimed_outside(probe: &EgressProbe, network: &Network) -> bool {
    probe.host.is_none() || network.scope(probe.ip) == Scope::Public
}

fn leak(probes: &[&EgressProbe], network: &Network) -> Option<Reason> {
    let answered = |probe: &&&EgressProbe| matches!(probe.result, ProbeResult::Reply { .. });
    if let Some(probe) = probes.iter().find(answered) {
        return Some(match probe.protocol {
            Protocol::Icmp => Reason::IcmpReply,
            Protocol::Tcp => Reason::TcpConnected,
            Protocol::Udp => Reason::UdpReply,
        });
    }
    probes
        .iter()
        .any(|probe| rejecter(probe, network) == Some(Rejecter::Outside))
        .then_some(Reason::ErrorFromOutside)
}

fn family_absent(evidence: &EgressEvidence, egress: &Egress) -> Option<Outcome> {
    if !evidence.local_addresses.is_empty() {
        return None;
    }
    Some(if egress.expected_families.contains(&evidence.family) {
        Outcome::Inconclusive(Reason::FamilyMissing)
    } else {
        Outcome::Skipped(Reason::FamilyUnavailable)
    })
}

/// A route lookup that fails for every target is proof by itself: there is no way to send.
fn no_route(probes: &[&EgressProbe]) -> Option<Outcome> {
    let literals = probes.iter().any(|probe| probe.host.is_none());
    let none = probes.iter().all(|probe| probe.result == ProbeResult::NotSent(SendError::NoRoute));
    (literals && none).then_some(Outcome::Pass)
}

fn unable(evidence: &EgressEvidence, probes: &[&EgressProbe], egress: &Egress) -> Option<Reason> {
    let unsent = |wanted: fn(&SendError) -> bool| {
        probes.iter().any(|probe| matches!(&probe.result, ProbeResult::NotSent(outgoing) if wanted(outgoing)))
    };
    if unsent(|outgoing| matches!(outgoing, SendError::NotPermitted)) {
        return Some(Reason::NotPermitted);
    }
    if unsent(|outgoing| matches!(outgoing, SendError::Blocked { .. })) {
        return Some(Reason::SendBlocked);
    }
    if !required_probes(egress).into_iter().all(|probe| is_enough(probes, probe, &egress.network)) {
        return Some(Reason::TooFewTargets);
    }
    let off_host = [ControlKind::Endpoint, ControlKind::Resolver];
    let passed = |kinds: &[ControlKind]| {
        evidence.controls.iter().any(|control| control.passed && kinds.contains(&control.control))
    };
    (!passed(&[ControlKind::Loopback]) || !passed(&off_host)).then_some(Reason::ControlFailed)
}

fn required_probes(egress: &Egress) -> Vec<Protocol> {
    let tcp = (!egress.tcp_ports.is_empty()).then_some(Protocol::Tcp);
    let udp = egress.udp_dns.then_some(Protocol::Udp);
    [Some(Protocol::Icmp), tcp, udp].into_iter().flatten().collect()
}

/// Whether packets of this kind really went to literals of independent operators. One inside the
/// VPC, which may own public ranges, is no stranger.
fn is_enough(probes: &[&EgressProbe], protocol: Protocol, network: &Network) -> bool {
    let stranger = |probe: &&&EgressProbe| probe.host.is_none() && !network.scope(probe.ip).is_inside();
    let operators: BTreeSet<u32> = probes
        .iter()
        .filter(stranger)
        .filter(|probe| probe.protocol == protocol && probe.sent > 0)
        .map(|probe| operator(probe.ip))
        .collect();
    operators.len() >= OPERATORS
}

fn rejected(probes: &[&EgressProbe], egress: &Egress) -> Option<Outcome> {
    let unknown = probes.iter().any(|probe| rejecter(probe, &egress.network) == Some(Rejecter::Unknown));
    (unknown && !egress.accept_reject).then_some(Outcome::Inconclusive(Reason::Rejected))
}

#[derive(Clone, Copy, Debug, Eq, PartialEq)]
enum Rejecter {
    /// A router or firewall of the VPC, or our own kernel: as good as silence.
    Inside,
    Outside,
    Unknown,
}

fn rejecter(probe: &EgressProbe, network: &Network) -> Option<Rejecter> {
    let ProbeResult::Rejected { by, .. } = &probe.result else { return None };
    Some(match by.map(|by: IpAddr| network.scope(by)) {
        // A VPC's router speaks from a link-local address.
        Some(Scope::Vpc | Scope::Expected | Scope::Special) => Rejecter::Inside,
        Some(Scope::Public | Scope::Private) if network.is_known() => Rejecter::Outside,
        Some(Scope::Public | Scope::Private) | None => Rejecter::Unknown,
    })
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;
    use crate::check::Family;
    use crate::observation::{Control, IcmpSocket};
    use crate::verdict::tests::network;

    const LITERALS: [&str; 3] = ["1.1.1.1", "8.8.8.8", "9.9.9.9"];

    fn plan() -> Egress {
        Egress {
            hosts: vec![],
            addresses: LITERALS.map(|ip| ip.parse().unwrap()).to_vec(),
            tcp_ports: vec![443],
            udp_dns: true,
            accept_reject: false,
            window: Duration::from_secs(1),
            interval: Duration::from_mins(1),
            network: network(),
            expected_families: vec![Family::Ipv4],
        }
    }

    fn probe(ip: &str, protocol: Protocol, result: ProbeResult) -> EgressProbe {
        let sent = if matches!(result, ProbeResult::NotSent(_)) { 0 } else { 3 };
        EgressProbe { host: None, ip: ip.parse().unwrap(), protocol, port: None, sent, result }
    }

    fn control(control: ControlKind, passed: bool) -> Control {
        Control { control, target: None, passed, detail: String::new() }
    }

    fn evidence(result: impl Fn(&str, Protocol) -> ProbeResult) -> EgressEvidence {
        let probes = LITERALS
            .iter()
            .flat_map(|ip| Protocol::ALL.map(|protocol| probe(ip, protocol, result(ip, protocol))))
            .collect();
        EgressEvidence {
            family: Family::Ipv4,
            window: Duration::from_secs(1),
            local_addresses: vec!["10.0.1.23".parse().unwrap()],
            icmp_socket: IcmpSocket::Dgram,
            probes,
            controls: vec![control(ControlKind::Loopback, true), control(ControlKind::Endpoint, true)],
            unresolved: vec![],
        }
    }

    fn silence() -> EgressEvidence {
        evidence(|_, _| ProbeResult::NoReply)
    }

    fn answer() -> ProbeResult {
        ProbeResult::Reply { replies: 1, after: Duration::from_millis(9) }
    }

    fn rejection(by: Option<&str>) -> ProbeResult {
        ProbeResult::Rejected { by: by.map(|by| by.parse().unwrap()), how: String::new() }
    }

    fn outcome(evidence: &EgressEvidence) -> Outcome {
        egress(evidence, &plan()).outcome
    }

    #[test]
    fn silence_of_independent_targets_beside_working_controls_passes() {
        assert_eq!(outcome(&silence()), Outcome::Pass);
    }

    #[test]
    fn one_answer_of_many_is_a_leak_whatever_else_was_seen() {
        for (probe, reason) in [
            (Protocol::Icmp, Reason::IcmpReply),
            (Protocol::Tcp, Reason::TcpConnected),
            (Protocol::Udp, Reason::UdpReply),
        ] {
            let mut evidence = evidence(|ip, at| match (ip, at) {
                ("9.9.9.9", at) if at == probe => answer(),
                (_, Protocol::Icmp) => ProbeResult::NotSent(SendError::NotPermitted),
                _ => rejection(None),
            });
            evidence.controls.clear();
            evidence.local_addresses.clear();
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
        evidence.local_addresses.clear();
        assert_eq!(outcome(&evidence), Outcome::Inconclusive(Reason::FamilyMissing));
        evidence.family = Family::Ipv6;
        assert_eq!(outcome(&evidence), Outcome::Skipped(Reason::FamilyUnavailable));
    }

    #[test]
    fn no_route_to_any_target_is_proof_without_controls_but_to_some_is_not() {
        let mut evidence = evidence(|_, _| ProbeResult::NotSent(SendError::NoRoute));
        evidence.controls.clear();
        assert_eq!(outcome(&evidence), Outcome::Pass);
        evidence.probes[0].result = ProbeResult::NoReply;
        assert_eq!(outcome(&evidence), Outcome::Inconclusive(Reason::TooFewTargets));
        evidence.probes.clear();
        assert_eq!(outcome(&evidence), Outcome::Inconclusive(Reason::TooFewTargets));
    }

    #[test]
    fn what_could_not_be_sent_is_not_silence() {
        let with = |outgoing: &SendError| {
            outcome(&evidence(|_, protocol| match protocol {
                Protocol::Icmp => ProbeResult::NotSent(outgoing.clone()),
                Protocol::Tcp | Protocol::Udp => ProbeResult::NoReply,
            }))
        };
        assert_eq!(with(&SendError::NotPermitted), Outcome::Inconclusive(Reason::NotPermitted));
        let blocked = SendError::Blocked { errno: "EPERM".into() };
        assert_eq!(with(&blocked), Outcome::Inconclusive(Reason::SendBlocked));
        assert_eq!(with(&SendError::NoRoute), Outcome::Inconclusive(Reason::TooFewTargets));
    }

    #[test]
    fn every_kind_of_probe_needs_two_operators() {
        for protocol in Protocol::ALL {
            let mut evidence = silence();
            evidence.probes.retain(|probe| probe.protocol != protocol || probe.ip.to_string() == "1.1.1.1");
            assert_eq!(outcome(&evidence), Outcome::Inconclusive(Reason::TooFewTargets), "{protocol:?}");
            let neighbour = EgressProbe {
                ip: "1.0.0.1".parse().unwrap(),
                ..probe("1.1.1.1", protocol, ProbeResult::NoReply)
            };
            evidence.probes.push(neighbour);
            assert_eq!(outcome(&evidence), Outcome::Inconclusive(Reason::TooFewTargets), "{protocol:?}");
            evidence.probes.push(probe("8.8.8.8", protocol, ProbeResult::NoReply));
            assert_eq!(outcome(&evidence), Outcome::Pass, "{protocol:?}");
            evidence
                .probes
                .iter_mut()
                .filter(|probe| probe.protocol == protocol)
                .for_each(|probe| probe.sent = 0);
            assert_eq!(outcome(&evidence), Outcome::Inconclusive(Reason::TooFewTargets), "{protocol:?}");
        }
        let quiet = Egress { tcp_ports: vec![], udp_dns: false, ..plan() };
        let mut icmp_only = silence();
        icmp_only.probes.retain(|probe| probe.protocol == Protocol::Icmp);
        assert_eq!(egress(&icmp_only, &quiet).outcome, Outcome::Pass);
    }

    #[test]
    fn the_silence_of_a_literal_inside_the_vpc_says_nothing_of_the_internet() {
        let cidrs = ["10.0.0.0/16", "8.8.0.0/16", "9.9.0.0/16"];
        let vpc = cidrs.map(|cidr| cidr.parse().unwrap()).to_vec();
        let owner = Egress { network: Network { vpc, ..network() }, ..plan() };
        assert_eq!(egress(&silence(), &owner).outcome, Outcome::Inconclusive(Reason::TooFewTargets));
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
            evidence.controls = controls.iter().map(|(kind, passed)| control(*kind, *passed)).collect();
            let expected = if passes { Outcome::Pass } else { Outcome::Inconclusive(Reason::ControlFailed) };
            assert_eq!(outcome(&evidence), expected, "{controls:?}");
        }
    }

    #[test]
    fn a_rejection_is_judged_by_who_sent_it() {
        let one = |by| {
            evidence(move |ip, probe| match (ip, probe) {
                ("8.8.8.8", Protocol::Icmp) => rejection(by),
                _ => ProbeResult::NoReply,
            })
        };
        assert_eq!(outcome(&one(Some("10.0.1.1"))), Outcome::Pass);
        assert_eq!(outcome(&one(Some("fe80::1"))), Outcome::Pass);
        assert_eq!(outcome(&one(Some("203.0.113.1"))), Outcome::Fail(Reason::ErrorFromOutside));
        assert_eq!(outcome(&one(Some("172.16.0.1"))), Outcome::Fail(Reason::ErrorFromOutside));
        assert_eq!(outcome(&one(None)), Outcome::Inconclusive(Reason::Rejected));
        let lenient = Egress { accept_reject: true, ..plan() };
        assert_eq!(egress(&one(None), &lenient).outcome, Outcome::Pass);
        assert_eq!(
            egress(&one(Some("203.0.113.1")), &lenient).outcome,
            Outcome::Fail(Reason::ErrorFromOutside)
        );
        let blind = Egress { network: Network::default(), ..plan() };
        assert_eq!(
            egress(&one(Some("203.0.113.1")), &blind).outcome,
            Outcome::Inconclusive(Reason::Rejected)
        );
    }
}
