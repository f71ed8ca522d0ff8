//! Settings by which applications ask other names, or go elsewhere, than this host was checked for.

use std::collections::BTreeSet;

use super::Cause;
use super::context::Context;
use super::finding::Finding;
use crate::check::{CheckId, Step};
use crate::network::is_region;
use crate::observation::{CredentialsEvidence, Environment, Evidence};
use crate::wording;

/// Where AWS clients ask for the role.
const METADATA: &str = "169.254.169.254";

pub fn warnings(context: &Context<'_>, environment: &Environment) -> Vec<Finding> {
    let mut findings: Vec<Finding> = Vec::new();
    findings.extend(of_proxy(context, environment));
    let set = fact_of(&environment.endpoint_variables);
    findings.extend(set.map(|fact| Finding::new(Cause::EndpointConfigured, fact)));
    findings.extend(of_profile(context));
    findings.extend(of_region(context, environment));
    findings
}

fn fact_of(variables: &[String]) -> Option<String> {
    let names = wording::names(variables.iter().map(|name| wording::clip(name, 40)));
    (!variables.is_empty()).then(|| format!("the environment sets {names}"))
}

/// `None` where `NO_PROXY` covers all names that were checked, and metadata.
fn of_proxy(context: &Context<'_>, environment: &Environment) -> Option<Finding> {
    let set = fact_of(&environment.proxy_variables)?;
    let metadata = context.check(&CheckId::Instance).map(|_| METADATA);
    let direct: Vec<&str> = checked_hosts(context).chain(metadata).collect();
    let proxied: Vec<&str> =
        direct.iter().copied().filter(|host| !environment.bypasses_proxy(host)).collect();
    if proxied.is_empty() && !direct.is_empty() {
        return None;
    }
    let fact = if environment.no_proxy.is_empty() {
        set
    } else {
        format!("{set}, and NO_PROXY does not cover {}", wording::names(proxied))
    };
    Some(Finding::new(Cause::ProxyConfigured, fact))
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
    checked_hosts(context).filter_map(|host| host.split('.').find(|label| is_region(label))).collect()
}

fn checked_hosts<'a>(context: &Context<'a>) -> impl Iterator<Item = &'a str> {
    context.step(Step::Dns).filter_map(|(_, observation)| match &observation.evidence {
        Evidence::Dns(evidence) => Some(evidence.host.as_str()),
        _ => None,
    })
}
