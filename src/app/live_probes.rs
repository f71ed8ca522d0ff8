//! The probes, put together behind the seam.

use std::net::{IpAddr, SocketAddr};
use std::path::Path;
use std::time::Duration;

use aws_sdk_cloudwatch::config::Credentials;
use futures_util::future::join_all;
use tokio::sync::watch;
use tokio::time::timeout;

use super::StartError;
use crate::attempt::{CallRequest, NotSigned, Probes};
use crate::check::Family;
use crate::config::Config;
use crate::observation::{
    CallEvidence, Connection, ControlTargets, CredentialsEvidence, DnsEvidence, EgressEvidence,
    EgressRequest, EndpointProtocol, InstanceEvidence, LookupResult, Query,
};
use crate::probe::call::Destination;
use crate::probe::egress::{Controls, Pinger};
use crate::probe::instance::CredentialsWorker;
use crate::probe::interfaces::LocalAddresses;
use crate::probe::lookup::Lookups;
use crate::probe::{call, connect, dns, egress, instance, interfaces};
use crate::wire::resources;
use crate::wire::trust::{Trust, TrustFollower};
use crate::wording;

#[derive(Debug)]
pub struct LiveProbes {
    trust: TrustFollower,
    local_addresses: LocalAddresses,
    lookups: Lookups,
    pinger: Pinger,
    worker: CredentialsWorker,
    credentials: watch::Sender<CredentialState>,
}

/// What there is to sign with.
#[derive(Clone, Debug, Default)]
enum CredentialState {
    /// Being looked for: who wants to sign waits for the outcome.
    #[default]
    Pending,
    Missing,
    Ready(Credentials),
}

impl LiveProbes {
    pub fn new(config: &Config) -> Result<Self, StartError> {
        let mut trust = TrustFollower::load(config.ca_file.as_deref()).map_err(StartError::Trust)?;
        trust.start().map_err(StartError::Thread)?;
        Ok(Self {
            trust,
            local_addresses: LocalAddresses::default(),
            lookups: Lookups::new(),
            pinger: Pinger::start().map_err(StartError::Thread)?,
            worker: CredentialsWorker::start().map_err(StartError::Thread)?,
            credentials: watch::Sender::default(),
        })
    }

    /// Connections from now on are verified with these roots.
    pub fn adopt(&self, trust: Trust, ca_file: Option<&Path>) {
        self.trust.adopt(trust, ca_file);
    }

    fn trust(&self) -> Trust {
        self.trust.trust()
    }
}

impl Probes for LiveProbes {
    fn has_resources(&self) -> bool {
        resources::are_available()
    }

    fn local_addresses(&self) -> Option<Vec<IpAddr>> {
        self.local_addresses.list().ok()
    }

    fn is_of_host(&self, ip: IpAddr) -> bool {
        interfaces::is_of_host(ip)
    }

    async fn instance(&self, limit: Duration) -> InstanceEvidence {
        instance::instance(&self.trust(), limit).await
    }

    async fn credentials(&self, region: Option<&str>, limit: Duration) -> CredentialsEvidence {
        self.credentials.send_replace(CredentialState::Pending);
        let region = region.map(str::to_owned);
        let (evidence, found) = self.worker.credentials(&self.trust(), region, limit).await;
        self.credentials.send_replace(found.map_or(CredentialState::Missing, CredentialState::Ready));
        evidence
    }

    async fn resolve(&self, host: &str, vpc_resolvers: &[IpAddr], limit: Duration) -> DnsEvidence {
        let files = dns::host_files(host);
        let ask = || self.lookups.look_up(host, dns::lookup_limit(&files));
        let (lookup, further, mut queries) = tokio::join!(
            ask(),
            join_all((0..files.further_lookups()).map(|_| ask())),
            dns::queries(host, &files, vpc_resolvers, limit),
        );
        queries.extend(dns::searched(host, &files, &lookup, &queries, limit).await);
        let other_lookups = lookup.others(further);
        DnsEvidence {
            host: host.to_owned(),
            lookup,
            other_lookups,
            queries,
            files,
            own: None,
            zones: Vec::new(),
        }
    }

    async fn query(
        &self,
        names: &[String],
        server: IpAddr,
        families: &[Family],
        limit: Duration,
    ) -> Vec<Vec<Query>> {
        dns::queries_at(names, server, families, limit).await
    }

    async fn connect(
        &self,
        host: &str,
        peer: SocketAddr,
        protocol: EndpointProtocol,
        limit: Duration,
    ) -> Connection {
        connect::connect(&self.trust(), host, peer, protocol, limit).await
    }

    async fn call(&self, call: CallRequest, limit: Duration) -> Result<CallEvidence, NotSigned> {
        let mut state = self.credentials.subscribe();
        let found = timeout(limit, state.wait_for(|state| !matches!(state, CredentialState::Pending))).await;
        let credentials = match found.map(|found| found.map(|state| state.clone())) {
            Ok(Ok(CredentialState::Ready(credentials))) => credentials,
            Ok(Ok(CredentialState::Missing)) => return Err(NotSigned::NoCredentials),
            Ok(Ok(CredentialState::Pending) | Err(_)) | Err(_) => return Err(NotSigned::CredentialsPending),
        };
        let to = Destination { peer: call.peer, host: &call.host, region: &call.region, limit };
        Ok(call::list_metrics(&self.trust(), credentials, to, &call.namespace).await)
    }

    async fn addresses(&self, host: &str, limit: Duration) -> Result<Vec<IpAddr>, String> {
        dns::addresses(host, limit).await
    }

    async fn applications_get(&self, host: &str, limit: Duration) -> Result<Vec<IpAddr>, String> {
        let lookup = self.lookups.look_up(host, limit).await;
        match &lookup.result {
            LookupResult::Addresses { addresses } => Ok(addresses.clone()),
            _ => Err(format!("getaddrinfo {}", wording::lookup(&lookup))),
        }
    }

    async fn egress(
        &self,
        request: EgressRequest,
        known: watch::Receiver<ControlTargets>,
    ) -> Option<EgressEvidence> {
        let sources = interfaces::sources().ok()?;
        let local_addresses: Vec<IpAddr> = sources.iter().map(|source| source.ip).collect();
        let lacks_ipv6 = request.family == Family::Ipv6 && local_addresses.iter().all(IpAddr::is_ipv4);
        let family_disabled = lacks_ipv6.then(interfaces::ipv6_disabled).flatten();
        let controls = Controls { endpoints: known, resolvers: dns::off_host_resolvers(&local_addresses) };
        Some(egress::attempt(&self.pinger, sources, family_disabled, request, controls).await)
    }
}
