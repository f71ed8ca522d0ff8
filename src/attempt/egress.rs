//! Both families of the egress check in one attempt: they share the names and the moment.

use std::net::IpAddr;
use std::time::Duration;

use futures_util::future::join_all;

use super::{Clock, EgressTargets, Probes, Runner};
use crate::check::{CheckId, Family};
use crate::observation::{EgressEvidence, Evidence, Phase, Phases, ProbeResult, Protocol};
use crate::plan::Egress;
use crate::verdict;

/// For names, before the window opens: they are extra evidence and must not delay it much.
const NAME_LIMIT: Duration = Duration::from_millis(250);

/// A name behind a large balancer has dozens of addresses; two tell as much.
const ADDRESSES_OF_A_NAME: usize = 2;

impl<P: Probes> Runner<P> {
    pub(super) async fn egress(&self, egress: &Egress) {
        let local_addresses = self.probes.local_addresses();
        let (named, unresolved) = self.names(egress).await;
        let targets = |family| EgressTargets {
            family,
            local_addresses: local_addresses.clone(),
            named: named.clone(),
            unresolved: unresolved.clone(),
        };
        tokio::join!(self.family(egress, targets(Family::Ipv4)), self.family(egress, targets(Family::Ipv6)));
    }

    async fn family(&self, egress: &Egress, targets: EgressTargets) {
        let clock = Clock::start();
        let family = targets.family;
        let evidence = self.probes.egress(egress, targets, self.known.subscribe()).await;
        let judgment = verdict::egress(&evidence, egress);
        let phases = round_trip(&evidence);
        self.publish(clock, CheckId::Egress(family), judgment, phases, Evidence::Egress(evidence)).await;
    }

    async fn names(&self, egress: &Egress) -> (Vec<(String, IpAddr)>, Vec<String>) {
        let mut asked = Vec::new();
        for host in &egress.hosts {
            asked.push(self.probes.addresses(host, NAME_LIMIT));
        }
        let found = egress.hosts.iter().zip(join_all(asked).await);
        let mut named = Vec::new();
        let mut unresolved = Vec::new();
        for (host, addresses) in found {
            match addresses {
                Ok(addresses) => {
                    for family in Family::BOTH {
                        let of_family = addresses.iter().filter(|ip| Family::of(**ip) == family);
                        named.extend(of_family.take(ADDRESSES_OF_A_NAME).map(|ip| (host.clone(), *ip)));
                    }
                }
                Err(why) => unresolved.push(why),
            }
        }
        (named, unresolved)
    }
}

/// Only a leak has one.
fn round_trip(evidence: &EgressEvidence) -> Phases {
    let replies = evidence.probes.iter().filter(|probe| probe.protocol == Protocol::Icmp).filter_map(
        |probe| match probe.result {
            ProbeResult::Reply { after, .. } => Some(after),
            ProbeResult::NoReply | ProbeResult::Rejected { .. } | ProbeResult::NotSent(_) => None,
        },
    );
    replies.min().map(|after| (Phase::Rtt, after)).into_iter().collect()
}
