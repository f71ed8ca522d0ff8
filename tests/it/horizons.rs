//! Names that lead elsewhere than into the VPC, and rightly so: hub VPCs, other regions, VPC
//! Lattice, IPv6 alone, DNS64.

use std::net::IpAddr;

use crate::agent::Agent;
use crate::harness::{lab, own_lab};
use crate::lab::{Fault, Lab, Names, Run};
use crate::lookups;
use crate::report::Report;

const LATTICE: &str = "parking-0123456789abcdef0.7d67968.vpc-lattice-svcs.us-east-1.on.aws";
const OWN_NAME: &str = "parking.corp.example";
const WITHOUT_EGRESS: &str = "[egress]\nenabled = false\n";

fn once(lab: &Lab, endpoints: &str) -> Report {
    let agent = Agent::default().config(&format!("{endpoints}\n{WITHOUT_EGRESS}"));
    let output = lab.run(&agent.once("json"));
    Report::read(&output.stdout).unwrap_or_else(|error| panic!("{error}\n{output:?}"))
}

fn endpoint(host: &str, further: &str) -> String {
    format!("[[endpoint]]\nhost = '{host}'\nname = 'it'\n{further}\n")
}

fn outcomes(report: &Report) -> Vec<(String, String)> {
    let of_endpoint = |(id, _): &(String, String)| id.starts_with("it/");
    report.checks().into_iter().filter(of_endpoint).map(|(id, word)| (id[3..].to_owned(), word)).collect()
}

fn steps(dns: &str, connect: &str) -> Vec<(String, String)> {
    [("dns", dns), ("connect", connect)].map(|(step, word)| (step.to_owned(), word.to_owned())).to_vec()
}

/// What an application gets, by a program that is not ours.
fn assert_told(lab: &Lab, host: &str, ips: &[&str]) {
    let expected = ips.iter().map(|ip| ip.parse::<IpAddr>().unwrap()).collect();
    let told = lookups::ask(lab, host, &[]);
    assert!(told.iter().all(|told| told.as_ref() == Ok(&expected)), "{host}: {told:?}");
}

#[test]
fn a_service_of_vpc_lattice_answers_on_the_link() {
    let lab = lab();
    let names = [LATTICE, OWN_NAME, "kms.us-west-2.amazonaws.com"];
    lab.names(&names.iter().fold(Names::default(), |all, name| all.record(name, "169.254.171.32")));
    assert_told(&lab, LATTICE, &["169.254.171.32"]);
    assert_eq!(outcomes(&once(&lab, &endpoint(LATTICE, ""))), steps("pass", "pass"));
    // A name of one's own says nothing of Lattice, so its range has to be expected.
    let alone = once(&lab, &endpoint(OWN_NAME, ""));
    assert_eq!(outcomes(&alone), steps("fail special_address", "skipped prerequisite_failed"));
    let expected = "expected_cidrs = ['169.254.171.0/24']";
    assert_eq!(outcomes(&once(&lab, &endpoint(OWN_NAME, expected))), steps("pass", "pass"));
    let too_wide = "expected_cidrs = ['169.254.0.0/16']";
    assert_eq!(outcomes(&once(&lab, &endpoint(OWN_NAME, too_wide)))[0].1, "fail special_address");
}

#[test]
fn a_name_of_another_region_may_be_private_here() {
    let lab = lab();
    let host = "kms.us-west-2.amazonaws.com";
    lab.names(&Names::default().record(host, "10.0.2.113"));
    assert_told(&lab, host, &["10.0.2.113"]);
    let report = once(&lab, &endpoint(host, "service = 'kms'"));
    assert_eq!(outcomes(&report), steps("pass", "pass"));
    assert_eq!(report.causes(), []);
}

#[test]
fn an_endpoint_of_a_hub_is_expected_by_itself() {
    let lab = lab();
    lab.names(&Names::default().record("kms.us-west-2.amazonaws.com", "10.99.0.57"));
    let hub = "expected_cidrs = ['10.99.0.0/16']";
    let report = once(&lab, &endpoint("kms.us-west-2.amazonaws.com", hub));
    assert_eq!(outcomes(&report), steps("pass", "pass"));
    assert_eq!(report.check("it/dns")["addresses"][0]["scope"], "expected");
    // The range of one endpoint is that of no other.
    lab.names(&Names::default().record("kms.us-west-2.amazonaws.com", "10.0.2.113"));
    lab.set([Fault::DnsOutsideVpc]);
    let both = "[[endpoint]]\nhost = 'monitoring.us-east-1.amazonaws.com'\nname = 'it'\n\
                [[endpoint]]\nhost = 'kms.us-west-2.amazonaws.com'\n";
    let report = once(&lab, &format!("{both}{hub}\n"));
    assert_eq!(outcomes(&report)[0].1, "fail outside_vpc");
}

#[test]
fn ipv6_alone_needs_ipv6_addresses() {
    let lab = lab();
    lab.set([Fault::InstanceIpv4Absent]);
    let host = "kms.us-west-2.amazonaws.com";
    lab.names(&Names::default().record(host, "10.0.1.57").record(host, "2001:db8:1234:1::57"));
    assert_told(&lab, host, &["10.0.1.57", "2001:db8:1234:1::57"]);
    let report = once(&lab, &endpoint(host, ""));
    assert_eq!(outcomes(&report), steps("pass", "pass"));
    assert_eq!(report.address("it/connect", "10.0.1.57").as_deref(), Some("skipped family_unavailable"));
    lab.names(&Names::default().record(host, "10.0.1.57"));
    assert_eq!(outcomes(&once(&lab, &endpoint(host, "")))[1].1, "fail family_unavailable");
}

#[test]
fn an_endpoint_with_ipv4_alone_is_reached_through_nat64() {
    const HOST: &str = "kms.us-west-2.amazonaws.com";
    const WRAPPED: &str = "64:ff9b::a00:271";
    let lab = lab();
    lab.set([Fault::InstanceIpv4Absent]);
    lab.names(&Names::default().record(HOST, "10.0.2.113"));
    let zones = "zones = [{ name = 'us-east-1b', cidrs = ['10.0.2.0/24'] }]";
    let without = once(&lab, &endpoint(HOST, ""));
    assert_eq!(
        outcomes(&without)[1].1,
        "fail family_unavailable",
        "IPv4 addresses are out of reach without DNS64"
    );

    lab.nat64(true);
    assert_told(&lab, HOST, &["10.0.2.113", WRAPPED]);
    let report = once(&lab, &endpoint(HOST, zones));
    assert_eq!(outcomes(&report), steps("pass", "pass"));
    assert_eq!(report.address("it/connect", WRAPPED).as_deref(), Some("pass"));
    assert_eq!(report.address("it/connect", "10.0.2.113").as_deref(), Some("skipped family_unavailable"));
    let addresses = report.check("it/dns")["addresses"].as_array().unwrap();
    for address in addresses {
        assert_eq!((&address["scope"], &address["zone"]), (&"vpc".into(), &"us-east-1b".into()));
    }
    // A public address stays one, also where a translator would lead to it.
    lab.names(&Names::default().record(HOST, "203.0.113.20"));
    assert_eq!(outcomes(&once(&lab, &endpoint(HOST, "")))[0].1, "fail public_address");
}

/// What runs with no configuration, in a subnet without IPv4 whose endpoint has IPv4 alone.
#[test]
fn nat64_leads_to_the_endpoint_and_out_only_where_the_nat_gateway_does() {
    let lab = lab();
    lab.nat64(true);
    lab.set([Fault::InstanceIpv4Absent]);
    let all = |lab: &Lab| {
        // As on any instance without IPv4, AWS clients are told to ask metadata over IPv6.
        let agent = Agent::default().env("AWS_EC2_METADATA_SERVICE_ENDPOINT_MODE", "IPv6");
        let output = lab.run(&agent.once("json"));
        Report::read(&output.stdout).unwrap_or_else(|error| panic!("{error}\n{output:?}"))
    };
    let closed = all(&lab);
    for check in ["monitoring/dns", "monitoring/connect", "monitoring/call", "egress/ipv6"] {
        assert!(closed.says_pass(check), "{check}: {:?}", closed.checks());
    }
    assert_eq!((closed.outcome(), closed.causes()), ("pass", vec![]));

    lab.set([Fault::InstanceIpv4Absent, Fault::NatOpen]);
    let open = all(&lab);
    assert_eq!(open.check("egress/ipv6")["outcome"], "fail", "{:?}", open.checks());
    assert!(open.says_pass("monitoring/call"));
    let [(cause, _)] = open.causes().try_into().unwrap();
    assert_eq!(cause, "ipv6_egress_open");
}

#[test]
fn dns64_does_not_make_a_public_address_private() {
    let lab = lab();
    lab.set([Fault::InstanceIpv4Absent]);
    let host = "kms.us-west-2.amazonaws.com";
    lab.names(&Names::default().record(host, "64:ff9b::cb00:714d"));
    assert_told(&lab, host, &["64:ff9b::cb00:714d"]);
    assert_eq!(outcomes(&once(&lab, &endpoint(host, "")))[0].1, "fail public_address");
    // The VPC's own address behind NAT64: private, and reached only where the VPC translates it.
    lab.names(&Names::default().record(host, "64:ff9b::a00:271"));
    let report = once(&lab, &endpoint(host, ""));
    assert_eq!(outcomes(&report), steps("pass", "fail connect_timeout"));
    assert_eq!(report.check("it/dns")["addresses"][0]["scope"], "vpc");
}

/// The kernel says "host unreachable" of it in the name of this host, as a packet filter may.
#[test]
fn a_resolver_that_is_not_on_the_link_is_no_packet_filter() {
    const GONE: &str = "nft 'add table arp own; add chain arp own out { type filter hook output priority 0; }; \
        add rule arp own out arp daddr ip 10.0.1.77 drop'; sysctl -qw net.ipv4.neigh.eth0.retrans_time_ms=100; echo nameserver 10.0.1.77 > /etc/resolv.conf";
    let lab = own_lab();
    let changed = lab.run(&Run::new("sh").args(["-c", GONE]));
    assert!(changed.status.success(), "{changed:?}");
    let output = lab.run(&Agent::default().once("json"));
    let report = Report::read(&output.stdout).unwrap_or_else(|error| panic!("{error}\n{output:?}"));
    assert_eq!(report.check("monitoring/dns")["outcome"], "fail", "{:?}", report.checks());
    let causes = report.causes();
    assert!(causes.iter().all(|(cause, _)| cause != "send_blocked"), "{causes:?}");
}

/// A program at such an address could pass connections on, to anywhere.
#[test]
fn no_endpoint_is_at_an_address_of_this_host() {
    const HOST: &str = "kms.us-west-2.amazonaws.com";
    let lab = own_lab();
    let ip = |line: &str| {
        let output = lab.run(&Run::new("ip").args(line.split(' ')));
        assert!(output.status.success(), "{line}: {output:?}");
    };
    ip("address add 10.0.1.201/32 dev lo");
    ip("link add down0 type veth peer name down1");
    ip("address add 10.0.1.202/32 dev down0");
    ip("route add local 10.0.1.208/28 dev lo");
    for own in ["10.0.1.23", "10.0.1.201", "10.0.1.202", "10.0.1.209", "2001:db8:1234:1::23"] {
        lab.names(&Names::default().record(HOST, own));
        assert_told(&lab, HOST, &[own]);
        let report = once(&lab, &endpoint(HOST, ""));
        assert_eq!(outcomes(&report), steps("fail special_address", "skipped prerequisite_failed"), "{own}");
    }
    lab.names(&Names::default().record(HOST, "10.0.1.57"));
    assert_eq!(outcomes(&once(&lab, &endpoint(HOST, ""))), steps("pass", "pass"));
}
