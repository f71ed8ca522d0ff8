//! The negative control of a gateway endpoint, beside its connections.

use std::net::{IpAddr, SocketAddr};

use futures_util::future::join_all;

use super::{Probes, Runner};
use crate::check::Family;
use crate::network::Scope;
use crate::observation::{Address, EndpointProtocol, GatewayControl};
use crate::plan::Endpoint;

/// One may be down.
const MOST_ADDRESSES: usize = 2;

/// Of the step's time, one part is for the name and the rest for the connection, which must be long
/// enough for a SYN that is lost and sent again.
const PARTS: u32 = 3;

impl<P: Probes> Runner<P> {
    /// Side by side with the connections to the endpoint: what is open at one moment may be closed
    /// at the next.
    pub(super) async fn control(
        &self,
        endpoint: &Endpoint,
        resolved: &[Address],
        missing_families: &[Family],
    ) -> Option<GatewayControl> {
        if !endpoint.gateway || resolved.is_empty() {
            return None;
        }
        let host = endpoint.control_host.clone();
        let Some(name) = &host else { return Some(GatewayControl::default()) };
        let part = endpoint.timing.timeout / PARTS;
        self.budget.count_name();
        let ips = match self.probes.addresses(name, part).await {
            Ok(ips) => ips,
            Err(error) => {
                return Some(GatewayControl { host, error: Some(error), ..GatewayControl::default() });
            }
        };
        let is_wanted = |family: &Family| {
            !missing_families.contains(family) && resolved.iter().any(|a| Family::of(a.ip) == *family)
        };
        let families: Vec<Family> = Family::BOTH.into_iter().filter(is_wanted).collect();
        let chosen = choose(&ips, &families, endpoint);
        if chosen.is_empty() {
            let error = Some(format!("{name} has no public address of the endpoint's IP version"));
            return Some(GatewayControl { host, error, ..GatewayControl::default() });
        }
        let connect = |ip: &IpAddr| {
            let peer = SocketAddr::new(*ip, endpoint.port);
            self.probes.connect(name, peer, EndpointProtocol::Tcp, part * (PARTS - 1))
        };
        let connections = join_all(chosen.iter().map(connect).collect::<Vec<_>>()).await;
        Some(GatewayControl { host, connections, ..GatewayControl::default() })
    }
}

/// A few public addresses of each family.
fn choose(ips: &[IpAddr], families: &[Family], endpoint: &Endpoint) -> Vec<IpAddr> {
    let mut chosen = Vec::new();
    for family in families {
        let is_usable =
            |ip: &&IpAddr| Family::of(**ip) == *family && endpoint.network.scope(**ip) == Scope::Public;
        let mut of_family: Vec<IpAddr> = ips.iter().filter(is_usable).copied().collect();
        of_family.sort_unstable();
        of_family.dedup();
        chosen.extend(of_family.into_iter().take(MOST_ADDRESSES));
    }
    chosen
}
