//! The facts behind an outcome, one shape for each kind of check.

use std::fmt;
use std::net::{IpAddr, SocketAddr};
use std::time::{Duration, SystemTime};

use serde::{Serialize, Serializer};

use super::{
    Connection, DnsEvidence, EgressEvidence, GatewayControl, Phases, ProofEvidence, Provider, Reason, cut,
    printable,
};
use crate::network::Cidr;

/// Serialised as seconds; times and durations are numbers wherever they are shown.
pub fn seconds<S: Serializer>(duration: &Duration, serializer: S) -> Result<S::Ok, S::Error> {
    serializer.serialize_f64(duration.as_secs_f64())
}

/// To be left out where it is `None`.
pub fn known<S: Serializer>(duration: &Option<Duration>, serializer: S) -> Result<S::Ok, S::Error> {
    serializer.serialize_f64(duration.unwrap_or_default().as_secs_f64())
}

#[derive(Clone, Debug, PartialEq, Serialize)]
#[serde(untagged)]
pub enum Evidence {
    NotAttempted(NotAttempted),
    Instance(InstanceEvidence),
    Credentials(CredentialsEvidence),
    Dns(DnsEvidence),
    Connect {
        host: String,
        port: u16,
        connections: Vec<Connection>,
        /// Of a gateway endpoint.
        #[serde(skip_serializing_if = "Option::is_none")]
        control: Option<GatewayControl>,
    },
    Call {
        host: String,
        calls: Vec<CallEvidence>,
        /// The condition that makes an answer AWS's own proof, where one is configured.
        #[serde(skip_serializing_if = "Option::is_none")]
        proof: Option<ProofEvidence>,
    },
    Egress(EgressEvidence),
}

/// Why there was nothing to look at.
#[derive(Clone, Copy, Debug, Eq, PartialEq, Serialize)]
#[serde(rename_all = "snake_case", tag = "not_attempted")]
pub enum NotAttempted {
    /// The name has no address to connect to.
    NoAddress,
    /// No address passed the step before.
    NoVerifiedAddress,
    /// The name, or the signature, needs a region that is not known.
    NoRegion,
    NoCredentials,
    /// The credentials were still being looked up when the time was over.
    CredentialsPending,
    /// Sockets could not be opened: too many open files, or no memory.
    NoResources,
    /// The check is scheduled and did not run.
    Overdue {
        #[serde(rename = "last_run_seconds_ago", serialize_with = "seconds")]
        last_run: Duration,
        #[serde(rename = "interval_seconds", serialize_with = "seconds")]
        interval: Duration,
    },
}

/// What instance metadata says about the machine and its network.
#[derive(Clone, Debug, Default, Eq, PartialEq, Serialize)]
pub struct Instance {
    pub instance_id: Option<String>,
    pub region: Option<String>,
    pub zone: Option<String>,
    pub zone_id: Option<String>,
    pub vpc_id: Option<String>,
    pub subnet_id: Option<String>,
    pub vpc_cidrs: Vec<Cidr>,
    /// Of its interfaces, all of them in its own zone.
    #[serde(skip)]
    pub subnet_cidrs: Vec<Cidr>,
    pub addresses: Vec<IpAddr>,
}

#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct InstanceEvidence {
    /// The metadata address that was asked.
    pub server: Option<SocketAddr>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub instance: Option<Instance>,
    /// How far the server went before it fell silent.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub silence: Option<MetadataSilence>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub error: Option<ProbeError>,
}

/// What a metadata service that did not answer in time still did.
#[derive(Clone, Copy, Debug, Eq, PartialEq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum MetadataSilence {
    /// It did not accept a connection.
    Connect,
    /// It answers a GET at once and a PUT never: the hop limit applies to the latter alone.
    TokenOnly,
    /// It accepts connections, and answers nothing or too late.
    Slow,
}

#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct CredentialsEvidence {
    /// The provider that gave them, or that was configured and failed.
    pub source: Option<Provider>,
    /// The identifier, never the secret.
    pub access_key_id: Option<String>,
    #[serde(serialize_with = "rfc3339")]
    pub expires_at: Option<SystemTime>,
    /// What the profile sets that leads AWS clients to other endpoints.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub endpoint_settings: Vec<String>,
    /// The region of the profile, which AWS clients use where no variable names one.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub profile_region: Option<String>,
    /// The host that a provider asked and that did not answer.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub unreached: Option<String>,
    /// The error code of metadata, of an agent or of STS, where that is why there are none.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub aws_error: Option<AwsError>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub error: Option<ProbeError>,
}

/// A reason, with the message of the program that reported it.
#[derive(Clone, Debug, Eq, PartialEq, Serialize)]
pub struct ProbeError {
    pub reason: Reason,
    pub detail: String,
}

/// One signed ListMetrics to one address.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct CallEvidence {
    pub ip: IpAddr,
    pub peer: Option<SocketAddr>,
    #[serde(skip)]
    pub phases: Phases,
    /// As of a [`Connection`].
    #[serde(
        rename = "kernel_tcp_seconds",
        serialize_with = "known",
        skip_serializing_if = "Option::is_none"
    )]
    pub kernel_tcp: Option<Duration>,
    pub http_status: Option<u16>,
    pub request_id: Option<String>,
    /// AWS's own error code and message, where the answer was AWS-shaped.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub aws_error: Option<AwsError>,
    /// How many metrics the answer listed, where it was ListMetrics' output.
    pub metrics: Option<usize>,
    pub clock_skew: Option<i64>,
    /// Where the attempt broke off short of an answer by AWS.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub error: Option<ProbeError>,
}

#[derive(Clone, Debug, Eq, PartialEq, Serialize)]
pub struct AwsError {
    pub code: String,
    pub message: String,
}

impl fmt::Display for AwsError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.with(&self.message))
    }
}

impl AwsError {
    /// AWS's longest messages name two ARNs. The report says how much was cut off.
    const LONGEST_CODE: usize = 128;
    const LONGEST_MESSAGE: usize = 1024;

    pub fn new(code: &str, message: &str) -> Self {
        Self { code: cut(code, Self::LONGEST_CODE), message: cut(message, Self::LONGEST_MESSAGE) }
    }

    /// The code and the end of the message, where AWS says why, after two long ARNs.
    pub fn brief(&self) -> String {
        let at = self.message.find(" because ");
        self.with(&at.map_or_else(|| self.message.clone(), |at| format!("…{}", &self.message[at..])))
    }

    fn with(&self, message: &str) -> String {
        if message.is_empty() { self.code.clone() } else { format!("{}: {message}", self.code) }
    }
}

pub fn rfc3339<S: Serializer>(time: &Option<SystemTime>, serializer: S) -> Result<S::Ok, S::Error> {
    match time {
        Some(time) => serializer.collect_str(&humantime::format_rfc3339_seconds(printable(*time))),
        None => serializer.serialize_none(),
    }
}
