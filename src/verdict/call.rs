//! `<endpoint>/call`: ListMetrics was answered, by an address that `connect` had verified.
//!
//! AWS's codes and messages decide the reason. An AWS-shaped error over a verified peer
//! proves the network and fails this check alone.

use super::{Judgment, of_error};
use crate::network::{Network, Scope};
use crate::observation::{
    Address, AwsError, CallEvidence, NotAttempted, Outcome, Proof, ProofEvidence, Reason,
};

pub fn call(connected: &[Address], calls: &[CallEvidence]) -> Judgment {
    let addresses: Vec<Address> = connected
        .iter()
        .map(|address| {
            let evidence = calls.iter().find(|evidence| evidence.ip == address.ip);
            let outcome = match (address.outcome, evidence) {
                (Outcome::Pass, Some(evidence)) => of_call(evidence),
                (Outcome::Pass, None) => Outcome::Inconclusive(Reason::InternalError),
                (Outcome::Skipped(reason), _) => Outcome::Skipped(reason),
                (Outcome::Fail(_) | Outcome::Inconclusive(_), _) => {
                    Outcome::Skipped(Reason::PrerequisiteFailed)
                }
            };
            let phases = evidence.map(|evidence| evidence.phases.clone()).unwrap_or_default();
            Address { outcome, phases, ..address.clone() }
        })
        .collect();
    let outcome = Outcome::worst(addresses.iter().map(|address| address.outcome))
        .unwrap_or(Outcome::Skipped(Reason::PrerequisiteFailed));
    Judgment { outcome, addresses }
}

/// No call was made. Without a region, or with credentials still on their way, a call might have
/// worked: the check is inconclusive.
pub fn not_called(connected: Vec<Address>, because: NotAttempted) -> Judgment {
    let outcome = match because {
        NotAttempted::NoRegion | NotAttempted::CredentialsPending | NotAttempted::Overdue { .. } => {
            Outcome::Inconclusive(Reason::PrerequisiteFailed)
        }
        NotAttempted::NoResources => Outcome::Inconclusive(Reason::NoResources),
        NotAttempted::NoAddress | NotAttempted::NoVerifiedAddress | NotAttempted::NoCredentials => {
            Outcome::Skipped(Reason::PrerequisiteFailed)
        }
    };
    let addresses =
        connected.into_iter().map(|address| Address { outcome, phases: vec![], ..address }).collect();
    Judgment { outcome, addresses }
}

/// The role's policy lets the call through only over the endpoint, says the configuration. An
/// answer from a public address in `expected_cidrs` is too much to take its word for.
pub fn proof(condition: Proof, judgment: &Judgment) -> ProofEvidence {
    let public = |address: &Address| {
        address.scope == Scope::Expected
            && address.ip.is_ipv4()
            && Network::default().scope(address.ip) == Scope::Public
    };
    let answered = || judgment.addresses.iter().filter(|address| address.outcome == Outcome::Pass);
    let proven = judgment.outcome == Outcome::Pass && answered().next().is_some() && !answered().any(public);
    ProofEvidence { condition, proven }
}

fn of_call(evidence: &CallEvidence) -> Outcome {
    // Whatever was answered, it counts only if it came over the interface that was verified.
    if evidence.peer.is_some_and(|peer| peer.ip() != evidence.ip) {
        return Outcome::Fail(Reason::NotViaEndpoint);
    }
    if let Some(error) = &evidence.error {
        return of_error(error.reason);
    }
    let Some(status) = evidence.http_status else {
        return Outcome::Fail(Reason::NotAnAwsAnswer);
    };
    if let Some(error) = &evidence.aws_error {
        return of_aws_error(error, status);
    }
    let listed = evidence.metrics.is_some() && evidence.request_id.is_some();
    match status {
        200..=299 if listed && evidence.peer.is_some() => Outcome::Pass,
        500.. => Outcome::Inconclusive(Reason::ServiceError),
        _ => Outcome::Fail(Reason::NotAnAwsAnswer),
    }
}

fn of_aws_error(error: &AwsError, status: u16) -> Outcome {
    // The wording decides before the code: an expired signature comes under several codes.
    if says_clock_is_off(&error.message) {
        return Outcome::Fail(Reason::ClockSkew);
    }
    // Query names end in nothing, JSON and CBOR ones in "Exception".
    match error.code.strip_suffix("Exception").unwrap_or(&error.code) {
        "Throttling" | "RequestLimitExceeded" | "TooManyRequests" | "RequestThrottled" | "SlowDown" => {
            Outcome::Inconclusive(Reason::Throttled)
        }
        "RequestExpired" | "RequestTimeTooSkewed" | "RequestInTheFuture" => Outcome::Fail(Reason::ClockSkew),
        "ExpiredToken" | "TokenRefreshRequired" => Outcome::Fail(Reason::CredentialsExpired),
        "InvalidClientTokenId"
        | "UnrecognizedClient"
        | "InvalidAccessKeyId"
        | "SignatureDoesNotMatch"
        | "InvalidSignature"
        | "IncompleteSignature"
        | "MissingAuthenticationToken"
        | "InvalidToken"
        | "AuthFailure"
        | "NotSignedUp"
        | "OptInRequired" => Outcome::Fail(Reason::InvalidCredentials),
        "AccessDenied" | "UnauthorizedOperation" | "NotAuthorized" | "Unauthorized" => {
            Outcome::Fail(denying_policy(&error.message))
        }
        _ if status >= 500 => Outcome::Inconclusive(Reason::ServiceError),
        _ => Outcome::Fail(Reason::ServiceError),
    }
}

fn says_clock_is_off(message: &str) -> bool {
    ["Signature expired", "Signature not yet current"].iter().any(|words| message.contains(words))
}

/// "because no KIND allows the .. action" and "with an explicit deny in a KIND": the kinds
/// are those of IAM's guide to access denied messages.
fn denying_policy(message: &str) -> Reason {
    let denies = |kind: &str| {
        ["because no ", "explicit deny in a ", "explicit deny in an ", "through a "]
            .iter()
            .any(|words| message.contains(&format!("{words}{kind}")))
    };
    let kinds = [
        ("identity-based policy", Reason::DeniedByIdentityPolicy),
        ("VPC endpoint policy", Reason::DeniedByEndpointPolicy),
        ("service control policy", Reason::DeniedByOrganizationPolicy),
        ("resource control policy", Reason::DeniedByOrganizationPolicy),
        ("permissions boundary", Reason::DeniedByPermissionsBoundary),
        ("session policy", Reason::DeniedBySessionPolicy),
    ];
    kinds.into_iter().find(|(kind, _)| denies(kind)).map_or(Reason::AccessDenied, |(_, reason)| reason)
}

#[cfg(test)]
mod tests {
    use std::net::SocketAddr;
    use std::time::Duration;

    use super::*;
    use crate::observation::{Phase, ProbeError};

    const IP: &str = "10.0.1.57";

    fn connected(outcome: Outcome) -> Address {
        Address { ip: IP.parse().unwrap(), scope: Scope::Vpc, outcome, phases: vec![], zone: None }
    }

    fn answered() -> CallEvidence {
        CallEvidence {
            ip: IP.parse().unwrap(),
            peer: Some(SocketAddr::new(IP.parse().unwrap(), 443)),
            kernel_tcp: None,
            phases: vec![],
            http_status: Some(200),
            request_id: Some("b1".into()),
            aws_error: None,
            metrics: Some(0),
            clock_skew: Some(0),
            error: None,
        }
    }

    fn refused(status: u16, code: &str, message: &str) -> CallEvidence {
        let aws_error = Some(AwsError { code: code.into(), message: message.into() });
        CallEvidence { http_status: Some(status), metrics: None, aws_error, ..answered() }
    }

    fn judged(evidence: CallEvidence) -> Outcome {
        call(&[connected(Outcome::Pass)], &[evidence]).outcome
    }

    #[test]
    fn a_pass_needs_the_answer_its_request_id_and_the_verified_peer() {
        use Outcome::{Fail, Inconclusive, Pass};
        let public = Some("203.0.113.20:443".parse().unwrap());
        let cut = ProbeError { reason: Reason::ResponseCut, detail: String::new() };
        for (evidence, outcome) in [
            (answered(), Pass),
            (CallEvidence { metrics: None, ..answered() }, Fail(Reason::NotAnAwsAnswer)),
            (CallEvidence { request_id: None, ..answered() }, Fail(Reason::NotAnAwsAnswer)),
            (CallEvidence { http_status: None, ..answered() }, Fail(Reason::NotAnAwsAnswer)),
            (CallEvidence { http_status: Some(302), ..answered() }, Fail(Reason::NotAnAwsAnswer)),
            (CallEvidence { peer: None, ..answered() }, Fail(Reason::NotAnAwsAnswer)),
            (CallEvidence { peer: public, ..answered() }, Fail(Reason::NotViaEndpoint)),
            (CallEvidence { error: Some(cut), ..answered() }, Fail(Reason::ResponseCut)),
            (
                CallEvidence { http_status: Some(503), metrics: None, ..answered() },
                Inconclusive(Reason::ServiceError),
            ),
        ] {
            assert_eq!(judged(evidence.clone()), outcome, "{evidence:?}");
        }
    }

    #[test]
    fn an_address_is_shown_with_the_times_of_its_call() {
        let phases = vec![(Phase::Response, Duration::from_millis(9))];
        let evidence = CallEvidence { phases: phases.clone(), ..answered() };
        assert_eq!(call(&[connected(Outcome::Pass)], &[evidence]).addresses[0].phases, phases);
    }

    #[test]
    fn what_connect_did_not_pass_is_not_called_and_does_not_pass() {
        let prerequisite = Outcome::Skipped(Reason::PrerequisiteFailed);
        assert_eq!(call(&[], &[]).outcome, prerequisite);
        for outcome in [Outcome::Fail(Reason::ConnectTimeout), Outcome::Inconclusive(Reason::VpcCidrsUnknown)]
        {
            assert_eq!(call(&[connected(outcome)], &[answered()]).outcome, prerequisite);
        }
        let timed =
            Address { phases: vec![(Phase::Tcp, Duration::from_millis(1))], ..connected(Outcome::Pass) };
        let skipped = not_called(vec![timed], NotAttempted::NoCredentials).addresses;
        assert_eq!(skipped, [connected(prerequisite)], "what connect saw is not the call's");
        let missing = call(&[connected(Outcome::Pass)], &[]).outcome;
        assert_eq!(missing, Outcome::Inconclusive(Reason::InternalError));
    }

    #[test]
    fn codes_decide_the_reason_in_every_protocols_spelling() {
        use Outcome::{Fail, Inconclusive};
        for (status, code, outcome) in [
            (400, "Throttling", Inconclusive(Reason::Throttled)),
            (400, "ThrottlingException", Inconclusive(Reason::Throttled)),
            (429, "TooManyRequestsException", Inconclusive(Reason::Throttled)),
            (400, "RequestExpired", Fail(Reason::ClockSkew)),
            (403, "RequestTimeTooSkewed", Fail(Reason::ClockSkew)),
            (403, "ExpiredToken", Fail(Reason::CredentialsExpired)),
            (403, "ExpiredTokenException", Fail(Reason::CredentialsExpired)),
            (403, "InvalidClientTokenId", Fail(Reason::InvalidCredentials)),
            (403, "UnrecognizedClientException", Fail(Reason::InvalidCredentials)),
            (403, "SignatureDoesNotMatch", Fail(Reason::InvalidCredentials)),
            (403, "MissingAuthenticationToken", Fail(Reason::InvalidCredentials)),
            (500, "InternalServiceError", Inconclusive(Reason::ServiceError)),
            (503, "ServiceUnavailable", Inconclusive(Reason::ServiceError)),
            (400, "InvalidParameterValue", Fail(Reason::ServiceError)),
        ] {
            assert_eq!(judged(refused(status, code, "")), outcome, "{code}");
        }
    }

    #[test]
    fn a_wrong_clock_is_told_by_the_wording_under_any_code() {
        for message in [
            "Signature expired: 20241008T195522Z is now earlier than 20241008T195940Z (20241008T200440Z - 5 min.)",
            "Signature not yet current: 20241008T201522Z is still later than 20241008T200940Z",
        ] {
            for code in ["SignatureDoesNotMatch", "InvalidSignatureException", "AccessDenied"] {
                assert_eq!(judged(refused(403, code, message)), Outcome::Fail(Reason::ClockSkew));
            }
        }
    }

    #[test]
    fn a_denial_names_the_policy_that_denied() {
        let user = "User: arn:aws:sts::123456789012:assumed-role/app/i-0abc is not authorized to perform: cloudwatch:ListMetrics";
        for (because, reason) in [
            (
                "because no identity-based policy allows the cloudwatch:ListMetrics action",
                Reason::DeniedByIdentityPolicy,
            ),
            ("with an explicit deny in an identity-based policy", Reason::DeniedByIdentityPolicy),
            (
                "because no VPC endpoint policy allows the cloudwatch:ListMetrics action",
                Reason::DeniedByEndpointPolicy,
            ),
            ("with an explicit deny in a VPC endpoint policy", Reason::DeniedByEndpointPolicy),
            ("with an explicit deny in a service control policy", Reason::DeniedByOrganizationPolicy),
            (
                "because no service control policy allows the cloudwatch:ListMetrics action",
                Reason::DeniedByOrganizationPolicy,
            ),
            (
                "with an explicit deny transitively through a service control policy",
                Reason::DeniedByOrganizationPolicy,
            ),
            ("with an explicit deny in a resource control policy", Reason::DeniedByOrganizationPolicy),
            (
                "because no permissions boundary allows the cloudwatch:ListMetrics action",
                Reason::DeniedByPermissionsBoundary,
            ),
            ("with an explicit deny in a permissions boundary", Reason::DeniedByPermissionsBoundary),
            (
                "because no session policy allows the cloudwatch:ListMetrics action",
                Reason::DeniedBySessionPolicy,
            ),
            ("", Reason::AccessDenied),
        ] {
            let message = format!("{user} {because}");
            for code in ["AccessDenied", "AccessDeniedException"] {
                assert_eq!(judged(refused(403, code, &message)), Outcome::Fail(reason), "{because}");
            }
        }
    }

    #[test]
    fn a_public_address_proves_nothing_whatever_is_configured() {
        let proven = |ip: &str, scope, outcome| {
            let address = Address { ip: ip.parse().unwrap(), scope, outcome, phases: vec![], zone: None };
            proof(Proof::SourceVpce, &Judgment { outcome, addresses: vec![address] }).proven
        };
        assert!(!proven("203.0.113.20", Scope::Expected, Outcome::Pass));
        assert!(!proven("10.0.1.57", Scope::Vpc, Outcome::Inconclusive(Reason::Throttled)));
        assert!(!proof(Proof::SourceVpce, &Judgment { outcome: Outcome::Pass, addresses: vec![] }).proven);
        // A public range may be the VPC's own, and an endpoint elsewhere has private or IPv6 addresses.
        for (ip, scope) in
            [("203.0.113.20", Scope::Vpc), ("10.50.0.9", Scope::Expected), ("2001:db8::57", Scope::Expected)]
        {
            assert!(proven(ip, scope, Outcome::Pass), "{ip}");
        }
    }
}
