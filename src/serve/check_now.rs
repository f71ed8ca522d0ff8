//! Runs every check at the request of a client, and not more often than an egress window and the
//! quota of AWS's API allow.

use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use tokio::sync::watch;
use tokio::time::Instant;

/// For all clients together.
pub const INTERVAL: Duration = Duration::from_secs(10);

#[derive(Debug)]
pub struct CheckNow {
    schedule: watch::Sender<u64>,
    last: Mutex<Option<Instant>>,
}

impl CheckNow {
    pub fn new(schedule: watch::Sender<u64>) -> Self {
        Self { schedule, last: Mutex::default() }
    }

    /// False where the last request was a moment ago.
    pub fn request(&self) -> bool {
        let mut last = self.last.lock().unwrap_or_else(PoisonError::into_inner);
        let now = Instant::now();
        if last.is_some_and(|last| now.duration_since(last) < INTERVAL) {
            return false;
        }
        *last = Some(now);
        self.schedule.send_modify(|count| *count += 1);
        true
    }
}

#[cfg(test)]
mod tests {
    use tokio::time::advance;

    use super::*;

    #[tokio::test(start_paused = true)]
    async fn requests_in_a_row_are_one() {
        let (schedule, requested) = watch::channel(0);
        let check_now = CheckNow::new(schedule);
        assert!(check_now.request() && !check_now.request());
        advance(INTERVAL).await;
        assert!(check_now.request());
        assert_eq!(*requested.borrow(), 2);
    }
}
