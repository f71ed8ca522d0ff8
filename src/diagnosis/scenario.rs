//! The notation of `tests/scenarios`: one line an observation, for people to read.
//!
//! ```text
//! monitoring/dns fail public_address system=203.0.113.20 vpc=10.0.1.57 hosts=127.0.0.1
//! monitoring/connect fail connect_timeout 10.0.1.57=connect_timeout 10.0.2.113=pass issuer='CN=Corp CA'
//! monitoring/call fail access_denied 10.0.1.57=access_denied status=403 code=AccessDenied message='User: ..'
//! egress/ipv4 fail tcp_connected tcp@1.1.1.1=answer icmp@8.8.8.8=silence control=endpoint:fail
//! ```
//!
//! `system` and `vpc` also take `nxdomain`, `nodata`, `servfail`, `refused` and `timeout`, and stand
//! once for each answer. An egress target is `tcp@IP`, `tcp@IP<SOURCE` or `decoy-tcp@IP`, and takes
//! `answer` (judged a leak), `answer:3/5` (of five three), `answer:1/1+1200` (after so many
//! milliseconds), `intercepted`, `silence`, `rejected`, `rejected:BY`, `leak:BY` and `near:BY` (errors
//! judged so), `here:BY`, `no_route`, `not_permitted`, `blocked` and `no_resources`. `disabled` says
//! why the host lacks the family, `server=` is the metadata server that was asked, or `none`, and
//! `late=MILLISECONDS rounds=N` says that lateness spoiled a check.
//!
//! `left_out=IP` is an address that sources leave out, `not_probed=HOST:WHY` a target of the operator.
//! `zone@IP=ZONE` says where an address is, and `profile_sets=KEY` what the AWS profile diverts.
//!
//! The lookup returns what `hosts` or else `system` says, where no `lookup=..` says otherwise
//! (`noname`, `again`, `timeout`, `crash`, addresses).

mod egress;
mod names;

use std::collections::BTreeMap;
use std::net::IpAddr;
use std::time::{Duration, SystemTime};

use serde::Deserialize;

use crate::check::{CheckId, Family, Kind, Step};
use crate::network::Network;
use crate::observation::*;
use egress::egress;
use names::dns;

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Scenario {
    /// `key=value` words; `none` where metadata is not asked.
    #[serde(default = "usual_instance")]
    instance: String,
    #[serde(default)]
    expected_cidrs: Vec<String>,
    #[serde(default)]
    proxy_variables: Vec<String>,
    #[serde(default)]
    no_proxy: Vec<String>,
    #[serde(default)]
    endpoint_variables: Vec<String>,
    #[serde(default)]
    region_variables: BTreeMap<String, String>,
    observations: Vec<String>,
    /// In order, as `code: check check ..`; a warning explains no check.
    pub causes: Vec<String>,
}

fn usual_instance() -> String {
    "id=i-0e1f region=us-east-1 vpc=vpc-0a1b subnet=subnet-0c2d cidr=10.0.0.0/16 cidr=2001:db8:1234::/56"
        .into()
}

impl Scenario {
    pub fn environment(&self) -> Environment {
        Environment {
            proxy_variables: self.proxy_variables.clone(),
            no_proxy: self.no_proxy.clone(),
            endpoint_variables: self.endpoint_variables.clone(),
            region_variables: self.region_variables.clone(),
        }
    }

    pub fn instance(&self) -> Option<Instance> {
        let words = Words::of(&self.instance);
        (self.instance != "none").then(|| Instance {
            instance_id: words.text("id"),
            region: words.text("region"),
            vpc_id: words.text("vpc"),
            subnet_id: words.text("subnet"),
            zone: words.text("zone"),
            zone_id: words.text("zone_id"),
            vpc_cidrs: words.all("cidr").map(|cidr| cidr.parse().unwrap()).collect(),
            ..Instance::default()
        })
    }

    pub fn observations(&self) -> Vec<Observation> {
        let network = Network {
            vpc: self.instance().map(|instance| instance.vpc_cidrs).unwrap_or_default(),
            expected: self.expected_cidrs.iter().map(|cidr| cidr.parse().unwrap()).collect(),
            metadata_off: false,
            of_host: vec![],
        };
        self.observations.iter().map(|line| observation(line, &network)).collect()
    }
}

/// A line cut at its blanks, but for those in single quotes.
struct Words(Vec<String>);

impl Words {
    fn of(line: &str) -> Self {
        let mut words = vec![String::new()];
        let mut quoted = false;
        for c in line.chars() {
            match c {
                '\'' => quoted = !quoted,
                ' ' if !quoted => words.push(String::new()),
                c => words.last_mut().unwrap().push(c),
            }
        }
        assert!(!quoted, "unbalanced quote in {line}");
        words.retain(|word| !word.is_empty());
        Self(words)
    }

    fn all<'a>(&'a self, key: &'a str) -> impl Iterator<Item = &'a str> {
        self.0.iter().filter_map(move |word| word.split_once('=').filter(|(k, _)| *k == key).map(|(_, v)| v))
    }

    fn text(&self, key: &str) -> Option<String> {
        self.all(key).next().map(str::to_owned)
    }

    fn number<T: std::str::FromStr>(&self, key: &str) -> Option<T> {
        self.text(key).map(|value| value.parse().ok().unwrap_or_else(|| panic!("{key}={value}")))
    }

    fn addresses(&self) -> Vec<(IpAddr, &str)> {
        let pairs = self.0.iter().filter_map(|word| word.split_once('='));
        pairs.filter_map(|(ip, value)| Some((ip.parse().ok()?, value))).collect()
    }
}

pub fn id(text: &str) -> CheckId {
    let step = |name: &str, step| CheckId::Endpoint(name.to_owned(), step);
    match text.split_once('/') {
        None if text == "instance" => CheckId::Instance,
        None if text == "credentials" => CheckId::Credentials,
        Some(("egress", "ipv4")) => CheckId::Egress(Family::Ipv4),
        Some(("egress", "ipv6")) => CheckId::Egress(Family::Ipv6),
        Some((name, "dns")) => step(name, Step::Dns),
        Some((name, "connect")) => step(name, Step::Connect),
        Some((name, "call")) => step(name, Step::Call),
        _ => panic!("no such check: {text}"),
    }
}

fn reason(code: &str) -> Reason {
    *Reason::ALL
        .iter()
        .find(|reason| reason.code() == code)
        .unwrap_or_else(|| panic!("no such reason: {code}"))
}

fn outcome(state: &str, code: Option<&str>) -> Outcome {
    let reason = || reason(code.unwrap_or_else(|| panic!("{state} without a reason")));
    match state {
        "pass" => Outcome::Pass,
        "fail" => Outcome::Fail(reason()),
        "inconclusive" => Outcome::Inconclusive(reason()),
        "skipped" => Outcome::Skipped(reason()),
        other => panic!("no such outcome: {other}"),
    }
}

fn observation(line: &str, network: &Network) -> Observation {
    let words = Words::of(line);
    let [check, state, rest @ ..] = words.0.as_slice() else { panic!("too short: {line}") };
    let check = id(check);
    let outcome = outcome(state, rest.first().map(String::as_str));
    let late = outcome.reason().is_some_and(|reason| reason.code().ends_with("timeout"));
    let took = Duration::from_millis(if late { 3000 } else { 12 });
    let mut addresses: Vec<Address> = words
        .addresses()
        .into_iter()
        .map(|(ip, code)| address(ip, address_outcome(state, code), network))
        .map(|address| Address { zone: words.text(&format!("zone@{}", address.ip)), ..address })
        .collect();
    if check.kind() == Kind::Dns && addresses.is_empty() {
        addresses = of_answer(&words, outcome, network);
    }
    Observation {
        evidence: evidence(&check, outcome, took, &words),
        check,
        started_at: SystemTime::UNIX_EPOCH + Duration::from_hours(500_000),
        took,
        outcome,
        addresses,
        phases: vec![],
        lateness: Lateness {
            late: Duration::from_millis(words.number("late").unwrap_or_default()),
            spoiled_rounds: words.number("rounds").unwrap_or_default(),
        },
    }
}

fn address(ip: IpAddr, outcome: Outcome, network: &Network) -> Address {
    Address { ip, scope: network.scope(ip), outcome, phases: vec![], zone: None }
}

fn address_outcome(state: &str, code: &str) -> Outcome {
    match (code, state) {
        ("pass", _) => Outcome::Pass,
        ("family_unavailable" | "prerequisite_failed", _) => outcome("skipped", Some(code)),
        (_, "inconclusive") => outcome("inconclusive", Some(code)),
        _ => outcome("fail", Some(code)),
    }
}

/// Of a failed lookup those addresses are bad that lie outside.
fn of_answer(words: &Words, outcome: Outcome, network: &Network) -> Vec<Address> {
    let ips = words.all("system").flat_map(|list| list.split(',')).filter_map(|ip| ip.parse().ok());
    let judged = |ip| if network.scope(ip).is_inside() { Outcome::Pass } else { outcome };
    ips.map(|ip| address(ip, judged(ip), network)).collect()
}

fn evidence(check: &CheckId, outcome: Outcome, took: Duration, words: &Words) -> Evidence {
    if let Some(because) = words.text("because") {
        return Evidence::NotAttempted(not_attempted(&because));
    }
    let error = outcome
        .reason()
        .map(|reason| ProbeError { reason, detail: words.text("detail").unwrap_or_default() });
    let host = words.text("host").unwrap_or_else(|| format!("{}.us-east-1.amazonaws.com", check.target()));
    match check.kind() {
        Kind::Instance => {
            let server = words.text("server").unwrap_or_else(|| "169.254.169.254:80".into());
            let server = server.parse().ok();
            let silence = words.text("silence").map(|silence| match silence.as_str() {
                "connect" => MetadataSilence::Connect,
                "token_only" => MetadataSilence::TokenOnly,
                _ => MetadataSilence::Slow,
            });
            Evidence::Instance(InstanceEvidence { server, instance: None, silence, error })
        }
        Kind::Credentials => Evidence::Credentials(CredentialsEvidence {
            source: words.text("source").map(|source| provider(&source)),
            access_key_id: None,
            expires_at: None,
            endpoint_settings: words.all("profile_sets").map(str::to_owned).collect(),
            profile_region: words.text("profile_region"),
            unreached: words.text("unreached"),
            aws_error: aws_error(words),
            error,
        }),
        Kind::Dns => Evidence::Dns(dns(&host, took, words)),
        Kind::Connect => {
            let port = words.number("port").unwrap_or(443);
            let connections =
                words.addresses().into_iter().map(|evidence| connection(evidence, words)).collect();
            let control =
                words.text("aws_control").map(|control| gateway_control(&control, &words.addresses()));
            Evidence::Connect { host, port, connections, control }
        }
        Kind::Call => Evidence::Call {
            host,
            calls: words.addresses().into_iter().map(|evidence| call(evidence, words)).collect(),
            proof: Proof::ALL
                .into_iter()
                .find(|proof| words.text("proof").is_some_and(|key| key == proof.key()))
                .map(|condition| ProofEvidence { condition, proven: outcome == Outcome::Pass }),
        },
        Kind::Egress => Evidence::Egress(egress(check, words)),
    }
}

fn provider(code: &str) -> Provider {
    match code {
        "environment" => Provider::Environment,
        "profile" => Provider::Profile,
        "credential_process" => Provider::CredentialProcess,
        "sso" => Provider::Sso,
        "web_identity" => Provider::WebIdentity,
        "container" => Provider::Container,
        "pod_identity" => Provider::PodIdentity,
        "instance_metadata" => Provider::InstanceMetadata,
        other => panic!("{other} is not a provider"),
    }
}

fn not_attempted(code: &str) -> NotAttempted {
    match code {
        "no_address" => NotAttempted::NoAddress,
        "no_verified_address" => NotAttempted::NoVerifiedAddress,
        "no_region" => NotAttempted::NoRegion,
        "no_credentials" => NotAttempted::NoCredentials,
        "no_resources" => NotAttempted::NoResources,
        "overdue" => {
            NotAttempted::Overdue { last_run: Duration::from_secs(150), interval: Duration::from_secs(30) }
        }
        other => panic!("unknown: because={other}"),
    }
}

/// `aws_control=answer`, `silence` or `none`, of the families of the endpoint's addresses.
fn gateway_control(said: &str, addresses: &[(IpAddr, &str)]) -> GatewayControl {
    let result = match said {
        "answer" => ControlResult::Reply,
        "silence" => ControlResult::NoReply,
        "none" => ControlResult::NotSent,
        other => panic!("no such control: {other}"),
    };
    let judged = addresses.iter().map(|(ip, _)| JudgedControl { family: Family::of(*ip), result });
    let host = Some("s3.us-west-2.amazonaws.com".to_owned());
    GatewayControl { host, judged: judged.collect(), ..GatewayControl::default() }
}

fn connection((ip, code): (IpAddr, &str), words: &Words) -> Connection {
    let passed = code == "pass";
    let handshaken = passed || code.starts_with("certificate") || code.starts_with("response");
    let tcp = handshaken || code.starts_with("tls");
    Connection {
        ip,
        peer: None,
        protocol: EndpointProtocol::Https,
        kernel_tcp: None,
        phases: tcp.then_some((Phase::Tcp, Duration::from_micros(800))).into_iter().collect(),
        certificate: handshaken.then(|| certificate(words)),
        http_status: passed.then_some(404),
        clock_skew: words.number("skew"),
        signature: None,
        trust_store: words.text("trust_store"),
        error: (!passed)
            .then(|| ProbeError { reason: reason(code), detail: words.text("detail").unwrap_or_default() }),
    }
}

fn certificate(words: &Words) -> Certificate {
    let at = |key| words.number(key).map(|seconds| SystemTime::UNIX_EPOCH + Duration::from_secs(seconds));
    Certificate {
        issuer: words.text("issuer").unwrap_or_else(|| "CN=Amazon RSA 2048 M02,O=Amazon,C=US".into()),
        subject: String::new(),
        not_before: at("not_before"),
        not_after: at("not_after"),
        names: words.all("name").map(str::to_owned).collect(),
    }
}

fn aws_error(words: &Words) -> Option<AwsError> {
    words.text("code").map(|code| AwsError { code, message: words.text("message").unwrap_or_default() })
}

fn call((ip, code): (IpAddr, &str), words: &Words) -> CallEvidence {
    let aws_error = aws_error(words);
    let broke = code != "pass" && aws_error.is_none();
    CallEvidence {
        ip,
        peer: None,
        kernel_tcp: None,
        phases: vec![],
        http_status: words.number("status"),
        request_id: None,
        aws_error,
        metrics: (code == "pass").then_some(0),
        clock_skew: words.number("skew"),
        error: broke
            .then(|| ProbeError { reason: reason(code), detail: words.text("detail").unwrap_or_default() }),
    }
}
