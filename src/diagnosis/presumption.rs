//! What a reason points at before anything else is looked at.

use super::Cause;
use crate::observation::Reason;

/// `None` where the reason alone says nothing.
pub fn default_cause(reason: Reason) -> Option<Cause> {
    use Reason as R;
    Some(match reason {
        R::NameNotFound | R::NoAddress => Cause::NameUnknown,
        R::QueryRefused | R::QueryTimeout | R::ResolverUnreachable => Cause::VpcDnsSupportOff,
        R::PublicAddress | R::MixedAddresses => Cause::PrivateDnsOff,
        R::OutsideVpc | R::SpecialAddress | R::ServerFailure => Cause::ForeignZone,
        R::LookupFailed | R::LookupTimeout => Cause::NssModuleBroken,
        R::NotThisEndpoint => Cause::OtherEndpoint,
        R::ResolversDisagree => Cause::ResolverBypassesVpc,
        R::FamilyUnavailable => Cause::EndpointFamilyMissing,
        R::ConnectTimeout => Cause::EndpointSecurityGroup,
        R::NetworkUnreachable => Cause::HostRoute,
        R::ConnectionRefused | R::ConnectionReset => Cause::EndpointRefuses,
        R::TlsTimeout | R::RequestUnacknowledged => Cause::MtuBlackHole,
        R::ResponseTimeout | R::ResponseCut => Cause::EndpointSilent,
        R::CertificateExpired
        | R::CertificateNotYetValid
        | R::CertificateNameMismatch
        | R::CertificateUntrusted => Cause::CertificateInvalid,
        R::ClientCertificateRequired => Cause::ClientCertificate,
        R::TlsFailed | R::ResponseInvalid | R::NotAnAwsAnswer | R::NotViaEndpoint => Cause::NotAws,
        R::DeniedByIdentityPolicy | R::AccessDenied => Cause::IdentityPolicy,
        R::DeniedByEndpointPolicy => Cause::EndpointPolicy,
        R::DeniedByOrganizationPolicy | R::DeniedByPermissionsBoundary | R::DeniedBySessionPolicy => {
            Cause::OrganizationPolicy
        }
        R::ClockSkew => Cause::ClockWrong,
        R::InvalidCredentials | R::CredentialsExpired => Cause::CredentialsInvalid,
        R::Throttled => Cause::Throttled,
        R::ServiceError => Cause::ServiceUnavailable,
        R::VpcCidrsUnknown
        | R::MetadataTimeout
        | R::MetadataUnreachable
        | R::MetadataDisabled
        | R::MetadataFailing
        | R::MetadataInvalid
        | R::CredentialsTimeout => Cause::MetadataUnavailable,
        R::NoCredentials => Cause::NoInstanceRole,
        R::CredentialsInvalidSource => Cause::ProfileCredentials,
        R::IcmpReply | R::TcpConnected | R::UdpReply | R::ErrorFromOutside => Cause::InternetRouteOpen,
        R::TrafficIntercepted => Cause::TrafficIntercepted,
        R::Rejected => Cause::EgressRejected,
        R::SendBlocked => Cause::SendBlocked,
        R::NoResources => Cause::NoResources,
        R::RouteNotProbed => Cause::RouteNotProbed,
        R::FamilyMissing => Cause::AddressNotConfigured,
        R::NotPermitted => Cause::PingNotPermitted,
        R::Truncated => Cause::NameServerBroken,
        R::AddressOutsideVpc
        | R::ControlFailed
        | R::TooFewTargets
        | R::EgressNotClosed
        | R::PrerequisiteFailed
        | R::HostOverloaded
        | R::InternalError => return None,
    })
}

/// The causes that a reason can have, the most likely first. For people who look a reason up: the
/// rules of diagnosis decide for themselves.
pub fn causes(reason: Reason) -> Vec<Cause> {
    let others = OTHER_CAUSES.iter().filter(|(reasons, _)| reasons.contains(&reason));
    default_cause(reason).into_iter().chain(others.flat_map(|(_, causes)| *causes).copied()).collect()
}

/// Causes that the rules of diagnosis can find beside the default one. A test compares this table
/// with the scenarios.
pub const OTHER_CAUSES: &[(&[Reason], &[Cause])] = {
    use Cause as C;
    use Reason as R;
    &[
        (&[R::NameNotFound, R::NoAddress], &[C::ForeignZone, C::ResolverBypassesVpc, C::StaleHostCache]),
        (
            &[R::QueryRefused, R::QueryTimeout, R::ResolverUnreachable],
            &[C::ResolverBypassesVpc, C::ResolverBlocked],
        ),
        (
            &[R::PublicAddress, R::MixedAddresses],
            &[C::ResolverBypassesVpc, C::VpcDnsSupportOff, C::SearchListAnswers, C::StaleHostCache],
        ),
        (&[R::PublicAddress, R::MixedAddresses, R::OutsideVpc, R::SpecialAddress], &[C::HostsFileEntry]),
        (&[R::OutsideVpc], &[C::ResolverBypassesVpc]),
        (&[R::NotThisEndpoint], &[C::HostsFileEntry, C::ResolverBypassesVpc, C::StaleHostCache]),
        (
            &[R::LookupFailed, R::LookupTimeout],
            &[
                C::StaleHostCache,
                C::NsswitchWithoutDns,
                C::ResolvConfInvalid,
                C::NameFilesUnreadable,
                C::NameServerBroken,
            ],
        ),
        (
            &[R::ConnectTimeout],
            &[
                C::EndpointInterfaceDown,
                C::InstanceEgressBlocked,
                C::GatewayEndpointMissing,
                C::ResolverBypassesVpc,
            ],
        ),
        (&[R::TlsTimeout, R::RequestUnacknowledged], &[C::EndpointSilent]),
        (&[R::CertificateExpired, R::CertificateNotYetValid, R::InvalidCredentials], &[C::ClockWrong]),
        (&[R::CertificateNameMismatch], &[C::ResolverBypassesVpc]),
        (&[R::CertificateUntrusted, R::ResponseInvalid, R::NotAnAwsAnswer], &[C::TlsIntercepted]),
        (&[R::CertificateUntrusted], &[C::TrustStore]),
        (&[R::NoCredentials], &[C::MetadataUnavailable, C::NoCredentials]),
        (&[R::CredentialsTimeout], &[C::ProfileCredentials]),
        (
            &[R::CredentialsTimeout, R::CredentialsInvalidSource],
            &[C::CredentialProcess, C::WebIdentity, C::ContainerCredentials, C::PodIdentity],
        ),
        (&[R::TooFewTargets], &[C::RouteNotProbed]),
        (&[R::RouteNotProbed], &[C::RouterSilent]),
        (&[R::ResolverUnreachable], &[C::SendBlocked, C::HostRoute]),
        (&[R::CredentialsInvalidSource], &[C::EnvironmentCredentials, C::MetadataUnavailable]),
        (
            &[R::IcmpReply, R::TcpConnected, R::UdpReply, R::ErrorFromOutside],
            &[C::Ipv6EgressOpen, C::EgressFilteredByProtocol],
        ),
        (&[R::EgressNotClosed], &[C::AwsReachable]),
        (&[R::ControlFailed], &[C::PingNotPermitted]),
        (&[R::FamilyMissing], &[C::Ipv6Disabled]),
        (&[R::HostOverloaded], &[C::HostOverloaded]),
    ]
};

/// Whether the reason only passes on the trouble of another check.
pub fn is_consequence(reason: Reason) -> bool {
    matches!(
        reason,
        Reason::PrerequisiteFailed
            | Reason::EgressNotClosed
            | Reason::AddressOutsideVpc
            | Reason::ControlFailed
            | Reason::VpcCidrsUnknown
            | Reason::NotThisEndpoint
    )
}

/// What to do about a reason that no cause stands behind.
pub fn advice(reason: Reason) -> Option<&'static str> {
    ADVICE.iter().find(|(of, _)| *of == reason).map(|(_, advice)| *advice)
}

const ADVICE: &[(Reason, &str)] = &[
    (
        Reason::TooFewTargets,
        "Give [egress] addresses and time_servers of two operators in this family, or leave the family out of families; where the host has more than 256 addresses, name some in sources.",
    ),
    (
        Reason::ControlFailed,
        "Nothing off the host answered, so silence proves nothing: configure an endpoint that works.",
    ),
    (
        Reason::HostOverloaded,
        "The next round looks again. If it lasts, give the host more CPU, or raise timeout and window.",
    ),
    (Reason::InternalError, "This is a defect of linkproof: report it with its journal."),
];
