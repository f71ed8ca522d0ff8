//! What the C library of this host returns for a name, which is what applications get.

use std::fmt;
use std::net::IpAddr;
use std::time::Duration;

use serde::{Serialize, Serializer};

use super::evidence::seconds;

/// Applications wait as long, and their users notice.
const SLOW: Duration = Duration::from_secs(1);

impl Lookup {
    pub fn is_slow(&self) -> bool {
        self.took > SLOW
    }

    /// Those that returned something else, each once.
    pub fn others(&self, further: Vec<Self>) -> Vec<Self> {
        let mut others: Vec<Self> = vec![];
        for lookup in further {
            let is_new = [self].into_iter().chain(&others).all(|known| !lookup.returned_what(known));
            if is_new {
                others.push(lookup);
            }
        }
        others
    }

    fn returned_what(&self, other: &Self) -> bool {
        let sorted = |lookup: &Self| {
            let mut addresses = lookup.addresses().to_vec();
            addresses.sort_unstable();
            addresses
        };
        match (&self.result, &other.result) {
            (LookupResult::Addresses { .. }, LookupResult::Addresses { .. }) => sorted(self) == sorted(other),
            (result, other) => result == other,
        }
    }

    pub fn addresses(&self) -> &[IpAddr] {
        match &self.result {
            LookupResult::Addresses { addresses } => addresses,
            LookupResult::Error(_)
            | LookupResult::TimedOut
            | LookupResult::Crashed { .. }
            | LookupResult::TooManyAddresses { .. }
            | LookupResult::NotRun { .. } => &[],
        }
    }
}

/// One `getaddrinfo` with flags 0, and what came of it.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Lookup {
    #[serde(flatten)]
    pub result: LookupResult,
    #[serde(rename = "seconds", serialize_with = "seconds")]
    pub took: Duration,
}

#[derive(Clone, Debug, Eq, PartialEq, Serialize)]
#[serde(rename_all = "snake_case", tag = "result")]
pub enum LookupResult {
    /// In the order in which applications try them, each once.
    Addresses { addresses: Vec<IpAddr> },
    /// The library returned an error.
    Error(LookupError),
    /// The library did not return within the time that resolv.conf allows it.
    TimedOut,
    /// The library, or an NSS module that it loaded, ended the process in which it ran.
    Crashed { end: ProcessEnd },
    /// More addresses than we are willing to look at.
    TooManyAddresses { count: usize },
    /// The lookup did not run, or did not run long enough, so nothing is known.
    NotRun { because: NotRun },
}

#[derive(Clone, Debug, Eq, PartialEq, Serialize)]
pub struct LookupError {
    pub code: EaiCode,
    /// Set with `EAI_SYSTEM` alone: the library defines it for no other code.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub errno: Option<i32>,
    /// The library's own words.
    pub message: String,
}

/// How a process ended that was expected to go on.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum ProcessEnd {
    Signal(i32),
    Exit(i32),
    /// It wrote something that is not an answer.
    BrokenProtocol,
}

impl ProcessEnd {
    /// SIGKILL comes from outside, such as from the kernel when memory is short, and SIGSYS from
    /// the sandbox of this service: applications do not feel either.
    pub fn is_by_the_library(self) -> bool {
        const SIGKILL: i32 = 9;
        const SIGTERM: i32 = 15;
        const SIGSYS: i32 = 31;
        !matches!(self, Self::Signal(SIGKILL | SIGTERM | SIGSYS))
    }
}

impl fmt::Display for ProcessEnd {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Signal(signal) => match signal_name(*signal) {
                Some(name) => write!(f, "killed by {name}"),
                None => write!(f, "killed by signal {signal}"),
            },
            Self::Exit(status) => write!(f, "exited with status {status}"),
            Self::BrokenProtocol => f.write_str("wrote an invalid answer"),
        }
    }
}

impl Serialize for ProcessEnd {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

/// The signals by which a broken library ends a process; their numbers are those of Linux on
/// every processor that AWS has.
fn signal_name(signal: i32) -> Option<&'static str> {
    let names =
        [(4, "SIGILL"), (6, "SIGABRT"), (7, "SIGBUS"), (8, "SIGFPE"), (9, "SIGKILL"), (11, "SIGSEGV")];
    let more = [(15, "SIGTERM"), (31, "SIGSYS")];
    names.iter().chain(&more).find(|(number, _)| *number == signal).map(|(_, name)| *name)
}

/// Why a lookup says nothing about the name.
#[derive(Clone, Debug, Eq, PartialEq)]
pub enum NotRun {
    /// Other lookups took every turn.
    Busy,
    /// It was started again after another lookup crashed, and the rest of its time was too short.
    Interrupted,
    /// The helper process, or a thread in it, could not be started.
    NoProcess { error: String },
}

impl fmt::Display for NotRun {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Busy => f.write_str("other lookups that do not end took every turn"),
            Self::Interrupted => f.write_str("another lookup crashed, and the time left was too short"),
            Self::NoProcess { error } => write!(f, "the lookup process cannot start: {error}"),
        }
    }
}

impl Serialize for NotRun {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

/// The error codes of `getaddrinfo`, by their numbers in the GNU C library.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum EaiCode {
    BadFlags,
    NoName,
    Again,
    Fail,
    NoData,
    Family,
    SockType,
    Service,
    AddrFamily,
    Memory,
    System,
    Other(i32),
}

impl EaiCode {
    pub fn of(number: i32) -> Self {
        match number {
            -1 => Self::BadFlags,
            -2 => Self::NoName,
            -3 => Self::Again,
            -4 => Self::Fail,
            -5 => Self::NoData,
            -6 => Self::Family,
            -7 => Self::SockType,
            -8 => Self::Service,
            -9 => Self::AddrFamily,
            -10 => Self::Memory,
            -11 => Self::System,
            other => Self::Other(other),
        }
    }
}

impl EaiCode {
    /// Whether the servers answered that the name has no address, rather than not answering.
    pub fn is_answer(self) -> bool {
        matches!(self, Self::NoName | Self::NoData)
    }
}

impl fmt::Display for EaiCode {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::BadFlags => "EAI_BADFLAGS",
            Self::NoName => "EAI_NONAME",
            Self::Again => "EAI_AGAIN",
            Self::Fail => "EAI_FAIL",
            Self::NoData => "EAI_NODATA",
            Self::Family => "EAI_FAMILY",
            Self::SockType => "EAI_SOCKTYPE",
            Self::Service => "EAI_SERVICE",
            Self::AddrFamily => "EAI_ADDRFAMILY",
            Self::Memory => "EAI_MEMORY",
            Self::System => "EAI_SYSTEM",
            Self::Other(number) => return write!(f, "EAI {number}"),
        })
    }
}

impl Serialize for EaiCode {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn lookup(result: LookupResult) -> Lookup {
        Lookup { result, took: Duration::ZERO }
    }

    fn found(ips: &[&str]) -> Lookup {
        lookup(LookupResult::Addresses { addresses: ips.iter().map(|ip| ip.parse().unwrap()).collect() })
    }

    #[test]
    fn each_other_result_is_kept_once_whatever_the_order_of_its_addresses() {
        let first = found(&["10.0.1.57", "10.0.2.113"]);
        let other = found(&["10.0.1.57", "203.0.113.20"]);
        let further = vec![
            found(&["10.0.2.113", "10.0.1.57"]),
            other.clone(),
            lookup(LookupResult::TimedOut),
            found(&["203.0.113.20", "10.0.1.57"]),
            lookup(LookupResult::TimedOut),
        ];
        assert_eq!(first.others(further), [other, lookup(LookupResult::TimedOut)]);
    }

    #[test]
    fn a_lookup_of_more_than_a_second_is_slow() {
        for (took, expected) in [(SLOW, false), (SLOW + Duration::from_millis(1), true)] {
            assert_eq!(Lookup { took, ..found(&[]) }.is_slow(), expected, "{took:?}");
        }
    }
}
