//! What policies say of a call that is signed well, in AWS's words.

use std::net::IpAddr;

use super::address::ENDPOINT_ELSEWHERE;
use super::behaviour::{Policy, Proof, Refusal};
use super::protocol::{Error, INSTANCE_ID};
use super::request::Door;
use super::sigv4::Flaw;

/// The VPC that the lab is, and its endpoint.
pub const VPC: &str = "vpc-0abcdef1234567890";
pub const ENDPOINT: &str = "vpce-0123456789abcdef0";

/// What AWS knows of the way by which a request came: its endpoint, and the endpoint's VPC. Over
/// the internet there is neither, and a condition on a key that is absent does not hold.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct Source {
    pub vpce: &'static str,
    pub vpc: &'static str,
}

impl Source {
    /// Of a request that came in by this door, to this address behind it.
    pub fn of(door: Door, local: IpAddr) -> Option<Self> {
        match door {
            Door::Public => None,
            Door::EndpointA | Door::EndpointB if local == ENDPOINT_ELSEWHERE => {
                Some(Self { vpce: "vpce-0fedcba9876543210", vpc: "vpc-0fedcba9876543210" })
            }
            Door::EndpointA | Door::EndpointB => Some(Self { vpce: ENDPOINT, vpc: VPC }),
        }
    }
}

/// Whether the policy of the role, where it has a condition, allows what came this way.
pub fn allows(condition: Option<Proof>, source: Option<Source>) -> bool {
    match condition {
        None => true,
        Some(Proof::SourceVpce) => source.is_some_and(|source| source.vpce == ENDPOINT),
        Some(Proof::SourceVpc) => source.is_some_and(|source| source.vpc == VPC),
    }
}

pub fn refused(refusal: Refusal) -> Error {
    const ACTION: &str = "cloudwatch:ListMetrics";
    let user = format!(
        "User: arn:aws:sts::123456789012:assumed-role/linkproof-lab/{INSTANCE_ID} is not authorized to perform: {ACTION}"
    );
    match refusal {
        Refusal::Denied(policy) => {
            let message = format!("{user} because no {} policy allows the {ACTION} action", kind(policy));
            // A boundary is not called a policy.
            Error::sender(403, "AccessDenied", message.replace("boundary policy", "boundary"))
        }
        Refusal::DeniedExplicitly(policy) => {
            let article = if policy == Policy::Identity { "an" } else { "a" };
            let message = format!("{user} with an explicit deny in {article} {} policy", kind(policy));
            Error::sender(403, "AccessDenied", message.replace("boundary policy", "boundary"))
        }
        Refusal::DeniedPlainly => Error::sender(403, "AccessDenied", "Access Denied"),
        Refusal::Throttled => Error::sender(400, "Throttling", "Rate exceeded"),
        Refusal::InternalError => Error::sender(500, "InternalServiceError", "Internal service error"),
        Refusal::TokenExpired => {
            Error::sender(403, "ExpiredToken", "The security token included in the request is expired")
        }
        Refusal::TokenInvalid => Error::sender(403, Flaw::UnknownToken.code(), Flaw::UnknownToken.message()),
    }
}

fn kind(policy: Policy) -> &'static str {
    match policy {
        Policy::Identity => "identity-based",
        Policy::Endpoint => "VPC endpoint",
        Policy::ServiceControl => "service control",
        Policy::ResourceControl => "resource control",
        Policy::Boundary => "permissions boundary",
        Policy::Session => "session",
    }
}
