//! Both families of the egress check in one attempt: they share the names and the moment.

use std::net::IpAddr;
use std::time::Duration;

use futures_util::future::join_all;

use super::{Aim, Attempts, Clock, Probes};
use crate::check::{CheckId, Family};
use crate::observation::{EgressSeen, Evidence, Heard, Phase, Phases, Probe};
use crate::plan::Egress;
use crate::verdict;

/// For names, before the window opens: they are extra evidence and must not delay it much.
const NAME_LIMIT: Duration = Duration::from_millis(250);

/// A name behind a large balancer has dozens of addresses; two tell as much.
const ADDRESSES_OF_A_NAME: usize = 2;

impl<P: Probes> Attempts<P> {
    pub(super) async fn egress(&self, egress: &Egress) {
        let own = self.probes.own_addresses();
        let (named, unresolved) = self.names(egress).await;
        let aim =
            |family| Aim { family, own: own.clone(), named: named.clone(), unresolved: unresolved.clone() };
        tokio::join!(self.family(egress, aim(Family::Ipv4)), self.family(egress, aim(Family::Ipv6)));
    }

    async fn family(&self, egress: &Egress, aim: Aim) {
        let clock = Clock::start();
        let family = aim.family;
        let seen = self.probes.egress(egress, aim, self.known.subscribe()).await;
        let judgement = verdict::egress(&seen, egress);
        let phases = round_trip(&seen);
        self.tell(clock, CheckId::Egress(family), judgement, phases, Evidence::Egress(seen)).await;
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
fn round_trip(seen: &EgressSeen) -> Phases {
    let replies =
        seen.shots.iter().filter(|shot| shot.probe == Probe::Icmp).filter_map(|shot| match shot.heard {
            Heard::Answer { after, .. } => Some(after),
            Heard::Silence | Heard::Rejection { .. } | Heard::Unsent(_) => None,
        });
    replies.min().map(|after| (Phase::Rtt, after)).into_iter().collect()
}
