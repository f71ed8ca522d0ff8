//! Basic authentication against bcrypt hashes. A hash is dear on purpose, so a password that was
//! right is remembered, and guesses are paid for one after the other.

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
use tokio::task;

use super::file::Secret;

/// About two seconds of CPU; each step doubles it. 10 is what the tools write by default.
const DEAREST: u32 = 15;

/// After a wrong password. Whoever guesses keeps less than a core busy, and the checks go on.
const PAUSE: Duration = Duration::from_millis(250);

/// The users of one version of the file, with their hashes.
#[derive(Debug, Default)]
pub struct Users {
    hashes: BTreeMap<String, Secret>,
    /// What a name that nobody has is measured with, so that the time does not tell names.
    cost: u32,
}

impl Users {
    pub fn new(hashes: BTreeMap<String, Secret>) -> Result<Self, String> {
        let mut cost = 0;
        for (user, hash) in &hashes {
            let parts = HashParts::from_str(&hash.0).map_err(|_| {
                format!("basic_auth_users: the password of {user:?} is no bcrypt hash: make one with htpasswd -nBC 10 {user:?}")
            })?;
            if parts.get_cost() > DEAREST {
                return Err(format!(
                    "basic_auth_users: the hash of {user:?} has cost {}, which takes seconds of CPU; {DEAREST} is the most, 10 is usual",
                    parts.get_cost()
                ));
            }
            cost = cost.max(parts.get_cost());
        }
        Ok(Self { hashes, cost })
    }

    pub fn is_empty(&self) -> bool {
        self.hashes.is_empty()
    }
}

/// Outlives the versions of the file.
#[derive(Debug)]
pub struct BasicAuth {
    /// Of this process alone: what is remembered is worth nothing elsewhere.
    key: Key,
    /// By user, the tag of the hash and the password that matched it.
    known: Mutex<HashMap<String, hmac::Tag>>,
    turn: Arc<tokio::sync::Mutex<()>>,
}

impl BasicAuth {
    pub fn new() -> Self {
        let key = Key::generate(hmac::HMAC_SHA256, &SystemRandom::new());
        Self {
            key: key.expect("the kernel's random generator answers"),
            known: Mutex::default(),
            turn: Arc::default(),
        }
    }

    /// Whether an `Authorization` header names a user and the password.
    pub async fn admits(&self, users: &Users, authorization: &str) -> bool {
        let Some((user, password)) = credentials(authorization) else { return false };
        let hash = users.hashes.get(&user).map(|hash| hash.0.clone());
        let tag = self.tag(hash.as_deref().unwrap_or_default(), &password);
        if hash.is_some() && self.remembers(&user, &tag) {
            return true;
        }
        // The turn goes along: a client that hangs up does not make room for its next guess.
        let turn = Arc::clone(&self.turn).lock_owned().await;
        let cost = users.cost;
        let is_right = task::spawn_blocking(move || {
            let is_right = if let Some(hash) = hash {
                bcrypt::verify(&password, &hash).unwrap_or(false)
            } else {
                // For the time that it takes, and nothing else.
                let _ = bcrypt::hash_with_salt(&password, cost, [0; 16]);
                false
            };
            if !is_right {
                thread::sleep(PAUSE);
            }
            drop(turn);
            is_right
        });
        let is_right = is_right.await.unwrap_or(false);
        if is_right {
            self.remember(users, user, tag);
        }
        is_right
    }

    fn tag(&self, hash: &str, password: &[u8]) -> hmac::Tag {
        let mut context = hmac::Context::with_key(&self.key);
        // A hash has a fixed length, so nothing of it can pass for a password.
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

/// RFC 7617.
fn credentials(authorization: &str) -> Option<(String, Vec<u8>)> {
    let (scheme, encoded) = authorization.split_once(' ')?;
    let decoded =
        BASE64_STANDARD.decode(encoded.trim()).ok().filter(|_| scheme.eq_ignore_ascii_case("basic"))?;
    let colon = decoded.iter().position(|byte| *byte == b':')?;
    let user = str::from_utf8(&decoded[..colon]).ok()?;
    Some((user.to_owned(), decoded[colon + 1..].to_vec()))
}
