//! Which endpoints a subnet has, by its own DNS: what to ask, and what the answers show. Pure: the
//! caller looks names up and connects.
//!
//! An answer shows what a name resolves to, never that an endpoint is missing: one without private
//! DNS, and a gateway, leave the names public.

mod agenda;
mod configuration;
mod find;
mod json;
mod text;

use std::collections::BTreeMap;
use std::net::IpAddr;
use std::time::Duration;

pub use agenda::{Agenda, Question};
pub use configuration::render as toml;
use find::Finding;
pub use json::render as json;
pub use text::{incomplete, render as text};

use crate::check::Family;
use crate::network::Network;
use crate::observation::{Connection, DnsEvidence, FileProblem, Instance, NameState};

/// Where the survey was made, and what addresses are judged by.
#[derive(Clone, Debug, Default)]
pub struct Context {
    pub region: String,
    pub instance: Instance,
    /// Why instance metadata said nothing.
    pub without_metadata: Option<String>,
    pub network: Network,
    pub missing_families: Vec<Family>,
    /// Files that this user cannot read, and that decide what others get.
    pub unreadable: Vec<FileProblem>,
}

/// How the looking ended.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
pub enum Ended {
    #[default]
    Finished,
    Interrupted,
    /// Many names in a row, and no name server answered for any of them.
    NoAnswers,
    OutOfTime,
}

/// What was seen of each name, by host.
#[derive(Debug, Default)]
pub struct Seen {
    pub names: BTreeMap<String, DnsEvidence>,
    pub connections: BTreeMap<String, Vec<Connection>>,
    pub ended: Ended,
    pub took: Duration,
}

/// All that is shown.
#[derive(Debug)]
pub struct Survey {
    pub context: Context,
    pub agenda: Agenda,
    pub ended: Ended,
    pub took: Duration,
    zones: Vec<Zone>,
    findings: BTreeMap<String, Finding>,
}

/// A suffix below which names were asked, and what a name gets there that cannot exist.
#[derive(Clone, Debug, Eq, PartialEq)]
struct Zone {
    suffix: String,
    /// `None` where it could not be looked up.
    answer: Option<Vec<IpAddr>>,
}

impl Survey {
    pub fn new(context: Context, agenda: Agenda, mut seen: Seen) -> Self {
        let zones = find::zones(&agenda, &seen.names);
        let findings = agenda
            .questions()
            .iter()
            .map(|question| {
                let evidence = seen.names.remove(&question.host);
                let connections = seen.connections.remove(&question.host).unwrap_or_default();
                let finding = find::finding(question, evidence, connections, &zones, &context);
                (question.host.clone(), finding)
            })
            .collect();
        Self { context, agenda, ended: seen.ended, took: seen.took, zones, findings }
    }

    /// Whether every name was looked up, by applications' way and at the VPC's resolver.
    pub fn is_complete(&self) -> bool {
        self.ended == Ended::Finished
            && self.context.unreadable.is_empty()
            && self.zones.iter().all(|zone| zone.answer.is_some())
            && self.findings.values().all(Finding::is_conclusive)
    }

    /// How many names there are, and how many of them were looked up.
    fn counts(&self) -> (usize, usize) {
        let is_known =
            |finding: &&Finding| !matches!(finding.state, NameState::Failed | NameState::NotLookedAt);
        (self.findings.len(), self.findings.values().filter(is_known).count())
    }

    /// How many services had a name looked up.
    fn services_looked_at(&self) -> usize {
        self.agenda.services.iter().filter(|service| self.is_asked(service)).count()
    }

    /// Whether one of its names was looked up, or tried to be.
    fn is_asked(&self, service: &agenda::Service) -> bool {
        let is_asked = |finding: &Finding| finding.state != NameState::NotLookedAt;
        service.names.iter().any(|name| self.finding(&name.host).is_some_and(is_asked))
    }

    fn finding(&self, host: &str) -> Option<&Finding> {
        self.findings.get(host)
    }

    /// The best that any of its names shows.
    fn state(&self, service: &agenda::Service) -> NameState {
        let states = service.names.iter().filter_map(|name| self.finding(&name.host));
        states.map(|finding| finding.state).min().unwrap_or(NameState::NotLookedAt)
    }
}

#[cfg(test)]
mod tests;
