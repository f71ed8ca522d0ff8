//! `zones` of an endpoint: the ranges of its subnets and the addresses of its network interfaces, in
//! their availability zones. Whatever does not fit together is left out and said.

use std::collections::{BTreeMap, BTreeSet, HashSet};
use std::net::IpAddr;

use super::model::{Endpoint, NetworkInterface, Subnet};
use super::place::joined;
use super::quote::printable;
use super::{Interfaces, Subnets};
use crate::config::{MOST_CIDRS, MOST_ZONES};
use crate::network::{Cidr, is_zone_id, is_zone_name};

/// More subnets than an endpoint has: one in each zone.
const MOST_PLACES: usize = 64;

/// A zone as `[[endpoint]]` lists it.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Zone {
    pub name: String,
    pub id: Option<String>,
    pub cidrs: Vec<Cidr>,
}

#[derive(Debug, Default)]
pub struct Found {
    pub zones: Vec<Zone>,
    /// Ids of subnets and interfaces, and why they say nothing about zones.
    pub left_out: Vec<(Vec<String>, String)>,
}

/// A subnet or an interface, and where it is.
struct Place<'a> {
    source: &'a str,
    zone: &'a str,
    id: Option<&'a str>,
    cidrs: Vec<Cidr>,
}

pub fn of_endpoint(endpoint: &Endpoint, subnets: &Subnets, interfaces: &Interfaces) -> Found {
    let mut found = Found::default();
    let of_endpoint = endpoint.interfaces.iter().filter_map(|id| Some((id.as_str(), interfaces.get(id)?)));
    let of_endpoint: Vec<(&str, &NetworkInterface)> = of_endpoint.take(MOST_PLACES).collect();
    let of_interfaces = of_endpoint.iter().filter_map(|(_, interface)| interface.subnet.as_deref());
    let mut known = HashSet::new();
    let ids = endpoint.subnets.iter().map(String::as_str).chain(of_interfaces);
    let ids: Vec<&str> = ids.filter(|id| known.insert(*id)).take(MOST_PLACES).collect();
    let mut places = Vec::new();
    for id in ids {
        let Some(subnet) = subnets.get(id) else { continue };
        places.extend(found.keep(id, of_subnet(id, subnet, endpoint)));
    }
    for (id, interface) in of_endpoint {
        places.extend(found.keep(id, of_interface(id, interface, endpoint)));
    }
    found.drop_overlapping(&mut places);
    found.zones = zones(&places);
    found.check_ids();
    found.keep_within_bounds();
    found
}

fn of_subnet<'a>(
    source: &'a str,
    subnet: &'a Subnet,
    endpoint: &Endpoint,
) -> Result<Option<Place<'a>>, String> {
    if subnet.is_contradictory {
        return Err("the files describe it differently; give only the newer one".to_owned());
    }
    check_vpc(subnet.vpc.as_deref(), endpoint)?;
    let Some(zone) = subnet.zone.as_deref() else { return Ok(None) };
    let cidr = |text: &String| {
        let cidr = text.parse::<Cidr>().ok().filter(|cidr| !cidr.is_everything());
        cidr.ok_or_else(|| format!("invalid CIDR {}", printable(text)))
    };
    let cidrs: Vec<Cidr> = subnet.cidrs.iter().map(cidr).collect::<Result<_, String>>()?;
    place(source, zone, subnet.zone_id.as_deref(), cidrs)
}

fn of_interface<'a>(
    source: &'a str,
    interface: &'a NetworkInterface,
    endpoint: &Endpoint,
) -> Result<Option<Place<'a>>, String> {
    check_vpc(interface.vpc.as_deref(), endpoint)?;
    let Some(zone) = interface.zone.as_deref() else { return Ok(None) };
    let alone = |ip: &IpAddr| format!("{ip}/{}", if ip.is_ipv4() { 32 } else { 128 }).parse().ok();
    place(source, zone, interface.zone_id.as_deref(), interface.addresses.iter().filter_map(alone).collect())
}

fn place<'a>(
    source: &'a str,
    zone: &'a str,
    id: Option<&'a str>,
    cidrs: Vec<Cidr>,
) -> Result<Option<Place<'a>>, String> {
    if !is_zone_name(zone) {
        return Err(format!("{} is not the name of an availability zone", printable(zone)));
    }
    if let Some(id) = id.filter(|id| !is_zone_id(id)) {
        return Err(format!("{} is not the ID of an availability zone", printable(id)));
    }
    Ok((!cidrs.is_empty()).then_some(Place { source, zone, id, cidrs }))
}

fn check_vpc(vpc: Option<&str>, endpoint: &Endpoint) -> Result<(), String> {
    match (vpc, endpoint.vpc.as_deref()) {
        (Some(vpc), Some(own)) if vpc != own => {
            Err(format!("it is in {}, and the endpoint is in {}", printable(vpc), printable(own)))
        }
        _ => Ok(()),
    }
}

impl Found {
    fn keep<'a>(&mut self, source: &str, place: Result<Option<Place<'a>>, String>) -> Option<Place<'a>> {
        place.unwrap_or_else(|why| {
            self.left_out.push((vec![source.to_owned()], why));
            None
        })
    }

    /// An address in two zones would be in none.
    fn drop_overlapping(&mut self, places: &mut Vec<Place<'_>>) {
        let overlap = |one: &Place<'_>, other: &Place<'_>| {
            one.cidrs.iter().any(|cidr| other.cidrs.iter().any(|of_other| cidr.overlaps(*of_other)))
        };
        let mut wrong = BTreeSet::new();
        for (at, place) in places.iter().enumerate() {
            for (other_at, other) in places.iter().enumerate().skip(at + 1) {
                if place.zone != other.zone && overlap(place, other) {
                    wrong.extend([at, other_at]);
                }
            }
        }
        if wrong.is_empty() {
            return;
        }
        let sources = wrong.iter().map(|at| places[*at].source.to_owned()).collect();
        self.left_out.push((sources, "they overlap, and are in different zones".to_owned()));
        let mut at = 0..;
        places.retain(|_| at.next().is_some_and(|at| !wrong.contains(&at)));
    }

    /// A zone has one id, an id belongs to one zone, and all zones have one or none has.
    fn check_ids(&mut self) {
        let mut names: BTreeMap<String, Vec<String>> = BTreeMap::new();
        for zone in &self.zones {
            if let Some(id) = &zone.id {
                names.entry(id.clone()).or_default().push(zone.name.clone());
            }
        }
        for (id, names) in names.into_iter().filter(|(_, names)| names.len() > 1) {
            for zone in self.zones.iter_mut().filter(|zone| zone.id.as_ref() == Some(&id)) {
                zone.id = None;
            }
            self.left_out.push((vec![id], format!("the ID of several zones: {}", joined(&names))));
        }
        if self.zones.iter().any(|zone| zone.id.is_none()) {
            let ids: Vec<String> = self.zones.iter_mut().filter_map(|zone| zone.id.take()).collect();
            if !ids.is_empty() {
                self.left_out.push((ids, "not all zones of the endpoint have a known ID".to_owned()));
            }
        }
    }

    fn keep_within_bounds(&mut self) {
        for zone in &mut self.zones {
            let more = zone.cidrs.split_off(zone.cidrs.len().min(MOST_CIDRS));
            if !more.is_empty() {
                let more = more.iter().map(ToString::to_string).collect();
                self.left_out.push((more, format!("a zone may have {MOST_CIDRS} ranges")));
            }
        }
        let more = self.zones.split_off(self.zones.len().min(MOST_ZONES));
        if !more.is_empty() {
            let names = more.into_iter().map(|zone| zone.name).collect();
            self.left_out.push((names, format!("an endpoint may have {MOST_ZONES} zones")));
        }
    }
}

/// By name. Where files give a zone several ids, none is written.
fn zones(places: &[Place<'_>]) -> Vec<Zone> {
    let mut zones: BTreeMap<&str, (BTreeSet<&str>, Vec<Cidr>)> = BTreeMap::new();
    for place in places {
        let (ids, cidrs) = zones.entry(place.zone).or_default();
        ids.extend(place.id);
        for cidr in &place.cidrs {
            // The address of an interface says no more than its subnet.
            if !cidrs.iter().any(|known| known.overlaps(*cidr)) {
                cidrs.push(*cidr);
            }
        }
    }
    let zone = |(name, (ids, cidrs)): (&str, (BTreeSet<&str>, Vec<Cidr>))| {
        let id = ids.first().filter(|_| ids.len() == 1).map(|id| (*id).to_owned());
        Zone { name: name.to_owned(), id, cidrs }
    };
    zones.into_iter().map(zone).collect()
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use crate::config::{Config, ZoneConfig};
    use crate::estate::{Estate, Imported, Options};

    const ENDPOINT: &str = "vpce-0e6d";

    fn endpoint(subnets: &Value, interfaces: &Value) -> Value {
        json!({"VpcEndpoints": [{
            "VpcEndpointId": ENDPOINT, "VpcEndpointType": "Interface", "VpcId": "vpc-0a", "State": "available",
            "ServiceName": "com.amazonaws.us-east-1.monitoring", "PrivateDnsEnabled": true,
            "SubnetIds": subnets, "NetworkInterfaceIds": interfaces,
            "DnsEntries": [{"DnsName": "monitoring.us-east-1.amazonaws.com", "HostedZoneId": "Z1"}],
        }]})
    }

    fn subnet(id: &str, zone: &str, zone_id: &str, cidr: &str) -> Value {
        json!({"SubnetId": id, "VpcId": "vpc-0a", "AvailabilityZone": zone, "AvailabilityZoneId": zone_id,
            "CidrBlock": cidr})
    }

    fn interface(id: &str, zone: &str, ips: [&str; 2]) -> Value {
        json!({"NetworkInterfaceId": id, "VpcId": "vpc-0a", "SubnetId": "subnet-9", "AvailabilityZone": zone,
            "PrivateIpAddress": ips[0], "Ipv6Addresses": [{"Ipv6Address": ips[1]}]})
    }

    fn import(files: &[Value]) -> Imported {
        let mut estate = Estate::default();
        for (number, file) in files.iter().enumerate() {
            let read = estate.read(&format!("{number}.json"), file.to_string().as_bytes());
            read.unwrap_or_else(|error| panic!("{error}"));
        }
        let options = Options { region: Some("us-east-1"), ..Options::default() };
        estate.configuration(&options).unwrap_or_else(|error| panic!("{error}"))
    }

    fn zones(imported: &Imported) -> Vec<ZoneConfig> {
        let config = Config::parse(&imported.text, "x.toml").unwrap_or_else(|error| panic!("{error}"));
        config.endpoints.into_iter().next().expect("an endpoint").zones
    }

    fn zone(name: &str, id: Option<&str>, cidrs: &[&str]) -> ZoneConfig {
        let cidrs = cidrs.iter().map(|cidr| cidr.parse().unwrap()).collect();
        ZoneConfig { name: name.into(), id: id.map(Into::into), cidrs }
    }

    /// What of these subnets of the endpoint is not written, and what is.
    fn of_subnets(subnets: &[Value]) -> (Imported, Vec<ZoneConfig>) {
        let ids: Vec<&Value> = subnets.iter().map(|subnet| &subnet["SubnetId"]).collect();
        let imported = import(&[endpoint(&json!(ids), &json!([])), json!({ "Subnets": subnets })]);
        let zones = zones(&imported);
        (imported, zones)
    }

    #[test]
    fn subnets_give_the_zones_of_their_endpoint() {
        let mut dual = subnet("subnet-1", "us-east-1a", "use1-az1", "10.0.1.0/24");
        dual["Ipv6CidrBlockAssociationSet"] = json!([{"Ipv6CidrBlock": "2001:db8:0:1::/64"}]);
        let subnets = [
            subnet("subnet-2", "us-east-1b", "use1-az2", "10.0.2.0/24"),
            dual,
            subnet("subnet-7", "us-east-1c", "use1-az3", "10.0.7.0/24"),
        ];
        let expected = [
            zone("us-east-1a", Some("use1-az1"), &["10.0.1.0/24", "2001:db8:0:1::/64"]),
            zone("us-east-1b", Some("use1-az2"), &["10.0.2.0/24"]),
        ];
        let of_endpoint = endpoint(&json!(["subnet-1", "subnet-2"]), &json!([]));
        let list = json!({ "Subnets": subnets });
        assert_eq!(zones(&import(&[of_endpoint.clone(), list.clone()])), expected);
        assert_eq!(zones(&import(&[list.clone(), of_endpoint.clone()])), expected, "in any order");
        assert_eq!(zones(&import(&[of_endpoint.clone(), json!(subnets)])), expected, "--query Subnets");
        assert_eq!(zones(&import(&[of_endpoint.clone(), list.clone(), list])), expected, "twice");
        assert_eq!(zones(&import(&[of_endpoint])), [], "without them");
    }

    #[test]
    fn a_range_that_a_subnet_no_longer_has_is_in_no_zone() {
        let of_state = |state: &Value| {
            let mut dual = subnet("subnet-1", "us-east-1a", "use1-az1", "10.0.1.0/24");
            let block = json!({"Ipv6CidrBlock": "2001:db8:0:1::/64", "Ipv6CidrBlockState": {"State": state}});
            dual["Ipv6CidrBlockAssociationSet"] = json!([block]);
            of_subnets(&[dual]).1.remove(0).cidrs.len()
        };
        for state in ["associated", "associating", "Associated"] {
            assert_eq!(of_state(&json!(state)), 2, "{state}");
        }
        for state in ["disassociated", "disassociating", "failed", "failing"] {
            assert_eq!(of_state(&json!(state)), 1, "{state}");
        }
        assert_eq!(of_state(&Value::Null), 2, "without a state");
    }

    #[test]
    fn interfaces_give_the_zones_of_their_addresses() {
        let interfaces = [
            interface("eni-1", "us-east-1a", ["10.0.1.57", "2001:db8:0:1::57"]),
            interface("eni-2", "us-east-1b", ["10.0.2.113", "2001:db8:0:2::113"]),
        ];
        let of_endpoint = endpoint(&json!([]), &json!(["eni-1", "eni-2"]));
        let expected = [
            zone("us-east-1a", None, &["10.0.1.57/32", "2001:db8:0:1::57/128"]),
            zone("us-east-1b", None, &["10.0.2.113/32", "2001:db8:0:2::113/128"]),
        ];
        let list = json!({ "NetworkInterfaces": interfaces });
        assert_eq!(zones(&import(&[of_endpoint.clone(), list.clone()])), expected);
        assert_eq!(zones(&import(&[of_endpoint.clone(), json!(interfaces)])), expected, "--query");
        let mut with_id = interfaces.clone();
        with_id[0]["AvailabilityZoneId"] = json!("use1-az1");
        let imported = import(&[of_endpoint.clone(), json!({ "NetworkInterfaces": with_id })]);
        assert_eq!(zones(&imported), expected, "an ID of one of two");
        assert!(
            imported.text.contains("use1-az1 of vpce-0e6d: not all zones of the endpoint have a known ID.")
        );
        // Where the subnet is known, its range has the address.
        let subnet = subnet("subnet-9", "us-east-1b", "use1-az2", "10.0.2.0/24");
        let of_b = interface("eni-2", "us-east-1b", ["10.0.2.113", "none"]);
        let files = [endpoint(&json!([]), &json!(["eni-2"])), of_b, json!({ "Subnets": [subnet] })];
        assert_eq!(zones(&import(&files)), [zone("us-east-1b", Some("use1-az2"), &["10.0.2.0/24"])]);
    }

    #[test]
    fn a_terraform_state_gives_the_zones_too() {
        let show = |resources: &Value| json!({"format_version": "1.0", "values": {"root_module": {"resources": resources}}});
        let state = show(&json!([
            {"address": "aws_subnet.b", "mode": "managed", "type": "aws_subnet", "values": {
                "id": "subnet-2", "vpc_id": "vpc-0a", "availability_zone": "us-east-1b",
                "availability_zone_id": "use1-az2", "cidr_block": "10.0.2.0/24", "ipv6_cidr_block": ""}},
            {"address": "aws_subnet.c", "mode": "managed", "type": "aws_subnet", "values": {
                "id": "subnet-3", "vpc_id": "vpc-0b", "availability_zone": "us-east-1c", "cidr_block": "10.0.3.0/24"}},
        ]));
        let imported = import(&[endpoint(&json!(["subnet-2", "subnet-3"]), &json!([])), state]);
        assert_eq!(zones(&imported), [zone("us-east-1b", Some("use1-az2"), &["10.0.2.0/24"])]);
        let why = "# - subnet-3 of vpce-0e6d: it is in vpc-0b, and the endpoint is in vpc-0a.\n";
        assert!(imported.text.contains(why), "{}", imported.text);
    }

    #[test]
    fn what_does_not_fit_together_is_left_out_and_said() {
        let good = || subnet("subnet-1", "us-east-1a", "use1-az1", "10.0.1.0/24");
        let kept = || vec![zone("us-east-1a", Some("use1-az1"), &["10.0.1.0/24"])];
        let mut foreign = subnet("subnet-2", "us-east-1b", "use1-az2", "10.0.2.0/24");
        foreign["VpcId"] = json!("vpc-0b\n[[endpoint]]");
        let quote = "us-east-1b\"]\n[[endpoint]]\nhost = \"evil.example";
        for (other, why) in [
            (
                foreign,
                r"subnet-2 of vpce-0e6d: it is in vpc-0b\u{a}[[endpoint]], and the endpoint is in vpc-0a.",
            ),
            (
                subnet("subnet-2", quote, "use1-az2", "10.0.2.0/24"),
                r#"us-east-1b"]\u{a}[[endpoint]]\u{a}host = "evil.example is not the name of an availability zone."#,
            ),
            (
                subnet("subnet-2", "us-east-1b", "use1-az2\"", "10.0.2.0/24"),
                "use1-az2\" is not the ID of an availability zone.",
            ),
            (subnet("subnet-2", "us-east-1b", "use1-az2", "0.0.0.0/0"), "invalid CIDR 0.0.0.0/0."),
            (subnet("subnet-2", "us-east-1b", "use1-az2", "10.0.2.7/24"), "invalid CIDR 10.0.2.7/24."),
            (subnet("subnet-2", "us-east-1b", "use1-az2", "\"]"), "invalid CIDR \"]."),
        ] {
            let (imported, zones) = of_subnets(&[good(), other]);
            assert_eq!(zones, kept(), "{why}");
            assert!(imported.text.contains(why), "{why}\n{}", imported.text);
        }
    }

    #[test]
    fn overlapping_ranges_of_two_zones_are_in_neither() {
        let (imported, zones) = of_subnets(&[
            subnet("subnet-1", "us-east-1a", "use1-az1", "10.0.0.0/16"),
            subnet("subnet-2", "us-east-1b", "use1-az2", "10.0.2.0/24"),
            subnet("subnet-3", "us-east-1c", "use1-az3", "10.1.3.0/24"),
            subnet("subnet-4", "us-east-1c", "use1-az3", "10.1.3.0/25"),
        ]);
        assert_eq!(zones, [zone("us-east-1c", Some("use1-az3"), &["10.1.3.0/24"])]);
        let why = "# - subnet-1, subnet-2 of vpce-0e6d: they overlap, and are in different zones.\n";
        assert!(imported.text.contains(why), "{}", imported.text);
    }

    #[test]
    fn a_subnet_that_two_files_have_in_two_places_is_in_neither() {
        let first = json!({"Subnets": [subnet("subnet-1", "us-east-1a", "use1-az1", "10.0.1.0/24")]});
        let second = json!({"Subnets": [subnet("subnet-1", "us-east-1b", "use1-az1", "10.0.1.0/24")]});
        let imported = import(&[endpoint(&json!(["subnet-1"]), &json!([])), first, second]);
        assert_eq!(zones(&imported), []);
        assert!(imported.text.contains("# - subnet-1 of vpce-0e6d: the files describe it differently;"));
    }

    #[test]
    fn an_id_of_two_zones_is_not_written() {
        let (imported, zones) = of_subnets(&[
            subnet("subnet-1", "us-east-1a", "use1-az1", "10.0.1.0/24"),
            subnet("subnet-2", "us-east-1b", "use1-az1", "10.0.2.0/24"),
        ]);
        assert_eq!(
            zones,
            [zone("us-east-1a", None, &["10.0.1.0/24"]), zone("us-east-1b", None, &["10.0.2.0/24"])]
        );
        let why = "# - use1-az1 of vpce-0e6d: the ID of several zones: us-east-1a, us-east-1b.\n";
        assert!(imported.text.contains(why), "{}", imported.text);
    }

    #[test]
    fn ten_thousand_subnets_stay_within_the_bounds() {
        let subnets: Vec<Value> = (0..10_000)
            .map(|number| {
                let letter = char::from(b'a' + u8::try_from(number % 26).unwrap());
                let cidr = format!("10.{}.{}.0/24", number / 256, number % 256);
                subnet(
                    &format!("subnet-{number}"),
                    &format!("us-east-1{letter}"),
                    &format!("use1-az{}", number % 26),
                    &cidr,
                )
            })
            .collect();
        let (imported, zones) = of_subnets(&subnets);
        assert_eq!(zones.len(), super::MOST_ZONES);
        assert!(imported.text.len() < 20_000, "{}", imported.text.len());
    }
}
