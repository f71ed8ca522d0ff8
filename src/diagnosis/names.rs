//! Why a name does not lead to the endpoint: who says what, the system's resolvers or the VPC's.

use std::net::{IpAddr, SocketAddr};
use std::time::Duration;

use super::context::{Context, Failure, broken};
use super::finding::Finding;
use super::presumption::default_cause;
use super::{Cause, host};
use crate::check::{CheckId, Family, Step};
use crate::network::Scope;
use crate::observation::{DnsEvidence, Evidence, Observation, Query, QueryResult, Reason, Resolver};
use crate::wording;

pub fn findings(context: &Context<'_>, observation: &Observation, failure: &Failure) -> Vec<Finding> {
    let Some(default_cause) = default_cause(failure.reason) else { return vec![] };
    let Evidence::Dns(evidence) = &observation.evidence else {
        let fact = format!("{}: {}", observation.check, failure.reason.words());
        return vec![Finding::new(default_cause, fact).about(observation.check.target())];
    };
    if failure.reason == Reason::VpcCidrsUnknown {
        return vec![cidrs_unknown(context, evidence)];
    }
    if let Some(pinned) = pinned(evidence, |ip| !scope(context, observation, ip).is_inside()) {
        return vec![pinned];
    }
    let voices = ServerAnswers::of(context, observation, evidence);
    let cause = cause(context, failure, evidence, &voices, default_cause);
    let finding = Finding::new(cause, voices.fact(&evidence.host)).about(&evidence.host);
    vec![match elsewhere(context, &evidence.host) {
        Some((theirs, own)) if cause == Cause::PrivateDnsOff => {
            finding.healed_by(other_region(&evidence.host, theirs, own))
        }
        Some(_) | None => finding.advising(advice(context, cause, failure, evidence, &voices)),
    }]
}

/// An address that does not work, and that the VPC's own resolver does not name: it lies where it
/// may, and yet is not the endpoint's, or is not any more.
pub fn stale_address(context: &Context<'_>, observation: &Observation, failure: &Failure) -> Option<Finding> {
    let told = context.check(&CheckId::Endpoint(observation.check.target().to_owned(), Step::Dns))?;
    let Evidence::Dns(evidence) = &told.evidence else { return None };
    let voices = ServerAnswers::of(context, told, evidence);
    // Who shows a certificate of his own is the news, wherever he sits.
    let intercepted = failure.reason == Reason::CertificateUntrusted;
    if failure.ips.is_empty() || intercepted || !voices.vpc.knows_better(&failure.ips) {
        return None;
    }
    let pinned = pinned(evidence, |ip| failure.ips.contains(&ip));
    Some(pinned.unwrap_or_else(|| {
        let fact = format!(
            "{}; {}: {}",
            voices.fact(&evidence.host),
            wording::names(&failure.ips),
            failure.reason.words()
        );
        Finding::new(Cause::ResolverBypassesVpc, fact).about(&evidence.host)
    }))
}

/// The VPC's resolver says otherwise while the system's answer is fine.
pub fn warnings(context: &Context<'_>) -> Vec<Finding> {
    let mut findings = Vec::new();
    for (_, observation) in context.step(Step::Dns).filter(|(_, o)| context.passed(&o.check)) {
        let Evidence::Dns(evidence) = &observation.evidence else { continue };
        let voices = ServerAnswers::of(context, observation, evidence);
        let all_inside = observation.addresses.iter().all(|address| address.scope.is_inside());
        let otherwise = match &voices.vpc.says {
            Answer::Addresses(ips) => ips.iter().any(|&(_, scope)| scope == Scope::Public),
            Answer::Nothing(_) => true,
            Answer::ProbeError(_) | Answer::Silence(_) | Answer::NotAsked => false,
        };
        if all_inside && otherwise && matches!(voices.system.says, Answer::Addresses(_)) {
            findings.push(
                Finding::new(Cause::ResolverBypassesVpc, voices.fact(&evidence.host))
                    .about(&evidence.host)
                    .advising(
                        "If the system's resolvers are right on purpose, nothing needs to change.".to_owned(),
                    ),
            );
        }
    }
    findings
}

fn cidrs_unknown(context: &Context<'_>, evidence: &DnsEvidence) -> Finding {
    let metadata = match context.check(&CheckId::Instance).map(|instance| broken(instance.outcome)) {
        Some(Some(reason)) => reason.words().to_owned(),
        Some(None) => "instance metadata answers, but lists no CIDR".to_owned(),
        None => "instance metadata is not asked".to_owned(),
    };
    let fact =
        format!("{metadata}, so nobody can say whether the addresses of {} are the VPC's", evidence.host);
    Finding::new(Cause::MetadataUnavailable, fact).about(&evidence.host)
}

/// `/etc/hosts` comes before any resolver.
fn pinned(evidence: &DnsEvidence, is_wrong: impl Fn(IpAddr) -> bool) -> Option<Finding> {
    let ip = evidence.hosts_file.iter().find(|ip| is_wrong(**ip))?;
    let fact = format!("/etc/hosts says {ip} for {}", evidence.host);
    let remedy =
        format!("Remove {} from /etc/hosts: applications take it before they ask anybody.", evidence.host);
    Some(Finding::new(Cause::ResolverBypassesVpc, fact).about(&evidence.host).healed_by(remedy))
}

/// By the verdict where it judged the address, else by metadata.
fn scope(context: &Context<'_>, observation: &Observation, ip: IpAddr) -> Scope {
    let judged = observation.addresses.iter().find(|address| address.ip == ip);
    judged.map_or_else(|| context.scope(ip), |address| address.scope)
}

fn cause(
    context: &Context<'_>,
    failure: &Failure,
    evidence: &DnsEvidence,
    voices: &ServerAnswers,
    default_cause: Cause,
) -> Cause {
    let misled = matches!(default_cause, Cause::PrivateDnsOff | Cause::ForeignZone);
    let vpc = &voices.vpc;
    let bypassed = (misled && vpc.knows_better(&failure.ips))
        || (default_cause == Cause::NameUnknown && matches!(vpc.says, Answer::Addresses(_)))
        || (default_cause == Cause::VpcDnsSupportOff && vpc.answers());
    if bypassed {
        Cause::ResolverBypassesVpc
    } else if misled && matches!(vpc.says, Answer::Silence(_)) {
        Cause::VpcDnsSupportOff
    } else if default_cause == Cause::NameUnknown {
        absent(context, &evidence.host)
    } else {
        default_cause
    }
}

/// A public AWS name exists for everybody: where it does not, somebody hides it.
fn absent(context: &Context<'_>, name: &str) -> Cause {
    let expected = host::is_aws(name) && !host::is_of_one_endpoint(name) && host::suggestion(name).is_none();
    if expected && elsewhere(context, name).is_none() { Cause::ForeignZone } else { Cause::NameUnknown }
}

/// The region of the name and of the instance, where they differ.
fn elsewhere<'a>(context: &Context<'a>, name: &'a str) -> Option<(&'a str, &'a str)> {
    let own = context.instance?.region.as_deref()?;
    host::region(name).filter(|region| *region != own).map(|region| (region, own))
}

/// Private DNS cannot be turned on for it here.
fn other_region(name: &str, theirs: &str, own: &str) -> String {
    format!(
        "An endpoint serves its own region only: {name} is in {theirs}, the instance in {own}. Give the name of {own} in linkproof.toml; to reach {theirs} privately takes an endpoint there, peering, and its addresses in expected_cidrs."
    )
}

fn advice(
    context: &Context<'_>,
    cause: Cause,
    failure: &Failure,
    evidence: &DnsEvidence,
    voices: &ServerAnswers,
) -> Option<String> {
    let name = &evidence.host;
    if cause == Cause::NameUnknown
        && let Some((theirs, own)) = elsewhere(context, name)
    {
        return Some(format!(
            "An endpoint serves its own region only: {name} is in {theirs}, the instance in {own}."
        ));
    }
    if cause == Cause::NameUnknown {
        let gone = host::is_of_one_endpoint(name).then(|| {
            "The endpoint is deleted, or still pending: its own name lives as long as it does.".to_owned()
        });
        return host::suggestion(name).map(|suggestion| format!("It is {suggestion}.")).or(gone);
    }
    if cause == Cause::PrivateDnsOff && host::may_be_gateway(name) {
        return Some(format!(
            "If {name} is reached through a gateway endpoint, set type = \"gateway\" there."
        ));
    }
    if cause == Cause::PrivateDnsOff && voices.only_ipv6_is_public() {
        return Some(
            "Only IPv6 is public: make the endpoint's IP address type and DNS record IP type dualstack."
                .into(),
        );
    }
    let intended =
        "If endpoints live there on purpose (hub VPC, peering), add their range to expected_cidrs.";
    (cause == Cause::ForeignZone && failure.reason == Reason::OutsideVpc).then(|| intended.into())
}

/// What the two sides say about one name.
struct ServerAnswers {
    system: ServerAnswer,
    vpc: ServerAnswer,
}

struct ServerAnswer {
    says: Answer,
    server: Option<SocketAddr>,
    took: Duration,
}

enum Answer {
    Addresses(Vec<(IpAddr, Scope)>),
    /// NXDOMAIN or NODATA: an answer, and it is no.
    Nothing(&'static str),
    ProbeError(&'static str),
    /// No help at all: nothing, or REFUSED.
    Silence(&'static str),
    NotAsked,
}

impl ServerAnswers {
    fn of(context: &Context<'_>, observation: &Observation, evidence: &DnsEvidence) -> Self {
        let voice = |resolver| ServerAnswer::of(evidence, resolver, |ip| scope(context, observation, ip));
        Self { system: voice(Resolver::System), vpc: voice(Resolver::Vpc) }
    }

    fn fact(&self, host: &str) -> String {
        let (system, vpc) = (&self.system, &self.vpc);
        let (one, other) = (system.named("resolver"), vpc.named("VPC resolver"));
        match (system.words(), vpc.words()) {
            (None, None) => format!("{host} could not be looked up"),
            (Some(words), None) => format!("{host}: {one} says {words} {}", system.after()),
            (None, Some(words)) => format!("{host}: {other} says {words} {}", vpc.after()),
            (Some(words), Some(same)) if words == same => {
                format!("{host}: {one} and {other} both say {words} {}", system.after())
            }
            (Some(words), Some(others)) => {
                format!(
                    "{host}: {one} says {words} {}, {other} says {others} {}",
                    system.after(),
                    vpc.after()
                )
            }
        }
    }

    fn only_ipv6_is_public(&self) -> bool {
        let Answer::Addresses(ips) = &self.system.says else { return false };
        let all = |wanted, public| {
            let mut of_family = ips.iter().filter(|(ip, _)| Family::of(*ip) == wanted).peekable();
            of_family.peek().is_some() && of_family.all(|(_, scope)| (*scope == Scope::Public) == public)
        };
        all(Family::Ipv4, false) && all(Family::Ipv6, true)
    }
}

impl ServerAnswer {
    /// The best of all answers: one positive answer outweighs the silence of a second server.
    fn of(evidence: &DnsEvidence, resolver: Resolver, scope: impl Fn(IpAddr) -> Scope) -> Self {
        let queries = || evidence.queries.iter().filter(|answer| answer.resolver == resolver);
        let Some(best) = queries().max_by_key(|answer| weight(answer)) else {
            return Self { says: Answer::NotAsked, server: None, took: Duration::ZERO };
        };
        let mut ips: Vec<(IpAddr, Scope)> = Vec::new();
        for ip in queries().flat_map(|answer| addresses(&answer.result)) {
            if !ips.iter().any(|(known, _)| known == ip) {
                ips.push((*ip, scope(*ip)));
            }
        }
        let says = if ips.is_empty() { says(&best.result) } else { Answer::Addresses(ips) };
        Self { says, server: Some(best.server), took: best.took }
    }

    fn answers(&self) -> bool {
        matches!(self.says, Answer::Addresses(_) | Answer::Nothing(_))
    }

    /// It leads to other addresses, and none of them is the internet's.
    fn knows_better(&self, wrong: &[IpAddr]) -> bool {
        let Answer::Addresses(ips) = &self.says else { return false };
        ips.iter().all(|(ip, scope)| {
            !wrong.contains(ip) && matches!(scope, Scope::Vpc | Scope::Expected | Scope::Private)
        })
    }

    fn named(&self, who: &str) -> String {
        match self.server {
            Some(server) => format!("{who} {}", server.ip()),
            None => who.to_owned(),
        }
    }

    fn after(&self) -> String {
        format!("after {}", wording::duration(self.took))
    }

    fn words(&self) -> Option<String> {
        match &self.says {
            Answer::Addresses(ips) => {
                Some(wording::names(ips.iter().map(|(ip, scope)| format!("{ip} ({})", scope.code()))))
            }
            Answer::Nothing(code) | Answer::ProbeError(code) | Answer::Silence(code) => {
                Some((*code).to_owned())
            }
            Answer::NotAsked => None,
        }
    }
}

fn addresses(result: &QueryResult) -> &[IpAddr] {
    match result {
        QueryResult::Addresses { addresses, .. } => addresses,
        QueryResult::Nxdomain
        | QueryResult::Servfail
        | QueryResult::Refused
        | QueryResult::OtherCode { .. }
        | QueryResult::Truncated { .. }
        | QueryResult::Timeout
        | QueryResult::Unreachable { .. }
        | QueryResult::Invalid { .. } => &[],
    }
}

fn says(result: &QueryResult) -> Answer {
    match result {
        QueryResult::Addresses { .. } => Answer::Nothing("no address (NODATA)"),
        QueryResult::Nxdomain => Answer::Nothing("no such name (NXDOMAIN)"),
        QueryResult::Servfail => Answer::ProbeError("SERVFAIL"),
        QueryResult::OtherCode { .. } => Answer::ProbeError("an error code"),
        QueryResult::Truncated { .. } => Answer::ProbeError("a truncated answer"),
        QueryResult::Invalid { .. } => Answer::ProbeError("what is no DNS answer"),
        QueryResult::Refused => Answer::Silence("REFUSED"),
        QueryResult::Timeout => Answer::Silence("nothing"),
        QueryResult::Unreachable { .. } => Answer::Silence("nothing (unreachable)"),
    }
}

fn weight(answer: &Query) -> u8 {
    match says(&answer.result) {
        Answer::Nothing(_) if !addresses(&answer.result).is_empty() => 3,
        Answer::Nothing(_) => 2,
        Answer::ProbeError(_) => 1,
        Answer::Addresses(_) | Answer::Silence(_) | Answer::NotAsked => 0,
    }
}
