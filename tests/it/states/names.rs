//! Where the endpoint's name leads, and who says so.

use crate::lab::Fault::{
    self, DnsAaaa, DnsAaaaPublic, DnsAlias, DnsMixed, DnsOneZone, DnsOutsideVpc, DnsPortClosed, DnsRefused,
    DnsServfail, DnsSilent, DnsSlow, DnsSpecial, DnsStale, DnsTruncated, DnsTruncatedNoTcp, HostDropsDns,
    HostRejectsDns, HostsFilePins, InstanceIpv4Absent, InstanceIpv6Absent, NameNoAddress, NameNotFound,
    NatOpen, PrivateDnsOff, ResolverUnrouted, SystemResolverDiffers, SystemResolverElsewhere,
    SystemResolverPartial, SystemResolverSilent, SystemResolverStale,
};
use crate::state::{CALL, CONNECT, CREDENTIALS, DNS, INSTANCE, IPV4, IPV6, State};

fn state(faults: impl IntoIterator<Item = Fault>) -> State {
    crate::state::state(faults).as_applications_are_told()
}

/// A subnet whose AWS clients are told to ask metadata over IPv6.
fn without_ipv4(state: State) -> State {
    state
        .env("AWS_EC2_METADATA_SERVICE_ENDPOINT_MODE", "IPv6")
        .as_configured()
        .skips(IPV4, "family_unavailable")
}

/// No address, so there is nothing to connect to.
fn unresolved(fault: Fault, reason: &str) -> State {
    state([fault]).fails(DNS, reason).waits(&[CONNECT, CALL])
}

/// Addresses that are not the endpoint's.
fn astray(faults: impl IntoIterator<Item = Fault>, reason: &str) -> State {
    state(faults).fails(DNS, reason).fails(CONNECT, "address_outside_vpc").waits(&[CALL])
}

const OWN_NAME: &str = "vpce-0123456789abcdef0-lab00000.monitoring.us-east-1.vpce.amazonaws.com";

/// An endpoint that is known by a name of its own, as `NAME/dns`, `NAME/connect`, `NAME/call`.
fn named(faults: impl IntoIterator<Item = Fault>, host: &str, checks: [&'static str; 3]) -> State {
    crate::state::state(faults)
        .config(&format!("[[endpoint]]\nservice = 'own'\nhost = '{host}'\ncall = 'list-metrics'\n"))
        .checks([INSTANCE, CREDENTIALS, checks[0], checks[1], checks[2], IPV4, IPV6])
}

const ALL: &[&str] = &[DNS, CONNECT, CALL];
const OWN: [&str; 3] = ["own/dns", "own/connect", "own/call"];

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
        .takes(15.0);
    dns_port_closed: unresolved(DnsPortClosed, "resolver_unreachable")
        .inconclusive(IPV4, "control_failed")
        .inconclusive(IPV6, "control_failed")
        .because("vpc_dns_support_off", &[DNS, CONNECT, CALL, IPV4, IPV6]);
    resolver_unrouted: unresolved(ResolverUnrouted, "resolver_unreachable")
        .because("host_route", &[DNS, CONNECT, CALL]);
    host_drops_dns: unresolved(HostDropsDns, "resolver_unreachable")
        .inconclusive(IPV4, "control_failed")
        .inconclusive(IPV6, "control_failed")
        .because("send_blocked", &[DNS, CONNECT, CALL, IPV4, IPV6]);
    host_rejects_dns: unresolved(HostRejectsDns, "resolver_unreachable")
        .inconclusive(IPV4, "control_failed")
        .inconclusive(IPV6, "control_failed")
        .because("send_blocked", &[DNS, CONNECT, CALL, IPV4, IPV6]);
    dns_truncated: state([DnsTruncated])
        .address(CONNECT, "100.64.1.57", "pass")
        .address(CALL, "100.64.1.57", "pass");
    dns_truncated_no_tcp: unresolved(DnsTruncatedNoTcp, "truncated").because("name_server_broken", ALL).takes(15.0);
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
    dns_aaaa_without_ipv4: without_ipv4(state([DnsAaaa, InstanceIpv4Absent]));
    dns_aaaa_without_ipv4_and_clients_that_ask_over_it: state([DnsAaaa, InstanceIpv4Absent])
        .fails(CREDENTIALS, "no_credentials")
        .waits(&[CALL])
        .skips(IPV4, "family_unavailable")
        .because("metadata_unavailable", &[CREDENTIALS, CALL]);
    dns_without_aaaa_without_ipv4: without_ipv4(state([InstanceIpv4Absent]))
        .fails(CONNECT, "family_unavailable")
        .waits(&[CALL])
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
    system_resolver_elsewhere: astray([SystemResolverElsewhere], "outside_vpc")
        .because("resolver_bypasses_vpc", ALL);
    // An address of the VPC that the VPC's own resolver does not know.
    system_resolver_stale: state([SystemResolverStale])
        .fails(CONNECT, "connect_timeout")
        .waits(&[CALL])
        .because("resolver_bypasses_vpc", &[CONNECT, CALL])
        .takes(3.0);
    system_resolver_partial: state([SystemResolverPartial]);
    // Applications are not wrong there, and the configuration asks for more.
    system_resolver_partial_where_agreement_is_required: crate::state::state([SystemResolverPartial])
        .config("[[endpoint]]\nservice = 'monitoring'\ncall = 'list-metrics'\nrequire_agreement = true\n")
        .fails(DNS, "resolvers_disagree")
        .because("resolver_bypasses_vpc", &[DNS]);
    hosts_file_pins: astray([HostsFilePins], "public_address").because("hosts_file_entry", ALL).takes(3.0);
    dns_alias: state([DnsAlias]);
    dns_one_zone: state([DnsOneZone]).address(CALL, "10.0.2.113", "pass");
    dns_stale: state([DnsStale])
        .fails(CONNECT, "connect_timeout")
        .waits(&[CALL])
        .because("endpoint_security_group", &[CONNECT, CALL])
        .takes(3.0);

    own_name: named([], OWN_NAME, OWN);
    own_name_while_private_dns_is_off: named([PrivateDnsOff], OWN_NAME, OWN).as_configured();
    own_name_of_a_deleted_endpoint: named([], &OWN_NAME.replace("0123", "9999"), OWN)
        .fails(OWN[0], "name_not_found")
        .waits(&[OWN[1], OWN[2]])
        .because("name_unknown", &OWN);
    name_of_another_region: named([], "monitoring.eu-west-1.amazonaws.com", OWN)
        .fails(OWN[0], "public_address")
        .fails(OWN[1], "address_outside_vpc")
        .waits(&[OWN[2]])
        .because("private_dns_off", &OWN)
        .takes(3.0);

    // The C library waits 5 s for the first.
    system_resolver_silent: state([SystemResolverSilent]).warns("name_server_broken").takes(5.1);
    dns_slow: state([DnsSlow]).warns("name_server_broken").takes(1.3);
}
