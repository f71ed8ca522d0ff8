//! More than one endpoint, and a gateway among them.

use crate::agent::Agent;
use crate::harness;
use crate::lab::Fault::{
    self, AwsOpen, CertificateWrongName, ClientCertificateRequired, DnsOutsideVpc, DnsStale,
    EgressRejectedInside, EndpointASilent, EndpointSgSilent, GatewayMissing, InstanceEgressBlocked,
    Ipv6EgressOpen, NatOpen, PingForbidden, PrivateDnsOff, ResponseGarbage, SystemResolverDiffers,
    SystemResolverElsewhere, SystemResolverStale, TlsSilent,
};
use crate::report::Report;
use crate::state::{CALL, CONNECT, CREDENTIALS, DNS, INSTANCE, IPV4, IPV6, State, state};

const KMS: &str = "kms/connect";
const SSM: &str = "ssm/connect";
const STS: &str = "sts/connect";
const S3: &str = "s3/connect";
const S3_DNS: &str = "s3/dns";

fn several(faults: impl IntoIterator<Item = Fault>) -> State {
    let config = "
        [[endpoint]]
        service = 'monitoring'
        call = 'list-metrics'
        [[endpoint]]
        service = 'ssm'
        [[endpoint]]
        service = 'kms'
        [[endpoint]]
        service = 'sts'
    ";
    state(faults).config(config).checks([
        INSTANCE,
        CREDENTIALS,
        "kms/dns",
        KMS,
        DNS,
        CONNECT,
        CALL,
        "ssm/dns",
        SSM,
        "sts/dns",
        STS,
        IPV4,
        IPV6,
    ])
}

const GATEWAY: &str = "
    [[endpoint]]
    service = 'monitoring'
    call = 'list-metrics'
    [[endpoint]]
    service = 's3'
    type = 'gateway'
";

fn gateway(faults: impl IntoIterator<Item = Fault>) -> State {
    state(faults).config(GATEWAY).checks([INSTANCE, CREDENTIALS, DNS, CONNECT, CALL, S3_DNS, S3, IPV4, IPV6])
}

/// A name with IPv6 addresses too.
fn dual_stack(faults: impl IntoIterator<Item = Fault>) -> State {
    let config = format!("{GATEWAY}host = 's3.dualstack.us-east-1.amazonaws.com'\n");
    state(faults).config(&config).checks([INSTANCE, CREDENTIALS, DNS, CONNECT, CALL, S3_DNS, S3, IPV4, IPV6])
}

/// An endpoint that does not speak HTTP is checked as far as its protocol goes.
fn speaking(protocol: &str, fault: Fault) -> State {
    let config = format!(
        "[[endpoint]]\nhost = 'monitoring.us-east-1.amazonaws.com'\nname = 'monitoring'\n\
         protocol = '{protocol}'\nport = 443\n"
    );
    state([fault]).config(&config).checks([INSTANCE, DNS, CONNECT, IPV4, IPV6])
}

const PATH: &[&str] = &[DNS, CONNECT, CALL];

/// One name leads out of the VPC, and the others are let alone.
fn one_astray(faults: impl IntoIterator<Item = Fault>, reason: &str) -> State {
    several(faults).fails(DNS, reason).fails(CONNECT, "address_outside_vpc").waits(&[CALL])
}

/// One name leads to where nobody is, and the others are let alone.
fn one_deserted(faults: impl IntoIterator<Item = Fault>) -> State {
    several(faults).fails(CONNECT, "connect_timeout").waits(&[CALL]).takes(3.0)
}

states! {
    several_endpoints: several([]);
    several_endpoints_and_a_company_resolver_wrong_about_one:
        one_astray([SystemResolverDiffers], "public_address").because("resolver_bypasses_vpc", PATH).takes(3.0);
    several_endpoints_and_a_company_resolver_wrong_about_one_while_nat_is_open:
        one_astray([SystemResolverDiffers, NatOpen], "public_address")
        .fails(IPV4, "icmp_reply")
        .because("resolver_bypasses_vpc", PATH)
        .because("internet_route_open", &[IPV4]);
    several_endpoints_and_a_company_resolver_that_leads_one_to_another_vpc:
        one_astray([SystemResolverElsewhere], "outside_vpc").because("resolver_bypasses_vpc", PATH);
    several_endpoints_and_a_company_resolver_stale_about_one:
        one_deserted([SystemResolverStale]).because("resolver_bypasses_vpc", &[CONNECT, CALL]);
    several_endpoints_and_a_zone_that_leads_one_to_another_vpc:
        one_astray([DnsOutsideVpc], "outside_vpc").because("foreign_zone", PATH);
    several_endpoints_and_a_zone_stale_about_one:
        one_deserted([DnsStale]).because("endpoint_security_group", &[CONNECT, CALL]);
    several_endpoints_behind_one_security_group: several([InstanceEgressBlocked])
        .fails(KMS, "connect_timeout")
        .fails(CONNECT, "connect_timeout")
        .waits(&[CALL])
        .fails(SSM, "connect_timeout")
        .fails(STS, "connect_timeout")
        .because("instance_egress_blocked", &[KMS, CONNECT, CALL, SSM, STS])
        .takes(3.0);
    several_endpoints_in_a_dead_zone: several([EndpointASilent])
        .fails(KMS, "connect_timeout")
        .fails(CONNECT, "connect_timeout")
        .fails(SSM, "connect_timeout")
        .fails(STS, "connect_timeout")
        .because("endpoint_interface_down", &[KMS, CONNECT, SSM, STS])
        .takes(3.0);
    several_endpoints_and_private_dns_off_for_one: several([PrivateDnsOff])
        .fails(DNS, "public_address")
        .fails(CONNECT, "address_outside_vpc")
        .waits(&[CALL])
        .because("private_dns_off", &[DNS, CONNECT, CALL])
        .takes(3.0);

    gateway_endpoint: gateway([]);
    gateway_missing: gateway([GatewayMissing])
        .fails(S3, "connect_timeout")
        .because("gateway_endpoint_missing", &[S3])
        .takes(3.0);
    // Whatever let it in let the other region's S3 in too.
    gateway_endpoint_behind_a_firewall_that_lets_aws_out: gateway([AwsOpen])
        .fails(S3, "egress_not_closed")
        .because("aws_reachable", &[S3]);
    gateway_missing_behind_a_firewall_that_lets_aws_out: gateway([GatewayMissing, AwsOpen])
        .fails(S3, "egress_not_closed")
        .because("aws_reachable", &[S3]);
    // A rejection is no answer.
    gateway_endpoint_beside_a_router_that_rejects: gateway([EgressRejectedInside]);
    gateway_endpoint_without_a_control: state([])
        .config(&format!("{GATEWAY}control_region = 'eu-north-1'\n"))
        .checks([INSTANCE, CREDENTIALS, DNS, CONNECT, CALL, S3_DNS, S3, IPV4, IPV6]);
    gateway_endpoint_over_ipv4_and_a_dual_stack_name: dual_stack([])
        .fails(S3, "connect_timeout")
        .address(S3, "203.0.113.30", "pass")
        .address(S3, "2001:db8:ffff::30", "fail connect_timeout")
        .because("gateway_endpoint_missing", &[S3])
        .takes(3.0);
    gateway_endpoint_over_ipv4_while_ipv6_is_open: dual_stack([Ipv6EgressOpen])
        .fails(S3, "egress_not_closed")
        .address(S3, "203.0.113.30", "pass")
        .address(S3, "2001:db8:ffff::30", "fail egress_not_closed")
        .fails(IPV6, "icmp_reply")
        .because("ipv6_egress_open", &[S3, IPV6]);
    gateway_endpoint_while_nat_is_open: gateway([NatOpen])
        .fails(S3, "egress_not_closed")
        .fails(IPV4, "icmp_reply")
        .because("internet_route_open", &[S3, IPV4]);
    gateway_missing_while_nat_is_open: gateway([GatewayMissing, NatOpen])
        .fails(S3, "egress_not_closed")
        .fails(IPV4, "icmp_reply")
        .because("internet_route_open", &[S3, IPV4]);
    gateway_endpoint_while_egress_is_unknown: gateway([PingForbidden])
        .unprivileged()
        .inconclusive(S3, "egress_not_closed")
        .inconclusive(IPV4, "not_permitted")
        .inconclusive(IPV6, "not_permitted")
        .because("ping_not_permitted", &[S3, IPV4, IPV6]);
    gateway_endpoint_without_an_egress_check: state([])
        .config(&format!("{GATEWAY}[egress]\nenabled = false\n"))
        .checks([INSTANCE, CREDENTIALS, DNS, CONNECT, CALL, S3_DNS, S3])
        .inconclusive(S3, "egress_not_closed")
        .because("unexplained", &[S3]);
    gateway_endpoint_taken_for_an_interface: state([])
        .config("[[endpoint]]\nservice = 's3'\n")
        .checks([INSTANCE, S3_DNS, S3, IPV4, IPV6])
        .fails(S3_DNS, "public_address")
        .fails(S3, "address_outside_vpc")
        .because("private_dns_off", &[S3_DNS, S3]);
    tls_endpoint_that_speaks_no_http: speaking("tls", ResponseGarbage).as_configured();
    tls_endpoint_that_wants_a_client_certificate: speaking("tls", ClientCertificateRequired).as_configured();
    tls_endpoint_with_a_certificate_for_another_name: speaking("tls", CertificateWrongName)
        .fails(CONNECT, "certificate_name_mismatch")
        .because("certificate_invalid", &[CONNECT]);
    tls_endpoint_that_is_silent: speaking("tls", TlsSilent)
        .fails(CONNECT, "tls_timeout")
        .because("mtu_black_hole", &[CONNECT])
        .takes(3.0);
    tcp_endpoint_that_says_nothing: speaking("tcp", TlsSilent).as_configured();
    tcp_endpoint_behind_a_security_group: speaking("tcp", EndpointSgSilent)
        .fails(CONNECT, "connect_timeout")
        .because("endpoint_security_group", &[CONNECT])
        .takes(3.0);
}

#[test]
fn the_service_that_answers_is_named_as_evidence() {
    let output = harness::lab().run(&Agent::default().config(GATEWAY).once("json"));
    let report = Report::read(&output.stdout).unwrap();
    let of = |check| report.check(check)["evidence"]["connections"][0]["signature"].clone();
    assert_eq!(of(S3)["server"], "AmazonS3", "{:?}", report.check(S3));
    assert!(of(CONNECT)["request_id"].as_str().is_some_and(|id| id.len() == 36), "{:?}", of(CONNECT));
}
