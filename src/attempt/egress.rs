//! Both families of the egress check in one attempt: they share the names and the moment.

use std::collections::BTreeSet;
use std::net::IpAddr;
use std::time::Duration;

use futures_util::future::join_all;

use super::{Clock, Probes, Runner};
use crate::check::{CheckId, Family};
use crate::network::Scope;
use crate::observation::{
    EgressEvidence, EgressGap, EgressProbe, EgressRequest, EgressSettings, Evidence, NotAttempted, Phase,
    Phases, ProbeJudgment, ProbeResult, Protocol, TargetHost,
};
use crate::plan::Egress;
use crate::verdict;

/// For names, before the window opens: they are extra evidence and must not delay it much.
const NAME_LIMIT: Duration = Duration::from_millis(250);

/// For names of the operator's own targets: what is not found in this time is not probed, and the
/// check says so.
const OWN_NAME_LIMIT: Duration = Duration::from_secs(3);

/// A name behind a large balancer has dozens of addresses; two tell as much.
const ADDRESSES_OF_A_NAME: usize = 2;

/// A target of the operator's own is probed whole; of one that has more addresses, the check says so.
const ADDRESSES_OF_A_TARGET: usize = 8;

/// Names with the addresses that they lead to.
type Named = Vec<(String, IpAddr)>;

impl<P: Probes> Runner<P> {
    pub(super) async fn egress(&self, egress: &Egress) {
        let (mut named, unresolved) = self.names(egress).await;
        let mut gaps = self.names_of_targets(egress, &mut named).await;
        let (settings, inside) = without_own_ranges(egress, &mut gaps);
        let request = |family| EgressRequest {
            family,
            settings: settings.clone(),
            named: named.clone(),
            unresolved: unresolved.iter().chain(&inside).cloned().collect(),
            gaps: gaps.clone(),
            inside: egress.network.vpc.iter().chain(&egress.network.expected).copied().collect(),
        };
        let families = egress.settings.families.iter();
        join_all(families.map(|family| self.family(egress, request(*family)))).await;
    }

    async fn family(&self, egress: &Egress, request: EgressRequest) {
        let mut clock = Clock::start(egress.settings.window);
        let family = request.family;
        let evidence = clock.watch(self.probes.egress(request, self.known.subscribe())).await;
        let Some(mut evidence) = evidence else {
            let evidence = Evidence::NotAttempted(NotAttempted::NoResources);
            let judgment = verdict::without_resources();
            return self.publish(clock, CheckId::Egress(family), judgment, vec![], evidence).await;
        };
        let judgment = verdict::egress(&mut evidence, egress);
        let phases = round_trip(&evidence);
        self.publish(clock, CheckId::Egress(family), judgment, phases, Evidence::Egress(evidence)).await;
    }

    async fn names(&self, egress: &Egress) -> (Named, Vec<String>) {
        let hosts: BTreeSet<&String> = egress.settings.hosts.iter().collect();
        let found = join_all(hosts.iter().map(|host| self.probes.addresses(host, NAME_LIMIT))).await;
        let mut named = Vec::new();
        let mut unresolved = Vec::new();
        for (host, addresses) in hosts.into_iter().zip(found) {
            match addresses {
                Ok(addresses) => named.extend(few(host, &addresses, ADDRESSES_OF_A_NAME)),
                Err(why) => unresolved.push(why),
            }
        }
        (named, unresolved)
    }

    /// Targets of the operator's own are no extra evidence: what is not probed of them is a gap.
    async fn names_of_targets(&self, egress: &Egress, named: &mut Named) -> Vec<EgressGap> {
        let own = egress.settings.own_targets.iter().filter_map(|target| match &target.host {
            TargetHost::Name(name) => Some(name),
            TargetHost::Address(_) => None,
        });
        let hosts: BTreeSet<&String> = own.collect();
        let found =
            join_all(hosts.iter().map(|host| self.probes.applications_get(host, OWN_NAME_LIMIT))).await;
        let mut gaps = Vec::new();
        let local_addresses = self.probes.local_addresses();
        let is_probed = |ip: &IpAddr| {
            let family = Family::of(*ip);
            let has = |local: &Vec<IpAddr>| local.iter().any(|ip| Family::of(*ip) == family);
            egress.settings.families.contains(&family) && local_addresses.as_ref().is_none_or(has)
        };
        for (host, addresses) in hosts.into_iter().zip(found) {
            let is_public = |ip: &IpAddr| egress.network.scope(*ip) == Scope::Public;
            let public = addresses.map(|ips| ips.into_iter().filter(is_public).collect::<Vec<IpAddr>>());
            let why = match public {
                Ok(public) if public.is_empty() => "it has no public address".to_owned(),
                Ok(public) if !public.iter().any(is_probed) => {
                    "it has no public address of a family that is probed".to_owned()
                }
                Ok(public) => {
                    named.retain(|(known, _)| known != host);
                    let probed = few(host, &public, ADDRESSES_OF_A_TARGET);
                    let (all, few) = (public.len(), probed.len());
                    named.extend(probed);
                    if few == all {
                        continue;
                    }
                    format!("{few} of its {all} public addresses are probed, and the others are not")
                }
                Err(why) => why,
            };
            gaps.push(EgressGap::TargetNotProbed { host: host.clone(), why });
        }
        gaps
    }
}

/// At most so many of each family.
fn few(host: &str, addresses: &[IpAddr], most: usize) -> Named {
    let of_family = |family| addresses.iter().filter(move |ip| Family::of(**ip) == family);
    let few = Family::BOTH.into_iter().flat_map(|family| of_family(family).take(most));
    few.map(|ip| (host.to_owned(), *ip)).collect()
}

/// Addresses in the VPC's own ranges are taken out, each with a sentence that says so.
fn without_own_ranges(egress: &Egress, gaps: &mut Vec<EgressGap>) -> (EgressSettings, Vec<String>) {
    let mut settings = egress.settings.clone();
    let is_inside = |ip: &IpAddr| egress.network.scope(*ip).is_inside();
    let inside: BTreeSet<IpAddr> = settings.literals().filter(is_inside).collect();
    settings.addresses.retain(|ip| !inside.contains(ip));
    settings.time_servers.retain(|ip| !inside.contains(ip));
    settings.own_targets.retain(|target| match &target.host {
        TargetHost::Address(ip) if inside.contains(ip) => {
            let why = "it lies inside the VPC".to_owned();
            gaps.push(EgressGap::TargetNotProbed { host: ip.to_string(), why });
            false
        }
        TargetHost::Address(_) | TargetHost::Name(_) => true,
    });
    let said = inside.iter().map(|ip| format!("{ip} is not probed: it lies inside the VPC")).collect();
    (settings, said)
}

/// Only a leak has one.
fn round_trip(evidence: &EgressEvidence) -> Phases {
    let leaked =
        |probe: &&EgressProbe| probe.protocol == Protocol::Icmp && probe.judged == Some(ProbeJudgment::Leak);
    let replies = evidence.probes.iter().filter(leaked).filter_map(|probe| match probe.result {
        ProbeResult::Reply { after, .. } => Some(after),
        ProbeResult::NoReply | ProbeResult::Rejected { .. } | ProbeResult::NotSent(_) => None,
    });
    replies.min().map(|after| (Phase::Rtt, after)).into_iter().collect()
}
