//! Faults that come, or go, while an attempt is under way: what is reported is what was seen.

use crate::lab::Fault::{
    DnsLost, EndpointMuteAfterHandshake, EndpointShutAfterAnswer, NatClosesMidway, NatOpensMidway, SynLost,
};
use crate::state::{CALL, CONNECT, DNS, IPV4, state};

const A: &str = "10.0.1.57";
const B: &str = "10.0.2.113";

/// The kernel sends a SYN again after a second.
const RETRANSMITTED: f64 = 1.0;

states! {
    // The first connection is let in, and answered; the call is not.
    endpoint_shut_after_answer: state([EndpointShutAfterAnswer])
        .fails(CALL, "connect_timeout")
        .address(CONNECT, A, "pass")
        .address(CONNECT, B, "pass")
        .because("endpoint_security_group", &[CALL])
        .takes(3.0);
    // Whether the request is still acknowledged is chance: request_unacknowledged or response_timeout.
    endpoint_mute_after_handshake: state([EndpointMuteAfterHandshake]).varies(&[CONNECT, CALL]).takes(3.0);
    // Late, and it says how late.
    syn_lost: state([SynLost])
        .slow(CONNECT, A, "tcp", RETRANSMITTED)
        .slow(CONNECT, B, "tcp", RETRANSMITTED)
        .slow(CALL, A, "tcp", RETRANSMITTED)
        .slow(CALL, B, "tcp", RETRANSMITTED)
        .takes(2.1);
    dns_lost: state([DnsLost])
        .slow(DNS, A, "query", 0.9)
        .slow(DNS, B, "query", 0.9)
        .warns("name_server_broken").takes(5.2);
    nat_opens_midway: state([NatOpensMidway])
        .unread()
        .fails(IPV4, "icmp_reply")
        .because("internet_route_open", &[IPV4]);
    nat_closes_midway: state([NatClosesMidway])
        .unread()
        .fails(IPV4, "icmp_reply")
        .because("internet_route_open", &[IPV4]);
}
