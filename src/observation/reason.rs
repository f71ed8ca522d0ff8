//! The closed set of reasons why something is not a pass.

use std::fmt;

use serde::{Serialize, Serializer};

macro_rules! reasons {
    ($($(#[$doc:meta])* $name:ident = $code:literal, $words:literal;)*) => {
        /// Why a check did not pass: a bounded code, fit for a label.
        #[derive(Clone, Copy, Debug, Eq, Hash, Ord, PartialEq, PartialOrd)]
        pub enum Reason { $($(#[$doc])* $name,)* }

        impl Reason {
            #[cfg(test)]
            pub const ALL: &[Self] = &[$(Self::$name,)*];

            pub fn code(self) -> &'static str {
                match self { $(Self::$name => $code,)* }
            }

            /// What it means, in the middle of a sentence.
            pub fn words(self) -> &'static str {
                match self { $(Self::$name => $words,)* }
            }
        }
    };
}

reasons! {
    // dns
    NameNotFound = "name_not_found", "no such name";
    NoAddress = "no_address", "the name has no address";
    ServerFailure = "server_failure", "the resolver failed";
    QueryRefused = "query_refused", "the resolver refused the query";
    QueryTimeout = "query_timeout", "the resolver did not respond";
    ResolverUnreachable = "resolver_unreachable", "the resolver is unreachable";
    Truncated = "truncated", "the response was truncated";
    PublicAddress = "public_address", "public address";
    MixedAddresses = "mixed_addresses", "addresses inside and outside the VPC";
    OutsideVpc = "outside_vpc", "outside the VPC";
    SpecialAddress = "special_address", "an address where no endpoint can be";
    ResolversDisagree = "resolvers_disagree", "the resolvers disagree";
    VpcCidrsUnknown = "vpc_cidrs_unknown", "the VPC's CIDRs are unknown";
    // connect
    ConnectTimeout = "connect_timeout", "TCP connect timed out";
    ConnectionRefused = "connection_refused", "connection refused";
    ConnectionReset = "connection_reset", "connection reset";
    NetworkUnreachable = "network_unreachable", "network unreachable";
    TlsTimeout = "tls_timeout", "TLS handshake timed out";
    TlsFailed = "tls_failed", "the TLS handshake failed";
    CertificateExpired = "certificate_expired", "the certificate has expired";
    CertificateNotYetValid = "certificate_not_yet_valid", "the certificate is not valid yet";
    CertificateNameMismatch = "certificate_name_mismatch", "the certificate is for another name";
    CertificateUntrusted = "certificate_untrusted", "the certificate is not trusted";
    ResponseTimeout = "response_timeout", "HTTP response timed out";
    ResponseInvalid = "response_invalid", "the response is not HTTP";
    AddressOutsideVpc = "address_outside_vpc", "outside the VPC";
    EgressNotClosed = "egress_not_closed", "answered, perhaps over the internet";
    // call
    DeniedByIdentityPolicy = "denied_by_identity_policy", "denied: no identity-based policy allows it";
    DeniedByEndpointPolicy = "denied_by_endpoint_policy", "denied by the endpoint policy";
    DeniedByOrganizationPolicy = "denied_by_organization_policy", "denied by an organization policy";
    DeniedByPermissionsBoundary = "denied_by_permissions_boundary", "denied by the permissions boundary";
    DeniedBySessionPolicy = "denied_by_session_policy", "denied by the session policy";
    AccessDenied = "access_denied", "access denied";
    ClockSkew = "clock_skew", "the clock is wrong";
    InvalidCredentials = "invalid_credentials", "AWS rejected the credentials";
    Throttled = "throttled", "throttled";
    ServiceError = "service_error", "the service returned an error";
    NotAnAwsAnswer = "not_an_aws_answer", "the response is not from AWS";
    ResponseCut = "response_cut", "the response was cut off";
    NotViaEndpoint = "not_via_endpoint", "answered, but not by a verified address of the endpoint";
    // instance, credentials
    MetadataTimeout = "metadata_timeout", "instance metadata did not respond";
    MetadataUnreachable = "metadata_unreachable", "instance metadata is unreachable";
    MetadataDisabled = "metadata_disabled", "instance metadata is turned off";
    MetadataInvalid = "metadata_invalid", "instance metadata returned an invalid response";
    NoCredentials = "no_credentials", "no credentials found";
    CredentialsTimeout = "credentials_timeout", "the credentials were not available in time";
    CredentialsExpired = "credentials_expired", "the credentials have expired";
    // egress
    IcmpReply = "icmp_reply", "ping got a reply";
    TcpConnected = "tcp_connected", "TCP connected";
    UdpReply = "udp_reply", "UDP got a reply";
    ErrorFromOutside = "error_from_outside", "a router outside the VPC sent an error";
    Rejected = "rejected", "rejected by an unknown sender";
    NotPermitted = "not_permitted", "no probe socket could be opened";
    SendBlocked = "send_blocked", "this host's firewall blocked the probe";
    ControlFailed = "control_failed", "a control failed, so silence proves nothing";
    TooFewTargets = "too_few_targets", "too few targets were probed for silence to prove anything";
    FamilyMissing = "family_missing", "metadata lists an address of this family, but the instance has none";
    FamilyUnavailable = "family_unavailable", "the instance has no global address of this family";
    // any
    PrerequisiteFailed = "prerequisite_failed", "a prerequisite check did not pass";
    InternalError = "internal_error", "an internal error in linkproof";
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

    #[test]
    fn every_reason_has_words_for_the_middle_of_a_sentence() {
        for reason in Reason::ALL {
            let words = reason.words();
            assert!(!words.is_empty() && !words.ends_with('.') && !words.contains('_'), "{reason}: {words}");
        }
    }
}
