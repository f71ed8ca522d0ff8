//! Whole situations (`tests/scenarios`), and what holds for every situation there can be.

use std::collections::{BTreeMap, BTreeSet};
use std::net::IpAddr;
use std::path::{Path, PathBuf};
use std::time::{Duration, SystemTime};

use proptest::collection::vec;
use proptest::prelude::*;
use proptest::sample::{select, subsequence};

use super::scenario::{Scenario, id};
use super::*;
use crate::network::Scope;
use crate::observation::*;
use crate::report::fixture;

fn scenarios() -> Vec<(String, Scenario)> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/scenarios");
    let mut paths: Vec<PathBuf> =
        std::fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path()).collect();
    paths.sort();
    let read = |path: &PathBuf| {
        let name = path.file_stem().unwrap().to_string_lossy().into_owned();
        let scenario = toml::from_str(&std::fs::read_to_string(path).unwrap());
        let scenario = scenario.unwrap_or_else(|error| panic!("{name}: {error}"));
        (name, scenario)
    };
    paths.iter().map(read).collect()
}

fn diagnose_scenario(scenario: &Scenario) -> Vec<Diagnosis> {
    let observations = scenario.observations();
    let observations: Vec<&Observation> = observations.iter().collect();
    diagnose(&observations, scenario.instance().as_ref(), &scenario.environment())
}

#[test]
fn each_scenario_has_the_causes_that_it_names() {
    let mut wrong = Vec::new();
    for (name, scenario) in scenarios() {
        let diagnoses = diagnose_scenario(&scenario);
        let found: Vec<String> = diagnoses.iter().map(shown).collect();
        if found != scenario.causes {
            wrong.push(format!("{name}: expected {:#?}, found {found:#?}\n{diagnoses:#?}", scenario.causes));
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n\n"));
}

#[test]
fn evidence_and_remedies_read_well() {
    let mut text = String::new();
    for (name, scenario) in scenarios() {
        text += &format!("{name}\n");
        for diagnosis in diagnose_scenario(&scenario) {
            let Diagnosis { cause, evidence, remedy, .. } = diagnosis;
            text += &format!("  {}\n  {evidence}\n  {remedy}\n\n", cause.title());
        }
    }
    fixture::golden("src/diagnosis/golden/scenarios.txt", &text);
}

fn shown(diagnosis: &Diagnosis) -> String {
    let explains = diagnosis.explains.iter().map(|id| format!(" {id}"));
    format!("{}:{}", diagnosis.cause.code(), explains.collect::<String>())
}

#[test]
fn every_cause_has_a_scenario() {
    let shown: Vec<String> = scenarios().into_iter().flat_map(|(_, scenario)| scenario.causes).collect();
    let missing: Vec<&str> = Cause::ALL
        .iter()
        .map(|cause| cause.code())
        .filter(|code| !shown.iter().any(|cause| cause.starts_with(&format!("{code}:"))))
        .collect();
    assert!(missing.is_empty(), "no scenario shows {missing:?}");
}

fn proxied() -> Environment {
    Environment { proxy_variables: vec!["HTTPS_PROXY".into()], ..Environment::default() }
}

/// What an operator copies at night has to work.
#[test]
fn remedies_set_keys_of_the_configuration() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let sample = std::fs::read_to_string(root.join("packaging/linkproof.toml")).unwrap();
    let known: BTreeSet<&str> = sample
        .lines()
        .filter_map(|line| Some(line.trim_start_matches(['#', ' ']).split_once(" = ")?.0))
        .collect();
    let runbook = std::fs::read_to_string(root.join("packaging/runbook.md")).unwrap();
    // Between the fences are commands and other programs' files.
    let mut texts: Vec<String> = runbook.split("```").step_by(2).map(str::to_owned).collect();
    for (_, scenario) in scenarios() {
        texts.extend(diagnose_scenario(&scenario).into_iter().map(|diagnosis| diagnosis.remedy));
    }
    let set: BTreeSet<String> = texts.iter().flat_map(|text| keys_set(text)).collect();
    let unknown: Vec<&String> = set.iter().filter(|key| !known.contains(key.as_str())).collect();
    assert!(set.contains("type"), "too few to show anything: {set:?}");
    assert!(unknown.is_empty(), "no such key: {unknown:?}");
}

/// What stands before ` = `. With a dot it is the kernel's.
fn keys_set(text: &str) -> Vec<String> {
    let words: Vec<&str> = text.split_whitespace().map(|word| word.trim_matches('`')).collect();
    let keys = words.windows(3).filter(|words| words[1] == "=" && !words[0].contains('.'));
    keys.map(|words| words[0].to_owned()).collect()
}

/// Each cause that a scenario finds, with the reasons of a check that it explains.
fn causes_found() -> Vec<(Cause, BTreeSet<Reason>)> {
    let mut found = Vec::new();
    for (_, scenario) in scenarios() {
        let observations = scenario.observations();
        for diagnosis in diagnose_scenario(&scenario) {
            for observation in observations.iter().filter(|o| diagnosis.explains.contains(&o.check)) {
                let failures = context::failures(observation);
                found.push((diagnosis.cause, failures.into_iter().map(|failure| failure.reason).collect()));
            }
        }
    }
    found
}

#[test]
fn causes_of_a_reason_include_all_that_scenarios_find() {
    let unlisted: BTreeSet<String> = causes_found()
        .into_iter()
        .filter(|(cause, reasons)| {
            let is_listed =
                reasons.is_empty() || reasons.iter().any(|&reason| causes(reason).contains(cause));
            let follows = reasons.iter().any(|&reason| is_consequence(reason));
            !is_listed && !follows && *cause != Cause::Unexplained
        })
        .map(|(cause, reasons)| format!("{cause:?} for {reasons:?}"))
        .collect();
    assert!(unlisted.is_empty(), "presumption::OTHER_CAUSES lacks {unlisted:#?}");
}

#[test]
fn scenarios_show_every_cause_that_a_reason_lists() {
    let found = causes_found();
    let unseen: Vec<String> = presumption::OTHER_CAUSES
        .iter()
        .flat_map(|(reasons, causes)| causes.iter().map(move |cause| (reasons, cause)))
        .filter(|(reasons, cause)| {
            !found.iter().any(|(found, of)| found == *cause && reasons.iter().any(|r| of.contains(r)))
        })
        .map(|(reasons, cause)| format!("{cause:?} for {reasons:?}"))
        .collect();
    assert!(unseen.is_empty(), "no scenario shows {unseen:#?}");
}

const IPS: [&str; 6] =
    ["10.0.1.57", "10.0.2.113", "203.0.113.20", "127.0.0.1", "2001:db8:1234::57", "64:ff9b::808:808"];

fn ip() -> impl Strategy<Value = IpAddr> {
    select(&IPS[..]).prop_map(|ip| ip.parse().unwrap())
}

fn outcome() -> impl Strategy<Value = Outcome> {
    let reason = select(Reason::ALL);
    (0..4u8, reason).prop_map(|(state, reason)| match state {
        0 => Outcome::Pass,
        1 => Outcome::Skipped(reason),
        2 => Outcome::Inconclusive(reason),
        _ => Outcome::Fail(reason),
    })
}

fn address() -> impl Strategy<Value = Address> {
    let scope = select(&Scope::ALL[..]);
    (ip(), scope, outcome()).prop_map(|(ip, scope, outcome)| Address {
        ip,
        scope,
        outcome,
        phases: vec![],
        zone: None,
    })
}

fn query_result() -> impl Strategy<Value = QueryResult> {
    prop_oneof![
        vec(ip(), 0..3).prop_map(|addresses| QueryResult::Addresses {
            addresses,
            ttl: None,
            aliases: vec![]
        }),
        Just(QueryResult::Nxdomain),
        Just(QueryResult::Servfail),
        Just(QueryResult::Refused),
        Just(QueryResult::Timeout),
    ]
}

fn dns_evidence() -> impl Strategy<Value = Evidence> {
    let hosts = select(&["monitoring.us-east-1.amazonaws.com", "ecr.api.eu-west-1.amazonaws.com", "a.b"][..]);
    let answer =
        (select(&[Resolver::System, Resolver::Vpc][..]), query_result()).prop_map(|(resolver, result)| {
            Query::of("10.0.0.2:53".parse().unwrap(), resolver, QueryType::A, result)
        });
    (hosts, vec(answer, 0..4), vec(ip(), 0..2), lookup_result(), any::<[bool; 4]>()).prop_map(
        |(host, queries, pins, result, [by_servers, nscd, asks_dns, hosts_first])| {
            let mut evidence = DnsEvidence::of(host, queries);
            if !by_servers {
                evidence.lookup.result = result;
            }
            let files = &mut evidence.files;
            files.hosts = pins.into_iter().map(|address| HostsEntry { line: 1, address }).collect();
            files.nscd = nscd;
            let sources: &[&str] = match (asks_dns, hosts_first) {
                (false, _) => &["files"],
                (true, true) => &["files", "dns"],
                (true, false) => &["dns", "files"],
            };
            files.sources = sources.iter().map(|source| (*source).to_owned()).collect();
            Evidence::Dns(evidence)
        },
    )
}

fn lookup_result() -> impl Strategy<Value = LookupResult> {
    let error = |code| LookupError { code, errno: None, message: "x".repeat(200) };
    prop_oneof![
        vec(ip(), 1..3).prop_map(|addresses| LookupResult::Addresses { addresses }),
        select(&[EaiCode::Again, EaiCode::NoName, EaiCode::Memory][..])
            .prop_map(move |code| LookupResult::Error(error(code))),
        Just(LookupResult::TimedOut),
        Just(LookupResult::Crashed { end: ProcessEnd::Signal(11) }),
        Just(LookupResult::NotRun { because: NotRun::Busy }),
    ]
}

fn call_evidence() -> impl Strategy<Value = Evidence> {
    let message = "\\PC{0,600}";
    vec((ip(), message, any::<Option<i64>>()), 0..3).prop_map(|calls| {
        let calls = calls.into_iter().map(|(ip, message, clock_skew)| CallEvidence {
            ip,
            peer: None,
            kernel_tcp: None,
            phases: vec![],
            http_status: Some(403),
            request_id: None,
            aws_error: Some(AwsError { code: "AccessDenied".into(), message }),
            metrics: None,
            clock_skew,
            error: None,
        });
        Evidence::Call {
            host: "monitoring.us-east-1.amazonaws.com".into(),
            calls: calls.collect(),
            proof: None,
        }
    })
}

fn egress_evidence() -> impl Strategy<Value = Evidence> {
    let result = prop_oneof![
        Just(ProbeResult::Reply { replies: 1, after: Duration::from_millis(9), kernel: None }),
        Just(ProbeResult::NoReply),
        proptest::option::of(ip()).prop_map(|by| ProbeResult::Rejected {
            by,
            how: "x".repeat(300),
            reset: by.is_none()
        }),
        Just(ProbeResult::NotSent(SendError::NotPermitted)),
    ];
    let judgments = [ProbeJudgment::Leak, ProbeJudgment::Intercepted, ProbeJudgment::Rejected];
    let judged = proptest::option::of(select(judgments.to_vec()));
    let kind = (ip(), select(&Protocol::ALL[..]), any::<bool>());
    let probe = (kind, result, judged).prop_map(|((ip, protocol, decoy), result, judged)| EgressProbe {
        host: None,
        source: ip,
        ip,
        protocol,
        port: Some(443),
        decoy,
        sent: 1,
        result,
        judged,
    });
    (select(&Family::BOTH[..]), vec(probe, 0..8)).prop_map(|(family, probes)| {
        Evidence::Egress(EgressEvidence {
            family,
            window: Duration::from_secs(3),
            sources: vec![],
            family_disabled: None,
            controls_passed: None,
            left_out: vec![],
            icmp_socket: IcmpSocket::Dgram,
            probes,
            controls: vec![],
            unresolved: vec![],
            gaps: vec![],
        })
    })
}

fn evidence() -> impl Strategy<Value = Evidence> {
    let reasons = [NotAttempted::NoAddress, NotAttempted::NoRegion, NotAttempted::NoCredentials];
    let not_attempted = select(reasons.to_vec()).prop_map(Evidence::NotAttempted);
    prop_oneof![not_attempted, dns_evidence(), call_evidence(), egress_evidence()]
}

fn observation(id: CheckId) -> impl Strategy<Value = Observation> {
    (outcome(), vec(address(), 0..4), evidence()).prop_map(move |(outcome, addresses, evidence)| {
        Observation {
            check: id.clone(),
            started_at: SystemTime::UNIX_EPOCH,
            took: Duration::from_millis(12),
            outcome,
            addresses,
            phases: vec![],
            lateness: Lateness::default(),
            evidence,
        }
    })
}

fn observations() -> impl Strategy<Value = Vec<Observation>> {
    let ids: Vec<CheckId> = [
        "instance",
        "credentials",
        "monitoring/dns",
        "monitoring/connect",
        "monitoring/call",
        "logs/dns",
        "logs/connect",
        "egress/ipv4",
        "egress/ipv6",
    ]
    .map(id)
    .to_vec();
    let some = subsequence(ids, 0..=9).prop_shuffle();
    some.prop_flat_map(|ids| ids.into_iter().map(observation).collect::<Vec<_>>())
}

fn instance() -> impl Strategy<Value = Option<Instance>> {
    proptest::option::of(Just(Instance {
        region: Some("us-east-1".into()),
        vpc_cidrs: vec!["10.0.0.0/16".parse().unwrap()],
        ..Instance::default()
    }))
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::with_cases(512) })]

    #[test]
    fn every_broken_check_is_explained_and_only_checks_that_are_no_pass(evidence in observations(), own in instance()) {
        let diagnoses = diagnose(&evidence.iter().collect::<Vec<_>>(), own.as_ref(), &Environment::default());
        let outcomes: BTreeMap<&CheckId, Outcome> = evidence.iter().map(|o| (&o.check, o.outcome)).collect();
        let explained: BTreeSet<&CheckId> = diagnoses.iter().flat_map(|d| &d.explains).collect();
        for (id, outcome) in &outcomes {
            let due = matches!(outcome, Outcome::Fail(_) | Outcome::Inconclusive(_));
            prop_assert!(!due || explained.contains(id), "{id} is left without a cause: {diagnoses:?}");
        }
        for id in explained {
            prop_assert!(outcomes.get(id).is_some_and(|outcome| *outcome != Outcome::Pass), "{id} passed");
        }
    }

    #[test]
    fn causes_come_once_in_order_and_in_words_that_fit(evidence in observations(), own in instance()) {
        let diagnoses = diagnose(&evidence.iter().collect::<Vec<_>>(), own.as_ref(), &proxied());
        let order: Vec<(bool, Cause)> = diagnoses.iter().map(|d| (d.explains.is_empty(), d.cause)).collect();
        prop_assert!(order.is_sorted());
        let causes: BTreeSet<Cause> = diagnoses.iter().map(|d| d.cause).collect();
        prop_assert_eq!(causes.len(), diagnoses.len());
        for diagnosis in &diagnoses {
            for text in [&diagnosis.evidence, &diagnosis.remedy] {
                prop_assert!(!text.is_empty() && text.chars().count() <= text::LONGEST, "{text}");
                prop_assert!(!text.contains(char::is_control), "{text}");
            }
        }
    }

    #[test]
    fn the_order_of_the_observations_changes_nothing(evidence in observations(), own in instance()) {
        let mut refs: Vec<&Observation> = evidence.iter().collect();
        let forwards = diagnose(&refs, own.as_ref(), &Environment::default());
        refs.reverse();
        prop_assert_eq!(forwards, diagnose(&refs, own.as_ref(), &Environment::default()));
    }

    #[test]
    fn where_all_pass_there_are_only_warnings(mut evidence in observations(), own in instance()) {
        for observation in &mut evidence {
            observation.outcome = Outcome::Pass;
        }
        for diagnosis in diagnose(&evidence.iter().collect::<Vec<_>>(), own.as_ref(), &Environment::default()) {
            prop_assert!(diagnosis.explains.is_empty(), "{diagnosis:?}");
            prop_assert!(diagnosis.cause != Cause::Unexplained, "{diagnosis:?}");
        }
    }
}
