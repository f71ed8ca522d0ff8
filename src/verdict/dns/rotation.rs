//! `options rotate` of resolv.conf: each lookup may start at a different server, so one lookup does not
//! show what the next one returns. Further lookups probably do. What each server would have returned is
//! computed as the GNU C library does it (res_send.c and nss_dns/dns-host.c).

use std::net::{IpAddr, SocketAddr};

use super::{of_addresses, of_failure, reason_of};
use crate::observation::{
    DnsEvidence, Lookup, LookupResult, Outcome, Query, QueryResult, QueryType, Reason, Resolver, Transport,
    is_host_name,
};

/// The response code of a server that does not know the question's kind.
const NOTIMP: u16 = 4;

/// `None` where the lookup itself has no address: then it decides alone.
pub fn outcome(
    evidence: &DnsEvidence,
    judge: impl Fn(&[IpAddr]) -> Vec<(IpAddr, Outcome)>,
) -> Option<Outcome> {
    if evidence.lookup.addresses().is_empty() {
        return None;
    }
    let files = &evidence.files;
    let in_hosts: Vec<IpAddr> = files.hosts.iter().map(|entry| entry.address).collect();
    let told = told(evidence);
    let next = told.iter().cycle().skip(1);
    let of_server = |(told, next): (&Told, &Told)| {
        let is_repaired = files.searches_root() && !next.addresses.is_empty();
        if told.addresses.is_empty() && !told.is_broken && is_repaired {
            return None;
        }
        let of_addresses = |ips: &[IpAddr]| of_addresses(&judge(ips));
        let otherwise = if files.hosts_comes_next() { of_addresses(&in_hosts) } else { None };
        let failure = told.failure.map(|failure| otherwise.unwrap_or(failure));
        if told.is_broken { failure } else { of_addresses(&told.addresses).or(failure) }
    };
    let servers = told.iter().zip(next).filter_map(of_server);
    let of_lookup = |lookup: &Lookup| match &lookup.result {
        LookupResult::Addresses { addresses } => of_addresses(&judge(addresses)),
        LookupResult::NotRun { .. } => None,
        failed => Some(of_failure(evidence, failed)),
    };
    let lookups = [&evidence.lookup].into_iter().chain(&evidence.other_lookups).filter_map(of_lookup);
    let outcomes: Vec<Outcome> = lookups.chain(servers).collect();
    let passes = outcomes.contains(&Outcome::Pass);
    let worst = Outcome::worst(outcomes)?;
    Some(match worst {
        Outcome::Fail(reason) if passes && is_of_addresses(reason) => Outcome::Fail(Reason::MixedAddresses),
        worst => worst,
    })
}

/// Every address that some lookup gets: an application connects to those of its own.
pub fn addresses(evidence: &DnsEvidence) -> Vec<IpAddr> {
    let mut addresses = evidence.lookup.addresses().to_vec();
    if !addresses.is_empty() {
        addresses.extend(evidence.other_lookups.iter().flat_map(Lookup::addresses));
        addresses.extend(told(evidence).iter().flat_map(|told| &told.addresses));
    }
    addresses
}

fn told(evidence: &DnsEvidence) -> Vec<Told> {
    let servers = evidence.files.servers.iter().filter(|_| evidence.files.rotates());
    servers.filter_map(|server| told_by(evidence, *server)).collect()
}

fn is_of_addresses(reason: Reason) -> bool {
    matches!(
        reason,
        Reason::PublicAddress | Reason::OutsideVpc | Reason::SpecialAddress | Reason::MixedAddresses
    )
}

/// What a lookup that starts at a server is told there.
struct Told {
    addresses: Vec<IpAddr>,
    /// Of a lookup that is told no address.
    failure: Option<Outcome>,
    /// The library cannot read the answer, or takes no addresses for such a name, and takes no
    /// other answer.
    is_broken: bool,
}

impl Told {
    fn without_addresses(self) -> Self {
        let failure = Some(Outcome::Fail(Reason::LookupFailed));
        if self.addresses.is_empty() { self } else { Self { addresses: vec![], failure, is_broken: true } }
    }
}

/// By the first name that has addresses there, of those that the library tries. `None` where it
/// goes on to the next server.
fn told_by(evidence: &DnsEvidence, server: SocketAddr) -> Option<Told> {
    let searched = evidence.files.searched(&evidence.host);
    let mut names: Vec<Option<&str>> = searched.iter().map(|name| Some(name.as_str())).collect();
    let place = if evidence.files.searches_first(&evidence.host) { names.len() } else { 0 };
    names.insert(place, None);
    let of_name = |name: Option<&str>| {
        let told = of_answers(&asked(evidence, server, name), evidence.files.single_request);
        if name.is_none_or(is_host_name) { told } else { told.map(Told::without_addresses) }
    };
    let ends = |told: &Told| !told.addresses.is_empty() || told.is_broken;
    let found = names.into_iter().filter_map(of_name).find(ends);
    found.or_else(|| of_name(None))
}

fn asked<'a>(evidence: &'a DnsEvidence, server: SocketAddr, name: Option<&str>) -> Vec<&'a Query> {
    let listed = evidence.queries.iter().filter(|query| query.resolver == Resolver::System);
    listed.filter(|query| query.server == server && query.name.as_deref() == name).collect()
}

fn of_answers(asked: &[&Query], single_request: bool) -> Option<Told> {
    let of_type = |query_type| asked.iter().copied().find(|query| query.query_type == query_type);
    let (a, aaaa) = (of_type(QueryType::A), of_type(QueryType::Aaaa));
    let is_silent =
        |query: &&Query| query.transport == Transport::Tcp && query.result == QueryResult::Timeout;
    // Over TCP both questions share a connection: the library waits for both answers or takes none.
    let holds = asked.iter().any(is_silent);
    // With single-request it asks for AAAA only once A is answered, and after a silence always so.
    let leaves =
        a.is_some_and(|a| a.result == QueryResult::Timeout || single_request && asks_next(&a.result));
    if holds || leaves {
        return None;
    }
    let taken: Vec<&Query> = asked.iter().copied().filter(|query| !asks_next(&query.result)).collect();
    // The library refuses an answer whose alias stands last.
    let readable = taken.iter().filter(|query| !query.alias_last);
    let addresses = readable.flat_map(|query| query.result.addresses()).copied().collect();
    let refused = taken.iter().any(|query| query.alias_last).then_some(Reason::LookupFailed);
    // The answer without addresses may come before the error that leads to the next server.
    let is_final = taken.len() == 2 || [a, aaaa].into_iter().flatten().any(|query| is_error(&query.result));
    let reason = || refused.or_else(|| taken.iter().find_map(|query| reason_of(&query.result)));
    let failure = is_final.then(|| Outcome::Fail(reason().unwrap_or(Reason::NoAddress)));
    let is_broken = a.is_some_and(|a| matches!(a.result, QueryResult::Invalid { .. }));
    (!taken.is_empty()).then_some(Told { addresses, failure, is_broken })
}

/// The library goes on to the next server.
fn asks_next(result: &QueryResult) -> bool {
    match result {
        QueryResult::Truncated { .. } | QueryResult::Timeout | QueryResult::Unreachable { .. } => true,
        QueryResult::Addresses { .. }
        | QueryResult::Nxdomain
        | QueryResult::OtherCode { .. }
        | QueryResult::Invalid { .. }
        | QueryResult::Servfail
        | QueryResult::Refused
        | QueryResult::NotRecursive => is_error(result),
    }
}

/// An answer that leads to the next server.
fn is_error(result: &QueryResult) -> bool {
    matches!(
        result,
        QueryResult::Servfail
            | QueryResult::Refused
            | QueryResult::NotRecursive
            | QueryResult::OtherCode { rcode: NOTIMP }
    )
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;
    use crate::network::Network;
    use crate::observation::{HostFiles, HostsEntry, NotRun};
    use crate::plan::Endpoint;
    use crate::verdict::dns;
    use crate::verdict::dns::tests::{INSIDE, answer, evidence, judged, told};

    fn two_servers(a: QueryResult, aaaa: QueryResult) -> DnsEvidence {
        let mut evidence = evidence(told(INSIDE), told(&[]));
        let second: SocketAddr = "10.0.1.53:53".parse().unwrap();
        for (query_type, result) in [(QueryType::A, a), (QueryType::Aaaa, aaaa)] {
            evidence.queries.push(Query { server: second, ..answer(Resolver::System, query_type, result) });
        }
        evidence.files.servers.push(second);
        evidence
    }

    #[test]
    fn each_further_lookup_counts() {
        let returned = |ip: &str| LookupResult::Addresses { addresses: vec![ip.parse().unwrap()] };
        for (result, outcome) in [
            (returned("10.0.1.58"), Outcome::Pass),
            (returned("203.0.113.20"), Outcome::Fail(Reason::MixedAddresses)),
            (LookupResult::TimedOut, Outcome::Fail(Reason::LookupTimeout)),
            (LookupResult::NotRun { because: NotRun::Busy }, Outcome::Pass),
        ] {
            let mut evidence = two_servers(told(INSIDE), told(&[]));
            evidence.files.rotate = true;
            evidence.other_lookups = vec![Lookup { result, took: Duration::from_millis(1) }];
            assert_eq!(judged(&evidence), outcome, "{:?}", evidence.other_lookups);
        }
    }

    #[test]
    fn what_any_lookup_gets_is_an_address_of_the_name() {
        let inside = |last: u8| IpAddr::from([10, 0, 1, last]);
        let mut evidence = two_servers(told(&["10.0.1.58"]), told(&[]));
        let result = LookupResult::Addresses { addresses: vec![inside(59)] };
        let seen = |evidence: &DnsEvidence| -> Vec<IpAddr> {
            let judged = dns(evidence, &[], &crate::verdict::tests::endpoint());
            judged
                .addresses
                .iter()
                .map(|address| address.ip)
                .filter(|ip| [58, 59].map(inside).contains(ip))
                .collect()
        };
        assert!(seen(&evidence).is_empty(), "the second server is not asked");
        evidence.files.rotate = true;
        assert_eq!(seen(&evidence), [inside(58)]);
        evidence.other_lookups = vec![Lookup { result, took: Duration::from_millis(1) }];
        assert_eq!(seen(&evidence), [inside(58), inside(59)]);
    }

    #[test]
    fn a_further_lookup_counts_even_where_the_hosts_file_seems_to_come_first() {
        let mut evidence = two_servers(told(&["203.0.113.20"]), told(&[]));
        evidence.files.rotate = true;
        evidence.files.hosts = vec![HostsEntry { line: 1, address: "10.0.1.57".parse().unwrap() }];
        assert_eq!((evidence.files.rotates(), evidence.files.further_lookups()), (false, 6));
        let result = LookupResult::Addresses { addresses: vec!["203.0.113.20".parse().unwrap()] };
        assert_eq!(judged(&evidence), Outcome::Pass);
        evidence.other_lookups = vec![Lookup { result, took: Duration::from_millis(1) }];
        assert_eq!(judged(&evidence), Outcome::Fail(Reason::MixedAddresses));
    }

    #[test]
    fn another_server_counts_only_where_lookups_start_there() {
        let detail = String::new;
        for (a, aaaa, reason) in [
            (told(&["203.0.113.20"]), told(&[]), Some(Reason::MixedAddresses)),
            (told(INSIDE), told(&["2001:db8:ffff::20"]), Some(Reason::MixedAddresses)),
            (QueryResult::Nxdomain, QueryResult::Nxdomain, Some(Reason::NameNotFound)),
            (told(&[]), told(&[]), Some(Reason::NoAddress)),
            (told(&["10.0.1.57"]), told(&[]), None),
            // The library goes on to the next.
            (QueryResult::Timeout, QueryResult::Timeout, None),
            (QueryResult::Servfail, QueryResult::Refused, None),
            (QueryResult::Unreachable { detail: detail() }, QueryResult::NotRecursive, None),
        ] {
            let mut evidence = two_servers(a, aaaa);
            assert_eq!(judged(&evidence), Outcome::Pass, "{evidence:?}");
            evidence.files.rotate = true;
            let outcome = reason.map_or(Outcome::Pass, Outcome::Fail);
            assert_eq!(judged(&evidence), outcome, "{evidence:?}");
            evidence.files.sources = vec!["files".into()];
            assert_eq!(judged(&evidence), Outcome::Pass, "DNS is not asked");
        }
    }

    #[test]
    fn each_of_three_servers_counts() {
        let third: SocketAddr = "10.0.2.53:53".parse().unwrap();
        for broken in 0..3 {
            let mut evidence = two_servers(told(INSIDE), told(&[]));
            for query_type in QueryType::BOTH {
                let told = if query_type == QueryType::A { told(INSIDE) } else { told(&[]) };
                evidence.queries.push(Query { server: third, ..answer(Resolver::System, query_type, told) });
            }
            evidence.files.servers.push(third);
            evidence.files.rotate = true;
            assert_eq!(judged(&evidence), Outcome::Pass);
            evidence.queries[2 * broken].result = told(&[]);
            assert_eq!(judged(&evidence), Outcome::Fail(Reason::NoAddress), "server {broken}");
            evidence.queries[2 * broken].result = told(&["203.0.113.20"]);
            assert_eq!(judged(&evidence), Outcome::Fail(Reason::MixedAddresses), "server {broken}");
        }
    }

    #[test]
    fn a_failure_elsewhere_is_told_where_this_lookup_decides_nothing() {
        let mut evidence = two_servers(told(INSIDE), told(&[]));
        let blind = Endpoint { network: Network::default(), ..crate::verdict::tests::endpoint() };
        let judged = |evidence: &DnsEvidence| dns(evidence, &[], &blind).outcome;
        assert_eq!(judged(&evidence), Outcome::Inconclusive(Reason::VpcCidrsUnknown));
        evidence.files.rotate = true;
        evidence.queries[2].result = told(&["127.0.0.1"]);
        assert_eq!(judged(&evidence), Outcome::Fail(Reason::SpecialAddress));
    }

    #[test]
    fn a_server_whose_answers_the_library_refuses_fails_under_rotate() {
        let mut evidence = two_servers(told(INSIDE), told(&[]));
        evidence.files.rotate = true;
        assert_eq!(judged(&evidence), Outcome::Pass);
        evidence.queries[2].alias_last = true;
        assert_eq!(judged(&evidence), Outcome::Fail(Reason::LookupFailed));
    }

    #[test]
    fn an_answer_counts_under_rotate_as_far_as_the_library_waits_for_its_other_half() {
        let public = || told(&["203.0.113.20"]);
        let (mixed, silent) = (Outcome::Fail(Reason::MixedAddresses), QueryResult::Timeout);
        for (a, aaaa, transport, outcome) in [
            (public(), silent.clone(), Transport::Udp, mixed),
            (public(), silent.clone(), Transport::Tcp, Outcome::Pass),
            (public(), told(&[]), Transport::Tcp, mixed),
            (silent.clone(), told(&["2001:db8:ffff::20"]), Transport::Udp, Outcome::Pass),
            (silent, told(&["2001:db8:ffff::20"]), Transport::Tcp, Outcome::Pass),
        ] {
            let mut evidence = two_servers(a, aaaa);
            evidence.files.rotate = true;
            evidence.queries[2..].iter_mut().for_each(|query| query.transport = transport);
            assert_eq!(judged(&evidence), outcome, "{evidence:?}");
        }
    }

    #[test]
    fn an_answer_without_addresses_may_come_before_the_error_of_the_other() {
        let refused = || QueryResult::OtherCode { rcode: NOTIMP };
        for (a, aaaa, single_request, outcome) in [
            (QueryResult::Refused, told(&[]), false, Outcome::Fail(Reason::NoAddress)),
            (refused(), told(&[]), false, Outcome::Fail(Reason::NoAddress)),
            (refused(), told(&[]), true, Outcome::Pass),
            (told(&[]), refused(), true, Outcome::Fail(Reason::NoAddress)),
            (
                QueryResult::Servfail,
                told(&["2001:db8:ffff::20"]),
                false,
                Outcome::Fail(Reason::MixedAddresses),
            ),
            (QueryResult::Servfail, told(&["2001:db8:ffff::20"]), true, Outcome::Pass),
            (QueryResult::Timeout, told(&[]), false, Outcome::Pass),
        ] {
            let mut evidence = two_servers(a, aaaa);
            evidence.files.rotate = true;
            evidence.files.single_request = single_request;
            assert_eq!(judged(&evidence), outcome, "{evidence:?}");
        }
    }

    #[test]
    fn a_server_without_the_name_leads_to_the_hosts_file_where_that_comes_next() {
        let mut evidence = two_servers(QueryResult::Nxdomain, QueryResult::Nxdomain);
        evidence.files.rotate = true;
        evidence.files.sources = ["dns", "files"].map(str::to_owned).to_vec();
        assert_eq!(judged(&evidence), Outcome::Fail(Reason::NameNotFound));
        evidence.files.hosts = vec![HostsEntry { line: 2, address: "10.0.1.57".parse().unwrap() }];
        assert_eq!(judged(&evidence), Outcome::Pass);
        evidence.files.hosts[0].address = "203.0.113.20".parse().unwrap();
        assert_eq!(judged(&evidence), Outcome::Fail(Reason::MixedAddresses));
        evidence.files.returns = true;
        assert_eq!(judged(&evidence), Outcome::Fail(Reason::NameNotFound));
    }

    #[test]
    fn the_root_in_the_search_list_asks_the_next_server_for_the_same_name() {
        let mut evidence = two_servers(QueryResult::Nxdomain, QueryResult::Nxdomain);
        evidence.files.rotate = true;
        evidence.files.search = vec!["corp.example".to_owned()];
        assert_eq!(judged(&evidence), Outcome::Fail(Reason::NameNotFound));
        evidence.files.search.push(".".to_owned());
        assert_eq!(judged(&evidence), Outcome::Pass);
    }

    #[test]
    fn the_first_name_with_addresses_counts() {
        // With ndots, names of the search list come before the name itself.
        for (ndots, of_search, outcome) in [
            (1, QueryResult::Nxdomain, Outcome::Pass),
            (5, QueryResult::Nxdomain, Outcome::Pass),
            (1, told(&["203.0.113.20"]), Outcome::Pass),
            (5, told(&["203.0.113.20"]), Outcome::Fail(Reason::MixedAddresses)),
        ] {
            let mut evidence = two_servers(told(INSIDE), told(&[]));
            evidence.files = HostFiles { rotate: true, ndots, ..evidence.files };
            evidence.files.search = vec!["corp.example".to_owned()];
            let name = format!("{}.corp.example", evidence.host);
            let second = evidence.queries[2].clone();
            evidence.queries.push(Query { name: Some(name), result: of_search.clone(), ..second });
            assert_eq!(judged(&evidence), outcome, "ndots {ndots}, {of_search:?}");
        }
    }

    #[test]
    fn addresses_of_what_is_no_host_name_end_the_lookup() {
        for (suffix, outcome) in
            [("(none)", Outcome::Fail(Reason::LookupFailed)), ("corp.example", Outcome::Pass)]
        {
            let mut evidence = two_servers(told(INSIDE), told(&[]));
            evidence.files = HostFiles { rotate: true, ndots: 5, ..evidence.files };
            evidence.files.search = vec![suffix.to_owned()];
            let name = format!("{}.{suffix}", evidence.host);
            let second = evidence.queries[2].clone();
            evidence.queries.push(Query { name: Some(name), ..second });
            assert_eq!(judged(&evidence), outcome, "{suffix}");
        }
    }

    #[test]
    fn an_answer_that_cannot_be_read_ends_the_lookup() {
        let cut = || QueryResult::Invalid { detail: String::new() };
        for aaaa in [told(&[]), told(&["2001:db8:1234:1::57"])] {
            let mut evidence = two_servers(cut(), aaaa);
            evidence.files.rotate = true;
            assert_eq!(judged(&evidence), Outcome::Fail(Reason::ServerFailure));
        }
        let mut evidence = two_servers(cut(), told(&[]));
        evidence.files = HostFiles { rotate: true, search: vec![".".to_owned()], ..evidence.files };
        assert_eq!(judged(&evidence), Outcome::Fail(Reason::ServerFailure), "it is not asked for again");
        let mut evidence = two_servers(told(INSIDE), cut());
        evidence.files.rotate = true;
        assert_eq!(judged(&evidence), Outcome::Pass);
    }
}
