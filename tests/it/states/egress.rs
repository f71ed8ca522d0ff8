//! What gets out, what is rejected, and what could not be tried.

use crate::lab::Fault::{
    BridgePresent, DnsRedirected, EgressRejectedByAws, EgressRejectedInside, EgressRejectedOutside,
    EgressRejectedPrivately, EgressResetByTarget, EgressTcpReset, InstanceIpv6Absent, InstanceIpv6Lost,
    InstanceIpv6Off, InstanceLinkDown, Ipv6EgressOpen, Nat64Open, NatOpen, NatOpenFirstSynLost,
    NatOpenIcmpOnly, NatOpenLossy, NatOpenNtpOnly, NatOpenOddPorts, NatOpenSlow, NatOpenTcpOnly,
    NatOpenUdpOnly, NoDefaultRoute, PingForbidden, ResolverV6Silent, RouteBlackhole, RouteProhibit,
    RouteUnreachable, SecondInterfaceOpen, SecondInterfaceUnrouted, SecondaryAddress, SecondaryAddressOpen,
    SendBlocked, SendRejected, TcpRedirected, WebsiteUnknown,
};
use crate::state::{CALL, CONNECT, CREDENTIALS, DNS, INSTANCE, IPV4, IPV6, state};

const ACCEPT_REJECT: &str = "[egress]\naccept_reject = true\n";
const OWN_TARGET: &str = "[egress]\n[[egress.target]]\nhost = '1.0.0.1'\ntcp_ports = [8443, 22]\n";
const IPV4_ONLY: &str = "[egress]\nfamilies = ['ipv4']\n";

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
    // Found by the second SYN, a second later.
    nat_open_first_syn_lost: state([NatOpenFirstSynLost])
        .unread()
        .fails(IPV4, "tcp_connected")
        .because("egress_filtered_by_protocol", &[IPV4]);
    nat_open_slow: state([NatOpenSlow])
        .fails(IPV4, "icmp_reply")
        .because("internet_route_open", &[IPV4]);
    nat_open_ntp_only: state([NatOpenNtpOnly])
        .fails(IPV4, "udp_reply")
        .because("egress_filtered_by_protocol", &[IPV4]);
    // The pass names its ports, and claims nothing of others.
    nat_open_odd_ports: state([NatOpenOddPorts]);
    nat_open_odd_ports_and_a_target_that_listens_there: state([NatOpenOddPorts])
        .config(OWN_TARGET)
        .fails(IPV4, "tcp_connected")
        .because("egress_filtered_by_protocol", &[IPV4]);
    an_own_target_that_is_out_of_reach: state([]).config(OWN_TARGET);
    second_interface_open: state([SecondInterfaceOpen])
        .fails(IPV4, "icmp_reply")
        .because("internet_route_open", &[IPV4]);
    second_interface_open_and_left_out: state([SecondInterfaceOpen])
        .config("[egress]\nsources = ['10.0.1.0/24', '2001:db8:1234::/56']\n")
        .as_configured();
    second_interface_unrouted: state([SecondInterfaceUnrouted]);
    secondary_address: state([SecondaryAddress]);
    secondary_address_open: state([SecondaryAddressOpen])
        .fails(IPV4, "icmp_reply")
        .because("internet_route_open", &[IPV4]);
    bridge_present: state([BridgePresent]);
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

    egress_rejected_privately: state([EgressRejectedPrivately])
        .inconclusive(IPV4, "rejected")
        .inconclusive(IPV6, "rejected")
        .because("egress_rejected", &[IPV4, IPV6]);
    egress_rejected_privately_accepted: state([EgressRejectedPrivately]).config(ACCEPT_REJECT).as_configured();
    egress_rejected_by_aws: state([EgressRejectedByAws]);
    egress_reset_by_target: state([EgressResetByTarget])
        .config(ACCEPT_REJECT)
        .inconclusive(IPV4, "rejected")
        .because("egress_rejected", &[IPV4]);
    dns_redirected: state([DnsRedirected])
        .fails(IPV4, "traffic_intercepted")
        .because("traffic_intercepted", &[IPV4]);
    tcp_redirected: state([TcpRedirected])
        .fails(IPV4, "traffic_intercepted")
        .because("traffic_intercepted", &[IPV4]);
    tcp_redirected_while_ping_gets_out: state([TcpRedirected, NatOpenIcmpOnly])
        .fails(IPV4, "icmp_reply")
        .because("egress_filtered_by_protocol", &[IPV4]);
    // An answer over IPv4 says nothing about IPv6.
    resolver_v6_silent: state([ResolverV6Silent])
        .inconclusive(IPV6, "control_failed")
        .because("unexplained", &[IPV6]);
    resolver_v6_silent_and_ipv6_left_out: state([ResolverV6Silent])
        .config(IPV4_ONLY)
        .as_configured()
        .checks([INSTANCE, CREDENTIALS, DNS, CONNECT, CALL, IPV4]);

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
        .exits(1);
    no_default_route: state([NoDefaultRoute]);
    route_unreachable: state([RouteUnreachable]);
    route_blackhole: state([RouteBlackhole]);
    route_prohibit: state([RouteProhibit]);
    send_blocked: state([SendBlocked])
        .inconclusive(IPV4, "send_blocked")
        .inconclusive(IPV6, "send_blocked")
        .because("send_blocked", &[IPV4, IPV6]);
    send_rejected: state([SendRejected])
        .config(ACCEPT_REJECT)
        .inconclusive(IPV4, "send_blocked")
        .inconclusive(IPV6, "send_blocked")
        .because("send_blocked", &[IPV4, IPV6]);
    instance_ipv6_absent: state([InstanceIpv6Absent]).skips(IPV6, "family_unavailable");
    instance_ipv6_lost: state([InstanceIpv6Lost])
        .inconclusive(IPV6, "family_missing")
        .because("address_not_configured", &[IPV6]);
    instance_ipv6_off: state([InstanceIpv6Off])
        .inconclusive(IPV6, "family_missing")
        .because("ipv6_disabled", &[IPV6]);
    instance_ipv6_off_on_purpose: state([InstanceIpv6Off])
        .config(IPV4_ONLY)
        .as_configured()
        .checks([INSTANCE, CREDENTIALS, DNS, CONNECT, CALL, IPV4]);
    quiet_on_purpose: state([])
        .config("[egress]\nprotocols = ['icmp', 'tcp']\ntcp_ports = [443]\nhosts = []\ndecoys = false\n");

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
