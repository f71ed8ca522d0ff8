//! What one source sends to, by the request.

use std::collections::BTreeSet;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use crate::check::Family;
use crate::network::operator;
use crate::observation::{EgressProbe, EgressRequest, ProbeResult, Protocol, TargetHost};

const DNS: u16 = 53;
const NTP: u16 = 123;
const HTTPS: u16 = 443;

/// Addresses that cannot exist: for documentation (RFC 5737), and discard-only (RFC 6666).
const DECOY: IpAddr = IpAddr::V4(Ipv4Addr::new(192, 0, 2, 1));
const DECOY_V6: IpAddr = IpAddr::V6(Ipv6Addr::new(0x100, 0, 0, 0, 0, 0, 0, 1));

/// Silence counts only where hosts of so many operators are silent.
const OPERATORS: usize = 2;

#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Target {
    pub host: Option<String>,
    pub ip: IpAddr,
    pub decoy: bool,
    pub icmp: bool,
    pub tcp: Vec<u16>,
    pub udp: Vec<u16>,
}

impl Target {
    fn new(ip: IpAddr) -> Self {
        Self { host: None, ip, decoy: false, icmp: false, tcp: vec![], udp: vec![] }
    }

    /// Every protocol and port that it gets.
    pub fn kinds(&self) -> impl Iterator<Item = (Protocol, Option<u16>)> {
        let icmp = self.icmp.then_some((Protocol::Icmp, None));
        let tcp = self.tcp.iter().map(|port| (Protocol::Tcp, Some(*port)));
        let udp = self.udp.iter().map(|port| (Protocol::Udp, Some(*port)));
        icmp.into_iter().chain(tcp).chain(udp)
    }

    pub fn probe(
        &self,
        source: IpAddr,
        protocol: Protocol,
        port: Option<u16>,
        (sent, result): (u32, ProbeResult),
    ) -> EgressProbe {
        EgressProbe {
            host: self.host.clone(),
            source,
            ip: self.ip,
            protocol,
            port,
            decoy: self.decoy,
            sent,
            result,
            judged: None,
        }
    }

    /// The same address, with nothing to send yet.
    pub fn bare(&self) -> Self {
        Self { host: self.host.clone(), decoy: self.decoy, ..Self::new(self.ip) }
    }

    pub fn allow(&mut self, protocol: Protocol, port: Option<u16>) {
        match protocol {
            Protocol::Icmp => self.icmp = true,
            Protocol::Tcp => self.tcp.extend(port),
            Protocol::Udp => self.udp.extend(port),
        }
    }

    /// Two entries for one address are one target.
    fn add(&mut self, other: &Self) {
        self.icmp |= other.icmp;
        for (ports, more) in [(&mut self.tcp, &other.tcp), (&mut self.udp, &other.udp)] {
            let new: Vec<u16> = more.iter().filter(|port| !ports.contains(port)).copied().collect();
            ports.extend(new);
        }
    }
}

/// Public addresses all over the address space, for route lookups alone: nothing is sent to them.
pub fn elsewhere(family: Family) -> &'static [IpAddr] {
    const V4: [IpAddr; 8] = [
        v4(3, 5, 7, 9),
        v4(20, 40, 60, 80),
        v4(52, 94, 76, 1),
        v4(81, 2, 69, 142),
        v4(104, 16, 1, 1),
        v4(142, 250, 1, 1),
        v4(185, 60, 1, 1),
        v4(212, 58, 1, 1),
    ];
    const V6: [IpAddr; 6] = [
        v6(0x2001, 0x500),
        v6(0x2400, 0xcb00),
        v6(0x2600, 0x1f00),
        v6(0x2620, 0x1ec),
        v6(0x2804, 0x14),
        v6(0x2a00, 0x1450),
    ];
    match family {
        Family::Ipv4 => &V4,
        Family::Ipv6 => &V6,
    }
}

const fn v4(a: u8, b: u8, c: u8, d: u8) -> IpAddr {
    IpAddr::V4(Ipv4Addr::new(a, b, c, d))
}

const fn v6(first: u16, second: u16) -> IpAddr {
    IpAddr::V6(Ipv6Addr::new(first, second, 0, 0, 0, 0, 0, 1))
}

pub fn of(request: &EgressRequest) -> Vec<Target> {
    let settings = &request.settings;
    let icmp = settings.probes(Protocol::Icmp);
    let tcp = settings.ports(Protocol::Tcp);
    let has = |port: u16| settings.ports(Protocol::Udp).contains(&port).then_some(port);
    let literals = settings.addresses.iter().map(|ip| Target {
        icmp,
        tcp: tcp.to_vec(),
        udp: has(DNS).into_iter().collect(),
        ..Target::new(*ip)
    });
    let time = settings.time_servers.iter().filter_map(|ip| {
        let udp = vec![has(NTP)?];
        Some(Target { udp, ..Target::new(*ip) })
    });
    let named = request
        .named
        .iter()
        .filter(|(host, _)| settings.hosts.contains(host))
        .map(|(host, ip)| Target { host: Some(host.clone()), icmp, tcp: tcp.to_vec(), ..Target::new(*ip) });
    let mut targets: Vec<Target> = Vec::new();
    for target in literals.chain(time).chain(own(request)).chain(named) {
        match targets.iter_mut().find(|known| (known.ip, &known.host) == (target.ip, &target.host)) {
            Some(known) => known.add(&target),
            None => targets.push(target),
        }
    }
    targets.retain(|target| Family::of(target.ip) == request.family && target.kinds().next().is_some());
    if settings.decoys && !targets.is_empty() {
        targets.push(decoy(request.family, &targets));
    }
    targets
}

/// Those that `[[egress.target]]` names, of both families.
pub fn own(request: &EgressRequest) -> impl Iterator<Item = Target> {
    request.settings.own_targets.iter().flat_map(|own| {
        let addresses: Vec<(Option<String>, IpAddr)> = match &own.host {
            TargetHost::Address(ip) => vec![(None, *ip)],
            TargetHost::Name(name) => {
                let named = request.named.iter().filter(|(host, _)| host == name);
                named.map(|(host, ip)| (Some(host.clone()), *ip)).collect()
            }
        };
        addresses.into_iter().map(|(host, ip)| Target {
            host,
            icmp: own.icmp,
            tcp: own.tcp_ports.clone(),
            udp: own.udp_ports.clone(),
            ..Target::new(ip)
        })
    })
}

/// It gets whatever any target gets, so that each reply can be compared with it.
fn decoy(family: Family, targets: &[Target]) -> Target {
    let ip = if family == Family::Ipv4 { DECOY } else { DECOY_V6 };
    let mut decoy = Target { decoy: true, ..Target::new(ip) };
    for target in targets {
        decoy.add(target);
    }
    decoy
}

/// For a source beyond the first: one ping and one TCP port, or one UDP port where there is
/// neither, at one literal of each of two operators.
pub fn reduced(targets: &[Target]) -> Vec<Target> {
    let mut operators = BTreeSet::new();
    let literals = targets.iter().filter(|target| !target.decoy && target.host.is_none());
    let first = literals.filter(|target| target.icmp || !target.tcp.is_empty() || target.udp.contains(&DNS));
    let one = |target: &Target| {
        let tcp = target.tcp.iter().find(|port| **port == HTTPS).or(target.tcp.first()).copied();
        let udp = target.udp.first().copied().filter(|_| !target.icmp && tcp.is_none());
        Target { tcp: tcp.into_iter().collect(), udp: udp.into_iter().collect(), ..target.clone() }
    };
    first.filter(|target| operators.insert(operator(target.ip))).take(OPERATORS).map(one).collect()
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;
    use crate::observation::{EgressSettings, OwnTarget};

    fn request(change: impl FnOnce(&mut EgressSettings)) -> EgressRequest {
        let ips = |texts: &[&str]| texts.iter().map(|ip| ip.parse().unwrap()).collect();
        let mut settings = EgressSettings {
            families: Family::BOTH.to_vec(),
            protocols: Protocol::ALL.to_vec(),
            hosts: vec!["www.amazon.com".into()],
            addresses: ips(&["1.1.1.1", "1.0.0.1", "8.8.8.8", "2606:4700:4700::1111"]),
            time_servers: ips(&["162.159.200.1"]),
            tcp_ports: vec![80, 443],
            udp_ports: vec![53, 123],
            own_targets: vec![],
            sources: vec![],
            decoys: true,
            other_routes: true,
            window: Duration::from_secs(1),
        };
        change(&mut settings);
        let named = vec![("www.amazon.com".to_owned(), "198.51.100.7".parse().unwrap())];
        EgressRequest {
            family: Family::Ipv4,
            settings,
            named,
            unresolved: vec![],
            gaps: vec![],
            inside: vec![],
        }
    }

    fn shown(targets: &[Target]) -> Vec<String> {
        let show = |target: &Target| {
            let icmp = if target.icmp { " icmp" } else { "" };
            format!("{}{icmp} {:?} {:?}", target.ip, target.tcp, target.udp)
        };
        targets.iter().map(show).collect()
    }

    #[test]
    fn every_literal_gets_every_protocol_and_the_decoy_what_any_gets() {
        let expected = [
            "1.1.1.1 icmp [80, 443] [53]",
            "1.0.0.1 icmp [80, 443] [53]",
            "8.8.8.8 icmp [80, 443] [53]",
            "162.159.200.1 [] [123]",
            "198.51.100.7 icmp [80, 443] []",
            "192.0.2.1 icmp [80, 443] [53, 123]",
        ];
        assert_eq!(shown(&of(&request(|_| {}))), expected);
    }

    #[test]
    fn what_is_turned_off_is_not_sent() {
        let targets = of(&request(|settings| {
            settings.protocols = vec![Protocol::Tcp];
            settings.tcp_ports = vec![443];
            settings.decoys = false;
            settings.hosts.clear();
        }));
        assert_eq!(shown(&targets), ["1.1.1.1 [443] []", "1.0.0.1 [443] []", "8.8.8.8 [443] []"]);
    }

    #[test]
    fn an_own_target_has_its_own_ports_and_so_has_the_decoy() {
        let targets = of(&request(|settings| {
            settings.protocols = vec![Protocol::Icmp];
            settings.addresses.truncate(1);
            settings.hosts.clear();
            settings.own_targets = vec![
                OwnTarget {
                    host: TargetHost::Name("www.amazon.com".into()),
                    icmp: false,
                    tcp_ports: vec![22],
                    udp_ports: vec![],
                },
                OwnTarget {
                    host: TargetHost::Address("1.1.1.1".parse().unwrap()),
                    icmp: false,
                    tcp_ports: vec![8443],
                    udp_ports: vec![500],
                },
            ];
        }));
        let expected =
            ["1.1.1.1 icmp [8443] [500]", "198.51.100.7 [22] []", "192.0.2.1 icmp [8443, 22] [500]"];
        assert_eq!(shown(&targets), expected);
    }

    #[test]
    fn a_reduced_source_gets_one_ping_and_one_port_at_two_operators() {
        let targets = reduced(&of(&request(|_| {})));
        assert_eq!(shown(&targets), ["1.1.1.1 icmp [443] []", "8.8.8.8 icmp [443] []"]);
        let targets = reduced(&of(&request(|settings| settings.protocols = vec![Protocol::Udp])));
        assert_eq!(shown(&targets), ["1.1.1.1 [] [53]", "8.8.8.8 [] [53]"]);
    }
}
