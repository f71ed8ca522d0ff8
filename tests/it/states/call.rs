//! ListMetrics: who says no, and whether it was AWS at all.

use crate::lab::Fault::{
    self, AccessDeniedPlain, BoundaryDenied, CallSilent, CaptivePage, ClockAhead, ClockBehind,
    CredentialsExpired, CredentialsInvalid, EndpointPolicyDenied, EndpointPolicyDeniedExplicitly, RcpDenied,
    ResponseCut, RoleDenied, RoleDeniedExplicitly, RoleDeniedInXml, RoleMissing, ScpDenied, ServiceError,
    ServiceUnavailable, SessionDenied, Throttled, WrongBody,
};
use crate::state::{CALL, CREDENTIALS, State, state};

fn refused(fault: Fault, reason: &str, cause: &'static str) -> State {
    state([fault]).fails(CALL, reason).because(cause, &[CALL])
}

fn owed(fault: Fault, reason: &str, cause: &'static str) -> State {
    state([fault]).inconclusive(CALL, reason).because(cause, &[CALL])
}

states! {
    role_missing: state([RoleMissing])
        .fails(CREDENTIALS, "no_credentials")
        .waits(&[CALL])
        .because("no_instance_role", &[CREDENTIALS, CALL]);
    role_denied: refused(RoleDenied, "denied_by_identity_policy", "identity_policy");
    role_denied_explicitly: refused(RoleDeniedExplicitly, "denied_by_identity_policy", "identity_policy");
    role_denied_in_xml: refused(RoleDeniedInXml, "denied_by_identity_policy", "identity_policy");
    endpoint_policy_denied: refused(EndpointPolicyDenied, "denied_by_endpoint_policy", "endpoint_policy");
    endpoint_policy_denied_explicitly:
        refused(EndpointPolicyDeniedExplicitly, "denied_by_endpoint_policy", "endpoint_policy");
    scp_denied: refused(ScpDenied, "denied_by_organization_policy", "organization_policy");
    rcp_denied: refused(RcpDenied, "denied_by_organization_policy", "organization_policy");
    boundary_denied: refused(BoundaryDenied, "denied_by_permissions_boundary", "organization_policy");
    session_denied: refused(SessionDenied, "denied_by_session_policy", "organization_policy");
    access_denied_plain: refused(AccessDeniedPlain, "access_denied", "identity_policy");

    throttled: owed(Throttled, "throttled", "throttled");
    service_error: owed(ServiceError, "service_error", "service_unavailable");
    service_unavailable: owed(ServiceUnavailable, "service_error", "service_unavailable");

    clock_ahead: refused(ClockAhead, "clock_skew", "clock_wrong");
    clock_behind: refused(ClockBehind, "clock_skew", "clock_wrong");
    credentials_expired: state([CredentialsExpired])
        .fails(CREDENTIALS, "credentials_expired")
        .fails(CALL, "credentials_expired")
        .because("credentials_invalid", &[CREDENTIALS, CALL]);
    credentials_invalid: refused(CredentialsInvalid, "invalid_credentials", "credentials_invalid");

    call_silent: refused(CallSilent, "response_timeout", "endpoint_silent").takes(3.0);
    response_cut: refused(ResponseCut, "response_cut", "endpoint_silent");
    captive_page: refused(CaptivePage, "not_an_aws_answer", "not_aws");
    wrong_body: refused(WrongBody, "not_an_aws_answer", "not_aws");
}
