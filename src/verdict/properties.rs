//! Whatever was seen: no pass without its evidence.

use std::collections::BTreeSet;
use std::net::{IpAddr, SocketAddr};
use std::time::Duration;

use proptest::collection::vec;
use proptest::option;
use proptest::prelude::*;
use proptest::sample::select;

use super::tests::{ladder, network};
use super::{call, connect, dns, egress};
use crate::check::Family;
use crate::network::{Network, Scope, operator};
use crate::observation::{
    Address, Answer, AwsError, CallSeen, Connection, Control, ControlKind, DnsSeen, EgressSeen, Heard,
    IcmpSocket, Outcome, Outgoing, Probe, Question, Reason, Reply, Resolver, Shot, Transport, Trouble,
};
use crate::plan::{Egress, Ladder};

fn ip() -> impl Strategy<Value = IpAddr> {
    let pool = [
        "10.0.1.57",
        "10.0.2.113",
        "10.99.0.1",
        "203.0.113.20",
        "127.0.0.1",
        "169.254.1.1",
        "2001:db8:1234:1::57",
        "2001:db8:ffff::20",
        "fd00::1",
        "64:ff9b::808:808",
        "1.1.1.1",
        "8.8.8.8",
        "9.9.9.9",
        "1.0.0.1",
    ];
    select(pool.map(|ip| ip.parse::<IpAddr>().unwrap()).to_vec())
}

fn reason() -> impl Strategy<Value = Reason> {
    select(Reason::ALL.to_vec())
}

fn trouble() -> impl Strategy<Value = Option<Trouble>> {
    option::weighted(0.3, reason().prop_map(|reason| Trouble { reason, detail: String::new() }))
}

fn outcome() -> impl Strategy<Value = Outcome> {
    prop_oneof![
        3 => Just(Outcome::Pass),
        1 => reason().prop_map(Outcome::Skipped),
        1 => reason().prop_map(Outcome::Inconclusive),
        1 => reason().prop_map(Outcome::Fail),
    ]
}

fn reply() -> impl Strategy<Value = Reply> {
    let told =
        vec(ip(), 0..4).prop_map(|addresses| Reply::Addresses { addresses, ttl: None, aliases: vec![] });
    prop_oneof![
        6 => told,
        1 => Just(Reply::Nxdomain),
        1 => Just(Reply::Servfail),
        1 => Just(Reply::Timeout),
        1 => Just(Reply::Truncated { detail: String::new() }),
    ]
}

fn answer() -> impl Strategy<Value = Answer> {
    let who = (select(vec![Resolver::System, Resolver::Vpc]), select(vec![Question::A, Question::Aaaa]));
    (who, reply()).prop_map(|((resolver, question), reply)| Answer {
        server: "10.0.0.2:53".parse().unwrap(),
        resolver,
        question,
        transport: Transport::Udp,
        retransmitted: false,
        took: Duration::ZERO,
        reply,
    })
}

fn known_or_not() -> impl Strategy<Value = Ladder> {
    (any::<bool>(), any::<bool>()).prop_map(|(known, require_agreement)| Ladder {
        network: if known { network() } else { Network::default() },
        require_agreement,
        ..ladder()
    })
}

fn address() -> impl Strategy<Value = Address> {
    (ip(), outcome()).prop_map(|(ip, outcome)| Address {
        ip,
        scope: network().scope(ip),
        outcome,
        phases: vec![],
    })
}

fn peer() -> impl Strategy<Value = Option<SocketAddr>> {
    option::weighted(0.9, ip().prop_map(|ip| SocketAddr::new(ip, 443)))
}

fn connection() -> impl Strategy<Value = Connection> {
    (ip(), peer(), any::<bool>(), option::weighted(0.9, 200_u16..600), trouble()).prop_map(
        |(ip, other, same, http_status, error)| Connection {
            ip,
            peer: if same { Some(SocketAddr::new(ip, 443)) } else { other },
            phases: vec![],
            certificate: None,
            http_status,
            clock_skew: None,
            error,
        },
    )
}

fn called() -> impl Strategy<Value = CallSeen> {
    let aws_error = option::weighted(
        0.2,
        select(vec!["AccessDenied", "Throttling", "Other"])
            .prop_map(|code| AwsError { code: code.into(), message: String::new() }),
    );
    let answer = (option::weighted(0.9, 200_u16..600), option::weighted(0.9, Just("id".to_owned())));
    (connection(), answer, aws_error, option::weighted(0.9, 0_usize..3)).prop_map(
        |(connection, (http_status, request_id), aws_error, metrics)| CallSeen {
            ip: connection.ip,
            peer: connection.peer,
            phases: vec![],
            http_status,
            request_id,
            aws_error,
            metrics,
            clock_skew: None,
            error: connection.error,
        },
    )
}

fn heard() -> impl Strategy<Value = Heard> {
    prop_oneof![
        20 => Just(Heard::Silence),
        1 => Just(Heard::Answer { replies: 1, after: Duration::ZERO }),
        1 => option::of(ip()).prop_map(|by| Heard::Rejection { by, how: String::new() }),
        1 => Just(Heard::Unsent(Outgoing::NoRoute)),
        1 => Just(Heard::Unsent(Outgoing::NotPermitted)),
        1 => Just(Heard::Unsent(Outgoing::Blocked { errno: String::new() })),
    ]
}

fn shot() -> impl Strategy<Value = Shot> {
    (
        ip(),
        select(Probe::ALL.to_vec()),
        heard(),
        option::weighted(0.2, Just("www.amazon.com".to_owned())),
        0_u32..3,
    )
        .prop_map(|(ip, probe, heard, host, sent)| {
            let sent = if matches!(heard, Heard::Unsent(_)) { 0 } else { sent };
            Shot { host, ip, probe, port: None, sent, heard }
        })
}

fn control() -> impl Strategy<Value = Control> {
    let kinds = vec![ControlKind::Loopback, ControlKind::Endpoint, ControlKind::Resolver];
    (select(kinds), any::<bool>()).prop_map(|(control, passed)| Control {
        control,
        target: None,
        passed,
        detail: String::new(),
    })
}

fn window() -> impl Strategy<Value = EgressSeen> {
    // Mostly windows in which all is silent: those are the ones that may pass.
    let quiet = vec(shot().prop_map(|shot| Shot { heard: Heard::Silence, sent: 1, ..shot }), 0..30);
    let shots = prop_oneof![quiet, vec(shot(), 0..12)];
    (shots, vec(control(), 0..4), vec(ip(), 0..2)).prop_map(|(shots, controls, own_addresses)| EgressSeen {
        family: Family::Ipv4,
        window: Duration::from_secs(1),
        own_addresses,
        icmp_socket: IcmpSocket::Raw,
        shots,
        controls,
        unresolved: vec![],
    })
}

fn plan() -> impl Strategy<Value = Egress> {
    (any::<bool>(), any::<bool>(), any::<bool>()).prop_map(|(accept_reject, udp_dns, known)| Egress {
        hosts: vec![],
        addresses: vec![],
        tcp_ports: vec![443],
        udp_dns,
        accept_reject,
        window: Duration::from_secs(1),
        interval: Duration::from_secs(60),
        network: if known { network() } else { Network::default() },
        promised: vec![],
    })
}

fn operators_reached(seen: &EgressSeen, probe: Probe, network: &Network) -> usize {
    let literals =
        seen.shots.iter().filter(|shot| shot.probe == probe && shot.host.is_none() && shot.sent > 0);
    let strangers = literals.filter(|shot| !network.scope(shot.ip).is_inside());
    strangers.map(|shot| operator(shot.ip)).collect::<BTreeSet<u32>>().len()
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::with_cases(4_000) })]

    #[test]
    fn names_pass_only_when_every_address_that_can_be_used_is_inside(
        answers in vec(answer(), 0..8), hosts_file in vec(ip(), 0..2), ladder in known_or_not(), lacking in vec(select(Family::BOTH.to_vec()), 0..2)
    ) {
        let seen = DnsSeen { host: "monitoring.us-east-1.amazonaws.com".into(), answers, hosts_file };
        let judgement = dns(&seen, &lacking, &ladder);
        let harmless = |ip: IpAddr| {
            let scope = ladder.network.scope(ip);
            scope.is_inside() || (scope != Scope::Special && lacking.contains(&Family::of(ip)))
        };
        if judgement.outcome == Outcome::Pass {
            prop_assert!(judgement.addresses.iter().any(|address| ladder.network.scope(address.ip).is_inside()));
            prop_assert!(judgement.addresses.iter().all(|address| harmless(address.ip)));
            let told = seen.answers.iter().filter(|answer| answer.resolver == Resolver::System);
            for answer in told {
                if let Reply::Addresses { addresses, .. } = &answer.reply {
                    prop_assert!(addresses.iter().all(|ip| harmless(*ip)));
                }
            }
        }
    }

    #[test]
    fn connections_pass_only_where_every_address_answered_by_itself(
        resolved in vec(address(), 0..4), seen in vec(connection(), 0..6), lacking in vec(select(Family::BOTH.to_vec()), 0..2)
    ) {
        let judgement = connect(&resolved, &seen, &lacking);
        if judgement.outcome == Outcome::Pass {
            prop_assert!(judgement.addresses.iter().any(|address| address.outcome == Outcome::Pass));
        }
        for (address, before) in judgement.addresses.iter().zip(&resolved) {
            if address.outcome == Outcome::Pass {
                let connection = seen.iter().find(|connection| connection.ip == address.ip).unwrap();
                prop_assert_eq!(before.outcome, Outcome::Pass);
                prop_assert_eq!(connection.peer.map(|peer| peer.ip()), Some(address.ip));
                prop_assert!(connection.http_status.is_some() && connection.error.is_none());
            } else {
                prop_assert!(judgement.outcome != Outcome::Pass || matches!(address.outcome, Outcome::Skipped(_)));
            }
        }
    }

    #[test]
    fn calls_pass_only_with_an_answer_by_aws_from_a_verified_peer(
        connected in vec(address(), 0..4), seen in vec(called(), 0..6)
    ) {
        let judgement = call(&connected, &seen);
        for (address, before) in judgement.addresses.iter().zip(&connected) {
            if address.outcome == Outcome::Pass {
                let call = seen.iter().find(|call| call.ip == address.ip).unwrap();
                prop_assert_eq!(before.outcome, Outcome::Pass);
                prop_assert_eq!(call.peer.map(|peer| peer.ip()), Some(address.ip));
                prop_assert!(call.http_status.is_some_and(|status| (200..300).contains(&status)));
                prop_assert!(call.request_id.is_some() && call.metrics.is_some());
                prop_assert!(call.aws_error.is_none() && call.error.is_none());
            } else {
                prop_assert!(judgement.outcome != Outcome::Pass || matches!(address.outcome, Outcome::Skipped(_)));
            }
        }
        prop_assert!(judgement.outcome != Outcome::Pass || judgement.addresses.iter().any(|a| a.outcome == Outcome::Pass));
    }

    #[test]
    fn silence_passes_only_when_it_would_have_been_broken(seen in window(), plan in plan()) {
        let counted: Vec<&Shot> = seen.shots.iter()
            .filter(|shot| shot.host.is_none() || plan.network.scope(shot.ip) == Scope::Public).collect();
        let answered = counted.iter().any(|shot| matches!(shot.heard, Heard::Answer { .. }));
        let outcome = egress(&seen, &plan).outcome;
        if answered {
            prop_assert!(matches!(outcome, Outcome::Fail(_)), "an answer is a leak, whatever else: {outcome:?}");
        }
        if outcome == Outcome::Pass {
            prop_assert!(!seen.own_addresses.is_empty());
            let unrouted = |shot: &&&Shot| shot.heard == Heard::Unsent(Outgoing::NoRoute);
            if counted.iter().filter(unrouted).count() == counted.len() && !counted.is_empty() {
                return Ok(());
            }
            let kinds = [Some(Probe::Icmp), Some(Probe::Tcp), plan.udp_dns.then_some(Probe::Udp)];
            for probe in kinds.into_iter().flatten() {
                prop_assert!(operators_reached(&seen, probe, &plan.network) >= 2, "{probe:?}");
            }
            let held = |kind| seen.controls.iter().any(|control| control.passed && control.control == kind);
            prop_assert!(held(ControlKind::Loopback) && (held(ControlKind::Endpoint) || held(ControlKind::Resolver)));
            for shot in counted {
                let harmless = match &shot.heard {
                    Heard::Silence | Heard::Unsent(Outgoing::NoRoute) => true,
                    Heard::Rejection { by, .. } => {
                        plan.accept_reject || by.is_some_and(|by| {
                            let scope = plan.network.scope(by);
                            scope.is_inside() || scope == Scope::Special
                        })
                    }
                    Heard::Answer { .. } | Heard::Unsent(_) => false,
                };
                prop_assert!(harmless, "{shot:?}");
            }
        }
    }
}
