//! Latencies that linkproof reports against those of the packets, on an idle and on a busy machine:
//! TCP connects, DNS queries, and pings that get out.

use std::collections::HashMap;
use std::fs;
use std::path::Path;
use std::thread::sleep;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use serde_json::Value;

use crate::Length;
use crate::daemon::Daemon;
use crate::figure::Figure;
use crate::lab::{Capture, Child, Fault, Lab, RoundTrip, Run};

const ENDPOINTS: usize = 100;
/// A round of the daemon's checks: 30 connections and 40 queries a second.
const ROUND: Duration = Duration::from_secs(10);
/// Each gives a round trip to three targets.
const PINGS_A_ROUND: usize = 10;
/// Microseconds at the 99th percentile.
const ALLOWED: f64 = 100.0;

/// One value that was reported, in microseconds.
struct Reported {
    wire: f64,
    felt: f64,
    kernel: Option<f64>,
}

pub fn measure(lab: &Lab, binary: &Path, scratch: &Path, length: &Length) -> Vec<Figure> {
    let rounds = length.rounds;
    let mut figures = Vec::new();
    for (when, spinning) in [("idle", vec![]), ("busy", spin(lab))] {
        let (connects, queries) = checks(lab, binary, scratch, rounds);
        let pings = pings(lab, binary, scratch, rounds * PINGS_A_ROUND);
        drop(spinning);
        for (what, values) in [("TCP connect", connects), ("DNS query", queries), ("ping", pings)] {
            figures.extend(compare(&format!("{what}, {when}"), &values));
        }
    }
    figures
}

/// Keeps every CPU busy until it is dropped.
fn spin(lab: &Lab) -> Vec<Child> {
    let cpus = std::thread::available_parallelism().unwrap().get();
    (0..cpus).map(|_| lab.spawn(&Run::new("sh").args(["-c", "while :; do :; done"]))).collect()
}

fn compare(what: &str, values: &[Reported]) -> [Figure; 4] {
    let all = |of: fn(&Reported) -> f64| values.iter().map(of).collect::<Vec<f64>>();
    let known = values.iter().filter(|value| value.kernel.is_some()).count() as f64 / values.len() as f64;
    [
        Figure::distribution(format!("{what}: on the wire"), "us", all(|value| value.wire)),
        Figure::distribution(
            format!("{what}: error of what is felt"),
            "us",
            all(|value| (value.felt - value.wire).abs()),
        ),
        // As the metrics have it: the kernel's where it is known.
        Figure::distribution(
            format!("{what}: error by the kernel's clock"),
            "us",
            all(|value| (value.kernel.unwrap_or(value.felt) - value.wire).abs()),
        )
        .at_most(ALLOWED),
        Figure::new(format!("{what}: known by the kernel"), "%", vec![known * 100.0]),
    ]
}

/// By what was asked: seconds on the wire.
type Wire = HashMap<String, f64>;

/// Two of each in a round could both be the one that is reported.
fn checks(lab: &Lab, binary: &Path, scratch: &Path, rounds: usize) -> (Vec<Reported>, Vec<Reported>) {
    let daemon = Daemon::start(lab, binary, scratch, (ENDPOINTS, ROUND), 10044);
    let (mut connects, mut queries) = (Vec::new(), Vec::new());
    for _ in 0..rounds {
        let capture = Capture::start(lab, &scratch.join("latency.pcap"));
        sleep(ROUND);
        let read_at = now();
        let report: Value = serde_json::from_slice(&daemon.get("/report")).unwrap();
        let wire = last_before(read_at, capture.stop());
        for check in report["checks"].as_array().unwrap() {
            connects.extend(connections(check, &wire));
            queries.extend(questions(check, &wire));
        }
    }
    assert!(!connects.is_empty() && !queries.is_empty());
    (connects, queries)
}

fn now() -> f64 {
    SystemTime::now().duration_since(UNIX_EPOCH).unwrap().as_secs_f64()
}

/// The last round trip of each kind: the one that the report has. What was sent when the report was
/// read is left out, since the report may have the one before.
fn last_before(read_at: f64, wire: Vec<RoundTrip>) -> Wire {
    let mut last = Wire::new();
    for trip in wire {
        if trip.sent_at < read_at - 1.0 {
            last.insert(trip.what, trip.seconds);
        } else {
            last.remove(&trip.what);
        }
    }
    last
}

fn connections(check: &Value, wire: &Wire) -> Vec<Reported> {
    let evidence = check["evidence"]["connections"].as_array();
    let reported = |connection: &Value| {
        let ip = connection["ip"].as_str()?;
        let address = check["addresses"].as_array()?.iter().find(|address| address["ip"] == ip)?;
        let (felt, kernel) = (&address["phases"]["tcp"], &connection["kernel_tcp_seconds"]);
        reported(*wire.get(&format!("tcp {ip}"))?, felt, kernel)
    };
    evidence.into_iter().flatten().filter_map(reported).collect()
}

fn questions(check: &Value, wire: &Wire) -> Vec<Reported> {
    let evidence = &check["evidence"];
    let reported = |query: &Value| {
        let [kind, server] = [&query["query_type"], &query["server"]].map(Value::as_str);
        let asked = format!("{} {} {}", kind?, evidence["host"].as_str()?, server?.strip_suffix(":53")?);
        reported(*wire.get(&asked)?, &query["seconds"], &query["kernel_seconds"])
    };
    evidence["queries"].as_array().into_iter().flatten().filter_map(reported).collect()
}

fn reported(wire: f64, felt: &Value, kernel: &Value) -> Option<Reported> {
    let microseconds = |value: &Value| Some(value.as_f64()? * 1e6);
    Some(Reported { wire: wire * 1e6, felt: microseconds(felt)?, kernel: microseconds(kernel) })
}

/// The fastest echo at each target of a run, while ping gets out.
fn pings(lab: &Lab, binary: &Path, scratch: &Path, runs: usize) -> Vec<Reported> {
    let config = "[egress]\nprotocols = ['icmp']\nfamilies = ['ipv4']\ndecoys = false\nwindow = '1s'\n";
    let file = scratch.join("ping.toml");
    fs::write(&file, config).unwrap();
    let run = Run::new(binary).arg("--config").arg(&file).args(["--once", "--format", "json"]);
    lab.inject(Fault::NatOpenIcmpOnly);
    let mut values = Vec::new();
    for _ in 0..runs {
        let capture = Capture::start(lab, &scratch.join("latency.pcap"));
        let report: Value = serde_json::from_str(&lab.run(&run).stdout).unwrap();
        let mut wire = Wire::new();
        for trip in capture.stop() {
            let fastest = wire.entry(trip.what).or_insert(trip.seconds);
            *fastest = fastest.min(trip.seconds);
        }
        let checks = report["checks"].as_array().unwrap();
        let probes = checks.iter().filter_map(|check| check["evidence"]["probes"].as_array()).flatten();
        values.extend(probes.filter_map(|probe| {
            let wire = *wire.get(&format!("ping {}", probe["ip"].as_str()?))?;
            reported(wire, &probe["after_seconds"], &probe["kernel_seconds"])
        }));
    }
    lab.clear(Fault::NatOpenIcmpOnly);
    assert!(!values.is_empty());
    values
}
