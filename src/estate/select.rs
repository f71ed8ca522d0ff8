//! Which VPC and which region the configuration is for.

use std::collections::BTreeMap;

use super::error::ImportError;
use super::model::{Endpoint, Subnet};
use super::name::{EndpointName, Form, ServiceName};
use super::{Estate, Options};
use crate::network::region_of_zone;

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

/// The region that the VPC is in.
pub fn region(estate: &Estate, endpoints: &[&Endpoint], given: Option<&str>) -> Result<String, ImportError> {
    let mut certain: BTreeMap<String, &str> = BTreeMap::new();
    for endpoint in endpoints {
        for region in certain_regions(endpoint, estate) {
            certain.entry(region).or_insert(&endpoint.id);
        }
    }
    if let Some(given) = given {
        return match certain.iter().find(|(region, _)| *region != given) {
            Some((region, id)) => Err(ImportError::OtherRegion {
                given: given.to_owned(),
                region: region.clone(),
                id: (*id).to_owned(),
            }),
            None => Ok(given.to_owned()),
        };
    }
    // An interface endpoint may be for a service of another region, so its names are a hint only.
    let likely = || endpoints.iter().filter_map(|endpoint| likely_region(endpoint)).collect::<Vec<String>>();
    let mut regions: Vec<String> = if certain.is_empty() { likely() } else { certain.into_keys().collect() };
    regions.sort();
    regions.dedup();
    match regions.as_slice() {
        [region] => Ok(region.clone()),
        [] => Err(ImportError::NoRegion),
        _ => Err(ImportError::SeveralRegions(regions)),
    }
}

fn certain_regions(endpoint: &Endpoint, estate: &Estate) -> Vec<String> {
    let mut regions: Vec<String> = endpoint.region.clone().into_iter().collect();
    let zones = endpoint.names.iter().filter_map(|entry| match EndpointName::parse(&entry.name).ok()?.form {
        Form::Zonal(zone) => Some(zone),
        Form::Regional | Form::Private => None,
    });
    let of_subnet = |id: &String| estate.subnets.get(id).and_then(|Subnet { zone, .. }| zone.clone());
    let zones = zones.chain(endpoint.subnets.iter().filter_map(of_subnet));
    regions.extend(zones.filter_map(|zone| region_of_zone(&zone).map(ToOwned::to_owned)));
    if is_gateway(endpoint) {
        regions.extend(service_region(endpoint));
    }
    // An invalid region must not get into the configuration.
    regions.retain(|region| crate::network::is_region(region));
    regions
}

fn likely_region(endpoint: &Endpoint) -> Option<String> {
    let of_names = || {
        let names = endpoint.names.iter().filter_map(|entry| EndpointName::parse(&entry.name).ok());
        names.into_iter().find_map(|name| name.region().map(ToOwned::to_owned))
    };
    service_region(endpoint).or_else(of_names)
}

fn service_region(endpoint: &Endpoint) -> Option<String> {
    ServiceName::parse(endpoint.service_name.as_deref()?).region
}

/// Whether it is a gateway; without a type, by what it has.
pub fn is_gateway(endpoint: &Endpoint) -> bool {
    match &endpoint.kind {
        Some(kind) => kind.eq_ignore_ascii_case("gateway"),
        None => endpoint.names.is_empty() && endpoint.subnets.is_empty() && !endpoint.route_tables.is_empty(),
    }
}
