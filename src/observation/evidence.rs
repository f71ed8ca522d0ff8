//! The facts behind an outcome, one shape for each kind of check.

use std::net::{IpAddr, SocketAddr};
use std::time::{Duration, SystemTime};

use serde::{Serialize, Serializer};

#[cfg(any(test, fuzzing))]
use super::{EaiCode, LookupError, LookupResult};
use super::{
    GatewayControl, HostFiles, Lookup, OwnNames, Phases, ProofEvidence, Provider, Reason, cut, printable,
};
use crate::check::Family;
use crate::network::Cidr;

/// Serialised as seconds; times and durations are numbers wherever they are shown.
pub fn seconds<S: Serializer>(duration: &Duration, serializer: S) -> Result<S::Ok, S::Error> {
    serializer.serialize_f64(duration.as_secs_f64())
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

/// What one name was looked up to, what the name servers say of it, and what the files do.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct DnsEvidence {
    pub host: String,
    /// What applications on this host get. It decides; the rest explains.
    pub lookup: Lookup,
    pub queries: Vec<Query>,
    pub files: HostFiles,
    /// Where the endpoint's own names are configured.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub own: Option<OwnNames>,
}

/// One question to one server, and what came of it.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Query {
    /// Where the search list made another name of the host's.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub name: Option<String>,
    pub server: SocketAddr,
    pub resolver: Resolver,
    pub query_type: QueryType,
    pub transport: Transport,
    /// The first datagram was lost, or its answer was late.
    pub retransmitted: bool,
    /// The server refused or dropped a question with EDNS, and answered without.
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    pub edns_refused: bool,
    /// An alias stands behind the addresses that it leads to, which the GNU C library refuses.
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    pub alias_last: bool,
    #[serde(rename = "seconds", serialize_with = "seconds")]
    pub took: Duration,
    #[serde(flatten)]
    pub result: QueryResult,
}

#[derive(Clone, Copy, Debug, Eq, PartialEq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Resolver {
    /// From `/etc/resolv.conf`: what applications hear.
    System,
    /// The VPC's own, asked directly.
    Vpc,
}

#[derive(Clone, Copy, Debug, Eq, PartialEq, Serialize)]
pub enum QueryType {
    A,
    #[serde(rename = "AAAA")]
    Aaaa,
}

#[derive(Clone, Copy, Debug, Eq, PartialEq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Transport {
    Udp,
    Tcp,
}

#[derive(Clone, Debug, Eq, PartialEq, Serialize)]
#[serde(rename_all = "snake_case", tag = "reply")]
pub enum QueryResult {
    /// NOERROR. Without an address it is NODATA.
    Addresses {
        addresses: Vec<IpAddr>,
        /// The shortest TTL on the way to them.
        ttl: Option<u32>,
        /// The names of the CNAME chain, in order.
        #[serde(skip_serializing_if = "Vec::is_empty")]
        aliases: Vec<String>,
    },
    Nxdomain,
    Servfail,
    Refused,
    /// Nothing but a hint to ask elsewhere: the server does not look names up for others.
    NotRecursive,
    /// Any other response code (RFC 6895).
    OtherCode {
        rcode: u16,
    },
    /// Truncated over UDP, and TCP did not deliver the whole either.
    Truncated {
        detail: String,
    },
    Timeout,
    /// The question could not be delivered, or was answered by an ICMP error.
    Unreachable {
        detail: String,
    },
    /// Bytes came that are no DNS answer to this question.
    Invalid {
        detail: String,
    },
}

impl QueryResult {
    /// Empty unless the answer lists addresses.
    pub fn addresses(&self) -> &[IpAddr] {
        match self {
            Self::Addresses { addresses, .. } => addresses,
            Self::Nxdomain
            | Self::Servfail
            | Self::Refused
            | Self::NotRecursive
            | Self::OtherCode { .. }
            | Self::Truncated { .. }
            | Self::Timeout
            | Self::Unreachable { .. }
            | Self::Invalid { .. } => &[],
        }
    }

    /// The library is content with it, and asks no other server.
    pub fn is_conclusive(&self) -> bool {
        matches!(self, Self::Addresses { .. } | Self::Nxdomain)
    }
}

/// One fresh connection to one address, as far as it came.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Connection {
    pub ip: IpAddr,
    /// The other end of the socket, as the kernel knows it.
    pub peer: Option<SocketAddr>,
    #[serde(skip_serializing_if = "EndpointProtocol::is_https")]
    pub protocol: EndpointProtocol,
    #[serde(skip)]
    pub phases: Phases,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub certificate: Option<Certificate>,
    pub http_status: Option<u16>,
    /// How far the peer's Date is ahead of our clock; seconds, negative when it is behind.
    pub clock_skew: Option<i64>,
    /// How the service names itself. Anybody can write it, so no outcome rests on it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub signature: Option<Signature>,
    /// What is wrong with this host's trust store, where that is why the certificate is not trusted.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub trust_store: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub error: Option<ProbeError>,
}

/// Headers of an HTTP response, cut to what such headers need.
#[derive(Clone, Debug, Eq, PartialEq, Serialize)]
pub struct Signature {
    #[serde(skip_serializing_if = "Option::is_none")]
    pub server: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub request_id: Option<String>,
}

/// What an endpoint speaks, and so how far the connect check goes.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum EndpointProtocol {
    #[default]
    Https,
    /// TLS, then a protocol other than HTTP.
    Tls,
    Tcp,
}

impl EndpointProtocol {
    #[allow(clippy::trivially_copy_pass_by_ref, reason = "serde passes a reference")]
    fn is_https(&self) -> bool {
        *self == Self::Https
    }
}

/// The leaf certificate that the peer showed, whether or not it was accepted.
#[derive(Clone, Debug, Eq, PartialEq, Serialize)]
pub struct Certificate {
    pub issuer: String,
    pub subject: String,
    #[serde(serialize_with = "rfc3339")]
    pub not_before: Option<SystemTime>,
    #[serde(serialize_with = "rfc3339")]
    pub not_after: Option<SystemTime>,
    /// The DNS names that it is valid for, at most the first ten.
    pub names: Vec<String>,
}

/// One signed ListMetrics to one address.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct CallEvidence {
    pub ip: IpAddr,
    pub peer: Option<SocketAddr>,
    #[serde(skip)]
    pub phases: Phases,
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

impl AwsError {
    /// AWS's longest messages name two ARNs. The report says how much was cut off.
    const LONGEST_CODE: usize = 128;
    const LONGEST_MESSAGE: usize = 1024;

    pub fn new(code: &str, message: &str) -> Self {
        Self { code: cut(code, Self::LONGEST_CODE), message: cut(message, Self::LONGEST_MESSAGE) }
    }

    /// The end of the message, where AWS says why, after two long ARNs.
    pub fn cause(&self) -> String {
        let at = self.message.find(" because ");
        at.map_or_else(|| self.message.clone(), |at| format!("…{}", &self.message[at..]))
    }
}

/// What one window received from the internet and from the controls.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct EgressEvidence {
    pub family: Family,
    #[serde(rename = "window_seconds", serialize_with = "seconds")]
    pub window: Duration,
    /// The host's global addresses of this family.
    pub sources: Vec<EgressSource>,
    /// Why the host has no address of this family, as far as the host shows it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub family_disabled: Option<String>,
    pub icmp_socket: IcmpSocket,
    pub probes: Vec<EgressProbe>,
    pub controls: Vec<Control>,
    /// Whether the controls make the silence of at least one source count. Set by the verdict.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub controls_passed: Option<bool>,
    /// What is not probed, with the reason: names without an address, addresses of the VPC.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub unresolved: Vec<String>,
    /// What the configuration leaves out of the default look. Set by the verdict.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub left_out: Vec<&'static str>,
}

/// A global address of the host, from which probes are sent.
#[derive(Clone, Debug, Eq, PartialEq, Serialize)]
pub struct EgressSource {
    pub ip: IpAddr,
    pub interface: String,
    /// Beyond the first sources there is one ping and one TCP port to two operators.
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    pub reduced: bool,
    /// Set by the verdict; before that, only what was never probed has it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub judged: Option<SourceJudgment>,
}

/// What the silence of a source is worth.
#[derive(Clone, Copy, Debug, Eq, PartialEq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum SourceJudgment {
    /// A control answered from it, so silence counts.
    Claimed,
    /// No control answered from it: a reply is a leak, silence says nothing.
    NotClaimed,
    /// The kernel has no route from it to any target.
    NoRoute,
    /// Left out by `sources`.
    LeftOut,
    /// The host has more addresses than are probed.
    OverLimit,
}

/// The kind of ICMP socket that the kernel allowed. It decides which ICMP errors are visible.
#[derive(Clone, Copy, Debug, Eq, PartialEq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum IcmpSocket {
    Dgram,
    Raw,
    None,
}

impl IcmpSocket {
    pub fn code(self) -> &'static str {
        match self {
            Self::Dgram => "dgram",
            Self::Raw => "raw",
            Self::None => "none",
        }
    }
}

/// One kind of probe at one target.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct EgressProbe {
    /// A name that led here; `None` for an IP literal. Only literals prove anything by silence.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub host: Option<String>,
    pub source: IpAddr,
    pub ip: IpAddr,
    pub protocol: Protocol,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub port: Option<u16>,
    /// An address that cannot exist: a reply shows that something nearby answers for every address.
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    pub decoy: bool,
    /// Packets handed to the kernel, which took them. For TCP the attempts, not its SYNs.
    pub sent: u32,
    #[serde(flatten)]
    pub result: ProbeResult,
    /// Set by the verdict. Nothing that is shown judges a probe again.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub judged: Option<ProbeJudgment>,
}

/// What one probe says about egress.
#[derive(Clone, Copy, Debug, Eq, PartialEq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum ProbeJudgment {
    /// The target replied, or a router on the internet did: packets leave.
    Leak,
    /// The decoy got the same reply, so something on this host or on the way answers for every address.
    Intercepted,
    /// No reply, and a control shows that one would have been received.
    Silent,
    /// No reply, from a source without a control.
    NotClaimed,
    /// Rejected by something that is known to be near: as good as silence.
    RejectedNearby,
    /// Rejected by something that may be anywhere.
    Rejected,
    /// This host rejected its own packet.
    RejectedHere,
    NoRoute,
    NotSent,
    /// The target lies inside the VPC, or its name leads to a private address.
    Disregarded,
}

#[derive(Clone, Copy, Debug, Eq, Hash, Ord, PartialEq, PartialOrd, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Protocol {
    Icmp,
    Tcp,
    Udp,
}

impl Protocol {
    pub const ALL: [Self; 3] = [Self::Icmp, Self::Tcp, Self::Udp];

    pub fn code(self) -> &'static str {
        match self {
            Self::Icmp => "icmp",
            Self::Tcp => "tcp",
            Self::Udp => "udp",
        }
    }
}

#[derive(Clone, Debug, Eq, PartialEq, Serialize)]
#[serde(rename_all = "snake_case", tag = "result")]
pub enum ProbeResult {
    /// The target itself answered: an echo reply, an established connection, a datagram.
    Reply {
        replies: u32,
        #[serde(rename = "after_seconds", serialize_with = "seconds")]
        after: Duration,
    },
    NoReply,
    /// A reset or an ICMP error. Where the socket tells, `by` is its sender.
    Rejected {
        by: Option<IpAddr>,
        how: String,
        /// A TCP RST, which shows no sender of its own.
        #[serde(skip_serializing_if = "std::ops::Not::not")]
        reset: bool,
    },
    NotSent(SendError),
}

/// Why a packet did not leave.
#[derive(Clone, Debug, Eq, PartialEq, Serialize)]
#[serde(rename_all = "snake_case", tag = "because")]
pub enum SendError {
    /// The kernel knows no route: a lookup, which sends nothing.
    NoRoute,
    /// No socket to send from could be opened.
    NotPermitted,
    /// The host's own packet filter refused it (EPERM, ..).
    Blocked { errno: String },
    /// The process or the host ran out of something, such as file descriptors (EMFILE, ..).
    NoResources { errno: String },
}

/// Shows that an answer to a probe would have been received.
#[derive(Clone, Debug, Eq, PartialEq, Serialize)]
pub struct Control {
    pub control: ControlKind,
    /// The address that it was sent from; `None` for loopback.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub source: Option<IpAddr>,
    pub target: Option<SocketAddr>,
    pub passed: bool,
    pub detail: String,
}

#[derive(Clone, Copy, Debug, Eq, PartialEq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum ControlKind {
    /// The ICMP socket received the answer to its own ping over loopback.
    Loopback,
    /// An endpoint's address accepted a connection: strong.
    Endpoint,
    /// A resolver answered: weak, since the VPC's one is reached without a route.
    Resolver,
}

fn rfc3339<S: Serializer>(time: &Option<SystemTime>, serializer: S) -> Result<S::Ok, S::Error> {
    match time {
        Some(time) => serializer.collect_str(&humantime::format_rfc3339_seconds(printable(*time))),
        None => serializer.serialize_none(),
    }
}

#[cfg(any(test, fuzzing))]
impl DnsEvidence {
    /// Where the lookup returned what the listed name servers say, as on most hosts.
    pub fn of(host: &str, queries: Vec<Query>) -> Self {
        let system = || queries.iter().filter(|query| query.resolver == Resolver::System);
        let mut addresses: Vec<IpAddr> = Vec::new();
        for ip in system().flat_map(|query| query.result.addresses()) {
            if !addresses.contains(ip) {
                addresses.push(*ip);
            }
        }
        let result = if addresses.is_empty() {
            let message = "Name or service not known".into();
            LookupResult::Error(LookupError { code: EaiCode::NoName, errno: None, message })
        } else {
            LookupResult::Addresses { addresses }
        };
        let mut servers: Vec<SocketAddr> = system().map(|query| query.server).collect();
        servers.dedup();
        let sources = ["files", "dns"].map(str::to_owned).to_vec();
        Self {
            host: host.to_owned(),
            lookup: Lookup { result, took: Duration::from_micros(1500) },
            queries,
            files: HostFiles { servers, sources, ..HostFiles::default() },
            own: None,
        }
    }
}
