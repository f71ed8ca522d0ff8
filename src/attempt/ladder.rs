//! An endpoint's ladder: names, connections, calls; addresses side by side. What did not pass a
//! rung is not taken to the next.

use std::net::SocketAddr;

use futures_util::future::join_all;

use super::{Attempts, Clock, Probes, Signed, Unsigned};
use crate::check::{CheckId, Family, Rung};
use crate::network::Scope;
use crate::observation::{
    Address, Answer, CallSeen, Connection, Evidence, Outcome, Phase, Phases, Reason, Resolver,
};
use crate::plan::{Call, Ladder};
use crate::verdict::{self, Judgement};

/// Connections of one endpoint at a time. An endpoint has an address a zone and family; a name
/// with more than this is looked at in part, and what was not tried is inconclusive.
const MOST_CONNECTIONS: usize = 64;

impl<P: Probes> Attempts<P> {
    pub(super) async fn ladder(&self, ladder: &Ladder, with_call: bool) {
        let Some(host) = &ladder.host else {
            return self.without_region(ladder, with_call).await;
        };
        let own = self.probes.own_addresses();
        let (families, lacking): (Vec<Family>, Vec<Family>) =
            Family::BOTH.into_iter().partition(|family| own.iter().any(|ip| Family::of(*ip) == *family));
        let resolved = self.resolve(ladder, host, &families, &lacking).await;
        let connected = self.connect(ladder, host, &resolved, &lacking).await;
        if let (Some(call), true) = (&ladder.call, with_call) {
            self.call(ladder, host, call, connected).await;
        }
    }

    async fn resolve(
        &self,
        ladder: &Ladder,
        host: &str,
        families: &[Family],
        lacking: &[Family],
    ) -> Vec<Address> {
        let clock = Clock::start();
        let seen = self.probes.resolve(host, families, ladder.pace.timeout).await;
        let judgement = verdict::dns(&seen, lacking, ladder);
        let resolved = judgement.addresses.clone();
        self.remember(ladder, &resolved);
        let phases = slowest(seen.answers.iter().filter(|answer| answer.resolver == Resolver::System));
        self.tell(clock, id(ladder, Rung::Dns), judgement, phases, Evidence::Dns(seen)).await;
        resolved
    }

    /// Tells the egress check what should answer it.
    fn remember(&self, ladder: &Ladder, resolved: &[Address]) {
        let inside = resolved.iter().filter(|address| address.scope.is_inside() && !ladder.gateway);
        let peers: Vec<SocketAddr> = inside.map(|address| SocketAddr::new(address.ip, ladder.port)).collect();
        self.known.send_if_modified(|known| {
            known.insert(ladder.name.clone(), peers.clone()).as_ref() != Some(&peers)
        });
    }

    async fn connect(
        &self,
        ladder: &Ladder,
        host: &str,
        resolved: &[Address],
        lacking: &[Family],
    ) -> Vec<Address> {
        let clock = Clock::start();
        let mut connections = Vec::new();
        for address in resolved {
            let tried = address.scope != Scope::Special && !lacking.contains(&Family::of(address.ip));
            if tried && connections.len() < MOST_CONNECTIONS {
                let peer = SocketAddr::new(address.ip, ladder.port);
                connections.push(self.probes.connect(host, peer, ladder.pace.timeout));
            }
        }
        let connections: Vec<Connection> = join_all(connections).await;
        let judgement = verdict::connect(resolved, &connections, lacking);
        let connected = judgement.addresses.clone();
        let evidence = if resolved.is_empty() {
            Evidence::NotAttempted { because: "there is no address to connect to".to_owned() }
        } else {
            Evidence::Connect { host: host.to_owned(), port: ladder.port, connections }
        };
        self.tell(clock, id(ladder, Rung::Connect), judgement, vec![], evidence).await;
        connected
    }

    async fn call(&self, ladder: &Ladder, host: &str, call: &Call, connected: Vec<Address>) {
        let clock = Clock::start();
        let verified: Vec<&Address> =
            connected.iter().filter(|address| address.outcome == Outcome::Pass).collect();
        if verified.is_empty() {
            let because = format!("no address passed {}", id(ladder, Rung::Connect));
            return self.not_called(clock, ladder, connected, because).await;
        }
        let Some(region) = call.region.clone() else {
            let because = "no region is known to sign for".to_owned();
            return self.not_known(clock, ladder, connected, because).await;
        };
        let mut calls = Vec::new();
        for address in verified {
            let peer = SocketAddr::new(address.ip, ladder.port);
            let (host, region) = (host.to_owned(), region.clone());
            let signed = Signed { host, peer, region, namespace: call.namespace.clone() };
            calls.push(self.probes.call(signed, ladder.pace.timeout));
        }
        let calls: Result<Vec<CallSeen>, Unsigned> = join_all(calls).await.into_iter().collect();
        let calls = match calls {
            Ok(calls) => calls,
            Err(Unsigned::NoCredentials) => {
                let because = "there are no credentials to sign with".to_owned();
                return self.not_called(clock, ladder, connected, because).await;
            }
            Err(Unsigned::StillSought) => {
                let because = "credentials were still being looked for when the time was over".to_owned();
                return self.not_known(clock, ladder, connected, because).await;
            }
        };
        let judgement = verdict::call(&connected, &calls);
        let evidence = Evidence::Call { host: host.to_owned(), calls, proof: call.proof };
        self.tell(clock, id(ladder, Rung::Call), judgement, vec![], evidence).await;
    }

    async fn not_called(&self, clock: Clock, ladder: &Ladder, connected: Vec<Address>, because: String) {
        let outcome = Outcome::Skipped(Reason::PrerequisiteFailed);
        self.no_call(clock, ladder, connected, outcome, because).await;
    }

    async fn not_known(&self, clock: Clock, ladder: &Ladder, connected: Vec<Address>, because: String) {
        let outcome = Outcome::Inconclusive(Reason::PrerequisiteFailed);
        self.no_call(clock, ladder, connected, outcome, because).await;
    }

    async fn no_call(
        &self,
        clock: Clock,
        ladder: &Ladder,
        connected: Vec<Address>,
        outcome: Outcome,
        because: String,
    ) {
        let addresses =
            connected.into_iter().map(|address| Address { outcome, phases: vec![], ..address }).collect();
        let judgement = Judgement { outcome, addresses };
        self.tell(clock, id(ladder, Rung::Call), judgement, vec![], Evidence::NotAttempted { because }).await;
    }

    async fn without_region(&self, ladder: &Ladder, with_call: bool) {
        let because = format!(
            "the region of {} is not known: set `region` in linkproof.toml, or make instance metadata answer",
            ladder.name
        );
        let dns = Outcome::Inconclusive(Reason::PrerequisiteFailed);
        let above = Outcome::Skipped(Reason::PrerequisiteFailed);
        let call = (ladder.call.is_some() && with_call).then_some((Rung::Call, above));
        for (rung, outcome) in
            [Some((Rung::Dns, dns)), Some((Rung::Connect, above)), call].into_iter().flatten()
        {
            let judgement = Judgement { outcome, addresses: vec![] };
            let evidence = Evidence::NotAttempted { because: because.clone() };
            self.tell(Clock::start(), id(ladder, rung), judgement, vec![], evidence).await;
        }
    }
}

fn id(ladder: &Ladder, rung: Rung) -> CheckId {
    CheckId::Endpoint(ladder.name.clone(), rung)
}

fn slowest<'a>(answers: impl Iterator<Item = &'a Answer>) -> Phases {
    answers.map(|answer| (Phase::Query, answer.took)).max_by_key(|(_, took)| *took).into_iter().collect()
}
