mod egress;

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
