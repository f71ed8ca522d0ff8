//! The one owner of state: observations come in, reports go out.

mod history;
mod store;

use std::sync::Arc;
use std::time::Duration;

use tokio::sync::{mpsc, watch};
use tokio::time::{Instant, MissedTickBehavior, interval, sleep_until};
use tracing::{info, warn};

use crate::attempt::now;
use crate::observation::{Instance, Observation, Reason, Status};
use crate::plan::Plan;
use crate::report::Report;
pub use store::{Store, Transition};

/// How often the engine shows that it is alive, even while no observation arrives.
pub const HEARTBEAT: Duration = Duration::from_secs(1);

/// What the engine publishes.
#[derive(Debug)]
pub struct Published {
    pub report: watch::Sender<Arc<Report>>,
    /// The last answer of instance metadata, from which the plan is made.
    pub instance: watch::Sender<Option<Instance>>,
    pub heartbeat: watch::Sender<Instant>,
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
    store: Store,
    mut observations: mpsc::Receiver<Observation>,
    mut plan: watch::Receiver<Arc<Plan>>,
    published: Published,
    observer: impl Observer,
) {
    let mut engine = Engine { store, published, observer, publish_at: None };
    let mut beat = interval(HEARTBEAT);
    beat.set_missed_tick_behavior(MissedTickBehavior::Skip);
    loop {
        tokio::select! {
            observation = observations.recv() => {
                let Some(observation) = observation else { return };
                engine.fold(observation);
            }
            Ok(()) = plan.changed() => {
                engine.store.adopt(&plan.borrow_and_update().clone());
                engine.publish_within(Duration::ZERO);
            }
            _ = beat.tick() => engine.beat(),
            () = until(engine.publish_at) => engine.publish(),
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

/// A report costs in proportion to the number of checks, and so does the number of observations:
/// one report for each observation would be quadratic. A change is published at once, with what
/// arrives together with it; an observation that changes nothing waits for the next beat.
const TOGETHER: Duration = Duration::from_millis(10);

struct Engine<O> {
    store: Store,
    published: Published,
    observer: O,
    publish_at: Option<Instant>,
}

impl<O: Observer> Engine<O> {
    fn fold(&mut self, observation: Observation) {
        let observe = |observation: &Observation| self.observer.on_observation(observation);
        let transitions = self.store.fold(observation, Instant::now(), observe);
        self.publish_within(if transitions.is_empty() { HEARTBEAT } else { TOGETHER });
        log(transitions);
        self.published.instance.send_if_modified(|known| {
            let news = *known != self.store.instance;
            if news {
                known.clone_from(&self.store.instance);
            }
            news
        });
    }

    fn beat(&mut self) {
        self.published.heartbeat.send_replace(Instant::now());
        self.observer.on_heartbeat();
        let expired = self.store.expire(Instant::now());
        if !expired.is_empty() {
            self.publish_within(Duration::ZERO);
            log(expired);
        }
    }

    fn publish_within(&mut self, delay: Duration) {
        let at = Instant::now() + delay;
        self.publish_at = Some(self.publish_at.map_or(at, |earlier| earlier.min(at)));
    }

    fn publish(&mut self) {
        self.publish_at = None;
        let report = self.store.report(now());
        log_causes(&self.published.report.borrow(), &report);
        self.published.report.send_replace(Arc::new(report));
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

fn log_causes(before: &Report, after: &Report) {
    let has = |report: &Report, cause| report.diagnoses.iter().any(|diagnosis| diagnosis.cause == cause);
    for diagnosis in after.diagnoses.iter().filter(|diagnosis| !has(before, diagnosis.cause)) {
        warn!(cause = diagnosis.cause.code(), remedy = diagnosis.remedy, "{}", diagnosis.evidence);
    }
    for diagnosis in before.diagnoses.iter().filter(|diagnosis| !has(after, diagnosis.cause)) {
        info!(cause = diagnosis.cause.code(), "{} no longer", diagnosis.cause.title());
    }
}
