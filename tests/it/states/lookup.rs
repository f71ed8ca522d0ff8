//! How this host looks names up: its files, its caches and modules, and name servers with habits.

use std::net::IpAddr;
use std::time::Duration;

use crate::lab::Fault::{PrivateDnsOff, SearchListCatches};
use crate::lab::{Edns, HOSTS, Host, NSSWITCH, NameAnswer, NameBehavior, Names, RESOLV_CONF};
use crate::nss;
use crate::state::{CALL, CONNECT, DNS, INSTANCE, IPV4, IPV6, State};

const ALL: &[&str] = &[DNS, CONNECT, CALL];

const VPC: &str = "nameserver 10.0.0.2\n";
const HOST: &str = "monitoring.us-east-1.amazonaws.com";
const LOCALHOST: &str = "127.0.0.1 localhost\n";

fn state(names: Names) -> State {
    crate::state::state([]).names(names).as_applications_are_told()
}

fn names() -> Names {
    Names::default()
}

fn inside() -> Vec<IpAddr> {
    ["10.0.1.57", "10.0.2.113"].map(|ip| ip.parse().unwrap()).to_vec()
}

fn public() -> NameBehavior {
    NameBehavior::addresses(&["203.0.113.20".parse().unwrap()])
}

fn stale() -> NameBehavior {
    NameBehavior::addresses(&["10.0.1.54".parse().unwrap()])
}

fn good() -> NameBehavior {
    NameBehavior::addresses(&inside())
}

/// The company's name server, with a habit, before the VPC's or alone.
fn first(behavior: NameBehavior) -> Names {
    alone(behavior).resolv_conf(format!("nameserver 10.0.1.53\n{VPC}"))
}

fn second(behavior: NameBehavior, options: &str) -> Names {
    alone(behavior).resolv_conf(format!("{VPC}nameserver 10.0.1.53\n{options}"))
}

fn alone(behavior: NameBehavior) -> Names {
    names().server(Host::CorporateDns, "10.0.1.53:53", behavior).resolv_conf("nameserver 10.0.1.53\n")
}

fn unresolved(names: Names, reason: &str, cause: &'static str) -> State {
    state(names).fails(DNS, reason).waits(&[CONNECT, CALL]).because(cause, ALL)
}

fn astray(names: Names, cause: &'static str) -> State {
    state(names)
        .fails(DNS, "public_address")
        .fails(CONNECT, "address_outside_vpc")
        .waits(&[CALL])
        .because(cause, ALL)
        .takes(3.0)
}

fn unreadable(path: &'static str) -> State {
    state(names().private(path))
        .unprivileged()
        .inconclusive(DNS, "lookup_failed")
        .because("name_files_unreadable", &[DNS])
}

/// Beside another endpoint, which the module leaves alone.
fn module(sources: &str) -> State {
    let config = "[[endpoint]]\nservice = 'monitoring'\n[[endpoint]]\nservice = 'ssm'\n";
    state(names().sources(sources)).config(config).env("LD_LIBRARY_PATH", &nss::modules()).checks([
        INSTANCE,
        DNS,
        CONNECT,
        "ssm/dns",
        "ssm/connect",
        IPV4,
        IPV6,
    ])
}

states! {
    rotate_with_a_public_second_server: state(second(public(), "options rotate\n"))
        .fails(DNS, "mixed_addresses")
        .varies(&[CONNECT, CALL]);
    // Half of the lookups lead to an address of the VPC where nothing is.
    rotate_with_a_stale_second_server: state(second(stale(), "options rotate\n"))
        .fails(CONNECT, "connect_timeout")
        .address(CONNECT, "10.0.1.54", "fail connect_timeout")
        .address(CALL, "10.0.1.54", "skipped prerequisite_failed")
        .because("resolver_bypasses_vpc", &[CONNECT])
        .varies(&[DNS])
        .takes(3.0);
    public_second_server: state(second(public(), "")).warns("resolver_bypasses_vpc");
    hosts_file_not_utf8: astray(
        names().hosts([b"127.0.0.1 localhost # M\xfcller\n203.0.113.20 ", HOST.as_bytes(), b"\n"].concat()),
        "hosts_file_entry",
    );
    resolv_conf_with_crlf: unresolved(
        names().resolv_conf("search ec2.internal\r\nnameserver 10.0.0.2\r\n"),
        "lookup_failed",
        "resolv_conf_invalid",
    );
    resolv_conf_of_one_who_shouts: unresolved(
        names().resolv_conf("search ec2.internal\nNAMESERVER 10.0.0.2\n"),
        "lookup_failed",
        "resolv_conf_invalid",
    );
    resolv_conf_with_byte_order_mark: unresolved(
        names().resolv_conf("\u{feff}nameserver 10.0.0.2\n"),
        "lookup_failed",
        "resolv_conf_invalid",
    );
    resolv_conf_empty: unresolved(names().resolv_conf(""), "lookup_failed", "resolv_conf_invalid");
    nsswitch_diverting: unresolved(
        names().sources("hosts: files [NOTFOUND=return] dns"),
        "lookup_failed",
        "nsswitch_without_dns",
    );
    nsswitch_without_dns: unresolved(names().sources("hosts: files"), "lookup_failed", "nsswitch_without_dns");
    stale_hosts_file_behind_dns: state(
        names().sources("hosts: dns files").hosts(format!("{LOCALHOST}203.0.113.20 {HOST}\n")),
    );
    alias_before_its_address: state(alone(NameBehavior::of(
        NameAnswer::Alias { first: true, addresses: inside() },
        NameAnswer::NoData,
    )));
    // The GNU C library does not take it.
    alias_after_its_address: unresolved(
        alone(NameBehavior::of(
            NameAnswer::Alias { first: false, addresses: inside() },
            NameAnswer::NoData,
        )),
        "lookup_failed",
        "name_server_broken",
    );
    edns_refused: state(alone(NameBehavior { edns: Edns::FormErr, ..good() })).warns("name_server_broken");
    search_list_of_nothing: state(names().resolv_conf(format!("search (none)\n{VPC}")));
    three_slow_servers: state(
        ["10.0.1.51", "10.0.1.52", "10.0.1.53"].iter().fold(
            names().resolv_conf("nameserver 10.0.1.51\nnameserver 10.0.1.52\nnameserver 10.0.1.53\n"),
            |names, ip| {
                let slow = NameBehavior { delay: Duration::from_millis(1200), ..good() };
                names.server(Host::CorporateDns, &format!("{ip}:53"), slow)
            },
        ),
    )
    .warns("name_server_broken")
    .takes(1.3);
    over_tcp_where_udp_is_closed: state(
        alone(NameBehavior { over_udp: false, ..good() })
            .resolv_conf("options use-vc\nnameserver 10.0.1.53\n"),
    );
    link_local_server: state(
        names().server(Host::Router, "[fe80::1%2]:53", good()).resolv_conf("nameserver fe80::1%eth0\n"),
    );
    first_server_refuses: state(first(NameBehavior::of(NameAnswer::Refused, NameAnswer::Refused)))
        .warns("name_server_broken");
    first_server_not_recursive: state(first(NameBehavior::of(NameAnswer::Referral, NameAnswer::Referral)))
        .warns("name_server_broken");
    hosts_file_hides_public_dns: crate::state::state([PrivateDnsOff])
        .as_configured()
        .names(names().hosts(format!("{LOCALHOST}10.0.1.57 {HOST}\n10.0.2.113 {HOST}\n")))
        .as_applications_are_told()
        .warns("hosts_file_entry");
    aaaa_fails_beside_a_good_a: state(alone(NameBehavior::of(
        NameAnswer::Addresses(inside()),
        NameAnswer::ServFail,
    )))
    .warns("name_server_broken");
    resolv_conf_unreadable: state(names().private(RESOLV_CONF))
        .unprivileged()
        .inconclusive(DNS, "lookup_failed")
        .waits(&[CONNECT, CALL])
        .because("name_files_unreadable", ALL);
    // As root: what applications of other users are told is not seen.
    resolv_conf_unreadable_to_others: state(names().private(RESOLV_CONF)).warns("name_files_unreadable");
    hosts_file_unreadable: unreadable(HOSTS);
    nsswitch_unreadable: unreadable(NSSWITCH);
    search_list_catches: crate::state::state([SearchListCatches])
        .as_applications_are_told()
        .fails(DNS, "public_address")
        .fails(CONNECT, "address_outside_vpc")
        .waits(&[CALL])
        .because("search_list_answers", ALL)
        .takes(3.0);
    vpc_resolver_behind_a_firewall: state(
            names().resolv_conf("nameserver 169.254.169.253\n").link_local_blocked(),
        )
        .fails(DNS, "resolver_unreachable")
        .waits(&[CONNECT, CALL])
        .inconclusive(IPV4, "control_failed")
        .because("resolver_blocked", &[DNS, CONNECT, CALL, IPV4]);
    nss_module_hangs: module("hosts: files labhangs dns")
        .fails(DNS, "lookup_timeout")
        .waits(&[CONNECT])
        .because("nss_module_broken", &[DNS, CONNECT])
        .takes(15.0);
    nss_module_crashes: module("hosts: files labcrashes dns")
        .fails(DNS, "lookup_failed")
        .waits(&[CONNECT])
        .because("nss_module_broken", &[DNS, CONNECT]);
}
