//! `<endpoint>/dns`: every address that applications get is one that an endpoint can have.
//! The lookup decides; what the name servers say explains a lookup that failed, and counts itself
//! only where each lookup may start at another of them.

mod rotation;

use std::collections::BTreeSet;
use std::net::IpAddr;
use std::time::Duration;

use super::Judgment;
use super::own_names::of_owner;
use crate::check::Family;
use crate::network::{Network, Scope};
use crate::observation::{
    Address, DnsEvidence, EaiCode, LookupError, LookupResult, Outcome, OwnNames, Phase, Query, QueryResult,
    QueryType, Reason, Resolver,
};
use crate::plan::Endpoint;

/// `missing_families` are those that the instance has no address of.
pub fn dns(evidence: &DnsEvidence, missing_families: &[Family], endpoint: &Endpoint) -> Judgment {
    let own = evidence.own.as_ref();
    let judge = |ips: &[IpAddr]| judge(ips, missing_families, endpoint, own);
    let looked_up = evidence.lookup.addresses();
    let addresses: Vec<Address> = judge(&rotation::addresses(evidence))
        .into_iter()
        .map(|(ip, outcome)| Address {
            ip,
            scope: endpoint.network.scope(ip),
            outcome,
            phases: query_phase(evidence, ip),
            zone: evidence.zone(ip).map(str::to_owned),
        })
        .collect();
    let outcome = if evidence.files.unreadable().next().is_some() {
        // Applications that may read the file get another answer, or none.
        Outcome::Inconclusive(Reason::LookupFailed)
    } else {
        let of_lookup = match &evidence.lookup.result {
            LookupResult::Addresses { .. } => of_addresses(&judge(looked_up)),
            other => Some(of_failure(evidence, other)),
        };
        // Servers of two kinds first: which one this lookup met is chance. Then the addresses: a
        // public one says more than a resolver that differs.
        let outcomes = [
            rotation::outcome(evidence, judge),
            of_lookup,
            of_agreement(evidence, endpoint.require_agreement),
        ];
        Outcome::worst(outcomes.into_iter().flatten()).unwrap_or(Outcome::Fail(Reason::NoAddress))
    };
    Judgment { outcome, addresses }
}

fn query_phase(evidence: &DnsEvidence, ip: IpAddr) -> Vec<(Phase, Duration)> {
    let said = |query: &&Query| query.resolver == Resolver::System && query.result.addresses().contains(&ip);
    evidence.queries.iter().find(said).map(|query| (Phase::Query, query.took)).into_iter().collect()
}

/// Each address once, in order, with its outcome.
fn judge(
    ips: &[IpAddr],
    missing_families: &[Family],
    endpoint: &Endpoint,
    own: Option<&OwnNames>,
) -> Vec<(IpAddr, Outcome)> {
    let ips: BTreeSet<IpAddr> = ips.iter().copied().collect();
    let usable = |ip: &IpAddr| !missing_families.contains(&Family::of(*ip));
    let any_usable = ips.iter().any(usable);
    ips.iter()
        .map(|&ip| {
            let scope = endpoint.network.scope(ip);
            // No program on this host can go there, so it does no harm, as long as there is
            // another. Loopback is always there.
            let beside = any_usable && !usable(&ip) && scope != Scope::Special;
            let outcome = if beside {
                Outcome::Skipped(Reason::FamilyUnavailable)
            } else {
                match of_scope(ip, scope, &endpoint.network, endpoint.gateway) {
                    Outcome::Pass if !endpoint.gateway => of_owner(ip, own),
                    outcome => outcome,
                }
            };
            (ip, outcome)
        })
        .collect()
}

fn of_scope(ip: IpAddr, scope: Scope, network: &Network, gateway: bool) -> Outcome {
    match scope {
        Scope::Vpc | Scope::Expected => Outcome::Pass,
        Scope::Special => Outcome::Fail(Reason::SpecialAddress),
        // A gateway endpoint is a route, not an address: its names stay public by design.
        Scope::Public if gateway => Outcome::Pass,
        Scope::Public | Scope::Private if !network.knows(ip) => {
            Outcome::Inconclusive(Reason::VpcCidrsUnknown)
        }
        Scope::Public => Outcome::Fail(Reason::PublicAddress),
        Scope::Private => Outcome::Fail(Reason::OutsideVpc),
    }
}

fn of_addresses(addresses: &[(IpAddr, Outcome)]) -> Option<Outcome> {
    let worst = Outcome::worst(addresses.iter().map(|(_, outcome)| *outcome))?;
    let mixed = addresses.iter().any(|(_, outcome)| *outcome == Outcome::Pass);
    match worst {
        // It lies inside, like the others.
        Outcome::Fail(Reason::NotThisEndpoint) => Some(worst),
        Outcome::Fail(_) if mixed => Some(Outcome::Fail(Reason::MixedAddresses)),
        Outcome::Fail(_) | Outcome::Inconclusive(_) | Outcome::Skipped(_) | Outcome::Pass => Some(worst),
    }
}

/// Why a lookup returned no address, as far as the name servers explain it.
fn of_failure(evidence: &DnsEvidence, result: &LookupResult) -> Outcome {
    match result {
        LookupResult::Addresses { .. } => Outcome::Fail(Reason::NoAddress),
        LookupResult::Error(error) if is_for_want_of_resources(error) => {
            Outcome::Inconclusive(Reason::NoResources)
        }
        LookupResult::Error(_) => Outcome::Fail(by_servers(evidence).unwrap_or(Reason::LookupFailed)),
        LookupResult::TimedOut => {
            // What an answer at once does not explain.
            let slow = [Reason::QueryTimeout, Reason::ResolverUnreachable, Reason::Truncated];
            let waits = waits_for_a_server(evidence) && evidence.files.asks_dns();
            let waits = waits.then_some(Reason::QueryTimeout);
            let silent = by_servers(evidence).filter(|reason| slow.contains(reason)).or(waits);
            Outcome::Fail(silent.unwrap_or(Reason::LookupTimeout))
        }
        LookupResult::Crashed { end } if end.is_by_the_library() => Outcome::Fail(Reason::LookupFailed),
        LookupResult::Crashed { .. } | LookupResult::TooManyAddresses { .. } => {
            Outcome::Inconclusive(Reason::LookupFailed)
        }
        LookupResult::NotRun { .. } => Outcome::Inconclusive(Reason::LookupTimeout),
    }
}

/// This process ran out of something; applications may have it.
fn is_for_want_of_resources(error: &LookupError) -> bool {
    const ENOMEM: i32 = 12;
    const ENFILE: i32 = 23;
    const EMFILE: i32 = 24;
    const EADDRINUSE: i32 = 98;
    const ENOBUFS: i32 = 105;
    error.code == EaiCode::Memory
        || matches!(error.errno, Some(ENOMEM | ENFILE | EMFILE | EADDRINUSE | ENOBUFS))
}

/// What the listed servers have instead of an address, where the library asks them at all.
fn by_servers(evidence: &DnsEvidence) -> Option<Reason> {
    let files = &evidence.files;
    // Where no line names a server, the one that was asked is a default.
    let by_default = files.ignored_servers().next().is_some() && files.is_behind_stub();
    let no_server = by_default && !absolute(evidence).any(|query| query.result.is_conclusive());
    if !files.asks_dns() || no_server {
        return None;
    }
    let words = QueryType::BOTH.map(|query_type| last_word(evidence, query_type));
    let has_address = words.iter().flatten().any(|result| !result.addresses().is_empty());
    let reason = words.iter().flatten().find_map(|result| reason_of(result));
    let answered = words.iter().any(Option::is_some);
    if has_address || !answered { None } else { Some(reason.unwrap_or(Reason::NoAddress)) }
}

/// A silent server of those that the library comes to: where lookups do not rotate, it asks none
/// behind one that answers.
fn waits_for_a_server(evidence: &DnsEvidence) -> bool {
    let is_silent = |result: &QueryResult| *result == QueryResult::Timeout;
    let comes_to = |query_type| asked(evidence, query_type).take_while(|result| !result.is_conclusive());
    QueryType::BOTH.into_iter().flat_map(comes_to).any(is_silent)
        || evidence.files.rotates() && absolute(evidence).any(|query| is_silent(&query.result))
}

/// The library asks the servers in turn until one is conclusive.
fn last_word(evidence: &DnsEvidence, query_type: QueryType) -> Option<&QueryResult> {
    let mut results = asked(evidence, query_type);
    let first = results.clone().next();
    results.find(|result| result.is_conclusive()).or(first)
}

fn asked(evidence: &DnsEvidence, query_type: QueryType) -> impl Iterator<Item = &QueryResult> + Clone {
    absolute(evidence).filter(move |query| query.query_type == query_type).map(|query| &query.result)
}

/// What the listed servers say of the name itself.
fn absolute(evidence: &DnsEvidence) -> impl Iterator<Item = &Query> + Clone {
    evidence.queries.iter().filter(|query| query.resolver == Resolver::System && query.name.is_none())
}

fn reason_of(result: &QueryResult) -> Option<Reason> {
    match result {
        QueryResult::Addresses { .. } => None,
        QueryResult::Nxdomain => Some(Reason::NameNotFound),
        QueryResult::Servfail | QueryResult::OtherCode { .. } | QueryResult::Invalid { .. } => {
            Some(Reason::ServerFailure)
        }
        QueryResult::Refused | QueryResult::NotRecursive => Some(Reason::QueryRefused),
        QueryResult::Truncated { .. } => Some(Reason::Truncated),
        QueryResult::Timeout => Some(Reason::QueryTimeout),
        QueryResult::Unreachable { .. } => Some(Reason::ResolverUnreachable),
    }
}

fn of_agreement(evidence: &DnsEvidence, required: bool) -> Option<Outcome> {
    if !required {
        return None;
    }
    let answers = || evidence.queries.iter().filter(|query| query.resolver == Resolver::Vpc);
    let answered = answers().filter(|query| query.result.is_conclusive()).map(|query| query.query_type);
    if answered.collect::<BTreeSet<QueryType>>().len() < QueryType::BOTH.len() {
        return Some(Outcome::Inconclusive(Reason::ResolversDisagree));
    }
    let system: BTreeSet<IpAddr> = evidence.lookup.addresses().iter().copied().collect();
    let vpc: BTreeSet<IpAddr> = answers().flat_map(|query| query.result.addresses()).copied().collect();
    (system != vpc).then_some(Outcome::Fail(Reason::ResolversDisagree))
}

#[cfg(test)]
pub(super) mod tests {
    use super::*;
    use crate::observation::{FileProblem, Lookup, NotRun, OwnName, ProcessEnd};
    use crate::verdict::tests::endpoint;

    pub fn answer(resolver: Resolver, query_type: QueryType, result: QueryResult) -> Query {
        Query::of("10.0.0.2:53".parse().unwrap(), resolver, query_type, result)
    }

    pub fn told(ips: &[&str]) -> QueryResult {
        let addresses = ips.iter().map(|ip| ip.parse().unwrap()).collect();
        QueryResult::Addresses { addresses, ttl: Some(60), aliases: vec![] }
    }

    pub fn evidence(a: QueryResult, aaaa: QueryResult) -> DnsEvidence {
        let queries =
            vec![answer(Resolver::System, QueryType::A, a), answer(Resolver::System, QueryType::Aaaa, aaaa)];
        DnsEvidence::of("monitoring.us-east-1.amazonaws.com", queries)
    }

    pub fn judged(evidence: &DnsEvidence) -> Outcome {
        dns(evidence, &[], &endpoint()).outcome
    }

    pub const INSIDE: &[&str] = &["10.0.1.57", "10.0.2.113"];

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

    fn failing(evidence: DnsEvidence, result: LookupResult) -> DnsEvidence {
        DnsEvidence { lookup: Lookup { result, ..evidence.lookup.clone() }, ..evidence }
    }

    fn error(code: EaiCode) -> LookupResult {
        LookupResult::Error(LookupError { code, errno: None, message: "it fails".into() })
    }

    #[test]
    fn a_failed_lookup_has_the_reason_that_the_servers_give() {
        let detail = String::new;
        for (reply, reason) in [
            (QueryResult::Nxdomain, Reason::NameNotFound),
            (QueryResult::Servfail, Reason::ServerFailure),
            (QueryResult::OtherCode { rcode: 4 }, Reason::ServerFailure),
            (QueryResult::Invalid { detail: detail() }, Reason::ServerFailure),
            (QueryResult::Refused, Reason::QueryRefused),
            (QueryResult::NotRecursive, Reason::QueryRefused),
            (QueryResult::Truncated { detail: detail() }, Reason::Truncated),
            (QueryResult::Timeout, Reason::QueryTimeout),
            (QueryResult::Unreachable { detail: detail() }, Reason::ResolverUnreachable),
        ] {
            assert_eq!(judged(&evidence(reply.clone(), reply.clone())), Outcome::Fail(reason));
            assert_eq!(judged(&evidence(reply.clone(), told(&[]))), Outcome::Fail(reason));
            assert_eq!(judged(&evidence(told(INSIDE), reply.clone())), Outcome::Pass, "applications work");
            let fails = failing(evidence(told(INSIDE), reply), error(EaiCode::Again));
            assert_eq!(judged(&fails), Outcome::Fail(Reason::LookupFailed), "the servers have it");
        }
        let mixed = evidence(QueryResult::Timeout, QueryResult::Refused);
        assert_eq!(judged(&mixed), Outcome::Fail(Reason::QueryTimeout));
    }

    #[test]
    fn a_lookup_that_no_server_explains_has_a_reason_of_its_own() {
        use Outcome::{Fail, Inconclusive};
        let crashed = |signal| LookupResult::Crashed { end: ProcessEnd::Signal(signal) };
        let not_run = LookupResult::NotRun { because: NotRun::Busy };
        let message = "Address already in use".to_owned();
        let without_ports =
            LookupResult::Error(LookupError { code: EaiCode::Again, errno: Some(98), message });
        for (result, outcome) in [
            (error(EaiCode::NoName), Fail(Reason::LookupFailed)),
            (error(EaiCode::Memory), Inconclusive(Reason::NoResources)),
            (without_ports, Inconclusive(Reason::NoResources)),
            (LookupResult::TimedOut, Fail(Reason::LookupTimeout)),
            (crashed(11), Fail(Reason::LookupFailed)),
            (crashed(9), Inconclusive(Reason::LookupFailed)),
            (LookupResult::TooManyAddresses { count: 257 }, Inconclusive(Reason::LookupFailed)),
            (not_run, Inconclusive(Reason::LookupTimeout)),
        ] {
            let evidence = failing(evidence(told(INSIDE), told(&[])), result);
            assert_eq!(judged(&evidence), outcome, "{:?}", evidence.lookup);
        }
        let half = failing(evidence(told(INSIDE), QueryResult::Timeout), LookupResult::TimedOut);
        assert_eq!(judged(&half), Fail(Reason::QueryTimeout), "of the other question");
        let mut unasked = failing(evidence(told(INSIDE), told(&[])), LookupResult::TimedOut);
        let second = "10.0.1.53:53".parse().unwrap();
        for query_type in QueryType::BOTH {
            let silent = answer(Resolver::System, query_type, QueryResult::Timeout);
            unasked.queries.push(Query { server: second, ..silent });
        }
        unasked.files.servers.push(second);
        assert_eq!(judged(&unasked), Fail(Reason::LookupTimeout), "a module hangs, not the second server");
        unasked.queries.rotate_left(2);
        assert_eq!(judged(&unasked), Fail(Reason::QueryTimeout), "the first server");
        let silent = failing(evidence(QueryResult::Timeout, QueryResult::Timeout), LookupResult::TimedOut);
        assert_eq!(judged(&silent), Fail(Reason::QueryTimeout));
    }

    #[test]
    fn servers_that_the_library_does_not_ask_explain_nothing() {
        let mut files_only = evidence(QueryResult::Nxdomain, QueryResult::Nxdomain);
        files_only.files.sources = vec!["files".into()];
        assert_eq!(judged(&files_only), Outcome::Fail(Reason::LookupFailed));
        let mut others = evidence(QueryResult::Timeout, QueryResult::Timeout);
        for query_type in QueryType::BOTH {
            let of_vpc = answer(Resolver::Vpc, query_type, QueryResult::Nxdomain);
            let listed = Query { resolver: Resolver::System, ..of_vpc.clone() };
            others.queries.push(of_vpc);
            others.queries.push(Query { name: Some("monitoring.corp.example".into()), ..listed });
        }
        assert_eq!(
            judged(&others),
            Outcome::Fail(Reason::QueryTimeout),
            "a search name, and another resolver"
        );
        let mut crlf = evidence(QueryResult::Timeout, QueryResult::Timeout);
        crlf.files.servers = vec!["127.0.0.1:53".parse().unwrap()];
        assert_eq!(judged(&crlf), Outcome::Fail(Reason::QueryTimeout), "a resolver on this host");
        let why = "it ends in CR LF, as on Windows";
        crlf.files.problems = vec![FileProblem::IgnoredServer { path: "/etc/resolv.conf", line: 1, why }];
        assert_eq!(judged(&crlf), Outcome::Fail(Reason::LookupFailed));
    }

    #[test]
    fn a_file_that_only_others_may_read_leaves_every_answer_open() {
        let error = "permission denied".to_owned();
        let problem = FileProblem::Unreadable { path: "/etc/hosts", error, mode: Some(0o600) };
        for mut evidence in [
            evidence(told(INSIDE), told(&[])),
            evidence(told(&["203.0.113.20"]), told(&[])),
            evidence(QueryResult::Nxdomain, QueryResult::Nxdomain),
        ] {
            evidence.files.problems = vec![problem.clone()];
            assert_eq!(judged(&evidence), Outcome::Inconclusive(Reason::LookupFailed));
        }
    }

    #[test]
    fn a_public_address_is_told_even_beside_a_question_left_open() {
        let evidence = evidence(told(&["203.0.113.20"]), QueryResult::Timeout);
        assert_eq!(judged(&evidence), Outcome::Fail(Reason::PublicAddress));
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
    fn the_lookup_decides_whatever_the_servers_say() {
        use Outcome::{Fail, Pass};
        let public = ["203.0.113.20"];
        for (looked_up, by_servers, outcome) in [
            (INSIDE, &public[..], Pass),
            (&public[..], INSIDE, Fail(Reason::PublicAddress)),
            (&["10.0.1.57", "203.0.113.20"], INSIDE, Fail(Reason::MixedAddresses)),
        ] {
            let addresses = looked_up.iter().map(|ip| ip.parse().unwrap()).collect();
            let evidence =
                failing(evidence(told(by_servers), told(&[])), LookupResult::Addresses { addresses });
            assert_eq!(judged(&evidence), outcome, "{looked_up:?} {by_servers:?}");
        }
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
        // Names of its own are those of another endpoint: it has no interface that they could be of.
        let mut named = evidence(told(&["203.0.113.99"]), told(&[]));
        let queries = vec![answer(Resolver::Vpc, QueryType::A, told(INSIDE))];
        let own = OwnName { name: "vpce-1.example".into(), zone: None, queries };
        named.own = Some(OwnNames { names: vec![own], others: vec![], asked_again: true });
        assert_eq!(dns(&named, &[], &gateway).outcome, Outcome::Pass);
    }
}
