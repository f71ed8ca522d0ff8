//! The snapshot of everything: whatever is shown, on any surface, renders this one value.

#[cfg(all(fuzzing, not(test)))]
#[allow(dead_code, reason = "the fuzzer needs one of the reports")]
pub mod fixture;
#[cfg(test)]
pub mod fixture;
pub mod json;
pub mod junit;
pub mod latency;
pub mod text;

use std::fmt;
use std::sync::Arc;
use std::time::{Duration, SystemTime};

use crate::check::CheckId;
use crate::diagnosis::{Diagnosis, diagnose};
use crate::observation::{Environment, Instance, Observation, Outcome, Reason, Status};
use crate::wording::{self, Length};
use latency::Latency;

#[derive(Clone, Debug, PartialEq)]
pub struct Report {
    /// Ours.
    pub version: &'static str,
    pub started_at: SystemTime,
    pub finished_at: SystemTime,
    pub instance: Option<Instance>,
    /// In the order of [`CheckId`].
    pub checks: Vec<CheckReport>,
    pub diagnoses: Vec<Diagnosis>,
    /// What did not pass lately, the newest first.
    pub episodes: Vec<Episode>,
    pub environment: Environment,
}

/// A row of attempts of one check that all ended in the same way, which was no pass.
#[derive(Clone, Debug, PartialEq)]
pub struct Episode {
    /// With its evidence.
    pub first: Arc<Observation>,
    pub attempts: u64,
    pub last_at: SystemTime,
    /// When an attempt ended otherwise, and how. `None` while it goes on.
    pub ended: Option<(SystemTime, Status)>,
}

impl Episode {
    /// One plain sentence: what was seen.
    pub fn summary(&self) -> String {
        wording::summary(&self.first, Length::Full)
    }
}

/// A check, with the last attempt and what its history counts.
#[derive(Clone, Debug, PartialEq)]
pub struct CheckReport {
    pub id: CheckId,
    pub interval: Duration,
    /// `None` until the first attempt has ended.
    pub last: Option<Arc<Observation>>,
    pub last_success_at: Option<SystemTime>,
    pub runs: u64,
    pub failures: u64,
    pub inconclusive: u64,
    /// Of the `connect` step of an endpoint; empty for every other check.
    pub latency: Arc<Latency>,
}

impl CheckReport {
    /// A check that has not run has seen nothing yet, which is what inconclusive means.
    pub fn state(&self) -> Status {
        self.last.as_ref().map_or(Status::Inconclusive, |last| last.outcome.state())
    }

    /// False for a family that the instance does not have.
    pub fn applies(&self) -> bool {
        let last = self.last.as_ref().map(|last| last.outcome);
        last != Some(Outcome::Skipped(Reason::FamilyUnavailable))
    }

    /// When the next attempt is due, and `None` before the first.
    pub fn next_at(&self) -> Option<SystemTime> {
        self.last.as_ref().map(|last| last.started_at + self.interval)
    }

    /// For how long the check has been silent, where that is longer than any schedule explains:
    /// what it says may not be true any more. `since` is when it was first due.
    pub fn silent_for(&self, since: SystemTime, now: SystemTime) -> Option<Duration> {
        let last = self.last.as_ref().map_or(since, |last| last.started_at);
        let silent = now.duration_since(last).ok()?;
        (silent > self.patience()).then_some(silent)
    }

    /// How old a result may get before it counts as stale.
    pub fn patience(&self) -> Duration {
        self.interval * 3 + SLACK
    }

    /// How the check counts toward the run. A check that was skipped because of another counts as
    /// inconclusive, whatever the other's outcome. A check of a family that this host lacks does not count.
    fn weight(&self) -> Status {
        match self.last.as_ref().map(|last| last.outcome) {
            Some(Outcome::Skipped(Reason::FamilyUnavailable)) => Status::Skipped,
            Some(Outcome::Skipped(_)) => Status::Inconclusive,
            Some(Outcome::Pass | Outcome::Fail(_) | Outcome::Inconclusive(_)) | None => self.state(),
        }
    }

    /// The same, as short as a table wants it.
    pub fn headline(&self) -> String {
        self.last.as_ref().map_or_else(|| NOT_RUN.to_owned(), |last| wording::summary(last, Length::Brief))
    }

    /// One plain sentence: what was seen.
    pub fn summary(&self) -> String {
        self.last.as_ref().map_or_else(|| NOT_RUN.to_owned(), |last| wording::summary(last, Length::Full))
    }
}

/// The alert on values that stand still gives as much.
const SLACK: Duration = Duration::from_mins(1);

const NOT_RUN: &str = "has not run yet";

impl Report {
    pub fn diagnose(&mut self) {
        let last: Vec<&Observation> = self.checks.iter().filter_map(|check| check.last.as_deref()).collect();
        self.diagnoses = diagnose(&last, self.instance.as_ref(), &self.environment);
    }

    pub fn check(&self, id: &CheckId) -> Option<&CheckReport> {
        let found = self.checks.binary_search_by(|check| check.id.cmp(id));
        found.ok().map(|at| &self.checks[at])
    }

    pub fn state(&self) -> Status {
        run_outcome(self.checks.iter().map(CheckReport::weight))
    }

    /// The outcome of the run in one line, with the checks that decide it.
    pub fn headline(&self) -> Headline {
        let of = |status| self.checks.iter().filter(move |check| check.state() == status);
        let ids = |status| some(of(status).map(|check| check.id.to_string()));
        let total = self.checks.len();
        let passed = of(Status::Pass).count();
        let status = self.state();
        let detail = match status {
            Status::Fail => {
                format!("{} of {} failed: {}", of(Status::Fail).count(), checks(total), ids(Status::Fail))
            }
            Status::Pass if passed == total => format!("{} passed", checks(total)),
            Status::Pass => {
                format!("{passed} of {} passed, skipped: {}", checks(total), ids(Status::Skipped))
            }
            Status::Inconclusive | Status::Skipped => {
                if let Some(detail) = self.starting() {
                    return Headline { status, is_starting: true, detail };
                }
                self.undecided()
            }
        };
        Headline { status, is_starting: false, detail }
    }

    /// While the first run of some checks is under way, and not overdue.
    fn starting(&self) -> Option<String> {
        let has_run = |check: &CheckReport| check.last.is_some();
        let done = self.checks.iter().filter(|check| has_run(check)).count();
        let overdue = |check: &CheckReport| check.silent_for(self.started_at, self.finished_at).is_some();
        let is_overdue = self.checks.iter().any(|check| !has_run(check) && overdue(check));
        let is_starting = done < self.checks.len() && !is_overdue;
        is_starting.then(|| format!("{done} of {} done", checks(self.checks.len())))
    }

    fn undecided(&self) -> String {
        let pending = self.checks.iter().filter(|check| check.weight() == Status::Inconclusive);
        let ids: Vec<String> = pending.map(|check| check.id.to_string()).collect();
        let total = self.checks.len();
        match ids.len() {
            0 if total == 0 => "no checks are configured".to_owned(),
            0 => format!("nothing passed, {} skipped", checks(total)),
            count => format!("{count} of {} could not be verified: {}", checks(total), some(ids.into_iter())),
        }
    }
}

/// `FAIL: 1 of 7 checks failed: egress/ipv4`.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Headline {
    pub status: Status,
    /// No check has failed, and some have not run yet.
    pub is_starting: bool,
    pub detail: String,
}

impl Headline {
    pub fn word(&self) -> &'static str {
        match self.status {
            _ if self.is_starting => "STARTING",
            Status::Pass => "PASS",
            Status::Fail => "FAIL",
            Status::Inconclusive | Status::Skipped => "INCONCLUSIVE",
        }
    }
}

impl fmt::Display for Headline {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}", self.word(), self.detail)
    }
}

fn checks(count: usize) -> String {
    if count == 1 { "1 check".to_owned() } else { format!("{count} checks") }
}

/// The first five, and how many more.
fn some(names: impl Iterator<Item = String>) -> String {
    const SHOWN: usize = 5;
    let names: Vec<String> = names.collect();
    match names.len().checked_sub(SHOWN) {
        None | Some(0) => names.join(", "),
        Some(more) => format!("{} and {more} more", names[..SHOWN].join(", ")),
    }
}

/// The outcome over all checks. It passes only if one passed, none failed and none is inconclusive.
pub fn run_outcome(states: impl IntoIterator<Item = Status>) -> Status {
    let (mut passed, mut unseen) = (false, false);
    for state in states {
        match state {
            Status::Fail => return Status::Fail,
            Status::Pass => passed = true,
            Status::Inconclusive => unseen = true,
            Status::Skipped => {}
        }
    }
    if passed && !unseen { Status::Pass } else { Status::Inconclusive }
}

/// The exit code of a run in which a check failed.
pub const FAILED: u8 = 1;

/// The exit code where no check failed and not everything passed.
pub const UNKNOWN: u8 = 2;

pub fn exit_code(outcome: Status) -> u8 {
    match outcome {
        Status::Pass => 0,
        Status::Fail => FAILED,
        Status::Inconclusive | Status::Skipped => UNKNOWN,
    }
}

#[cfg(test)]
mod tests {
    use proptest::collection::vec;
    use proptest::prelude::*;
    use proptest::sample::select;

    use super::*;

    #[test]
    fn it_passes_only_when_somebody_passed_and_everybody_looked() {
        use Status::{Fail, Inconclusive, Pass, Skipped};
        for (states, expected, code) in [
            (vec![], Inconclusive, 2),
            (vec![Skipped], Inconclusive, 2),
            (vec![Pass], Pass, 0),
            (vec![Pass, Skipped], Pass, 0),
            (vec![Pass, Inconclusive], Inconclusive, 2),
            (vec![Inconclusive, Pass], Inconclusive, 2),
            (vec![Pass, Inconclusive, Fail], Fail, 1),
            (vec![Fail], Fail, 1),
        ] {
            let seen = run_outcome(states.clone());
            assert_eq!((seen, exit_code(seen)), (expected, code), "{states:?}");
        }
        assert_eq!(exit_code(Skipped), 2);
    }

    proptest! {
        #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::default() })]

        #[test]
        fn the_exit_code_is_zero_only_for_a_run_that_was_seen_whole(outcomes in vec(outcome(), 0..7)) {
            let mut report = fixture::healthy();
            report.checks.truncate(outcomes.len());
            for (check, outcome) in report.checks.iter_mut().zip(&outcomes) {
                match outcome {
                    Some(outcome) => Arc::make_mut(check.last.as_mut().unwrap()).outcome = *outcome,
                    None => check.last = None,
                }
            }
            let code = exit_code(report.state());
            let failed = outcomes.iter().any(|outcome| matches!(outcome, Some(Outcome::Fail(_))));
            let harmless = |outcome: &Option<Outcome>| {
                matches!(outcome, Some(Outcome::Pass | Outcome::Skipped(Reason::FamilyUnavailable)))
            };
            let passed = outcomes.contains(&Some(Outcome::Pass)) && outcomes.iter().all(harmless);
            prop_assert_eq!(code == 1, failed);
            prop_assert_eq!(code == 0, passed);
            prop_assert_eq!(report.headline().word() == "PASS", passed);
        }
    }

    fn outcome() -> impl Strategy<Value = Option<Outcome>> {
        let reasons = vec![Reason::FamilyUnavailable, Reason::PrerequisiteFailed, Reason::Throttled];
        let with =
            |of: fn(Reason) -> Outcome| select(reasons.clone()).prop_map(move |reason| Some(of(reason)));
        prop_oneof![
            8 => Just(Some(Outcome::Pass)),
            4 => Just(Some(Outcome::Skipped(Reason::FamilyUnavailable))),
            1 => Just(None),
            1 => with(Outcome::Skipped),
            1 => with(Outcome::Inconclusive),
            1 => with(Outcome::Fail),
        ]
    }

    #[test]
    fn the_verdict_line_names_what_decides() {
        let lines: Vec<(&str, String)> =
            fixture::all().into_iter().map(|(name, report)| (name, report.headline().to_string())).collect();
        let lines: String = lines.iter().map(|(name, line)| format!("{name}: {line}\n")).collect();
        fixture::golden("src/report/golden/verdicts.txt", &lines);
    }

    #[test]
    fn a_long_list_ends_with_how_many_more() {
        let names = |count: usize| some((1..=count).map(|n| format!("n{n}")));
        assert_eq!(names(0), "");
        assert_eq!(names(5), "n1, n2, n3, n4, n5");
        assert_eq!(names(7), "n1, n2, n3, n4, n5 and 2 more");
    }

    #[test]
    fn a_check_that_left_its_turn_to_another_is_owed() {
        let mut report = fixture::healthy();
        let last = fixture::last(&mut report, 4);
        last.outcome = Outcome::Skipped(Reason::PrerequisiteFailed);
        assert_eq!(report.state(), Status::Inconclusive);
        assert_eq!(
            report.headline().to_string(),
            "INCONCLUSIVE: 1 of 7 checks could not be verified: monitoring/call"
        );
    }

    #[test]
    fn the_first_round_is_starting_until_a_check_fails_or_is_overdue() {
        let mut report = fixture::healthy();
        report.started_at = report.finished_at;
        for check in &mut report.checks[..2] {
            check.last = None;
        }
        assert_eq!(report.headline().to_string(), "STARTING: 5 of 7 checks done");
        let mut failed = report.clone();
        fixture::last(&mut failed, 3).outcome = Outcome::Fail(Reason::ConnectTimeout);
        assert_eq!(failed.headline().word(), "FAIL");
        report.finished_at = report.started_at + report.checks[0].patience();
        for check in 2..7 {
            // Whatever has run goes on.
            fixture::last(&mut report, check).started_at = report.finished_at;
        }
        assert_eq!(report.headline().word(), "STARTING");
        report.finished_at += Duration::from_millis(1);
        assert_eq!(report.headline().word(), "INCONCLUSIVE");
    }

    #[test]
    fn a_run_without_a_failure_says_what_it_lacks() {
        let none = Outcome::Skipped(Reason::FamilyUnavailable);
        for (checks, outcome, expected) in [
            (7, Outcome::Pass, "PASS: 7 checks passed"),
            (7, none, "INCONCLUSIVE: nothing passed, 7 checks skipped"),
            (1, none, "INCONCLUSIVE: nothing passed, 1 check skipped"),
            (0, none, "INCONCLUSIVE: no checks are configured"),
        ] {
            let mut report = fixture::healthy();
            report.checks.truncate(checks);
            for check in 0..checks {
                fixture::last(&mut report, check).outcome = outcome;
            }
            assert_eq!(report.headline().to_string(), expected);
        }
    }

    #[test]
    fn a_check_is_found_by_its_id_and_due_an_interval_after_it_began() {
        let mut report = fixture::healthy();
        for check in &report.checks {
            assert_eq!(report.check(&check.id), Some(check));
            let began = check.last.as_ref().unwrap().started_at;
            assert_eq!(check.next_at(), Some(began + check.interval));
        }
        let mut check = report.checks.remove(2);
        assert_eq!(report.check(&check.id), None);
        check.last = None;
        assert_eq!(check.next_at(), None);
    }

    #[test]
    fn a_family_that_the_instance_lacks_does_not_apply() {
        let mut report = fixture::healthy();
        for (outcome, applies) in [
            (Outcome::Skipped(Reason::FamilyUnavailable), false),
            (Outcome::Skipped(Reason::PrerequisiteFailed), true),
            (Outcome::Pass, true),
        ] {
            fixture::last(&mut report, 0).outcome = outcome;
            assert_eq!(report.checks[0].applies(), applies, "{outcome:?}");
        }
    }

    #[test]
    fn a_check_that_has_not_run_is_not_a_pass() {
        let mut report = fixture::healthy();
        report.checks[2].last = None;
        assert_eq!(report.state(), Status::Inconclusive);
        assert_eq!(report.checks[2].summary(), "has not run yet");
    }
}
