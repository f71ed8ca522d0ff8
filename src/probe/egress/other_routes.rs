//! Routes off this host that no probe takes: the kernel may route a packet by the interface that its
//! socket is bound to, or by a rule for a mark, a user, a port or a type of service.

use std::collections::BTreeSet;
use std::io;
use std::net::IpAddr;

use nix::ifaddrs::getifaddrs;
use nix::net::if_::{InterfaceFlags, if_indextoname, if_nametoindex};

use super::netlink::{Hop, Packet, Rule, hops, rules};
use crate::check::Family;
use crate::observation::{EgressGap, Protocol};

/// Rules with conditions, and interfaces. A host with more is not looked at, and the check says so.
const MOST: usize = 512;

/// A protocol with its port, as the probes have them.
pub type Kinds = BTreeSet<(Protocol, Option<u16>)>;

/// Beside the routes of what is sent from these sources to this target. What the kernel does not tell
/// is a gap too.
pub fn find(sources: &[IpAddr], target: IpAddr, kinds: &Kinds) -> Vec<EgressGap> {
    asked(sources, target, kinds)
        .unwrap_or_else(|error| vec![EgressGap::RoutesUnknown { why: error.to_string() }])
}

fn asked(sources: &[IpAddr], target: IpAddr, kinds: &Kinds) -> io::Result<Vec<EgressGap>> {
    let usual_to = |target| usual(sources, target, kinds);
    let usual = usual_to(target)?;
    let mut found = BTreeSet::new();
    for device in interfaces()? {
        let packet = Packet { device: Some(device), ..Packet::to(target) };
        found.extend(hops(&packet)?.difference(&usual).map(|hop| (None, *hop)));
    }
    let rules = rules(Family::of(target))?;
    let rules: Vec<&Rule> = rules.iter().filter(|rule| !rule.packets(sources, target).is_empty()).collect();
    bounded(rules.len(), "rules with conditions")?;
    for rule in rules {
        let of_rule = rule.target(target);
        let usual = if of_rule == target { usual.clone() } else { usual_to(of_rule)? };
        for packet in rule.packets(sources, of_rule) {
            found.extend(hops(&packet)?.difference(&usual).map(|hop| (Some(rule.priority), *hop)));
        }
    }
    Ok(found.into_iter().map(gap).collect())
}

fn gap((rule, hop): (Option<u32>, Hop)) -> EgressGap {
    EgressGap::OtherRoute { rule, router: hop.router, interface: name(hop.device) }
}

fn usual(sources: &[IpAddr], target: IpAddr, kinds: &Kinds) -> io::Result<BTreeSet<Hop>> {
    let mut usual = BTreeSet::new();
    for source in sources {
        for (protocol, port) in kinds {
            usual.extend(hops(&Packet::of(*source, target, *protocol, *port))?);
        }
    }
    Ok(usual)
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

fn name(device: u32) -> String {
    let name = if_indextoname(device).ok().and_then(|name| name.into_string().ok());
    name.unwrap_or_else(|| format!("interface {device}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn more_than_is_looked_at_is_an_error() {
        assert!(bounded(MOST, "interfaces").is_ok());
        let error = bounded(MOST + 1, "interfaces").unwrap_err().to_string();
        assert_eq!(error, "this host has 513 interfaces, of which 512 would be looked at");
    }
}
