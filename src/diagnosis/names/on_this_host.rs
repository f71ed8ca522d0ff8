//! Causes on this host: its files, its caches, the modules of its C library.

use std::collections::BTreeSet;
use std::net::IpAddr;

use super::answers::{Answer, ServerAnswers};
use super::scope;
use super::warnings::trouble;
use crate::diagnosis::Cause;
use crate::diagnosis::context::{Context, Failure};
use crate::diagnosis::finding::Finding;
use crate::network::{Network, VPC_RESOLVER, VPC_RESOLVER_IPV6};
use crate::observation::{
    DnsEvidence, FileProblem, LookupResult, NsswitchAction, Observation, Query, QueryResult, Reason, Resolver,
};
use crate::wording;

/// Modules that come with the C library and systemd, and ask nothing but files and DNS.
const USUAL_MODULES: [&str; 4] = ["files", "dns", "resolve", "myhostname"];

const NAME_THE_RESOLVER: &str = "Put nameserver 169.254.169.253 into /etc/resolv.conf (nameserver fd00:ec2::253 in an IPv6-only subnet), and find what should have written the file: cloud-init, a DHCP client, systemd-resolved, an image.";

pub fn finding(
    context: &Context<'_>,
    observation: &Observation,
    failure: &Failure,
    evidence: &DnsEvidence,
    answers: &ServerAnswers,
) -> Option<Finding> {
    let is_inside = |ip: IpAddr| scope(context, observation, ip).is_inside();
    unreadable(evidence)
        .or_else(|| diversion(evidence, failure))
        .or_else(|| endless_search(evidence, failure))
        .or_else(|| module(evidence, failure))
        .or_else(|| hosts_file(evidence, |ip| !is_inside(ip)))
        .or_else(|| nsswitch(evidence))
        .or_else(|| resolv_conf(evidence, failure))
        .or_else(|| no_attempts(evidence, failure))
        .or_else(|| rotation(evidence, is_inside))
        .or_else(|| search_list(evidence))
        .or_else(|| stale_cache(context, evidence, answers, is_inside))
        .or_else(|| firewall(evidence, failure))
        .or_else(|| unsent(evidence, failure))
        .or_else(|| truncated(evidence, failure))
        .or_else(|| unexplained(evidence, failure))
}

fn unreadable(evidence: &DnsEvidence) -> Option<Finding> {
    let problems: Vec<String> = evidence.files.unreadable().map(ToString::to_string).collect();
    let finding = Finding::new(Cause::NameFilesUnreadable, wording::names(&problems)).about(&evidence.host);
    let other = evidence.files.unreadable().find_map(|problem| match problem {
        FileProblem::NotAFile { path, .. } => Some(*path),
        _ => None,
    });
    let finding = match other {
        Some(path) => finding.healed_by(format!(
            "Put a regular file in the place of {path}: whatever opens it now, the C library too, waits for ever."
        )),
        None => finding,
    };
    (!problems.is_empty()).then_some(finding)
}

/// The questions did not get past this host's packet filter, or had no route.
fn unsent(evidence: &DnsEvidence, failure: &Failure) -> Option<Finding> {
    let listed = || evidence.queries.iter().filter(|q| q.resolver == Resolver::System && q.name.is_none());
    let servers = |is_unsent: fn(&Query) -> bool| -> BTreeSet<IpAddr> {
        listed().filter(|query| is_unsent(query)).map(|query| query.server.ip()).collect()
    };
    let is_answered = listed().any(|query| query.result.is_conclusive());
    let is_silence =
        matches!(failure.reason, Reason::QueryTimeout | Reason::ResolverUnreachable | Reason::LookupFailed);
    if is_answered || !is_silence {
        return None;
    }
    let (blocked, unrouted) = (servers(|query| query.blocked_here), servers(|query| query.unrouted_here));
    if let Some(server) = unrouted.first() {
        let fact = format!("{}: no usable route to name server {}", evidence.host, wording::names(&unrouted));
        return Some(Finding::new(Cause::HostRoute, fact).about(server.to_string()));
    }
    let fact =
        format!("{}: DNS queries to {} did not leave this host", evidence.host, wording::names(&blocked));
    (!blocked.is_empty()).then(|| Finding::new(Cause::SendBlocked, fact))
}

/// By an action of nsswitch.conf, where the name servers have the name.
fn diversion(evidence: &DnsEvidence, failure: &Failure) -> Option<Finding> {
    let NsswitchAction { line, service, action } = evidence.files.diverting.as_ref()?;
    let fact = format!(
        "{}: getaddrinfo {}, although the name servers have the name; {service} {action} in line {line} of /etc/nsswitch.conf can end the lookup before DNS is asked",
        evidence.host,
        wording::lookup(&evidence.lookup)
    );
    let remedy = format!(
        "Take {action} behind {service} out of the hosts line of /etc/nsswitch.conf. With glibc before 2.33, restart running programs to apply the change."
    );
    let finding = Finding::new(Cause::NsswitchWithoutDns, fact).about(&evidence.host);
    is_unexplained_error(evidence, failure).then(|| finding.healed_by(remedy))
}

/// The library says no, and the name servers do not.
fn is_unexplained_error(evidence: &DnsEvidence, failure: &Failure) -> bool {
    matches!(evidence.lookup.result, LookupResult::Error(_)) && failure.reason == Reason::LookupFailed
}

/// It hangs or crashes, whatever the name servers say.
fn module(evidence: &DnsEvidence, failure: &Failure) -> Option<Finding> {
    let is_foreign = |source: &&String| !USUAL_MODULES.contains(&source.as_str());
    let host = &evidence.host;
    let fact = match &evidence.lookup.result {
        LookupResult::TimedOut if failure.reason == Reason::LookupTimeout => {
            format!("{host}: getaddrinfo {}", wording::lookup(&evidence.lookup))
        }
        LookupResult::Crashed { .. } => format!("{host}: getaddrinfo {}", wording::lookup(&evidence.lookup)),
        _ => return None,
    };
    let nscd = evidence.files.nscd.then_some("nscd (systemctl restart nscd)").into_iter();
    let foreign =
        wording::names(evidence.files.sources.iter().filter(is_foreign).map(String::as_str).chain(nscd));
    let suspects = if foreign.is_empty() { None } else { Some(format!("First suspect: {foreign}.")) };
    Some(Finding::new(Cause::NssModuleBroken, fact).about(host).advising(suspects))
}

/// `/etc/hosts` gave one of these addresses.
pub fn hosts_file(evidence: &DnsEvidence, is_wrong: impl Fn(IpAddr) -> bool) -> Option<Finding> {
    let looked_up = evidence.lookup.addresses();
    let by_dns = |ip: &IpAddr| evidence.queries.iter().any(|query| query.result.addresses().contains(ip));
    let entry = evidence.files.hosts.iter().find(|entry| {
        let decides = evidence.files.hosts_comes_first() || !by_dns(&entry.address);
        decides && looked_up.contains(&entry.address) && is_wrong(entry.address)
    })?;
    let fact = format!("/etc/hosts says {} for {} (line {})", entry.address, evidence.host, entry.line);
    Some(Finding::new(Cause::HostsFileEntry, fact).about(&evidence.host))
}

/// Only where the name servers have the answer.
fn nsswitch(evidence: &DnsEvidence) -> Option<Finding> {
    if evidence.files.asks_dns() || !evidence.lookup.addresses().is_empty() {
        return None;
    }
    let sources = evidence.files.sources.join(" ");
    let fact = format!("/etc/nsswitch.conf has hosts: {sources}, so that DNS is not asked");
    Some(Finding::new(Cause::NsswitchWithoutDns, fact).about(&evidence.host))
}

fn resolv_conf(evidence: &DnsEvidence, failure: &Failure) -> Option<Finding> {
    let ignored: Vec<String> = evidence.files.ignored_servers().map(ToString::to_string).collect();
    let finding = Finding::new(Cause::ResolvConfInvalid, wording::names(&ignored)).about(&evidence.host);
    let no_server =
        evidence.files.problems.iter().any(|problem| matches!(problem, FileProblem::NoServer { .. }));
    let fails = evidence.lookup.addresses().is_empty() && !ignored.is_empty();
    // A resolver on this host may be meant, and have answered.
    if !no_server {
        return fails.then_some(finding);
    }
    (fails && failure.reason == Reason::LookupFailed).then(|| finding.healed_by(NAME_THE_RESOLVER))
}

/// With `options attempts:0` the library sends no query.
fn no_attempts(evidence: &DnsEvidence, failure: &Failure) -> Option<Finding> {
    let fact = "/etc/resolv.conf or RES_OPTIONS has options attempts:0, so that no name server is asked";
    let finding = Finding::new(Cause::ResolvConfInvalid, fact).about(&evidence.host);
    let is_cause = evidence.files.attempts == 0 && is_unexplained_error(evidence, failure);
    is_cause.then(|| finding.healed_by("Take attempts:0 out of the options, or give a higher number."))
}

/// A search list that makes a name of more than 253 characters ends the library's search.
fn endless_search(evidence: &DnsEvidence, failure: &Failure) -> Option<Finding> {
    let files = &evidence.files;
    let suffix = files.search.get(files.searched(&evidence.host).len())?;
    let fact = format!(
        "{}: the search list of resolv.conf has {suffix}, with which the name is too long or has an empty label, and the C library gives up there",
        evidence.host
    );
    let finding = Finding::new(Cause::ResolvConfInvalid, fact).about(&evidence.host);
    let remedy =
        format!("Take {suffix} out of the search list of /etc/resolv.conf (DHCP option domain-name).");
    // Of one that is longer than any name, the library aborts.
    let is_crash = matches!(evidence.lookup.result, LookupResult::Crashed { .. });
    (is_crash || is_unexplained_error(evidence, failure)).then(|| finding.healed_by(remedy))
}

/// Lookups start at each listed server in turn, and one leads elsewhere.
fn rotation(evidence: &DnsEvidence, is_inside: impl Fn(IpAddr) -> bool) -> Option<Finding> {
    if !evidence.files.rotates() {
        return other_lookup(evidence);
    }
    let listed = || evidence.queries.iter().filter(|q| q.resolver == Resolver::System && q.name.is_none());
    let leads_inside = |query: &Query| query.result.addresses().iter().any(|ip| is_inside(*ip));
    let right = listed().find(|query| leads_inside(query) && !query.alias_last)?.server;
    let is_wrong = |query: &&Query| {
        let ips = query.result.addresses();
        query.alias_last || query.result == QueryResult::Nxdomain || ips.iter().any(|ip| !is_inside(*ip))
    };
    let others = || listed().filter(|query| query.server != right);
    let has_none =
        |query: &&Query| !listed().any(|other| other.server == query.server && leads_inside(other));
    let Some(wrong) = others().find(is_wrong).or_else(|| others().find(has_none)) else {
        return other_lookup(evidence);
    };
    let did = match wording::query_failure(wrong) {
        _ if wrong.alias_last => "puts an alias behind its address, which the C library refuses".to_owned(),
        Some(failure) => failure,
        None => format!("returned {}", wording::names(wrong.result.addresses())),
    };
    let fact = format!(
        "{}: resolver {} {did}, and resolv.conf has options rotate: lookups start at each server in turn",
        evidence.host,
        wrong.server.ip()
    );
    Some(Finding::new(Cause::ResolverBypassesVpc, fact).about(&evidence.host))
}

/// What the queries do not explain.
fn other_lookup(evidence: &DnsEvidence) -> Option<Finding> {
    let other = evidence.other_lookups.first()?;
    let fact = format!(
        "{}: one lookup {}, another {}, and resolv.conf has options rotate: lookups start at each server in turn",
        evidence.host,
        wording::lookup(&evidence.lookup),
        wording::lookup(other)
    );
    Some(Finding::new(Cause::ResolverBypassesVpc, fact).about(&evidence.host))
}

/// The lookup returned what a name server has for another name.
fn search_list(evidence: &DnsEvidence) -> Option<Finding> {
    let looked_up = evidence.lookup.addresses();
    let by_search = |query: &&Query| query.result.addresses().iter().any(|ip| looked_up.contains(ip));
    let searched = evidence.queries.iter().filter(|query| query.name.is_some()).find(by_search)?;
    let name = searched.name.as_deref().unwrap_or_default();
    let files = &evidence.files;
    let fact = format!(
        "the lookup of {} found {name} ({}), by the search list of resolv.conf with ndots:{}",
        evidence.host,
        wording::names(searched.result.addresses()),
        files.ndots
    );
    Some(Finding::new(Cause::SearchListAnswers, fact).about(&evidence.host))
}

/// A cache on this host holds what the servers no longer say.
pub fn stale_cache(
    context: &Context<'_>,
    evidence: &DnsEvidence,
    answers: &ServerAnswers,
    is_inside: impl Fn(IpAddr) -> bool,
) -> Option<Finding> {
    let files = &evidence.files;
    let listed = evidence.queries.iter().filter(|q| q.resolver == Resolver::System && q.name.is_none());
    let listed: Vec<IpAddr> = listed.flat_map(|query| query.result.addresses()).copied().collect();
    let servers_are_right = !listed.is_empty() && listed.iter().all(|ip| is_inside(*ip));
    let vpc_is_right = match &answers.vpc.says {
        Answer::Addresses(ips) => ips.iter().all(|(ip, _)| is_inside(*ip)),
        Answer::Nothing(_) | Answer::ProbeError(_) | Answer::Silence(_) | Answer::NotAsked => false,
    };
    let asks_the_vpc = asks_the_vpc(context, &files.upstreams);
    // Whom systemd-resolved asks is not always known.
    let by_resolved = files.asks_resolved() && (files.upstreams.is_empty() || asks_the_vpc);
    let (cache, flush) = if files.nscd && servers_are_right {
        ("nscd", "nscd --invalidate=hosts")
    } else if (by_resolved && servers_are_right) || (files.is_behind_stub() && vpc_is_right && asks_the_vpc) {
        ("systemd-resolved", "resolvectl flush-caches")
    } else {
        return None;
    };
    let fact = format!("{}; getaddrinfo {}", answers.fact(&evidence.host), wording::lookup(&evidence.lookup));
    let remedy = format!("{cache} still has an old answer for {}. Flush it: {flush}.", evidence.host);
    Some(Finding::new(Cause::StaleHostCache, fact).about(&evidence.host).healed_by(remedy))
}

fn asks_the_vpc(context: &Context<'_>, upstreams: &[IpAddr]) -> bool {
    let vpc = context.instance.map(|instance| instance.vpc_cidrs.clone()).unwrap_or_default();
    let mut resolvers = Network { vpc, ..Network::default() }.vpc_resolvers(true);
    resolvers.push(VPC_RESOLVER_IPV6);
    !upstreams.is_empty() && upstreams.iter().all(|upstream| resolvers.contains(upstream))
}

/// The VPC's resolver answers at one of its addresses, and not at the one that is asked.
fn firewall(evidence: &DnsEvidence, failure: &Failure) -> Option<Finding> {
    let is_silence = matches!(failure.reason, Reason::QueryTimeout | Reason::ResolverUnreachable);
    let of_vpc = || evidence.queries.iter().filter(|query| query.resolver == Resolver::Vpc);
    let at_link_local = |query: &&Query| query.server.ip() == VPC_RESOLVER;
    let is_closed = !of_vpc().filter(at_link_local).any(|query| query.result.is_conclusive());
    let other = of_vpc().find(|query| !at_link_local(query) && query.result.is_conclusive())?;
    let fact = format!(
        "{}: {VPC_RESOLVER} does not answer, and {} does; both are the VPC resolver",
        evidence.host,
        other.server.ip()
    );
    (is_silence && is_closed).then(|| Finding::new(Cause::ResolverBlocked, fact).about(&evidence.host))
}

fn truncated(evidence: &DnsEvidence, failure: &Failure) -> Option<Finding> {
    let server = broken_server(evidence).filter(|_| failure.reason == Reason::Truncated)?;
    let fact = format!("{}: {server}, and nothing over TCP", evidence.host);
    let advice = "The answer is too large for UDP: let TCP port 53 through to the name server.".to_owned();
    Some(Finding::new(Cause::NameServerBroken, fact).about(&evidence.host).advising(advice))
}

fn unexplained(evidence: &DnsEvidence, failure: &Failure) -> Option<Finding> {
    let fact = format!("{}: getaddrinfo {}", evidence.host, wording::lookup(&evidence.lookup));
    if failure.reason == Reason::NoResources {
        return Some(Finding::new(Cause::NoResources, fact));
    }
    if let Some(server) = broken_server(evidence).filter(|_| is_unexplained_error(evidence, failure)) {
        let fact = format!("{fact}; {server}");
        return Some(Finding::new(Cause::NameServerBroken, fact).about(&evidence.host));
    }
    if matches!(evidence.lookup.result, LookupResult::NotRun { .. }) {
        return Some(Finding::new(Cause::Unexplained, fact));
    }
    let is_own = matches!(failure.reason, Reason::LookupFailed | Reason::LookupTimeout);
    is_own.then(|| Finding::new(Cause::NssModuleBroken, fact).about(&evidence.host))
}

/// A listed server with an answer that the library may not take.
fn broken_server(evidence: &DnsEvidence) -> Option<String> {
    let listed = || evidence.queries.iter().filter(|q| q.resolver == Resolver::System && q.name.is_none());
    if let Some(query) = listed().find(|query| query.alias_last) {
        let server = query.server.ip();
        return Some(format!(
            "resolver {server} sends an alias behind the address that it leads to, which the C library refuses"
        ));
    }
    evidence.files.servers.iter().find_map(|server| {
        let queries: Vec<&Query> = listed().filter(|query| query.server == *server).collect();
        trouble(&queries).map(|trouble| format!("resolver {} {trouble}", server.ip()))
    })
}
