//! Why a name does not lead to the endpoint: who says what, the system's resolvers or the VPC's.

use std::net::{IpAddr, SocketAddr};
use std::time::Duration;

use super::finding::Finding;
use super::presumption::presumed;
use super::scene::{Fault, Scene, broken};
use super::{Cause, host, text};
use crate::check::{CheckId, Family, Rung};
use crate::network::Scope;
use crate::observation::{Answer, DnsSeen, Evidence, Observation, Reason, Reply, Resolver};

pub fn findings(scene: &Scene<'_>, observation: &Observation, fault: &Fault) -> Vec<Finding> {
    let Some(presumed) = presumed(fault.reason) else { return vec![] };
    let Evidence::Dns(seen) = &observation.evidence else {
        let fact = format!("{}: {}", observation.check, fault.reason.words());
        return vec![Finding::new(presumed, fact).about(observation.check.target())];
    };
    if fault.reason == Reason::VpcCidrsUnknown {
        return vec![cidrs_unknown(scene, seen)];
    }
    if let Some(pinned) = pinned(seen, |ip| !scope(scene, observation, ip).is_inside()) {
        return vec![pinned];
    }
    let voices = Voices::of(scene, observation, seen);
    let cause = cause(scene, fault, seen, &voices, presumed);
    let finding = Finding::new(cause, voices.fact(&seen.host)).about(&seen.host);
    vec![match elsewhere(scene, &seen.host) {
        Some((theirs, own)) if cause == Cause::PrivateDnsOff => {
            finding.healed_by(other_region(&seen.host, theirs, own))
        }
        Some(_) | None => finding.advising(advice(scene, cause, fault, seen, &voices)),
    }]
}

/// An address that does not work, and that the VPC's own resolver does not name: it lies where it
/// may, and yet is not the endpoint's, or is not any more.
pub fn misled(scene: &Scene<'_>, observation: &Observation, fault: &Fault) -> Option<Finding> {
    let told = scene.check(&CheckId::Endpoint(observation.check.target().to_owned(), Rung::Dns))?;
    let Evidence::Dns(seen) = &told.evidence else { return None };
    let voices = Voices::of(scene, told, seen);
    // Who shows a certificate of his own is the news, wherever he sits.
    let intercepted = fault.reason == Reason::CertificateUntrusted;
    if fault.ips.is_empty() || intercepted || !voices.vpc.knows_better(&fault.ips) {
        return None;
    }
    let pinned = pinned(seen, |ip| fault.ips.contains(&ip));
    Some(pinned.unwrap_or_else(|| {
        let fact =
            format!("{}; {}: {}", voices.fact(&seen.host), text::listed(&fault.ips), fault.reason.words());
        Finding::new(Cause::ResolverBypassesVpc, fact).about(&seen.host)
    }))
}

/// The VPC's resolver says otherwise while the system's answer is fine.
pub fn warnings(scene: &Scene<'_>) -> Vec<Finding> {
    let mut findings = Vec::new();
    for (_, observation) in scene.rung(Rung::Dns).filter(|(_, o)| scene.passed(&o.check)) {
        let Evidence::Dns(seen) = &observation.evidence else { continue };
        let voices = Voices::of(scene, observation, seen);
        let all_inside = observation.addresses.iter().all(|address| address.scope.is_inside());
        let otherwise = match &voices.vpc.says {
            Says::Addresses(ips) => ips.iter().any(|&(_, scope)| scope == Scope::Public),
            Says::Nothing(_) => true,
            Says::Trouble(_) | Says::Silence(_) | Says::NotAsked => false,
        };
        if all_inside && otherwise && matches!(voices.system.says, Says::Addresses(_)) {
            findings.push(
                Finding::new(Cause::ResolverBypassesVpc, voices.fact(&seen.host)).about(&seen.host).advising(
                    "If the system's resolvers are right on purpose, nothing needs to change.".to_owned(),
                ),
            );
        }
    }
    findings
}

fn cidrs_unknown(scene: &Scene<'_>, seen: &DnsSeen) -> Finding {
    let metadata = match scene.check(&CheckId::Instance).map(|instance| broken(instance.outcome)) {
        Some(Some(reason)) => reason.words().to_owned(),
        Some(None) => "instance metadata answers, but lists no CIDR".to_owned(),
        None => "instance metadata is not asked".to_owned(),
    };
    let fact = format!("{metadata}, so nobody can say whether the addresses of {} are the VPC's", seen.host);
    Finding::new(Cause::MetadataUnavailable, fact).about(&seen.host)
}

/// `/etc/hosts` comes before any resolver.
fn pinned(seen: &DnsSeen, is_wrong: impl Fn(IpAddr) -> bool) -> Option<Finding> {
    let ip = seen.hosts_file.iter().find(|ip| is_wrong(**ip))?;
    let fact = format!("/etc/hosts says {ip} for {}", seen.host);
    let remedy =
        format!("Remove {} from /etc/hosts: applications take it before they ask anybody.", seen.host);
    Some(Finding::new(Cause::ResolverBypassesVpc, fact).about(&seen.host).healed_by(remedy))
}

/// By the verdict where it judged the address, else by metadata.
fn scope(scene: &Scene<'_>, observation: &Observation, ip: IpAddr) -> Scope {
    let judged = observation.addresses.iter().find(|address| address.ip == ip);
    judged.map_or_else(|| scene.scope(ip), |address| address.scope)
}

fn cause(scene: &Scene<'_>, fault: &Fault, seen: &DnsSeen, voices: &Voices, presumed: Cause) -> Cause {
    let misled = matches!(presumed, Cause::PrivateDnsOff | Cause::ForeignZone);
    let vpc = &voices.vpc;
    let bypassed = (misled && vpc.knows_better(&fault.ips))
        || (presumed == Cause::NameUnknown && matches!(vpc.says, Says::Addresses(_)))
        || (presumed == Cause::VpcDnsSupportOff && vpc.answers());
    if bypassed {
        Cause::ResolverBypassesVpc
    } else if misled && matches!(vpc.says, Says::Silence(_)) {
        Cause::VpcDnsSupportOff
    } else if presumed == Cause::NameUnknown {
        absent(scene, &seen.host)
    } else {
        presumed
    }
}

/// A public AWS name exists for everybody: where it does not, somebody hides it.
fn absent(scene: &Scene<'_>, name: &str) -> Cause {
    let expected = host::is_aws(name) && !host::is_of_one_endpoint(name) && host::meant(name).is_none();
    if expected && elsewhere(scene, name).is_none() { Cause::ForeignZone } else { Cause::NameUnknown }
}

/// The region of the name and of the instance, where they differ.
fn elsewhere<'a>(scene: &Scene<'a>, name: &'a str) -> Option<(&'a str, &'a str)> {
    let own = scene.instance?.region.as_deref()?;
    host::region(name).filter(|region| *region != own).map(|region| (region, own))
}

/// Private DNS cannot be turned on for it here.
fn other_region(name: &str, theirs: &str, own: &str) -> String {
    format!(
        "An endpoint serves its own region only: {name} is in {theirs}, the instance in {own}. Give the name of {own} in linkproof.toml; to reach {theirs} privately takes an endpoint there, peering, and its addresses in expected_cidrs."
    )
}

fn advice(scene: &Scene<'_>, cause: Cause, fault: &Fault, seen: &DnsSeen, voices: &Voices) -> Option<String> {
    let name = &seen.host;
    if cause == Cause::NameUnknown
        && let Some((theirs, own)) = elsewhere(scene, name)
    {
        return Some(format!(
            "An endpoint serves its own region only: {name} is in {theirs}, the instance in {own}."
        ));
    }
    if cause == Cause::NameUnknown {
        let gone = host::is_of_one_endpoint(name).then(|| {
            "The endpoint is deleted, or still pending: its own name lives as long as it does.".to_owned()
        });
        return host::meant(name).map(|meant| format!("It is {meant}.")).or(gone);
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
    (cause == Cause::ForeignZone && fault.reason == Reason::OutsideVpc).then(|| intended.into())
}

/// What the two sides say about one name.
struct Voices {
    system: Voice,
    vpc: Voice,
}

struct Voice {
    says: Says,
    server: Option<SocketAddr>,
    took: Duration,
}

enum Says {
    Addresses(Vec<(IpAddr, Scope)>),
    /// NXDOMAIN or NODATA: an answer, and it is no.
    Nothing(&'static str),
    Trouble(&'static str),
    /// No help at all: nothing, or REFUSED.
    Silence(&'static str),
    NotAsked,
}

impl Voices {
    fn of(scene: &Scene<'_>, observation: &Observation, seen: &DnsSeen) -> Self {
        let voice = |resolver| Voice::of(seen, resolver, |ip| scope(scene, observation, ip));
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
        let Says::Addresses(ips) = &self.system.says else { return false };
        let all = |wanted, public| {
            let mut of_family = ips.iter().filter(|(ip, _)| Family::of(*ip) == wanted).peekable();
            of_family.peek().is_some() && of_family.all(|(_, scope)| (*scope == Scope::Public) == public)
        };
        all(Family::Ipv4, false) && all(Family::Ipv6, true)
    }
}

impl Voice {
    /// The best of all answers: one positive answer outweighs the silence of a second server.
    fn of(seen: &DnsSeen, resolver: Resolver, scope: impl Fn(IpAddr) -> Scope) -> Self {
        let answers = || seen.answers.iter().filter(|answer| answer.resolver == resolver);
        let Some(best) = answers().max_by_key(|answer| weight(answer)) else {
            return Self { says: Says::NotAsked, server: None, took: Duration::ZERO };
        };
        let mut ips: Vec<(IpAddr, Scope)> = Vec::new();
        for ip in answers().flat_map(|answer| addresses(&answer.reply)) {
            if !ips.iter().any(|(known, _)| known == ip) {
                ips.push((*ip, scope(*ip)));
            }
        }
        let says = if ips.is_empty() { says(&best.reply) } else { Says::Addresses(ips) };
        Self { says, server: Some(best.server), took: best.took }
    }

    fn answers(&self) -> bool {
        matches!(self.says, Says::Addresses(_) | Says::Nothing(_))
    }

    /// It leads to other addresses, and none of them is the internet's.
    fn knows_better(&self, wrong: &[IpAddr]) -> bool {
        let Says::Addresses(ips) = &self.says else { return false };
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
        format!("after {}", text::spell(self.took))
    }

    fn words(&self) -> Option<String> {
        match &self.says {
            Says::Addresses(ips) => {
                Some(text::listed(ips.iter().map(|(ip, scope)| format!("{ip} ({})", scope.code()))))
            }
            Says::Nothing(code) | Says::Trouble(code) | Says::Silence(code) => Some((*code).to_owned()),
            Says::NotAsked => None,
        }
    }
}

fn addresses(reply: &Reply) -> &[IpAddr] {
    match reply {
        Reply::Addresses { addresses, .. } => addresses,
        Reply::Nxdomain
        | Reply::Servfail
        | Reply::Refused
        | Reply::OtherCode { .. }
        | Reply::Truncated { .. }
        | Reply::Timeout
        | Reply::Unreachable { .. }
        | Reply::Invalid { .. } => &[],
    }
}

fn says(reply: &Reply) -> Says {
    match reply {
        Reply::Addresses { .. } => Says::Nothing("no address (NODATA)"),
        Reply::Nxdomain => Says::Nothing("no such name (NXDOMAIN)"),
        Reply::Servfail => Says::Trouble("SERVFAIL"),
        Reply::OtherCode { .. } => Says::Trouble("an error code"),
        Reply::Truncated { .. } => Says::Trouble("a truncated answer"),
        Reply::Invalid { .. } => Says::Trouble("what is no DNS answer"),
        Reply::Refused => Says::Silence("REFUSED"),
        Reply::Timeout => Says::Silence("nothing"),
        Reply::Unreachable { .. } => Says::Silence("nothing (unreachable)"),
    }
}

fn weight(answer: &Answer) -> u8 {
    match says(&answer.reply) {
        Says::Nothing(_) if !addresses(&answer.reply).is_empty() => 3,
        Says::Nothing(_) => 2,
        Says::Trouble(_) => 1,
        Says::Addresses(_) | Says::Silence(_) | Says::NotAsked => 0,
    }
}
