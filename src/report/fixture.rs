//! Reports of a small private subnet, healthy and broken, for the tests of every renderer.

mod observations;

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
    Reason, Resolver, SendError, SourceJudgment,
};

pub use observations::*;

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
    let variables = vec!["HTTPS_PROXY".into(), "http_proxy".into()];
    with_environment(healthy_observations(), Some(instance()), variables)
}
