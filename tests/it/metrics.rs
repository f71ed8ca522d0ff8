//! /metrics of a real daemon, read by Prometheus's own parsers in both formats.

use std::collections::{BTreeMap, BTreeSet};
use std::io::{Read, Write};
use std::net::{SocketAddr, TcpListener};
use std::process::{Command, Stdio};
use std::thread;

use flate2::read::GzDecoder;

use crate::harness::{Scratch, eventually, http, own_lab, program};
use crate::lab::{Fault, Host, Lab};
use crate::prometheus::{DAEMON, HASTY, Prometheus, daemon};

const OPEN_METRICS: &str = "application/openmetrics-text; version=1.0.0; charset=utf-8";
const TEXT: &str = "text/plain; version=0.0.4; charset=utf-8";

fn page(lab: &Lab, headers: &str) -> http::Answer {
    http::get(lab, DAEMON, "/metrics", headers).expect("the daemon answers")
}

/// Serves one page for ever, on the instance.
fn serve(lab: &Lab, content_type: &'static str, body: Vec<u8>) -> SocketAddr {
    let listener = lab.on(Host::Instance, || TcpListener::bind("127.0.0.1:0")).unwrap();
    let address = listener.local_addr().unwrap();
    thread::spawn(move || {
        for mut stream in listener.incoming().flatten() {
            if http::request(&mut stream).is_some() {
                http::respond(&mut stream, content_type, &body);
            }
        }
    });
    address
}

pub fn assert_clean(page: &str) {
    let mut promtool = Command::new(program("promtool", "prometheus"))
        .args(["check", "metrics"])
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    promtool.stdin.take().unwrap().write_all(page.as_bytes()).unwrap();
    let output = promtool.wait_with_output().unwrap();
    let said = String::from_utf8_lossy(&[output.stdout, output.stderr].concat()).into_owned();
    assert!(output.status.success() && said.is_empty(), "{said}");
}

#[test]
fn both_formats_have_the_same_series() {
    let (lab, scratch) = (own_lab(), Scratch::new("formats"));
    let _daemon = daemon(&lab, &scratch, HASTY);
    // What is broken has more series than what is well.
    lab.set([Fault::NatOpen, Fault::EndpointBSilent]);
    eventually("the faults to show", || {
        let page = page(&lab, "").text();
        ["internet_route_open", "endpoint_interface_down"].iter().all(|of| page.contains(of)).then_some(())
    });
    // Between the two nothing came or went.
    let (text, open) = eventually("three pages of the same series", || {
        let text = page(&lab, "Accept: text/plain;version=0.0.4\r\n");
        let open = page(&lab, "Accept: application/openmetrics-text;version=1.0.0\r\n");
        let again = page(&lab, "Accept: text/plain;version=0.0.4\r\n");
        (series_of(&text.text()) == series_of(&again.text())).then_some((text, open))
    });
    assert!(text.head.contains(&format!("content-type: {TEXT}")), "{}", text.head);
    assert_clean(&text.text());
    assert!(open.head.contains(&format!("content-type: {OPEN_METRICS}")), "{}", open.head);

    // Each page stands still, so that Prometheus cannot mix two of them.
    let text = serve(&lab, TEXT, text.body);
    let open = serve(&lab, OPEN_METRICS, open.body);
    let job =
        |name, address| format!("- {{job_name: {name}, static_configs: [{{targets: ['{address}']}}]}}\n");
    let jobs = [job("text", text), job("open", open), job("linkproof", DAEMON)].concat();
    let prometheus = Prometheus::start(&lab, &scratch, &jobs, "");
    for name in ["text", "open", "linkproof"] {
        prometheus.until(&format!("up{{job=\"{name}\"}} == 1"));
    }
    let series = |job: &str| -> BTreeMap<String, f64> {
        let scraped = prometheus.query(&format!("{{job=\"{job}\",__name__!~\"up|scrape_.+\"}}"));
        let named = |(labels, value): (serde_json::Value, f64)| {
            let mut labels = labels.as_object().unwrap().clone();
            labels.remove("job");
            labels.remove("instance");
            // OpenMetrics wants 1.0 where the older format has 1; Prometheus 3 stores either as 1.0.
            if let Some(bound) = labels.get("le").and_then(|le| le.as_str()?.parse::<f64>().ok()) {
                labels.insert("le".to_owned(), bound.to_string().into());
            }
            (serde_json::Value::Object(labels).to_string(), value)
        };
        scraped.into_iter().map(named).collect()
    };
    let (text, open) = (series("text"), series("open"));
    assert!(text.len() > 250, "{}", text.len());
    let names = |of: &BTreeMap<String, f64>| of.keys().cloned().collect::<BTreeSet<String>>();
    let differ: Vec<String> = names(&text).symmetric_difference(&names(&open)).cloned().collect();
    assert_eq!(differ, Vec::<String>::new());
    for (name, value) in text.iter().filter(|(name, _)| !moves(name)) {
        assert_eq!(open.get(name), Some(value), "{name}");
    }
}

fn series_of(page: &str) -> BTreeSet<String> {
    let series = page.lines().filter(|line| !line.starts_with('#')).filter_map(|line| line.rsplit_once(' '));
    series.map(|(series, _)| series.to_owned()).collect()
}

/// The two pages are fetched one after the other: what counts and what times may have moved on.
fn moves(series: &str) -> bool {
    let ends = ["_total", "_bucket", "_count", "_sum", "_seconds", "_bytes", "_fds"];
    ends.iter().any(|end| series.contains(&format!("{end}\"")))
}

#[test]
fn it_comes_compressed_to_whoever_asks_and_only_then() {
    let (lab, scratch) = (own_lab(), Scratch::new("gzip"));
    let _daemon = daemon(&lab, &scratch, HASTY);
    let plain = page(&lab, "");
    assert!(!plain.head.contains("content-encoding"));
    let packed = page(&lab, "Accept-Encoding: gzip\r\n");
    assert!(packed.head.contains("content-encoding: gzip"), "{}", packed.head);
    assert!(packed.body.len() * 4 < plain.body.len());
    let mut text = String::new();
    GzDecoder::new(packed.body.as_slice()).read_to_string(&mut text).unwrap();
    assert_clean(&text);
}
