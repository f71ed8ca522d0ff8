//! Whatever was seen: no pass without its evidence.

use std::collections::BTreeSet;
use std::net::{IpAddr, SocketAddr};
use std::time::Duration;

use proptest::collection::vec;
use proptest::option;
use proptest::prelude::*;
use proptest::sample::select;

use super::tests::{endpoint, network};
use super::{call, connect, dns, egress};
use crate::check::Family;
use crate::config::Config;
use crate::network::{Network, Scope, operator};
use crate::observation::{
    Address, AwsError, CallEvidence, Connection, Control, ControlKind, DnsEvidence, EgressEvidence,
    EgressProbe, EgressSettings, EgressSource, EndpointProtocol, IcmpSocket, LookupResult, Outcome,
    ProbeError, ProbeResult, Protocol, Query, QueryResult, QueryType, Reason, Resolver, SendError,
    SourceJudgment,
};
use crate::plan::{Egress, Endpoint};

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

fn trouble() -> impl Strategy<Value = Option<ProbeError>> {
    option::weighted(0.3, reason().prop_map(|reason| ProbeError { reason, detail: String::new() }))
}

fn outcome() -> impl Strategy<Value = Outcome> {
    prop_oneof![
        3 => Just(Outcome::Pass),
        1 => reason().prop_map(Outcome::Skipped),
        1 => reason().prop_map(Outcome::Inconclusive),
        1 => reason().prop_map(Outcome::Fail),
    ]
}

fn query_result() -> impl Strategy<Value = QueryResult> {
    let told = vec(ip(), 0..4).prop_map(|addresses| QueryResult::Addresses {
        addresses,
        ttl: None,
        aliases: vec![],
    });
    prop_oneof![
        6 => told,
        1 => Just(QueryResult::Nxdomain),
        1 => Just(QueryResult::Servfail),
        1 => Just(QueryResult::Timeout),
        1 => Just(QueryResult::Truncated { detail: String::new() }),
    ]
}

fn answer() -> impl Strategy<Value = Query> {
    let who = (select(vec![Resolver::System, Resolver::Vpc]), select(QueryType::BOTH.to_vec()));
    (who, query_result()).prop_map(|((resolver, query_type), result)| Query {
        took: Duration::ZERO,
        ..Query::of("10.0.0.2:53".parse().unwrap(), resolver, query_type, result)
    })
}

fn known_or_not() -> impl Strategy<Value = Endpoint> {
    (any::<bool>(), any::<bool>()).prop_map(|(known, require_agreement)| Endpoint {
        network: if known { network() } else { Network::default() },
        require_agreement,
        ..endpoint()
    })
}

fn address() -> impl Strategy<Value = Address> {
    (ip(), outcome()).prop_map(|(ip, outcome)| Address {
        ip,
        scope: network().scope(ip),
        outcome,
        phases: vec![],
        zone: None,
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
            protocol: EndpointProtocol::Https,
            kernel_tcp: None,
            phases: vec![],
            certificate: None,
            http_status,
            clock_skew: None,
            signature: None,
            trust_store: None,
            error,
        },
    )
}

fn called() -> impl Strategy<Value = CallEvidence> {
    let aws_error = option::weighted(
        0.2,
        select(vec!["AccessDenied", "Throttling", "Other"])
            .prop_map(|code| AwsError { code: code.into(), message: String::new() }),
    );
    let answer = (option::weighted(0.9, 200_u16..600), option::weighted(0.9, Just("id".to_owned())));
    (connection(), answer, aws_error, option::weighted(0.9, 0_usize..3)).prop_map(
        |(connection, (http_status, request_id), aws_error, metrics)| CallEvidence {
            ip: connection.ip,
            peer: connection.peer,
            kernel_tcp: None,
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

fn result() -> impl Strategy<Value = ProbeResult> {
    prop_oneof![
        20 => Just(ProbeResult::NoReply),
        1 => Just(ProbeResult::Reply { replies: 1, after: Duration::ZERO, kernel: None }),
        1 => option::of(ip()).prop_map(|by| ProbeResult::Rejected {
            by,
            how: String::new(),
            reset: by.is_none()
        }),
        1 => Just(ProbeResult::NotSent(SendError::NoRoute)),
        1 => Just(ProbeResult::NotSent(SendError::NotPermitted)),
        1 => Just(ProbeResult::NotSent(SendError::Blocked { errno: String::new() })),
        1 => Just(ProbeResult::NotSent(SendError::NoResources { errno: String::new() })),
    ]
}

fn source_ip() -> impl Strategy<Value = IpAddr> {
    select(vec!["10.0.1.23", "172.17.0.1"]).prop_map(|ip| ip.parse().unwrap())
}

fn probe() -> impl Strategy<Value = EgressProbe> {
    (
        (ip(), source_ip()),
        select(Protocol::ALL.to_vec()),
        result(),
        option::weighted(0.2, Just("www.amazon.com".to_owned())),
        any::<bool>(),
        0_u32..3,
    )
        .prop_map(|((ip, source), protocol, result, host, decoy, sent)| {
            let sent = if matches!(result, ProbeResult::NotSent(_)) { 0 } else { sent };
            let port = match protocol {
                Protocol::Icmp => None,
                Protocol::Tcp => Some(443),
                Protocol::Udp => Some(53),
            };
            let decoy = decoy && host.is_none();
            EgressProbe { host, source, ip, protocol, port, decoy, sent, result, judged: None }
        })
}

fn control() -> impl Strategy<Value = Control> {
    let kinds = vec![ControlKind::Loopback, ControlKind::Endpoint, ControlKind::Resolver];
    (select(kinds), option::of(source_ip()), any::<bool>()).prop_map(|(control, source, passed)| Control {
        control,
        source,
        target: None,
        passed,
        detail: String::new(),
    })
}

fn source() -> impl Strategy<Value = EgressSource> {
    let marks = vec![None, None, None, Some(SourceJudgment::LeftOut), Some(SourceJudgment::OverLimit)];
    (source_ip(), select(marks), any::<bool>()).prop_map(|(ip, judged, reduced)| EgressSource {
        ip,
        interface: "eth0".into(),
        reduced,
        judged,
    })
}

fn window() -> impl Strategy<Value = EgressEvidence> {
    // Mostly windows in which all is silent: those are the ones that may pass.
    let quiet =
        vec(probe().prop_map(|probe| EgressProbe { result: ProbeResult::NoReply, sent: 1, ..probe }), 0..60);
    let probes = prop_oneof![quiet, vec(probe(), 0..12)];
    (probes, vec(control(), 0..6), vec(source(), 0..3)).prop_map(|(probes, controls, sources)| {
        EgressEvidence {
            gaps: vec![],
            family: Family::Ipv4,
            window: Duration::from_secs(1),
            sources,
            family_disabled: None,
            icmp_socket: IcmpSocket::Raw,
            probes,
            controls,
            controls_passed: None,
            unresolved: vec![],
            left_out: vec![],
        }
    })
}

fn plan() -> impl Strategy<Value = Egress> {
    (any::<bool>(), any::<bool>(), any::<bool>()).prop_map(|(accept_reject, udp_dns, known)| {
        let settings = Config::default().egress.unwrap().settings;
        let udp_ports = if udp_dns { vec![53] } else { vec![] };
        Egress {
            settings: EgressSettings { tcp_ports: vec![443], udp_ports, ..settings },
            accept_reject,
            interval: Duration::from_secs(60),
            network: if known { network() } else { Network::default() },
            expected_families: vec![],
        }
    })
}

fn operators_reached(
    evidence: &EgressEvidence,
    source: IpAddr,
    protocol: Protocol,
    network: &Network,
) -> usize {
    let literals = evidence.probes.iter().filter(|probe| {
        probe.source == source
            && probe.protocol == protocol
            && probe.host.is_none()
            && !probe.decoy
            && probe.sent > 0
    });
    let strangers = literals.filter(|probe| !network.scope(probe.ip).is_inside());
    strangers.map(|probe| operator(probe.ip)).collect::<BTreeSet<u32>>().len()
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::with_cases(4_000) })]

    #[test]
    fn names_pass_only_when_every_address_that_can_be_used_is_inside(
        queries in vec(answer(), 0..8), looked_up in vec(ip(), 0..4), rotate in any::<bool>(), endpoint in known_or_not(), missing_families in vec(select(Family::BOTH.to_vec()), 0..2)
    ) {
        let mut queries = queries;
        for query in queries.iter_mut().skip(1).step_by(2) {
            query.server = "10.9.9.9:53".parse().unwrap();
        }
        let mut evidence = DnsEvidence::of("monitoring.us-east-1.amazonaws.com", queries);
        evidence.lookup.result = LookupResult::Addresses { addresses: looked_up };
        evidence.files.rotate = rotate;
        let judgment = dns(&evidence, &missing_families, &endpoint);
        let harmless = |ip: IpAddr| {
            let scope = endpoint.network.scope(ip);
            scope.is_inside() || (scope != Scope::Special && missing_families.contains(&Family::of(ip)))
        };
        if judgment.outcome == Outcome::Pass {
            prop_assert!(judgment.addresses.iter().any(|address| endpoint.network.scope(address.ip).is_inside()));
            prop_assert!(judgment.addresses.iter().all(|address| harmless(address.ip)));
            prop_assert!(evidence.lookup.addresses().iter().all(|ip| harmless(*ip)));
            let told = evidence.queries.iter().filter(|query| query.resolver == Resolver::System);
            // The library goes on to the next server, and takes nothing from one that is silent.
            let is_silent = |server| {
                evidence.queries.iter().any(|query| query.server == server && query.result == QueryResult::Timeout)
            };
            let rotates = evidence.files.rotates();
            for query in told.filter(|query| rotates && !is_silent(query.server)) {
                prop_assert!(query.result.addresses().iter().all(|ip| harmless(*ip)));
            }
        }
    }

    #[test]
    fn connections_pass_only_where_every_address_answered_by_itself(
        resolved in vec(address(), 0..4), evidence in vec(connection(), 0..6), missing_families in vec(select(Family::BOTH.to_vec()), 0..2)
    ) {
        let judgment = connect(&resolved, &evidence, &missing_families);
        if judgment.outcome == Outcome::Pass {
            prop_assert!(judgment.addresses.iter().any(|address| address.outcome == Outcome::Pass));
        }
        for (address, before) in judgment.addresses.iter().zip(&resolved) {
            if address.outcome == Outcome::Pass {
                let connection = evidence.iter().find(|connection| connection.ip == address.ip).unwrap();
                prop_assert_eq!(before.outcome, Outcome::Pass);
                prop_assert_eq!(connection.peer.map(|peer| peer.ip()), Some(address.ip));
                prop_assert!(connection.http_status.is_some() && connection.error.is_none());
            } else {
                prop_assert!(judgment.outcome != Outcome::Pass || matches!(address.outcome, Outcome::Skipped(_)));
            }
        }
    }

    #[test]
    fn calls_pass_only_with_an_answer_by_aws_from_a_verified_peer(
        connected in vec(address(), 0..4), evidence in vec(called(), 0..6)
    ) {
        let judgment = call(&connected, &evidence);
        for (address, before) in judgment.addresses.iter().zip(&connected) {
            if address.outcome == Outcome::Pass {
                let call = evidence.iter().find(|call| call.ip == address.ip).unwrap();
                prop_assert_eq!(before.outcome, Outcome::Pass);
                prop_assert_eq!(call.peer.map(|peer| peer.ip()), Some(address.ip));
                prop_assert!(call.http_status.is_some_and(|status| (200..300).contains(&status)));
                prop_assert!(call.request_id.is_some() && call.metrics.is_some());
                prop_assert!(call.aws_error.is_none() && call.error.is_none());
            } else {
                prop_assert!(judgment.outcome != Outcome::Pass || matches!(address.outcome, Outcome::Skipped(_)));
            }
        }
        prop_assert!(judgment.outcome != Outcome::Pass || judgment.addresses.iter().any(|a| a.outcome == Outcome::Pass));
    }

    #[test]
    fn silence_passes_only_when_it_would_have_been_broken(mut evidence in window(), plan in plan()) {
        let outcome = egress(&mut evidence, &plan).outcome;
        let network = &plan.network;
        let counted: Vec<&EgressProbe> = evidence.probes.iter().filter(|probe| !probe.decoy).filter(|probe| {
            let scope = network.scope(probe.ip);
            if probe.host.is_some() { scope == Scope::Public } else { !scope.is_inside() }
        }).collect();
        if counted.iter().any(|probe| matches!(probe.result, ProbeResult::Reply { .. })) {
            prop_assert!(matches!(outcome, Outcome::Fail(_)), "an answer is a failure, whatever else: {outcome:?}");
        }
        if outcome == Outcome::Pass {
            let judged = |wanted| evidence.sources.iter().filter(move |source| source.judged == Some(wanted));
            let claimed: Vec<IpAddr> = judged(SourceJudgment::Claimed).map(|source| source.ip).collect();
            prop_assert_eq!(judged(SourceJudgment::OverLimit).count(), 0);
            prop_assert!(!claimed.is_empty() || judged(SourceJudgment::NoRoute).count() > 0);
            for source in judged(SourceJudgment::NoRoute) {
                let mut unrouted = counted.iter().filter(|probe| probe.source == source.ip);
                prop_assert!(unrouted.all(|probe| probe.result == ProbeResult::NotSent(SendError::NoRoute)));
            }
            if judged(SourceJudgment::NotClaimed).count() > 0 {
                prop_assert!(!claimed.is_empty());
            }
            for ip in &claimed {
                for protocol in [Protocol::Icmp, Protocol::Tcp] {
                    prop_assert!(operators_reached(&evidence, *ip, protocol, network) >= 2, "{protocol:?}");
                }
                let off_host = |control: &&Control| control.passed && control.control != ControlKind::Loopback;
                let mut answered = evidence.controls.iter().filter(off_host);
                prop_assert!(answered.any(|control| control.source == Some(*ip)));
            }
            let loopback = evidence.controls.iter().any(|c| c.passed && c.control == ControlKind::Loopback);
            prop_assert!(claimed.is_empty() || loopback);
            for probe in counted.iter().filter(|probe| claimed.contains(&probe.source)) {
                let harmless = match &probe.result {
                    ProbeResult::NoReply | ProbeResult::NotSent(SendError::NoRoute) => true,
                    ProbeResult::Rejected { by: Some(by), .. } => match network.scope(*by) {
                        Scope::Vpc | Scope::Expected | Scope::Special => true,
                        Scope::Private => plan.accept_reject,
                        Scope::Public => false,
                    },
                    ProbeResult::Rejected { by: None, .. } => plan.accept_reject,
                    ProbeResult::Reply { .. } | ProbeResult::NotSent(_) => false,
                };
                prop_assert!(harmless, "{probe:?}");
            }
        }
    }
}
