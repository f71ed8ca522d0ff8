//! The endpoint's own DNS names, asked at the VPC resolver: whose the addresses are, and where.

use std::collections::BTreeSet;
use std::net::IpAddr;
use std::time::Duration;

use tokio::time::{Instant, sleep};

use super::{Clock, Probes, Runner};
use crate::check::Family;
use crate::network::embedded_ipv4;
use crate::observation::{DnsEvidence, OwnName, OwnNames, Query, Resolver};
use crate::plan::Endpoint;
use crate::verdict;

/// Records that expire within the same second are asked for after it.
const MARGIN: Duration = Duration::from_secs(1);

impl<P: Probes> Runner<P> {
    /// The evidence of the `dns` step, and the clock of the look that it is from.
    pub(super) async fn look_up(
        &self,
        endpoint: &Endpoint,
        host: &str,
        vpc: &[IpAddr],
    ) -> (Clock, DnsEvidence) {
        let (clock, first) = self.look(endpoint, host, vpc).await;
        let is_settled = first.own.as_ref().is_none_or(|own| own.others.is_empty());
        if is_settled || !self.asks_again {
            return (clock, first);
        }
        sleep(verdict::answers_expire_after(&first) + MARGIN).await;
        let (clock, mut second) = self.look(endpoint, host, vpc).await;
        if let Some(own) = &mut second.own {
            own.asked_again = true;
        }
        (clock, second)
    }

    async fn look(&self, endpoint: &Endpoint, host: &str, vpc: &[IpAddr]) -> (Clock, DnsEvidence) {
        self.budget.turn_with(endpoint.own_names.len()).await;
        let mut clock = Clock::start(endpoint.timing.timeout);
        let mut evidence = clock.watch(self.probes.resolve(host, vpc, endpoint.timing.timeout)).await;
        evidence.zones.clone_from(&endpoint.zones);
        if endpoint.own_names.is_empty() || evidence.lookup.addresses().is_empty() {
            self.budget.settle(&evidence);
            return (clock, evidence);
        }
        let own = clock.watch(self.own_names(endpoint, &evidence)).await;
        evidence.own = Some(own);
        self.budget.settle(&evidence);
        let others = verdict::other_addresses(&evidence, endpoint);
        if let Some(own) = &mut evidence.own {
            own.others = self.others.note(endpoint, &others, Instant::now());
        }
        (clock, evidence)
    }

    /// Asked where the VPC resolver answered, so that a silent one is not waited for twice.
    async fn own_names(&self, endpoint: &Endpoint, evidence: &DnsEvidence) -> OwnNames {
        let names: Vec<String> = endpoint.own_names.iter().map(|(name, _)| name.clone()).collect();
        let answered = |query: &&Query| query.resolver == Resolver::Vpc && query.result.is_conclusive();
        let server = evidence.queries.iter().find(answered).map(|query| query.server.ip());
        let queries = match server {
            Some(server) => {
                self.probes.query(&names, server, &families(evidence), endpoint.timing.timeout).await
            }
            None => vec![Vec::new(); names.len()],
        };
        let names = endpoint.own_names.iter().zip(queries);
        let names =
            names.map(|((name, zone), queries)| OwnName { name: name.clone(), zone: zone.clone(), queries });
        OwnNames { names: names.collect(), others: Vec::new(), asked_again: false }
    }
}

/// Of all addresses in the answers.
fn families(evidence: &DnsEvidence) -> Vec<Family> {
    let answers = evidence.queries.iter().flat_map(|query| query.result.addresses());
    let found = answers.chain(evidence.lookup.addresses());
    let families: BTreeSet<Family> =
        found.flat_map(|ip| [Family::of(*ip), Family::of(embedded_ipv4(*ip))]).collect();
    families.into_iter().collect()
}

#[cfg(test)]
mod tests {
    use tokio::sync::mpsc;

    use super::*;
    use crate::attempt::scripted::Scripted;
    use crate::config::Config;
    use crate::observation::{Evidence, Observation, Outcome, Reason};
    use crate::plan::{Item, Plan};

    const CONFIG: &str = r#"
        region = "us-east-1"
        expected_cidrs = ["10.0.0.0/16"]
        instance = { metadata = false }
        egress = { enabled = false }
        [[endpoint]]
        service = "monitoring"
        vpce_hosts = ["vpce-0a-b.monitoring.us-east-1.vpce.amazonaws.com"]
    "#;

    const ONCE: Outcome = Outcome::Inconclusive(Reason::NotThisEndpoint);
    const LASTING: Outcome = Outcome::Fail(Reason::NotThisEndpoint);

    fn elsewhere() -> Scripted {
        let ip = |text: &str| vec![text.parse().unwrap()];
        Scripted { addresses: ip("10.0.1.54"), own_addresses: ip("10.0.1.57"), ..Scripted::default() }
    }

    fn runner(asks_again: bool) -> (Runner<Scripted>, Item, mpsc::Receiver<Observation>) {
        let plan = Plan::new(&Config::parse(CONFIG, "test.toml").unwrap(), None);
        let (sink, observations) = mpsc::channel(16);
        let runner = Runner::new(elsewhere(), sink);
        let runner = if asks_again { runner.asking_again() } else { runner };
        (runner, plan.items[0].clone(), observations)
    }

    #[tokio::test(start_paused = true)]
    async fn the_daemon_looks_again_in_a_later_round() {
        let (runner, item, mut observations) = runner(false);
        let mut outcomes = Vec::new();
        for _ in 0..4 {
            runner.run(&item, None, false).await;
            let dns = observations.recv().await.unwrap();
            outcomes.push(dns.outcome);
            assert_eq!(observations.recv().await.unwrap().outcome, dns.outcome, "connect");
            sleep(Duration::from_secs(30)).await;
        }
        // At 0, 30, 60 and 90 s.
        assert_eq!(outcomes, [ONCE, ONCE, ONCE, LASTING]);
    }

    #[tokio::test(start_paused = true)]
    async fn a_name_that_came_back_starts_anew() {
        let (mut runner, item, mut observations) = runner(false);
        for (told, outcome) in
            [("10.0.1.54", ONCE), ("10.0.1.57", Outcome::Pass), ("10.0.1.54", ONCE), ("10.0.1.54", LASTING)]
        {
            runner.probes.addresses = vec![told.parse().unwrap()];
            runner.run(&item, None, false).await;
            assert_eq!(observations.recv().await.unwrap().outcome, outcome, "{told}");
            observations.recv().await.unwrap();
            sleep(Duration::from_secs(70)).await;
        }
    }

    #[tokio::test(start_paused = true)]
    async fn own_names_are_asked_at_the_vpc_resolver_where_there_is_an_address() {
        let (mut runner, item, mut observations) = runner(false);
        for (addresses, servers) in [(vec![], vec![]), (elsewhere().addresses, vec!["10.0.0.2"])] {
            runner.probes.addresses = addresses;
            runner.run(&item, None, false).await;
            let servers: Vec<IpAddr> = servers.into_iter().map(|server| server.parse().unwrap()).collect();
            assert_eq!(*runner.probes.asked.servers.lock().unwrap(), servers);
            let Evidence::Dns(evidence) = observations.recv().await.unwrap().evidence else { panic!("dns") };
            assert_eq!(evidence.own.is_some(), !servers.is_empty());
            observations.recv().await.unwrap();
        }
    }

    #[tokio::test(start_paused = true)]
    async fn a_single_round_waits_until_the_answers_have_expired() {
        let (runner, item, mut observations) = runner(true);
        let began = Instant::now();
        runner.run(&item, None, false).await;
        assert_eq!(observations.recv().await.unwrap().outcome, LASTING);
        // The answers live for 30 s.
        assert_eq!(began.elapsed().as_secs(), 31);
    }
}
