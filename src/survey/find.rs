//! What the answers for one name show.

use std::collections::{BTreeMap, BTreeSet};
use std::net::IpAddr;
use std::time::Duration;

use super::agenda::{Agenda, Question};
use super::{Context, Zone};
use crate::check::Family;
use crate::network::{Network, Scope};
use crate::observation::{
    Address, Connection, DnsEvidence, EaiCode, LookupResult, NameState, Outcome, Query, QueryType, Reason,
    Resolver,
};
use crate::plan::{Endpoint, Timing};
use crate::verdict;

/// One name, looked up.
#[derive(Debug)]
pub struct Finding {
    pub state: NameState,
    pub evidence: Option<DnsEvidence>,
    pub vpc: VpcAnswer,
    /// Whether applications get something else than the VPC's resolver says, where either of it
    /// is not public. `None` where one of the two is not known.
    pub disagrees: Option<bool>,
    /// In order, with the outcome of `connect` for each that was tried.
    pub addresses: Vec<Place>,
}

/// An address, and what a connection to it showed.
#[derive(Debug)]
pub struct Place {
    pub address: Address,
    pub zone: Option<String>,
    pub connection: Option<Connection>,
}

/// What the VPC's resolver says of both families together.
#[derive(Clone, Debug, Default, Eq, PartialEq)]
pub enum VpcAnswer {
    Addresses(BTreeSet<IpAddr>),
    /// The name exists without an address, or not at all.
    None,
    #[default]
    Unknown,
}

impl Finding {
    /// Whether both ways of asking were answered.
    pub fn is_conclusive(&self) -> bool {
        !matches!(self.state, NameState::Failed | NameState::NotLookedAt) && self.vpc != VpcAnswer::Unknown
    }
}

pub fn zones(agenda: &Agenda, names: &BTreeMap<String, DnsEvidence>) -> Vec<Zone> {
    let of_control = |(suffix, host): (&str, String)| Zone {
        suffix: suffix.to_owned(),
        answer: names.get(&host).and_then(answer).map(ToOwned::to_owned),
    };
    agenda.controls().map(of_control).collect()
}

/// The addresses that applications get, none of them where the name has none, or `None` where that
/// is not known.
fn answer(evidence: &DnsEvidence) -> Option<&[IpAddr]> {
    match &evidence.lookup.result {
        LookupResult::Addresses { addresses } => Some(addresses),
        LookupResult::Error(error) if error.code.is_answer() => Some(&[]),
        _ => None,
    }
}

impl Agenda {
    /// The names with private addresses, which a connection is worth.
    pub fn to_connect<'a>(
        &'a self,
        names: &BTreeMap<String, DnsEvidence>,
        context: &Context,
    ) -> Vec<(&'a Question, Vec<IpAddr>)> {
        let zones = zones(self, names);
        let of = |question: &'a Question| {
            let private = to_connect(question, names.get(&question.host)?, &zones, context);
            (!private.is_empty()).then_some((question, private))
        };
        self.questions().iter().filter_map(of).collect()
    }
}

fn to_connect(question: &Question, evidence: &DnsEvidence, zones: &[Zone], context: &Context) -> Vec<IpAddr> {
    let judgment = verdict::dns(evidence, &context.missing_families, &endpoint(question, &context.network));
    if is_any_name(question, evidence, zones) {
        return Vec::new();
    }
    let is_private = |address: &&Address| {
        address.outcome == Outcome::Pass && !context.missing_families.contains(&Family::of(address.ip))
    };
    judgment.addresses.iter().filter(is_private).map(|address| address.ip).collect()
}

pub fn finding(
    question: &Question,
    evidence: Option<DnsEvidence>,
    connections: Vec<Connection>,
    zones: &[Zone],
    context: &Context,
) -> Finding {
    let Some(evidence) = evidence else {
        return Finding {
            state: NameState::NotLookedAt,
            evidence: None,
            vpc: VpcAnswer::Unknown,
            disagrees: None,
            addresses: Vec::new(),
        };
    };
    let judgment = verdict::dns(&evidence, &context.missing_families, &endpoint(question, &context.network));
    let is_any_name = is_any_name(question, &evidence, zones);
    let state = if is_any_name { NameState::AnyName } else { state(judgment.outcome, &evidence) };
    let vpc = vpc_answer(&evidence.queries);
    let connected = verdict::connect(&judgment.addresses, &connections, &context.missing_families);
    let mut connections: BTreeMap<IpAddr, Connection> =
        connections.into_iter().map(|connection| (connection.ip, connection)).collect();
    let places = judgment.addresses.into_iter().zip(connected.addresses).map(|(resolved, connected)| {
        let connection = connections.remove(&resolved.ip);
        let is_out_of_reach = context.missing_families.contains(&Family::of(resolved.ip));
        let address = if connection.is_some() || is_out_of_reach { connected } else { resolved };
        Place { zone: zone(address.ip, context), address, connection }
    });
    let addresses = places.collect();
    let disagrees = disagrees(answer(&evidence), &vpc, &context.network);
    Finding { state, addresses, vpc, disagrees, evidence: Some(evidence) }
}

fn is_any_name(question: &Question, evidence: &DnsEvidence, zones: &[Zone]) -> bool {
    let looked_up = evidence.lookup.addresses();
    let of_zone =
        zones.iter().find(|zone| zone.suffix == question.suffix).and_then(|zone| zone.answer.as_ref());
    of_zone.is_some_and(|any| !looked_up.is_empty() && looked_up.iter().all(|ip| any.contains(ip)))
}

/// As the dns check would judge the name.
fn endpoint(question: &Question, network: &Network) -> Endpoint {
    Endpoint {
        name: question.host.clone(),
        host: Some(question.host.clone()),
        port: question.port,
        own_names: vec![],
        zones: vec![],
        gateway: false,
        control_host: None,
        protocol: question.protocol,
        require_agreement: false,
        call: None,
        network: network.clone(),
        ca_file: None,
        timing: Timing { interval: Duration::MAX, timeout: Duration::MAX },
    }
}

fn state(outcome: Outcome, evidence: &DnsEvidence) -> NameState {
    match (outcome, answer(evidence)) {
        (Outcome::Pass, _) => NameState::Private,
        (_, None) => NameState::Failed,
        (_, Some([])) => match &evidence.lookup.result {
            LookupResult::Error(error) if error.code == EaiCode::NoName => NameState::NotFound,
            _ => NameState::NoAddress,
        },
        (outcome, Some(_)) => match outcome.reason() {
            Some(Reason::MixedAddresses) => NameState::Mixed,
            Some(Reason::OutsideVpc) => NameState::Elsewhere,
            Some(Reason::SpecialAddress) => NameState::Special,
            Some(Reason::VpcCidrsUnknown) => NameState::RangesUnknown,
            Some(Reason::PublicAddress) => NameState::Public,
            _ => NameState::Failed,
        },
    }
}

fn vpc_answer(queries: &[Query]) -> VpcAnswer {
    let of_vpc = || queries.iter().filter(|query| query.resolver == Resolver::Vpc);
    let is_answered =
        |query_type| of_vpc().any(|query| query.query_type == query_type && query.result.is_conclusive());
    if !is_answered(QueryType::A) || !is_answered(QueryType::Aaaa) {
        return VpcAnswer::Unknown;
    }
    let addresses: BTreeSet<IpAddr> = of_vpc().flat_map(|query| query.result.addresses()).copied().collect();
    if addresses.is_empty() { VpcAnswer::None } else { VpcAnswer::Addresses(addresses) }
}

/// Public names have many addresses, and each answer has some of them, so a different answer is expected.
fn disagrees(looked_up: Option<&[IpAddr]>, vpc: &VpcAnswer, network: &Network) -> Option<bool> {
    let looked_up: BTreeSet<IpAddr> = looked_up?.iter().copied().collect();
    let vpc = match vpc {
        VpcAnswer::Addresses(addresses) => addresses.clone(),
        VpcAnswer::None => BTreeSet::new(),
        VpcAnswer::Unknown => return None,
    };
    let all_public = |ips: &BTreeSet<IpAddr>| ips.iter().all(|ip| network.scope(*ip) == Scope::Public);
    let both_public = !looked_up.is_empty() && !vpc.is_empty() && all_public(&looked_up) && all_public(&vpc);
    Some(looked_up != vpc && !both_public)
}

/// Only the instance's own subnets are known.
fn zone(ip: IpAddr, context: &Context) -> Option<String> {
    let is_own = context.instance.subnet_cidrs.iter().any(|cidr| cidr.contains(ip));
    context.instance.zone.clone().filter(|_| is_own)
}
