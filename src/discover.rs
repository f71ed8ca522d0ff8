//! Looks every name of a survey up, at a rate that leaves the resolver room for applications, and
//! connects to what is private.

use std::collections::BTreeMap;
use std::net::{IpAddr, SocketAddr};
use std::time::Duration;

use futures_util::StreamExt;
use futures_util::stream::FuturesUnordered;
use tokio::time::{Instant, sleep_until};

use crate::attempt::{Budget, FAMILIES};
use crate::observation::{Connection, DnsEvidence, EndpointProtocol, Lookup, LookupResult, QueryResult};
use crate::survey::{Agenda, Context, Ended, Question, Seen};

/// As many as the lookup process has threads.
const LOOKUPS: usize = 16;

/// As many as one endpoint makes side by side in its checks.
const CONNECTIONS: usize = 64;

/// Names in a row without any answer, beside the controls, for which a server may stay silent: then
/// no further one will get one.
const MOST_UNANSWERED: usize = 4;

/// With a dead first name server each lookup takes 5 s, and the names of a region take minutes.
const LONGEST: Duration = Duration::from_mins(5);

pub trait Looks {
    /// As applications look it up, and at the VPC's resolver.
    fn look_up(&self, host: &str) -> impl Future<Output = DnsEvidence>;

    fn connect(
        &self,
        host: &str,
        peer: SocketAddr,
        protocol: EndpointProtocol,
    ) -> impl Future<Output = Connection>;
}

/// How far it has come, for a person who watches.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
pub struct Progress {
    /// Those of the controls too.
    pub names: usize,
    pub looked_up: usize,
    pub connections: usize,
    pub connected: usize,
}

/// Ends early when `stop` does, with what is known by then.
pub async fn run(
    agenda: &Agenda,
    context: &Context,
    looks: &impl Looks,
    stop: impl Future<Output = ()>,
    mut progress: impl FnMut(Progress),
) -> Seen {
    let started = Instant::now();
    let mut seen = Seen::default();
    tokio::pin!(stop);
    let ended = tokio::select! {
        ended = look(agenda, context, looks, &mut seen, &mut progress) => ended,
        () = &mut stop => Ended::Interrupted,
        () = sleep_until(started + LONGEST) => Ended::OutOfTime,
    };
    Seen { ended, took: started.elapsed(), ..seen }
}

async fn look(
    agenda: &Agenda,
    context: &Context,
    looks: &impl Looks,
    seen: &mut Seen,
    progress: &mut impl FnMut(Progress),
) -> Ended {
    let hosts: Vec<String> = agenda
        .controls()
        .map(|(_, host)| host)
        .chain(agenda.questions().iter().map(|question| question.host.clone()))
        .collect();
    let most_unanswered = agenda.suffixes().len() + MOST_UNANSWERED;
    let mut at = Progress { names: hosts.len(), ..Progress::default() };
    if !look_up_all(hosts, most_unanswered, looks, &mut seen.names, |looked_up| {
        at.looked_up = looked_up;
        progress(at);
    })
    .await
    {
        return Ended::NoAnswers;
    }
    let targets = targets(agenda, context, &seen.names);
    at.connections = targets.len();
    connect_all(targets, looks, &mut seen.connections, |connected| {
        at.connected = connected;
        progress(at);
    })
    .await;
    Ended::Finished
}

/// Returns whether there was any use in going on to the end.
async fn look_up_all(
    hosts: Vec<String>,
    most_unanswered: usize,
    looks: &impl Looks,
    names: &mut BTreeMap<String, DnsEvidence>,
    mut progress: impl FnMut(usize),
) -> bool {
    let mut waiting = hosts.into_iter();
    let mut running = FuturesUnordered::new();
    // The lookup's and ours.
    let (budget, mut unanswered) = (Budget::new(2 * FAMILIES), 0);
    let mut next = waiting.next();
    loop {
        let goes_on = next.is_some() && unanswered < most_unanswered;
        if !goes_on && running.is_empty() {
            return next.is_none();
        }
        // Those under way may stay unanswered too.
        let has_room = goes_on && running.len() < LOOKUPS.min(most_unanswered - unanswered);
        tokio::select! {
            () = budget.turn(), if has_room => {
                let Some(host) = next.take() else { continue };
                next = waiting.next();
                running.push(async move { looks.look_up(&host).await });
            }
            Some(evidence) = running.next(), if !running.is_empty() => {
                budget.settle(&evidence);
                unanswered = if is_answered(&evidence) { 0 } else { unanswered + 1 };
                names.insert(evidence.host.clone(), evidence);
                progress(names.len());
            }
        }
    }
}

/// Whether any server said anything.
fn is_answered(evidence: &DnsEvidence) -> bool {
    let silent =
        |result: &QueryResult| matches!(result, QueryResult::Timeout | QueryResult::Unreachable { .. });
    is_of_the_library(&evidence.lookup) || evidence.queries.iter().any(|query| !silent(&query.result))
}

fn is_of_the_library(lookup: &Lookup) -> bool {
    match &lookup.result {
        LookupResult::Addresses { .. } | LookupResult::TooManyAddresses { .. } => true,
        LookupResult::Error(error) => error.code.is_answer(),
        LookupResult::TimedOut | LookupResult::Crashed { .. } | LookupResult::NotRun { .. } => false,
    }
}

/// What is private, in the order of the names.
fn targets<'a>(
    agenda: &'a Agenda,
    context: &Context,
    names: &BTreeMap<String, DnsEvidence>,
) -> Vec<(&'a Question, IpAddr)> {
    let mut targets = Vec::new();
    for (question, ips) in agenda.to_connect(names, context) {
        targets.extend(ips.into_iter().map(|ip| (question, ip)));
    }
    targets
}

async fn connect_all(
    targets: Vec<(&Question, IpAddr)>,
    looks: &impl Looks,
    connections: &mut BTreeMap<String, Vec<Connection>>,
    mut progress: impl FnMut(usize),
) {
    let connecting = targets.into_iter().map(|(question, ip)| async move {
        let peer = SocketAddr::new(ip, question.port);
        (question.host.clone(), looks.connect(&question.host, peer, question.protocol).await)
    });
    let mut connected = futures_util::stream::iter(connecting).buffer_unordered(CONNECTIONS);
    let mut count = 0;
    while let Some((host, connection)) = connected.next().await {
        connections.entry(host).or_default().push(connection);
        count += 1;
        progress(count);
    }
}

#[cfg(test)]
mod tests;
