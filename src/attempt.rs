//! One attempt of whatever has a schedule: probes look, verdicts judge, observations go out.
//! `--once` and the daemon both come through here.

mod budget;
mod clock;
mod egress;
mod endpoint;
mod gateway;
mod others;
mod own_names;
#[cfg(test)]
pub mod scripted;
#[cfg(test)]
mod tests;

use std::collections::BTreeMap;
use std::net::{IpAddr, SocketAddr};
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use tokio::sync::{Semaphore, mpsc, watch};

use crate::check::{CheckId, EndpointName, Family};
use crate::observation::{
    CallEvidence, Connection, ControlTargets, CredentialsEvidence, DnsEvidence, EgressEvidence,
    EgressRequest, EndpointProtocol, Evidence, InstanceEvidence, Lateness, NotAttempted, Observation,
    Outcome, Phases, Query, Reason,
};
use crate::plan::{Item, Timing};
use crate::verdict::{self, Judgment};
pub use budget::{Budget, FAMILIES};
use clock::Clock;
pub use clock::now;
use others::Others;

/// The edges, as the layers above see them. Each returns within the time it is given.
pub trait Probes: Send + Sync + 'static {
    /// Whether sockets can be opened at all.
    fn has_resources(&self) -> bool;

    /// `None` where the kernel could not be asked.
    fn local_addresses(&self) -> Option<Vec<IpAddr>>;

    /// Whether packets to this address stay on this host.
    fn is_of_host(&self, ip: IpAddr) -> bool;

    fn instance(&self, limit: Duration) -> impl Future<Output = InstanceEvidence> + Send;

    /// Keeps what it found for the calls that follow.
    fn credentials(
        &self,
        region: Option<&str>,
        limit: Duration,
    ) -> impl Future<Output = CredentialsEvidence> + Send;

    fn resolve(
        &self,
        host: &str,
        vpc_resolvers: &[IpAddr],
        limit: Duration,
    ) -> impl Future<Output = DnsEvidence> + Send;

    /// What one server says of each name, as far as these families go.
    fn query(
        &self,
        names: &[String],
        server: IpAddr,
        families: &[Family],
        limit: Duration,
    ) -> impl Future<Output = Vec<Vec<Query>>> + Send;

    fn connect(
        &self,
        host: &str,
        peer: SocketAddr,
        protocol: EndpointProtocol,
        limit: Duration,
    ) -> impl Future<Output = Connection> + Send;

    fn call(
        &self,
        call: CallRequest,
        limit: Duration,
    ) -> impl Future<Output = Result<CallEvidence, NotSigned>> + Send;

    /// The addresses that the name servers have for a name, or why there are none.
    fn addresses(
        &self,
        host: &str,
        limit: Duration,
    ) -> impl Future<Output = Result<Vec<IpAddr>, String>> + Send;

    /// The addresses that applications get for a name, or why there are none.
    fn applications_get(
        &self,
        host: &str,
        limit: Duration,
    ) -> impl Future<Output = Result<Vec<IpAddr>, String>> + Send;

    /// `None` where the kernel could not be asked for the addresses to send from.
    fn egress(
        &self,
        request: EgressRequest,
        known: watch::Receiver<ControlTargets>,
    ) -> impl Future<Output = Option<EgressEvidence>> + Send;
}

/// A connection holds about 10 KiB, and the unit's MemoryMax is 128 MiB.
const MOST_OPEN: usize = 1024;

/// A ListMetrics to be made.
#[derive(Clone, Debug)]
pub struct CallRequest {
    pub host: String,
    pub peer: SocketAddr,
    pub region: String,
    pub namespace: String,
}

/// What became of the signed call in a run of an endpoint.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum CallStep {
    Made,
    /// It was not due, or a prerequisite was missing.
    Skipped,
}

/// Why a call could not be signed.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum NotSigned {
    /// The `credentials` check has failed, and says why.
    NoCredentials,
    /// They were still being looked for when the time was over: nothing is known.
    CredentialsPending,
}

/// What attempts share: the probes, and where the observations go.
#[derive(Debug)]
pub struct Runner<P> {
    pub probes: P,
    pub known: watch::Sender<ControlTargets>,
    pub sink: mpsc::Sender<Observation>,
    /// Rounds in a row that our own lateness spoiled; a check that was judged has no entry.
    spoiled: Mutex<BTreeMap<CheckId, u32>>,
    budget: Budget,
    /// Connections of all endpoints at a time: a name server decides how many addresses a name has.
    connections: Semaphore,
    /// The addresses that each endpoint's last call was made over.
    called: Mutex<BTreeMap<EndpointName, Vec<IpAddr>>>,
    /// Addresses that are not the endpoint's, and since when.
    others: Others,
    /// Whether a run waits for the answers to expire and looks again, because there is no next one.
    asks_again: bool,
}

impl<P: Probes> Runner<P> {
    pub fn new(probes: P, sink: mpsc::Sender<Observation>) -> Self {
        Self {
            probes,
            known: watch::Sender::default(),
            sink,
            spoiled: Mutex::default(),
            budget: Budget::new(budget::OF_A_CHECK),
            connections: Semaphore::new(MOST_OPEN),
            called: Mutex::default(),
            others: Others::default(),
            asks_again: false,
        }
    }

    /// For a single round: what only a second look can decide gets it within the run.
    pub fn asking_again(self) -> Self {
        Self { asks_again: true, ..self }
    }

    /// `with_call` says whether the signed call is due. It is also made once the verified addresses are
    /// others than those of the last call.
    pub async fn run(&self, item: &Item, region: Option<&str>, with_call: bool) -> CallStep {
        if !self.probes.has_resources() {
            self.without_resources(item).await;
            return CallStep::Skipped;
        }
        match item {
            Item::Instance(timing) => self.instance(*timing).await,
            Item::Credentials(timing) => self.credentials(*timing, region).await,
            Item::Endpoint(endpoint) => return self.endpoint(endpoint, with_call).await,
            Item::Egress(egress) => self.egress(egress).await,
        }
        CallStep::Skipped
    }

    /// The probes would take their own trouble for the network's: no interface, no route, no store.
    async fn without_resources(&self, item: &Item) {
        for (check, _) in item.checks() {
            let evidence = Evidence::NotAttempted(NotAttempted::NoResources);
            let (clock, judgment) = (Clock::start(Duration::ZERO), verdict::without_resources());
            self.publish(clock, check, judgment, vec![], evidence).await;
        }
    }

    async fn instance(&self, timing: Timing) {
        let mut clock = Clock::start(timing.timeout);
        let evidence = clock.watch(self.probes.instance(timing.timeout)).await;
        let judgment = verdict::instance(&evidence);
        self.publish(clock, CheckId::Instance, judgment, vec![], Evidence::Instance(evidence)).await;
    }

    async fn credentials(&self, timing: Timing, region: Option<&str>) {
        let mut clock = Clock::start(timing.timeout);
        let evidence = clock.watch(self.probes.credentials(region, timing.timeout)).await;
        let judgment = verdict::credentials(&evidence, clock.started_at);
        self.publish(clock, CheckId::Credentials, judgment, vec![], Evidence::Credentials(evidence)).await;
    }

    async fn publish(
        &self,
        clock: Clock,
        check: CheckId,
        judgment: Judgment,
        phases: Phases,
        evidence: Evidence,
    ) {
        let judgment = verdict::with_lateness(judgment, &evidence, clock.late, clock.wait);
        let spoiled_rounds = self.count_spoiled(&check, judgment.outcome);
        let observation = Observation {
            check,
            started_at: clock.started_at,
            took: clock.instant.elapsed(),
            outcome: judgment.outcome,
            addresses: judgment.addresses,
            phases,
            lateness: Lateness { late: clock.late, spoiled_rounds },
            evidence,
        };
        // Without a receiver the process is ending.
        let _ = self.sink.send(observation).await;
    }

    fn count_spoiled(&self, check: &CheckId, outcome: Outcome) -> u32 {
        let mut spoiled = self.spoiled.lock().unwrap_or_else(PoisonError::into_inner);
        if outcome.reason() != Some(Reason::HostOverloaded) {
            spoiled.remove(check);
            return 0;
        }
        let rounds = spoiled.entry(check.clone()).or_default();
        *rounds = rounds.saturating_add(1);
        *rounds
    }
}
