//! The metrics in a file, for node_exporter where Prometheus cannot reach our own port.

use std::fs::{self, File};
use std::io::{self, Read};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use tokio::sync::watch;
use tokio::time::{sleep, timeout};
use tracing::{info, warn};

use super::output;
use crate::engine::{Reports, Store};
use crate::metrics::Metrics;
use crate::threads;

/// Scrapers do not read more often, and a large estate has observations all the time.
const PAUSE: Duration = Duration::from_secs(5);

/// How long a write may take before a warning says so.
const PATIENCE: Duration = Duration::from_secs(10);

/// Every page of ours starts so.
const START: &[u8] = b"# HELP linkproof_";

/// Writes it anew whenever something was seen, for as long as there is something to see. If the
/// engine hangs, the file stands still, which `linkproof_check_last_run_timestamp_seconds` tells.
pub async fn keep(path: PathBuf, metrics: Arc<Metrics>, mut store: watch::Receiver<Store>) {
    let reports = Reports::new(store.clone());
    let mut works = true;
    loop {
        store.mark_unchanged();
        let page = metrics.textfile(&reports.get());
        let written = publish(path.clone(), page).await;
        // Once for each change, not once for each attempt.
        match &written {
            Ok(()) if !works => info!(file = %path.display(), "The textfile is written again."),
            Err(error) if works => warn!(%error, "The textfile could not be written."),
            Ok(()) | Err(_) => {}
        }
        works = written.is_ok();
        sleep(PAUSE).await;
        if store.changed().await.is_err() {
            return;
        }
    }
}

/// A slow disk must not stop the engine, which shares our thread.
async fn publish(path: PathBuf, page: String) -> io::Result<()> {
    let slow = format!("{} is not written after {} s", path.display(), PATIENCE.as_secs());
    let write =
        threads::TEXTFILE.run(move || check_content(&path).and_then(|()| output::publish(&path, &page)));
    timeout(PATIENCE, write).await.map_err(|_| io::Error::other(slow))??
}

/// The configuration may name a file of another program, which would be lost.
fn check_content(path: &Path) -> io::Result<()> {
    let is_file = fs::metadata(path).is_ok_and(|file| file.is_file());
    if !is_file {
        return Ok(());
    }
    let refuse = |why: &str| Err(io::Error::other(format!("{} is left as it is: {why}", path.display())));
    let mut start = Vec::new();
    let read = File::open(path).and_then(|file| file.take(START.len() as u64).read_to_end(&mut start));
    match read {
        Err(error) => refuse(&format!("it cannot be read ({error})")),
        Ok(_) if start.is_empty() || start == START => Ok(()),
        Ok(_) => {
            refuse("it does not hold linkproof's metrics; remove it, or set another path in [web] textfile")
        }
    }
}
