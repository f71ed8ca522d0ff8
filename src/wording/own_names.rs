//! The endpoint's own names, its addresses and their zones.

use std::net::IpAddr;
use std::time::Duration;

use super::failure::query_failure;
use super::text::{duration, names};
use crate::check::Step;
use crate::observation::{OwnName, OwnNames, QueryResult};

/// `10.0.1.57 (us-east-1a)`
pub fn located(ip: IpAddr, zone: Option<&str>) -> String {
    zone.map_or_else(|| ip.to_string(), |zone| format!("{ip} ({zone})"))
}

/// Every address of the endpoint with its zone.
pub fn own_addresses(own: Option<&OwnNames>) -> String {
    let Some(own) = own else { return "no address".to_owned() };
    let mut ips: Vec<IpAddr> = own.addresses().collect();
    ips.sort_unstable();
    ips.dedup();
    names(ips.into_iter().map(|ip| located(ip, own.zone(ip))))
}

/// For how long the name has led elsewhere, in a clause of its own.
pub fn lasted(own: Option<&OwnNames>) -> String {
    let longest = own.iter().flat_map(|own| &own.others).map(|other| other.seen_for).max();
    match longest {
        Some(longest) if longest >= Duration::from_secs(1) => format!(" (for {})", duration(longest)),
        Some(_) | None => " (seen once)".to_owned(),
    }
}

/// Why a name has no address.
pub fn own_name_failure(name: &OwnName) -> String {
    if name.queries.is_empty() {
        return "was not asked: the VPC resolver did not respond".to_owned();
    }
    if name.queries.iter().any(|query| query.result == QueryResult::Nxdomain) {
        return "does not exist (NXDOMAIN)".to_owned();
    }
    let inconclusive = name.queries.iter().find(|query| !query.result.is_conclusive());
    match inconclusive.and_then(query_failure) {
        Some(failure) => format!("did not resolve: the VPC resolver {failure}"),
        None => "has no address (NODATA)".to_owned(),
    }
}

/// What many endpoints that passed a step have in common.
pub fn passed_by_all(step: Step, addresses: usize, zones: usize) -> String {
    let addresses = if addresses == 1 { "1 address".to_owned() } else { format!("{addresses} addresses") };
    let zones = match zones {
        0 => String::new(),
        1 => " in one zone".to_owned(),
        zones => format!(" in {zones} zones"),
    };
    match step {
        Step::Dns => format!("every address is private: {addresses}{zones}"),
        Step::Connect => format!("every address answered: {addresses}{zones}"),
        Step::Call => format!("ListMetrics answered over {addresses}{zones}"),
    }
}
