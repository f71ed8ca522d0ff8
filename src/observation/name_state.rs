//! What looking one name up showed about an endpoint behind it.

use serde::Serialize;

/// From what counts most for a service to what counts least: a service has the state of the name
/// that comes first.
#[derive(Clone, Copy, Debug, Eq, Ord, PartialEq, PartialOrd, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum NameState {
    /// Every address that applications can use is inside the VPC's or the expected ranges.
    Private,
    /// Private addresses and others.
    Mixed,
    /// A private address that is in none of the known ranges.
    Elsewhere,
    /// Loopback, link-local or reserved.
    Special,
    /// The ranges of the VPC are not known, so no address can be told to be in them.
    RangesUnknown,
    /// The same answer as for a name that cannot exist: it says nothing about this one.
    AnyName,
    Public,
    /// The lookup failed, so nothing is known.
    Failed,
    /// The name was not asked.
    NotLookedAt,
    /// The name exists without an address.
    NoAddress,
    NotFound,
}

impl NameState {
    /// Whether some address may be that of an endpoint.
    pub fn may_be_endpoint(self) -> bool {
        matches!(self, Self::Private | Self::Mixed | Self::Elsewhere | Self::Special | Self::RangesUnknown)
    }
}
