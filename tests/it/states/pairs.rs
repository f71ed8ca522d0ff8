//! Two faults at once, and more: each keeps its verdict and its cause.

use super::instance::LOCATED;
use crate::lab::Fault::{
    CaptivePage, CertificateExpired, CertificatePrivateCa, CertificateUntrusted, ClockAhead, ClockBehind,
    CredentialsExpired, DnsAaaa, DnsRefused, DnsServfail, DnsSilent, DnsSlow, EndpointASilent,
    EndpointBSilent, EndpointPolicyDenied, EndpointSgRefused, EndpointSgSilent, EndpointSlow,
    InstanceIpv6Absent, InstanceIpv6Lost, Ipv6EgressOpen, MetadataDisabled, MetadataSilent, NatOpen,
    NatOpenUdpOnly, NoDefaultRoute, PingForbidden, PrivateDnsOff, RoleDenied, RoleMissing, SendBlocked,
    SystemResolverDiffers, Throttled, TlsSilent,
};
use crate::state::{CALL, CONNECT, CREDENTIALS, DNS, INSTANCE, IPV4, IPV6, state};

const PATH: &[&str] = &[DNS, CONNECT, CALL];

states! {
    both_families_open: state([NatOpen, Ipv6EgressOpen])
        .fails(IPV4, "icmp_reply")
        .fails(IPV6, "icmp_reply")
        .because("internet_route_open", &[IPV4])
        .because("ipv6_egress_open", &[IPV6]);
    servfail_and_nat_open: state([DnsServfail, NatOpen])
        .fails(DNS, "server_failure")
        .waits(&[CONNECT, CALL])
        .fails(IPV4, "icmp_reply")
        .because("foreign_zone", PATH)
        .because("internet_route_open", &[IPV4]);
    throttled_and_nat_open: state([Throttled, NatOpen])
        .inconclusive(CALL, "throttled")
        .fails(IPV4, "icmp_reply")
        .because("throttled", &[CALL])
        .because("internet_route_open", &[IPV4]);
    interception_and_nat_open: state([CertificateUntrusted, NatOpen])
        .fails(CONNECT, "certificate_untrusted")
        .waits(&[CALL])
        .fails(IPV4, "icmp_reply")
        .because("tls_intercepted", &[CONNECT, CALL])
        .because("internet_route_open", &[IPV4]);
    metadata_silent_and_nat_open: state([MetadataSilent, NatOpen])
        .fails(INSTANCE, "metadata_timeout")
        .fails(CREDENTIALS, "credentials_timeout")
        .inconclusive(DNS, "prerequisite_failed")
        .waits(&[CONNECT, CALL])
        .fails(IPV4, "icmp_reply")
        .because("metadata_unavailable", &[INSTANCE, CREDENTIALS, DNS, CONNECT, CALL])
        .because("internet_route_open", &[IPV4])
        .exits(1)
        .takes(5.0);
    no_ipv6_and_nat_open: state([InstanceIpv6Absent, NatOpen])
        .fails(IPV4, "icmp_reply")
        .skips(IPV6, "family_unavailable")
        .because("internet_route_open", &[IPV4]);
    // What cannot be sent proves nothing about the route.
    send_blocked_and_nat_open: state([SendBlocked, NatOpen])
        .inconclusive(IPV4, "send_blocked")
        .inconclusive(IPV6, "send_blocked")
        .because("send_blocked", &[IPV4, IPV6]);
    no_ping_and_udp_open: state([PingForbidden, NatOpenUdpOnly])
        .unprivileged()
        .fails(IPV4, "udp_reply")
        .inconclusive(IPV6, "not_permitted")
        .because("egress_filtered_by_protocol", &[IPV4])
        .because("ping_not_permitted", &[IPV6]);
    ipv6_open_and_endpoint_silent: state([Ipv6EgressOpen, EndpointSgSilent])
        .fails(CONNECT, "connect_timeout")
        .waits(&[CALL])
        .fails(IPV6, "icmp_reply")
        .because("endpoint_security_group", &[CONNECT, CALL])
        .because("ipv6_egress_open", &[IPV6])
        .takes(3.0);

    one_interface_and_the_role: state([EndpointASilent, RoleDenied])
        .fails(CONNECT, "connect_timeout")
        .fails(CALL, "denied_by_identity_policy")
        .because("endpoint_interface_down", &[CONNECT])
        .because("identity_policy", &[CALL])
        .takes(3.0);
    one_interface_and_no_role: state([EndpointBSilent, RoleMissing])
        .fails(CREDENTIALS, "no_credentials")
        .fails(CONNECT, "connect_timeout")
        .waits(&[CALL])
        .because("endpoint_interface_down", &[CONNECT])
        .because("no_instance_role", &[CREDENTIALS, CALL])
        .takes(3.0);
    one_interface_silent_and_the_other_mute: state([EndpointASilent, TlsSilent])
        .fails(CONNECT, "connect_timeout")
        .address(CONNECT, "10.0.2.113", "fail tls_timeout")
        .waits(&[CALL])
        .because("endpoint_interface_down", &[CONNECT, CALL])
        .because("mtu_black_hole", &[CONNECT, CALL])
        .takes(3.0);
    // The clock is looked at before the policy.
    clock_and_role: state([ClockAhead, RoleDenied])
        .fails(CALL, "clock_skew")
        .because("clock_wrong", &[CALL]);
    clock_and_certificate: state([ClockAhead, CertificateExpired])
        .fails(CONNECT, "certificate_expired")
        .waits(&[CALL])
        .because("clock_wrong", &[CONNECT, CALL]);
    clock_and_expired_credentials: state([ClockBehind, CredentialsExpired])
        .fails(CREDENTIALS, "credentials_expired")
        .fails(CALL, "clock_skew")
        .because("clock_wrong", &[CALL])
        .because("credentials_invalid", &[CREDENTIALS]);
    endpoint_policy_and_proxy: state([EndpointPolicyDenied])
        .env("HTTPS_PROXY", "http://10.0.1.54:3128")
        .fails(CALL, "denied_by_endpoint_policy")
        .because("endpoint_policy", &[CALL])
        .warns("proxy_configured");
    interception_by_a_trusted_proxy_that_answers_itself: state([CertificatePrivateCa, CaptivePage])
        .fails(CALL, "not_an_aws_answer")
        .because("tls_intercepted", &[CALL]);

    private_dns_off_and_no_way_out: state([PrivateDnsOff, NoDefaultRoute])
        .fails(DNS, "public_address")
        .fails(CONNECT, "address_outside_vpc")
        .waits(&[CALL])
        .because("private_dns_off", PATH);
    company_resolver_and_no_vpc_resolver: state([SystemResolverDiffers, DnsRefused])
        .fails(DNS, "public_address")
        .fails(CONNECT, "address_outside_vpc")
        .waits(&[CALL])
        .because("vpc_dns_support_off", PATH)
        .takes(3.0);
    all_slow: state([DnsSlow, EndpointSlow]).warns("name_server_broken").takes(2.9);
    ipv6_lost_and_ipv6_names: state([InstanceIpv6Lost, DnsAaaa])
        .address(CONNECT, "2001:db8:1234:1::57", "skipped family_unavailable")
        .inconclusive(IPV6, "family_missing")
        .because("address_not_configured", &[IPV6]);

    no_metadata_and_endpoint_refused: state([MetadataDisabled, EndpointSgRefused])
        .config(LOCATED)
        .fails(INSTANCE, "metadata_disabled")
        .fails(CREDENTIALS, "no_credentials")
        .fails(CONNECT, "connection_refused")
        .waits(&[CALL])
        .because("metadata_unavailable", &[INSTANCE, CREDENTIALS, CALL])
        .because("endpoint_refuses", &[CONNECT, CALL]);
    everything_silent: state([DnsSilent, MetadataSilent, EndpointSgSilent])
        .config(LOCATED)
        .fails(INSTANCE, "metadata_timeout")
        .fails(CREDENTIALS, "credentials_timeout")
        .fails(DNS, "query_timeout")
        .waits(&[CONNECT, CALL])
        .inconclusive(IPV4, "control_failed")
        .inconclusive(IPV6, "control_failed")
        .because("metadata_unavailable", &[INSTANCE, CREDENTIALS, CALL])
        .because("vpc_dns_support_off", &[DNS, CONNECT, CALL, IPV4, IPV6])
        .takes(17.0);
}
