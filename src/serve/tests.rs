use std::io::Read;
use std::net::SocketAddr;

use flate2::read::GzDecoder;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::task::JoinHandle;

use super::*;
use crate::report::fixture;

const PATIENT: Limits = Limits { connections: 8, ..LIMITS };
/// Long enough for a loaded machine, and far below the limits that are not under test.
const SOON: Duration = Duration::from_secs(3);
const HASTE: Duration = Duration::from_millis(200);

struct Server {
    address: SocketAddr,
    stop: oneshot::Sender<()>,
    task: JoinHandle<()>,
}

async fn started(limits: Limits, bend: impl FnOnce(&mut AppState)) -> Server {
    let (_, report) = watch::channel(Arc::new(fixture::named("leak")));
    let (_, ready) = watch::channel(true);
    let metrics = |report: &Report, accept: &str| Page {
        content_type: "text/plain; version=0.0.4; charset=utf-8",
        body: format!("checks {}\n# {accept}\n", report.checks.len()),
    };
    let now = || fixture::at(4);
    let mut state = AppState {
        access: Arc::new(Access::open(None, false).unwrap()),
        report,
        now,
        metrics: Box::new(metrics),
        healthy: Box::new(|| Ok(())),
        ready,
        reload: None,
    };
    bend(&mut state);
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    let (stop, stopped) = oneshot::channel::<()>();
    let task = tokio::spawn(async move {
        let shutdown = async { drop(stopped.await) };
        serve_within(&limits, vec![listener], Arc::new(state), shutdown).await;
    });
    Server { address, stop, task }
}

impl Server {
    async fn raw(&self, request: &str) -> Vec<u8> {
        let mut stream = TcpStream::connect(self.address).await.unwrap();
        stream.write_all(request.as_bytes()).await.unwrap();
        let mut bytes = Vec::new();
        // A server that cuts us off may reset: what came before still counts.
        let _ = stream.read_to_end(&mut bytes).await;
        bytes
    }

    async fn ask(&self, method: &str, path: &str) -> (u16, String, String) {
        let bytes = self.raw(&format!("{method} {path} HTTP/1.1\r\nHost: x\r\n\r\n")).await;
        split(&String::from_utf8(bytes).unwrap())
    }
}

fn split(text: &str) -> (u16, String, String) {
    let (head, body) = text.split_once("\r\n\r\n").unwrap();
    let status = head.split(' ').nth(1).unwrap().parse().unwrap();
    (status, head.to_ascii_lowercase(), body.to_owned())
}

#[tokio::test]
async fn every_address_answers_as_documented() {
    let server = started(PATIENT, |_| {}).await;
    for (method, path, status, body) in [
        ("GET", "/", 200, "<strong>FAIL</strong> 1 of 7 checks failed: egress/ipv4"),
        ("GET", "/?x=1", 200, "<strong>FAIL</strong> 1 of 7"),
        ("GET", "/?still", 200, "Auto-refresh is off."),
        ("GET", "/metrics", 200, "checks 7\n"),
        ("GET", "/-/healthy", 200, "healthy\n"),
        ("GET", "/-/ready", 200, "ready\n"),
        ("GET", "/nothing", 404, "there is nothing here"),
        ("GET", "/metrics/", 404, "there is nothing here"),
        ("POST", "/metrics", 405, "does not take that method"),
        ("DELETE", "/", 405, "does not take that method"),
        ("GET", "/-/reload", 405, "does not take that method"),
        ("POST", "/-/reload", 403, "reloading over HTTP is turned off"),
    ] {
        let (evidence, _, text) = server.ask(method, path).await;
        assert_eq!(evidence, status, "{method} {path}");
        assert!(text.contains(body), "{method} {path}: {text}");
    }
}

#[tokio::test]
async fn headers_keep_browsers_and_scrapers_safe() {
    let server = started(PATIENT, |_| {}).await;
    let (_, page, _) = server.ask("GET", "/").await;
    for header in [
        "content-type: text/html; charset=utf-8",
        "content-security-policy: default-src 'none'; style-src 'sha256-",
        "refresh: 30",
        "cache-control: no-store",
        "x-content-type-options: nosniff",
        "connection: close",
    ] {
        assert!(page.contains(header), "{header}\n{page}");
    }
    assert!(!server.ask("GET", "/?still").await.1.contains("refresh"));
    let (_, metrics, _) = server.ask("GET", "/metrics").await;
    assert!(metrics.contains("content-type: text/plain; version=0.0.4; charset=utf-8"));
    assert!(metrics.contains("vary: accept, accept-encoding"));
    assert!(server.ask("PUT", "/").await.1.contains("allow: get, head"));
    assert!(server.ask("PUT", "/-/reload").await.1.contains("allow: post"));
}

#[tokio::test]
async fn head_is_get_without_the_body() {
    let server = started(PATIENT, |_| {}).await;
    for path in ["/", "/metrics", "/-/healthy", "/-/ready", "/nothing"] {
        let (status, head, body) = server.ask("HEAD", path).await;
        let (same, _, full) = server.ask("GET", path).await;
        assert_eq!((status, body.as_str()), (same, ""), "{path}");
        assert!(head.contains(&format!("content-length: {}", full.len())), "{path}: {head}");
    }
}

#[tokio::test]
async fn metrics_hear_what_the_scraper_accepts_and_come_compressed() {
    let server = started(PATIENT, |_| {}).await;
    let bytes = server
        .raw("GET /metrics HTTP/1.1\r\nHost: x\r\nAccept: a\r\nAccept: b\r\nAccept-Encoding: gzip\r\n\r\n")
        .await;
    let end = bytes.windows(4).position(|four| four == b"\r\n\r\n").unwrap() + 4;
    assert!(String::from_utf8_lossy(&bytes[..end]).to_ascii_lowercase().contains("content-encoding: gzip"));
    let mut text = String::new();
    GzDecoder::new(&bytes[end..]).read_to_string(&mut text).unwrap();
    assert_eq!(text, "checks 7\n# a,b\n");
}

#[tokio::test]
async fn a_stuck_engine_is_not_healthy_and_an_unscheduled_one_not_ready() {
    let server = started(PATIENT, |state| {
        state.healthy = Box::new(|| Err("no heartbeat of the engine for 40 s".into()));
        state.ready = watch::channel(false).1;
    })
    .await;
    let (status, _, body) = server.ask("GET", "/-/healthy").await;
    assert_eq!((status, body.as_str()), (503, "no heartbeat of the engine for 40 s\n"));
    assert_eq!(server.ask("GET", "/-/ready").await.0, 503);
}

#[tokio::test]
async fn a_reload_tells_how_it_went() {
    let (requests, mut inbox) = mpsc::channel::<Reload>(1);
    let server = started(PATIENT, |state| state.reload = Some(requests)).await;
    let app = tokio::spawn(async move {
        let outcomes = [Ok(()), Err("linkproof.toml:4:1: unknown field\n".to_owned())];
        for outcome in outcomes {
            inbox.recv().await.unwrap().send(outcome).unwrap();
        }
        drop(inbox.recv().await);
        inbox.close();
    });
    let mut answers = Vec::new();
    for _ in 0..3 {
        let (status, head, body) = server.ask("POST", "/-/reload").await;
        assert!(head.contains("content-type: text/plain"));
        answers.push((status, body));
    }
    assert_eq!(answers[0], (200, "reloaded\n".into()));
    assert_eq!(answers[1], (500, "linkproof.toml:4:1: unknown field\n".into()));
    assert_eq!(answers[2].0, 503);
    app.await.unwrap();
    assert_eq!(server.ask("POST", "/-/reload").await.0, 503);
}

#[tokio::test]
async fn a_body_is_not_waited_for() {
    let server = started(PATIENT, |_| {}).await;
    let request = "POST /-/reload HTTP/1.1\r\nHost: x\r\nContent-Length: 1000000000\r\n\r\n";
    assert_eq!(split(&String::from_utf8(server.raw(request).await).unwrap()).0, 403);
}

#[tokio::test]
async fn a_header_without_end_is_refused() {
    let server = started(PATIENT, |_| {}).await;
    let request = format!("GET / HTTP/1.1\r\nX: {}\r\n\r\n", "x".repeat(20_000));
    let answer = String::from_utf8(server.raw(&request).await).unwrap();
    assert!(answer.is_empty() || answer.starts_with("HTTP/1.1 431"), "{answer}");
}

#[tokio::test]
async fn a_client_that_sends_no_head_loses_its_place_to_the_next() {
    yields_its_place(Limits { connections: 1, headers: HASTE, ..LIMITS }, b"GET / HT").await;
}

#[tokio::test]
async fn a_client_that_takes_too_long_loses_its_place_to_the_next() {
    yields_its_place(Limits { connections: 1, connection: HASTE, ..LIMITS }, b"").await;
}

async fn yields_its_place(limits: Limits, said: &[u8]) {
    let server = started(limits, |_| {}).await;
    let start = time::Instant::now();
    let mut slow = TcpStream::connect(server.address).await.unwrap();
    slow.write_all(said).await.unwrap();
    let next = time::timeout(SOON, server.ask("GET", "/-/healthy")).await.unwrap();
    assert_eq!(next.0, 200);
    // Not beside the slow one, but after it.
    assert!(start.elapsed() >= HASTE);
    let mut rest = Vec::new();
    let _ = slow.read_to_end(&mut rest).await;
    assert!(!String::from_utf8_lossy(&rest).contains("200 OK"));
}

#[tokio::test]
async fn it_stops_when_told_even_with_a_client_that_hangs() {
    let server = started(Limits { grace: HASTE, ..PATIENT }, |_| {}).await;
    let _silent = TcpStream::connect(server.address).await.unwrap();
    // Connections are accepted in turn: an answer here means that the silent one is held.
    assert_eq!(server.ask("GET", "/-/ready").await.0, 200);
    server.stop.send(()).unwrap();
    time::timeout(SOON, server.task).await.unwrap().unwrap();
    assert!(TcpStream::connect(server.address).await.is_err());
}
