//! What a certificate tells about who answered.

use std::net::IpAddr;
use std::time::{Duration, SystemTime};

use super::context::{self, Context, Failure};
use super::finding::Finding;
use super::{Cause, host};
use crate::check::Step;
use crate::observation::{Certificate, Connection, Evidence, Observation, Reason};
use crate::wording;

pub fn connections(observation: &Observation) -> &[Connection] {
    let Evidence::Connect { connections, .. } = &observation.evidence else { return &[] };
    connections
}

pub fn shown(observation: &Observation, ips: &[IpAddr]) -> Option<Certificate> {
    connections(observation)
        .iter()
        .find(|c| ips.contains(&c.ip) && c.certificate.is_some())?
        .certificate
        .clone()
}

/// Why this host trusts less than it should, where a certificate failed of it.
fn trust_store<'a>(observation: &'a Observation, ips: &[IpAddr]) -> Option<&'a str> {
    connections(observation).iter().filter(|c| ips.contains(&c.ip)).find_map(|c| c.trust_store.as_deref())
}

/// A handshake that ended at the certificate.
pub fn finding(observation: &Observation, failure: &Failure) -> Finding {
    let name = context::host(observation);
    let at = wording::names(&failure.ips);
    let Some(certificate) = shown(observation, &failure.ips) else {
        let fact = format!("{name}: the certificate at {at}: {}", failure.reason.words());
        return Finding::new(Cause::CertificateInvalid, fact).about(name);
    };
    let issuer = wording::clip(&certificate.issuer, 100);
    if let Some(problem) = trust_store(observation, &failure.ips) {
        let fact =
            format!("{name} at {at} shows a certificate issued by {issuer}: {}", wording::clip(problem, 180));
        return Finding::new(Cause::TrustStore, fact).about(name);
    }
    if is_foreign(name, &certificate) {
        let fact =
            format!("{name} at {at} shows a certificate issued by {issuer}: {}", failure.reason.words());
        return Finding::new(Cause::TlsIntercepted, fact).about(name);
    }
    if let Some(off) = off_by(failure.reason, &certificate, observation.started_at)
        && host::is_commercial_aws(name)
    {
        let fact = format!(
            "by this host's clock, the certificate of {name} from {issuer} {off}; AWS does not serve such certificates"
        );
        return Finding::new(Cause::ClockWrong, fact).about(name);
    }
    let names = wording::clip(&wording::names(&certificate.names), 90);
    let carries = if names.is_empty() { String::new() } else { format!(" for {names}") };
    let fact =
        format!("{name} at {at} shows a certificate issued by {issuer}{carries}: {}", failure.reason.words());
    Finding::new(Cause::CertificateInvalid, fact).about(name)
}

/// A certificate that this host trusts, and that AWS would not show: it works, and is read on the way.
pub fn warnings(context: &Context<'_>) -> Vec<Finding> {
    let mut findings = Vec::new();
    for (_, observation) in context.step(Step::Connect) {
        let name = context::host(observation);
        for connection in connections(observation).iter().filter(|c| c.error.is_none()) {
            let Some(certificate) = &connection.certificate else { continue };
            if is_foreign(name, certificate) {
                let issuer = wording::clip(&certificate.issuer, 100);
                let fact = format!(
                    "{name} at {} shows a certificate that this host trusts, issued by {issuer}",
                    connection.ip
                );
                findings.push(Finding::new(Cause::TlsIntercepted, fact).about(name));
            }
        }
    }
    findings
}

/// Whether any of the endpoint's addresses shows the certificate of a proxy.
pub fn is_intercepted(observation: &Observation) -> bool {
    let name = context::host(observation);
    connections(observation).iter().any(|c| c.certificate.as_ref().is_some_and(|c| is_foreign(name, c)))
}

/// Only where AWS is known to use its public authority; DigiCert signed for it before.
fn is_foreign(name: &str, certificate: &Certificate) -> bool {
    let issuer = certificate.issuer.to_ascii_lowercase();
    host::is_commercial_aws(name)
        && !["amazon", "starfield", "digicert"].iter().any(|known| issuer.contains(known))
}

fn off_by(reason: Reason, certificate: &Certificate, now: SystemTime) -> Option<String> {
    if reason == Reason::CertificateExpired {
        Some(format!("expired {} ago", days(now.duration_since(certificate.not_after?).ok()?)))
    } else if reason == Reason::CertificateNotYetValid {
        Some(format!("becomes valid in {}", days(certificate.not_before?.duration_since(now).ok()?)))
    } else {
        None
    }
}

fn days(off: Duration) -> String {
    match off.as_secs() / 86_400 {
        0 => "less than a day".to_owned(),
        1 => "1 day".to_owned(),
        days => format!("{days} days"),
    }
}
