//! When a check ran last and runs next, as a person would say it.

use std::fmt;
use std::time::{Duration, SystemTime};

use crate::report::CheckReport;
use crate::wording::clock_time;

pub struct When<'a> {
    pub check: &'a CheckReport,
    /// From when on the check was due.
    pub since: SystemTime,
    pub now: SystemTime,
}

impl fmt::Display for When<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { check, since, now } = self;
        let Some((last, next)) = check.last.as_ref().zip(check.next_at()) else {
            return f.write_str("not started");
        };
        write!(f, "{}<br>", ago(last.started_at, *now))?;
        if check.silent_for(*since, *now).is_some() {
            return f.write_str("<strong>overdue</strong>");
        }
        match next.duration_since(*now) {
            Ok(left) if left >= Duration::from_secs(1) => write!(f, "next in {}", coarse(left)),
            Ok(_) | Err(_) => f.write_str("due now"),
        }
    }
}

/// With the exact time in the tooltip and for programs.
pub fn ago(then: SystemTime, now: SystemTime) -> String {
    let at = clock_time(then);
    // A clock that was set back makes the past the future.
    let passed = now.duration_since(then).unwrap_or_default();
    format!("<time datetime=\"{at}\" title=\"{at}\">{} ago</time>", coarse(passed))
}

pub fn coarse(duration: Duration) -> String {
    let seconds = duration.as_secs();
    match seconds {
        0..120 => format!("{seconds} s"),
        120..7200 => format!("{} min", seconds / 60),
        7200..172_800 => format!("{} h", seconds / 3600),
        _ => format!("{} days", seconds / 86400),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::report::fixture;

    fn said(seconds: u64) -> String {
        let report = fixture::healthy();
        let now = fixture::at(seconds);
        When { check: &report.checks[2], since: report.started_at, now }.to_string()
    }

    #[test]
    fn it_says_when_it_ran_when_it_runs_and_when_it_should_have_run() {
        let said = [4, 29, 30, 150, 151, 7300].map(said);
        let ends =
            ["next in 26 s", "next in 1 s", "due now", "due now", "overdue</strong>", "overdue</strong>"];
        for (said, end) in said.iter().zip(ends) {
            assert!(said.ends_with(end), "{said}");
        }
        assert!(
            said[0].starts_with(
                "<time datetime=\"2026-11-23T13:00:00Z\" title=\"2026-11-23T13:00:00Z\">4 s ago"
            )
        );
        assert!(said[5].contains("2 h ago"));
    }

    #[test]
    fn a_clock_that_was_set_back_does_not_break_the_page() {
        assert!(ago(fixture::at(10), fixture::at(0)).contains(">0 s ago<"));
        assert_eq!(coarse(Duration::from_hours(48)), "2 days");
    }
}
