//! How long after its due time a run starts, at 100 probes a second.

use std::path::Path;
use std::thread::{available_parallelism, sleep};
use std::time::Duration;

use crate::Length;
use crate::daemon::{ADDRESSES, Daemon};
use crate::figure::Figure;
use crate::lab::{Child, Lab, Run};

const PROBES_PER_SECOND: usize = 100;
const INTERVAL: Duration = Duration::from_secs(3);
const ENDPOINTS: usize = PROBES_PER_SECOND * INTERVAL.as_secs() as usize / ADDRESSES;

const BUCKET: &str = "linkproof_check_start_delay_seconds_bucket{le=\"";

pub fn measure(lab: &Lab, binary: &Path, scratch: &Path, length: &Length) -> Vec<Figure> {
    let &Length { rounds, window } = length;
    let daemon = Daemon::start(lab, binary, scratch, (ENDPOINTS, INTERVAL), 10042);
    let percentiles = || (0..rounds).map(|_| p99_while(&daemon, || sleep(window)) * 1e3).collect();
    let what = |state: &str| format!("Delay of a start, p99, {PROBES_PER_SECOND} probes a second, {state}");
    let idle = Figure::new(what("idle"), "ms", percentiles()).at_most(5.0);
    let _busy: Vec<Child> = (0..available_parallelism().unwrap().get())
        .map(|_| lab.spawn(&Run::new("sh").args(["-c", "while :; do :; done"])))
        .collect();
    vec![idle, Figure::new(what("all cores busy"), "ms", percentiles()).at_most(5.0)]
}

/// Of the runs that start until the closure returns.
fn p99_while(daemon: &Daemon<'_>, wait: impl FnOnce()) -> f64 {
    let before = buckets(&daemon.page());
    wait();
    let after = buckets(&daemon.page());
    let counts: Vec<(f64, f64)> =
        after.iter().zip(&before).map(|((le, after), (_, before))| (*le, after - before)).collect();
    quantile(0.99, &counts)
}

/// Upper limits, with how many runs started within each.
fn buckets(page: &str) -> Vec<(f64, f64)> {
    let bucket = |line: &str| {
        let (limit, count) = line.strip_prefix(BUCKET)?.split_once("\"} ")?;
        Some((limit.parse().ok()?, count.parse().ok()?))
    };
    page.lines().filter_map(bucket).collect()
}

/// As Prometheus's `histogram_quantile` computes it.
fn quantile(quantile: f64, buckets: &[(f64, f64)]) -> f64 {
    let all = buckets.last().expect("the page has the histogram").1;
    assert!(all > 0.0, "no run started");
    let rank = quantile * all;
    let at = buckets.iter().position(|(_, count)| *count >= rank).expect("the last has all");
    let (from, below) = if at == 0 { (0.0, 0.0) } else { buckets[at - 1] };
    let (to, within) = buckets[at];
    if to.is_infinite() { from } else { from + (to - from) * (rank - below) / (within - below) }
}
