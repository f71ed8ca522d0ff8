//! The addresses of the lab. Those of the VPC follow AWS's pattern, the public
//! ones are documentation ranges and the agent's default egress targets, which
//! here are addresses of the `internet` namespace.

use std::net::{Ipv4Addr, Ipv6Addr};

pub const INSTANCE: Ipv4Addr = Ipv4Addr::new(10, 0, 1, 23);
pub const INSTANCE_V6: Ipv6Addr = Ipv6Addr::new(0x2001, 0xdb8, 0x1234, 1, 0, 0, 0, 0x23);

/// A secondary private address of the instance's first interface, and the address of its second
/// interface, which hangs on a cable of its own.
pub const SECONDARY: Ipv4Addr = Ipv4Addr::new(10, 0, 1, 24);
pub const SECOND_INTERFACE: Ipv4Addr = Ipv4Addr::new(10, 0, 3, 23);
pub const ROUTER_C: Ipv4Addr = Ipv4Addr::new(10, 0, 3, 1);

/// A firewall behind a transit gateway: private, and not the VPC's.
pub const FIREWALL: Ipv4Addr = Ipv4Addr::new(10, 200, 0, 1);
pub const FIREWALL_V6: Ipv6Addr = Ipv6Addr::new(0xfd12, 0x3456, 0, 0, 0, 0, 0, 1);

/// The VPC's router in each of the two subnets.
pub const ROUTER_A: Ipv4Addr = Ipv4Addr::new(10, 0, 1, 1);
pub const ROUTER_B: Ipv4Addr = Ipv4Addr::new(10, 0, 2, 1);
pub const ROUTER_V6: Ipv6Addr = Ipv6Addr::new(0x2001, 0xdb8, 0x1234, 1, 0, 0, 0, 1);

pub const RESOLVER: Ipv4Addr = Ipv4Addr::new(10, 0, 0, 2);
pub const RESOLVER_LINK_LOCAL: Ipv4Addr = Ipv4Addr::new(169, 254, 169, 253);
/// The instance's own in a subnet without IPv4: for metadata and the resolver only.
pub const LINK_LOCAL: Ipv4Addr = Ipv4Addr::new(169, 254, 10, 23);
pub const RESOLVER_V6: Ipv6Addr = Ipv6Addr::new(0xfd00, 0xec2, 0, 0, 0, 0, 0, 0x253);

pub const METADATA: Ipv4Addr = Ipv4Addr::new(169, 254, 169, 254);
pub const METADATA_V6: Ipv6Addr = Ipv6Addr::new(0xfd00, 0xec2, 0, 0, 0, 0, 0, 0x254);

/// The endpoint's interfaces, one in each zone.
pub const ENDPOINT_A: Ipv4Addr = Ipv4Addr::new(10, 0, 1, 57);
pub const ENDPOINT_B: Ipv4Addr = Ipv4Addr::new(10, 0, 2, 113);
pub const ENDPOINT_A_V6: Ipv6Addr = Ipv6Addr::new(0x2001, 0xdb8, 0x1234, 1, 0, 0, 0, 0x57);
pub const ENDPOINT_B_V6: Ipv6Addr = Ipv6Addr::new(0x2001, 0xdb8, 0x1234, 2, 0, 0, 0, 0x113);

/// Interface a also answers here, as an endpoint in a hub VPC behind a transit
/// gateway would: reachable and private, but not this VPC's.
pub const ENDPOINT_ELSEWHERE: Ipv4Addr = Ipv4Addr::new(10, 99, 0, 57);
/// And here, in the VPC's second CIDR.
pub const ENDPOINT_SECOND_CIDR: Ipv4Addr = Ipv4Addr::new(100, 64, 1, 57);

/// Many endpoints with an interface in each of three zones. Two of the zones are behind interface b.
pub const ESTATE_BLOCKS: [&str; 3] = ["10.0.128.0/20", "10.0.144.0/20", "10.0.160.0/20"];

pub fn estate(number: usize) -> [Ipv4Addr; 3] {
    let [high, low] = u16::try_from(number).expect("a few hundred").to_be_bytes();
    [128, 144, 160].map(|zone| Ipv4Addr::new(10, 0, zone + high, low))
}

/// S3, behind a gateway endpoint: a public address that the route table leads into the VPC.
pub const PUBLIC_S3: Ipv4Addr = Ipv4Addr::new(203, 0, 113, 30);
/// Its IPv6 address, which the gateway does not divert.
pub const PUBLIC_S3_V6: Ipv6Addr = Ipv6Addr::new(0x2001, 0xdb8, 0xffff, 0, 0, 0, 0, 0x30);
/// S3 of another region, where no gateway leads.
pub const PUBLIC_S3_ELSEWHERE: Ipv4Addr = Ipv4Addr::new(203, 0, 113, 31);
pub const PUBLIC_S3_ELSEWHERE_V6: Ipv6Addr = Ipv6Addr::new(0x2001, 0xdb8, 0xffff, 0, 0, 0, 0, 0x31);

/// The company's own resolver inside the VPC, and an address that nobody has.
pub const CORPORATE_DNS: Ipv4Addr = Ipv4Addr::new(10, 0, 1, 53);
/// The same machine's other addresses, where name servers of a test run.
pub const CORPORATE_DNS_B: Ipv4Addr = Ipv4Addr::new(10, 0, 1, 51);
pub const CORPORATE_DNS_C: Ipv4Addr = Ipv4Addr::new(10, 0, 1, 52);
/// The interface of another endpoint, in zone a.
pub const OTHER_ENDPOINT: Ipv4Addr = Ipv4Addr::new(10, 0, 1, 56);
pub const NOBODY: Ipv4Addr = Ipv4Addr::new(10, 0, 1, 54);

pub const PUBLIC_WEBSITE: Ipv4Addr = Ipv4Addr::new(203, 0, 113, 10);
pub const PUBLIC_WEBSITE_V6: Ipv6Addr = Ipv6Addr::new(0x2001, 0xdb8, 0xffff, 0, 0, 0, 0, 0x10);
pub const PUBLIC_CLOUDWATCH: Ipv4Addr = Ipv4Addr::new(203, 0, 113, 20);
pub const PUBLIC_CLOUDWATCH_V6: Ipv6Addr = Ipv6Addr::new(0x2001, 0xdb8, 0xffff, 0, 0, 0, 0, 0x20);
/// CloudWatch of another region.
pub const PUBLIC_ELSEWHERE: Ipv4Addr = Ipv4Addr::new(203, 0, 113, 21);
/// Where the internet's own ICMP errors come from.
pub const INTERNET: Ipv4Addr = Ipv4Addr::new(203, 0, 113, 1);
pub const INTERNET_V6: Ipv6Addr = Ipv6Addr::new(0x2001, 0xdb8, 0xffff, 0, 0, 0, 0, 1);

pub const VPC_CIDRS: [&str; 2] = ["10.0.0.0/16", "100.64.0.0/16"];
pub const VPC_CIDR_V6: &str = "2001:db8:1234::/56";
pub const MAC: &str = "02:00:0a:00:01:17";

/// A service of VPC Lattice, which answers at the same link-local address in every VPC.
pub const LATTICE: Ipv4Addr = Ipv4Addr::new(169, 254, 171, 32);
