//! What the page shows of an endpoint: its steps, and its addresses in their zones.

use std::collections::{BTreeMap, BTreeSet};
use std::net::IpAddr;

use crate::check::{CheckId, Step};
use crate::observation::{DnsEvidence, Evidence, Outcome, OwnNames, Status};
use crate::report::{CheckReport, Report};

pub struct View<'a> {
    /// Its place on the page, for links to it.
    pub number: usize,
    pub name: &'a str,
    pub steps: Vec<&'a CheckReport>,
    pub addresses: BTreeMap<IpAddr, AddressView<'a>>,
    names: Option<&'a DnsEvidence>,
}

#[derive(Clone, Copy)]
pub struct AddressView<'a> {
    pub zone: Option<&'a str>,
    /// The worst of the steps that it was taken to.
    pub outcome: Outcome,
}

pub fn views(report: &Report) -> Vec<View<'_>> {
    let mut views: Vec<View<'_>> = Vec::new();
    // A report has the steps of an endpoint together.
    for check in &report.checks {
        let CheckId::Endpoint(name, _) = &check.id else { continue };
        if views.last().is_none_or(|view| view.name != name) {
            let (steps, addresses) = (Vec::new(), BTreeMap::new());
            views.push(View { number: views.len() + 1, name, steps, addresses, names: None });
        }
        if let Some(view) = views.last_mut() {
            view.add(check);
        }
    }
    views
}

impl<'a> View<'a> {
    fn add(&mut self, check: &'a CheckReport) {
        self.steps.push(check);
        let Some(last) = &check.last else { return };
        if let Evidence::Dns(evidence) = &last.evidence {
            self.names = Some(evidence);
        }
        for address in &last.addresses {
            let (zone, outcome) = (address.zone.as_deref(), address.outcome);
            let known = self.addresses.entry(address.ip).or_insert(AddressView { zone, outcome });
            known.outcome = Outcome::worst([known.outcome, outcome]).unwrap_or(outcome);
            known.zone = known.zone.or(zone);
        }
    }

    pub fn state(&self) -> Status {
        let weight = |status: &Status| match status {
            Status::Skipped => 0,
            Status::Pass => 1,
            Status::Inconclusive => 2,
            Status::Fail => 3,
        };
        self.steps.iter().map(|check| check.state()).max_by_key(weight).unwrap_or(Status::Inconclusive)
    }

    pub fn has_run(&self) -> bool {
        self.steps.iter().any(|check| check.last.is_some())
    }

    pub fn is_broken(&self) -> bool {
        matches!(self.state(), Status::Fail | Status::Inconclusive)
    }

    pub fn host(&self) -> Option<&'a str> {
        self.steps.iter().find_map(|check| match &check.last.as_ref()?.evidence {
            Evidence::Dns(evidence) => Some(evidence.host.as_str()),
            Evidence::Connect { host, .. } | Evidence::Call { host, .. } => Some(host),
            Evidence::NotAttempted(_)
            | Evidence::Instance(_)
            | Evidence::Credentials(_)
            | Evidence::Egress(_) => None,
        })
    }

    pub fn connect(&self) -> Option<&'a CheckReport> {
        self.steps.iter().copied().find(|check| matches!(check.id, CheckId::Endpoint(_, Step::Connect)))
    }

    /// Zones of the endpoint's own names, and those that the configuration lists. Not those of an
    /// address that is in another zone by the one than by the other.
    pub fn own_zones(&self) -> BTreeSet<&'a str> {
        let Some(names) = self.names else { return BTreeSet::new() };
        let of_names = names.own.iter().flat_map(OwnNames::zonal).map(|(zone, _)| zone);
        let of_ranges = names.zones.iter().map(|range| range.zone.as_str());
        let mut zones: BTreeSet<&str> = of_names.chain(of_ranges).collect();
        for ip in self.addresses.keys() {
            if let (Some(by_name), Some(by_range)) = names.zones_of(*ip)
                && by_name != by_range
            {
                zones.retain(|zone| *zone != by_name && *zone != by_range);
            }
        }
        zones
    }
}
