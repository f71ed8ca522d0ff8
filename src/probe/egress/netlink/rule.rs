//! Rules of routing (`ip rule`), as far as a packet can meet their conditions.

use std::net::IpAddr;

use netlink_packet_core::{DefaultNla, Nla};
use netlink_packet_route::rule::{RuleAttribute, RuleMessage};
use nix::net::if_::if_nametoindex;

use super::Packet;
use crate::network::Cidr;

/// FRA_DSCP of fib_rules.h: the type of service without its two lowest bits.
const DSCP: u16 = 25;

#[derive(Debug)]
pub struct Rule {
    pub priority: u32,
    message: RuleMessage,
}

type Prefix = Option<(IpAddr, Cidr)>;

impl Rule {
    pub fn new(message: RuleMessage) -> Self {
        let priority = message.attributes.iter().find_map(|attribute| match attribute {
            RuleAttribute::Priority(priority) => Some(*priority),
            _ => None,
        });
        Self { priority: priority.unwrap_or_default(), message }
    }

    /// A target that the rule is about: this one, or the first address of its range.
    pub fn target(&self, target: IpAddr) -> IpAddr {
        let (_, to) = self.prefixes();
        to.filter(|(_, range)| !range.contains(target)).map_or(target, |(ip, _)| ip)
    }

    /// The destinations that the rule is about, where it names any.
    pub fn range(&self) -> Option<Cidr> {
        self.prefixes().1.map(|(_, range)| range)
    }

    /// For each source that the rule is about, a packet that meets its conditions, and packets that do
    /// not: the probes may meet them by chance. Without conditions there is nothing to ask.
    pub fn packets(&self, sources: &[IpAddr], target: IpAddr) -> Vec<Packet> {
        let (from, _) = self.prefixes();
        let sources = sources.iter().filter(|source| from.is_none_or(|(_, range)| range.contains(**source)));
        let of_source = |source: &IpAddr| {
            let plain = Packet { source: Some(*source), ..Packet::to(target) };
            let Some(meeting) = self.meeting(&plain) else { return vec![] };
            let mut packets = vec![meeting];
            packets.extend(self.missing(&plain));
            packets.push(plain);
            packets
        };
        sources.flat_map(of_source).collect()
    }

    /// Of the users and source ports behind the range of the rule.
    fn missing(&self, plain: &Packet) -> Vec<Packet> {
        let beside = |attribute: &RuleAttribute| match attribute {
            RuleAttribute::UidRange(users) => {
                Some(Packet { user: Some(users.end.checked_add(1)?), ..plain.clone() })
            }
            RuleAttribute::SourcePortRange(ports) => {
                let mut packet = self.meeting(plain)?;
                packet.source_port = Some(ports.end.checked_add(1)?);
                Some(packet)
            }
            _ => None,
        };
        self.message.attributes.iter().filter_map(beside).collect()
    }

    fn prefixes(&self) -> (Prefix, Prefix) {
        let range = |ip: IpAddr, length: u8| Some((ip, format!("{ip}/{length}").parse().ok()?));
        let header = &self.message.header;
        let (mut from, mut to) = (None, None);
        for attribute in &self.message.attributes {
            match attribute {
                RuleAttribute::Source(ip) => from = range(*ip, header.src_len),
                RuleAttribute::Destination(ip) => to = range(*ip, header.dst_len),
                _ => {}
            }
        }
        (from, to)
    }

    fn meeting(&self, without: &Packet) -> Option<Packet> {
        let mut packet = Packet { tos: self.message.header.tos, ..without.clone() };
        let mut conditions = usize::from(packet.tos != 0);
        for attribute in &self.message.attributes {
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
}

fn dscp(attribute: &DefaultNla) -> u8 {
    let mut value = [0];
    if attribute.value_len() == 1 {
        attribute.emit_value(&mut value);
    }
    value[0]
}

#[cfg(test)]
mod tests {
    use netlink_packet_route::rule::{RulePortRange, RuleUidRange};

    use super::*;

    fn rule(attributes: Vec<RuleAttribute>) -> Rule {
        let mut message = RuleMessage::default();
        message.header.src_len = 24;
        message.header.dst_len = 8;
        message.attributes = attributes;
        Rule::new(message)
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
        let packets = rule.packets(&[ip("10.0.1.23")], ip("1.1.1.1"));
        let [meeting, other_user, other_port, plain] = packets.as_slice() else { panic!("{packets:?}") };
        let seen = |packet: &Packet| (packet.mark, packet.user, packet.source_port, packet.port);
        assert_eq!(seen(meeting), (Some(5), Some(1000), Some(5000), Some(8443)));
        assert_eq!(seen(other_user), (None, Some(2000), None, None));
        assert_eq!(seen(other_port), (Some(5), Some(1000), Some(5011), Some(8443)));
        assert_eq!(seen(plain), (None, None, None, None));
        assert_eq!((plain.source, plain.target), (Some(ip("10.0.1.23")), ip("1.1.1.1")));
        assert_eq!(rule.priority, 77);
    }

    #[test]
    fn rules_that_probes_meet_themselves_are_not_asked_about() {
        let sources = [ip("10.0.1.23"), ip("10.0.2.23")];
        let from = RuleAttribute::Source(ip("10.0.2.0"));
        let to = RuleAttribute::Destination(ip("5.0.0.0"));
        assert!(rule(vec![from.clone(), to.clone()]).packets(&sources, ip("1.1.1.1")).is_empty());
        let marked = rule(vec![from, to, RuleAttribute::FwMark(1)]);
        let target = marked.target(ip("1.1.1.1"));
        assert_eq!((target, marked.target(ip("5.6.7.8"))), (ip("5.0.0.0"), ip("5.6.7.8")));
        let asked: Vec<_> = marked.packets(&sources, target).iter().map(|packet| packet.source).collect();
        assert_eq!(asked, [Some(ip("10.0.2.23")); 2]);
    }
}
