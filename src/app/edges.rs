//! The probes, put together behind the seam.

use std::net::{IpAddr, SocketAddr};
use std::time::Duration;

use aws_sdk_cloudwatch::config::Credentials;
use tokio::sync::watch;
use tokio::time::timeout;

use super::StartError;
use crate::attempt::{Aim, Known, Probes, Signed, Unsigned};
use crate::check::Family;
use crate::config::Config;
use crate::observation::{CallSeen, Connection, CredentialsSeen, DnsSeen, EgressSeen, InstanceSeen};
use crate::plan::Egress;
use crate::probe::call::Destination;
use crate::probe::egress::{Controls, Pinger};
use crate::probe::instance::Seeker;
use crate::probe::{call, connect, dns, egress, instance, own};
use crate::wire::trust::{Trust, TrustError};

#[derive(Debug)]
pub struct Edges {
    trust: watch::Sender<Trust>,
    pinger: Pinger,
    seeker: Seeker,
    credentials: watch::Sender<Slot>,
}

/// What there is to sign with.
#[derive(Clone, Debug, Default)]
enum Slot {
    /// Being looked for: who wants to sign waits for the outcome.
    #[default]
    Sought,
    Absent,
    Held(Credentials),
}

impl Edges {
    pub fn new(config: &Config) -> Result<Self, StartError> {
        let trust = Trust::load(config.ca_file.as_deref()).map_err(StartError::Trust)?;
        Ok(Self {
            trust: watch::Sender::new(trust),
            pinger: Pinger::start().map_err(StartError::Thread)?,
            seeker: Seeker::start().map_err(StartError::Thread)?,
            credentials: watch::Sender::default(),
        })
    }

    /// Loads the roots of another configuration, or keeps those that it has.
    pub fn reload(&self, config: &Config) -> Result<(), TrustError> {
        let trust = Trust::load(config.ca_file.as_deref())?;
        self.trust.send_replace(trust);
        Ok(())
    }

    fn trust(&self) -> Trust {
        self.trust.borrow().clone()
    }
}

impl Probes for Edges {
    fn own_addresses(&self) -> Vec<IpAddr> {
        own::addresses()
    }

    async fn instance(&self, limit: Duration) -> InstanceSeen {
        instance::instance(&self.trust(), &own::families(&own::addresses()), limit).await
    }

    async fn credentials(&self, region: Option<&str>, limit: Duration) -> CredentialsSeen {
        self.credentials.send_replace(Slot::Sought);
        let families = own::families(&own::addresses());
        let region = region.map(str::to_owned);
        let (seen, found) = self.seeker.credentials(&self.trust(), families, region, limit).await;
        self.credentials.send_replace(found.map_or(Slot::Absent, Slot::Held));
        seen
    }

    async fn resolve(&self, host: &str, families: &[Family], limit: Duration) -> DnsSeen {
        dns::resolve(host, families, limit).await
    }

    async fn connect(&self, host: &str, peer: SocketAddr, limit: Duration) -> Connection {
        connect::connect(&self.trust(), host, peer, limit).await
    }

    async fn call(&self, call: Signed, limit: Duration) -> Result<CallSeen, Unsigned> {
        let mut slot = self.credentials.subscribe();
        let found = timeout(limit, slot.wait_for(|slot| !matches!(slot, Slot::Sought))).await;
        let credentials = match found.map(|found| found.map(|slot| slot.clone())) {
            Ok(Ok(Slot::Held(credentials))) => credentials,
            Ok(Ok(Slot::Absent)) => return Err(Unsigned::NoCredentials),
            Ok(Ok(Slot::Sought) | Err(_)) | Err(_) => return Err(Unsigned::StillSought),
        };
        let to = Destination { peer: call.peer, host: &call.host, region: &call.region, limit };
        Ok(call::list_metrics(&self.trust(), credentials, to, &call.namespace).await)
    }

    async fn addresses(&self, host: &str, limit: Duration) -> Result<Vec<IpAddr>, String> {
        dns::addresses(host, limit).await
    }

    async fn egress(&self, egress: &Egress, aim: Aim, known: watch::Receiver<Known>) -> EgressSeen {
        let own = aim.own;
        let aim = egress::Aim {
            family: aim.family,
            literals: egress.addresses.clone(),
            named: aim.named,
            unresolved: aim.unresolved,
            tcp_ports: egress.tcp_ports.clone(),
            udp_dns: egress.udp_dns,
            window: egress.window,
        };
        let controls = Controls { endpoints: known, resolvers: dns::off_host_resolvers(&own) };
        egress::attempt(&self.pinger, own, aim, controls).await
    }
}
