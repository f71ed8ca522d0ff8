//! The survey for programs. `packaging/discover.schema.json` documents this shape.

use std::net::IpAddr;

use serde::{Serialize, Serializer};

use super::agenda::{Service, ServiceName};
use super::find::{Finding, Place, VpcAnswer};
use super::{Ended, Survey, Zone};
use crate::catalogue::{Kind, PrivateDns};
use crate::network::{Cidr, Scope};
use crate::observation::{Lookup, NameState, Reason, Status};

const SCHEMA: u32 = 1;

pub fn render(survey: &Survey) -> Result<String, serde_json::Error> {
    serde_json::to_string_pretty(&Document::new(survey)).map(|text| text + "\n")
}

#[derive(Serialize)]
struct Document<'a> {
    schema: u32,
    linkproof: &'static str,
    region: &'a str,
    zone: Option<&'a str>,
    vpc_id: Option<&'a str>,
    vpc_cidrs: &'a [Cidr],
    expected_cidrs: &'a [Cidr],
    /// Whether every name was looked up both ways.
    complete: bool,
    ended: Ended,
    seconds: f64,
    /// What a name that does not exist gets.
    any_name: Vec<AnyName<'a>>,
    services: Vec<ServiceJson<'a>>,
}

#[derive(Serialize)]
struct AnyName<'a> {
    suffix: &'a str,
    addresses: Option<&'a [IpAddr]>,
}

#[derive(Serialize)]
struct ServiceJson<'a> {
    service: &'a str,
    state: NameState,
    private_dns: &'static str,
    /// A gateway endpoint leaves the names public.
    has_gateway: bool,
    names: Vec<NameJson<'a>>,
}

#[derive(Serialize)]
struct NameJson<'a> {
    /// With `*.` where a label that only the user knows comes before it.
    name: String,
    /// What was asked.
    host: &'a str,
    kind: &'static str,
    state: NameState,
    lookup: Option<&'a Lookup>,
    vpc_resolver: VpcJson,
    disagrees: Option<bool>,
    addresses: Vec<AddressJson<'a>>,
}

#[derive(Serialize)]
struct VpcJson {
    result: &'static str,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    addresses: Vec<IpAddr>,
}

#[derive(Serialize)]
struct AddressJson<'a> {
    ip: IpAddr,
    scope: Scope,
    zone: Option<&'a str>,
    connect: Option<ConnectJson<'a>>,
}

#[derive(Serialize)]
struct ConnectJson<'a> {
    outcome: Status,
    #[serde(skip_serializing_if = "Option::is_none")]
    reason: Option<&'static str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    detail: Option<&'a str>,
    http_status: Option<u16>,
    seconds: f64,
}

impl<'a> Document<'a> {
    fn new(survey: &'a Survey) -> Self {
        let context = &survey.context;
        let any = |zone: &'a Zone| AnyName { suffix: &zone.suffix, addresses: zone.answer.as_deref() };
        Self {
            schema: SCHEMA,
            linkproof: env!("CARGO_PKG_VERSION"),
            region: &context.region,
            zone: context.instance.zone.as_deref(),
            vpc_id: context.instance.vpc_id.as_deref(),
            vpc_cidrs: &context.network.vpc,
            expected_cidrs: &context.network.expected,
            complete: survey.is_complete(),
            ended: survey.ended,
            seconds: survey.took.as_secs_f64(),
            any_name: survey.zones.iter().map(any).collect(),
            services: survey
                .agenda
                .services
                .iter()
                .map(|service| ServiceJson::new(service, survey))
                .collect(),
        }
    }
}

impl<'a> ServiceJson<'a> {
    fn new(service: &'a Service, survey: &'a Survey) -> Self {
        let names = service.names.iter();
        Self {
            service: service.entry.service(),
            state: survey.state(service),
            private_dns: match service.entry.private_dns() {
                PrivateDns::Documented => "documented",
                PrivateDns::Inferred => "inferred",
                PrivateDns::None => "none",
            },
            has_gateway: service.entry.has_gateway(),
            names: names.filter_map(|name| Some(NameJson::new(name, survey.finding(&name.host)?))).collect(),
        }
    }
}

impl<'a> NameJson<'a> {
    fn new(name: &'a ServiceName, finding: &'a Finding) -> Self {
        let (result, addresses) = match &finding.vpc {
            VpcAnswer::Addresses(addresses) => ("addresses", addresses.iter().copied().collect()),
            VpcAnswer::None => ("no_address", Vec::new()),
            VpcAnswer::Unknown => ("unknown", Vec::new()),
        };
        Self {
            name: name.name.to_string(),
            host: &name.host,
            kind: kind(name.name.kind),
            state: finding.state,
            lookup: finding.evidence.as_ref().map(|evidence| &evidence.lookup),
            vpc_resolver: VpcJson { result, addresses },
            disagrees: finding.disagrees,
            addresses: finding.addresses.iter().map(AddressJson::new).collect(),
        }
    }
}

fn kind(kind: Kind) -> &'static str {
    match kind {
        Kind::Regional => "regional",
        Kind::DualStack => "dual_stack",
        Kind::Fips => "fips",
        Kind::FipsDualStack => "fips_dual_stack",
    }
}

impl<'a> AddressJson<'a> {
    fn new(place: &'a Place) -> Self {
        let connect = place.connection.as_ref().map(|connection| ConnectJson {
            outcome: place.address.outcome.state(),
            reason: place.address.outcome.reason().map(Reason::code),
            detail: connection.error.as_ref().map(|error| error.detail.as_str()),
            http_status: connection.http_status,
            seconds: connection.phases.iter().map(|(_, took)| took.as_secs_f64()).sum(),
        });
        Self { ip: place.address.ip, scope: place.address.scope, zone: place.zone.as_deref(), connect }
    }
}

impl Serialize for Ended {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(match self {
            Self::Finished => "finished",
            Self::Interrupted => "interrupted",
            Self::NoAnswers => "no_answers",
            Self::OutOfTime => "out_of_time",
        })
    }
}
