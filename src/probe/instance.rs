//! What the machine is told about itself: instance metadata (IMDSv2 only) and credentials.

use std::error::Error;
use std::net::IpAddr;
use std::time::Duration;

use aws_config::default_provider::credentials::DefaultCredentialsChain;
use aws_config::imds::client::error::ImdsError;
use aws_config::imds::client::{Client, EndpointMode};
use aws_config::provider_config::ProviderConfig;
use aws_config::{BehaviorVersion, Region};
use aws_credential_types::Credentials;
use aws_credential_types::credential_feature::AwsCredentialFeature;
use aws_credential_types::provider::ProvideCredentials;
use aws_credential_types::provider::error::CredentialsError;
use tokio::time::{Instant, timeout_at};

use crate::check::Family;
use crate::network::Cidr;
use crate::observation::{CredentialsSeen, Instance, InstanceSeen, Reason, Trouble};
use crate::wire::direct::Direct;
use crate::wire::trust::Trust;

/// Asks for the facts, over IPv6 only where the instance has no IPv4 address.
pub async fn instance(trust: &Trust, families: &[Family], limit: Duration) -> InstanceSeen {
    let deadline = Instant::now() + limit;
    let http = Direct::new(trust.clone(), None, deadline);
    let mode = if families.contains(&Family::Ipv4) { EndpointMode::IpV4 } else { EndpointMode::IpV6 };
    let provider = ProviderConfig::without_region().with_http_client(http.clone());
    let client = Client::builder()
        .configure(&provider)
        .endpoint_mode(mode)
        .max_attempts(1)
        .connect_timeout(limit)
        .read_timeout(limit)
        .build();
    let facts = timeout_at(deadline, facts(&client)).await;
    let trace = http.trace();
    let error = match &facts {
        Ok(Ok(_)) => None,
        Ok(Err(error)) => Some(
            trace.error.clone().map_or_else(|| refusal(trace.http_status, error), |error| unreached(&error)),
        ),
        Err(_) => {
            let detail = format!("no answer within {}", humantime::format_duration(limit));
            Some(Trouble { reason: Reason::MetadataTimeout, detail })
        }
    };
    InstanceSeen { server: trace.peer, instance: facts.ok().and_then(Result::ok), error }
}

async fn facts(client: &Client) -> Result<Instance, ImdsError> {
    // The first question alone: it fetches the token that the others need.
    let region = text(client, "placement/region").await?;
    let mac = text(client, "mac").await?;
    let of_interface =
        |key: &str| format!("network/interfaces/macs/{}/{key}", mac.as_deref().unwrap_or_default());
    let paths =
        ["vpc-ipv4-cidr-blocks", "vpc-ipv6-cidr-blocks", "local-ipv4s", "ipv6s", "vpc-id", "subnet-id"]
            .map(of_interface);
    let [ipv4_cidrs, ipv6_cidrs, ipv4s, ipv6s, vpc, subnet] = &paths;
    let (instance_id, zone, zone_id, vpc_id, subnet_id, ipv4_cidrs, ipv6_cidrs, ipv4s, ipv6s) = tokio::try_join!(
        text(client, "instance-id"),
        text(client, "placement/availability-zone"),
        text(client, "placement/availability-zone-id"),
        text(client, vpc),
        text(client, subnet),
        text(client, ipv4_cidrs),
        text(client, ipv6_cidrs),
        text(client, ipv4s),
        text(client, ipv6s),
    )?;
    let vpc_cidrs = listed::<Cidr>(ipv4_cidrs).into_iter().chain(listed(ipv6_cidrs)).collect();
    let addresses = listed::<IpAddr>(ipv4s).into_iter().chain(listed(ipv6s)).collect();
    Ok(Instance { instance_id, region, zone, zone_id, vpc_id, subnet_id, vpc_cidrs, addresses })
}

/// `None` where metadata has no such thing, which is an answer too.
async fn text(client: &Client, key: &str) -> Result<Option<String>, ImdsError> {
    match client.get(format!("/latest/meta-data/{key}")).await {
        Ok(value) => Ok(Some(value.as_ref().trim().to_owned()).filter(|value| !value.is_empty())),
        Err(ImdsError::ErrorResponse(error)) if error.response().status().as_u16() == 404 => Ok(None),
        Err(error) => Err(error),
    }
}

fn listed<T: std::str::FromStr>(lines: Option<String>) -> Vec<T> {
    lines.unwrap_or_default().lines().filter_map(|line| line.trim().parse().ok()).collect()
}

/// Metadata answered, but not with what was asked for; 403 is how it says that it is off.
fn refusal(status: Option<u16>, error: &ImdsError) -> Trouble {
    let reason = if status == Some(403) { Reason::MetadataDisabled } else { Reason::MetadataInvalid };
    Trouble { reason, detail: told(error) }
}

/// Metadata did not answer; the transport knows why.
fn unreached(error: &Trouble) -> Trouble {
    let reason = match error.reason {
        Reason::ConnectTimeout | Reason::ResponseTimeout => Reason::MetadataTimeout,
        Reason::ConnectionRefused | Reason::ConnectionReset | Reason::NetworkUnreachable => {
            Reason::MetadataUnreachable
        }
        _ => Reason::MetadataInvalid,
    };
    Trouble { reason, detail: error.detail.clone() }
}

/// The default chain, once; what it yields is kept for signing, what it showed is evidence.
pub async fn credentials(
    trust: &Trust,
    region: Option<String>,
    limit: Duration,
) -> (CredentialsSeen, Option<Credentials>) {
    let deadline = Instant::now() + limit;
    let http = Direct::new(trust.clone(), None, deadline);
    let provider = ProviderConfig::without_region()
        .with_region(region.map(Region::new))
        .with_behavior_version(Some(BehaviorVersion::latest()))
        .with_http_client(http.clone());
    let resolving = async {
        DefaultCredentialsChain::builder().configure(provider).build().await.provide_credentials().await
    };
    let resolved = timeout_at(deadline, resolving).await;
    let error = match &resolved {
        Ok(Ok(_)) => None,
        Ok(Err(CredentialsError::ProviderTimedOut(_))) | Err(_) => Some(Trouble {
            reason: Reason::CredentialsTimeout,
            detail: format!("the provider chain did not end within {}", humantime::format_duration(limit)),
        }),
        Ok(Err(error)) => Some(absence(error, http.trace().error.map(|error| error.reason))),
    };
    let credentials = resolved.ok().and_then(Result::ok);
    let seen = CredentialsSeen {
        source: credentials.as_ref().and_then(source),
        access_key_id: credentials.as_ref().map(|credentials| credentials.access_key_id().to_owned()),
        expires_at: credentials.as_ref().and_then(Credentials::expiry),
        error,
    };
    (seen, credentials)
}

/// A chain that ended in silence has not shown that there are none.
fn absence(error: &CredentialsError, transport: Option<Reason>) -> Trouble {
    let silent = [Reason::ConnectTimeout, Reason::TlsTimeout, Reason::ResponseTimeout];
    let timed_out = transport.is_some_and(|reason| silent.contains(&reason));
    let reason = if timed_out { Reason::CredentialsTimeout } else { Reason::NoCredentials };
    Trouble { reason, detail: condensed(&told(error)) }
}

/// The chain lists every source that it tried; the last one is the one that was set up, or the
/// instance's role.
fn condensed(text: &str) -> String {
    let last = text.lines().last().unwrap_or(text).trim();
    last.replace("the credential provider was not enabled: ", "")
}

fn source(credentials: &Credentials) -> Option<String> {
    let features: &Vec<AwsCredentialFeature> = credentials.get_property()?;
    let name = match features.last()? {
        AwsCredentialFeature::CredentialsEnvVars => "the environment",
        AwsCredentialFeature::CredentialsHttp => "the container's provider",
        AwsCredentialFeature::CredentialsImds => "instance metadata",
        AwsCredentialFeature::CredentialsProfile => "a profile",
        AwsCredentialFeature::CredentialsEnvVarsStsWebIdToken
        | AwsCredentialFeature::CredentialsStsAssumeRoleWebId => "a web identity",
        other => return Some(format!("{other:?}")),
    };
    Some(name.to_owned())
}

/// An error with what led to it; repeated words left out.
fn told(error: &dyn Error) -> String {
    let mut text = error.to_string();
    let mut source = error.source();
    while let Some(inner) = source {
        let inner_text = inner.to_string();
        if !text.contains(&inner_text) {
            text = format!("{text}: {inner_text}");
        }
        source = inner.source();
    }
    text
}
