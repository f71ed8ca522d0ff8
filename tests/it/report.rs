//! The JSON report as a program would read it.

use std::sync::LazyLock;
use std::time::{Duration, SystemTime};

use jsonschema::Validator;
use serde_json::Value;

/// A report whose shape was checked when it was read.
#[derive(Clone, Debug)]
pub struct Report(Value);

/// `packaging/report.schema.json`, which admits no key that it does not describe.
static SCHEMA: LazyLock<Validator> = LazyLock::new(|| {
    let schema = include_str!("../../packaging/report.schema.json");
    let schema = serde_json::from_str(schema).expect("the schema is JSON");
    jsonschema::options().should_validate_formats(true).build(&schema).expect("the schema is valid")
});

impl Report {
    pub fn read(text: &str) -> Result<Self, String> {
        let report: Value =
            serde_json::from_str(text).map_err(|error| format!("the report is not JSON: {error}"))?;
        let wrong: Vec<String> = SCHEMA
            .iter_errors(&report)
            .map(|error| format!("{error} at {}", error.instance_path()))
            .collect();
        if wrong.is_empty() {
            Ok(Self(report))
        } else {
            Err(format!("the report does not follow its schema:\n  {}", wrong.join("\n  ")))
        }
    }

    pub fn outcome(&self) -> &str {
        text(&self.0["outcome"])
    }

    /// Every check as the report has it.
    pub fn list(&self) -> &[Value] {
        list(&self.0["checks"])
    }

    /// Every check in the order of the report, as `pass` or `fail connect_timeout`.
    pub fn checks(&self) -> Vec<(String, String)> {
        list(&self.0["checks"]).iter().map(|check| (text(&check["id"]).to_owned(), word(check))).collect()
    }

    pub fn check(&self, id: &str) -> &Value {
        let found = list(&self.0["checks"]).iter().find(|check| check["id"] == id);
        found.unwrap_or_else(|| panic!("the report has no check {id}"))
    }

    pub fn says_pass(&self, id: &str) -> bool {
        list(&self.0["checks"]).iter().any(|check| check["id"] == id && check["outcome"] == "pass")
    }

    /// One address of a check, as `pass` or `fail connect_timeout`.
    pub fn address(&self, id: &str, ip: &str) -> Option<String> {
        list(&self.check(id)["addresses"]).iter().find(|address| address["ip"] == ip).map(word)
    }

    /// Every diagnosis in the order of the report: the cause, and the checks that it explains.
    pub fn causes(&self) -> Vec<(String, Vec<String>)> {
        let explained =
            |diagnosis: &Value| list(&diagnosis["explains"]).iter().map(|id| text(id).to_owned()).collect();
        list(&self.0["diagnoses"])
            .iter()
            .map(|diagnosis| (text(&diagnosis["cause"]).to_owned(), explained(diagnosis)))
            .collect()
    }

    /// What every diagnosis says to do.
    pub fn remedies(&self) -> String {
        list(&self.0["diagnoses"])
            .iter()
            .map(|diagnosis| text(&diagnosis["remedy"]))
            .collect::<Vec<_>>()
            .join("\n")
    }

    /// The sentence of a check.
    pub fn summary(&self, id: &str) -> &str {
        text(&self.check(id)["summary"])
    }

    /// How long a phase of one address took, in seconds.
    pub fn phase(&self, id: &str, ip: &str, phase: &str) -> Option<f64> {
        let address = list(&self.check(id)["addresses"]).iter().find(|address| address["ip"] == ip)?;
        address["phases"][phase].as_f64()
    }

    pub fn seconds(&self, id: &str) -> f64 {
        self.check(id)["duration_seconds"].as_f64().unwrap_or_else(|| panic!("{id} has no duration"))
    }

    pub fn started_at(&self, id: &str) -> SystemTime {
        let text = text(&self.check(id)["started_at"]);
        humantime::parse_rfc3339(text).unwrap_or_else(|error| panic!("{id} started at {text:?}: {error}"))
    }

    pub fn ended_at(&self, id: &str) -> SystemTime {
        self.started_at(id) + Duration::from_secs_f64(self.seconds(id))
    }
}

fn word(of: &Value) -> String {
    match of["reason"].as_str() {
        Some(reason) => format!("{} {reason}", text(&of["outcome"])),
        None => text(&of["outcome"]).to_owned(),
    }
}

fn text(value: &Value) -> &str {
    value.as_str().unwrap_or_default()
}

fn list(value: &Value) -> &[Value] {
    value.as_array().map(Vec::as_slice).unwrap_or_default()
}
