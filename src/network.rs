//! Which addresses are the VPC's. Private means inside a CIDR that instance metadata or the
//! configuration lists, never a guess by range: a VPC may own RFC 6598 or public ranges, its IPv6
//! addresses are global, and an RFC 1918 address may belong to any other network.

mod zone;

use std::fmt;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};
use std::str::FromStr;

use ipnet::{IpNet, Ipv4Net, Ipv6Net};
use serde::{Serialize, Serializer};

pub use zone::{is_zone_id, is_zone_name, region_of_zone};

pub const VPC_RESOLVER: IpAddr = IpAddr::V4(Ipv4Addr::new(169, 254, 169, 253));
pub const VPC_RESOLVER_IPV6: IpAddr = IpAddr::V6(Ipv6Addr::new(0xfd00, 0xec2, 0, 0, 0, 0, 0, 0x253));

/// An address range without host bits.
#[derive(Clone, Copy, Debug, Eq, Ord, PartialEq, PartialOrd)]
pub struct Cidr(IpNet);

/// Where VPC Lattice answers in every VPC: link-local, and private all the same.
const LATTICE: [IpNet; 2] = [
    IpNet::V4(Ipv4Net::new_assert(Ipv4Addr::new(169, 254, 171, 0), 24)),
    IpNet::V6(Ipv6Net::new_assert(Ipv6Addr::new(0xfd00, 0xec2, 0x80, 0, 0, 0, 0, 0), 64)),
];

impl Cidr {
    pub const LATTICE: [Self; 2] = [Self(LATTICE[0]), Self(LATTICE[1])];

    fn is_of_lattice(self) -> bool {
        LATTICE.iter().any(|range| range.contains(&self.0))
    }

    pub fn contains(self, ip: IpAddr) -> bool {
        self.0.contains(&ip)
    }

    pub fn overlaps(self, other: Self) -> bool {
        self.0.contains(&other.0) || other.0.contains(&self.0)
    }

    pub fn first(self) -> IpAddr {
        self.0.network()
    }

    pub fn last(self) -> IpAddr {
        self.0.broadcast()
    }

    pub fn is_everything(self) -> bool {
        self.0.prefix_len() == 0
    }

    /// More than any network has: a few of them would make every address private.
    pub fn is_too_wide(self) -> bool {
        let unique_local = IpNet::V6(Ipv6Net::new_assert(Ipv6Addr::new(0xfc00, 0, 0, 0, 0, 0, 0, 0), 7));
        let most = if self.is_ipv4() { 8 } else { 16 };
        self.0.prefix_len() < most && !unique_local.contains(&self.0)
    }

    /// More than one network of a host has.
    pub fn is_wider_than_a_vpc(self) -> bool {
        self.0.prefix_len() < if self.is_ipv4() { 16 } else { 44 }
    }

    pub fn is_ipv4(self) -> bool {
        self.0.network().is_ipv4()
    }

    /// Whether a VPC can have it ("VPC CIDR blocks" in the VPC user guide). Metadata that lists
    /// 0.0.0.0/0 would make every public address private.
    pub fn is_of_a_vpc(self) -> bool {
        let sizes = if self.is_ipv4() { 16..=28 } else { 44..=64 };
        sizes.contains(&self.0.prefix_len())
    }
}

/// `us-east-1`, `us-gov-west-1`: lower-case words, then a digit.
pub fn is_region(text: &str) -> bool {
    const LONGEST: usize = 32;
    let mut parts = text.split('-');
    let is_word = |part: &str, least| part.len() >= least && part.bytes().all(|b| b.is_ascii_lowercase());
    let first = parts.next().is_some_and(|part| is_word(part, 2));
    let last = parts.next_back().is_some_and(|part| matches!(part.as_bytes(), [b'1'..=b'9']));
    let words: Vec<&str> = parts.collect();
    text.len() <= LONGEST && first && last && !words.is_empty() && words.iter().all(|part| is_word(part, 1))
}

/// Why a text is not an address range.
#[derive(Clone, Debug, Eq, PartialEq)]
pub enum CidrError {
    Invalid { text: String },
    HostBits { text: String, network: IpNet },
}

impl fmt::Display for CidrError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Invalid { text } => {
                write!(f, "invalid CIDR {text:?} (expected something like 10.0.0.0/16 or 2001:db8::/56)")
            }
            Self::HostBits { text, network } => write!(f, "CIDR {text:?} has host bits set; write {network}"),
        }
    }
}

impl std::error::Error for CidrError {}

impl FromStr for Cidr {
    type Err = CidrError;

    fn from_str(text: &str) -> Result<Self, CidrError> {
        let net: IpNet = text.parse().map_err(|_| CidrError::Invalid { text: text.to_owned() })?;
        let network = net.trunc();
        if network != net {
            return Err(CidrError::HostBits { text: text.to_owned(), network });
        }
        Ok(Self(net))
    }
}

impl fmt::Display for Cidr {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

impl Serialize for Cidr {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

/// Where an address lies, seen from the instance. The last three say what kind of range it is in,
/// when it is in none of the known CIDRs.
#[derive(Clone, Copy, Debug, Eq, Ord, PartialEq, PartialOrd, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Scope {
    /// Inside the VPC's CIDRs, by instance metadata.
    Vpc,
    /// Inside `expected_cidrs`.
    Expected,
    /// RFC 1918, RFC 6598 or unique local, but not in a known CIDR.
    Private,
    Public,
    /// Loopback, link-local, unspecified, multicast, reserved: no endpoint can be there.
    Special,
}

impl Scope {
    pub const ALL: [Self; 5] = [Self::Vpc, Self::Expected, Self::Private, Self::Public, Self::Special];

    pub fn code(self) -> &'static str {
        match self {
            Self::Vpc => "vpc",
            Self::Expected => "expected",
            Self::Private => "private",
            Self::Public => "public",
            Self::Special => "special",
        }
    }

    pub fn is_inside(self) -> bool {
        matches!(self, Self::Vpc | Self::Expected)
    }
}

/// The known ranges: the VPC's own by metadata, others by configuration.
#[derive(Clone, Debug, Default, Eq, PartialEq)]
pub struct Network {
    pub vpc: Vec<Cidr>,
    pub expected: Vec<Cidr>,
    /// Metadata is off, so `expected` is all there is.
    pub metadata_off: bool,
    /// This host's own addresses: no endpoint is at one of them.
    pub of_host: Vec<IpAddr>,
}

impl Network {
    /// Where the VPC has its resolver: the link-local address that every VPC has, then the base
    /// of its first range plus two ("Amazon DNS server" in the VPC user guide).
    pub fn vpc_resolvers(&self, has_ipv4: bool) -> Vec<IpAddr> {
        if !has_ipv4 {
            return vec![VPC_RESOLVER_IPV6];
        }
        let base = self.vpc.iter().find_map(|cidr| match cidr.0.network() {
            IpAddr::V4(base) => Some(base),
            IpAddr::V6(_) => None,
        });
        let plus_two = base.map(|base| IpAddr::V4(Ipv4Addr::from_bits(base.to_bits().saturating_add(2))));
        [Some(VPC_RESOLVER), plus_two].into_iter().flatten().collect()
    }

    /// Whether an address in none of the ranges is really outside. While metadata is silent
    /// it may be the VPC's after all.
    pub fn is_known(&self) -> bool {
        !self.vpc.is_empty() || (self.metadata_off && !self.expected.is_empty())
    }

    /// The same for the family of one address: metadata may list the ranges of the other alone.
    pub fn knows(&self, ip: IpAddr) -> bool {
        let of_family =
            |cidrs: &[Cidr]| cidrs.iter().any(|cidr| cidr.is_ipv4() == embedded_ipv4(ip).is_ipv4());
        of_family(&self.vpc) || (self.metadata_off && of_family(&self.expected))
    }

    pub fn scope(&self, ip: IpAddr) -> Scope {
        let ip = embedded_ipv4(ip);
        let range = scope_by_range(ip);
        // Before membership: a carelessly wide CIDR must not make loopback an endpoint. Only a range
        // that is VPC Lattice's alone can be meant.
        if range == Scope::Special {
            let is_meant = |cidr: &&Cidr| cidr.is_of_lattice() && cidr.contains(ip);
            return if self.expected.iter().any(|cidr| is_meant(&cidr)) { Scope::Expected } else { range };
        }
        if self.of_host.contains(&ip) {
            return Scope::Special;
        }
        if self.vpc.iter().any(|cidr| cidr.contains(ip)) {
            return Scope::Vpc;
        }
        if self.expected.iter().any(|cidr| cidr.contains(ip)) {
            return Scope::Expected;
        }
        range
    }
}

/// The IPv4 address inside a NAT64 (RFC 6052, 64:ff9b::/96) or an IPv4-mapped address.
pub fn embedded_ipv4(ip: IpAddr) -> IpAddr {
    let IpAddr::V6(v6) = ip else { return ip };
    if let Some(v4) = v6.to_ipv4_mapped() {
        return v4.into();
    }
    match v6.octets() {
        [0, 0x64, 0xff, 0x9b, 0, 0, 0, 0, 0, 0, 0, 0, a, b, c, d] => Ipv4Addr::new(a, b, c, d).into(),
        _ => ip,
    }
}

/// Ranges in which no host of the internet can be (RFC 6890 and the registries that it began).
const SPECIAL_PURPOSE: [(&str, &str); 31] = [
    ("0.0.0.0/8", "\"this network\" (RFC 791)"),
    ("10.0.0.0/8", "private (RFC 1918)"),
    ("100.64.0.0/10", "shared address space (RFC 6598)"),
    ("127.0.0.0/8", "loopback (RFC 1122)"),
    ("169.254.0.0/16", "link-local (RFC 3927)"),
    ("172.16.0.0/12", "private (RFC 1918)"),
    ("192.0.0.0/24", "for protocol assignments (RFC 6890)"),
    ("192.0.2.0/24", "for documentation (RFC 5737)"),
    ("192.88.99.0/24", "deprecated 6to4 relay anycast (RFC 7526)"),
    ("192.168.0.0/16", "private (RFC 1918)"),
    ("198.18.0.0/15", "for benchmarking (RFC 2544)"),
    ("198.51.100.0/24", "for documentation (RFC 5737)"),
    ("203.0.113.0/24", "for documentation (RFC 5737)"),
    ("224.0.0.0/4", "multicast (RFC 1112)"),
    ("240.0.0.0/4", "reserved (RFC 1112)"),
    ("::/128", "unspecified (RFC 4291)"),
    ("::1/128", "loopback (RFC 4291)"),
    ("64:ff9b:1::/48", "for local translation (RFC 8215)"),
    ("100::/64", "discard-only (RFC 6666)"),
    ("100:0:0:1::/64", "a dummy prefix (RFC 9780)"),
    ("2001::/32", "Teredo (RFC 4380)"),
    ("2001:2::/48", "for benchmarking (RFC 5180)"),
    ("2001:10::/28", "deprecated ORCHID (RFC 4843)"),
    ("2001:20::/28", "ORCHIDv2 (RFC 7343)"),
    ("2001:db8::/32", "for documentation (RFC 3849)"),
    ("2002::/16", "6to4 (RFC 3056)"),
    ("3fff::/20", "for documentation (RFC 9637)"),
    ("5f00::/16", "for segment routing (RFC 9602)"),
    ("fc00::/7", "private (RFC 4193)"),
    ("fe80::/10", "link-local (RFC 4291)"),
    ("ff00::/8", "multicast (RFC 4291)"),
];

/// What the range of an address is for, where that is not hosts of the internet.
pub fn special_purpose(ip: IpAddr) -> Option<&'static str> {
    let ip = embedded_ipv4(ip);
    let holds = |range: &str| range.parse::<Cidr>().is_ok_and(|cidr| cidr.contains(ip));
    let listed = SPECIAL_PURPOSE.iter().find(|(range, _)| holds(range)).map(|(_, purpose)| *purpose);
    // So far IANA has assigned only 2000::/3.
    let is_unassigned = matches!(ip, IpAddr::V6(v6) if v6.segments()[0] >> 13 != 1);
    listed.or(is_unassigned.then_some("unassigned (RFC 4291)"))
}

/// AWS's own services on the link: resolver, metadata, time (fd00:ec2::253 and its kin).
pub fn is_aws_local(ip: IpAddr) -> bool {
    matches!(ip, IpAddr::V6(v6) if v6.segments()[..2] == [0xfd00, 0x0ec2])
}

/// A stand-in for "run by another operator": addresses of one operator are near one another
/// (1.1.1.1 and 1.0.0.1, 8.8.8.8 and 8.8.4.4), so only a different /8, or /32 of IPv6, counts.
pub fn operator(ip: IpAddr) -> u32 {
    match embedded_ipv4(ip) {
        IpAddr::V4(ip) => u32::from(ip.octets()[0]),
        IpAddr::V6(ip) => {
            let [a, b, c, d, ..] = ip.octets();
            u32::from_be_bytes([a, b, c, d])
        }
    }
}

fn scope_by_range(ip: IpAddr) -> Scope {
    let (special, private) = match ip {
        IpAddr::V4(ip) => {
            let [a, b, ..] = ip.octets();
            // 0/8 is "this network" (RFC 1122), 240/4 reserved (RFC 1112).
            let special = ip.is_loopback() || ip.is_link_local() || ip.is_multicast() || a == 0 || a >= 240;
            let shared = a == 100 && (64..128).contains(&b);
            (special, ip.is_private() || shared)
        }
        IpAddr::V6(ip) => {
            let special =
                ip.is_loopback() || ip.is_unspecified() || ip.is_multicast() || ip.is_unicast_link_local();
            (special, ip.is_unique_local())
        }
    };
    match (special, private) {
        (true, _) => Scope::Special,
        (false, true) => Scope::Private,
        (false, false) => Scope::Public,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn network() -> Network {
        let cidr = |text: &str| text.parse().unwrap();
        Network {
            vpc: vec![cidr("10.0.0.0/16"), cidr("100.64.0.0/16"), cidr("2001:db8:1234::/56")],
            expected: vec![cidr("10.50.0.0/16"), cidr("198.18.0.0/15")],
            metadata_off: false,
            of_host: vec![],
        }
    }

    #[test]
    fn an_address_is_private_by_membership_alone() {
        let scopes = [
            ("10.0.1.57", Scope::Vpc),
            ("10.0.255.255", Scope::Vpc),
            ("10.1.0.0", Scope::Private),
            ("100.64.3.4", Scope::Vpc),
            ("100.65.0.1", Scope::Private),
            ("100.63.255.255", Scope::Public),
            ("100.128.0.1", Scope::Public),
            ("10.50.0.9", Scope::Expected),
            ("198.18.0.1", Scope::Expected),
            ("172.16.0.1", Scope::Private),
            ("192.168.0.1", Scope::Private),
            ("203.0.113.20", Scope::Public),
            ("127.0.0.1", Scope::Special),
            ("0.0.0.0", Scope::Special),
            ("0.1.2.3", Scope::Special),
            ("169.254.1.1", Scope::Special),
            ("224.0.0.1", Scope::Special),
            ("239.1.1.1", Scope::Special),
            ("240.0.0.1", Scope::Special),
            ("255.255.255.255", Scope::Special),
            ("2001:db8:1234:1::57", Scope::Vpc),
            ("2001:db8:1234:100::57", Scope::Public),
            ("2001:db8:ffff::20", Scope::Public),
            ("fd00::1", Scope::Private),
            ("fe80::1", Scope::Special),
            ("::1", Scope::Special),
            ("::", Scope::Special),
            ("ff02::1", Scope::Special),
            ("64:ff9b::10.0.1.57", Scope::Vpc),
            ("64:ff9b::203.0.113.20", Scope::Public),
            ("64:ff9b::127.0.0.1", Scope::Special),
            ("::ffff:10.0.1.57", Scope::Vpc),
            ("::ffff:8.8.8.8", Scope::Public),
        ];
        for (ip, scope) in scopes {
            assert_eq!(network().scope(ip.parse().unwrap()), scope, "{ip}");
        }
        assert_eq!(Scope::ALL.map(Scope::is_inside), [true, true, false, false, false]);
        assert_eq!(Scope::ALL.map(Scope::code), ["vpc", "expected", "private", "public", "special"]);
    }

    #[test]
    fn a_range_that_covers_everything_still_does_not_cover_loopback() {
        let network = Network {
            vpc: vec!["0.0.0.0/0".parse().unwrap(), "::/0".parse().unwrap()],
            ..Network::default()
        };
        assert_eq!(network.scope("127.0.0.1".parse().unwrap()), Scope::Special);
        assert_eq!(network.scope("::1".parse().unwrap()), Scope::Special);
        assert_eq!(network.scope("8.8.8.8".parse().unwrap()), Scope::Vpc);
        assert_eq!(network.scope("2001:db8::1".parse().unwrap()), Scope::Vpc);
    }

    #[test]
    fn no_endpoint_is_at_an_address_of_this_host() {
        let own: Vec<IpAddr> = ["10.0.1.23", "10.50.0.9"].map(|ip| ip.parse().unwrap()).to_vec();
        let network = Network { of_host: own.clone(), ..network() };
        assert_eq!(own.iter().map(|ip| network.scope(*ip)).collect::<Vec<_>>(), [Scope::Special; 2]);
        assert_eq!(network.scope("::ffff:10.0.1.23".parse().unwrap()), Scope::Special);
        assert_eq!(network.scope("10.0.1.24".parse().unwrap()), Scope::Vpc);
    }

    #[test]
    fn the_ranges_of_vpc_lattice_are_private_where_they_are_meant() {
        let expecting = |cidrs: &[&str]| Network {
            expected: cidrs.iter().map(|cidr| cidr.parse().unwrap()).collect(),
            ..network()
        };
        let [v4, v6]: [IpAddr; 2] = ["169.254.171.32", "fd00:ec2:80::1"].map(|ip| ip.parse().unwrap());
        assert_eq!((network().scope(v4), network().scope(v6)), (Scope::Special, Scope::Private));
        let lattice = Network { expected: Cidr::LATTICE.to_vec(), ..network() };
        assert_eq!([v4, v6].map(|ip| lattice.scope(ip)), [Scope::Expected; 2]);
        assert_eq!(expecting(&["169.254.171.32/32"]).scope(v4), Scope::Expected);
        for wide in ["169.254.0.0/16", "128.0.0.0/1"] {
            assert_eq!(expecting(&[wide]).scope(v4), Scope::Special, "{wide}");
        }
        for other in ["169.254.169.254", "127.0.0.1", "169.254.170.255", "fe80::1"] {
            assert_eq!(lattice.scope(other.parse().unwrap()), Scope::Special, "{other}");
        }
    }

    #[test]
    fn nothing_is_known_until_a_range_is() {
        assert!(!Network::default().is_known());
        assert!(network().is_known());
        assert!(!Network { vpc: vec![], ..network() }.is_known());
        assert!(Network { vpc: vec![], metadata_off: true, ..network() }.is_known());
        assert!(!Network { metadata_off: true, ..Network::default() }.is_known());
        assert!(Network { expected: vec![], ..network() }.is_known());
    }

    #[test]
    fn each_family_is_known_by_its_own_ranges() {
        let [v4, v6]: [IpAddr; 2] = ["10.9.9.9", "2001:db8:ffff::1"].map(|ip| ip.parse().unwrap());
        let only = |cidr: &str| Network { vpc: vec![cidr.parse().unwrap()], ..Network::default() };
        assert_eq!([v4, v6].map(|ip| only("10.0.0.0/16").knows(ip)), [true, false]);
        assert_eq!([v4, v6].map(|ip| only("2001:db8::/56").knows(ip)), [false, true]);
        let expected =
            Network { vpc: vec![], expected: only("10.0.0.0/16").vpc, metadata_off: false, of_host: vec![] };
        assert!(!expected.knows(v4));
        assert!(Network { metadata_off: true, ..expected }.knows(v4));
    }

    #[test]
    fn ranges_wider_than_any_network_are_told() {
        let is_too_wide = |cidr: &str| cidr.parse::<Cidr>().unwrap().is_too_wide();
        assert!(["0.0.0.0/1", "128.0.0.0/1", "48.0.0.0/4", "2000::/3"].into_iter().all(is_too_wide));
        assert!(
            !["10.0.0.0/8", "100.64.0.0/10", "fc00::/7", "fd00::/8", "2600::/16"]
                .into_iter()
                .any(is_too_wide)
        );
    }

    #[test]
    fn ranges_wider_than_a_vpc_are_told() {
        for (cidr, is_of_a_vpc, is_wider) in [
            ("10.0.0.0/16", true, false),
            ("10.0.0.0/28", true, false),
            ("10.0.0.0/32", false, false),
            ("2001:db8::/44", true, false),
            ("2001:db8::/56", true, false),
            ("0.0.0.0/0", false, true),
            ("0.0.0.0/1", false, true),
            ("10.0.0.0/8", false, true),
            ("10.0.0.0/15", false, true),
            ("::/0", false, true),
            ("2000::/3", false, true),
            ("2001:db8::/43", false, true),
        ] {
            let range = cidr.parse::<Cidr>().unwrap();
            assert_eq!((range.is_of_a_vpc(), range.is_wider_than_a_vpc()), (is_of_a_vpc, is_wider), "{cidr}");
        }
    }

    #[test]
    fn regions_of_every_partition_are_regions() {
        for region in ["us-east-1", "us-gov-west-1", "cn-north-1", "eusc-de-east-1", "us-isob-east-1"] {
            assert!(is_region(region), "{region}");
        }
        for other in
            ["", "us", "us-1", "us-east", "us-east-1a", "US-EAST-1", "us--1", "us-east-0", "u-east-1"]
        {
            assert!(!is_region(other), "{other}");
        }
        assert!(!is_region(&format!("us-{}-1", "a".repeat(70_000))));
    }

    #[test]
    fn a_range_is_refused_with_the_way_to_write_it() {
        let error = |text: &str| text.parse::<Cidr>().unwrap_err().to_string();
        assert_eq!(error("10.0.1.0/16"), "CIDR \"10.0.1.0/16\" has host bits set; write 10.0.0.0/16");
        for text in ["10.0.0.0/33", "::/129", "10.0.0.0", "corp", "10.0.0/8", "10.0.0.0/x", "/8", ""] {
            assert!(error(text).starts_with("invalid CIDR"), "{text}");
        }
        for text in ["0.0.0.0/0", "10.0.0.1/32", "::/0", "2001:db8::1/128"] {
            assert_eq!(text.parse::<Cidr>().unwrap().to_string(), text);
        }
    }

    #[test]
    fn special_purpose_ranges_hold_no_host_of_the_internet() {
        assert!(SPECIAL_PURPOSE.iter().all(|(range, _)| range.parse::<Cidr>().is_ok()));
        for ip in [
            "192.0.2.1",
            "198.51.100.1",
            "203.0.113.9",
            "198.19.0.1",
            "10.0.0.1",
            "100.64.0.1",
            "127.0.0.1",
            "169.254.169.123",
            "0.0.0.1",
            "255.255.255.255",
            "224.0.0.1",
            "2001:db8::1",
            "100::1",
            "fd00::1",
            "fe80::1",
            "::1",
            "::",
            "3fff::1",
            "2002::1",
            "2001:0:1::",
            "4000::1",
            "64:ff9b::10.0.0.1",
            "64:ff9b::192.0.2.1",
            "64:ff9b:1::1",
            "ff02::1",
        ] {
            assert!(special_purpose(ip.parse().unwrap()).is_some(), "{ip}");
        }
        for ip in [
            "1.1.1.1",
            "8.8.8.8",
            "100.128.0.1",
            "2606:4700:4700::1111",
            "2001:4860:4860::8888",
            "64:ff9b::8.8.8.8",
        ] {
            assert_eq!(special_purpose(ip.parse().unwrap()), None, "{ip}");
        }
    }

    #[test]
    fn aws_local_services_are_known_by_their_prefix() {
        assert!(is_aws_local("fd00:ec2::253".parse().unwrap()));
        assert!(!is_aws_local("fd00:ec3::253".parse().unwrap()));
        assert!(!is_aws_local("169.254.169.253".parse().unwrap()));
    }

    #[test]
    fn neighbours_are_one_operator() {
        let operator = |ip: &str| operator(ip.parse().unwrap());
        assert_eq!(operator("1.1.1.1"), operator("1.0.0.1"));
        assert_eq!(operator("8.8.8.8"), operator("64:ff9b::8.8.8.8"));
        assert_eq!(operator("2606:4700:4700::1111"), operator("2606:4700:4700::1001"));
        let distinct = ["1.1.1.1", "8.8.8.8", "9.9.9.9", "2606:4700:4700::1111", "2620:fe::fe"];
        let mut operators: Vec<u32> = distinct.map(operator).to_vec();
        operators.dedup();
        assert_eq!(operators.len(), distinct.len());
    }
}
