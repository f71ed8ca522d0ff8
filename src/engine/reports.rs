//! Reports are made when they are read, on the reader's thread, and kept for a moment only: a report
//! holds the observations of its round.

use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use tokio::runtime::Handle;
use tokio::sync::watch;
use tokio::time::{Instant, sleep};

use super::Store;
use crate::attempt::now;
use crate::report::Report;

/// However many clients ask, a report is made ten times a second at most.
const FRESH: Duration = Duration::from_millis(100);

/// A report, and when it was made.
type Made = (Instant, Arc<Report>);

#[derive(Debug)]
pub struct Reports {
    store: watch::Receiver<Store>,
    last: Arc<Mutex<Option<Made>>>,
}

impl Reports {
    pub fn new(store: watch::Receiver<Store>) -> Self {
        Self { store, last: Arc::default() }
    }

    pub fn get(&self) -> Arc<Report> {
        let mut last = self.last.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some((at, report)) = &*last
            && at.elapsed() < FRESH
        {
            return Arc::clone(report);
        }
        // Diagnosed after the borrow, which holds the engine up.
        let mut report = self.store.borrow().undiagnosed(now());
        report.diagnose();
        let report = Arc::new(report);
        *last = Some((Instant::now(), Arc::clone(&report)));
        drop(last);
        self.forget_later();
        report
    }

    fn forget_later(&self) {
        let last = Arc::downgrade(&self.last);
        let forget = async move {
            sleep(FRESH).await;
            if let Some(last) = last.upgrade() {
                last.lock().unwrap_or_else(PoisonError::into_inner).take_if(|(at, _)| at.elapsed() >= FRESH);
            }
        };
        // Without a runtime nothing else would ask either.
        if let Ok(runtime) = Handle::try_current() {
            runtime.spawn(forget);
        }
    }
}

#[cfg(test)]
mod tests {
    use std::time::SystemTime;

    use super::*;
    use crate::config::Config;
    use crate::observation::Environment;
    use crate::plan::Plan;
    use crate::report::fixture;

    #[tokio::test(start_paused = true)]
    async fn reports_share_observations_and_are_made_when_read() {
        let healthy = fixture::healthy();
        let plan = Plan::new(&Config::default(), healthy.instance.as_ref());
        let store = watch::Sender::new(Store::new(&plan, SystemTime::UNIX_EPOCH, Environment::default()));
        let reports = Reports::new(store.subscribe());
        let empty = reports.get();
        for last in healthy.checks.iter().filter_map(|check| check.last.clone()) {
            store.send_modify(|store| {
                store.fold(Arc::unwrap_or_clone(last), Instant::now(), |_| ());
            });
        }
        assert!(Arc::ptr_eq(&empty, &reports.get()), "made a moment ago");
        let old = Arc::downgrade(&empty);
        drop(empty);
        assert!(old.upgrade().is_some());
        sleep(FRESH * 2).await;
        assert!(old.upgrade().is_none(), "it holds the observations of its round");
        let (first, second) = (reports.get(), store.borrow().report(SystemTime::UNIX_EPOCH));
        assert_eq!(first.state(), healthy.state());
        assert_eq!((first.checks.len(), second.checks.len()), (7, 7));
        for (one, other) in first.checks.iter().zip(&second.checks) {
            let [one, other] = [one, other].map(|check| check.last.as_ref().unwrap());
            assert!(Arc::ptr_eq(one, other), "{}", one.check);
        }
    }
}
