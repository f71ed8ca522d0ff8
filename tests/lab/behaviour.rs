//! How the peers behave, derived from the faults: the one value that the metadata
//! service and the CloudWatch stand-in look at before every answer.

use std::time::Duration;

use super::certificates::Certificate;
use super::fault::{Fault, Faults};

/// What AWS tolerates is 5 minutes.
const CLOCK_ERROR_SECONDS: i64 = 15 * 60;

#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Behaviour {
    pub certificate: Certificate,
    pub handshake: Handshake,
    pub answer: Answer,
    pub refusal: Option<Refusal>,
    /// Errors are written in the XML of the Query protocol, whatever was asked in.
    pub errors_in_xml: bool,
    /// The condition under which the role's policy allows the call.
    pub proof: Option<Proof>,
    /// When the endpoint tells the router that the time for a fault has come.
    pub sign: Option<Sign>,
    pub endpoint_a_slow: bool,
    /// CloudWatch's clock minus the instance's.
    pub clock_seconds: i64,
    pub metadata: Metadata,
}

#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Handshake {
    Normal,
    Silent,
    Reset,
}

/// What the endpoint does with a request.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Answer {
    Normal,
    Silent,
    SilentToSigned,
    Cut,
    Garbage,
    CaptivePage,
    WrongBody,
    Unavailable,
}

/// A condition on what AWS knows of the way by which a call came, and the client cannot set.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Proof {
    SourceVpce,
    SourceVpc,
}

/// Set on the endpoint's packets when a fault is to begin. The router acts on it before the instance
/// receives the packet. Each fault has its own, since packets of an earlier state may still be sent
/// again.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Sign {
    AfterHandshake,
    WithAnswer,
}

impl Sign {
    /// In the packets' DSCP.
    pub fn class(self) -> u32 {
        match self {
            Self::AfterHandshake => 1,
            Self::WithAnswer => 2,
        }
    }
}

/// Why CloudWatch says no to a request that is signed well.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Refusal {
    Denied(Policy),
    DeniedExplicitly(Policy),
    DeniedPlainly,
    Throttled,
    InternalError,
    TokenExpired,
    TokenInvalid,
}

#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Policy {
    Identity,
    Endpoint,
    ServiceControl,
    ResourceControl,
    Boundary,
    Session,
}

#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct Metadata {
    pub disabled: bool,
    pub slow: bool,
    /// The answer to a PUT does not arrive.
    pub hop_limited: bool,
    pub garbage: bool,
    pub role: bool,
    pub cidrs: bool,
    pub ipv6_cidrs: bool,
    pub ipv4: bool,
    pub ipv6: bool,
    pub credentials_expired: bool,
}

impl Behaviour {
    pub fn of(faults: &Faults) -> Self {
        let certificate = faults.first(&[
            (Fault::CertificateExpired, Certificate::Expired),
            (Fault::CertificateNotYetValid, Certificate::NotYetValid),
            (Fault::CertificateWrongName, Certificate::WrongName),
            (Fault::CertificateUntrusted, Certificate::Untrusted),
            (Fault::CertificatePrivateCa, Certificate::PrivateCa),
            (Fault::ClientCertificateRequired, Certificate::ClientRequired),
        ]);
        let handshake =
            faults.first(&[(Fault::TlsSilent, Handshake::Silent), (Fault::TlsReset, Handshake::Reset)]);
        let answer = faults.first(&[
            (Fault::ResponseSilent, Answer::Silent),
            (Fault::CallSilent, Answer::SilentToSigned),
            (Fault::ResponseGarbage, Answer::Garbage),
            (Fault::ResponseCut, Answer::Cut),
            (Fault::CaptivePage, Answer::CaptivePage),
            (Fault::ServiceUnavailable, Answer::Unavailable),
            (Fault::WrongBody, Answer::WrongBody),
        ]);
        let clock_seconds = faults
            .first(&[(Fault::ClockAhead, -CLOCK_ERROR_SECONDS), (Fault::ClockBehind, CLOCK_ERROR_SECONDS)]);
        Self {
            certificate: certificate.unwrap_or(Certificate::Valid),
            handshake: handshake.unwrap_or(Handshake::Normal),
            answer: answer.unwrap_or(Answer::Normal),
            refusal: refusal(faults),
            errors_in_xml: faults.has(Fault::RoleDeniedInXml),
            proof: faults.first(&[
                (Fault::ProofPolicy, Proof::SourceVpce),
                (Fault::ProofPolicyOfVpc, Proof::SourceVpc),
            ]),
            sign: faults.first(&[
                (Fault::EndpointMuteAfterHandshake, Sign::AfterHandshake),
                (Fault::EndpointShutAfterAnswer, Sign::WithAnswer),
            ]),
            endpoint_a_slow: faults.has(Fault::EndpointSlow),
            clock_seconds: clock_seconds.unwrap_or(0),
            metadata: Metadata::of(faults),
        }
    }

    /// The public CloudWatch is the same service, but none of what is wrong with the
    /// endpoint is wrong with it.
    pub fn outside(&self) -> Self {
        let endpoint_policy =
            [Refusal::Denied(Policy::Endpoint), Refusal::DeniedExplicitly(Policy::Endpoint)];
        Self {
            certificate: Certificate::Valid,
            handshake: Handshake::Normal,
            answer: if self.answer == Answer::Unavailable { Answer::Unavailable } else { Answer::Normal },
            refusal: self.refusal.filter(|refusal| !endpoint_policy.contains(refusal)),
            endpoint_a_slow: false,
            ..self.clone()
        }
    }
}

impl Metadata {
    fn of(faults: &Faults) -> Self {
        Self {
            disabled: faults.has(Fault::MetadataDisabled),
            slow: faults.has(Fault::MetadataSlow),
            hop_limited: faults.has(Fault::MetadataHopLimit),
            garbage: faults.has(Fault::MetadataGarbage),
            role: !faults.has(Fault::RoleMissing),
            cidrs: !faults.has(Fault::MetadataWithoutCidrs),
            ipv6_cidrs: !faults.has(Fault::MetadataWithoutIpv6Cidrs),
            ipv4: !faults.has_any(&[Fault::InstanceIpv4Absent, Fault::MetadataOverLinkLocal]),
            ipv6: !faults.has(Fault::InstanceIpv6Absent),
            credentials_expired: faults.has(Fault::CredentialsExpired),
        }
    }
}

fn refusal(faults: &Faults) -> Option<Refusal> {
    faults.first(&[
        // Credentials are looked at before what they allow.
        (Fault::CredentialsInvalid, Refusal::TokenInvalid),
        (Fault::CredentialsExpired, Refusal::TokenExpired),
        (Fault::Throttled, Refusal::Throttled),
        (Fault::ServiceError, Refusal::InternalError),
        (Fault::ScpDenied, Refusal::DeniedExplicitly(Policy::ServiceControl)),
        (Fault::RcpDenied, Refusal::DeniedExplicitly(Policy::ResourceControl)),
        (Fault::EndpointPolicyDeniedExplicitly, Refusal::DeniedExplicitly(Policy::Endpoint)),
        (Fault::RoleDeniedExplicitly, Refusal::DeniedExplicitly(Policy::Identity)),
        (Fault::EndpointPolicyDenied, Refusal::Denied(Policy::Endpoint)),
        (Fault::BoundaryDenied, Refusal::Denied(Policy::Boundary)),
        (Fault::SessionDenied, Refusal::Denied(Policy::Session)),
        (Fault::RoleDenied, Refusal::Denied(Policy::Identity)),
        (Fault::RoleDeniedInXml, Refusal::Denied(Policy::Identity)),
        (Fault::AccessDeniedPlain, Refusal::DeniedPlainly),
    ])
}
