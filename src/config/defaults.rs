//! What is done where the file says nothing: what AWS's guide has a person do by hand.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::time::Duration;

use crate::check::Family;
use crate::observation::{self, EgressSettings, EndpointProtocol};

use super::{
    CallConfig, Config, CredentialsConfig, EgressConfig, EndpointConfig, HostConfig, InstanceConfig,
    LogConfig, WebConfig,
};

/// A lost endpoint is seen within a minute, by two rounds.
pub const INTERVAL: Duration = Duration::from_secs(30);

/// Room for one lost SYN, which is sent again after a second, and for its answer.
pub const TIMEOUT: Duration = Duration::from_secs(3);

pub const HTTPS_PORT: u16 = 443;

/// ListMetrics has 25 requests a second per region and account, shared by the whole fleet.
pub const CALL_INTERVAL: Duration = Duration::from_mins(5);

/// The namespace of AWS's guide.
pub const NAMESPACE: &str = "AWS/EC2";

/// An open route is noticed within a minute. The targets belong to others, so not more often.
pub const EGRESS_INTERVAL: Duration = Duration::from_mins(1);

/// A first SYN that is lost is sent again after 1 s, and its answer may take another second.
pub const EGRESS_WINDOW: Duration = Duration::from_secs(3);

/// The name that AWS's guide pings.
pub const EGRESS_HOST: &str = "www.amazon.com";

/// The ports that a filter leaves open most often.
pub const EGRESS_TCP_PORTS: [u16; 2] = [443, 80];

/// Public resolvers of three operators: they answer to ping, TCP and DNS, from everywhere.
pub const EGRESS_ADDRESSES: [IpAddr; 9] = [
    IpAddr::V4(CLOUDFLARE),
    IpAddr::V4(GOOGLE),
    IpAddr::V4(QUAD9),
    IpAddr::V6(Ipv6Addr::new(0x2606, 0x4700, 0x4700, 0, 0, 0, 0, 0x1111)),
    IpAddr::V6(Ipv6Addr::new(0x2001, 0x4860, 0x4860, 0, 0, 0, 0, 0x8888)),
    IpAddr::V6(Ipv6Addr::new(0x2620, 0xfe, 0, 0, 0, 0, 0, 0xfe)),
    // An IPv6-only subnet that blocks IPv6 may still leak through NAT64.
    through_nat64(CLOUDFLARE),
    through_nat64(GOOGLE),
    through_nat64(QUAD9),
];

/// DNS and NTP: a filter that forgets UDP often forgets these.
pub const EGRESS_UDP_PORTS: [u16; 2] = [53, 123];

/// time.cloudflare.com and time.google.com. Amazon's own 169.254.169.123 is on the link.
pub const EGRESS_TIME_SERVERS: [IpAddr; 6] = [
    IpAddr::V4(CLOUDFLARE_TIME),
    IpAddr::V4(GOOGLE_TIME),
    IpAddr::V6(Ipv6Addr::new(0x2606, 0x4700, 0xf1, 0, 0, 0, 0, 1)),
    IpAddr::V6(Ipv6Addr::new(0x2001, 0x4860, 0x4806, 0, 0, 0, 0, 0)),
    through_nat64(CLOUDFLARE_TIME),
    through_nat64(GOOGLE_TIME),
];

const CLOUDFLARE_TIME: Ipv4Addr = Ipv4Addr::new(162, 159, 200, 1);
const GOOGLE_TIME: Ipv4Addr = Ipv4Addr::new(216, 239, 35, 0);
const CLOUDFLARE: Ipv4Addr = Ipv4Addr::new(1, 1, 1, 1);
const GOOGLE: Ipv4Addr = Ipv4Addr::new(8, 8, 8, 8);
const QUAD9: Ipv4Addr = Ipv4Addr::new(9, 9, 9, 9);

/// RFC 6052's well-known prefix, 64:ff9b::/96.
const fn through_nat64(ip: Ipv4Addr) -> IpAddr {
    let [a, b, c, d] = ip.octets();
    IpAddr::V6(Ipv6Addr::from_octets([0, 0x64, 0xff, 0x9b, 0, 0, 0, 0, 0, 0, 0, 0, a, b, c, d]))
}

/// The facts of an instance change by hand, if ever.
pub const INSTANCE_INTERVAL: Duration = Duration::from_mins(1);

/// Metadata is on the same host; it answers within milliseconds or not at all.
pub const INSTANCE_TIMEOUT: Duration = Duration::from_secs(2);

pub const CREDENTIALS_INTERVAL: Duration = Duration::from_mins(1);

/// The chain may have to ask more than one source.
pub const CREDENTIALS_TIMEOUT: Duration = Duration::from_secs(3);

/// Outside the crowded range of exporters, 9100 to 9999; both families.
pub const LISTEN: SocketAddr = SocketAddr::new(IpAddr::V6(Ipv6Addr::UNSPECIFIED), 10042);

impl Default for Config {
    fn default() -> Self {
        Self {
            region: None,
            ca_file: None,
            expected_cidrs: Vec::new(),
            endpoints: vec![monitoring(INTERVAL, TIMEOUT)],
            egress: Some(EgressConfig::default()),
            instance: Some(InstanceConfig { interval: INSTANCE_INTERVAL, timeout: INSTANCE_TIMEOUT }),
            credentials: CredentialsConfig { interval: CREDENTIALS_INTERVAL, timeout: CREDENTIALS_TIMEOUT },
            log: LogConfig::default(),
            web: WebConfig { listen: vec![LISTEN], config_file: None, open_health: false, textfile: None },
        }
    }
}

/// The one endpoint where the file names none.
pub fn monitoring(interval: Duration, timeout: Duration) -> EndpointConfig {
    EndpointConfig {
        name: "monitoring".to_owned(),
        host: HostConfig::OfService("monitoring".to_owned()),
        vpce_hosts: Vec::new(),
        zones: Vec::new(),
        port: HTTPS_PORT,
        protocol: EndpointProtocol::Https,
        gateway: false,
        control_region: None,
        expected_cidrs: Vec::new(),
        call: Some(CallConfig {
            namespace: NAMESPACE.to_owned(),
            proof: None,
            interval: CALL_INTERVAL.max(interval),
        }),
        require_agreement: false,
        interval,
        timeout,
    }
}

impl Default for EgressConfig {
    fn default() -> Self {
        let settings = EgressSettings {
            families: Family::BOTH.to_vec(),
            protocols: observation::Protocol::ALL.to_vec(),
            hosts: vec![EGRESS_HOST.to_owned()],
            addresses: EGRESS_ADDRESSES.to_vec(),
            time_servers: EGRESS_TIME_SERVERS.to_vec(),
            tcp_ports: EGRESS_TCP_PORTS.to_vec(),
            udp_ports: EGRESS_UDP_PORTS.to_vec(),
            own_targets: Vec::new(),
            sources: Vec::new(),
            decoys: true,
            other_routes: true,
            window: EGRESS_WINDOW,
        };
        Self { settings, accept_reject: false, interval: EGRESS_INTERVAL }
    }
}
