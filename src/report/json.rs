//! The report as JSON, for programs. This shape is a promise, which `packaging/report.schema.json`
//! documents: a breaking change counts [`SCHEMA`] up. Durations are seconds, times RFC 3339.

use std::collections::BTreeMap;
use std::net::IpAddr;

use serde::Serialize;

use super::{CheckReport, Report};
use crate::check::{CheckId, Family, Kind};
use crate::diagnosis::Diagnosis;
use crate::network::Scope;
use crate::observation::{Address, Evidence, Instance, Phases, Reason, Status};
use crate::wording::rfc3339;

const SCHEMA: u32 = 1;

/// # Errors
/// None is known: the document has no map with keys that are not text.
pub fn render(report: &Report) -> Result<String, serde_json::Error> {
    serde_json::to_string_pretty(&Document::from(report)).map(|text| text + "\n")
}

#[derive(Serialize)]
struct Document<'a> {
    schema: u32,
    outcome: Status,
    started_at: String,
    finished_at: String,
    agent: Agent<'a>,
    instance: Option<&'a Instance>,
    proxy_variables: &'a [String],
    endpoint_variables: &'a [String],
    region_variables: &'a BTreeMap<String, String>,
    checks: Vec<CheckJson<'a>>,
    diagnoses: Vec<DiagnosisJson<'a>>,
}

#[derive(Serialize)]
struct Agent<'a> {
    version: &'a str,
}

#[derive(Serialize)]
struct CheckJson<'a> {
    id: &'a CheckId,
    target: &'a str,
    kind: Kind,
    outcome: Status,
    reason: Option<Reason>,
    summary: String,
    started_at: Option<String>,
    duration_seconds: Option<f64>,
    phases: BTreeMap<&'static str, f64>,
    evidence: Option<&'a Evidence>,
    addresses: Vec<AddressJson<'a>>,
}

#[derive(Serialize)]
struct AddressJson<'a> {
    ip: IpAddr,
    family: Family,
    scope: Scope,
    outcome: Status,
    reason: Option<Reason>,
    #[serde(skip_serializing_if = "Option::is_none")]
    zone: Option<&'a str>,
    phases: BTreeMap<&'static str, f64>,
}

#[derive(Serialize)]
struct DiagnosisJson<'a> {
    cause: &'a str,
    title: &'a str,
    evidence: &'a str,
    remedy: &'a str,
    runbook: String,
    explains: &'a [CheckId],
}

impl<'a> From<&'a Report> for Document<'a> {
    fn from(report: &'a Report) -> Self {
        Self {
            schema: SCHEMA,
            outcome: report.state(),
            started_at: rfc3339(report.started_at),
            finished_at: rfc3339(report.finished_at),
            agent: Agent { version: report.version },
            instance: report.instance.as_ref(),
            proxy_variables: &report.environment.proxy_variables,
            endpoint_variables: &report.environment.endpoint_variables,
            region_variables: &report.environment.region_variables,
            checks: report.checks.iter().map(CheckJson::from).collect(),
            diagnoses: report.diagnoses.iter().map(DiagnosisJson::from).collect(),
        }
    }
}

impl<'a> From<&'a CheckReport> for CheckJson<'a> {
    fn from(check: &'a CheckReport) -> Self {
        let last = check.last.as_ref();
        Self {
            id: &check.id,
            target: check.id.target(),
            kind: check.id.kind(),
            outcome: check.state(),
            reason: last.and_then(|last| last.outcome.reason()),
            summary: check.summary(),
            started_at: last.map(|last| rfc3339(last.started_at)),
            duration_seconds: last.map(|last| last.took.as_secs_f64()),
            phases: last.map(|last| seconds(&last.phases)).unwrap_or_default(),
            evidence: last.map(|last| &last.evidence),
            addresses: last
                .map(|last| last.addresses.iter().map(AddressJson::from).collect())
                .unwrap_or_default(),
        }
    }
}

impl<'a> From<&'a Address> for AddressJson<'a> {
    fn from(address: &'a Address) -> Self {
        Self {
            ip: address.ip,
            family: Family::of(address.ip),
            scope: address.scope,
            outcome: address.outcome.state(),
            reason: address.outcome.reason(),
            zone: address.zone.as_deref(),
            phases: seconds(&address.phases),
        }
    }
}

impl<'a> From<&'a Diagnosis> for DiagnosisJson<'a> {
    fn from(diagnosis: &'a Diagnosis) -> Self {
        Self {
            cause: diagnosis.cause.code(),
            title: diagnosis.cause.title(),
            evidence: &diagnosis.evidence,
            remedy: &diagnosis.remedy,
            runbook: diagnosis.cause.runbook().to_string(),
            explains: &diagnosis.explains,
        }
    }
}

fn seconds(phases: &Phases) -> BTreeMap<&'static str, f64> {
    phases.iter().map(|(phase, took)| (phase.code(), took.as_secs_f64())).collect()
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use serde_json::Value;

    use super::*;
    use crate::diagnosis::Cause;
    use crate::observation::{
        EaiCode, EgressProbe, FileProblem, HostFiles, HostsEntry, LookupError, LookupResult, NotRun,
        ProbeResult, ProcessEnd, Protocol, Query, QueryResult, QueryType, Resolver, SendError,
    };
    use crate::report::fixture;

    const SCHEMA_FILE: &str = include_str!("../../packaging/report.schema.json");

    fn schema() -> Value {
        serde_json::from_str(SCHEMA_FILE).unwrap()
    }

    fn violations(report: &Report) -> Vec<String> {
        let validator = jsonschema::options().should_validate_formats(true).build(&schema()).unwrap();
        let document = serde_json::from_str(&render(report).unwrap()).unwrap();
        validator
            .iter_errors(&document)
            .map(|error| format!("{} at {}", error, error.instance_path()))
            .collect()
    }

    #[test]
    fn fixtures_follow_the_schema() {
        for (name, report) in fixture::all() {
            assert_eq!(violations(&report), [] as [String; 0], "{name}");
        }
    }

    #[test]
    fn every_query_result_follows_the_schema() {
        let detail = || "detail".to_owned();
        let results = [
            QueryResult::Addresses {
                addresses: vec!["::1".parse().unwrap()],
                ttl: None,
                aliases: vec!["a.example".into()],
            },
            QueryResult::Nxdomain,
            QueryResult::Servfail,
            QueryResult::Refused,
            QueryResult::NotRecursive,
            QueryResult::OtherCode { rcode: 9 },
            QueryResult::Truncated { detail: detail() },
            QueryResult::Timeout,
            QueryResult::Unreachable { detail: detail() },
            QueryResult::Invalid { detail: detail() },
        ];
        let queries: Vec<Query> =
            results.map(|result| fixture::query(Resolver::Vpc, QueryType::Aaaa, result)).into();
        let mut report = fixture::healthy();
        let Evidence::Dns(evidence) = &mut fixture::last(&mut report, 2).evidence else {
            panic!("the third check is dns");
        };
        evidence.queries = queries;
        evidence.queries[0].name = Some("monitoring.example.corp".into());
        evidence.queries[0].edns_refused = true;
        evidence.queries[0].alias_last = true;
        let entry = HostsEntry { line: 2, address: fixture::ip("10.0.1.57") };
        let problem =
            FileProblem::Unreadable { path: "/etc/hosts", error: "denied".into(), mode: Some(0o600) };
        evidence.files = HostFiles {
            search: vec!["corp".into()],
            merges: true,
            hosts: vec![entry],
            upstreams: vec![fixture::ip("10.0.0.2")],
            problems: vec![problem],
            ..evidence.files.clone()
        };
        assert_eq!(violations(&report), [] as [String; 0]);
    }

    #[test]
    fn every_lookup_result_follows_the_schema() {
        let error = LookupError { code: EaiCode::System, errno: Some(111), message: "refused".into() };
        for result in [
            LookupResult::Addresses { addresses: vec![fixture::ip("10.0.1.57")] },
            LookupResult::Error(error.clone()),
            LookupResult::Error(LookupError { code: EaiCode::Other(-99), errno: None, ..error }),
            LookupResult::TimedOut,
            LookupResult::Crashed { end: ProcessEnd::Exit(3) },
            LookupResult::TooManyAddresses { count: 257 },
            LookupResult::NotRun { because: NotRun::Busy },
        ] {
            let mut report = fixture::healthy();
            if let Evidence::Dns(evidence) = &mut fixture::last(&mut report, 2).evidence {
                evidence.lookup.result = result;
            }
            assert_eq!(violations(&report), [] as [String; 0]);
        }
    }

    #[test]
    fn every_probe_result_follows_the_schema() {
        let results = [
            ProbeResult::Reply { replies: 1, after: fixture::ms(1.0), kernel: Some(fixture::ms(0.9)) },
            ProbeResult::NoReply,
            ProbeResult::Rejected { by: None, how: "Connection refused".into(), reset: true },
            ProbeResult::Rejected {
                by: Some(fixture::ip("10.0.1.1")),
                how: "prohibited".into(),
                reset: false,
            },
            ProbeResult::NotSent(SendError::NoRoute),
            ProbeResult::NotSent(SendError::NotPermitted),
            ProbeResult::NotSent(SendError::Blocked { errno: "Permission denied".into() }),
        ];
        let probes: Vec<EgressProbe> = Protocol::ALL
            .into_iter()
            .flat_map(|protocol| results.clone().map(|result| fixture::probe(protocol, "1.1.1.1", 1, result)))
            .collect();
        let mut report = fixture::healthy();
        let Evidence::Egress(evidence) = &mut fixture::last(&mut report, 5).evidence else {
            panic!("the sixth check is egress");
        };
        evidence.probes = probes;
        evidence.unresolved = vec!["www.amazon.com: NXDOMAIN".into()];
        assert_eq!(violations(&report), [] as [String; 0]);
    }

    fn codes<T: Copy>(all: &[T], code: fn(T) -> &'static str) -> Vec<String> {
        all.iter().map(|of| code(*of).to_owned()).collect()
    }

    #[test]
    fn the_schema_lists_every_code() {
        let schema = schema();
        let listed = |of: &str| {
            let codes = schema["$defs"][of]["enum"].as_array().unwrap();
            codes.iter().map(|code| code.as_str().unwrap().to_owned()).collect::<Vec<_>>()
        };
        assert_eq!(listed("reason"), codes(Reason::ALL, Reason::code));
        assert_eq!(listed("cause"), codes(Cause::ALL, Cause::code));
        assert_eq!(listed("outcome"), codes(&Status::ALL, Status::code));
        assert_eq!(listed("protocol"), codes(&Protocol::ALL, Protocol::code));
        assert_eq!(listed("scope"), codes(&Scope::ALL, Scope::code));
        assert_eq!(listed("family"), codes(&Family::BOTH, Family::code));
    }

    #[test]
    fn the_schema_describes_every_key_and_admits_no_other() {
        let mut wrong = BTreeSet::new();
        undescribed("", &schema(), &mut wrong);
        assert!(wrong.is_empty(), "{wrong:#?}");
    }

    /// Collects keys without a description, and objects that admit other keys.
    fn undescribed(path: &str, schema: &Value, wrong: &mut BTreeSet<String>) {
        let Some(object) = schema.as_object() else { return };
        let of_keys = schema["properties"].as_object().into_iter().flatten();
        let is_consequence = path.ends_with("/then");
        for (key, value) in of_keys.filter(|_| !is_consequence) {
            if !value["description"].is_string() {
                wrong.insert(format!("{path}/{key} has no description"));
            }
        }
        let is_closed = [&schema["additionalProperties"], &schema["unevaluatedProperties"]];
        if schema["type"] == "object" && !is_closed.contains(&&Value::Bool(false)) {
            wrong.insert(format!("{path} admits other keys"));
        }
        // A condition only looks.
        for (key, value) in object.iter().filter(|(key, _)| *key != "if") {
            undescribed(&format!("{path}/{key}"), value, wrong);
            for (index, item) in value.as_array().into_iter().flatten().enumerate() {
                undescribed(&format!("{path}/{key}/{index}"), item, wrong);
            }
        }
    }

    #[test]
    fn a_healthy_and_a_broken_report_keep_their_shape() {
        for name in ["healthy", "private_dns_off", "endpoint_half_dead", "leak"] {
            let text = render(&fixture::named(name)).unwrap();
            fixture::golden(&format!("src/report/golden/{name}.json"), &text);
        }
    }

    #[test]
    fn every_report_can_be_read_back_and_says_its_schema() {
        for (name, report) in fixture::all() {
            let value: Value = serde_json::from_str(&render(&report).unwrap()).unwrap();
            assert_eq!(value["schema"], 1, "{name}");
            assert_eq!(value["outcome"], report.state().code(), "{name}");
            assert_eq!(value["checks"].as_array().unwrap().len(), report.checks.len(), "{name}");
        }
    }

    #[test]
    fn a_check_that_has_not_run_is_inconclusive_without_evidence() {
        let mut report = fixture::healthy();
        report.checks[0].last = None;
        let value: Value = serde_json::from_str(&render(&report).unwrap()).unwrap();
        let check = &value["checks"][0];
        assert_eq!(check["outcome"], "inconclusive");
        assert_eq!(check["evidence"], Value::Null);
        assert_eq!(check["duration_seconds"], Value::Null);
    }
}
