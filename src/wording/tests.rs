use std::time::Duration;

use super::*;
use crate::check::{CheckId, Family, Step};
use crate::network::Scope;
use crate::observation::{
    ControlKind, CredentialsEvidence, DnsEvidence, EgressProbe, EgressSource, Evidence, HostsEntry,
    InstanceEvidence, NotAttempted, Observation, Outcome, Phase, ProbeError, ProbeJudgment, ProbeResult,
    Proof, ProofEvidence, Protocol, QueryResult, QueryType, Reason, Resolver, SendError, SourceJudgment,
};
use crate::report::fixture::{
    DENIAL, HOST, addresses, answered, at, bent, broken, call, connect, control, dns, egress, healthy, ip,
    listed, no_ipv6, observed, probe, query, refused, silent_probes, skipped, step, unresolved,
};

fn full(observation: &Observation) -> String {
    summary(observation, Length::Full)
}

fn brief(observation: &Observation) -> String {
    summary(observation, Length::Brief)
}

fn assert_summaries(cases: Vec<(Observation, &str)>) {
    for (observation, expected) in cases {
        let actual = full(&observation);
        assert_eq!(actual, expected, "{:?}", observation.outcome);
    }
}

fn answers(mut observation: Observation, change: impl FnOnce(&mut DnsEvidence)) -> Observation {
    if let Evidence::Dns(evidence) = &mut observation.evidence {
        change(evidence);
    }
    observation
}

const VPC: (&str, Scope) = ("10.0.1.57", Scope::Vpc);

#[test]
fn names_tell_where_they_led() {
    let fail = Outcome::Fail;
    let unknown = Outcome::Inconclusive(Reason::VpcCidrsUnknown);
    assert_summaries(vec![
        (
            dns(Outcome::Pass, &[VPC, ("10.0.2.113", Scope::Vpc)]),
            "monitoring.us-east-1.amazonaws.com resolved to 10.0.1.57, 10.0.2.113, inside the VPC",
        ),
        (
            dns(Outcome::Pass, &[VPC, ("10.50.0.9", Scope::Expected)]),
            "monitoring.us-east-1.amazonaws.com resolved to 10.0.1.57, 10.50.0.9, inside expected_cidrs",
        ),
        (
            dns(Outcome::Pass, &[("52.216.1.1", Scope::Public)]),
            "monitoring.us-east-1.amazonaws.com resolved to 52.216.1.1, public as for every gateway endpoint",
        ),
        (
            dns(fail(Reason::PublicAddress), &[("203.0.113.20", Scope::Public)]),
            "monitoring.us-east-1.amazonaws.com resolved to 203.0.113.20, outside the VPC",
        ),
        (
            dns(fail(Reason::OutsideVpc), &[("10.9.0.1", Scope::Private)]),
            "monitoring.us-east-1.amazonaws.com resolved to 10.9.0.1, outside the VPC",
        ),
        (
            dns(fail(Reason::MixedAddresses), &[VPC, ("203.0.113.20", Scope::Public)]),
            "monitoring.us-east-1.amazonaws.com resolved to 203.0.113.20, outside the VPC, and 10.0.1.57, inside the VPC",
        ),
        (
            dns(unknown, &[("10.9.0.1", Scope::Private)]),
            "monitoring.us-east-1.amazonaws.com resolved to 10.9.0.1, but the VPC's CIDRs are unknown",
        ),
        (
            answers(dns(fail(Reason::SpecialAddress), &[("127.0.0.1", Scope::Special)]), |evidence| {
                evidence.files.hosts = vec![HostsEntry { line: 2, address: ip("127.0.0.1") }];
            }),
            "monitoring.us-east-1.amazonaws.com resolved to 127.0.0.1 (/etc/hosts), where no endpoint can be",
        ),
        (
            answers(dns(fail(Reason::PublicAddress), &[("203.0.113.20", Scope::Public)]), |evidence| {
                evidence.queries[2].result = addresses(&["10.0.1.57"]);
            }),
            "monitoring.us-east-1.amazonaws.com resolved to 203.0.113.20, outside the VPC; the VPC resolver returns 10.0.1.57",
        ),
        (
            answers(dns(Outcome::Pass, &[VPC]), |evidence| {
                evidence.queries[2].result = addresses(&["10.0.1.57", "10.0.2.113"]);
            }),
            "monitoring.us-east-1.amazonaws.com resolved to 10.0.1.57, inside the VPC; the VPC resolver also returns 10.0.2.113",
        ),
        (
            answers(dns(Outcome::Pass, &[VPC, ("10.0.2.113", Scope::Vpc)]), |evidence| {
                evidence.queries[2].result = addresses(&["10.0.1.57"]);
            }),
            "monitoring.us-east-1.amazonaws.com resolved to 10.0.1.57, 10.0.2.113, inside the VPC; the VPC resolver does not return 10.0.2.113",
        ),
        (
            answers(dns(fail(Reason::QueryTimeout), &[VPC]), |evidence| {
                evidence.queries[1].result = QueryResult::Timeout;
            }),
            "monitoring.us-east-1.amazonaws.com resolved to 10.0.1.57, inside the VPC; 127.0.0.53:53 did not respond within 1.1 ms",
        ),
    ]);
}

#[test]
fn names_without_an_address_tell_who_said_what() {
    let said = |result: QueryResult| unresolved(Reason::ServerFailure, &result);
    let detail = || "sad".to_owned();
    assert_summaries(vec![
        (
            said(QueryResult::Nxdomain),
            "monitoring.us-east-1.amazonaws.com: 127.0.0.53:53 returned NXDOMAIN (no such name)",
        ),
        (
            said(addresses(&[])),
            "monitoring.us-east-1.amazonaws.com: 127.0.0.53:53 returned no address (NODATA)",
        ),
        (said(QueryResult::Servfail), "monitoring.us-east-1.amazonaws.com: 127.0.0.53:53 returned SERVFAIL"),
        (
            said(QueryResult::Refused),
            "monitoring.us-east-1.amazonaws.com: 127.0.0.53:53 refused the query (REFUSED)",
        ),
        (
            said(QueryResult::OtherCode { rcode: 4 }),
            "monitoring.us-east-1.amazonaws.com: 127.0.0.53:53 returned response code 4",
        ),
        (
            said(QueryResult::Truncated { detail: detail() }),
            "monitoring.us-east-1.amazonaws.com: 127.0.0.53:53 truncated its response, and TCP failed: sad",
        ),
        (
            said(QueryResult::Timeout),
            "monitoring.us-east-1.amazonaws.com: 127.0.0.53:53 did not respond within 1.1 ms",
        ),
        (
            said(QueryResult::Unreachable { detail: detail() }),
            "monitoring.us-east-1.amazonaws.com: 127.0.0.53:53 is unreachable: sad",
        ),
        (
            said(QueryResult::Invalid { detail: detail() }),
            "monitoring.us-east-1.amazonaws.com: 127.0.0.53:53 sent an invalid response: sad",
        ),
        (
            answers(said(QueryResult::Servfail), |evidence| {
                evidence.queries = vec![query(Resolver::Vpc, QueryType::A, addresses(&["10.0.1.57"]))];
            }),
            "the VPC resolver returns 10.0.1.57",
        ),
        (
            answers(said(QueryResult::Servfail), |evidence| evidence.queries.clear()),
            "monitoring.us-east-1.amazonaws.com: the resolver failed",
        ),
    ]);
}

#[test]
fn connections_tell_the_worst_first() {
    let waited = vec![(Phase::Tcp, Duration::from_secs(3))];
    let dead = |text| broken(text, Reason::ConnectTimeout, waited.clone(), "elapsed");
    let mut leaky = answered("203.0.113.20");
    leaky.0.outcome = Outcome::Fail(Reason::AddressOutsideVpc);
    let mut cold = dead("203.0.113.20");
    cold.0.outcome = Outcome::Fail(Reason::AddressOutsideVpc);
    let mut other = answered("2001:db8::57");
    other.0.outcome = Outcome::Skipped(Reason::FamilyUnavailable);
    let untrusted = broken("10.0.1.57", Reason::CertificateUntrusted, vec![], "unknown issuer");
    assert_summaries(vec![
        (
            connect(vec![answered("10.0.1.57"), answered("10.0.2.113")]),
            "10.0.1.57, 10.0.2.113: TLS and HTTP answered",
        ),
        (
            connect(vec![answered("10.0.1.57"), dead("10.0.2.113")]),
            "10.0.2.113: TCP connect timed out after 3 s; 10.0.1.57 answered in 3.4 ms",
        ),
        (
            connect(vec![dead("10.0.1.57"), dead("10.0.2.113")]),
            "10.0.1.57, 10.0.2.113: TCP connect timed out after 3 s",
        ),
        (connect(vec![untrusted]), "10.0.1.57: the certificate is not trusted: unknown issuer"),
        (connect(vec![leaky]), "203.0.113.20: outside the VPC, although TLS and HTTP answered"),
        (connect(vec![cold]), "203.0.113.20: outside the VPC, TCP connect timed out"),
        (
            connect(vec![answered("10.0.1.57"), answered("10.0.1.58"), other.clone()]),
            "10.0.1.57, 10.0.1.58: TLS and HTTP answered; 2001:db8::57: the instance has no global address of this family, although TLS and HTTP answered",
        ),
    ]);
    other.1.http_status = None;
    assert_summaries(vec![(connect(vec![other]), "2001:db8::57: the instance has no IPv6")]);
}

#[test]
fn calls_tell_what_aws_said() {
    let denied =
        |text| refused(text, Outcome::Fail(Reason::DeniedByIdentityPolicy), 403, "AccessDenied", DENIAL);
    let throttled =
        refused("10.0.1.57", Outcome::Inconclusive(Reason::Throttled), 400, "Throttling", "Rate exceeded");
    let mut late = refused(
        "10.0.1.57",
        Outcome::Fail(Reason::ClockSkew),
        403,
        "SignatureDoesNotMatch",
        "Signature expired",
    );
    late.1.clock_skew = Some(420);
    let mut strange = listed("10.0.1.57");
    strange.0.outcome = Outcome::Fail(Reason::NotAnAwsAnswer);
    let mut cut = strange.clone();
    cut.0.outcome = Outcome::Fail(Reason::ResponseTimeout);
    cut.0.phases = vec![(Phase::Response, Duration::from_secs(3))];
    cut.1.error = Some(ProbeError { reason: Reason::ResponseTimeout, detail: "elapsed".into() });
    let mut proven = call(vec![listed("10.0.1.57"), listed("10.0.2.113")]);
    if let Evidence::Call { proof, .. } = &mut proven.evidence {
        *proof = Some(ProofEvidence { condition: Proof::SourceVpce, proven: true });
    }
    assert_eq!(brief(&proven), "2 of 2 answered; proven by aws:SourceVpce");
    assert_summaries(vec![
        (
            proven,
            "ListMetrics answered on 2 of 2 interfaces; proven by aws:SourceVpce (request id 1b2c3d4e-0000-4000-8000-000000000001)",
        ),
        (
            call(vec![listed("10.0.1.57"), listed("10.0.2.113")]),
            "ListMetrics answered on 2 of 2 interfaces (request id 1b2c3d4e-0000-4000-8000-000000000001)",
        ),
        (
            call(vec![listed("10.0.1.57")]),
            "ListMetrics answered on 1 of 1 interface (request id 1b2c3d4e-0000-4000-8000-000000000001)",
        ),
        (
            call(vec![denied("10.0.1.57"), denied("10.0.2.113")]),
            "10.0.1.57, 10.0.2.113: AccessDenied: … because no identity-based policy allows the cloudwatch:ListMetrics action",
        ),
        (
            call(vec![throttled, listed("10.0.2.113")]),
            "10.0.1.57: Throttling: Rate exceeded; ListMetrics answered over 10.0.2.113 in 3.4 ms",
        ),
        (call(vec![late]), "10.0.1.57: the clock is 7 min behind the service's (SignatureDoesNotMatch)"),
        (call(vec![strange]), "10.0.1.57: the response is not from AWS (HTTP 200)"),
        (call(vec![cut]), "10.0.1.57: HTTP response timed out after 3 s"),
    ]);
}

/// What was seen comes first, and in the table as much of it as there is room for.
#[test]
fn a_call_that_passed_beside_what_was_not_called_begins_with_the_answer() {
    let beside = |ips: &[&str], reason| {
        let mut observation = call(vec![listed("10.0.1.57")]);
        for text in ips {
            let mut address = observation.addresses[0].clone();
            (address.ip, address.outcome) = (ip(text), Outcome::Skipped(reason));
            observation.addresses.push(address);
        }
        observation
    };
    let dead = beside(&["10.0.2.113"], Reason::PrerequisiteFailed);
    let other = beside(&["2001:db8::57", "2001:db8::58"], Reason::FamilyUnavailable);
    let mut several = call(vec![listed("10.0.1.57"), listed("10.0.1.58")]);
    several.addresses.push(dead.addresses[1].clone());
    let mut proven = dead.clone();
    if let Evidence::Call { proof, .. } = &mut proven.evidence {
        *proof = Some(ProofEvidence { condition: Proof::SourceVpc, proven: true });
    }
    for (observation, whole, short) in [
        (
            dead,
            "ListMetrics answered over 10.0.1.57 in 3.4 ms; 10.0.2.113: not called, monitoring/connect did not pass",
            "1 of 2 answered; 10.0.2.113 not called",
        ),
        (
            other,
            "ListMetrics answered over 10.0.1.57 in 3.4 ms; 2001:db8::57, 2001:db8::58: not called, the instance has no IPv6",
            "1 of 3 answered; 2 not called",
        ),
        (
            several,
            "ListMetrics answered on 2 of 3 interfaces; 10.0.2.113: not called, monitoring/connect did not pass",
            "2 of 3 answered; 10.0.2.113 not called",
        ),
        (
            proven,
            "ListMetrics answered over 10.0.1.57 in 3.4 ms; proven by aws:SourceVpc; 10.0.2.113: not called, monitoring/connect did not pass",
            "1 of 2 answered; proven by aws:SourceVpc",
        ),
    ] {
        assert_eq!(full(&observation), whole);
        assert_eq!(brief(&observation), short);
    }
}

#[test]
fn the_table_counts_what_it_cannot_list() {
    let many: Vec<String> = (50..65).map(|last| format!("10.0.1.{last}")).collect();
    let all: Vec<(&str, Scope)> = many.iter().map(|ip| (ip.as_str(), Scope::Vpc)).collect();
    assert_eq!(brief(&dns(Outcome::Pass, &all)), "15 addresses, inside the VPC");
    assert_eq!(brief(&dns(Outcome::Pass, &all[..3])), "10.0.1.50, 10.0.1.51, 10.0.1.52, inside the VPC");
    let connections = many.iter().map(|ip| answered(ip)).collect();
    assert_eq!(brief(&connect(connections)), "15 addresses: TLS and HTTP answered");
}

fn set(probe: &mut EgressProbe, result: ProbeResult, judged: ProbeJudgment) {
    probe.result = result;
    probe.judged = Some(judged);
}

#[test]
fn a_leak_is_told_in_brief_in_the_table() {
    let after = Duration::from_millis(12);
    let mut probes = silent_probes();
    set(&mut probes[0], ProbeResult::Reply { replies: 2, after, kernel: None }, ProbeJudgment::Leak);
    set(&mut probes[1], ProbeResult::Reply { replies: 1, after, kernel: None }, ProbeJudgment::Leak);
    let leak = |probes| brief(&egress(Outcome::Fail(Reason::IcmpReply), probes));
    let count = probes.len();
    assert_eq!(
        leak(probes.clone()),
        format!("ping 1.1.1.1 replied to 2 of 5; 2 of {count} probes reached the internet")
    );
    set(&mut probes[0], ProbeResult::NoReply, ProbeJudgment::Silent);
    assert_eq!(
        leak(probes.clone()),
        format!("TCP 1.1.1.1:443 connected; 1 of {count} probes reached the internet")
    );
    let by = Some(ip("198.51.100.1"));
    let rejected = ProbeResult::Rejected { by, how: "host unreachable".into(), reset: false };
    set(&mut probes[1], rejected, ProbeJudgment::Leak);
    let outside = brief(&egress(Outcome::Fail(Reason::ErrorFromOutside), probes));
    assert_eq!(
        outside,
        format!("TCP 1.1.1.1:443 rejected by 198.51.100.1; 1 of {count} probes reached the internet")
    );
}

#[test]
#[expect(clippy::too_many_lines, reason = "one table")]
fn the_window_tells_what_was_heard() {
    use ProbeJudgment::{Intercepted, Leak, NotSent, Rejected, RejectedHere, RejectedNearby};
    let result = |outcome, index: usize, result: ProbeResult, judged| {
        let mut probes = silent_probes();
        set(&mut probes[index], result, judged);
        egress(outcome, probes)
    };
    let (fail, unseen) = (Outcome::Fail, Outcome::Inconclusive);
    let after = Duration::from_millis(12);
    let by = |text: &str| ProbeResult::Rejected {
        by: Some(ip(text)),
        how: "host unreachable".into(),
        reset: false,
    };
    let reset = ProbeResult::Rejected { by: None, how: "RST".into(), reset: true };
    let mut unrouted = silent_probes();
    for probe in &mut unrouted {
        set(probe, ProbeResult::NotSent(SendError::NoRoute), ProbeJudgment::NoRoute);
    }
    let mut two_sources = silent_probes();
    two_sources[0].source = ip("10.0.3.23");
    set(&mut two_sources[0], ProbeResult::Reply { replies: 5, after, kernel: None }, Leak);
    let other = |ip_text: &str, judged| EgressSource {
        ip: ip(ip_text),
        interface: "eth1".into(),
        reduced: false,
        judged: Some(judged),
    };
    let mut own = silent_probes();
    own.push(EgressProbe { port: Some(8443), ..probe(Protocol::Tcp, "9.9.9.9", 2, ProbeResult::NoReply) });
    let named = |probe: &mut EgressProbe| probe.host = Some("www.amazon.com".into());
    let mut by_name =
        probe(Protocol::Tcp, "203.0.113.80", 1, ProbeResult::Reply { replies: 1, after, kernel: None });
    named(&mut by_name);
    assert_summaries(vec![
        (
            egress(Outcome::Pass, silent_probes()),
            "no reply from 4 targets (ICMP, TCP 443, UDP 53) to 10.0.1.10; control 10.0.1.57:443 connected",
        ),
        (
            egress(Outcome::Pass, own),
            "no reply from 4 targets (ICMP, TCP 443, UDP 53, TCP 8443 to 9.9.9.9) to 10.0.1.10; control 10.0.1.57:443 connected",
        ),
        (
            bent(egress(Outcome::Pass, silent_probes()), |evidence| evidence.controls[1].passed = false),
            "no reply from 4 targets (ICMP, TCP 443, UDP 53) to 10.0.1.10; control: only the resolver \
             169.254.169.253:53 answered",
        ),
        (
            bent(egress(Outcome::Pass, silent_probes()), |evidence| {
                evidence.sources.push(other("172.17.0.1", SourceJudgment::NotClaimed));
                evidence.sources.push(other("10.0.4.4", SourceJudgment::NoRoute));
                evidence.left_out = vec!["udp/123", "decoys"];
            }),
            "no reply from 4 targets (ICMP, TCP 443, UDP 53) to 10.0.1.10; no route from 10.0.4.4; not claimed for 172.17.0.1; not probed by configuration: udp/123, decoys; control 10.0.1.57:443 connected",
        ),
        (
            result(Outcome::Pass, 1, by("10.0.0.1"), RejectedNearby),
            "no reply from 4 targets (ICMP, TCP 443, UDP 53) to 10.0.1.10, 1 of 10 probes rejected from nearby; control 10.0.1.57:443 connected",
        ),
        (
            bent(egress(Outcome::Pass, unrouted), |evidence| evidence.controls_passed = None),
            "no route to any of 4 targets; nothing was sent",
        ),
        (
            result(
                fail(Reason::TcpConnected),
                1,
                ProbeResult::Reply { replies: 1, after, kernel: None },
                Leak,
            ),
            "TCP 1.1.1.1:443 connected after 12 ms",
        ),
        (
            result(fail(Reason::IcmpReply), 0, ProbeResult::Reply { replies: 2, after, kernel: None }, Leak),
            "ping 1.1.1.1 replied to 2 of 5, first after 12 ms",
        ),
        (
            result(fail(Reason::UdpReply), 2, ProbeResult::Reply { replies: 1, after, kernel: None }, Leak),
            "UDP 1.1.1.1:53 replied to 1 of 1, first after 12 ms",
        ),
        (
            egress(fail(Reason::TcpConnected), vec![by_name]),
            "TCP 203.0.113.80:443 (www.amazon.com) connected after 12 ms",
        ),
        (
            egress(
                fail(Reason::TcpConnected),
                vec![
                    probe(
                        Protocol::Icmp,
                        "1.1.1.1",
                        5,
                        ProbeResult::Reply { replies: 5, after, kernel: None },
                    ),
                    probe(
                        Protocol::Tcp,
                        "1.1.1.1",
                        1,
                        ProbeResult::Reply { replies: 1, after, kernel: None },
                    ),
                    probe(Protocol::Udp, "1.1.1.1", 1, ProbeResult::NoReply),
                ],
            ),
            "TCP 1.1.1.1:443 connected after 12 ms, and 1 more of 3 probes",
        ),
        (
            egress(
                fail(Reason::ErrorFromOutside),
                vec![
                    EgressProbe {
                        judged: Some(RejectedNearby),
                        ..probe(Protocol::Icmp, "1.1.1.1", 5, by("10.0.0.1"))
                    },
                    EgressProbe {
                        judged: Some(Leak),
                        ..probe(Protocol::Icmp, "8.8.8.8", 5, by("198.51.100.1"))
                    },
                ],
            ),
            "ping 8.8.8.8 rejected by 198.51.100.1: host unreachable",
        ),
        (
            result(unseen(Reason::Rejected), 1, reset, Rejected),
            "TCP 1.1.1.1:443 rejected by an unknown sender: RST",
        ),
        (
            result(unseen(Reason::Rejected), 1, by("10.200.0.1"), Rejected),
            "TCP 1.1.1.1:443 rejected by 10.200.0.1: host unreachable",
        ),
        (
            result(
                fail(Reason::TrafficIntercepted),
                1,
                ProbeResult::Reply { replies: 1, after, kernel: None },
                Intercepted,
            ),
            "TCP 1.1.1.1:443 connected after 12 ms",
        ),
        (
            bent(egress(fail(Reason::IcmpReply), two_sources), |evidence| {
                evidence.sources.push(other("10.0.3.23", SourceJudgment::NotClaimed));
            }),
            "ping 1.1.1.1 replied to 5 of 5, first after 12 ms, from 10.0.3.23",
        ),
        (
            result(unseen(Reason::NotPermitted), 0, ProbeResult::NotSent(SendError::NotPermitted), NotSent),
            "ping 1.1.1.1 not sent: no socket could be opened",
        ),
        (
            result(
                unseen(Reason::SendBlocked),
                1,
                ProbeResult::NotSent(SendError::Blocked { errno: "EPERM".into() }),
                NotSent,
            ),
            "TCP 1.1.1.1:443 not sent: EPERM (blocked on this host)",
        ),
        (
            result(unseen(Reason::SendBlocked), 1, by("10.0.1.10"), RejectedHere),
            "TCP 1.1.1.1:443 rejected by 10.0.1.10: host unreachable",
        ),
        (
            result(
                unseen(Reason::NoResources),
                1,
                ProbeResult::NotSent(SendError::NoResources { errno: "Too many open files".into() }),
                NotSent,
            ),
            "TCP 1.1.1.1:443 not sent: Too many open files",
        ),
        (
            bent(egress(unseen(Reason::ControlFailed), silent_probes()), |evidence| {
                evidence.controls = vec![control(ControlKind::Endpoint, "10.0.1.57:443", false, "no answer")];
            }),
            "silence proves nothing: control endpoint 10.0.1.57:443: failed (no answer)",
        ),
        (
            bent(egress(unseen(Reason::ControlFailed), silent_probes()), |evidence| {
                evidence.controls.clear();
            }),
            "no control was available, so silence proves nothing",
        ),
        (
            egress(unseen(Reason::TooFewTargets), vec![]),
            "too few targets were probed for silence to prove anything",
        ),
        (
            bent(egress(unseen(Reason::FamilyMissing), vec![]), |evidence| evidence.family = Family::Ipv6),
            "metadata lists an IPv6 address, but the instance has none",
        ),
        (
            bent(egress(unseen(Reason::FamilyMissing), vec![]), |evidence| {
                evidence.family = Family::Ipv6;
                evidence.family_disabled = Some("net.ipv6.conf.eth0.disable_ipv6 = 1".into());
            }),
            "metadata lists an IPv6 address, but the instance has none (net.ipv6.conf.eth0.disable_ipv6 = 1)",
        ),
        (no_ipv6(), "the instance has no global IPv6 address"),
    ]);
}

#[test]
fn the_instance_and_its_credentials_tell_who_they_are() {
    let healthy = healthy();
    assert_eq!(
        healthy.checks[0].summary(),
        "i-0123456789abcdef0, in us-east-1a, vpc-0a1b2c3d4e5f60718, 10.0.0.0/16"
    );
    assert_eq!(
        healthy.checks[1].summary(),
        "ASIAEXAMPLE from instance metadata, valid until 2026-11-23T19:00:00Z"
    );
    let trouble = |reason, detail: &str| Some(ProbeError { reason, detail: detail.into() });
    let silent = InstanceEvidence {
        server: Some("169.254.169.254:80".parse().unwrap()),
        instance: None,
        silence: None,
        error: trouble(Reason::MetadataTimeout, ""),
    };
    let none = CredentialsEvidence {
        source: None,
        access_key_id: None,
        expires_at: None,
        endpoint_settings: vec![],
        profile_region: None,
        unreached: None,
        aws_error: None,
        error: trouble(Reason::NoCredentials, "received 404 from IMDS"),
    };
    let old = CredentialsEvidence { expires_at: Some(at(0)), error: None, ..none.clone() };
    let fail = Outcome::Fail;
    assert_summaries(vec![
        (
            observed(CheckId::Instance, fail(Reason::MetadataTimeout), Evidence::Instance(silent)),
            "instance metadata did not respond (asked 169.254.169.254:80)",
        ),
        (
            observed(CheckId::Credentials, fail(Reason::NoCredentials), Evidence::Credentials(none)),
            "no credentials found: received 404 from IMDS",
        ),
        (
            observed(CheckId::Credentials, fail(Reason::CredentialsExpired), Evidence::Credentials(old)),
            "credentials, expired at 2026-11-23T13:00:00Z",
        ),
        (
            skipped(step(Step::Call), NotAttempted::NoVerifiedAddress),
            "not attempted: no address passed monitoring/connect",
        ),
        (
            observed(
                step(Step::Call),
                Outcome::Inconclusive(Reason::InternalError),
                Evidence::NotAttempted(NotAttempted::CredentialsPending),
            ),
            "not attempted: credentials were not available in time",
        ),
    ]);
}

#[test]
fn a_summary_is_one_short_line_whatever_a_peer_says() {
    let long = format!("first\u{1b}[31m\n{}", "more ".repeat(100));
    let text = full(&connect(vec![broken("10.0.1.57", Reason::TlsFailed, vec![], &long)]));
    assert!(text.starts_with("10.0.1.57: the TLS handshake failed: first [31m more more"), "{text}");
    assert!(text.chars().count() <= 200 && text.ends_with('…') && !text.contains(char::is_control));
    assert!(text.len() > 150 && !text.contains(HOST));
}
