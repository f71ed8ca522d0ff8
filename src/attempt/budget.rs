//! How many DNS packets a second leave this host. The VPC resolver drops what exceeds 1,024 a
//! second from one network interface, of applications and of linkproof together
//! (<https://docs.aws.amazon.com/vpc/latest/userguide/AmazonDNS-concepts.html#vpc-dns-limits>).

use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use tokio::time::{Instant, sleep_until};

use crate::observation::{DnsEvidence, LookupResult};

const PACKETS_PER_SECOND: u32 = 400;

/// One question for each family.
pub const FAMILIES: u32 = 2;

/// Of a lookup and the queries beside it, to one name server and the VPC resolver.
pub const OF_A_CHECK: u32 = 3 * FAMILIES;

/// A timer that is late by less does not lower the rate.
const LATE: Duration = Duration::from_millis(50);

#[derive(Debug)]
pub struct Budget {
    /// Packets that one name takes. What exceeds it is known only afterwards.
    usual: u32,
    /// From then on the next packets may leave.
    next: Mutex<Instant>,
    /// Who waits, in the order of coming.
    queue: tokio::sync::Mutex<()>,
}

impl Budget {
    pub fn new(usual: u32) -> Self {
        Self { usual, next: Mutex::new(Instant::now()), queue: tokio::sync::Mutex::default() }
    }

    /// Waits until one name may be looked up.
    pub async fn turn(&self) {
        self.turn_with(0).await;
    }

    /// The same, with so many questions for the endpoint's own names.
    pub async fn turn_with(&self, own_names: usize) {
        let _first = self.queue.lock().await;
        let next = *self.next.lock().unwrap_or_else(PoisonError::into_inner);
        sleep_until(next).await;
        self.charge(self.usual.saturating_add(count(own_names)));
    }

    /// Counts what was sent beyond the usual: further servers, the search list, and repetitions.
    pub fn settle(&self, evidence: &DnsEvidence) {
        let searched = match evidence.lookup.result {
            LookupResult::Addresses { .. } => 0,
            _ => evidence.files.search.len(),
        };
        let own_names = evidence.own.iter().flat_map(|own| &own.names);
        let own = own_names.clone().map(|name| name.queries.len()).sum::<usize>();
        let expected = self.usual.saturating_add(count(own_names.count()));
        // Without an answer, once with EDNS and once without.
        let again = 2 * evidence.queries.iter().filter(|query| query.retransmitted).count();
        let lookups = count(evidence.files.further_lookups()).saturating_add(1);
        let looked_up = count(searched).saturating_add(1).saturating_mul(FAMILIES).saturating_mul(lookups);
        let sent = count(evidence.queries.len() + own + again).saturating_add(looked_up);
        self.charge(sent.saturating_sub(expected));
    }

    /// Counts a name that is asked for without a turn of its own: the few of gateways' controls.
    pub fn count_name(&self) {
        self.charge(FAMILIES);
    }

    fn charge(&self, packets: u32) {
        let mut next = self.next.lock().unwrap_or_else(PoisonError::into_inner);
        let from = (*next).max(Instant::now() - LATE);
        *next = from + Duration::from_secs(1) * packets / PACKETS_PER_SECOND;
    }
}

fn count(packets: usize) -> u32 {
    u32::try_from(packets).unwrap_or(u32::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::observation::{OwnName, OwnNames, Query, QueryType, Resolver};
    use crate::report::fixture::{addresses, query};

    #[tokio::test(start_paused = true)]
    async fn names_in_any_number_keep_to_the_rate() {
        let budget = Budget::new(OF_A_CHECK);
        let started = Instant::now();
        let packets = 200 * OF_A_CHECK;
        for _ in 0..packets / OF_A_CHECK {
            budget.turn().await;
        }
        let least = Duration::from_secs(1) * (packets - OF_A_CHECK) / PACKETS_PER_SECOND - LATE;
        assert!(started.elapsed() >= least, "{:?}", started.elapsed());
        assert!(started.elapsed() <= least + 2 * LATE, "{:?}", started.elapsed());
    }

    #[tokio::test(start_paused = true)]
    async fn what_was_sent_beyond_the_usual_delays_the_next() {
        let budget = Budget::new(OF_A_CHECK);
        budget.turn().await;
        budget.charge(PACKETS_PER_SECOND);
        let waited = Instant::now();
        budget.turn().await;
        assert!(waited.elapsed() >= Duration::from_secs(1) - LATE, "{:?}", waited.elapsed());
    }

    /// Both families, asked at one name server and at the VPC resolver.
    fn queries() -> Vec<Query> {
        let of = |resolver| {
            [QueryType::A, QueryType::Aaaa].map(|of| query(resolver, of, addresses(&["10.0.1.57"])))
        };
        [of(Resolver::System), of(Resolver::Vpc)].concat()
    }

    #[tokio::test(start_paused = true)]
    async fn what_was_sent_is_counted_once() {
        let usual = DnsEvidence::of("a.example", queries());
        let mut searched = usual.clone();
        searched.files.search = ["a", "b", "c"].map(str::to_owned).to_vec();
        let mut in_vain = searched.clone();
        in_vain.lookup.result = LookupResult::TimedOut;
        let mut repeated = usual.clone();
        repeated.queries[0].retransmitted = true;
        let mut rotated = usual.clone();
        rotated.files.rotate = true;
        rotated.files.servers = ["10.0.0.2:53", "10.0.0.3:53"].map(|server| server.parse().unwrap()).to_vec();
        let name = |asked| OwnName { name: "vpce".into(), zone: None, queries: queries()[..asked].to_vec() };
        let own = OwnNames { names: vec![name(3), name(2)], others: vec![], asked_again: false };
        let of_own_names = DnsEvidence { own: Some(own), ..usual.clone() };
        for (what, evidence, packets) in [
            ("the turn has paid for these", usual, 0),
            ("the name itself was found", searched, 0),
            ("each suffix is another name", in_vain, 3 * FAMILIES),
            ("with EDNS and without", repeated, 2),
            ("three lookups for each server", rotated, 6 * FAMILIES),
            ("the turn has paid for one question each", of_own_names, 3),
        ] {
            let budget = Budget::new(OF_A_CHECK);
            budget.turn_with(evidence.own.as_ref().map_or(0, |own| own.names.len())).await;
            let paid = *budget.next.lock().unwrap();
            budget.settle(&evidence);
            let charged = *budget.next.lock().unwrap() - paid;
            assert_eq!(charged, Duration::from_secs(1) * packets / PACKETS_PER_SECOND, "{what}");
        }
    }

    #[tokio::test(start_paused = true)]
    async fn own_names_and_controls_count() {
        let budget = Budget::new(OF_A_CHECK);
        let started = Instant::now();
        for _ in 0..=100 {
            budget.turn_with(4).await;
            budget.count_name();
        }
        let packets = 100 * (OF_A_CHECK + 4 + FAMILIES);
        let least = Duration::from_secs(1) * packets / PACKETS_PER_SECOND - LATE;
        assert!(started.elapsed() >= least, "{:?}", started.elapsed());
    }

    #[tokio::test(start_paused = true)]
    async fn a_pause_is_not_saved_up() {
        let budget = Budget::new(OF_A_CHECK);
        tokio::time::sleep(Duration::from_mins(1)).await;
        let started = Instant::now();
        for _ in 0..=PACKETS_PER_SECOND / OF_A_CHECK {
            budget.turn().await;
        }
        assert!(started.elapsed() >= Duration::from_millis(900), "{:?}", started.elapsed());
    }
}
