//! Settings by which applications ask other names, or go elsewhere, than this host was checked for.

use std::collections::BTreeSet;

use super::Cause;
use super::context::Context;
use super::finding::Finding;
use crate::check::{CheckId, Step};
use crate::network::is_region;
use crate::observation::{CredentialsEvidence, Environment, Evidence};
use crate::wording;

pub fn warnings(context: &Context<'_>, environment: &Environment) -> Vec<Finding> {
    let mut findings: Vec<Finding> = Vec::new();
    findings.extend(of_variables(Cause::ProxyConfigured, &environment.proxy_variables));
    findings.extend(of_variables(Cause::EndpointConfigured, &environment.endpoint_variables));
    findings.extend(of_profile(context));
    findings.extend(of_region(context, environment));
    findings
}

fn of_variables(cause: Cause, names: &[String]) -> Option<Finding> {
    let set = wording::names(names.iter().map(|name| wording::clip(name, 40)));
    (!names.is_empty()).then(|| Finding::new(cause, format!("the environment sets {set}")))
}

fn of_profile(context: &Context<'_>) -> Option<Finding> {
    let set = &credentials(context)?.endpoint_settings;
    let names = wording::names(set.iter().map(|name| wording::clip(name, 60)));
    (!set.is_empty())
        .then(|| Finding::new(Cause::EndpointConfigured, format!("the AWS profile sets {names}")))
}

fn credentials<'a>(context: &Context<'a>) -> Option<&'a CredentialsEvidence> {
    match &context.check(&CheckId::Credentials)?.evidence {
        Evidence::Credentials(evidence) => Some(evidence),
        _ => None,
    }
}

/// A region of which no name was checked.
fn of_region(context: &Context<'_>, environment: &Environment) -> Option<Finding> {
    let checked = checked_regions(context);
    let variables = environment.region_variables.iter().map(|(name, region)| (name.as_str(), region));
    let profile = credentials(context).and_then(|evidence| evidence.profile_region.as_ref());
    let others = variables.chain(profile.map(|region| ("region of the AWS profile", region)));
    let others: Vec<String> = others
        .filter(|(_, region)| !checked.contains(region.as_str()))
        .map(|(name, region)| format!("{name} = {}", wording::clip(region, 40)))
        .collect();
    if others.is_empty() || checked.is_empty() {
        return None;
    }
    let fact = format!(
        "{}, while the names that were checked are of {}",
        wording::names(others),
        wording::names(checked)
    );
    Some(Finding::new(Cause::EndpointConfigured, fact))
}

fn checked_regions<'a>(context: &Context<'a>) -> BTreeSet<&'a str> {
    let hosts = context.step(Step::Dns).filter_map(|(_, observation)| match &observation.evidence {
        Evidence::Dns(evidence) => Some(evidence.host.as_str()),
        _ => None,
    });
    hosts.filter_map(|host| host.split('.').find(|label| is_region(label))).collect()
}
