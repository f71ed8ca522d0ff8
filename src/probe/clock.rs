//! How far the clock of a server is from ours.

use std::time::SystemTime;

/// Seconds by which an HTTP Date (RFC 9110) is ahead of this machine's clock.
#[expect(clippy::disallowed_methods, reason = "comparing with the wall clock is the purpose")]
pub fn skew(date: &str) -> Option<i64> {
    let theirs = httpdate::parse_http_date(date).ok()?;
    let seconds = |duration: std::time::Duration| i64::try_from(duration.as_secs()).ok();
    match theirs.duration_since(SystemTime::now()) {
        Ok(ahead) => seconds(ahead),
        Err(behind) => seconds(behind.duration()).map(|behind| -behind),
    }
}
