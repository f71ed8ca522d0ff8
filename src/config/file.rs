//! The file as a whole: its top level and the small tables.

use std::net::IpAddr;

use toml::Spanned;
use toml::de::DeTable;

use super::endpoint::endpoints;
use super::problem::Problems;
use super::table::{Keys, Table, Value};
use super::timing::{Timing, timing};
use super::value::{absolute_path, cidr, listen, region, textfile};
use super::{
    Config, CredentialsConfig, EgressConfig, EndpointConfig, HostConfig, InstanceConfig, LogConfig,
    LogFormat, LogLevel, WebConfig, defaults, egress,
};
use crate::catalogue;
use crate::network::is_region;

pub static KEYS: Keys = Keys {
    table: "the top level",
    known: &[
        "region",
        "interval",
        "timeout",
        "ca_file",
        "expected_cidrs",
        "endpoint",
        "egress",
        "instance",
        "credentials",
        "log",
        "web",
    ],
};

pub static INSTANCE_KEYS: Keys = Keys { table: "[instance]", known: &["metadata", "interval", "timeout"] };

pub static CREDENTIALS_KEYS: Keys = Keys { table: "[credentials]", known: &["interval", "timeout"] };

pub static LOG_KEYS: Keys = Keys { table: "[log]", known: &["level", "format"] };

const LOG_LEVELS: [(&str, LogLevel); 4] = [
    ("debug", LogLevel::Debug),
    ("info", LogLevel::Info),
    ("warn", LogLevel::Warn),
    ("error", LogLevel::Error),
];

const LOG_FORMATS: [(&str, LogFormat); 2] = [("text", LogFormat::Text), ("json", LogFormat::Json)];

pub static WEB_KEYS: Keys =
    Keys { table: "[web]", known: &["listen", "config_file", "open_health", "textfile"] };

/// More ranges than a large hub VPC has.
const MOST_CIDRS: usize = 64;

/// `None` where anything is wrong; the problems say what.
pub fn config(root: &Spanned<DeTable<'_>>, problems: &mut Problems<'_>) -> Option<Config> {
    let table = Table::root(root, &KEYS, problems);
    let region = table.read_optional("region", problems, region);
    let ca_file = table.read_optional("ca_file", problems, absolute_path);
    let expected_cidrs = table.read("expected_cidrs", Some(Vec::new()), problems, |value, problems| {
        value.list(MOST_CIDRS, problems, cidr)
    });
    let timing = timing(&table, Timing::of(defaults::INTERVAL, defaults::TIMEOUT), problems);
    let endpoints = match table.value("endpoint") {
        Some(value) => endpoints(&value, timing, problems),
        None => timing.both().map(|(interval, timeout)| vec![defaults::monitoring(interval, timeout)]),
    };
    let egress = table.read("egress", Some(Some(EgressConfig::default())), problems, egress::egress);
    let default = Config::default();
    let instance = table.read("instance", Some(default.instance), problems, instance);
    let credentials = table.read("credentials", Some(default.credentials), problems, credentials);
    let log = table.read("log", Some(default.log), problems, log);
    let web = table.read("web", Some(default.web), problems, web);
    let config = Config {
        region: region?,
        ca_file: ca_file?,
        expected_cidrs: expected_cidrs?,
        endpoints: endpoints?,
        egress: egress?,
        instance: instance?,
        credentials: credentials?,
        log: log?,
        web: web?,
    };
    check_whole(&config, &table, problems);
    Some(config)
}

/// What only the tables together can get wrong.
fn check_whole(config: &Config, table: &Table<'_>, problems: &mut Problems<'_>) {
    if config.endpoints.is_empty()
        && config.egress.is_none()
        && let Some(value) = table.value("endpoint")
    {
        let message = "nothing to check: no endpoint is configured and egress is not enabled";
        problems.add(&value.span, message);
    }
    if let Some(value) = table.value("egress")
        && let Some(egress) = &config.egress
    {
        let literals = egress.settings.literals();
        let inside = |ip: &IpAddr| config.expected_cidrs.iter().any(|cidr| cidr.contains(*ip));
        for ip in literals.filter(inside) {
            let message = format!("\"{ip}\" lies inside expected_cidrs; an egress target must be outside");
            problems.add(&value.span, message);
        }
    }
    for endpoint in &config.endpoints {
        check_control(config, endpoint, table, problems);
    }
    let needs_region = |endpoint: &&EndpointConfig| match endpoint.host {
        HostConfig::Given(_) => endpoint.call.is_some(),
        HostConfig::OfService(_) => true,
    };
    if config.instance.is_none()
        && config.region.is_none()
        && let Some(value) = table.value("instance")
        && let Some(endpoint) = config.endpoints.iter().find(needs_region)
    {
        let message = format!("endpoint {:?} needs a region, and metadata is off; set region", endpoint.name);
        problems.add(&value.span, message);
    }
}

/// A control in the endpoint's own region is the endpoint, and another partition has no such name.
fn check_control(config: &Config, endpoint: &EndpointConfig, table: &Table<'_>, problems: &mut Problems<'_>) {
    let of_host = match &endpoint.host {
        HostConfig::Given(host) => host.split('.').find(|label| is_region(label)),
        HostConfig::OfService(_) => config.region.as_deref(),
    };
    let Some((own, other)) = of_host.zip(endpoint.control_region.as_deref()) else { return };
    if !catalogue::is_other_region(own, other)
        && let Some(value) = table.value("endpoint")
    {
        let message = format!(
            "control_region of endpoint {:?} must be another region than {own}, of the same partition",
            endpoint.name
        );
        problems.add(&value.span, message);
    }
}

fn instance(value: &Value<'_>, problems: &mut Problems<'_>) -> Option<Option<InstanceConfig>> {
    let table = value.table(&INSTANCE_KEYS, problems)?;
    let metadata = table.read("metadata", Some(true), problems, Value::flag);
    let timing =
        timing(&table, Timing::of(defaults::INSTANCE_INTERVAL, defaults::INSTANCE_TIMEOUT), problems);
    let (interval, timeout) = timing.both()?;
    Some(metadata?.then_some(InstanceConfig { interval, timeout }))
}

fn credentials(value: &Value<'_>, problems: &mut Problems<'_>) -> Option<CredentialsConfig> {
    let table = value.table(&CREDENTIALS_KEYS, problems)?;
    let inherited = Timing::of(defaults::CREDENTIALS_INTERVAL, defaults::CREDENTIALS_TIMEOUT);
    let (interval, timeout) = timing(&table, inherited, problems).both()?;
    Some(CredentialsConfig { interval, timeout })
}

fn log(value: &Value<'_>, problems: &mut Problems<'_>) -> Option<LogConfig> {
    let table = value.table(&LOG_KEYS, problems)?;
    let default = LogConfig::default();
    let level = table.read("level", Some(default.level), problems, |value, problems| {
        one_of(value, &LOG_LEVELS, "\"debug\", \"info\", \"warn\" or \"error\"", problems)
    });
    let format = table.read("format", Some(default.format), problems, |value, problems| {
        one_of(value, &LOG_FORMATS, "\"text\" or \"json\"", problems)
    });
    Some(LogConfig { level: level?, format: format? })
}

fn one_of<T: Copy>(
    value: &Value<'_>,
    choices: &[(&str, T)],
    expected: &str,
    problems: &mut Problems<'_>,
) -> Option<T> {
    let text = value.text(expected, problems)?;
    let found = choices.iter().find(|(word, _)| *word == text);
    if found.is_none() {
        problems.add(&value.span, format!("{} must be {expected}", value.key));
    }
    found.map(|(_, choice)| *choice)
}

fn web(value: &Value<'_>, problems: &mut Problems<'_>) -> Option<WebConfig> {
    let table = value.table(&WEB_KEYS, problems)?;
    let listen = table.read("listen", Some(vec![defaults::LISTEN]), problems, listen);
    let config_file = table.read_optional("config_file", problems, absolute_path);
    let open_health = table.read("open_health", Some(false), problems, Value::flag);
    let textfile = table.read_optional("textfile", problems, textfile);
    Some(WebConfig {
        listen: listen?,
        config_file: config_file?,
        open_health: open_health?,
        textfile: textfile?,
    })
}
