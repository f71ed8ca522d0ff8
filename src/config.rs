//! The configuration, valid by construction: holding a [`Config`] means that it is usable.

mod bound;
mod defaults;
mod egress;
mod endpoint;
mod file;
mod name;
mod own_names;
mod problem;
mod table;
#[cfg(test)]
mod tests;
mod timing;
mod value;
mod zones;

use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::time::Duration;

use toml::de::DeTable;

use crate::network::Cidr;
use crate::observation::EndpointProtocol;
use crate::observation::{EgressSettings, Proof};
pub use name::host_name;
use problem::Problems;
pub use problem::{ConfigError, Mistake};
pub use value::{is_label, is_service};
pub use zones::{MOST_CIDRS, MOST_ZONES};

#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Config {
    /// Given, or the instance's.
    pub region: Option<String>,
    pub ca_file: Option<PathBuf>,
    pub expected_cidrs: Vec<Cidr>,
    pub endpoints: Vec<EndpointConfig>,
    /// `None` where the subnet has a way out on purpose.
    pub egress: Option<EgressConfig>,
    /// `None` if instance metadata is not used.
    pub instance: Option<InstanceConfig>,
    pub credentials: CredentialsConfig,
    pub log: LogConfig,
    pub web: WebConfig,
}

impl Config {
    /// Every mistake is found in one pass, so that a file need not be corrected line by line.
    pub fn parse(source: &str, file: &str) -> Result<Self, ConfigError> {
        let source = source.strip_prefix(BYTE_ORDER_MARK).unwrap_or(source);
        if let Some(offset) = bound::excess(source) {
            let mistake = Mistake::new(file, source, offset, bound::TOO_LONG);
            return Err(ConfigError::Mistakes { shown: vec![mistake], omitted: 0 });
        }
        let mut problems = Problems::of(source);
        let (root, errors) = DeTable::parse_recoverable(source);
        for error in &errors {
            problems.add(&error.span().unwrap_or_default(), error.message());
        }
        // The parser's further words on a line follow from its first.
        problems.keep_one_per_line();
        if !problems.is_empty() {
            // The values of a file that does not parse are not what its author meant.
            return Err(problems.into_error(file));
        }
        match file::config(&root, &mut problems) {
            Some(config) if problems.is_empty() => Ok(config),
            Some(_) | None => Err(problems.into_error(file)),
        }
    }

    pub fn load(path: &Path) -> Result<Self, ConfigError> {
        let unreadable = |source| ConfigError::Unreadable { path: path.to_owned(), source };
        let bytes = crate::file::read(path).map_err(unreadable)?;
        let file = path.display().to_string();
        let source = str::from_utf8(&bytes).map_err(|error| {
            let offset = error.valid_up_to();
            let lossy = String::from_utf8_lossy(&bytes);
            let mistake = Mistake::new(&file, &lossy, offset, "this is not UTF-8");
            ConfigError::Mistakes { shown: vec![mistake], omitted: 0 }
        })?;
        Self::parse(source, &file)
    }
}

/// Some editors begin every file with it.
const BYTE_ORDER_MARK: char = '\u{feff}';

/// One `[[endpoint]]`. Whether its host is known without a region is the plan's question.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct EndpointConfig {
    pub name: String,
    pub host: HostConfig,
    /// The endpoint's own DNS names, the regional one first: `vpce-...vpce.amazonaws.com`.
    pub vpce_hosts: Vec<String>,
    /// Where its subnets are.
    pub zones: Vec<ZoneConfig>,
    pub port: u16,
    pub protocol: EndpointProtocol,
    pub gateway: bool,
    /// Where the negative control of a gateway is sent. `None`: a region is chosen.
    pub control_region: Option<String>,
    /// Beside those of the whole configuration.
    pub expected_cidrs: Vec<Cidr>,
    pub call: Option<CallConfig>,
    pub require_agreement: bool,
    pub interval: Duration,
    pub timeout: Duration,
}

#[derive(Clone, Debug, Eq, PartialEq)]
pub enum HostConfig {
    /// As written, fully qualified, without the trailing dot.
    Given(String),
    /// The catalogue's private DNS name of this service, once the region is known.
    OfService(String),
}

/// An availability zone and what the endpoint has in it. `name` is the name in the account that
/// owns the endpoint.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct ZoneConfig {
    pub name: String,
    pub id: Option<String>,
    /// At least one.
    pub cidrs: Vec<Cidr>,
}

#[derive(Clone, Debug, Eq, PartialEq)]
pub struct CallConfig {
    pub namespace: String,
    /// The condition that the role's policy sets on the call, as the operator says.
    pub proof: Option<Proof>,
    pub interval: Duration,
}

#[derive(Clone, Debug, Eq, PartialEq)]
pub struct EgressConfig {
    pub settings: EgressSettings,
    pub accept_reject: bool,
    pub interval: Duration,
}

#[derive(Clone, Debug, Eq, PartialEq)]
pub struct InstanceConfig {
    pub interval: Duration,
    pub timeout: Duration,
}

#[derive(Clone, Debug, Eq, PartialEq)]
pub struct CredentialsConfig {
    pub interval: Duration,
    pub timeout: Duration,
}

/// Options of the command line go first.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
pub struct LogConfig {
    pub level: LogLevel,
    pub format: LogFormat,
}

#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
pub enum LogLevel {
    Debug,
    #[default]
    Info,
    Warn,
    Error,
}

#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
pub enum LogFormat {
    #[default]
    Text,
    Json,
}

#[derive(Clone, Debug, Eq, PartialEq)]
pub struct WebConfig {
    /// At least one.
    pub listen: Vec<SocketAddr>,
    /// Certificate, users and headers, in the exporter-toolkit's format.
    pub config_file: Option<PathBuf>,
    /// Whether `/-/healthy` and `/-/ready` answer those too who show no credentials.
    pub open_health: bool,
    /// Where the metrics are also written, for node_exporter's textfile collector.
    pub textfile: Option<PathBuf>,
}
