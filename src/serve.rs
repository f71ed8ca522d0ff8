//! The HTTP server: metrics, status page, health, reload. It renders the snapshot, never probes,
//! and is bounded in everything that a client could make grow.

mod answer;
mod page;

use std::convert::Infallible;
use std::fmt;
use std::io;
use std::sync::Arc;
use std::time::{Duration, SystemTime};

use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper_util::rt::{TokioIo, TokioTimer};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::{mpsc, oneshot, watch};
use tokio::task::JoinSet;
use tokio::time;
use tracing::warn;

use crate::report::Report;

/// What the server shows, and what it asks for: all of it handed in.
pub struct Site {
    pub report: watch::Receiver<Arc<Report>>,
    /// The clock on the wall: a report that is not renewed grows old.
    pub now: fn() -> SystemTime,
    /// Renders the metrics of a report, in the format that an `Accept` header prefers.
    pub metrics: Box<Render>,
    /// Or why the engine is stuck.
    pub healthy: Box<dyn Fn() -> Result<(), String> + Send + Sync>,
    /// Whether the checks are scheduled.
    pub ready: watch::Receiver<bool>,
    /// `None` where reloading over HTTP is turned off.
    pub reload: Option<mpsc::Sender<Reload>>,
}

type Render = dyn Fn(&Report, &str) -> Page + Send + Sync;

impl fmt::Debug for Site {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Site").finish_non_exhaustive()
    }
}

/// Where the outcome of a reload goes; an error is the text of every problem.
pub type Reload = oneshot::Sender<Result<(), String>>;

#[derive(Debug)]
pub struct Page {
    pub content_type: &'static str,
    pub body: String,
}

/// Answers until `shutdown` ends; then those who are being answered get a moment.
pub async fn serve(listener: TcpListener, site: Arc<Site>, shutdown: impl Future<Output = ()>) {
    serve_within(&LIMITS, listener, site, shutdown).await;
}

#[derive(Clone, Copy, Debug)]
struct Limits {
    connections: usize,
    headers: Duration,
    connection: Duration,
    grace: Duration,
}

const LIMITS: Limits = Limits {
    // A few scrapers and a few people; beyond that the backlog of the kernel waits.
    connections: 64,
    headers: Duration::from_secs(5),
    connection: Duration::from_secs(10),
    // Within the time that systemd grants, and a page is rendered in milliseconds.
    grace: Duration::from_secs(1),
};

/// The least that hyper takes, and plenty for a scraper.
const HEADER_BYTES: usize = 8192;

async fn serve_within(
    limits: &Limits,
    listener: TcpListener,
    site: Arc<Site>,
    shutdown: impl Future<Output = ()>,
) {
    let mut connections = JoinSet::new();
    tokio::pin!(shutdown);
    loop {
        tokio::select! {
            () = &mut shutdown => break,
            Some(_) = connections.join_next() => {}
            stream = accept(&listener), if connections.len() < limits.connections => {
                connections.spawn(converse(stream, Arc::clone(&site), *limits));
            }
        }
    }
    drop(listener);
    let rest = async { while connections.join_next().await.is_some() {} };
    // Whoever is not done by then is cut off when the set is dropped.
    let _ = time::timeout(limits.grace, rest).await;
}

async fn accept(listener: &TcpListener) -> TcpStream {
    loop {
        match listener.accept().await {
            Ok((stream, _)) => return stream,
            // That client is gone; the next may be there already.
            Err(error) if error.kind() == io::ErrorKind::ConnectionAborted => {}
            Err(error) => {
                warn!(%error, "A connection could not be accepted.");
                // Out of descriptors or memory: trying at once would only burn CPU.
                time::sleep(Duration::from_millis(500)).await;
            }
        }
    }
}

/// One request to a connection: no idle client can hold a place.
async fn converse(stream: TcpStream, site: Arc<Site>, limits: Limits) {
    let service = service_fn(move |request| {
        let site = Arc::clone(&site);
        async move { Ok::<_, Infallible>(answer::answer(&site, &request).await) }
    });
    let connection = http1::Builder::new()
        .timer(TokioTimer::new())
        .header_read_timeout(limits.headers)
        .max_buf_size(HEADER_BYTES)
        .keep_alive(false)
        .serve_connection(TokioIo::new(stream), service);
    // How a client goes away is its own affair.
    let _ = time::timeout(limits.connection, connection).await;
}

#[cfg(test)]
mod tests;
