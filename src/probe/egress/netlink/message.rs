//! The messages about routes, rules and neighbors alone: those of the whole protocol bring the parsers
//! of links and traffic control with them, half a megabyte.

use netlink_packet_core::{
    DecodeError, Emitable, NetlinkDeserializable, NetlinkHeader, NetlinkPayload, NetlinkSerializable,
    Parseable,
};
use netlink_packet_route::neighbour::NeighbourMessage;
use netlink_packet_route::route::RouteMessage;
use netlink_packet_route::rule::RuleMessage;

// rtnetlink.h
const RTM_NEWROUTE: u16 = 24;
const RTM_GETROUTE: u16 = 26;
const RTM_NEWNEIGH: u16 = 28;
const RTM_GETNEIGH: u16 = 30;
const RTM_NEWRULE: u16 = 32;
const RTM_GETRULE: u16 = 34;

/// A question or its answer.
#[derive(Debug)]
pub enum Message {
    Route(RouteMessage),
    Rule(RuleMessage),
    Neighbor(NeighbourMessage),
    Other,
}

impl NetlinkSerializable for Message {
    fn message_type(&self) -> u16 {
        match self {
            Self::Route(_) => RTM_GETROUTE,
            Self::Neighbor(_) => RTM_GETNEIGH,
            Self::Rule(_) | Self::Other => RTM_GETRULE,
        }
    }

    fn buffer_len(&self) -> usize {
        match self {
            Self::Route(route) => route.buffer_len(),
            Self::Rule(rule) => rule.buffer_len(),
            Self::Neighbor(neighbor) => neighbor.buffer_len(),
            Self::Other => 0,
        }
    }

    fn serialize(&self, buffer: &mut [u8]) {
        match self {
            Self::Route(route) => route.emit(buffer),
            Self::Rule(rule) => rule.emit(buffer),
            Self::Neighbor(neighbor) => neighbor.emit(buffer),
            Self::Other => {}
        }
    }
}

impl NetlinkDeserializable for Message {
    type Error = DecodeError;

    fn deserialize(header: &NetlinkHeader, payload: &[u8]) -> Result<Self, DecodeError> {
        Ok(match header.message_type {
            RTM_NEWROUTE => Self::Route(RouteMessage::parse(payload)?),
            RTM_NEWRULE => Self::Rule(RuleMessage::parse(payload)?),
            RTM_NEWNEIGH => Self::Neighbor(NeighbourMessage::parse(payload)?),
            _ => Self::Other,
        })
    }
}

impl From<Message> for NetlinkPayload<Message> {
    fn from(message: Message) -> Self {
        Self::InnerMessage(message)
    }
}
