//! Why a name does not lead to the endpoint: who says what, the system's resolvers or the VPC's.

mod answers;
mod on_this_host;
mod own_names;
mod warnings;

use std::net::IpAddr;

use super::context::{Context, Failure, broken};
use super::finding::Finding;
use super::presumption::default_cause;
use super::{Cause, host};
use crate::check::{CheckId, Step};
use crate::network::Scope;
use crate::observation::{DnsEvidence, Evidence, Observation, Reason};
use crate::wording;
use answers::{Answer, ServerAnswers};

pub use warnings::warnings;

pub fn findings(context: &Context<'_>, observation: &Observation, failure: &Failure) -> Vec<Finding> {
    let Some(default_cause) = default_cause(failure.reason) else { return vec![] };
    let Evidence::Dns(evidence) = &observation.evidence else {
        let fact = format!("{}: {}", observation.check, failure.reason.words());
        return vec![Finding::new(default_cause, fact).about(observation.check.target())];
    };
    if failure.reason == Reason::VpcCidrsUnknown {
        return vec![cidrs_unknown(context, evidence)];
    }
    if failure.reason == Reason::NotThisEndpoint {
        return vec![own_names::finding(context, observation, evidence)];
    }
    let answers = ServerAnswers::of(context, observation, evidence);
    if let Some(own) = on_this_host::finding(context, observation, failure, evidence, &answers) {
        return vec![own];
    }
    let cause = cause(context, failure, evidence, &answers, default_cause);
    let finding = Finding::new(cause, answers.fact(&evidence.host)).about(&evidence.host);
    vec![match regions_if_different(context, &evidence.host) {
        Some((theirs, own)) if cause == Cause::PrivateDnsOff => {
            finding.healed_by(other_region(&evidence.host, theirs, own))
        }
        Some(_) | None => finding.advising(advice(context, cause, failure, evidence, &answers)),
    }]
}

/// An address that does not work and that the VPC resolver does not return: private, but not, or no
/// longer, the endpoint's.
pub fn stale_address(context: &Context<'_>, observation: &Observation, failure: &Failure) -> Option<Finding> {
    let dns = context.check(&CheckId::Endpoint(observation.check.target().to_owned(), Step::Dns))?;
    let Evidence::Dns(evidence) = &dns.evidence else { return None };
    let answers = ServerAnswers::of(context, dns, evidence);
    // An intercepted certificate is the more important finding, wherever the interceptor is.
    let intercepted = failure.reason == Reason::CertificateUntrusted;
    if failure.ips.is_empty() || intercepted || !answers.vpc.knows_better(&failure.ips) {
        return None;
    }
    let pinned = on_this_host::hosts_file(evidence, |ip| failure.ips.contains(&ip));
    Some(pinned.unwrap_or_else(|| {
        let fact = format!(
            "{}; {}: {}",
            answers.fact(&evidence.host),
            wording::names(&failure.ips),
            failure.reason.words()
        );
        Finding::new(Cause::ResolverBypassesVpc, fact).about(&evidence.host)
    }))
}

const NO_CIDR: &str = "List the VPC's CIDRs in expected_cidrs, and find out what answers at 169.254.169.254: instance metadata of EC2 always lists them.";

fn cidrs_unknown(context: &Context<'_>, evidence: &DnsEvidence) -> Finding {
    let metadata = context.check(&CheckId::Instance).map(|instance| broken(instance.outcome));
    let metadata_reason = metadata.flatten();
    let lists_none = metadata == Some(None);
    let metadata = match metadata {
        Some(Some(reason)) => reason.words().to_owned(),
        Some(None) => "instance metadata answers, but lists no CIDR".to_owned(),
        None => "instance metadata is not asked".to_owned(),
    };
    let fact = format!(
        "{metadata}, so it is not known whether the addresses of {} belong to the VPC",
        evidence.host
    );
    let is_own = metadata_reason == Some(Reason::NoResources);
    let cause = if is_own { Cause::NoResources } else { Cause::MetadataUnavailable };
    let finding = Finding::new(cause, fact).about(&evidence.host);
    if lists_none { finding.healed_by(NO_CIDR) } else { finding }
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
    answers: &ServerAnswers,
    default_cause: Cause,
) -> Cause {
    let is_wrong_address = matches!(default_cause, Cause::PrivateDnsOff | Cause::ForeignZone);
    let vpc = &answers.vpc;
    let bypassed = (is_wrong_address && vpc.knows_better(&failure.ips))
        || (default_cause == Cause::NameUnknown && matches!(vpc.says, Answer::Addresses(_)))
        || (default_cause == Cause::VpcDnsSupportOff && vpc.answers());
    if bypassed {
        Cause::ResolverBypassesVpc
    } else if is_wrong_address && matches!(vpc.says, Answer::Silence(_)) {
        Cause::VpcDnsSupportOff
    } else if default_cause == Cause::NameUnknown {
        absent(context, &evidence.host)
    } else {
        default_cause
    }
}

/// A public AWS name exists everywhere: where it does not, a resolver or firewall hides it.
fn absent(context: &Context<'_>, name: &str) -> Cause {
    let expected = host::is_aws(name) && !host::is_of_one_endpoint(name) && host::suggestion(name).is_none();
    if expected && regions_if_different(context, name).is_none() {
        Cause::ForeignZone
    } else {
        Cause::NameUnknown
    }
}

/// The region of the name and of the instance, where they differ.
fn regions_if_different<'a>(context: &Context<'a>, name: &'a str) -> Option<(&'a str, &'a str)> {
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
    answers: &ServerAnswers,
) -> Option<String> {
    let name = &evidence.host;
    if cause == Cause::NameUnknown
        && let Some((theirs, own)) = regions_if_different(context, name)
    {
        return Some(format!(
            "An endpoint serves its own region only: {name} is in {theirs}, the instance in {own}."
        ));
    }
    if cause == Cause::NameUnknown {
        let gone = host::is_of_one_endpoint(name).then(|| {
            "The endpoint is deleted, or still pending: its own name lives as long as it does.".to_owned()
        });
        return host::suggestion(name)
            .map(|suggestion| format!("The correct name is {suggestion}."))
            .or(gone);
    }
    if cause == Cause::PrivateDnsOff && host::may_be_gateway(name) {
        return Some(format!(
            "If {name} is reached through a gateway endpoint, set type = \"gateway\" there."
        ));
    }
    if cause == Cause::PrivateDnsOff && answers.only_ipv6_is_public() {
        return Some(
            "Only IPv6 is public: make the endpoint's IP address type and DNS record IP type dualstack."
                .into(),
        );
    }
    let intended =
        "If endpoints live there on purpose (hub VPC, peering), add their range to expected_cidrs.";
    (cause == Cause::ForeignZone && failure.reason == Reason::OutsideVpc).then(|| intended.into())
}
