//! What will be done: the configuration and the instance's facts brought together.
//! Pure and comparable, so that a reload changes only what really differs.

use std::net::IpAddr;
use std::time::Duration;

use crate::check::{CheckId, EndpointName, Family, Rung};
use crate::config::Config;
use crate::network::Network;
use crate::observation::Instance;

#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Plan {
    pub region: Option<String>,
    pub network: Network,
    pub items: Vec<Item>,
}

/// What has a schedule of its own.
#[derive(Clone, Debug, Eq, PartialEq)]
pub enum Item {
    Instance(Pace),
    Credentials(Pace),
    Ladder(Ladder),
    Egress(Egress),
}

#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct Pace {
    pub interval: Duration,
    pub timeout: Duration,
}

/// An endpoint's three checks, which share one attempt.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Ladder {
    pub name: EndpointName,
    /// `None` while nobody knows the region that the name needs.
    pub host: Option<String>,
    pub port: u16,
    pub gateway: bool,
    pub require_agreement: bool,
    pub call: Option<Call>,
    /// What addresses are judged by: part of the item, so that a new CIDR is a new item.
    pub network: Network,
    pub pace: Pace,
}

#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Call {
    pub region: String,
    pub namespace: String,
    pub interval: Duration,
}

/// Both families: they share sockets and the waiting window.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Egress {
    pub hosts: Vec<String>,
    pub addresses: Vec<IpAddr>,
    pub tcp_ports: Vec<u16>,
    pub udp_dns: bool,
    pub accept_reject: bool,
    pub window: Duration,
    pub interval: Duration,
    pub network: Network,
    /// The families of which metadata says that the instance has an address.
    pub promised: Vec<Family>,
}
