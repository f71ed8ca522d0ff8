//! Probes that say what a test tells them to, after as long as it tells them to.

use std::net::{IpAddr, SocketAddr};
use std::time::Duration;

use tokio::sync::watch;
use tokio::time::sleep;

use super::{Aim, Known, Probes, Signed, Unsigned};
use crate::check::Family;
use crate::observation::{
    Answer, CallSeen, Connection, CredentialsSeen, DnsSeen, EgressSeen, IcmpSocket, Instance, InstanceSeen,
    Question, Reply, Resolver, Shot, Transport,
};
use crate::plan::Egress;

#[derive(Clone, Debug, Default)]
pub struct Scripted {
    /// What names resolve to.
    pub addresses: Vec<IpAddr>,
    /// How long each look takes.
    pub takes: Duration,
    /// What metadata tells.
    pub instance: Option<Instance>,
    /// What the egress window of each family saw.
    pub shots: Vec<Shot>,
}

impl Probes for Scripted {
    fn own_addresses(&self) -> Vec<IpAddr> {
        vec!["10.0.1.23".parse().unwrap()]
    }

    async fn instance(&self, _: Duration) -> InstanceSeen {
        sleep(self.takes).await;
        InstanceSeen { server: None, instance: self.instance.clone(), error: None }
    }

    async fn credentials(&self, _: Option<&str>, _: Duration) -> CredentialsSeen {
        sleep(self.takes).await;
        CredentialsSeen { source: None, access_key_id: Some("AKIA".into()), expires_at: None, error: None }
    }

    async fn resolve(&self, host: &str, _: &[Family], _: Duration) -> DnsSeen {
        sleep(self.takes).await;
        let answer = |question, addresses| Answer {
            server: "10.0.0.2:53".parse().unwrap(),
            resolver: Resolver::System,
            question,
            transport: Transport::Udp,
            retransmitted: false,
            took: self.takes,
            reply: Reply::Addresses { addresses, ttl: None, aliases: vec![] },
        };
        let answers = vec![answer(Question::A, self.addresses.clone()), answer(Question::Aaaa, vec![])];
        DnsSeen { host: host.into(), answers, hosts_file: vec![] }
    }

    async fn connect(&self, _: &str, peer: SocketAddr, _: Duration) -> Connection {
        sleep(self.takes).await;
        Connection {
            ip: peer.ip(),
            peer: Some(peer),
            phases: vec![],
            certificate: None,
            http_status: Some(403),
            clock_skew: None,
            error: None,
        }
    }

    async fn call(&self, call: Signed, _: Duration) -> Result<CallSeen, Unsigned> {
        sleep(self.takes).await;
        Ok(CallSeen {
            ip: call.peer.ip(),
            peer: Some(call.peer),
            phases: vec![],
            http_status: Some(200),
            request_id: Some("1".into()),
            aws_error: None,
            metrics: Some(1),
            clock_skew: None,
            error: None,
        })
    }

    async fn addresses(&self, _: &str, _: Duration) -> Result<Vec<IpAddr>, String> {
        Ok(vec![])
    }

    async fn egress(&self, egress: &Egress, aim: Aim, _: watch::Receiver<Known>) -> EgressSeen {
        sleep(self.takes).await;
        EgressSeen {
            family: aim.family,
            window: egress.window,
            own_addresses: vec![],
            icmp_socket: IcmpSocket::Dgram,
            shots: self.shots.clone(),
            controls: vec![],
            unresolved: vec![],
        }
    }
}
