//! What is checked of one endpoint, under which names, and what is left out and why.

mod gateway;

use std::collections::{HashMap, HashSet};

use super::label::{self, Labeled};
use super::model::{Endpoint, Service};
use super::name::{EndpointName, Form, ServiceName, is_dual_stack, is_fips};
use super::place;
use super::quote::printable;
use super::select::is_gateway;
use super::zones::{self, Zone};
use super::{Interfaces, Subnets};
use crate::catalogue::{self, Host};
use crate::config::is_service;
use crate::observation::EndpointProtocol;

/// What a decision rests on beside the endpoint itself.
#[derive(Clone, Copy, Debug)]
pub struct Context<'a> {
    pub region: &'a str,
    pub subnets: &'a Subnets,
    pub interfaces: &'a Interfaces,
    pub services: &'a HashMap<String, Service>,
    pub labels: &'a [(String, String)],
    /// Services whose names lead to an interface endpoint in this VPC.
    pub private: &'a HashSet<ServiceName>,
    /// Services with a gateway in this VPC.
    pub gateways: &'a HashSet<ServiceName>,
}

/// One `[[endpoint]]` table.
#[derive(Clone, Debug, Default, Eq, PartialEq)]
pub struct Table {
    pub id: String,
    pub comments: Vec<String>,
    pub service: Option<String>,
    pub name: Option<String>,
    /// At least one, the one that most clients ask first.
    pub hosts: Vec<String>,
    pub vpce_hosts: Vec<String>,
    pub zones: Vec<Zone>,
    pub is_gateway: bool,
    /// Whether applications reach it by the service's usual names.
    pub is_private: bool,
    pub has_call: bool,
    /// The region of the service, where it is not the VPC's.
    pub other_region: Option<String>,
    pub protocol: Option<(&'static str, u16)>,
}

#[derive(Debug)]
pub struct Decision {
    /// The table, or why there is none.
    pub table: Result<Table, String>,
    /// Names of this endpoint that are not checked, and why.
    pub left_out: Vec<(Vec<String>, String)>,
    pub warnings: Vec<String>,
    /// The words of `--label` that chose a label of its names.
    pub labels: HashSet<String>,
}

impl Decision {
    fn of(table: Result<Table, String>) -> Self {
        Self { table, left_out: Vec::new(), warnings: Vec::new(), labels: HashSet::new() }
    }

    fn leave_out(why: impl Into<String>) -> Self {
        Self::of(Err(why.into()))
    }
}

pub fn decide(endpoint: &Endpoint, context: &Context<'_>) -> Decision {
    if let Some(why) = unsupported(endpoint).or_else(|| not_available(endpoint)) {
        return Decision::leave_out(why);
    }
    if is_gateway(endpoint) {
        gateway::decide(endpoint, context)
    } else {
        Interface::new(endpoint, context).decide()
    }
}

/// Kinds of endpoints that have nothing to look up or to connect to.
fn unsupported(endpoint: &Endpoint) -> Option<String> {
    let kind = endpoint.kind.as_deref()?;
    let why = match kind.to_ascii_lowercase().as_str() {
        "interface" | "gateway" => return None,
        "gatewayloadbalancer" => "a Gateway Load Balancer endpoint, which has routes and no name",
        "resource" => {
            "a resource endpoint; its names are in describe-vpc-endpoint-associations, which is not read"
        }
        "servicenetwork" => {
            "a service network endpoint; its names are in describe-vpc-endpoint-associations, which is not read"
        }
        "tunnel" => "a tunnel endpoint, which has no private name",
        _ => return Some(format!("unknown endpoint type {}", printable(kind))),
    };
    Some(why.to_owned())
}

/// AWS writes states in lower case for some types and capitalized for others.
fn not_available(endpoint: &Endpoint) -> Option<String> {
    let state = endpoint.state.as_deref()?;
    let trouble =
        endpoint.trouble.as_deref().map(|words| format!(" ({})", printable(words))).unwrap_or_default();
    match state.to_ascii_lowercase().as_str() {
        "available" | "partial" => None,
        "pending" => Some("pending; import again when it is available".to_owned()),
        "pendingacceptance" => Some(
            "waiting for the owner of the service to accept it; import again when it is available".to_owned(),
        ),
        "deleting" | "deleted" | "rejected" | "failed" | "expired" => {
            Some(format!("{}{trouble}", state.to_ascii_lowercase()))
        }
        _ => Some(format!("unknown state {}{trouble}", printable(state))),
    }
}

/// Whether the service's names lead to this endpoint for clients in its VPC.
pub fn is_private_here(endpoint: &Endpoint) -> bool {
    let is_private = |name: &str| EndpointName::parse(name).is_ok_and(|name| name.form == Form::Private);
    unsupported(endpoint).is_none()
        && not_available(endpoint).is_none()
        && !is_gateway(endpoint)
        && endpoint.private_dns != Some(false)
        && !endpoint.inbound_only
        && endpoint.names.iter().any(|entry| !entry.is_pending() && is_private(&entry.name))
}

/// An interface endpoint on its way to a table.
struct Interface<'a> {
    endpoint: &'a Endpoint,
    context: &'a Context<'a>,
    service: ServiceName,
    /// Its own names, the regional ones first, then by zone.
    own: Vec<EndpointName>,
    private: Vec<EndpointName>,
    left_out: Vec<(Vec<String>, String)>,
    warnings: Vec<String>,
    comments: Vec<String>,
    /// Whether a private name got its label from us.
    is_labeled: bool,
    /// The words of `--label` that chose a label.
    labels: HashSet<String>,
}

impl<'a> Interface<'a> {
    fn new(endpoint: &'a Endpoint, context: &'a Context<'a>) -> Self {
        let service = ServiceName::parse(endpoint.service_name.as_deref().unwrap_or_default());
        let (own, private) = (Vec::new(), Vec::new());
        let (left_out, warnings, comments) = (Vec::new(), Vec::new(), Vec::new());
        let (is_labeled, labels) = (false, HashSet::new());
        let mut interface = Self {
            endpoint,
            context,
            service,
            own,
            private,
            left_out,
            warnings,
            comments,
            is_labeled,
            labels,
        };
        interface.sort_names();
        interface
    }

    fn sort_names(&mut self) {
        let (mut known, mut pending, mut off) = (HashSet::new(), Vec::new(), Vec::new());
        for entry in &self.endpoint.names {
            let name = match EndpointName::parse(&entry.name) {
                Ok(name) => name,
                Err(why) => {
                    let why = format!("not a host name: {}", printable(&why));
                    self.left_out.push((vec![entry.name.clone()], why));
                    continue;
                }
            };
            if !known.insert(name.written()) {
                continue;
            }
            let is_off = self.endpoint.inbound_only || self.endpoint.private_dns == Some(false);
            match name.form {
                Form::Private if entry.is_pending() => pending.push(name.written()),
                Form::Private if is_off => off.push(name.written()),
                Form::Private => self.private.push(name),
                Form::Regional | Form::Zonal(_) if name.belongs_to(&self.endpoint.id) => self.own.push(name),
                Form::Regional | Form::Zonal(_) => {
                    let why = "it carries the id of another endpoint".to_owned();
                    self.left_out.push((vec![name.written()], why));
                }
            }
        }
        // Without a zone first: the regional name.
        self.own.sort_by_cached_key(zone);
        let why_off = if self.endpoint.inbound_only {
            "private only for clients behind an inbound resolver endpoint"
        } else {
            "private DNS is off"
        };
        let groups = [(off, why_off), (pending, "the hosted zone is pending; import again")];
        let groups = groups.into_iter().filter(|(names, _)| !names.is_empty());
        self.left_out.extend(groups.map(|(names, why)| (names, why.to_owned())));
    }

    fn decide(mut self) -> Decision {
        let zones: Vec<String> = self.own.iter().filter_map(zone).collect();
        self.comments.extend(place::of_interface(self.endpoint, &zones, self.context.subnets));
        let vpce_hosts = self.vpce_hosts();
        let mut hosts = self.private_hosts();
        let is_private = !hosts.is_empty();
        if !is_private {
            if !self.private.is_empty() {
                return self.leave_out_wildcards();
            }
            let Some(host) = vpce_hosts.first() else {
                let has_names = !self.endpoint.names.is_empty();
                let why =
                    if has_names { "none of its names can be checked" } else { "the file has no name of it" };
                return self.into_decision(Err(why.to_owned()));
            };
            self.explain_own_name(host);
            hosts.push(host.clone());
        }
        self.order(&mut hosts);
        self.explain(&hosts);
        self.into_table(hosts, vpce_hosts, is_private)
    }

    fn into_table(mut self, hosts: Vec<String>, vpce_hosts: Vec<String>, is_private: bool) -> Decision {
        // A configuration may not give one service names of another.
        let entry = catalogue::lookup(&self.service.service);
        let is_anothers = |host: &String| entry.is_some_and(|e| catalogue::other_owner(&e, host).is_some());
        let is_writable =
            !self.service.is_partner && is_service(&self.service.service) && !hosts.iter().any(is_anothers);
        let service = is_writable.then(|| self.service.service.clone());
        let zones::Found { zones, left_out } =
            zones::of_endpoint(self.endpoint, self.context.subnets, self.context.interfaces);
        self.left_out.extend(left_out);
        let region = self.service_region();
        let other_region = (region != self.context.region).then(|| region.to_owned());
        // The call is signed for the configuration's region.
        let has_call = service.as_deref() == Some("monitoring") && other_region.is_none();
        if has_call {
            let why = "call: the service is CloudWatch. Delete it where the role may not call ListMetrics.";
            self.comments.push(why.to_owned());
        }
        let table = Table {
            id: self.endpoint.id.clone(),
            protocol: self.protocol(),
            comments: std::mem::take(&mut self.comments),
            service,
            hosts,
            vpce_hosts,
            zones,
            is_private,
            has_call,
            other_region,
            ..Table::default()
        };
        self.into_decision(Ok(table))
    }

    fn into_decision(self, table: Result<Table, String>) -> Decision {
        Decision { table, left_out: self.left_out, warnings: self.warnings, labels: self.labels }
    }

    /// Its names were left out already, each with the reason, which is that of the endpoint then.
    fn leave_out_wildcards(mut self) -> Decision {
        let private: HashSet<String> = self.private.iter().map(EndpointName::written).collect();
        let is_own = |(names, _): &(Vec<String>, String)| names.iter().any(|name| private.contains(name));
        let (own, left_out): (Vec<_>, Vec<_>) =
            std::mem::take(&mut self.left_out).into_iter().partition(is_own);
        self.left_out = left_out;
        let verb = |names: &[String]| if names.len() == 1 { "is" } else { "are" };
        let why = own.iter().map(|(names, why)| format!("{} {} {why}", place::joined(names), verb(names)));
        let why = why.collect::<Vec<String>>().join("; ");
        self.into_decision(Err(why))
    }

    fn service_region(&self) -> &str {
        let of_service = self.endpoint.service_region.as_deref().filter(|region| !region.is_empty());
        of_service.or(self.service.region.as_deref()).unwrap_or(self.context.region)
    }

    /// The endpoint's own names. S3's are wildcards.
    fn vpce_hosts(&mut self) -> Vec<String> {
        let mut hosts = Vec::new();
        for name in std::mem::take(&mut self.own) {
            hosts.extend(self.hosts_of(&name));
        }
        let more = hosts.split_off(hosts.len().min(MOST_VPCE_HOSTS));
        if !more.is_empty() {
            self.left_out.push((more, format!("an endpoint may have {MOST_VPCE_HOSTS} names of its own")));
        }
        hosts
    }

    /// The names that applications in the VPC ask and that lead to this endpoint.
    fn private_hosts(&mut self) -> Vec<String> {
        if self.private.is_empty() && self.endpoint.names.is_empty() {
            self.private = self.names_from_elsewhere();
        }
        let wildcards: HashSet<String> =
            self.private.iter().filter(|name| name.is_wildcard).map(|name| name.base.clone()).collect();
        let (mut hosts, mut bare) = (Vec::new(), Vec::new());
        for name in self.private.clone() {
            let is_bare = !name.is_wildcard && wildcards.contains(&name.base);
            if is_bare && label::only_below(&name, &self.service.service) {
                bare.push(name.base);
            } else {
                hosts.extend(self.hosts_of(&name));
            }
        }
        if !bare.is_empty() {
            let names = if bare.len() == 1 { "a bare name" } else { "bare names" };
            self.left_out.push((bare, format!("{names}, which no client asks for")));
        }
        let mut known = HashSet::new();
        hosts.retain(|host| known.insert(host.clone()));
        let more = hosts.split_off(hosts.len().min(MOST_HOSTS));
        if !more.is_empty() {
            self.left_out.push((more, format!("an endpoint may have {MOST_HOSTS} names")));
        }
        hosts
    }

    /// Where the file lists none: those of the service, or of the catalogue.
    fn names_from_elsewhere(&mut self) -> Vec<EndpointName> {
        if self.endpoint.private_dns != Some(true) || self.endpoint.inbound_only {
            return Vec::new();
        }
        let names = self.of_service().map(|service| service.private_names.clone()).unwrap_or_default();
        let names: Vec<EndpointName> =
            names.iter().filter_map(|name| EndpointName::parse(name).ok()).collect();
        if !names.is_empty() {
            let why = "The names are those of the service; the file does not list the endpoint's own.";
            self.comments.push(why.to_owned());
            return names;
        }
        let host = catalogue::host_of(&self.service.service, self.service_region());
        let names: Vec<EndpointName> =
            host.and_then(|host| EndpointName::parse(&host).ok()).into_iter().collect();
        if !names.is_empty() {
            self.comments.push("The name is from the catalogue; the file does not list any.".to_owned());
        }
        names
    }

    fn of_service(&self) -> Option<&Service> {
        self.context.services.get(self.endpoint.service_name.as_deref()?)
    }

    /// One name as hosts: itself, or a wildcard with its labels.
    fn hosts_of(&mut self, name: &EndpointName) -> Vec<String> {
        if !name.is_wildcard {
            return vec![name.base.clone()];
        }
        let owner = self.endpoint.owner.as_deref();
        let add = |word, what| {
            label::advice(word, what).map(|advice| format!("; add {advice}")).unwrap_or_default()
        };
        let why = match label::apply(name, &self.service.service, owner, self.context.labels) {
            Labeled::Hosts(hosts, word) => {
                self.is_labeled |= name.form == Form::Private && word.is_none();
                self.labels.extend(word.map(ToOwned::to_owned));
                return hosts;
            }
            Labeled::Unknown(word) => {
                format!("a wildcard, and which name is used here is not known{}", add(word, "NAME"))
            }
            Labeled::NoOwner(word) => {
                format!(
                    "a wildcard for accounts, and the file does not say the owner{}",
                    add(word, "ACCOUNT")
                )
            }
            Labeled::Invalid(why) => format!("a wildcard, and its label does not fit: {}", printable(&why)),
        };
        self.left_out.push((vec![name.written()], why));
        Vec::new()
    }

    /// The usual name first and FIPS names last, each beside its dual-stack twin.
    fn order(&self, hosts: &mut [String]) {
        let usual = self.usual();
        let stems: Vec<String> = hosts.iter().map(|host| stem(host).to_owned()).collect();
        hosts.sort_by_cached_key(|host| {
            let group = stems.iter().position(|stem| stem == self::stem(host));
            (Some(host) != usual.as_ref(), is_fips(host), group, is_dual_stack(host))
        });
    }

    fn explain(&mut self, hosts: &[String]) {
        if self.is_labeled {
            let label = "Wildcard names need a label in front. Any label resolves; change it to one that is used here.";
            self.comments.push(label.to_owned());
        }
        let fips = hosts.iter().filter(|host| is_fips(host)).count();
        if fips > 0 && fips < hosts.len() {
            let fips = "Only clients that are configured for FIPS ask the FIPS names.";
            self.comments.push(fips.to_owned());
        }
        if self.service_region() != self.context.region {
            let region = printable(self.service_region());
            self.comments.push(format!("The service is in {region}: a cross-region endpoint."));
        }
        if self.of_service().is_some_and(|service| service.unverified) {
            let why = "The owner of the service has not proven to own its private name.";
            self.comments.push(why.to_owned());
        }
        if self.endpoint.state.as_deref().is_some_and(|state| state.eq_ignore_ascii_case("partial")) {
            self.comments.push("Its state is partial: not all of it works.".to_owned());
        }
        if let Some((protocol, port)) = self.protocol() {
            self.comments.push(format!(
                "The usual port is not HTTPS on 443; {} on port {port} is checked.",
                protocol.to_ascii_uppercase()
            ));
        } else if self.service.is_partner {
            let port = "A partner's port is in no file. Set port and protocol if it is not HTTPS on 443.";
            self.comments.push(port.to_owned());
        }
    }

    /// Why the endpoint's own name is checked, which the applications may not use.
    fn explain_own_name(&mut self, host: &str) {
        let service = self.service.service.as_str();
        let of_service = self.of_service().and_then(|service| service.private_names.first().cloned());
        let usual = of_service.or_else(|| self.usual());
        let usual = usual.map_or_else(|| "the usual name".to_owned(), |name| printable(&name));
        if self.endpoint.inbound_only {
            self.comments.push(format!(
                "Private DNS is for clients behind an inbound resolver endpoint: here {usual} stays public."
            ));
            if !self.context.gateways.contains(&self.service) {
                self.warnings.push(format!(
                    "{}: private DNS for inbound resolvers needs a gateway endpoint, and the files have none of {}",
                    printable(&self.endpoint.id),
                    printable(service)
                ));
            }
        } else if has_no_private_dns(service) {
            self.comments.push(format!("The service has no private DNS: {usual} stays public."));
        } else if self.endpoint.private_dns == Some(false) {
            self.comments.push(format!("Private DNS is off: {usual} stays public."));
        } else {
            self.comments.push("The file has no private name of it that works now.".to_owned());
        }
        let label = if host.starts_with("bucket.") { ", \"bucket\" standing for the wildcard" } else { "" };
        self.comments.push(format!("Only clients that are given its own name use it{label}."));
    }

    /// Where the service is not HTTPS on 443, which needs no word.
    fn protocol(&self) -> Option<(&'static str, u16)> {
        let entry = catalogue::lookup(&self.service.service).filter(|_| !self.service.is_partner)?;
        match (entry.protocol(), entry.port()) {
            (EndpointProtocol::Https, HTTPS_PORT) => None,
            (EndpointProtocol::Https, port) => Some(("https", port)),
            (EndpointProtocol::Tls, port) => Some(("tls", port)),
            (EndpointProtocol::Tcp, port) => Some(("tcp", port)),
        }
    }

    /// The name that clients ask first, as DNS has it, or with `*.`.
    fn usual(&self) -> Option<String> {
        match catalogue::lookup(&self.service.service)?.host(self.service_region()) {
            Host::Name(name) => Some(name),
            Host::BelowLabel(base) => Some(format!("*.{base}")),
            Host::Unknown => None,
        }
    }
}

const HTTPS_PORT: u16 = 443;

/// The bounds of the configuration.
const MOST_VPCE_HOSTS: usize = 16;
const MOST_HOSTS: usize = 32;

fn zone(name: &EndpointName) -> Option<String> {
    match &name.form {
        Form::Zonal(zone) => Some(zone.clone()),
        Form::Regional | Form::Private => None,
    }
}

/// The first label, without the mark of a FIPS name.
fn stem(host: &str) -> &str {
    let first = host.split('.').next().unwrap_or_default();
    first.strip_suffix("-fips").unwrap_or(first)
}

/// Whether the service's names are public in every VPC.
fn has_no_private_dns(service: &str) -> bool {
    catalogue::lookup(service).is_some_and(|entry| !entry.has_private_dns())
}
