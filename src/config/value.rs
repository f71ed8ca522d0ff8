//! The values of the file that mean more than a string or a number.

use std::net::{IpAddr, SocketAddr};
use std::ops::RangeInclusive;
use std::path::PathBuf;
use std::time::Duration;

use humantime::DurationError as Error;

use super::name::host_name;
use super::problem::Problems;
use super::table::{Value, invalid_port};
use crate::network::{Cidr, CidrError, is_region, special_purpose};
use crate::observation::Proof;

/// Below a second a check would load the services it checks; above a day it would report the past.
pub const INTERVALS: RangeInclusive<Duration> = Duration::from_secs(1)..=Duration::from_hours(24);

/// Below 10 ms a busy machine looks like a broken path.
pub const TIMEOUTS: RangeInclusive<Duration> = Duration::from_millis(10)..=Duration::from_mins(1);

pub fn interval(value: &Value<'_>, problems: &mut Problems<'_>) -> Option<Duration> {
    duration(value, &INTERVALS, problems)
}

pub fn timeout(value: &Value<'_>, problems: &mut Problems<'_>) -> Option<Duration> {
    duration(value, &TIMEOUTS, problems)
}

pub fn duration(
    value: &Value<'_>,
    bounds: &RangeInclusive<Duration>,
    problems: &mut Problems<'_>,
) -> Option<Duration> {
    let text = value.text("a string such as \"30s\"", problems)?;
    let parsed = if in_lower_case(text).is_some() { None } else { humantime::parse_duration(text).ok() };
    let Some(duration) = parsed else {
        problems.add(&value.span, format!("invalid duration {text:?}: {}", why_no_duration(text)));
        return None;
    };
    if !bounds.contains(&duration) {
        let (from, to) = (written(*bounds.start()), written(*bounds.end()));
        problems.add(&value.span, format!("{} must be from {from} to {to}", value.key));
        return None;
    }
    Some(duration)
}

/// What is wrong with a duration, and what to write.
fn why_no_duration(text: &str) -> String {
    let example = "such as \"500ms\", \"30s\" or \"1m30s\"";
    if text.trim_start().starts_with('-') {
        return format!("it must not be negative; write a whole number with a unit, {example}");
    }
    if let Some(lower) = in_lower_case(text) {
        return format!("units are in lower case; write {lower:?}");
    }
    match humantime::parse_duration(text) {
        Err(Error::UnknownUnit { unit, .. }) if unit.is_empty() => format!("add a unit, {example}"),
        Err(Error::UnknownUnit { unit, .. }) if !unit.eq_ignore_ascii_case("e") => {
            format!("unknown unit {unit:?}; use ms, s, m or h")
        }
        Err(Error::NumberOverflow) if !text.contains('.') => "the number is too large".to_owned(),
        _ => format!("write a whole number with a unit, {example}"),
    }
}

/// The duration in lower case, where only its letters are wrong. `5M` would be five months.
fn in_lower_case(text: &str) -> Option<String> {
    let lower = text.to_ascii_lowercase();
    (lower != text && humantime::parse_duration(&lower).is_ok()).then_some(lower)
}

/// As the file would have it: `1m30s`.
pub fn written(duration: Duration) -> String {
    humantime::format_duration(duration).to_string().replace(' ', "")
}

pub fn region(value: &Value<'_>, problems: &mut Problems<'_>) -> Option<String> {
    let text = value.text("a string such as \"us-east-1\"", problems)?;
    if is_region(text) {
        return Some(text.to_owned());
    }
    let region = text.trim_end_matches(|c: char| c.is_ascii_lowercase());
    let message = if is_region(region) {
        format!("{text:?} is an availability zone; set its region, {region:?}")
    } else {
        format!("invalid region {text:?} (expected something like \"us-east-1\")")
    };
    problems.add(&value.span, message);
    None
}

const LONGEST_LABEL: usize = 128;

/// An endpoint's own name. It becomes part of a check's id and of a metric's label.
pub fn label(value: &Value<'_>, problems: &mut Problems<'_>) -> Option<String> {
    let text = value.text("a string such as \"s3.interface\"", problems)?;
    if !is_label(text) {
        let message = format!("invalid name {text:?}; use lower-case letters, digits, \"-\" and \".\"");
        problems.add(&value.span, message);
        return None;
    }
    Some(text.to_owned())
}

pub fn is_label(text: &str) -> bool {
    let is_allowed = |b: u8| b.is_ascii_lowercase() || b.is_ascii_digit() || matches!(b, b'.' | b'-');
    (1..=LONGEST_LABEL).contains(&text.len()) && text.bytes().all(is_allowed)
}

/// What can be written as a service: it becomes part of a check's id and of a metric's label.
pub fn is_service(text: &str) -> bool {
    let is_allowed = |b: u8| b.is_ascii_alphanumeric() || matches!(b, b'.' | b'-' | b'_');
    (1..=LONGEST_LABEL).contains(&text.len()) && text.bytes().all(is_allowed)
}

pub fn cidr(value: &Value<'_>, problems: &mut Problems<'_>) -> Option<Cidr> {
    let text = value.text("strings such as \"10.50.0.0/16\"", problems)?;
    let cidr: Cidr = match text.parse() {
        Ok(cidr) => cidr,
        Err(error) => {
            problems.add(&value.span, error.to_string());
            return None;
        }
    };
    // Every address would be private, and no check could ever fail on a public one.
    if cidr.is_everything() {
        problems.add(&value.span, format!("CIDR {text:?} covers every address; list your own ranges"));
        return None;
    }
    if cidr.is_too_wide() {
        let most = if cidr.is_ipv4() { "/8" } else { "/16" };
        let message =
            format!("CIDR {text:?} covers addresses of many networks ({most} at most); list your own ranges");
        problems.add(&value.span, message);
        return None;
    }
    Some(cidr)
}

/// A host of the internet by its literal, so that no name server is needed to find it.
pub fn public_address(value: &Value<'_>, problems: &mut Problems<'_>) -> Option<IpAddr> {
    let text = value.text("strings such as \"1.1.1.1\"", problems)?;
    let Ok(ip) = text.parse::<IpAddr>() else {
        problems.add(&value.span, format!("invalid IP address {text:?}; put names in hosts"));
        return None;
    };
    if let IpAddr::V6(v6) = ip
        && let Some(v4) = v6.to_ipv4_mapped()
    {
        problems.add(&value.span, format!("{text:?} is an IPv4-mapped address; write \"{v4}\""));
        return None;
    }
    if let Some(range) = special_purpose(ip) {
        let message = format!("{text:?} is {range}; egress targets must be on the internet");
        problems.add(&value.span, message);
        return None;
    }
    Some(ip)
}

/// A range, or one address.
pub fn cidr_or_address(value: &Value<'_>, problems: &mut Problems<'_>) -> Option<Cidr> {
    let text = value.text("strings such as \"10.0.1.0/24\" or \"10.0.1.5\"", problems)?;
    let range = match text.parse::<IpAddr>() {
        Ok(IpAddr::V4(ip)) => format!("{ip}/32"),
        Ok(IpAddr::V6(ip)) => format!("{ip}/128"),
        Err(_) => text.to_owned(),
    };
    range.parse().inspect_err(|error: &CidrError| problems.add(&value.span, error.to_string())).ok()
}

/// A name to be resolved, without the trailing dot.
pub fn host(value: &Value<'_>, problems: &mut Problems<'_>) -> Option<String> {
    let text = value.text("a string such as \"api.partner.example\"", problems)?;
    host_name(text).inspect_err(|why| problems.add(&value.span, why)).ok()
}

pub fn public_host(value: &Value<'_>, problems: &mut Problems<'_>) -> Option<String> {
    let text = value.text("strings such as \"www.amazon.com\"", problems)?;
    if text.parse::<IpAddr>().is_ok() {
        problems.add(&value.span, format!("{text:?} is an IP address; put it in addresses"));
        return None;
    }
    host_name(text).inspect_err(|why| problems.add(&value.span, why)).ok()
}

pub fn absolute_path(value: &Value<'_>, problems: &mut Problems<'_>) -> Option<PathBuf> {
    let path = PathBuf::from(value.text("a string such as \"/etc/pki/corp.pem\"", problems)?);
    if !path.is_absolute() {
        // A daemon's working directory is "/", which is never what a relative path means.
        problems.add(&value.span, format!("{} must be an absolute path", value.key));
        return None;
    }
    Some(path)
}

pub fn textfile(value: &Value<'_>, problems: &mut Problems<'_>) -> Option<PathBuf> {
    let path = absolute_path(value, problems)?;
    if path.extension().is_none_or(|extension| extension != "prom") {
        let message = format!("{} must end in .prom; node_exporter ignores other files", value.key);
        problems.add(&value.span, message);
        return None;
    }
    Some(path)
}

/// More than enough for every network that a host is scraped from.
const MOST_LISTENERS: usize = 16;

/// One address, or a list of them.
pub fn listen(value: &Value<'_>, problems: &mut Problems<'_>) -> Option<Vec<SocketAddr>> {
    let one = |value: &Value<'_>, problems: &mut Problems<'_>| {
        let text = value.text("a string such as \"[::]:10042\"", problems)?;
        let Ok(address) = text.parse::<SocketAddr>() else {
            let message = format!(
                "invalid address {text:?} (expected something like \"[::]:10042\" or \"127.0.0.1:10042\")"
            );
            problems.add(&value.span, message);
            return None;
        };
        if address.port() == 0 {
            problems.add(&value.span, invalid_port(0));
            return None;
        }
        Some(address)
    };
    if !value.is_list() {
        return one(value, problems).map(|address| vec![address]);
    }
    let all = value.list(MOST_LISTENERS, problems, one)?;
    if all.is_empty() {
        problems.add(&value.span, "listen must contain at least one address");
        return None;
    }
    Some(all)
}

/// CloudWatch's own bounds of a namespace.
const LONGEST_NAMESPACE: usize = 255;

pub fn proof(value: &Value<'_>, problems: &mut Problems<'_>) -> Option<Proof> {
    let text = value.text("\"aws:SourceVpce\" or \"aws:SourceVpc\"", problems)?;
    let known = Proof::ALL.into_iter().find(|proof| proof.key() == text);
    if known.is_none() {
        problems.add(&value.span, format!("invalid proof {text:?}; it must be \"aws:SourceVpce\" or \"aws:SourceVpc\", the condition in the role's policy"));
    }
    known
}

pub fn namespace(value: &Value<'_>, problems: &mut Problems<'_>) -> Option<String> {
    let text = value.text("a string such as \"AWS/EC2\"", problems)?;
    let is_namespace = (1..=LONGEST_NAMESPACE).contains(&text.len())
        && !text.starts_with(':')
        && text.bytes().all(|b| b.is_ascii_graphic() || b == b' ');
    if !is_namespace {
        problems.add(
            &value.span,
            format!("invalid CloudWatch namespace {text:?} (expected something like \"AWS/EC2\")"),
        );
        return None;
    }
    Some(text.to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn durations_are_written_as_they_are_read() {
        for text in ["500ms", "30s", "1m30s", "1day"] {
            assert_eq!(written(humantime::parse_duration(text).unwrap()), text);
        }
    }
}
