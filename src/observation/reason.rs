//! The closed set of reasons why something is not a pass.

use std::fmt;

use serde::{Serialize, Serializer};

macro_rules! reasons {
    ($($(#[$doc:meta])* $name:ident = $code:literal,)*) => {
        /// Why a check did not pass: a bounded code, fit for a label.
        #[derive(Clone, Copy, Debug, Eq, Hash, Ord, PartialEq, PartialOrd)]
        pub enum Reason { $($(#[$doc])* $name,)* }

        impl Reason {
            #[cfg(test)]
            pub const ALL: &[Self] = &[$(Self::$name,)*];

            pub fn code(self) -> &'static str {
                match self { $(Self::$name => $code,)* }
            }
        }
    };
}

reasons! {
    // dns
    NameNotFound = "name_not_found",
    NoAddress = "no_address",
    ServerFailure = "server_failure",
    QueryRefused = "query_refused",
    QueryTimeout = "query_timeout",
    ResolverUnreachable = "resolver_unreachable",
    Truncated = "truncated",
    PublicAddress = "public_address",
    MixedAddresses = "mixed_addresses",
    OutsideVpc = "outside_vpc",
    SpecialAddress = "special_address",
    ResolversDisagree = "resolvers_disagree",
    VpcCidrsUnknown = "vpc_cidrs_unknown",
    // connect
    ConnectTimeout = "connect_timeout",
    ConnectionRefused = "connection_refused",
    ConnectionReset = "connection_reset",
    NetworkUnreachable = "network_unreachable",
    TlsTimeout = "tls_timeout",
    TlsFailed = "tls_failed",
    CertificateExpired = "certificate_expired",
    CertificateNotYetValid = "certificate_not_yet_valid",
    CertificateNameMismatch = "certificate_name_mismatch",
    CertificateUntrusted = "certificate_untrusted",
    ResponseTimeout = "response_timeout",
    ResponseInvalid = "response_invalid",
    AddressOutsideVpc = "address_outside_vpc",
    // call
    DeniedByIdentityPolicy = "denied_by_identity_policy",
    DeniedByEndpointPolicy = "denied_by_endpoint_policy",
    DeniedByOrganizationPolicy = "denied_by_organization_policy",
    DeniedByPermissionsBoundary = "denied_by_permissions_boundary",
    DeniedBySessionPolicy = "denied_by_session_policy",
    AccessDenied = "access_denied",
    ClockSkew = "clock_skew",
    InvalidCredentials = "invalid_credentials",
    Throttled = "throttled",
    ServiceError = "service_error",
    NotAnAwsAnswer = "not_an_aws_answer",
    ResponseCut = "response_cut",
    NotViaEndpoint = "not_via_endpoint",
    // instance, credentials
    MetadataTimeout = "metadata_timeout",
    MetadataUnreachable = "metadata_unreachable",
    MetadataDisabled = "metadata_disabled",
    MetadataInvalid = "metadata_invalid",
    NoCredentials = "no_credentials",
    CredentialsTimeout = "credentials_timeout",
    CredentialsExpired = "credentials_expired",
    // egress
    IcmpReply = "icmp_reply",
    TcpConnected = "tcp_connected",
    UdpReply = "udp_reply",
    ErrorFromOutside = "error_from_outside",
    Rejected = "rejected",
    NotPermitted = "not_permitted",
    SendBlocked = "send_blocked",
    ControlFailed = "control_failed",
    TooFewTargets = "too_few_targets",
    FamilyMissing = "family_missing",
    FamilyUnavailable = "family_unavailable",
    // any
    PrerequisiteFailed = "prerequisite_failed",
    InternalError = "internal_error",
}

impl fmt::Display for Reason {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.code())
    }
}

impl Serialize for Reason {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(self.code())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn codes_are_distinct_and_fit_a_label() {
        let mut codes: Vec<&str> = Reason::ALL.iter().map(|reason| reason.code()).collect();
        codes.sort_unstable();
        let count = codes.len();
        codes.dedup();
        assert_eq!(codes.len(), count);
        assert!(codes.iter().all(|code| code.bytes().all(|b| b.is_ascii_lowercase() || b == b'_')));
    }
}
