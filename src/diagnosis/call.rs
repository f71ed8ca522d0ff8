//! Why ListMetrics is not answered with metrics: whose policy, whose clock, whose limit.

use std::time::Duration;

use super::context::{Context, Failure, detail, host};
use super::finding::Finding;
use super::presumption::default_cause;
use super::{Cause, certificate};
use crate::check::{CheckId, Step};
use crate::observation::{CallEvidence, Evidence, Observation, Outcome, Proof};
use crate::wording;

/// AWS refuses a signature beyond five minutes.
const REFUSED_FROM_SECONDS: u64 = 300;

/// Well beyond the second that a Date header is rounded to and the time that it travels.
const WORTH_A_WARNING_SECONDS: u64 = 60;

pub fn findings(context: &Context<'_>, observation: &Observation, failure: &Failure) -> Vec<Finding> {
    let Some(default_cause) = default_cause(failure.reason) else { return vec![] };
    let call =
        calls(observation).iter().find(|call| failure.ips.is_empty() || failure.ips.contains(&call.ip));
    let skew = call.and_then(|call| call.clock_skew);
    let cause = cause(context, observation, default_cause, skew);
    let mut fact = fact(observation, failure, call);
    if let Some(skew) = skew.filter(|_| cause == Cause::ClockWrong) {
        fact = format!("{}; {fact}", skewed(skew, host(observation)));
    }
    if matches!(cause, Cause::EndpointInterfaceDown | Cause::EndpointSecurityGroup) {
        fact = closed_after_connect(observation, failure);
    }
    let subject = if cause == Cause::EndpointInterfaceDown {
        wording::names(failure.ips.first())
    } else {
        host(observation).to_owned()
    };
    vec![Finding::new(cause, fact).about(subject).advising(advice(cause, call, proof(observation)))]
}

/// A clock that is off and breaks nothing yet.
pub fn skew_warning(context: &Context<'_>) -> Option<Finding> {
    let of_calls = context.step(Step::Call).flat_map(|(_, observation)| {
        calls(observation).iter().filter_map(move |call| Some((call.clock_skew?, host(observation))))
    });
    let of_connections = context.step(Step::Connect).flat_map(|(_, observation)| {
        certificate::connections(observation)
            .iter()
            .filter_map(move |c| Some((c.clock_skew?, host(observation))))
    });
    let (skew, host) = of_calls
        .chain(of_connections)
        .filter(|(_, host)| super::host::is_aws(host))
        .max_by_key(|(skew, _)| skew.unsigned_abs())?;
    (skew.unsigned_abs() >= WORTH_A_WARNING_SECONDS)
        .then(|| Finding::new(Cause::ClockWrong, skewed(skew, host)).about(host))
}

fn cause(context: &Context<'_>, observation: &Observation, default_cause: Cause, skew: Option<i64>) -> Cause {
    let connect = CheckId::Endpoint(observation.check.target().to_owned(), Step::Connect);
    let intercepted = context.check(&connect).is_some_and(certificate::is_intercepted);
    let clock_is_off = skew.is_some_and(|skew| skew.unsigned_abs() >= REFUSED_FROM_SECONDS);
    if default_cause == Cause::CredentialsInvalid && clock_is_off {
        Cause::ClockWrong
    } else if default_cause == Cause::NotAws && intercepted {
        Cause::TlsIntercepted
    } else if default_cause == Cause::EndpointSecurityGroup
        && observation.addresses.iter().any(|address| address.outcome == Outcome::Pass)
    {
        // The same address let `connect` in a moment before, and the others still do.
        Cause::EndpointInterfaceDown
    } else if default_cause == Cause::MtuBlackHole {
        Cause::EndpointSilent
    } else {
        default_cause
    }
}

fn advice(cause: Cause, call: Option<&CallEvidence>, proof: Option<Proof>) -> Option<String> {
    let message = call.and_then(|call| call.aws_error.as_ref()).map_or("", |error| error.message.as_str());
    if cause == Cause::OrganizationPolicy {
        return policy(message).map(|kind| format!("The policy is a {kind}."));
    }
    if let (Cause::IdentityPolicy, Some(proof)) = (cause, proof) {
        return Some(format!(
            "Because of the role's condition on {}, AWS also denies a call that came over the internet or another endpoint.",
            proof.key()
        ));
    }
    let who = matches!(cause, Cause::IdentityPolicy | Cause::EndpointPolicy);
    let principal = principal(message).filter(|_| who)?;
    Some(format!("The principal is {}.", wording::clip(principal, 120)))
}

/// The kind of policy, in the words of AWS's own message.
fn policy(message: &str) -> Option<&'static str> {
    let kinds =
        ["service control policy", "resource control policy", "permissions boundary", "session policy"];
    kinds.into_iter().find(|kind| message.contains(kind))
}

fn principal(message: &str) -> Option<&str> {
    message.split_once("User: ")?.1.split_whitespace().next()
}

fn fact(observation: &Observation, failure: &Failure, call: Option<&CallEvidence>) -> String {
    let ips = if failure.ips.is_empty() {
        call.map(|call| call.ip).into_iter().collect()
    } else {
        failure.ips.clone()
    };
    let at = wording::names(&ips);
    let name = host(observation);
    let Some(call) = call else {
        return format!("{name}: {}", failure.reason.words());
    };
    let took: Duration = call.phases.iter().map(|(_, took)| *took).sum();
    let took = wording::duration(if took.is_zero() { observation.took } else { took });
    let status = call.http_status.map(|status| status.to_string());
    let words = failure.reason.words();
    let words = status.as_ref().map_or(words.to_owned(), |status| format!("HTTP {status}, {words}"));
    match (&call.aws_error, detail(observation)) {
        (Some(error), _) => {
            let (code, message) = (wording::clip(&error.code, 40), wording::clip(&error.message, 240));
            format!("{at} answered {} {code} after {took}: {message}", status.unwrap_or_default())
        }
        (None, Some(detail)) => {
            format!("{name} at {at}: {words}, after {took} ({})", wording::clip(&detail, 180))
        }
        (None, None) => format!("{name} at {at}: {words}, after {took}"),
    }
}

fn closed_after_connect(observation: &Observation, failure: &Failure) -> String {
    format!(
        "{} at {}: {} had just connected, then TCP connect timed out after {}",
        host(observation),
        wording::names(&failure.ips),
        CheckId::Endpoint(observation.check.target().to_owned(), Step::Connect),
        wording::duration(observation.took)
    )
}

fn skewed(skew: i64, host: &str) -> String {
    let side = if skew.is_negative() { "ahead of" } else { "behind" };
    format!("this clock is {} s {side} the Date header of {host}", skew.unsigned_abs())
}

/// What the role's policy asks for, by the configuration.
fn proof(observation: &Observation) -> Option<Proof> {
    let Evidence::Call { proof, .. } = &observation.evidence else { return None };
    proof.map(|proof| proof.condition)
}

fn calls(observation: &Observation) -> &[CallEvidence] {
    let Evidence::Call { calls, .. } = &observation.evidence else { return &[] };
    calls
}
