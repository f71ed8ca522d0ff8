//! What one attempt of a check saw: plain data. No I/O, no clock, no client's types.
//!
//! An expected failure of the network is data here, never an `Err`.

mod connection;
mod egress;
mod environment;
mod evidence;
mod gateway;
mod host_files;
mod lookup;
mod name_state;
mod own_names;
mod plain;
mod proof;
mod provider;
mod query;
mod reason;
mod request;
mod zones;

pub use connection::{Certificate, Connection, EndpointProtocol, Signature};
pub use egress::{
    Control, ControlKind, EgressEvidence, EgressGap, EgressProbe, EgressSource, IcmpSocket, ProbeJudgment,
    ProbeResult, Protocol, SendError, SourceJudgment,
};
pub use environment::Environment;
pub use evidence::{
    AwsError, CallEvidence, CredentialsEvidence, Evidence, Instance, InstanceEvidence, MetadataSilence,
    NotAttempted, ProbeError,
};
pub use gateway::{ControlResult, GatewayControl, JudgedControl};
pub use host_files::{FileProblem, HostFiles, HostsEntry, NsswitchAction, is_host_name};
pub use lookup::{EaiCode, Lookup, LookupError, LookupResult, NotRun, ProcessEnd};
pub use name_state::NameState;
pub use own_names::{OtherAddress, OwnName, OwnNames, own_zone};
pub use plain::{cut, marked, printable, visible};
pub use proof::{Proof, ProofEvidence};
pub use provider::Provider;
pub use query::{DnsEvidence, Query, QueryResult, QueryType, Resolver, Transport};
pub use reason::Reason;
pub use request::{ControlTargets, EgressRequest, EgressSettings, OwnTarget, TargetHost};
pub use zones::ZoneRange;

use std::net::IpAddr;
use std::time::{Duration, SystemTime};

use serde::Serialize;

use crate::check::CheckId;
use crate::network::Scope;

/// How an attempt ended. "It is broken" and "I could not look" are never counted together,
/// and neither is ever counted as a pass.
#[derive(Clone, Copy, Debug, Eq, Hash, PartialEq)]
pub enum Outcome {
    Pass,
    Skipped(Reason),
    Inconclusive(Reason),
    Fail(Reason),
}

impl Outcome {
    pub fn state(self) -> Status {
        match self {
            Self::Pass => Status::Pass,
            Self::Skipped(_) => Status::Skipped,
            Self::Inconclusive(_) => Status::Inconclusive,
            Self::Fail(_) => Status::Fail,
        }
    }

    pub fn reason(self) -> Option<Reason> {
        match self {
            Self::Pass => None,
            Self::Skipped(reason) | Self::Inconclusive(reason) | Self::Fail(reason) => Some(reason),
        }
    }

    /// The outcome of many: any failure, else anything not seen, else a pass if one
    /// passed. Of equals the first is kept. No outcomes at all are `None`, which is not a pass.
    pub fn worst(outcomes: impl IntoIterator<Item = Self>) -> Option<Self> {
        outcomes.into_iter().reduce(|worst, next| if next.gravity() > worst.gravity() { next } else { worst })
    }

    fn gravity(self) -> u8 {
        match self {
            Self::Skipped(_) => 0,
            Self::Pass => 1,
            Self::Inconclusive(_) => 2,
            Self::Fail(_) => 3,
        }
    }
}

/// An outcome without its reason: the closed set of a label, a word in a table.
#[derive(Clone, Copy, Debug, Eq, Hash, PartialEq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Status {
    Pass,
    Fail,
    Inconclusive,
    Skipped,
}

impl Status {
    pub const ALL: [Self; 4] = [Self::Pass, Self::Fail, Self::Inconclusive, Self::Skipped];

    pub fn code(self) -> &'static str {
        match self {
            Self::Pass => "pass",
            Self::Fail => "fail",
            Self::Inconclusive => "inconclusive",
            Self::Skipped => "skipped",
        }
    }
}

/// A stretch of an attempt that is timed by itself.
#[derive(Clone, Copy, Debug, Eq, Hash, Ord, PartialEq, PartialOrd, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Phase {
    /// One `getaddrinfo`, until it returned.
    Lookup,
    /// One question to a resolver, until its answer.
    Query,
    /// TCP: SYN until established.
    Tcp,
    Tls,
    /// Request sent until the head of the answer.
    Response,
    /// A round trip of an ICMP echo.
    Rtt,
}

impl Phase {
    pub fn code(self) -> &'static str {
        match self {
            Self::Lookup => "lookup",
            Self::Query => "query",
            Self::Tcp => "tcp",
            Self::Tls => "tls",
            Self::Response => "response",
            Self::Rtt => "rtt",
        }
    }
}

/// How long each phase took, as far as the attempt came; at most one entry a phase.
pub type Phases = Vec<(Phase, Duration)>;

/// One address of a check's target, judged by itself.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Address {
    pub ip: IpAddr,
    pub scope: Scope,
    pub outcome: Outcome,
    pub phases: Phases,
    /// The availability zone of its network interface, by the endpoint's own names or the ranges of
    /// its subnets.
    pub zone: Option<String>,
}

/// How late our own runtime was while an attempt ran.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
pub struct Lateness {
    /// At worst: from when a timer was due until it was served.
    pub late: Duration,
    /// Rounds in a row that lateness spoiled, this one included.
    pub spoiled_rounds: u32,
}

/// One attempt of one check.
#[derive(Clone, Debug, PartialEq)]
pub struct Observation {
    pub check: CheckId,
    pub started_at: SystemTime,
    pub took: Duration,
    pub outcome: Outcome,
    pub addresses: Vec<Address>,
    pub phases: Phases,
    pub lateness: Lateness,
    pub evidence: Evidence,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_worst_outcome_stands_for_many_and_of_none_there_is_none() {
        use Outcome::{Fail, Inconclusive, Pass, Skipped};
        let skipped = Skipped(Reason::FamilyUnavailable);
        let unseen = Inconclusive(Reason::Throttled);
        let failed = Fail(Reason::ConnectTimeout);
        let later = Fail(Reason::ConnectionRefused);
        for (outcomes, worst) in [
            (vec![], None),
            (vec![skipped], Some(skipped)),
            (vec![skipped, Pass], Some(Pass)),
            (vec![Pass, skipped], Some(Pass)),
            (vec![Pass, unseen, skipped], Some(unseen)),
            (vec![failed, unseen, Pass], Some(failed)),
            (vec![failed, later], Some(failed)),
        ] {
            assert_eq!(Outcome::worst(outcomes.clone()), worst, "{outcomes:?}");
        }
    }
}
