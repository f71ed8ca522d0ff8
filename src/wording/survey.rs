//! What `linkproof discover` says of names and their endpoints.

use std::net::IpAddr;
use std::time::Duration;

use super::failure::{probe_error, query_failure};
use super::lookup::lookup;
use super::text::{duration, list};
use crate::observation::{
    Address, Connection, DnsEvidence, FileProblem, LookupResult, NameState, Outcome, Reason, Resolver,
};

/// The heading of the names in this state, and what it means for an endpoint.
pub fn state(state: NameState) -> (&'static str, &'static str) {
    match state {
        NameState::Private => ("Private", "every address is in the VPC or in expected_cidrs"),
        NameState::Mixed => ("Private and other addresses", "applications get one or the other"),
        NameState::Elsewhere => (
            "Private addresses outside the known ranges",
            "an endpoint of another VPC, or a stale private zone; if they are right, add their range to expected_cidrs",
        ),
        NameState::Special => {
            ("Loopback or link-local addresses", "no interface endpoint has such an address")
        }
        NameState::RangesUnknown => (
            "Not judged",
            "the VPC's ranges are not known; make instance metadata available, or set expected_cidrs",
        ),
        NameState::AnyName => ("No evidence", "a name that does not exist gets the same answer"),
        NameState::Public => {
            ("Public", "applications get public addresses; an endpoint without private DNS may still exist")
        }
        NameState::Failed => ("Not known", "the lookup failed"),
        NameState::NotLookedAt => ("Not looked up", "none of their names was looked up"),
        NameState::NoAddress => ("No address", "the name exists without an address"),
        NameState::NotFound => ("No such name", "as far as this name server knows"),
    }
}

/// The heading of services of which some names were not asked, and no other has an address.
pub const PARTLY_LOOKED_AT: (&str, &str) =
    ("Partly looked up", "those of their names that were looked up have no address");

/// How many names were looked up, and how.
pub fn counts(names: usize, looked_up: usize, services: usize, took: Duration) -> String {
    let all = if names == 1 { "1 name".to_owned() } else { format!("{names} names") };
    let of = if names == looked_up { all } else { format!("{looked_up} of {all}") };
    format!(
        "Looked up {of} of {} in {}, as applications do and at the VPC resolver.",
        self::services(services),
        duration(took)
    )
}

/// For a person who waits.
pub fn progress(looked_up: usize, names: usize, connected: usize, connections: usize) -> String {
    if connections == 0 {
        format!("{looked_up} of {names} names looked up")
    } else {
        format!("{names} names looked up, {connected} of {connections} connections made")
    }
}

pub fn incomplete(why: &str) -> String {
    format!("INCOMPLETE: {why}. Names that are not listed may still have an endpoint.")
}

pub const INTERRUPTED: &str = "interrupted before every name was looked up and connected to";
pub const OUT_OF_TIME: &str = "stopped after 5 min; lookups are slow here";
pub const NO_ANSWERS: &str = "stopped because no name server answered for many names in a row";
pub const NOT_ALL: &str = "not every name could be looked up both ways";

/// What a connection to a private address showed.
pub fn connected(address: &Address, connection: Option<&Connection>) -> String {
    let Some(connection) = connection else {
        return match address.outcome {
            Outcome::Skipped(Reason::FamilyUnavailable) => Reason::FamilyUnavailable.words().to_owned(),
            _ => "not tried".to_owned(),
        };
    };
    match (&connection.error, address.outcome.reason()) {
        (Some(error), _) => probe_error(error),
        (None, Some(reason)) => reason.words().to_owned(),
        (None, None) => {
            let took: Duration = connection.phases.iter().map(|(_, took)| *took).sum();
            let status = connection.http_status.map(|status| format!("HTTP {status} ")).unwrap_or_default();
            format!("ok, {status}after {}", duration(took))
        }
    }
}

/// The same for a file that is kept: without what differs from run to run.
pub fn connected_briefly(address: &Address, connection: Option<&Connection>) -> String {
    match (connection, address.outcome) {
        (Some(_), Outcome::Pass) => "connects".to_owned(),
        (Some(_), _) => connected(address, connection),
        (None, _) => "not connected to".to_owned(),
    }
}

/// Of a wildcard name, which was asked with a label that stands for the user's own.
pub fn stand_in(host: &str, below: &str) -> String {
    format!("{host}: any label is private below {below}; replace it by one that is used here.")
}

/// In place of the table; `unjudged` services have addresses, and the ranges of the VPC are unknown.
pub fn nothing_private(unjudged: usize) -> String {
    match unjudged {
        0 => "No name that was looked up has a private address.".to_owned(),
        1 => "1 service has an address that may be private: the VPC's ranges are unknown.".to_owned(),
        many => format!("{many} services have addresses that may be private: the VPC's ranges are unknown."),
    }
}

pub fn more(count: usize) -> String {
    format!("and {count} more; --format json has them")
}

pub fn services(count: usize) -> String {
    if count == 1 { "1 service".to_owned() } else { format!("{count} services") }
}

pub fn other_partitions(count: usize) -> String {
    format!("{} of other partitions left out.", services(count))
}

/// `a.example: applications get 203.0.113.20, the VPC resolver 10.0.1.57`.
pub fn difference(evidence: &DnsEvidence, vpc: &[IpAddr]) -> String {
    let applications = match &evidence.lookup.result {
        LookupResult::Addresses { addresses } => {
            let mut addresses = addresses.clone();
            addresses.sort_unstable();
            list(addresses)
        }
        _ => "no address".to_owned(),
    };
    let resolver = if vpc.is_empty() { "no address".to_owned() } else { list(vpc) };
    let pinned = evidence.files.hosts.first().map(|entry| format!(" (/etc/hosts, line {})", entry.line));
    format!(
        "{}: applications get {applications}{}, the VPC resolver says {resolver}",
        evidence.host,
        pinned.unwrap_or_default()
    )
}

/// The heading of what the VPC's resolver says where the lookup failed.
pub const VPC_RESOLVER_ALONE: &str =
    "At the VPC resolver only: applications got no answer, so nothing here was connected to";

/// Why a name is not known.
pub fn lookup_failed(evidence: &DnsEvidence) -> String {
    format!("{}: getaddrinfo {}", evidence.host, lookup(&evidence.lookup))
}

/// Why the VPC's resolver is not known, in the words of its first failure.
pub fn resolver_failed(evidence: &DnsEvidence) -> Option<String> {
    let of_vpc = evidence.queries.iter().filter(|query| query.resolver == Resolver::Vpc);
    let mut failed = of_vpc.filter(|query| !query.result.is_conclusive());
    failed.find_map(|query| Some(format!("{} {}", query.server, query_failure(query)?)))
}

pub fn not_compared(count: usize, why: Option<&str>) -> String {
    let names = if count == 1 { "1 name was".to_owned() } else { format!("{count} names were") };
    let why = why.map(|why| format!(": {why}")).unwrap_or_default();
    format!("{names} not compared with the VPC resolver{why}.")
}

pub fn any_name(suffix: &str, addresses: &[IpAddr]) -> String {
    format!(
        "Names below {suffix} that do not exist resolve to {}: a wildcard zone or a resolver that \
         answers for any name. The same answer for a service's name shows no endpoint.",
        list(addresses)
    )
}

pub fn controls_failed(suffixes: &[&str]) -> String {
    format!("Whether any name gets an answer is not known below {}: the lookups failed.", list(suffixes))
}

pub fn gateways(services: &[&str]) -> String {
    format!(
        "{}: public with a gateway endpoint and without one, so DNS cannot tell. A check with \
         type = \"gateway\" can.",
        list(services)
    )
}

/// Services without private DNS.
pub fn always_public(services: &[&str]) -> String {
    format!(
        "{}: no private DNS, so public with an interface endpoint and without one. It is reached by \
         its own name (vpce-..).",
        list(services)
    )
}

pub fn slow(count: usize, longest: Duration) -> String {
    format!(
        "{count} lookups took longer than 1 s, at most {}: a name server of resolv.conf may be dead.",
        duration(longest)
    )
}

pub fn unreadable(problem: &FileProblem) -> String {
    format!("{problem}; applications that may read it can get other answers.")
}

pub fn without_metadata(why: &str) -> String {
    format!("Instance metadata is not available ({why}): the VPC's ranges are not known.")
}
