//! Runs a plan on the clock: each item at its own interval, never twice at a time, spread at random.

use std::sync::Arc;
use std::time::Duration;

use tokio::sync::watch;
use tokio::task::AbortHandle;
use tokio::task::JoinSet;
use tokio::time::{Instant, MissedTickBehavior, interval_at};

use crate::attempt::{CallStep, Probes, Runner};
use crate::plan::{Item, Plan};

/// Everything starts for the first time within this time.
const FIRST_ROUND: Duration = Duration::from_secs(5);

/// Follows the plan until it can no longer change. An item that a new plan still has goes on
/// undisturbed; one that is gone or different ends at once. A change of `check_now` runs every
/// check at once, calls included; the intervals stay as they are. `on_start` is called when a run
/// starts that was due, with the time since then.
pub async fn run<P: Probes>(
    runner: Arc<Runner<P>>,
    mut plan: watch::Receiver<Arc<Plan>>,
    check_now: watch::Receiver<u64>,
    on_start: impl Fn(Duration) + Clone + Send + 'static,
) {
    let mut tasks = JoinSet::new();
    let mut running: Vec<(Item, Option<String>, AbortHandle)> = Vec::new();
    let mut wait_for_metadata = time_of_metadata(&plan.borrow());
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
            let mut check_now = check_now.clone();
            check_now.mark_unchanged();
            let first = Instant::now() + offset(item, wait_for_metadata);
            let repeated =
                repeat(Arc::clone(&runner), item.clone(), region.clone(), first, check_now, on_start.clone());
            running.push((item.clone(), region, tasks.spawn(repeated)));
        }
        while tasks.try_join_next().is_some() {}
        if plan.changed().await.is_err() {
            return;
        }
        wait_for_metadata = Duration::ZERO;
    }
}

/// An endpoint carries its own region.
fn region_for(item: &Item, plan: &Plan) -> Option<String> {
    match item {
        Item::Credentials(_) => plan.region.clone(),
        Item::Instance(_) | Item::Endpoint(_) | Item::Egress(_) => None,
    }
}

/// How long instance metadata may take to answer. The first plan lacks its answer: the region and
/// the ranges of the VPC. An endpoint that did not wait would say that its region is not known.
fn time_of_metadata(plan: &Plan) -> Duration {
    let timeout = plan.items.iter().find_map(|item| match item {
        Item::Instance(timing) => Some(timing.timeout),
        Item::Credentials(_) | Item::Endpoint(_) | Item::Egress(_) => None,
    });
    timeout.unwrap_or_default().min(FIRST_ROUND)
}

async fn repeat<P: Probes>(
    runner: Arc<Runner<P>>,
    item: Item,
    region: Option<String>,
    first: Instant,
    mut check_now: watch::Receiver<u64>,
    on_start: impl Fn(Duration),
) {
    let interval = interval(&item);
    let mut ticks = interval_at(first, interval);
    ticks.set_missed_tick_behavior(MissedTickBehavior::Skip);
    let mut calls = Calls::of(&item);
    loop {
        let (at, asked) = tokio::select! {
            at = ticks.tick() => {
                on_start(at.elapsed());
                (at, false)
            }
            Ok(()) = check_now.changed() => (Instant::now(), true),
        };
        let with_call = calls.is_due(at) || asked;
        let made = runner.run(&item, region.as_deref(), with_call).await;
        if with_call || made == CallStep::Made {
            calls.follow(made, at);
        }
    }
}

fn interval(item: &Item) -> Duration {
    match item {
        Item::Instance(timing) | Item::Credentials(timing) => timing.interval,
        Item::Endpoint(endpoint) => endpoint.timing.interval,
        Item::Egress(egress) => egress.interval,
    }
}

/// What others wait for begins at once; the rest at random, so that neither the checks of one
/// instance nor those of a fleet that booted together fall on one moment.
fn offset(item: &Item, wait_for_metadata: Duration) -> Duration {
    match item {
        Item::Instance(_) | Item::Credentials(_) => Duration::ZERO,
        Item::Endpoint(_) | Item::Egress(_) => {
            let spread = FIRST_ROUND.min(interval(item)).saturating_sub(wait_for_metadata);
            wait_for_metadata + spread.mul_f64(fastrand::f64())
        }
    }
}

/// When the signed call of an endpoint is due: at its own interval, to the nearest run of the
/// endpoint. A call that was skipped for a prerequisite stays due, so that a repaired endpoint is
/// called in its next run. The runs of a fleet are spread at random, and so are these calls.
struct Calls {
    every: Option<Duration>,
    next: Option<Instant>,
    slack: Duration,
}

impl Calls {
    fn of(item: &Item) -> Self {
        let every = match item {
            Item::Endpoint(endpoint) => endpoint.call.as_ref().map(|call| call.interval),
            Item::Instance(_) | Item::Credentials(_) | Item::Egress(_) => None,
        };
        Self { every, next: None, slack: interval(item) / 2 }
    }

    fn is_due(&self, at: Instant) -> bool {
        self.every.is_some() && self.next.is_none_or(|next| at + self.slack >= next)
    }

    fn follow(&mut self, call: CallStep, at: Instant) {
        self.next = match call {
            CallStep::Made => self.every.map(|every| at + every),
            CallStep::Skipped => None,
        };
    }
}

#[cfg(test)]
mod tests {
    use tokio::sync::mpsc;
    use tokio::time::timeout;

    use std::collections::BTreeMap;

    use super::*;
    use crate::attempt::scripted::Scripted;
    use crate::config::Config;
    use crate::observation::{Observation, Outcome, Reason};
    use crate::report::fixture;

    struct Running {
        plan: watch::Sender<Arc<Plan>>,
        check_now: watch::Sender<u64>,
        observations: mpsc::Receiver<Observation>,
        delays: mpsc::UnboundedReceiver<Duration>,
        began: Instant,
    }

    fn plan() -> Plan {
        Plan::new(&Config::default(), fixture::healthy().instance.as_ref())
    }

    fn start(probes: Scripted) -> Running {
        let (sink, observations) = mpsc::channel(1024);
        let (plan, check_now) = (watch::Sender::new(Arc::new(plan())), watch::Sender::new(0));
        let (starts, delays) = mpsc::unbounded_channel();
        let on_start = move |late| starts.send(late).unwrap_or_default();
        let runner = Arc::new(Runner::new(probes, sink));
        tokio::spawn(run(runner, plan.subscribe(), check_now.subscribe(), on_start));
        Running { plan, check_now, observations, delays, began: Instant::now() }
    }

    impl Running {
        /// When results of this check arrived, within so many seconds.
        async fn result(&mut self, check: &str, seconds: u64) -> Vec<Duration> {
            let end = self.began + Duration::from_secs(seconds);
            let mut result = Vec::new();
            while let Ok(Some(observation)) = tokio::time::timeout_at(end, self.observations.recv()).await {
                if observation.check.to_string() == check {
                    result.push(self.began.elapsed());
                }
            }
            result
        }
    }

    fn gaps(result: &[Duration]) -> Vec<u64> {
        result.windows(2).map(|pair| (pair[1] - pair[0]).as_secs()).collect()
    }

    fn inside() -> Scripted {
        Scripted { addresses: vec!["10.0.1.57".parse().unwrap()], ..Scripted::default() }
    }

    #[tokio::test(start_paused = true)]
    async fn the_first_round_of_everything_begins_within_five_seconds() {
        let mut running = start(inside());
        let mut seen = std::collections::BTreeSet::new();
        let end = running.began + FIRST_ROUND;
        while let Ok(Some(observation)) = tokio::time::timeout_at(end, running.observations.recv()).await {
            seen.insert(observation.check);
        }
        let planned: Vec<_> = plan().checks().into_iter().map(|(id, _)| id).collect();
        assert_eq!(seen.into_iter().collect::<Vec<_>>(), planned);
    }

    #[tokio::test(start_paused = true)]
    async fn endpoints_wait_for_the_first_answer_of_metadata() {
        let timeout = time_of_metadata(&plan());
        assert_eq!(timeout, Duration::from_secs(2));
        for check in ["monitoring/dns", "egress/ipv4"].repeat(20) {
            let first = start(inside()).result(check, 10).await[0];
            assert!(first >= timeout, "{check} after {first:?}");
        }
        // A plan that was made from its answer does not.
        let mut soonest = FIRST_ROUND;
        for _ in 0..20 {
            let mut running = start(inside());
            let mut changed = plan();
            changed.items.retain(|item| !matches!(item, Item::Endpoint(_)));
            running.plan.send_replace(Arc::new(changed));
            tokio::task::yield_now().await;
            running.plan.send_replace(Arc::new(plan()));
            soonest = soonest.min(running.result("monitoring/dns", 10).await[0]);
        }
        assert!(soonest < timeout, "{soonest:?}");
    }

    #[tokio::test(start_paused = true)]
    async fn each_check_keeps_its_own_interval() {
        for (check, gap, runs) in
            [("monitoring/dns", 30, 20), ("egress/ipv4", 60, 10), ("monitoring/call", 300, 2)]
        {
            let result = start(inside()).result(check, 600).await;
            assert_eq!(result.len(), runs, "{check}");
            assert!(gaps(&result).iter().all(|seconds| *seconds == gap), "{check}: {result:?}");
        }
    }

    #[tokio::test(start_paused = true)]
    async fn an_attempt_that_overruns_is_followed_by_one_and_never_accompanied() {
        // dns and connect take 50 s each, and 30 s is the interval: on the grid again at once.
        let slow = Scripted { takes: Duration::from_secs(50), ..inside() };
        let result = start(slow).result("monitoring/dns", 1_000).await;
        assert!(gaps(&result).iter().all(|seconds| *seconds >= 100), "{result:?}");
        assert!(result.len() >= 5, "{result:?}");
    }

    #[tokio::test(start_paused = true)]
    async fn without_sockets_every_check_is_inconclusive() {
        let mut running = start(Scripted { lacks_resources: true, ..inside() });
        let mut seen = std::collections::BTreeSet::new();
        let end = running.began + FIRST_ROUND;
        while let Ok(Some(observation)) = tokio::time::timeout_at(end, running.observations.recv()).await {
            assert_eq!(observation.outcome, Outcome::Inconclusive(Reason::NoResources));
            seen.insert(observation.check);
        }
        assert_eq!(seen.len(), plan().checks().len());
    }

    #[tokio::test(start_paused = true)]
    async fn a_run_that_starts_late_is_noticed() {
        let longest = async |probes| {
            let mut running = start(probes);
            running.result("monitoring/dns", 1_000).await;
            std::iter::from_fn(|| running.delays.try_recv().ok()).max().unwrap()
        };
        assert!(longest(inside()).await < Duration::from_millis(2));
        // A run takes 100 s, and the next was due after 30.
        let slow = Scripted { takes: Duration::from_secs(50), ..inside() };
        assert!(longest(slow).await > Duration::from_secs(50));
    }

    #[tokio::test(start_paused = true)]
    async fn interfaces_that_cannot_be_listed_are_not_absent() {
        let mut running = start(Scripted { cannot_list_interfaces: true, ..inside() });
        let end = running.began + FIRST_ROUND;
        let mut outcomes = BTreeMap::new();
        while let Ok(Some(observation)) = tokio::time::timeout_at(end, running.observations.recv()).await {
            outcomes.insert(observation.check.to_string(), observation.outcome);
        }
        for family in ["egress/ipv4", "egress/ipv6"] {
            assert_eq!(outcomes[family], Outcome::Inconclusive(Reason::NoResources));
        }
        assert_eq!(outcomes["monitoring/connect"], Outcome::Pass);
    }

    #[tokio::test(start_paused = true)]
    async fn a_check_can_be_asked_for_between_its_turns() {
        let mut running = start(inside());
        let before = running.result("monitoring/call", 100).await;
        running.check_now.send_modify(|count| *count += 1);
        let after = running.result("monitoring/call", 200).await;
        assert_eq!((before.len(), after.len()), (1, 1));
        assert!(after[0] < Duration::from_secs(101), "{after:?}");
    }

    #[tokio::test(start_paused = true)]
    async fn a_skipped_call_is_made_in_the_next_run() {
        let result = start(Scripted { unsigned_calls: Arc::new(3.into()), ..inside() })
            .result("monitoring/call", 500)
            .await;
        // Three runs without credentials, 30 s apart, then the call's own interval.
        assert_eq!(gaps(&result), [30, 30, 30, 300], "{result:?}");
    }

    #[tokio::test(start_paused = true)]
    async fn a_new_plan_ends_what_is_gone_and_leaves_the_rest_alone() {
        let mut running = start(inside());
        let before = running.result("egress/ipv4", 200).await;
        let mut changed = plan();
        changed.items.retain(|item| !matches!(item, Item::Endpoint(_)));
        running.plan.send_replace(Arc::new(changed));
        let mut after = before.clone();
        let mut endpoint = 0;
        let end = running.began + Duration::from_secs(600);
        while let Ok(Some(observation)) = tokio::time::timeout_at(end, running.observations.recv()).await {
            match observation.check.to_string().as_str() {
                "egress/ipv4" => after.push(running.began.elapsed()),
                "monitoring/dns" => endpoint += 1,
                _ => {}
            }
        }
        assert_eq!(endpoint, 0, "the endpoint is no longer in the plan");
        assert!(gaps(&after).iter().all(|seconds| *seconds == 60), "{after:?}");
    }

    #[tokio::test(start_paused = true)]
    async fn it_ends_when_the_plan_can_no_longer_change() {
        let (sink, _observations) = mpsc::channel(1024);
        let (plan, check_now) = (watch::Sender::new(Arc::new(plan())), watch::Sender::new(0));
        let runner = Arc::new(Runner::new(inside(), sink));
        let scheduled = tokio::spawn(run(runner, plan.subscribe(), check_now.subscribe(), |_| ()));
        drop(plan);
        assert!(timeout(Duration::from_secs(1), scheduled).await.is_ok());
    }
}
