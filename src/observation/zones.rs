//! In which zone an address of an endpoint is: by the endpoint's own zonal names, and by the ranges
//! of its subnets in the configuration.

use std::net::IpAddr;

use serde::Serialize;

use super::{DnsEvidence, OwnNames};
use crate::network::{Cidr, embedded_ipv4};

/// The endpoint's subnet in one zone, by the configuration.
#[derive(Clone, Debug, Eq, PartialEq, Serialize)]
pub struct ZoneRange {
    /// Named as in the instance's account, where that is known.
    pub zone: String,
    pub id: Option<String>,
    pub cidrs: Vec<Cidr>,
}

impl ZoneRange {
    /// DNS64 wraps an IPv4 address.
    pub fn contains(&self, ip: IpAddr) -> bool {
        self.cidrs.iter().any(|cidr| cidr.contains(ip) || cidr.contains(embedded_ipv4(ip)))
    }
}

impl DnsEvidence {
    /// The names go first, since they follow the endpoint. Where the ranges say otherwise, it is not
    /// known.
    pub fn zone(&self, ip: IpAddr) -> Option<&str> {
        match self.zones_of(ip) {
            (Some(by_name), Some(by_range)) if by_name != by_range => None,
            (by_name, by_range) => by_name.or(by_range),
        }
    }

    /// By its own names, and by the ranges.
    pub fn zones_of(&self, ip: IpAddr) -> (Option<&str>, Option<&str>) {
        let by_name = self.own.as_ref().and_then(|own| own.zone(ip));
        let range = self.zones.iter().find(|range| range.contains(ip));
        (by_name, range.map(|range| range.zone.as_str()))
    }

    /// The ranges without an address among these, for which the endpoint's own names do not speak.
    pub fn empty_zones<'a>(&'a self, ips: &'a [IpAddr]) -> impl Iterator<Item = &'a ZoneRange> {
        let is_named = |zone: &str| self.own.iter().flat_map(OwnNames::zonal).any(|(own, _)| own == zone);
        let same_family = |range: &ZoneRange| {
            let has =
                |ip: &IpAddr| range.cidrs.iter().any(|cidr| cidr.is_ipv4() == embedded_ipv4(*ip).is_ipv4());
            ips.iter().any(has)
        };
        self.zones.iter().filter(move |range| {
            let has_address = ips.iter().any(|ip| range.contains(*ip));
            !has_address && same_family(range) && !is_named(&range.zone)
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::observation::{OwnName, Query, QueryResult, QueryType, Resolver};
    use crate::report::fixture::{addresses, ip, query};

    fn named(zone: &str, ips: &[&str]) -> OwnName {
        let queries: Vec<Query> = vec![query(Resolver::Vpc, QueryType::A, addresses(ips))];
        OwnName { name: format!("vpce-0a-b-{zone}.example"), zone: Some(zone.into()), queries }
    }

    fn range(zone: &str, cidrs: &[&str]) -> ZoneRange {
        let cidrs = cidrs.iter().map(|cidr| cidr.parse().unwrap()).collect();
        ZoneRange { zone: zone.into(), id: None, cidrs }
    }

    fn evidence(names: Vec<OwnName>, zones: Vec<ZoneRange>) -> DnsEvidence {
        let own = (!names.is_empty()).then_some(OwnNames { names, others: vec![], asked_again: false });
        DnsEvidence { own, zones, ..DnsEvidence::of("x.example", vec![]) }
    }

    #[test]
    fn names_go_before_ranges_and_a_contradiction_is_no_zone() {
        let ranges = || vec![range("a", &["10.0.1.0/24", "2001:db8::/64"]), range("b", &["10.0.2.7/32"])];
        let both =
            evidence(vec![named("a", &["10.0.1.57"]), named("c", &["10.0.2.7", "10.0.3.9"])], ranges());
        let by_range = evidence(vec![], ranges());
        for (address, of_both, of_ranges) in [
            ("10.0.1.57", Some("a"), Some("a")),
            ("10.0.1.58", Some("a"), Some("a")),
            ("10.0.2.7", None, Some("b")),
            ("10.0.2.8", None, None),
            ("10.0.3.9", Some("c"), None),
            ("2001:db8::57", Some("a"), Some("a")),
            ("64:ff9b::10.0.1.57", Some("a"), Some("a")),
        ] {
            assert_eq!(
                (both.zone(ip(address)), by_range.zone(ip(address))),
                (of_both, of_ranges),
                "{address}"
            );
        }
        assert_eq!(both.zones_of(ip("10.0.2.7")), (Some("c"), Some("b")));
    }

    #[test]
    fn a_zone_is_empty_where_no_address_of_its_family_is_in_it() {
        let zones = || {
            vec![range("a", &["10.0.1.0/24"]), range("b", &["10.0.2.0/24"]), range("v6", &["2001:db8::/64"])]
        };
        let empty = |evidence: &DnsEvidence, told: &[&str]| {
            let told: Vec<IpAddr> = told.iter().map(|text| ip(text)).collect();
            evidence.empty_zones(&told).map(|range| range.zone.clone()).collect::<Vec<String>>()
        };
        let by_range = evidence(vec![], zones());
        assert_eq!(empty(&by_range, &["10.0.1.57", "10.0.2.113"]), [""; 0]);
        assert_eq!(empty(&by_range, &["10.0.1.57"]), ["b"]);
        assert_eq!(empty(&by_range, &["2001:db8:1::1"]), ["v6"]);
        assert_eq!(empty(&by_range, &[]), [""; 0]);
        // What its name says of the zone is said already.
        let silent = OwnName {
            queries: vec![query(Resolver::Vpc, QueryType::A, QueryResult::Nxdomain)],
            ..named("b", &[])
        };
        assert_eq!(empty(&evidence(vec![silent], zones()), &["10.0.1.57"]), [""; 0]);
    }
}
