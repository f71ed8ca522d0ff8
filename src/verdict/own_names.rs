//! Whether the private name leads to this endpoint, and not to some other private address: each of
//! its addresses must be one that the endpoint's own DNS names have.

use std::collections::BTreeSet;
use std::net::IpAddr;
use std::time::Duration;

use crate::observation::{DnsEvidence, Outcome, OwnNames, QueryResult, Reason, Resolver};
use crate::plan::Endpoint;

/// While an endpoint's interfaces change, its names follow one after the other. AWS's records live
/// for 60 s.
const LASTING: Duration = Duration::from_secs(60);

/// The outcome of an address that may be an endpoint's, by the endpoint's own names. Where none of
/// them resolves, nothing is claimed about whose it is, and a warning says so.
pub fn of_owner(ip: IpAddr, own: Option<&OwnNames>) -> Outcome {
    let Some(own) = own.filter(|own| own.resolve() && !own.contain(ip)) else { return Outcome::Pass };
    let seen_for = own.others.iter().find(|other| other.ip == ip).map(|other| other.seen_for);
    let lasts =
        seen_for.is_some_and(|seen_for| seen_for > LASTING || (own.asked_again && !seen_for.is_zero()));
    // A name without an answer may have this very address.
    if lasts && own.are_conclusive() {
        Outcome::Fail(Reason::NotThisEndpoint)
    } else {
        Outcome::Inconclusive(Reason::NotThisEndpoint)
    }
}

/// The addresses that applications are told, lie where they may, and are not the endpoint's.
pub fn others(evidence: &DnsEvidence, endpoint: &Endpoint) -> Vec<IpAddr> {
    let Some(own) = evidence.own.as_ref().filter(|own| own.resolve()) else { return Vec::new() };
    let rotated = evidence.queries.iter().filter(|query| {
        evidence.files.rotates() && query.resolver == Resolver::System && query.name.is_none()
    });
    let told = rotated.flat_map(|query| query.result.addresses()).chain(evidence.lookup.addresses());
    let told: BTreeSet<IpAddr> = told.copied().collect();
    let is_other = |ip: &IpAddr| endpoint.network.scope(*ip).is_inside() && !own.contain(*ip);
    told.into_iter().filter(is_other).collect()
}

/// When every answer that this look rests on will have expired.
pub fn answers_expire_after(evidence: &DnsEvidence) -> Duration {
    let own = evidence.own.iter().flat_map(|own| &own.names).flat_map(|name| &name.queries);
    let ttls = evidence.queries.iter().chain(own).filter_map(|query| match &query.result {
        QueryResult::Addresses { ttl, .. } => *ttl,
        _ => None,
    });
    Duration::from_secs(ttls.max().unwrap_or_default().into()).min(LASTING)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::observation::{Evidence, OtherAddress, OwnName, Query, QueryType};
    use crate::report::fixture::{addresses, dns, ip, query};
    use crate::verdict::tests::endpoint;

    const OWN: &[&str] = &["10.0.1.57", "10.0.2.113"];

    fn own(results: Vec<QueryResult>) -> OwnNames {
        let name = |result| {
            let queries = vec![query(Resolver::Vpc, QueryType::A, result)];
            OwnName { name: "vpce-0a-b".into(), zone: None, queries }
        };
        OwnNames { names: results.into_iter().map(name).collect(), others: vec![], asked_again: false }
    }

    fn evidence(told: &str, own: OwnNames) -> DnsEvidence {
        let observation = dns(Outcome::Pass, &[(told, crate::network::Scope::Vpc)]);
        let Evidence::Dns(evidence) = observation.evidence else { panic!("it is dns") };
        DnsEvidence { own: Some(own), ..evidence }
    }

    #[test]
    fn an_address_of_another_endpoint_fails_once_it_lasts() {
        use Outcome::{Fail, Inconclusive, Pass};
        let (once, lasts) = (Inconclusive(Reason::NotThisEndpoint), Fail(Reason::NotThisEndpoint));
        let known = || own(vec![addresses(OWN)]);
        let seen = |own: OwnNames, seconds, asked_again| {
            let other = OtherAddress { ip: ip("10.0.1.54"), seen_for: Duration::from_secs(seconds) };
            OwnNames { others: vec![other], asked_again, ..own }
        };
        let silent = || own(vec![addresses(OWN), QueryResult::Timeout]);
        for (told, own, outcome) in [
            ("10.0.1.57", known(), Pass),
            ("10.0.1.54", known(), once),
            ("10.0.1.54", seen(known(), 0, false), once),
            ("10.0.1.54", seen(known(), 60, false), once),
            ("10.0.1.54", seen(known(), 61, false), lasts),
            ("10.0.1.54", seen(known(), 31, true), lasts),
            // It came up between the two looks.
            ("10.0.1.54", seen(known(), 0, true), once),
            // One of the names did not answer, and may have it.
            ("10.0.1.54", seen(silent(), 600, false), once),
            // A zone that is gone has no address any more.
            ("10.0.1.54", seen(own(vec![addresses(OWN), QueryResult::Nxdomain]), 61, false), lasts),
            // Without an address of its own there is nothing to compare with.
            ("10.0.1.54", seen(own(vec![QueryResult::Nxdomain]), 600, true), Pass),
            ("10.0.1.54", own(vec![]), Pass),
        ] {
            let evidence = evidence(told, own);
            let judged = crate::verdict::dns(&evidence, &[], &endpoint());
            assert_eq!(judged.outcome, outcome, "{evidence:?}");
            let is_other = !others(&evidence, &endpoint()).is_empty();
            assert_eq!(is_other, outcome != Pass, "{evidence:?}");
        }
    }

    #[test]
    fn a_server_counts_that_some_lookups_start_at() {
        let of_server = |resolver, name: Option<&str>, rotate: bool| {
            let told = query(resolver, QueryType::A, addresses(&["10.0.1.54"]));
            let mut evidence = evidence("10.0.1.57", own(vec![addresses(OWN)]));
            evidence.queries = vec![Query { name: name.map(str::to_owned), ..told }];
            evidence.files.rotate = rotate;
            evidence.files.servers =
                ["10.0.1.53:53", "10.0.2.53:53"].map(|server| server.parse().unwrap()).to_vec();
            others(&evidence, &endpoint())
        };
        assert_eq!(of_server(Resolver::System, None, true), [ip("10.0.1.54")]);
        for (resolver, name, rotate) in [
            (Resolver::System, None, false),
            (Resolver::System, Some("monitoring.corp.example"), true),
            (Resolver::Vpc, None, true),
        ] {
            assert!(of_server(resolver, name, rotate).is_empty(), "{resolver:?} {name:?} {rotate}");
        }
    }

    #[test]
    fn answers_expire_with_the_longest_lived_and_within_a_minute() {
        let expire = |ttl| {
            let result = QueryResult::Addresses { addresses: vec![], ttl: Some(ttl), aliases: vec![] };
            let of_the_lookup = DnsEvidence { queries: vec![], ..evidence("10.0.1.57", own(vec![result])) };
            answers_expire_after(&of_the_lookup).as_secs()
        };
        // Those of the lookup itself live for 60 s.
        let usual = evidence("10.0.1.57", own(vec![QueryResult::Nxdomain]));
        assert_eq!(answers_expire_after(&usual).as_secs(), 60);
        assert_eq!((expire(2), expire(59), expire(86400)), (2, 59, 60));
    }
}
