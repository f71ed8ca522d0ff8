//! A thousand hostile clients beside scrapers: no scrape is lost, no outcome changes, and memory
//! stays small.
//!
//! One scraper keeps its connection, as Prometheus does. The others connect for each request, and
//! each makes the daemon sign. The hostile clients make it sign too, as often as it will. One in ten
//! knows the password, so every hostile address has authenticated, as the scrapers have.

use std::collections::BTreeMap;
use std::io::{Read, Write};
use std::net::{Ipv4Addr, SocketAddr, SocketAddrV4};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use rcgen::{CertificateParams, KeyPair, PKCS_RSA_SHA256, RsaKeySize, SanType};
use rustls::pki_types::CertificateDer;
use rustls::pki_types::pem::PemObject;
use rustls::{ClientConfig, ClientConnection, RootCertStore, StreamOwned};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpSocket, TcpStream};
use tokio::time::{sleep, timeout};

use socket2::{Domain, Socket, Type};

use crate::harness::{self, Scratch, release_binary};
use crate::lab::{Host, Lab, Run};

use crate::served::Daemon;

/// Every check several times within the soak. A timeout of one second is what made a false `dns`
/// failure while the port signed handshakes on the probes' thread.
const CONFIG: &str = "
interval = '2s'
timeout = '1s'
[instance]
interval = '2s'
timeout = '1s'
[credentials]
interval = '2s'
timeout = '1s'
[egress]
interval = '3s'
window = '1s'
[[endpoint]]
service = 'monitoring'
call = 'list-metrics'
call_interval = '4s'
";

const CHECKS: [&str; 6] =
    ["instance", "credentials", "monitoring/dns", "monitoring/connect", "monitoring/call", "egress/ipv4"];

const SOAK: Duration = Duration::from_secs(20);
const CLIENTS: u32 = 1000;

/// Prometheus's own default.
const SCRAPE_TIMEOUT: Duration = Duration::from_secs(10);

/// For 99 of 100 requests.
const LIMIT: Duration = Duration::from_millis(100);

/// Scrapers that keep no connection: each asks about every two seconds.
const VISITORS: u32 = 40;

const RESIDENT: u64 = 40 << 20;

const PORT: u16 = 10042;

/// By htpasswd, of `colon:and ünicode`, at a cost that a build without optimization can pay.
const USERS: &str =
    "basic_auth_users:\n  prometheus: $2y$05$BKEhMqERsH37.djpEyNDGe6XXc62M4FIsksftLlP3KNEum8JXgmu2\n";
const AUTHORIZATION: &str = "Authorization: Basic cHJvbWV0aGV1czpjb2xvbjphbmQgw7xuaWNvZGU=\r\n";

#[test]
fn a_thousand_hostile_clients_change_nothing() {
    let scratch = Scratch::new("soak");
    let web = scratch.write("web.yml", USERS);
    soak(&web, None, Sources::Theirs);
}

#[test]
fn a_thousand_hostile_tls_clients_change_nothing() {
    let scratch = Scratch::new("soak-tls");
    let (web, certificate) = encrypted(&scratch);
    soak(&web, Some(&certificate), Sources::Theirs);
}

/// As behind one proxy.
#[test]
fn a_thousand_hostile_tls_clients_at_the_scrapers_address_change_nothing() {
    let scratch = Scratch::new("soak-shared");
    let (web, certificate) = encrypted(&scratch);
    soak(&web, Some(&certificate), Sources::TheScrapers);
}

/// The web configuration file, and the certificate.
fn encrypted(scratch: &Scratch) -> (PathBuf, String) {
    let key = KeyPair::generate_rsa_for(&PKCS_RSA_SHA256, RsaKeySize::_4096).unwrap();
    let mut params = CertificateParams::new(["localhost".to_owned()]).unwrap();
    params.subject_alt_names.push(SanType::IpAddress(Ipv4Addr::LOCALHOST.into()));
    let certificate = params.self_signed(&key).unwrap().pem();
    scratch.write("server.pem", &certificate);
    scratch.write("server.key", &key.serialize_pem());
    let web = format!("tls_server_config: {{cert_file: server.pem, key_file: server.key}}\n{USERS}");
    (scratch.write("web.yml", &web), certificate)
}

/// Where the hostile clients come from.
#[derive(Clone, Copy)]
enum Sources {
    /// A hundred addresses, with ten clients at each.
    Theirs,
    /// All from that of the scraper which keeps its connection.
    TheScrapers,
}

fn soak(web: &Path, certificate: Option<&str>, sources: Sources) {
    let lab = harness::quiet_lab();
    let config = format!("{CONFIG}[web]\nconfig_file = '{}'\nopen_health = true\n", web.display());
    let tls = certificate.map(client_config);
    let file = web.with_file_name("linkproof.toml");
    std::fs::write(&file, config).unwrap();
    let child = lab.spawn(&Run::new(release_binary()).arg("--config").arg(&file));
    let daemon = Daemon { lab: &lab, child, config: file };
    let scraper_at = |source| Scraper { lab: &lab, tls: tls.clone(), source, kept: None };
    let mut scraper = scraper_at(SCRAPER);
    let begun = Instant::now();
    while !scraper.scrape().is_ok_and(|page| CHECKS.iter().all(|check| passes(&page, check))) {
        assert!(begun.elapsed() < Duration::from_secs(30), "never healthy:\n{}", daemon.child.stderr());
        thread::sleep(Duration::from_millis(100));
    }
    let visitors: Vec<_> = (0..VISITORS).map(|number| scraper_at(visitor(number))).collect();
    for visitor in &visitors {
        visitor.visit("/metrics", AUTHORIZATION).unwrap();
    }

    let load = Load::start(&lab, tls.clone(), sources);
    let begun = Instant::now();
    let mut times = Times::default();
    let mut turns = visitors.iter().cycle();
    while begun.elapsed() < SOAK {
        times.measure("kept", begun, || scraper.scrape(), "linkproof_check_success{");
        let visitor = turns.next().unwrap();
        times.measure(
            "fresh",
            begun,
            || visitor.visit("/metrics", AUTHORIZATION),
            "linkproof_check_success{",
        );
        times.measure("health", begun, || visitor.visit("/-/healthy", ""), "healthy");
        thread::sleep(Duration::from_millis(20));
    }
    let (connections, requests) = load.stop();
    let peak = daemon.child.peak_rss().unwrap();
    println!(
        "beside {connections} hostile connections and {requests} hostile requests, {} KiB resident at most:",
        peak / 1024
    );
    let p99s = times.p99s();
    assert!(connections > u64::from(CLIENTS), "the load was no load");
    assert!(times.lost.is_empty(), "requests were lost: {:?}\n{}", times.lost, daemon.child.stderr());
    // A new connection waits for signatures of hostile ones, which take longer on a busy machine.
    let limit = |kind| if kind != "kept" && certificate.is_some() { 2 * LIMIT } else { LIMIT };
    assert!(p99s.iter().all(|(kind, p99)| *p99 < limit(*kind)), "{p99s:?}");
    assert!(peak < RESIDENT, "{} KiB", peak / 1024);
    // Where the machine is too busy for all of us, that is what a check may say, and nothing else.
    let inconclusive = daemon.log_lines(&["outcome=\"inconclusive\""]);
    let overloaded = daemon.log_lines(&["outcome=\"inconclusive\"", "reason=\"host_overloaded\""]);
    println!("{overloaded} times host_overloaded");
    assert_eq!(inconclusive, overloaded, "{}", daemon.child.stderr());
    assert_eq!(daemon.log_lines(&["outcome=\"fail\""]), 0, "{}", daemon.child.stderr());
}

fn passes(page: &str, check: &str) -> bool {
    let series = format!("linkproof_check_success{{check=\"{check}\",");
    page.lines().any(|line| line.starts_with(&series) && line.ends_with(" 1"))
}

fn client_config(certificate: &str) -> Arc<ClientConfig> {
    let mut roots = RootCertStore::empty();
    roots.add(CertificateDer::from_pem_slice(certificate.as_bytes()).unwrap()).unwrap();
    let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
    let builder =
        ClientConfig::builder_with_provider(provider).with_safe_default_protocol_versions().unwrap();
    let mut config = builder.with_root_certificates(roots).with_no_client_auth();
    // Each client makes the server sign.
    config.resumption = rustls::client::Resumption::disabled();
    Arc::new(config)
}

#[derive(Default)]
struct Times {
    took: BTreeMap<&'static str, Vec<Duration>>,
    lost: Vec<(Duration, String)>,
}

impl Times {
    fn measure(
        &mut self,
        kind: &'static str,
        begun: Instant,
        ask: impl FnOnce() -> Result<String, String>,
        expected: &str,
    ) {
        let asked = Instant::now();
        match ask() {
            Ok(page) => assert!(page.contains(expected), "{page}"),
            Err(error) => self.lost.push((begun.elapsed(), format!("{kind}: {error}"))),
        }
        self.took.entry(kind).or_default().push(asked.elapsed());
    }

    /// And prints them.
    fn p99s(&mut self) -> BTreeMap<&'static str, Duration> {
        let p99 = |(kind, took): (&&'static str, &mut Vec<Duration>)| {
            took.sort();
            let of = |hundredth: usize| took[(took.len() - 1).min(took.len() * hundredth / 100)];
            println!("{} {kind}: p50 {:?}, p99 {:?}, at most {:?}", took.len(), of(50), of(99), of(100));
            (*kind, of(99))
        };
        self.took.iter_mut().map(p99).collect()
    }
}

const SCRAPER: Ipv4Addr = Ipv4Addr::LOCALHOST;

fn visitor(number: u32) -> Ipv4Addr {
    Ipv4Addr::from_bits(Ipv4Addr::new(127, 8, 0, 1).to_bits() + number)
}

/// As Prometheus asks: with a password, and ten seconds.
struct Scraper<'l> {
    lab: &'l Lab,
    tls: Option<Arc<ClientConfig>>,
    source: Ipv4Addr,
    kept: Option<Box<dyn Stream>>,
}

trait Stream: Read + Write + Send {}

impl<S: Read + Write + Send> Stream for S {}

impl Scraper<'_> {
    /// On the connection of the last scrape. Where that has ended, on a new one.
    fn scrape(&mut self) -> Result<String, String> {
        let request = request("/metrics", AUTHORIZATION);
        if let Some(kept) = &mut self.kept
            && let Ok(page) = exchange(kept, &request)
        {
            return Ok(page);
        }
        let mut stream = self.connect()?;
        let page = exchange(&mut *stream, &request)?;
        self.kept = Some(stream);
        Ok(page)
    }

    /// One request on a connection of its own.
    fn visit(&self, path: &str, headers: &str) -> Result<String, String> {
        let headers = format!("{headers}Connection: close\r\n");
        exchange(&mut *self.connect()?, &request(path, &headers))
    }

    fn connect(&self) -> Result<Box<dyn Stream>, String> {
        let source = SocketAddr::from((self.source, 0));
        let open = move || {
            let socket = Socket::new(Domain::IPV4, Type::STREAM, None)?;
            socket.bind(&source.into())?;
            socket.connect_timeout(&SocketAddr::from((Ipv4Addr::LOCALHOST, PORT)).into(), SCRAPE_TIMEOUT)?;
            socket.set_read_timeout(Some(SCRAPE_TIMEOUT))?;
            // As Go does.
            socket.set_tcp_nodelay(true)?;
            Ok::<_, std::io::Error>(std::net::TcpStream::from(socket))
        };
        let stream = self.lab.on(Host::Instance, open).map_err(|error| error.to_string())?;
        let Some(tls) = &self.tls else { return Ok(Box::new(stream)) };
        let name = rustls::pki_types::ServerName::IpAddress(Ipv4Addr::LOCALHOST.into());
        let connection = ClientConnection::new(Arc::clone(tls), name).map_err(|error| error.to_string())?;
        Ok(Box::new(StreamOwned::new(connection, stream)))
    }
}

fn request(path: &str, headers: &str) -> String {
    format!("GET {path} HTTP/1.1\r\nHost: instance\r\n{headers}\r\n")
}

fn exchange(stream: &mut dyn Stream, request: &str) -> Result<String, String> {
    let answer = answer(stream, request).map_err(|error| format!("{error}: {request}"))?;
    if answer.starts_with("HTTP/1.1 200") { Ok(answer) } else { Err(answer) }
}

fn answer(stream: &mut dyn Stream, request: &str) -> std::io::Result<String> {
    stream.write_all(request.as_bytes())?;
    let (mut answer, mut buffer) = (Vec::new(), [0; 16384]);
    loop {
        let read = stream.read(&mut buffer)?;
        if read == 0 {
            return Err(std::io::ErrorKind::UnexpectedEof.into());
        }
        answer.extend_from_slice(&buffer[..read]);
        let text = String::from_utf8_lossy(&answer);
        let Some((head, body)) = text.split_once("\r\n\r\n") else { continue };
        let length = head
            .lines()
            .find_map(|line| line.to_ascii_lowercase().strip_prefix("content-length: ")?.parse().ok());
        if length.is_some_and(|length: usize| body.len() >= length) {
            return Ok(text.into_owned());
        }
    }
}

#[derive(Debug, Default)]
struct Counts {
    connections: AtomicU64,
    requests: AtomicU64,
}

struct Load {
    over: Arc<AtomicBool>,
    counts: Arc<Counts>,
    thread: thread::JoinHandle<()>,
}

impl Load {
    fn start(lab: &Lab, tls: Option<Arc<ClientConfig>>, sources: Sources) -> Self {
        let (over, counts) = (Arc::<AtomicBool>::default(), Arc::<Counts>::default());
        let ends = Arc::clone(&over);
        let counted = Arc::clone(&counts);
        // A thread that is started there stays there.
        let thread = lab.on(Host::Instance, move || {
            thread::spawn(move || {
                let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
                runtime.block_on(async {
                    for number in 0..CLIENTS {
                        let source = sources.of(number);
                        tokio::spawn(hostile(number, source, tls.clone(), Arc::clone(&counted)));
                    }
                    while !ends.load(Ordering::Relaxed) {
                        sleep(Duration::from_millis(50)).await;
                    }
                });
            })
        });
        Self { over, counts, thread }
    }

    fn stop(self) -> (u64, u64) {
        self.over.store(true, Ordering::Relaxed);
        self.thread.join().unwrap();
        let Counts { connections, requests } = &*self.counts;
        (connections.load(Ordering::Relaxed), requests.load(Ordering::Relaxed))
    }
}

impl Sources {
    fn of(self, number: u32) -> Ipv4Addr {
        let [_, _, high, low] = (number / 10).to_be_bytes();
        match self {
            Self::Theirs => Ipv4Addr::new(127, 9, high, low),
            Self::TheScrapers => SCRAPER,
        }
    }
}

async fn hostile(number: u32, source: Ipv4Addr, tls: Option<Arc<ClientConfig>>, counts: Arc<Counts>) {
    let source = SocketAddrV4::new(source, 0);
    sleep(Duration::from_millis(u64::from(number))).await;
    loop {
        if let Ok(Ok(stream)) = timeout(SCRAPE_TIMEOUT, connect(source)).await {
            counts.connections.fetch_add(1, Ordering::Relaxed);
            let _ = timeout(Duration::from_secs(15), misbehave(number, stream, tls.clone(), &counts)).await;
        }
        sleep(Duration::from_secs(1)).await;
    }
}

async fn connect(source: SocketAddrV4) -> std::io::Result<TcpStream> {
    let socket = TcpSocket::new_v4()?;
    socket.set_reuseaddr(true)?;
    socket.bind(source.into())?;
    socket.connect((Ipv4Addr::LOCALHOST, PORT).into()).await
}

async fn misbehave(
    number: u32,
    mut stream: TcpStream,
    tls: Option<Arc<ClientConfig>>,
    counts: &Counts,
) -> std::io::Result<()> {
    if let (Some(tls), 3..) = (tls, number % 10) {
        let name = rustls::pki_types::ServerName::try_from("localhost").unwrap();
        let stream = tokio_rustls::TlsConnector::from(tls).connect(name, stream).await?;
        return ask_badly(number, stream, counts).await;
    }
    match number % 10 {
        // Says nothing, and stays.
        0 | 1 => idle(stream).await,
        // One byte at a time.
        2 => {
            for byte in b"GET /metrics HTTP/1.1\r\nHost: ".iter().cycle() {
                stream.write_all(&[*byte]).await?;
                sleep(Duration::from_millis(300)).await;
            }
            Ok(())
        }
        _ => ask_badly(number, stream, counts).await,
    }
}

async fn ask_badly(
    number: u32,
    mut stream: impl tokio::io::AsyncRead + tokio::io::AsyncWrite + Unpin,
    counts: &Counts,
) -> std::io::Result<()> {
    counts.requests.fetch_add(1, Ordering::Relaxed);
    let guess = "GET /metrics HTTP/1.1\r\nHost: x\r\nAuthorization: Basic cHJvbWV0aGV1czpndWVzcw==\r\n\r\n";
    match number % 10 {
        // Wrong passwords.
        3 | 4 => {
            stream.write_all(guess.as_bytes()).await?;
            idle(stream).await
        }
        // The right one, and never reads the answer.
        5 => {
            let request = format!("GET / HTTP/1.1\r\nHost: x\r\n{AUTHORIZATION}\r\n");
            stream.write_all(request.as_bytes()).await?;
            sleep(Duration::from_secs(15)).await;
            Ok(())
        }
        // A page of another site.
        6 => {
            stream.write_all(b"POST /-/reload HTTP/1.1\r\nHost: x\r\nOrigin: http://y\r\n\r\n").await?;
            idle(stream).await
        }
        // More header than there is room for.
        7 => {
            stream.write_all(format!("GET / HTTP/1.1\r\nX: {}", "x".repeat(100_000)).as_bytes()).await?;
            idle(stream).await
        }
        // No HTTP at all, without end.
        8 => loop {
            stream.write_all(&[0x16; 1000]).await?;
        },
        // Comes and goes.
        _ => {
            stream.write_all(b"GET /-/healthy HTTP/1.1\r\nHost: x\r\n\r\n").await?;
            Ok(())
        }
    }
}

async fn idle(mut stream: impl tokio::io::AsyncRead + Unpin) -> std::io::Result<()> {
    let mut rest = [0; 1024];
    while stream.read(&mut rest).await? > 0 {}
    Ok(())
}
