//! What is checked of a gateway endpoint.

use super::{Context, Decision, Table};
use crate::catalogue;
use crate::estate::model::Endpoint;
use crate::estate::name::ServiceName;
use crate::estate::place;
use crate::estate::quote::printable;

pub fn decide(endpoint: &Endpoint, context: &Context<'_>) -> Decision {
    let Some(service_name) = endpoint.service_name.as_deref() else {
        return Decision::leave_out("the file does not say its service");
    };
    let name = ServiceName::parse(service_name);
    let is_private = context.private.contains(&name);
    let ServiceName { service, region, .. } = name;
    let region = region.as_deref().unwrap_or(context.region);
    if is_private {
        return Decision::leave_out(format!(
            "the names of {} lead to its interface endpoint in this VPC, not to this gateway",
            printable(&service)
        ));
    }
    let is_known = catalogue::lookup(&service).is_some_and(|entry| entry.has_gateway());
    let Some(host) = catalogue::host_of(&service, region).filter(|_| is_known) else {
        return Decision::leave_out(format!(
            "a gateway of {}, which is not in the catalogue",
            printable(&service)
        ));
    };
    let mut comments = place::of_gateway(endpoint);
    let mut hosts = vec![host];
    if service == "dynamodb"
        && let Some(host) = account_host(endpoint, region)
    {
        comments.push("Current SDKs ask the name with the account; it must pass the gateway too.".to_owned());
        hosts.push(host);
    }
    let id = endpoint.id.clone();
    let table = Table { id, service: Some(service), hosts, is_gateway: true, comments, ..Table::default() };
    Decision::of(Ok(table))
}

/// Only the commercial regions have DynamoDB's names by account (botocore's endpoint rules).
fn account_host(endpoint: &Endpoint, region: &str) -> Option<String> {
    let base = catalogue::host_of("dynamodb", region)?.replacen("dynamodb.", "ddb.", 1);
    let is_commercial = base.ends_with(".amazonaws.com") && !region.starts_with("us-gov-");
    let owner = endpoint.owner.as_deref()?;
    let is_account = owner.len() == 12 && owner.bytes().all(|b| b.is_ascii_digit());
    (is_commercial && is_account).then(|| format!("{owner}.{base}"))
}
