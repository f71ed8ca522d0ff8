//! The AWS SDK's transport: each request on a socket of its own, to one known peer where it is
//! pinned, with every phase timed and bounded. Nothing is pooled, proxied, retried or resumed.

use std::fmt;
use std::net::SocketAddr;
use std::sync::{Arc, Mutex, PoisonError};

use aws_smithy_runtime_api::client::http::{
    HttpClient, HttpConnector, HttpConnectorFuture, HttpConnectorSettings, SharedHttpConnector,
};
use aws_smithy_runtime_api::client::orchestrator::{HttpRequest, HttpResponse};
use aws_smithy_runtime_api::client::result::ConnectorError;
use aws_smithy_runtime_api::client::runtime_components::RuntimeComponents;
use aws_smithy_types::body::SdkBody;
use http_body_util::{BodyExt, Limited};
use hyper::client::conn::http1;
use hyper::header::{CONNECTION, DATE, HOST, HeaderValue};
use hyper::{Request, Uri};
use hyper_util::rt::TokioIo;
use rustls::pki_types::ServerName;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::TcpStream;
use tokio::time::{Instant, timeout_at};
use tokio_rustls::TlsConnector;

use super::failure::{Stage, trouble};
use super::trust::{HandshakeRecord, Trust};
use crate::observation::{Certificate, Phase, Phases, ProbeError, Reason};

/// ListMetrics answers with at most 500 metrics a page, some 200 kB.
const LARGEST_BODY: usize = 4 * 1024 * 1024;

/// What a request saw on its way, kept whether or not it arrived.
#[derive(Clone, Debug, Default)]
pub struct Trace {
    pub peer: Option<SocketAddr>,
    pub phases: Phases,
    pub certificate: Option<Certificate>,
    pub http_status: Option<u16>,
    pub date: Option<String>,
    pub error: Option<ProbeError>,
}

/// Hands out the SDK's connector. One value serves one attempt: its trace is that attempt's.
#[derive(Clone)]
pub struct PinnedConnector {
    trust: Trust,
    pin: Option<SocketAddr>,
    deadline: Instant,
    trace: Arc<Mutex<Trace>>,
}

impl PinnedConnector {
    pub fn new(trust: Trust, pin: Option<SocketAddr>, deadline: Instant) -> Self {
        Self { trust, pin, deadline, trace: Arc::default() }
    }

    /// Of the last request.
    pub fn trace(&self) -> Trace {
        self.trace.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    async fn exchange(self, request: HttpRequest) -> Result<HttpResponse, ConnectorError> {
        let mut trace = Trace::default();
        let mut stage = Stage::Tcp;
        let outcome = timeout_at(self.deadline, self.carry(request, &mut trace, &mut stage)).await;
        let (result, error) = match outcome {
            Ok(Ok(response)) => (Ok(response), None),
            Ok(Err(error)) => {
                let trouble = trouble(stage, error.as_ref());
                (Err(ConnectorError::io(error)), Some(trouble))
            }
            Err(elapsed) => {
                let trouble = ProbeError { reason: stage.timeout(), detail: stage.silence().to_owned() };
                (Err(ConnectorError::timeout(elapsed.into())), Some(trouble))
            }
        };
        trace.error = error;
        *self.trace.lock().unwrap_or_else(PoisonError::into_inner) = trace;
        result
    }

    async fn carry(
        &self,
        request: HttpRequest,
        trace: &mut Trace,
        stage: &mut Stage,
    ) -> Result<HttpResponse, BoxError> {
        let request = request.try_into_http1x()?;
        let target = Target::of(request.uri())?;
        let peer = match self.pin {
            Some(peer) => peer,
            None => target.look_up().await?,
        };
        let clock = Instant::now();
        let tcp = TcpStream::connect(peer).await?;
        trace.peer = Some(tcp.peer_addr()?);
        trace.phases.push((Phase::Tcp, clock.elapsed()));
        tcp.set_nodelay(true)?;
        if !target.tls {
            return send(tcp, request, target, trace, stage).await;
        }
        *stage = Stage::Tls;
        let clock = Instant::now();
        let record = Arc::new(HandshakeRecord::default());
        let connector = TlsConnector::from(Arc::new(self.trust.client(&record)?));
        let tls = connector.connect(ServerName::try_from(target.host.clone())?, tcp).await;
        trace.certificate = record.certificate();
        let tls = tls?;
        trace.phases.push((Phase::Tls, clock.elapsed()));
        send(tls, request, target, trace, stage).await
    }
}

type BoxError = Box<dyn std::error::Error + Send + Sync>;

async fn send<S: AsyncRead + AsyncWrite + Unpin + Send + 'static>(
    stream: S,
    mut request: Request<SdkBody>,
    target: Target,
    trace: &mut Trace,
    stage: &mut Stage,
) -> Result<HttpResponse, BoxError> {
    *stage = Stage::Response;
    let clock = Instant::now();
    request.headers_mut().insert(HOST, HeaderValue::from_str(&target.authority)?);
    request.headers_mut().insert(CONNECTION, HeaderValue::from_static("close"));
    *request.uri_mut() = target.path;
    let (mut sender, connection) = http1::handshake(TokioIo::new(stream)).await?;
    let exchange = async {
        let response = sender.send_request(request).await?;
        trace.phases.push((Phase::Response, clock.elapsed()));
        trace.http_status = Some(response.status().as_u16());
        trace.date = response.headers().get(DATE).and_then(|date| date.to_str().ok()).map(str::to_owned);
        *stage = Stage::Body;
        let (head, body) = response.into_parts();
        let body = Limited::new(body, LARGEST_BODY).collect().await?.to_bytes();
        let response = hyper::Response::from_parts(head, SdkBody::from(body));
        Ok::<_, BoxError>(HttpResponse::try_from(response)?)
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
        let mut found = tokio::net::lookup_host((self.host.as_str(), self.port)).await?;
        Ok(found.next().ok_or_else(|| format!("{} has no address", self.host))?)
    }
}

impl Trace {
    /// How the exchange ended, when it did not end with AWS's answer.
    pub fn trouble_or(&self, reason: Reason, detail: impl fmt::Display) -> ProbeError {
        self.error.clone().unwrap_or_else(|| ProbeError { reason, detail: detail.to_string() })
    }
}

impl fmt::Debug for PinnedConnector {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("PinnedConnector").field("pin", &self.pin).finish_non_exhaustive()
    }
}

impl HttpClient for PinnedConnector {
    fn http_connector(&self, _: &HttpConnectorSettings, _: &RuntimeComponents) -> SharedHttpConnector {
        SharedHttpConnector::new(self.clone())
    }
}

impl HttpConnector for PinnedConnector {
    fn call(&self, request: HttpRequest) -> HttpConnectorFuture {
        HttpConnectorFuture::new(self.clone().exchange(request))
    }
}
