//! What the machine is told about itself: instance metadata (IMDSv2 only) and credentials.

mod credentials;
mod metadata;

use std::net::IpAddr;
use std::time::Duration;

use futures_util::future::try_join_all;
use tokio::time::Instant;

use crate::network::{Cidr, is_region};
use crate::observation::{Instance, InstanceEvidence};
use crate::wire::trust::Trust;
use metadata::{Metadata, Unavailable};

pub use credentials::CredentialsWorker;

/// No instance type has more interfaces, and none of them more ranges or addresses.
const MOST_INTERFACES: usize = 32;
const MOST_LINES: usize = 256;

const LONGEST_ID: usize = 64;

pub async fn instance(trust: &Trust, limit: Duration) -> InstanceEvidence {
    let deadline = Instant::now() + limit;
    let metadata = match Metadata::open(trust, deadline).await {
        Ok(metadata) => metadata,
        Err(failure) => return evidence(Err(failure)),
    };
    let server = metadata.server;
    let mut evidence = evidence(facts(&metadata).await);
    evidence.server = Some(server);
    evidence
}

fn evidence(facts: Result<Instance, Unavailable>) -> InstanceEvidence {
    match facts {
        Ok(instance) => {
            InstanceEvidence { server: None, instance: Some(instance), silence: None, error: None }
        }
        Err(Unavailable { server, silence, error }) => {
            InstanceEvidence { server, instance: None, silence, error: Some(error) }
        }
    }
}

async fn facts(metadata: &Metadata<'_>) -> Result<Instance, Unavailable> {
    // Alone, so that a page of something else is told by the same question each time.
    let region = one(metadata, "placement/region", region).await?;
    let (primary, macs, instance_id, zone, zone_id) = tokio::try_join!(
        one(metadata, "mac", mac),
        listed(metadata, "network/interfaces/macs/", MOST_INTERFACES, |line| mac(line.trim_end_matches('/'))),
        one(metadata, "instance-id", id),
        one(metadata, "placement/availability-zone", id),
        one(metadata, "placement/availability-zone-id", id),
    )?;
    let (vpc_id, subnet_id) = match &primary {
        Some(mac) => {
            let [vpc, subnet] = ["vpc-id", "subnet-id"].map(|key| of_interface(mac, key));
            tokio::try_join!(one(metadata, &vpc, id), one(metadata, &subnet, id))?
        }
        None => (None, None),
    };
    // A listing may lag behind the interface that the instance was started with.
    let mut macs = macs;
    add(&mut macs, primary.into_iter().collect());
    let interfaces = try_join_all(macs.iter().map(|mac| interface(metadata, mac))).await?;
    let (mut vpc_cidrs, mut subnet_cidrs, mut addresses) = (Vec::new(), Vec::new(), Vec::new());
    for interface in interfaces {
        add(&mut vpc_cidrs, interface.vpc_cidrs);
        add(&mut subnet_cidrs, interface.subnet_cidrs);
        add(&mut addresses, interface.addresses);
    }
    Ok(Instance { instance_id, region, zone, zone_id, vpc_id, subnet_id, vpc_cidrs, subnet_cidrs, addresses })
}

/// One network interface of the instance; each can be in a VPC of its own.
struct Interface {
    vpc_cidrs: Vec<Cidr>,
    subnet_cidrs: Vec<Cidr>,
    addresses: Vec<IpAddr>,
}

async fn interface(metadata: &Metadata<'_>, mac: &str) -> Result<Interface, Unavailable> {
    let cidrs = async |keys: [&str; 2]| {
        let [ipv4, ipv6] = keys.map(|key| of_interface(mac, key));
        let ranges = |path| listed(metadata, path, MOST_LINES, cidr);
        tokio::try_join!(ranges(&ipv4), ranges(&ipv6)).map(|(ipv4, ipv6)| [ipv4, ipv6].concat())
    };
    let [ipv4, ipv6] = ["local-ipv4s", "ipv6s"].map(|key| of_interface(mac, key));
    let addresses = |path| listed(metadata, path, MOST_LINES, address);
    let (vpc_cidrs, subnet_cidrs, ipv4s, ipv6s) = tokio::try_join!(
        cidrs(["vpc-ipv4-cidr-blocks", "vpc-ipv6-cidr-blocks"]),
        cidrs(["subnet-ipv4-cidr-block", "subnet-ipv6-cidr-blocks"]),
        addresses(&ipv4),
        addresses(&ipv6),
    )?;
    Ok(Interface { vpc_cidrs, subnet_cidrs, addresses: [ipv4s, ipv6s].concat() })
}

fn of_interface(mac: &str, key: &str) -> String {
    format!("network/interfaces/macs/{mac}/{key}")
}

fn add<T: PartialEq>(to: &mut Vec<T>, items: Vec<T>) {
    for item in items {
        if !to.contains(&item) {
            to.push(item);
        }
    }
}

async fn one<T>(
    metadata: &Metadata<'_>,
    path: &str,
    parse: impl Fn(&str) -> Option<T>,
) -> Result<Option<T>, Unavailable> {
    let Some(text) = metadata.text(path).await? else { return Ok(None) };
    parse(&text).map(Some).ok_or_else(|| metadata.invalid(path))
}

async fn listed<T>(
    metadata: &Metadata<'_>,
    path: &str,
    most: usize,
    parse: impl Fn(&str) -> Option<T>,
) -> Result<Vec<T>, Unavailable> {
    let text = metadata.text(path).await?.unwrap_or_default();
    if text.lines().count() > most {
        return Err(metadata.invalid(path));
    }
    text.lines().map(|line| parse(line.trim()).ok_or_else(|| metadata.invalid(path))).collect()
}

fn region(text: &str) -> Option<String> {
    is_region(text).then(|| text.to_owned())
}

/// `i-0abc`, `vpc-0abc`, `us-east-1a`, `use1-az1`.
fn id(text: &str) -> Option<String> {
    let plain = text.bytes().all(|b| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'-');
    (plain && (1..=LONGEST_ID).contains(&text.len())).then(|| text.to_owned())
}

/// `02:00:0a:00:01:17`; it becomes part of the path of the next request.
fn mac(text: &str) -> Option<String> {
    let parts: Vec<&str> = text.split(':').collect();
    let hex = |part: &&str| part.len() == 2 && part.bytes().all(|b| b.is_ascii_hexdigit());
    (parts.len() == 6 && parts.iter().all(hex)).then(|| text.to_owned())
}

fn cidr(text: &str) -> Option<Cidr> {
    text.parse::<Cidr>().ok().filter(|cidr| cidr.is_of_a_vpc())
}

fn address(text: &str) -> Option<IpAddr> {
    text.parse().ok()
}

/// Reads one document as each of those of instance metadata, and returns what a report shows of it.
#[cfg(any(test, fuzzing))]
pub fn fuzz(bytes: &[u8]) -> Vec<String> {
    let mut shown = credentials::fuzz(bytes);
    for line in metadata::fuzz(bytes).iter().flat_map(|text| text.lines()) {
        shown.extend([region(line), id(line), mac(line)].into_iter().flatten());
        let _ = (cidr(line), address(line));
    }
    shown
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn fields_are_bounded() {
        assert!(mac("02:00:0a:00:01:17").is_some());
        for text in ["02:00:0a:00:01", "02:00:0a:00:01:1g", "02:00:0a:00:01:17/", "", "a/../b"] {
            assert_eq!(mac(text), None, "{text}");
        }
        assert!(id("i-0123456789abcdef0").is_some());
        for text in ["", "I-0", "i 0", "i/0", &"i".repeat(65)] {
            assert_eq!(id(text), None, "{text}");
        }
        assert!(cidr("10.0.0.0/16").is_some());
        for text in ["0.0.0.0/0", "::/0", "10.0.0.1/16", "10.0.0.0"] {
            assert_eq!(cidr(text), None, "{text}");
        }
    }
}
