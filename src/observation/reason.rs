//! The closed set of reasons why something is not a pass.

use std::fmt;

use serde::{Serialize, Serializer};

macro_rules! reasons {
    ($($(#[$doc:meta])* $name:ident = $code:literal, $words:literal;)*) => {
        /// Why a check did not pass: a bounded code, fit for a label.
        #[derive(Clone, Copy, Debug, Eq, Hash, Ord, PartialEq, PartialOrd)]
        pub enum Reason { $($(#[$doc])* $name,)* }

        impl Reason {
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
    LookupFailed = "lookup_failed", "the system lookup failed";
    LookupTimeout = "lookup_timeout", "the system lookup did not return in time";
    PublicAddress = "public_address", "public address";
    MixedAddresses = "mixed_addresses", "addresses inside and outside the VPC";
    OutsideVpc = "outside_vpc", "outside the VPC";
    SpecialAddress = "special_address", "an address where no endpoint can be";
    NotThisEndpoint = "not_this_endpoint", "not one of the endpoint's own addresses";
    ResolversDisagree = "resolvers_disagree", "the resolvers disagree";
    VpcCidrsUnknown = "vpc_cidrs_unknown", "the VPC's CIDRs are unknown";
    // connect
    ConnectTimeout = "connect_timeout", "TCP connect timed out";
    ConnectionRefused = "connection_refused", "connection refused";
    ConnectionReset = "connection_reset", "connection reset";
    NetworkUnreachable = "network_unreachable", "network unreachable";
    TlsTimeout = "tls_timeout", "TLS handshake timed out";
    TlsFailed = "tls_failed", "the TLS handshake failed";
    ClientCertificateRequired = "client_certificate_required", "the server requires a client certificate";
    CertificateExpired = "certificate_expired", "the certificate has expired";
    CertificateNotYetValid = "certificate_not_yet_valid", "the certificate is not valid yet";
    CertificateNameMismatch = "certificate_name_mismatch", "the certificate is for another name";
    CertificateUntrusted = "certificate_untrusted", "the certificate is not trusted";
    RequestUnacknowledged = "request_unacknowledged", "the request was not acknowledged";
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
    MetadataFailing = "metadata_failing", "instance metadata answered with an error of its own";
    MetadataInvalid = "metadata_invalid", "instance metadata returned an invalid response";
    NoCredentials = "no_credentials", "no credentials found";
    CredentialsTimeout = "credentials_timeout", "the credentials were not available in time";
    CredentialsExpired = "credentials_expired", "the credentials have expired";
    CredentialsInvalidSource = "credentials_invalid_source", "a configured credentials provider failed";
    // egress
    IcmpReply = "icmp_reply", "ping got a reply";
    TcpConnected = "tcp_connected", "TCP connected";
    UdpReply = "udp_reply", "UDP got a reply";
    ErrorFromOutside = "error_from_outside", "a router outside the VPC sent an error";
    TrafficIntercepted = "traffic_intercepted", "something answers for every address";
    Rejected = "rejected", "rejected instead of dropped";
    NotPermitted = "not_permitted", "no probe socket could be opened";
    SendBlocked = "send_blocked", "this host's packet filter blocked the probes";
    NoResources = "no_resources", "this host ran out of resources to probe with";
    ControlFailed = "control_failed", "a control failed, so silence proves nothing";
    TooFewTargets = "too_few_targets", "too few targets were probed for silence to prove anything";
    RouteNotProbed = "route_not_probed", "some packets of this host take a route that no probe took";
    FamilyMissing = "family_missing", "metadata lists an address of this family, but no interface of this host has one";
    FamilyUnavailable = "family_unavailable", "the instance has no global address of this family";
    // any
    PrerequisiteFailed = "prerequisite_failed", "a prerequisite check did not pass";
    HostOverloaded = "host_overloaded", "linkproof ran too late to tell silence from its own delay";
    InternalError = "internal_error", "an internal error in linkproof";
}

impl Reason {
    /// What happened, as a sentence of its own.
    #[expect(clippy::too_many_lines, reason = "a table with a line for each reason")]
    pub fn description(self) -> &'static str {
        match self {
            Self::NameNotFound => "The resolver says that the name does not exist (NXDOMAIN).",
            Self::NoAddress => "The name exists, but it has neither an A nor an AAAA record.",
            Self::ServerFailure => "The resolver failed to resolve the name (SERVFAIL).",
            Self::QueryRefused => "The resolver refused the query (REFUSED).",
            Self::QueryTimeout => "The resolver sent no response within the timeout.",
            Self::ResolverUnreachable => "The query could not be sent, or an ICMP error rejected it.",
            Self::Truncated => "The response is too large for UDP, and the query over TCP failed.",
            Self::LookupFailed => "The C library's lookup (getaddrinfo) failed, or cannot be relied on.",
            Self::LookupTimeout => "The C library's lookup (getaddrinfo) did not return in time.",
            Self::PublicAddress => "The name resolves to a public address instead of an endpoint.",
            Self::MixedAddresses => "The name resolves to addresses inside and outside the VPC.",
            Self::OutsideVpc => "The name resolves to a private address that is not in the VPC's CIDRs.",
            Self::SpecialAddress => {
                "The name resolves to an address that no endpoint can have, such as one of this host."
            }
            Self::NotThisEndpoint => {
                "The name resolves to an address that none of the endpoint's own DNS names has."
            }
            Self::ResolversDisagree => "The system resolvers and the VPC resolver return different answers.",
            Self::VpcCidrsUnknown => "The VPC's CIDRs are unknown, so an address cannot be judged.",
            Self::ConnectTimeout => "The TCP connection timed out.",
            Self::ConnectionRefused => "The TCP connection was refused (RST).",
            Self::ConnectionReset => "The peer reset the connection after it was open.",
            Self::NetworkUnreachable => {
                "This host has no route to the address, or an ICMP error calls it unreachable."
            }
            Self::TlsTimeout => "TCP connected, but the TLS handshake timed out.",
            Self::TlsFailed => "The TLS handshake failed.",
            Self::ClientCertificateRequired => "The server accepts only clients with a certificate.",
            Self::CertificateExpired => "The certificate has expired, by this host's clock.",
            Self::CertificateNotYetValid => "The certificate is not valid yet, by this host's clock.",
            Self::CertificateNameMismatch => "The certificate does not contain the endpoint's name.",
            Self::CertificateUntrusted => "No CA that this host trusts issued the certificate.",
            Self::RequestUnacknowledged => "TLS completed, but TCP did not acknowledge the request.",
            Self::ResponseTimeout => "TLS completed, but no HTTP response arrived within the timeout.",
            Self::ResponseInvalid => "The peer's response is not HTTP.",
            Self::AddressOutsideVpc => {
                "The address was tried as evidence, but it is outside the VPC and cannot pass."
            }
            Self::EgressNotClosed => "The service answered, perhaps over the internet: egress is not closed.",
            Self::DeniedByIdentityPolicy => {
                "AWS denied the call: no policy of the role allows it, or one denies it."
            }
            Self::DeniedByEndpointPolicy => "AWS denied the call because of the VPC endpoint's policy.",
            Self::DeniedByOrganizationPolicy => {
                "AWS denied the call because of a policy of the organization."
            }
            Self::DeniedByPermissionsBoundary => {
                "AWS denied the call because of the role's permissions boundary."
            }
            Self::DeniedBySessionPolicy => "AWS denied the call because of the session policy.",
            Self::AccessDenied => "AWS denied the call and did not say which policy caused it.",
            Self::ClockSkew => "AWS rejected the signature because its time is too far off.",
            Self::InvalidCredentials => "AWS does not accept the credentials.",
            Self::Throttled => "AWS throttled the call. The network path works.",
            Self::ServiceError => "AWS answered with a server error (5xx). The network path works.",
            Self::NotAnAwsAnswer => "The response to the call does not come from AWS.",
            Self::ResponseCut => "The connection ended before the response was complete.",
            Self::NotViaEndpoint => "AWS answered, but not from a verified address of the endpoint.",
            Self::MetadataTimeout => "Instance metadata did not respond within the timeout.",
            Self::MetadataUnreachable => "Instance metadata could not be reached.",
            Self::MetadataDisabled => "Instance metadata is turned off for this instance.",
            Self::MetadataFailing => {
                "Instance metadata refuses requests for a while, or fails (HTTP 429 or 5xx)."
            }
            Self::MetadataInvalid => "Instance metadata returned a response that cannot be used.",
            Self::NoCredentials => "The default credential chain found no credentials.",
            Self::CredentialsTimeout => "The credential provider did not respond within the timeout.",
            Self::CredentialsExpired => "The credentials have expired.",
            Self::CredentialsInvalidSource => {
                "A credentials provider is configured, and it returned no credentials."
            }
            Self::IcmpReply => "A host on the internet replied to a ping.",
            Self::TcpConnected => "A TCP connection to a host on the internet succeeded.",
            Self::UdpReply => "A host on the internet replied over UDP.",
            Self::ErrorFromOutside => {
                "A router outside the VPC sent an ICMP error, so packets leave the VPC."
            }
            Self::TrafficIntercepted => {
                "Something between this host and the internet answers for every address."
            }
            Self::NoResources => "The host lacks file descriptors or an address family for the probes.",
            Self::Rejected => "A probe was rejected, and it is unknown whether the sender is inside the VPC.",
            Self::NotPermitted => "The operating system did not allow the socket that the probe needs.",
            Self::SendBlocked => "This host's own firewall blocked the probe.",
            Self::ControlFailed => "No control probe succeeded, so silence proves nothing.",
            Self::TooFewTargets => "Too few independent targets were probed for silence to prove anything.",
            Self::RouteNotProbed => "Some packets of this host take a route that no probe took.",
            Self::FamilyMissing => "Metadata lists an address of this family, but no interface has one.",
            Self::FamilyUnavailable => "The instance has no global address of this family.",
            Self::PrerequisiteFailed => "A check that must pass first did not pass.",
            Self::HostOverloaded => "This host ran linkproof too late to judge a timeout.",
            Self::InternalError => "linkproof itself failed.",
        }
    }
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
    fn every_reason_has_a_description_of_one_line() {
        for reason in Reason::ALL {
            let text = reason.description();
            assert!(
                text.ends_with('.') && text.len() <= 90 && !text.contains(['_', '\n']),
                "{reason}: {text}"
            );
            assert!(Reason::ALL.iter().all(|other| other == reason || other.description() != text), "{text}");
        }
    }

    #[test]
    fn every_reason_has_words_for_the_middle_of_a_sentence() {
        for reason in Reason::ALL {
            let words = reason.words();
            assert!(!words.is_empty() && !words.ends_with('.') && !words.contains('_'), "{reason}: {words}");
        }
    }
}
