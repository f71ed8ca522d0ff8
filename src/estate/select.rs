//! Which VPC and which region the configuration is for.

use std::collections::{BTreeMap, BTreeSet};

use super::error::ImportError;
use super::model::{Endpoint, Subnet};
use super::name::{EndpointName, Form, ServiceName};
use super::{Estate, Options};
use crate::network::{is_region, region_of_zone};

/// The VPC, or `None` where no endpoint says its own.
pub fn vpc<'a>(endpoints: &'a [Endpoint], options: &'a Options<'_>) -> Result<Option<&'a str>, ImportError> {
    let mut counts: BTreeMap<&str, usize> = BTreeMap::new();
    for vpc in endpoints.iter().filter_map(|endpoint| endpoint.vpc.as_deref()) {
        *counts.entry(vpc).or_default() += 1;
    }
    let found = || counts.iter().map(|(vpc, count)| ((*vpc).to_owned(), *count)).collect();
    if let Some(vpc) = options.vpc {
        if !counts.contains_key(vpc) {
            return Err(ImportError::UnknownVpc { vpc: vpc.to_owned(), found: found() });
        }
        return Ok(Some(vpc));
    }
    if counts.len() > 1 {
        return match options.own_vpc {
            Some(own) if counts.contains_key(own) => Ok(Some(own)),
            own => Err(ImportError::SeveralVpcs { found: found(), own: own.map(ToOwned::to_owned) }),
        };
    }
    Ok(counts.keys().next().copied())
}

/// The region that the VPC is in, and where it was read.
#[derive(Debug, Eq, PartialEq)]
pub struct Region {
    pub name: String,
    /// Only the services' names say it, and a service may be in another region.
    pub is_guess: bool,
}

pub fn region(
    estate: &Estate,
    vpc: Option<&str>,
    endpoints: &[&Endpoint],
    given: Option<&str>,
) -> Result<Region, ImportError> {
    let mut certain: BTreeMap<String, &str> = BTreeMap::new();
    for endpoint in endpoints {
        for region in certain_regions(endpoint, estate) {
            certain.entry(region).or_insert(&endpoint.id);
        }
    }
    for (id, region) in regions_of_vpc(estate, vpc) {
        certain.entry(region).or_insert(id);
    }
    if let Some(given) = given {
        return match certain.iter().find(|(region, _)| *region != given) {
            Some((region, id)) => Err(ImportError::OtherRegion {
                given: given.to_owned(),
                region: region.clone(),
                id: (*id).to_owned(),
            }),
            None => Ok(Region { name: given.to_owned(), is_guess: false }),
        };
    }
    let is_guess = certain.is_empty();
    let likely = || endpoints.iter().filter_map(|endpoint| likely_region(endpoint)).collect::<BTreeSet<_>>();
    let regions = if is_guess { likely() } else { certain.into_keys().collect() };
    let mut regions = regions.into_iter();
    match (regions.next(), regions.next()) {
        (Some(name), None) => Ok(Region { name, is_guess }),
        (None, _) => {
            let of_services: BTreeSet<String> =
                endpoints.iter().filter_map(|endpoint| endpoint.service_region.clone()).collect();
            Err(ImportError::NoRegion { of_services: of_services.into_iter().collect() })
        }
        (Some(first), Some(second)) => {
            Err(ImportError::SeveralRegions([first, second].into_iter().chain(regions).collect()))
        }
    }
}

fn certain_regions(endpoint: &Endpoint, estate: &Estate) -> Vec<String> {
    let mut regions: Vec<String> = endpoint.region.clone().into_iter().collect();
    let zones = endpoint.names.iter().filter_map(|entry| match EndpointName::parse(&entry.name).ok()?.form {
        Form::Zonal(zone) => Some(zone),
        Form::Regional | Form::Private => None,
    });
    let of_subnet = |id: &String| estate.subnets.get(id).and_then(|Subnet { zone, .. }| zone.clone());
    let of_interface = |id: &String| estate.interfaces.get(id).and_then(|interface| interface.zone.clone());
    let zones = zones.chain(endpoint.subnets.iter().filter_map(of_subnet));
    let zones = zones.chain(endpoint.interfaces.iter().filter_map(of_interface));
    regions.extend(zones.filter_map(|zone| region_of_zone(&zone).map(ToOwned::to_owned)));
    if is_gateway(endpoint) {
        regions.extend(region_of_service(endpoint));
    }
    // An invalid region must not get into the configuration.
    regions.retain(|region| is_region(region));
    regions
}

/// What subnets and interfaces say that are in the VPC, whatever they are for.
fn regions_of_vpc<'a>(estate: &'a Estate, vpc: Option<&str>) -> BTreeSet<(&'a str, String)> {
    let subnets = estate.subnets.iter().map(|(id, subnet)| (id, &subnet.vpc, &subnet.zone));
    let interfaces = estate.interfaces.iter().map(|(id, of)| (id, &of.vpc, &of.zone));
    let in_vpc = subnets.chain(interfaces).filter(|(_, of, _)| vpc.is_some() && of.as_deref() == vpc);
    let region = |(id, _, zone): (&'a String, _, &Option<String>)| {
        let region = region_of_zone(zone.as_deref()?).filter(|region| is_region(region))?;
        Some((id.as_str(), region.to_owned()))
    };
    in_vpc.filter_map(region).collect()
}

/// AWS and Terraform write the service's region where they know that it may be another one. Without
/// it the service is most likely in the region of the VPC.
fn likely_region(endpoint: &Endpoint) -> Option<String> {
    let of_names = || {
        let names = endpoint.names.iter().filter_map(|entry| EndpointName::parse(&entry.name).ok());
        names.into_iter().find_map(|name| name.region().map(ToOwned::to_owned))
    };
    let is_known_apart = endpoint.service_region.as_deref().is_some_and(|region| !region.is_empty());
    if is_known_apart {
        return None;
    }
    region_of_service(endpoint).or_else(of_names)
}

fn region_of_service(endpoint: &Endpoint) -> Option<String> {
    ServiceName::parse(endpoint.service_name.as_deref()?).region
}

/// Whether it is a gateway; without a type, by what it has.
pub fn is_gateway(endpoint: &Endpoint) -> bool {
    match &endpoint.kind {
        Some(kind) => kind.eq_ignore_ascii_case("gateway"),
        None => endpoint.names.is_empty() && endpoint.subnets.is_empty() && !endpoint.route_tables.is_empty(),
    }
}
