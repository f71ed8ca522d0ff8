//! Reports of a small private subnet, healthy and broken, for the tests of every renderer.

use std::net::IpAddr;
use std::path::Path;
use std::sync::Arc;
use std::time::{Duration, SystemTime};
use std::{env, fs};

use super::latency::Latency;
use super::{CheckReport, Report};
use crate::check::{CheckId, Family, Kind, Step};
use crate::network::Scope;
use crate::observation::{
    Address, AwsError, CallEvidence, Certificate, Connection, Control, ControlKind, CredentialsEvidence,
    DnsEvidence, EgressEvidence, EgressProbe, EgressSource, EndpointProtocol, Environment, Evidence,
    IcmpSocket, Instance, InstanceEvidence, Lateness, NotAttempted, Observation, Outcome, OwnName, OwnNames,
    Phase, Phases, ProbeError, ProbeJudgment, ProbeResult, Protocol, Provider, Query, QueryResult, QueryType,
    Reason, Resolver, SendError, SourceJudgment, Transport,
};

pub const HOST: &str = "monitoring.us-east-1.amazonaws.com";

/// Compares with a committed file; `UPDATE_GOLDEN=1` writes it anew.
pub fn golden(path: &str, actual: &str) {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join(path);
    if env::var_os("UPDATE_GOLDEN").is_some() {
        fs::write(&path, actual).unwrap();
    }
    let expected = fs::read_to_string(&path).unwrap_or_default();
    assert!(actual == expected, "{} differs; UPDATE_GOLDEN=1 accepts:\n{actual}", path.display());
}

pub fn named(name: &str) -> Report {
    all().into_iter().find(|(of, _)| *of == name).map(|(_, report)| report).unwrap()
}

pub fn all() -> Vec<(&'static str, Report)> {
    vec![
        ("healthy", healthy()),
        ("private_dns_off", private_dns_off()),
        ("endpoint_half_dead", endpoint_half_dead()),
        ("zone_missing", zone_missing()),
        ("leak", leak()),
        ("name_unknown", name_unknown()),
        ("access_denied", access_denied()),
        ("intercepted", intercepted()),
        ("not_permitted", not_permitted()),
        ("control_failed", control_failed()),
        ("throttled", throttled()),
        ("nothing_but_skipped", nothing_but_skipped()),
        ("just_started", just_started()),
        ("proxy_set", proxy_set()),
    ]
}

pub fn ms(millis: f64) -> Duration {
    Duration::from_secs_f64(millis / 1000.0)
}

pub fn at(seconds: u64) -> SystemTime {
    // 2026-11-23T13:00:00Z
    SystemTime::UNIX_EPOCH + Duration::from_secs(1_795_438_800 + seconds)
}

pub fn ip(text: &str) -> IpAddr {
    text.parse().unwrap()
}

pub fn step(step: Step) -> CheckId {
    CheckId::Endpoint("monitoring".into(), step)
}

pub fn observed(check: CheckId, outcome: Outcome, evidence: Evidence) -> Observation {
    Observation {
        check,
        started_at: at(0),
        took: ms(3.1),
        outcome,
        addresses: vec![],
        phases: vec![],
        lateness: Lateness::default(),
        evidence,
    }
}

pub fn address(ip_text: &str, scope: Scope, outcome: Outcome, phases: Phases) -> Address {
    Address { ip: ip(ip_text), scope, outcome, phases, zone: None }
}

pub fn skipped(check: CheckId, because: NotAttempted) -> Observation {
    let outcome = Outcome::Skipped(Reason::PrerequisiteFailed);
    let mut skipped = observed(check, outcome, Evidence::NotAttempted(because));
    skipped.took = Duration::ZERO;
    skipped
}

/// An hour of times that go up and down, and one failure.
fn hour(last: &Observation) -> Arc<Latency> {
    let mut latency = Latency::default();
    if last.check.kind() == Kind::Connect {
        for minute in 0..60_u32 {
            let mut observation = last.clone();
            observation.started_at = last.started_at - Duration::from_mins(u64::from(59 - minute));
            for address in &mut observation.addresses {
                let longer = 1.0 + f64::from(minute * 7 % 23) / 10.0;
                address.phases.iter_mut().for_each(|(_, took)| *took = took.mul_f64(longer));
                if minute == 40 {
                    address.outcome = Outcome::Fail(Reason::ConnectTimeout);
                }
            }
            latency.add(&observation);
        }
    }
    Arc::new(latency)
}

/// With the diagnoses that these observations have.
fn report(observations: Vec<Observation>) -> Report {
    with_environment(observations, Some(instance()), vec![])
}

fn with_environment(
    observations: Vec<Observation>,
    instance: Option<Instance>,
    proxy_variables: Vec<String>,
) -> Report {
    let checks = observations.into_iter().map(|observation| CheckReport {
        id: observation.check.clone(),
        interval: Duration::from_secs(30),
        last_success_at: (observation.outcome == Outcome::Pass).then_some(observation.started_at),
        runs: 12,
        failures: u64::from(matches!(observation.outcome, Outcome::Fail(_))),
        inconclusive: u64::from(matches!(observation.outcome, Outcome::Inconclusive(_))),
        latency: hour(&observation),
        last: Some(Arc::new(observation)),
    });
    let mut report = Report {
        version: "0.0.0",
        started_at: at(0),
        finished_at: at(4),
        instance,
        checks: checks.collect(),
        diagnoses: vec![],
        episodes: vec![],
        environment: Environment { proxy_variables, ..Environment::default() },
    };
    report.diagnose();
    report
}

/// The last observation of a check, to be changed by a test.
pub fn last(report: &mut Report, check: usize) -> &mut Observation {
    Arc::make_mut(report.checks[check].last.as_mut().unwrap())
}

/// The endpoint's own names tell the zones, and it has an interface in a third one, whose address
/// the name does not have.
fn zone_missing() -> Report {
    let own = |zone: Option<&str>, ips: &[&str]| OwnName {
        name: zone.map_or_else(|| format!("vpce-0a-b.{OWN}"), |zone| format!("vpce-0a-b-{zone}.{OWN}")),
        zone: zone.map(str::to_owned),
        queries: vec![query(Resolver::Vpc, QueryType::A, addresses(ips))],
    };
    let names = vec![
        own(None, &["10.0.1.57", "10.0.2.113"]),
        own(Some("us-east-1a"), &["10.0.1.57"]),
        own(Some("us-east-1b"), &["10.0.2.113"]),
        own(Some("us-east-1c"), &["10.0.3.9"]),
    ];
    let mut observations = healthy_observations();
    for observation in &mut observations {
        if let Evidence::Dns(evidence) = &mut observation.evidence {
            evidence.own = Some(OwnNames { names: names.clone(), others: vec![], asked_again: false });
        }
        for (address, zone) in observation.addresses.iter_mut().zip(["us-east-1a", "us-east-1b"]) {
            address.zone = Some(zone.to_owned());
        }
    }
    report(observations)
}

/// Many endpoints without a call, each in three zones.
pub fn estate(count: usize) -> Report {
    let mut report = zone_missing();
    let zones = [("10.0.1.57", "us-east-1a"), ("10.0.2.113", "us-east-1b"), ("10.0.3.9", "us-east-1c")];
    let mut observations: Vec<Observation> =
        report.checks.drain(..).filter_map(|check| check.last.map(Arc::unwrap_or_clone)).collect();
    observations.retain(|observation| observation.check.kind() != Kind::Call);
    let (endpoint, mut others): (Vec<Observation>, Vec<Observation>) =
        observations.into_iter().partition(|o| matches!(o.check, CheckId::Endpoint(..)));
    let dns = dns(Outcome::Pass, &zones.map(|(ip, _)| (ip, Scope::Vpc)));
    let connect = connect(zones.map(|(ip, _)| answered(ip)).to_vec());
    for number in 0..count {
        for (of, mut observation) in endpoint.iter().zip([dns.clone(), connect.clone()]) {
            let CheckId::Endpoint(_, step) = &of.check else { continue };
            observation.check = CheckId::Endpoint(format!("service-{number:03}.api"), *step);
            if let (Evidence::Dns(new), Evidence::Dns(old)) = (&mut observation.evidence, &of.evidence) {
                new.own.clone_from(&old.own);
            }
            for (address, (_, zone)) in observation.addresses.iter_mut().zip(zones) {
                address.zone = Some(zone.to_owned());
            }
            others.push(observation);
        }
    }
    others.sort_by(|one, other| one.check.cmp(&other.check));
    self::report(others)
}

const OWN: &str = "monitoring.us-east-1.vpce.amazonaws.com";

fn replaced(replacements: Vec<Observation>) -> Report {
    let mut observations = healthy_observations();
    for replacement in replacements {
        let old = observations.iter_mut().find(|old| old.check == replacement.check).unwrap();
        *old = replacement;
    }
    report(observations)
}

fn instance() -> Instance {
    Instance {
        instance_id: Some("i-0123456789abcdef0".into()),
        region: Some("us-east-1".into()),
        zone: Some("us-east-1a".into()),
        zone_id: Some("use1-az1".into()),
        vpc_id: Some("vpc-0a1b2c3d4e5f60718".into()),
        subnet_id: Some("subnet-0a1b2c3d4e5f60718".into()),
        subnet_cidrs: vec![],
        vpc_cidrs: vec!["10.0.0.0/16".parse().unwrap()],
        addresses: vec![ip("10.0.1.10")],
    }
}

fn healthy_observations() -> Vec<Observation> {
    let evidence = InstanceEvidence {
        server: Some("169.254.169.254:80".parse().unwrap()),
        instance: Some(instance()),
        silence: None,
        error: None,
    };
    let credentials = CredentialsEvidence {
        source: Some(Provider::InstanceMetadata),
        access_key_id: Some("ASIAEXAMPLE".into()),
        expires_at: Some(at(6 * 3600)),
        endpoint_settings: vec![],
        profile_region: None,
        unreached: None,
        aws_error: None,
        error: None,
    };
    vec![
        observed(CheckId::Instance, Outcome::Pass, Evidence::Instance(evidence)),
        observed(CheckId::Credentials, Outcome::Pass, Evidence::Credentials(credentials)),
        dns(Outcome::Pass, &[("10.0.1.57", Scope::Vpc), ("10.0.2.113", Scope::Vpc)]),
        connect(vec![answered("10.0.1.57"), answered("10.0.2.113")]),
        call(vec![listed("10.0.1.57"), listed("10.0.2.113")]),
        egress(Outcome::Pass, silent_probes()),
        no_ipv6(),
    ]
}

pub fn healthy() -> Report {
    report(healthy_observations())
}

pub fn query(resolver: Resolver, query_type: QueryType, result: QueryResult) -> Query {
    let server = match resolver {
        Resolver::System => "127.0.0.53:53",
        Resolver::Vpc => "169.254.169.253:53",
    };
    Query {
        name: None,
        server: server.parse().unwrap(),
        resolver,
        query_type,
        transport: Transport::Udp,
        retransmitted: false,
        edns_refused: false,
        alias_last: false,
        blocked_here: false,
        took: ms(1.1),
        kernel: Some(ms(0.92)),
        result,
    }
}

pub fn addresses(ips: &[&str]) -> QueryResult {
    QueryResult::Addresses {
        addresses: ips.iter().map(|text| ip(text)).collect(),
        ttl: Some(60),
        aliases: vec![],
    }
}

pub fn dns(outcome: Outcome, resolved: &[(&str, Scope)]) -> Observation {
    let ips: Vec<&str> = resolved.iter().map(|(text, _)| *text).collect();
    let queries = [Resolver::System, Resolver::Vpc].map(|resolver| {
        [query(resolver, QueryType::A, addresses(&ips)), query(resolver, QueryType::Aaaa, addresses(&[]))]
    });
    let evidence = DnsEvidence::of(HOST, queries.concat());
    let mut observation = observed(step(Step::Dns), outcome, Evidence::Dns(evidence));
    observation.took = ms(1.2);
    observation.phases = vec![(Phase::Lookup, ms(1.5)), (Phase::Query, ms(1.1))];
    observation.addresses = resolved
        .iter()
        .map(|(text, scope)| {
            let outcome = if scope.is_inside() { Outcome::Pass } else { outcome };
            address(text, *scope, outcome, vec![])
        })
        .collect();
    observation
}

pub fn unresolved(reason: Reason, result: &QueryResult) -> Observation {
    let mut observation = dns(Outcome::Fail(reason), &[]);
    let queries = [Resolver::System, Resolver::Vpc]
        .map(|resolver| QueryType::BOTH.map(|kind| query(resolver, kind, result.clone())));
    observation.evidence = Evidence::Dns(DnsEvidence::of(HOST, queries.concat()));
    observation
}

pub fn answered(ip_text: &str) -> (Address, Connection) {
    let phases = vec![(Phase::Tcp, ms(0.4)), (Phase::Tls, ms(2.1)), (Phase::Response, ms(0.9))];
    let connection = Connection {
        ip: ip(ip_text),
        peer: Some((ip(ip_text), 443).into()),
        protocol: EndpointProtocol::Https,
        phases: phases.clone(),
        kernel_tcp: Some(ms(0.28)),
        certificate: Some(certificate("CN=Amazon RSA 2048 M02, O=Amazon, C=US")),
        http_status: Some(404),
        clock_skew: Some(0),
        signature: None,
        trust_store: None,
        error: None,
    };
    (address(ip_text, Scope::Vpc, Outcome::Pass, phases), connection)
}

pub fn broken(ip_text: &str, reason: Reason, phases: Phases, detail: &str) -> (Address, Connection) {
    let (mut address, mut connection) = answered(ip_text);
    address.outcome = Outcome::Fail(reason);
    address.phases.clone_from(&phases);
    connection.kernel_tcp = None;
    connection.phases = phases;
    connection.http_status = None;
    connection.clock_skew = None;
    connection.peer = None;
    connection.certificate = None;
    connection.error = Some(ProbeError { reason, detail: detail.into() });
    (address, connection)
}

pub fn certificate(issuer: &str) -> Certificate {
    Certificate {
        issuer: issuer.into(),
        subject: format!("CN={HOST}"),
        not_before: Some(at(0) - Duration::from_hours(24)),
        not_after: Some(at(0) + Duration::from_hours(2160)),
        names: vec![HOST.into()],
    }
}

pub fn connect(evidence: Vec<(Address, Connection)>) -> Observation {
    let (addresses, connections): (Vec<Address>, Vec<Connection>) = evidence.into_iter().unzip();
    let outcome = Outcome::worst(addresses.iter().map(|address| address.outcome)).unwrap();
    let evidence = Evidence::Connect { host: HOST.into(), port: 443, connections, control: None };
    let mut observation = observed(step(Step::Connect), outcome, evidence);
    let longest = addresses.iter().map(|address| address.phases.iter().map(|(_, took)| *took).sum()).max();
    observation.took = longest.unwrap_or_default();
    observation.phases.clone_from(&addresses[0].phases);
    observation.addresses = addresses;
    observation
}

pub fn listed(ip_text: &str) -> (Address, CallEvidence) {
    let (address, connection) = answered(ip_text);
    let call = CallEvidence {
        ip: connection.ip,
        peer: connection.peer,
        phases: connection.phases,
        kernel_tcp: connection.kernel_tcp,
        http_status: Some(200),
        request_id: Some("1b2c3d4e-0000-4000-8000-000000000001".into()),
        aws_error: None,
        metrics: Some(0),
        clock_skew: Some(0),
        error: None,
    };
    (address, call)
}

pub fn refused(
    ip_text: &str,
    outcome: Outcome,
    status: u16,
    code: &str,
    message: &str,
) -> (Address, CallEvidence) {
    let (mut address, mut call) = listed(ip_text);
    address.outcome = outcome;
    call.http_status = Some(status);
    call.metrics = None;
    call.aws_error = Some(AwsError { code: code.into(), message: message.into() });
    (address, call)
}

pub fn call(evidence: Vec<(Address, CallEvidence)>) -> Observation {
    let (addresses, calls): (Vec<Address>, Vec<CallEvidence>) = evidence.into_iter().unzip();
    let outcome = Outcome::worst(addresses.iter().map(|address| address.outcome)).unwrap();
    let mut observation =
        observed(step(Step::Call), outcome, Evidence::Call { host: HOST.into(), calls, proof: None });
    observation.took = ms(14.2);
    observation.phases.clone_from(&addresses[0].phases);
    observation.addresses = addresses;
    observation
}

pub fn probe(protocol: Protocol, ip_text: &str, sent: u32, result: ProbeResult) -> EgressProbe {
    let port = match protocol {
        Protocol::Icmp => None,
        Protocol::Tcp => Some(443),
        Protocol::Udp => Some(53),
    };
    let judged = Some(match &result {
        ProbeResult::Reply { .. } => ProbeJudgment::Leak,
        ProbeResult::NoReply => ProbeJudgment::Silent,
        ProbeResult::Rejected { .. } => ProbeJudgment::Rejected,
        ProbeResult::NotSent(SendError::NoRoute) => ProbeJudgment::NoRoute,
        ProbeResult::NotSent(_) => ProbeJudgment::NotSent,
    });
    let source = ip("10.0.1.10");
    EgressProbe { host: None, source, ip: ip(ip_text), protocol, port, decoy: false, sent, result, judged }
}

/// An endpoint without a call.
pub fn three_addresses() -> Report {
    let ips = ["10.0.1.57", "10.0.2.113", "10.0.3.9"];
    let mut report = replaced(vec![
        dns(Outcome::Pass, &ips.map(|ip| (ip, Scope::Vpc))),
        connect(ips.map(answered).to_vec()),
    ]);
    report.checks.retain(|check| check.id != step(Step::Call));
    report
}

pub fn silent_probes() -> Vec<EgressProbe> {
    let targets = ["1.1.1.1", "8.8.8.8", "9.9.9.9"];
    let probes = [(Protocol::Icmp, 5), (Protocol::Tcp, 1), (Protocol::Udp, 1)];
    let probes = targets
        .map(|target| probes.map(|(protocol, sent)| probe(protocol, target, sent, ProbeResult::NoReply)));
    let mut probes = probes.concat();
    let by_name = probe(Protocol::Tcp, "203.0.113.80", 1, ProbeResult::NoReply);
    probes.push(EgressProbe { host: Some("www.amazon.com".into()), ..by_name });
    probes
}

pub fn control(control: ControlKind, target: &str, passed: bool, detail: &str) -> Control {
    let source = (control != ControlKind::Loopback).then(|| ip("10.0.1.10"));
    Control { control, source, target: Some(target.parse().unwrap()), passed, detail: detail.into() }
}

pub fn egress(outcome: Outcome, probes: Vec<EgressProbe>) -> Observation {
    let evidence = EgressEvidence {
        family: Family::Ipv4,
        window: Duration::from_secs(3),
        sources: vec![EgressSource {
            ip: ip("10.0.1.10"),
            interface: "eth0".into(),
            reduced: false,
            judged: Some(SourceJudgment::Claimed),
        }],
        family_disabled: None,
        icmp_socket: IcmpSocket::Dgram,
        probes,
        controls: vec![
            control(ControlKind::Loopback, "127.0.0.1:0", true, ""),
            control(ControlKind::Endpoint, "10.0.1.57:443", true, ""),
            control(ControlKind::Resolver, "169.254.169.253:53", true, ""),
        ],
        controls_passed: Some(true),
        unresolved: vec![],
        gaps: vec![],
        left_out: vec![],
    };
    let mut observation = observed(CheckId::Egress(Family::Ipv4), outcome, Evidence::Egress(evidence));
    observation.took = Duration::from_millis(3010);
    observation
}

/// Lets a test bend the evidence of an egress observation.
pub fn bent(mut observation: Observation, bend: impl FnOnce(&mut EgressEvidence)) -> Observation {
    if let Evidence::Egress(evidence) = &mut observation.evidence {
        bend(evidence);
    }
    observation
}

pub fn no_ipv6() -> Observation {
    let mut observation = bent(egress(Outcome::Skipped(Reason::FamilyUnavailable), vec![]), |evidence| {
        evidence.family = Family::Ipv6;
        evidence.sources.clear();
        evidence.controls.clear();
        evidence.controls_passed = None;
        evidence.icmp_socket = IcmpSocket::None;
    });
    observation.check = CheckId::Egress(Family::Ipv6);
    observation.took = Duration::ZERO;
    observation
}

fn private_dns_off() -> Report {
    let public = Outcome::Fail(Reason::PublicAddress);
    let mut outside = broken(
        "203.0.113.20",
        Reason::ConnectTimeout,
        vec![(Phase::Tcp, Duration::from_secs(3))],
        "no answer within 3s",
    );
    outside.0.scope = Scope::Public;
    outside.0.outcome = Outcome::Fail(Reason::AddressOutsideVpc);
    replaced(vec![
        dns(public, &[("203.0.113.20", Scope::Public)]),
        connect(vec![outside]),
        skipped(step(Step::Call), NotAttempted::NoVerifiedAddress),
        bent(egress(Outcome::Pass, silent_probes()), |evidence| {
            evidence.controls[1].passed = false;
        }),
    ])
}

fn endpoint_half_dead() -> Report {
    let dead = broken(
        "10.0.2.113",
        Reason::ConnectTimeout,
        vec![(Phase::Tcp, Duration::from_secs(3))],
        "no answer within 3s",
    );
    replaced(vec![connect(vec![answered("10.0.1.57"), dead]), call(vec![listed("10.0.1.57")])])
}

fn leak() -> Report {
    let mut probes = silent_probes();
    for (index, after) in [(1, 12.3), (9, 13.1)] {
        probes[index].result = ProbeResult::Reply { replies: 1, after: ms(after), kernel: None };
        probes[index].judged = Some(ProbeJudgment::Leak);
    }
    replaced(vec![egress(Outcome::Fail(Reason::TcpConnected), probes)])
}

fn name_unknown() -> Report {
    replaced(vec![
        unresolved(Reason::NameNotFound, &QueryResult::Nxdomain),
        skipped(step(Step::Connect), NotAttempted::NoAddress),
        skipped(step(Step::Call), NotAttempted::NoVerifiedAddress),
    ])
}

pub const DENIAL: &str = "User: arn:aws:sts::123456789012:assumed-role/EC2CloudWatchRole/i-0123456789abcdef0 is not \
     authorized to perform: cloudwatch:ListMetrics because no identity-based policy allows the \
     cloudwatch:ListMetrics action";

fn access_denied() -> Report {
    let denied =
        |text| refused(text, Outcome::Fail(Reason::DeniedByIdentityPolicy), 403, "AccessDenied", DENIAL);
    replaced(vec![call(vec![denied("10.0.1.57"), denied("10.0.2.113")])])
}

/// A man in the middle with a certificate that wants to be read.
fn intercepted() -> Report {
    let bad = |text| {
        let phases = vec![(Phase::Tcp, ms(0.4)), (Phase::Tls, ms(4.0))];
        let (address, mut connection) =
            broken(text, Reason::CertificateUntrusted, phases, "invalid peer certificate: UnknownIssuer");
        connection.certificate =
            Some(certificate("CN=Corp\u{1b}[2J <b>Inspection</b> \"CA\" & Sons, O=Corp"));
        (address, connection)
    };
    replaced(vec![
        connect(vec![bad("10.0.1.57"), bad("10.0.2.113")]),
        skipped(step(Step::Call), NotAttempted::NoVerifiedAddress),
    ])
}

fn not_permitted() -> Report {
    let mut probes = silent_probes();
    for probe in probes.iter_mut().filter(|probe| probe.protocol == Protocol::Icmp) {
        probe.sent = 0;
        probe.result = ProbeResult::NotSent(SendError::NotPermitted);
        probe.judged = Some(ProbeJudgment::NotSent);
    }
    let unseen = egress(Outcome::Inconclusive(Reason::NotPermitted), probes);
    replaced(vec![bent(unseen, |evidence| evidence.icmp_socket = IcmpSocket::None)])
}

fn control_failed() -> Report {
    let unseen = egress(Outcome::Inconclusive(Reason::ControlFailed), silent_probes());
    replaced(vec![bent(unseen, |evidence| {
        evidence.controls_passed = Some(false);
        evidence.sources[0].judged = Some(SourceJudgment::NotClaimed);
        evidence.controls[1] =
            control(ControlKind::Endpoint, "10.0.1.57:443", false, "no answer to SYN within 3 s");
        evidence.controls[2] =
            control(ControlKind::Resolver, "169.254.169.253:53", false, "no answer within 3 s");
    })])
}

fn throttled() -> Report {
    let outcome = Outcome::Inconclusive(Reason::Throttled);
    replaced(vec![call(vec![
        refused("10.0.1.57", outcome, 400, "Throttling", "Rate exceeded"),
        listed("10.0.2.113"),
    ])])
}

fn nothing_but_skipped() -> Report {
    let call = skipped(step(Step::Call), NotAttempted::NoVerifiedAddress);
    with_environment(vec![call, no_ipv6()], None, vec![])
}

fn just_started() -> Report {
    let mut report = healthy();
    for check in &mut report.checks[3..] {
        *check = CheckReport { last: None, last_success_at: None, runs: 0, ..check.clone() };
    }
    report
}

fn proxy_set() -> Report {
    let variables = vec!["HTTPS_PROXY".into(), "no_proxy".into()];
    with_environment(healthy_observations(), Some(instance()), variables)
}
