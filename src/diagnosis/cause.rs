//! The catalogue of causes: what each is called, and what to change.
//!
//! In a remedy stand `{subjects}` (what is affected), `{subject}` (the first of them), `{port}`,
//! `{vpc}`, `{subnet}`, `{instance}`, `{region}`, and `{vpc_id}`, `{instance_id}` where a command
//! needs the id alone.

use serde::{Serialize, Serializer};

macro_rules! causes {
    ($($name:ident = $code:literal, $title:literal, $remedy:literal;)*) => {
        /// What is wrong. The order is that of a report: what others rest on comes first.
        #[derive(Clone, Copy, Debug, Eq, Hash, Ord, PartialEq, PartialOrd)]
        pub enum Cause { $($name,)* }

        impl Cause {
            pub const ALL: &[Self] = &[$(Self::$name,)*];

            /// Stable: the label of the metric and the heading in the runbook.
            pub fn code(self) -> &'static str {
                match self { $(Self::$name => $code,)* }
            }

            pub fn title(self) -> &'static str {
                match self { $(Self::$name => $title,)* }
            }

            /// The section of the runbook that the package installs.
            pub fn runbook(self) -> &'static str {
                match self {
                    $(Self::$name => concat!("/usr/share/doc/linkproof/runbook.md#", $code),)*
                }
            }

            pub fn remedy(self) -> &'static str {
                match self { $(Self::$name => $remedy,)* }
            }
        }
    };
}

causes! {
    MetadataUnavailable = "metadata_unavailable",
        "Instance metadata is not available",
        "Where metadata is off on purpose, set metadata = false under [instance], and expected_cidrs to the ranges in which the endpoints live.";
    ClockWrong = "clock_wrong",
        "The clock is wrong",
        "Let chrony follow the Amazon Time Sync Service (server 169.254.169.123 prefer iburst in chrony.conf), then chronyc makestep. AWS refuses signatures that are more than 5 minutes off.";
    VpcDnsSupportOff = "vpc_dns_support_off",
        "The VPC's resolver does not answer",
        "Turn on enableDnsSupport: aws ec2 modify-vpc-attribute --vpc-id {vpc_id} --enable-dns-support. If it is on: a host firewall on port 53, or more than 1024 packets a second (ethtool -S, linklocal_allowance_exceeded).";
    ResolverBypassesVpc = "resolver_bypasses_vpc",
        "The system's resolvers do not say what the VPC's resolver says",
        "Point the system at 169.254.169.253, or let its resolvers forward {subjects} there (from outside the VPC: to a Route 53 Resolver inbound endpoint). They come from the DHCP option set of {vpc} or from /etc/resolv.conf.";
    ForeignZone = "foreign_zone",
        "A zone or rule of your own answers for the name",
        "For {subjects}, look on {vpc} for a private hosted zone that covers it, a Resolver rule that forwards it, a DNS Firewall rule that blocks or overrides it. Add the record, dissociate the zone, or exempt the name.";
    NameUnknown = "name_unknown",
        "The name does not exist",
        "Correct host, service or region of {subjects} in linkproof.toml. The names that an endpoint serves: aws ec2 describe-vpc-endpoint-services, PrivateDnsNames.";
    PrivateDnsOff = "private_dns_off",
        "Private DNS is off for the endpoint",
        "Turn on Enable private DNS names on the interface endpoint of {subjects} in {vpc} (create it if there is none), and enableDnsHostnames and enableDnsSupport on {vpc}. Changes take minutes.";
    InstanceEgressBlocked = "instance_egress_blocked",
        "The instance reaches no endpoint at all",
        "Allow outbound TCP {port} in the security groups of {instance}; in the network ACL of {subnet} allow {port} out and 1024-65535 back in. Then look at the security group that these endpoints share.";
    EndpointFamilyMissing = "endpoint_family_missing",
        "The endpoint has no address of the instance's IP version",
        "Give the endpoint of {subjects} both: aws ec2 modify-vpc-endpoint --vpc-endpoint-id ID --ip-address-type dualstack --dns-options DnsRecordIpType=dualstack. Its subnets need ranges of both, and the service must offer both (describe-vpc-endpoint-services, SupportedIpAddressTypes).";
    EndpointSecurityGroup = "endpoint_security_group",
        "The endpoint's security group does not let the instance in",
        "In the security group of the endpoint of {subjects} allow inbound TCP {port} from {instance} (its security group, or the CIDR of {subnet}). Then its outbound rules, and the network ACLs of both subnets: {port} there, 1024-65535 back.";
    GatewayEndpointMissing = "gateway_endpoint_missing",
        "No gateway endpoint leads to the service",
        "Associate the gateway endpoint of {subjects} with the route table of {subnet} (same region), and allow outbound TCP {port} to its prefix list (pl-) in the security group and the network ACL.";
    EndpointInterfaceDown = "endpoint_interface_down",
        "A network interface of the endpoint does not answer",
        "Find it: aws ec2 describe-network-interfaces --filters Name=addresses.private-ip-address,Values={subject}. Compare its security groups and its subnet's network ACL with the others'; else take that subnet out of the endpoint and add it again.";
    EndpointRefuses = "endpoint_refuses",
        "The connection is refused",
        "Security groups and network ACLs drop silently, so something else refused {subjects}: a REJECT rule on this host, AWS Network Firewall, or a wrong address or port ({port}).";
    MtuBlackHole = "mtu_black_hole",
        "Large packets seem to get lost on the way",
        "Try ip link set dev INTERFACE mtu 1400; if it passes, keep the highest MTU that does. Endpoints take 8500 bytes at most and say so by no ICMP. If nothing changes, the peer stalls: see endpoint_silent.";
    EndpointSilent = "endpoint_silent",
        "The endpoint accepts the connection, then falls silent",
        "The path to {subjects} is open. Look at what inspects traffic between (AWS Network Firewall, an appliance); where other interfaces answer, take the silent one's subnet out of the endpoint. Then AWS Support, with address and time.";
    TlsIntercepted = "tls_intercepted",
        "Somebody else's certificate answers for AWS",
        "Exempt {subjects} from TLS inspection (AWS Network Firewall, a proxy or an appliance on the way). Whoever holds the key of that certificate can read what is sent.";
    CertificateInvalid = "certificate_invalid",
        "The certificate is not valid for the endpoint",
        "Bring the CA certificates of the system up to date (package ca-certificates), or name the private CA in ca_file. Where the name does not match, host must be a name that the certificate carries.";
    NotAws = "not_aws",
        "What answers is not AWS",
        "Look for a proxy, a captive page or a redirect between {instance} and {subjects}, and for a wrong host or port in linkproof.toml.";
    NoInstanceRole = "no_instance_role",
        "There are no credentials to sign with",
        "Attach an instance profile whose role may cloudwatch:ListMetrics: aws ec2 associate-iam-instance-profile --instance-id {instance_id} --iam-instance-profile Name=PROFILE.";
    CredentialsInvalid = "credentials_invalid",
        "AWS does not accept the credentials",
        "Remove stale keys (environment, ~/.aws, drop-ins of the unit), so that the role of {instance} is used. If that role was deleted and created again, attach its instance profile anew.";
    IdentityPolicy = "identity_policy",
        "The role may not call ListMetrics",
        "Allow cloudwatch:ListMetrics on resource * in a policy of the role. Where a condition on aws:SourceVpce guards it, it must name the endpoint of {subjects}.";
    EndpointPolicy = "endpoint_policy",
        "The endpoint's policy denies the call",
        "Allow cloudwatch:ListMetrics for this principal in the policy of the VPC endpoint of {subjects}. The network is proven: only calls that crossed an endpoint meet its policy. Changes take minutes.";
    OrganizationPolicy = "organization_policy",
        "A policy above the role denies the call",
        "Ask whoever manages that policy to allow cloudwatch:ListMetrics. The role's own policy and the network are not at fault.";
    Throttled = "throttled",
        "CloudWatch throttles ListMetrics",
        "The path works. 25 requests a second per region and account are shared by the whole fleet: raise the interval of the call in linkproof.toml, or the quota in Service Quotas.";
    ServiceUnavailable = "service_unavailable",
        "AWS answers with an error of its own",
        "The path works. Wait for the next attempt; if it stays, see the AWS Health Dashboard for {region}.";
    InternetRouteOpen = "internet_route_open",
        "There is a way out to the internet",
        "Remove 0.0.0.0/0 to nat-, igw- or tgw- from the route table of {subnet}, or limit the outbound rules of the security groups of {instance} to the VPC. Where the way out is wanted: enabled = false under [egress].";
    Ipv6EgressOpen = "ipv6_egress_open",
        "There is a way out to the internet over IPv6",
        "Remove ::/0 to eigw- or igw- from the route table of {subnet}, or limit the outbound IPv6 rules of the security groups of {instance} to the VPC.";
    EgressFilteredByProtocol = "egress_filtered_by_protocol",
        "Some kinds of traffic get out to the internet",
        "The route is open, and only rules filter. Remove 0.0.0.0/0 (nat-, igw-) and ::/0 (eigw-) from the route table of {subnet}, or close the rest in the security groups and network ACL.";
    EgressRejected = "egress_rejected",
        "The egress probes are rejected, and nobody can say by whom",
        "A firewall that rejects and an internet that refuses look alike. Let the firewall drop instead of reject; where you know who rejects, set accept_reject = true under [egress].";
    PingNotPermitted = "ping_not_permitted",
        "linkproof cannot ping",
        "sysctl net.ipv4.ping_group_range=\"0 2147483647\" (and in /etc/sysctl.d), or give the unit CAP_NET_RAW by the drop-in /usr/share/linkproof/raw-sockets.conf.";
    ProxyConfigured = "proxy_configured",
        "A proxy is set in the environment",
        "linkproof ignores it; applications with this environment may not, and then go round the endpoint. Unset it, or add the services' names to NO_PROXY.";
    Unexplained = "unexplained",
        "No known cause fits",
        "Read the evidence: linkproof --once --format json, and journalctl -u linkproof.";
}

impl Serialize for Cause {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(self.code())
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;
    use std::path::Path;

    use super::*;

    #[test]
    fn codes_are_distinct_and_fit_a_label() {
        let codes: BTreeSet<&str> = Cause::ALL.iter().map(|cause| cause.code()).collect();
        assert_eq!(codes.len(), 32);
        assert_eq!(Cause::ALL.len(), 32);
        assert!(
            codes.iter().all(|code| code.bytes().all(|b| b.is_ascii_lowercase() || b == b'_' || b == b'6'))
        );
    }

    #[test]
    fn the_runbook_has_one_section_for_each_cause_and_no_other() {
        let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("packaging/runbook.md");
        let runbook = std::fs::read_to_string(path).unwrap();
        let sections: Vec<&str> = runbook
            .lines()
            .filter_map(|line| line.strip_prefix("## "))
            .filter(|heading| !heading.contains(' '))
            .collect();
        let codes: Vec<&str> = Cause::ALL.iter().map(|cause| cause.code()).collect();
        assert_eq!(sections, codes);
        for cause in Cause::ALL {
            assert!(cause.runbook().ends_with(&format!("/runbook.md#{}", cause.code())));
            let heading = format!("## {}\n\n**{}.**", cause.code(), cause.title());
            assert!(runbook.contains(&heading), "the runbook lacks {heading:?}");
        }
    }
}
