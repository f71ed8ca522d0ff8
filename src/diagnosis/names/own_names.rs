//! What the endpoint's own DNS names and the ranges of its subnets show: whether the name leads to
//! this endpoint, and in which zones the endpoint is.

use std::collections::BTreeSet;
use std::net::IpAddr;

use super::answers::ServerAnswers;
use super::on_this_host;
use crate::check::Family;
use crate::diagnosis::Cause;
use crate::diagnosis::context::Context;
use crate::diagnosis::finding::Finding;
use crate::network::Scope;
use crate::observation::{DnsEvidence, Observation, OwnName, OwnNames, ZoneRange};
use crate::wording;

/// The name leads to an address that lies in the VPC and is not this endpoint's.
pub fn finding(context: &Context<'_>, observation: &Observation, evidence: &DnsEvidence) -> Finding {
    let answers = ServerAnswers::of(context, observation, evidence);
    let own = evidence.own.as_ref();
    let others: Vec<IpAddr> = own.iter().flat_map(|own| &own.others).map(|other| other.ip).collect();
    let is_right = |ip: IpAddr| !others.contains(&ip);
    if let Some(pinned) = on_this_host::hosts_file(evidence, |ip| !is_right(ip)) {
        return pinned;
    }
    if let Some(stale) = on_this_host::stale_cache(context, evidence, &answers, is_right) {
        return stale;
    }
    if answers.vpc.knows_better(&others) {
        return Finding::new(Cause::ResolverBypassesVpc, answers.fact(&evidence.host)).about(&evidence.host);
    }
    let fact = format!(
        "{} leads to {}{}; the endpoint's own names have {}",
        evidence.host,
        wording::names(&others),
        wording::lasted(own),
        wording::own_addresses(own)
    );
    Finding::new(Cause::OtherEndpoint, fact).about(&evidence.host)
}

/// What is worth knowing of an endpoint whose name leads to it.
pub fn warnings(context: &Context<'_>, observation: &Observation, evidence: &DnsEvidence) -> Vec<Finding> {
    let mut findings = Vec::new();
    if let Some(own) = &evidence.own {
        findings.extend(own.names.iter().filter_map(|name| unresolved(own, name)));
        findings.extend(left_out(own, evidence));
    }
    findings.extend(empty_zones(evidence));
    findings.extend(disputed(evidence));
    findings.extend(not_local(context, observation, evidence));
    findings
}

/// A zonal name that is gone while others are there is a zone that the endpoint has left.
fn unresolved(own: &OwnNames, name: &OwnName) -> Option<Finding> {
    if name.addresses().next().is_some() {
        return None;
    }
    let said = wording::own_name_failure(name);
    match &name.zone {
        Some(zone) if name.is_conclusive() && own.resolve() => {
            let fact = format!("{zone}: {} {said}", name.name);
            Some(Finding::new(Cause::ZoneMissing, fact).about(zone))
        }
        Some(_) | None => {
            Some(Finding::new(Cause::OwnNamesUnresolved, format!("{} {said}", name.name)).about(&name.name))
        }
    }
}

/// Addresses of the endpoint that applications are not told.
fn left_out(own: &OwnNames, evidence: &DnsEvidence) -> Option<Finding> {
    let told = evidence.lookup.addresses();
    let is_wanted = |ip: &IpAddr| told.iter().any(|known| Family::of(*known) == Family::of(*ip));
    let mut missing: Vec<IpAddr> = own.addresses().filter(|ip| is_wanted(ip) && !told.contains(ip)).collect();
    missing.sort_unstable();
    missing.dedup();
    let first = missing.first()?;
    let named = wording::names(missing.iter().map(|ip| wording::located(*ip, own.zone(*ip))));
    let fact = format!("{} does not return {named}, which the endpoint's own names have", evidence.host);
    let subject = own.zone(*first).map_or_else(|| first.to_string(), str::to_owned);
    Some(Finding::new(Cause::ZoneMissing, fact).about(subject))
}

/// Zones that the configuration lists, and of which applications get no address.
fn empty_zones(evidence: &DnsEvidence) -> Vec<Finding> {
    let missing = |range: &ZoneRange| {
        let cidrs = wording::names(&range.cidrs);
        let fact = format!("{} returns no address of {} in {cidrs}", evidence.host, range.zone);
        Finding::new(Cause::ZoneMissing, fact).about(&range.zone)
    };
    evidence.empty_zones(evidence.lookup.addresses()).map(missing).collect()
}

/// Addresses that are in one zone by name and in another by range.
fn disputed(evidence: &DnsEvidence) -> Option<Finding> {
    let dispute = |ip: &IpAddr| match evidence.zones_of(*ip) {
        (Some(name), Some(range)) if name != range => {
            Some(format!("{ip} is in {name} by the endpoint's own name, and in {range} by zones"))
        }
        _ => None,
    };
    let disputes: Vec<String> = evidence.lookup.addresses().iter().filter_map(dispute).collect();
    let fact = format!("{}: {}", evidence.host, wording::names(&disputes));
    (!disputes.is_empty()).then(|| Finding::new(Cause::ZonesDisagree, fact).about(&evidence.host))
}

/// The endpoint has interfaces in other zones than the instance's. Names of zones mean the same
/// place only within an account, and an endpoint outside the VPC may be another's; ids mean the same
/// place everywhere.
fn not_local(context: &Context<'_>, observation: &Observation, evidence: &DnsEvidence) -> Option<Finding> {
    let instance = context.instance?;
    let (here, region) = (instance.zone.as_deref()?, instance.region.as_deref()?);
    let own = evidence.own.as_ref().filter(|own| own.resolve());
    let of_own = own.iter().flat_map(|own| own.addresses());
    let ips = of_own.chain(evidence.lookup.addresses().iter().copied());
    let by_address: Option<Vec<&str>> = ips.map(|ip| evidence.zone(ip)).collect();
    let configured = evidence.zones.iter().map(|range| range.zone.as_str());
    let zones: BTreeSet<&str> = by_address?.into_iter().chain(configured).collect();
    let has_id = |zone: &&str| evidence.zones.iter().any(|range| range.zone == **zone && range.id.is_some());
    let are_exact = instance.zone_id.is_some() && zones.iter().all(has_id);
    let is_in_vpc = observation.addresses.iter().all(|address| address.scope == Scope::Vpc);
    let are_comparable = are_exact || (is_in_vpc && zones.iter().all(|zone| zone.starts_with(region)));
    let is_conclusive = own.is_none_or(OwnNames::are_conclusive);
    if zones.is_empty() || zones.contains(here) || !are_comparable || !is_conclusive {
        return None;
    }
    let fact = format!("{}: endpoint in {}, instance in {here}", evidence.host, wording::names(&zones));
    Some(Finding::new(Cause::NoInterfaceInOwnZone, fact).about(&evidence.host))
}
