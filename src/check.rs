//! The words that everything else shares: what a check is called and what it aims at.

use std::fmt;
use std::net::IpAddr;

use serde::{Serialize, Serializer};

/// What one attempt of a check does.
#[derive(Clone, Copy, Debug, Eq, Hash, Ord, PartialEq, PartialOrd, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Kind {
    Instance,
    Credentials,
    Dns,
    Connect,
    Call,
    Egress,
}

impl Kind {
    pub fn code(self) -> &'static str {
        match self {
            Self::Instance => "instance",
            Self::Credentials => "credentials",
            Self::Dns => "dns",
            Self::Connect => "connect",
            Self::Call => "call",
            Self::Egress => "egress",
        }
    }
}

#[derive(Clone, Copy, Debug, Eq, Hash, Ord, PartialEq, PartialOrd, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Family {
    Ipv4,
    Ipv6,
}

impl Family {
    pub const BOTH: [Self; 2] = [Self::Ipv4, Self::Ipv6];

    pub fn of(ip: IpAddr) -> Self {
        match ip {
            IpAddr::V4(_) => Self::Ipv4,
            IpAddr::V6(_) => Self::Ipv6,
        }
    }

    pub fn code(self) -> &'static str {
        match self {
            Self::Ipv4 => "ipv4",
            Self::Ipv6 => "ipv6",
        }
    }

    /// As a person writes it.
    pub fn name(self) -> &'static str {
        match self {
            Self::Ipv4 => "IPv4",
            Self::Ipv6 => "IPv6",
        }
    }
}

/// The stable name of a check: `monitoring/dns`, `egress/ipv4`, `instance`.
///
/// The order is the order of the report: what others rest on comes first.
#[derive(Clone, Debug, Eq, Hash, Ord, PartialEq, PartialOrd)]
pub enum CheckId {
    Instance,
    Credentials,
    Endpoint(EndpointName, Step),
    Egress(Family),
}

/// A service's name (`monitoring`) or a host, as the configuration calls the endpoint.
pub type EndpointName = String;

/// The three checks of an endpoint, in the order in which they are climbed.
#[derive(Clone, Copy, Debug, Eq, Hash, Ord, PartialEq, PartialOrd)]
pub enum Step {
    Dns,
    Connect,
    Call,
}

impl CheckId {
    pub fn kind(&self) -> Kind {
        match self {
            Self::Instance => Kind::Instance,
            Self::Credentials => Kind::Credentials,
            Self::Endpoint(_, Step::Dns) => Kind::Dns,
            Self::Endpoint(_, Step::Connect) => Kind::Connect,
            Self::Endpoint(_, Step::Call) => Kind::Call,
            Self::Egress(_) => Kind::Egress,
        }
    }

    /// What the check aims at: an endpoint's name, a family of the internet, or the instance.
    pub fn target(&self) -> &str {
        match self {
            Self::Instance | Self::Credentials => "instance",
            Self::Endpoint(name, _) => name,
            Self::Egress(family) => family.code(),
        }
    }
}

impl fmt::Display for CheckId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Instance | Self::Credentials => f.write_str(self.kind().code()),
            Self::Endpoint(name, _) => write!(f, "{name}/{}", self.kind().code()),
            Self::Egress(family) => write!(f, "egress/{}", family.code()),
        }
    }
}

impl Serialize for CheckId {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ids_read_as_documented_and_sort_as_reported() {
        let mut ids = [
            CheckId::Egress(Family::Ipv6),
            CheckId::Endpoint("monitoring".into(), Step::Call),
            CheckId::Egress(Family::Ipv4),
            CheckId::Endpoint("monitoring".into(), Step::Dns),
            CheckId::Credentials,
            CheckId::Instance,
        ];
        ids.sort();
        let ids: Vec<String> = ids.iter().map(ToString::to_string).collect();
        assert_eq!(
            ids,
            ["instance", "credentials", "monitoring/dns", "monitoring/call", "egress/ipv4", "egress/ipv6"]
        );
    }
}
