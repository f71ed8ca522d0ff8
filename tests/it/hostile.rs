//! Peers that answer what nothing sane answers: the program neither ends, nor passes, nor grows, and
//! it never shows a secret.

use std::io::{Read, Write};
use std::net::{TcpListener, TcpStream};
use std::thread;
use std::time::Duration;

use minicbor::Encoder;

use crate::agent::{self, Agent};
use crate::harness;
use crate::lab::{ACCESS_KEY, Canned, Host, Lab, Output, SECRET_KEY, SESSION_TOKEN};
use crate::report::Report;
use crate::served::Daemon;
use crate::state::{CALL, CONNECT, CREDENTIALS, DNS, INSTANCE};

/// The bound of the whole program, whatever a peer does.
const MOST_MEMORY: u64 = 40 * 1024 * 1024;

/// In every secret that the hostile peers hand out.
const SECRET: &str = "SECRET7f3a";

const QUICK: &str = "
    region = 'us-east-1'
    expected_cidrs = ['10.0.0.0/16']
    [instance]
    timeout = '1s'
    [credentials]
    timeout = '1s'
    [egress]
    enabled = false
";

/// What is answered to a path of metadata. What follows the bytes never ends, if it `drips`.
struct Says {
    bytes: Vec<u8>,
    drips: bool,
}

fn says(status: &str, headers: &str, body: impl AsRef<[u8]>) -> Says {
    let body = body.as_ref();
    let mut bytes =
        format!("HTTP/1.1 {status}\r\ncontent-length: {}\r\n{headers}\r\n", body.len()).into_bytes();
    bytes.extend_from_slice(body);
    Says { bytes, drips: false }
}

fn ok(body: impl AsRef<[u8]>) -> Says {
    says("200 OK", "", body)
}

/// Chunks of one byte, for as long as they are read.
fn dripping() -> Says {
    Says { bytes: b"HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n".to_vec(), drips: true }
}

/// A metadata service on the instance's own loopback. Its URL goes into the agent's environment.
fn metadata(lab: &Lab, answer: impl Fn(&str) -> Says + Clone + Send + 'static) -> String {
    let listener = lab.on(Host::Instance, || TcpListener::bind("127.0.0.1:0")).unwrap();
    let url = format!("http://{}", listener.local_addr().unwrap());
    thread::spawn(move || {
        for stream in listener.incoming().flatten() {
            let answer = answer.clone();
            thread::spawn(move || respond(stream, &answer));
        }
    });
    url
}

/// The client hangs up when it has had enough.
fn respond(mut stream: TcpStream, answer: &impl Fn(&str) -> Says) {
    let mut request = Vec::new();
    let mut buffer = [0; 1024];
    while !request.windows(4).any(|end| end == b"\r\n\r\n") {
        match stream.read(&mut buffer) {
            Ok(read @ 1..) => request.extend_from_slice(&buffer[..read]),
            Ok(0) | Err(_) => return,
        }
    }
    let line = String::from_utf8_lossy(&request).into_owned();
    let path = line.split(' ').nth(1).unwrap_or_default();
    let says = answer(path.trim_start_matches("/latest/").trim_start_matches("meta-data/"));
    let _ = stream.write_all(&says.bytes);
    let chunks = b"1\r\na\r\n".repeat(4096);
    while says.drips && stream.write_all(&chunks).is_ok() {}
}

/// A good service with two interfaces, as far as these tests need one.
fn good(path: &str) -> Says {
    match path {
        "api/token" => says("200 OK", "x-aws-ec2-metadata-token-ttl-seconds: 300\r\n", SECRET),
        "placement/region" => ok("us-east-1"),
        "mac" => ok("02:00:0a:00:01:17"),
        "network/interfaces/macs/" => ok("02:00:0a:00:01:17/\n02:00:0a:00:01:18/"),
        "network/interfaces/macs/02:00:0a:00:01:17/vpc-ipv4-cidr-blocks" => ok("10.0.0.0/16"),
        "network/interfaces/macs/02:00:0a:00:01:17/local-ipv4s" => ok("10.0.1.23"),
        "network/interfaces/macs/02:00:0a:00:01:18/vpc-ipv4-cidr-blocks" => ok("10.0.0.0/16\n10.77.0.0/16"),
        "network/interfaces/macs/02:00:0a:00:01:18/local-ipv4s" => ok("10.77.0.9"),
        "iam/security-credentials/" => ok("role"),
        "iam/security-credentials/role" => ok(credentials("ASIAEXAMPLE", "2099-01-01T00:00:00Z")),
        _ => says("404 Not Found", "", ""),
    }
}

fn credentials(id: &str, expiration: &str) -> String {
    let document = serde_json::json!({
        "Code": "Success", "AccessKeyId": id, "SecretAccessKey": SECRET, "Token": SECRET,
        "Expiration": expiration,
    });
    document.to_string()
}

/// A document, and what is answered in its place.
type Case = (&'static str, fn() -> Says);

/// The good service with one document replaced.
fn but(path: &'static str, with: fn() -> Says) -> impl Fn(&str) -> Says + Clone + Send + 'static {
    move |asked| if asked == path { with() } else { good(asked) }
}

fn once(lab: &Lab, url: &str) -> (Output, Report) {
    let agent = Agent::default().config(QUICK).env("AWS_EC2_METADATA_SERVICE_ENDPOINT", url);
    let output = lab.run(&agent.once("json"));
    assert!(matches!(output.status.code(), Some(0..=2)), "it ended badly: {output:?}");
    let shown = output.stdout.contains(SECRET) || output.stderr.contains(SECRET);
    assert!(!shown, "it shows a secret: {output:?}");
    let memory = output.peak_rss.unwrap_or_default();
    assert!(memory < MOST_MEMORY, "it took {} MiB", memory / 1024 / 1024);
    let report = Report::read(&output.stdout).unwrap_or_else(|error| panic!("{error}: {output:?}"));
    (output, report)
}

fn outcome(report: &Report, check: &str) -> String {
    report.checks().into_iter().find(|(id, _)| id == check).map(|(_, outcome)| outcome).unwrap_or_default()
}

#[test]
fn every_interface_counts() {
    let lab = harness::lab();
    let url = metadata(&lab, good);
    let (output, report) = once(&lab, &url);
    assert_eq!(outcome(&report, INSTANCE), "pass", "{output:?}");
    for part in ["10.77.0.0/16", "10.77.0.9", "10.0.1.23"] {
        assert!(output.stdout.contains(part), "{part} is missing: {}", output.stdout);
    }
}

/// What an agent of containers answers is shown, with its status.
#[test]
fn refusals_of_a_container_agent_are_shown() {
    let lab = harness::lab();
    let pod_identity = r#"{"code":"AccessDeniedException","message":"no association","httpStatusCode":403}"#;
    for (status, body, expected) in [
        ("429 Too Many Requests", "slow down", "HTTP 429: slow down"),
        ("403 Forbidden", pod_identity, "AccessDeniedException"),
        ("500 Internal Server Error", "", "HTTP 500"),
        ("200 OK", "<html>", "the answer is not a JSON document with credentials"),
    ] {
        let url = metadata(&lab, move |_| says(status, "", body));
        let agent = Agent::default().config(QUICK).env("AWS_CONTAINER_CREDENTIALS_FULL_URI", &url);
        let output = lab.run(&agent.env("AWS_CONTAINER_AUTHORIZATION_TOKEN", SECRET).once("json"));
        let report = Report::read(&output.stdout).unwrap_or_else(|error| panic!("{error}: {output:?}"));
        assert_eq!(outcome(&report, CREDENTIALS), "fail credentials_invalid_source", "{status}");
        assert!(output.stdout.contains(expected), "{status}: {}", output.stdout);
        assert!(!output.stdout.contains(SECRET), "{status}");
        assert!(report.causes().iter().any(|(cause, _)| cause == "container_credentials"), "{status}");
    }
    let keys = serde_json::json!({
        "AccessKeyId": ACCESS_KEY, "SecretAccessKey": SECRET_KEY, "Token": SESSION_TOKEN,
        "Expiration": "2099-01-01T00:00:00Z",
    });
    let url = metadata(&lab, move |_| ok(keys.to_string()));
    let agent = Agent::default().config(QUICK).env("AWS_CONTAINER_CREDENTIALS_FULL_URI", &url);
    let report = Report::read(&lab.run(&agent.once("json")).stdout).unwrap();
    assert_eq!([CREDENTIALS, CALL].map(|check| outcome(&report, check)), ["pass", "pass"]);
}

#[test]
fn hostile_metadata_fails_and_does_not_crash() {
    const RANGES: &str = "network/interfaces/macs/02:00:0a:00:01:17/vpc-ipv4-cidr-blocks";
    const KEYS: &str = "iam/security-credentials/role";
    let cases: [Case; 20] = [
        ("mac", || ok("02:00:0a\n00:01:17")),
        ("mac", || ok("0".repeat(70_000))),
        ("placement/region", || ok("us-east-1.evil.example/?")),
        ("placement/region", || ok("not a region")),
        (RANGES, || ok("0.0.0.0/0")),
        (RANGES, || ok("0.0.0.0/1\n128.0.0.0/1")),
        ("network/interfaces/macs/", || ok("02:00:0a:00:01:17/\n".repeat(3000))),
        ("instance-id", || ok([0xff, 0xfe])),
        ("instance-id", dripping),
        ("api/token", dripping),
        ("api/token", || ok([SECRET.as_bytes(), b"\xff\xfe\x00"].concat())),
        ("api/token", || ok(format!("{SECRET}\r\nx: y"))),
        ("api/token", || ok(SECRET.repeat(7_000))),
        ("api/token", || says("200 OK", &format!("x-padding: {}\r\n", "p".repeat(500_000)), SECRET)),
        ("iam/security-credentials/", || ok("two\nroles")),
        ("iam/security-credentials/", || ok("r".repeat(60_000))),
        (KEYS, || ok(credentials("ASIA\u{7}EXAMPLE", "2099-01-01T00:00:00Z"))),
        (KEYS, || ok("[".repeat(60_000))),
        (KEYS, dripping),
        (KEYS, || ok(credentials("ASIAEXAMPLE", "99999999-01-01T00:00:00Z"))),
    ];
    let lab = harness::lab();
    for (path, with) in cases {
        let url = metadata(&lab, but(path, with));
        let (output, report) = once(&lab, &url);
        let check = if path.starts_with("iam/") { CREDENTIALS } else { INSTANCE };
        assert!(outcome(&report, check).starts_with("fail "), "{path}: {output:?}");
        assert_ne!(report.outcome(), "pass", "{path}");
    }
}

#[test]
fn lifetime_of_a_token_that_overflows_does_no_harm() {
    let lab = harness::lab();
    let token = || says("200 OK", "x-aws-ec2-metadata-token-ttl-seconds: 9223372036854775808\r\n", SECRET);
    let (_, report) = once(&lab, &metadata(&lab, but("api/token", token)));
    assert_eq!([INSTANCE, CREDENTIALS].map(|check| outcome(&report, check)), ["pass", "pass"]);
}

#[test]
fn credentials_that_expired_before_1970_are_expired() {
    let lab = harness::lab();
    let old = || ok(credentials("ASIAEXAMPLE", "1969-07-20T20:17:40Z"));
    let url = metadata(&lab, but("iam/security-credentials/role", old));
    for format in ["json", "text", "junit", "prometheus"] {
        let agent = Agent::default().config(QUICK).env("AWS_EC2_METADATA_SERVICE_ENDPOINT", &url);
        let output = lab.run(&agent.once(format));
        assert_eq!(output.status.code(), Some(1), "{format}: {output:?}");
    }
    let (_, report) = once(&lab, &url);
    assert_eq!(outcome(&report, CREDENTIALS), "fail credentials_expired");
}

/// A list of so many metrics without a name, by CBOR.
fn empty_metrics(count: usize) -> Vec<u8> {
    let mut encoder = Encoder::new(Vec::new());
    encoder.map(1).unwrap().str("Metrics").unwrap().array(count as u64).unwrap();
    for _ in 0..count {
        encoder.map(0).unwrap();
    }
    encoder.into_writer()
}

fn error(message: &str) -> Vec<u8> {
    let mut encoder = Encoder::new(Vec::new());
    encoder.map(2).unwrap().str("__type").unwrap().str("com.amazonaws.cloudwatch#AccessDenied").unwrap();
    encoder.str("message").unwrap().str(message).unwrap();
    encoder.into_writer()
}

fn canned(status: u16, body: Vec<u8>, chunk: Option<usize>) -> Canned {
    Canned { status, content_type: "application/cbor", body: body.into(), chunk }
}

const NO_EGRESS: &str = "[egress]\nenabled = false\n";

#[test]
fn hostile_cloudwatch_neither_passes_nor_fills_memory() {
    let lab = harness::lab();
    for (name, answer) in [
        ("one empty metric", canned(200, empty_metrics(1), None)),
        ("two hundred thousand empty metrics", canned(200, empty_metrics(200_000), None)),
        ("four million empty metrics", canned(200, empty_metrics(4_000_000), None)),
        ("a body in chunks of one byte", canned(200, vec![0xa0; 2_000_000], Some(1))),
        ("a list that promises more than there is", canned(200, vec![0x9b, 0xff, 0xff, 0xff, 0xff], None)),
        ("deeply nested lists", canned(200, vec![0x9f; 200_000], None)),
        ("an error that is longer than any", canned(403, error(&"m".repeat(3_000_000)), None)),
    ] {
        lab.answer_signed(Some(answer));
        let output = lab.run(&Agent::default().config(NO_EGRESS).once("json"));
        let memory = output.peak_rss.unwrap_or_default();
        println!("{name}: {} MiB", memory / 1024 / 1024);
        assert!(memory < MOST_MEMORY, "{name}: {} MiB", memory / 1024 / 1024);
        let report = Report::read(&output.stdout).unwrap_or_else(|error| panic!("{name}: {error}"));
        assert_eq!(output.status.code(), Some(1), "{name}: {}", output.stdout);
        assert_eq!([DNS, CONNECT].map(|check| outcome(&report, check)), ["pass", "pass"], "{name}");
        assert!(outcome(&report, CALL).starts_with("fail "), "{name}: {}", outcome(&report, CALL));
        assert!(output.stdout.len() < 100_000, "{name}: the report has {} bytes", output.stdout.len());
    }
}

#[test]
fn long_and_reordering_words_of_a_peer_are_cut_and_plain() {
    let lab = harness::lab();
    let words = format!("denied\u{202e}gnp.exe\u{2066}\u{2069}\u{200b} {}", "x".repeat(50_000));
    lab.answer_signed(Some(canned(403, error(&words), None)));
    let json = lab.run(&Agent::default().config(NO_EGRESS).once("json"));
    assert!(json.stdout.contains("more bytes]"), "what was cut is said: {}", json.stdout);
    let invisible = ['\u{202e}', '\u{2066}', '\u{2069}', '\u{200b}'];
    for format in ["text", "json", "junit"] {
        let output = lab.run(&Agent::default().config(NO_EGRESS).once(format));
        assert!(output.stdout.contains("gnp.exe"), "{format}: {}", output.stdout);
        assert!(!output.stdout.contains(invisible), "{format}: {}", output.stdout);
    }
    let config = format!("{NO_EGRESS}[web]\nlisten = '127.0.0.1:10042'\n");
    let mut daemon = Daemon::start(&lab, &config);
    daemon
        .until("the call failed", |daemon| daemon.get("/").is_some_and(|page| page.body.contains("gnp.exe")));
    let page = daemon.get("/").unwrap();
    assert!(!page.body.contains(invisible) && page.body.len() < 100_000);
    assert!(!daemon.child.stderr().contains(invisible), "{}", daemon.child.stderr());
    assert!(daemon.child.is_running());
}

/// Every peer at once, each second.
#[test]
fn memory_stays_bounded_under_hostile_peers() {
    let lab = harness::lab();
    let url = metadata(&lab, |path| match path {
        "api/token" | "network/interfaces/macs/" => good(path),
        _ => dripping(),
    });
    let keys = format!(
        "[default]\naws_access_key_id = {ACCESS_KEY}\naws_secret_access_key = {SECRET_KEY}\naws_session_token = {SESSION_TOKEN}\n"
    );
    let keys = agent::file("ini", &keys);
    lab.answer_signed(Some(canned(200, empty_metrics(4_000_000), Some(1))));
    let often = &format!(
        "region = 'us-east-1'\nexpected_cidrs = ['10.0.0.0/16']\n{}",
        agent::every_second("900ms", "enabled = false")
    );
    let mut daemon = Daemon::start_with(&lab, often, |run| {
        run.env("AWS_EC2_METADATA_SERVICE_ENDPOINT", url).env("AWS_CONFIG_FILE", keys)
    });
    thread::sleep(Duration::from_secs(10));
    assert!(daemon.child.is_running(), "{}", daemon.child.stderr());
    let memory = daemon.child.peak_rss().unwrap();
    let calls = lab.requests().iter().filter(|request| request.operation.is_some()).count();
    println!("{} MiB at most, {calls} calls", memory / 1024 / 1024);
    assert!(calls >= 5, "it made {calls} calls only");
    assert!(memory < MOST_MEMORY, "{} MiB", memory / 1024 / 1024);
}

/// Certificates come and go; nothing is told to read them anew.
#[test]
fn trust_store_is_followed() {
    let lab = harness::lab();
    let bundle = lab.on(Host::Instance, || std::fs::read_to_string("/etc/ssl/certs/ca-certificates.crt"));
    let bundle = bundle.unwrap();
    let store = agent::file("pem", &bundle);
    let config = format!(
        "interval = '1s'\ntimeout = '900ms'\n[[endpoint]]\nservice = 'monitoring'\n{NO_EGRESS}[web]\nlisten = '127.0.0.1:10042'\n"
    );
    let daemon = Daemon::start_with(&lab, &config, |run| run.env("SSL_CERT_FILE", &store));
    daemon.until("it passes", |daemon| daemon.passes(CONNECT));
    std::fs::write(&store, "").unwrap();
    daemon.until("the authority is gone", |daemon| !daemon.passes(CONNECT));
    std::fs::write(&store, &bundle).unwrap();
    daemon.until("it is back", |daemon| daemon.passes(CONNECT));
    std::fs::remove_file(&store).unwrap();
    daemon.until("the file is gone", |daemon| !daemon.passes(CONNECT));
}
