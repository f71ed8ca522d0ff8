//! One HTTP/1.1 exchange on a socket of its own: every phase is timed, and whatever the peer
//! sends is bounded by the bytes that are held. Nothing is pooled, proxied, retried or resumed.

use std::error::Error;
use std::fmt;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use http_body_util::{BodyExt, Full};
use hyper::body::{Body, Bytes};
use hyper::client::conn::http1;
use hyper::header::{CONNECTION, DATE, HOST, HeaderValue};
use hyper::{Request, Response, Uri};
use hyper_util::rt::TokioIo;
use rustls::pki_types::ServerName;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::TcpStream;
use tokio::time::{Instant, timeout, timeout_at};
use tokio_rustls::TlsConnector;
use tokio_rustls::client::TlsStream;

use super::failure::{Stage, trouble};
use super::tcp_info::{NotDelivered, explains, is_any_kept_back, tcp_round_trip};
use super::trust::{HandshakeRecord, Trust};
use crate::observation::{Certificate, Phase, Phases, ProbeError};
use crate::threads;

/// Hyper's own default is 400 KiB, for each of many connections.
const HEAD_BYTES: usize = 32 * 1024;
const HEADERS: usize = 100;

pub type BoxError = Box<dyn Error + Send + Sync>;

/// Where a request goes, until when, and how much of an answer is read.
#[derive(Clone, Copy, Debug)]
pub struct Route<'a> {
    pub trust: &'a Trust,
    /// The address to connect to, whatever the request's host resolves to.
    pub pin: Option<SocketAddr>,
    pub deadline: Instant,
    pub body_limit: usize,
}

/// What a request saw on its way, kept whether or not it arrived.
#[derive(Clone, Debug, Default)]
pub struct Trace {
    pub host: String,
    pub peer: Option<SocketAddr>,
    pub phases: Phases,
    /// The TCP phase by the kernel's clock.
    pub kernel_tcp: Option<Duration>,
    pub certificate: Option<Certificate>,
    pub http_status: Option<u16>,
    pub date: Option<String>,
    pub error: Option<ProbeError>,
}

/// A body that is larger than any answer to this request can be.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct TooLarge {
    pub limit: usize,
}

impl fmt::Display for TooLarge {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "the body is larger than {} KiB", self.limit / 1024)
    }
}

impl Error for TooLarge {}

/// Why the request was not answered: `trace.error` has the reason, this the library's own error.
#[derive(Debug)]
pub enum Unanswered {
    Failed(BoxError),
    TimedOut(tokio::time::error::Elapsed),
}

pub async fn exchange(
    route: Route<'_>,
    request: Request<Bytes>,
) -> (Result<Response<Bytes>, Unanswered>, Trace) {
    let mut trace = Trace::default();
    let mut stage = Stage::Tcp;
    let record = Arc::new(HandshakeRecord::default());
    let carried = carry(route, request, &record, &mut trace, &mut stage);
    let (result, error) = match timeout_at(route.deadline, carried).await {
        Ok(Ok(response)) => (Ok(response), None),
        Ok(Err(error)) => {
            let trouble = trouble(stage, error.as_ref(), &record);
            (Err(Unanswered::Failed(error)), Some(trouble))
        }
        Err(elapsed) => {
            let trouble = ProbeError { reason: stage.timeout(), detail: stage.silence().to_owned() };
            (Err(Unanswered::TimedOut(elapsed)), Some(trouble))
        }
    };
    trace.certificate = record.certificate();
    trace.error = error;
    (result, trace)
}

/// Opens a connection, with TLS where asked, and closes it: nothing is sent over it.
pub async fn open(trust: &Trust, host: &str, peer: SocketAddr, with_tls: bool, limit: Duration) -> Trace {
    let mut trace = Trace { host: host.to_owned(), ..Trace::default() };
    let mut stage = Stage::Tcp;
    let record = Arc::new(HandshakeRecord::default());
    let opened = async {
        let tcp = dial(peer, &mut trace).await?;
        if with_tls {
            stage = Stage::Tls;
            handshake(trust, host, tcp, &record, &mut trace).await?;
        }
        Ok::<(), BoxError>(())
    };
    let mut opened = Box::pin(opened);
    let waited = timeout(limit, &mut opened).await;
    // While the socket is there: the kernel is asked about it.
    let is_kept_back = waited.is_err() && is_any_kept_back(peer);
    let not_delivered = is_kept_back.then_some(NotDelivered::KeptBack);
    drop(opened);
    let error = match waited {
        Ok(Ok(())) => None,
        Ok(Err(error)) => Some(trouble(stage, error.as_ref(), &record)),
        Err(_) => Some(stage.silent(not_delivered, stage.silence())),
    };
    trace.certificate = record.certificate();
    trace.error = error;
    trace
}

async fn dial(peer: SocketAddr, trace: &mut Trace) -> Result<TcpStream, BoxError> {
    let clock = Instant::now();
    let tcp = TcpStream::connect(peer).await?;
    let took = clock.elapsed();
    trace.peer = Some(tcp.peer_addr()?);
    trace.phases.push((Phase::Tcp, took));
    trace.kernel_tcp = tcp_round_trip(tcp.local_addr()?, peer).filter(|kernel| explains(*kernel, took));
    tcp.set_nodelay(true)?;
    Ok(tcp)
}

async fn handshake(
    trust: &Trust,
    host: &str,
    tcp: TcpStream,
    record: &Arc<HandshakeRecord>,
    trace: &mut Trace,
) -> Result<TlsStream<TcpStream>, BoxError> {
    let clock = Instant::now();
    let connector = TlsConnector::from(Arc::new(trust.client(record)?));
    let tls = connector.connect(ServerName::try_from(host.to_owned())?, tcp).await?;
    trace.phases.push((Phase::Tls, clock.elapsed()));
    Ok(tls)
}

async fn carry(
    route: Route<'_>,
    request: Request<Bytes>,
    record: &Arc<HandshakeRecord>,
    trace: &mut Trace,
    stage: &mut Stage,
) -> Result<Response<Bytes>, BoxError> {
    let target = Target::of(request.uri())?;
    trace.host.clone_from(&target.host);
    let peer = match route.pin {
        Some(peer) => peer,
        None => target.look_up().await?,
    };
    let tcp = dial(peer, trace).await?;
    if !target.tls {
        return send(tcp, request, target, route.body_limit, trace, stage).await;
    }
    *stage = Stage::Tls;
    let tls = handshake(route.trust, &target.host, tcp, record, trace).await?;
    send(tls, request, target, route.body_limit, trace, stage).await
}

async fn send<S: AsyncRead + AsyncWrite + Unpin + Send + 'static>(
    stream: S,
    mut request: Request<Bytes>,
    target: Target,
    body_limit: usize,
    trace: &mut Trace,
    stage: &mut Stage,
) -> Result<Response<Bytes>, BoxError> {
    *stage = Stage::Response;
    let clock = Instant::now();
    request.headers_mut().insert(HOST, HeaderValue::from_str(&target.authority)?);
    request.headers_mut().insert(CONNECTION, HeaderValue::from_static("close"));
    *request.uri_mut() = target.path;
    let (mut sender, connection) = http1::Builder::new()
        .max_buf_size(HEAD_BYTES)
        .max_headers(HEADERS)
        .handshake(TokioIo::new(stream))
        .await?;
    let exchange = async {
        let response = sender.send_request(request.map(Full::new)).await?;
        trace.phases.push((Phase::Response, clock.elapsed()));
        trace.http_status = Some(response.status().as_u16());
        trace.date = response.headers().get(DATE).and_then(|date| date.to_str().ok()).map(str::to_owned);
        *stage = Stage::Body;
        let (head, body) = response.into_parts();
        Ok::<_, BoxError>(Response::from_parts(head, collect(body, body_limit).await?))
    };
    // Driven side by side and dropped together, so that no task outlives the attempt.
    tokio::pin!(exchange, connection);
    let mut connected = true;
    loop {
        tokio::select! {
            response = &mut exchange => return response,
            _ = &mut connection, if connected => connected = false,
        }
    }
}

/// Copied into one buffer: a frame of one byte otherwise holds the whole read that it came in.
async fn collect<B>(body: B, limit: usize) -> Result<Bytes, BoxError>
where
    B: Body<Data = Bytes> + Unpin,
    B::Error: Into<BoxError>,
{
    let mut body = body;
    let mut collected = Vec::new();
    while let Some(frame) = body.frame().await {
        let Ok(data) = frame.map_err(Into::into)?.into_data() else { continue };
        if collected.len() + data.len() > limit {
            return Err(TooLarge { limit }.into());
        }
        collected.extend_from_slice(&data);
    }
    Ok(collected.into())
}

/// Where a request goes, taken apart from its absolute URI.
struct Target {
    host: String,
    port: u16,
    authority: String,
    tls: bool,
    path: Uri,
}

impl Target {
    fn of(uri: &Uri) -> Result<Self, BoxError> {
        let host = uri.host().ok_or("a request without a host")?;
        let tls = uri.scheme_str() == Some("https");
        let path = uri.path_and_query().map_or("/", |path| path.as_str()).parse()?;
        Ok(Self {
            host: host.trim_start_matches('[').trim_end_matches(']').to_owned(),
            port: uri.port_u16().unwrap_or(if tls { 443 } else { 80 }),
            authority: uri.authority().map_or(host, |authority| authority.as_str()).to_owned(),
            tls,
            path,
        })
    }

    /// Only for credential sources: a check's own request is always pinned.
    async fn look_up(&self) -> Result<SocketAddr, BoxError> {
        let found = threads::addresses(&self.host, self.port).await?;
        Ok(*found.first().ok_or_else(|| format!("{} has no address", self.host))?)
    }
}

/// What comes of these bytes, where a server sends them as its answer.
#[cfg(any(test, fuzzing))]
pub async fn fuzz(bytes: &[u8]) -> (Option<Response<Bytes>>, Trace) {
    use tokio::io::AsyncWriteExt;

    let (ours, mut theirs) = tokio::io::duplex(bytes.len() + 4096);
    let uri = Uri::from_static("http://monitoring.us-east-1.amazonaws.com/");
    let Ok(target) = Target::of(&uri) else { return Default::default() };
    let _ = theirs.write_all(bytes).await;
    let _ = theirs.shutdown().await;
    let (mut trace, mut stage) = (Trace::default(), Stage::Tcp);
    let request = Request::new(Bytes::new());
    let result = send(ours, request, target, 64 * 1024, &mut trace, &mut stage).await;
    if let Err(error) = &result {
        trace.error = Some(trouble(stage, error.as_ref(), &HandshakeRecord::default()));
    }
    (result.ok(), trace)
}

#[cfg(test)]
mod tests {
    use std::convert::Infallible;
    use std::pin::Pin;
    use std::task::{Context, Poll};

    use hyper::body::Frame;

    use super::*;

    /// So many frames of one byte.
    struct Dripping(usize);

    impl Body for Dripping {
        type Data = Bytes;
        type Error = Infallible;

        fn poll_frame(
            mut self: Pin<&mut Self>,
            _: &mut Context<'_>,
        ) -> Poll<Option<Result<Frame<Bytes>, Infallible>>> {
            let frame = self.0.checked_sub(1).map(|left| {
                self.0 = left;
                Ok(Frame::data(Bytes::from_static(b".")))
            });
            Poll::Ready(frame)
        }
    }

    #[tokio::test]
    async fn body_is_whole_or_too_large() {
        assert_eq!(collect(Dripping(1024), 1024).await.unwrap().len(), 1024);
        let error = collect(Dripping(usize::MAX), 1024).await.unwrap_err();
        assert_eq!(error.downcast_ref::<TooLarge>(), Some(&TooLarge { limit: 1024 }));
    }
}
