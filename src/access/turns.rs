//! One at a time, and the lightest client first: for work that a client can make us do.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use tokio::sync::oneshot;

use super::clients::{Client, Clients, Rank};

/// Where clients wait for their turn. Clones share one queue.
#[derive(Clone, Debug)]
pub struct Turns {
    pub clients: Arc<Clients>,
    limits: Limits,
    queue: Arc<Mutex<Queue>>,
}

/// How many may wait.
#[derive(Clone, Copy, Debug)]
pub struct Limits {
    pub waiting: usize,
    pub per_client: usize,
}

#[derive(Debug, Default)]
struct Queue {
    is_taken: bool,
    tickets: u64,
    waiting: Vec<Waiting>,
}

#[derive(Debug)]
struct Waiting {
    client: Client,
    ticket: u64,
    granted: oneshot::Sender<Turn>,
}

/// Too many wait already.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct Busy;

/// Dropping it lets the next client have its turn.
#[derive(Debug)]
pub struct Turn {
    turns: Turns,
    is_over: bool,
}

impl Turns {
    pub fn new(clients: Arc<Clients>, limits: Limits) -> Self {
        Self { clients, limits, queue: Arc::default() }
    }

    /// Waits for a turn. Where the queue is full, the heaviest client leaves it.
    pub async fn take(&self, client: Client) -> Result<Turn, Busy> {
        let turn = {
            let mut queue = self.lock();
            if !queue.is_taken {
                queue.is_taken = true;
                return Ok(Turn { turns: self.clone(), is_over: false });
            }
            self.enqueue(&mut queue, client)?
        };
        turn.await.map_err(|_| Busy)
    }

    fn enqueue(&self, queue: &mut Queue, client: Client) -> Result<oneshot::Receiver<Turn>, Busy> {
        queue.waiting.retain(|waiting| !waiting.granted.is_closed());
        let of_client = queue.waiting.iter().filter(|waiting| waiting.client == client).count();
        if of_client >= self.limits.per_client {
            return Err(Busy);
        }
        if queue.waiting.len() >= self.limits.waiting {
            let order = |waiting: &Waiting| self.order(waiting);
            let last = queue.waiting.iter().enumerate().max_by_key(|(_, waiting)| order(waiting));
            match last {
                Some((index, last)) if self.clients.rank(client) < self.clients.rank(last.client) => {
                    queue.waiting.swap_remove(index);
                }
                Some(_) | None => return Err(Busy),
            }
        }
        queue.tickets += 1;
        let (granted, turn) = oneshot::channel();
        queue.waiting.push(Waiting { client, ticket: queue.tickets, granted });
        Ok(turn)
    }

    fn order(&self, waiting: &Waiting) -> (Rank, u64) {
        (self.clients.rank(waiting.client), waiting.ticket)
    }

    /// The next client in the queue; without one, the turn is free.
    fn next(&self) -> Option<Waiting> {
        let mut queue = self.lock();
        let first = queue.waiting.iter().enumerate().min_by_key(|(_, waiting)| self.order(waiting));
        let first = first.map(|(index, _)| index);
        queue.is_taken = first.is_some();
        first.map(|index| queue.waiting.swap_remove(index))
    }

    fn lock(&self) -> MutexGuard<'_, Queue> {
        self.queue.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Drop for Turn {
    fn drop(&mut self) {
        if self.is_over {
            return;
        }
        let mut turn = Self { turns: self.turns.clone(), is_over: false };
        while let Some(next) = self.turns.next() {
            match next.granted.send(turn) {
                Ok(()) => return,
                // That client left the queue.
                Err(back) => turn = back,
            }
        }
        turn.is_over = true;
    }
}

#[cfg(test)]
mod tests {
    use std::net::IpAddr;
    use std::time::Duration;

    use tokio::task::{JoinHandle, yield_now};

    use super::*;

    fn turns(waiting: usize, per_client: usize) -> Turns {
        Turns::new(Arc::default(), Limits { waiting, per_client })
    }

    fn client(number: u8) -> Client {
        Client::from(IpAddr::from([10, 0, 0, number]))
    }

    fn wait(turns: &Turns, number: u8) -> JoinHandle<Result<u8, Busy>> {
        let turns = turns.clone();
        tokio::spawn(async move { turns.take(client(number)).await.map(|_| number) })
    }

    #[tokio::test(start_paused = true)]
    async fn light_clients_overtake_heavy_ones() {
        let turns = turns(8, 8);
        turns.clients.charge(client(9), Duration::from_secs(1));
        turns.clients.authenticated(client(1));
        let first = turns.take(client(5)).await.unwrap();
        let order = Arc::new(Mutex::new(Vec::new()));
        let waiters = [9, 9, 4, 1].map(|number| {
            let (turns, order) = (turns.clone(), Arc::clone(&order));
            tokio::spawn(async move {
                let _turn = turns.take(client(number)).await.unwrap();
                order.lock().unwrap().push(number);
            })
        });
        yield_now().await;
        drop(first);
        for waiter in waiters {
            waiter.await.unwrap();
        }
        assert_eq!(*order.lock().unwrap(), [1, 4, 9, 9]);
    }

    #[tokio::test(start_paused = true)]
    async fn the_queue_is_bounded_and_the_heaviest_leaves_it() {
        let turns = turns(2, 1);
        turns.clients.charge(client(9), Duration::from_secs(1));
        let first = turns.take(client(5)).await.unwrap();
        let heavy = wait(&turns, 9);
        let light = wait(&turns, 1);
        yield_now().await;
        assert_eq!(wait(&turns, 1).await.unwrap(), Err(Busy), "one place a client");
        let other = wait(&turns, 2);
        assert_eq!(heavy.await.unwrap(), Err(Busy));
        assert_eq!(wait(&turns, 3).await.unwrap(), Err(Busy), "equals do not displace each other");
        drop(first);
        assert_eq!((light.await.unwrap(), other.await.unwrap()), (Ok(1), Ok(2)));
    }

    #[tokio::test(start_paused = true)]
    async fn a_client_that_leaves_does_not_keep_the_turn() {
        let turns = turns(8, 8);
        let first = turns.take(client(5)).await.unwrap();
        let gone = wait(&turns, 1);
        yield_now().await;
        gone.abort();
        drop(first);
        let second = turns.take(client(2)).await;
        drop(second.unwrap());
        assert!(!turns.lock().is_taken);
    }
}
