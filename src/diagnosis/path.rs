//! Why an address of an endpoint is not reached: silence, refusal, a handshake that stalls.

use std::net::{IpAddr, SocketAddr};
use std::time::Duration;

use super::context::{Context, Failure, broken, detail, host};
use super::finding::Finding;
use super::presumption::default_cause;
use super::{Cause, certificate, names};
use crate::check::{CheckId, Family, Step};
use crate::network::Scope;
use crate::observation::{Address, Connection, ControlResult, Evidence, Observation, Outcome, Phase, Reason};
use crate::wording;

pub fn findings(context: &Context<'_>, observation: &Observation, failure: &Failure) -> Vec<Finding> {
    // The names say what is wrong; the path itself was fine.
    if matches!(failure.reason, Reason::VpcCidrsUnknown | Reason::NotThisEndpoint) {
        return vec![];
    }
    if failure.reason == Reason::FamilyUnavailable {
        return vec![out_of_family(observation)];
    }
    if failure.reason == Reason::SendBlocked {
        return vec![blocked_here(observation, failure)];
    }
    if let Some(findings) = aws_reachable(context, observation, failure) {
        return findings;
    }
    if let Some(finding) = gateway_unproven(context, observation, failure) {
        return vec![finding];
    }
    let Some(default_cause) = default_cause(failure.reason) else { return vec![] };
    if let Some(finding) = names::stale_address(context, observation, failure) {
        return vec![finding];
    }
    if let Some(finding) = gateway(context, observation, failure) {
        return vec![finding];
    }
    if failure.reason == Reason::ConnectTimeout {
        return silence(context, observation, failure);
    }
    if default_cause == Cause::CertificateInvalid {
        return vec![certificate::finding(observation, failure)];
    }
    vec![stalled(context, observation, failure, default_cause)]
}

/// The service of another region answers too. Where everything gets out, that is the cause.
fn aws_reachable(
    context: &Context<'_>,
    observation: &Observation,
    failure: &Failure,
) -> Option<Vec<Finding>> {
    let Evidence::Connect { control: Some(control), .. } = &observation.evidence else { return None };
    let answered = |family: Family| control.result(family) == ControlResult::Reply;
    let families: Vec<Family> = Family::BOTH.into_iter().filter(|family| answered(*family)).collect();
    if failure.reason != Reason::EgressNotClosed || families.is_empty() {
        return None;
    }
    let is_open = |family: &Family| {
        let egress = context.check(&CheckId::Egress(*family));
        egress.is_some_and(|egress| matches!(egress.outcome, Outcome::Fail(_)))
    };
    if families.iter().all(is_open) {
        return Some(vec![]);
    }
    let other = control.host.as_deref().unwrap_or("another region");
    let over = wording::names(families.iter().map(|family| family.name()));
    let fact =
        format!("{} answers, and so does {other} over {over}, where no gateway leads", host(observation));
    Some(vec![Finding::new(Cause::AwsReachable, fact).about(host(observation))])
}

/// A gateway that answers, while no egress check says what else would: they are off, or what passed
/// did not look at its IP version or its port.
fn gateway_unproven(context: &Context<'_>, observation: &Observation, failure: &Failure) -> Option<Finding> {
    let egress = |family| context.check(&CheckId::Egress(family));
    let open = observation.addresses.iter().find(|address| address.outcome != Outcome::Pass)?;
    let family = Family::of(open.ip);
    if failure.reason != Reason::EgressNotClosed || egress(family).is_some_and(|check| !passes(check)) {
        return None;
    }
    let (name, port) = (host(observation), port(observation)?);
    let (lack, key) = if egress(family).is_some() {
        (
            format!("the egress check does not probe TCP {port}"),
            format!("add \"tcp\" to protocols and {port} to tcp_ports"),
        )
    } else if Family::BOTH.into_iter().any(|family| egress(family).is_some()) {
        let (version, code) = (family.name(), family.code());
        (format!("no egress check probes {version}"), format!("add \"{code}\" to families"))
    } else {
        ("no egress check tells which".to_owned(), "set enabled = true".to_owned())
    };
    let fact = format!("{name} answers, over its gateway or over the internet: {lack}");
    let remedy =
        format!("A gateway endpoint passes only while the egress check passes: {key} under [egress].");
    Some(Finding::new(Cause::Unexplained, fact).about(name).healed_by(remedy))
}

fn passes(observation: &Observation) -> bool {
    observation.outcome == Outcome::Pass
}

/// A gateway's addresses are public and in order: its route is what can be missing.
fn gateway(context: &Context<'_>, observation: &Observation, failure: &Failure) -> Option<Finding> {
    let unreached = failure.reason == Reason::ConnectTimeout;
    let public = |ip: &IpAddr| observation.addresses.iter().any(|a| a.ip == *ip && a.scope == Scope::Public);
    let dns = CheckId::Endpoint(observation.check.target().to_owned(), Step::Dns);
    if !unreached || failure.ips.is_empty() || !failure.ips.iter().all(public) || !context.passed(&dns) {
        return None;
    }
    let fact = format!(
        "{}: TCP connect timed out after {} (a public address, as expected of a gateway endpoint)",
        with_port(observation, &failure.ips),
        wording::duration(observation.took)
    );
    let passed = |address: &Address| address.outcome == Outcome::Pass;
    let only_ipv6 = failure.ips.iter().all(IpAddr::is_ipv6) && observation.addresses.iter().any(passed);
    let advice = only_ipv6.then(|| {
        "Over IPv4 it answers: an IPv4 gateway does not divert IPv6. Make the gateway dual-stack, or use the name without dualstack.".to_owned()
    });
    let finding = Finding::new(Cause::GatewayEndpointMissing, fact).about(host(observation));
    Some(finding.at_port(port(observation)).advising(advice))
}

fn blocked_here(observation: &Observation, failure: &Failure) -> Finding {
    let (host, ips) = (host(observation), with_port(observation, &failure.ips));
    let why = detail_of(observation, &failure.ips).unwrap_or_else(|| failure.reason.words().to_owned());
    let fact = if certificate::shown(observation, &failure.ips).is_some() {
        format!("{host}: TLS with {ips} completed, then the request did not leave this host ({why})")
    } else {
        format!("{host}: TCP to {ips} did not leave this host ({why})")
    };
    Finding::new(Cause::SendBlocked, fact)
}

/// All addresses are of a family that the instance lacks, or it would have tried the others.
fn out_of_family(observation: &Observation) -> Finding {
    let ips = observation.addresses.iter().map(|address| address.ip);
    let family = ips.clone().next().map_or("such", |ip| Family::of(ip).name());
    let fact = format!(
        "{} has only {}, and the instance has no global {family} address",
        host(observation),
        wording::names(ips)
    );
    Finding::new(Cause::EndpointFamilyMissing, fact).about(host(observation))
}

/// SYNs without an answer: everybody's, one endpoint's or one interface's. Judged by family,
/// since rules and routes are.
fn silence(context: &Context<'_>, observation: &Observation, failure: &Failure) -> Vec<Finding> {
    let mut findings = Vec::new();
    for family in Family::BOTH {
        let silent: Vec<IpAddr> = of_family(&failure.ips, family);
        if !silent.is_empty() {
            findings.extend(silence_of(context, observation, family, &silent));
        }
    }
    if findings.is_empty() {
        findings.push(unanswered(Cause::EndpointSecurityGroup, observation, &failure.ips));
    }
    findings
}

fn silence_of(
    context: &Context<'_>,
    observation: &Observation,
    family: Family,
    silent: &[IpAddr],
) -> Vec<Finding> {
    let answering =
        observation.addresses.iter().filter(|a| Family::of(a.ip) == family && answered(a)).count();
    if answering > 0 {
        return silent.iter().map(|ip| interface_down(context, observation, *ip, answering)).collect();
    }
    let others = Others::of(context, family);
    if !others.any_answers && others.silent >= 2 {
        return vec![unanswered(Cause::InstanceEgressBlocked, observation, silent)];
    }
    let other_family = observation.addresses.iter().any(|a| Family::of(a.ip) != family && answered(a));
    let advice = other_family.then(|| {
        format!("Only {0} fails here. IPv4 and IPv6 have separate rules: check those for {0}.", family.name())
    });
    vec![unanswered(Cause::EndpointSecurityGroup, observation, silent).advising(advice)]
}

fn interface_down(context: &Context<'_>, observation: &Observation, ip: IpAddr, answering: usize) -> Finding {
    let range = context.instance.and_then(|instance| {
        let of_family = || instance.vpc_cidrs.iter().filter(|cidr| cidr.is_ipv4() == ip.is_ipv4());
        of_family().find(|cidr| of_family().count() > 1 && cidr.contains(ip))
    });
    let zone = observation.addresses.iter().find(|address| address.ip == ip);
    let zone = zone.and_then(|address| address.zone.clone());
    let place: Vec<String> = zone.into_iter().chain(range.map(ToString::to_string)).collect();
    let place = if place.is_empty() { String::new() } else { format!(" (in {})", wording::list(place)) };
    let fact = format!(
        "{} at {}{place}: TCP connect timed out after {}; other addresses that connected: {answering}",
        host(observation),
        with_port(observation, &[ip]),
        wording::duration(observation.took)
    );
    Finding::new(Cause::EndpointInterfaceDown, fact).about(ip.to_string()).at_port(port(observation))
}

fn unanswered(cause: Cause, observation: &Observation, ips: &[IpAddr]) -> Finding {
    let fact = format!(
        "{} at {}: TCP connect timed out after {}",
        host(observation),
        with_port(observation, ips),
        wording::duration(observation.took)
    );
    Finding::new(cause, fact).about(host(observation)).at_port(port(observation))
}

/// How all endpoints fare over one family.
struct Others {
    any_answers: bool,
    /// Wholly silent ones. Names that share an address are one endpoint.
    silent: usize,
}

impl Others {
    fn of(context: &Context<'_>, family: Family) -> Self {
        let mut any_answers = false;
        let mut counted: Vec<IpAddr> = Vec::new();
        let mut silent = 0;
        for (_, observation) in context.step(Step::Connect) {
            let inside = observation
                .addresses
                .iter()
                .filter(|a| Family::of(a.ip) == family && !matches!(a.scope, Scope::Public | Scope::Special));
            let (result, unanswered): (Vec<&Address>, Vec<&Address>) = inside.partition(|a| answered(a));
            any_answers |= !result.is_empty();
            let unanswered: Vec<IpAddr> = unanswered
                .iter()
                .filter(|a| broken(a.outcome) == Some(Reason::ConnectTimeout))
                .map(|a| a.ip)
                .collect();
            if !unanswered.is_empty() && !unanswered.iter().any(|ip| counted.contains(ip)) {
                silent += 1;
            }
            counted.extend(unanswered);
        }
        Self { any_answers, silent }
    }
}

/// Whether TCP got an answer from there, whatever came of it.
fn answered(address: &Address) -> bool {
    address.outcome == Outcome::Pass
        || broken(address.outcome).is_some_and(|reason| {
            matches!(reason, Reason::ConnectionRefused | Reason::ConnectionReset | Reason::TlsTimeout)
                || after_first_bytes(reason)
        })
}

/// The peer sent what only a peer behind a working path sends.
fn after_first_bytes(reason: Reason) -> bool {
    matches!(
        reason,
        Reason::TlsFailed
            | Reason::CertificateExpired
            | Reason::CertificateNotYetValid
            | Reason::CertificateNameMismatch
            | Reason::CertificateUntrusted
            | Reason::RequestUnacknowledged
            | Reason::ResponseTimeout
            | Reason::ResponseInvalid
    )
}

fn stalled(
    context: &Context<'_>,
    observation: &Observation,
    failure: &Failure,
    default_cause: Cause,
) -> Finding {
    let name = host(observation);
    let cause = cause_of_stall(context, observation, failure, default_cause);
    let mut fact =
        format!("{name} at {}: {}", with_port(observation, &failure.ips), words(observation, failure));
    let words = failure.reason.words();
    // "connection refused (Connection refused)" says it twice.
    let news = |detail: &String| !detail.to_lowercase().starts_with(words);
    if let Some(detail) = detail_of(observation, &failure.ips).filter(news) {
        fact = format!("{fact} ({})", wording::clip(&detail, 120));
    }
    let unrouted = failure.ips.first().filter(|_| cause == Cause::HostRoute);
    let about = unrouted.map_or_else(|| name.to_owned(), ToString::to_string);
    Finding::new(cause, fact).about(about).at_port(port(observation))
}

fn cause_of_stall(
    context: &Context<'_>,
    observation: &Observation,
    failure: &Failure,
    default_cause: Cause,
) -> Cause {
    let is_certificate_shown = certificate::shown(observation, &failure.ips).is_some();
    let is_intercepted = is_certificate_shown && certificate::is_intercepted(observation);
    let is_not_the_size = match failure.reason {
        Reason::TlsTimeout => is_certificate_shown || large_packets_arrive(context),
        Reason::RequestUnacknowledged => any_passes(context),
        _ => false,
    };
    match default_cause {
        _ if is_not_the_size => Cause::EndpointSilent,
        Cause::NotAws if is_intercepted => Cause::TlsIntercepted,
        _ => default_cause,
    }
}

/// A check that passes sent a request of the same size.
fn any_passes(context: &Context<'_>) -> bool {
    let mut addresses = context.step(Step::Connect).flat_map(|(_, observation)| &observation.addresses);
    addresses.any(|address| address.scope.is_inside() && address.outcome == Outcome::Pass)
}

/// A handshake that completes anywhere carried the certificates, the first packets of full size.
fn large_packets_arrive(context: &Context<'_>) -> bool {
    context.step(Step::Connect).flat_map(|(_, observation)| &observation.addresses).any(|address| {
        address.scope.is_inside()
            && (address.outcome == Outcome::Pass || broken(address.outcome).is_some_and(after_first_bytes))
    })
}

fn words(observation: &Observation, failure: &Failure) -> String {
    let tcp = connection(observation, &failure.ips).and_then(|c| phase(c, Phase::Tcp)).map(wording::duration);
    let opened = tcp.map(|tcp| format!("TCP opened after {tcp}, then ")).unwrap_or_default();
    let took = wording::duration(observation.took);
    if failure.reason == Reason::TlsTimeout {
        format!("{opened}no TLS answer within {took}")
    } else if failure.reason == Reason::RequestUnacknowledged {
        format!("{opened}TLS, then the request was not acknowledged within {took}")
    } else if failure.reason == Reason::ResponseTimeout {
        format!("{opened}TLS, then no HTTP answer within {took}")
    } else {
        format!("{opened}{}{}", failure.reason.words(), spent(observation, &failure.ips))
    }
}

/// The time of this address alone: the check took as long as its slowest.
fn spent(observation: &Observation, ips: &[IpAddr]) -> String {
    let phases = observation.addresses.iter().find(|a| ips.contains(&a.ip)).map_or(&[][..], |a| &a.phases);
    let alone = phases.is_empty() && observation.addresses.len() <= 1;
    let took = if alone { observation.took } else { phases.iter().map(|(_, took)| *took).sum() };
    if took.is_zero() { String::new() } else { format!(" after {}", wording::duration(took)) }
}

fn connection<'a>(observation: &'a Observation, ips: &[IpAddr]) -> Option<&'a Connection> {
    certificate::connections(observation).iter().find(|connection| ips.contains(&connection.ip))
}

fn phase(connection: &Connection, wanted: Phase) -> Option<Duration> {
    connection.phases.iter().find(|(phase, _)| *phase == wanted).map(|(_, took)| *took)
}

fn detail_of(observation: &Observation, ips: &[IpAddr]) -> Option<String> {
    let own = connection(observation, ips).and_then(|c| c.error.as_ref()).map(|error| error.detail.clone());
    own.or_else(|| detail(observation)).filter(|detail| !detail.is_empty())
}

fn port(observation: &Observation) -> Option<u16> {
    let Evidence::Connect { port, .. } = &observation.evidence else { return None };
    Some(*port)
}

fn with_port(observation: &Observation, ips: &[IpAddr]) -> String {
    if ips.is_empty() {
        return "its addresses".to_owned();
    }
    match port(observation) {
        Some(port) => wording::names(ips.iter().map(|ip| SocketAddr::new(*ip, port))),
        None => wording::names(ips),
    }
}

fn of_family(ips: &[IpAddr], family: Family) -> Vec<IpAddr> {
    ips.iter().copied().filter(|ip| Family::of(*ip) == family).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_reason_tells_how_far_the_connection_came() {
        use Reason::*;
        let nothing = [ConnectTimeout, NetworkUnreachable, AddressOutsideVpc, InternalError];
        let an_answer = [ConnectionRefused, ConnectionReset, TlsTimeout];
        let bytes = [
            TlsFailed,
            CertificateExpired,
            CertificateNotYetValid,
            CertificateNameMismatch,
            CertificateUntrusted,
            RequestUnacknowledged,
            ResponseTimeout,
            ResponseInvalid,
        ];
        let far = |reason| {
            let ip = IpAddr::from([10, 0, 1, 57]);
            let outcome = Outcome::Fail(reason);
            (
                answered(&Address { ip, scope: Scope::Vpc, outcome, phases: vec![], zone: None }),
                after_first_bytes(reason),
            )
        };
        assert_eq!(nothing.map(far), [(false, false); 4]);
        assert_eq!(an_answer.map(far), [(true, false); 3]);
        assert_eq!(bytes.map(far), [(true, true); 8]);
    }
}
