//! `--once`: one round of everything, or with `--wait` rounds until one passes as a whole.

use std::sync::Arc;
use std::time::Duration;

use tokio::sync::mpsc;
use tokio::task::JoinSet;
use tokio::time::{Instant, sleep_until};

use crate::attempt::{Attempts, Probes, now};
use crate::check::CheckId;
use crate::config::Config;
use crate::engine::State;
use crate::observation::{Instance, Observation, State as Outcome};
use crate::plan::{Item, Plan};
use crate::report::Report;

/// Between rounds: what is waited for takes seconds to minutes (DNS, a role, an endpoint).
const FIRST_PAUSE: Duration = Duration::from_secs(1);
const LONGEST_PAUSE: Duration = Duration::from_secs(10);

/// What a run needs besides the configuration.
#[derive(Debug)]
pub struct Run<'a, P> {
    pub config: &'a Config,
    pub attempts: Arc<Attempts<P>>,
    pub observations: mpsc::Receiver<Observation>,
    pub proxy_variables: Vec<String>,
}

impl<P: Probes> Run<'_, P> {
    /// Until one complete round passes together, or `wait` is over. An open way out is final:
    /// a lossy one would look closed sooner or later. `progress` hears of each round.
    pub async fn rounds(mut self, wait: Duration, progress: impl Fn(&Report, Instant)) -> Finished {
        let deadline = Instant::now() + wait;
        let mut pause = FIRST_PAUSE;
        loop {
            let finished = self.round().await;
            let over = finished.report.state() == Outcome::Pass || leaks(&finished.report);
            let next = Instant::now() + pause.mul_f64(0.5 + fastrand::f64());
            if over || next >= deadline {
                return finished;
            }
            progress(&finished.report, deadline);
            sleep_until(next).await;
            pause = LONGEST_PAUSE.min(pause * 2);
        }
    }

    async fn round(&mut self) -> Finished {
        let started_at = now();
        let (facts, instance) = self.instance().await;
        let plan = Plan::new(self.config, instance.as_ref());
        let mut state = State::new(&plan, started_at, self.proxy_variables.clone());
        for observation in facts {
            state.fold(observation, Instant::now());
        }
        let mut running = JoinSet::new();
        for item in plan.items.iter().filter(|item| !matches!(item, Item::Instance(_))) {
            let (attempts, item, region) = (Arc::clone(&self.attempts), item.clone(), plan.region.clone());
            running.spawn(async move { attempts.make(&item, region.as_deref(), true).await });
        }
        loop {
            tokio::select! {
                Some(observation) = self.observations.recv() => { state.fold(observation, Instant::now()); }
                ended = running.join_next() => if ended.is_none() { break },
            }
        }
        while let Ok(observation) = self.observations.try_recv() {
            state.fold(observation, Instant::now());
        }
        Finished { report: state.report(now()), region_missing: needs_region(&plan) }
    }

    /// First and alone, since the rest of the plan is made of it; it is bounded by its timeout.
    async fn instance(&mut self) -> (Vec<Observation>, Option<Instance>) {
        let plan = Plan::new(self.config, None);
        let Some(item) = plan.items.iter().find(|item| matches!(item, Item::Instance(_))) else {
            return (Vec::new(), None);
        };
        self.attempts.make(item, None, false).await;
        let mut state = State::new(&plan, now(), Vec::new());
        let mut seen = Vec::new();
        while let Ok(observation) = self.observations.try_recv() {
            state.fold(observation.clone(), Instant::now());
            seen.push(observation);
        }
        (seen, state.instance)
    }
}

/// The last round, and whether it lacked a region that an endpoint needs.
#[derive(Debug)]
pub struct Finished {
    pub report: Report,
    pub region_missing: bool,
}

fn needs_region(plan: &Plan) -> bool {
    plan.items.iter().any(|item| match item {
        Item::Ladder(ladder) => {
            ladder.host.is_none() || ladder.call.as_ref().is_some_and(|call| call.region.is_none())
        }
        Item::Instance(_) | Item::Credentials(_) | Item::Egress(_) => false,
    })
}

fn leaks(report: &Report) -> bool {
    report.checks.iter().any(|check| matches!(check.id, CheckId::Egress(_)) && check.state() == Outcome::Fail)
}
