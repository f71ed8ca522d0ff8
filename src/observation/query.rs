//! What a lookup returned, and what the name servers say of the same name.

use std::net::{IpAddr, SocketAddr};
use std::time::Duration;

use serde::Serialize;

use super::evidence::{known, seconds};
#[cfg(any(test, fuzzing))]
use super::{EaiCode, LookupError, LookupResult};
use super::{HostFiles, Lookup, OwnNames, ZoneRange};

/// What one name was looked up to, what the name servers say of it, and what the files do.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct DnsEvidence {
    pub host: String,
    /// What applications on this host get. It decides; the rest explains.
    pub lookup: Lookup,
    /// What further lookups returned instead, where each may start at another server.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub other_lookups: Vec<Lookup>,
    pub queries: Vec<Query>,
    pub files: HostFiles,
    /// Where the endpoint's own names are configured.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub own: Option<OwnNames>,
    /// The ranges of the endpoint's subnets, where they are configured.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub zones: Vec<ZoneRange>,
}

/// One question to one server, and what came of it.
#[derive(Clone, Debug, PartialEq, Serialize)]
#[expect(clippy::struct_excessive_bools, reason = "each is a key of its own in the report")]
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
    /// This host's own packet filter dropped or rejected the question (EPERM).
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    pub blocked_here: bool,
    /// This host has no usable route to the server.
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    pub unrouted_here: bool,
    #[serde(rename = "seconds", serialize_with = "seconds")]
    pub took: Duration,
    /// From the question until the answer by the kernel's clock, where it knows.
    #[serde(rename = "kernel_seconds", serialize_with = "known", skip_serializing_if = "Option::is_none")]
    pub kernel: Option<Duration>,
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

#[derive(Clone, Copy, Debug, Eq, Ord, PartialEq, PartialOrd, Serialize)]
pub enum QueryType {
    A,
    #[serde(rename = "AAAA")]
    Aaaa,
}

impl QueryType {
    pub const BOTH: [Self; 2] = [Self::A, Self::Aaaa];
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

#[cfg(test)]
impl Query {
    /// Over UDP, as most are answered.
    pub fn of(server: SocketAddr, resolver: Resolver, query_type: QueryType, result: QueryResult) -> Self {
        Self {
            name: None,
            server,
            resolver,
            query_type,
            transport: Transport::Udp,
            retransmitted: false,
            edns_refused: false,
            alias_last: false,
            blocked_here: false,
            unrouted_here: false,
            took: Duration::from_millis(1),
            kernel: None,
            result,
        }
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
            other_lookups: vec![],
            queries,
            files: HostFiles { servers, sources, ..HostFiles::default() },
            own: None,
            zones: Vec::new(),
        }
    }
}
