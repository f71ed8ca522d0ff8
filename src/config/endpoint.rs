//! `[[endpoint]]` tables.

use std::collections::HashMap;
use std::collections::hash_map::Entry;

use super::defaults;
use super::problem::Problems;
use super::table::{Keys, Table, Value};
use super::timing::{Timing, timing};
use super::value::{host, interval, namespace, proof, written};
use super::{CallConfig, EndpointConfig, HostConfig};
use crate::catalogue::{self, Host, Protocol};
use crate::suggestion;

pub static KEYS: Keys = Keys {
    table: "[[endpoint]]",
    known: &[
        "service",
        "host",
        "port",
        "type",
        "call",
        "namespace",
        "proof",
        "call_interval",
        "interval",
        "timeout",
        "require_agreement",
    ],
};

/// Every address of every endpoint is connected to in each round.
const MOST: usize = 200;

pub fn endpoints(
    value: &Value<'_>,
    inherited: Timing,
    problems: &mut Problems<'_>,
) -> Option<Vec<EndpointConfig>> {
    let items = value.items("a list of tables, each written [[endpoint]]", MOST, problems)?;
    let mut lines = Lines::new();
    let read = |item: &Value<'_>| {
        let table = item.table(&KEYS, problems)?;
        endpoint(&table, inherited, &mut lines, problems)
    };
    let endpoints: Vec<Option<EndpointConfig>> = items.iter().map(read).collect();
    endpoints.into_iter().collect()
}

/// The line in which each name was given first.
type Lines = HashMap<String, usize>;

fn endpoint(
    table: &Table<'_>,
    inherited: Timing,
    lines: &mut Lines,
    problems: &mut Problems<'_>,
) -> Option<EndpointConfig> {
    let subject = subject(table, lines, problems);
    let port = table.read("port", Some(defaults::HTTPS_PORT), problems, Value::port);
    let gateway = gateway(table, subject.as_ref(), problems);
    let timing = timing(table, inherited, problems);
    let call = call(table, timing, problems);
    check_private_dns(table, subject.as_ref(), gateway, problems);
    check_call(table, subject.as_ref(), gateway, problems);
    let require_agreement = table.read("require_agreement", Some(false), problems, Value::flag);
    let Subject { name, host, .. } = subject?;
    Some(EndpointConfig {
        name,
        host,
        port: port?,
        gateway: gateway?,
        call: call?,
        require_agreement: require_agreement?,
        interval: timing.interval?,
        timeout: timing.timeout?,
    })
}

/// What an endpoint is for, by its service, its host, or both.
struct Subject {
    name: String,
    host: HostConfig,
    service: Option<String>,
}

impl Subject {
    fn entry(&self) -> Option<catalogue::Entry> {
        catalogue::lookup(self.service.as_deref()?)
    }
}

fn subject(table: &Table<'_>, lines: &mut Lines, problems: &mut Problems<'_>) -> Option<Subject> {
    let service = table.read_optional("service", problems, service);
    let host = table.read_optional("host", problems, host);
    let (service, host) = (service?, host?);
    let Some(name) = service.clone().or_else(|| host.clone()) else {
        problems.add(&table.span, "an endpoint needs a service or a host");
        return None;
    };
    let named_by = table.value("service").or_else(|| table.value("host"))?;
    match lines.entry(name.clone()) {
        Entry::Vacant(vacant) => {
            vacant.insert(problems.line(&named_by.span));
        }
        Entry::Occupied(first) => {
            let line = first.get();
            let message = format!(
                "{name:?} is in line {line} already: an endpoint is known by its service, or without one by its host"
            );
            problems.add(&named_by.span, message);
        }
    }
    let entry = service.as_deref().and_then(catalogue::lookup);
    if entry.is_some_and(|entry| entry.protocol() != Protocol::Https) {
        problems.add(&named_by.span, format!("{name:?} does not speak HTTPS: it cannot be checked"));
        return None;
    }
    let host = match (host, &service) {
        (Some(host), _) => HostConfig::Given(host),
        (None, Some(service)) => {
            if let Some(why) = without_a_name(service) {
                problems.add(&named_by.span, why);
                return None;
            }
            HostConfig::OfService(service.clone())
        }
        (None, None) => return None,
    };
    Some(Subject { name, host, service })
}

fn service(value: &Value<'_>, problems: &mut Problems<'_>) -> Option<String> {
    let text = value.text("a string such as \"monitoring\"", problems)?;
    let is_allowed = |b: u8| b.is_ascii_alphanumeric() || matches!(b, b'.' | b'-' | b'_');
    // It becomes part of a check's id and of a metric's label.
    if text.is_empty() || text.len() > 128 || !text.bytes().all(is_allowed) {
        let message = format!("{text:?} is no service: write it as \"monitoring\" or \"ecr.api\"");
        problems.add(&value.span, message);
        return None;
    }
    Some(text.to_owned())
}

/// Why the catalogue alone cannot say which name the service has.
fn without_a_name(service: &str) -> Option<String> {
    let Some(entry) = catalogue::lookup(service) else {
        return Some(unknown(service));
    };
    match entry.host("<region>") {
        _ if !entry.has_private_dns() && !entry.has_gateway() => Some(format!(
            "{service:?} has no private DNS, so its name is public in every VPC; add the endpoint's own name (vpce-..) as host"
        )),
        Host::Name(_) => None,
        Host::BelowLabel(name) => {
            Some(format!("{service:?} has only the wildcard name *.{name}: add the host that is used here"))
        }
        Host::Unknown => Some(format!("the name of {service:?} is unknown; add its host")),
    }
}

fn unknown(service: &str) -> String {
    if let Some(entry) = catalogue::lookup_endpoint_service(service) {
        return format!("write {:?}: the prefix follows from the region", entry.service());
    }
    let hint = suggestion::question(&catalogue::suggestions(service))
        .map_or_else(|| "add its host".to_owned(), |hint| format!("{hint} If not, add its host"));
    format!("{service:?} is not in the catalogue, so its name is unknown: {hint}")
}

/// `type`: whether it is a gateway endpoint.
fn gateway(table: &Table<'_>, subject: Option<&Subject>, problems: &mut Problems<'_>) -> Option<bool> {
    let gateway = table.read("type", Some(false), problems, |value, problems| {
        match value.text("\"interface\" or \"gateway\"", problems)? {
            "interface" => Some(false),
            "gateway" => Some(true),
            other => {
                problems
                    .add(&value.span, format!("type must be \"interface\" or \"gateway\", not {other:?}"));
                None
            }
        }
    })?;
    // Public addresses pass behind a gateway: this must not be had for any other name.
    let has_gateway = |subject: &Subject| subject.entry().is_some_and(|entry| entry.has_gateway());
    if gateway
        && let Some(value) = table.value("type")
        && subject.is_some_and(|subject| !has_gateway(subject))
    {
        problems.add(&value.span, "only the services s3, s3express and dynamodb have gateway endpoints");
        return None;
    }
    Some(gateway)
}

/// Without private DNS the name of the service is public in every VPC, so a check of an interface
/// endpoint by that name could only fail.
fn check_private_dns(
    table: &Table<'_>,
    subject: Option<&Subject>,
    gateway: Option<bool>,
    problems: &mut Problems<'_>,
) {
    let Some(Subject { name, host: HostConfig::OfService(_), .. }) = subject else { return };
    let Some(entry) = subject.and_then(Subject::entry).filter(|entry| !entry.has_private_dns()) else {
        return;
    };
    if gateway == Some(false)
        && let Some(value) = table.value("service")
    {
        let instead = if entry.has_interface() {
            format!(
                "{name:?} has no private DNS, so its name is public in every VPC; set type = \"gateway\", or add the interface endpoint's own name (vpce-..) as host"
            )
        } else {
            format!("{name:?} has only a gateway endpoint; set type = \"gateway\"")
        };
        problems.add(&value.span, instead);
    }
}

fn call(table: &Table<'_>, timing: Timing, problems: &mut Problems<'_>) -> Option<Option<CallConfig>> {
    let is_called = table.read_optional("call", problems, |value, problems| {
        match value.text("\"list-metrics\"", problems)? {
            "list-metrics" => Some(()),
            other => {
                problems.add(&value.span, format!("call must be \"list-metrics\", not {other:?}"));
                None
            }
        }
    });
    let default = timing.interval.map(|interval| defaults::CALL_INTERVAL.max(interval));
    let call_interval = table.read("call_interval", default, problems, interval);
    let namespace = table.read("namespace", Some(defaults::NAMESPACE.to_owned()), problems, namespace);
    let proof = table.read_optional("proof", problems, proof);
    if is_called == Some(None) {
        for value in ["namespace", "call_interval", "proof"].into_iter().filter_map(|key| table.value(key)) {
            problems.add(&value.span, format!("{} has no effect without call = \"list-metrics\"", value.key));
        }
    }
    if let (Some(call), Some(each)) = (call_interval, timing.interval)
        && call < each
        && let Some(value) = table.value("call_interval")
    {
        let (call, each) = (written(call), written(each));
        let message =
            format!("call_interval ({call}) must not be below interval ({each}): a call follows a connect");
        problems.add(&value.span, message);
        return None;
    }
    let call = CallConfig { namespace: namespace?, proof: proof?, interval: call_interval? };
    Some(is_called?.map(|()| call))
}

/// ListMetrics is CloudWatch's, which a host alone, or a service unknown to us, may be too.
fn check_call(
    table: &Table<'_>,
    subject: Option<&Subject>,
    gateway: Option<bool>,
    problems: &mut Problems<'_>,
) {
    let Some(call) = table.value("call") else { return };
    if gateway == Some(true) {
        problems.add(&call.span, "call needs an interface endpoint, and this is a gateway");
    } else if let Some(entry) = subject.and_then(Subject::entry)
        && entry.service() != "monitoring"
    {
        let message =
            format!("{:?} does not answer ListMetrics: call belongs to \"monitoring\"", entry.service());
        problems.add(&call.span, message);
    }
}
