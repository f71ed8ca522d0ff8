//! One plain sentence for each check: what was seen, out of the typed evidence.

pub mod egress;
pub mod headline;

use std::cmp::Reverse;
use std::net::IpAddr;
use std::time::Duration;

use super::words::{clean, clock_time, explained, list, shorten, time};
use crate::check::Family;
use crate::network::{Network, Scope};
use crate::observation::{
    Address, CallEvidence, Connection, CredentialsEvidence, DnsEvidence, Evidence, InstanceEvidence,
    Observation, Outcome, Phases, Proof, Query, QueryResult, Reason, Resolver, Status,
};

/// Fits two lines of a terminal; the whole evidence stands elsewhere.
const LONGEST: usize = 200;

pub fn summary(observation: &Observation) -> String {
    shorten(&whole(observation), LONGEST)
}

fn whole(observation: &Observation) -> String {
    let outcome = observation.outcome;
    let text = match &observation.evidence {
        Evidence::NotAttempted { because } => not_attempted(outcome, because),
        Evidence::Instance(evidence) => instance(outcome, evidence),
        Evidence::Credentials(evidence) => credentials(outcome, evidence),
        Evidence::Dns(evidence) => dns(observation, evidence),
        Evidence::Connect { connections, .. } => connect(observation, connections),
        Evidence::Call { calls, proof, .. } => call(observation, calls, *proof),
        Evidence::Egress(evidence) => egress::summary(outcome, evidence),
    };
    clean(&text)
}

fn not_attempted(outcome: Outcome, because: &str) -> String {
    if outcome.reason() == Some(Reason::InternalError) {
        return format!("{}: {because}", Reason::InternalError.words());
    }
    format!("not attempted: {because}")
}

/// Where nothing better is known than the outcome itself.
fn bare(outcome: Outcome) -> String {
    outcome.reason().map_or("passed", Reason::words).to_owned()
}

fn instance(outcome: Outcome, evidence: &InstanceEvidence) -> String {
    if let Some(error) = &evidence.error {
        let who = evidence.server.map(|server| format!(" (asked {server})")).unwrap_or_default();
        return format!("{}{who}", explained(error.reason, &Phases::new(), &error.detail));
    }
    let Some(instance) = &evidence.instance else { return bare(outcome) };
    let place = instance.zone.as_ref().or(instance.region.as_ref());
    let cidrs = list(&instance.vpc_cidrs);
    let parts = [
        instance.instance_id.clone(),
        place.map(|place| format!("in {place}")),
        instance.vpc_id.clone(),
        (!cidrs.is_empty()).then_some(cidrs),
    ];
    let text = list(parts.into_iter().flatten());
    if text.is_empty() { "metadata answered, but named neither instance nor VPC".to_owned() } else { text }
}

fn credentials(outcome: Outcome, evidence: &CredentialsEvidence) -> String {
    if let Some(error) = &evidence.error {
        return explained(error.reason, &Phases::new(), &error.detail);
    }
    let key = evidence.access_key_id.as_deref().unwrap_or("credentials");
    let source = evidence.source.as_ref().map(|source| format!(" from {source}")).unwrap_or_default();
    let expiry = match (outcome.state(), evidence.expires_at) {
        (_, None) => String::new(),
        (Status::Pass, Some(at)) => format!(", valid until {}", clock_time(at)),
        (_, Some(at)) => format!(", expired at {}", clock_time(at)),
    };
    format!("{key}{source}{expiry}")
}

fn dns(observation: &Observation, evidence: &DnsEvidence) -> String {
    let by = |resolver| evidence.queries.iter().filter(move |query| query.resolver == resolver);
    let resolved: Vec<IpAddr> = observation.addresses.iter().map(|address| address.ip).collect();
    let mut parts = Vec::new();
    if !resolved.is_empty() {
        parts.push(resolved_to(observation, evidence));
    }
    let mut troubles: Vec<String> =
        by(Resolver::System).filter_map(|query| trouble(query, resolved.is_empty())).collect();
    troubles.dedup();
    if let (true, Some(first)) = (resolved.is_empty(), troubles.first_mut()) {
        *first = format!("{}: {first}", evidence.host);
    }
    parts.extend(troubles);
    let mut vpc: Vec<IpAddr> =
        by(Resolver::Vpc).flat_map(|query| addresses_of(&query.result)).copied().collect();
    vpc.dedup();
    parts.extend(difference(&resolved, &vpc));
    if parts.is_empty() {
        format!("{}: {}", evidence.host, bare(observation.outcome))
    } else {
        parts.join("; ")
    }
}

/// What the VPC's own resolver says otherwise, and nothing of what both say.
fn difference(resolved: &[IpAddr], vpc: &[IpAddr]) -> Option<String> {
    let beyond = |ips: &[IpAddr], others: &[IpAddr]| -> Vec<IpAddr> {
        ips.iter().filter(|ip| !others.contains(ip)).copied().collect()
    };
    let (more, less) = (beyond(vpc, resolved), beyond(resolved, vpc));
    match (more.is_empty(), less.is_empty()) {
        _ if vpc.is_empty() => None,
        (true, true) => None,
        (true, false) => Some(format!("VPC resolver does not say {}", list(less))),
        (false, true) if !resolved.is_empty() => Some(format!("VPC resolver adds {}", list(more))),
        (false, _) => Some(format!("VPC resolver says {}", list(vpc))),
    }
}

fn resolved_to(observation: &Observation, evidence: &DnsEvidence) -> String {
    let host = &evidence.host;
    let (unusable, judged): (Vec<&Address>, Vec<&Address>) =
        observation.addresses.iter().partition(|address| address.outcome.state() == Status::Skipped);
    let (inside, outside): (Vec<&Address>, Vec<&Address>) =
        judged.into_iter().partition(|address| address.scope.is_inside());
    let by_file = |ip| if evidence.hosts_file.contains(&ip) { " (/etc/hosts)" } else { "" };
    let ips = |addresses: &[&Address]| {
        list(addresses.iter().map(|address| format!("{}{}", address.ip, by_file(address.ip))))
    };
    let special = outside.iter().all(|address| address.scope == Scope::Special);
    let beyond = if special { "where no endpoint can be" } else { "outside the VPC" };
    let unknown = observation.outcome.reason() == Some(Reason::VpcCidrsUnknown);
    let text = match (inside.is_empty(), outside.is_empty()) {
        (_, false) if unknown => format!("{}, but the VPC's CIDRs are unknown", ips(&outside)),
        (_, false) if observation.outcome == Outcome::Pass => {
            format!("{}, public as a gateway endpoint's addresses are", ips(&outside))
        }
        (false, true) if inside.iter().all(|address| address.scope == Scope::Vpc) => {
            format!("{}, inside the VPC", ips(&inside))
        }
        (_, true) => format!("{}, inside the ranges that are expected", ips(&inside)),
        (true, false) => format!("{}, {beyond}", ips(&outside)),
        (false, false) => format!("{}, {beyond}, and {}, inside the VPC", ips(&outside), ips(&inside)),
    };
    let beside = match unusable.as_slice() {
        [] => String::new(),
        unusable => format!("; {}: {}", ips(unusable), missing_families(unusable[0].ip)),
    };
    format!("{host} resolved to {text}{beside}")
}

fn addresses_of(result: &QueryResult) -> &[IpAddr] {
    match result {
        QueryResult::Addresses { addresses, .. } => addresses,
        QueryResult::Nxdomain
        | QueryResult::Servfail
        | QueryResult::Refused
        | QueryResult::OtherCode { .. }
        | QueryResult::Truncated { .. }
        | QueryResult::Timeout
        | QueryResult::Unreachable { .. }
        | QueryResult::Invalid { .. } => &[],
    }
}

/// What went wrong with a question. An empty answer is normal for one family of two.
fn trouble(query: &Query, nothing_resolved: bool) -> Option<String> {
    let what = match &query.result {
        QueryResult::Addresses { addresses, .. } if addresses.is_empty() && nothing_resolved => {
            "answered without an address (NODATA)".to_owned()
        }
        QueryResult::Addresses { .. } => return None,
        QueryResult::Nxdomain => "answered NXDOMAIN: no such name".to_owned(),
        QueryResult::Servfail => "answered SERVFAIL".to_owned(),
        QueryResult::Refused => "refused the query (REFUSED)".to_owned(),
        QueryResult::OtherCode { rcode } => format!("answered with response code {rcode}"),
        QueryResult::Truncated { detail } => {
            format!("truncated its answer, and TCP did not deliver the rest: {detail}")
        }
        QueryResult::Timeout => format!("did not answer within {}", time(query.took)),
        QueryResult::Unreachable { detail } => format!("could not be reached: {detail}"),
        QueryResult::Invalid { detail } => format!("sent what is no answer to the question: {detail}"),
    };
    Some(format!("{} {what}", query.server))
}

fn connect(observation: &Observation, connections: &[Connection]) -> String {
    let told = told(observation.outcome, &observation.addresses, |address| {
        let connection = connections.iter().find(|connection| connection.ip == address.ip);
        let error = connection.and_then(|connection| connection.error.as_ref());
        match (address.outcome.reason(), error) {
            (None, _) => "TLS and HTTP answered".to_owned(),
            (Some(reason), Some(error)) if reason == error.reason => {
                explained(reason, &address.phases, &error.detail)
            }
            (Some(reason), Some(error)) => format!("{}, {}", reason.words(), error.reason.words()),
            (Some(reason), None) if connection.is_some_and(|connection| connection.http_status.is_some()) => {
                format!("{}, yet TLS and HTTP answered", reason.words())
            }
            (Some(Reason::FamilyUnavailable), None) => missing_families(address.ip),
            (Some(reason), None) => reason.words().to_owned(),
        }
    });
    // A gateway's address, while something else gets out as well.
    if observation.outcome == Outcome::Inconclusive(Reason::PrerequisiteFailed) && !told.is_empty() {
        let answered = told.replace(": TLS and HTTP answered", " answered");
        return format!("{answered}, perhaps over the internet");
    }
    match lone_pass(observation) {
        _ if told.is_empty() => bare(observation.outcome),
        Some((ip, took)) => {
            told.replace(&format!("{ip}: TLS and HTTP answered"), &format!("{ip} answered in {}", time(took)))
        }
        None => told,
    }
}

/// Why an address is of no use here.
fn missing_families(ip: IpAddr) -> String {
    format!("the instance has no {}", Family::of(ip).name())
}

/// The one address that answered beside others that did not: how fast is the interesting part.
fn lone_pass(observation: &Observation) -> Option<(IpAddr, Duration)> {
    let mut passed = observation.addresses.iter().filter(|address| address.outcome == Outcome::Pass);
    let first = passed.next()?;
    let alone = passed.next().is_none() && observation.addresses.len() > 1;
    alone.then(|| (first.ip, first.phases.iter().map(|(_, took)| *took).sum()))
}

/// Addresses with the same to tell are told together, those that made the outcome first: of a
/// pass what was seen, else the worst.
fn told(outcome: Outcome, addresses: &[Address], tell: impl Fn(&Address) -> String) -> String {
    let mut groups: Vec<(String, Status, Vec<IpAddr>)> = Vec::new();
    for address in addresses {
        let (text, state) = (tell(address), address.outcome.state());
        match groups.iter_mut().find(|(known, of, _)| *known == text && *of == state) {
            Some((_, _, ips)) => ips.push(address.ip),
            None => groups.push((text, state, vec![address.ip])),
        }
    }
    groups.sort_by_key(|(_, state, _)| (*state != outcome.state(), Reverse(weight(*state))));
    let sentences = groups.iter().map(|(text, _, ips)| format!("{}: {text}", list(ips)));
    sentences.collect::<Vec<_>>().join("; ")
}

fn weight(state: Status) -> u8 {
    match state {
        Status::Pass => 0,
        Status::Skipped => 1,
        Status::Inconclusive => 2,
        Status::Fail => 3,
    }
}

fn call(observation: &Observation, calls: &[CallEvidence], proof: Option<Proof>) -> String {
    let (answered, missed): (Vec<&Address>, Vec<&Address>) =
        observation.addresses.iter().partition(|address| address.outcome == Outcome::Pass);
    let mut evidence = answers(&answered, observation.addresses.len());
    if let Some(proof) = proof.filter(|_| is_provable(&answered)) {
        evidence += &format!(": proves PrivateLink, as the role's policy asks for {}", proof.key());
    }
    if missed.is_empty() && !answered.is_empty() {
        let request = calls.iter().find_map(|call| call.request_id.as_ref());
        return match request {
            Some(id) => format!("{evidence} (request id {id})"),
            None => evidence,
        };
    }
    let missed: Vec<Address> = missed.into_iter().cloned().collect();
    let told = told(observation.outcome, &missed, |address| {
        let call = calls.iter().find(|call| call.ip == address.ip);
        match address.outcome {
            Outcome::Skipped(Reason::FamilyUnavailable) => {
                format!("not called, {}", missing_families(address.ip))
            }
            Outcome::Skipped(Reason::PrerequisiteFailed) => {
                format!("not called, it did not pass {}/connect", observation.check.target())
            }
            outcome => {
                outcome.reason().map_or_else(String::new, |reason| refusal(reason, &address.phases, call))
            }
        }
    });
    match (told.is_empty(), answered.is_empty()) {
        (true, _) => bare(observation.outcome),
        (false, true) => told,
        (false, false) if observation.outcome == Outcome::Pass => format!("{evidence}; {told}"),
        (false, false) => format!("{told}; {evidence}"),
    }
}

/// The configuration says that the role's policy asks for the endpoint. Where the answer came from
/// a public address that the configuration vouches for as well, that is too much to take its word.
fn is_provable(answered: &[&Address]) -> bool {
    let public = |address: &&Address| {
        address.scope == Scope::Expected
            && address.ip.is_ipv4()
            && Network::default().scope(address.ip) == Scope::Public
    };
    !answered.is_empty() && !answered.iter().any(public)
}

/// Of one interface alone it is worth knowing which, and how fast.
pub fn answers(answered: &[&Address], total: usize) -> String {
    match answered {
        [only] if total > 1 => {
            let took: Duration = only.phases.iter().map(|(_, took)| *took).sum();
            format!("ListMetrics answered over {} in {}", only.ip, time(took))
        }
        answered => {
            let interfaces = if total == 1 { "interface" } else { "interfaces" };
            format!("ListMetrics answered on {} of {total} {interfaces}", answered.len())
        }
    }
}

fn refusal(reason: Reason, phases: &Phases, call: Option<&CallEvidence>) -> String {
    let Some(call) = call else { return reason.words().to_owned() };
    let text = match (&call.aws_error, &call.error, call.http_status) {
        (Some(error), _, _) => format!("{}: {}", error.code, because(&error.message)),
        (None, Some(error), _) => explained(error.reason, phases, &error.detail),
        (None, None, Some(status)) => format!("{} (HTTP {status})", reason.words()),
        (None, None, None) => reason.words().to_owned(),
    };
    match (call.clock_skew, &call.aws_error) {
        // AWS's own words count seconds, which differ from one interface to the next.
        (Some(skew), Some(error)) if reason == Reason::ClockSkew => {
            format!("{} ({})", clock(skew), error.code)
        }
        _ => text,
    }
}

pub fn clock(skew: i64) -> String {
    let (seconds, side) = (skew.unsigned_abs(), if skew > 0 { "behind" } else { "ahead of" });
    // A Date is rounded to the second, and two addresses may differ by one: minutes are enough.
    let off = if seconds < 120 { format!("{seconds} s") } else { format!("{} min", (seconds + 30) / 60) };
    format!("our clock is {off} {side} the service's")
}

/// AWS puts the cause at the end of a sentence that begins with two long names.
fn because(message: &str) -> String {
    match message.find(" because ") {
        Some(at) => format!("…{}", &message[at..]),
        None => message.to_owned(),
    }
}

#[cfg(test)]
mod tests;
