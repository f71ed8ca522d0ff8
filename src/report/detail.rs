//! The evidence of one observation for a person: a line for each answer, connection, call or
//! probe, with who answered, from which address, and after how long.

use super::summary::clock;
use super::summary::egress;
use super::words::{clean, clock_time, explained, list, phases, time};
use crate::observation::{
    Address, Answer, CallSeen, Certificate, Connection, DnsSeen, EgressSeen, Evidence, Observation, Phases,
    Question, Reply, Resolver, Transport, Trouble,
};

/// What a person still reads. The JSON report has everything.
const MOST: usize = 24;

pub fn lines(observation: &Observation) -> Vec<String> {
    let address = |ip| observation.addresses.iter().find(|address| address.ip == ip);
    let lines: Vec<String> = match &observation.evidence {
        // The summary has said it all.
        Evidence::NotAttempted { .. } | Evidence::Instance(_) | Evidence::Credentials(_) => vec![],
        Evidence::Dns(seen) => dns(seen),
        Evidence::Connect { connections, .. } => {
            connections.iter().map(|connection| connected(connection, address(connection.ip))).collect()
        }
        Evidence::Call { calls, .. } => calls.iter().map(|call| called(call, address(call.ip))).collect(),
        Evidence::Egress(seen) => window(seen),
    };
    let more = lines.len().saturating_sub(MOST);
    let mut lines: Vec<String> = lines.iter().take(MOST).map(|line| clean(line)).collect();
    if more > 0 {
        lines.push(format!("and {more} more"));
    }
    lines
}

fn dns(seen: &DnsSeen) -> Vec<String> {
    let mut lines: Vec<String> = seen.answers.iter().map(answer).collect();
    if !seen.hosts_file.is_empty() {
        lines.push(format!("/etc/hosts: {}", list(&seen.hosts_file)));
    }
    lines
}

fn answer(answer: &Answer) -> String {
    let question = match answer.question {
        Question::A => "A",
        Question::Aaaa => "AAAA",
    };
    let whose = match answer.resolver {
        Resolver::System => "system",
        Resolver::Vpc => "VPC",
    };
    let transport = match answer.transport {
        Transport::Udp => "udp",
        Transport::Tcp => "tcp",
    };
    let again = if answer.retransmitted { ", asked twice" } else { "" };
    let head = format!(
        "{question} from {} ({whose} resolver, {transport}{again}) after {}",
        answer.server,
        time(answer.took)
    );
    let reply = match &answer.reply {
        Reply::Addresses { addresses, .. } if addresses.is_empty() => "no address (NODATA)".to_owned(),
        Reply::Addresses { addresses, ttl, aliases } => {
            let ttl = ttl.map(|ttl| format!(" (ttl {ttl})")).unwrap_or_default();
            let by = if aliases.is_empty() { String::new() } else { format!(" by way of {}", list(aliases)) };
            format!("{}{ttl}{by}", list(addresses))
        }
        Reply::Nxdomain => "NXDOMAIN".to_owned(),
        Reply::Servfail => "SERVFAIL".to_owned(),
        Reply::Refused => "REFUSED".to_owned(),
        Reply::OtherCode { rcode } => format!("response code {rcode}"),
        Reply::Truncated { detail } => format!("truncated: {detail}"),
        Reply::Timeout => "no answer".to_owned(),
        Reply::Unreachable { detail } => format!("unreachable: {detail}"),
        Reply::Invalid { detail } => format!("no answer to the question: {detail}"),
    };
    format!("{head}: {reply}")
}

fn connected(connection: &Connection, address: Option<&Address>) -> String {
    let mut parts = Vec::new();
    parts.extend(verdict(address, connection.error.as_ref()));
    parts.extend(connection.http_status.map(|status| format!("HTTP {status}")));
    parts.extend(timing(&connection.phases));
    parts.extend(skew(connection.clock_skew));
    // An accepted certificate is not worth the line.
    if let (Some(certificate), Some(_)) = (&connection.certificate, &connection.error) {
        parts.push(leaf(certificate));
    }
    format!("{}: {}", connection.ip, parts.join(", "))
}

fn called(call: &CallSeen, address: Option<&Address>) -> String {
    let mut parts = Vec::new();
    parts.extend(verdict(address, call.error.as_ref()));
    parts.extend(call.http_status.map(|status| format!("HTTP {status}")));
    parts.extend(call.aws_error.as_ref().map(|error| format!("{}: {}", error.code, error.message)));
    parts.extend(call.request_id.as_ref().map(|id| format!("request id {id}")));
    parts.extend(timing(&call.phases));
    parts.extend(skew(call.clock_skew));
    format!("{}: {}", call.ip, parts.join(", "))
}

/// The address's outcome, with the words of the error behind it.
fn verdict(address: Option<&Address>, error: Option<&Trouble>) -> Option<String> {
    let reason = address.and_then(|address| address.outcome.reason());
    match (reason, error) {
        (Some(reason), Some(error)) if reason != error.reason => {
            Some(format!("{}, {}", reason.words(), explained(error.reason, &Phases::new(), &error.detail)))
        }
        (_, Some(error)) => Some(explained(error.reason, &Phases::new(), &error.detail)),
        (Some(reason), None) => Some(reason.words().to_owned()),
        (None, None) => address.map(|_| "answered".to_owned()),
    }
}

fn timing(took: &Phases) -> Option<String> {
    (!took.is_empty()).then(|| phases(took))
}

fn skew(skew: Option<i64>) -> Option<String> {
    // The Date header counts whole seconds and the answer was under way.
    const NORMAL: u64 = 2;
    skew.filter(|skew| skew.unsigned_abs() > NORMAL).map(clock)
}

fn leaf(certificate: &Certificate) -> String {
    let at = |time: Option<_>| time.map_or_else(|| "an unknown time".to_owned(), clock_time);
    format!(
        "certificate of {} by {}, valid from {} to {}, for {}",
        certificate.subject,
        certificate.issuer,
        at(certificate.not_before),
        at(certificate.not_after),
        list(&certificate.names)
    )
}

fn window(seen: &EgressSeen) -> Vec<String> {
    let shots = seen.shots.iter().map(egress::heard);
    let controls = seen.controls.iter().map(|control| format!("control: {}", egress::control(control)));
    let unresolved = seen.unresolved.iter().cloned();
    controls.chain(shots).chain(unresolved).collect()
}
