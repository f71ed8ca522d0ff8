//! Probes with the answers and durations that a test sets.

use std::collections::BTreeMap;
use std::net::{IpAddr, SocketAddr};
use std::sync::atomic::{AtomicU32, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use tokio::sync::watch;
use tokio::time::sleep;

use super::{CallRequest, NotSigned, Probes};
use crate::check::Family;
use crate::observation::{
    CallEvidence, Connection, ControlTargets, CredentialsEvidence, DnsEvidence, EgressEvidence, EgressProbe,
    EgressRequest, EndpointProtocol, IcmpSocket, Instance, InstanceEvidence, Phase, ProbeError, Query,
    QueryResult, QueryType, Reason, Resolver,
};

#[derive(Clone, Debug, Default)]
pub struct Scripted {
    /// What names resolve to.
    pub addresses: Vec<IpAddr>,
    /// What the endpoint's own names resolve to.
    pub own_addresses: Vec<IpAddr>,
    /// How long each look takes.
    pub takes: Duration,
    /// The answer of instance metadata.
    pub instance: Option<Instance>,
    /// How many calls find no credentials.
    pub unsigned_calls: Arc<AtomicU32>,
    /// What the egress window of each family saw.
    pub probes: Vec<EgressProbe>,
    pub lacks_resources: bool,
    pub cannot_list_interfaces: bool,
    /// Of names beside the endpoint's: a control's, and those of targets.
    pub names: BTreeMap<String, Result<Vec<IpAddr>, String>>,
    /// To these no connection succeeds.
    pub silent: Vec<IpAddr>,
    pub asked: Arc<Asked>,
}

/// What the probes were asked to do.
#[derive(Debug, Default)]
pub struct Asked {
    /// Name servers, for the endpoint's own names.
    pub servers: Mutex<Vec<IpAddr>>,
    pub connections: Mutex<Vec<SocketAddr>>,
    /// Connections now, and the most there have been at a time.
    pub open: Mutex<(usize, usize)>,
    /// The time that each name of `names` and each connection was given.
    pub limits: Mutex<Vec<Duration>>,
    pub calls: Mutex<Vec<SocketAddr>>,
    pub egress: Mutex<Vec<EgressRequest>>,
}

impl Asked {
    fn opened(&self) {
        let (open, most) = &mut *self.open.lock().unwrap();
        *open += 1;
        *most = (*most).max(*open);
    }
}

impl Scripted {
    fn answer(&self, resolver: Resolver, query_type: QueryType, addresses: Vec<IpAddr>) -> Query {
        Query {
            took: self.takes,
            ..Query::of(
                if resolver == Resolver::Vpc { "10.0.0.2:53" } else { "10.0.1.53:53" }.parse().unwrap(),
                resolver,
                query_type,
                QueryResult::Addresses { addresses, ttl: Some(30), aliases: vec![] },
            )
        }
    }
}

impl Probes for Scripted {
    fn has_resources(&self) -> bool {
        !self.lacks_resources
    }

    fn local_addresses(&self) -> Option<Vec<IpAddr>> {
        (!self.cannot_list_interfaces).then(|| vec!["10.0.1.23".parse().unwrap()])
    }

    fn is_of_host(&self, ip: IpAddr) -> bool {
        ip == IpAddr::from([10, 0, 1, 23])
    }

    async fn instance(&self, _: Duration) -> InstanceEvidence {
        sleep(self.takes).await;
        InstanceEvidence { server: None, instance: self.instance.clone(), silence: None, error: None }
    }

    async fn credentials(&self, _: Option<&str>, _: Duration) -> CredentialsEvidence {
        sleep(self.takes).await;
        CredentialsEvidence {
            source: None,
            access_key_id: Some("AKIA".into()),
            expires_at: None,
            endpoint_settings: vec![],
            profile_region: None,
            unreached: None,
            aws_error: None,
            error: None,
        }
    }

    async fn resolve(&self, host: &str, _: &[IpAddr], _: Duration) -> DnsEvidence {
        sleep(self.takes).await;
        let queries = [Resolver::System, Resolver::Vpc].map(|resolver| {
            let of_a = self.answer(resolver, QueryType::A, self.addresses.clone());
            [of_a, self.answer(resolver, QueryType::Aaaa, vec![])]
        });
        let queries = queries.concat();
        DnsEvidence::of(host, queries)
    }

    async fn query(
        &self,
        names: &[String],
        server: IpAddr,
        families: &[Family],
        _: Duration,
    ) -> Vec<Vec<Query>> {
        self.asked.servers.lock().unwrap().push(server);
        let query = |family: &Family| match family {
            Family::Ipv4 => self.answer(Resolver::Vpc, QueryType::A, self.own_addresses.clone()),
            Family::Ipv6 => self.answer(Resolver::Vpc, QueryType::Aaaa, vec![]),
        };
        names.iter().map(|_| families.iter().map(query).collect()).collect()
    }

    async fn connect(
        &self,
        _: &str,
        peer: SocketAddr,
        protocol: EndpointProtocol,
        limit: Duration,
    ) -> Connection {
        self.asked.connections.lock().unwrap().push(peer);
        self.asked.limits.lock().unwrap().push(limit);
        self.asked.opened();
        sleep(self.takes).await;
        self.asked.open.lock().unwrap().0 -= 1;
        let is_silent = self.silent.contains(&peer.ip());
        let silence = ProbeError { reason: Reason::ConnectTimeout, detail: String::new() };
        Connection {
            ip: peer.ip(),
            peer: (!is_silent).then_some(peer),
            protocol,
            kernel_tcp: None,
            phases: if is_silent { vec![] } else { vec![(Phase::Tcp, self.takes)] },
            certificate: None,
            http_status: (!is_silent).then_some(403),
            clock_skew: None,
            signature: None,
            trust_store: None,
            error: is_silent.then_some(silence),
        }
    }

    async fn call(&self, call: CallRequest, _: Duration) -> Result<CallEvidence, NotSigned> {
        self.asked.calls.lock().unwrap().push(call.peer);
        sleep(self.takes).await;
        let unsigned = |left: u32| left.checked_sub(1);
        if self.unsigned_calls.fetch_update(Ordering::Relaxed, Ordering::Relaxed, unsigned).is_ok() {
            return Err(NotSigned::NoCredentials);
        }
        Ok(CallEvidence {
            ip: call.peer.ip(),
            peer: Some(call.peer),
            kernel_tcp: None,
            phases: vec![],
            http_status: Some(200),
            request_id: Some("1".into()),
            aws_error: None,
            metrics: Some(1),
            clock_skew: None,
            error: None,
        })
    }

    async fn addresses(&self, host: &str, limit: Duration) -> Result<Vec<IpAddr>, String> {
        self.asked.limits.lock().unwrap().push(limit);
        self.names.get(host).cloned().unwrap_or(Ok(vec![]))
    }

    async fn applications_get(&self, host: &str, limit: Duration) -> Result<Vec<IpAddr>, String> {
        self.addresses(host, limit).await
    }

    async fn egress(
        &self,
        request: EgressRequest,
        _: watch::Receiver<ControlTargets>,
    ) -> Option<EgressEvidence> {
        self.asked.egress.lock().unwrap().push(request.clone());
        sleep(self.takes).await;
        (!self.cannot_list_interfaces).then(|| EgressEvidence {
            family: request.family,
            window: request.settings.window,
            sources: vec![],
            family_disabled: None,
            icmp_socket: IcmpSocket::Dgram,
            probes: self.probes.clone(),
            controls: vec![],
            controls_passed: None,
            unresolved: vec![],
            gaps: vec![],
            left_out: vec![],
        })
    }
}
