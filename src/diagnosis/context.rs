//! What a rule may look at: the last observation of every check, and the instance.

use std::collections::BTreeMap;
use std::net::IpAddr;

use crate::check::{CheckId, Step};
use crate::network::{Network, Scope};
use crate::observation::{Evidence, Instance, Observation, Outcome, Reason};
use crate::wording;

pub struct Context<'a> {
    pub checks: BTreeMap<&'a CheckId, &'a Observation>,
    pub instance: Option<&'a Instance>,
}

/// One reason why a check is no pass, with the addresses that gave it.
pub struct Failure {
    pub reason: Reason,
    pub ips: Vec<IpAddr>,
}

impl<'a> Context<'a> {
    pub fn new(observations: &[&'a Observation], instance: Option<&'a Instance>) -> Self {
        let checks = observations.iter().map(|&observation| (&observation.check, observation)).collect();
        Self { checks, instance }
    }

    pub fn check(&self, id: &CheckId) -> Option<&'a Observation> {
        self.checks.get(id).copied()
    }

    pub fn passed(&self, id: &CheckId) -> bool {
        self.check(id).is_some_and(|observation| observation.outcome == Outcome::Pass)
    }

    /// Whether any address of a check passed.
    pub fn reaches(&self, id: &CheckId) -> bool {
        self.check(id).is_some_and(|last| last.addresses.iter().any(|ip| ip.outcome == Outcome::Pass))
    }

    pub fn step(&self, wanted: Step) -> impl Iterator<Item = (&'a str, &'a Observation)> {
        self.checks.values().copied().filter_map(move |observation| match &observation.check {
            CheckId::Endpoint(name, step) if *step == wanted => Some((name.as_str(), observation)),
            CheckId::Instance | CheckId::Credentials | CheckId::Endpoint(..) | CheckId::Egress(_) => None,
        })
    }

    /// Where an address lies, as far as metadata can say.
    pub fn scope(&self, ip: IpAddr) -> Scope {
        let vpc = self.instance.map(|instance| instance.vpc_cidrs.clone()).unwrap_or_default();
        Network { vpc, ..Network::default() }.scope(ip)
    }
}

/// The reason of an outcome that needs attention.
pub fn broken(outcome: Outcome) -> Option<Reason> {
    match outcome {
        Outcome::Pass | Outcome::Skipped(_) => None,
        Outcome::Inconclusive(reason) | Outcome::Fail(reason) => Some(reason),
    }
}

/// Why a check is no pass. The upper steps can fail differently at each address.
pub fn failures(observation: &Observation) -> Vec<Failure> {
    let Some(overall) = broken(observation.outcome) else { return vec![] };
    let bad = || observation.addresses.iter().filter_map(|a| broken(a.outcome).map(|reason| (reason, a.ip)));
    match observation.check {
        CheckId::Endpoint(_, Step::Connect | Step::Call) => {
            let mut failures: BTreeMap<Reason, Vec<IpAddr>> = BTreeMap::from([(overall, vec![])]);
            for (reason, ip) in bad() {
                failures.entry(reason).or_default().push(ip);
            }
            failures.into_iter().map(|(reason, ips)| Failure { reason, ips }).collect()
        }
        CheckId::Instance | CheckId::Credentials | CheckId::Egress(_) | CheckId::Endpoint(_, Step::Dns) => {
            vec![Failure { reason: overall, ips: bad().map(|(_, ip)| ip).collect() }]
        }
    }
}

/// The host behind an observation; else the endpoint as the configuration calls it.
pub fn host(observation: &Observation) -> &str {
    match &observation.evidence {
        Evidence::Dns(evidence) => &evidence.host,
        Evidence::Connect { host, .. } | Evidence::Call { host, .. } => host,
        Evidence::NotAttempted(_)
        | Evidence::Instance(_)
        | Evidence::Credentials(_)
        | Evidence::Egress(_) => observation.check.target(),
    }
}

/// The error text of the peer or library that reported the problem, if there is one.
pub fn detail(observation: &Observation) -> Option<String> {
    let trouble = match &observation.evidence {
        Evidence::NotAttempted(because) => return Some(wording::not_attempted(&observation.check, *because)),
        Evidence::Instance(evidence) => evidence.error.as_ref(),
        Evidence::Credentials(evidence) => evidence.error.as_ref(),
        Evidence::Connect { connections, .. } => connections.iter().find_map(|c| c.error.as_ref()),
        Evidence::Call { calls, .. } => {
            if let Some(error) = calls.iter().find_map(|call| call.aws_error.as_ref()) {
                return Some(error.message.clone());
            }
            calls.iter().find_map(|call| call.error.as_ref())
        }
        Evidence::Egress(evidence) => {
            return evidence.controls.iter().find(|c| !c.passed).map(|c| c.detail.clone());
        }
        Evidence::Dns(_) => None,
    };
    trouble.map(|trouble| trouble.detail.clone()).filter(|detail| !detail.is_empty())
}
