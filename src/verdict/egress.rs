//! `egress/*`: nothing got out, and an answer would have been heard. First match wins.

use std::collections::BTreeSet;
use std::net::IpAddr;

use super::Judgement;
use crate::network::{Network, Scope, operator};
use crate::observation::{ControlKind, EgressSeen, Heard, Outcome, Outgoing, Probe, Reason, Shot};
use crate::plan::Egress;

/// Silence proves something only when several independent parties were silent.
const OPERATORS: usize = 2;

pub fn egress(seen: &EgressSeen, egress: &Egress) -> Judgement {
    let shots: Vec<&Shot> =
        seen.shots.iter().filter(|shot| is_aimed_outside(shot, &egress.network)).collect();
    let outcome = leak(&shots, &egress.network)
        .map(Outcome::Fail)
        .or_else(|| family_absent(seen, egress))
        .or_else(|| no_route(&shots))
        .or_else(|| unable(seen, &shots, egress).map(Outcome::Inconclusive))
        .or_else(|| rejected(&shots, egress))
        .unwrap_or(Outcome::Pass);
    Judgement::without_addresses(outcome)
}

/// A name that leads into the VPC, or to somebody's private host, proves nothing either way.
fn is_aimed_outside(shot: &Shot, network: &Network) -> bool {
    shot.host.is_none() || network.scope(shot.ip) == Scope::Public
}

fn leak(shots: &[&Shot], network: &Network) -> Option<Reason> {
    let answered = |shot: &&&Shot| matches!(shot.heard, Heard::Answer { .. });
    if let Some(shot) = shots.iter().find(answered) {
        return Some(match shot.probe {
            Probe::Icmp => Reason::IcmpReply,
            Probe::Tcp => Reason::TcpConnected,
            Probe::Udp => Reason::UdpReply,
        });
    }
    shots
        .iter()
        .any(|shot| rejecter(shot, network) == Some(Rejecter::Outside))
        .then_some(Reason::ErrorFromOutside)
}

fn family_absent(seen: &EgressSeen, egress: &Egress) -> Option<Outcome> {
    if !seen.own_addresses.is_empty() {
        return None;
    }
    Some(if egress.promised.contains(&seen.family) {
        Outcome::Inconclusive(Reason::FamilyMissing)
    } else {
        Outcome::Skipped(Reason::FamilyUnavailable)
    })
}

/// A route lookup that fails for every target is proof by itself: there is no way to send.
fn no_route(shots: &[&Shot]) -> Option<Outcome> {
    let literals = shots.iter().any(|shot| shot.host.is_none());
    let none = shots.iter().all(|shot| shot.heard == Heard::Unsent(Outgoing::NoRoute));
    (literals && none).then_some(Outcome::Pass)
}

fn unable(seen: &EgressSeen, shots: &[&Shot], egress: &Egress) -> Option<Reason> {
    let unsent = |wanted: fn(&Outgoing) -> bool| {
        shots.iter().any(|shot| matches!(&shot.heard, Heard::Unsent(outgoing) if wanted(outgoing)))
    };
    if unsent(|outgoing| matches!(outgoing, Outgoing::NotPermitted)) {
        return Some(Reason::NotPermitted);
    }
    if unsent(|outgoing| matches!(outgoing, Outgoing::Blocked { .. })) {
        return Some(Reason::SendBlocked);
    }
    if !required_probes(egress).into_iter().all(|probe| is_enough(shots, probe, &egress.network)) {
        return Some(Reason::TooFewTargets);
    }
    let off_host = [ControlKind::Endpoint, ControlKind::Resolver];
    let passed = |kinds: &[ControlKind]| {
        seen.controls.iter().any(|control| control.passed && kinds.contains(&control.control))
    };
    (!passed(&[ControlKind::Loopback]) || !passed(&off_host)).then_some(Reason::ControlFailed)
}

fn required_probes(egress: &Egress) -> Vec<Probe> {
    let tcp = (!egress.tcp_ports.is_empty()).then_some(Probe::Tcp);
    let udp = egress.udp_dns.then_some(Probe::Udp);
    [Some(Probe::Icmp), tcp, udp].into_iter().flatten().collect()
}

/// Whether packets of this kind really went to literals of independent operators. One inside the
/// VPC, which may own public ranges, is no stranger.
fn is_enough(shots: &[&Shot], probe: Probe, network: &Network) -> bool {
    let stranger = |shot: &&&Shot| shot.host.is_none() && !network.scope(shot.ip).is_inside();
    let operators: BTreeSet<u32> = shots
        .iter()
        .filter(stranger)
        .filter(|shot| shot.probe == probe && shot.sent > 0)
        .map(|shot| operator(shot.ip))
        .collect();
    operators.len() >= OPERATORS
}

fn rejected(shots: &[&Shot], egress: &Egress) -> Option<Outcome> {
    let unknown = shots.iter().any(|shot| rejecter(shot, &egress.network) == Some(Rejecter::Unknown));
    (unknown && !egress.accept_reject).then_some(Outcome::Inconclusive(Reason::Rejected))
}

#[derive(Clone, Copy, Debug, Eq, PartialEq)]
enum Rejecter {
    /// A router or firewall of the VPC, or our own kernel: as good as silence.
    Inside,
    Outside,
    Unknown,
}

fn rejecter(shot: &Shot, network: &Network) -> Option<Rejecter> {
    let Heard::Rejection { by, .. } = &shot.heard else { return None };
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
            promised: vec![Family::Ipv4],
        }
    }

    fn shot(ip: &str, probe: Probe, heard: Heard) -> Shot {
        let sent = if matches!(heard, Heard::Unsent(_)) { 0 } else { 3 };
        Shot { host: None, ip: ip.parse().unwrap(), probe, port: None, sent, heard }
    }

    fn control(control: ControlKind, passed: bool) -> Control {
        Control { control, target: None, passed, detail: String::new() }
    }

    fn seen(heard: impl Fn(&str, Probe) -> Heard) -> EgressSeen {
        let shots = LITERALS
            .iter()
            .flat_map(|ip| Probe::ALL.map(|probe| shot(ip, probe, heard(ip, probe))))
            .collect();
        EgressSeen {
            family: Family::Ipv4,
            window: Duration::from_secs(1),
            own_addresses: vec!["10.0.1.23".parse().unwrap()],
            icmp_socket: IcmpSocket::Dgram,
            shots,
            controls: vec![control(ControlKind::Loopback, true), control(ControlKind::Endpoint, true)],
            unresolved: vec![],
        }
    }

    fn silence() -> EgressSeen {
        seen(|_, _| Heard::Silence)
    }

    fn answer() -> Heard {
        Heard::Answer { replies: 1, after: Duration::from_millis(9) }
    }

    fn rejection(by: Option<&str>) -> Heard {
        Heard::Rejection { by: by.map(|by| by.parse().unwrap()), how: String::new() }
    }

    fn outcome(seen: &EgressSeen) -> Outcome {
        egress(seen, &plan()).outcome
    }

    #[test]
    fn silence_of_independent_targets_beside_working_controls_passes() {
        assert_eq!(outcome(&silence()), Outcome::Pass);
    }

    #[test]
    fn one_answer_of_many_is_a_leak_whatever_else_was_seen() {
        for (probe, reason) in [
            (Probe::Icmp, Reason::IcmpReply),
            (Probe::Tcp, Reason::TcpConnected),
            (Probe::Udp, Reason::UdpReply),
        ] {
            let mut seen = seen(|ip, at| match (ip, at) {
                ("9.9.9.9", at) if at == probe => answer(),
                (_, Probe::Icmp) => Heard::Unsent(Outgoing::NotPermitted),
                _ => rejection(None),
            });
            seen.controls.clear();
            seen.own_addresses.clear();
            assert_eq!(outcome(&seen), Outcome::Fail(reason));
        }
    }

    #[test]
    fn a_name_proves_nothing_by_leading_into_the_vpc_or_by_its_silence() {
        let named =
            |ip: &str, heard| Shot { host: Some("www.amazon.com".into()), ..shot(ip, Probe::Tcp, heard) };
        let with = |shot| {
            let mut seen = silence();
            seen.shots.push(shot);
            seen
        };
        assert_eq!(outcome(&with(named("10.0.1.57", answer()))), Outcome::Pass);
        assert_eq!(outcome(&with(named("192.168.7.7", answer()))), Outcome::Pass);
        assert_eq!(outcome(&with(named("203.0.113.10", answer()))), Outcome::Fail(Reason::TcpConnected));
        let mut names_only = silence();
        names_only.shots.iter_mut().for_each(|shot| shot.host = Some("www.amazon.com".into()));
        assert_eq!(outcome(&names_only), Outcome::Inconclusive(Reason::TooFewTargets));
        names_only.shots.clear();
        assert_eq!(outcome(&names_only), Outcome::Inconclusive(Reason::TooFewTargets));
    }

    #[test]
    fn without_an_address_of_the_family_nothing_was_shown() {
        let mut seen = silence();
        seen.own_addresses.clear();
        assert_eq!(outcome(&seen), Outcome::Inconclusive(Reason::FamilyMissing));
        seen.family = Family::Ipv6;
        assert_eq!(outcome(&seen), Outcome::Skipped(Reason::FamilyUnavailable));
    }

    #[test]
    fn no_route_to_any_target_is_proof_without_controls_but_to_some_is_not() {
        let mut seen = seen(|_, _| Heard::Unsent(Outgoing::NoRoute));
        seen.controls.clear();
        assert_eq!(outcome(&seen), Outcome::Pass);
        seen.shots[0].heard = Heard::Silence;
        assert_eq!(outcome(&seen), Outcome::Inconclusive(Reason::TooFewTargets));
        seen.shots.clear();
        assert_eq!(outcome(&seen), Outcome::Inconclusive(Reason::TooFewTargets));
    }

    #[test]
    fn what_could_not_be_sent_is_not_silence() {
        let with = |outgoing: &Outgoing| {
            outcome(&seen(|_, probe| match probe {
                Probe::Icmp => Heard::Unsent(outgoing.clone()),
                Probe::Tcp | Probe::Udp => Heard::Silence,
            }))
        };
        assert_eq!(with(&Outgoing::NotPermitted), Outcome::Inconclusive(Reason::NotPermitted));
        let blocked = Outgoing::Blocked { errno: "EPERM".into() };
        assert_eq!(with(&blocked), Outcome::Inconclusive(Reason::SendBlocked));
        assert_eq!(with(&Outgoing::NoRoute), Outcome::Inconclusive(Reason::TooFewTargets));
    }

    #[test]
    fn every_kind_of_probe_needs_two_operators() {
        for probe in Probe::ALL {
            let mut seen = silence();
            seen.shots.retain(|shot| shot.probe != probe || shot.ip.to_string() == "1.1.1.1");
            assert_eq!(outcome(&seen), Outcome::Inconclusive(Reason::TooFewTargets), "{probe:?}");
            let neighbour = Shot { ip: "1.0.0.1".parse().unwrap(), ..shot("1.1.1.1", probe, Heard::Silence) };
            seen.shots.push(neighbour);
            assert_eq!(outcome(&seen), Outcome::Inconclusive(Reason::TooFewTargets), "{probe:?}");
            seen.shots.push(shot("8.8.8.8", probe, Heard::Silence));
            assert_eq!(outcome(&seen), Outcome::Pass, "{probe:?}");
            seen.shots.iter_mut().filter(|shot| shot.probe == probe).for_each(|shot| shot.sent = 0);
            assert_eq!(outcome(&seen), Outcome::Inconclusive(Reason::TooFewTargets), "{probe:?}");
        }
        let quiet = Egress { tcp_ports: vec![], udp_dns: false, ..plan() };
        let mut icmp_only = silence();
        icmp_only.shots.retain(|shot| shot.probe == Probe::Icmp);
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
            let mut seen = silence();
            seen.controls = controls.iter().map(|(kind, passed)| control(*kind, *passed)).collect();
            let expected = if passes { Outcome::Pass } else { Outcome::Inconclusive(Reason::ControlFailed) };
            assert_eq!(outcome(&seen), expected, "{controls:?}");
        }
    }

    #[test]
    fn a_rejection_is_judged_by_who_sent_it() {
        let one = |by| {
            seen(move |ip, probe| match (ip, probe) {
                ("8.8.8.8", Probe::Icmp) => rejection(by),
                _ => Heard::Silence,
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
