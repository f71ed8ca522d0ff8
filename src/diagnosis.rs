//! The cause that explains the reasons of all checks at one moment. Pure: observations in, causes out.
//!
//! Each reason points at one cause at first sight (`presumption`); the rules of its area look at
//! everything else that was seen and may know better (`instance`, `names`, `path`, `call`,
//! `egress`). A check that only suffers from another is explained by the other's cause. What is
//! left is `unexplained`: no red check is ever without a diagnosis.

mod call;
mod cause;
mod certificate;
mod context;
mod egress;
mod finding;
mod host;
mod instance;
mod names;
mod path;
mod presumption;
#[cfg(test)]
mod scenario;
mod settings;
mod text;

pub use cause::Cause;
pub use presumption::{advice, causes, is_consequence};

use crate::check::{CheckId, Family, Kind, Step};
use crate::observation::{Environment, Instance, Observation, Reason};
use crate::wording;
use context::{Context, Failure, broken};
use finding::Finding;

/// A cause, with what shows it and what to change.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Diagnosis {
    pub cause: Cause,
    pub evidence: String,
    pub remedy: String,
    /// In the order of the report. Empty for a warning: nothing fails of it yet.
    pub explains: Vec<CheckId>,
}

/// Takes the last observation of every check. Every failed or inconclusive one is explained by at
/// least one diagnosis, each cause appears once, and the most fundamental comes first.
pub fn diagnose(
    observations: &[&Observation],
    instance: Option<&Instance>,
    environment: &Environment,
) -> Vec<Diagnosis> {
    let context = Context::new(observations, instance);
    let mut findings = by_rules(&context);
    add_unexplained(&context, &mut findings, |reason| !is_consequence(reason));
    propagate(&context, &mut findings);
    add_unexplained(&context, &mut findings, |_| true);
    propagate(&context, &mut findings);
    add_warnings(&context, environment, &mut findings);
    finding::merge(findings, instance)
}

fn by_rules(context: &Context<'_>) -> Vec<Finding> {
    let mut findings = Vec::new();
    for &observation in context.checks.values() {
        for failure in context::failures(observation) {
            let of_area = by_area(context, observation, &failure);
            findings.extend(of_area.into_iter().map(|finding| finding.explaining(&observation.check)));
        }
    }
    findings
}

/// A moment of load is no cause; three rounds in a row are.
const OVERLOADED_ROUNDS: u32 = 3;

/// What came too late says nothing about the network.
fn overload(observation: &Observation) -> Vec<Finding> {
    let lateness = observation.lateness;
    if lateness.spoiled_rounds < OVERLOADED_ROUNDS {
        return vec![];
    }
    let late = wording::duration(lateness.late);
    let fact = format!(
        "{}: timers of linkproof fired up to {late} late, {} rounds in a row",
        observation.check, lateness.spoiled_rounds
    );
    vec![Finding::new(Cause::HostOverloaded, fact)]
}

fn by_area(context: &Context<'_>, observation: &Observation, failure: &Failure) -> Vec<Finding> {
    if failure.reason == Reason::HostOverloaded {
        return overload(observation);
    }
    match observation.check.kind() {
        Kind::Instance | Kind::Credentials => instance::findings(context, observation, failure),
        Kind::Dns => names::findings(context, observation, failure),
        Kind::Connect => path::findings(context, observation, failure),
        Kind::Call => call::findings(context, observation, failure),
        Kind::Egress => egress::findings(context, observation, failure),
    }
}

/// A broken check that nothing explains is said to be unexplained.
fn add_unexplained(context: &Context<'_>, findings: &mut Vec<Finding>, due: fn(Reason) -> bool) {
    for (&id, observation) in &context.checks {
        let Some(reason) = broken(observation.outcome).filter(|&reason| due(reason)) else { continue };
        if findings.iter().any(|finding| finding.explains.contains(id)) {
            continue;
        }
        let fact = match context::detail(observation) {
            Some(detail) => format!("{id}: {}, {}", reason.words(), wording::clip(&detail, 240)),
            None => format!("{id}: {}", reason.words()),
        };
        let advice = advice(reason).map(str::to_owned);
        findings.push(Finding::new(Cause::Unexplained, fact).advising(advice).explaining(id));
    }
}

/// Lets the causes of a check explain what only waited for it, and so on down the line.
fn propagate(context: &Context<'_>, findings: &mut [Finding]) {
    let mut changed = true;
    while changed {
        changed = false;
        for (&id, observation) in &context.checks {
            let explained = findings.iter().any(|finding| finding.explains.contains(id));
            if explained || !observation.outcome.reason().is_some_and(is_consequence) {
                continue;
            }
            for finding in causes_of_what_came_before(context, id, findings) {
                finding.explains.insert(id.clone());
                changed = true;
            }
        }
    }
}

/// The nearest step below that has a cause answers; all causes of that step do.
fn causes_of_what_came_before<'f>(
    context: &Context<'_>,
    id: &CheckId,
    findings: &'f mut [Finding],
) -> impl Iterator<Item = &'f mut Finding> {
    let nearest = prerequisites(context, id)
        .into_iter()
        .find(|group| group.iter().any(|before| findings.iter().any(|f| f.explains.contains(before))))
        .unwrap_or_default();
    findings.iter_mut().filter(move |f| nearest.iter().any(|before| f.explains.contains(before)))
}

/// What a check rests on, the nearest first.
fn prerequisites(context: &Context<'_>, id: &CheckId) -> Vec<Vec<CheckId>> {
    let step = |name: &str, step| CheckId::Endpoint(name.to_owned(), step);
    match id {
        CheckId::Instance => vec![],
        CheckId::Credentials | CheckId::Endpoint(_, Step::Dns) => vec![vec![CheckId::Instance]],
        // A gateway's connection proves something only while nothing else gets out.
        CheckId::Endpoint(name, Step::Connect) => {
            vec![vec![step(name, Step::Dns)], Family::BOTH.map(CheckId::Egress).to_vec()]
        }
        CheckId::Endpoint(name, Step::Call) => {
            let mut nearest = vec![CheckId::Credentials];
            // An address that let it in would have been called.
            nearest.extend(Some(step(name, Step::Connect)).filter(|connect| !context.reaches(connect)));
            vec![nearest, vec![step(name, Step::Dns)], vec![CheckId::Instance]]
        }
        // Its control needs something off the host that answers.
        CheckId::Egress(_) => {
            let is_way = |id: &&CheckId| matches!(id, CheckId::Endpoint(_, Step::Dns | Step::Connect));
            let endpoints = context.checks.keys().copied().filter(is_way);
            vec![endpoints.cloned().collect(), vec![CheckId::Instance]]
        }
    }
}

/// What breaks nothing yet and is worth knowing.
fn add_warnings(context: &Context<'_>, environment: &Environment, findings: &mut Vec<Finding>) {
    findings.extend(names::warnings(context));
    findings.extend(certificate::warnings(context));
    if !findings.iter().any(|finding| finding.cause == Cause::ClockWrong) {
        findings.extend(call::skew_warning(context));
    }
    findings.extend(settings::warnings(context, environment));
}

#[cfg(test)]
mod tests;
