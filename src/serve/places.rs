//! The places that connections hold. One that only waits gives way to a new one, and a client with
//! many of them gives way first, so that no number of idle clients keeps another out.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use tokio::sync::oneshot;

use crate::access::{Client, Clients};

/// What connections may hold.
#[derive(Clone, Copy, Debug)]
pub struct Limits {
    pub places: usize,
    pub per_client: usize,
    /// Places that others cannot take from a client that has authenticated.
    pub reserved: usize,
    /// Of answers that are being sent.
    pub bytes: usize,
}

#[derive(Clone, Debug)]
pub struct Places {
    limits: Limits,
    clients: Arc<Clients>,
    table: Arc<Mutex<Table>>,
}

#[derive(Debug, Default)]
struct Table {
    next: u64,
    connections: HashMap<u64, Connection>,
}

#[derive(Debug)]
struct Connection {
    client: Client,
    state: State,
    /// Its last request showed a password or a certificate.
    is_authenticated: bool,
    /// Grows with each change of state: the smallest has waited longest.
    since: u64,
    /// Dropped to cut the connection off.
    _cut: oneshot::Sender<()>,
}

#[derive(Clone, Copy, Debug, Eq, PartialEq)]
enum State {
    /// For the handshake, for the request, or for the client to take this much of an answer.
    Waiting { bytes: usize },
    /// We are busy for it.
    Working,
}

/// A connection's place; dropping it frees it.
#[derive(Debug)]
pub struct Place {
    id: u64,
    places: Places,
}

/// Ends when the place was given to another connection.
pub type Cut = oneshot::Receiver<()>;

impl Places {
    pub fn new(limits: Limits, clients: Arc<Clients>) -> Self {
        Self { limits, clients, table: Arc::default() }
    }

    /// `None` where every place is busy.
    pub fn enter(&self, client: Client) -> Option<(Place, Cut)> {
        let mut table = self.lock();
        let of_client = |connection: &Connection| connection.client == client;
        if table.count(of_client) >= self.limits.per_client {
            table.cut_one(of_client)?;
        } else if table.connections.len() >= self.limits.places {
            let held = table.held();
            let others = table.cut_one(|connection| !self.is_reserved(connection.client, &held));
            // Where all are reserved, those that authenticated share the places among themselves.
            others.or_else(|| table.cut_one(|_| true))?;
        }
        let (cut, is_cut) = oneshot::channel();
        let id = table.tick();
        let state = State::Waiting { bytes: 0 };
        let connection = Connection { client, state, is_authenticated: false, since: id, _cut: cut };
        table.connections.insert(id, connection);
        Some((Place { id, places: self.clone() }, is_cut))
    }

    fn is_reserved(&self, client: Client, held: &HashMap<Client, usize>) -> bool {
        let few = held.get(&client).is_none_or(|held| *held <= self.limits.reserved);
        few && !self.clients.rank(client).is_unknown
    }

    fn lock(&self) -> MutexGuard<'_, Table> {
        self.table.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Place {
    pub fn working(&self) {
        self.places.lock().change(self.id, State::Working);
    }

    /// This much is to be sent. Beyond the limit for all, the slowest readers are cut off.
    pub fn answered(&self, bytes: usize, is_authenticated: bool) {
        let mut table = self.places.lock();
        table.change(self.id, State::Waiting { bytes });
        if let Some(connection) = table.connections.get_mut(&self.id) {
            connection.is_authenticated = is_authenticated;
        }
        while table.bytes() > self.places.limits.bytes {
            let reads = |connection: &Connection| connection.bytes() > 0;
            // Its own answer is the newest, so it goes last, and not at all if it is the only one.
            if table.count(reads) < 2 || table.cut_one(reads).is_none() {
                return;
            }
        }
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        self.places.lock().connections.remove(&self.id);
    }
}

impl Connection {
    fn bytes(&self) -> usize {
        match self.state {
            State::Waiting { bytes } => bytes,
            State::Working => 0,
        }
    }
}

impl Table {
    fn tick(&mut self) -> u64 {
        self.next += 1;
        self.next
    }

    fn change(&mut self, id: u64, state: State) {
        let since = self.tick();
        if let Some(connection) = self.connections.get_mut(&id) {
            (connection.state, connection.since) = (state, since);
        }
    }

    fn count(&self, wanted: impl Fn(&Connection) -> bool) -> usize {
        self.connections.values().filter(|connection| wanted(connection)).count()
    }

    fn bytes(&self) -> usize {
        self.connections.values().map(Connection::bytes).sum()
    }

    fn held(&self) -> HashMap<Client, usize> {
        let mut held = HashMap::new();
        for connection in self.connections.values() {
            *held.entry(connection.client).or_default() += 1;
        }
        held
    }

    /// Of those that wait and may be cut: of the client with the most places, the oldest. One that
    /// has authenticated goes after those of the same address that have not. Of clients with as many
    /// places, the one that has waited longest: who has just come is about to ask.
    fn cut_one(&mut self, may_cut: impl Fn(&Connection) -> bool) -> Option<()> {
        let held = self.held();
        let waiting = || {
            self.connections.iter().filter(|(_, connection)| {
                matches!(connection.state, State::Waiting { .. }) && may_cut(connection)
            })
        };
        let most = |connection: &Connection| (held.get(&connection.client).copied(), !connection.since);
        let client = waiting().map(|(_, connection)| connection).max_by_key(|c| most(c))?.client;
        let of_client = waiting().filter(|(_, connection)| connection.client == client);
        let first = of_client.max_by_key(|(_, connection)| (!connection.is_authenticated, !connection.since));
        let first = first.map(|(id, _)| *id)?;
        self.connections.remove(&first).map(drop)
    }
}

#[cfg(test)]
mod tests {
    use std::net::IpAddr;

    use super::*;

    const LIMITS: Limits = Limits { places: 6, per_client: 3, reserved: 1, bytes: 100 };

    fn client(number: u8) -> Client {
        Client::from(IpAddr::from([10, 0, 0, number]))
    }

    fn places() -> Places {
        Places::new(LIMITS, Arc::default())
    }

    fn is_cut(held: &mut (Place, Cut)) -> bool {
        held.1.try_recv() == Err(oneshot::error::TryRecvError::Closed)
    }

    fn which_are_cut(held: &mut [(Place, Cut)]) -> Vec<bool> {
        held.iter_mut().map(is_cut).collect()
    }

    #[test]
    fn a_client_takes_new_places_from_itself() {
        let places = places();
        let mut held: Vec<_> = (0..5).map(|_| places.enter(client(1)).unwrap()).collect();
        assert_eq!(which_are_cut(&mut held), [true, true, false, false, false]);
    }

    #[test]
    fn strangers_at_its_address_do_not_cut_off_a_scraper() {
        let places = places();
        let mut scraper = places.enter(client(1)).unwrap();
        scraper.0.answered(1, true);
        let mut held: Vec<_> = (0..9).map(|_| places.enter(client(1)).unwrap()).collect();
        assert!(!is_cut(&mut scraper));
        for (place, _) in &held[7..] {
            place.answered(1, true);
        }
        held.push(places.enter(client(1)).unwrap());
        assert!(is_cut(&mut scraper), "among those that authenticated, the oldest");
    }

    #[test]
    fn the_client_with_most_gives_way_and_its_oldest_first() {
        let places = places();
        let mut held: Vec<_> = [1, 2, 2, 2, 3, 4].map(|n| places.enter(client(n)).unwrap()).into();
        let _new = places.enter(client(5)).unwrap();
        assert_eq!(which_are_cut(&mut held), [false, true, false, false, false, false]);
    }

    #[test]
    fn what_is_being_answered_stays_and_a_full_house_refuses() {
        let places = places();
        let mut held: Vec<_> = (1..=6).map(|n| places.enter(client(n)).unwrap()).collect();
        for (place, _) in &held {
            place.working();
        }
        assert!(places.enter(client(7)).is_none());
        held[4].0.answered(1, false);
        let _new = places.enter(client(7)).unwrap();
        assert_eq!(which_are_cut(&mut held), [false, false, false, false, true, false]);
    }

    #[test]
    fn who_has_authenticated_keeps_a_place() {
        let places = places();
        places.clients.authenticated(client(1));
        let mut scraper = places.enter(client(1)).unwrap();
        let _idle: Vec<_> = (2..=200).map(|n| places.enter(client(n)).unwrap()).collect();
        assert!(!is_cut(&mut scraper));
        assert_eq!(places.lock().connections.len(), LIMITS.places);
    }

    #[test]
    fn clients_that_authenticated_do_not_shut_the_house() {
        let places = places();
        (1..=6).for_each(|n| places.clients.authenticated(client(n)));
        let mut held: Vec<_> = (1..=6).map(|n| places.enter(client(n)).unwrap()).collect();
        let _new = places.enter(client(7)).unwrap();
        assert_eq!(which_are_cut(&mut held), [true, false, false, false, false, false]);
    }

    #[test]
    fn who_has_just_come_is_not_cut_off_for_one_that_is_idle() {
        let places = places();
        (1..=7).for_each(|n| places.clients.authenticated(client(n)));
        let mut held: Vec<_> = (1..=5).map(|n| places.enter(client(n)).unwrap()).collect();
        for (place, _) in &held {
            place.answered(1, true);
        }
        held.push(places.enter(client(6)).unwrap());
        let _new = places.enter(client(7)).unwrap();
        assert_eq!(which_are_cut(&mut held), [true, false, false, false, false, false]);
    }

    #[test]
    fn slow_readers_give_way_when_answers_take_too_much() {
        let places = places();
        let mut held: Vec<_> = (1..=4).map(|n| places.enter(client(n)).unwrap()).collect();
        for (place, _) in &held {
            place.answered(40, false);
        }
        assert_eq!(which_are_cut(&mut held), [true, true, false, false]);
        held[3].0.answered(1000, false);
        assert_eq!(which_are_cut(&mut held), [true, true, true, false], "the last may be large");
    }
}
