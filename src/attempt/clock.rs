//! When an attempt began, and how late our runtime was while it ran.

use std::pin::pin;
use std::time::{Duration, SystemTime};

use tokio::time::{Instant, sleep_until};

/// By the wall clock, and by one that never jumps.
#[derive(Clone, Copy, Debug)]
pub struct Clock {
    pub started_at: SystemTime,
    pub instant: Instant,
    /// What the attempt waits for at most: its timeout, or its window.
    pub wait: Duration,
    /// At worst: from when a timer was due until it was served.
    pub late: Duration,
}

/// Lateness matters beyond a tenth of the wait; a fiftieth shows it, at 50 wake-ups for a timeout.
const BEATS: u32 = 50;
const SHORTEST_BEAT: Duration = Duration::from_millis(2);

impl Clock {
    pub fn start(wait: Duration) -> Self {
        Self { started_at: now(), instant: Instant::now(), wait, late: Duration::ZERO }
    }

    /// Runs a probe, and watches meanwhile how late timers of this runtime fire.
    pub async fn watch<T>(&mut self, look: impl Future<Output = T>) -> T {
        let mut look = pin!(look);
        let beat = (self.wait / BEATS).max(SHORTEST_BEAT);
        loop {
            let due = Instant::now() + beat;
            tokio::select! {
                // First, so that what has arrived is read before time runs out.
                biased;
                seen = &mut look => {
                    self.note(due);
                    return seen;
                }
                () = sleep_until(due) => self.note(due),
            }
        }
    }

    fn note(&mut self, due: Instant) {
        self.late = self.late.max(Instant::now().saturating_duration_since(due));
    }
}

/// The one place that reads the wall clock.
#[expect(clippy::disallowed_methods, reason = "observations are stamped here and nowhere else")]
pub fn now() -> SystemTime {
    SystemTime::now()
}

#[cfg(test)]
mod tests {
    use std::thread;

    use tokio::task::yield_now;
    use tokio::time::sleep;

    use super::*;

    const WAIT: Duration = Duration::from_secs(1);

    #[tokio::test(start_paused = true)]
    async fn a_runtime_on_time_is_not_late() {
        let mut clock = Clock::start(WAIT);
        clock.watch(sleep(WAIT)).await;
        // Timers have a resolution of a millisecond.
        assert!(clock.late <= Duration::from_millis(1), "{:?}", clock.late);
    }

    #[tokio::test]
    async fn a_thread_that_is_held_up_is_late_wherever_it_happens() {
        let hold_up = || thread::sleep(Duration::from_millis(300));
        let at_the_end = async { hold_up() };
        let in_between = async {
            hold_up();
            sleep(Duration::from_millis(50)).await;
        };
        let elsewhere = async {
            tokio::spawn(async move { hold_up() });
            yield_now().await;
            sleep(Duration::from_millis(50)).await;
        };
        let mut clocks = [Clock::start(WAIT); 3];
        clocks[0].watch(at_the_end).await;
        clocks[1].watch(in_between).await;
        clocks[2].watch(elsewhere).await;
        // But for the beat that was running when it began.
        for clock in clocks {
            assert!(clock.late >= Duration::from_millis(250), "{clocks:?}");
        }
    }
}
