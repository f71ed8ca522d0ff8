//! The host's own addresses, as the kernel has them.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::io::{self, ErrorKind};
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, UdpSocket};
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use nix::errno::Errno;
use nix::ifaddrs::{InterfaceAddress, getifaddrs};
use nix::net::if_::InterfaceFlags;
use tokio::time::Instant;

use crate::check::Family;
use crate::observation::EgressSource;

/// Listing the addresses costs as much as a DNS query. Checks that begin within this time share one
/// list.
const SHARED_FOR: Duration = Duration::from_secs(1);

/// All that reach beyond the link, on interfaces that are up.
pub fn addresses() -> io::Result<Vec<IpAddr>> {
    Ok(of(listed()?).into_iter().map(|source| source.ip).collect())
}

/// The addresses, listed at most once a second.
#[derive(Debug, Default)]
pub struct LocalAddresses(Mutex<Option<(Instant, Vec<IpAddr>)>>);

impl LocalAddresses {
    pub fn list(&self) -> io::Result<Vec<IpAddr>> {
        let mut last = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some((listed_at, addresses)) = &*last
            && listed_at.elapsed() < SHARED_FOR
        {
            return Ok(addresses.clone());
        }
        let addresses = addresses()?;
        *last = Some((Instant::now(), addresses.clone()));
        Ok(addresses)
    }
}

/// Whether packets to an address stay on this host: the kernel then sends them from that address. So it is
/// for one of an interface that is down, too, and for an IPv4 range that the host has as a whole. A UDP
/// `connect` looks the route up and sends nothing.
pub fn is_of_host(ip: IpAddr) -> bool {
    const DISCARD: u16 = 9;
    let any: IpAddr = if ip.is_ipv4() { Ipv4Addr::UNSPECIFIED.into() } else { Ipv6Addr::UNSPECIFIED.into() };
    let source = || -> io::Result<IpAddr> {
        let socket = UdpSocket::bind((any, 0))?;
        socket.connect((ip, DISCARD))?;
        Ok(socket.local_addr()?.ip())
    };
    source().is_ok_and(|source| source == ip)
}

/// The same with their interfaces, each address once. Linux sends from an address of an interface
/// that is down by another that is up.
pub fn sources() -> io::Result<Vec<EgressSource>> {
    let up = of(listed()?);
    let is_beside = |source: &EgressSource| up.iter().any(|up| Family::of(up.ip) == Family::of(source.ip));
    Ok(of(listed()?.chain(listed_down()?)).into_iter().filter(is_beside).collect())
}

fn of(listed: impl Iterator<Item = (String, IpAddr)>) -> Vec<EgressSource> {
    let mut sources: Vec<EgressSource> = Vec::new();
    for (interface, ip) in listed {
        if is_global(ip) && is_usable(ip) && sources.iter().all(|source| source.ip != ip) {
            sources.push(EgressSource { ip, interface, reduced: false, judged: None });
        }
    }
    sources
}

/// What shows that IPv6 is switched off on this host; `None` where it is on.
pub fn ipv6_disabled() -> Option<String> {
    if let Err(error) = UdpSocket::bind((Ipv6Addr::UNSPECIFIED, 0))
        && error.raw_os_error() == Some(Errno::EAFNOSUPPORT as i32)
    {
        return Some(
            "IPv6 sockets are not available (ipv6.disable=1, or RestrictAddressFamilies)".to_owned(),
        );
    }
    let mut interfaces: BTreeMap<String, BTreeSet<Family>> = BTreeMap::new();
    for (interface, ip) in listed().ok()?.filter(|(_, ip)| !ip.is_loopback()) {
        interfaces.entry(interface).or_default().insert(Family::of(ip));
    }
    interfaces.into_iter().filter(|(_, families)| !families.contains(&Family::Ipv6)).find_map(
        |(interface, _)| {
            let key = format!("net.ipv6.conf.{interface}.disable_ipv6");
            match fs::read_to_string(format!("/proc/sys/net/ipv6/conf/{interface}/disable_ipv6")) {
                Ok(value) => (value.trim() == "1").then(|| format!("{key} = 1")),
                // A sandbox may hide it. Where IPv6 is on, an interface has at least a link-local address.
                Err(_) => Some(format!("{interface} has not even a link-local IPv6 address ({key} is 1)")),
            }
        },
    )
}

/// An error where no socket can be opened to ask the kernel.
fn listed() -> io::Result<impl Iterator<Item = (String, IpAddr)>> {
    with_flag(true)
}

fn listed_down() -> io::Result<impl Iterator<Item = (String, IpAddr)>> {
    with_flag(false)
}

fn with_flag(up: bool) -> io::Result<impl Iterator<Item = (String, IpAddr)>> {
    let of_flag = move |interface: &InterfaceAddress| interface.flags.contains(InterfaceFlags::IFF_UP) == up;
    Ok(getifaddrs()?.filter(of_flag).filter_map(|interface| {
        let address = interface.address?;
        let ipv4 = address.as_sockaddr_in().map(|v4| IpAddr::V4(v4.ip()));
        let ip = ipv4.or_else(|| address.as_sockaddr_in6().map(|v6| IpAddr::V6(v6.ip())))?;
        Some((interface.interface_name, ip))
    }))
}

fn is_global(ip: IpAddr) -> bool {
    match ip {
        IpAddr::V4(v4) => !v4.is_loopback() && !v4.is_link_local(),
        IpAddr::V6(v6) => !v6.is_loopback() && !v6.is_unicast_link_local(),
    }
}

/// An address whose uniqueness is still being checked (RFC 4862) cannot be bound.
fn is_usable(ip: IpAddr) -> bool {
    let bound = UdpSocket::bind((ip, 0));
    !bound.is_err_and(|error| error.kind() == ErrorKind::AddrNotAvailable)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn packets_to_an_own_address_come_from_it() {
        for (ip, is_own) in [("127.0.0.1", true), ("::1", true), ("192.0.2.1", false), ("2001:db8::1", false)]
        {
            assert_eq!(is_of_host(ip.parse().unwrap()), is_own, "{ip}");
        }
    }

    #[tokio::test(start_paused = true)]
    async fn checks_share_a_list_for_a_second() {
        let shared: IpAddr = "192.0.2.1".parse().unwrap();
        let addresses = LocalAddresses(Mutex::new(Some((Instant::now(), vec![shared]))));
        tokio::time::advance(SHARED_FOR - Duration::from_millis(1)).await;
        assert_eq!(addresses.list().unwrap(), [shared]);
        tokio::time::advance(Duration::from_millis(1)).await;
        assert!(!addresses.list().unwrap().contains(&shared), "no interface has it");
    }
}
