//! How durations are spread.

use std::time::Duration;

/// Seconds. An answer inside a VPC takes a few milliseconds, and no timeout is longer than 10 s.
pub const BUCKETS: [f64; 13] = [0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0];

/// A classic histogram.
#[derive(Debug, Default)]
pub struct Histogram {
    pub cumulative: [u64; BUCKETS.len()],
    pub count: u64,
    pub sum: f64,
}

impl Histogram {
    pub fn add(&mut self, duration: Duration) {
        let seconds = duration.as_secs_f64();
        for (bound, count) in BUCKETS.iter().zip(&mut self.cumulative) {
            *count += u64::from(seconds <= *bound);
        }
        self.count += 1;
        self.sum += seconds;
    }

    pub fn merge(&mut self, other: &Self) {
        for (count, of_other) in self.cumulative.iter_mut().zip(&other.cumulative) {
            *count += of_other;
        }
        self.count += other.count;
        self.sum += other.sum;
    }
}
