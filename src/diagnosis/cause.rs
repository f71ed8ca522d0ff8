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
    HostOverloaded = "host_overloaded",
        "The host is too busy for linkproof to judge timeouts",
        "Look for steal time (st in vmstat 1) and, on burstable instances, for used-up CPU credits (CPUCreditBalance). Give the host more CPU, or raise timeout and window in linkproof.toml.";
    MetadataUnavailable = "metadata_unavailable",
        "Instance metadata is not available",
        "If metadata is off on purpose, set metadata = false under [instance], set region, and list the VPC's CIDRs in expected_cidrs.";
    ClockWrong = "clock_wrong",
        "The clock is wrong",
        "Sync chrony with the Amazon Time Sync Service (server 169.254.169.123 prefer iburst in chrony.conf), then run chronyc makestep. AWS rejects signatures that are more than 5 minutes off.";
    NameFilesUnreadable = "name_files_unreadable",
        "Not every user can read a file that name lookups need",
        "Make it readable to every user (chmod 644). Until then, users who cannot read it can get different addresses than linkproof.";
    NsswitchWithoutDns = "nsswitch_without_dns",
        "nsswitch.conf does not let applications ask DNS",
        "Add dns to the hosts line of /etc/nsswitch.conf, usually hosts: files dns. With glibc before 2.33, restart running programs to apply the change.";
    ResolvConfInvalid = "resolv_conf_invalid",
        "The C library cannot use resolv.conf as it is",
        "Correct these lines of /etc/resolv.conf: nameserver in small letters at the start of the line, a space, one IP address, Unix line ends (sed -i 's/\\r$//' /etc/resolv.conf). Find what writes the file: cloud-init, DHCP client, an image.";
    HostsFileEntry = "hosts_file_entry",
        "/etc/hosts has an address for the name",
        "Remove {subjects} from /etc/hosts: the entry does not follow the endpoint when its addresses change.";
    SearchListAnswers = "search_list_answers",
        "The search list leads to another name",
        "Remove the wildcard record behind that name, or the suffix from search in /etc/resolv.conf, or lower ndots. In a pod: dnsConfig with ndots 1, or {subjects} with a final dot.";
    StaleHostCache = "stale_host_cache",
        "A cache on this host holds an old answer",
        "Flush it: resolvectl flush-caches, or nscd --invalidate=hosts.";
    NssModuleBroken = "nss_module_broken",
        "The C library fails although the name servers answer",
        "Try getent ahosts NAME. Look at the hosts line of /etc/nsswitch.conf: a module there hangs, crashes or refuses the name; remove or repair it. Then /etc/host.conf and /etc/gai.conf.";
    ResolverBlocked = "resolver_blocked",
        "A firewall on this host blocks the VPC resolver",
        "Allow UDP and TCP port 53 to 169.254.169.253 in the firewall of this host (nft list ruleset, iptables-save), or put the VPC's base address plus two into /etc/resolv.conf.";
    VpcDnsSupportOff = "vpc_dns_support_off",
        "The VPC resolver does not respond",
        "Turn on enableDnsSupport: aws ec2 modify-vpc-attribute --vpc-id {vpc_id} --enable-dns-support. If it is on, check for a host firewall on port 53 and for more than 1024 packets/s (ethtool -S, linklocal_allowance_exceeded).";
    ResolverBypassesVpc = "resolver_bypasses_vpc",
        "The system resolvers and the VPC resolver return different answers",
        "Use 169.254.169.253 as the resolver, or make the current resolvers forward {subjects} to it (from outside the VPC: to a Route 53 Resolver inbound endpoint). Resolvers are set by the DHCP option set of {vpc} or /etc/resolv.conf.";
    NameServerBroken = "name_server_broken",
        "A name server does not answer as it should",
        "Repair it, or remove it from /etc/resolv.conf (DHCP option set of {vpc}). Applications ask the servers in turn and wait up to 5 s for each.";
    ForeignZone = "foreign_zone",
        "A private hosted zone or DNS rule in your account answers for the name",
        "Check {vpc} for a private hosted zone that covers {subjects}, a Resolver rule that forwards it, or a DNS Firewall rule that blocks or overrides it. Add the record, dissociate the zone, or exempt the name.";
    NameUnknown = "name_unknown",
        "The name does not exist",
        "Correct the host, service or region of {subjects} in linkproof.toml. To list an endpoint's names: aws ec2 describe-vpc-endpoint-services (PrivateDnsNames).";
    PrivateDnsOff = "private_dns_off",
        "Private DNS is off for the endpoint",
        "Turn on \"Enable private DNS names\" on the interface endpoint for {subjects} in {vpc} (create the endpoint if it does not exist), and enableDnsHostnames and enableDnsSupport on {vpc}. Changes take minutes.";
    OtherEndpoint = "other_endpoint",
        "The name leads to an address that is not this endpoint's",
        "Find what answers: a private hosted zone, a Route 53 Profile or a Resolver rule of {vpc} with another or a deleted endpoint for {subjects}, or a second endpoint with private DNS. If the endpoint was replaced, run linkproof import again: vpce_hosts must be its names.";
    InstanceEgressBlocked = "instance_egress_blocked",
        "The instance cannot connect to any endpoint",
        "Allow outbound TCP {port} in the security groups of {instance}. In the network ACL of {subnet}, allow {port} out and 1024-65535 in. If both are right, check the security group that these endpoints share.";
    HostRoute = "host_route",
        "No usable route from this host",
        "On {instance}, run ip route get {subject}. If it names a container or VPN interface, move that network to a range outside the VPC. If it says unreachable, blackhole or prohibit, remove that route (ip route show table all; ip rule). If the route is missing, restore the default route. If it names the instance's own interface, no host there has the address, or a firewall rejects it.";
    EndpointFamilyMissing = "endpoint_family_missing",
        "The endpoint has no address of the instance's IP version",
        "Make the endpoint for {subjects} dual-stack: aws ec2 modify-vpc-endpoint --vpc-endpoint-id ID --ip-address-type dualstack --dns-options DnsRecordIpType=dualstack. Its subnets and the service must support both (describe-vpc-endpoint-services, SupportedIpAddressTypes).";
    EndpointSecurityGroup = "endpoint_security_group",
        "The endpoint's security group blocks the instance",
        "In the security group of the endpoint for {subjects}, allow inbound TCP {port} from {instance} (its security group or the CIDR of {subnet}). Then check the instance's outbound rules, the network ACLs of both subnets ({port} out, 1024-65535 back), and the input rules of this host (nft list ruleset).";
    GatewayEndpointMissing = "gateway_endpoint_missing",
        "The subnet has no route to the gateway endpoint",
        "Associate the gateway endpoint for {subjects} with the route table of {subnet} (same region), and allow outbound TCP {port} to its prefix list (pl-) in the security group and the network ACL.";
    EndpointInterfaceDown = "endpoint_interface_down",
        "One network interface of the endpoint does not respond",
        "Check this host first: ip route get {subject}, and input rules (nft list ruleset). Then find it: aws ec2 describe-network-interfaces --filters Name=addresses.private-ip-address,Values={subject}. Compare its security groups and its subnet's network ACL with the others. If they match, remove that subnet from the endpoint and add it again.";
    OwnNamesUnresolved = "own_names_unresolved",
        "The endpoint's own DNS names do not resolve",
        "Without them linkproof cannot verify that the addresses are this endpoint's. If the endpoint was replaced, run linkproof import again. Else let the resolver answer {subjects} (DNS Firewall, forwarding rules): these are public names.";
    ZoneMissing = "zone_missing",
        "The endpoint is missing a zone",
        "Check the endpoint's network interface in {subjects}: its status, and that its subnet is still part of the endpoint. AWS leaves an unhealthy interface out of the answers. If the zone was removed on purpose, delete it from vpce_hosts and zones.";
    ZonesDisagree = "zones_disagree",
        "The endpoint's DNS names and the configured zones disagree",
        "Run linkproof import again with the current output of describe-vpc-endpoints and describe-subnets, or correct zones of {subjects} in linkproof.toml. Until then the zone of these addresses is unknown.";
    NoInterfaceInOwnZone = "no_interface_in_own_zone",
        "The endpoint has no network interface in the instance's zone",
        "Each call crosses zones: it takes longer, and stops when the other zone does. Add a subnet in the instance's zone to the endpoint for {subjects}: aws ec2 modify-vpc-endpoint --vpc-endpoint-id ID --add-subnet-ids SUBNET.";
    EndpointRefuses = "endpoint_refuses",
        "The connection is refused",
        "Security groups and network ACLs drop silently, so something else refused {subjects}: a REJECT rule on this host, AWS Network Firewall, or a wrong address or port ({port}).";
    MtuBlackHole = "mtu_black_hole",
        "Large packets seem to be lost on the path (MTU)",
        "Try: ip link set dev INTERFACE mtu 1400. If the check then passes, keep the highest MTU that works. Endpoints accept 8500 bytes at most and send no ICMP about it. If nothing changes, it is not the MTU: something on the path drops every packet, or the endpoint hangs (see endpoint_silent).";
    EndpointSilent = "endpoint_silent",
        "The endpoint accepts connections but does not respond",
        "TCP connects to {subjects}. Check what inspects the traffic (AWS Network Firewall, an appliance). If other interfaces respond, remove the silent one's subnet from the endpoint. Then contact AWS Support with address and time.";
    TlsIntercepted = "tls_intercepted",
        "TLS is intercepted: the certificate was not issued by an AWS CA",
        "Exempt {subjects} from TLS inspection (AWS Network Firewall, a proxy or an appliance on the path). The holder of that certificate's key can read the traffic.";
    CertificateInvalid = "certificate_invalid",
        "The certificate is not valid for the endpoint",
        "Update the system's CA certificates (package ca-certificates), or set ca_file to the private CA. If the name does not match, set host to a name in the certificate.";
    TrustStore = "trust_store",
        "This host has no usable trust store",
        "Install the package ca-certificates. Set SSL_CERT_FILE to a file and SSL_CERT_DIR to directories that exist, or unset them; check with systemctl show linkproof -p Environment. linkproof reads the store again when it changes.";
    ClientCertificate = "client_certificate",
        "The server requires a client certificate",
        "The name, the path and the server's certificate are verified. The server accepts only clients with a certificate, and linkproof has none. To check only the path, set protocol = \"tls\" for the endpoint of {subjects}.";
    NotAws = "not_aws",
        "The response is not from AWS",
        "Look for a proxy, a captive portal or a redirect between {instance} and {subjects}, and for a wrong host or port in linkproof.toml.";
    NoInstanceRole = "no_instance_role",
        "No credentials to sign the call with",
        "Attach an instance profile whose role allows cloudwatch:ListMetrics: aws ec2 associate-iam-instance-profile --instance-id {instance_id} --iam-instance-profile Name=PROFILE.";
    NoCredentials = "no_credentials",
        "No credentials provider is configured",
        "Unset AWS_EC2_METADATA_DISABLED, so that linkproof uses the role of {instance}. Or configure another provider (environment, profile, web identity, container) for the user that linkproof runs as.";
    EnvironmentCredentials = "environment_credentials",
        "Variables for credentials are incomplete or malformed",
        "Correct the variable, or unset it. Keys need both AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY (and AWS_SESSION_TOKEN for temporary keys); without any of them the next provider is used. Check with systemctl show linkproof -p Environment.";
    ProfileCredentials = "profile_credentials",
        "The AWS profile gives no credentials",
        "Fix the profile (~/.aws/config, ~/.aws/credentials, AWS_PROFILE, AWS_CONFIG_FILE, AWS_SHARED_CREDENTIALS_FILE) for the user that linkproof runs as. A profile with role_arn needs an sts endpoint in the subnet.";
    CredentialProcess = "credential_process",
        "credential_process gives no credentials",
        "Run the command of credential_process by hand as the user that linkproof runs as. It must print its JSON within the timeout of [credentials]. The helper of IAM Roles Anywhere needs the rolesanywhere endpoint in the subnet.";
    WebIdentity = "web_identity",
        "STS gives no credentials for the web identity token",
        "Check AWS_WEB_IDENTITY_TOKEN_FILE and AWS_ROLE_ARN of the process, the role's trust policy (its OIDC provider, sub and aud), and the subnet's sts endpoint.";
    ContainerCredentials = "container_credentials",
        "The container's credentials agent gives no credentials",
        "Check AWS_CONTAINER_CREDENTIALS_RELATIVE_URI or AWS_CONTAINER_CREDENTIALS_FULL_URI in the environment, the task role in the task definition, and the ECS agent on {instance}. These credentials work only inside the container.";
    PodIdentity = "pod_identity",
        "EKS Pod Identity gives no credentials",
        "Check that the service account has a pod identity association, that the add-on eks-pod-identity-agent runs on the node {instance}, that the role trusts pods.eks.amazonaws.com, and that the subnet has an eks-auth endpoint.";
    CredentialsInvalid = "credentials_invalid",
        "AWS rejects the credentials",
        "Remove stale keys (environment, ~/.aws, unit drop-ins) so that the role of {instance} is used. If that role was deleted and re-created, attach its instance profile again.";
    IdentityPolicy = "identity_policy",
        "The role is not allowed to call ListMetrics",
        "Allow cloudwatch:ListMetrics on resource * in a policy of the role. If the policy has a condition on aws:SourceVpce, it must name the endpoint for {subjects}.";
    EndpointPolicy = "endpoint_policy",
        "The endpoint's policy denies the call",
        "Allow cloudwatch:ListMetrics for this principal in the policy of the VPC endpoint for {subjects}. The network works: only calls through an endpoint are checked against its policy. Changes take minutes.";
    OrganizationPolicy = "organization_policy",
        "A policy above the role denies the call",
        "Ask the owner of that policy to allow cloudwatch:ListMetrics. The role's own policy and the network are not the problem.";
    Throttled = "throttled",
        "CloudWatch throttles ListMetrics",
        "The path works. The whole fleet shares 25 requests/s per account and region: raise call_interval in linkproof.toml, or the quota in Service Quotas.";
    ServiceUnavailable = "service_unavailable",
        "AWS returns a server error",
        "The path works. Wait for the next run. If the error persists, see the AWS Health Dashboard for {region}.";
    InternetRouteOpen = "internet_route_open",
        "The subnet has internet egress over IPv4",
        "Remove 0.0.0.0/0 to nat-, igw- or tgw- from the route table of {subnet}, or limit the outbound rules of the security groups of {instance} to the VPC. If the egress is intended, set enabled = false under [egress].";
    Ipv6EgressOpen = "ipv6_egress_open",
        "The subnet has internet egress over IPv6",
        "Remove ::/0 to eigw- or igw- from the route table of {subnet}, or limit the outbound IPv6 rules of the security groups of {instance} to the VPC.";
    AwsReachable = "aws_reachable",
        "AWS services of other regions can be reached",
        "Something lets AWS names or addresses out, so an answer does not show that {subjects} went through the gateway endpoint. Look for a Network Firewall, a proxy or a hub's NAT behind 0.0.0.0/0 or ::/0 of {subnet}, or a Direct Connect public interface, that allows amazonaws.com.";
    EgressFilteredByProtocol = "egress_filtered_by_protocol",
        "Some protocols reach the internet",
        "A route to the internet exists, and rules block only some protocols. Remove 0.0.0.0/0 (nat-, igw-) and ::/0 (eigw-) from the route table of {subnet}, or block the rest in the security groups and network ACL.";
    TrafficIntercepted = "traffic_intercepted",
        "Something answers for every address on the internet",
        "An address that cannot exist replied too, so the replies come from a proxy, not from the internet. Check {instance} (nft list ruleset: redirect, dnat; sidecars) and the path (a transparent proxy or firewall in the route table of {subnet}). Remove it, or exempt linkproof.";
    EgressRejected = "egress_rejected",
        "Something rejects the egress probes",
        "A firewall that rejects and an internet host that refuses look the same. Configure the firewall to drop instead of reject. If the firewall is your own, accept_reject = true under [egress] accepts resets that the decoy gets too, and ICMP errors of private senders.";
    SendBlocked = "send_blocked",
        "This host's own packet filter blocks what linkproof sends",
        "Allow the traffic named above out of {instance} (nft list ruleset, output; iptables -S OUTPUT; for a queue that is full: tc -s qdisc). The same rules block other programs too, unless they match by user (meta skuid).";
    RouteNotProbed = "route_not_probed",
        "Some packets of this host take a route that is not probed",
        "Look where it leads: ip rule, ip route show table all. Delete the rule or route if nothing needs it. If it cannot lead to the internet, set other_routes = false under [egress].";
    RouterSilent = "router_silent",
        "A router of this host does not respond",
        "See whether input rules of this host drop the answers (ICMPv6 neighbor discovery: nft list ruleset). Otherwise correct the route that leads there (ip route, ip -6 route), or bring that router up. The IPv4 router of a VPC is at the first address after the subnet's own (10.0.1.1 in 10.0.1.0/24).";
    NoResources = "no_resources",
        "The host lacks the resources to probe with",
        "Too many open files: raise LimitNOFILE of the unit (16384). Address in use, or cannot be assigned: no local port is left; find who holds them (ss -tan), or widen net.ipv4.ip_local_port_range. Address family not supported: add AF_INET and AF_INET6 to RestrictAddressFamilies, or leave the family out of families under [egress].";
    Ipv6Disabled = "ipv6_disabled",
        "IPv6 is disabled on this host, although the instance has an IPv6 address",
        "Enable it (sysctl net.ipv6.conf.all.disable_ipv6=0, also in /etc/sysctl.d), remove the IPv6 address from the network interface of {instance}, or set families = [\"ipv4\"] under [egress].";
    AddressNotConfigured = "address_not_configured",
        "Metadata lists an address that this host has not configured",
        "Check ip address show and the DHCP client (for IPv6: DHCPv6, and accept_ra on the interface). If the family is not wanted, remove the address from the interface, or leave the family out of families under [egress].";
    PingNotPermitted = "ping_not_permitted",
        "linkproof cannot send pings",
        "Set sysctl net.ipv4.ping_group_range=\"0 2147483647\" (also in /etc/sysctl.d), or give the unit CAP_NET_RAW with the drop-in /usr/share/linkproof/raw-sockets.conf.";
    ProxyConfigured = "proxy_configured",
        "The environment sets a proxy",
        "linkproof ignores the proxy. Applications with this environment may use it and then bypass the endpoint. Unset it, or add the service names and 169.254.169.254 to NO_PROXY.";
    EndpointConfigured = "endpoint_configured",
        "The environment sends AWS clients to other endpoints",
        "linkproof ignores these settings. Applications with this environment use other names or addresses. Unset them, or check those names too: add an [[endpoint]] with that host.";
    Unexplained = "unexplained",
        "No known cause matches",
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
        assert_eq!(codes.len(), 66);
        assert_eq!(Cause::ALL.len(), 66);
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
            .filter(|heading| !heading.contains(char::is_uppercase))
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
