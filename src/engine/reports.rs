//! Reports are made when they are read, on the reader's thread.

use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use tokio::sync::watch;
use tokio::time::Instant;

use super::Store;
use crate::attempt::now;
use crate::report::Report;

/// However many clients ask, a report is made ten times a second at most.
const FRESH: Duration = Duration::from_millis(100);

#[derive(Debug)]
pub struct Reports {
    store: watch::Receiver<Store>,
    last: Mutex<Option<(Instant, Arc<Report>)>>,
}

impl Reports {
    pub fn new(store: watch::Receiver<Store>) -> Self {
        Self { store, last: Mutex::default() }
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
        report
    }
}

#[cfg(test)]
mod tests {
    use std::time::SystemTime;

    use tokio::time::advance;

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
        advance(FRESH).await;
        let (first, second) = (reports.get(), store.borrow().report(SystemTime::UNIX_EPOCH));
        assert_eq!(first.state(), healthy.state());
        assert_eq!((first.checks.len(), second.checks.len()), (7, 7));
        for (one, other) in first.checks.iter().zip(&second.checks) {
            let [one, other] = [one, other].map(|check| check.last.as_ref().unwrap());
            assert!(Arc::ptr_eq(one, other), "{}", one.check);
        }
    }
}
