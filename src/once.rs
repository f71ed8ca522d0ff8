//! `--once`: every check once, or with `--wait` again and again until all pass in one round.

use std::future::pending;
use std::sync::Arc;
use std::time::Duration;

use tokio::sync::mpsc;
use tokio::task::JoinSet;
use tokio::time::{Instant, sleep_until};

use crate::attempt::{Probes, Runner, now};
use crate::check::CheckId;
use crate::config::Config;
use crate::engine::Store;
use crate::observation::{Environment, Instance, Observation, Status};
use crate::plan::{Item, Plan};
use crate::report::Report;

/// Pause between rounds. DNS, a role or an endpoint takes seconds to minutes to become ready.
const FIRST_PAUSE: Duration = Duration::from_secs(1);
const SHORTEST_PAUSE: Duration = Duration::from_millis(500);
const LONGEST_PAUSE: Duration = Duration::from_secs(10);

/// What a run needs besides the configuration.
#[derive(Debug)]
pub struct Run<'a, P> {
    pub config: &'a Config,
    pub runner: Arc<Runner<P>>,
    pub observations: mpsc::Receiver<Observation>,
    pub environment: Environment,
}

impl<P: Probes> Run<'_, P> {
    /// Repeats until all checks pass in one round, or `wait` is over. Internet egress ends it at
    /// once, because a lossy route would look closed sooner or later. `progress` is called after
    /// each round.
    ///
    /// A round that has started may take one step longer than `wait` and is then cut off. Checks
    /// that it did not reach have no result.
    pub async fn rounds(mut self, wait: Duration, progress: impl Fn(&Report, Instant)) -> Finished {
        let deadline = Instant::now() + wait;
        let cut = (!wait.is_zero()).then(|| deadline + self.longest_step());
        let mut pause = FIRST_PAUSE;
        let mut last: Option<Finished> = None;
        loop {
            let finished = match (self.round(cut).await, last.take()) {
                (Round::Cut(part), whole) => return of_cut(part, whole),
                (Round::Whole(finished), _) => finished,
            };
            let over = finished.report.state() == Status::Pass || leaks(&finished.report);
            let now = Instant::now();
            if over || now + SHORTEST_PAUSE >= deadline {
                return finished;
            }
            // The last round begins when the time is over: a subnet may be ready just then.
            let next = deadline.min(now + pause.mul_f64(0.5 + fastrand::f64()));
            progress(&finished.report, deadline);
            last = Some(finished);
            sleep_until(next).await;
            pause = LONGEST_PAUSE.min(pause * 2);
        }
    }

    fn longest_step(&self) -> Duration {
        let items = Plan::new(self.config, None).items;
        items.iter().map(Item::timeout).max().unwrap_or_default()
    }

    async fn round(&mut self, cut: Option<Instant>) -> Round {
        let started_at = now();
        let (facts, instance) = self.instance().await;
        let plan = Plan::new(self.config, instance.as_ref());
        let mut state = Store::new(&plan, started_at, self.environment.clone());
        for observation in facts {
            state.fold(observation, Instant::now(), |_| ());
        }
        let mut running = JoinSet::new();
        for item in plan.items.iter().filter(|item| !matches!(item, Item::Instance(_))) {
            let (runner, item, region) = (Arc::clone(&self.runner), item.clone(), plan.region.clone());
            running.spawn(async move { runner.run(&item, region.as_deref(), true).await });
        }
        let cut = async {
            match cut {
                Some(cut) => sleep_until(cut).await,
                None => pending().await,
            }
        };
        tokio::pin!(cut);
        let whole = loop {
            tokio::select! {
                Some(observation) = self.observations.recv() => { state.fold(observation, Instant::now(), |_| ()); }
                ended = running.join_next() => if ended.is_none() { break true },
                () = &mut cut => break false,
            }
        };
        running.shutdown().await;
        while let Ok(observation) = self.observations.try_recv() {
            state.fold(observation, Instant::now(), |_| ());
        }
        let finished = Finished { report: state.report(now()), is_region_missing: needs_region(&plan) };
        if whole { Round::Whole(finished) } else { Round::Cut(finished) }
    }

    /// First and alone, since the rest of the plan is made of it; it is bounded by its timeout.
    async fn instance(&mut self) -> (Vec<Observation>, Option<Instance>) {
        let plan = Plan::new(self.config, None);
        let Some(item) = plan.items.iter().find(|item| matches!(item, Item::Instance(_))) else {
            return (Vec::new(), None);
        };
        self.runner.run(item, None, false).await;
        let mut state = Store::new(&plan, now(), Environment::default());
        let mut observations = Vec::new();
        while let Ok(observation) = self.observations.try_recv() {
            state.fold(observation.clone(), Instant::now(), |_| ());
            observations.push(observation);
        }
        (observations, state.instance)
    }
}

enum Round {
    Whole(Finished),
    /// The time was over before every check had its turn.
    Cut(Finished),
}

/// The last round, and whether it lacked a region that an endpoint needs.
#[derive(Debug)]
pub struct Finished {
    pub report: Report,
    pub is_region_missing: bool,
}

fn needs_region(plan: &Plan) -> bool {
    plan.items.iter().any(|item| match item {
        Item::Endpoint(endpoint) => {
            endpoint.host.is_none() || endpoint.call.as_ref().is_some_and(|call| call.region.is_none())
        }
        Item::Instance(_) | Item::Credentials(_) | Item::Egress(_) => false,
    })
}

/// The round before was looked at as a whole. A leak is final, even where other checks had no turn.
fn of_cut(part: Finished, whole: Option<Finished>) -> Finished {
    whole.filter(|_| !leaks(&part.report)).unwrap_or(part)
}

fn leaks(report: &Report) -> bool {
    report.checks.iter().any(|check| matches!(check.id, CheckId::Egress(_)) && check.state() == Status::Fail)
}

#[cfg(test)]
mod tests {
    use std::cell::RefCell;

    use super::*;
    use crate::attempt::scripted::Scripted;
    use crate::observation::{EgressProbe, ProbeResult, Protocol};
    use crate::report::{exit_code, fixture};

    /// All that it takes to pass is in the file.
    const WITHOUT_METADATA: &str = r#"
        region = "us-east-1"
        expected_cidrs = ["10.0.0.0/16"]
        [instance]
        metadata = false
        [egress]
        enabled = false
    "#;

    const WAIT: Duration = Duration::from_mins(1);

    fn resolving_to(ip: &str) -> Scripted {
        let takes = Duration::from_millis(100);
        Scripted { addresses: vec![ip.parse().unwrap()], takes, ..Scripted::default() }
    }

    /// How it ended, and when it told that a round had not been the last.
    async fn rounds(config: &str, probes: Scripted) -> (Finished, Vec<Duration>) {
        rounds_within(WAIT, config, probes).await
    }

    async fn rounds_within(wait: Duration, config: &str, probes: Scripted) -> (Finished, Vec<Duration>) {
        let config = Config::parse(config, "test.toml").unwrap();
        let (sink, observations) = mpsc::channel(64);
        let runner = Arc::new(Runner::new(probes, sink));
        let run = Run { config: &config, runner, observations, environment: Environment::default() };
        let (begun, told) = (Instant::now(), RefCell::new(vec![]));
        let finished = run.rounds(wait, |_, _| told.borrow_mut().push(begun.elapsed())).await;
        (finished, told.into_inner())
    }

    #[tokio::test(start_paused = true)]
    async fn a_round_that_passes_is_the_last() {
        let (finished, told) = rounds(WITHOUT_METADATA, resolving_to("10.0.1.57")).await;
        assert_eq!((exit_code(finished.report.state()), told), (0, vec![]));
        assert!(!finished.is_region_missing);
    }

    #[tokio::test(start_paused = true)]
    async fn what_does_not_pass_is_repeated_ever_more_rarely_until_the_wait_is_over() {
        let begun = Instant::now();
        let (finished, told) = rounds(WITHOUT_METADATA, resolving_to("203.0.113.20")).await;
        assert!(begun.elapsed() + SHORTEST_PAUSE >= WAIT, "the last try comes at the end");
        assert_eq!(exit_code(finished.report.state()), 1);
        let gaps: Vec<f64> = told.windows(2).map(|pair| (pair[1] - pair[0]).as_secs_f64()).collect();
        for (gap, pause) in gaps.iter().zip([1.0, 2.0, 4.0, 8.0, 10.0, 10.0]) {
            // A round takes less than half a second.
            assert!((pause * 0.5..pause * 1.5 + 0.5).contains(gap), "{gaps:?}");
        }
        let last = *told.last().unwrap();
        assert!(last < WAIT && last + LONGEST_PAUSE * 3 > WAIT, "{told:?}");
    }

    #[tokio::test(start_paused = true)]
    async fn wait_ends_within_its_time_and_one_step() {
        // Each round takes two steps of 2.9 s each, and does not pass.
        let slow = || Scripted { takes: Duration::from_millis(2_900), ..resolving_to("203.0.113.20") };
        let step = Duration::from_secs(3);
        for (wait, whole) in [(1, false), (3, true), (8, true)] {
            let wait = Duration::from_secs(wait);
            let begun = Instant::now();
            let (finished, _) = rounds_within(wait, WITHOUT_METADATA, slow()).await;
            assert!(begun.elapsed() <= wait + step, "{wait:?}: {:?}", begun.elapsed());
            let all_ran = finished.report.checks.iter().all(|check| check.last.is_some());
            assert_eq!(all_ran, whole, "{wait:?}");
            assert_ne!(exit_code(finished.report.state()), 0);
        }
    }

    #[tokio::test(start_paused = true)]
    async fn a_way_out_is_final_and_what_was_not_seen_is_not() {
        let leak = ProbeResult::Reply { replies: 1, after: Duration::ZERO, kernel: None };
        for (result, is_final) in [(leak, true), (ProbeResult::NoReply, false)] {
            let ip = "1.1.1.1".parse().unwrap();
            let probes = vec![EgressProbe {
                host: None,
                source: "10.0.1.23".parse().unwrap(),
                ip,
                protocol: Protocol::Tcp,
                port: Some(443),
                decoy: false,
                sent: 1,
                result,
                judged: None,
            }];
            let instance = fixture::healthy().instance;
            let (finished, told) =
                rounds("", Scripted { instance, probes, ..resolving_to("10.0.1.57") }).await;
            assert_eq!(exit_code(finished.report.state()), if is_final { 1 } else { 2 });
            assert_eq!(told.is_empty(), is_final);
        }
    }

    #[test]
    fn a_leak_counts_in_a_round_that_is_cut_off() {
        let finished = |name: &str| Finished { report: fixture::named(name), is_region_missing: false };
        for (part, whole, reported) in [
            ("leak", Some("private_dns_off"), "leak"),
            ("healthy", Some("private_dns_off"), "private_dns_off"),
            ("healthy", None, "healthy"),
        ] {
            let ended = of_cut(finished(part), whole.map(finished));
            assert_eq!(ended.report.state(), fixture::named(reported).state(), "{part} {whole:?}");
            assert_eq!(leaks(&ended.report), reported == "leak", "{part} {whole:?}");
        }
    }

    #[tokio::test(start_paused = true)]
    async fn metadata_is_asked_first_and_the_rest_is_made_of_it() {
        let instance = fixture::healthy().instance;
        let (finished, _) = rounds("", Scripted { instance, ..resolving_to("10.0.1.57") }).await;
        assert!(!finished.is_region_missing);
        let passed: Vec<String> = finished
            .report
            .checks
            .iter()
            .filter(|check| check.state() == Status::Pass)
            .map(|check| check.id.to_string())
            .collect();
        let expected = ["instance", "credentials", "monitoring/dns", "monitoring/connect", "monitoring/call"];
        assert_eq!(passed, expected);
    }

    #[tokio::test(start_paused = true)]
    async fn a_region_is_missing_where_a_name_or_a_signature_needs_it() {
        let named = "[[endpoint]]\nhost = \"a.example\"\n";
        let signed =
            "[[endpoint]]\nservice = \"monitoring\"\nhost = \"a.example\"\ncall = \"list-metrics\"\n";
        for (config, missing) in [("", true), (signed, true), (named, false)] {
            let (finished, _) = rounds(config, resolving_to("10.0.1.57")).await;
            assert_eq!(finished.is_region_missing, missing, "{config}");
        }
    }
}
