//! The evidence of one observation for a person: a line for each answer, connection, call or
//! probe, with who answered, from which address, and after how long.

use std::net::IpAddr;
use std::time::Duration;

use super::egress;
use super::failure::{clock_error, query_failure, with_detail};
use super::gateway;
use super::lookup::lookup;
use super::own_names::{located, own_name_failure};
use super::text::{clean, clock_time, duration, list, phases, timed};
use crate::observation::{
    Address, CallEvidence, Certificate, Connection, DnsEvidence, Evidence, LookupResult, Observation,
    OwnName, Phases, ProbeError, Query, QueryResult, QueryType, Resolver, Transport, ZoneRange,
};

/// What a person still reads. The JSON report has everything.
const MOST: usize = 24;

pub fn lines(observation: &Observation) -> Vec<String> {
    let address = |ip| observation.addresses.iter().find(|address| address.ip == ip);
    let lines: Vec<String> = match &observation.evidence {
        // The summary has said it all.
        Evidence::NotAttempted(_) | Evidence::Instance(_) | Evidence::Credentials(_) => vec![],
        Evidence::Dns(evidence) => dns(evidence),
        Evidence::Connect { connections, control, .. } => {
            let of_address = |connection: &Connection| connected(connection, address(connection.ip));
            let of_control = control.iter().flat_map(gateway::lines);
            connections.iter().map(of_address).chain(of_control).collect()
        }
        Evidence::Call { calls, .. } => calls.iter().map(|call| called(call, address(call.ip))).collect(),
        Evidence::Egress(evidence) => egress::lines(evidence),
    };
    let more = lines.len().saturating_sub(MOST);
    let mut lines: Vec<String> = lines.iter().take(MOST).map(|line| clean(line)).collect();
    if more > 0 {
        lines.push(format!("and {more} more"));
    }
    lines
}

fn dns(evidence: &DnsEvidence) -> Vec<String> {
    let after = match evidence.lookup.result {
        LookupResult::TimedOut => String::new(),
        _ => format!(", after {}", duration(evidence.lookup.took)),
    };
    let mut lines = vec![format!("lookup: getaddrinfo {}{after}", lookup(&evidence.lookup))];
    lines.extend(
        evidence.other_lookups.iter().map(|other| format!("another lookup: getaddrinfo {}", lookup(other))),
    );
    lines.extend(evidence.queries.iter().map(query));
    lines.extend(evidence.own.iter().flat_map(|own| &own.names).map(own_name));
    lines.extend(evidence.zones.iter().map(zone));
    let files = &evidence.files;
    lines.extend(
        files.hosts.iter().map(|entry| format!("/etc/hosts, line {}: {}", entry.line, entry.address)),
    );
    lines.extend(files.problems.iter().map(ToString::to_string));
    if files.is_behind_stub() {
        let upstreams = match files.upstreams.as_slice() {
            [] => String::new(),
            upstreams => format!(", which asks {}", list(upstreams)),
        };
        lines.push(format!("resolv.conf lists only the resolver on this host{upstreams}"));
    }
    lines
}

fn own_name(name: &OwnName) -> String {
    let zone = name.zone.as_ref().map(|zone| format!(" ({zone})")).unwrap_or_default();
    let addresses: Vec<IpAddr> = name.addresses().collect();
    if addresses.is_empty() {
        return format!("endpoint DNS name {}{zone} {}", name.name, own_name_failure(name));
    }
    format!("endpoint DNS name {}{zone}: {}", name.name, list(addresses))
}

fn zone(range: &ZoneRange) -> String {
    let id = range.id.as_ref().map(|id| format!(" ({id})")).unwrap_or_default();
    format!("configured zone {}{id}: {}", range.zone, list(&range.cidrs))
}

fn query(query: &Query) -> String {
    let query_type = match query.query_type {
        QueryType::A => "A",
        QueryType::Aaaa => "AAAA",
    };
    let whose = match query.resolver {
        Resolver::System => "system",
        Resolver::Vpc => "VPC",
    };
    let transport = match query.transport {
        Transport::Udp => "udp",
        Transport::Tcp => "tcp",
    };
    let notes = [
        query.retransmitted.then_some(", sent twice"),
        query.edns_refused.then_some(", without EDNS"),
        query.alias_last.then_some(", alias last"),
    ];
    let notes: String = notes.into_iter().flatten().collect();
    let of = query.name.as_ref().map(|name| format!(" for {name}")).unwrap_or_default();
    let server = format!("{query_type} query{of}: {} ({whose} resolver, {transport}{notes})", query.server);
    let took = timed(query.took, query.kernel);
    match (&query.result, query_failure(query)) {
        (QueryResult::Timeout, Some(failure)) => format!("{server} {failure}"),
        (_, Some(failure)) => format!("{server} {failure}, after {took}"),
        (QueryResult::Addresses { addresses, ttl, aliases }, None) => {
            let ttl = ttl.map(|ttl| format!(", TTL {ttl}")).unwrap_or_default();
            let via = if aliases.is_empty() { String::new() } else { format!(", via {}", list(aliases)) };
            format!("{server} returned {}{ttl}{via}, after {took}", list(addresses))
        }
        (_, None) => server,
    }
}

fn connected(connection: &Connection, address: Option<&Address>) -> String {
    let mut parts = Vec::new();
    parts.extend(outcome_words(address, connection.error.as_ref()));
    let server = connection.signature.as_ref().and_then(|signature| signature.server.as_ref());
    let server = server.map(|server| format!(" (Server: {server})")).unwrap_or_default();
    parts.extend(connection.http_status.map(|status| format!("HTTP {status}{server}")));
    parts.extend(timing(&connection.phases, connection.kernel_tcp));
    parts.extend(skew(connection.clock_skew));
    // An accepted certificate is not worth the line.
    if let (Some(certificate), Some(_)) = (&connection.certificate, &connection.error) {
        parts.push(leaf(certificate));
    }
    format!("{}: {}", at(connection.ip, address), parts.join(", "))
}

fn called(call: &CallEvidence, address: Option<&Address>) -> String {
    let mut parts = Vec::new();
    parts.extend(outcome_words(address, call.error.as_ref()));
    parts.extend(call.http_status.map(|status| format!("HTTP {status}")));
    parts.extend(call.aws_error.as_ref().map(ToString::to_string));
    parts.extend(call.request_id.as_ref().map(|id| format!("request id {id}")));
    parts.extend(timing(&call.phases, call.kernel_tcp));
    parts.extend(skew(call.clock_skew));
    format!("{}: {}", at(call.ip, address), parts.join(", "))
}

fn at(ip: IpAddr, address: Option<&Address>) -> String {
    located(ip, address.and_then(|address| address.zone.as_deref()))
}

/// The address's outcome, with the words of the error behind it.
fn outcome_words(address: Option<&Address>, error: Option<&ProbeError>) -> Option<String> {
    let reason = address.and_then(|address| address.outcome.reason());
    match (reason, error) {
        (Some(reason), Some(error)) if reason != error.reason => {
            Some(format!("{}, {}", reason.words(), with_detail(error.reason, &Phases::new(), &error.detail)))
        }
        (_, Some(error)) => Some(with_detail(error.reason, &Phases::new(), &error.detail)),
        (Some(reason), None) => Some(reason.words().to_owned()),
        (None, None) => address.map(|_| "answered".to_owned()),
    }
}

fn timing(took: &Phases, kernel_tcp: Option<Duration>) -> Option<String> {
    (!took.is_empty()).then(|| phases(took, kernel_tcp))
}

fn skew(skew: Option<i64>) -> Option<String> {
    // The Date header counts whole seconds and the answer was under way.
    const NORMAL: u64 = 2;
    skew.filter(|skew| skew.unsigned_abs() > NORMAL).map(clock_error)
}

fn leaf(certificate: &Certificate) -> String {
    let at = |time: Option<_>| time.map_or_else(|| "an unknown time".to_owned(), clock_time);
    format!(
        "certificate subject {}, issuer {}, valid from {} to {}, names {}",
        certificate.subject,
        certificate.issuer,
        at(certificate.not_before),
        at(certificate.not_after),
        list(&certificate.names)
    )
}
