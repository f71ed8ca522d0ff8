//! Ways off this host that no probe takes: the kernel may route a packet by the interface that its
//! socket is bound to, or by a rule for a mark, a user, a port or a type of service.

use std::collections::BTreeSet;
use std::net::IpAddr;

use netlink_packet_core::{DefaultNla, Nla};
use netlink_packet_route::route::{RouteAddress, RouteAttribute, RouteMessage, RouteType, RouteVia};
use netlink_packet_route::rule::{RuleAttribute, RuleMessage};
use nix::ifaddrs::getifaddrs;
use nix::net::if_::{InterfaceFlags, if_indextoname, if_nametoindex};

use super::netlink::{Packet, entry_of, rules};
use super::targets::Target;
use crate::check::Family;
use crate::network::Cidr;
use crate::observation::EgressGap;

/// Rules with conditions, and interfaces: the first so many are looked at.
const MOST_RULES: usize = 512;
const MOST_INTERFACES: usize = 512;

/// FRA_DSCP of fib_rules.h: the type of service without its two lowest bits.
const DSCP: u16 = 25;

/// Where a packet goes first: the router, or `None` on the link, and the interface.
#[derive(Clone, Copy, Debug, Eq, Ord, PartialEq, PartialOrd)]
struct Hop {
    router: Option<IpAddr>,
    device: u32,
}

/// Beside the ways of what is sent from these sources to this target.
pub fn others(sources: &[IpAddr], target: &Target) -> Vec<EgressGap> {
    let usual = usual(sources, target);
    let mut gaps: Vec<EgressGap> = Vec::new();
    let mut add = |rule: Option<u32>, hop: &Hop| {
        let gap = EgressGap::OtherWay { rule, router: hop.router, interface: name(hop.device) };
        if !gaps.contains(&gap) {
            gaps.push(gap);
        }
    };
    for device in interfaces() {
        let packet = Packet { device: Some(device), ..Packet::to(target.ip) };
        hops(&packet).difference(&usual).for_each(|hop| add(None, hop));
    }
    // A kernel that does not tell its rules is one that has no others than for sources.
    let rules = rules(Family::of(target.ip)).unwrap_or_default();
    let asked = rules.iter().map(|rule| (priority(rule), packets(rule, sources, target.ip)));
    for (rule, packets) in asked.filter(|(_, packets)| !packets.is_empty()).take(MOST_RULES) {
        for (packet, without) in packets {
            let usual: BTreeSet<Hop> = usual.union(&hops(&without)).copied().collect();
            hops(&packet).difference(&usual).for_each(|hop| add(Some(rule), hop));
        }
    }
    gaps
}

fn usual(sources: &[IpAddr], target: &Target) -> BTreeSet<Hop> {
    let packets = sources.iter().flat_map(|source| {
        target.kinds().map(|(protocol, port)| Packet::of(*source, target.ip, protocol, port))
    });
    packets.flat_map(|packet| hops(&packet)).collect()
}

/// Empty where there is no way off this host.
fn hops(packet: &Packet) -> BTreeSet<Hop> {
    let Ok(Ok(route)) = entry_of(packet) else { return BTreeSet::new() };
    if route.header.kind == RouteType::Unicast { hops_of(&route) } else { BTreeSet::new() }
}

fn hops_of(route: &RouteMessage) -> BTreeSet<Hop> {
    let hop = |attributes: &[RouteAttribute], device| Hop { router: router(attributes), device };
    let mut hops = BTreeSet::new();
    for attribute in &route.attributes {
        match attribute {
            RouteAttribute::Oif(device) => {
                hops.insert(hop(&route.attributes, *device));
            }
            RouteAttribute::MultiPath(several) => {
                hops.extend(several.iter().map(|next| hop(&next.attributes, next.interface_index)));
            }
            _ => {}
        }
    }
    hops
}

fn router(attributes: &[RouteAttribute]) -> Option<IpAddr> {
    attributes.iter().find_map(|attribute| match attribute {
        RouteAttribute::Gateway(RouteAddress::Inet(ip)) => Some(IpAddr::V4(*ip)),
        RouteAttribute::Gateway(RouteAddress::Inet6(ip)) => Some(IpAddr::V6(*ip)),
        RouteAttribute::Via(RouteVia::Inet(ip)) => Some(IpAddr::V4(*ip)),
        RouteAttribute::Via(RouteVia::Inet6(ip)) => Some(IpAddr::V6(*ip)),
        _ => None,
    })
}

/// Interfaces that are up, without loopback.
fn interfaces() -> Vec<u32> {
    let is_link = |flags: InterfaceFlags| {
        flags.contains(InterfaceFlags::IFF_UP) && !flags.contains(InterfaceFlags::IFF_LOOPBACK)
    };
    let names: BTreeSet<String> = getifaddrs()
        .into_iter()
        .flatten()
        .filter(|interface| is_link(interface.flags))
        .map(|interface| interface.interface_name)
        .collect();
    names.iter().take(MOST_INTERFACES).filter_map(|name| if_nametoindex(name.as_str()).ok()).collect()
}

fn name(device: u32) -> String {
    let name = if_indextoname(device).ok().and_then(|name| name.into_string().ok());
    name.unwrap_or_else(|| format!("interface {device}"))
}

/// For each source that a rule is about, a packet that meets its conditions, and one that does not.
/// Of a rule without such a condition there is none: probes meet it themselves.
fn packets(rule: &RuleMessage, sources: &[IpAddr], target: IpAddr) -> Vec<(Packet, Packet)> {
    let (from, to) = prefixes(rule);
    // A rule about other targets is asked with one of those.
    let target = to.filter(|(_, range)| !range.contains(target)).map_or(target, |(ip, _)| ip);
    let sources = sources.iter().filter(|source| from.is_none_or(|(_, range)| range.contains(**source)));
    let pair = |source: &IpAddr| {
        let without = Packet { source: Some(*source), ..Packet::to(target) };
        Some((meeting(rule, &without)?, without))
    };
    sources.filter_map(pair).collect()
}

type Prefix = Option<(IpAddr, Cidr)>;

fn prefixes(rule: &RuleMessage) -> (Prefix, Prefix) {
    let range = |ip: IpAddr, length: u8| Some((ip, format!("{ip}/{length}").parse().ok()?));
    let (mut from, mut to) = (None, None);
    for attribute in &rule.attributes {
        match attribute {
            RuleAttribute::Source(ip) => from = range(*ip, rule.header.src_len),
            RuleAttribute::Destination(ip) => to = range(*ip, rule.header.dst_len),
            _ => {}
        }
    }
    (from, to)
}

fn meeting(rule: &RuleMessage, without: &Packet) -> Option<Packet> {
    let mut packet = Packet { tos: rule.header.tos, ..without.clone() };
    let mut conditions = usize::from(packet.tos != 0);
    for attribute in &rule.attributes {
        match attribute {
            RuleAttribute::FwMark(mark) => packet.mark = Some(*mark),
            RuleAttribute::UidRange(users) => packet.user = Some(users.start),
            RuleAttribute::Oifname(name) => packet.device = if_nametoindex(name.as_str()).ok(),
            RuleAttribute::IpProtocol(protocol) => packet.protocol = Some((*protocol).into()),
            RuleAttribute::SourcePortRange(ports) => packet.source_port = Some(ports.start),
            RuleAttribute::DestinationPortRange(ports) => packet.port = Some(ports.start),
            RuleAttribute::Other(other) if other.kind() == DSCP => packet.tos = dscp(other) << 2,
            _ => continue,
        }
        conditions += 1;
    }
    (conditions > 0).then_some(packet)
}

fn dscp(attribute: &DefaultNla) -> u8 {
    let mut value = [0];
    if attribute.value_len() == 1 {
        attribute.emit_value(&mut value);
    }
    value[0]
}

fn priority(rule: &RuleMessage) -> u32 {
    let priority = rule.attributes.iter().find_map(|attribute| match attribute {
        RuleAttribute::Priority(priority) => Some(*priority),
        _ => None,
    });
    priority.unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use netlink_packet_route::rule::{RulePortRange, RuleUidRange};

    use super::*;

    fn rule(attributes: Vec<RuleAttribute>) -> RuleMessage {
        let mut rule = RuleMessage::default();
        rule.header.src_len = 24;
        rule.header.dst_len = 8;
        rule.attributes = attributes;
        rule
    }

    fn ip(text: &str) -> IpAddr {
        text.parse().unwrap()
    }

    #[test]
    fn a_packet_meets_the_conditions_of_its_rule() {
        let ports = |start, end| RulePortRange { start, end };
        let rule = rule(vec![
            RuleAttribute::Priority(77),
            RuleAttribute::FwMark(5),
            RuleAttribute::UidRange(RuleUidRange { start: 1000, end: 1999 }),
            RuleAttribute::SourcePortRange(ports(5000, 5010)),
            RuleAttribute::DestinationPortRange(ports(8443, 8443)),
        ]);
        let packets = packets(&rule, &[ip("10.0.1.23")], ip("1.1.1.1"));
        let [(packet, without)] = packets.as_slice() else { panic!("{packets:?}") };
        assert_eq!(
            (packet.mark, packet.user, packet.source_port, packet.port),
            (Some(5), Some(1000), Some(5000), Some(8443))
        );
        assert_eq!(
            (without.mark, without.source, without.target),
            (None, Some(ip("10.0.1.23")), ip("1.1.1.1"))
        );
        assert_eq!(priority(&rule), 77);
    }

    #[test]
    fn rules_that_probes_meet_themselves_are_not_asked_about() {
        let sources = [ip("10.0.1.23"), ip("10.0.2.23")];
        let from = RuleAttribute::Source(ip("10.0.2.0"));
        let to = RuleAttribute::Destination(ip("5.0.0.0"));
        assert!(packets(&rule(vec![from.clone(), to.clone()]), &sources, ip("1.1.1.1")).is_empty());
        let asked = packets(&rule(vec![from, to, RuleAttribute::FwMark(1)]), &sources, ip("1.1.1.1"));
        let asked: Vec<_> = asked.iter().map(|(packet, _)| (packet.source, packet.target)).collect();
        assert_eq!(asked, [(Some(ip("10.0.2.23")), ip("5.0.0.0"))]);
    }
}
