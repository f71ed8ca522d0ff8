//! Since when an endpoint's name leads to addresses that are not the endpoint's.

use std::collections::BTreeMap;
use std::net::IpAddr;
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use tokio::time::Instant;

use crate::check::EndpointName;
use crate::observation::OtherAddress;
use crate::plan::Endpoint;

/// What was not seen for longer is forgotten, with it endpoints that are gone. Longer than the
/// longest interval of an endpoint.
const KEPT: Duration = Duration::from_hours(25);

#[derive(Debug, Default)]
pub struct Others(Mutex<BTreeMap<EndpointName, Seen>>);

#[derive(Debug)]
struct Seen {
    /// Of another endpoint by the same name nothing is known.
    endpoint: Endpoint,
    last: Instant,
    since: BTreeMap<IpAddr, Instant>,
}

impl Others {
    /// Takes in what a run saw, and says for how long each of these addresses has been seen in
    /// every run.
    pub fn note(&self, endpoint: &Endpoint, ips: &[IpAddr], now: Instant) -> Vec<OtherAddress> {
        let mut all = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        all.retain(|_, seen| now.saturating_duration_since(seen.last) < KEPT);
        let before = all.remove(&endpoint.name).filter(|seen| seen.endpoint == *endpoint);
        if ips.is_empty() {
            return Vec::new();
        }
        let first = |ip: &IpAddr| before.as_ref().and_then(|seen| seen.since.get(ip)).copied().unwrap_or(now);
        let since: BTreeMap<IpAddr, Instant> = ips.iter().map(|ip| (*ip, first(ip))).collect();
        let others = since.iter().map(|(ip, since)| OtherAddress { ip: *ip, seen_for: now - *since });
        let others = others.collect();
        all.insert(endpoint.name.clone(), Seen { endpoint: endpoint.clone(), last: now, since });
        others
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::Config;
    use crate::plan::{Item, Plan};

    #[tokio::test(start_paused = true)]
    async fn what_was_not_seen_for_long_is_forgotten() {
        let plan = Plan::new(&Config::default(), None);
        let endpoint = plan.items.iter().find_map(|item| match item {
            Item::Endpoint(endpoint) => Some(endpoint),
            _ => None,
        });
        let (endpoint, ip, first) = (endpoint.unwrap(), "10.0.1.54".parse().unwrap(), Instant::now());
        let almost = KEPT - Duration::from_millis(1);
        for (pause, seen_for) in [(almost, almost), (KEPT, Duration::ZERO)] {
            let others = Others::default();
            others.note(endpoint, &[ip], first);
            assert_eq!(others.note(endpoint, &[ip], first + pause), [OtherAddress { ip, seen_for }]);
        }
    }
}
