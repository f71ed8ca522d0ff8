//! Probes that must succeed, from each source by itself, so that its silence elsewhere counts.

use std::collections::BTreeMap;
use std::net::{IpAddr, SocketAddr};

use futures_util::future::join_all;
use tokio::sync::watch;
use tokio::task::JoinSet;
use tokio::time::{Instant, timeout_at};

use super::{tcp, udp};
use crate::check::Family;
use crate::observation::{Control, ControlKind, ControlTargets, EgressSource, ProbeResult};

/// One is enough to answer; a few are asked so that one dead interface does not decide.
const MOST: usize = 8;
const MOST_REDUCED: usize = 2;

/// What should answer, off this host.
#[derive(Clone, Debug)]
pub struct Controls {
    /// Addresses of endpoints, as soon as they are resolved.
    pub endpoints: watch::Receiver<ControlTargets>,
    pub resolvers: Vec<SocketAddr>,
}

pub async fn from_source(source: &EgressSource, controls: Controls, deadline: Instant) -> Vec<Control> {
    let most = if source.reduced { MOST_REDUCED } else { MOST };
    let resolvers = of_family(controls.resolvers, source.ip, most);
    let (endpoint, resolver) = tokio::join!(
        endpoint(source.ip, controls.endpoints, most, deadline),
        resolver(source.ip, resolvers, deadline)
    );
    [endpoint, resolver].into_iter().flatten().collect()
}

/// The strong control: something with our own kind of traffic answers. `None` while no address
/// is known. Those that become known later are asked as well, until one answers or the window
/// closes: the first may be dead.
async fn endpoint(
    source: IpAddr,
    mut known: watch::Receiver<ControlTargets>,
    most: usize,
    deadline: Instant,
) -> Option<Control> {
    let mut asking = JoinSet::new();
    let mut results: BTreeMap<SocketAddr, Option<ProbeResult>> = BTreeMap::new();
    let preferred = loop {
        let addresses = known.borrow_and_update().values().flatten().copied().collect();
        let preferred = of_family(addresses, source, most);
        for peer in &preferred {
            if results.len() < most && !results.contains_key(peer) {
                results.insert(*peer, None);
                let peer = *peer;
                asking.spawn(async move { (peer, tcp::connect(source, peer, deadline).await) });
            }
        }
        let answered = results.values().any(|result| matches!(result, Some(ProbeResult::Reply { .. })));
        if asking.is_empty() && answered {
            break preferred;
        }
        tokio::select! {
            Some(Ok((peer, outcome))) = asking.join_next() => { results.insert(peer, Some(outcome)); }
            changed = timeout_at(deadline, known.changed()) => if !matches!(changed, Ok(Ok(()))) { break preferred },
        }
    };
    while let Some(Ok((peer, outcome))) = asking.join_next().await {
        results.insert(peer, Some(outcome));
    }
    let results: Vec<(SocketAddr, ProbeResult)> =
        preferred.into_iter().filter_map(|peer| Some((peer, results.remove(&peer)??))).collect();
    first_to_answer(ControlKind::Endpoint, source, &results)
}

async fn resolver(source: IpAddr, resolvers: Vec<SocketAddr>, deadline: Instant) -> Option<Control> {
    let mut asked = Vec::new();
    for peer in resolvers {
        asked.push(async move { (peer, udp::ask(source, peer, deadline).await.1) });
    }
    first_to_answer(ControlKind::Resolver, source, &join_all(asked).await)
}

/// In the order in which they were preferred, so that each attempt names the same one.
fn first_to_answer(
    control: ControlKind,
    source: IpAddr,
    results: &[(SocketAddr, ProbeResult)],
) -> Option<Control> {
    let answered = results.iter().find(|(_, result)| matches!(result, ProbeResult::Reply { .. }));
    let passed = answered.is_some();
    let (peer, _) = answered.or_else(|| results.first())?;
    let detail = match (control, passed) {
        (ControlKind::Endpoint, true) => format!("{peer} accepted a connection"),
        (ControlKind::Endpoint, false) => format!("{peer} did not accept a connection"),
        (ControlKind::Loopback | ControlKind::Resolver, true) => format!("{peer} answered"),
        (ControlKind::Loopback | ControlKind::Resolver, false) => format!("{peer} did not answer"),
    };
    Some(Control { control, source: Some(source), target: Some(*peer), passed, detail })
}

/// Only the family under test: the other one's answer says nothing about this one's path.
fn of_family(mut addresses: Vec<SocketAddr>, source: IpAddr, most: usize) -> Vec<SocketAddr> {
    addresses.retain(|address| Family::of(address.ip()) == Family::of(source));
    addresses.truncate(most);
    addresses
}

#[cfg(test)]
mod tests {
    use std::net::Ipv4Addr;
    use std::time::Duration;

    use super::*;

    const LOOPBACK: IpAddr = IpAddr::V4(Ipv4Addr::LOCALHOST);

    #[tokio::test]
    async fn an_endpoint_that_is_dead_and_known_first_is_not_the_only_one_asked() {
        let dead = SocketAddr::from(([127, 0, 0, 1], 1));
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
        let alive = listener.local_addr().unwrap();
        let known = watch::Sender::new(BTreeMap::from([("monitoring".into(), vec![dead])]));
        let deadline = Instant::now() + Duration::from_secs(5);
        let mut asked = std::pin::pin!(endpoint(LOOPBACK, known.subscribe(), MOST, deadline));
        // Begun, with only the dead one to ask.
        tokio::select! {
            biased;
            control = &mut asked => panic!("{control:?} came too early"),
            () = std::future::ready(()) => {}
        }
        known.send_modify(|known| drop(known.insert("ssm".into(), vec![alive])));
        let control = asked.await.unwrap();
        assert_eq!((control.source, control.target, control.passed), (Some(LOOPBACK), Some(alive), true));
    }

    #[tokio::test]
    async fn where_none_answers_the_preferred_one_is_named() {
        let dead = SocketAddr::from(([127, 0, 0, 1], 1));
        let known = watch::Sender::new(BTreeMap::from([("monitoring".into(), vec![dead])]));
        let deadline = Instant::now() + Duration::from_millis(50);
        let control = endpoint(LOOPBACK, known.subscribe(), MOST, deadline).await.unwrap();
        assert_eq!((control.target, control.passed), (Some(dead), false));
    }

    #[tokio::test]
    async fn another_family_is_no_control() {
        let listener = tokio::net::TcpListener::bind("[::1]:0").await.unwrap();
        let alive = listener.local_addr().unwrap();
        let known = watch::Sender::new(BTreeMap::from([("monitoring".into(), vec![alive])]));
        let deadline = Instant::now() + Duration::from_millis(50);
        assert_eq!(endpoint(LOOPBACK, known.subscribe(), MOST, deadline).await, None);
    }
}
