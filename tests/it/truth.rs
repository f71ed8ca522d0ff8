//! What must hold in every state, whatever is expected of it in particular.

use std::collections::{BTreeMap, BTreeSet};
use std::net::IpAddr;

use crate::lab::{Fault, Packets, Reached, Request, Signature};
use crate::report::Report;
use crate::state::{CALL, CONNECT, CREDENTIALS, DNS, INSTANCE, IPV4, IPV6};

/// What one run did and said.
pub struct Run<'a> {
    pub report: &'a Report,
    pub exit: Option<i32>,
    pub requests: &'a [Request],
    /// How many agents made them.
    pub agents: usize,
    /// Addresses that the configuration vouches for.
    pub trusted: &'a [IpAddr],
    /// What this run let out.
    pub reached: Reached,
}

/// Every violation, in words.
pub fn violations(run: &Run<'_>) -> Vec<String> {
    [verdict(run), explanations(run.report), secrecy(run), openness(run), proof(run), honesty(run)].concat()
}

/// The verdict follows from the checks, the exit code from the verdict.
fn verdict(run: &Run<'_>) -> Vec<String> {
    let checks = run.report.checks();
    let any = |state: &str| checks.iter().any(|(_, outcome)| outcome.split(' ').next() == Some(state));
    let (outcome, exit) = if any("fail") {
        ("fail", 1)
    } else if any("inconclusive") || !any("pass") {
        ("inconclusive", 2)
    } else {
        ("pass", 0)
    };
    let mut wrong = Vec::new();
    if run.report.outcome() != outcome {
        wrong.push(format!("the verdict is {}, but its checks make it {outcome}", run.report.outcome()));
    }
    if run.exit != Some(exit) {
        wrong.push(format!("the exit code is {:?}, the verdict asks for {exit}", run.exit));
    }
    wrong
}

/// No check is red without somebody saying why, and nothing is explained that is not there.
fn explanations(report: &Report) -> Vec<String> {
    let (checks, causes) = (report.checks(), report.causes());
    let explained = |id: &String| causes.iter().any(|(_, explains)| explains.contains(id));
    let mut wrong: Vec<String> = checks
        .iter()
        .filter(|(id, outcome)| !is_harmless(outcome) && !explained(id))
        .map(|(id, outcome)| format!("{id} is {outcome}, and no diagnosis explains it"))
        .collect();
    for (cause, explains) in &causes {
        for id in explains {
            let found = checks.iter().find(|(check, _)| check == id);
            if found.is_none_or(|(_, outcome)| outcome == "pass") {
                wrong.push(format!("{cause} explains {id}, which is {found:?}"));
            }
        }
    }
    wrong
}

fn is_harmless(outcome: &str) -> bool {
    ["pass", "skipped family_unavailable"].contains(&outcome)
}

/// Nothing signed ever goes to an address outside the VPC.
fn secrecy(run: &Run<'_>) -> Vec<String> {
    let may_have = |ip: IpAddr| is_of_the_vpc(ip) || run.trusted.contains(&ip);
    let strays = run
        .requests
        .iter()
        .filter(|request| request.signature != Signature::Absent)
        .filter(|request| !may_have(request.local.ip()));
    strays.map(|request| format!("a signature went to {}", request.local)).collect()
}

pub fn is_of_the_vpc(ip: IpAddr) -> bool {
    match ip {
        IpAddr::V4(ip) => matches!(ip.octets(), [10, 0, ..] | [100, 64, ..]),
        IpAddr::V6(ip) => matches!(ip.segments(), [0x2001, 0xdb8, 0x1234, last, ..] if last < 0x100),
    }
}

/// Where a packet got out, the family does not pass.
fn openness(run: &Run<'_>) -> Vec<String> {
    let let_out = |packets: Packets| packets.icmp + packets.tcp + packets.udp + packets.other;
    [(IPV4, run.reached.ipv4), (IPV6, run.reached.ipv6)]
        .into_iter()
        .filter(|(check, packets)| run.report.says_pass(check) && let_out(*packets) > 0)
        .map(|(check, packets)| format!("{check} says pass, and {packets:?} got out"))
        .collect()
}

/// Each request has a connection of its own, and whatever became of a call it is made once: what is
/// pooled or tried again shows a subnet that is no more, or a better one than there is.
fn honesty(run: &Run<'_>) -> Vec<String> {
    let mut wrong = Vec::new();
    let mut connections = BTreeSet::new();
    let mut calls: BTreeMap<IpAddr, usize> = BTreeMap::new();
    for request in run.requests {
        if !connections.insert(request.connection) {
            wrong.push(format!("a second request came over connection {}", request.connection));
        }
        if request.signature != Signature::Absent {
            *calls.entry(request.local.ip()).or_default() += 1;
        }
    }
    let again = calls.iter().filter(|(_, calls)| **calls > run.agents);
    wrong.extend(again.map(|(ip, calls)| format!("{calls} calls to {ip} by {} agents", run.agents)));
    wrong
}

/// "Proves PrivateLink" is said only of answers that came through an endpoint.
fn proof(run: &Run<'_>) -> Vec<String> {
    let claimed = run.report.checks().iter().any(|(id, _)| run.report.summary(id).contains("proves"));
    let strays = run.requests.iter().filter(|request| {
        claimed
            && request.status == Some(200)
            && request.signature != Signature::Absent
            && request.source.is_none()
    });
    strays
        .map(|request| format!("{} answered over the internet, and it is called a proof", request.local))
        .collect()
}

/// The checks that must not say pass while a fault is in force, with no configuration that makes
/// it right. None: the subnet is in order all the same.
pub fn touched(fault: Fault) -> &'static [&'static str] {
    use Fault as F;
    match fault {
        F::NatOpen | F::NatOpenTcpOnly | F::NatOpenIcmpOnly | F::NatOpenUdpOnly | F::NatOpenLossy => &[IPV4],
        F::NatOpensMidway | F::NatClosesMidway | F::NatOpenFirstSynLost | F::NatOpenSlow => &[IPV4],
        F::NatOpenNtpOnly | F::SecondInterfaceOpen | F::SecondaryAddressOpen => &[IPV4],
        F::EgressResetByTarget | F::DnsRedirected | F::TcpRedirected => &[IPV4],
        F::ResolverV6Silent | F::InstanceIpv6Off => &[IPV6],
        F::EgressRejectedPrivately | F::SendRejected => &[IPV4, IPV6],
        F::Ipv6EgressOpen | F::Nat64Open | F::InstanceIpv6Lost => &[IPV6],
        F::EgressTcpReset | F::EgressRejectedOutside | F::SendBlocked => &[IPV4, IPV6],
        F::HostDropsTcp
        | F::HostRejectsTcp
        | F::HostDropsLarge
        | F::MtuBlackHoleOutwards
        | F::EndpointSgSilent
        | F::EndpointSgRefused
        | F::EndpointReturnBlocked
        | F::EndpointMuteAfterHandshake
        | F::InstanceEgressBlocked
        | F::DnsStale
        | F::SystemResolverStale => &[CONNECT, CALL],
        F::EndpointASilent | F::EndpointBSilent | F::EndpointARefused | F::EndpointBUnrouted => &[CONNECT],
        F::ClientCertificateRequired | F::MtuBlackHole | F::TlsSilent | F::TlsReset | F::ResponseSilent | F::ResponseGarbage => {
            &[CONNECT, CALL]
        }
        F::PrivateDnsOff
        | F::NameNotFound
        | F::NameNoAddress
        | F::DnsServfail
        | F::DnsRefused
        | F::DnsTruncatedNoTcp
        | F::DnsOutsideVpc
        | F::DnsSpecial
        | F::SystemResolverDiffers
        | F::SystemResolverElsewhere => &[DNS, CONNECT, CALL],
        F::DnsSilent | F::DnsPortClosed | F::HostDropsDns | F::HostRejectsDns | F::ResolverUnrouted => {
            &[DNS, CONNECT, CALL]
        }
        F::DnsMixed | F::DnsAaaaPublic | F::HostsFilePins => &[DNS, CONNECT],
        F::CertificateExpired
        | F::CertificateNotYetValid
        | F::CertificateWrongName
        | F::CertificateUntrusted => &[CONNECT, CALL],
        F::EndpointShutAfterAnswer | F::CallSilent | F::ResponseCut | F::CaptivePage | F::WrongBody => {
            &[CALL]
        }
        F::RoleMissing | F::CredentialsExpired => &[CREDENTIALS, CALL],
        F::RoleDenied
        | F::RoleDeniedInXml
        | F::RoleDeniedExplicitly
        | F::EndpointPolicyDenied
        | F::EndpointPolicyDeniedExplicitly
        | F::ScpDenied
        | F::RcpDenied
        | F::BoundaryDenied
        | F::SessionDenied
        | F::AccessDeniedPlain
        | F::Throttled
        | F::ServiceError
        | F::ServiceUnavailable
        | F::ClockAhead
        | F::ClockBehind
        | F::CredentialsInvalid => &[CALL],
        F::MetadataSilent
        | F::MetadataRefused
        | F::MetadataDisabled
        | F::MetadataSlow
        | F::MetadataHopLimit
        | F::MetadataGarbage => &[INSTANCE, CREDENTIALS, CALL],
        // AWS clients ask metadata over IPv4, unless they are told otherwise.
        F::MetadataIpv4Silent | F::InstanceIpv4Absent => &[CREDENTIALS, CALL],
        F::InstanceLinkDown => &[INSTANCE, CREDENTIALS, DNS, CONNECT, CALL],
        F::MetadataWithoutCidrs => &[DNS, CONNECT, CALL],
        F::EgressRejectedInside
        | F::EgressRejectedByAws
        // The pass names its ports, and these are not among them.
        | F::NatOpenOddPorts
        // No name of the usual checks is S3's.
        | F::AwsOpen
        | F::SecondInterfaceUnrouted
        | F::SecondaryAddress
        | F::BridgePresent
        | F::RouteUnreachable
        | F::RouteBlackhole
        | F::RouteProhibit
        | F::GatewayMissing
        | F::NoDefaultRoute
        // An endpoint of the other family makes up for it; the states say which.
        | F::InstanceIpv6Absent
        | F::MetadataOverLinkLocal
        | F::MetadataWithoutIpv6Cidrs
        | F::EndpointLossy
        | F::EndpointSlow
        | F::SynLost
        | F::DnsTruncated
        | F::DnsAlias
        | F::DnsOneZone
        | F::DnsOtherEndpoint
        | F::DnsLost
        | F::SystemResolverPartial
        | F::SearchListCatches
        | F::WebsiteUnknown
        | F::ProofPolicy
        | F::ProofPolicyOfVpc
        | F::DnsAaaa
        | F::SystemResolverSilent
        | F::DnsSlow
        | F::CertificatePrivateCa
        | F::PingForbidden => &[],
    }
}

/// Whether anything may get out in this state at all.
pub fn opens(fault: Fault) -> bool {
    use Fault as F;
    matches!(
        fault,
        F::NatOpen
            | F::NatOpenTcpOnly
            | F::NatOpenIcmpOnly
            | F::NatOpenUdpOnly
            | F::NatOpenLossy
            | F::NatOpensMidway
            | F::NatClosesMidway
            | F::NatOpenFirstSynLost
            | F::NatOpenSlow
            | F::NatOpenNtpOnly
            | F::NatOpenOddPorts
            | F::AwsOpen
            | F::SecondInterfaceOpen
            | F::SecondaryAddressOpen
            | F::EgressResetByTarget
            | F::Ipv6EgressOpen
            | F::Nat64Open
            | F::EgressRejectedOutside
    )
}
