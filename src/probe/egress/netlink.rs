//! The routes, rules and neighbors that the kernel has, by rtnetlink(7). Asking sends nothing.

mod message;
mod rule;

use std::collections::BTreeSet;
use std::net::IpAddr;
use std::os::fd::OwnedFd;
use std::sync::{Mutex, PoisonError};

use netlink_packet_core::{ErrorMessage, NLM_F_DUMP, NetlinkPayload};
use netlink_packet_route::AddressFamily;
use netlink_packet_route::neighbour::{
    NeighbourAddress, NeighbourAttribute, NeighbourMessage, NeighbourState,
};
use netlink_packet_route::route::{
    RouteAddress, RouteAttribute, RouteFlags, RouteMessage, RouteType, RouteVia,
};
use netlink_packet_route::rule::RuleMessage;
use nix::errno::Errno;
use nix::sys::socket::SockProtocol;

use crate::check::Family;
use crate::network::Cidr;
use crate::observation::Protocol;
use crate::wire::netlink::{self, MOST_BUFFERS, answers};
use message::Message;
pub use rule::Rule;

/// A source port as the kernel gives it to a socket that asks for none.
pub const USUAL_PORT: u16 = 40_000;

/// One for all lookups of routes: to open and close it costs as much as to ask.
static KERNEL: Mutex<Option<OwnedFd>> = Mutex::new(None);

/// RT_TABLE_LOCAL of rtnetlink.h.
const TABLE_LOCAL: u8 = 255;

/// What a route may depend on.
#[derive(Clone, Debug)]
pub struct Packet {
    pub target: IpAddr,
    pub source: Option<IpAddr>,
    /// As IP headers number it.
    pub protocol: Option<u8>,
    pub source_port: Option<u16>,
    pub port: Option<u16>,
    pub tos: u8,
    pub mark: Option<u32>,
    pub user: Option<u32>,
    /// Of a socket that is bound to an interface.
    pub device: Option<u32>,
}

impl Packet {
    pub fn to(target: IpAddr) -> Self {
        Self {
            target,
            source: None,
            protocol: None,
            source_port: None,
            port: None,
            tos: 0,
            mark: None,
            user: None,
            device: None,
        }
    }

    /// As the probes send it.
    pub fn of(source: IpAddr, target: IpAddr, protocol: Protocol, port: Option<u16>) -> Self {
        Self {
            source: Some(source),
            protocol: Some(number(protocol, target)),
            source_port: port.map(|_| USUAL_PORT),
            port,
            ..Self::to(target)
        }
    }

    fn attributes(&self) -> Vec<RouteAttribute> {
        let address = |ip: IpAddr| ip.into();
        let all = [
            Some(RouteAttribute::Destination(address(self.target))),
            self.source.map(|ip| RouteAttribute::Source(address(ip))),
            self.protocol.map(RouteAttribute::IpProto),
            self.source_port.map(RouteAttribute::Sport),
            self.port.map(RouteAttribute::Dport),
            self.mark.map(RouteAttribute::Mark),
            self.user.map(RouteAttribute::Uid),
            self.device.map(RouteAttribute::Oif),
        ];
        all.into_iter().flatten().collect()
    }
}

/// `ip route get`: why the kernel finds no route. A failure to ask does not count: a security
/// module may forbid asking, with the same code.
pub fn refusal(packet: &Packet) -> Option<Errno> {
    route(packet, RouteFlags::empty()).ok()?.err()
}

/// Where a packet goes first: the router, or `None` on the link, and the interface.
#[derive(Clone, Copy, Debug, Eq, Ord, PartialEq, PartialOrd)]
pub struct Hop {
    pub router: Option<IpAddr>,
    pub device: u32,
}

/// Where a packet really goes: of a route with several next hops, the one that the kernel chooses.
///
/// # Errors
/// As for [`hops`].
pub fn hop(packet: &Packet) -> nix::Result<BTreeSet<Hop>> {
    leading_off(route(packet, RouteFlags::empty())?)
}

/// `ip route get fibmatch`, by the entry of the table: without this flag a socket that is bound to an
/// interface has a route where no table has one. Empty where no route leads off this host.
///
/// # Errors
/// The kernel could not be asked, or its answer not read: that says nothing of its routes.
pub fn hops(packet: &Packet) -> nix::Result<BTreeSet<Hop>> {
    leading_off(route(packet, RouteFlags::FibMatch)?)
}

fn leading_off(route: Result<RouteMessage, Errno>) -> nix::Result<BTreeSet<Hop>> {
    match route {
        Ok(route) if route.header.kind == RouteType::Unicast => Ok(hops_of(&route)),
        Ok(_) => Ok(BTreeSet::new()),
        Err(errno) if NO_ROUTE.contains(&errno) => Ok(BTreeSet::new()),
        Err(errno) => Err(errno),
    }
}

/// How the kernel says that no route leads there: none, one of the types `prohibit` and `blackhole`, or
/// an interface that is gone or down.
const NO_ROUTE: [Errno; 6] =
    [Errno::ENETUNREACH, Errno::EHOSTUNREACH, Errno::EACCES, Errno::EINVAL, Errno::ENODEV, Errno::ENETDOWN];

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

fn route(packet: &Packet, flags: RouteFlags) -> nix::Result<Result<RouteMessage, Errno>> {
    let bits = if packet.target.is_ipv4() { 32 } else { 128 };
    let mut message = RouteMessage::default();
    message.header.address_family = address_family(Family::of(packet.target));
    message.header.destination_prefix_length = bits;
    message.header.source_prefix_length = if packet.source.is_some() { bits } else { 0 };
    message.header.tos = packet.tos;
    message.header.flags = flags;
    message.attributes = packet.attributes();
    for payload in answer(Message::Route(message))? {
        match payload {
            NetlinkPayload::Error(ErrorMessage { code: Some(code), .. }) => {
                return Ok(Err(Errno::from_raw(code.get().wrapping_neg())));
            }
            NetlinkPayload::InnerMessage(Message::Route(route)) => return Ok(Ok(route)),
            _ => {}
        }
    }
    Err(Errno::EPROTO)
}

/// `ip rule`, in the order of the priorities.
pub fn rules(family: Family) -> nix::Result<Vec<Rule>> {
    let mut message = RuleMessage::default();
    message.header.family = address_family(family);
    let listed = list(Message::Rule(message), |message| match message {
        Message::Rule(rule) => Some(Rule::new(rule)),
        Message::Route(_) | Message::Neighbor(_) | Message::Other => None,
    });
    // Built without CONFIG_IP_MULTIPLE_TABLES, it has none.
    listed.or_else(|errno| if errno == Errno::EOPNOTSUPP { Ok(vec![]) } else { Err(errno) })
}

/// A route of whatever table that may lead off this host.
#[derive(Clone, Copy, Debug, Eq, Ord, PartialEq, PartialOrd)]
pub struct Route {
    pub range: Cidr,
    pub tos: u8,
}

/// `ip route show table all`, once for each destination and type of service.
pub fn routes(family: Family) -> nix::Result<BTreeSet<Route>> {
    dumped(family, |route| {
        let is_unicast = route.header.kind == RouteType::Unicast;
        Some(Route { range: range(&route, family)?, tos: route.header.tos }).filter(|_| is_unicast)
    })
}

/// `ip route show table local type local`: ranges that this host has as a whole (AnyIP), beside loopback
/// and the addresses of its interfaces.
pub fn own_ranges(family: Family) -> nix::Result<BTreeSet<Cidr>> {
    dumped(family, |route| {
        let (kind, table) = (route.header.kind, route.header.table);
        let range = range(&route, family)?;
        let is_own = kind == RouteType::Local && table == TABLE_LOCAL;
        Some(range).filter(|range| is_own && range.first() != range.last() && !range.first().is_loopback())
    })
}

fn dumped<T: Ord>(family: Family, wanted: impl Fn(RouteMessage) -> Option<T>) -> nix::Result<BTreeSet<T>> {
    let mut message = RouteMessage::default();
    message.header.address_family = address_family(family);
    let listed = list(Message::Route(message), |message| match message {
        Message::Route(route) => wanted(route),
        Message::Rule(_) | Message::Neighbor(_) | Message::Other => None,
    });
    Ok(listed?.into_iter().collect())
}

fn range(route: &RouteMessage, family: Family) -> Option<Cidr> {
    let any = match family {
        Family::Ipv4 => IpAddr::from([0; 4]),
        Family::Ipv6 => IpAddr::from([0; 16]),
    };
    let ip = destination(route).unwrap_or(any);
    format!("{ip}/{}", route.header.destination_prefix_length).parse().ok()
}

fn destination(route: &RouteMessage) -> Option<IpAddr> {
    route.attributes.iter().find_map(|attribute| match attribute {
        RouteAttribute::Destination(RouteAddress::Inet(ip)) => Some(IpAddr::V4(*ip)),
        RouteAttribute::Destination(RouteAddress::Inet6(ip)) => Some(IpAddr::V6(*ip)),
        _ => None,
    })
}

/// Some host on a link.
#[derive(Clone, Copy, Debug, Eq, Ord, PartialEq, PartialOrd)]
pub struct Neighbor {
    pub ip: IpAddr,
    pub device: u32,
}

/// `ip neigh`: those that were asked for their address on the link, and did not answer so far.
pub fn silent_neighbors() -> nix::Result<BTreeSet<Neighbor>> {
    let listed = list(Message::Neighbor(NeighbourMessage::default()), |message| match message {
        Message::Neighbor(neighbor) => silent(&neighbor),
        Message::Route(_) | Message::Rule(_) | Message::Other => None,
    });
    Ok(listed?.into_iter().collect())
}

fn silent(neighbor: &NeighbourMessage) -> Option<Neighbor> {
    let device = neighbor.header.ifindex;
    let ip = neighbor.attributes.iter().find_map(|attribute| match attribute {
        NeighbourAttribute::Destination(NeighbourAddress::Inet(ip)) => Some(IpAddr::V4(*ip)),
        NeighbourAttribute::Destination(NeighbourAddress::Inet6(ip)) => Some(IpAddr::V6(*ip)),
        _ => None,
    })?;
    let is_silent = matches!(neighbor.header.state, NeighbourState::Incomplete | NeighbourState::Failed);
    is_silent.then_some(Neighbor { ip, device })
}

/// What the kernel answers at once, in one buffer.
fn answer(question: Message) -> nix::Result<Vec<NetlinkPayload<Message>>> {
    let mut kernel = KERNEL.lock().unwrap_or_else(PoisonError::into_inner);
    // Put back only after an answer, so that no question gets the answer to another.
    let socket = kernel.take().map_or_else(|| netlink::open(SockProtocol::NetlinkRoute), Ok)?;
    netlink::ask(&socket, question, 0)?;
    let answer = answers(&socket)?;
    *kernel = Some(socket);
    Ok(answer)
}

fn list<T>(question: Message, wanted: impl Fn(Message) -> Option<T>) -> nix::Result<Vec<T>> {
    let socket = netlink::open(SockProtocol::NetlinkRoute)?;
    netlink::ask(&socket, question, NLM_F_DUMP)?;
    let mut listed = Vec::new();
    for _ in 0..MOST_BUFFERS {
        for payload in answers(&socket)? {
            match payload {
                NetlinkPayload::Done(_) => return Ok(listed),
                NetlinkPayload::Error(ErrorMessage { code: Some(code), .. }) => {
                    return Err(Errno::from_raw(code.get().wrapping_neg()));
                }
                NetlinkPayload::InnerMessage(message) => listed.extend(wanted(message)),
                _ => {}
            }
        }
    }
    Err(Errno::EOVERFLOW)
}

fn address_family(family: Family) -> AddressFamily {
    match family {
        Family::Ipv4 => AddressFamily::Inet,
        Family::Ipv6 => AddressFamily::Inet6,
    }
}

/// The protocol's number in IP headers.
fn number(protocol: Protocol, target: IpAddr) -> u8 {
    match protocol {
        Protocol::Tcp => 6,
        Protocol::Udp => 17,
        Protocol::Icmp if target.is_ipv4() => 1,
        Protocol::Icmp => 58,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_host_has_rules_that_lead_to_its_tables() {
        // local, main and default.
        assert!(rules(Family::Ipv4).unwrap().len() >= 2);
    }

    #[test]
    fn neighbors_that_do_not_answer_are_told_from_others() {
        assert!(silent_neighbors().is_ok(), "the kernel lists them");
        let mut neighbor = NeighbourMessage::default();
        let ip = "10.0.1.99".parse().unwrap();
        neighbor.attributes = vec![NeighbourAttribute::Destination(NeighbourAddress::Inet(ip))];
        for (state, is_silent) in [
            (NeighbourState::Incomplete, true),
            (NeighbourState::Failed, true),
            (NeighbourState::Reachable, false),
            (NeighbourState::Stale, false),
            (NeighbourState::Probe, false),
            (NeighbourState::Permanent, false),
        ] {
            neighbor.header.state = state;
            assert_eq!(silent(&neighbor).is_some(), is_silent, "{state}");
        }
    }

    #[test]
    fn loopback_has_a_route_of_its_own() {
        let target = "127.0.0.1".parse().unwrap();
        let packet = Packet::of(target, target, Protocol::Tcp, Some(443));
        assert!(route(&packet, RouteFlags::empty()).is_ok_and(|route| route.is_ok()), "it can be asked");
        assert_eq!(
            (refusal(&packet), hops(&packet)),
            (None, Ok(BTreeSet::new())),
            "it does not leave the host"
        );
    }
}
