//! Looks at the files, shared by all connections that come in meanwhile.

use std::sync::{Arc, Mutex, PoisonError};

use tokio::sync::watch;

use crate::threads;

/// One look at a time, on a thread of the pool: a file system that hangs holds one thread, and a
/// thousand connections at once cost two looks.
#[derive(Debug, Default)]
pub struct Looks {
    state: Mutex<State>,
    /// How many have ended.
    ended: watch::Sender<u64>,
}

#[derive(Debug, Default)]
struct State {
    begun: u64,
    wanted: u64,
    is_running: bool,
}

impl Looks {
    /// Ends with a look that began after this was called.
    pub async fn look(self: &Arc<Self>, follow: impl Fn() + Clone + Send + 'static) {
        let (wanted, is_running) = {
            let mut state = self.state.lock().unwrap_or_else(PoisonError::into_inner);
            state.wanted = state.begun + 1;
            (state.wanted, std::mem::replace(&mut state.is_running, true))
        };
        let mut ended = self.ended.subscribe();
        if !is_running {
            tokio::spawn(Arc::clone(self).run(follow));
        }
        let _ = ended.wait_for(|ended| *ended >= wanted).await;
    }

    async fn run(self: Arc<Self>, follow: impl Fn() + Clone + Send + 'static) {
        while let Some(number) = self.next() {
            let _ = threads::SERVER.run(follow.clone()).await;
            self.ended.send_replace(number);
        }
    }

    fn next(&self) -> Option<u64> {
        let mut state = self.state.lock().unwrap_or_else(PoisonError::into_inner);
        state.is_running = state.begun < state.wanted;
        state.begun += u64::from(state.is_running);
        state.is_running.then_some(state.begun)
    }
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::{AtomicU32, Ordering};

    use futures_util::future::join_all;

    use super::*;

    #[tokio::test]
    async fn a_crowd_shares_two_looks_and_each_sees_what_was_there_before() {
        let (looks, count) = (Arc::<Looks>::default(), Arc::<AtomicU32>::default());
        let counted = Arc::clone(&count);
        let follow = move || {
            counted.fetch_add(1, Ordering::Relaxed);
        };
        join_all((0..1000).map(|_| looks.look(follow.clone()))).await;
        assert!((1..=2).contains(&count.load(Ordering::Relaxed)), "{count:?}");
        let before = count.load(Ordering::Relaxed);
        looks.look(follow).await;
        assert_eq!(count.load(Ordering::Relaxed), before + 1);
    }
}
