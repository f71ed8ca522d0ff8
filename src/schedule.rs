//! Runs a plan on the clock: each item on its own interval, never beside itself, spread out.

use std::sync::Arc;
use std::time::Duration;

use tokio::sync::watch;
use tokio::task::AbortHandle;
use tokio::task::JoinSet;
use tokio::time::{Instant, MissedTickBehavior, interval_at};

use crate::attempt::{Attempts, Probes};
use crate::plan::{Item, Plan};

/// Within this everything has begun for the first time.
const FIRST_ROUND: Duration = Duration::from_secs(5);

/// Follows the plan until it can no longer change. An item that a new plan still has goes on
/// undisturbed; one that is gone or different ends at once.
pub async fn run<P: Probes>(attempts: Arc<Attempts<P>>, mut plan: watch::Receiver<Arc<Plan>>) {
    let mut tasks = JoinSet::new();
    let mut running: Vec<(Item, Option<String>, AbortHandle)> = Vec::new();
    loop {
        let wanted = plan.borrow_and_update().clone();
        running.retain(|(item, region, task)| {
            let stays = wanted.items.contains(item) && *region == region_for(item, &wanted);
            if !stays {
                task.abort();
            }
            stays
        });
        for item in &wanted.items {
            if running.iter().any(|(known, ..)| known == item) {
                continue;
            }
            let region = region_for(item, &wanted);
            let repeated = repeat(Arc::clone(&attempts), item.clone(), region.clone());
            running.push((item.clone(), region, tasks.spawn(repeated)));
        }
        while tasks.try_join_next().is_some() {}
        if plan.changed().await.is_err() {
            return;
        }
    }
}

/// Ladders carry theirs; nothing else is asked of a region.
fn region_for(item: &Item, plan: &Plan) -> Option<String> {
    match item {
        Item::Credentials(_) => plan.region.clone(),
        Item::Instance(_) | Item::Ladder(_) | Item::Egress(_) => None,
    }
}

async fn repeat<P: Probes>(attempts: Arc<Attempts<P>>, item: Item, region: Option<String>) {
    let interval = interval(&item);
    let mut ticks = interval_at(Instant::now() + offset(&item), interval);
    ticks.set_missed_tick_behavior(MissedTickBehavior::Skip);
    let mut calls = Calls::of(&item);
    loop {
        let at = ticks.tick().await;
        attempts.make(&item, region.as_deref(), calls.is_due(at)).await;
    }
}

fn interval(item: &Item) -> Duration {
    match item {
        Item::Instance(pace) | Item::Credentials(pace) => pace.interval,
        Item::Ladder(ladder) => ladder.pace.interval,
        Item::Egress(egress) => egress.interval,
    }
}

/// What others wait for begins at once; the rest at random, so that neither the checks of one
/// instance nor those of a fleet that booted together fall on one moment.
fn offset(item: &Item) -> Duration {
    match item {
        Item::Instance(_) | Item::Credentials(_) => Duration::ZERO,
        Item::Ladder(_) | Item::Egress(_) => FIRST_ROUND.min(interval(item)).mul_f64(fastrand::f64()),
    }
}

/// When the signed rung of a ladder is due: on its own interval, which it keeps to the nearest
/// attempt of the ladder.
struct Calls {
    every: Option<Duration>,
    next: Option<Instant>,
    slack: Duration,
}

impl Calls {
    fn of(item: &Item) -> Self {
        let every = match item {
            Item::Ladder(ladder) => ladder.call.as_ref().map(|call| call.interval),
            Item::Instance(_) | Item::Credentials(_) | Item::Egress(_) => None,
        };
        Self { every, next: None, slack: interval(item) / 2 }
    }

    fn is_due(&mut self, at: Instant) -> bool {
        let Some(every) = self.every else { return false };
        let due = self.next.is_none_or(|next| at + self.slack >= next);
        if due {
            self.next = Some(at + every);
        }
        due
    }
}
