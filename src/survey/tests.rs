use std::collections::BTreeMap;
use std::net::IpAddr;
use std::time::Duration;

use serde_json::Value;

use super::*;
use crate::config::Config;
use crate::observation::{
    EaiCode, EndpointProtocol, HostsEntry, LookupError, LookupResult, Phase, ProbeError, Query, QueryResult,
    QueryType, Reason, Resolver,
};
use crate::report::fixture;
use crate::report::text::Style;

const REGION: &str = "us-east-1";
const INSIDE: &[&str] = &["10.0.1.57", "10.0.2.113"];
const PUBLIC: &[&str] = &["203.0.113.20"];

fn ips(texts: &[&str]) -> Vec<IpAddr> {
    texts.iter().map(|text| text.parse().unwrap()).collect()
}

fn context() -> Context {
    let instance = Instance {
        region: Some(REGION.into()),
        zone: Some("us-east-1a".into()),
        vpc_id: Some("vpc-0abc".into()),
        vpc_cidrs: vec!["10.0.0.0/16".parse().unwrap()],
        subnet_cidrs: vec!["10.0.1.0/24".parse().unwrap()],
        ..Instance::default()
    };
    let network = Network { vpc: instance.vpc_cidrs.clone(), ..Network::default() };
    Context {
        region: REGION.into(),
        instance,
        network,
        missing_families: vec![Family::Ipv6],
        ..Context::default()
    }
}

fn error(code: EaiCode) -> LookupResult {
    LookupResult::Error(LookupError { code, errno: None, message: "it says why".into() })
}

fn addresses(texts: &[&str]) -> LookupResult {
    LookupResult::Addresses { addresses: ips(texts) }
}

fn answered(texts: &[&str]) -> QueryResult {
    QueryResult::Addresses { addresses: ips(texts), ttl: Some(60), aliases: vec![] }
}

fn evidence(host: &str, lookup: LookupResult, vpc: QueryResult) -> DnsEvidence {
    let query = |query_type, result| {
        Query::of("169.254.169.253:53".parse().unwrap(), Resolver::Vpc, query_type, result)
    };
    let of_aaaa = match &vpc {
        QueryResult::Addresses { .. } => answered(&[]),
        other => other.clone(),
    };
    let mut evidence = DnsEvidence::of(host, vec![query(QueryType::A, vpc), query(QueryType::Aaaa, of_aaaa)]);
    evidence.lookup.result = lookup;
    evidence
}

/// Where nothing else is said, no name exists.
struct World {
    seen: Seen,
    context: Context,
}

impl World {
    fn new() -> Self {
        let agenda = Agenda::new(REGION);
        let hosts = agenda.controls().map(|(_, host)| host);
        let hosts = hosts.chain(agenda.questions().iter().map(|question| question.host.clone()));
        let unknown =
            |host: String| (host.clone(), evidence(&host, error(EaiCode::NoName), QueryResult::Nxdomain));
        let names: BTreeMap<String, DnsEvidence> = hosts.map(unknown).collect();
        let seen = Seen { names, took: Duration::from_secs(17), ..Seen::default() };
        Self { seen, context: context() }
    }

    fn name(mut self, host: &str, lookup: LookupResult, vpc: QueryResult) -> Self {
        assert!(self.seen.names.contains_key(host), "{host} is not asked");
        self.seen.names.insert(host.to_owned(), evidence(host, lookup, vpc));
        self
    }

    fn has(self, host: &str, texts: &[&str]) -> Self {
        self.name(host, addresses(texts), answered(texts))
    }

    /// What a name below the region's suffix gets that cannot exist.
    fn any_name(self, lookup: &LookupResult) -> Self {
        self.name("no-such-service.us-east-1.amazonaws.com", lookup.clone(), QueryResult::Nxdomain)
    }

    fn connects(mut self, host: &str, ip: &str, error: Option<Reason>) -> Self {
        let ip: IpAddr = ip.parse().unwrap();
        let connection = Connection {
            ip,
            peer: Some((ip, 443).into()),
            protocol: EndpointProtocol::Https,
            kernel_tcp: None,
            phases: vec![(Phase::Tcp, Duration::from_millis(5))],
            certificate: None,
            http_status: error.is_none().then_some(403),
            clock_skew: None,
            signature: None,
            trust_store: None,
            error: error.map(|reason| ProbeError { reason, detail: "no answer within 3s".into() }),
        };
        self.seen.connections.entry(host.to_owned()).or_default().push(connection);
        self
    }

    fn survey(self) -> Survey {
        Survey::new(self.context, Agenda::new(REGION), self.seen)
    }
}

const MONITORING: &str = "monitoring.us-east-1.amazonaws.com";
const KMS: &str = "kms.us-east-1.amazonaws.com";

fn state_of(survey: &Survey, host: &str) -> NameState {
    survey.finding(host).unwrap().state
}

#[test]
fn addresses_decide_what_a_name_shows() {
    for (lookup, state) in [
        (addresses(INSIDE), NameState::Private),
        (addresses(&["10.0.1.57", "203.0.113.20"]), NameState::Mixed),
        (addresses(&["10.99.0.1"]), NameState::Elsewhere),
        (addresses(&["127.0.0.1"]), NameState::Special),
        (addresses(PUBLIC), NameState::Public),
        // Nothing on this host can go there, so it is the other that counts.
        (addresses(&["10.0.1.57", "2001:db8:ffff::20"]), NameState::Private),
        (addresses(&[]), NameState::NoAddress),
        (error(EaiCode::NoData), NameState::NoAddress),
        (error(EaiCode::NoName), NameState::NotFound),
        (error(EaiCode::Again), NameState::Failed),
        (error(EaiCode::Memory), NameState::Failed),
        (LookupResult::TimedOut, NameState::Failed),
        (LookupResult::TooManyAddresses { count: 257 }, NameState::Failed),
    ] {
        let survey = World::new().name(MONITORING, lookup.clone(), answered(INSIDE)).survey();
        assert_eq!(state_of(&survey, MONITORING), state, "{lookup:?}");
        let is_known = state != NameState::Failed;
        assert_eq!(survey.is_complete(), is_known, "{lookup:?}");
    }
}

#[test]
fn without_the_ranges_no_address_is_private_and_none_public() {
    let mut world = World::new().has(MONITORING, INSIDE).has(KMS, PUBLIC);
    world.context.network = Network::default();
    let survey = world.survey();
    assert_eq!(state_of(&survey, MONITORING), NameState::RangesUnknown);
    assert_eq!(state_of(&survey, KMS), NameState::RangesUnknown);
}

#[test]
fn the_answer_that_any_name_gets_shows_no_endpoint() {
    let any = addresses(&["10.0.1.57"]);
    let dual_stack = "monitoring.us-east-1.api.aws";
    let survey = World::new()
        .any_name(&any)
        .has(MONITORING, &["10.0.1.57"])
        .has(KMS, INSIDE)
        .has(dual_stack, &["10.0.1.57"])
        .survey();
    assert_eq!(state_of(&survey, MONITORING), NameState::AnyName);
    assert_eq!(state_of(&survey, KMS), NameState::Private, "it has an address of its own");
    assert_eq!(state_of(&survey, dual_stack), NameState::Private, "below another suffix");
    let text = render_text(&survey);
    assert!(
        text.contains("Names below us-east-1.amazonaws.com that do not exist resolve to 10.0.1.57"),
        "{text}"
    );
    assert!(!text.contains("monitoring.us-east-1.amazonaws.com"), "{text}");
}

#[test]
fn nothing_is_connected_to_but_what_is_private() {
    let world = World::new()
        .any_name(&addresses(&["10.0.1.99"]))
        .has(MONITORING, &["10.0.1.57", "203.0.113.20"])
        .has(KMS, &["10.0.1.99"])
        .has("sts.us-east-1.amazonaws.com", PUBLIC)
        .has("ssm.us-east-1.amazonaws.com", &["10.99.0.1"]);
    let agenda = Agenda::new(REGION);
    let targets = agenda.to_connect(&world.seen.names, &world.context);
    let targets: Vec<(&str, Vec<IpAddr>)> =
        targets.into_iter().map(|(question, ips)| (question.host.as_str(), ips)).collect();
    assert_eq!(targets, [(MONITORING, ips(&["10.0.1.57"]))]);
}

#[test]
fn an_address_of_a_family_that_the_host_lacks_is_not_connected_to() {
    let mut world = World::new().has(MONITORING, INSIDE);
    world.context.missing_families = vec![Family::Ipv4];
    let agenda = Agenda::new(REGION);
    assert!(agenda.to_connect(&world.seen.names, &world.context).is_empty());
    let text = render_text(&world.survey());
    assert!(text.contains(&format!("us-east-1a  {}", Reason::FamilyUnavailable.words())), "{text}");
}

#[test]
fn a_control_that_failed_leaves_the_survey_incomplete() {
    let survey = World::new().any_name(&error(EaiCode::Again)).has(MONITORING, INSIDE).survey();
    assert_eq!(state_of(&survey, MONITORING), NameState::Private);
    assert!(!survey.is_complete());
    let text = render_text(&survey);
    assert!(text.contains("is not known below us-east-1.amazonaws.com"), "{text}");
    assert!(text.contains("INCOMPLETE: not every name could be looked up both ways."), "{text}");
}

#[test]
fn applications_and_the_vpc_resolver_are_compared() {
    let cases = [
        (addresses(INSIDE), answered(INSIDE), Some(false)),
        (addresses(INSIDE), answered(&["10.0.1.57"]), Some(true)),
        (addresses(PUBLIC), answered(INSIDE), Some(true)),
        (addresses(INSIDE), answered(PUBLIC), Some(true)),
        // Different ones each time.
        (addresses(PUBLIC), answered(&["203.0.113.21"]), Some(false)),
        (addresses(PUBLIC), QueryResult::Nxdomain, Some(true)),
        (error(EaiCode::NoName), answered(INSIDE), Some(true)),
        (error(EaiCode::NoName), QueryResult::Nxdomain, Some(false)),
        (error(EaiCode::NoName), answered(&[]), Some(false)),
        (addresses(INSIDE), QueryResult::Timeout, None),
        (error(EaiCode::Again), answered(INSIDE), None),
    ];
    for (lookup, vpc, disagrees) in cases {
        let survey = World::new().name(MONITORING, lookup.clone(), vpc.clone()).survey();
        let finding = survey.finding(MONITORING).unwrap();
        assert_eq!(finding.disagrees, disagrees, "{lookup:?} {vpc:?}");
        assert_eq!(survey.is_complete(), disagrees.is_some(), "{lookup:?} {vpc:?}");
    }
}

#[test]
fn the_vpc_resolver_is_shown_apart_where_applications_get_no_answer() {
    let survey = World::new()
        .name(MONITORING, error(EaiCode::Again), answered(INSIDE))
        .name(KMS, LookupResult::TimedOut, answered(PUBLIC))
        .survey();
    let text = render_text(&survey);
    let heading = "At the VPC resolver only: applications got no answer, so nothing here was connected to\n";
    let (before, block) = text.split_once(heading).unwrap_or_else(|| panic!("{text}"));
    assert!(!before.contains("10.0.1.57"), "{text}");
    let line = "  monitoring.us-east-1.amazonaws.com: 10.0.1.57 (vpc), 10.0.2.113 (vpc)\n\nNot known\n";
    assert!(block.starts_with(line), "{text}");
}

#[test]
fn only_services_that_were_asked_are_counted() {
    let survey = World::new().survey();
    let asked = survey.agenda.services.iter().filter(|service| !service.names.is_empty()).count();
    assert!(asked < survey.agenda.services.len(), "each service has a name");
    let text = render_text(&survey);
    assert!(text.contains(&format!(" names of {asked} services in ")), "{text}");
    let mut world = World::new();
    world.seen.names.retain(|host, _| host == MONITORING || host == KMS);
    let text = render_text(&world.survey());
    assert!(text.contains(" names of 2 services in "), "{text}");
}

#[test]
fn what_was_not_asked_is_never_missing() {
    let mut world = World::new().has(MONITORING, INSIDE);
    world.seen.names.retain(|host, _| host == MONITORING || host.starts_with("no-such-"));
    world.seen.ended = Ended::Interrupted;
    let survey = world.survey();
    assert_eq!(state_of(&survey, KMS), NameState::NotLookedAt);
    assert!(!survey.is_complete());
    let text = render_text(&survey);
    assert!(text.contains("Looked up 1 of "), "{text}");
    assert!(!text.contains("No such name") && !text.contains("Public"), "{text}");
    let sentence = "INCOMPLETE: interrupted before every name was looked up and connected to.";
    assert!(text.contains(sentence), "{text}");
}

#[test]
fn services_of_which_some_names_were_asked_are_listed_apart() {
    let mut world = World::new();
    world.seen.names.retain(|host, _| host == MONITORING || host.starts_with("no-such-"));
    world.seen.ended = Ended::Interrupted;
    let text = render_text(&world.survey());
    let list = |heading: &str| {
        let (_, rest) = text.split_once(heading).unwrap_or_else(|| panic!("{heading}: {text}"));
        rest.split_once("\n\n").unwrap().0.to_owned()
    };
    let part = list("Partly looked up: those of their names that were looked up have no address (1");
    assert_eq!(part, " service)\n  monitoring", "{text}");
    let none = list("Not looked up: none of their names was looked up (");
    assert!(none.contains("access-analyzer") && !none.contains("monitoring"), "{none}");
}

fn render_text(survey: &Survey) -> String {
    text(survey, Style::PLAIN)
}

/// Everything that there is to show, at once.
fn eventful() -> Survey {
    let mut world = World::new()
        .has(MONITORING, INSIDE)
        .connects(MONITORING, "10.0.1.57", None)
        .connects(MONITORING, "10.0.2.113", Some(Reason::ConnectTimeout))
        .has("monitoring.us-east-1.api.aws", INSIDE)
        .has("111122223333.dkr.ecr.us-east-1.amazonaws.com", &["10.0.1.60"])
        .connects("111122223333.dkr.ecr.us-east-1.amazonaws.com", "10.0.1.60", None)
        .has(KMS, &["10.0.1.61", "203.0.113.20"])
        .has("ssm.us-east-1.amazonaws.com", &["10.99.0.57"])
        .has("logs.us-east-1.amazonaws.com", &["127.0.0.1"])
        .has("s3.us-east-1.amazonaws.com", PUBLIC)
        .has("dynamodb.us-east-1.amazonaws.com", PUBLIC)
        .has("streams.dynamodb.us-east-1.amazonaws.com", PUBLIC)
        .has("athena.us-east-1.amazonaws.com", PUBLIC)
        .name("sts.us-east-1.amazonaws.com", addresses(PUBLIC), answered(&["10.0.1.62"]))
        .name("sqs.us-east-1.amazonaws.com", error(EaiCode::Again), QueryResult::Servfail)
        .name("cassandra.us-east-1.amazonaws.com", addresses(&["10.0.1.70"]), QueryResult::Timeout);
    let line = HostsEntry { line: 3, address: ips(PUBLIC)[0] };
    world.seen.names.get_mut("sts.us-east-1.amazonaws.com").unwrap().files.hosts = vec![line];
    world.survey()
}

#[test]
fn a_survey_reads_well() {
    let page = render_text(&eventful()).replace(env!("CARGO_PKG_VERSION"), "0.0.0");
    // Most of the catalogue.
    let (before, rest) = page.split_once("\nNo such name").unwrap();
    let (_, after) = rest.split_once("\n\n").unwrap();
    // A new service in the catalogue changes no more than the counts.
    let page = format!("{before}\n{after}");
    let lines = page.lines().filter(|line| !line.starts_with("Looked up "));
    let page: String = lines.map(|line| format!("{line}\n")).collect();
    fixture::golden("src/survey/golden/eventful.txt", &page);
    for columns in [40, 100, 160] {
        let style = Style { color: true, terminal: Some(columns) };
        assert!(text(&eventful(), style).contains("\u{1b}[1mDifferent answers"));
    }
}

#[test]
fn a_survey_becomes_a_configuration() {
    let written = toml(&eventful()).unwrap();
    let lines = written.text.lines().filter(|line| !line.starts_with("# Looked up "));
    let page: String = lines.map(|line| format!("{line}\n")).collect();
    fixture::golden("src/survey/golden/eventful.toml", &page);
    let config = Config::parse(&written.text, "discover.toml").unwrap();
    let names: Vec<&str> = config.endpoints.iter().map(|endpoint| endpoint.name.as_str()).collect();
    assert!(names.contains(&"monitoring") && names.contains(&"kms"), "{names:?}");
    assert!(!names.contains(&"ssm") && !names.contains(&"athena"), "{names:?}");
    let cassandra = config.endpoints.iter().find(|endpoint| endpoint.name == "cassandra").unwrap();
    assert_eq!((cassandra.port, cassandra.protocol), (9142, EndpointProtocol::Tls));
    assert!(toml(&World::new().survey()).unwrap().text.contains("# No endpoint was found"));
}

#[test]
fn what_a_peer_says_stays_in_its_comment() {
    let hostile = "x\u{2028}\n[[endpoint]]\nhost = \"a.example\"\u{202e}\u{1b}[2J";
    let mut world = World::new().has(MONITORING, &["10.0.1.57"]).connects(
        MONITORING,
        "10.0.1.57",
        Some(Reason::TlsFailed),
    );
    for connection in world.seen.connections.values_mut().flatten() {
        connection.error = Some(ProbeError { reason: Reason::TlsFailed, detail: hostile.to_owned() });
    }
    let survey = world.survey();
    let config = Config::parse(&toml(&survey).unwrap().text, "discover.toml").unwrap();
    assert_eq!(config.endpoints.len(), 1);
    let page = render_text(&survey);
    assert!(
        !page.contains('\u{1b}') && !page.contains('\u{202e}') && !page.contains("\n[[endpoint]]"),
        "{page}"
    );
}

const SCHEMA_FILE: &str = include_str!("../../packaging/discover.schema.json");

#[test]
fn the_json_form_follows_its_schema() {
    let schema: Value = serde_json::from_str(SCHEMA_FILE).unwrap();
    let validator = jsonschema::options().should_validate_formats(true).build(&schema).unwrap();
    let mut incomplete = World::new().any_name(&error(EaiCode::Again));
    incomplete.seen.names.remove(KMS);
    incomplete.seen.ended = Ended::OutOfTime;
    incomplete.context.instance = Instance::default();
    for survey in [eventful(), World::new().survey(), incomplete.survey()] {
        let document: Value = serde_json::from_str(&json(&survey).unwrap()).unwrap();
        let wrong: Vec<String> = validator
            .iter_errors(&document)
            .map(|error| format!("{error} at {}", error.instance_path()))
            .collect();
        assert!(wrong.is_empty(), "{wrong:#?}");
    }
    let mut document: Value = serde_json::from_str(&json(&eventful()).unwrap()).unwrap();
    document["services"][0]["added"] = Value::Null;
    assert!(!validator.is_valid(&document), "a key that the schema does not describe");
}
