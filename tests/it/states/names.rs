//! Where the endpoint's name leads, and who says so.

use crate::lab::Fault::{
    self, DnsAaaa, DnsAaaaPublic, DnsMixed, DnsOutsideVpc, DnsPortClosed, DnsRefused, DnsServfail, DnsSilent,
    DnsSlow, DnsSpecial, DnsTruncated, DnsTruncatedNoTcp, InstanceIpv4Absent, InstanceIpv6Absent,
    NameNoAddress, NameNotFound, NatOpen, PrivateDnsOff, SystemResolverDiffers, SystemResolverSilent,
};
use crate::state::{CALL, CONNECT, DNS, IPV4, IPV6, State, state};

/// No address, so there is nothing to connect to.
fn unresolved(fault: Fault, reason: &str) -> State {
    state([fault]).fails(DNS, reason).waits(&[CONNECT, CALL])
}

/// Addresses that are not the endpoint's.
fn astray(faults: impl IntoIterator<Item = Fault>, reason: &str) -> State {
    state(faults).fails(DNS, reason).fails(CONNECT, "address_outside_vpc").waits(&[CALL])
}

const ALL: &[&str] = &[DNS, CONNECT, CALL];

states! {
    private_dns_off: astray([PrivateDnsOff], "public_address").because("private_dns_off", ALL).takes(3.0);
    private_dns_off_while_nat_is_open: astray([PrivateDnsOff, NatOpen], "public_address")
        .fails(IPV4, "icmp_reply")
        .because("private_dns_off", ALL)
        .because("internet_route_open", &[IPV4]);
    name_not_found: unresolved(NameNotFound, "name_not_found").because("foreign_zone", ALL);
    name_no_address: unresolved(NameNoAddress, "no_address").because("foreign_zone", ALL);
    dns_servfail: unresolved(DnsServfail, "server_failure").because("foreign_zone", ALL);
    dns_refused: unresolved(DnsRefused, "query_refused").because("vpc_dns_support_off", ALL);
    dns_silent: unresolved(DnsSilent, "query_timeout")
        .inconclusive(IPV4, "control_failed")
        .inconclusive(IPV6, "control_failed")
        .because("vpc_dns_support_off", &[DNS, CONNECT, CALL, IPV4, IPV6])
        .takes(3.0);
    dns_port_closed: unresolved(DnsPortClosed, "resolver_unreachable")
        .inconclusive(IPV4, "control_failed")
        .inconclusive(IPV6, "control_failed")
        .because("vpc_dns_support_off", &[DNS, CONNECT, CALL, IPV4, IPV6]);
    dns_truncated: state([DnsTruncated])
        .address(CONNECT, "100.64.1.57", "pass")
        .address(CALL, "100.64.1.57", "pass");
    dns_truncated_no_tcp: unresolved(DnsTruncatedNoTcp, "truncated").because("unexplained", ALL).takes(3.0);
    dns_mixed: state([DnsMixed])
        .fails(DNS, "mixed_addresses")
        .fails(CONNECT, "address_outside_vpc")
        .address(DNS, "10.0.1.57", "pass")
        .address(CALL, "10.0.1.57", "pass")
        .address(CALL, "203.0.113.20", "skipped prerequisite_failed")
        .because("private_dns_off", &[DNS, CONNECT])
        .takes(3.0);
    dns_outside_vpc: astray([DnsOutsideVpc], "outside_vpc").because("foreign_zone", ALL);
    dns_outside_vpc_on_purpose: state([DnsOutsideVpc])
        .config("expected_cidrs = ['10.99.0.0/16']\n")
        .as_configured()
        .trusting("10.99.0.57");
    dns_special: state([DnsSpecial])
        .fails(DNS, "special_address")
        .waits(&[CONNECT, CALL])
        .because("foreign_zone", ALL);
    dns_aaaa: state([DnsAaaa])
        .address(CALL, "2001:db8:1234:1::57", "pass")
        .address(CALL, "2001:db8:1234:2::113", "pass");
    // Nobody on an instance without IPv6 is harmed by an address of it.
    dns_aaaa_without_ipv6: state([DnsAaaa, InstanceIpv6Absent])
        .address(DNS, "2001:db8:1234:1::57", "skipped family_unavailable")
        .address(CONNECT, "2001:db8:1234:1::57", "skipped family_unavailable")
        .address(CALL, "2001:db8:1234:1::57", "skipped family_unavailable")
        .skips(IPV6, "family_unavailable");
    dns_aaaa_without_ipv4: state([DnsAaaa, InstanceIpv4Absent]).skips(IPV4, "family_unavailable");
    dns_without_aaaa_without_ipv4: state([InstanceIpv4Absent])
        .fails(CONNECT, "family_unavailable")
        .waits(&[CALL])
        .skips(IPV4, "family_unavailable")
        .because("endpoint_family_missing", &[CONNECT, CALL]);
    dns_aaaa_public: state([DnsAaaaPublic])
        .fails(DNS, "mixed_addresses")
        .fails(CONNECT, "address_outside_vpc")
        .because("private_dns_off", &[DNS, CONNECT])
        .takes(3.0);
    dns_aaaa_public_without_ipv6: state([DnsAaaaPublic, InstanceIpv6Absent])
        .as_configured()
        .address(DNS, "2001:db8:ffff::20", "skipped family_unavailable")
        .skips(IPV6, "family_unavailable");
    system_resolver_differs: astray([SystemResolverDiffers], "public_address")
        .because("resolver_bypasses_vpc", ALL)
        .takes(3.0);
    // The other resolver answers once the first has had its half of the time.
    system_resolver_silent: state([SystemResolverSilent]).takes(1.6);
    dns_slow: state([DnsSlow]).takes(1.3);
}
