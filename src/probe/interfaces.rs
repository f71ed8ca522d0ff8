//! The instance's own addresses, as the kernel has them.

use std::net::IpAddr;

use nix::ifaddrs::getifaddrs;
use nix::net::if_::InterfaceFlags;

use crate::check::Family;

/// All that reach beyond the link, on interfaces that are up.
pub fn addresses() -> Vec<IpAddr> {
    let Ok(interfaces) = getifaddrs() else { return Vec::new() };
    interfaces
        .filter(|interface| interface.flags.contains(InterfaceFlags::IFF_UP))
        .filter_map(|interface| {
            let address = interface.address?;
            let ipv4 = address.as_sockaddr_in().map(|v4| IpAddr::V4(v4.ip()));
            ipv4.or_else(|| address.as_sockaddr_in6().map(|v6| IpAddr::V6(v6.ip())))
        })
        .filter(|ip| match ip {
            IpAddr::V4(v4) => !v4.is_loopback() && !v4.is_link_local(),
            IpAddr::V6(v6) => !v6.is_loopback() && !v6.is_unicast_link_local(),
        })
        .collect()
}

pub fn families(addresses: &[IpAddr]) -> Vec<Family> {
    Family::BOTH.into_iter().filter(|family| addresses.iter().any(|ip| Family::of(*ip) == *family)).collect()
}
