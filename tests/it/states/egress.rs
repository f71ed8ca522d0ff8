//! What gets out, what is rejected, and what could not be tried.

use crate::lab::Fault::{
    EgressRejectedInside, EgressRejectedOutside, EgressTcpReset, InstanceIpv6Absent, InstanceIpv6Lost,
    InstanceLinkDown, Ipv6EgressOpen, Nat64Open, NatOpen, NatOpenIcmpOnly, NatOpenLossy, NatOpenTcpOnly,
    NatOpenUdpOnly, NoDefaultRoute, PingForbidden, SendBlocked, WebsiteUnknown,
};
use crate::state::{CALL, CONNECT, CREDENTIALS, DNS, INSTANCE, IPV4, IPV6, state};

const ACCEPT_REJECT: &str = "[egress]\naccept_reject = true\n";

states! {
    healthy: state([]);

    nat_open: state([NatOpen]).fails(IPV4, "icmp_reply").because("internet_route_open", &[IPV4]);
    nat_open_tcp_only: state([NatOpenTcpOnly])
        .fails(IPV4, "tcp_connected")
        .because("egress_filtered_by_protocol", &[IPV4]);
    nat_open_icmp_only: state([NatOpenIcmpOnly])
        .fails(IPV4, "icmp_reply")
        .because("egress_filtered_by_protocol", &[IPV4]);
    nat_open_udp_only: state([NatOpenUdpOnly])
        .fails(IPV4, "udp_reply")
        .because("egress_filtered_by_protocol", &[IPV4]);
    nat_open_lossy: state([NatOpenLossy])
        .fails(IPV4, "icmp_reply|tcp_connected|udp_reply")
        .because("internet_route_open|egress_filtered_by_protocol", &[IPV4]);
    ipv6_egress_open: state([Ipv6EgressOpen])
        .fails(IPV6, "icmp_reply")
        .because("ipv6_egress_open", &[IPV6]);
    nat64_open: state([Nat64Open]).fails(IPV6, "icmp_reply").because("ipv6_egress_open", &[IPV6]);

    egress_tcp_reset: state([EgressTcpReset])
        .inconclusive(IPV4, "rejected")
        .inconclusive(IPV6, "rejected")
        .because("egress_rejected", &[IPV4, IPV6]);
    egress_tcp_reset_accepted: state([EgressTcpReset]).config(ACCEPT_REJECT).as_configured();
    // A router of the VPC says so itself: as good as silence.
    egress_rejected_inside: state([EgressRejectedInside]);
    egress_rejected_outside: state([EgressRejectedOutside])
        .fails(IPV4, "error_from_outside")
        .fails(IPV6, "error_from_outside")
        .because("internet_route_open", &[IPV4])
        .because("ipv6_egress_open", &[IPV6]);
    egress_rejected_outside_is_a_leak_even_where_rejects_count_as_silence: state([EgressRejectedOutside])
        .config(ACCEPT_REJECT)
        .fails(IPV4, "error_from_outside")
        .fails(IPV6, "error_from_outside")
        .because("internet_route_open", &[IPV4])
        .because("ipv6_egress_open", &[IPV6]);

    // The literals tell; a name is extra evidence.
    website_unknown: state([WebsiteUnknown]);
    website_unknown_while_nat_is_open: state([WebsiteUnknown, NatOpen])
        .fails(IPV4, "icmp_reply")
        .because("internet_route_open", &[IPV4]);
    silence_of_one_operator: state([])
        .config("[egress]\naddresses = ['1.1.1.1', '9.9.9.9', '2606:4700:4700::1111']\n")
        .inconclusive(IPV6, "too_few_targets")
        .because("unexplained", &[IPV6]);
    // Without an address nothing is sent, and nothing is said of the route.
    instance_link_down: state([InstanceLinkDown])
        .fails(INSTANCE, "metadata_unreachable")
        .fails(CREDENTIALS, "no_credentials")
        .inconclusive(DNS, "prerequisite_failed")
        .waits(&[CONNECT, CALL])
        .skips(IPV4, "family_unavailable")
        .skips(IPV6, "family_unavailable")
        .because("metadata_unavailable", &[INSTANCE, CREDENTIALS, DNS, CONNECT, CALL])
        .exits(78);
    no_default_route: state([NoDefaultRoute]);
    send_blocked: state([SendBlocked])
        .inconclusive(IPV4, "send_blocked")
        .inconclusive(IPV6, "send_blocked")
        .because("egress_rejected", &[IPV4, IPV6]);
    instance_ipv6_absent: state([InstanceIpv6Absent]).skips(IPV6, "family_unavailable");
    instance_ipv6_lost: state([InstanceIpv6Lost])
        .inconclusive(IPV6, "family_missing")
        .because("unexplained", &[IPV6]);

    // Root opens a raw socket instead.
    ping_forbidden: state([PingForbidden]);
    ping_forbidden_to_an_unprivileged_user: state([PingForbidden])
        .unprivileged()
        .inconclusive(IPV4, "not_permitted")
        .inconclusive(IPV6, "not_permitted")
        .because("ping_not_permitted", &[IPV4, IPV6]);
    ping_forbidden_while_nat_is_open: state([PingForbidden, NatOpen])
        .unprivileged()
        .fails(IPV4, "tcp_connected")
        .inconclusive(IPV6, "not_permitted")
        .because("internet_route_open", &[IPV4])
        .because("ping_not_permitted", &[IPV6]);
    healthy_unprivileged: state([]).unprivileged();
    nat_open_unprivileged: state([NatOpen])
        .unprivileged()
        .fails(IPV4, "icmp_reply")
        .because("internet_route_open", &[IPV4]);
    nat_open_on_purpose: state([NatOpen])
        .config("[egress]\nenabled = false\n")
        .as_configured()
        .checks(["instance", "credentials", "monitoring/dns", "monitoring/connect", "monitoring/call"]);
}
