//! Basic authentication against bcrypt hashes. A hash is expensive on purpose, so a password that
//! was right is remembered, and passwords that are not known are checked one at a time.

use std::collections::{BTreeMap, HashMap};
use std::str::FromStr;
use std::sync::{Arc, Mutex, PoisonError};
use std::thread;
use std::time::Duration;

use aws_lc_rs::hmac::{self, Key};
use aws_lc_rs::rand::SystemRandom;
use base64::Engine;
use base64::prelude::BASE64_STANDARD;
use bcrypt::HashParts;
use zeroize::Zeroizing;

use super::clients::{Client, Clients, cpu_time};
use super::error::{Place, UserProblem};
use super::turns::{Busy, Limits, Turns};
use super::web_file::{Placed, Secret};
use crate::threads;

/// About two seconds of CPU; each step doubles it. 10 is what the tools write by default.
const MAX_COST: u32 = 15;

/// What a wrong password adds to the account of its client, beyond the time of the hash.
const PENALTY: Duration = Duration::from_secs(1);

/// After a wrong password of a client that guesses: it keeps less than a core busy.
const PAUSE: Duration = Duration::from_millis(250);

/// A password check takes about 60 ms, so the last of these waits four seconds.
const LIMITS: Limits = Limits { waiting: 64, per_client: 4 };

/// The users of one version of the file, with their hashes.
#[derive(Debug, Default)]
pub struct Users {
    hashes: BTreeMap<String, UserHash>,
    /// Every check costs as much as the most expensive hash, so that time shows no user names.
    cost: u32,
}

#[derive(Clone, Debug)]
struct UserHash {
    hash: Secret,
    cost: u32,
}

impl Users {
    /// Or what is wrong, and where.
    pub fn new(hashes: BTreeMap<String, Placed<Secret>>) -> Result<Self, Vec<(Place, UserProblem)>> {
        let (mut users, mut problems) = (Self::default(), Vec::new());
        for (user, hash) in hashes {
            match cost(&user, &hash.value) {
                Ok(cost) => {
                    users.cost = users.cost.max(cost);
                    users.hashes.insert(user, UserHash { hash: hash.value, cost });
                }
                Err(problem) => problems.push((hash.place, problem)),
            }
        }
        if problems.is_empty() { Ok(users) } else { Err(problems) }
    }

    pub fn is_empty(&self) -> bool {
        self.hashes.is_empty()
    }
}

fn cost(user: &str, hash: &Secret) -> Result<u32, UserProblem> {
    let Ok(parts) = HashParts::from_str(&hash.0) else {
        return Err(UserProblem::NotBcrypt { user: user.to_owned() });
    };
    let cost = parts.get_cost();
    if cost > MAX_COST {
        return Err(UserProblem::TooExpensive { user: user.to_owned(), cost, max: MAX_COST });
    }
    Ok(cost)
}

/// Outlives the versions of the file.
#[derive(Debug)]
pub struct BasicAuth {
    /// Of this process alone: what is remembered is worth nothing elsewhere.
    key: Key,
    /// For each user, the tag of the hash and the password that matched it.
    known: Mutex<HashMap<String, hmac::Tag>>,
    turns: Turns,
}

impl BasicAuth {
    pub fn new(clients: Arc<Clients>) -> Self {
        let key = Key::generate(hmac::HMAC_SHA256, &SystemRandom::new());
        Self {
            key: key.expect("the kernel's random generator answers"),
            known: Mutex::default(),
            turns: Turns::new(clients, LIMITS),
        }
    }

    /// Whether an `Authorization` header names a user and the password.
    pub async fn accepts(&self, users: &Users, client: Client, authorization: &str) -> Result<bool, Busy> {
        let Some((user, password)) = credentials(authorization) else { return Ok(false) };
        let hash = users.hashes.get(&user).cloned();
        let tag = self.tag(hash.as_ref().map_or("", |user| &user.hash.0), &password);
        if hash.is_some() && self.remembers(&user, &tag) {
            return Ok(true);
        }
        let turn = self.turns.take(client).await?;
        let (clients, cost) = (Arc::clone(&self.turns.clients), users.cost);
        let checked = threads::SERVER.run(move || {
            let is_right = check(&clients, client, hash.as_ref(), &password, cost);
            // Not before: a client that hangs up does not make room for its next guess.
            drop(turn);
            is_right
        });
        // Not checked is not wrong.
        let is_right = checked.await.map_err(|_| Busy)?;
        if is_right {
            self.remember(users, user, tag);
        }
        Ok(is_right)
    }

    fn tag(&self, hash: &str, password: &[u8]) -> hmac::Tag {
        let mut context = hmac::Context::with_key(&self.key);
        // A hash has a fixed length, so no part of it can pass for a password.
        context.update(hash.as_bytes());
        context.update(password);
        context.sign()
    }

    fn remembers(&self, user: &str, tag: &hmac::Tag) -> bool {
        let known = self.known.lock().unwrap_or_else(PoisonError::into_inner);
        known.get(user).is_some_and(|known| {
            aws_lc_rs::constant_time::verify_slices_are_equal(known.as_ref(), tag.as_ref()).is_ok()
        })
    }

    fn remember(&self, users: &Users, user: String, tag: hmac::Tag) {
        let mut known = self.known.lock().unwrap_or_else(PoisonError::into_inner);
        known.retain(|user, _| users.hashes.contains_key(user));
        known.insert(user, tag);
    }
}

/// Takes a thread for as long as the most expensive hash takes, whatever comes of it.
fn check(clients: &Clients, client: Client, user: Option<&UserHash>, password: &[u8], cost: u32) -> bool {
    let guesses = clients.rank(client).is_heavy;
    let begun = cpu_time();
    let is_right = verify(user, password, cost);
    let took = cpu_time().saturating_sub(begun);
    if is_right {
        clients.charge(client, took);
        return true;
    }
    clients.charge(client, took + PENALTY);
    if guesses {
        thread::sleep(PAUSE.max(took));
    }
    false
}

fn verify(user: Option<&UserHash>, password: &[u8], cost: u32) -> bool {
    let is_right = user.is_some_and(|user| bcrypt::verify(password, &user.hash.0).unwrap_or(false));
    for cost in padding(user.map(|user| user.cost), cost) {
        // For the time that it takes.
        let _ = bcrypt::hash_with_salt(password, cost, [0; 16]);
    }
    is_right
}

/// The work of bcrypt is 2^cost. A hash of cost 10 and dummies of 10 and 11 are one of cost 12; a
/// user that does not exist gets one dummy of the full cost.
fn padding(done: Option<u32>, cost: u32) -> std::ops::Range<u32> {
    match done {
        Some(done) => done..cost,
        None => cost..cost + 1,
    }
}

/// RFC 7617.
fn credentials(authorization: &str) -> Option<(String, Zeroizing<Vec<u8>>)> {
    let (scheme, encoded) = authorization.split_once(' ')?;
    let decoded = BASE64_STANDARD.decode(encoded.trim()).ok().map(Zeroizing::new);
    let decoded = decoded.filter(|_| scheme.eq_ignore_ascii_case("basic"))?;
    let colon = decoded.iter().position(|byte| *byte == b':')?;
    let user = str::from_utf8(&decoded[..colon]).ok()?;
    Some((user.to_owned(), Zeroizing::new(decoded[colon + 1..].to_vec())))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_check_costs_the_same_whoever_the_user_is() {
        let work = |done: Option<u32>, cost| {
            let dummies = padding(done, cost).map(|cost| 1_u64 << cost).sum::<u64>();
            done.map_or(0, |cost| 1 << cost) + dummies
        };
        for done in [None, Some(4), Some(10), Some(14), Some(15)] {
            assert_eq!(work(done, 15), 1 << 15, "{done:?}");
        }
        assert_eq!((work(None, 4), work(Some(4), 4)), (16, 16));
    }
}
