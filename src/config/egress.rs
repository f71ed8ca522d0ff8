//! `[egress]`.

use std::collections::HashSet;
use std::net::IpAddr;
use std::ops::RangeInclusive;
use std::time::Duration;

use super::EgressConfig;
use super::problem::Problems;
use super::table::{Keys, Table, Value};
use super::timing::ends_in_time;
use super::value::{TIMEOUTS, cidr_or_address, duration, interval, public_address, public_host};
use crate::check::Family;
use crate::network::{Cidr, operator};
use crate::observation::{EgressSettings, OwnTarget, Protocol, TargetHost};

pub static KEYS: Keys = Keys {
    table: "[egress]",
    known: &[
        "enabled",
        "families",
        "protocols",
        "hosts",
        "addresses",
        "time_servers",
        "tcp_ports",
        "udp_ports",
        "sources",
        "decoys",
        "other_routes",
        "accept_reject",
        "window",
        "interval",
        "target",
    ],
};

pub static TARGET_KEYS: Keys =
    Keys { table: "[[egress.target]]", known: &["host", "icmp", "tcp_ports", "udp_ports"] };

/// Each costs an ICMP echo and one connection per port, in every window and from every source.
const MOST_ADDRESSES: usize = 32;
const MOST_HOSTS: usize = 16;
const MOST_PORTS: usize = 8;
const MOST_TARGETS: usize = 16;
const MOST_SOURCES: usize = 64;

/// A window shorter than a round trip around the earth would take a leak for silence.
const WINDOWS: RangeInclusive<Duration> = Duration::from_millis(500)..=*TIMEOUTS.end();

const DNS: u16 = 53;
const NTP: u16 = 123;

/// `Some(None)`: turned off.
pub fn egress(value: &Value<'_>, problems: &mut Problems<'_>) -> Option<Option<EgressConfig>> {
    let table = value.table(&KEYS, problems)?;
    let default = EgressConfig::default();
    let enabled = table.read("enabled", Some(true), problems, Value::flag);
    let settings = settings(&table, default.settings, problems);
    let interval = table.read("interval", Some(default.interval), problems, interval);
    let window = settings.as_ref().map(|settings| settings.window);
    ends_in_time(&table, ("window", window), interval, problems);
    let accept_reject = table.read("accept_reject", Some(default.accept_reject), problems, Value::flag);
    let egress = EgressConfig { settings: settings?, accept_reject: accept_reject?, interval: interval? };
    check_together(&table, &egress.settings, problems);
    Some(enabled?.then_some(egress))
}

fn settings(
    table: &Table<'_>,
    default: EgressSettings,
    problems: &mut Problems<'_>,
) -> Option<EgressSettings> {
    let window = table.read("window", Some(default.window), problems, |value, problems| {
        duration(value, &WINDOWS, problems)
    });
    let listed = table.read("families", Some(default.families), problems, families);
    let protocols = table.read("protocols", Some(default.protocols), problems, protocols);
    let sources = table.read("sources", Some(default.sources), problems, sources);
    let hosts = table.read("hosts", Some(default.hosts), problems, |value, problems| {
        value.list(MOST_HOSTS, problems, public_host)
    });
    let addresses = table.read("addresses", Some(default.addresses), problems, literals);
    let time_servers = table.read("time_servers", Some(default.time_servers), problems, literals);
    let tcp_ports = table.read("tcp_ports", Some(default.tcp_ports), problems, ports);
    let udp_ports = table.read("udp_ports", Some(default.udp_ports), problems, udp_ports);
    let scope = Scope::new(listed, sources.as_deref(), protocols);
    let own_targets = table.read("target", Some(default.own_targets), problems, |value, problems| {
        own_targets(value, &scope, problems)
    });
    let decoys = table.read("decoys", Some(default.decoys), problems, Value::flag);
    let other_routes = table.read("other_routes", Some(default.other_routes), problems, Value::flag);
    let Scope { listed: _, families, protocols } = scope;
    Some(EgressSettings {
        families: families?,
        protocols: protocols?,
        hosts: hosts?,
        addresses: addresses?,
        time_servers: time_servers?,
        tcp_ports: tcp_ports?,
        udp_ports: udp_ports?,
        own_targets: own_targets?,
        sources: sources?,
        decoys: decoys?,
        other_routes: other_routes?,
        window: window?,
    })
}

/// What is probed at all. `None` where that is wrong, and recorded.
struct Scope {
    /// As the file lists them.
    listed: Option<Vec<Family>>,
    /// Without those that no source can send.
    families: Option<Vec<Family>>,
    protocols: Option<Vec<Protocol>>,
}

impl Scope {
    fn new(listed: Option<Vec<Family>>, sources: Option<&[Cidr]>, protocols: Option<Vec<Protocol>>) -> Self {
        let families = listed.clone().zip(sources).map(|(mut families, sources)| {
            let is_of =
                |family: &Family| sources.iter().any(|range| range.is_ipv4() == (*family == Family::Ipv4));
            families.retain(|family| sources.is_empty() || is_of(family));
            families
        });
        Self { listed, families, protocols }
    }

    /// What to add so that addresses of this family are probed.
    fn missing_family(&self, family: Family) -> Option<String> {
        let is_missing = |families: &Vec<Family>| !families.is_empty() && !families.contains(&family);
        if self.listed.as_ref().is_some_and(is_missing) {
            return Some(format!("add {:?} to families", family.code()));
        }
        let name = family.name();
        self.families.as_ref().filter(|of| is_missing(of)).map(|_| format!("add an {name} range to sources"))
    }

    /// What to add so that one of these is probed.
    fn missing_protocol(&self, wanted: &[Protocol]) -> Option<String> {
        let protocols = self.protocols.as_ref()?;
        if wanted.iter().any(|protocol| protocols.contains(protocol)) {
            return None;
        }
        let codes: Vec<String> = wanted.iter().map(|protocol| format!("{:?}", protocol.code())).collect();
        Some(format!("add {} to protocols", codes.join(" or ")))
    }
}

/// What no key alone can get wrong.
fn check_together(table: &Table<'_>, settings: &EgressSettings, problems: &mut Problems<'_>) {
    let nothing = !settings.probes(Protocol::Icmp)
        && settings.ports(Protocol::Tcp).is_empty()
        && settings.ports(Protocol::Udp).is_empty();
    if nothing {
        let message = "[egress] probes nothing; add a protocol with a port, or set enabled = false";
        problems.add(&table.span, message);
    }
    if settings.families.is_empty() {
        problems.add(&table.span, "[egress] families and sources have no family in common");
    }
    for (protocol, key) in [(Protocol::Tcp, "tcp_ports"), (Protocol::Udp, "udp_ports")] {
        if let Some(value) = table.value(key)
            && !settings.probes(protocol)
        {
            let name = protocol.code();
            problems.add(&value.span, format!("{key} has no effect; add {name:?} to protocols"));
        }
    }
    if let Some(value) = table.value("time_servers")
        && let Some(advice) = needed_for_ntp(settings)
    {
        problems.add(&value.span, format!("time_servers has no effect; {advice}"));
    }
    check_operators(table, settings, problems);
}

/// What to add so that time servers are probed.
fn needed_for_ntp(settings: &EgressSettings) -> Option<&'static str> {
    match (settings.probes(Protocol::Udp), settings.udp_ports.contains(&NTP)) {
        (true, true) => None,
        (true, false) => Some("add 123 to udp_ports"),
        (false, true) => Some("add \"udp\" to protocols"),
        (false, false) => Some("add \"udp\" to protocols and 123 to udp_ports"),
    }
}

/// Where one family alone is probed, the check could never pass on addresses of the other.
fn check_operators(table: &Table<'_>, settings: &EgressSettings, problems: &mut Problems<'_>) {
    let [family] = settings.families[..] else { return };
    let are_addresses_probed = settings.probes(Protocol::Icmp)
        || !settings.ports(Protocol::Tcp).is_empty()
        || settings.ports(Protocol::Udp).contains(&DNS);
    let lists = [
        ("addresses", &settings.addresses, are_addresses_probed),
        ("time_servers", &settings.time_servers, settings.ports(Protocol::Udp).contains(&NTP)),
    ];
    for (key, addresses, is_probed) in lists {
        if is_probed
            && !has_two_operators(addresses, family)
            && let Some(value) = table.value(key)
        {
            let family = family.name();
            let message = format!(
                "{key} must contain hosts of two operators in {family}, the only family that is probed; without them the check cannot pass"
            );
            problems.add(&value.span, message);
        }
    }
}

fn has_two_operators(addresses: &[IpAddr], family: Family) -> bool {
    let of_family = addresses.iter().filter(|ip| Family::of(**ip) == family);
    of_family.map(|ip| operator(*ip)).collect::<HashSet<u32>>().len() > 1
}

fn families(value: &Value<'_>, problems: &mut Problems<'_>) -> Option<Vec<Family>> {
    let families = value.list(Family::BOTH.len(), problems, |value, problems| {
        let text = value.text("\"ipv4\" and \"ipv6\"", problems)?;
        let known = Family::BOTH.into_iter().find(|family| family.code() == text);
        if known.is_none() {
            problems.add(&value.span, format!("unknown family {text:?}; expected \"ipv4\" or \"ipv6\""));
        }
        known
    })?;
    not_empty(value, "family", families, problems)
}

fn protocols(value: &Value<'_>, problems: &mut Problems<'_>) -> Option<Vec<Protocol>> {
    let protocols = value.list(Protocol::ALL.len(), problems, |value, problems| {
        let text = value.text("\"icmp\", \"tcp\" and \"udp\"", problems)?;
        let known = Protocol::ALL.into_iter().find(|protocol| protocol.code() == text);
        if known.is_none() {
            let message = format!("unknown protocol {text:?}; expected \"icmp\", \"tcp\" or \"udp\"");
            problems.add(&value.span, message);
        }
        known
    })?;
    not_empty(value, "protocol", protocols, problems)
}

fn sources(value: &Value<'_>, problems: &mut Problems<'_>) -> Option<Vec<Cidr>> {
    let sources = value.list(MOST_SOURCES, problems, cidr_or_address)?;
    not_empty(value, "address or range", sources, problems)
}

fn not_empty<T>(value: &Value<'_>, what: &str, all: Vec<T>, problems: &mut Problems<'_>) -> Option<Vec<T>> {
    if all.is_empty() {
        problems.add(&value.span, format!("{} must contain at least one {what}", value.key));
        return None;
    }
    Some(all)
}

fn literals(value: &Value<'_>, problems: &mut Problems<'_>) -> Option<Vec<IpAddr>> {
    let addresses = value.list(MOST_ADDRESSES, problems, public_address)?;
    if !Family::BOTH.into_iter().any(|family| has_two_operators(&addresses, family)) {
        let key = value.key;
        let why = format!(
            "{key} must contain hosts of two operators in IPv4 or in IPv6; the silence of one proves nothing"
        );
        problems.add(&value.span, why);
        return None;
    }
    Some(addresses)
}

/// Empty: the protocol is not probed.
fn ports(value: &Value<'_>, problems: &mut Problems<'_>) -> Option<Vec<u16>> {
    value.list(MOST_PORTS, problems, Value::port)
}

/// The literals answer DNS and NTP over UDP, and nothing else: silence elsewhere would prove nothing.
fn udp_ports(value: &Value<'_>, problems: &mut Problems<'_>) -> Option<Vec<u16>> {
    value.list(MOST_PORTS, problems, |value, problems| {
        let port = value.port(problems)?;
        if ![DNS, NTP].contains(&port) {
            let message = format!(
                "udp_ports takes 53 (DNS) and 123 (NTP), not {port}; for other ports add an [[egress.target]] that answers there"
            );
            problems.add(&value.span, message);
            return None;
        }
        Some(port)
    })
}

fn own_targets(value: &Value<'_>, scope: &Scope, problems: &mut Problems<'_>) -> Option<Vec<OwnTarget>> {
    let items = value.items("a list of tables, each written [[egress.target]]", MOST_TARGETS, problems)?;
    let targets: Vec<Option<OwnTarget>> =
        items.iter().map(|item| own_target(item, scope, problems)).collect();
    targets.into_iter().collect()
}

fn own_target(value: &Value<'_>, scope: &Scope, problems: &mut Problems<'_>) -> Option<OwnTarget> {
    let table = value.table(&TARGET_KEYS, problems)?;
    let host = table.read_optional("host", problems, target_host);
    let icmp = table.read("icmp", Some(false), problems, Value::flag);
    let tcp_ports = table.read("tcp_ports", Some(Vec::new()), problems, ports);
    let udp_ports = table.read("udp_ports", Some(Vec::new()), problems, ports);
    let (host, icmp, tcp_ports, udp_ports) = (host?, icmp?, tcp_ports?, udp_ports?);
    let Some(host) = host else {
        problems.add(&table.span, "a target needs a host");
        return None;
    };
    if !icmp && tcp_ports.is_empty() && udp_ports.is_empty() {
        problems.add(&table.span, "a target needs tcp_ports, udp_ports or icmp = true");
        return None;
    }
    let target = OwnTarget { host, icmp, tcp_ports, udp_ports };
    check_effect(&table, &target, scope, problems);
    Some(target)
}

/// A target that is never probed would pass without a word.
fn check_effect(table: &Table<'_>, target: &OwnTarget, scope: &Scope, problems: &mut Problems<'_>) {
    let family = match target.host {
        TargetHost::Address(ip) => Some(Family::of(ip)),
        TargetHost::Name(_) => None,
    };
    if let Some(advice) = family.and_then(|family| scope.missing_family(family))
        && let Some(value) = table.value("host")
    {
        problems.add(&value.span, format!("this target has no effect; {advice}"));
    }
    let wanted = [
        (Protocol::Icmp, target.icmp),
        (Protocol::Tcp, !target.tcp_ports.is_empty()),
        (Protocol::Udp, !target.udp_ports.is_empty()),
    ];
    let wanted: Vec<Protocol> = wanted.into_iter().filter(|(_, is)| *is).map(|(of, _)| of).collect();
    if let Some(advice) = scope.missing_protocol(&wanted) {
        problems.add(&table.span, format!("this target has no effect; {advice}"));
    }
}

fn target_host(value: &Value<'_>, problems: &mut Problems<'_>) -> Option<TargetHost> {
    let text = value.text("a string such as \"probe.example.com\" or \"1.1.1.1\"", problems)?;
    if text.parse::<IpAddr>().is_ok() {
        return public_address(value, problems).map(TargetHost::Address);
    }
    public_host(value, problems).map(TargetHost::Name)
}
