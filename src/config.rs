//! The configuration, valid by construction: holding a [`Config`] means that it is usable.

use std::net::{IpAddr, SocketAddr};
use std::path::PathBuf;
use std::time::Duration;

use crate::network::Cidr;

#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Config {
    /// Given, or the instance's.
    pub region: Option<String>,
    pub ca_file: Option<PathBuf>,
    pub expected_cidrs: Vec<Cidr>,
    pub endpoints: Vec<EndpointConfig>,
    /// `None` where the subnet has a way out on purpose.
    pub egress: Option<EgressConfig>,
    /// `None` where there is no metadata to be had.
    pub instance: Option<InstanceConfig>,
    pub credentials: CredentialsConfig,
    pub web: WebConfig,
}

/// One `[[endpoint]]`. Whether its host is known without a region is the plan's question.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct EndpointConfig {
    pub name: String,
    pub host: HostConfig,
    pub port: u16,
    pub gateway: bool,
    pub call: Option<CallConfig>,
    pub require_agreement: bool,
    pub interval: Duration,
    pub timeout: Duration,
}

#[derive(Clone, Debug, Eq, PartialEq)]
pub enum HostConfig {
    /// As written, fully qualified, without the trailing dot.
    Given(String),
    /// The catalogue's private DNS name of this service, once the region is known.
    OfService(String),
}

#[derive(Clone, Debug, Eq, PartialEq)]
pub struct CallConfig {
    pub namespace: String,
    pub interval: Duration,
}

#[derive(Clone, Debug, Eq, PartialEq)]
pub struct EgressConfig {
    pub hosts: Vec<String>,
    pub addresses: Vec<IpAddr>,
    pub tcp_ports: Vec<u16>,
    pub udp_dns: bool,
    pub accept_reject: bool,
    /// How long answers are waited for.
    pub window: Duration,
    pub interval: Duration,
}

#[derive(Clone, Debug, Eq, PartialEq)]
pub struct InstanceConfig {
    pub interval: Duration,
    pub timeout: Duration,
}

#[derive(Clone, Debug, Eq, PartialEq)]
pub struct CredentialsConfig {
    pub interval: Duration,
    pub timeout: Duration,
}

#[derive(Clone, Debug, Eq, PartialEq)]
pub struct WebConfig {
    pub listen: SocketAddr,
}
