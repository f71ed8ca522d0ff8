//! Cables, addresses and routes. Every host hangs on a cable of its own to the
//! router, which answers ARP for all others, so that every packet crosses the
//! router's firewall, as in a VPC.

use std::net::Ipv4Addr;

use super::address::{
    CORPORATE_DNS, CORPORATE_DNS_B, CORPORATE_DNS_C, ENDPOINT_A, ENDPOINT_A_V6, ENDPOINT_B, ENDPOINT_B_V6,
    ENDPOINT_ELSEWHERE, ENDPOINT_SECOND_CIDR, ESTATE_BLOCKS, FIREWALL, FIREWALL_V6, INSTANCE, INSTANCE_V6,
    INTERNET, INTERNET_V6, LATTICE, LINK_LOCAL, MAC, METADATA, METADATA_V6, PUBLIC_S3, RESOLVER,
    RESOLVER_LINK_LOCAL, RESOLVER_V6, ROUTER_A, ROUTER_B, ROUTER_C, ROUTER_V6, SECOND_INTERFACE, SECONDARY,
    VPC_CIDR_V6, VPC_CIDRS,
};
use super::fault::{Fault, Faults};
use super::host::{Host, Hosts, sysctl, thread_id, tool};

/// Each endpoint interface owns a small block around its address, so that an
/// answer with many addresses leads to something that works.
const ENDPOINT_A_BLOCK: &str = "10.0.1.56/29";
const ENDPOINT_B_BLOCK: &str = "10.0.2.112/29";

/// The router's end of the instance's second cable.
const SECOND_CABLE: &str = "instance-1";

/// The route table of the second interface, where it has one.
const SECOND_TABLE: &str = "200";

/// The cable between the router and the internet.
const ROUTER_OUTSIDE: &str = "198.18.0.1";
const INTERNET_INSIDE: &str = "198.18.0.2";

/// Plugs in the cables and gives every host but the instance its addresses; the
/// instance's depend on the faults.
pub fn build(hosts: &Hosts) -> Result<(), String> {
    let mut cables = String::new();
    for host in Host::LEAVES {
        let id = hosts.on(host, thread_id)?;
        cables += &format!("link add {} type veth peer name eth0 netns {id}\n", host.name());
    }
    let id = hosts.on(Host::Instance, thread_id)?;
    cables += &format!("link add {SECOND_CABLE} type veth peer name eth1 netns {id}\n");
    hosts.on(Host::Router, move || {
        sysctl("net/ipv4/ip_forward", "1")?;
        sysctl("net/ipv6/conf/all/forwarding", "1")?;
        sysctl("net/ipv4/conf/all/proxy_arp", "1")?;
        ip(&cables).map_err(|error| format!("{error}\nthe kernel needs veth (`modprobe veth`)"))?;
        for host in Host::LEAVES {
            // A proxied ARP answer is delayed at random by up to 0.8 s otherwise.
            sysctl(&format!("net/ipv4/neigh/{}/proxy_delay", host.name()), "0")?;
        }
        sysctl(&format!("net/ipv4/neigh/{SECOND_CABLE}/proxy_delay"), "0")?;
        ip(&router())
    })?;
    let pending = [
        hosts.thread(Host::EndpointA).submit(|| ip(&endpoint_a())),
        hosts.thread(Host::EndpointB).submit(|| ip(&endpoint_b())),
        hosts.thread(Host::CorporateDns).submit(|| ip(&corporate_dns())),
        hosts.thread(Host::Internet).submit(internet),
        hosts.thread(Host::Instance).submit(|| ip(&format!("{}link set eth0 address {MAC}\n", cable()))),
    ];
    pending.into_iter().try_for_each(super::host::Pending::wait)
}

/// The instance's interfaces under some faults.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct InstanceNetwork {
    batch: String,
    ipv6_off: bool,
}

pub fn instance(faults: &Faults) -> InstanceNetwork {
    InstanceNetwork { batch: addresses(faults), ipv6_off: faults.has(Fault::InstanceIpv6Off) }
}

/// The instance's addresses and routes.
fn addresses(faults: &Faults) -> String {
    let default_route = default_route(faults);
    if faults.has(Fault::InstanceLinkDown) {
        return format!("addr add {INSTANCE}/24 dev eth0\nlink set eth0 down\n");
    }
    let mut batch = "link set eth0 up\n".to_owned();
    if faults.has(Fault::MetadataOverLinkLocal) {
        // As on EC2 in a subnet with IPv6 alone; only metadata is behind it here.
        batch += &format!("addr add {LINK_LOCAL}/32 dev eth0\nroute add {METADATA}/32 dev eth0\n");
    } else if !faults.has(Fault::InstanceIpv4Absent) {
        batch += &format!("addr add {INSTANCE}/24 dev eth0\n");
        if faults.has_any(&[Fault::SecondaryAddress, Fault::SecondaryAddressOpen]) {
            batch += &format!("addr add {SECONDARY}/24 dev eth0\n");
        }
        for cidr in VPC_CIDRS {
            batch += &format!("route add {cidr} via {ROUTER_A}\n");
        }
        for (fault, address) in UNROUTED {
            if faults.has(fault) {
                batch += &format!("route add blackhole {address}/32\n");
            }
        }
        // Resolver and metadata are on the link, as on EC2.
        batch += "route add 169.254.169.252/30 dev eth0\n";
        batch += &default_route.as_ref().map(DefaultRoute::ipv4).unwrap_or_default();
    }
    if !faults.has(Fault::InstanceIpv6Off) {
        batch += "addr add fe80::2/64 dev eth0 nodad\n";
    }
    if !faults.has_any(&[Fault::InstanceIpv6Absent, Fault::InstanceIpv6Lost, Fault::InstanceIpv6Off]) {
        batch += &format!(
            "addr add {INSTANCE_V6}/128 dev eth0 nodad\n\
             route add {VPC_CIDR_V6} via fe80::1 dev eth0\n\
             route add fd00:ec2::/32 via fe80::1 dev eth0\n"
        );
        batch += &default_route.as_ref().map(DefaultRoute::ipv6).unwrap_or_default();
    }
    batch + &other_interfaces(faults)
}

/// What the default routes of both families are.
enum DefaultRoute {
    ToRouter,
    Refusing(&'static str),
}

impl DefaultRoute {
    fn ipv4(&self) -> String {
        match self {
            Self::ToRouter => format!("route add default via {ROUTER_A}\n"),
            Self::Refusing(kind) => format!("route add {kind} default\n"),
        }
    }

    fn ipv6(&self) -> String {
        match self {
            Self::ToRouter => "route add default via fe80::1 dev eth0\n".to_owned(),
            Self::Refusing(kind) => format!("route add {kind} ::/0\n"),
        }
    }
}

fn default_route(faults: &Faults) -> Option<DefaultRoute> {
    if faults.has(Fault::NoDefaultRoute) {
        return None;
    }
    let refusing = faults.first(&[
        (Fault::RouteUnreachable, REFUSING[0]),
        (Fault::RouteBlackhole, REFUSING[1]),
        (Fault::RouteProhibit, REFUSING[2]),
    ]);
    Some(refusing.map_or(DefaultRoute::ToRouter, DefaultRoute::Refusing))
}

const UNROUTED: [(Fault, Ipv4Addr); 2] =
    [(Fault::EndpointBUnrouted, ENDPOINT_B), (Fault::ResolverUnrouted, RESOLVER)];

const REFUSING: [&str; 3] = ["unreachable", "blackhole", "prohibit"];

/// A second interface and a bridge.
fn other_interfaces(faults: &Faults) -> String {
    let mut batch = String::new();
    if faults.has_any(&[Fault::SecondInterfaceOpen, Fault::SecondInterfaceUnrouted]) {
        batch += &format!(
            "link set eth1 addrgenmode none\nlink set eth1 up\naddr add {SECOND_INTERFACE}/24 dev eth1\n"
        );
    }
    if faults.has(Fault::SecondInterfaceOpen) {
        batch += &format!(
            "route add default via {ROUTER_C} dev eth1 table {SECOND_TABLE}\n\
             rule add from {SECOND_INTERFACE} lookup {SECOND_TABLE}\n"
        );
    }
    if faults.has(Fault::BridgePresent) {
        batch += "link add docker0 type bridge\n\
                  link set docker0 addrgenmode none\n\
                  addr add 172.17.0.1/16 dev docker0\n\
                  link set docker0 up\n";
    }
    batch
}

/// The router's routes that faults change. The route table's entry of the gateway endpoint: with
/// it S3 is in the VPC, without it outside. And the address from which the router speaks to the
/// instance.
pub fn router_routes(faults: &Faults) -> String {
    let way = if faults.has(Fault::GatewayMissing) {
        format!("via {INTERNET_INSIDE}")
    } else {
        "dev endpoint-a".to_owned()
    };
    let (mut ipv4, mut ipv6) = (String::new(), String::new());
    if faults.has(Fault::EgressRejectedPrivately) {
        (ipv4, ipv6) = (format!(" src {FIREWALL}"), format!(" src {FIREWALL_V6}"));
    } else if faults.has(Fault::EgressRejectedByAws) {
        ipv6 = format!(" src {RESOLVER_V6}");
    }
    format!(
        "route replace {PUBLIC_S3}/32 {way}\n\
         route replace {INSTANCE}/32 dev instance{ipv4}\n\
         route replace {INSTANCE_V6}/128 via fe80::2 dev instance{ipv6}\n"
    )
}

/// Runs on the router.
pub fn apply_router_routes(batch: &str) -> Result<(), String> {
    ip(batch)
}

/// Replaces whatever addresses and routes the instance has. Runs on the instance.
pub fn apply_instance(network: &InstanceNetwork) -> Result<(), String> {
    tool("ip", &["addr", "flush", "dev", "eth0"], "")?;
    tool("ip", &["-6", "route", "flush", "dev", "eth0"], "")?;
    for kind in REFUSING {
        for family in ["-4", "-6"] {
            // There may be none.
            let _ = tool("ip", &[family, "route", "del", kind, "default"], "");
        }
    }
    for (_, address) in UNROUTED {
        let _ = tool("ip", &["route", "del", "blackhole", &address.to_string()], "");
    }
    let _ = tool("ip", &["rule", "del", "from", &SECOND_INTERFACE.to_string()], "");
    let _ = tool("ip", &["link", "del", "docker0"], "");
    tool("ip", &["addr", "flush", "dev", "eth1"], "")?;
    tool("ip", &["link", "set", "eth1", "down"], "")?;
    sysctl("net/ipv6/conf/eth0/disable_ipv6", if network.ipv6_off { "1" } else { "0" })?;
    ip(&network.batch)
}

fn router() -> String {
    let mut batch = "link set lo up\n".to_owned();
    for host in Host::LEAVES {
        let name = host.name();
        batch += &format!(
            "link set {name} addrgenmode none\nlink set {name} up\naddr add fe80::1/64 dev {name} nodad\n"
        );
    }
    batch += &format!("link set {SECOND_CABLE} addrgenmode none\nlink set {SECOND_CABLE} up\n");
    for address in [RESOLVER, RESOLVER_LINK_LOCAL, METADATA, FIREWALL] {
        batch += &format!("addr add {address}/32 dev lo\n");
    }
    for address in [RESOLVER_V6, METADATA_V6, FIREWALL_V6] {
        batch += &format!("addr add {address}/128 dev lo nodad\n");
    }
    batch += &format!(
        "addr add {ROUTER_A}/32 dev instance\n\
         addr add {ROUTER_A}/32 dev endpoint-a\n\
         addr add {ROUTER_A}/32 dev corp-dns\n\
         addr add {ROUTER_B}/32 dev endpoint-b\n\
         addr add {ROUTER_V6}/128 dev instance nodad\n\
         addr add {ROUTER_OUTSIDE}/30 dev internet\n\
         addr add {ROUTER_C}/32 dev {SECOND_CABLE}\n\
         route add {SECONDARY}/32 dev instance\n\
         route add {SECOND_INTERFACE}/32 dev {SECOND_CABLE}\n\
         route add {LINK_LOCAL}/32 dev instance\n\
         route add {CORPORATE_DNS}/32 dev corp-dns\n\
         route add {CORPORATE_DNS_B}/32 dev corp-dns\n\
         route add {CORPORATE_DNS_C}/32 dev corp-dns\n\
         route add {ENDPOINT_A_BLOCK} dev endpoint-a\n\
         route add {ENDPOINT_ELSEWHERE}/32 dev endpoint-a\n\
         route add {LATTICE}/32 dev endpoint-a\n\
         route add {ENDPOINT_SECOND_CIDR}/32 dev endpoint-a\n\
         route add {ENDPOINT_B_BLOCK} dev endpoint-b\n\
         route add {ENDPOINT_A_V6}/128 via fe80::2 dev endpoint-a\n\
         route add {ENDPOINT_B_V6}/128 via fe80::2 dev endpoint-b\n"
    );
    // By way of the interface's own address: the kernel keeps few neighbors.
    for (block, way) in ESTATE_BLOCKS.iter().zip([
        format!("{ENDPOINT_A} dev endpoint-a"),
        format!("{ENDPOINT_B} dev endpoint-b"),
        format!("{ENDPOINT_B} dev endpoint-b"),
    ]) {
        batch += &format!("route add {block} via {way} onlink\n");
    }
    // What leads nowhere goes to the internet's cable, where the firewall drops it:
    // without a route the router would answer "unreachable", which a VPC never does.
    batch +=
        &format!("route add default via {INTERNET_INSIDE}\nroute add default via fe80::2 dev internet\n");
    batch
}

fn cable() -> String {
    "link set lo up\nlink set eth0 addrgenmode none\nlink set eth0 up\naddr add fe80::2/64 dev eth0 nodad\n"
        .to_owned()
}

fn endpoint_a() -> String {
    format!(
        "{}addr add {ENDPOINT_A}/24 dev eth0\n\
         addr add {ENDPOINT_A_V6}/128 dev eth0 nodad\n\
         route add local {ENDPOINT_A_BLOCK} dev lo\n\
         route add local {ENDPOINT_ELSEWHERE}/32 dev lo\n\
         route add local {LATTICE}/32 dev lo\n\
         route add local {ENDPOINT_SECOND_CIDR}/32 dev lo\n\
         route add local {PUBLIC_S3}/32 dev lo\n\
         route add local {} dev lo\n\
         route add default via {ROUTER_A}\n\
         route add default via fe80::1 dev eth0\n",
        cable(),
        ESTATE_BLOCKS[0]
    )
}

fn endpoint_b() -> String {
    format!(
        "{}addr add {ENDPOINT_B}/24 dev eth0\n\
         addr add {ENDPOINT_B_V6}/128 dev eth0 nodad\n\
         route add local {ENDPOINT_B_BLOCK} dev lo\n\
         route add local {} dev lo\n\
         route add local {} dev lo\n\
         route add default via {ROUTER_B}\n\
         route add default via fe80::1 dev eth0\n",
        cable(),
        ESTATE_BLOCKS[1],
        ESTATE_BLOCKS[2]
    )
}

fn corporate_dns() -> String {
    format!(
        "{}addr add {CORPORATE_DNS}/24 dev eth0\naddr add {CORPORATE_DNS_B}/32 dev eth0\n\
         addr add {CORPORATE_DNS_C}/32 dev eth0\nroute add default via {ROUTER_A}\n",
        cable()
    )
}

/// The internet host is every public address there is: all but the way back to the
/// VPC is local to it. The routes are in the table `local`, since the kernel sends
/// from such an address only if that table knows it.
fn internet() -> Result<(), String> {
    // For what is to be rejected, see below.
    sysctl("net/ipv4/ip_forward", "1")?;
    sysctl("net/ipv6/conf/all/forwarding", "1")?;
    ip(&format!(
        "{}addr add {INTERNET_INSIDE}/30 dev eth0\n\
         addr add {INTERNET}/32 dev lo\n\
         addr add {INTERNET_V6}/128 dev lo nodad\n\
         route add local 0.0.0.0/0 dev lo table local\n\
         route add 198.18.0.0/30 dev eth0 table local\n\
         route add local 2000::/3 dev lo table local\n\
         route add local 64:ff9b::/96 dev lo table local\n\
         route add {VPC_CIDR_V6} via fe80::1 dev eth0 src {INTERNET_V6} table local\n",
        cable()
    ))?;
    for cidr in VPC_CIDRS {
        ip(&format!("route add {cidr} via {ROUTER_OUTSIDE} src {INTERNET} table local\n"))?;
    }
    // What the firewall marks is sent on instead, past the local addresses, so that
    // the forward chain can reject it.
    for family in ["-4", "-6"] {
        for rule in ["add pref 5 fwmark 1 lookup 100", "add pref 10 lookup local", "del pref 0"] {
            let arguments: Vec<&str> = [family, "rule"].into_iter().chain(rule.split(' ')).collect();
            tool("ip", &arguments, "")?;
        }
    }
    ip(&format!(
        "route add default via {ROUTER_OUTSIDE} table 100\nroute add default via fe80::1 dev eth0 table 100\n"
    ))
}

fn ip(batch: &str) -> Result<(), String> {
    tool("ip", &["-batch", "-"], batch).map(drop)
}
