//! Next hops that do not answer ARP or neighbor discovery. The kernel holds packets for them and drops
//! them after some seconds, when the window may be over.

use std::collections::BTreeSet;

use super::netlink::{Neighbor, silent_neighbors};
use super::other_routes::{Probes, name, taken};
use crate::observation::EgressGap;

/// Those of the probes, asked when the window closes. What the kernel does not tell is a gap too.
pub fn silent(probes: &Probes<'_>) -> Vec<EgressGap> {
    asked(probes).unwrap_or_else(|error| vec![EgressGap::RoutesUnknown { why: error.to_string() }])
}

fn asked(probes: &Probes<'_>) -> nix::Result<Vec<EgressGap>> {
    let silent = silent_neighbors()?;
    if silent.is_empty() {
        return Ok(vec![]);
    }
    let mut hops = BTreeSet::new();
    for target in &probes.targets {
        let taken = taken(probes, &[*target])?.into_iter();
        // Without a router the target itself is the next hop.
        hops.extend(taken.map(|hop| Neighbor { ip: hop.router.unwrap_or(*target), device: hop.device }));
    }
    let gap = |hop: &Neighbor| EgressGap::RouterSilent { router: hop.ip, interface: name(hop.device) };
    Ok(hops.intersection(&silent).map(gap).collect())
}
