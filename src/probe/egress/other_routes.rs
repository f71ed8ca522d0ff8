//! Routes off this host that no probe takes: the kernel may route a packet by its destination, by the
//! interface that its socket is bound to, or by a rule for a mark, a user, a port or a type of service.

use std::collections::BTreeSet;
use std::io;
use std::net::IpAddr;

use nix::ifaddrs::getifaddrs;
use nix::net::if_::{InterfaceFlags, if_indextoname, if_nametoindex};

use super::netlink::{Hop, Packet, Route, Rule, hop, hops, own_ranges, routes, rules};
use crate::check::Family;
use crate::network::{Cidr, Network, Scope};
use crate::observation::{EgressGap, Protocol};

/// Rules with conditions, routes to public addresses, and interfaces. A host with more is not looked
/// at, and the check says so.
const MOST: usize = 512;

/// A protocol with its port, as the probes have them.
pub type Kinds = BTreeSet<(Protocol, Option<u16>)>;

/// What is sent.
pub struct Probes<'a> {
    pub sources: Vec<IpAddr>,
    pub targets: Vec<IpAddr>,
    pub kinds: Kinds,
    /// Where no route leads to the internet.
    pub inside: &'a [Cidr],
    /// The sources that are to be probed alone, where the configuration names some.
    pub only: &'a [Cidr],
}

/// What decides that a packet takes a route.
type Because = (Option<Cidr>, Option<u32>);

/// Beside the routes of the probes. What the kernel does not tell is a gap too.
pub fn find(probes: &Probes<'_>) -> Vec<EgressGap> {
    let Some(target) = probes.targets.first().filter(|_| !probes.sources.is_empty()) else { return vec![] };
    asked(probes, *target).unwrap_or_else(|error| vec![EgressGap::RoutesUnknown { why: error.to_string() }])
}

fn asked(probes: &Probes<'_>, target: IpAddr) -> io::Result<Vec<EgressGap>> {
    let usual = taken(probes, &[target])?;
    let rules = rules(Family::of(target))?;
    let mut found: BTreeSet<(Because, Hop)> = BTreeSet::new();
    for device in interfaces()? {
        let packet = Packet { device: Some(device), ..Packet::to(target) };
        found.extend(hops(&packet)?.difference(&usual).map(|hop| ((None, None), *hop)));
    }
    found.extend(by_rules(probes, target, &usual, &rules)?);
    // The interface or the rule says more than the route that it leads to.
    let known: BTreeSet<Hop> = found.iter().map(|(_, hop)| *hop).chain(usual).collect();
    found.extend(by_destination(probes, target, &known, &rules)?);
    if !found.is_empty() {
        // Most hosts have one way out, so that one target stands for all.
        let taken = taken(probes, &probes.targets)?;
        found.retain(|(_, hop)| !taken.contains(hop));
    }
    let ranges = own_ranges(Family::of(target))?.into_iter().filter(|range| is_wanted(probes, *range));
    let ranges = ranges.map(|range| EgressGap::SourcesNotProbed { range });
    Ok(found.into_iter().map(gap).chain(ranges).collect())
}

fn is_wanted(probes: &Probes<'_>, range: Cidr) -> bool {
    probes.only.is_empty() || probes.only.iter().any(|only| only.overlaps(range))
}

fn by_rules(
    probes: &Probes<'_>,
    target: IpAddr,
    usual: &BTreeSet<Hop>,
    rules: &[Rule],
) -> io::Result<BTreeSet<(Because, Hop)>> {
    let sources = &probes.sources;
    let rules: Vec<&Rule> = rules.iter().filter(|rule| !rule.packets(sources, target).is_empty()).collect();
    bounded(rules.len(), "rules with conditions")?;
    let mut found = BTreeSet::new();
    for rule in rules {
        for packet in rule.packets(sources, rule.target(target)) {
            found.extend(hops(&packet)?.difference(usual).map(|hop| ((None, Some(rule.priority)), *hop)));
        }
    }
    Ok(found)
}

/// The next hops of each route to public addresses, and of each rule that names some.
fn by_destination(
    probes: &Probes<'_>,
    target: IpAddr,
    known: &BTreeSet<Hop>,
    rules: &[Rule],
) -> io::Result<BTreeSet<(Because, Hop)>> {
    let of_rules = rules.iter().filter_map(Rule::range).map(|range| Route { range, tos: 0 });
    let public: BTreeSet<(IpAddr, Route)> = routes(Family::of(target))?
        .into_iter()
        .chain(of_rules)
        .filter_map(|route| Some((outside(probes, target, route.range)?, route)))
        .collect();
    bounded(public.len(), "routes to public addresses")?;
    let mut found = BTreeSet::new();
    for (ip, Route { range, tos }) in public {
        for source in &probes.sources {
            let packet = Packet { source: Some(*source), tos, ..Packet::to(ip) };
            found.extend(hops(&packet)?.difference(known).map(|hop| ((Some(range), None), *hop)));
        }
    }
    Ok(found)
}

/// An address of the internet that the range has; a range of the VPC or of the host's own network has
/// none.
fn outside(probes: &Probes<'_>, target: IpAddr, range: Cidr) -> Option<IpAddr> {
    let is_own = probes.sources.iter().any(|source| range.contains(*source)) && !range.is_wider_than_a_vpc();
    let is_outside = |ip: &IpAddr| {
        let is_inside = probes.inside.iter().any(|inside| inside.contains(*ip));
        !is_inside && Network::default().scope(*ip) == Scope::Public
    };
    if is_own {
        return None;
    }
    let target = Some(target).filter(|target| range.contains(*target));
    target.into_iter().chain([range.first(), range.last()]).find(is_outside)
}

fn gap(((range, rule), hop): (Because, Hop)) -> EgressGap {
    EgressGap::OtherRoute { range, rule, router: hop.router, interface: name(hop.device) }
}

/// Where the probes go. Of several next hops the kernel chooses by the addresses.
pub fn taken(probes: &Probes<'_>, targets: &[IpAddr]) -> nix::Result<BTreeSet<Hop>> {
    let mut taken = BTreeSet::new();
    for source in &probes.sources {
        for target in targets {
            for (protocol, port) in &probes.kinds {
                taken.extend(hop(&Packet::of(*source, *target, *protocol, *port))?);
            }
        }
    }
    Ok(taken)
}

/// Interfaces that are up, without loopback.
fn interfaces() -> io::Result<Vec<u32>> {
    let is_link = |flags: InterfaceFlags| {
        flags.contains(InterfaceFlags::IFF_UP) && !flags.contains(InterfaceFlags::IFF_LOOPBACK)
    };
    let links = getifaddrs()?.filter(|interface| is_link(interface.flags));
    let names: BTreeSet<String> = links.map(|interface| interface.interface_name).collect();
    bounded(names.len(), "interfaces")?;
    // One that is gone by now has no route.
    Ok(names.iter().filter_map(|name| if_nametoindex(name.as_str()).ok()).collect())
}

fn bounded(count: usize, what: &str) -> io::Result<()> {
    if count > MOST {
        return Err(io::Error::other(format!(
            "this host has {count} {what}, of which {MOST} would be looked at"
        )));
    }
    Ok(())
}

pub fn name(device: u32) -> String {
    let name = if_indextoname(device).ok().and_then(|name| name.into_string().ok());
    name.unwrap_or_else(|| format!("interface {device}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_range_has_an_address_of_the_internet_where_it_is_wider_than_the_vpc() {
        let inside = ["52.0.0.0/16", "2600:1f18::/56"].map(|range| range.parse().unwrap());
        let ip = |text: &str| text.parse::<IpAddr>().unwrap();
        let sources = vec![ip("10.0.1.23"), ip("203.0.114.9"), ip("2600:1f18::23")];
        let probes = Probes { sources, targets: vec![], kinds: Kinds::new(), inside: &inside, only: &[] };
        for (range, target, expected) in [
            ("0.0.0.0/0", "1.1.1.1", Some("1.1.1.1")),
            ("44.192.0.0/11", "1.1.1.1", Some("44.192.0.0")),
            ("10.0.0.0/8", "1.1.1.1", None),
            ("10.0.0.0/7", "1.1.1.1", Some("11.255.255.255")),
            ("203.0.114.0/24", "1.1.1.1", None),
            ("203.0.0.0/8", "1.1.1.1", Some("203.0.0.0")),
            ("52.0.0.0/24", "1.1.1.1", None),
            ("52.0.0.0/8", "1.1.1.1", Some("52.255.255.255")),
            ("2600:1f18::/64", "2606:4700::1111", None),
            ("2600::/12", "2a00::1", Some("2600::")),
        ] {
            let found = outside(&probes, ip(target), range.parse().unwrap());
            assert_eq!(found, expected.map(ip), "{range}");
        }
    }

    #[test]
    fn more_than_is_looked_at_is_an_error() {
        assert!(bounded(MOST, "interfaces").is_ok());
        let error = bounded(MOST + 1, "interfaces").unwrap_err().to_string();
        assert_eq!(error, "this host has 513 interfaces, of which 512 would be looked at");
    }
}
