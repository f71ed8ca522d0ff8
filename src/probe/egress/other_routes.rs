//! Routes off this host that no probe takes: the kernel may route a packet by the interface that its
//! socket is bound to, or by a rule for a mark, a user, a port or a type of service.

use std::collections::BTreeSet;
use std::net::IpAddr;

use nix::ifaddrs::getifaddrs;
use nix::net::if_::{InterfaceFlags, if_indextoname, if_nametoindex};

use super::netlink::{Hop, Packet, hops, rules};
use super::targets::Target;
use crate::check::Family;
use crate::observation::EgressGap;

/// Rules with conditions, and interfaces: the first so many are looked at.
const MOST_RULES: usize = 512;
const MOST_INTERFACES: usize = 512;

/// Beside the routes of what is sent from these sources to this target.
pub fn find(sources: &[IpAddr], target: &Target) -> Vec<EgressGap> {
    let usual = usual(sources, target);
    let mut gaps: Vec<EgressGap> = Vec::new();
    let mut add = |rule: Option<u32>, hop: &Hop| {
        let gap = EgressGap::OtherRoute { rule, router: hop.router, interface: name(hop.device) };
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
    let asked = rules.iter().map(|rule| (rule.priority, rule.packets(sources, target.ip)));
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
