//! One sentence for each check: what was seen. [`Length::Brief`] fits beside the check's name in
//! a table of 100 columns; [`Length::Full`] fits two lines of a terminal.

use std::cmp::Reverse;
use std::collections::BTreeSet;
use std::fmt::Display;
use std::net::IpAddr;
use std::time::Duration;

use super::egress;
use super::failure::{clock_error, family_unavailable, query_failure, with_detail};
use super::lookup::lookup;
use super::own_names::{lasted, located};
use super::text::{clean, clock_time, duration, list, shorten};
use crate::check::CheckId;
use crate::network::Scope;
use crate::observation::{
    Address, CallEvidence, Connection, CredentialsEvidence, DnsEvidence, EndpointProtocol, Evidence,
    GatewayControl, InstanceEvidence, LookupResult, NotAttempted, Observation, Outcome, Phases,
    ProofEvidence, Query, QueryResult, Reason, Resolver, Status,
};

#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Length {
    Brief,
    Full,
}

/// Two lines of a terminal. All evidence is in the details.
const LONGEST: usize = 200;

pub fn summary(observation: &Observation, length: Length) -> String {
    let outcome = observation.outcome;
    let text = match &observation.evidence {
        Evidence::NotAttempted(because) => not_attempted(&observation.check, *because, length),
        Evidence::Instance(evidence) => instance(outcome, evidence, length),
        Evidence::Credentials(evidence) => credentials(outcome, evidence, length),
        Evidence::Dns(evidence) => dns(observation, evidence, length),
        Evidence::Connect { connections, control, .. } => {
            connect(observation, connections, control.as_ref(), length)
        }
        Evidence::Call { calls, proof, .. } => call(observation, calls, *proof, length),
        Evidence::Egress(evidence) => egress::summary(outcome, evidence, length),
    };
    shorten(&clean(&text), LONGEST)
}

fn not_attempted(check: &CheckId, because: NotAttempted, length: Length) -> String {
    let reason = super::not_attempted(check, because);
    match length {
        Length::Brief => reason,
        Length::Full => format!("not attempted: {reason}"),
    }
}

/// Where nothing more is known than the outcome itself.
fn bare(outcome: Outcome) -> String {
    outcome.reason().map_or("passed", Reason::words).to_owned()
}

fn instance(outcome: Outcome, evidence: &InstanceEvidence, length: Length) -> String {
    if let Some(error) = &evidence.error {
        let server = evidence.server.map(|server| format!(" (asked {server})")).unwrap_or_default();
        return with_detail(error.reason, &Phases::new(), &error.detail) + &server;
    }
    let Some(instance) = &evidence.instance else { return bare(outcome) };
    let place = instance.zone.as_ref().or(instance.region.as_ref());
    let brief = list(place.into_iter().chain(&instance.vpc_id));
    if length == Length::Brief && outcome == Outcome::Pass && !brief.is_empty() {
        return brief;
    }
    let cidrs = list(&instance.vpc_cidrs);
    let parts = [
        instance.instance_id.clone(),
        place.map(|place| format!("in {place}")),
        instance.vpc_id.clone(),
        (!cidrs.is_empty()).then_some(cidrs),
    ];
    let text = list(parts.into_iter().flatten());
    if text.is_empty() { "metadata answered without an instance id or VPC".to_owned() } else { text }
}

fn credentials(outcome: Outcome, evidence: &CredentialsEvidence, length: Length) -> String {
    if let Some(error) = &evidence.error {
        return with_detail(error.reason, &Phases::new(), &error.detail);
    }
    let key = evidence.access_key_id.as_deref().unwrap_or("credentials");
    let source = evidence.source.as_ref().map(|source| format!("from {}", source.words()));
    let subject = match (length, &source) {
        (Length::Brief, Some(source)) if outcome == Outcome::Pass => source.clone(),
        (_, Some(source)) => format!("{key} {source}"),
        (_, None) => key.to_owned(),
    };
    match (outcome.state(), evidence.expires_at) {
        (_, None) => subject,
        (Status::Pass, Some(at)) => format!("{subject}, valid until {}", clock_time(at)),
        (_, Some(at)) => format!("{subject}, expired at {}", clock_time(at)),
    }
}

fn dns(observation: &Observation, evidence: &DnsEvidence, length: Length) -> String {
    let resolved: Vec<IpAddr> = observation.addresses.iter().map(|address| address.ip).collect();
    let subject = |verb: &str| match length {
        Length::Full => format!("{}{verb} ", evidence.host),
        Length::Brief => String::new(),
    };
    let mut parts = Vec::new();
    if !resolved.is_empty() {
        parts.push(subject(" resolved to") + &resolved_to(observation, evidence, length));
    }
    let mut failures: Vec<String> = evidence.files.unreadable().map(ToString::to_string).collect();
    failures.extend(lookup_failure(observation, evidence));
    failures.extend(query_failures(evidence));
    if let (true, Some(first)) = (resolved.is_empty(), failures.first_mut()) {
        *first = subject(":") + first;
    }
    parts.extend(failures);
    parts.extend(difference(&resolved, &addresses_from(evidence, Resolver::Vpc)));
    if parts.is_empty() { subject(":") + &bare(observation.outcome) } else { parts.join("; ") }
}

/// What the library did, where no name server says as much, or where it took long.
fn lookup_failure(observation: &Observation, evidence: &DnsEvidence) -> Option<String> {
    let own = matches!(observation.outcome.reason(), Some(Reason::LookupFailed | Reason::LookupTimeout));
    match &evidence.lookup.result {
        LookupResult::Addresses { .. } => {
            evidence.lookup.is_slow().then(|| format!("getaddrinfo took {}", duration(evidence.lookup.took)))
        }
        LookupResult::TimedOut => Some(format!("getaddrinfo {}", lookup(&evidence.lookup))),
        _ => own.then(|| format!("getaddrinfo {}", lookup(&evidence.lookup))),
    }
}

fn query_failures(evidence: &DnsEvidence) -> Vec<String> {
    let system = |query: &&Query| query.resolver == Resolver::System && query.name.is_none();
    let nothing_resolved = evidence.queries.iter().filter(system).all(|q| q.result.addresses().is_empty());
    let matters = |query: &&Query| {
        // One family of two is normally empty.
        let empty = matches!(&query.result, QueryResult::Addresses { addresses, .. } if addresses.is_empty());
        system(query) && (nothing_resolved || !empty)
    };
    let mut failures: Vec<String> = evidence
        .queries
        .iter()
        .filter(matters)
        .filter_map(|query| Some(format!("{} {}", query.server, query_failure(query)?)))
        .collect();
    failures.dedup();
    failures
}

fn addresses_from(evidence: &DnsEvidence, resolver: Resolver) -> Vec<IpAddr> {
    let queries = evidence.queries.iter().filter(|query| query.resolver == resolver);
    let mut addresses: Vec<IpAddr> = queries.flat_map(|query| query.result.addresses()).copied().collect();
    addresses.sort_unstable();
    addresses.dedup();
    addresses
}

/// Where the VPC resolver's answer differs, and nothing of what both answer.
fn difference(resolved: &[IpAddr], vpc: &[IpAddr]) -> Option<String> {
    let beyond = |ips: &[IpAddr], others: &[IpAddr]| -> Vec<IpAddr> {
        ips.iter().filter(|ip| !others.contains(ip)).copied().collect()
    };
    let (more, less) = (beyond(vpc, resolved), beyond(resolved, vpc));
    match (more.is_empty(), less.is_empty()) {
        _ if vpc.is_empty() => None,
        (true, true) => None,
        (true, false) => Some(format!("the VPC resolver does not return {}", list(less))),
        (false, true) if !resolved.is_empty() => {
            Some(format!("the VPC resolver also returns {}", list(more)))
        }
        (false, _) => Some(format!("the VPC resolver returns {}", list(vpc))),
    }
}

fn resolved_to(observation: &Observation, evidence: &DnsEvidence, length: Length) -> String {
    let (unusable, judged): (Vec<&Address>, Vec<&Address>) =
        observation.addresses.iter().partition(|address| address.outcome.state() == Status::Skipped);
    let (inside, outside): (Vec<&Address>, Vec<&Address>) =
        judged.into_iter().partition(|address| address.scope.is_inside());
    let by_file =
        |ip| if evidence.files.hosts.iter().any(|entry| entry.address == ip) { " (/etc/hosts)" } else { "" };
    let ips = |addresses: &[&Address]| {
        let named = addresses.iter().map(|address| {
            format!("{}{}", located(address.ip, address.zone.as_deref()), by_file(address.ip))
        });
        counted(observation.outcome, named.collect(), length)
            + &in_zones(observation.outcome, addresses, length)
    };
    let special = outside.iter().all(|address| address.scope == Scope::Special);
    let beyond = if special { "where no endpoint can be" } else { "outside the VPC" };
    let unknown = observation.outcome.reason() == Some(Reason::VpcCidrsUnknown);
    let text = match (inside.is_empty(), outside.is_empty()) {
        (_, false) if unknown => format!("{}, but the VPC's CIDRs are unknown", ips(&outside)),
        (_, false) if observation.outcome == Outcome::Pass => {
            format!("{}, public as for every gateway endpoint", ips(&outside))
        }
        (false, _) if inside.iter().any(|a| a.outcome.reason() == Some(Reason::NotThisEndpoint)) => {
            not_own(&inside, evidence)
        }
        (false, true) if inside.iter().all(|address| address.scope == Scope::Vpc) => {
            format!("{}, inside the VPC", ips(&inside))
        }
        (_, true) => format!("{}, inside expected_cidrs", ips(&inside)),
        (true, false) => format!("{}, {beyond}", ips(&outside)),
        (false, false) => format!("{}, {beyond}, and {}, inside the VPC", ips(&outside), ips(&inside)),
    };
    match unusable.as_slice() {
        [] => text,
        unusable => format!("{text}; {}: {}", ips(unusable), family_unavailable(unusable[0].ip)),
    }
}

/// What leads to another endpoint, and how long it has.
fn not_own(inside: &[&Address], evidence: &DnsEvidence) -> String {
    let is_other = |address: &&&Address| address.outcome.reason() == Some(Reason::NotThisEndpoint);
    let others = list(inside.iter().filter(is_other).map(|address| address.ip));
    format!("{others}, not one of the endpoint's own addresses{}", lasted(evidence.own.as_ref()))
}

/// In a table a long list leaves no room for what was seen: of a pass the count is enough.
fn counted<T: Display>(outcome: Outcome, items: Vec<T>, length: Length) -> String {
    const FITS: usize = 36;
    let count = items.len();
    let all = list(items);
    let brief = length == Length::Brief && outcome == Outcome::Pass && all.len() > FITS;
    if brief { format!("{count} addresses") } else { all }
}

/// Of a pass that only counts its addresses: in how many zones they are.
fn in_zones(outcome: Outcome, addresses: &[&Address], length: Length) -> String {
    let zones: Option<BTreeSet<&str>> = addresses.iter().map(|address| address.zone.as_deref()).collect();
    let is_counted = length == Length::Brief && outcome == Outcome::Pass && addresses.len() > 1;
    match zones.filter(|_| is_counted).map(|zones| zones.len()) {
        None => String::new(),
        Some(1) => " in one zone".to_owned(),
        Some(count) => format!(" in {count} zones"),
    }
}

fn connect(
    observation: &Observation,
    connections: &[Connection],
    control: Option<&GatewayControl>,
    length: Length,
) -> String {
    let alone = lone_pass(observation);
    let grouped = grouped(observation, length, |address| {
        let connection = connections.iter().find(|connection| connection.ip == address.ip);
        let unproven = address.outcome == Outcome::Pass
            && observation.outcome == Outcome::Inconclusive(Reason::EgressNotClosed);
        match (alone, length) {
            _ if unproven => " answered, perhaps over the internet".to_owned(),
            (Some((ip, took)), Length::Full) if ip == address.ip => {
                format!(" answered in {}", duration(took))
            }
            (Some((ip, _)), Length::Brief) if ip == address.ip => " answered".to_owned(),
            _ => format!(": {}", connection_result(address, connection)),
        }
    });
    let of_control = control.and_then(|control| super::gateway::clause(observation, control, length));
    match (grouped.is_empty(), of_control) {
        (true, _) => bare(observation.outcome),
        (false, Some(clause)) => format!("{grouped}; {clause}"),
        (false, None) => grouped,
    }
}

fn connection_result(address: &Address, connection: Option<&Connection>) -> String {
    let error = connection.and_then(|connection| connection.error.as_ref());
    let protocol = connection.map(|connection| connection.protocol).unwrap_or_default();
    let answered = connection.is_some_and(|connection| match protocol {
        EndpointProtocol::Https => connection.http_status.is_some(),
        EndpointProtocol::Tls | EndpointProtocol::Tcp => connection.error.is_none(),
    });
    let what = match protocol {
        EndpointProtocol::Https => "TLS and HTTP answered",
        EndpointProtocol::Tls => "TLS answered",
        EndpointProtocol::Tcp => "TCP connected",
    };
    match (address.outcome.reason(), error) {
        (None, _) => what.to_owned(),
        (Some(reason), Some(error)) if reason == error.reason => {
            with_detail(reason, &address.phases, &error.detail)
        }
        (Some(reason), Some(error)) => format!("{}, {}", reason.words(), error.reason.words()),
        (Some(reason), None) if answered => format!("{}, although {what}", reason.words()),
        (Some(Reason::FamilyUnavailable), None) => family_unavailable(address.ip),
        (Some(reason), None) => reason.words().to_owned(),
    }
}

/// The one address that answered beside others that did not, and how long it took.
fn lone_pass(observation: &Observation) -> Option<(IpAddr, Duration)> {
    let mut passed = observation.addresses.iter().filter(|address| address.outcome == Outcome::Pass);
    let first = passed.next()?;
    let alone = passed.next().is_none() && observation.addresses.len() > 1;
    alone.then(|| (first.ip, total(&first.phases)))
}

fn total(phases: &Phases) -> Duration {
    phases.iter().map(|(_, took)| *took).sum()
}

/// Addresses with the same result in one clause, those that decided the outcome first.
fn grouped(observation: &Observation, length: Length, tell: impl Fn(&Address) -> String) -> String {
    let outcome = observation.outcome;
    let mut groups: Vec<(String, Status, Vec<String>)> = Vec::new();
    for address in &observation.addresses {
        let (text, state) = (tell(address), address.outcome.state());
        let ip = located(address.ip, address.zone.as_deref());
        match groups.iter_mut().find(|(known, of, _)| *known == text && *of == state) {
            Some((_, _, ips)) => ips.push(ip),
            None => groups.push((text, state, vec![ip])),
        }
    }
    groups.sort_by_key(|(_, state, _)| (*state != outcome.state(), Reverse(weight(*state))));
    let clauses = groups.into_iter().map(|(text, _, ips)| counted(outcome, ips, length) + &text);
    clauses.collect::<Vec<_>>().join("; ")
}

fn weight(state: Status) -> u8 {
    match state {
        Status::Pass => 0,
        Status::Skipped => 1,
        Status::Inconclusive => 2,
        Status::Fail => 3,
    }
}

fn call(
    observation: &Observation,
    calls: &[CallEvidence],
    proof: Option<ProofEvidence>,
    length: Length,
) -> String {
    let total = observation.addresses.len();
    let (answered, missed): (Vec<&Address>, Vec<&Address>) =
        observation.addresses.iter().partition(|address| address.outcome == Outcome::Pass);
    let brief = length == Length::Brief && observation.outcome == Outcome::Pass;
    let proven = proof.filter(|proof| proof.proven).map(|proof| proof.condition.key());
    let answers = match (proven, length) {
        (Some(key), Length::Brief) => {
            return format!("{} of {total} answered; proven by {key}", answered.len());
        }
        (Some(key), Length::Full) => format!("{}; proven by {key}", answers(&answered, total)),
        (None, _) => answers(&answered, total),
    };
    if missed.is_empty() && !answered.is_empty() {
        let request = calls.iter().find_map(|call| call.request_id.as_ref()).filter(|_| !brief);
        return request.map_or(answers.clone(), |id| format!("{answers} (request id {id})"));
    }
    if brief {
        let who = if missed.len() == 1 { missed[0].ip.to_string() } else { missed.len().to_string() };
        return format!("{} of {total} answered; {who} not called", answered.len());
    }
    let missed = Observation { addresses: missed.into_iter().cloned().collect(), ..observation.clone() };
    let told = grouped(&missed, length, |address| format!(": {}", call_result(&missed, address, calls)));
    match (told.is_empty(), answered.is_empty()) {
        (true, _) => bare(observation.outcome),
        (false, true) => told,
        (false, false) if observation.outcome == Outcome::Pass => format!("{answers}; {told}"),
        (false, false) => format!("{told}; {answers}"),
    }
}

/// What came of the call to one address that did not pass.
fn call_result(observation: &Observation, address: &Address, calls: &[CallEvidence]) -> String {
    match address.outcome {
        Outcome::Skipped(Reason::FamilyUnavailable) => {
            format!("not called, {}", family_unavailable(address.ip))
        }
        Outcome::Skipped(Reason::PrerequisiteFailed) => {
            format!("not called, {}/connect did not pass", observation.check.target())
        }
        outcome => {
            let call = calls.iter().find(|call| call.ip == address.ip);
            outcome.reason().map_or_else(String::new, |reason| refusal(reason, &address.phases, call))
        }
    }
}

/// Of a single interface it is worth knowing which, and how fast.
fn answers(answered: &[&Address], count: usize) -> String {
    match answered {
        [only] if count > 1 => {
            format!("ListMetrics answered over {} in {}", only.ip, duration(total(&only.phases)))
        }
        answered => {
            let interfaces = if count == 1 { "interface" } else { "interfaces" };
            format!("ListMetrics answered on {} of {count} {interfaces}", answered.len())
        }
    }
}

fn refusal(reason: Reason, phases: &Phases, call: Option<&CallEvidence>) -> String {
    let Some(call) = call else { return reason.words().to_owned() };
    match (&call.aws_error, &call.error, call.http_status) {
        // AWS's message counts seconds, which differ from one interface to the next.
        (Some(error), ..) if reason == Reason::ClockSkew && call.clock_skew.is_some() => {
            format!("{} ({})", clock_error(call.clock_skew.unwrap_or_default()), error.code)
        }
        (Some(error), ..) => error.brief(),
        (None, Some(error), _) => with_detail(error.reason, phases, &error.detail),
        (None, None, Some(status)) => format!("{} (HTTP {status})", reason.words()),
        (None, None, None) => reason.words().to_owned(),
    }
}
