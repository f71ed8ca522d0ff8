//! How often something is looked at, and how long that may take.

use std::time::Duration;

use super::problem::Problems;
use super::table::Table;
use super::value::{interval, timeout, written};

/// How often, and how long each attempt may take. `None` where it is wrong, and recorded.
#[derive(Clone, Copy, Debug)]
pub struct Timing {
    pub interval: Option<Duration>,
    pub timeout: Option<Duration>,
}

impl Timing {
    pub fn of(interval: Duration, timeout: Duration) -> Self {
        Self { interval: Some(interval), timeout: Some(timeout) }
    }

    pub fn both(self) -> Option<(Duration, Duration)> {
        self.interval.zip(self.timeout)
    }
}

pub fn timing(table: &Table<'_>, inherited: Timing, problems: &mut Problems<'_>) -> Timing {
    let interval = table.read("interval", inherited.interval, problems, interval);
    let timeout = table.read("timeout", inherited.timeout, problems, timeout);
    ends_in_time(table, ("timeout", timeout), interval, problems);
    Timing { interval, timeout }
}

/// Where neither is written here, the fault was recorded where they are inherited from.
pub fn ends_in_time(
    table: &Table<'_>,
    (key, wait): (&'static str, Option<Duration>),
    interval: Option<Duration>,
    problems: &mut Problems<'_>,
) {
    if let (Some(wait), Some(interval)) = (wait, interval)
        && wait >= interval
        && let Some(value) = table.value(key).or_else(|| table.value("interval"))
    {
        let (wait, interval) = (written(wait), written(interval));
        let message = format!(
            "{key} ({wait}) must be less than interval ({interval}), so that a run ends before the next begins"
        );
        problems.add(&value.span, message);
    }
}
