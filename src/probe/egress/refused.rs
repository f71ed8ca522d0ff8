//! TCP packets that this host's own packet filter drops. `connect` does not tell: the kernel sends
//! the SYN again like one that was lost on the way, and only counts that it could not.

use std::fs;

use crate::observation::EgressGap;

/// The counters of this network namespace (`TcpExt` of proc_pid_net(5)).
const COUNTERS: &str = "/proc/self/net/netstat";
const NAME: &str = "TCPRetransFail";

/// The count at the beginning of a window.
pub struct Refused(Option<u64>);

impl Refused {
    pub fn before() -> Self {
        Self(count())
    }

    /// What was refused since then, where anything was.
    pub fn since(&self) -> Option<EgressGap> {
        let packets = count()?.checked_sub(self.0?)?;
        (packets > 0).then_some(EgressGap::RefusedHere { packets })
    }
}

fn count() -> Option<u64> {
    find(&fs::read_to_string(COUNTERS).ok()?)
}

/// A line of names is followed by a line of their values.
fn find(text: &str) -> Option<u64> {
    let mut lines = text.lines().filter(|line| line.starts_with("TcpExt:"));
    let (names, values) = (lines.next()?.split(' '), lines.next()?.split(' '));
    names.zip(values).find(|(name, _)| *name == NAME)?.1.parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_counter_is_found_by_its_name() {
        let text = "TcpExt: SyncookiesSent TCPRetransFail TCPRcvCoalesce\nTcpExt: 1 22 333\nIpExt: InNoRoutes\nIpExt: 4\n";
        assert_eq!(find(text), Some(22));
        assert_eq!(find("TcpExt: SyncookiesSent\nTcpExt: 1\n"), None);
        assert_eq!(find(""), None);
        assert!(count().is_some(), "this kernel has it");
    }
}
