//! The HTTP server: metrics, status page, health, reload. It renders the snapshot, never probes,
//! and is bounded in everything that a client could make grow.

mod answer;
mod check_now;
mod connection;
mod deadline;
#[cfg(any(test, fuzzing))]
pub mod fuzz;
mod origin;
mod page;
mod places;
mod render;
mod report;
mod runbook;

use std::fmt;
use std::io;
use std::sync::{Arc, OnceLock};
use std::time::{Duration, SystemTime};

use futures_util::future::select_all;
use hyper::body::Bytes;
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::{mpsc, oneshot, watch};
use tokio::task::JoinSet;
use tokio::time;
use tracing::warn;

use crate::access::{self, Access, Client, Turns};
use crate::report::Report;
pub use check_now::CheckNow;
use connection::Session;
#[cfg(any(test, fuzzing))]
pub use page::render as page;
use places::Places;
use render::Rendered;

/// What the server shows, and what it asks for: all of it handed in.
pub struct AppState {
    pub access: Arc<Access>,
    /// The report of this moment.
    pub report: Box<dyn Fn() -> Arc<Report> + Send + Sync>,
    /// The wall clock: a report that is not renewed grows old.
    pub now: fn() -> SystemTime,
    /// The content type that an `Accept` header prefers, of those that `metrics` renders.
    pub metrics_type: fn(&str) -> &'static str,
    /// Renders the metrics of a report as that content type.
    pub metrics: Box<RenderMetrics>,
    /// Or why the engine is stuck.
    pub healthy: Box<dyn Fn() -> Result<(), String> + Send + Sync>,
    /// Whether the checks are scheduled.
    pub ready: watch::Receiver<bool>,
    /// Runs every check now. `None` where that is off over HTTP.
    pub check_now: Option<CheckNow>,
    /// What the operator should know about the configuration in use.
    pub notes: watch::Receiver<Vec<String>>,
    /// Markdown.
    pub runbook: &'static str,
    /// `None` where reloading over HTTP is turned off.
    pub reload: Option<mpsc::Sender<Reload>>,
    /// What this host calls itself.
    pub host_name: String,
}

type RenderMetrics = dyn Fn(&Report, &str) -> String + Send + Sync;

impl fmt::Debug for AppState {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("AppState").finish_non_exhaustive()
    }
}

/// Where the outcome of a reload goes. What was wrong is in the log, not in the answer: a mistake
/// quotes the configuration.
pub type Reload = oneshot::Sender<Result<(), ReloadFailed>>;

#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct ReloadFailed;

/// Answers until `shutdown` ends; then those who are being answered get a moment.
pub async fn serve(listeners: Vec<TcpListener>, state: AppState, shutdown: impl Future<Output = ()>) {
    serve_within(Shared::new(state, LIMITS, Timeouts::DEFAULT), listeners, shutdown).await;
}

/// A few scrapers and a few people need ten places; an answer of 100 checks has 100 kB.
const LIMITS: places::Limits = places::Limits { places: 128, per_client: 32, reserved: 4, bytes: 8 << 20 };

/// At most one for each place.
const HANDSHAKES: access::Limits = access::Limits { waiting: 128, per_client: 32 };

#[derive(Clone, Copy, Debug)]
struct Timeouts {
    headers: Duration,
    /// For one request and its answer.
    connection: Duration,
    /// Between the requests of a client that has authenticated.
    idle: Duration,
    grace: Duration,
}

/// What all connections share.
struct Shared {
    state: AppState,
    timeouts: Timeouts,
    places: Places,
    handshakes: Turns,
    rendered: Rendered,
    /// As a page, once someone has read it.
    runbook: OnceLock<Bytes>,
    reloads: std::sync::Mutex<access::Bucket>,
    stop: watch::Sender<bool>,
}

impl Shared {
    fn new(state: AppState, limits: places::Limits, timeouts: Timeouts) -> Self {
        let clients = || Arc::clone(&state.access.clients);
        Self {
            timeouts,
            places: Places::new(limits, clients()),
            handshakes: Turns::new(clients(), HANDSHAKES),
            rendered: Rendered::default(),
            runbook: OnceLock::new(),
            reloads: std::sync::Mutex::default(),
            stop: watch::Sender::default(),
            state,
        }
    }

    async fn stopping(&self) {
        let _ = self.stop.subscribe().wait_for(|stop| *stop).await;
    }
}

async fn serve_within(shared: Shared, mut listeners: Vec<TcpListener>, shutdown: impl Future<Output = ()>) {
    let shared = Arc::new(shared);
    let mut connections = JoinSet::new();
    tokio::pin!(shutdown);
    loop {
        tokio::select! {
            () = &mut shutdown => break,
            Some(_) = connections.join_next() => {}
            (stream, client) = accept(&mut listeners) => {
                // Where every place is busy, the connection is closed at once.
                if let Some((place, cut)) = shared.places.enter(client) {
                    let session = Session::new(client, place, Arc::clone(&shared));
                    connections.spawn(connection::handle(stream, cut, session));
                }
            }
        }
    }
    drop(listeners);
    shared.stop.send_replace(true);
    let rest = async { while connections.join_next().await.is_some() {} };
    // Connections that are not done by then are cut off when the set is dropped.
    let _ = time::timeout(shared.timeouts.grace, rest).await;
}

async fn accept(listeners: &mut [TcpListener]) -> (TcpStream, Client) {
    loop {
        let (accepted, listener, _) =
            select_all(listeners.iter().map(|listener| Box::pin(listener.accept()))).await;
        match accepted {
            Ok((stream, peer)) => {
                // A busy address comes last, so that it does not starve the others.
                listeners.rotate_left(listener + 1);
                return (stream, Client::from(peer.ip()));
            }
            // That client is gone; the next may be there already.
            Err(error) if error.kind() == io::ErrorKind::ConnectionAborted => {}
            Err(error) => {
                warn!(%error, "Cannot accept a connection.");
                // Out of descriptors or memory: trying at once would only burn CPU.
                time::sleep(Duration::from_millis(500)).await;
            }
        }
    }
}

#[cfg(test)]
mod tests;
