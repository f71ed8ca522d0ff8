//! The one owner of state: observations come in, reports go out.

mod history;
mod reports;
mod store;

use std::sync::Arc;
use std::time::Duration;

use tokio::sync::{mpsc, watch};
use tokio::time::{Instant, MissedTickBehavior, interval, sleep_until};
use tracing::{info, warn};

use crate::attempt::now;
use crate::diagnosis::Diagnosis;
use crate::observation::{Instance, Observation, Reason, Status};
use crate::plan::Plan;
pub use reports::Reports;
pub use store::{Store, Transition};

/// How often the engine shows that it is alive, even while no observation arrives.
pub const HEARTBEAT: Duration = Duration::from_secs(1);

/// What the engine publishes.
#[derive(Debug)]
pub struct Published {
    /// All that is known. Readers make a report of it when they need one: see [`Reports`].
    pub store: watch::Sender<Store>,
    /// The last answer of instance metadata, from which the plan is made.
    pub instance: watch::Sender<Option<Instance>>,
    pub heartbeat: watch::Sender<Instant>,
    /// The outcome of the whole in one line.
    pub headline: watch::Sender<String>,
}

impl Published {
    pub fn new(store: Store) -> Self {
        Self {
            headline: watch::Sender::new(store.report(now()).headline().to_string()),
            store: watch::Sender::new(store),
            instance: watch::Sender::new(None),
            heartbeat: watch::Sender::new(Instant::now()),
        }
    }
}

/// Watches the engine at work.
pub trait Observer: Send + Sync + 'static {
    /// Called for each observation, since the report keeps only the last one of a check.
    fn on_observation(&self, observation: &Observation);

    /// Called at each beat from the engine's own loop, so that a stuck engine is noticed.
    fn on_heartbeat(&self);
}

/// Runs until every sender of observations is gone.
pub async fn run(
    mut observations: mpsc::Receiver<Observation>,
    mut plan: watch::Receiver<Arc<Plan>>,
    published: Published,
    observer: impl Observer,
) {
    let mut engine = Engine { published, observer, diagnoses: Vec::new(), diagnose_at: None };
    let mut beat = interval(HEARTBEAT);
    beat.set_missed_tick_behavior(MissedTickBehavior::Skip);
    loop {
        tokio::select! {
            observation = observations.recv() => {
                let Some(observation) = observation else { return };
                engine.fold(observation);
            }
            Ok(()) = plan.changed() => {
                // They are of the plan before.
                while let Ok(observation) = observations.try_recv() {
                    engine.fold(observation);
                }
                let plan = plan.borrow_and_update().clone();
                engine.published.store.send_modify(|store| store.adopt(&plan, Instant::now()));
                engine.diagnose_within(CHANGED);
            }
            _ = beat.tick() => engine.beat(),
            () = until(engine.diagnose_at) => engine.diagnose(),
        }
    }
}

/// Never, where there is nothing to wait for.
async fn until(instant: Option<Instant>) {
    match instant {
        Some(instant) => sleep_until(instant).await,
        None => std::future::pending().await,
    }
}

/// A diagnosis looks at all checks, so it is made for many observations at once. Changes of
/// outcomes come in groups. Without one, a cause can still appear (a warning) or be another one.
const CHANGED: Duration = Duration::from_millis(100);
const UNCHANGED: Duration = Duration::from_secs(10);

struct Engine<O> {
    published: Published,
    observer: O,
    /// As the log has them.
    diagnoses: Vec<Diagnosis>,
    diagnose_at: Option<Instant>,
}

impl<O: Observer> Engine<O> {
    /// The work for one observation does not depend on the number of checks.
    fn fold(&mut self, observation: Observation) {
        let observe = |observation: &Observation| self.observer.on_observation(observation);
        let mut transitions = Vec::new();
        self.published.store.send_modify(|store| {
            transitions = store.fold(observation, Instant::now(), observe);
        });
        self.diagnose_within(if transitions.is_empty() { UNCHANGED } else { CHANGED });
        log(transitions);
        let store = self.published.store.borrow();
        self.published.instance.send_if_modified(|known| {
            let news = *known != store.instance;
            if news {
                known.clone_from(&store.instance);
            }
            news
        });
    }

    fn beat(&mut self) {
        self.published.heartbeat.send_replace(Instant::now());
        self.observer.on_heartbeat();
        let mut expired = Vec::new();
        self.published.store.send_if_modified(|store| {
            expired = store.expire(Instant::now());
            !expired.is_empty()
        });
        if !expired.is_empty() {
            self.diagnose_within(CHANGED);
            log(expired);
        }
    }

    fn diagnose_within(&mut self, delay: Duration) {
        let at = Instant::now() + delay;
        self.diagnose_at = Some(self.diagnose_at.map_or(at, |earlier| earlier.min(at)));
    }

    fn diagnose(&mut self) {
        self.diagnose_at = None;
        let report = self.published.store.borrow().report(now());
        log_causes(&self.diagnoses, &report.diagnoses);
        let headline = report.headline().to_string();
        self.published.headline.send_if_modified(|known| {
            let news = *known != headline;
            *known = headline;
            news
        });
        self.diagnoses = report.diagnoses;
    }
}

/// One line for each change of an outcome; a check that goes on as before is silent.
fn log(transitions: impl IntoIterator<Item = Transition>) {
    for Transition { check, outcome, reason, summary } in transitions {
        let (code, reason) = (outcome.code(), reason.map(Reason::code));
        match outcome {
            Status::Pass | Status::Skipped => info!(%check, outcome = code, reason, "{summary}"),
            Status::Fail | Status::Inconclusive => warn!(%check, outcome = code, reason, "{summary}"),
        }
    }
}

fn log_causes(before: &[Diagnosis], after: &[Diagnosis]) {
    let has = |diagnoses: &[Diagnosis], cause| diagnoses.iter().any(|diagnosis| diagnosis.cause == cause);
    for diagnosis in after.iter().filter(|diagnosis| !has(before, diagnosis.cause)) {
        warn!(cause = diagnosis.cause.code(), remedy = diagnosis.remedy, "{}", diagnosis.evidence);
    }
    for diagnosis in before.iter().filter(|diagnosis| !has(after, diagnosis.cause)) {
        info!(cause = diagnosis.cause.code(), "Resolved: {}", diagnosis.cause.title());
    }
}

#[cfg(test)]
mod tests {
    use std::time::SystemTime;

    use super::*;
    use crate::check::Step;
    use crate::config::Config;
    use crate::observation::Environment;
    use crate::plan::Item;
    use crate::report::fixture;

    struct Unwatched;

    impl Observer for Unwatched {
        fn on_observation(&self, _: &Observation) {}
        fn on_heartbeat(&self) {}
    }

    #[tokio::test(start_paused = true)]
    async fn results_that_wait_at_a_change_are_of_the_plan_before() {
        let id = fixture::step(Step::Dns);
        let of_id = |report: crate::report::Report| report.checks.into_iter().find(|check| check.id == id);
        let last = of_id(fixture::healthy()).and_then(|check| check.last).unwrap();
        let first = Plan::new(&Config::default(), fixture::healthy().instance.as_ref());
        let mut second = first.clone();
        for item in &mut second.items {
            if let Item::Endpoint(endpoint) = item {
                endpoint.host = Some("monitoring.eu-west-1.amazonaws.com".into());
            }
        }
        // Which of the two is seen first is chance.
        for _ in 0..20 {
            let store = Store::new(&first, SystemTime::UNIX_EPOCH, Environment::default());
            let published = Published::new(store);
            let known = published.store.subscribe();
            let (sink, observations) = mpsc::channel(4);
            let plan = watch::Sender::new(Arc::new(first.clone()));
            let engine = tokio::spawn(run(observations, plan.subscribe(), published, Unwatched));
            let waiting = Observation { took: Duration::ZERO, ..Observation::clone(&last) };
            sink.send(waiting).await.unwrap();
            plan.send_replace(Arc::new(second.clone()));
            tokio::time::sleep(Duration::from_millis(1)).await;
            let check = of_id(known.borrow().report(SystemTime::UNIX_EPOCH)).unwrap();
            assert_eq!((check.runs, check.last), (1, None));
            engine.abort();
        }
    }
}
