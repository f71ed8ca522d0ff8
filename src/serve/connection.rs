//! One connection: the handshake in its turn, requests, and their answers.

use std::error::Error;
use std::fmt;
use std::future::poll_fn;
use std::pin::pin;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::Duration;

use hyper::body::Body;
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper_util::rt::TokioIo;
use rustls::ServerConfig;
use rustls::server::Acceptor;
use tokio::io::{AsyncRead, AsyncWrite, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::time;
use tokio_rustls::LazyConfigAcceptor;
use tokio_rustls::server::TlsStream;
use tracing::debug;

use super::answer::{self, Answer, Request};
use super::deadline::Deadline;
use super::places::{Cut, Place};
use super::{Shared, Timeouts};
use crate::access::{Client, Rules, Turns, cpu_time};

/// The least that hyper takes, and plenty for a scraper.
const HEADER_BYTES: usize = 8192;

/// A connection of a client that may ask.
pub struct Session {
    pub client: Client,
    pub place: Place,
    pub deadline: Deadline,
    pub shared: Arc<Shared>,
}

/// The rules that let the client in are no longer those of the files. It comes again, as HTTP
/// expects where a connection ends between two requests.
#[derive(Debug)]
struct RulesChanged;

impl fmt::Display for RulesChanged {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("the web configuration has changed")
    }
}

impl Error for RulesChanged {}

pub async fn handle(stream: TcpStream, cut: Cut, session: Session) {
    // The rest of an answer does not wait for the acknowledgment of what came before.
    let _ = stream.set_nodelay(true);
    tokio::select! {
        () = session.serve(stream) => {}
        () = session.deadline.passed() => {}
        // How a client goes away is its own affair.
        _ = cut => debug!(client = ?session.client, "A connection gave way to another."),
    }
}

impl Session {
    pub fn new(client: Client, place: Place, shared: Arc<Shared>) -> Self {
        Self { client, place, deadline: Deadline::new(shared.timeouts.connection), shared }
    }

    async fn serve(&self, stream: TcpStream) {
        let rules = self.shared.state.access.rules().await;
        let Some(tls) = &rules.tls else {
            return self.serve_http(stream, false, &rules).await;
        };
        let handshake = accept_tls(stream, self.client, Arc::clone(tls), &self.shared.handshakes);
        if let Ok(Some(stream)) = time::timeout(self.shared.timeouts.headers, handshake).await {
            let is_certified = stream.get_ref().1.peer_certificates().is_some();
            self.serve_http(stream, is_certified, &rules).await;
        }
    }

    /// Requests of a client that authenticates, or one of a client that does not.
    pub async fn serve_http(
        &self,
        stream: impl AsyncRead + AsyncWrite + Unpin,
        is_certified: bool,
        rules: &Arc<Rules>,
    ) {
        let service = service_fn(|request| self.answer(rules, is_certified, request));
        self.deadline.open(self.shared.timeouts.headers);
        let connection = http1::Builder::new()
            // The deadline knows more.
            .header_read_timeout(None)
            .max_buf_size(HEADER_BYTES)
            // A client may close its side once it has asked.
            .half_close(true)
            .serve_connection(TokioIo::new(stream), service);
        let mut connection = pin!(connection);
        tokio::select! {
            _ = &mut connection => return,
            () = self.shared.stopping() => connection.as_mut().graceful_shutdown(),
        }
        let _ = connection.await;
    }

    async fn answer<B>(
        &self,
        rules: &Arc<Rules>,
        is_certified: bool,
        http: hyper::Request<B>,
    ) -> Result<Answer, RulesChanged> {
        self.place.working();
        let is_first = self.deadline.requested();
        if !is_first && !Arc::ptr_eq(rules, &self.shared.state.access.rules().await) {
            return Err(RulesChanged);
        }
        let request = Request { client: self.client, is_certified, http: &http };
        let (answer, is_kept) = answer::answer(&self.shared, rules, request).await;
        let bytes = answer.body().size_hint().lower();
        self.place.answered(usize::try_from(bytes).unwrap_or(usize::MAX), is_kept);
        if is_kept {
            self.deadline.kept(self.shared.timeouts.idle);
        }
        Ok(answer)
    }
}

/// RFC 8446, 5.1: the type of the record that every handshake begins with.
const HANDSHAKE: u8 = 22;

const NOT_ENCRYPTED: &[u8] = b"HTTP/1.1 400 Bad Request\r\nContent-Type: text/plain; charset=utf-8\r\n\
    Connection: close\r\n\r\nthis port speaks TLS: use https\n";

async fn accept_tls(
    mut stream: TcpStream,
    client: Client,
    tls: Arc<ServerConfig>,
    turns: &Turns,
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
    let turn = turns.take(client).await.ok()?;
    let mut handshake = pin!(start.into_stream(tls));
    let mut poll = |context: &mut Context<'_>| {
        let begun = cpu_time();
        let polled = handshake.as_mut().poll(context);
        let cpu = cpu_time().saturating_sub(begun);
        turns.clients.charge(client, cpu);
        (polled, cpu)
    };
    let (first, cpu) = poll_fn(|context| Poll::Ready(poll(context))).await;
    // The next has its turn after as long again: handshakes take at most half of a core.
    tokio::spawn(async move {
        time::sleep(cpu.min(LONGEST_REST)).await;
        drop(turn);
    });
    let accepted = match first {
        Poll::Ready(accepted) => accepted,
        // What is left takes little, but for a client that we asked for another key
        // (HelloRetryRequest): its signature is charged to it, and has no turn.
        Poll::Pending => poll_fn(|context| poll(context).0).await,
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
        // A scraper that asks every two minutes needs no handshake.
        idle: Duration::from_secs(150),
        // Within the time that systemd grants, and a page is rendered in milliseconds.
        grace: Duration::from_secs(1),
    };
}

#[cfg(test)]
mod tests {
    use std::net::TcpStream as Blocking;
    use std::thread;

    use rcgen::{CertificateParams, KeyPair, PKCS_RSA_SHA256, RsaKeySize};
    use rustls::crypto::aws_lc_rs::{default_provider, kx_group};
    use rustls::crypto::{CryptoProvider, SupportedKxGroup};
    use rustls::pki_types::PrivateKeyDer;
    use rustls::{ClientConfig, ClientConnection, RootCertStore};
    use tokio::net::TcpListener;
    use tokio::sync::oneshot;

    use super::*;
    use crate::access::Clients;

    fn with_groups(kx_groups: &[&'static dyn SupportedKxGroup]) -> Arc<CryptoProvider> {
        Arc::new(CryptoProvider { kx_groups: kx_groups.to_vec(), ..default_provider() })
    }

    /// The client sends a key for the first group alone, and the server takes only the second. So it
    /// asks for another key (HelloRetryRequest), and signs after the second message.
    fn configs() -> (Arc<ServerConfig>, Arc<ClientConfig>) {
        // Its signatures take milliseconds, as accounts count.
        let signing_key = KeyPair::generate_rsa_for(&PKCS_RSA_SHA256, RsaKeySize::_2048).unwrap();
        let params = CertificateParams::new(["instance.example".into()]).unwrap();
        let cert = params.self_signed(&signing_key).unwrap();
        let mut roots = RootCertStore::empty();
        roots.add(cert.der().clone()).unwrap();
        let server = ServerConfig::builder_with_provider(with_groups(&[kx_group::SECP256R1]))
            .with_safe_default_protocol_versions()
            .unwrap()
            .with_no_client_auth()
            .with_single_cert(
                vec![cert.der().clone()],
                PrivateKeyDer::Pkcs8(signing_key.serialize_der().into()),
            )
            .unwrap();
        let client = with_groups(&[kx_group::X25519, kx_group::SECP256R1]);
        let client = ClientConfig::builder_with_provider(client)
            .with_safe_default_protocol_versions()
            .unwrap()
            .with_root_certificates(roots)
            .with_no_client_auth();
        (Arc::new(server), Arc::new(client))
    }

    #[tokio::test]
    async fn each_message_of_a_handshake_is_charged_to_the_client() {
        let (server, client) = configs();
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let (is_retried, retried) = oneshot::channel();
        let (go_on, goes_on) = oneshot::channel();
        let client = thread::spawn(move || {
            let mut tcp = Blocking::connect(address).unwrap();
            let mut tls = ClientConnection::new(client, "instance.example".try_into().unwrap()).unwrap();
            tls.write_tls(&mut tcp).unwrap();
            while !tls.wants_write() {
                tls.read_tls(&mut tcp).unwrap();
                tls.process_new_packets().unwrap();
            }
            is_retried.send(()).unwrap();
            goes_on.blocking_recv().unwrap();
            tls.complete_io(&mut tcp).unwrap();
        });
        let clients = Arc::new(Clients::default());
        let turns = Turns::new(Arc::clone(&clients), crate::serve::HANDSHAKES);
        let (stream, peer) = listener.accept().await.unwrap();
        let accepting =
            tokio::spawn(async move { accept_tls(stream, peer.ip().into(), server, &turns).await });
        retried.await.unwrap();
        let first = clients.rank(peer.ip().into());
        go_on.send(()).unwrap();
        assert!(accepting.await.unwrap().is_some());
        assert!(clients.rank(peer.ip().into()) > first, "the signature costs more than time forgives");
        client.join().unwrap();
    }
}
