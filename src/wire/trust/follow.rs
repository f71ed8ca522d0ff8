//! Following the trust store while the program runs: applications started now read it as it is now.

use std::io;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError, Weak};
use std::thread;
use std::time::Duration;

use tokio::sync::watch;

use super::store::{self, Places, Signature};
use super::{Trust, TrustError};
use crate::wire::resources;

/// The shortest interval of a check.
const POLL: Duration = Duration::from_secs(1);

/// An update replaces files one after the other: a store that is half gone may be half written.
const SETTLE: Duration = Duration::from_secs(2);

#[derive(Debug)]
pub struct TrustFollower {
    shared: Arc<Shared>,
    known: Vec<Signature>,
}

#[derive(Debug)]
struct Shared {
    trust: watch::Sender<Trust>,
    ca_file: Mutex<Option<PathBuf>>,
}

impl TrustFollower {
    pub fn load(ca_file: Option<&Path>) -> Result<Self, TrustError> {
        let known = Places::find().signature(ca_file);
        let trust = watch::Sender::new(Trust::load(ca_file)?);
        let ca_file = Mutex::new(ca_file.map(Path::to_owned));
        Ok(Self { shared: Arc::new(Shared { trust, ca_file }), known })
    }

    /// In a thread of its own: a file system that hangs must delay no check.
    pub fn start(&mut self) -> io::Result<()> {
        let (followed, known) = (Arc::downgrade(&self.shared), std::mem::take(&mut self.known));
        thread::Builder::new().name("trust".to_owned()).spawn(move || follow(&followed, known)).map(drop)
    }

    pub fn trust(&self) -> Trust {
        self.shared.trust.borrow().clone()
    }

    /// Uses this trust store, which was read with this `ca_file`, and follows that file from now on.
    pub fn adopt(&self, trust: Trust, ca_file: Option<&Path>) {
        *self.shared.ca_file.lock().unwrap_or_else(PoisonError::into_inner) = ca_file.map(Path::to_owned);
        self.shared.trust.send_replace(trust);
    }
}

impl Shared {
    fn ca_file(&self) -> Option<PathBuf> {
        self.ca_file.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }
}

fn follow(shared: &Weak<Shared>, mut known: Vec<Signature>) {
    loop {
        thread::sleep(POLL);
        let Some(shared) = shared.upgrade() else { return };
        let ca_file = shared.ca_file();
        let signature = Places::find().signature(ca_file.as_deref());
        if known == signature {
            continue;
        }
        let current = shared.trust.borrow().clone();
        let trust = settled(&current, || read(ca_file.as_deref()), thread::sleep);
        // Without descriptors every store looks empty.
        if !resources::are_available() {
            continue;
        }
        // A reload in between has read another one.
        if shared.ca_file() == ca_file {
            tracing::info!(certificates = trust.roots, "Trust store changed.");
            shared.trust.send_replace(trust);
            known = signature;
        }
    }
}

/// A store that shrank to nothing or by half is read again before it is used.
fn settled(current: &Trust, read: impl Fn() -> Trust, sleep: impl Fn(Duration)) -> Trust {
    let trust = read();
    if trust.roots > current.roots / 2 {
        return trust;
    }
    sleep(SETTLE);
    read()
}

fn read(ca_file: Option<&Path>) -> Trust {
    let mut store = store::system();
    if let Some(path) = ca_file {
        store.add_file_if_possible(path);
    }
    Trust::of(store)
}

#[cfg(test)]
mod tests {
    use std::cell::Cell;

    use super::*;

    #[test]
    fn shrunken_store_is_read_again() {
        let trust = |roots| Trust { roots, ..Trust::load(None).unwrap() };
        for (before, first, second, used) in
            [(100, 0, 100, 100), (100, 50, 99, 99), (100, 0, 0, 0), (100, 51, 99, 51), (1, 0, 0, 0)]
        {
            let (reads, slept) = (Cell::new(0), Cell::new(false));
            let read = || {
                reads.set(reads.get() + 1);
                trust(if reads.get() == 1 { first } else { second })
            };
            let result = settled(&trust(before), read, |_| slept.set(true));
            assert_eq!((result.roots, slept.get()), (used, first <= before / 2), "{before} {first} {second}");
        }
    }
}
