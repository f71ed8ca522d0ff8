//! A thousand hostile clients beside a scraper: no scrape is lost, no outcome changes, and memory
//! stays small.

use std::io::{Read, Write};
use std::net::{Ipv4Addr, SocketAddr, SocketAddrV4};
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

/// For 99 of 100 scrapes.
const PLAIN: Duration = Duration::from_millis(100);
/// Each TLS client makes the daemon sign with RSA-4096, and shares two cores with it.
const ENCRYPTED: Duration = Duration::from_secs(2);

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
    soak(&web, None);
}

#[test]
fn a_thousand_hostile_tls_clients_change_nothing() {
    let scratch = Scratch::new("soak-tls");
    let key = KeyPair::generate_rsa_for(&PKCS_RSA_SHA256, RsaKeySize::_4096).unwrap();
    let mut params = CertificateParams::new(["localhost".to_owned()]).unwrap();
    params.subject_alt_names.push(SanType::IpAddress(Ipv4Addr::LOCALHOST.into()));
    let certificate = params.self_signed(&key).unwrap().pem();
    scratch.write("server.pem", &certificate);
    scratch.write("server.key", &key.serialize_pem());
    let web = format!("tls_server_config: {{cert_file: server.pem, key_file: server.key}}\n{USERS}");
    let web = scratch.write("web.yml", &web);
    soak(&web, Some(&certificate));
}

fn soak(web: &std::path::Path, certificate: Option<&str>) {
    let lab = harness::quiet_lab();
    let config = format!("{CONFIG}[web]\nconfig_file = '{}'\nopen_health = true\n", web.display());
    let tls = certificate.map(client_config);
    let file = web.with_file_name("linkproof.toml");
    std::fs::write(&file, config).unwrap();
    let child = lab.spawn(&Run::new(release_binary()).arg("--config").arg(&file));
    let daemon = Daemon { lab: &lab, child, config: file };
    let scraper = Scraper { tls: tls.clone() };
    let begun = Instant::now();
    while !scraper.scrape(&lab).is_ok_and(|page| CHECKS.iter().all(|check| passes(&page, check))) {
        assert!(begun.elapsed() < Duration::from_secs(30), "never healthy:\n{}", daemon.child.stderr());
        thread::sleep(Duration::from_millis(100));
    }

    let load = Load::start(&lab, tls);
    let begun = Instant::now();
    let mut took = Vec::new();
    let mut lost = Vec::new();
    while begun.elapsed() < SOAK {
        let asked = Instant::now();
        match scraper.scrape(&lab) {
            Ok(page) => assert!(page.contains("linkproof_check_success{"), "{page}"),
            Err(error) => lost.push((begun.elapsed(), error)),
        }
        took.push(asked.elapsed());
        let asked = Instant::now();
        let healthy = Scraper::ask(&lab, scraper.tls.clone(), "/-/healthy", "");
        let is_healthy = healthy.as_ref().is_ok_and(|answer| answer.contains("healthy"));
        assert!(is_healthy, "{healthy:?} after {:?}:\n{}", asked.elapsed(), daemon.child.stderr());
        took.push(asked.elapsed());
        thread::sleep(Duration::from_millis(20));
    }
    let (connections, requests) = load.stop();
    took.sort();
    let p99 = took[took.len() * 99 / 100];
    let peak = daemon.child.peak_rss().unwrap();
    println!(
        "{} requests beside {connections} hostile connections and {requests} hostile requests: \
         p50 {:?}, p99 {p99:?}, at most {:?}; {} KiB resident at most",
        took.len(),
        took[took.len() / 2],
        took[took.len() - 1],
        peak / 1024,
    );
    assert!(connections > u64::from(CLIENTS), "the load was no load");
    assert_eq!(lost, [], "scrapes were lost");
    let limit = if certificate.is_some() { ENCRYPTED } else { PLAIN };
    assert!(p99 < limit, "{p99:?}");
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

/// As Prometheus asks: a connection of its own, a password, and ten seconds.
struct Scraper {
    tls: Option<Arc<ClientConfig>>,
}

impl Scraper {
    fn scrape(&self, lab: &Lab) -> Result<String, String> {
        Self::ask(lab, self.tls.clone(), "/metrics", AUTHORIZATION)
    }

    fn ask(
        lab: &Lab,
        tls: Option<Arc<ClientConfig>>,
        path: &'static str,
        headers: &'static str,
    ) -> Result<String, String> {
        let text = move |error: std::io::Error| format!("{path}: {error}");
        lab.on(Host::Instance, move || {
            let peer = SocketAddr::from((Ipv4Addr::LOCALHOST, PORT));
            let stream = std::net::TcpStream::connect_timeout(&peer, SCRAPE_TIMEOUT).map_err(text)?;
            stream.set_read_timeout(Some(SCRAPE_TIMEOUT)).map_err(text)?;
            let request = format!("GET {path} HTTP/1.1\r\nHost: instance\r\n{headers}\r\n");
            let answer = match tls {
                None => exchange(stream, &request),
                Some(tls) => {
                    let name = Ipv4Addr::LOCALHOST.into();
                    let connection =
                        ClientConnection::new(tls, rustls::pki_types::ServerName::IpAddress(name));
                    let connection = connection.map_err(|error| error.to_string())?;
                    exchange(StreamOwned::new(connection, stream), &request)
                }
            };
            let answer = answer.map_err(text)?;
            if answer.starts_with("HTTP/1.1 200") { Ok(answer) } else { Err(answer) }
        })
    }
}

fn exchange(mut stream: impl Read + Write, request: &str) -> std::io::Result<String> {
    stream.write_all(request.as_bytes())?;
    let mut answer = Vec::new();
    match stream.read_to_end(&mut answer) {
        // Not every server says goodbye in TLS.
        Err(error) if error.kind() != std::io::ErrorKind::UnexpectedEof => return Err(error),
        Ok(_) | Err(_) => {}
    }
    Ok(String::from_utf8_lossy(&answer).into_owned())
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
    fn start(lab: &Lab, tls: Option<Arc<ClientConfig>>) -> Self {
        let (over, counts) = (Arc::<AtomicBool>::default(), Arc::<Counts>::default());
        let ends = Arc::clone(&over);
        let counted = Arc::clone(&counts);
        // A thread that is started there stays there.
        let thread = lab.on(Host::Instance, move || {
            thread::spawn(move || {
                let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
                runtime.block_on(async {
                    for number in 0..CLIENTS {
                        tokio::spawn(hostile(number, tls.clone(), Arc::clone(&counted)));
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

/// One client in ten has an address of its own; the others share one with nine.
async fn hostile(number: u32, tls: Option<Arc<ClientConfig>>, counts: Arc<Counts>) {
    let [_, _, high, low] = (number / 10).to_be_bytes();
    let source = SocketAddrV4::new(Ipv4Addr::new(127, 9, high, low), 0);
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
