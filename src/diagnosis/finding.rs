//! What a rule says: a cause with a fact that shows it. Findings of one cause become one diagnosis.

use std::collections::{BTreeMap, BTreeSet};

use super::{Cause, Diagnosis, text};
use crate::check::CheckId;
use crate::observation::Instance;
use crate::wording;

#[derive(Clone, Debug)]
pub struct Finding {
    pub cause: Cause,
    fact: String,
    subject: Option<String>,
    port: Option<u16>,
    advice: Vec<String>,
    /// Whether the cause's own remedy is the wrong one here.
    special: bool,
    /// Empty for a warning: it is worth a look and breaks nothing.
    pub explains: BTreeSet<CheckId>,
}

impl Finding {
    pub fn new(cause: Cause, fact: impl Into<String>) -> Self {
        Self {
            cause,
            fact: fact.into(),
            subject: None,
            port: None,
            advice: vec![],
            special: false,
            explains: BTreeSet::new(),
        }
    }

    /// What the remedy is to name.
    pub fn about(mut self, subject: impl Into<String>) -> Self {
        self.subject = Some(subject.into());
        self
    }

    pub fn at_port(mut self, port: Option<u16>) -> Self {
        self.port = port;
        self
    }

    /// A sentence to stand before the cause's own remedy.
    pub fn advising(mut self, advice: impl Into<Option<String>>) -> Self {
        self.advice.extend(advice.into());
        self
    }

    /// What to do here instead of the cause's own remedy.
    pub fn healed_by(mut self, remedy: impl Into<String>) -> Self {
        self.advice.push(remedy.into());
        self.special = true;
        self
    }

    pub fn explaining(mut self, check: &CheckId) -> Self {
        self.explains.insert(check.clone());
        self
    }
}

/// One diagnosis a cause: what explains something first, then the warnings, each in the order of causes.
pub fn merge(findings: Vec<Finding>, instance: Option<&Instance>) -> Vec<Diagnosis> {
    let mut by_cause: BTreeMap<Cause, Vec<Finding>> = BTreeMap::new();
    for finding in findings {
        by_cause.entry(finding.cause).or_default().push(finding);
    }
    let mut diagnoses: Vec<Diagnosis> =
        by_cause.into_iter().map(|(cause, findings)| diagnosis(cause, &findings, instance)).collect();
    diagnoses.sort_by_key(|diagnosis| (diagnosis.explains.is_empty(), diagnosis.cause));
    diagnoses
}

fn diagnosis(cause: Cause, findings: &[Finding], instance: Option<&Instance>) -> Diagnosis {
    let facts = distinct(findings.iter().map(|finding| &finding.fact));
    let advice = distinct(findings.iter().flat_map(|finding| &finding.advice));
    let usual = findings.iter().any(|finding| !finding.special);
    let explains: BTreeSet<&CheckId> = findings.iter().flat_map(|finding| &finding.explains).collect();
    Diagnosis {
        cause,
        evidence: text::evidence(&facts),
        remedy: text::remedy(advice, usual.then(|| fill(cause.remedy(), findings, instance))),
        explains: explains.into_iter().cloned().collect(),
    }
}

fn distinct<'a>(texts: impl Iterator<Item = &'a String>) -> Vec<String> {
    let mut known = BTreeSet::new();
    texts.filter(|text| known.insert(*text)).cloned().collect()
}

fn fill(remedy: &str, findings: &[Finding], instance: Option<&Instance>) -> String {
    let subjects: Vec<&str> = findings.iter().filter_map(|finding| finding.subject.as_deref()).collect();
    let ports: BTreeSet<u16> = findings.iter().filter_map(|finding| finding.port).collect();
    let known = |of: fn(&Instance) -> &Option<String>, otherwise: &str| {
        instance.and_then(|instance| of(instance).clone()).unwrap_or_else(|| otherwise.to_owned())
    };
    let or = |text: String, otherwise: &str| if text.is_empty() { otherwise.to_owned() } else { text };
    let values = [
        ("{subjects}", or(wording::names(&subjects), "the service")),
        ("{subject}", or(wording::names(subjects.first()), "ADDRESS")),
        ("{port}", or(wording::names(ports), "443")),
        ("{vpc}", known(|i| &i.vpc_id, "the VPC")),
        ("{vpc_id}", known(|i| &i.vpc_id, "VPC_ID")),
        ("{subnet}", known(|i| &i.subnet_id, "the subnet")),
        ("{instance}", known(|i| &i.instance_id, "the instance")),
        ("{instance_id}", known(|i| &i.instance_id, "INSTANCE_ID")),
        ("{region}", known(|i| &i.region, "the region")),
    ];
    values.into_iter().fold(remedy.to_owned(), |text, (name, value)| text.replace(name, &value))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::check::Step;

    fn instance() -> Instance {
        Instance {
            instance_id: Some("i-0123456789abcdef0".into()),
            region: Some("ap-southeast-2".into()),
            vpc_id: Some("vpc-0123456789abcdef0".into()),
            subnet_id: Some("subnet-0123456789abcdef0".into()),
            ..Instance::default()
        }
    }

    #[test]
    fn every_remedy_fits_with_real_ids_and_leaves_no_gap() {
        for &cause in Cause::ALL {
            let names = ["monitoring", "ecr.api", "ecr.dkr", "logs"];
            let findings: Vec<Finding> =
                names.iter().map(|name| Finding::new(cause, "x").about(*name).at_port(Some(443))).collect();
            for instance in [None, Some(&instance())] {
                let remedy = fill(cause.remedy(), &findings, instance);
                assert!(remedy.len() <= text::LONGEST, "{} characters: {remedy}", remedy.len());
                assert!(!remedy.contains(['{', '}', '…']), "{remedy}");
            }
        }
    }

    #[test]
    fn findings_of_one_cause_are_one_diagnosis_and_warnings_come_last() {
        let dns = CheckId::Endpoint("logs".into(), Step::Dns);
        let diagnoses = merge(
            vec![
                Finding::new(Cause::Throttled, "b").explaining(&CheckId::Instance),
                Finding::new(Cause::ClockWrong, "skewed"),
                Finding::new(Cause::Throttled, "a").explaining(&dns),
                Finding::new(Cause::Throttled, "b").explaining(&dns),
                Finding::new(Cause::PrivateDnsOff, "c").explaining(&dns),
            ],
            None,
        );
        let shown: Vec<(Cause, &str, usize)> =
            diagnoses.iter().map(|d| (d.cause, d.evidence.as_str(), d.explains.len())).collect();
        let expected = [
            (Cause::PrivateDnsOff, "c.", 1),
            (Cause::Throttled, "b; a.", 2),
            (Cause::ClockWrong, "skewed.", 0),
        ];
        assert_eq!(shown, expected);
    }

    #[test]
    fn a_remedy_names_what_is_known_and_stays_readable_where_nothing_is() {
        let finding = [Finding::new(Cause::VpcDnsSupportOff, "x")];
        assert!(fill(Cause::VpcDnsSupportOff.remedy(), &finding, None).contains("--vpc-id VPC_ID "));
        assert!(
            fill(Cause::VpcDnsSupportOff.remedy(), &finding, Some(&instance()))
                .contains("--vpc-id vpc-0123456789abcdef0 ")
        );
        let down = [Finding::new(Cause::EndpointInterfaceDown, "x").about("10.0.1.57")];
        assert!(fill(Cause::EndpointInterfaceDown.remedy(), &down, None).contains("Values=10.0.1.57."));
    }
}
