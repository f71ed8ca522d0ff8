//! What the machine is told about itself: instance metadata (IMDSv2 only) and credentials.

mod credentials;

use std::env;
use std::error::Error;
use std::fmt;
use std::net::IpAddr;
use std::time::Duration;

use aws_config::imds::client::error::ImdsError;
use aws_config::imds::client::{self, Client};
use aws_config::provider_config::ProviderConfig;
use tokio::time::{Instant, timeout_at};

use crate::check::Family;
use crate::network::Cidr;
use crate::observation::{Instance, InstanceEvidence, ProbeError, Reason};
use crate::wire::connector::PinnedConnector;
use crate::wire::trust::Trust;

pub use credentials::CredentialsWorker;

/// Where every instance has it ("Instance metadata" in the EC2 user guide).
const IPV4: &str = "http://169.254.169.254";
const IPV6: &str = "http://[fd00:ec2::254]";

pub async fn instance(trust: &Trust, families: &[Family], limit: Duration) -> InstanceEvidence {
    let deadline = Instant::now() + limit;
    let http = PinnedConnector::new(trust.clone(), None, deadline);
    let provider = ProviderConfig::without_region().with_http_client(http.clone());
    let facts = match asking_once(&provider, families, limit) {
        Ok(client) => timeout_at(deadline, facts(&client.build())).await,
        Err(error) => Ok(Err(error)),
    };
    let trace = http.trace();
    let error = match &facts {
        Ok(Ok(_)) => None,
        Ok(Err(error)) => Some(
            trace.error.clone().map_or_else(|| refusal(trace.http_status, error), |error| unreached(&error)),
        ),
        Err(_) => {
            let detail = format!("no answer within {}", humantime::format_duration(limit));
            Some(ProbeError { reason: Reason::MetadataTimeout, detail })
        }
    };
    InstanceEvidence { server: trace.peer, instance: facts.ok().and_then(Result::ok), error }
}

/// The server is said outright, over IPv6 only where the instance has no IPv4 address: to find it
/// out the SDK would read the files of profiles on our one thread, and metadata is the machine's,
/// whatever a person's profile says.
fn asking_once(
    provider: &ProviderConfig,
    families: &[Family],
    limit: Duration,
) -> Result<client::Builder, Unanswered> {
    let local_addresses = if families.contains(&Family::Ipv4) { IPV4 } else { IPV6 };
    let server = env::var("AWS_EC2_METADATA_SERVICE_ENDPOINT").unwrap_or_else(|_| local_addresses.to_owned());
    let client = Client::builder().configure(provider).endpoint(server);
    let client = client.map_err(|error| Unanswered::Endpoint(error.to_string()))?;
    Ok(client.max_attempts(1).connect_timeout(limit).read_timeout(limit))
}

async fn facts(client: &Client) -> Result<Instance, Unanswered> {
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
async fn text(client: &Client, key: &str) -> Result<Option<String>, Unanswered> {
    let value = match client.get(format!("/latest/meta-data/{key}")).await {
        Ok(value) => value.as_ref().trim().to_owned(),
        Err(ImdsError::ErrorResponse(error)) if error.response().status().as_u16() == 404 => return Ok(None),
        Err(error) => return Err(Unanswered::Imds(Box::new(error))),
    };
    if !is_of_metadata(&value) {
        return Err(Unanswered::Foreign { key: key.to_owned() });
    }
    Ok(Some(value).filter(|value| !value.is_empty()))
}

/// Ids, zones, addresses, ranges, a role, one a line: no page of something else. They become part
/// of the next question's path, where the SDK panics at what does not belong there.
fn is_of_metadata(value: &str) -> bool {
    value.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"-_.:/+=,@\n".contains(&byte))
}

/// Why a document is not there.
#[derive(Debug)]
enum Unanswered {
    Imds(Box<ImdsError>),
    Foreign {
        key: String,
    },
    /// The environment names a server that is none.
    Endpoint(String),
}

impl fmt::Display for Unanswered {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Imds(error) => write!(f, "{error}"),
            Self::Foreign { key } => write!(f, "what was answered for {key} is not from metadata"),
            Self::Endpoint(error) => write!(f, "AWS_EC2_METADATA_SERVICE_ENDPOINT: {error}"),
        }
    }
}

impl Error for Unanswered {
    fn source(&self) -> Option<&(dyn Error + 'static)> {
        match self {
            Self::Imds(error) => error.source(),
            Self::Foreign { .. } | Self::Endpoint(_) => None,
        }
    }
}

fn listed<T: std::str::FromStr>(lines: Option<String>) -> Vec<T> {
    lines.unwrap_or_default().lines().filter_map(|line| line.trim().parse().ok()).collect()
}

/// Metadata answered, but not with what was asked for; 403 is how it says that it is off.
fn refusal(status: Option<u16>, error: &Unanswered) -> ProbeError {
    let reason = if status == Some(403) { Reason::MetadataDisabled } else { Reason::MetadataInvalid };
    ProbeError { reason, detail: told(error) }
}

/// Metadata did not answer; the transport knows why.
fn unreached(error: &ProbeError) -> ProbeError {
    let reason = match error.reason {
        Reason::ConnectTimeout | Reason::ResponseTimeout => Reason::MetadataTimeout,
        Reason::ConnectionRefused | Reason::ConnectionReset | Reason::NetworkUnreachable => {
            Reason::MetadataUnreachable
        }
        _ => Reason::MetadataInvalid,
    };
    ProbeError { reason, detail: error.detail.clone() }
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn metadata_is_told_from_a_page() {
        for value in [
            "us-east-1",
            "02:00:0a:00:01:17",
            "10.0.0.0/16\n100.64.0.0/16",
            "2001:db8::/56",
            "role+=,.@-_",
            "",
        ] {
            assert!(is_of_metadata(value), "{value}");
        }
        for value in ["<html>", "It works!", "a b", "{}", "us-east-1\r\n", "über"] {
            assert!(!is_of_metadata(value), "{value}");
        }
    }
}
