//! Everything that can be broken in the lab, by name. What a fault does is
//! derived from the set of active faults by the module that it touches.

use std::collections::BTreeSet;

macro_rules! faults {
    ($($variant:ident $name:literal $title:literal,)*) => {
        /// One thing that can go wrong.
        #[derive(Clone, Copy, Debug, Eq, Hash, Ord, PartialEq, PartialOrd)]
        pub enum Fault {
            $(#[doc = $title] $variant,)*
        }

        impl Fault {
            pub const ALL: &'static [Self] = &[$(Self::$variant),*];

            /// The name on the command line.
            pub fn name(self) -> &'static str {
                match self { $(Self::$variant => $name),* }
            }

            /// One line for a person.
            pub fn title(self) -> &'static str {
                match self { $(Self::$variant => $title),* }
            }
        }
    };
}

faults! {
    NatOpen "nat-open" "A NAT gateway lets all IPv4 out: ping, TCP and UDP",
    NatOpenTcpOnly "nat-open-tcp-only" "Only TCP gets out over IPv4",
    NatOpenIcmpOnly "nat-open-icmp-only" "Only ping gets out over IPv4",
    NatOpenUdpOnly "nat-open-udp-only" "Only UDP gets out over IPv4",
    NatOpenLossy "nat-open-lossy" "All IPv4 gets out, but two of three packets that leave are lost",
    NatOpenFirstSynLost "nat-open-first-syn-lost" "Only TCP gets out over IPv4, and the first packet of each connection is lost",
    NatOpenSlow "nat-open-slow" "All IPv4 gets out, and each round trip takes 1.1 s",
    NatOpenNtpOnly "nat-open-ntp-only" "Only UDP port 123 gets out over IPv4",
    NatOpenOddPorts "nat-open-odd-ports" "Only TCP ports 8443 and 22 get out over IPv4",
    AwsOpen "aws-open" "A firewall behind the default route lets S3 of any region out, and drops the rest",
    SecondInterfaceOpen "second-interface-open" "A second interface with a route table of its own (ip rule) leads out",
    SecondInterfaceUnrouted "second-interface-unrouted" "A second interface without a route table of its own: what is sent from its address leaves by the first, and is dropped",
    SecondaryAddressOpen "secondary-address-open" "The instance has a secondary private address, which the router lets out",
    SecondaryAddress "secondary-address" "The instance has a secondary private address",
    BridgePresent "bridge-present" "The instance has a bridge with an address of its own (docker0)",
    NatOpensMidway "nat-opens-midway" "All IPv4 gets out once eight pings were lost: the route changes within a window",
    NatClosesMidway "nat-closes-midway" "All IPv4 gets out until eight pings did: the route changes within a window",
    Ipv6EgressOpen "ipv6-egress-open" "An egress-only gateway lets all IPv6 out",
    Nat64Open "nat64-open" "Only 64:ff9b::/96 gets out (NAT64)",
    EgressTcpReset "egress-tcp-reset" "The router answers TCP to the internet with a reset, all else is silent",
    EgressRejectedInside "egress-rejected-inside" "The VPC's router rejects what is for the internet (ICMP, administratively prohibited)",
    EgressRejectedOutside "egress-rejected-outside" "Packets leave, and an ICMP error comes back from a public address",
    EgressRejectedPrivately "egress-rejected-privately" "A firewall with a private address outside the VPC rejects what is for the internet (ICMP)",
    EgressRejectedByAws "egress-rejected-by-aws" "An address of fd00:ec2::/32 rejects what is for the internet over IPv6 (ICMP)",
    EgressResetByTarget "egress-reset-by-target" "TCP gets out over IPv4, and each target answers with a reset of its own",
    DnsRedirected "dns-redirected" "A rule on the instance sends DNS for any IPv4 address to the VPC resolver",
    TcpRedirected "tcp-redirected" "A rule on the instance sends TCP 80 and 443 for any IPv4 address to a proxy in the VPC",
    ResolverV6Silent "resolver-v6-silent" "The VPC resolver does not answer over IPv6",
    RouteUnreachable "route-unreachable" "The instance's default routes say unreachable",
    RouteBlackhole "route-blackhole" "The instance's default routes are blackholes",
    EndpointBUnrouted "endpoint-b-unrouted" "A route of the instance to the endpoint's zone b is a blackhole",
    ResolverUnrouted "resolver-unrouted" "A route of the instance to its name server is a blackhole",
    RouteProhibit "route-prohibit" "The instance's default routes say prohibit",
    SendRejected "send-rejected" "A firewall on the instance rejects what it sends to the internet, with an ICMP error",
    InstanceIpv6Off "instance-ipv6-off" "IPv6 is switched off on the instance, which metadata does not know",
    NoDefaultRoute "no-default-route" "The instance has no default route, neither IPv4 nor IPv6",
    SendBlocked "send-blocked" "A firewall on the instance drops what it sends to the internet (EPERM)",
    HostDropsDns "host-drops-dns" "A firewall on the instance drops DNS queries to the VPC resolver (EPERM)",
    HostRejectsDns "host-rejects-dns" "A firewall on the instance rejects DNS queries to the VPC resolver",
    HostDropsTcp "host-drops-tcp" "A firewall on the instance drops TCP to the endpoint, which no program is told",
    HostRejectsTcp "host-rejects-tcp" "A firewall on the instance rejects TCP to the endpoint",
    InstanceIpv4Absent "instance-ipv4-absent" "The subnet has IPv6 alone: resolver and metadata are asked over IPv6",
    InstanceIpv6Absent "instance-ipv6-absent" "The instance has no IPv6, and metadata knows of none",
    InstanceLinkDown "instance-link-down" "The instance's network interface is down",
    InstanceIpv6Lost "instance-ipv6-lost" "Metadata lists an IPv6 address that the instance does not have",
    EndpointSgSilent "endpoint-sg-silent" "The endpoint's security group drops the instance's packets",
    EndpointSgRefused "endpoint-sg-refused" "Something before the endpoint answers with a reset",
    EndpointASilent "endpoint-a-silent" "The endpoint's interface in zone a is silent",
    EndpointBSilent "endpoint-b-silent" "The endpoint's interface in zone b is silent",
    EndpointARefused "endpoint-a-refused" "The endpoint's interface in zone a answers with a reset",
    EndpointReturnBlocked "endpoint-return-blocked" "A network ACL drops what the endpoint sends back (1024-65535)",
    EndpointShutAfterAnswer "endpoint-shut-after-answer" "The endpoint's security group closes for new connections once it has answered one",
    EndpointMuteAfterHandshake "endpoint-mute-after-handshake" "Nothing of a connection comes back any more once its TLS handshake is done",
    SynLost "syn-lost" "The first packet of each connection to the endpoint is lost, and the next one arrives",
    EndpointLossy "endpoint-lossy" "30 % of the packets to and from the endpoint are lost",
    EndpointSlow "endpoint-slow" "The interface in zone a answers requests 800 ms late",
    InstanceEgressBlocked "instance-egress-blocked" "The instance's own security group lets nothing out; DNS and metadata still work",
    GatewayMissing "gateway-missing" "The route table has no gateway endpoint: S3 is the internet's",
    MtuBlackHole "mtu-black-hole" "Packets above 600 bytes from the endpoint vanish",
    MtuBlackHoleOutwards "mtu-black-hole-outwards" "Packets of 1500 bytes to the endpoint vanish",
    HostDropsLarge "host-drops-large" "A firewall on the instance drops packets of 1500 bytes to the endpoint",

    PrivateDnsOff "private-dns-off" "Private DNS is off: the CloudWatch name resolves to its public address",
    NameNotFound "name-not-found" "The CloudWatch name does not exist (NXDOMAIN)",
    NameNoAddress "name-no-address" "The CloudWatch name exists without an address (NODATA)",
    DnsServfail "dns-servfail" "The VPC resolver answers SERVFAIL for the CloudWatch name",
    DnsRefused "dns-refused" "The VPC resolver refuses every query",
    DnsSilent "dns-silent" "The VPC resolver does not answer",
    DnsPortClosed "dns-port-closed" "Nothing listens on the VPC resolver's port",
    DnsTruncated "dns-truncated" "15 addresses inside the VPC, which fit into an answer over TCP only",
    DnsTruncatedNoTcp "dns-truncated-no-tcp" "The answer is truncated, and DNS over TCP is dropped",
    DnsMixed "dns-mixed" "The CloudWatch name resolves to a private and a public address",
    DnsOutsideVpc "dns-outside-vpc" "The CloudWatch name resolves to 10.99.0.57: private, working, but another VPC's",
    DnsSpecial "dns-special" "The CloudWatch name resolves to 127.0.0.1",
    DnsStale "dns-stale" "The CloudWatch name resolves to 10.0.1.54: in the VPC, but nobody is there any more",
    DnsOtherEndpoint "dns-other-endpoint" "The CloudWatch name resolves to 10.0.1.56: in the VPC and working, but another endpoint's",
    DnsAlias "dns-alias" "The CloudWatch name is an alias of the endpoint's own name",
    DnsOneZone "dns-one-zone" "The endpoint has no interface in the instance's zone",
    DnsAaaa "dns-aaaa" "The CloudWatch name has IPv6 addresses inside the VPC beside the IPv4 ones",
    DnsAaaaPublic "dns-aaaa-public" "The CloudWatch name has a public IPv6 address beside the private IPv4 ones",
    SystemResolverDiffers "system-resolver-differs" "The instance asks a company resolver, which answers with the public address",
    SystemResolverElsewhere "system-resolver-elsewhere" "The company resolver leads CloudWatch alone to 10.99.0.57, in another VPC",
    SystemResolverStale "system-resolver-stale" "The company resolver leads CloudWatch alone to 10.0.1.54, where nobody is any more",
    SystemResolverPartial "system-resolver-partial" "The company resolver knows one of the endpoint's two interfaces",
    HostsFilePins "hosts-file-pins" "/etc/hosts has the public address for CloudWatch",
    SearchListCatches "search-list-catches" "With the search list's suffix the CloudWatch name exists too, and is public",
    WebsiteUnknown "website-unknown" "www.amazon.com does not exist",
    DnsLost "dns-lost" "The first datagram of each question to the VPC resolver is lost, and the next one arrives",
    SystemResolverSilent "system-resolver-silent" "The first of the instance's two resolvers is dead",
    DnsSlow "dns-slow" "The VPC resolver answers one second late",

    CertificateExpired "certificate-expired" "The endpoint's certificate has expired",
    CertificateNotYetValid "certificate-not-yet-valid" "The endpoint's certificate is not valid yet",
    CertificateWrongName "certificate-wrong-name" "The endpoint's certificate is for another name",
    CertificateUntrusted "certificate-untrusted" "The endpoint's certificate is from an unknown authority",
    CertificatePrivateCa "certificate-private-ca" "A company proxy's certificate, from an authority that the system trusts",
    ClientCertificateRequired "client-certificate-required" "The endpoint answers only clients that show a certificate",
    TlsSilent "tls-silent" "The endpoint accepts connections and never says a word",
    TlsReset "tls-reset" "The endpoint resets the connection during the TLS handshake",
    ResponseSilent "response-silent" "TLS works, the HTTP answer never comes",
    CallSilent "call-silent" "The endpoint answers at once what is not signed, and never what is",
    ResponseCut "response-cut" "The endpoint hangs up in the middle of the answer",
    ResponseGarbage "response-garbage" "What comes back over TLS is not HTTP",
    CaptivePage "captive-page" "An HTML page with status 200 instead of an AWS answer",
    WrongBody "wrong-body" "Status 200 with a body that is not ListMetrics' output",

    RoleMissing "role-missing" "The instance has no role",
    ProofPolicy "proof-policy" "The role may ListMetrics through its own endpoint alone (aws:SourceVpce)",
    ProofPolicyOfVpc "proof-policy-of-vpc" "The role may ListMetrics through endpoints of its own VPC alone (aws:SourceVpc)",
    RoleDenied "role-denied" "No identity-based policy allows ListMetrics",
    RoleDeniedExplicitly "role-denied-explicitly" "An identity-based policy denies ListMetrics",
    EndpointPolicyDenied "endpoint-policy-denied" "The endpoint policy does not allow ListMetrics",
    EndpointPolicyDeniedExplicitly "endpoint-policy-denied-explicitly" "The endpoint policy denies ListMetrics",
    ScpDenied "scp-denied" "A service control policy denies ListMetrics",
    RcpDenied "rcp-denied" "A resource control policy denies ListMetrics",
    BoundaryDenied "boundary-denied" "The role's permissions boundary does not allow ListMetrics",
    SessionDenied "session-denied" "The session policy does not allow ListMetrics",
    AccessDeniedPlain "access-denied-plain" "Access is denied without a word on which policy did it",
    RoleDeniedInXml "role-denied-in-xml" "No identity-based policy allows ListMetrics, said in the XML of the Query protocol",
    Throttled "throttled" "CloudWatch throttles: Rate exceeded",
    ServiceError "service-error" "CloudWatch answers with an internal error (500)",
    ServiceUnavailable "service-unavailable" "CloudWatch answers 503 with an empty body",
    ClockAhead "clock-ahead" "The instance's clock is 15 minutes ahead of CloudWatch's",
    ClockBehind "clock-behind" "The instance's clock is 15 minutes behind CloudWatch's",
    CredentialsExpired "credentials-expired" "Metadata hands out credentials that have expired",
    CredentialsInvalid "credentials-invalid" "CloudWatch does not know the security token",

    MetadataSilent "metadata-silent" "Instance metadata does not answer",
    MetadataIpv4Silent "metadata-ipv4-silent" "Instance metadata does not answer over IPv4, and does over IPv6",
    MetadataRefused "metadata-refused" "Connections to instance metadata are reset",
    MetadataDisabled "metadata-disabled" "Instance metadata is switched off (403)",
    MetadataSlow "metadata-slow" "Instance metadata takes 4 s for each answer",
    MetadataHopLimit "metadata-hop-limit" "Instance metadata answers GET, and its answer to PUT is lost: the hop limit of a container",
    MetadataOverLinkLocal "metadata-over-link-local" "The subnet has IPv6 alone; metadata answers over a link-local IPv4 address, and not over IPv6",
    MetadataGarbage "metadata-garbage" "Instance metadata answers with something else's page",
    MetadataWithoutCidrs "metadata-without-cidrs" "Instance metadata does not list the VPC's CIDRs",
    MetadataWithoutIpv6Cidrs "metadata-without-ipv6-cidrs" "Instance metadata lists the VPC's IPv4 CIDRs, and not those of IPv6",

    PingForbidden "ping-forbidden" "net.ipv4.ping_group_range forbids ping sockets to everyone",
}

impl Fault {
    pub fn from_name(name: &str) -> Option<Self> {
        Self::ALL.iter().copied().find(|fault| fault.name() == name)
    }
}

/// The faults in force at one moment.
#[derive(Clone, Debug, Default, Eq, PartialEq)]
pub struct Faults(BTreeSet<Fault>);

impl Faults {
    pub fn has(&self, fault: Fault) -> bool {
        self.0.contains(&fault)
    }

    pub fn has_any(&self, faults: &[Fault]) -> bool {
        faults.iter().any(|fault| self.has(*fault))
    }

    /// The first of a list of alternatives that is in force. Faults that contradict
    /// one another do not add up: the order of the list decides.
    pub fn first<T: Copy>(&self, alternatives: &[(Fault, T)]) -> Option<T> {
        alternatives.iter().find(|(fault, _)| self.has(*fault)).map(|(_, value)| *value)
    }

    pub fn with(mut self, fault: Fault) -> Self {
        self.0.insert(fault);
        self
    }

    pub fn without(mut self, fault: Fault) -> Self {
        self.0.remove(&fault);
        self
    }
}

impl FromIterator<Fault> for Faults {
    fn from_iter<I: IntoIterator<Item = Fault>>(faults: I) -> Self {
        Self(faults.into_iter().collect())
    }
}
