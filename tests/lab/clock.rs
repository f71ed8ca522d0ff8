//! Wall time in the four spellings that AWS uses.

use std::time::{SystemTime, UNIX_EPOCH};

const SECONDS_A_DAY: i64 = 86_400;

/// A moment in whole seconds since 1970, so that a peer's clock can be shifted.
#[derive(Clone, Copy, Debug, Eq, Ord, PartialEq, PartialOrd)]
pub struct Moment(pub i64);

impl Moment {
    pub fn now() -> Self {
        let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
        Self(i64::try_from(since.as_secs()).unwrap_or(i64::MAX))
    }

    pub fn plus(self, seconds: i64) -> Self {
        Self(self.0 + seconds)
    }

    /// `20261123T125400Z`, as signatures have it.
    pub fn basic(self) -> String {
        let (year, month, day) = self.date();
        let (hour, minute, second) = self.time();
        format!("{year:04}{month:02}{day:02}T{hour:02}{minute:02}{second:02}Z")
    }

    /// `2026-11-23T12:54:00Z`, as metadata has it.
    pub fn rfc3339(self) -> String {
        let (year, month, day) = self.date();
        let (hour, minute, second) = self.time();
        format!("{year:04}-{month:02}-{day:02}T{hour:02}:{minute:02}:{second:02}Z")
    }

    /// `Mon, 23 Nov 2026 12:54:00 GMT`, as HTTP has it.
    pub fn http(self) -> String {
        const DAYS: [&str; 7] = ["Thu", "Fri", "Sat", "Sun", "Mon", "Tue", "Wed"];
        const MONTHS: [&str; 12] =
            ["Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec"];
        let (year, month, day) = self.date();
        let (hour, minute, second) = self.time();
        // 1 January 1970 was a Thursday.
        let weekday = DAYS[self.0.div_euclid(SECONDS_A_DAY).rem_euclid(7) as usize];
        let month = MONTHS[usize::from(month) - 1];
        format!("{weekday}, {day:02} {month} {year:04} {hour:02}:{minute:02}:{second:02} GMT")
    }

    /// Reads `20261123T125400Z`.
    pub fn from_basic(text: &str) -> Option<Self> {
        let digits = |range: std::ops::Range<usize>| text.get(range)?.parse::<i64>().ok();
        let shape = text.len() == 16 && text.is_ascii() && &text[8..9] == "T" && text.ends_with('Z');
        if !shape {
            return None;
        }
        let days = days_from_civil(digits(0..4)?, digits(4..6)?, digits(6..8)?);
        let seconds = digits(9..11)? * 3600 + digits(11..13)? * 60 + digits(13..15)?;
        Some(Self(days * SECONDS_A_DAY + seconds))
    }

    pub fn date(self) -> (i32, u8, u8) {
        civil_from_days(self.0.div_euclid(SECONDS_A_DAY))
    }

    fn time(self) -> (i64, i64, i64) {
        let seconds = self.0.rem_euclid(SECONDS_A_DAY);
        (seconds / 3600, seconds / 60 % 60, seconds % 60)
    }
}

/// Both conversions count from 1 March of year 0, so that the leap day comes last
/// (Howard Hinnant's "chrono-compatible low-level date algorithms").
fn civil_from_days(days: i64) -> (i32, u8, u8) {
    let days = days + 719_468;
    let era = days.div_euclid(146_097);
    let day_of_era = days.rem_euclid(146_097);
    let year_of_era = (day_of_era - day_of_era / 1460 + day_of_era / 36_524 - day_of_era / 146_096) / 365;
    let day_of_year = day_of_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
    let shifted_month = (5 * day_of_year + 2) / 153;
    let day = day_of_year - (153 * shifted_month + 2) / 5 + 1;
    let month = if shifted_month < 10 { shifted_month + 3 } else { shifted_month - 9 };
    let year = year_of_era + era * 400 + i64::from(month <= 2);
    (year as i32, month as u8, day as u8)
}

fn days_from_civil(year: i64, month: i64, day: i64) -> i64 {
    let year = if month <= 2 { year - 1 } else { year };
    let era = year.div_euclid(400);
    let year_of_era = year.rem_euclid(400);
    let shifted_month = (month + 9) % 12;
    let day_of_year = (153 * shifted_month + 2) / 5 + day - 1;
    let day_of_era = year_of_era * 365 + year_of_era / 4 - year_of_era / 100 + day_of_year;
    era * 146_097 + day_of_era - 719_468
}
