//! The HTTP server: metrics, status page, health, reload. It renders the snapshot, never probes,
//! and is bounded in everything that a client could make grow.

mod answer;
mod page;

use std::convert::Infallible;
use std::fmt;
use std::io;
use std::sync::Arc;
use std::time::{Duration, SystemTime};

use futures_util::future::select_all;
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper_util::rt::{TokioIo, TokioTimer};
use rustls::ServerConfig;
use tokio::io::{AsyncRead, AsyncWrite, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::{mpsc, oneshot, watch};
use tokio::task::JoinSet;
use tokio::time;
use tokio_rustls::TlsAcceptor;
use tracing::{debug, warn};

use crate::access::{Access, Rules};
use crate::report::Report;

/// What the server shows, and what it asks for: all of it handed in.
pub struct AppState {
    pub access: Arc<Access>,
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

impl fmt::Debug for AppState {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("AppState").finish_non_exhaustive()
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
pub async fn serve(listeners: Vec<TcpListener>, state: Arc<AppState>, shutdown: impl Future<Output = ()>) {
    serve_within(&LIMITS, listeners, state, shutdown).await;
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
    mut listeners: Vec<TcpListener>,
    state: Arc<AppState>,
    shutdown: impl Future<Output = ()>,
) {
    let mut connections = JoinSet::new();
    tokio::pin!(shutdown);
    loop {
        tokio::select! {
            () = &mut shutdown => break,
            Some(_) = connections.join_next() => {}
            stream = accept(&mut listeners), if connections.len() < limits.connections => {
                connections.spawn(handle(stream, Arc::clone(&state), *limits));
            }
        }
    }
    drop(listeners);
    let rest = async { while connections.join_next().await.is_some() {} };
    // Whoever is not done by then is cut off when the set is dropped.
    let _ = time::timeout(limits.grace, rest).await;
}

async fn accept(listeners: &mut [TcpListener]) -> TcpStream {
    loop {
        let (accepted, listener, _) =
            select_all(listeners.iter().map(|listener| Box::pin(listener.accept()))).await;
        match accepted {
            Ok((stream, _)) => {
                // A busy address comes last, so that it does not starve the others.
                listeners.rotate_left(listener + 1);
                return stream;
            }
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
async fn handle(stream: TcpStream, state: Arc<AppState>, limits: Limits) {
    let serve_http = async {
        let rules = state.access.rules();
        let Some(tls) = &rules.tls else {
            return serve_http(stream, &state, &rules, false, limits).await;
        };
        // How a client goes away is its own affair.
        if let Ok(Some(stream)) = time::timeout(limits.headers, accept_tls(stream, Arc::clone(tls))).await {
            let certified = stream.get_ref().1.peer_certificates().is_some();
            serve_http(stream, &state, &rules, certified, limits).await;
        }
    };
    let _ = time::timeout(limits.connection, serve_http).await;
}

async fn serve_http(
    stream: impl AsyncRead + AsyncWrite + Unpin,
    state: &AppState,
    rules: &Rules,
    certified: bool,
    limits: Limits,
) {
    let service = service_fn(async |request| {
        Ok::<_, Infallible>(answer::answer(state, rules, certified, &request).await)
    });
    let connection = http1::Builder::new()
        .timer(TokioTimer::new())
        .header_read_timeout(limits.headers)
        .max_buf_size(HEADER_BYTES)
        .keep_alive(false)
        .serve_connection(TokioIo::new(stream), service);
    let _ = connection.await;
}

/// RFC 8446, 5.1: the type of the record that every handshake begins with.
const HANDSHAKE: u8 = 22;

const NOT_ENCRYPTED: &[u8] = b"HTTP/1.1 400 Bad Request\r\nContent-Type: text/plain; charset=utf-8\r\n\
    Connection: close\r\n\r\nthis port speaks TLS: use https\n";

async fn accept_tls(
    mut stream: TcpStream,
    tls: Arc<ServerConfig>,
) -> Option<tokio_rustls::server::TlsStream<TcpStream>> {
    let mut first = [0];
    if stream.peek(&mut first).await.is_ok_and(|length| length == 1) && first[0] != HANDSHAKE {
        let _ = stream.write_all(NOT_ENCRYPTED).await;
        return None;
    }
    let peer = stream.peer_addr().ok();
    TlsAcceptor::from(tls)
        .accept(stream)
        .await
        .inspect_err(|error| debug!(?peer, %error, "A TLS handshake came to nothing."))
        .ok()
}

#[cfg(test)]
mod tests;
