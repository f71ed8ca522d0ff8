//! `<endpoint>/dns`: every address that applications are told lies where an endpoint can be.

use std::collections::BTreeSet;
use std::net::IpAddr;

use super::Judgment;
use crate::check::Family;
use crate::network::{Network, Scope};
use crate::observation::{
    Address, DnsEvidence, Outcome, Phase, Query, QueryResult, QueryType, Reason, Resolver,
};
use crate::plan::Endpoint;

/// `missing_families` are the families that the instance has no address of.
pub fn dns(evidence: &DnsEvidence, missing_families: &[Family], endpoint: &Endpoint) -> Judgment {
    let addresses = addresses(evidence, missing_families, endpoint);
    let outcome = [
        of_addresses(&addresses),
        of_replies(evidence, &addresses),
        of_agreement(evidence, endpoint.require_agreement),
    ];
    // Addresses come first: a public one says more than the resolver's silence beside it.
    let outcome = Outcome::worst(outcome.into_iter().flatten()).unwrap_or(Outcome::Fail(Reason::NoAddress));
    Judgment { outcome, addresses }
}

fn addresses(evidence: &DnsEvidence, missing_families: &[Family], endpoint: &Endpoint) -> Vec<Address> {
    let told: BTreeSet<IpAddr> =
        evidence.hosts_file.iter().copied().chain(told_by(evidence, Resolver::System)).collect();
    let usable = |ip: &IpAddr| !missing_families.contains(&Family::of(*ip));
    let any_usable = told.iter().any(usable);
    told.iter()
        .map(|&ip| {
            let scope = endpoint.network.scope(ip);
            let phases = evidence
                .queries
                .iter()
                .find(|query| query.resolver == Resolver::System && query.result.addresses().contains(&ip))
                .map(|query| vec![(Phase::Query, query.took)]);
            // Nobody here can go there, so it harms nobody, as long as there is another. Loopback
            // is always there.
            let beside = any_usable && !usable(&ip) && scope != Scope::Special;
            Address {
                ip,
                scope,
                outcome: if beside {
                    Outcome::Skipped(Reason::FamilyUnavailable)
                } else {
                    of_scope(scope, &endpoint.network, endpoint.gateway)
                },
                phases: phases.unwrap_or_default(),
            }
        })
        .collect()
}

fn of_scope(scope: Scope, network: &Network, gateway: bool) -> Outcome {
    match scope {
        Scope::Vpc | Scope::Expected => Outcome::Pass,
        Scope::Special => Outcome::Fail(Reason::SpecialAddress),
        // A gateway endpoint is a route, not an address: its names stay public by design.
        Scope::Public if gateway => Outcome::Pass,
        Scope::Public | Scope::Private if !network.is_known() => {
            Outcome::Inconclusive(Reason::VpcCidrsUnknown)
        }
        Scope::Public => Outcome::Fail(Reason::PublicAddress),
        Scope::Private => Outcome::Fail(Reason::OutsideVpc),
    }
}

fn of_addresses(addresses: &[Address]) -> Option<Outcome> {
    let worst = Outcome::worst(addresses.iter().map(|address| address.outcome))?;
    let mixed = addresses.iter().any(|address| address.outcome == Outcome::Pass);
    match worst {
        Outcome::Fail(_) if mixed => Some(Outcome::Fail(Reason::MixedAddresses)),
        Outcome::Fail(_) | Outcome::Inconclusive(_) | Outcome::Skipped(_) | Outcome::Pass => Some(worst),
    }
}

/// A question that got no usable reply fails the check, even beside one that did: half of
/// what an application asks stays open.
fn of_replies(evidence: &DnsEvidence, addresses: &[Address]) -> Option<Outcome> {
    let reasons = [QueryType::A, QueryType::Aaaa].map(|query_type| match last_answer(evidence, query_type) {
        None => Some(Reason::ResolverUnreachable),
        Some(query) => reason_of(&query.result),
    });
    if let Some(reason) = reasons.into_iter().flatten().next() {
        return Some(Outcome::Fail(reason));
    }
    addresses.is_empty().then_some(Outcome::Fail(Reason::NoAddress))
}

fn reason_of(result: &QueryResult) -> Option<Reason> {
    match result {
        QueryResult::Addresses { .. } => None,
        QueryResult::Nxdomain => Some(Reason::NameNotFound),
        QueryResult::Servfail | QueryResult::OtherCode { .. } | QueryResult::Invalid { .. } => {
            Some(Reason::ServerFailure)
        }
        QueryResult::Refused => Some(Reason::QueryRefused),
        QueryResult::Truncated { .. } => Some(Reason::Truncated),
        QueryResult::Timeout => Some(Reason::QueryTimeout),
        QueryResult::Unreachable { .. } => Some(Reason::ResolverUnreachable),
    }
}

fn of_agreement(evidence: &DnsEvidence, required: bool) -> Option<Outcome> {
    if !required {
        return None;
    }
    let replies = evidence.queries.iter().filter(|query| query.resolver == Resolver::Vpc);
    let answered: Vec<QueryType> =
        replies.filter(|query| is_definite(&query.result)).map(|query| query.query_type).collect();
    if !answered.contains(&QueryType::A) || !answered.contains(&QueryType::Aaaa) {
        return Some(Outcome::Inconclusive(Reason::ResolversDisagree));
    }
    let system: BTreeSet<IpAddr> = told_by(evidence, Resolver::System).collect();
    let vpc: BTreeSet<IpAddr> = told_by(evidence, Resolver::Vpc).collect();
    (system != vpc).then_some(Outcome::Fail(Reason::ResolversDisagree))
}

fn is_definite(result: &QueryResult) -> bool {
    matches!(result, QueryResult::Addresses { .. } | QueryResult::Nxdomain)
}

fn told_by(evidence: &DnsEvidence, resolver: Resolver) -> impl Iterator<Item = IpAddr> {
    evidence
        .queries
        .iter()
        .filter(move |query| query.resolver == resolver)
        .flat_map(|query| query.result.addresses().iter().copied())
}

/// The system's servers are asked in turn until one answers: the last word counts.
fn last_answer(evidence: &DnsEvidence, query_type: QueryType) -> Option<&Query> {
    evidence
        .queries
        .iter()
        .rfind(|query| query.resolver == Resolver::System && query.query_type == query_type)
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;
    use crate::observation::Transport;
    use crate::verdict::tests::endpoint;

    fn answer(resolver: Resolver, query_type: QueryType, result: QueryResult) -> Query {
        Query {
            server: "10.0.0.2:53".parse().unwrap(),
            resolver,
            query_type,
            transport: Transport::Udp,
            retransmitted: false,
            took: Duration::from_millis(1),
            result,
        }
    }

    fn told(ips: &[&str]) -> QueryResult {
        let addresses = ips.iter().map(|ip| ip.parse().unwrap()).collect();
        QueryResult::Addresses { addresses, ttl: Some(60), aliases: vec![] }
    }

    fn evidence(a: QueryResult, aaaa: QueryResult) -> DnsEvidence {
        let queries =
            vec![answer(Resolver::System, QueryType::A, a), answer(Resolver::System, QueryType::Aaaa, aaaa)];
        DnsEvidence { host: "monitoring.us-east-1.amazonaws.com".into(), queries, hosts_file: vec![] }
    }

    fn judged(evidence: &DnsEvidence) -> Outcome {
        dns(evidence, &[], &endpoint()).outcome
    }

    const INSIDE: &[&str] = &["10.0.1.57", "10.0.2.113"];

    #[test]
    fn every_address_must_be_inside() {
        use Outcome::{Fail, Pass};
        for (a, aaaa, outcome) in [
            (INSIDE, &[] as &[&str], Pass),
            (INSIDE, &["2001:db8:1234:1::57"], Pass),
            (&[], &["2001:db8:1234:1::57"], Pass),
            (&[], &[], Fail(Reason::NoAddress)),
            (&["203.0.113.20"], &[], Fail(Reason::PublicAddress)),
            (&["10.0.1.57", "203.0.113.20"], &[], Fail(Reason::MixedAddresses)),
            (INSIDE, &["2001:db8:ffff::20"], Fail(Reason::MixedAddresses)),
            (&["10.99.0.57"], &[], Fail(Reason::OutsideVpc)),
            (&["127.0.0.1"], &[], Fail(Reason::SpecialAddress)),
        ] {
            assert_eq!(judged(&evidence(told(a), told(aaaa))), outcome, "{a:?} {aaaa:?}");
        }
    }

    #[test]
    fn an_address_of_a_family_that_the_instance_lacks_is_skipped_beside_another() {
        use Outcome::{Fail, Pass};
        for (a, aaaa, outcome) in [
            (INSIDE, "2001:db8:ffff::20", Pass),
            (INSIDE, "2001:db8:1234:1::57", Pass),
            (INSIDE, "::1", Fail(Reason::MixedAddresses)),
            (&["203.0.113.20"], "2001:db8:1234:1::57", Fail(Reason::PublicAddress)),
            (&[], "2001:db8:ffff::20", Fail(Reason::PublicAddress)),
            (&[], "2001:db8:1234:1::57", Pass),
        ] {
            let evidence = evidence(told(a), told(&[aaaa]));
            assert_eq!(dns(&evidence, &[Family::Ipv6], &endpoint()).outcome, outcome, "{a:?} {aaaa}");
        }
        let judgment =
            dns(&evidence(told(INSIDE), told(&["2001:db8:ffff::20"])), &[Family::Ipv6], &endpoint());
        let ipv6 = judgment.addresses.last().map(|address| address.outcome);
        assert_eq!(ipv6, Some(Outcome::Skipped(Reason::FamilyUnavailable)));
    }

    #[test]
    fn each_kind_of_silence_has_its_reason_on_either_question() {
        let detail = String::new;
        for (result, reason) in [
            (QueryResult::Nxdomain, Reason::NameNotFound),
            (QueryResult::Servfail, Reason::ServerFailure),
            (QueryResult::OtherCode { rcode: 4 }, Reason::ServerFailure),
            (QueryResult::Invalid { detail: detail() }, Reason::ServerFailure),
            (QueryResult::Refused, Reason::QueryRefused),
            (QueryResult::Truncated { detail: detail() }, Reason::Truncated),
            (QueryResult::Timeout, Reason::QueryTimeout),
            (QueryResult::Unreachable { detail: detail() }, Reason::ResolverUnreachable),
        ] {
            assert_eq!(judged(&evidence(result.clone(), result.clone())), Outcome::Fail(reason));
            assert_eq!(judged(&evidence(told(INSIDE), result.clone())), Outcome::Fail(reason));
            assert_eq!(judged(&evidence(result, told(&[]))), Outcome::Fail(reason));
        }
        assert_eq!(
            judged(&evidence(QueryResult::Timeout, QueryResult::Refused)),
            Outcome::Fail(Reason::QueryTimeout)
        );
        let unasked = DnsEvidence { queries: vec![], ..evidence(told(&[]), told(&[])) };
        assert_eq!(judged(&unasked), Outcome::Fail(Reason::ResolverUnreachable));
    }

    #[test]
    fn a_public_address_is_told_even_beside_a_question_left_open() {
        let evidence = evidence(told(&["203.0.113.20"]), QueryResult::Timeout);
        assert_eq!(judged(&evidence), Outcome::Fail(Reason::PublicAddress));
    }

    #[test]
    fn the_last_server_asked_has_the_last_word() {
        let mut evidence = evidence(QueryResult::Timeout, QueryResult::Timeout);
        evidence.queries.push(answer(Resolver::System, QueryType::A, told(INSIDE)));
        evidence.queries.push(answer(Resolver::System, QueryType::Aaaa, told(&[])));
        assert_eq!(judged(&evidence), Outcome::Pass);
    }

    #[test]
    fn an_address_is_shown_with_the_time_of_the_answer_that_told_it() {
        let mut evidence = evidence(told(INSIDE), told(&["2001:db8:1234:1::57"]));
        let slow =
            Query { took: Duration::from_millis(9), ..answer(Resolver::Vpc, QueryType::A, told(INSIDE)) };
        evidence.queries.insert(0, slow);
        evidence.queries[2].took = Duration::from_millis(2);
        let judgment = dns(&evidence, &[], &endpoint());
        let took: Vec<u128> = judgment.addresses.iter().map(|a| a.phases[0].1.as_millis()).collect();
        assert_eq!(took, [1, 1, 2]);
    }

    #[test]
    fn nothing_is_guessed_while_the_vpc_is_unknown() {
        let blind = Endpoint { network: Network::default(), ..endpoint() };
        for ip in ["10.0.1.57", "203.0.113.20"] {
            let outcome = dns(&evidence(told(&[ip]), told(&[])), &[], &blind).outcome;
            assert_eq!(outcome, Outcome::Inconclusive(Reason::VpcCidrsUnknown), "{ip}");
        }
        let outcome = dns(&evidence(told(&["127.0.0.1"]), told(&[])), &[], &blind).outcome;
        assert_eq!(outcome, Outcome::Fail(Reason::SpecialAddress));
    }

    #[test]
    fn a_hosts_file_entry_is_what_applications_get() {
        let mut evidence = evidence(told(INSIDE), told(&[]));
        evidence.hosts_file = vec!["203.0.113.20".parse().unwrap()];
        assert_eq!(judged(&evidence), Outcome::Fail(Reason::MixedAddresses));
    }

    #[test]
    fn the_vpc_resolver_fails_the_check_only_where_agreement_is_required() {
        let strict = Endpoint { require_agreement: true, ..endpoint() };
        let with_vpc = |a: QueryResult, aaaa: QueryResult| {
            let mut evidence = evidence(told(INSIDE), told(&[]));
            evidence.queries.push(answer(Resolver::Vpc, QueryType::A, a));
            evidence.queries.push(answer(Resolver::Vpc, QueryType::Aaaa, aaaa));
            evidence
        };
        let disagree = Outcome::Fail(Reason::ResolversDisagree);
        let unknown = Outcome::Inconclusive(Reason::ResolversDisagree);
        for (evidence, outcome) in [
            (with_vpc(told(INSIDE), told(&[])), Outcome::Pass),
            (with_vpc(told(&["10.0.2.113", "10.0.1.57"]), told(&[])), Outcome::Pass),
            (with_vpc(told(&["10.0.1.57"]), told(&[])), disagree),
            (with_vpc(QueryResult::Nxdomain, QueryResult::Nxdomain), disagree),
            (with_vpc(told(INSIDE), QueryResult::Timeout), unknown),
            (evidence(told(INSIDE), told(&[])), unknown),
        ] {
            assert_eq!(dns(&evidence, &[], &strict).outcome, outcome, "{evidence:?}");
            assert_eq!(judged(&evidence), Outcome::Pass);
        }
    }

    #[test]
    fn a_gateway_endpoint_keeps_its_public_addresses() {
        let gateway = Endpoint { gateway: true, ..endpoint() };
        assert_eq!(dns(&evidence(told(&["203.0.113.99"]), told(&[])), &[], &gateway).outcome, Outcome::Pass);
        let outcome = dns(&evidence(told(&["127.0.0.1"]), told(&[])), &[], &gateway).outcome;
        assert_eq!(outcome, Outcome::Fail(Reason::SpecialAddress));
    }
}
