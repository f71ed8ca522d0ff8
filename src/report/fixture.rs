//! Reports of a small private subnet, healthy and broken, for the tests of every renderer.

use std::net::IpAddr;
use std::path::Path;
use std::time::{Duration, SystemTime};
use std::{env, fs};

use super::{CheckReport, Report};
use crate::check::{CheckId, Family, Rung};
use crate::diagnosis::{Cause, Diagnosis};
use crate::network::Scope;
use crate::observation::{
    Address, Answer, AwsError, CallSeen, Certificate, Connection, Control, ControlKind, CredentialsSeen,
    DnsSeen, EgressSeen, Evidence, Heard, IcmpSocket, Instance, InstanceSeen, Observation, Outcome, Outgoing,
    Phase, Phases, Probe, Question, Reason, Reply, Resolver, Shot, Transport, Trouble,
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
        ("leak", leak()),
        ("name_unknown", name_unknown()),
        ("access_denied", access_denied()),
        ("intercepted", intercepted()),
        ("not_permitted", not_permitted()),
        ("control_failed", control_failed()),
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

pub fn rung(rung: Rung) -> CheckId {
    CheckId::Endpoint("monitoring".into(), rung)
}

pub fn observed(check: CheckId, outcome: Outcome, evidence: Evidence) -> Observation {
    Observation {
        check,
        started_at: at(0),
        took: ms(3.1),
        outcome,
        addresses: vec![],
        phases: vec![],
        evidence,
    }
}

pub fn address(ip_text: &str, scope: Scope, outcome: Outcome, phases: Phases) -> Address {
    Address { ip: ip(ip_text), scope, outcome, phases }
}

pub fn skipped(check: CheckId, because: &str) -> Observation {
    let outcome = Outcome::Skipped(Reason::PrerequisiteFailed);
    let mut skipped = observed(check, outcome, Evidence::NotAttempted { because: because.into() });
    skipped.took = Duration::ZERO;
    skipped
}

fn report(observations: Vec<Observation>) -> Report {
    let checks = observations.into_iter().map(|observation| CheckReport {
        id: observation.check.clone(),
        interval: Duration::from_secs(30),
        last_success_at: (observation.outcome == Outcome::Pass).then_some(observation.started_at),
        runs: 12,
        failures: u64::from(matches!(observation.outcome, Outcome::Fail(_))),
        inconclusive: u64::from(matches!(observation.outcome, Outcome::Inconclusive(_))),
        last: Some(observation),
    });
    Report {
        version: "0.0.0",
        started_at: at(0),
        finished_at: at(4),
        instance: Some(instance()),
        checks: checks.collect(),
        diagnoses: vec![],
        episodes: vec![],
        proxy_variables: vec![],
    }
}

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
        vpc_cidrs: vec!["10.0.0.0/16".parse().unwrap()],
        addresses: vec![ip("10.0.1.10")],
    }
}

fn healthy_observations() -> Vec<Observation> {
    let seen = InstanceSeen {
        server: Some("169.254.169.254:80".parse().unwrap()),
        instance: Some(instance()),
        error: None,
    };
    let credentials = CredentialsSeen {
        source: Some("instance metadata".into()),
        access_key_id: Some("ASIAEXAMPLE".into()),
        expires_at: Some(at(6 * 3600)),
        error: None,
    };
    vec![
        observed(CheckId::Instance, Outcome::Pass, Evidence::Instance(seen)),
        observed(CheckId::Credentials, Outcome::Pass, Evidence::Credentials(credentials)),
        dns(Outcome::Pass, &[("10.0.1.57", Scope::Vpc), ("10.0.2.113", Scope::Vpc)]),
        connect(vec![answered("10.0.1.57"), answered("10.0.2.113")]),
        call(vec![listed("10.0.1.57"), listed("10.0.2.113")]),
        egress(Outcome::Pass, silent_shots()),
        no_ipv6(),
    ]
}

pub fn healthy() -> Report {
    report(healthy_observations())
}

pub fn question(resolver: Resolver, question: Question, reply: Reply) -> Answer {
    let server = match resolver {
        Resolver::System => "127.0.0.53:53",
        Resolver::Vpc => "169.254.169.253:53",
    };
    Answer {
        server: server.parse().unwrap(),
        resolver,
        question,
        transport: Transport::Udp,
        retransmitted: false,
        took: ms(1.1),
        reply,
    }
}

pub fn addresses(ips: &[&str]) -> Reply {
    Reply::Addresses { addresses: ips.iter().map(|text| ip(text)).collect(), ttl: Some(60), aliases: vec![] }
}

pub fn dns(outcome: Outcome, resolved: &[(&str, Scope)]) -> Observation {
    let ips: Vec<&str> = resolved.iter().map(|(text, _)| *text).collect();
    let answers = [Resolver::System, Resolver::Vpc].map(|resolver| {
        [question(resolver, Question::A, addresses(&ips)), question(resolver, Question::Aaaa, addresses(&[]))]
    });
    let seen = DnsSeen { host: HOST.into(), answers: answers.concat(), hosts_file: vec![] };
    let mut observation = observed(rung(Rung::Dns), outcome, Evidence::Dns(seen));
    observation.took = ms(1.2);
    observation.phases = vec![(Phase::Query, ms(1.1))];
    observation.addresses = resolved
        .iter()
        .map(|(text, scope)| {
            let outcome = if scope.is_inside() { Outcome::Pass } else { outcome };
            address(text, *scope, outcome, vec![])
        })
        .collect();
    observation
}

pub fn unresolved(reason: Reason, reply: &Reply) -> Observation {
    let mut observation = dns(Outcome::Fail(reason), &[]);
    let answers = [Resolver::System, Resolver::Vpc]
        .map(|resolver| [Question::A, Question::Aaaa].map(|kind| question(resolver, kind, reply.clone())));
    observation.evidence =
        Evidence::Dns(DnsSeen { host: HOST.into(), answers: answers.concat(), hosts_file: vec![] });
    observation
}

pub fn answered(ip_text: &str) -> (Address, Connection) {
    let phases = vec![(Phase::Tcp, ms(0.4)), (Phase::Tls, ms(2.1)), (Phase::Response, ms(0.9))];
    let connection = Connection {
        ip: ip(ip_text),
        peer: Some((ip(ip_text), 443).into()),
        phases: phases.clone(),
        certificate: Some(certificate("CN=Amazon RSA 2048 M02, O=Amazon, C=US")),
        http_status: Some(404),
        clock_skew: Some(0),
        error: None,
    };
    (address(ip_text, Scope::Vpc, Outcome::Pass, phases), connection)
}

pub fn broken(ip_text: &str, reason: Reason, phases: Phases, detail: &str) -> (Address, Connection) {
    let (mut address, mut connection) = answered(ip_text);
    address.outcome = Outcome::Fail(reason);
    address.phases.clone_from(&phases);
    connection.phases = phases;
    connection.http_status = None;
    connection.clock_skew = None;
    connection.peer = None;
    connection.certificate = None;
    connection.error = Some(Trouble { reason, detail: detail.into() });
    (address, connection)
}

fn certificate(issuer: &str) -> Certificate {
    Certificate {
        issuer: issuer.into(),
        subject: format!("CN={HOST}"),
        not_before: Some(at(0) - Duration::from_hours(24)),
        not_after: Some(at(0) + Duration::from_hours(2160)),
        names: vec![HOST.into()],
    }
}

pub fn connect(seen: Vec<(Address, Connection)>) -> Observation {
    let (addresses, connections): (Vec<Address>, Vec<Connection>) = seen.into_iter().unzip();
    let outcome = Outcome::worst(addresses.iter().map(|address| address.outcome)).unwrap();
    let evidence = Evidence::Connect { host: HOST.into(), port: 443, connections };
    let mut observation = observed(rung(Rung::Connect), outcome, evidence);
    observation.took = ms(3.5);
    observation.phases.clone_from(&addresses[0].phases);
    observation.addresses = addresses;
    observation
}

pub fn listed(ip_text: &str) -> (Address, CallSeen) {
    let (address, connection) = answered(ip_text);
    let call = CallSeen {
        ip: connection.ip,
        peer: connection.peer,
        phases: connection.phases,
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
) -> (Address, CallSeen) {
    let (mut address, mut call) = listed(ip_text);
    address.outcome = outcome;
    call.http_status = Some(status);
    call.metrics = None;
    call.aws_error = Some(AwsError { code: code.into(), message: message.into() });
    (address, call)
}

pub fn call(seen: Vec<(Address, CallSeen)>) -> Observation {
    let (addresses, calls): (Vec<Address>, Vec<CallSeen>) = seen.into_iter().unzip();
    let outcome = Outcome::worst(addresses.iter().map(|address| address.outcome)).unwrap();
    let mut observation =
        observed(rung(Rung::Call), outcome, Evidence::Call { host: HOST.into(), calls, proof: None });
    observation.took = ms(14.2);
    observation.phases.clone_from(&addresses[0].phases);
    observation.addresses = addresses;
    observation
}

pub fn shot(probe: Probe, ip_text: &str, sent: u32, heard: Heard) -> Shot {
    let port = match probe {
        Probe::Icmp => None,
        Probe::Tcp => Some(443),
        Probe::Udp => Some(53),
    };
    Shot { host: None, ip: ip(ip_text), probe, port, sent, heard }
}

pub fn silent_shots() -> Vec<Shot> {
    let targets = ["1.1.1.1", "8.8.8.8", "9.9.9.9"];
    let probes = [(Probe::Icmp, 5), (Probe::Tcp, 1), (Probe::Udp, 1)];
    let shots = targets.map(|target| probes.map(|(probe, sent)| shot(probe, target, sent, Heard::Silence)));
    let mut shots = shots.concat();
    let by_name = shot(Probe::Tcp, "203.0.113.80", 1, Heard::Silence);
    shots.push(Shot { host: Some("www.amazon.com".into()), ..by_name });
    shots
}

pub fn control(control: ControlKind, target: &str, passed: bool, detail: &str) -> Control {
    Control { control, target: Some(target.parse().unwrap()), passed, detail: detail.into() }
}

pub fn egress(outcome: Outcome, shots: Vec<Shot>) -> Observation {
    let seen = EgressSeen {
        family: Family::Ipv4,
        window: Duration::from_secs(3),
        own_addresses: vec![ip("10.0.1.10")],
        icmp_socket: IcmpSocket::Dgram,
        shots,
        controls: vec![
            control(ControlKind::Loopback, "127.0.0.1:0", true, ""),
            control(ControlKind::Endpoint, "10.0.1.57:443", true, ""),
            control(ControlKind::Resolver, "169.254.169.253:53", true, ""),
        ],
        unresolved: vec![],
    };
    let mut observation = observed(CheckId::Egress(Family::Ipv4), outcome, Evidence::Egress(seen));
    observation.took = Duration::from_millis(3010);
    observation
}

/// Lets a test bend the evidence of an egress observation.
pub fn bent(mut observation: Observation, bend: impl FnOnce(&mut EgressSeen)) -> Observation {
    if let Evidence::Egress(seen) = &mut observation.evidence {
        bend(seen);
    }
    observation
}

pub fn no_ipv6() -> Observation {
    let mut observation = bent(egress(Outcome::Skipped(Reason::FamilyUnavailable), vec![]), |seen| {
        seen.family = Family::Ipv6;
        seen.own_addresses.clear();
        seen.controls.clear();
        seen.icmp_socket = IcmpSocket::None;
    });
    observation.check = CheckId::Egress(Family::Ipv6);
    observation.took = Duration::ZERO;
    observation
}

fn diagnosis(cause: Cause, evidence: &str, remedy: &str, explains: &[CheckId]) -> Diagnosis {
    Diagnosis { cause, evidence: evidence.into(), remedy: remedy.into(), explains: explains.to_vec() }
}

fn private_dns_off() -> Report {
    let public = Outcome::Fail(Reason::PublicAddress);
    let mut outside =
        broken("203.0.113.20", Reason::ConnectTimeout, vec![(Phase::Tcp, Duration::from_secs(3))], "elapsed");
    outside.0.scope = Scope::Public;
    outside.0.outcome = Outcome::Fail(Reason::AddressOutsideVpc);
    let mut report = replaced(vec![
        dns(public, &[("203.0.113.20", Scope::Public)]),
        connect(vec![outside]),
        skipped(rung(Rung::Call), "no address passed monitoring/connect"),
        bent(egress(Outcome::Pass, silent_shots()), |seen| {
            seen.controls[1].passed = false;
        }),
    ]);
    report.diagnoses = vec![diagnosis(
        Cause::PrivateDnsOff,
        "monitoring.us-east-1.amazonaws.com resolved to 203.0.113.20 at 127.0.0.53 and at the VPC's own resolver \
         169.254.169.253",
        "Turn on Enable private DNS names on the interface endpoint of monitoring in vpc-0a1b2c3d4e5f60718 (create \
         it if there is none), and enableDnsHostnames and enableDnsSupport on vpc-0a1b2c3d4e5f60718. Changes take \
         minutes.",
        &[rung(Rung::Dns), rung(Rung::Connect)],
    )];
    report
}

fn endpoint_half_dead() -> Report {
    let dead =
        broken("10.0.2.113", Reason::ConnectTimeout, vec![(Phase::Tcp, Duration::from_secs(3))], "elapsed");
    let mut report =
        replaced(vec![connect(vec![answered("10.0.1.57"), dead]), call(vec![listed("10.0.1.57")])]);
    report.diagnoses = vec![diagnosis(
        Cause::EndpointInterfaceDown,
        "10.0.2.113 does not answer, 10.0.1.57 does",
        "Compare the security groups and the network ACL of 10.0.2.113 with those of the others.",
        &[rung(Rung::Connect)],
    )];
    report
}

fn leak() -> Report {
    let mut shots = silent_shots();
    shots[1].heard = Heard::Answer { replies: 1, after: ms(12.3) };
    shots[9].heard = Heard::Answer { replies: 1, after: ms(13.1) };
    let mut report = replaced(vec![egress(Outcome::Fail(Reason::TcpConnected), shots)]);
    report.diagnoses = vec![diagnosis(
        Cause::InternetRouteOpen,
        "tcp 1.1.1.1:443 connected after 12 ms",
        "Remove 0.0.0.0/0 to nat-, igw- or tgw- from the route table of the subnet.",
        &[CheckId::Egress(Family::Ipv4)],
    )];
    report
}

fn name_unknown() -> Report {
    let mut report = replaced(vec![
        unresolved(Reason::NameNotFound, &Reply::Nxdomain),
        skipped(rung(Rung::Connect), "monitoring/dns gave no address"),
        skipped(rung(Rung::Call), "no address passed monitoring/connect"),
    ]);
    report.diagnoses = vec![diagnosis(
        Cause::Unexplained,
        "monitoring/dns failed with name_not_found",
        "Read the evidence of the check.",
        &[rung(Rung::Dns)],
    )];
    report
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
        skipped(rung(Rung::Call), "no address passed monitoring/connect"),
    ])
}

fn not_permitted() -> Report {
    let mut shots = silent_shots();
    for shot in shots.iter_mut().filter(|shot| shot.probe == Probe::Icmp) {
        shot.sent = 0;
        shot.heard = Heard::Unsent(Outgoing::NotPermitted);
    }
    let unseen = egress(Outcome::Inconclusive(Reason::NotPermitted), shots);
    replaced(vec![bent(unseen, |seen| seen.icmp_socket = IcmpSocket::None)])
}

fn control_failed() -> Report {
    let unseen = egress(Outcome::Inconclusive(Reason::ControlFailed), silent_shots());
    replaced(vec![bent(unseen, |seen| {
        seen.controls[1] =
            control(ControlKind::Endpoint, "10.0.1.57:443", false, "no answer to SYN within 3 s");
        seen.controls[2] =
            control(ControlKind::Resolver, "169.254.169.253:53", false, "no answer within 3 s");
    })])
}

fn nothing_but_skipped() -> Report {
    let mut report = report(vec![skipped(rung(Rung::Call), "nothing to call"), no_ipv6()]);
    report.instance = None;
    report
}

fn just_started() -> Report {
    let mut report = healthy();
    for check in &mut report.checks[3..] {
        *check = CheckReport { last: None, last_success_at: None, runs: 0, ..check.clone() };
    }
    report
}

fn proxy_set() -> Report {
    let mut report = healthy();
    report.proxy_variables = vec!["HTTPS_PROXY".into(), "no_proxy".into()];
    report
}
