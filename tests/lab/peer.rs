//! What the lab's servers share: the behaviour in force, the log, and bounds on
//! connections, time and bodies.

use std::convert::Infallible;
use std::future::Future;
use std::io;
use std::net::SocketAddr;
use std::pin::Pin;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::task::{Context, Poll};
use std::time::Duration;

use http_body_util::{BodyExt, Limited};
use hyper::body::{Body, Bytes, Frame, Incoming, SizeHint};
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper_util::rt::TokioIo;
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::Semaphore;
use tokio::time::{Sleep, sleep, timeout};

use super::behaviour::Behaviour;
use super::certificates::Certificates;
use super::request::Log;

/// More than any agent opens at a time.
const CONNECTIONS: usize = 256;
/// Longer than any time-out that is tested against a silent server.
pub const CONNECTION_LIFETIME: Duration = Duration::from_mins(2);
const BODY_BYTES: usize = 64 * 1024;

/// State that all servers of a lab share.
pub struct Peers {
    behaviour: Mutex<Behaviour>,
    canned: Mutex<Option<Canned>>,
    endless: Mutex<Option<Endless>>,
    connections: AtomicU64,
    pub certificates: Certificates,
    pub log: Log,
}

impl Peers {
    pub fn new(behaviour: Behaviour, certificates: Certificates) -> Self {
        Self {
            behaviour: Mutex::new(behaviour),
            canned: Mutex::default(),
            endless: Mutex::default(),
            connections: AtomicU64::new(0),
            certificates,
            log: Log::default(),
        }
    }

    pub fn behaviour(&self) -> Behaviour {
        self.behaviour.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    pub fn behave(&self, behaviour: Behaviour) {
        *self.behaviour.lock().unwrap_or_else(PoisonError::into_inner) = behaviour;
    }

    pub fn canned(&self) -> Option<Canned> {
        self.canned.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    pub fn can(&self, canned: Option<Canned>) {
        *self.canned.lock().unwrap_or_else(PoisonError::into_inner) = canned;
    }

    pub fn endless(&self) -> Option<Endless> {
        *self.endless.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub fn go_on(&self, endless: Option<Endless>) {
        *self.endless.lock().unwrap_or_else(PoisonError::into_inner) = endless;
    }

    pub fn next_connection(&self) -> u64 {
        self.connections.fetch_add(1, Ordering::Relaxed) + 1
    }
}

/// What the endpoint answers to every signed request, in place of anything sensible.
#[derive(Clone, Debug)]
pub struct Canned {
    pub status: u16,
    pub content_type: &'static str,
    pub body: Bytes,
    /// How many bytes a chunk of it has; all at once where there is none.
    pub chunk: Option<usize>,
}

impl Canned {
    pub fn response(&self) -> hyper::Response<Payload> {
        let body = match self.chunk {
            Some(size) => Payload::chunked(self.body.clone(), size),
            None => Payload::whole(self.body.clone()),
        };
        hyper::Response::builder()
            .status(self.status)
            .header("content-type", self.content_type)
            .header("smithy-protocol", "rpc-v2-cbor")
            .header("x-amzn-requestid", "00000000-0000-4000-8000-000000000000")
            .body(body)
            .expect("the lab's answers are valid")
    }
}

/// What of the endpoint's answers never ends.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Endless {
    Head,
    Body,
}

/// Answers for as long as the client reads.
pub async fn answer_endlessly<S: AsyncRead + AsyncWrite + Unpin>(mut stream: S, endless: Endless) {
    let padding = "p".repeat(1000);
    let (head, again) = match endless {
        Endless::Head => ("HTTP/1.1 200 OK\r\n", format!("x-padding: {padding}\r\n")),
        Endless::Body => {
            ("HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n", format!("3e8\r\n{padding}\r\n"))
        }
    };
    let _ = stream.read(&mut [0; 8192]).await;
    let mut written = stream.write_all(head.as_bytes()).await;
    while written.is_ok() {
        written = stream.write_all(again.as_bytes()).await;
    }
}

/// Both ends of a connection, as IPv4 where they are.
#[derive(Clone, Copy, Debug)]
pub struct Ends {
    pub local: SocketAddr,
    pub peer: SocketAddr,
}

/// Accepts connections for as long as the lab lives, each with a limited lifetime.
pub async fn accept<F, Served>(listener: std::net::TcpListener, serve: F) -> io::Result<()>
where
    F: Fn(TcpStream, Ends) -> Served,
    Served: Future<Output = ()> + Send + 'static,
{
    listener.set_nonblocking(true)?;
    let listener = TcpListener::from_std(listener)?;
    let places = Arc::new(Semaphore::new(CONNECTIONS));
    loop {
        let Ok(place) = Arc::clone(&places).acquire_owned().await else {
            return Ok(());
        };
        let Ok((stream, peer)) = listener.accept().await else {
            // Out of file descriptors, most likely: some will come free.
            sleep(Duration::from_millis(10)).await;
            continue;
        };
        // Otherwise every other answer waits 40 ms for an acknowledgement.
        let (Ok(local), Ok(())) = (stream.local_addr(), stream.set_nodelay(true)) else {
            continue;
        };
        let ends = Ends { local: canonical(local), peer: canonical(peer) };
        let served = serve(stream, ends);
        tokio::spawn(async move {
            // A connection that is still open by then is nobody's any more.
            let _ = timeout(CONNECTION_LIFETIME, served).await;
            drop(place);
        });
    }
}

fn canonical(address: SocketAddr) -> SocketAddr {
    SocketAddr::new(address.ip().to_canonical(), address.port())
}

/// Speaks HTTP/1.1 until either side ends it.
pub async fn http<S, F, Answered>(stream: S, answer: F)
where
    S: AsyncRead + AsyncWrite + Unpin + Send + 'static,
    F: Fn(hyper::Request<Incoming>) -> Answered,
    Answered: Future<Output = hyper::Response<Payload>>,
{
    let service = service_fn(|request| {
        let answered = answer(request);
        async { Ok::<_, Infallible>(answered.await) }
    });
    // Clients hang up in every possible way; none of it concerns the lab.
    let _ = http1::Builder::new().serve_connection(TokioIo::new(stream), service).await;
}

/// A request's body, or an empty one where it is larger than any that is meant for
/// the lab: its signature will not match.
pub async fn body(incoming: Incoming) -> Bytes {
    match Limited::new(incoming, BODY_BYTES).collect().await {
        Ok(collected) => collected.to_bytes(),
        Err(_) => Bytes::new(),
    }
}

/// A response's body, which may promise more than it keeps.
pub struct Payload {
    bytes: Option<Bytes>,
    cut: Option<Pin<Box<Sleep>>>,
    announced: Option<u64>,
    chunk: Option<usize>,
}

impl Payload {
    /// Of no announced length, in chunks of so many bytes.
    pub fn chunked(bytes: impl Into<Bytes>, size: usize) -> Self {
        Self { bytes: Some(bytes.into()), cut: None, announced: None, chunk: Some(size) }
    }

    pub fn whole(bytes: impl Into<Bytes>) -> Self {
        let bytes = bytes.into();
        let announced = Some(bytes.len() as u64);
        Self { bytes: Some(bytes), cut: None, announced, chunk: None }
    }

    /// Ends after half, with the connection.
    pub fn cut(bytes: impl Into<Bytes>) -> Self {
        let mut bytes = bytes.into();
        let announced = Some(bytes.len() as u64);
        bytes.truncate(bytes.len() / 2);
        // The pause lets the first half go out on its own.
        let cut = Some(Box::pin(sleep(Duration::from_millis(50))));
        Self { bytes: Some(bytes), cut, announced, chunk: None }
    }
}

impl Body for Payload {
    type Data = Bytes;
    type Error = io::Error;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, io::Error>>> {
        if let (Some(size), Some(bytes)) = (self.chunk, &mut self.bytes) {
            let chunk = bytes.split_to(size.min(bytes.len()));
            return Poll::Ready((!chunk.is_empty()).then(|| Ok(Frame::data(chunk))));
        }
        if let Some(bytes) = self.bytes.take() {
            return Poll::Ready(Some(Ok(Frame::data(bytes))));
        }
        match &mut self.cut {
            None => Poll::Ready(None),
            Some(pause) => {
                pause.as_mut().poll(context).map(|()| Some(Err(io::Error::other("cut off as asked"))))
            }
        }
    }

    fn is_end_stream(&self) -> bool {
        self.bytes.as_ref().is_none_or(|bytes| self.chunk.is_some() && bytes.is_empty()) && self.cut.is_none()
    }

    fn size_hint(&self) -> SizeHint {
        self.announced.map_or_else(SizeHint::default, SizeHint::with_exact)
    }
}
