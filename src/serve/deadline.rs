//! When a connection ends unless its client does its part.

use std::time::Duration;

use tokio::sync::watch;
use tokio::time::{Instant, timeout_at};

#[derive(Debug)]
pub struct Deadline {
    exchange: Duration,
    times: watch::Sender<Times>,
}

#[derive(Clone, Copy, Debug)]
struct Times {
    next: Instant,
    /// By then the client has taken its answer. `None` between requests.
    end: Option<Instant>,
}

impl Deadline {
    /// Each request and its answer have as long as `exchange`; of the first it includes the handshake.
    pub fn new(exchange: Duration) -> Self {
        let end = Instant::now() + exchange;
        Self { exchange, times: watch::Sender::new(Times { next: end, end: Some(end) }) }
    }

    /// The client is to ask within `headers`.
    pub fn open(&self, headers: Duration) {
        let next = Instant::now() + headers;
        self.times.send_modify(|times| times.next = times.end.map_or(next, |end| end.min(next)));
    }

    /// A request has arrived. Returns whether it is the first.
    pub fn requested(&self) -> bool {
        let is_first = self.times.borrow().end.is_some();
        let end = Instant::now() + self.exchange;
        self.times.send_modify(|times| times.next = *times.end.get_or_insert(end));
        is_first
    }

    /// The client may ask again within `idle`.
    pub fn kept(&self, idle: Duration) {
        self.times.send_replace(Times { next: Instant::now() + idle, end: None });
    }

    pub async fn passed(&self) {
        let mut times = self.times.subscribe();
        loop {
            let next = times.borrow_and_update().next;
            if timeout_at(next, times.changed()).await.is_err() {
                return;
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use futures_util::poll;
    use tokio::time::advance;

    use super::*;

    const SECOND: Duration = Duration::from_secs(1);

    #[tokio::test(start_paused = true)]
    async fn a_request_does_not_extend_the_first_exchange_and_a_kept_connection_begins_another() {
        let deadline = Deadline::new(10 * SECOND);
        let mut passed = Box::pin(deadline.passed());
        let mut after = async |seconds: u32| {
            advance(seconds * SECOND).await;
            poll!(&mut passed).is_ready()
        };
        deadline.open(5 * SECOND);
        assert!(!after(4).await);
        deadline.requested();
        assert!(!after(5).await);
        deadline.kept(60 * SECOND);
        assert!(!after(59).await);
        deadline.requested();
        assert!(!after(9).await);
        assert!(after(2).await);
    }

    #[tokio::test(start_paused = true)]
    async fn a_client_that_does_not_ask_is_late() {
        for (passed, left) in [(4, 5), (7, 3), (12, 0)] {
            let deadline = Deadline::new(10 * SECOND);
            advance(passed * SECOND).await;
            deadline.open(5 * SECOND);
            let begun = Instant::now();
            deadline.passed().await;
            assert_eq!(begun.elapsed().as_secs(), left, "after {passed} s");
        }
    }
}
