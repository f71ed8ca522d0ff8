//! The fold: what is known after each observation. Pure; time comes in with what is folded.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::{Duration, SystemTime};

use tokio::time::Instant;

use super::history::History;
use crate::check::{CheckId, Family, Step};
use crate::observation::{
    Environment, Evidence, Instance, NotAttempted, Observation, Outcome, Reason, Status,
};
use crate::plan::{Item, Plan};
use crate::report::{CheckReport, Report};
use crate::verdict::{self, Judgment};

#[derive(Clone, Debug)]
pub struct Store {
    started_at: SystemTime,
    environment: Environment,
    items: Vec<Item>,
    /// The connections of gateway endpoints.
    gateways: BTreeSet<CheckId>,
    checks: BTreeMap<CheckId, Check>,
    history: History,
    /// Connections of gateway endpoints that wait for the first result of the egress check.
    held: BTreeMap<CheckId, (Observation, Instant)>,
    pub instance: Option<Instance>,
}

#[derive(Clone, Debug)]
struct Check {
    report: CheckReport,
    /// By the clock that never jumps.
    folded_at: Option<Instant>,
    /// When a new plan changed it. Results of runs that began before are not of this check.
    changed_at: Option<Instant>,
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
    pub fn new(plan: &Plan, started_at: SystemTime, environment: Environment) -> Self {
        let mut state = Self {
            started_at,
            environment,
            items: Vec::new(),
            gateways: BTreeSet::new(),
            checks: BTreeMap::new(),
            history: History::default(),
            held: BTreeMap::new(),
            instance: None,
        };
        state.take_over(plan, None);
        state
    }

    /// Keeps what is known of the items that stay as they are. A check that is done otherwise
    /// from now on keeps its counters alone: what it found before was found of something else.
    pub fn adopt(&mut self, plan: &Plan, at: Instant) {
        self.take_over(plan, Some(at));
    }

    fn take_over(&mut self, plan: &Plan, at: Option<Instant>) {
        let mut before = std::mem::take(&mut self.checks);
        let keeps_egress = egress(&self.items).eq(egress(&plan.items));
        for item in &plan.items {
            // The egress check proves a gateway endpoint.
            let same = self.items.contains(item) && (keeps_egress || gateway(item).is_none());
            for (id, interval) in item.checks() {
                let mut check = before.remove(&id).unwrap_or_else(|| Check::new(id.clone(), interval));
                check.report.interval = interval;
                if !same {
                    check.report.last = None;
                    check.folded_at = None;
                    check.changed_at = at;
                    self.held.remove(&id);
                }
                self.checks.insert(id, check);
            }
        }
        self.items.clone_from(&plan.items);
        if !self.items.iter().any(|item| matches!(item, Item::Instance(_))) {
            self.instance = None;
        }
        self.gateways = self.items.iter().filter_map(gateway).collect();
        self.history.retain(|id| self.checks.contains_key(id));
        self.held.retain(|id, _| self.checks.contains_key(id));
    }

    /// Takes in an observation. `observe` sees it as it was judged in the end, which for a gateway
    /// endpoint is after the first result of the egress check.
    pub fn fold(
        &mut self,
        observation: Observation,
        at: Instant,
        mut observe: impl FnMut(&Observation),
    ) -> Vec<Transition> {
        if self.is_of_earlier_plan(&observation, at) {
            return Vec::new();
        }
        let of_egress = matches!(observation.check, CheckId::Egress(_));
        if self.gateways.contains(&observation.check) && self.egress_is_pending() {
            self.held.insert(observation.check.clone(), (observation, at));
            return Vec::new();
        }
        let mut transitions = Vec::from_iter(self.fold_one(observation, at, &mut observe));
        if of_egress && !self.egress_is_pending() {
            for (observation, at) in std::mem::take(&mut self.held).into_values() {
                transitions.extend(self.fold_one(observation, at, &mut observe));
            }
            transitions.extend(self.judge_gateways_again());
        }
        transitions
    }

    /// Its run was under way when the plan changed.
    fn is_of_earlier_plan(&self, observation: &Observation, at: Instant) -> bool {
        let Some(check) = self.checks.get(&observation.check) else { return true };
        let began = at.checked_sub(observation.took);
        check.changed_at.is_some_and(|changed_at| began.is_none_or(|began| began < changed_at))
    }

    fn fold_one(
        &mut self,
        mut observation: Observation,
        at: Instant,
        observe: &mut impl FnMut(&Observation),
    ) -> Option<Transition> {
        if let Evidence::Instance(evidence) = &observation.evidence
            && let Some(instance) = &evidence.instance
        {
            self.instance = Some(instance.clone());
        }
        if self.gateways.contains(&observation.check) {
            observation = self.judge_gateway(observation);
        }
        observe(&observation);
        let observation = Arc::new(observation);
        let check = self.checks.get_mut(&observation.check)?;
        check.folded_at = Some(at);
        check.report.runs += 1;
        match observation.outcome {
            Outcome::Pass => check.report.last_success_at = Some(observation.started_at),
            Outcome::Fail(_) => check.report.failures += 1,
            Outcome::Inconclusive(_) => check.report.inconclusive += 1,
            Outcome::Skipped(_) => {}
        }
        if matches!(observation.check, CheckId::Endpoint(_, Step::Connect)) {
            Arc::make_mut(&mut check.report.latency).add(&observation);
        }
        self.history.add(&observation);
        check.replace(observation)
    }

    /// Egress has changed, and with it what a gateway's last connection shows.
    fn judge_gateways_again(&mut self) -> Vec<Transition> {
        let gateways: Vec<CheckId> = self.gateways.iter().cloned().collect();
        let mut transitions = Vec::new();
        for id in &gateways {
            let Some(last) = self.checks.get(id).and_then(|check| check.report.last.clone()) else {
                continue;
            };
            let judged = Arc::new(self.judge_gateway(Observation::clone(&last)));
            let Some(check) = self.checks.get_mut(id) else { continue };
            if last != judged {
                self.history.add(&judged);
                transitions.extend(check.replace(judged));
            }
        }
        transitions
    }

    /// Takes back what has not been looked at again for too long.
    pub fn expire(&mut self, at: Instant) -> Vec<Transition> {
        let expired = self.checks.values_mut().filter_map(|check| {
            let silent = at.saturating_duration_since(check.folded_at?);
            if silent <= check.report.patience() {
                return None;
            }
            check.folded_at = None;
            let last = check.report.last.as_deref()?.clone();
            let because = NotAttempted::Overdue { last_run: silent, interval: check.report.interval };
            let expired = Arc::new(Observation {
                outcome: Outcome::Inconclusive(Reason::InternalError),
                addresses: Vec::new(),
                phases: Vec::new(),
                evidence: Evidence::NotAttempted(because),
                ..last
            });
            self.history.add(&expired);
            check.replace(expired)
        });
        let mut transitions: Vec<Transition> = expired.collect();
        if transitions.iter().any(|transition| matches!(transition.check, CheckId::Egress(_))) {
            transitions.extend(self.judge_gateways_again());
        }
        transitions
    }

    pub fn report(&self, at: SystemTime) -> Report {
        let mut report = self.undiagnosed(at);
        report.diagnose();
        report
    }

    /// Cheap, since it shares the observations: for a reader that holds the engine up meanwhile.
    pub fn undiagnosed(&self, at: SystemTime) -> Report {
        Report {
            version: env!("CARGO_PKG_VERSION"),
            started_at: self.started_at,
            finished_at: at,
            instance: self.instance.clone(),
            checks: self.checks.values().map(|check| check.report.clone()).collect(),
            diagnoses: Vec::new(),
            episodes: self.history.episodes(),
            environment: self.environment.clone(),
        }
    }

    fn judge_gateway(&self, observation: Observation) -> Observation {
        let Evidence::Connect { port, .. } = observation.evidence else { return observation };
        let before = Judgment { outcome: observation.outcome, addresses: observation.addresses };
        let Judgment { outcome, addresses } = verdict::gateway(before, |family| self.is_closed(family, port));
        Observation { outcome, addresses, ..observation }
    }

    fn egress_is_pending(&self) -> bool {
        let mut checks =
            Family::BOTH.into_iter().filter_map(|family| self.checks.get(&CheckId::Egress(family)));
        checks.any(|check| check.report.last.is_none())
    }

    fn is_closed(&self, family: Family, port: u16) -> bool {
        let last = self.checks.get(&CheckId::Egress(family)).and_then(|check| check.report.last.as_ref());
        last.is_some_and(|last| verdict::is_closed(last, port))
    }
}

fn egress(items: &[Item]) -> impl Iterator<Item = &Item> {
    items.iter().filter(|item| matches!(item, Item::Egress(_)))
}

fn gateway(item: &Item) -> Option<CheckId> {
    match item {
        Item::Endpoint(endpoint) if endpoint.gateway => {
            Some(CheckId::Endpoint(endpoint.name.clone(), Step::Connect))
        }
        Item::Endpoint(_) | Item::Instance(_) | Item::Credentials(_) | Item::Egress(_) => None,
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
            latency: Arc::default(),
        };
        Self { report, folded_at: None, changed_at: None }
    }

    fn replace(&mut self, observation: Arc<Observation>) -> Option<Transition> {
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
    use crate::network::Scope;
    use crate::report::fixture;
    use crate::report::latency::Minute;

    fn plan() -> Plan {
        let instance = fixture::healthy().instance;
        Plan::new(&Config::default(), instance.as_ref())
    }

    fn state() -> Store {
        Store::new(&plan(), SystemTime::UNIX_EPOCH, Environment::default())
    }

    fn healthy(state: &mut Store, at: Instant) {
        for observation in fixture::healthy().checks.into_iter().filter_map(|check| check.last) {
            state.fold(Arc::unwrap_or_clone(observation), at, |_| ());
        }
    }

    fn observed(id: &CheckId, outcome: Outcome) -> Observation {
        let last =
            fixture::healthy().checks.into_iter().find(|check| check.id == *id).and_then(|check| check.last);
        Observation { outcome, ..Arc::unwrap_or_clone(last.unwrap()) }
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
        let told = outcomes.map(|outcome| state.fold(observed(&dns(), outcome), at, |_| ()).len());
        assert_eq!(told, [1, 0, 1, 0, 1, 1, 1]);
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
        let (last_run, interval) = (old + Duration::from_millis(1) - at, Duration::from_secs(30));
        let because = NotAttempted::Overdue { last_run, interval };
        assert_eq!(evidence.evidence, Evidence::NotAttempted(because));
        assert_eq!(state.expire(old + Duration::from_millis(2)), [], "told once");
        state.fold(observed(&dns(), Outcome::Pass), old, |_| ());
        assert_eq!(outcome(&state, &dns()), Some(Outcome::Pass));
    }

    #[tokio::test]
    async fn connection_times_are_kept_for_the_page() {
        let (mut state, at) = (state(), Instant::now());
        let mut connected = fixture::connect(vec![fixture::answered("10.0.1.57")]);
        state.fold(connected.clone(), at, |_| ());
        let earlier = state.report(SystemTime::UNIX_EPOCH);
        connected.started_at += Duration::from_mins(1);
        state.fold(connected.clone(), at, |_| ());
        let known = |report: &Report| {
            let check = report.checks.iter().find(|check| check.id == connected.check).unwrap();
            let minutes = check.latency.minutes(fixture::ip("10.0.1.57")).unwrap();
            minutes.iter().filter(|minute| matches!(minute, Minute::Took(_))).count()
        };
        assert_eq!((known(&earlier), known(&state.report(SystemTime::UNIX_EPOCH))), (1, 2));
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
        state.adopt(&other, at);
        assert_eq!(outcome(&state, &dns()), None, "it was found of another host");
        assert_eq!(outcome(&state, &CheckId::Instance), Some(Outcome::Pass));
        assert_eq!(state.fold(observed(&dns(), Outcome::Pass), at, |_| ()), []);
        assert_eq!(outcome(&state, &dns()), None, "that run was under way at the change");
        state.fold(observed(&dns(), Outcome::Pass), at + Duration::from_secs(1), |_| ());
        assert_eq!(outcome(&state, &dns()), Some(Outcome::Pass));
        other.items.retain(|item| !matches!(item, Item::Endpoint(_)));
        state.adopt(&other, at);
        assert_eq!(state.fold(observed(&dns(), Outcome::Pass), at, |_| ()), []);
        assert!(state.report(SystemTime::UNIX_EPOCH).checks.iter().all(|check| check.id != dns()));
    }

    const UNPROVEN: Option<Outcome> = Some(Outcome::Inconclusive(Reason::EgressNotClosed));

    /// With gateway endpoints alone, and a connection to one of them.
    fn gateways() -> (Plan, Store, Observation) {
        let mut plan = plan();
        for item in &mut plan.items {
            if let Item::Endpoint(endpoint) = item {
                endpoint.gateway = true;
            }
        }
        let mut answered = observed(&fixture::step(Step::Connect), Outcome::Pass);
        answered.addresses = vec![fixture::address("203.0.113.30", Scope::Public, Outcome::Pass, vec![])];
        let state = Store::new(&plan, SystemTime::UNIX_EPOCH, Environment::default());
        (plan, state, answered)
    }

    #[tokio::test]
    async fn another_egress_check_does_not_prove_a_gateway_before_it_has_run() {
        let ((mut plan, mut state, answered), at) = (gateways(), Instant::now());
        for family in Family::BOTH {
            state.fold(observed(&CheckId::Egress(family), Outcome::Pass), at, |_| ());
        }
        state.fold(answered, at, |_| ());
        let connect = fixture::step(Step::Connect);
        state.adopt(&plan, at);
        assert_eq!(outcome(&state, &connect), Some(Outcome::Pass), "the same plan");
        plan.items.retain(|item| !matches!(item, Item::Egress(_)));
        state.adopt(&plan, at);
        assert_eq!(outcome(&state, &connect), None, "as if it had not run");
    }

    #[tokio::test]
    async fn a_gateway_is_not_proven_by_an_egress_check_that_is_overdue() {
        let ((_, mut state, answered), at) = (gateways(), Instant::now());
        for family in Family::BOTH {
            state.fold(observed(&CheckId::Egress(family), Outcome::Pass), at, |_| ());
        }
        // Three intervals of egress, and a minute.
        let last = at + Duration::from_secs(240);
        state.fold(answered, last, |_| ());
        assert_eq!(state.expire(last), []);
        let connect = fixture::step(Step::Connect);
        assert_eq!(outcome(&state, &connect), Some(Outcome::Pass));
        let expired = state.expire(last + Duration::from_millis(1));
        let ids: Vec<String> = expired.iter().map(|transition| transition.check.to_string()).collect();
        assert_eq!(ids, ["egress/ipv4", "egress/ipv6", "monitoring/connect"]);
        assert_eq!(outcome(&state, &connect), UNPROVEN);
    }

    #[tokio::test]
    async fn a_connection_that_waits_for_egress_is_none_of_an_endpoint_that_has_changed() {
        let ((mut plan, mut state, answered), at) = (gateways(), Instant::now());
        state.fold(answered, at, |_| ());
        for item in &mut plan.items {
            if let Item::Endpoint(endpoint) = item {
                endpoint.host = Some("s3.eu-west-1.amazonaws.com".into());
            }
        }
        state.adopt(&plan, at);
        for family in Family::BOTH {
            state.fold(observed(&CheckId::Egress(family), Outcome::Pass), at, |_| ());
        }
        assert_eq!(outcome(&state, &fixture::step(Step::Connect)), None);
    }

    #[tokio::test]
    async fn without_metadata_nothing_is_known_of_the_instance() {
        let (mut state, at) = (state(), Instant::now());
        state.instance = fixture::healthy().instance;
        state.adopt(&plan(), at);
        assert!(state.instance.is_some());
        let mut without = plan();
        without.items.retain(|item| !matches!(item, Item::Instance(_)));
        state.adopt(&without, at);
        state.fold(observed(&CheckId::Instance, Outcome::Pass), at, |_| ());
        assert_eq!(state.instance, None, "not even by a run that was under way");
    }

    #[tokio::test]
    async fn a_gateway_is_proven_only_while_nothing_gets_out() {
        let ((_, mut state, answered), at) = (gateways(), Instant::now());
        let connect = fixture::step(Step::Connect);
        state.fold(answered.clone(), at, |_| ());
        assert_eq!(outcome(&state, &connect), None, "it waits for the first result of egress");
        let [ipv4, ipv6] = Family::BOTH.map(CheckId::Egress);
        let no_ipv6 = Outcome::Skipped(Reason::FamilyUnavailable);
        state.fold(observed(&ipv4, Outcome::Pass), at, |_| ());
        assert_eq!(outcome(&state, &connect), None, "of both families");
        for (of_ipv4, of_ipv6, proven) in [
            (Outcome::Pass, no_ipv6, true),
            (Outcome::Pass, Outcome::Pass, true),
            (Outcome::Fail(Reason::TcpConnected), Outcome::Pass, false),
            // The address is an IPv4 one.
            (Outcome::Pass, Outcome::Inconclusive(Reason::ControlFailed), true),
            (Outcome::Inconclusive(Reason::ControlFailed), Outcome::Pass, false),
            (no_ipv6, no_ipv6, false),
        ] {
            state.fold(observed(&ipv4, of_ipv4), at, |_| ());
            state.fold(observed(&ipv6, of_ipv6), at, |_| ());
            let before = outcome(&state, &connect);
            let expected = if proven { before } else { UNPROVEN };
            assert_eq!(outcome(&state, &connect), expected, "{of_ipv4:?} {of_ipv6:?}");
            state.fold(answered.clone(), at, |_| ());
            let expected = if proven { Some(Outcome::Pass) } else { UNPROVEN };
            assert_eq!(outcome(&state, &connect), expected, "{of_ipv4:?} {of_ipv6:?}, with a new connection");
        }
        state.fold(observed(&connect, Outcome::Fail(Reason::ConnectTimeout)), at, |_| ());
        assert_eq!(outcome(&state, &connect), Some(Outcome::Fail(Reason::ConnectTimeout)));
    }
}
