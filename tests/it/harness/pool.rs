//! Labs that are up already: bringing one up takes as long as a whole run in it.

use std::ops::Deref;
use std::sync::{Mutex, MutexGuard, PoisonError, RwLock, RwLockReadGuard, RwLockWriteGuard};
use std::thread;

use crate::lab::{Lab, Names};

static IDLE: Mutex<Vec<Lab>> = Mutex::new(Vec::new());
static MACHINE: RwLock<()> = RwLock::new(());

/// A healthy lab for one test; it goes back when the test is over.
pub struct Borrowed {
    lab: Option<Lab>,
    // Released after the lab.
    _machine: Share,
}

/// What others may do meanwhile.
enum Share {
    Beside { _lock: RwLockReadGuard<'static, ()> },
    Alone { _lock: RwLockWriteGuard<'static, ()> },
}

/// One that is up already, beside other tests.
pub fn lab() -> Borrowed {
    borrow(Share::Beside { _lock: MACHINE.read().unwrap_or_else(PoisonError::into_inner) })
}

/// While no other test runs the agent: for what measures time.
pub fn quiet_lab() -> Borrowed {
    borrow(Share::Alone { _lock: MACHINE.write().unwrap_or_else(PoisonError::into_inner) })
}

/// One that nothing else uses, for daemons and for tests that take long: measurements do not wait
/// for it.
pub fn own_lab() -> Lab {
    Lab::start().unwrap_or_else(|error| panic!("{error}"))
}

fn borrow(share: Share) -> Borrowed {
    let idle = idle().pop();
    let lab = idle.unwrap_or_else(own_lab);
    lab.set([]);
    lab.names(&Names::default());
    lab.nat64(false);
    lab.clear_requests();
    lab.answer_signed(None);
    Borrowed { lab: Some(lab), _machine: share }
}

fn idle() -> MutexGuard<'static, Vec<Lab>> {
    IDLE.lock().unwrap_or_else(PoisonError::into_inner)
}

impl Deref for Borrowed {
    type Target = Lab;

    fn deref(&self) -> &Lab {
        self.lab.as_ref().expect("only drop takes the lab away")
    }
}

impl Drop for Borrowed {
    fn drop(&mut self) {
        // Whatever failed may have left it in no good state.
        let lab = self.lab.take().filter(|_| !thread::panicking());
        idle().extend(lab);
    }
}
