//! The metrics in a file, for node_exporter where Prometheus cannot reach our own port.

use std::io;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use tokio::sync::watch;
use tokio::time::sleep;
use tracing::{info, warn};

use super::output;
use crate::engine::{Reports, Store};
use crate::metrics::Metrics;
use crate::threads;

/// Scrapers do not read more often, and a large estate has observations all the time.
const PAUSE: Duration = Duration::from_secs(5);

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
    threads::CHECKS.run(move || output::publish(&path, &page)).await?
}
