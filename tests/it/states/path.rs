//! The way to the endpoint: silence, refusal, certificates, answers that never come.

use crate::lab::Fault::{
    CertificateExpired, CertificateNotYetValid, CertificatePrivateCa, CertificateUntrusted,
    CertificateWrongName, ClientCertificateRequired, EndpointARefused, EndpointASilent, EndpointBSilent,
    EndpointBUnrouted, EndpointLossy, EndpointReturnBlocked, EndpointSgRefused, EndpointSgSilent,
    EndpointSlow, HostDropsLarge, HostDropsTcp, HostRejectsTcp, InstanceEgressBlocked, MtuBlackHole,
    MtuBlackHoleOutwards, ResponseGarbage, ResponseSilent, TlsReset, TlsSilent,
};
use crate::state::{CALL, CONNECT, State, state};

const A: &str = "10.0.1.57";
const B: &str = "10.0.2.113";

/// Both interfaces fail alike, so nothing is called.
fn unreached(fault: crate::lab::Fault, reason: &str, cause: &'static str) -> State {
    state([fault]).fails(CONNECT, reason).waits(&[CALL]).because(cause, &[CONNECT, CALL])
}

states! {
    endpoint_sg_silent: unreached(EndpointSgSilent, "connect_timeout", "endpoint_security_group").takes(3.0);
    // From here a packet that is lost on its way back looks like one lost on its way there.
    endpoint_return_blocked:
        unreached(EndpointReturnBlocked, "connect_timeout", "endpoint_security_group").takes(3.0);
    host_drops_tcp: unreached(HostDropsTcp, "send_blocked", "send_blocked").takes(3.0);
    host_drops_large: unreached(HostDropsLarge, "send_blocked", "send_blocked").takes(3.0);
    host_rejects_tcp: unreached(HostRejectsTcp, "send_blocked", "send_blocked");
    endpoint_sg_refused: unreached(EndpointSgRefused, "connection_refused", "endpoint_refuses");
    endpoint_a_silent: state([EndpointASilent])
        .fails(CONNECT, "connect_timeout")
        .address(CONNECT, A, "fail connect_timeout")
        .address(CONNECT, B, "pass")
        .address(CALL, A, "skipped prerequisite_failed")
        .address(CALL, B, "pass")
        .because("endpoint_interface_down", &[CONNECT])
        .takes(3.0);
    endpoint_b_silent: state([EndpointBSilent])
        .fails(CONNECT, "connect_timeout")
        .address(CONNECT, A, "pass")
        .address(CONNECT, B, "fail connect_timeout")
        .because("endpoint_interface_down", &[CONNECT])
        .takes(3.0);
    endpoint_b_unrouted: state([EndpointBUnrouted])
        .fails(CONNECT, "network_unreachable")
        .address(CONNECT, A, "pass")
        .address(CONNECT, B, "fail network_unreachable")
        .because("host_route", &[CONNECT]);
    endpoint_a_refused: state([EndpointARefused])
        .fails(CONNECT, "connection_refused")
        .address(CONNECT, A, "fail connection_refused")
        .address(CONNECT, B, "pass")
        .because("endpoint_refuses", &[CONNECT]);
    endpoint_lossy: state([EndpointLossy]).varies(&[CONNECT, CALL]).takes(6.0);
    endpoint_slow: state([EndpointSlow]).takes(2.0);
    // One endpoint alone cannot tell which security group it was.
    instance_egress_blocked: unreached(InstanceEgressBlocked, "connect_timeout", "endpoint_security_group")
        .takes(3.0);
    mtu_black_hole: unreached(MtuBlackHole, "tls_timeout", "mtu_black_hole").takes(3.0);
    mtu_black_hole_outwards:
        unreached(MtuBlackHoleOutwards, "request_unacknowledged", "mtu_black_hole").takes(3.0);

    // AWS serves no such certificate: it is this clock.
    certificate_expired: unreached(CertificateExpired, "certificate_expired", "clock_wrong");
    certificate_not_yet_valid: unreached(CertificateNotYetValid, "certificate_not_yet_valid", "clock_wrong");
    certificate_wrong_name:
        unreached(CertificateWrongName, "certificate_name_mismatch", "certificate_invalid");
    certificate_untrusted: unreached(CertificateUntrusted, "certificate_untrusted", "tls_intercepted");
    certificate_private_ca: state([CertificatePrivateCa]).warns("tls_intercepted");
    client_certificate_required:
        unreached(ClientCertificateRequired, "client_certificate_required", "client_certificate");
    trust_store_missing: state([])
        .env("SSL_CERT_FILE", "/nonexistent/ca.pem")
        .fails(CONNECT, "certificate_untrusted")
        .waits(&[CALL])
        .because("trust_store", &[CONNECT, CALL]);
    // From outside it looks like lost large packets, and the remedy says so.
    tls_silent: unreached(TlsSilent, "tls_timeout", "mtu_black_hole").takes(3.0);
    tls_reset: unreached(TlsReset, "connection_reset", "endpoint_refuses");
    response_silent: unreached(ResponseSilent, "response_timeout", "endpoint_silent").takes(3.0);
    response_garbage: unreached(ResponseGarbage, "response_invalid", "not_aws");
}
