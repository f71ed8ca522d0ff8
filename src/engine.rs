//! The one owner of what is known: observations come in, the report goes out.

mod history;
mod store;

use std::sync::Arc;
use std::time::Duration;

use tokio::sync::{mpsc, watch};
use tokio::time::{Instant, MissedTickBehavior, interval};
use tracing::{info, warn};

use crate::attempt::now;
use crate::observation::{Instance, Observation, Reason, Status};
use crate::plan::Plan;
use crate::report::Report;
pub use store::{Store, Transition};

/// The engine shows that it turns, even while no observation comes in.
pub const HEARTBEAT: Duration = Duration::from_secs(1);

/// What the engine publishes.
#[derive(Debug)]
pub struct Published {
    pub report: watch::Sender<Arc<Report>>,
    /// What metadata said last: a new plan is made of it.
    pub instance: watch::Sender<Option<Instance>>,
    pub heartbeat: watch::Sender<Instant>,
}

/// What is told of the engine's work while it works.
pub trait Observer: Send + Sync + 'static {
    /// Each observation, so that counters count what the report, which keeps only the last,
    /// cannot.
    fn on_observation(&self, observation: &Observation);

    /// At each beat, from the engine's own loop: if it is stuck, this is silent.
    fn on_heartbeat(&self);
}

/// Runs until nobody can send observations any more.
pub async fn run(
    mut state: Store,
    mut observations: mpsc::Receiver<Observation>,
    mut plan: watch::Receiver<Arc<Plan>>,
    published: Published,
    observer: impl Observer,
) {
    let mut beat = interval(HEARTBEAT);
    beat.set_missed_tick_behavior(MissedTickBehavior::Skip);
    loop {
        tokio::select! {
            observation = observations.recv() => {
                let Some(observation) = observation else { return };
                let observe = |observation: &Observation| observer.on_observation(observation);
                log(state.fold(observation, Instant::now(), observe));
                published.instance.send_if_modified(|known| {
                    let news = *known != state.instance;
                    if news { known.clone_from(&state.instance); }
                    news
                });
            }
            Ok(()) = plan.changed() => state.adopt(&plan.borrow_and_update().clone()),
            _ = beat.tick() => {
                published.heartbeat.send_replace(Instant::now());
                observer.on_heartbeat();
                let expired = state.expire(Instant::now());
                if expired.is_empty() { continue }
                log(expired);
            }
        }
        let report = state.report(now());
        log_causes(&published.report.borrow(), &report);
        published.report.send_replace(Arc::new(report));
    }
}

/// One line for each change of an outcome; a check that goes on as before is silent.
fn log(transitions: impl IntoIterator<Item = Transition>) {
    for transition in transitions {
        tell(&transition);
    }
}

fn tell(Transition { check, outcome, reason, summary }: &Transition) {
    let reason = reason.map(Reason::code);
    match outcome {
        Status::Pass | Status::Skipped => info!(%check, outcome = outcome.code(), reason, "{summary}"),
        Status::Fail | Status::Inconclusive => warn!(%check, outcome = outcome.code(), reason, "{summary}"),
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
