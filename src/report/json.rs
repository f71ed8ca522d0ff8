//! The report as JSON, for programs. This shape is a promise: a breaking change counts
//! [`SCHEMA`] up. Durations are seconds, times RFC 3339.

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
    addresses: Vec<AddressJson>,
}

#[derive(Serialize)]
struct AddressJson {
    ip: IpAddr,
    family: Family,
    scope: Scope,
    outcome: Status,
    reason: Option<Reason>,
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
            proxy_variables: &report.proxy_variables,
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

impl From<&Address> for AddressJson {
    fn from(address: &Address) -> Self {
        Self {
            ip: address.ip,
            family: Family::of(address.ip),
            scope: address.scope,
            outcome: address.outcome.state(),
            reason: address.outcome.reason(),
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
    use serde_json::Value;

    use super::*;
    use crate::report::fixture;

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
