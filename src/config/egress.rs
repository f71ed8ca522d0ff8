//! `[egress]`.

use std::collections::HashSet;
use std::net::IpAddr;
use std::ops::RangeInclusive;
use std::time::Duration;

use super::EgressConfig;
use super::problem::Problems;
use super::table::{Keys, Value};
use super::timing::ends_in_time;
use super::value::{TIMEOUTS, duration, interval, public_address, public_host};
use crate::check::Family;
use crate::network::operator;

pub static KEYS: Keys = Keys {
    table: "[egress]",
    known: &["enabled", "hosts", "addresses", "tcp_ports", "udp_dns", "accept_reject", "window", "interval"],
};

/// Each costs an ICMP socket, and one connection per port, in every window.
const MOST_ADDRESSES: usize = 32;
const MOST_HOSTS: usize = 16;
const MOST_PORTS: usize = 8;

/// A window shorter than a round trip around the earth would take a leak for silence.
const WINDOWS: RangeInclusive<Duration> = Duration::from_millis(500)..=*TIMEOUTS.end();

/// `Some(None)`: turned off.
pub fn egress(value: &Value<'_>, problems: &mut Problems<'_>) -> Option<Option<EgressConfig>> {
    let table = value.table(&KEYS, problems)?;
    let default = EgressConfig::default();
    let window = table.read("window", Some(default.window), problems, |value, problems| {
        duration(value, &WINDOWS, problems)
    });
    let interval = table.read("interval", Some(default.interval), problems, interval);
    ends_in_time(&table, ("window", window), interval, problems);
    let enabled = table.read("enabled", Some(true), problems, Value::flag);
    let hosts = table.read("hosts", Some(default.hosts), problems, |value, problems| {
        value.list(MOST_HOSTS, problems, public_host)
    });
    let addresses = table.read("addresses", Some(default.addresses), problems, addresses);
    let tcp_ports = table.read("tcp_ports", Some(default.tcp_ports), problems, tcp_ports);
    let udp_dns = table.read("udp_dns", Some(default.udp_dns), problems, Value::flag);
    let accept_reject = table.read("accept_reject", Some(default.accept_reject), problems, Value::flag);
    let egress = EgressConfig {
        hosts: hosts?,
        addresses: addresses?,
        tcp_ports: tcp_ports?,
        udp_dns: udp_dns?,
        accept_reject: accept_reject?,
        window: window?,
        interval: interval?,
    };
    Some(enabled?.then_some(egress))
}

fn addresses(value: &Value<'_>, problems: &mut Problems<'_>) -> Option<Vec<IpAddr>> {
    let addresses = value.list(MOST_ADDRESSES, problems, public_address)?;
    let has_two_operators = |family: Family| {
        let operators = addresses.iter().filter(|ip| Family::of(**ip) == family).map(|ip| operator(*ip));
        operators.collect::<HashSet<u32>>().len() > 1
    };
    if !Family::BOTH.into_iter().any(has_two_operators) {
        let why = "addresses must hold two operators of IPv4, or of IPv6: the silence of one proves nothing";
        problems.add(&value.span, why);
        return None;
    }
    Some(addresses)
}

fn tcp_ports(value: &Value<'_>, problems: &mut Problems<'_>) -> Option<Vec<u16>> {
    let ports = value.list(MOST_PORTS, problems, Value::port)?;
    if ports.is_empty() {
        problems.add(&value.span, "tcp_ports must hold at least one port");
        return None;
    }
    Some(ports)
}
