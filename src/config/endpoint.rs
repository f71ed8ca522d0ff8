//! `[[endpoint]]` tables.

use std::collections::HashMap;
use std::collections::hash_map::Entry;

use super::defaults;
use super::own_names::own_names;
use super::problem::Problems;
use super::table::{Keys, Table, Value};
use super::timing::{Timing, timing};
use super::value::{cidr, host, interval, is_service, label, namespace, proof, region, written};
use super::zones::zones;
use super::{CallConfig, EndpointConfig, HostConfig};
use crate::catalogue::{self, Host};
use crate::network::Cidr;
use crate::observation::EndpointProtocol;
use crate::suggestion;

pub static KEYS: Keys = Keys {
    table: "[[endpoint]]",
    known: &[
        "service",
        "host",
        "hosts",
        "vpce_hosts",
        "zones",
        "name",
        "port",
        "protocol",
        "type",
        "control_region",
        "expected_cidrs",
        "call",
        "namespace",
        "proof",
        "call_interval",
        "interval",
        "timeout",
        "require_agreement",
    ],
};

/// Every address of every name is connected to in each round.
const MOST: usize = 200;

/// More than any AWS service has private names.
const MOST_HOSTS: usize = 32;

const MOST_CIDRS: usize = 64;

pub fn endpoints(
    value: &Value<'_>,
    inherited: Timing,
    problems: &mut Problems<'_>,
) -> Option<Vec<EndpointConfig>> {
    let items = value.items("a list of tables, each written [[endpoint]]", MOST, problems)?;
    let mut lines = Lines::new();
    let mut count = 0;
    let read = |item: &Value<'_>| {
        let table = item.table(&KEYS, problems)?;
        let expanded = endpoint(&table, inherited, &mut lines, problems)?;
        // Said once, at the table that goes beyond it.
        if count <= MOST && count + expanded.len() > MOST {
            let message = format!("too many names to check; all endpoints together may have {MOST}");
            problems.add(&item.span, message);
        }
        count += expanded.len();
        Some(expanded)
    };
    let endpoints: Vec<Option<Vec<EndpointConfig>>> = items.iter().map(read).collect();
    endpoints.into_iter().collect::<Option<Vec<_>>>().map(|expanded| expanded.into_iter().flatten().collect())
}

/// The line in which each name was given first.
type Lines = HashMap<String, usize>;

/// One table, as one endpoint for each of its names.
fn endpoint(
    table: &Table<'_>,
    inherited: Timing,
    lines: &mut Lines,
    problems: &mut Problems<'_>,
) -> Option<Vec<EndpointConfig>> {
    let entry = table.value("service").and_then(|value| catalogue::lookup(value.as_text()?));
    let usual = entry.map_or(EndpointProtocol::Https, |entry| entry.protocol());
    let protocol = table.read("protocol", Some(usual), problems, protocol);
    let subject = subject(table, lines, problems);
    let port = port(table, protocol, entry, problems);
    let gateway = gateway(table, subject.as_ref(), problems);
    check_kind(table, gateway, problems);
    let hosts: Vec<String> = subject.iter().flat_map(Subject::hosts).cloned().collect();
    let vpce_hosts = table
        .read("vpce_hosts", Some(Vec::new()), problems, |value, problems| own_names(value, &hosts, problems));
    let zones = table.read("zones", Some(Vec::new()), problems, zones);
    let expected_cidrs = table.read("expected_cidrs", Some(Vec::new()), problems, cidrs);
    let control_region = table.read_optional("control_region", problems, region);
    let timing = timing(table, inherited, problems);
    let call = call(table, timing, problems);
    check_private_dns(table, subject.as_ref(), gateway, problems);
    check_call(table, subject.as_ref(), gateway, protocol, problems);
    let require_agreement = table.read("require_agreement", Some(false), problems, Value::flag);
    let Subject { name, host, others, .. } = subject?;
    let first = EndpointConfig {
        name,
        host,
        vpce_hosts: vpce_hosts?,
        zones: zones?,
        port: port?,
        protocol: protocol?,
        gateway: gateway?,
        control_region: control_region?,
        expected_cidrs: expected_cidrs?,
        call: call?,
        require_agreement: require_agreement?,
        interval: timing.interval?,
        timeout: timing.timeout?,
    };
    let others: Vec<EndpointConfig> = others.into_iter().map(|host| first.with_host(host)).collect();
    Some(std::iter::once(first).chain(others).collect())
}

impl EndpointConfig {
    /// The same endpoint by another of its names. The call is made once, by the first name.
    fn with_host(&self, host: String) -> Self {
        Self { name: host.clone(), host: HostConfig::Given(host), call: None, ..self.clone() }
    }
}

/// What an endpoint is for, by its service, its hosts, or both.
struct Subject {
    name: String,
    host: HostConfig,
    /// The further names of the same endpoint.
    others: Vec<String>,
    service: Option<String>,
}

impl Subject {
    fn entry(&self) -> Option<catalogue::Entry> {
        catalogue::lookup(self.service.as_deref()?)
    }

    /// All names that the file gives.
    fn hosts(&self) -> impl Iterator<Item = &String> {
        let first = match &self.host {
            HostConfig::Given(host) => Some(host),
            HostConfig::OfService(_) => None,
        };
        first.into_iter().chain(&self.others)
    }
}

fn subject(table: &Table<'_>, lines: &mut Lines, problems: &mut Problems<'_>) -> Option<Subject> {
    let service = table.read_optional("service", problems, service);
    let hosts = hosts(table, problems);
    let label = table.read_optional("name", problems, label);
    let (service, hosts, label) = (service?, hosts?, label?);
    let mut hosts = hosts.into_iter();
    let first = hosts.next();
    let others: Vec<String> = hosts.collect();
    let Some(name) = label.or_else(|| service.clone()).or_else(|| first.clone()) else {
        problems.add(&table.span, "an endpoint needs a service or a host");
        return None;
    };
    let given = |key| table.value(key);
    let named_by =
        given("name").or_else(|| given("service")).or_else(|| given("host")).or_else(|| given("hosts"))?;
    check_unique(&name, &named_by, lines, problems);
    for other in &others {
        check_unique(other, &given("hosts")?, lines, problems);
    }
    let of_service = given("service").unwrap_or(named_by);
    if let Some(entry) = service.as_deref().and_then(catalogue::lookup)
        && let Some(value) = given("host").or_else(|| given("hosts"))
    {
        for host in first.iter().chain(&others) {
            check_owner(&entry, host, &value, problems);
        }
    }
    let host = match (first, &service) {
        (Some(host), _) => HostConfig::Given(host),
        (None, Some(service)) => {
            if let Some(why) = without_a_name(service) {
                problems.add(&of_service.span, why);
                return None;
            }
            HostConfig::OfService(service.clone())
        }
        (None, None) => return None,
    };
    Some(Subject { name, host, others, service })
}

/// A report of one service would speak of another.
fn check_owner(entry: &catalogue::Entry, host: &str, value: &Value<'_>, problems: &mut Problems<'_>) {
    if let Some(owner) = catalogue::other_owner(entry, host) {
        let service = entry.service();
        problems.add(&value.span, format!("{host} is a name of {owner:?}, not of {service:?}"));
    }
}

/// `host` or `hosts`, in the order given.
fn hosts(table: &Table<'_>, problems: &mut Problems<'_>) -> Option<Vec<String>> {
    let one = table.read_optional("host", problems, host);
    let several = table.read_optional("hosts", problems, |value, problems| {
        let hosts = value.list(MOST_HOSTS, problems, host)?;
        if hosts.is_empty() {
            problems.add(&value.span, "hosts must contain at least one name");
            return None;
        }
        Some(hosts)
    });
    if table.value("host").is_some()
        && let Some(value) = table.value("hosts")
    {
        problems.add(&value.span, "host and hosts are mutually exclusive");
        return None;
    }
    let (one, several) = (one?, several?);
    Some(several.unwrap_or_else(|| one.into_iter().collect()))
}

fn check_unique(name: &str, value: &Value<'_>, lines: &mut Lines, problems: &mut Problems<'_>) {
    match lines.entry(name.to_owned()) {
        Entry::Vacant(vacant) => {
            vacant.insert(problems.line(&value.span));
        }
        Entry::Occupied(first) => {
            let line = first.get();
            let message = format!(
                "duplicate endpoint {name:?} (first defined on line {line}); give one of them a name of its own"
            );
            problems.add(&value.span, message);
        }
    }
}

fn service(value: &Value<'_>, problems: &mut Problems<'_>) -> Option<String> {
    let text = value.text("a string such as \"monitoring\"", problems)?;
    if !is_service(text) {
        let message =
            format!("invalid service {text:?} (expected something like \"monitoring\" or \"ecr.api\")");
        problems.add(&value.span, message);
        return None;
    }
    Some(text.to_owned())
}

fn protocol(value: &Value<'_>, problems: &mut Problems<'_>) -> Option<EndpointProtocol> {
    match value.text("\"https\", \"tls\" or \"tcp\"", problems)? {
        "https" => Some(EndpointProtocol::Https),
        "tls" => Some(EndpointProtocol::Tls),
        "tcp" => Some(EndpointProtocol::Tcp),
        other => {
            let message = format!("invalid protocol {other:?}; it must be \"https\", \"tls\" or \"tcp\"");
            problems.add(&value.span, message);
            None
        }
    }
}

/// HTTPS has a usual port, and so has a service of the catalogue.
fn port(
    table: &Table<'_>,
    protocol: Option<EndpointProtocol>,
    entry: Option<catalogue::Entry>,
    problems: &mut Problems<'_>,
) -> Option<u16> {
    let of_service = entry.filter(|entry| Some(entry.protocol()) == protocol).map(|entry| entry.port());
    let usual =
        of_service.or(protocol.filter(|of| *of == EndpointProtocol::Https).map(|_| defaults::HTTPS_PORT));
    if usual.is_none()
        && protocol.is_some()
        && table.value("port").is_none()
        && let Some(value) = table.value("protocol")
    {
        problems.add(&value.span, "this protocol has no default port; add port");
        return None;
    }
    table.read("port", usual.or(Some(defaults::HTTPS_PORT)), problems, Value::port)
}

fn cidrs(value: &Value<'_>, problems: &mut Problems<'_>) -> Option<Vec<Cidr>> {
    value.list(MOST_CIDRS, problems, cidr)
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
        return format!(
            "service must not contain the prefix com.amazonaws.REGION; write {:?}",
            entry.service()
        );
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
        problems.add(&value.span, "only s3, dynamodb and s3express have gateway endpoints");
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

/// Keys that mean something for a gateway endpoint only, or for an interface endpoint only.
fn check_kind(table: &Table<'_>, gateway: Option<bool>, problems: &mut Problems<'_>) {
    let pointless: &[(&'static str, &str)] = match gateway {
        Some(true) => &[
            ("vpce_hosts", "vpce_hosts has no effect on a gateway: it has no DNS names of its own"),
            ("zones", "zones has no effect on a gateway: it has no subnets"),
            ("expected_cidrs", "expected_cidrs has no effect on a gateway: its addresses are public"),
            ("protocol", "protocol has no effect on a gateway: its services speak HTTPS"),
        ],
        Some(false) => &[("control_region", "control_region has no effect without type = \"gateway\"")],
        None => &[],
    };
    for (key, message) in pointless {
        if let Some(value) = table.value(key) {
            problems.add(&value.span, *message);
        }
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
    protocol: Option<EndpointProtocol>,
    problems: &mut Problems<'_>,
) {
    let Some(call) = table.value("call") else { return };
    if gateway == Some(true) {
        problems.add(&call.span, "call needs an interface endpoint, and this is a gateway");
    } else if matches!(protocol, Some(EndpointProtocol::Tls | EndpointProtocol::Tcp)) {
        problems.add(&call.span, "call needs protocol = \"https\"");
    } else if let Some(entry) = subject.and_then(Subject::entry)
        && entry.service() != "monitoring"
    {
        let message =
            format!("call works only with service \"monitoring\", not {:?}; delete call", entry.service());
        problems.add(&call.span, message);
    }
}
