//! The last hour of an endpoint's connection times: for each address one value a minute, in a ring
//! that does not grow.

use std::net::IpAddr;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use crate::observation::{Observation, Outcome};

pub const MINUTES: usize = 60;

/// An endpoint has an address a zone and family. Of names with more, the first ones are kept.
const MOST_ADDRESSES: usize = 12;

#[derive(Clone, Debug, Default, PartialEq)]
pub struct Latency {
    /// Since 1970: that of the newest values.
    minute: u64,
    addresses: Vec<(IpAddr, [Minute; MINUTES])>,
}

#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
pub enum Minute {
    #[default]
    NotTried,
    /// The longest time of the minute, in microseconds.
    Took(u32),
    /// One attempt at least did not pass.
    Failed,
}

impl Latency {
    /// Takes in an observation of `connect`.
    pub fn add(&mut self, observation: &Observation) {
        self.advance(observation.started_at);
        for address in &observation.addresses {
            let value = match address.outcome {
                Outcome::Pass => {
                    Minute::Took(microseconds(address.phases.iter().map(|(_, took)| *took).sum()))
                }
                Outcome::Fail(_) => Minute::Failed,
                Outcome::Inconclusive(_) | Outcome::Skipped(_) => continue,
            };
            if let Some(minutes) = self.of(address.ip) {
                minutes[MINUTES - 1] = minutes[MINUTES - 1].worse(value);
            }
        }
    }

    /// The oldest first. `None` where nothing is known of the address.
    pub fn minutes(&self, ip: IpAddr) -> Option<&[Minute; MINUTES]> {
        self.addresses.iter().find(|(of, _)| *of == ip).map(|(_, minutes)| minutes)
    }

    fn of(&mut self, ip: IpAddr) -> Option<&mut [Minute; MINUTES]> {
        if self.minutes(ip).is_none() && self.addresses.len() < MOST_ADDRESSES {
            self.addresses.push((ip, [Minute::NotTried; MINUTES]));
        }
        self.addresses.iter_mut().find(|(of, _)| *of == ip).map(|(_, minutes)| minutes)
    }

    /// Forgets what is older than an hour. A clock that is set back adds to the newest minute; one that
    /// is set back by more than an hour was wrong before, and its values are forgotten.
    fn advance(&mut self, now: SystemTime) {
        let now = now.duration_since(UNIX_EPOCH).unwrap_or_default().as_secs() / 60;
        if self.minute.saturating_sub(now) > 60 {
            *self = Self::default();
        }
        let passed = usize::try_from(now.saturating_sub(self.minute)).unwrap_or(MINUTES).min(MINUTES);
        self.minute = self.minute.max(now);
        for (_, minutes) in &mut self.addresses {
            minutes.rotate_left(passed);
            minutes[MINUTES - passed..].fill(Minute::NotTried);
        }
        self.addresses.retain(|(_, minutes)| minutes.iter().any(|minute| *minute != Minute::NotTried));
    }
}

impl Minute {
    pub fn worse(self, other: Self) -> Self {
        match (self, other) {
            (Self::Failed, _) | (_, Self::Failed) => Self::Failed,
            (Self::Took(one), Self::Took(other)) => Self::Took(one.max(other)),
            (Self::NotTried, known) | (known, Self::NotTried) => known,
        }
    }
}

fn microseconds(took: Duration) -> u32 {
    u32::try_from(took.as_micros()).unwrap_or(u32::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::network::Scope;
    use crate::observation::{Phase, Reason};
    use crate::report::fixture::{address, at, connect, ip, ms};

    const A: &str = "10.0.1.57";

    fn seen(latency: &mut Latency, second: u64, results: &[(&str, Option<f64>)]) {
        let mut observation = connect(vec![crate::report::fixture::answered(A)]);
        observation.started_at = at(second);
        let result = |(ip, took): &(&str, Option<f64>)| match took {
            Some(took) => address(ip, Scope::Vpc, Outcome::Pass, vec![(Phase::Tcp, ms(*took))]),
            None => address(ip, Scope::Vpc, Outcome::Fail(Reason::ConnectTimeout), vec![]),
        };
        observation.addresses = results.iter().map(result).collect();
        latency.add(&observation);
    }

    fn last(latency: &Latency, count: usize) -> Vec<Minute> {
        latency.minutes(ip(A)).map(|minutes| minutes[MINUTES - count..].to_vec()).unwrap_or_default()
    }

    #[test]
    fn a_minute_has_its_longest_time_or_its_failure() {
        let mut latency = Latency::default();
        seen(&mut latency, 0, &[(A, Some(1.0))]);
        seen(&mut latency, 30, &[(A, Some(3.0))]);
        assert_eq!(last(&latency, 2), [Minute::NotTried, Minute::Took(3000)]);
        seen(&mut latency, 60, &[(A, None)]);
        seen(&mut latency, 90, &[(A, Some(2.0))]);
        assert_eq!(last(&latency, 2), [Minute::Took(3000), Minute::Failed]);
        // Set back by an hour: nothing is lost, and nothing moves.
        seen(&mut latency, 0, &[(A, Some(2.0))]);
        assert_eq!(last(&latency, 3), [Minute::NotTried, Minute::Took(3000), Minute::Failed]);
    }

    #[test]
    fn a_clock_that_was_a_day_ahead_leaves_nothing_behind() {
        let mut latency = Latency::default();
        seen(&mut latency, 24 * 3600, &[(A, None)]);
        seen(&mut latency, 0, &[(A, Some(2.0))]);
        seen(&mut latency, 60, &[(A, Some(3.0))]);
        assert_eq!(last(&latency, 3), [Minute::NotTried, Minute::Took(2000), Minute::Took(3000)]);
    }

    #[test]
    fn what_is_older_than_an_hour_is_forgotten() {
        let mut latency = Latency::default();
        for minute in 0..200 {
            seen(&mut latency, minute * 60, &[(A, Some(1.0))]);
        }
        assert_eq!(last(&latency, MINUTES), [Minute::Took(1000); MINUTES]);
        seen(&mut latency, 200 * 60 + 10 * 60, &[("10.0.2.113", Some(1.0))]);
        let left = last(&latency, MINUTES).iter().filter(|minute| **minute != Minute::NotTried).count();
        assert_eq!(left, MINUTES - 11);
        seen(&mut latency, 300 * 60 + 3600, &[("10.0.2.113", Some(1.0))]);
        assert_eq!(latency.minutes(ip(A)), None);
    }

    #[test]
    fn a_name_with_many_addresses_does_not_fill_memory() {
        let mut latency = Latency::default();
        for last in 0..250 {
            seen(&mut latency, 0, &[(&format!("10.0.9.{last}"), Some(1.0))]);
        }
        assert_eq!(latency.addresses.len(), MOST_ADDRESSES);
    }
}
