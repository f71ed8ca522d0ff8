//! The last failures, with the evidence of their first attempt, to read after the fact.

use std::sync::Arc;

use crate::check::CheckId;
use crate::observation::{Observation, Status};
use crate::report::Episode;

/// Enough for a night of several faults; the oldest go first.
const MOST: usize = 32;

/// Oldest first.
#[derive(Clone, Debug, Default)]
pub struct History(Vec<Episode>);

impl History {
    pub fn add(&mut self, observation: &Arc<Observation>) {
        let state = observation.outcome.state();
        let same =
            |episode: &&mut Episode| episode.first.check == observation.check && episode.ended.is_none();
        if let Some(ongoing) = self.0.iter_mut().rev().find(same) {
            if ongoing.first.outcome == observation.outcome {
                ongoing.attempts += 1;
                ongoing.last_at = observation.started_at;
                return;
            }
            ongoing.ended = Some((observation.started_at, state));
        }
        match state {
            Status::Fail | Status::Inconclusive => self.open(observation),
            Status::Pass | Status::Skipped => {}
        }
    }

    fn open(&mut self, first: &Arc<Observation>) {
        let last_at = first.started_at;
        self.0.push(Episode { first: Arc::clone(first), attempts: 1, last_at, ended: None });
        if self.0.len() > MOST {
            self.forget_one();
        }
    }

    /// The oldest of the check that has most: one that flaps does not push out the others.
    fn forget_one(&mut self) {
        let count = |id: &CheckId| self.0.iter().filter(|episode| episode.first.check == *id).count();
        // Of equals the last stays with max_by_key, so the oldest comes last.
        let fullest = self.0.iter().enumerate().rev().max_by_key(|(_, episode)| count(&episode.first.check));
        let oldest = fullest.and_then(|(_, fullest)| {
            self.0.iter().position(|episode| episode.first.check == fullest.first.check)
        });
        if let Some(oldest) = oldest {
            self.0.remove(oldest);
        }
    }

    /// Drops what the plan no longer has.
    pub fn retain(&mut self, known: impl Fn(&CheckId) -> bool) {
        self.0.retain(|episode| known(&episode.first.check));
    }

    pub fn episodes(&self) -> Vec<Episode> {
        self.0.iter().rev().cloned().collect()
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;
    use crate::check::Step;
    use crate::observation::NotAttempted;
    use crate::observation::{Evidence, Outcome, Reason};
    use crate::report::fixture;

    const TIMEOUT: Outcome = Outcome::Fail(Reason::ConnectTimeout);
    const REFUSED: Outcome = Outcome::Fail(Reason::ConnectionRefused);
    const UNSEEN: Outcome = Outcome::Inconclusive(Reason::Throttled);
    const SKIPPED: Outcome = Outcome::Skipped(Reason::PrerequisiteFailed);

    fn observed(name: &str, second: u64, outcome: Outcome) -> Arc<Observation> {
        let id = CheckId::Endpoint(name.into(), Step::Connect);
        let last_run = Duration::from_secs(second);
        let evidence =
            Evidence::NotAttempted(NotAttempted::Overdue { last_run, interval: Duration::from_secs(1) });
        Arc::new(Observation { started_at: fixture::at(second), ..fixture::observed(id, outcome, evidence) })
    }

    fn history(outcomes: &[Outcome]) -> Vec<Episode> {
        let mut history = History::default();
        for (second, outcome) in (0..).zip(outcomes) {
            history.add(&observed("a", second, *outcome));
        }
        history.episodes()
    }

    #[test]
    fn a_row_of_equal_failures_is_one_episode_with_the_evidence_of_the_first() {
        let expected = Episode {
            first: observed("a", 1, TIMEOUT),
            attempts: 3,
            last_at: fixture::at(3),
            ended: Some((fixture::at(4), Status::Pass)),
        };
        assert_eq!(history(&[Outcome::Pass, TIMEOUT, TIMEOUT, TIMEOUT, Outcome::Pass]), [expected]);
    }

    #[test]
    fn another_reason_is_another_episode_and_the_newest_comes_first() {
        let evidence: Vec<_> = history(&[TIMEOUT, REFUSED, UNSEEN, SKIPPED, TIMEOUT])
            .into_iter()
            .map(|episode| (episode.first.outcome, episode.ended.map(|(_, state)| state)))
            .collect();
        assert_eq!(
            evidence,
            [
                (TIMEOUT, None),
                (UNSEEN, Some(Status::Skipped)),
                (REFUSED, Some(Status::Inconclusive)),
                (TIMEOUT, Some(Status::Fail)),
            ]
        );
    }

    #[test]
    fn it_is_bounded_and_a_check_that_flaps_does_not_push_out_another() {
        let mut history = History::default();
        history.add(&observed("quiet", 0, TIMEOUT));
        for second in 1..1000 {
            let outcome = if second % 2 == 0 { TIMEOUT } else { Outcome::Pass };
            history.add(&observed("flapping", second, outcome));
        }
        let episodes = history.episodes();
        assert_eq!(episodes.len(), MOST);
        assert_eq!(episodes[0].first, observed("flapping", 998, TIMEOUT));
        assert_eq!(episodes[MOST - 1].first, observed("quiet", 0, TIMEOUT));
        history.retain(|id| *id == observed("quiet", 0, TIMEOUT).check);
        assert_eq!(history.episodes().len(), 1);
    }

    #[test]
    fn of_many_checks_the_oldest_failure_goes_first() {
        let mut history = History::default();
        for second in 0..=(MOST as u64) {
            history.add(&observed(&format!("n{second}"), second, TIMEOUT));
        }
        let left: Vec<_> = history.episodes().iter().map(|episode| episode.first.started_at).collect();
        assert_eq!((left.len(), left[MOST - 1]), (MOST, fixture::at(1)));
    }
}
