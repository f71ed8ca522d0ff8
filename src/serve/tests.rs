use std::io::Read;
use std::net::SocketAddr;

use flate2::read::GzDecoder;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::task::JoinHandle;

use super::*;
use crate::report::fixture;

/// Long enough for a loaded machine, and far below the limits that are not under test.
const SOON: Duration = Duration::from_secs(3);
const HASTE: Duration = Duration::from_millis(200);
const HASTY: Timeouts = Timeouts { headers: HASTE, connection: HASTE, ..Timeouts::DEFAULT };

struct Server {
    address: SocketAddr,
    stop: oneshot::Sender<()>,
    task: JoinHandle<()>,
}

async fn started(timeouts: Timeouts, change: impl FnOnce(&mut AppState)) -> Server {
    let report = Arc::new(fixture::named("leak"));
    let (_, ready) = watch::channel(true);
    let metrics =
        |report: &Report, content_type: &str| format!("checks {}\n# {content_type}\n", report.checks.len());
    let mut state = AppState {
        access: Arc::new(Access::open(None, false).unwrap()),
        report: Box::new(move || Arc::clone(&report)),
        now: || fixture::at(4),
        metrics_type: |accept| {
            if accept == "a,b" { "text/plain; both" } else { "text/plain; version=0.0.4; charset=utf-8" }
        },
        metrics: Box::new(metrics),
        healthy: Box::new(|| Ok(())),
        ready,
        check_now: None,
        notes: watch::channel(Vec::new()).1,
        runbook: "## clock_wrong\n\nText.",
        reload: None,
        host_name: "web-1.corp.example".to_owned(),
    };
    change(&mut state);
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    let (stop, stopped) = oneshot::channel::<()>();
    let task = tokio::spawn(async move {
        let shutdown = async { drop(stopped.await) };
        serve_within(Shared::new(state, LIMITS, timeouts), vec![listener], shutdown).await;
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
    let server = started(Timeouts::DEFAULT, |_| {}).await;
    for (method, path, status, body) in [
        ("GET", "/", 200, "<strong>FAIL</strong> 1 of 7 checks failed: egress/ipv4"),
        ("GET", "/?x=1", 200, "<strong>FAIL</strong> 1 of 7"),
        ("GET", "/?still", 200, "Auto-refresh is off."),
        ("GET", "/metrics", 200, "checks 7\n"),
        ("GET", "/report", 200, "\"schema\": 1"),
        ("GET", "/report?format=text", 200, "FAIL: 1 of 7 checks failed"),
        ("GET", "/report?format=junit", 200, "<testsuite"),
        ("GET", "/report?format=toml", 400, "use json, text or junit"),
        ("POST", "/report", 405, "method not allowed here"),
        ("GET", "/runbook", 200, "<h2 id=\"clock_wrong\">"),
        ("GET", "/-/check", 405, "method not allowed here"),
        ("POST", "/-/check", 403, "checks over HTTP are off"),
        ("GET", "/-/healthy", 200, "healthy\n"),
        ("GET", "/-/ready", 200, "ready\n"),
        ("GET", "/nothing", 404, "not found; see /"),
        ("GET", "/metrics/", 404, "not found; see /"),
        ("POST", "/metrics", 405, "method not allowed here"),
        ("DELETE", "/", 405, "method not allowed here"),
        ("GET", "/-/reload", 405, "method not allowed here"),
        ("POST", "/-/reload", 403, "reloading over HTTP is off"),
    ] {
        let (evidence, _, text) = server.ask(method, path).await;
        assert_eq!(evidence, status, "{method} {path}");
        assert!(text.contains(body), "{method} {path}: {text}");
    }
}

#[tokio::test]
async fn a_report_comes_with_its_outcome() {
    let server = started(Timeouts::DEFAULT, |_| {}).await;
    for format in ["json", "text", "junit"] {
        let (_, head, _) = server.ask("GET", &format!("/report?format={format}")).await;
        assert!(head.contains("linkproof-outcome: fail"), "{head}");
    }
    let (_, _, narrow) = server.ask("GET", "/report?format=text&color=1&columns=80").await;
    assert!(narrow.contains("\u{1b}[1;31m") && narrow.contains('\u{2026}'), "{narrow}");
}

#[tokio::test]
async fn checks_are_requested_with_the_time_of_the_request() {
    let (check_now, mut requested) = watch::channel(0);
    let server = started(Timeouts::DEFAULT, |state| state.check_now = Some(CheckNow::new(check_now))).await;
    let (status, _, body) = server.ask("POST", "/-/check").await;
    assert_eq!((status, body.trim()), (202, crate::wording::rfc3339(fixture::at(4)).as_str()));
    assert_eq!(*requested.borrow_and_update(), 1);
    assert_eq!(server.ask("POST", "/-/check").await.0, 429);
}

#[tokio::test]
async fn the_page_shows_notes_about_the_configuration() {
    let (_sender, notes) = watch::channel(vec!["Reload <failed>.".to_owned()]);
    let server = started(Timeouts::DEFAULT, |state| state.notes = notes).await;
    let (_, _, page) = server.ask("GET", "/").await;
    assert!(page.contains("<p class=\"warning\">Reload &lt;failed&gt;.</p>"), "{page}");
}

#[tokio::test]
async fn headers_keep_browsers_and_scrapers_safe() {
    let server = started(Timeouts::DEFAULT, |_| {}).await;
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
    let server = started(Timeouts::DEFAULT, |_| {}).await;
    for path in ["/", "/metrics", "/-/healthy", "/-/ready", "/nothing"] {
        let (status, head, body) = server.ask("HEAD", path).await;
        let (same, _, full) = server.ask("GET", path).await;
        assert_eq!((status, body.as_str()), (same, ""), "{path}");
        assert!(head.contains(&format!("content-length: {}", full.len())), "{path}: {head}");
    }
}

#[tokio::test]
async fn metrics_hear_what_the_scraper_accepts_and_come_compressed() {
    let server = started(Timeouts::DEFAULT, |_| {}).await;
    let bytes = server
        .raw("GET /metrics HTTP/1.1\r\nHost: x\r\nAccept: a\r\nAccept: b\r\nAccept-Encoding: gzip\r\n\r\n")
        .await;
    let end = bytes.windows(4).position(|four| four == b"\r\n\r\n").unwrap() + 4;
    assert!(String::from_utf8_lossy(&bytes[..end]).to_ascii_lowercase().contains("content-encoding: gzip"));
    let mut text = String::new();
    GzDecoder::new(&bytes[end..]).read_to_string(&mut text).unwrap();
    assert_eq!(text, "checks 7\n# text/plain; both\n");
}

#[tokio::test]
async fn a_stuck_engine_is_not_healthy_and_an_unscheduled_one_not_ready() {
    let server = started(Timeouts::DEFAULT, |state| {
        state.healthy = Box::new(|| Err("no heartbeat of the engine for 40 s".into()));
        state.ready = watch::channel(false).1;
    })
    .await;
    let (status, _, body) = server.ask("GET", "/-/healthy").await;
    assert_eq!((status, body.as_str()), (503, "no heartbeat of the engine for 40 s\n"));
    assert_eq!(server.ask("GET", "/-/ready").await.0, 503);
}

#[tokio::test]
async fn a_reload_reports_its_outcome_and_no_configuration() {
    let (requests, mut inbox) = mpsc::channel::<Reload>(1);
    let server = started(Timeouts::DEFAULT, |state| state.reload = Some(requests)).await;
    let app = tokio::spawn(async move {
        for outcome in [Ok(()), Err(ReloadFailed)] {
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
    assert!(answers[1].0 == 500 && answers[1].1.contains("see the log"), "{answers:?}");
    assert_eq!(answers[2].0, 503);
    app.await.unwrap();
    assert_eq!(server.ask("POST", "/-/reload").await.0, 503);
    for _ in 4..RELOADS {
        assert_eq!(server.ask("POST", "/-/reload").await.0, 503);
    }
    assert_eq!(server.ask("POST", "/-/reload").await.0, 429, "each costs a line in the journal");
}

/// As in the limit that is under test.
const RELOADS: usize = 10;

#[tokio::test]
async fn pages_of_other_sites_change_and_read_nothing() {
    let (requests, mut inbox) = mpsc::channel::<Reload>(1);
    let server = started(Timeouts::DEFAULT, |state| state.reload = Some(requests)).await;
    for (request, status) in [
        ("POST /-/reload HTTP/1.1\r\nHost: 10.0.1.23:10042\r\nSec-Fetch-Site: cross-site\r\n\r\n", 403),
        ("POST /-/reload HTTP/1.1\r\nHost: 10.0.1.23:10042\r\nOrigin: https://evil.example\r\n\r\n", 403),
        ("POST /-/reload HTTP/1.1\r\nHost: evil.example\r\nOrigin: http://evil.example\r\n\r\n", 421),
        ("GET /metrics HTTP/1.1\r\nHost: evil.example\r\nAccept-Language: en\r\n\r\n", 421),
        ("GET /metrics HTTP/1.1\r\nHost: WEB-1.corp.example:10042\r\nAccept-Language: en\r\n\r\n", 200),
        ("GET /metrics HTTP/1.1\r\nHost: any.name.example\r\n\r\n", 200),
    ] {
        let answer = String::from_utf8(server.raw(request).await).unwrap();
        assert_eq!(split(&answer).0, status, "{request}");
    }
    assert!(inbox.try_recv().is_err(), "nothing was reloaded");
}

/// Of `prometheus:proof`.
const PASSWORD: &str = "Authorization: Basic cHJvbWV0aGV1czpwcm9vZg==\r\n";

/// A web configuration file, gone afterwards.
struct WebFile(std::path::PathBuf);

impl WebFile {
    fn new() -> Self {
        let hash = bcrypt::hash("proof", 4).unwrap();
        let text = format!("basic_auth_users: {{prometheus: {hash}}}\n");
        let path = std::env::temp_dir().join(format!("linkproof-serve-{:x}.yml", fastrand::u64(..)));
        std::fs::write(&path, text).unwrap();
        Self(path)
    }

    async fn served(&self, timeouts: Timeouts) -> Server {
        let access = Access::open(Some(self.0.clone()), true).unwrap();
        started(timeouts, |state| state.access = Arc::new(access)).await
    }
}

impl Drop for WebFile {
    fn drop(&mut self) {
        let _ = std::fs::remove_file(&self.0);
    }
}

/// One answer, of a connection that may carry more. `None` where it has ended.
async fn next_answer(stream: &mut TcpStream, path: &str, headers: &str) -> Option<String> {
    let request = format!("GET {path} HTTP/1.1\r\nHost: x\r\n{headers}\r\n");
    stream.write_all(request.as_bytes()).await.ok()?;
    let mut head = Vec::new();
    while !head.ends_with(b"\r\n\r\n") {
        head.push(time::timeout(SOON, stream.read_u8()).await.unwrap().ok()?);
    }
    let head = String::from_utf8(head).unwrap().to_ascii_lowercase();
    let length = head.lines().find_map(|line| line.strip_prefix("content-length: ")).unwrap();
    stream.read_exact(&mut vec![0; length.parse().unwrap()]).await.unwrap();
    Some(head)
}

#[tokio::test]
async fn a_client_that_authenticates_keeps_its_connection() {
    let file = WebFile::new();
    let server = file.served(Timeouts { headers: HASTE, ..Timeouts::DEFAULT }).await;
    let mut scraper = TcpStream::connect(server.address).await.unwrap();
    for _ in 0..3 {
        let head = next_answer(&mut scraper, "/metrics", PASSWORD).await.unwrap();
        assert!(head.starts_with("http/1.1 200") && !head.contains("connection: close"), "{head}");
        // Longer than a stranger has to ask.
        time::sleep(2 * HASTE).await;
    }
    for (path, headers) in
        [("/-/healthy", ""), ("/metrics", ""), ("/metrics", "Authorization: Basic eDp5\r\n")]
    {
        let mut stranger = TcpStream::connect(server.address).await.unwrap();
        let head = next_answer(&mut stranger, path, headers).await.unwrap();
        assert!(head.contains("connection: close"), "{path} {head}");
        assert_eq!(next_answer(&mut stranger, path, headers).await, None);
    }
    // The password was right for each request, not for the connection.
    assert!(next_answer(&mut scraper, "/metrics", "").await.unwrap().starts_with("http/1.1 401"));
    assert_eq!(next_answer(&mut scraper, "/metrics", PASSWORD).await, None);
}

#[tokio::test]
async fn a_kept_connection_ends_when_the_rules_change_or_its_client_is_silent() {
    let file = WebFile::new();
    let server = file.served(Timeouts { idle: HASTE, ..Timeouts::DEFAULT }).await;
    let mut silent = TcpStream::connect(server.address).await.unwrap();
    assert!(next_answer(&mut silent, "/metrics", PASSWORD).await.is_some());
    assert_eq!(time::timeout(SOON, silent.read(&mut [0])).await.unwrap().unwrap(), 0);

    let server = file.served(Timeouts::DEFAULT).await;
    let mut scraper = TcpStream::connect(server.address).await.unwrap();
    assert!(next_answer(&mut scraper, "/metrics", PASSWORD).await.is_some());
    let users = std::fs::read_to_string(&file.0).unwrap();
    std::fs::write(&file.0, format!("{users}rate_limit: {{interval: 1h, burst: 9}}\n")).unwrap();
    assert_eq!(next_answer(&mut scraper, "/metrics", PASSWORD).await, None);
}

#[tokio::test]
async fn kept_connections_do_not_delay_the_end() {
    let file = WebFile::new();
    let server = file.served(Timeouts { grace: 10 * SOON, ..Timeouts::DEFAULT }).await;
    let mut scraper = TcpStream::connect(server.address).await.unwrap();
    assert!(next_answer(&mut scraper, "/metrics", PASSWORD).await.is_some());
    server.stop.send(()).unwrap();
    time::timeout(SOON, server.task).await.unwrap().unwrap();
}

/// Where the answer takes a moment, as a password check does, the end of the client's side came
/// first, and was taken for the end of the connection.
#[tokio::test]
async fn a_client_that_closes_its_side_gets_its_answer() {
    let (requests, mut inbox) = mpsc::channel::<Reload>(1);
    let server = started(Timeouts::DEFAULT, |state| state.reload = Some(requests)).await;
    let mut stream = TcpStream::connect(server.address).await.unwrap();
    stream.write_all(b"POST /-/reload HTTP/1.1\r\nHost: x\r\n\r\n").await.unwrap();
    stream.shutdown().await.unwrap();
    let reply = inbox.recv().await.unwrap();
    time::sleep(HASTE).await;
    let _ = reply.send(Ok(()));
    let mut answer = String::new();
    stream.read_to_string(&mut answer).await.unwrap();
    assert!(answer.ends_with("reloaded\n"), "{answer:?}");
}

#[tokio::test]
async fn idle_clients_do_not_delay_the_next() {
    let server = started(Timeouts::DEFAULT, |_| {}).await;
    let mut idle = Vec::new();
    for _ in 0..1000 {
        idle.push(TcpStream::connect(server.address).await.unwrap());
        if idle.len() % 100 == 0 {
            // Half of the time that an idle client may keep its place.
            let healthy = time::timeout(Duration::from_millis(2500), server.ask("GET", "/-/healthy")).await;
            assert_eq!(healthy.unwrap().0, 200, "beside {} idle clients", idle.len());
        }
    }
}

#[tokio::test]
async fn a_body_is_not_waited_for() {
    let server = started(Timeouts::DEFAULT, |_| {}).await;
    let request = "POST /-/reload HTTP/1.1\r\nHost: x\r\nContent-Length: 1000000000\r\n\r\n";
    assert_eq!(split(&String::from_utf8(server.raw(request).await).unwrap()).0, 403);
}

#[tokio::test]
async fn a_header_without_end_is_refused() {
    let server = started(Timeouts::DEFAULT, |_| {}).await;
    let request = format!("GET / HTTP/1.1\r\nX: {}\r\n\r\n", "x".repeat(20_000));
    let answer = String::from_utf8(server.raw(&request).await).unwrap();
    assert!(answer.is_empty() || answer.starts_with("HTTP/1.1 431"), "{answer}");
}

#[tokio::test]
async fn a_client_that_says_too_little_is_cut_off() {
    let server = started(HASTY, |_| {}).await;
    for said in [&b"GET / HT"[..], b""] {
        let mut slow = TcpStream::connect(server.address).await.unwrap();
        slow.write_all(said).await.unwrap();
        let mut rest = Vec::new();
        let _ = time::timeout(SOON, slow.read_to_end(&mut rest)).await.unwrap();
        assert!(!String::from_utf8_lossy(&rest).contains("200 OK"));
    }
}

#[tokio::test]
async fn it_stops_even_with_a_client_that_hangs() {
    let server = started(Timeouts { grace: HASTE, ..Timeouts::DEFAULT }, |_| {}).await;
    let _silent = TcpStream::connect(server.address).await.unwrap();
    // Connections are accepted in turn: an answer here means that the silent one is held.
    assert_eq!(server.ask("GET", "/-/ready").await.0, 200);
    server.stop.send(()).unwrap();
    time::timeout(SOON, server.task).await.unwrap().unwrap();
    assert!(TcpStream::connect(server.address).await.is_err());
}
