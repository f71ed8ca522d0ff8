//! Where an endpoint is, for a comment: its zones, subnets and addresses, or its route tables.

use super::Subnets;
use super::model::{Endpoint, Subnet};
use super::quote::printable;

/// A longer list would not be read.
const MOST: usize = 16;

/// `us-east-1a, us-east-1b`, or what the subnets say.
pub fn of_interface(endpoint: &Endpoint, zones: &[String], subnets: &Subnets) -> Vec<String> {
    let known = endpoint.subnets.iter().filter_map(|id| Some((id, subnets.get(id)?)));
    let described: Vec<String> = known.map(|(id, subnet)| describe(id, subnet, endpoint)).collect();
    let mut lines = Vec::new();
    if described.is_empty() {
        if !zones.is_empty() {
            lines.push(format!("Zones: {}.", joined(zones)));
        }
        if !endpoint.subnets.is_empty() {
            lines.push(format!("Subnets: {}.", joined(&endpoint.subnets)));
        }
    } else {
        lines.extend(described.into_iter().take(MOST));
        let unknown: Vec<String> =
            endpoint.subnets.iter().filter(|id| !subnets.contains_key(*id)).cloned().collect();
        if !unknown.is_empty() {
            lines.push(format!("Other subnets: {}.", joined(&unknown)));
        }
    }
    let zones = if zones.is_empty() { endpoint.subnets.len() } else { zones.len() };
    if zones == 1 {
        lines.push("It is in one zone only: if that zone fails, every zone loses the service.".to_owned());
    }
    lines
}

/// `eu-west-2a (euw2-az2), subnet-03a3.. 10.20.1.0/24, at 10.20.1.57`
fn describe(id: &str, subnet: &Subnet, endpoint: &Endpoint) -> String {
    let zone = match (&subnet.zone, &subnet.zone_id) {
        (Some(zone), Some(id)) => format!("{zone} ({id})"),
        (Some(zone), None) | (None, Some(zone)) => zone.clone(),
        (None, None) => "Unknown zone".to_owned(),
    };
    let mut parts = vec![zone, [&[id.to_owned()], subnet.cidrs.as_slice()].concat().join(" ")];
    let ips: Vec<String> =
        endpoint.addresses.iter().filter(|(subnet, _)| subnet == id).map(|(_, ip)| ip.to_string()).collect();
    if !ips.is_empty() {
        parts.push(format!("at {}", joined(&ips)));
    }
    format!("{}.", printable(&parts.join(", ")))
}

pub fn of_gateway(endpoint: &Endpoint) -> Vec<String> {
    let mut lines = Vec::new();
    if endpoint.route_tables.is_empty() {
        lines.push("No route table leads to it, so no subnet uses it.".to_owned());
    } else {
        lines.push(format!("Route tables: {}.", joined(&endpoint.route_tables)));
        lines.push("This holds only for instances whose subnet uses one of these route tables.".to_owned());
    }
    match (&endpoint.prefix_list, endpoint.cidrs.as_slice()) {
        (Some(list), []) => lines.push(format!("Prefix list: {}.", printable(list))),
        (Some(list), cidrs) => {
            lines.push(format!("Prefix list: {}, at the last refresh {}.", printable(list), joined(cidrs)));
        }
        (None, []) => {}
        (None, cidrs) => lines.push(format!("Ranges at the last refresh: {}.", joined(cidrs))),
    }
    lines
}

/// `a, b and 3 more`
pub fn joined(items: &[String]) -> String {
    let shown: Vec<String> = items.iter().take(MOST).map(|item| printable(item)).collect();
    let shown = shown.join(", ");
    if items.len() > MOST { format!("{shown} and {} more", items.len() - MOST) } else { shown }
}
