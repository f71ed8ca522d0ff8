//! What an attempt asks of a probe: the words that cross the seam between them.

use std::collections::BTreeMap;
use std::net::{IpAddr, SocketAddr};
use std::time::Duration;

use super::{EgressGap, Protocol};
use crate::check::{EndpointName, Family};
use crate::network::Cidr;

/// Endpoint addresses that were resolved and lie inside the VPC: controls of the egress check.
pub type ControlTargets = BTreeMap<EndpointName, Vec<SocketAddr>>;

/// What `[egress]` says is to be probed. The plan carries it as the configuration gave it.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct EgressSettings {
    pub families: Vec<Family>,
    pub protocols: Vec<Protocol>,
    /// Names: their addresses get ping and TCP, as extra evidence.
    pub hosts: Vec<String>,
    /// Literals that get ping, every TCP port, and a DNS query over UDP.
    pub addresses: Vec<IpAddr>,
    /// Literals that get an NTP request and nothing else.
    pub time_servers: Vec<IpAddr>,
    pub tcp_ports: Vec<u16>,
    pub udp_ports: Vec<u16>,
    /// Hosts of the operator's own, each with ports of its own.
    pub own_targets: Vec<OwnTarget>,
    /// Only from addresses in these ranges. Empty: from every global address of the host.
    pub sources: Vec<Cidr>,
    pub decoys: bool,
    /// Whether a route off the host that no probe takes keeps the check from passing.
    pub other_routes: bool,
    /// How long replies are waited for.
    pub window: Duration,
}

impl EgressSettings {
    pub fn probes(&self, protocol: Protocol) -> bool {
        self.protocols.contains(&protocol)
    }

    /// Every IP literal that is sent to.
    pub fn literals(&self) -> impl Iterator<Item = IpAddr> {
        let own = self.own_targets.iter().filter_map(|target| match &target.host {
            TargetHost::Address(ip) => Some(*ip),
            TargetHost::Name(_) => None,
        });
        self.addresses.iter().chain(&self.time_servers).copied().chain(own)
    }

    /// The ports that every literal gets, where the protocol is probed at all.
    pub fn ports(&self, protocol: Protocol) -> &[u16] {
        match protocol {
            Protocol::Tcp if self.probes(protocol) => &self.tcp_ports,
            Protocol::Udp if self.probes(protocol) => &self.udp_ports,
            Protocol::Icmp | Protocol::Tcp | Protocol::Udp => &[],
        }
    }
}

/// One `[[egress.target]]`: only a host that answers on a port can show that the port is open.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct OwnTarget {
    pub host: TargetHost,
    pub icmp: bool,
    pub tcp_ports: Vec<u16>,
    pub udp_ports: Vec<u16>,
}

#[derive(Clone, Debug, Eq, PartialEq)]
pub enum TargetHost {
    Name(String),
    Address(IpAddr),
}

/// One window of one family.
#[derive(Clone, Debug)]
pub struct EgressRequest {
    pub family: Family,
    pub settings: EgressSettings,
    /// Names with the addresses that they led to.
    pub named: Vec<(String, IpAddr)>,
    /// What is not probed, with the reason: names without an address, addresses of the VPC.
    pub unresolved: Vec<String>,
    /// Configured targets among them.
    pub gaps: Vec<EgressGap>,
    /// Ranges of the VPC and those that are as good: a route to them is none to the internet.
    pub inside: Vec<Cidr>,
}
