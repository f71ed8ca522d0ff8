//! What applications will feel of names that resolve as they should.

use std::collections::BTreeSet;
use std::net::IpAddr;

use super::answers::{Answer, ServerAnswers, says};
use super::own_names;
use super::scope;
use crate::check::Step;
use crate::diagnosis::Cause;
use crate::diagnosis::context::Context;
use crate::diagnosis::finding::Finding;
use crate::network::Scope;
use crate::observation::{
    Address, DnsEvidence, Evidence, Observation, Outcome, Query, QueryResult, QueryType, Reason, Resolver,
};
use crate::wording;

pub fn warnings(context: &Context<'_>) -> Vec<Finding> {
    let mut findings = Vec::new();
    for (_, observation) in context.step(Step::Dns).filter(|(_, o)| context.passed(&o.check)) {
        let Evidence::Dns(evidence) = &observation.evidence else { continue };
        findings.extend(unreadable_to_others(evidence));
        let answers = ServerAnswers::of(context, observation, evidence);
        if let Some(pinned) = pinned(context, observation, evidence, &answers) {
            findings.push(pinned);
            continue;
        }
        findings.extend(hidden(evidence));
        findings.extend(slow(evidence));
        findings.extend(servers(context, observation, evidence));
        findings.extend(vpc(observation, evidence, &answers));
        findings.extend(other_family(context, observation, evidence));
        findings.extend(own_names::warnings(context, observation, evidence));
    }
    findings
}

/// /etc/hosts has the right address, and hides that DNS is wrong.
fn pinned(
    context: &Context<'_>,
    observation: &Observation,
    evidence: &DnsEvidence,
    answers: &ServerAnswers,
) -> Option<Finding> {
    let entry = evidence.files.hosts.first().filter(|_| evidence.files.hosts_comes_first())?;
    let is_outside = |ip: &IpAddr| !scope(context, observation, *ip).is_inside();
    let is_wrong = |query: &Query| {
        query.result == QueryResult::Nxdomain || query.result.addresses().iter().any(is_outside)
    };
    let dns_is_wrong = evidence.queries.iter().any(is_wrong);
    let fact = format!(
        "{} passes only because of line {} of /etc/hosts ({}); DNS says {}",
        evidence.host,
        entry.line,
        entry.address,
        answers.vpc.words().unwrap_or_else(|| "nothing".to_owned())
    );
    dns_is_wrong.then(|| Finding::new(Cause::HostsFileEntry, fact).about(&evidence.host))
}

/// /etc/hosts has some of the right addresses: no check comes to the others.
fn hidden(evidence: &DnsEvidence) -> Option<Finding> {
    let entry = evidence.files.hosts.first().filter(|_| evidence.files.hosts_comes_first())?;
    let addresses = evidence.lookup.addresses();
    let of_vpc = evidence.queries.iter().filter(|query| query.resolver == Resolver::Vpc);
    // A family that the lookup did not return may be one that this host lacks.
    let has_family = |ip: &IpAddr| addresses.iter().any(|found| found.is_ipv4() == ip.is_ipv4());
    let hidden: BTreeSet<&IpAddr> = of_vpc
        .flat_map(|query| query.result.addresses())
        .filter(|ip| has_family(ip) && !addresses.contains(ip))
        .collect();
    let fact = format!(
        "line {} of /etc/hosts gives {} the address {} and hides {}",
        entry.line,
        evidence.host,
        entry.address,
        wording::names(&hidden)
    );
    (!hidden.is_empty()).then(|| Finding::new(Cause::HostsFileEntry, fact).about(&evidence.host))
}

fn unreadable_to_others(evidence: &DnsEvidence) -> Option<Finding> {
    let problems: Vec<String> = evidence.files.unreadable_to_others().map(ToString::to_string).collect();
    let fact =
        format!("{}; {} passes here because linkproof can read it", wording::names(&problems), evidence.host);
    (!problems.is_empty()).then(|| Finding::new(Cause::NameFilesUnreadable, fact).about(&evidence.host))
}

fn slow(evidence: &DnsEvidence) -> Option<Finding> {
    let fact = format!("{}: getaddrinfo took {}", evidence.host, wording::duration(evidence.lookup.took));
    evidence.lookup.is_slow().then(|| Finding::new(Cause::NameServerBroken, fact).about(&evidence.host))
}

/// Listed servers that do not say what the lookup returned.
fn servers(context: &Context<'_>, observation: &Observation, evidence: &DnsEvidence) -> Vec<Finding> {
    if !evidence.files.asks_dns() {
        return vec![];
    }
    let mut findings = Vec::new();
    for server in &evidence.files.servers {
        let queries: Vec<&Query> = evidence
            .queries
            .iter()
            .filter(|query| query.resolver == Resolver::System && query.name.is_none())
            .filter(|query| query.server == *server)
            .collect();
        let ip = server.ip();
        let is_public = |ip: &IpAddr| scope(context, observation, *ip) == Scope::Public;
        let listed = || queries.iter().flat_map(|query| query.result.addresses());
        let unused = !listed().any(|ip| evidence.lookup.addresses().contains(ip));
        let misleads = unused
            && (listed().any(is_public) || queries.iter().all(|q| q.result == QueryResult::Nxdomain))
            && !queries.is_empty();
        if misleads {
            let said = wording::names(listed());
            let said = if said.is_empty() { "no such name (NXDOMAIN)".to_owned() } else { said };
            let fact = format!("{}: resolver {ip} says {said}", evidence.host);
            findings.push(Finding::new(Cause::ResolverBypassesVpc, fact).about(&evidence.host));
        }
        let broken = trouble(&queries).map(|trouble| format!("resolver {ip} {trouble}"));
        findings.extend(broken.map(|fact| Finding::new(Cause::NameServerBroken, fact).about(&evidence.host)));
    }
    findings
}

pub fn trouble(queries: &[&Query]) -> Option<String> {
    let said: Vec<(QueryType, Answer)> =
        queries.iter().map(|query| (query.query_type, says(&query.result))).collect();
    let worst = said.iter().find_map(|(query_type, answer)| match answer {
        Answer::Silence(code) | Answer::ProbeError(code) => Some((*query_type, *code)),
        Answer::Addresses(_) | Answer::Nothing(_) | Answer::NotAsked => None,
    });
    let all = said.iter().all(|(_, answer)| matches!(answer, Answer::Silence(_) | Answer::ProbeError(_)));
    match worst {
        Some((_, code)) if all => Some(format!("returns {code}")),
        Some((QueryType::A, code)) => Some(format!("returns {code} to the A query")),
        Some((QueryType::Aaaa, code)) => Some(format!("returns {code} to the AAAA query")),
        None if queries.iter().any(|query| query.edns_refused) => {
            Some("refuses EDNS, which newer programs use".to_owned())
        }
        None => None,
    }
}

/// The VPC's resolver says otherwise while the system's answer is fine.
fn vpc(observation: &Observation, evidence: &DnsEvidence, answers: &ServerAnswers) -> Option<Finding> {
    let all_inside = observation.addresses.iter().all(|address| address.scope.is_inside());
    let otherwise = match &answers.vpc.says {
        Answer::Addresses(ips) => ips.iter().any(|&(_, scope)| scope == Scope::Public),
        Answer::Nothing(_) => true,
        Answer::ProbeError(_) | Answer::Silence(_) | Answer::NotAsked => false,
    };
    let advice = "If the system's resolvers are right on purpose, nothing needs to change.".to_owned();
    let finding = Finding::new(Cause::ResolverBypassesVpc, answers.fact(&evidence.host));
    (all_inside && otherwise && matches!(answers.system.says, Answer::Addresses(_)))
        .then(|| finding.about(&evidence.host).advising(advice))
}

/// It does no harm while the host has no address of the family.
fn other_family(context: &Context<'_>, observation: &Observation, evidence: &DnsEvidence) -> Option<Finding> {
    let skipped = Outcome::Skipped(Reason::FamilyUnavailable);
    let cidrs = context.instance.map(|instance| instance.vpc_cidrs.as_slice()).unwrap_or_default();
    // Without the family's ranges it may be the VPC's.
    let is_public = |address: &Address| {
        let is_known = cidrs.iter().any(|cidr| cidr.is_ipv4() == address.ip.is_ipv4());
        is_known && address.scope == Scope::Public
    };
    let address = observation.addresses.iter().find(|a| a.outcome == skipped && is_public(a))?;
    let fact = format!(
        "{} also has the public address {}, of a family that this host lacks",
        evidence.host, address.ip
    );
    Some(Finding::new(Cause::PrivateDnsOff, fact).about(&evidence.host).healed_by(
        "Make the endpoint's IP address type and DNS record IP type dualstack before the host gets IPv6.",
    ))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::report::fixture::{addresses, query};

    #[test]
    fn trouble_of_one_question_names_it() {
        let answered = || addresses(&["10.0.1.57"]);
        for (a, aaaa, said) in [
            (answered(), addresses(&[]), None),
            (answered(), QueryResult::Servfail, Some("returns SERVFAIL to the AAAA query")),
            (QueryResult::Servfail, addresses(&[]), Some("returns SERVFAIL to the A query")),
            (QueryResult::Servfail, QueryResult::Refused, Some("returns SERVFAIL")),
        ] {
            let queries =
                [query(Resolver::System, QueryType::A, a), query(Resolver::System, QueryType::Aaaa, aaaa)];
            assert_eq!(trouble(&[&queries[0], &queries[1]]).as_deref(), said, "{queries:?}");
        }
        let answer = query(Resolver::System, QueryType::A, answered());
        let refuses = Query { edns_refused: true, ..answer.clone() };
        assert_eq!(trouble(&[&answer, &refuses]).as_deref(), Some("refuses EDNS, which newer programs use"));
    }
}
