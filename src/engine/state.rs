//! The fold: what is known after each observation. Pure; time comes in with what is folded.

use std::collections::{BTreeMap, BTreeSet};
use std::time::SystemTime;

use super::history::History;
use crate::check::{CheckId, EndpointName, Rung};
use crate::diagnosis::diagnose;
use crate::observation::{Evidence, Instance, Observation, Outcome, Reason, State as Kind};
use crate::plan::{Item, Plan};
use crate::report::{CheckReport, Report};

#[derive(Clone, Debug)]
pub struct State {
    started_at: SystemTime,
    proxy_variables: Vec<String>,
    checks: BTreeMap<CheckId, CheckReport>,
    gateways: BTreeSet<EndpointName>,
    history: History,
    pub instance: Option<Instance>,
}

/// A check that is now otherwise than before.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Transition {
    pub check: CheckId,
    pub outcome: Kind,
    pub reason: Option<Reason>,
    pub summary: String,
}

impl State {
    pub fn new(plan: &Plan, started_at: SystemTime, proxy_variables: Vec<String>) -> Self {
        let mut state = Self {
            started_at,
            proxy_variables,
            checks: BTreeMap::new(),
            gateways: BTreeSet::new(),
            history: History::default(),
            instance: None,
        };
        state.adopt(plan);
        state
    }

    /// Keeps what is known of the checks that stay, forgets those that go.
    pub fn adopt(&mut self, plan: &Plan) {
        let mut before = std::mem::take(&mut self.checks);
        self.checks = plan
            .checks()
            .into_iter()
            .map(|(id, interval)| {
                let kept = before.remove(&id).map(|check| CheckReport { interval, ..check });
                let check = kept.unwrap_or_else(|| CheckReport {
                    id: id.clone(),
                    interval,
                    last: None,
                    last_success_at: None,
                    runs: 0,
                    failures: 0,
                    inconclusive: 0,
                });
                (id, check)
            })
            .collect();
        self.history.retain(|id| self.checks.contains_key(id));
        self.gateways = plan
            .items
            .iter()
            .filter_map(|item| match item {
                Item::Ladder(ladder) if ladder.gateway => Some(ladder.name.clone()),
                Item::Ladder(_) | Item::Instance(_) | Item::Credentials(_) | Item::Egress(_) => None,
            })
            .collect();
    }

    pub fn fold(&mut self, observation: Observation) -> Option<Transition> {
        if let Evidence::Instance(seen) = &observation.evidence
            && let Some(instance) = &seen.instance
        {
            self.instance = Some(instance.clone());
        }
        // A check that the plan no longer has: its last attempt was under way at the change.
        let check = self.checks.get_mut(&observation.check)?;
        check.runs += 1;
        match observation.outcome {
            Outcome::Pass => check.last_success_at = Some(observation.started_at),
            Outcome::Fail(_) => check.failures += 1,
            Outcome::Inconclusive(_) => check.inconclusive += 1,
            Outcome::Skipped(_) => {}
        }
        self.history.add(&observation);
        let before = check.last.replace(observation.clone()).map(|last| last.outcome);
        (before != Some(observation.outcome)).then(|| Transition {
            check: observation.check,
            outcome: observation.outcome.state(),
            reason: observation.outcome.reason(),
            summary: check.summary(),
        })
    }

    pub fn report(&self, at: SystemTime) -> Report {
        let checks: Vec<CheckReport> = self.checks.values().map(|check| self.seen_whole(check)).collect();
        let last: Vec<&Observation> = checks.iter().filter_map(|check| check.last.as_ref()).collect();
        let diagnoses = diagnose(&last, self.instance.as_ref(), &self.proxy_variables);
        Report {
            version: env!("CARGO_PKG_VERSION"),
            started_at: self.started_at,
            finished_at: at,
            instance: self.instance.clone(),
            checks,
            diagnoses,
            episodes: self.history.episodes(),
            proxy_variables: self.proxy_variables.clone(),
        }
    }

    /// A gateway endpoint is reached at public addresses: that it was the gateway, and not a
    /// way out, is proven only while nothing else gets out.
    fn seen_whole(&self, check: &CheckReport) -> CheckReport {
        let mut check = check.clone();
        let CheckId::Endpoint(name, Rung::Connect) = &check.id else { return check };
        if self.gateways.contains(name)
            && !self.is_closed()
            && let Some(last) = &mut check.last
            && last.outcome == Outcome::Pass
        {
            last.outcome = Outcome::Inconclusive(Reason::PrerequisiteFailed);
        }
        check
    }

    fn is_closed(&self) -> bool {
        let egress = self.checks.iter().filter(|(id, _)| matches!(id, CheckId::Egress(_)));
        let outcomes = egress.map(|(_, check)| check.last.as_ref().map(|last| last.outcome));
        let harmless =
            |outcome| matches!(outcome, Outcome::Pass | Outcome::Skipped(Reason::FamilyUnavailable));
        let seen: Option<Vec<Outcome>> = outcomes.collect();
        seen.is_some_and(|seen| seen.contains(&Outcome::Pass) && seen.into_iter().all(harmless))
    }
}
