//! The fold: what is known after each observation. Pure; time comes in with what is folded.

use std::collections::BTreeMap;
use std::time::{Duration, SystemTime};

use tokio::time::Instant;

use super::history::History;
use crate::check::{CheckId, EndpointName, Step};
use crate::diagnosis::diagnose;
use crate::observation::{Evidence, Instance, Observation, Outcome, Reason, Status};
use crate::plan::{Item, Plan};
use crate::report::{CheckReport, Report};

#[derive(Clone, Debug)]
pub struct Store {
    started_at: SystemTime,
    proxy_variables: Vec<String>,
    items: Vec<Item>,
    checks: BTreeMap<CheckId, Check>,
    history: History,
    pub instance: Option<Instance>,
}

#[derive(Clone, Debug)]
struct Check {
    report: CheckReport,
    /// By the clock that never jumps.
    result: Option<Instant>,
}

/// A check that is now otherwise than before.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Transition {
    pub check: CheckId,
    pub outcome: Status,
    pub reason: Option<Reason>,
    pub summary: String,
}

impl Store {
    pub fn new(plan: &Plan, started_at: SystemTime, proxy_variables: Vec<String>) -> Self {
        let mut state = Self {
            started_at,
            proxy_variables,
            items: Vec::new(),
            checks: BTreeMap::new(),
            history: History::default(),
            instance: None,
        };
        state.adopt(plan);
        state
    }

    /// Keeps what is known of the items that stay as they are. A check that is done otherwise
    /// from now on keeps its counters alone: what it found before was found of something else.
    pub fn adopt(&mut self, plan: &Plan) {
        let mut before = std::mem::take(&mut self.checks);
        for item in &plan.items {
            let same = self.items.contains(item);
            for (id, interval) in item.checks() {
                let mut check = before.remove(&id).unwrap_or_else(|| Check::new(id.clone(), interval));
                check.report.interval = interval;
                if !same {
                    check.report.last = None;
                    check.result = None;
                }
                self.checks.insert(id, check);
            }
        }
        self.items.clone_from(&plan.items);
        self.history.retain(|id| self.checks.contains_key(id));
    }

    pub fn fold(&mut self, observation: Observation, at: Instant) -> Option<Transition> {
        if let Evidence::Instance(evidence) = &observation.evidence
            && let Some(instance) = &evidence.instance
        {
            self.instance = Some(instance.clone());
        }
        // A check that the plan no longer has: its last attempt was under way at the change.
        let check = self.checks.get_mut(&observation.check)?;
        check.result = Some(at);
        check.report.runs += 1;
        match observation.outcome {
            Outcome::Pass => check.report.last_success_at = Some(observation.started_at),
            Outcome::Fail(_) => check.report.failures += 1,
            Outcome::Inconclusive(_) => check.report.inconclusive += 1,
            Outcome::Skipped(_) => {}
        }
        self.history.add(&observation);
        check.replace(observation)
    }

    /// Takes back what has not been looked at again for too long.
    pub fn expire(&mut self, at: Instant) -> Vec<Transition> {
        let expired = self.checks.values_mut().filter_map(|check| {
            let silent = at.saturating_duration_since(check.result?);
            if silent <= check.report.patience() {
                return None;
            }
            check.result = None;
            let last = check.report.last.clone()?;
            let because = format!(
                "the last attempt was {} s ago, though one is due every {} s",
                silent.as_secs(),
                check.report.interval.as_secs()
            );
            let expired = Observation {
                outcome: Outcome::Inconclusive(Reason::InternalError),
                addresses: Vec::new(),
                phases: Vec::new(),
                evidence: Evidence::NotAttempted { because },
                ..last
            };
            self.history.add(&expired);
            check.replace(expired)
        });
        expired.collect()
    }

    pub fn report(&self, at: SystemTime) -> Report {
        let checks: Vec<CheckReport> =
            self.checks.values().map(|check| self.seen_whole(&check.report)).collect();
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
        let CheckId::Endpoint(name, Step::Connect) = &check.id else { return check };
        if self.is_gateway(name)
            && !self.is_closed()
            && let Some(last) = &mut check.last
            && last.outcome == Outcome::Pass
        {
            last.outcome = Outcome::Inconclusive(Reason::PrerequisiteFailed);
        }
        check
    }

    fn is_gateway(&self, name: &EndpointName) -> bool {
        self.items.iter().any(
            |item| matches!(item, Item::Endpoint(endpoint) if endpoint.gateway && endpoint.name == *name),
        )
    }

    fn is_closed(&self) -> bool {
        let egress = self.checks.iter().filter(|(id, _)| matches!(id, CheckId::Egress(_)));
        let outcomes = egress.map(|(_, check)| check.report.last.as_ref().map(|last| last.outcome));
        let harmless =
            |outcome| matches!(outcome, Outcome::Pass | Outcome::Skipped(Reason::FamilyUnavailable));
        let evidence: Option<Vec<Outcome>> = outcomes.collect();
        evidence
            .is_some_and(|evidence| evidence.contains(&Outcome::Pass) && evidence.into_iter().all(harmless))
    }
}

impl Check {
    fn new(id: CheckId, interval: Duration) -> Self {
        let report = CheckReport {
            id,
            interval,
            last: None,
            last_success_at: None,
            runs: 0,
            failures: 0,
            inconclusive: 0,
        };
        Self { report, result: None }
    }

    fn replace(&mut self, observation: Observation) -> Option<Transition> {
        let (check, outcome) = (observation.check.clone(), observation.outcome);
        let before = self.report.last.replace(observation).map(|last| last.outcome);
        (before != Some(outcome)).then(|| Transition {
            check,
            outcome: outcome.state(),
            reason: outcome.reason(),
            summary: self.report.summary(),
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::check::Family;
    use crate::config::Config;
    use crate::report::fixture;

    fn plan() -> Plan {
        let instance = fixture::healthy().instance;
        Plan::new(&Config::default(), instance.as_ref())
    }

    fn state() -> Store {
        Store::new(&plan(), SystemTime::UNIX_EPOCH, vec![])
    }

    fn healthy(state: &mut Store, at: Instant) {
        for observation in fixture::healthy().checks.into_iter().filter_map(|check| check.last) {
            state.fold(observation, at);
        }
    }

    fn observed(id: &CheckId, outcome: Outcome) -> Observation {
        let last =
            fixture::healthy().checks.into_iter().find(|check| check.id == *id).and_then(|check| check.last);
        Observation { outcome, ..last.unwrap() }
    }

    fn outcome(state: &Store, id: &CheckId) -> Option<Outcome> {
        let report = state.report(SystemTime::UNIX_EPOCH);
        let check = report.checks.into_iter().find(|check| check.id == *id).unwrap();
        check.last.map(|last| last.outcome)
    }

    fn dns() -> CheckId {
        fixture::step(Step::Dns)
    }

    #[tokio::test]
    async fn only_what_changed_is_a_transition_and_everything_is_counted() {
        let (mut state, at) = (state(), Instant::now());
        let failed = Outcome::Fail(Reason::QueryTimeout);
        let refused = Outcome::Fail(Reason::QueryRefused);
        let unseen = Outcome::Inconclusive(Reason::VpcCidrsUnknown);
        let outcomes = [Outcome::Pass, Outcome::Pass, failed, failed, refused, unseen, Outcome::Pass];
        let told = outcomes.map(|outcome| state.fold(observed(&dns(), outcome), at).is_some());
        assert_eq!(told, [true, false, true, false, true, true, true]);
        let report = state.report(SystemTime::UNIX_EPOCH);
        let check = report.checks.iter().find(|check| check.id == dns()).unwrap();
        assert_eq!((check.runs, check.failures, check.inconclusive), (7, 3, 1));
    }

    #[tokio::test]
    async fn a_finding_that_nobody_renews_is_taken_back() {
        let (mut state, at) = (state(), Instant::now());
        healthy(&mut state, at);
        // Three intervals of the endpoint's steps, and a minute.
        let old = at + Duration::from_secs(150);
        assert_eq!(state.expire(old), []);
        let expired = state.expire(old + Duration::from_millis(1));
        let ids: Vec<String> = expired.iter().map(|transition| transition.check.to_string()).collect();
        assert_eq!(ids, ["monitoring/dns", "monitoring/connect"]);
        let report = state.report(SystemTime::UNIX_EPOCH);
        let evidence =
            report.checks.iter().find(|check| check.id == dns()).and_then(|check| check.last.as_ref());
        let evidence = evidence.unwrap();
        assert_eq!(evidence.outcome, Outcome::Inconclusive(Reason::InternalError));
        assert_eq!(
            (evidence.addresses.as_slice(), evidence.phases.as_slice()),
            (&[][..], &[][..]),
            "no address passes"
        );
        let because = "the last attempt was 150 s ago, though one is due every 30 s".to_owned();
        assert_eq!(evidence.evidence, Evidence::NotAttempted { because });
        assert_eq!(state.expire(old + Duration::from_millis(2)), [], "told once");
        state.fold(observed(&dns(), Outcome::Pass), old);
        assert_eq!(outcome(&state, &dns()), Some(Outcome::Pass));
    }

    #[tokio::test]
    async fn another_plan_keeps_what_it_did_not_change() {
        let (mut state, at) = (state(), Instant::now());
        healthy(&mut state, at);
        let mut other = plan();
        for item in &mut other.items {
            if let Item::Endpoint(endpoint) = item {
                endpoint.host = Some("monitoring.eu-west-1.amazonaws.com".into());
            }
        }
        state.adopt(&other);
        assert_eq!(outcome(&state, &dns()), None, "it was found of another host");
        assert_eq!(outcome(&state, &CheckId::Instance), Some(Outcome::Pass));
        other.items.retain(|item| !matches!(item, Item::Endpoint(_)));
        state.adopt(&other);
        assert_eq!(state.fold(observed(&dns(), Outcome::Pass), at), None);
        assert!(state.report(SystemTime::UNIX_EPOCH).checks.iter().all(|check| check.id != dns()));
    }

    #[tokio::test]
    async fn a_gateway_is_proven_only_while_nothing_gets_out() {
        let mut plan = plan();
        for item in &mut plan.items {
            if let Item::Endpoint(endpoint) = item {
                endpoint.gateway = true;
            }
        }
        let (mut state, at) = (Store::new(&plan, SystemTime::UNIX_EPOCH, vec![]), Instant::now());
        let connect = fixture::step(Step::Connect);
        let unproven = Some(Outcome::Inconclusive(Reason::PrerequisiteFailed));
        state.fold(observed(&connect, Outcome::Pass), at);
        assert_eq!(outcome(&state, &connect), unproven, "egress has not been looked at");
        let [ipv4, ipv6] = Family::BOTH.map(CheckId::Egress);
        let no_ipv6 = Outcome::Skipped(Reason::FamilyUnavailable);
        for (of_ipv4, of_ipv6, proven) in [
            (Outcome::Pass, no_ipv6, true),
            (Outcome::Pass, Outcome::Pass, true),
            (Outcome::Fail(Reason::TcpConnected), Outcome::Pass, false),
            (Outcome::Pass, Outcome::Inconclusive(Reason::ControlFailed), false),
            (no_ipv6, no_ipv6, false),
        ] {
            state.fold(observed(&ipv4, of_ipv4), at);
            state.fold(observed(&ipv6, of_ipv6), at);
            let expected = if proven { Some(Outcome::Pass) } else { unproven };
            assert_eq!(outcome(&state, &connect), expected, "{of_ipv4:?} {of_ipv6:?}");
        }
        state.fold(observed(&connect, Outcome::Fail(Reason::ConnectTimeout)), at);
        assert_eq!(outcome(&state, &connect), Some(Outcome::Fail(Reason::ConnectTimeout)));
    }
}
