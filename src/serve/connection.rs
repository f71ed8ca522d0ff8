//! One connection: the handshake in its turn, one request, and its answer.

use std::convert::Infallible;
use std::future::poll_fn;
use std::pin::pin;
use std::sync::Arc;
use std::task::Poll;
use std::time::Duration;

use hyper::body::Body;
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper_util::rt::{TokioIo, TokioTimer};
use rustls::ServerConfig;
use rustls::server::Acceptor;
use tokio::io::{AsyncRead, AsyncWrite, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::time;
use tokio_rustls::LazyConfigAcceptor;
use tokio_rustls::server::TlsStream;
use tracing::debug;

use super::answer::{self, Request};
use super::places::{Cut, Place};
use super::{Shared, Timeouts};
use crate::access::{Client, Rules, cpu_time};

/// The least that hyper takes, and plenty for a scraper.
const HEADER_BYTES: usize = 8192;

pub async fn handle(stream: TcpStream, client: Client, place: Place, cut: Cut, shared: Arc<Shared>) {
    let served = time::timeout(shared.timeouts.connection, serve(stream, client, &place, &shared));
    tokio::select! {
        _ = served => {}
        // How a client goes away is its own affair.
        _ = cut => debug!(?client, "A connection gave way to another."),
    }
}

async fn serve(stream: TcpStream, client: Client, place: &Place, shared: &Shared) {
    let rules = shared.state.access.rules().await;
    let Some(tls) = &rules.tls else {
        return serve_http(stream, client, false, &rules, place, shared).await;
    };
    let handshake = accept_tls(stream, client, Arc::clone(tls), shared);
    if let Ok(Some(stream)) = time::timeout(shared.timeouts.headers, handshake).await {
        let is_certified = stream.get_ref().1.peer_certificates().is_some();
        serve_http(stream, client, is_certified, &rules, place, shared).await;
    }
}

/// One request to a connection: an idle client cannot hold a place for long.
pub async fn serve_http(
    stream: impl AsyncRead + AsyncWrite + Unpin,
    client: Client,
    is_certified: bool,
    rules: &Rules,
    place: &Place,
    shared: &Shared,
) {
    let service = service_fn(async |request| {
        place.working();
        let request = Request { client, is_certified, http: &request };
        let answer = answer::answer(shared, rules, request).await;
        let bytes = answer.body().size_hint().lower();
        place.answered(usize::try_from(bytes).unwrap_or(usize::MAX));
        Ok::<_, Infallible>(answer)
    });
    let connection = http1::Builder::new()
        .timer(TokioTimer::new())
        .header_read_timeout(shared.timeouts.headers)
        .max_buf_size(HEADER_BYTES)
        .keep_alive(false)
        // A client may close its side once it has asked.
        .half_close(true)
        .serve_connection(TokioIo::new(stream), service);
    let _ = connection.await;
}

/// RFC 8446, 5.1: the type of the record that every handshake begins with.
const HANDSHAKE: u8 = 22;

const NOT_ENCRYPTED: &[u8] = b"HTTP/1.1 400 Bad Request\r\nContent-Type: text/plain; charset=utf-8\r\n\
    Connection: close\r\n\r\nthis port speaks TLS: use https\n";

async fn accept_tls(
    mut stream: TcpStream,
    client: Client,
    tls: Arc<ServerConfig>,
    shared: &Shared,
) -> Option<TlsStream<TcpStream>> {
    let mut first = [0];
    if stream.peek(&mut first).await.is_ok_and(|length| length == 1) && first[0] != HANDSHAKE {
        let _ = stream.write_all(NOT_ENCRYPTED).await;
        let _ = stream.shutdown().await;
        return None;
    }
    let failed = |error: &std::io::Error| debug!(?client, %error, "TLS handshake failed.");
    let start = LazyConfigAcceptor::new(Acceptor::default(), stream).await.inspect_err(failed).ok()?;
    // So far the client did the work. A signature by an RSA key takes us milliseconds of CPU.
    let turn = shared.handshakes.take(client).await.ok()?;
    let begun = cpu_time();
    let mut handshake = pin!(start.into_stream(tls));
    let first = poll_fn(|context| Poll::Ready(handshake.as_mut().poll(context))).await;
    let cpu = cpu_time().saturating_sub(begun);
    shared.state.access.clients.charge(client, cpu);
    // The next has its turn after as long again: handshakes take at most half of a core.
    tokio::spawn(async move {
        time::sleep(cpu.min(LONGEST_REST)).await;
        drop(turn);
    });
    let accepted = match first {
        Poll::Ready(accepted) => accepted,
        Poll::Pending => handshake.await,
    };
    accepted.inspect_err(failed).ok()
}

/// Longer than any signature takes.
const LONGEST_REST: Duration = Duration::from_millis(50);

/// So that a test may be in a hurry.
impl Timeouts {
    pub const DEFAULT: Self = Self {
        headers: Duration::from_secs(5),
        connection: Duration::from_secs(10),
        // Within the time that systemd grants, and a page is rendered in milliseconds.
        grace: Duration::from_secs(1),
    };
}
