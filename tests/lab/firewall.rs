//! The nftables rules of the router, the internet and the instance, derived as a
//! whole from the faults. No connection tracking on the way but for NAT64: what a fault
//! forbids stops at once, on open connections too.

use super::address::{
    CORPORATE_DNS, CORPORATE_DNS_B, CORPORATE_DNS_C, ENDPOINT_A, ENDPOINT_B, INSTANCE, INTERNET, INTERNET_V6,
    LINK_LOCAL, METADATA, METADATA_V6, PUBLIC_S3, PUBLIC_S3_ELSEWHERE, RESOLVER, RESOLVER_LINK_LOCAL,
    RESOLVER_V6, SECOND_INTERFACE, SECONDARY, VPC_CIDR_V6,
};
use super::behaviour::Sign;
use super::fault::{Fault, Faults};
use super::host::tool;
use super::long_way::INTERFACE as LONG_WAY;
use super::nat64;

/// Replaces the rules of the calling thread's namespace in one transaction.
pub fn apply(rules: &str) -> Result<(), String> {
    let input = format!("table inet lab\ndelete table inet lab\ntable inet lab {{\n{rules}}}\n");
    tool("nft", &["-f", "-"], &input).map(drop).map_err(|error| {
        format!("{error}\nthe kernel needs nftables (CONFIG_NF_TABLES_INET, `modprobe nf_tables`)")
    })
}

/// A VPC drops what an interface sends from an address that is not its own (source check).
pub fn router(faults: &Faults, nat64: bool) -> String {
    let (exchange, translated) =
        if nat64 { (nat64::exchange(), nat64::FORWARD) } else { (String::new(), "") };
    let broken =
        chain("faults", &[broken_endpoint(faults), changing(faults), broken_services(faults)].concat());
    let egress = chain("egress", &egress(faults));
    let company = [CORPORATE_DNS, CORPORATE_DNS_B, CORPORATE_DNS_C].map(|ip| ip.to_string()).join(", ");
    format!(
        "{MEMORY}{broken}{egress}{exchange}\
         chain spoofed {{\n\
         iifname instance ip saddr != {{ {INSTANCE}, {SECONDARY}, {LINK_LOCAL} }} drop\n\
         iifname instance-1 ip saddr != {SECOND_INTERFACE} drop\n\
         }}\n\
         chain input {{\n\
         type filter hook input priority 0; policy drop;\n\
         iifname lo accept\n\
         jump spoofed\n\
         icmpv6 type {{ nd-neighbor-solicit, nd-neighbor-advert }} accept\n\
         jump faults\n\
         ip daddr {{ {RESOLVER}, {RESOLVER_LINK_LOCAL} }} meta l4proto {{ tcp, udp }} th dport 53 accept\n\
         iifname instance ip6 daddr fe80::1 meta l4proto {{ tcp, udp }} th dport 53 accept\n\
         ip6 daddr {RESOLVER_V6} meta l4proto {{ tcp, udp }} th dport 53 accept\n\
         ip daddr {METADATA} tcp dport 80 accept\n\
         ip6 daddr {METADATA_V6} tcp dport 80 accept\n\
         }}\n\
         chain forward {{\n\
         type filter hook forward priority 0; policy drop;\n\
         jump spoofed\n\
         jump faults\n\
         iifname {{ instance, instance-1 }} oifname {{ endpoint-a, endpoint-b }} tcp dport 443 accept\n\
         iifname {{ endpoint-a, endpoint-b }} oifname {{ instance, instance-1 }} tcp sport 443 accept\n\
         iifname instance ip daddr {{ {company} }} meta l4proto {{ tcp, udp }} th dport 53 accept\n\
         oifname instance ip saddr {{ {company} }} meta l4proto {{ tcp, udp }} th sport 53 accept\n\
         iifname {{ instance, instance-1 }} oifname internet jump egress\n\
         iifname internet oifname {{ instance, instance-1 }} jump egress\n\
         {translated}\
         }}\n"
    )
}

/// What the faults that come and go remember. Replacing the rules forgets it.
const MEMORY: &str = "set begun { type ipv4_addr . inet_service . ipv4_addr; flags dynamic; size 65535; }
set shut { type ipv4_addr; flags dynamic; size 64; }
set turned { type ipv4_addr; flags dynamic; size 64; }
";

/// Faults that come, or go, while an attempt is under way.
fn changing(faults: &Faults) -> Vec<String> {
    const BEGINS: &str = "iifname instance oifname { endpoint-a, endpoint-b } tcp flags & (syn|ack) == syn";
    const CONNECTION: &str = "ip saddr . tcp sport . ip daddr";
    let signed = |sign: Sign| {
        format!("iifname {{ endpoint-a, endpoint-b }} oifname instance ip dscp cs{}", sign.class())
    };
    let rules = [
        (Fault::SynLost, vec![format!("{BEGINS} {CONNECTION} != @begun add @begun {{ {CONNECTION} }} drop")]),
        // As in a VPC: what is established goes on.
        (
            Fault::EndpointShutAfterAnswer,
            vec![
                format!("{} add @shut {{ ip saddr }}", signed(Sign::WithAnswer)),
                format!("{BEGINS} ip daddr @shut drop"),
            ],
        ),
        (Fault::EndpointMuteAfterHandshake, vec![format!("{} drop", signed(Sign::AfterHandshake))]),
    ];
    in_force(faults, rules)
}

/// What gets between the instance and the endpoint.
fn broken_endpoint(faults: &Faults) -> Vec<String> {
    const TO_ENDPOINT: &str = "iifname instance oifname { endpoint-a, endpoint-b }";
    const FROM_ENDPOINT: &str = "iifname { endpoint-a, endpoint-b } oifname instance";
    let rules = [
        (
            Fault::InstanceEgressBlocked,
            // Names its ways out one by one: the chain also sees what is for the router
            // itself, resolver and metadata, which no security group filters.
            vec!["iifname instance oifname { endpoint-a, endpoint-b, corp-dns, internet } drop".to_owned()],
        ),
        (Fault::EndpointSgSilent, vec![format!("{TO_ENDPOINT} drop")]),
        (Fault::EndpointSgRefused, vec![format!("{TO_ENDPOINT} meta l4proto tcp reject with tcp reset")]),
        (Fault::EndpointReturnBlocked, vec![format!("{FROM_ENDPOINT} tcp dport 1024-65535 drop")]),
        (Fault::EndpointASilent, vec!["iifname instance oifname endpoint-a drop".to_owned()]),
        (Fault::EndpointBSilent, vec!["iifname instance oifname endpoint-b drop".to_owned()]),
        (
            Fault::EndpointARefused,
            vec!["iifname instance oifname endpoint-a meta l4proto tcp reject with tcp reset".to_owned()],
        ),
        (
            Fault::EndpointLossy,
            vec![
                format!("{TO_ENDPOINT} numgen random mod 100 < 30 drop"),
                format!("{FROM_ENDPOINT} numgen random mod 100 < 30 drop"),
            ],
        ),
        (Fault::MtuBlackHole, vec![format!("{FROM_ENDPOINT} meta length > 600 drop")]),
        (Fault::MtuBlackHoleOutwards, vec![format!("{TO_ENDPOINT} meta length >= 1500 drop")]),
    ];
    in_force(faults, rules)
}

/// What gets between the instance and resolver or metadata.
fn broken_services(faults: &Faults) -> Vec<String> {
    let resolver = format!("iifname instance ip daddr {{ {RESOLVER}, {RESOLVER_LINK_LOCAL} }}");
    let resolver_v6 = format!("iifname instance ip6 daddr {RESOLVER_V6}");
    let metadata = format!("iifname instance ip daddr {METADATA}");
    let metadata_v6 = format!("iifname instance ip6 daddr {METADATA_V6}");
    let both = |subject: &str, subject_v6: &str, rule: &str| {
        vec![format!("{subject} {rule}"), format!("{subject_v6} {rule}")]
    };
    let rules = [
        (Fault::DnsSilent, both(&resolver, &resolver_v6, "drop")),
        (
            Fault::DnsPortClosed,
            [
                both(&resolver, &resolver_v6, "meta l4proto tcp reject with tcp reset"),
                both(&resolver, &resolver_v6, "meta l4proto udp reject with icmpx port-unreachable"),
            ]
            .concat(),
        ),
        (Fault::DnsTruncatedNoTcp, both(&resolver, &resolver_v6, "tcp dport 53 drop")),
        (Fault::ResolverV6Silent, vec![format!("{resolver_v6} drop")]),
        (Fault::MetadataSilent, both(&metadata, &metadata_v6, "drop")),
        (Fault::MetadataIpv4Silent, vec![format!("{metadata} drop")]),
        (Fault::MetadataOverLinkLocal, vec![format!("{metadata_v6} drop")]),
        (Fault::MetadataRefused, both(&metadata, &metadata_v6, "meta l4proto tcp reject with tcp reset")),
    ];
    in_force(faults, rules)
}

/// What happens between the instance and the internet; dropped by the forward
/// chain's policy where no rule says otherwise.
fn egress(faults: &Faults) -> Vec<String> {
    const OUT: &str = "iifname instance";
    const SYN: &str = "meta l4proto tcp tcp flags & (syn|ack) == syn";
    const CONNECTION: &str = "ip saddr . tcp sport . ip daddr";
    // Ping of the agent has 52 bytes. The second of its waves finds the route changed.
    const NINTH_PING: &str = "iifname instance meta l4proto icmp quota over 416 bytes";
    let rules = [
        (
            Fault::NatOpensMidway,
            vec![
                format!("{NINTH_PING} add @turned {{ ip saddr }}"),
                "ip saddr @turned accept".to_owned(),
                "ip daddr @turned accept".to_owned(),
            ],
        ),
        (
            Fault::NatClosesMidway,
            vec![
                format!("{NINTH_PING} add @turned {{ ip saddr }}"),
                "ip saddr @turned drop".to_owned(),
                "meta nfproto ipv4 accept".to_owned(),
            ],
        ),
        (
            Fault::NatOpenFirstSynLost,
            vec![
                format!("{OUT} {SYN} {CONNECTION} != @begun add @begun {{ {CONNECTION} }} drop"),
                "meta nfproto ipv4 meta l4proto tcp accept".to_owned(),
            ],
        ),
        (Fault::AwsOpen, s3_of_any_region()),
        (Fault::NatOpenSlow, vec!["meta nfproto ipv4 accept".to_owned()]),
        (Fault::NatOpenNtpOnly, ports("udp", "123")),
        (Fault::NatOpenOddPorts, ports("tcp", "{ 22, 8443 }")),
        (
            Fault::SecondInterfaceOpen,
            vec![
                format!("ip saddr {SECOND_INTERFACE} accept"),
                format!("ip daddr {SECOND_INTERFACE} accept"),
            ],
        ),
        (
            Fault::SecondaryAddressOpen,
            vec![format!("ip saddr {SECONDARY} accept"), format!("ip daddr {SECONDARY} accept")],
        ),
        (Fault::EgressResetByTarget, vec!["meta nfproto ipv4 meta l4proto tcp accept".to_owned()]),
        // The agent sends 10 packets and more at each of 4 targets: all of them are lost in one run
        // of 16 million (0.66 to the 40th). What comes back is spared.
        (Fault::NatOpenLossy, vec![format!("{OUT} meta nfproto ipv4 numgen random mod 100 < 66 drop")]),
        (Fault::NatOpenLossy, vec!["meta nfproto ipv4 accept".to_owned()]),
        (Fault::NatOpen, vec!["meta nfproto ipv4 accept".to_owned()]),
        (Fault::NatOpenTcpOnly, vec!["meta nfproto ipv4 meta l4proto tcp accept".to_owned()]),
        (Fault::NatOpenIcmpOnly, vec!["meta l4proto icmp accept".to_owned()]),
        (Fault::NatOpenUdpOnly, vec!["meta nfproto ipv4 meta l4proto udp accept".to_owned()]),
        (Fault::Ipv6EgressOpen, vec!["meta nfproto ipv6 accept".to_owned()]),
        (
            Fault::Nat64Open,
            vec!["ip6 daddr 64:ff9b::/96 accept".to_owned(), "ip6 saddr 64:ff9b::/96 accept".to_owned()],
        ),
        (Fault::EgressRejectedOutside, vec!["accept".to_owned()]),
        (Fault::EgressTcpReset, vec![format!("{OUT} meta l4proto tcp reject with tcp reset")]),
        (Fault::EgressRejectedInside, vec![format!("{OUT} reject with icmpx admin-prohibited")]),
        (Fault::EgressRejectedPrivately, vec![format!("{OUT} reject with icmpx admin-prohibited")]),
        (
            Fault::EgressRejectedByAws,
            vec![format!("{OUT} meta nfproto ipv6 reject with icmpx admin-prohibited")],
        ),
    ];
    in_force(faults, rules)
}

/// The way of a firewall that admits AWS's names.
fn s3_of_any_region() -> Vec<String> {
    let way = |side: &str| {
        format!("ip {side}addr {{ {PUBLIC_S3}, {PUBLIC_S3_ELSEWHERE} }} tcp {side}port 443 accept")
    };
    vec![way("d"), way("s")]
}

/// One port of the internet over IPv4, both ways.
fn ports(protocol: &str, port: &str) -> Vec<String> {
    let way = |side: &str| format!("meta nfproto ipv4 {protocol} {side} {port} accept");
    vec![way("dport"), way("sport")]
}

/// The internet host: whether it answers or rejects. One socket answers DNS for all
/// its addresses, by translation.
pub fn internet(faults: &Faults) -> String {
    let reject = if faults.has(Fault::EgressRejectedOutside) {
        "iifname eth0 meta nfproto ipv4 meta mark set 1\n\
         iifname eth0 ip6 daddr 2000::/3 meta mark set 1\n\
         iifname eth0 ip6 daddr 64:ff9b::/96 meta mark set 1\n"
    } else {
        ""
    };
    let reset = if faults.has(Fault::EgressResetByTarget) {
        "iifname eth0 meta nfproto ipv4 meta l4proto tcp reject with tcp reset\n"
    } else {
        ""
    };
    // Addresses that cannot exist are nowhere on the internet.
    let nowhere = "iifname eth0 ip daddr 192.0.2.0/24 drop\niifname eth0 ip6 daddr 100::/64 drop\n";
    format!(
        "chain arriving {{\ntype filter hook prerouting priority -150; policy accept;\n{nowhere}{reject}}}\n\
         chain local {{\ntype filter hook input priority 0; policy accept;\n{reset}}}\n\
         chain forward {{\ntype filter hook forward priority 0; policy drop;\n\
         iifname {LONG_WAY} accept\nmeta mark 1 reject with icmpx admin-prohibited\n}}\n\
         chain held {{\ntype filter hook prerouting priority raw; policy accept;\niifname {LONG_WAY} notrack\n}}\n\
         chain names {{\ntype nat hook prerouting priority dstnat; policy accept;\n\
         iifname eth0 meta nfproto ipv4 udp dport 53 dnat ip to {INTERNET}\n\
         iifname eth0 meta nfproto ipv6 udp dport 53 dnat ip6 to {INTERNET_V6}\n\
         iifname eth0 meta nfproto ipv4 udp dport 123 dnat ip to {INTERNET}\n\
         iifname eth0 meta nfproto ipv6 udp dport 123 dnat ip6 to {INTERNET_V6}\n\
         }}\n"
    )
}

/// The instance's own firewall.
pub fn instance(faults: &Faults, link_local_blocked: bool) -> String {
    const OUTSIDE: &str = "ip daddr != { 10.0.0.0/8, 100.64.0.0/10, 127.0.0.0/8, 169.254.0.0/16 }";
    let outside_v6 = format!("ip6 daddr != {{ {VPC_CIDR_V6}, fd00:ec2::/32, fe80::/10, ff00::/8, ::1 }}");
    let both = |action: &str| vec![format!("{OUTSIDE} {action}"), format!("{outside_v6} {action}")];
    let to_resolver = |action: &str| {
        vec![
            format!("ip daddr {{ {RESOLVER}, {RESOLVER_LINK_LOCAL} }} th dport 53 {action}"),
            format!("ip6 daddr {RESOLVER_V6} th dport 53 {action}"),
        ]
    };
    let endpoint = format!("ip daddr {{ {ENDPOINT_A}, {ENDPOINT_B} }} tcp dport 443");
    let mut rules = in_force(
        faults,
        [
            (Fault::SendBlocked, both("drop")),
            (Fault::SendRejected, both("reject with icmpx admin-prohibited")),
            (Fault::HostDropsDns, to_resolver("drop")),
            (Fault::HostRejectsDns, to_resolver("reject")),
            (Fault::HostDropsTcp, vec![format!("{endpoint} drop")]),
            (Fault::HostRejectsTcp, vec![format!("{endpoint} reject")]),
            (Fault::HostDropsLarge, vec![format!("{endpoint} meta length >= 1500 drop")]),
        ],
    );
    let redirects = in_force(
        faults,
        [
            (Fault::DnsRedirected, vec![format!("{OUTSIDE} udp dport 53 dnat ip to {RESOLVER}")]),
            (
                Fault::TcpRedirected,
                vec![format!("{OUTSIDE} tcp dport {{ 80, 443 }} dnat ip to {ENDPOINT_A}:443")],
            ),
        ],
    );
    let redirect = if redirects.is_empty() {
        String::new()
    } else {
        let rules = redirects.join("\n");
        format!("chain redirected {{\ntype nat hook output priority -100; policy accept;\n{rules}\n}}\n")
    };
    if link_local_blocked {
        rules.push(format!("ip daddr {RESOLVER_LINK_LOCAL} drop"));
    }
    let rules = rules.join("\n");
    format!("{redirect}chain output {{\ntype filter hook output priority 0; policy accept;\n{rules}\n}}\n")
}

/// Counters on the internet host, apart from the rules above so that a fault does
/// not reset them. Neighbour discovery is the cable's business and not counted.
pub const TRUTH: &str = "table inet truth {
counter ipv4-icmp { }
counter ipv4-tcp { }
counter ipv4-udp { }
counter ipv4-other { }
counter ipv6-icmp { }
counter ipv6-tcp { }
counter ipv6-udp { }
counter ipv6-other { }
chain arriving {
type filter hook prerouting priority -300; policy accept;
iifname != eth0 accept
ip6 daddr { fe80::/10, ff00::/8 } accept
meta nfproto ipv4 meta l4proto icmp counter name ipv4-icmp accept
meta nfproto ipv4 meta l4proto tcp counter name ipv4-tcp accept
meta nfproto ipv4 meta l4proto udp counter name ipv4-udp accept
meta nfproto ipv4 counter name ipv4-other accept
meta nfproto ipv6 meta l4proto icmpv6 counter name ipv6-icmp accept
meta nfproto ipv6 meta l4proto tcp counter name ipv6-tcp accept
meta nfproto ipv6 meta l4proto udp counter name ipv6-udp accept
meta nfproto ipv6 counter name ipv6-other accept
}
}
";

/// Packets of the instance that arrived at the internet host.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
pub struct Reached {
    pub ipv4: Packets,
    pub ipv6: Packets,
}

#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
pub struct Packets {
    pub icmp: u64,
    pub tcp: u64,
    pub udp: u64,
    pub other: u64,
}

impl Reached {
    pub fn total(&self) -> u64 {
        [self.ipv4, self.ipv6]
            .iter()
            .map(|packets| packets.icmp + packets.tcp + packets.udp + packets.other)
            .sum()
    }

    /// Runs on the internet host.
    pub fn read() -> Result<Self, String> {
        let listing = tool("nft", &["list", "counters", "table", "inet", "truth"], "")?;
        let mut words = listing.split_whitespace();
        let mut reached = Self::default();
        let mut name = "";
        while let Some(word) = words.next() {
            match word {
                "counter" => name = words.next().unwrap_or_default(),
                "packets" => {
                    let packets = words.next().and_then(|count| count.parse().ok());
                    let packets = packets.ok_or_else(|| format!("cannot read nft's counters: {listing}"))?;
                    if let Some(counter) = reached.counter(name) {
                        *counter = packets;
                    }
                }
                _ => {}
            }
        }
        Ok(reached)
    }

    fn counter(&mut self, name: &str) -> Option<&mut u64> {
        let (family, protocol) = name.split_once('-')?;
        let packets = if family == "ipv4" { &mut self.ipv4 } else { &mut self.ipv6 };
        match protocol {
            "icmp" => Some(&mut packets.icmp),
            "tcp" => Some(&mut packets.tcp),
            "udp" => Some(&mut packets.udp),
            "other" => Some(&mut packets.other),
            _ => None,
        }
    }
}

fn in_force<const N: usize>(faults: &Faults, rules: [(Fault, Vec<String>); N]) -> Vec<String> {
    rules.into_iter().filter(|(fault, _)| faults.has(*fault)).flat_map(|(_, rules)| rules).collect()
}

fn chain(name: &str, rules: &[String]) -> String {
    format!("chain {name} {{\n{}\n}}\n", rules.join("\n"))
}
