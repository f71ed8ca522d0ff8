//! One fresh connection to one address: TCP, TLS with the service's name, an unsigned request
//! through reqwest. Any answer over HTTP proves the path, so its status is only noted.

use std::net::SocketAddr;
use std::pin::pin;
use std::sync::{Arc, OnceLock};
use std::time::Duration;

use hyper::http::Extensions;
use hyper_util::client::legacy::connect::HttpInfo;
use reqwest::redirect::Policy;
use reqwest::{Client, Response};
use tokio::time::{Instant, timeout};
use tower::util::MapResponseLayer;

use super::clock::skew;
use crate::observation::{Connection, EndpointProtocol, Phase, Phases, ProbeError, Reason, Signature, cut};
use crate::wire::failure::{Stage, trouble};
use crate::wire::http::open;
use crate::wire::icmp_error::is_rejected_here;
use crate::wire::tcp_info::{NotDelivered, explains, is_any_kept_back, tcp_round_trip, why_not_delivered};
use crate::wire::trust::{HandshakeRecord, Trust};

const USER_AGENT: &str = concat!("linkproof/", env!("CARGO_PKG_VERSION"));

/// Of AWS's protocols, and of S3.
const REQUEST_IDS: [&str; 2] = ["x-amzn-requestid", "x-amz-request-id"];

/// Makes the request larger than 1,500 bytes, so that a path that drops such packets fails the check.
/// Most servers accept 8 KiB of headers, some 4 KiB.
const FILLER: &str = "linkproof-filler";
const FILLER_BYTES: usize = 2 * 1024;

/// A request id has 36 characters at most.
const LONGEST_HEADER: usize = 80;

/// As far as the protocol goes. What is not HTTPS is neither sent to nor read from.
pub async fn connect(
    trust: &Trust,
    host: &str,
    peer: SocketAddr,
    protocol: EndpointProtocol,
    limit: Duration,
) -> Connection {
    let evidence = match protocol {
        EndpointProtocol::Https => over_https(trust, host, peer, limit).await,
        EndpointProtocol::Tls | EndpointProtocol::Tcp => {
            let with_tls = protocol == EndpointProtocol::Tls;
            let trace = open(trust, host, peer, with_tls, limit).await;
            Connection {
                ip: peer.ip(),
                peer: trace.peer,
                protocol,
                phases: trace.phases,
                kernel_tcp: trace.kernel_tcp,
                certificate: trace.certificate,
                http_status: None,
                clock_skew: None,
                signature: None,
                trust_store: None,
                error: trace.error,
            }
        }
    };
    let evidence = with_own_rejection(evidence, peer).await;
    let is_untrusted =
        evidence.error.as_ref().is_some_and(|error| error.reason == Reason::CertificateUntrusted);
    let trust_store = trust.problem().filter(|_| is_untrusted).map(str::to_owned);
    Connection { trust_store, ..evidence }
}

/// A refusal of the peer, or of this host's own packet filter.
async fn with_own_rejection(mut evidence: Connection, peer: SocketAddr) -> Connection {
    let rejections = [Reason::ConnectionRefused, Reason::NetworkUnreachable];
    if let Some(error) = evidence.error.as_mut().filter(|error| rejections.contains(&error.reason))
        && is_rejected_here(peer).await
    {
        error.reason = Reason::SendBlocked;
    }
    evidence
}

async fn over_https(trust: &Trust, host: &str, peer: SocketAddr, limit: Duration) -> Connection {
    let marks = Marks::new();
    let mut asking = pin!(request(trust, host, peer, &marks));
    let attempt = timeout(limit, &mut asking).await;
    let mut evidence = Connection {
        ip: peer.ip(),
        peer: None,
        protocol: EndpointProtocol::Https,
        phases: marks.phases(),
        kernel_tcp: marks.kernel_tcp(),
        certificate: marks.record.certificate(),
        http_status: None,
        clock_skew: None,
        signature: None,
        trust_store: None,
        error: None,
    };
    match attempt {
        Ok(Ok(response)) => {
            evidence.peer = response.remote_addr();
            evidence.http_status = Some(response.status().as_u16());
            evidence.signature = signature(&response);
            evidence.clock_skew =
                response.headers().get(reqwest::header::DATE).and_then(|date| skew(date.to_str().ok()?));
        }
        Ok(Err(Unmade::Request(error))) => {
            evidence.error = Some(trouble(marks.stage(), &error, &marks.record));
        }
        Ok(Err(Unmade::Tls(error))) => {
            evidence.error = Some(ProbeError { reason: Reason::InternalError, detail: error.to_string() });
        }
        Err(_) => {
            let detail = format!("no answer within {}", humantime::format_duration(limit));
            // The request is still there, and with it its socket.
            evidence.error = Some(marks.stage().silent(marks.why_not_delivered(peer), &detail));
        }
    }
    evidence
}

fn signature(response: &Response) -> Option<Signature> {
    let header = |name: &str| {
        let text = response.headers().get(name)?.to_str().ok()?;
        Some(cut(text, LONGEST_HEADER))
    };
    let server = header("server");
    let request_id = REQUEST_IDS.iter().find_map(|name| header(name));
    (server.is_some() || request_id.is_some()).then_some(Signature { server, request_id })
}

enum Unmade {
    Tls(rustls::Error),
    Request(reqwest::Error),
}

async fn request(trust: &Trust, host: &str, peer: SocketAddr, marks: &Marks) -> Result<Response, Unmade> {
    let client = Client::builder()
        .tls_backend_preconfigured(trust.client(&marks.record).map_err(Unmade::Tls)?)
        .connector_layer(MapResponseLayer::new(at_connected(&marks.opened, peer)))
        .resolve(host, peer)
        .no_proxy()
        .pool_max_idle_per_host(0)
        // Our own timeout decides, which may be longer than reqwest's 30 s.
        .tcp_keepalive(None::<Duration>)
        .tcp_keepalive_interval(None::<Duration>)
        .tcp_keepalive_retries(None::<u32>)
        .tcp_user_timeout(None::<Duration>)
        .redirect(Policy::none())
        .retry(reqwest::retry::never())
        .http1_only()
        .http1_max_headers(100)
        .referer(false)
        .user_agent(USER_AGENT)
        .build()
        .map_err(Unmade::Request)?;
    marks.begun.get_or_init(Instant::now);
    let request = client.get(format!("https://{host}:{}/", peer.port()));
    let request = request.header(FILLER, "0".repeat(FILLER_BYTES));
    let response = request.send().await.map_err(Unmade::Request)?;
    marks.answered.get_or_init(Instant::now);
    Ok(response)
}

/// Notes when the connection is open, and asks for its round trip while it is sure to be.
fn at_connected<C>(
    mark: &Arc<OnceLock<Opened>>,
    peer: SocketAddr,
) -> impl Fn(C) -> C + Clone + Send + Sync + 'static
where
    C: hyper_util::client::legacy::connect::Connection,
{
    let mark = Arc::clone(mark);
    move |connection| {
        let connected = Instant::now();
        let mut extensions = Extensions::new();
        connection.connected().get_extras(&mut extensions);
        let local = extensions.get::<HttpInfo>().map(HttpInfo::local_addr);
        let round_trip = local.and_then(|local| tcp_round_trip(local, peer));
        mark.get_or_init(|| Opened { local, connected, round_trip, sending: Instant::now() });
        connection
    }
}

/// A connection with TLS on it, before anything is asked over it.
struct Opened {
    local: Option<SocketAddr>,
    connected: Instant,
    round_trip: Option<Duration>,
    sending: Instant,
}

/// The moments at which one phase gave way to the next.
struct Marks {
    /// Once the client stands: making it is our work, not the network's.
    begun: OnceLock<Instant>,
    record: Arc<HandshakeRecord>,
    opened: Arc<OnceLock<Opened>>,
    answered: OnceLock<Instant>,
}

impl Marks {
    fn new() -> Self {
        Self {
            begun: OnceLock::new(),
            record: Arc::default(),
            opened: Arc::default(),
            answered: OnceLock::new(),
        }
    }

    fn stage(&self) -> Stage {
        match (self.record.hello(), self.opened.get()) {
            (None, _) => Stage::Tcp,
            (Some(_), None) => Stage::Tls,
            (Some(_), Some(_)) => Stage::Response,
        }
    }

    /// Why the peer may not have received anything.
    fn why_not_delivered(&self, peer: SocketAddr) -> Option<NotDelivered> {
        match self.opened.get() {
            Some(opened) => why_not_delivered(opened.local?, peer),
            None => is_any_kept_back(peer).then_some(NotDelivered::KeptBack),
        }
    }

    /// Of the phases that came to their end.
    fn phases(&self) -> Phases {
        let opened = self.opened.get();
        let marks = [
            (Phase::Tcp, self.begun.get().copied(), self.record.hello()),
            (Phase::Tls, self.record.hello(), opened.map(|opened| opened.connected)),
            (Phase::Response, opened.map(|opened| opened.sending), self.answered.get().copied()),
        ];
        marks.into_iter().filter_map(|(phase, from, to)| Some((phase, to? - from?))).collect()
    }

    fn kernel_tcp(&self) -> Option<Duration> {
        let felt = self.record.hello()? - *self.begun.get()?;
        self.opened.get()?.round_trip.filter(|kernel| explains(*kernel, felt))
    }
}
