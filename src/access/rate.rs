//! A token bucket: so many requests at once, then one an interval.

use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use tokio::time::Instant;

#[derive(Debug)]
pub struct Bucket {
    interval: Duration,
    burst: u32,
    /// Tokens are left in it, and were counted then.
    level: Mutex<(f64, Instant)>,
}

impl Bucket {
    pub fn new(interval: Duration, burst: u32) -> Self {
        Self { interval, burst, level: Mutex::new((f64::from(burst), Instant::now())) }
    }

    pub fn take(&self) -> bool {
        let mut level = self.level.lock().unwrap_or_else(PoisonError::into_inner);
        let now = Instant::now();
        let grown = now.duration_since(level.1).div_duration_f64(self.interval);
        let tokens = (level.0 + grown).min(f64::from(self.burst));
        let has_one = tokens >= 1.0;
        *level = (if has_one { tokens - 1.0 } else { tokens }, now);
        has_one
    }
}

#[cfg(test)]
mod tests {
    use tokio::time::advance;

    use super::*;

    #[tokio::test(start_paused = true)]
    async fn a_burst_is_let_through_and_then_one_an_interval() {
        let bucket = Bucket::new(Duration::from_secs(1), 3);
        let taken = || (0..9).filter(|_| bucket.take()).count();
        assert_eq!(taken(), 3);
        advance(Duration::from_millis(999)).await;
        assert_eq!(taken(), 0);
        advance(Duration::from_millis(1)).await;
        assert_eq!(taken(), 1);
        advance(Duration::from_hours(1)).await;
        assert_eq!(taken(), 3, "it does not overflow");
    }
}
