//! Fresh connections to an endpoint's addresses.

use std::net::{IpAddr, SocketAddr};
use std::time::{Duration, SystemTime};

use serde::Serialize;

use super::evidence::{known, rfc3339};
use super::{Phases, ProbeError};

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
    /// The TCP phase by the kernel's clock, where it knows: the shortest round trip of the connection.
    #[serde(
        rename = "kernel_tcp_seconds",
        serialize_with = "known",
        skip_serializing_if = "Option::is_none"
    )]
    pub kernel_tcp: Option<Duration>,
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

#[cfg(test)]
mod tests {
    use super::*;
    use crate::report::fixture;

    #[test]
    fn a_protocol_is_written_where_it_is_not_the_usual_one() {
        for (protocol, written) in [(EndpointProtocol::Https, None), (EndpointProtocol::Tls, Some("tls"))] {
            let (_, answered) = fixture::answered("10.0.1.57");
            let json = serde_json::to_value(Connection { protocol, ..answered }).unwrap();
            assert_eq!(json.get("protocol").and_then(|value| value.as_str()), written);
        }
    }
}
