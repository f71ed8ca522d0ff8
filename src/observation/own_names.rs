//! The endpoint's own DNS names (`vpce-..`): which addresses are its, and in which zones.

use std::net::IpAddr;
use std::time::Duration;

use serde::Serialize;

use super::Query;
use super::evidence::seconds;
use crate::network::embedded_ipv4;

/// What the VPC resolver says of the endpoint's own names.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct OwnNames {
    pub names: Vec<OwnName>,
    /// What the lookup returned, lies where it may, and is none of the endpoint's own addresses.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub others: Vec<OtherAddress>,
    /// This run waited until the answers of an earlier look had expired, and looked again.
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    pub asked_again: bool,
}

#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct OwnName {
    pub name: String,
    /// Where it is the name of one network interface.
    pub zone: Option<String>,
    /// Empty where no VPC resolver answered.
    pub queries: Vec<Query>,
}

#[derive(Clone, Copy, Debug, Eq, PartialEq, Serialize)]
pub struct OtherAddress {
    pub ip: IpAddr,
    /// From the first run that saw it until this one.
    #[serde(rename = "seen_for_seconds", serialize_with = "seconds")]
    pub seen_for: Duration,
}

impl OwnName {
    pub fn addresses(&self) -> impl Iterator<Item = IpAddr> {
        self.queries.iter().flat_map(|query| query.result.addresses()).copied()
    }

    /// Whether the resolver has said all that there is to it.
    pub fn is_conclusive(&self) -> bool {
        !self.queries.is_empty() && self.queries.iter().all(|query| query.result.is_conclusive())
    }
}

impl OwnNames {
    pub fn addresses(&self) -> impl Iterator<Item = IpAddr> {
        self.names.iter().flat_map(OwnName::addresses)
    }

    pub fn resolve(&self) -> bool {
        self.addresses().next().is_some()
    }

    pub fn are_conclusive(&self) -> bool {
        self.names.iter().all(OwnName::is_conclusive)
    }

    /// DNS64 wraps an IPv4 address.
    pub fn contain(&self, ip: IpAddr) -> bool {
        self.addresses().any(|own| own == ip || own == embedded_ipv4(ip))
    }

    pub fn zone(&self, ip: IpAddr) -> Option<&str> {
        let has = |name: &&OwnName| name.addresses().any(|own| own == ip || own == embedded_ipv4(ip));
        self.zonal().filter(|(_, name)| has(name)).map(|(zone, _)| zone).next()
    }

    pub fn zonal(&self) -> impl Iterator<Item = (&str, &OwnName)> {
        self.names.iter().filter_map(|name| Some((name.zone.as_deref()?, name)))
    }
}

/// The zone in an endpoint's own name: what follows `vpce-<id>-<8 characters>-`. S3's names have a
/// label in front of it.
pub fn own_zone(host: &str) -> Option<&str> {
    let (own, _) = host.split_once(".vpce.")?;
    let label = own.split('.').find(|label| label.starts_with("vpce-") && !label.starts_with("vpce-svc-"))?;
    let zone = label.splitn(4, '-').nth(3)?;
    (!zone.is_empty()).then_some(zone)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::observation::{QueryType, Resolver};
    use crate::report::fixture::{addresses, ip, query};

    #[test]
    fn an_own_address_is_known_behind_nat64_too() {
        let queries = vec![query(Resolver::Vpc, QueryType::A, addresses(&["10.0.1.57"]))];
        let names = vec![OwnName { name: "vpce-0a-b-a.example".into(), zone: Some("a".into()), queries }];
        let own = OwnNames { names, others: vec![], asked_again: false };
        for (address, zone) in
            [("10.0.1.57", Some("a")), ("64:ff9b::10.0.1.57", Some("a")), ("64:ff9b::10.0.1.58", None)]
        {
            assert_eq!(own.zone(ip(address)), zone, "{address}");
            assert_eq!(own.contain(ip(address)), zone.is_some(), "{address}");
        }
    }

    #[test]
    fn a_zonal_name_tells_its_zone() {
        for (host, zone) in [
            ("vpce-0a1b-c2d3.monitoring.us-east-1.vpce.amazonaws.com", None),
            ("vpce-0a1b-c2d3-us-east-1a.monitoring.us-east-1.vpce.amazonaws.com", Some("us-east-1a")),
            ("bucket.vpce-0a1b-c2d3-us-east-1a.s3.us-east-1.vpce.amazonaws.com", Some("us-east-1a")),
            (
                "vpce-0a1b-c2d3-us-east-1-bos-1a.vpce-svc-0a-b-c-d.us-east-1.vpce.amazonaws.com",
                Some("us-east-1-bos-1a"),
            ),
            ("vpce-0a1b-c2d3.vpce-svc-0a1b-x-y-z.us-east-1.vpce.amazonaws.com", None),
            ("vpce-0a1b-c2d3-.monitoring.us-east-1.vpce.amazonaws.com", None),
            ("monitoring.us-east-1.amazonaws.com", None),
        ] {
            assert_eq!(own_zone(host), zone, "{host}");
        }
    }
}
