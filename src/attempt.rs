//! One attempt of whatever has a schedule: probes look, verdicts judge, observations go out.
//! `--once` and the daemon both come through here.

mod egress;
mod ladder;
#[cfg(test)]
pub mod scripted;

use std::collections::BTreeMap;
use std::net::{IpAddr, SocketAddr};
use std::time::{Duration, SystemTime};

use tokio::sync::{mpsc, watch};
use tokio::time::Instant;

use crate::check::{CheckId, EndpointName, Family};
use crate::observation::{
    CallSeen, Connection, CredentialsSeen, DnsSeen, EgressSeen, Evidence, InstanceSeen, Observation, Phases,
};
use crate::plan::{Egress, Item, Pace};
use crate::verdict::{self, Judgement};

/// The edges, as the layers above see them. Each returns within the time it is given.
pub trait Probes: Send + Sync + 'static {
    fn own_addresses(&self) -> Vec<IpAddr>;

    fn instance(&self, limit: Duration) -> impl Future<Output = InstanceSeen> + Send;

    /// Keeps what it found for the calls that follow.
    fn credentials(
        &self,
        region: Option<&str>,
        limit: Duration,
    ) -> impl Future<Output = CredentialsSeen> + Send;

    fn resolve(
        &self,
        host: &str,
        families: &[Family],
        limit: Duration,
    ) -> impl Future<Output = DnsSeen> + Send;

    fn connect(
        &self,
        host: &str,
        peer: SocketAddr,
        limit: Duration,
    ) -> impl Future<Output = Connection> + Send;

    fn call(&self, call: Signed, limit: Duration) -> impl Future<Output = Result<CallSeen, Unsigned>> + Send;

    /// The addresses that a name leads to, or why there are none.
    fn addresses(
        &self,
        host: &str,
        limit: Duration,
    ) -> impl Future<Output = Result<Vec<IpAddr>, String>> + Send;

    fn egress(
        &self,
        egress: &Egress,
        aim: Aim,
        known: watch::Receiver<Known>,
    ) -> impl Future<Output = EgressSeen> + Send;
}

/// A ListMetrics to be made.
#[derive(Clone, Debug)]
pub struct Signed {
    pub host: String,
    pub peer: SocketAddr,
    pub region: String,
    pub namespace: String,
}

/// Why a call could not be signed.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Unsigned {
    /// The `credentials` check has failed, and says why.
    NoCredentials,
    /// They were still being looked for when the time was over: nothing is known.
    StillSought,
}

/// What the egress window of one family aims at besides its literals.
#[derive(Clone, Debug)]
pub struct Aim {
    pub family: Family,
    pub own: Vec<IpAddr>,
    pub named: Vec<(String, IpAddr)>,
    pub unresolved: Vec<String>,
}

/// Addresses of endpoints that were resolved and lie inside: controls of the egress check.
pub type Known = BTreeMap<EndpointName, Vec<SocketAddr>>;

/// What attempts share: the probes, and where the observations go.
#[derive(Debug)]
pub struct Attempts<P> {
    pub probes: P,
    pub known: watch::Sender<Known>,
    pub sink: mpsc::Sender<Observation>,
}

impl<P: Probes> Attempts<P> {
    pub fn new(probes: P, sink: mpsc::Sender<Observation>) -> Self {
        Self { probes, known: watch::Sender::default(), sink }
    }

    /// `with_call` says whether the signed rung is due.
    pub async fn make(&self, item: &Item, region: Option<&str>, with_call: bool) {
        match item {
            Item::Instance(pace) => self.instance(*pace).await,
            Item::Credentials(pace) => self.credentials(*pace, region).await,
            Item::Ladder(ladder) => self.ladder(ladder, with_call).await,
            Item::Egress(egress) => self.egress(egress).await,
        }
    }

    async fn instance(&self, pace: Pace) {
        let clock = Clock::start();
        let seen = self.probes.instance(pace.timeout).await;
        let judgement = verdict::instance(&seen);
        self.tell(clock, CheckId::Instance, judgement, vec![], Evidence::Instance(seen)).await;
    }

    async fn credentials(&self, pace: Pace, region: Option<&str>) {
        let clock = Clock::start();
        let seen = self.probes.credentials(region, pace.timeout).await;
        let judgement = verdict::credentials(&seen, clock.started_at);
        self.tell(clock, CheckId::Credentials, judgement, vec![], Evidence::Credentials(seen)).await;
    }

    async fn tell(
        &self,
        clock: Clock,
        check: CheckId,
        judgement: Judgement,
        phases: Phases,
        evidence: Evidence,
    ) {
        let observation = Observation {
            check,
            started_at: clock.started_at,
            took: clock.instant.elapsed(),
            outcome: judgement.outcome,
            addresses: judgement.addresses,
            phases,
            evidence,
        };
        // Without a receiver the process is ending, and nobody wants to know any more.
        let _ = self.sink.send(observation).await;
    }
}

/// When an attempt began, by the clock on the wall and by one that never jumps.
#[derive(Clone, Copy, Debug)]
struct Clock {
    started_at: SystemTime,
    instant: Instant,
}

impl Clock {
    fn start() -> Self {
        Self { started_at: now(), instant: Instant::now() }
    }
}

/// The one place that reads the clock on the wall.
#[expect(clippy::disallowed_methods, reason = "observations are stamped here and nowhere else")]
pub fn now() -> SystemTime {
    SystemTime::now()
}
