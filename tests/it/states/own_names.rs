//! The endpoint's own DNS names: whose the addresses are, and in which zones.

use crate::lab::Fault::{
    self, DnsOneZone, DnsOtherEndpoint, EndpointBSilent, HostsFilePins, PrivateDnsOff, SystemResolverPartial,
};
use crate::state::{CALL, CONNECT, DNS, State, state};

/// What `import` writes for the lab's endpoint.
const OWN: &str = "
    [[endpoint]]
    service = 'monitoring'
    call = 'list-metrics'
    vpce_hosts = [
        'vpce-0123456789abcdef0-lab00000.monitoring.us-east-1.vpce.amazonaws.com',
        'vpce-0123456789abcdef0-lab00000-us-east-1a.monitoring.us-east-1.vpce.amazonaws.com',
        'vpce-0123456789abcdef0-lab00000-us-east-1b.monitoring.us-east-1.vpce.amazonaws.com',
    ]
";

/// What `import` writes where it has the subnets and no zonal names.
const RANGES: &str = "
    [[endpoint]]
    service = 'monitoring'
    call = 'list-metrics'
    zones = [
        { name = 'us-east-1a', id = 'use1-az1', cidrs = ['10.0.1.0/24'] },
        { name = 'us-east-1b', id = 'use1-az2', cidrs = ['10.0.2.0/24'] },
    ]
";

const ALL: &[&str] = &[DNS, CONNECT, CALL];

fn owned(faults: impl IntoIterator<Item = Fault>) -> State {
    state(faults).config(OWN)
}

states! {
    own_names: owned([]);
    own_names_and_ranges_that_disagree: state([])
        .config(&format!("{OWN}zones = [{{ name = 'us-east-1c', cidrs = ['10.0.2.0/24'] }}]"))
        .warns("zones_disagree");
    zones_by_ranges_alone: state([]).config(RANGES);
    zones_by_ranges_with_one_interface: state([DnsOneZone])
        .config(&RANGES.replace("{ name = 'us-east-1a', id = 'use1-az1', cidrs = ['10.0.1.0/24'] },", ""))
        .warns("no_interface_in_own_zone");
    zones_by_ranges_and_a_zone_gone: state([DnsOneZone]).config(RANGES).warns("zone_missing");
    // It is in the VPC, and it answers: only the names tell.
    own_names_and_a_zone_with_another_endpoint: owned([DnsOtherEndpoint])
        .fails(DNS, "not_this_endpoint")
        .address(DNS, "10.0.1.56", "fail not_this_endpoint")
        .address(DNS, "10.0.2.113", "pass")
        .fails(CONNECT, "not_this_endpoint")
        .address(CALL, "10.0.1.56", "skipped prerequisite_failed")
        .address(CALL, "10.0.2.113", "pass")
        .because("other_endpoint", &[DNS, CONNECT])
        .takes(4.0);
    another_endpoint_without_own_names: state([DnsOtherEndpoint]);
    own_names_of_a_deleted_endpoint: state([])
        .config(&OWN.replace("0123", "9999"))
        .warns("own_names_unresolved");
    own_names_with_one_zone: owned([DnsOneZone]).warns("zone_missing").warns("no_interface_in_own_zone");
    own_names_with_a_dead_zone: owned([EndpointBSilent])
        .fails(CONNECT, "connect_timeout")
        .address(CONNECT, "10.0.1.57", "pass")
        .because("endpoint_interface_down", &[CONNECT])
        .takes(3.0);
    own_names_and_a_resolver_that_leaves_a_zone_out: owned([SystemResolverPartial]).warns("zone_missing");
    // Public is worse than another's.
    own_names_while_private_dns_is_off: owned([PrivateDnsOff])
        .fails(DNS, "public_address")
        .fails(CONNECT, "address_outside_vpc")
        .waits(&[CALL])
        .because("private_dns_off", ALL)
        .takes(3.0);
    own_names_and_a_hosts_file: owned([HostsFilePins])
        .fails(DNS, "public_address")
        .fails(CONNECT, "address_outside_vpc")
        .waits(&[CALL])
        .because("hosts_file_entry", ALL)
        .takes(3.0);
}
