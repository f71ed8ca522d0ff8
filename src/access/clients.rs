//! Who asks, how much of our time each of them took lately, and how many requests it has left.

use std::collections::HashMap;
use std::net::{IpAddr, Ipv6Addr};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use nix::time::{ClockId, clock_gettime};
use tokio::time::Instant;

use super::rules::Rate;

/// An IPv4 address, or an IPv6 /64: a host may use every address of its own /64.
#[derive(Clone, Copy, Debug, Eq, Hash, PartialEq)]
pub struct Client(IpAddr);

impl From<IpAddr> for Client {
    fn from(ip: IpAddr) -> Self {
        Self(match ip.to_canonical() {
            IpAddr::V4(ip) => ip.into(),
            IpAddr::V6(ip) => Ipv6Addr::from_bits(ip.to_bits() & !u128::from(u64::MAX)).into(),
        })
    }
}

/// The CPU time of this thread. On a busy host a client is not charged for the work of others.
pub fn cpu_time() -> Duration {
    clock_gettime(ClockId::CLOCK_THREAD_CPUTIME_ID).map(Duration::from).unwrap_or_default()
}

/// Far more than scrape one instance, in half a megabyte.
const MAX_CLIENTS: usize = 4096;

/// After this long, half of what a client cost is forgiven.
const HALF_LIFE: Duration = Duration::from_secs(10);

/// A scraper takes a few milliseconds every few seconds; a client that needs more waits.
const HEAVY: Duration = Duration::from_millis(250);

/// Whose turn it is when not all can have one: the least goes first.
#[derive(Clone, Copy, Debug, Eq, Ord, PartialEq, PartialOrd)]
pub struct Rank {
    pub is_heavy: bool,
    /// It has not authenticated since we started.
    pub is_unknown: bool,
    /// In milliseconds.
    cost: u64,
}

/// The accounts of all clients.
#[derive(Debug, Default)]
pub struct Clients(Mutex<HashMap<Client, Account>>);

#[derive(Clone, Copy, Debug)]
struct Account {
    /// Seconds of our CPU, as of `at`.
    cost: f64,
    at: Instant,
    has_authenticated: bool,
    bucket: Bucket,
}

/// A token bucket. What is left in it, and when that was counted; full before its first use.
#[derive(Clone, Copy, Debug, Default)]
pub struct Bucket(Option<(f64, Instant)>);

impl Bucket {
    pub fn take(&mut self, rate: Rate) -> bool {
        let now = Instant::now();
        let (level, at) = self.0.unwrap_or((f64::from(rate.burst), now));
        let grown = now.duration_since(at).div_duration_f64(rate.interval);
        let level = (level + grown).min(f64::from(rate.burst));
        let has_one = level >= 1.0;
        self.0 = Some((if has_one { level - 1.0 } else { level }, now));
        has_one
    }
}

impl Account {
    fn new(at: Instant) -> Self {
        Self { cost: 0.0, at, has_authenticated: false, bucket: Bucket::default() }
    }

    fn cost(&self, now: Instant) -> f64 {
        self.cost * (-now.duration_since(self.at).div_duration_f64(HALF_LIFE)).exp2()
    }
}

impl Clients {
    pub fn charge(&self, client: Client, cpu: Duration) {
        let now = Instant::now();
        self.with(client, now, |account| {
            account.cost = account.cost(now) + cpu.as_secs_f64();
            account.at = now;
        });
    }

    pub fn authenticated(&self, client: Client) {
        self.with(client, Instant::now(), |account| account.has_authenticated = true);
    }

    /// Whether the rate lets this client have another answer.
    pub fn take_token(&self, client: Client, rate: Rate) -> bool {
        let now = Instant::now();
        self.with(client, now, |account| account.bucket.take(rate))
    }

    pub fn rank(&self, client: Client) -> Rank {
        let now = Instant::now();
        let account = self.lock().get(&client).copied().unwrap_or_else(|| Account::new(now));
        let cost = Duration::try_from_secs_f64(account.cost(now)).unwrap_or(Duration::MAX);
        let is_heavy = cost > HEAVY;
        let cost = u64::try_from(cost.as_millis()).unwrap_or(u64::MAX);
        Rank { is_heavy, is_unknown: !account.has_authenticated, cost }
    }

    fn with<T>(&self, client: Client, now: Instant, change: impl FnOnce(&mut Account) -> T) -> T {
        let mut accounts = self.lock();
        if accounts.len() >= MAX_CLIENTS && !accounts.contains_key(&client) {
            // The client idle for longest. Authenticated clients only when there is no other.
            let oldest = accounts.iter().min_by_key(|(_, account)| (account.has_authenticated, account.at));
            if let Some(oldest) = oldest.map(|(client, _)| *client) {
                accounts.remove(&oldest);
            }
        }
        change(accounts.entry(client).or_insert_with(|| Account::new(now)))
    }

    fn lock(&self) -> MutexGuard<'_, HashMap<Client, Account>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use tokio::time::advance;

    use super::*;

    fn client(text: &str) -> Client {
        Client::from(text.parse::<IpAddr>().unwrap())
    }

    #[test]
    fn one_host_is_one_client() {
        assert_eq!(client("::ffff:10.0.1.2"), client("10.0.1.2"));
        assert_eq!(client("2001:db8:1:2::1"), client("2001:db8:1:2:ffff::9"));
        assert_ne!(client("2001:db8:1:2::1"), client("2001:db8:1:3::1"));
        assert_ne!(client("10.0.1.2"), client("10.0.1.3"));
    }

    #[tokio::test(start_paused = true)]
    async fn rate_allows_a_burst_and_then_one_per_interval_for_each_client() {
        let clients = Clients::default();
        let rate = Rate { interval: Duration::from_secs(1), burst: 3 };
        let taken = |name| (0..9).filter(|_| clients.take_token(client(name), rate)).count();
        assert_eq!((taken("10.0.0.1"), taken("10.0.0.2")), (3, 3));
        advance(Duration::from_millis(999)).await;
        assert_eq!(taken("10.0.0.1"), 0);
        advance(Duration::from_millis(1)).await;
        assert_eq!(taken("10.0.0.1"), 1);
        advance(Duration::from_hours(1)).await;
        assert_eq!(taken("10.0.0.1"), 3);
    }

    #[tokio::test(start_paused = true)]
    async fn those_who_cost_least_and_have_authenticated_go_first() {
        let clients = Clients::default();
        let [scraper, person, stranger, guesser, worse] =
            ["10.0.0.1", "10.0.0.2", "10.0.0.3", "10.0.0.4", "10.0.0.5"].map(client);
        clients.authenticated(scraper);
        clients.authenticated(person);
        clients.charge(scraper, Duration::from_millis(20));
        clients.charge(person, Duration::from_millis(50));
        clients.charge(guesser, Duration::from_secs(1));
        clients.charge(worse, Duration::from_secs(2));
        let ranks = [scraper, person, stranger, guesser, worse].map(|client| clients.rank(client));
        assert!(ranks.is_sorted_by(|a, b| a < b), "{ranks:?}");
        advance(HALF_LIFE * 3).await;
        assert!(!clients.rank(guesser).is_heavy && clients.rank(guesser) > clients.rank(stranger));
    }

    #[tokio::test(start_paused = true)]
    async fn accounts_are_bounded_and_the_authenticated_stay() {
        let clients = Clients::default();
        clients.authenticated(client("10.0.0.1"));
        for number in 0..3 * u32::try_from(MAX_CLIENTS).unwrap() {
            advance(Duration::from_millis(1)).await;
            clients
                .charge(Client(IpAddr::from((0x0b00_0000 + number).to_be_bytes())), Duration::from_secs(1));
        }
        assert_eq!(clients.lock().len(), MAX_CLIENTS);
        assert!(!clients.rank(client("10.0.0.1")).is_unknown);
    }
}
