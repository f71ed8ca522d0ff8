//! An endpoint's steps: names, connections, calls; addresses side by side. What did not pass a
//! step is not taken to the next.

use std::collections::{BTreeMap, BTreeSet};
use std::net::{IpAddr, SocketAddr};
use std::sync::{MutexGuard, PoisonError};
use std::time::Duration;

use futures_util::future::{join, join_all};

use super::{CallRequest, CallStep, Clock, NotSigned, Probes, Runner};
use crate::check::{CheckId, EndpointName, Family, Step};
use crate::network::Scope;
use crate::observation::{
    Address, CallEvidence, Connection, DnsEvidence, Evidence, GatewayControl, Lookup, NotAttempted, Outcome,
    Phase, Query, Reason,
};
use crate::plan::{Call, Endpoint};
use crate::verdict::{self, Judgment};

/// Connections of one endpoint at a time. An endpoint has an address a zone and family; a name
/// with more than this is looked at in part, and what was not tried is inconclusive.
const MOST_CONNECTIONS: usize = 64;

impl<P: Probes> Runner<P> {
    pub(super) async fn endpoint(&self, endpoint: &Endpoint, with_call: bool) -> CallStep {
        let Some(host) = &endpoint.host else {
            self.without_region(endpoint, with_call).await;
            return CallStep::Skipped;
        };
        let local_addresses = self.probes.local_addresses();
        // Where they are not known, none is missing.
        let has = |family: Family| {
            local_addresses.as_ref().is_none_or(|ips| ips.iter().any(|ip| Family::of(*ip) == family))
        };
        let (families, missing_families): (Vec<Family>, Vec<Family>) =
            Family::BOTH.into_iter().partition(|family| has(*family));
        let resolved = self.resolve(endpoint, host, &families, &missing_families).await;
        let connected = self.connect(endpoint, host, &resolved, &missing_families).await;
        if let Some(call) = &endpoint.call {
            let ips: Vec<IpAddr> = verified(&connected).map(|address| address.ip).collect();
            if with_call || self.called().get(&endpoint.name) != Some(&ips) {
                let step = self.call(endpoint, host, call, connected).await;
                match step {
                    CallStep::Made => drop(self.called().insert(endpoint.name.clone(), ips)),
                    CallStep::Skipped => drop(self.called().remove(&endpoint.name)),
                }
                return step;
            }
        }
        CallStep::Skipped
    }

    fn called(&self) -> MutexGuard<'_, BTreeMap<EndpointName, Vec<IpAddr>>> {
        self.called.lock().unwrap_or_else(PoisonError::into_inner)
    }

    async fn resolve(
        &self,
        endpoint: &Endpoint,
        host: &str,
        families: &[Family],
        missing_families: &[Family],
    ) -> Vec<Address> {
        let vpc_resolvers = endpoint.network.vpc_resolvers(families.contains(&Family::Ipv4));
        let (clock, evidence) = self.look_up(endpoint, host, &vpc_resolvers).await;
        let judgment = verdict::dns(&evidence, missing_families, &self.without_own(endpoint, &evidence));
        let resolved = judgment.addresses.clone();
        self.publish_control_targets(endpoint, &resolved);
        let mut phases = vec![(Phase::Lookup, evidence.lookup.took)];
        phases.extend(slowest(evidence.queries.iter().filter(|query| query.result.is_conclusive())));
        self.publish(clock, id(endpoint, Step::Dns), judgment, phases, Evidence::Dns(evidence)).await;
        resolved
    }

    /// With the addresses among the answers that are this host's own.
    fn without_own(&self, endpoint: &Endpoint, evidence: &DnsEvidence) -> Endpoint {
        let mut endpoint = endpoint.clone();
        let of_lookups = [&evidence.lookup].into_iter().chain(&evidence.other_lookups);
        let of_queries = evidence.queries.iter().flat_map(|query| query.result.addresses());
        let ips: BTreeSet<IpAddr> =
            of_lookups.flat_map(Lookup::addresses).chain(of_queries).copied().collect();
        endpoint.network.of_host = ips.into_iter().filter(|ip| self.probes.is_of_host(*ip)).collect();
        endpoint
    }

    /// Tells the egress check what should answer it.
    fn publish_control_targets(&self, endpoint: &Endpoint, resolved: &[Address]) {
        let inside = resolved.iter().filter(|address| address.scope.is_inside() && !endpoint.gateway);
        let peers: Vec<SocketAddr> =
            inside.map(|address| SocketAddr::new(address.ip, endpoint.port)).collect();
        self.known.send_if_modified(|known| {
            known.insert(endpoint.name.clone(), peers.clone()).as_ref() != Some(&peers)
        });
    }

    async fn connect(
        &self,
        endpoint: &Endpoint,
        host: &str,
        resolved: &[Address],
        missing_families: &[Family],
    ) -> Vec<Address> {
        let is_tried = |address: &&Address| {
            address.scope != Scope::Special && !missing_families.contains(&Family::of(address.ip))
        };
        let tried: Vec<&Address> = resolved.iter().filter(is_tried).take(MOST_CONNECTIONS).collect();
        let _places = self.connections.acquire_many(u32::try_from(tried.len()).unwrap_or(u32::MAX)).await;
        let mut clock = Clock::start(endpoint.timing.timeout);
        let connections = tried.into_iter().map(|address| {
            let peer = SocketAddr::new(address.ip, endpoint.port);
            self.probes.connect(host, peer, endpoint.protocol, endpoint.timing.timeout)
        });
        let (connections, mut control): (Vec<Connection>, Option<GatewayControl>) = clock
            .watch(join(join_all(connections), self.control(endpoint, resolved, missing_families)))
            .await;
        let mut judgment = verdict::connect(resolved, &connections, missing_families);
        if let Some(control) = &mut control {
            verdict::judge_control(control, resolved);
            judgment = verdict::with_control(judgment, control);
        }
        let connected = judgment.addresses.clone();
        let evidence = if resolved.is_empty() {
            Evidence::NotAttempted(NotAttempted::NoAddress)
        } else {
            Evidence::Connect { host: host.to_owned(), port: endpoint.port, connections, control }
        };
        self.publish(clock, id(endpoint, Step::Connect), judgment, vec![], evidence).await;
        connected
    }

    async fn call(&self, endpoint: &Endpoint, host: &str, call: &Call, connected: Vec<Address>) -> CallStep {
        let mut clock = Clock::start(endpoint.timing.timeout);
        let verified: Vec<&Address> = verified(&connected).collect();
        if verified.is_empty() {
            return self.not_called(clock, endpoint, connected, NotAttempted::NoVerifiedAddress).await;
        }
        let Some(region) = call.region.clone() else {
            return self.not_called(clock, endpoint, connected, NotAttempted::NoRegion).await;
        };
        let mut calls = Vec::new();
        for address in verified {
            let peer = SocketAddr::new(address.ip, endpoint.port);
            let (host, region) = (host.to_owned(), region.clone());
            let signed = CallRequest { host, peer, region, namespace: call.namespace.clone() };
            calls.push(self.probes.call(signed, endpoint.timing.timeout));
        }
        let calls: Result<Vec<CallEvidence>, NotSigned> =
            clock.watch(join_all(calls)).await.into_iter().collect();
        let calls = match calls {
            Ok(calls) => calls,
            Err(NotSigned::NoCredentials) => {
                return self.not_called(clock, endpoint, connected, NotAttempted::NoCredentials).await;
            }
            Err(NotSigned::CredentialsPending) => {
                return self.not_called(clock, endpoint, connected, NotAttempted::CredentialsPending).await;
            }
        };
        let judgment = verdict::call(&connected, &calls);
        let proof = call.proof.map(|condition| verdict::proof(condition, &judgment));
        let evidence = Evidence::Call { host: host.to_owned(), calls, proof };
        self.publish(clock, id(endpoint, Step::Call), judgment, vec![], evidence).await;
        CallStep::Made
    }

    async fn not_called(
        &self,
        clock: Clock,
        endpoint: &Endpoint,
        connected: Vec<Address>,
        because: NotAttempted,
    ) -> CallStep {
        let judgment = verdict::not_called(connected, because);
        let evidence = Evidence::NotAttempted(because);
        self.publish(clock, id(endpoint, Step::Call), judgment, vec![], evidence).await;
        CallStep::Skipped
    }

    async fn without_region(&self, endpoint: &Endpoint, with_call: bool) {
        let dns = Outcome::Inconclusive(Reason::PrerequisiteFailed);
        let above = Outcome::Skipped(Reason::PrerequisiteFailed);
        let call = (endpoint.call.is_some() && with_call).then_some((Step::Call, above));
        for (step, outcome) in
            [Some((Step::Dns, dns)), Some((Step::Connect, above)), call].into_iter().flatten()
        {
            let judgment = Judgment { outcome, addresses: vec![] };
            let evidence = Evidence::NotAttempted(NotAttempted::NoRegion);
            let clock = Clock::start(endpoint.timing.timeout);
            self.publish(clock, id(endpoint, step), judgment, vec![], evidence).await;
        }
    }
}

fn verified(connected: &[Address]) -> impl Iterator<Item = &Address> {
    connected.iter().filter(|address| address.outcome == Outcome::Pass)
}

fn id(endpoint: &Endpoint, step: Step) -> CheckId {
    CheckId::Endpoint(endpoint.name.clone(), step)
}

fn slowest<'a>(queries: impl Iterator<Item = &'a Query>) -> Option<(Phase, Duration)> {
    queries.map(|query| (Phase::Query, query.took)).max_by_key(|(_, took)| *took)
}
