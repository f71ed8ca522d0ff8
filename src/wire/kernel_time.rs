//! When datagrams came, by the kernel's clock. What a program times itself also holds the wait for its
//! turn on a CPU. The kernel notes when a packet comes, however late the program reads it.
//!
//! Every function here may know nothing: then the time that was felt stands alone.

use std::os::fd::{AsFd, OwnedFd};
use std::sync::OnceLock;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use nix::sys::socket::{
    AddressFamily, ControlMessageOwned, SockFlag, SockType, TimestampingFlag, setsockopt, socket, sockopt,
};
use tokio::time::Instant;

/// When a datagram was handed to the kernel.
#[derive(Clone, Copy, Debug)]
pub struct Sent {
    felt_from: Instant,
    /// By the clock of the kernel's timestamps.
    at: SystemTime,
}

impl Sent {
    #[expect(clippy::disallowed_methods, reason = "the kernel's timestamps are of this clock")]
    pub fn now() -> Self {
        Self { felt_from: Instant::now(), at: SystemTime::now() }
    }

    /// Until now, by our own clock.
    pub fn felt(self) -> Duration {
        self.felt_from.elapsed()
    }

    /// Until the answer came. A clock that was set meanwhile gives a time that cannot be: negative, or
    /// longer than what was felt. That one is not believed.
    pub fn until(self, came: Option<SystemTime>) -> Option<Duration> {
        let felt = self.felt();
        came?.duration_since(self.at).ok().filter(|took| *took <= felt)
    }
}

/// Asks the kernel to note when each datagram comes.
pub fn note_arrivals(of: &impl AsFd) {
    static FIRST: OnceLock<Option<OwnedFd>> = OnceLock::new();
    // The kernel rewrites its own code when the first socket asks and when the last one closes, so
    // one that stays open is cheaper than many that come and go.
    FIRST.get_or_init(|| {
        let first = socket(AddressFamily::Inet, SockType::Datagram, SockFlag::SOCK_CLOEXEC, None).ok()?;
        ask_for_timestamps(&first).then_some(first)
    });
    ask_for_timestamps(of);
}

fn ask_for_timestamps(socket: &impl AsFd) -> bool {
    // Not SO_TIMESTAMPNS: where a packet has no timestamp, it gives the time of reading instead.
    let flags = TimestampingFlag::SOF_TIMESTAMPING_RX_SOFTWARE | TimestampingFlag::SOF_TIMESTAMPING_SOFTWARE;
    setsockopt(socket, sockopt::Timestamping, &flags).is_ok()
}

/// `None` where the packet has no timestamp: the kernel begins a moment after it was asked first.
pub fn arrival(control: &ControlMessageOwned) -> Option<SystemTime> {
    let ControlMessageOwned::ScmTimestampsns(stamps) = control else { return None };
    let since = Duration::from(stamps.system);
    UNIX_EPOCH.checked_add(since).filter(|_| !since.is_zero())
}

#[cfg(test)]
mod tests {
    use super::*;

    const MINUTE: Duration = Duration::from_secs(60);

    #[test]
    fn a_clock_that_was_set_is_not_believed() {
        let sent = Sent::now();
        let came = |after: Duration| sent.until(Some(sent.at + after));
        std::thread::sleep(Duration::from_millis(2));
        assert_eq!(came(Duration::from_millis(1)), Some(Duration::from_millis(1)));
        assert_eq!(came(MINUTE), None, "longer than was felt");
        assert_eq!(sent.until(sent.at.checked_sub(MINUTE)), None, "before it was sent");
        assert_eq!(sent.until(None), None);
    }
}
