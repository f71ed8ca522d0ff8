//! What left towards the internet, and what came back.

use std::net::{IpAddr, SocketAddr};
use std::time::Duration;

use serde::Serialize;

use super::evidence::{known, seconds};
use crate::check::Family;
use crate::network::Cidr;

/// What one window received from the internet and from the controls.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct EgressEvidence {
    pub family: Family,
    #[serde(rename = "window_seconds", serialize_with = "seconds")]
    pub window: Duration,
    /// The host's global addresses of this family.
    pub sources: Vec<EgressSource>,
    /// Why the host has no address of this family, as far as the host shows it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub family_disabled: Option<String>,
    pub icmp_socket: IcmpSocket,
    pub probes: Vec<EgressProbe>,
    pub controls: Vec<Control>,
    /// Whether the controls make the silence of at least one source count. Set by the verdict.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub controls_passed: Option<bool>,
    /// What is not probed, with the reason: names without an address, addresses of the VPC.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub unresolved: Vec<String>,
    /// What keeps silence from counting, beside the probes themselves.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub gaps: Vec<EgressGap>,
    /// What the configuration leaves out of the default look. Set by the verdict.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub left_out: Vec<&'static str>,
}

/// Something that the probes did not look at.
#[derive(Clone, Debug, Eq, PartialEq, Serialize)]
#[serde(rename_all = "snake_case", tag = "gap")]
pub enum EgressGap {
    /// No target had a route from this source when the window opened, and another public address has,
    /// or a target has when it closes: nothing was sent by that route.
    RoutedElsewhere { source: IpAddr, to: IpAddr },
    /// Packets of some other kind take a route off the host that no probe took: those that meet the
    /// conditions of a rule, those to some range, or of a socket that is bound to the interface.
    OtherRoute {
        /// The range of a route, or of a rule.
        #[serde(skip_serializing_if = "Option::is_none")]
        range: Option<Cidr>,
        /// Its priority (`ip rule`).
        #[serde(skip_serializing_if = "Option::is_none")]
        rule: Option<u32>,
        /// `None` where the route has none.
        #[serde(skip_serializing_if = "Option::is_none")]
        router: Option<IpAddr>,
        interface: String,
    },
    /// This host has every address of the range (a local route), and no interface has them: nothing was
    /// sent from there.
    SourcesNotProbed { range: Cidr },
    /// Whether there are such routes is not known: the kernel could not be asked.
    RoutesUnknown { why: String },
    /// A configured target without a public address.
    TargetNotProbed { host: String, why: String },
    /// A router of the probes, or a target on the link, did not answer ARP or neighbor discovery: packets
    /// through it never left.
    RouterSilent { router: IpAddr, interface: String },
}

/// A global address of the host, from which probes are sent.
#[derive(Clone, Debug, Eq, PartialEq, Serialize)]
pub struct EgressSource {
    pub ip: IpAddr,
    pub interface: String,
    /// Beyond the first sources there is one ping and one TCP port to two operators.
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    pub reduced: bool,
    /// Set by the verdict; before that, only what was never probed has it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub judged: Option<SourceJudgment>,
}

/// What the silence of a source is worth.
#[derive(Clone, Copy, Debug, Eq, PartialEq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum SourceJudgment {
    /// A control answered from it, so silence counts.
    Claimed,
    /// No control answered from it: a reply is a leak, silence says nothing.
    NotClaimed,
    /// The kernel has no route from it to any target.
    NoRoute,
    /// Left out by `sources`.
    LeftOut,
    /// The host has more addresses than are probed.
    OverLimit,
}

/// The kind of ICMP socket that the kernel allowed. It decides which ICMP errors are visible.
#[derive(Clone, Copy, Debug, Eq, PartialEq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum IcmpSocket {
    Dgram,
    Raw,
    None,
}

impl IcmpSocket {
    pub fn code(self) -> &'static str {
        match self {
            Self::Dgram => "dgram",
            Self::Raw => "raw",
            Self::None => "none",
        }
    }
}

/// One kind of probe at one target.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct EgressProbe {
    /// A name that led here; `None` for an IP literal. Only literals prove anything by silence.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub host: Option<String>,
    pub source: IpAddr,
    pub ip: IpAddr,
    pub protocol: Protocol,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub port: Option<u16>,
    /// An address that cannot exist: a reply shows that something nearby answers for every address.
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    pub decoy: bool,
    /// Packets handed to the kernel, which took them. For TCP the attempts, not its SYNs.
    pub sent: u32,
    #[serde(flatten)]
    pub result: ProbeResult,
    /// Set by the verdict. Nothing that is shown judges a probe again.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub judged: Option<ProbeJudgment>,
}

/// What one probe says about egress.
#[derive(Clone, Copy, Debug, Eq, PartialEq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum ProbeJudgment {
    /// The target replied, or a router on the internet did: packets leave.
    Leak,
    /// The decoy got the same reply, so something on this host or on the way answers for every address.
    Intercepted,
    /// No reply, and a control shows that one would have been received.
    Silent,
    /// No reply, from a source without a control.
    NotClaimed,
    /// Rejected by something that is known to be near: as good as silence.
    RejectedNearby,
    /// Rejected by something that may be anywhere.
    Rejected,
    /// This host rejected its own packet.
    RejectedHere,
    NoRoute,
    NotSent,
    /// The target lies inside the VPC, or its name leads to a private address.
    Disregarded,
}

#[derive(Clone, Copy, Debug, Eq, Hash, Ord, PartialEq, PartialOrd, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Protocol {
    Icmp,
    Tcp,
    Udp,
}

impl Protocol {
    pub const ALL: [Self; 3] = [Self::Icmp, Self::Tcp, Self::Udp];

    pub fn code(self) -> &'static str {
        match self {
            Self::Icmp => "icmp",
            Self::Tcp => "tcp",
            Self::Udp => "udp",
        }
    }
}

#[derive(Clone, Debug, Eq, PartialEq, Serialize)]
#[serde(rename_all = "snake_case", tag = "result")]
pub enum ProbeResult {
    /// The target itself answered: an echo reply, an established connection, a datagram.
    Reply {
        replies: u32,
        #[serde(rename = "after_seconds", serialize_with = "seconds")]
        after: Duration,
        /// The same by the kernel's clock, where it knows.
        #[serde(
            rename = "kernel_seconds",
            serialize_with = "known",
            skip_serializing_if = "Option::is_none"
        )]
        kernel: Option<Duration>,
    },
    NoReply,
    /// A reset or an ICMP error. Where the socket tells, `by` is its sender.
    Rejected {
        by: Option<IpAddr>,
        how: String,
        /// A TCP RST, which shows no sender of its own.
        #[serde(skip_serializing_if = "std::ops::Not::not")]
        reset: bool,
    },
    NotSent(SendError),
}

/// Why a packet did not leave.
#[derive(Clone, Debug, Eq, PartialEq, Serialize)]
#[serde(rename_all = "snake_case", tag = "because")]
pub enum SendError {
    /// The kernel knows no route: a lookup, which sends nothing.
    NoRoute,
    /// No socket to send from could be opened.
    NotPermitted,
    /// The host's own packet filter refused it (EPERM, ..).
    Blocked { errno: String },
    /// The process or the host ran out of something, such as file descriptors (EMFILE, ..).
    NoResources { errno: String },
}

/// Shows that an answer to a probe would have been received.
#[derive(Clone, Debug, Eq, PartialEq, Serialize)]
pub struct Control {
    pub control: ControlKind,
    /// The address that it was sent from; `None` for loopback.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub source: Option<IpAddr>,
    pub target: Option<SocketAddr>,
    pub passed: bool,
    pub detail: String,
}

#[derive(Clone, Copy, Debug, Eq, PartialEq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum ControlKind {
    /// The ICMP socket received the answer to its own ping over loopback.
    Loopback,
    /// An endpoint's address accepted a connection: strong.
    Endpoint,
    /// A resolver answered: weak, since the VPC's one is reached without a route.
    Resolver,
}
