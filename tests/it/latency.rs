//! The kernel's times in the report, by an account that is not the agent's: the timestamps of the
//! packets on the wire.

use std::fs;

use serde_json::Value;

use crate::agent::{Agent, scratch};
use crate::harness;
use crate::lab::{CLOUDWATCH, Capture, Fault, Lab, RoundTrip};
use crate::report::Report;

/// The connections of the egress check's controls would stand between those of the endpoint.
const WITHOUT_EGRESS: &str = "[egress]\nenabled = false\n";

/// Seconds that the kernel's time may be off by on a machine that runs other tests.
const ALLOWED: f64 = 0.005;

fn captured(lab: &Lab, agent: &Agent) -> (Report, Vec<RoundTrip>) {
    let file = scratch("pcap");
    let capture = Capture::start(lab, &file);
    let output = lab.run(&agent.once("json"));
    let wire = capture.stop();
    fs::remove_file(&file).unwrap();
    let report = Report::read(&output.stdout).unwrap_or_else(|error| panic!("{error}: {output:?}"));
    (report, wire)
}

fn list(value: &Value) -> &[Value] {
    value.as_array().map(Vec::as_slice).unwrap_or_default()
}

/// The kernel's time is one that the wire shows, and never longer than what was felt.
fn assert_true(what: &str, felt: Option<f64>, kernel: &Value, wire: Option<&RoundTrip>) {
    let (felt, wire) =
        (felt.expect("a felt time"), wire.unwrap_or_else(|| panic!("{what}: not on the wire")));
    let kernel = kernel.as_f64().unwrap_or_else(|| panic!("{what}: the kernel's time is missing"));
    assert!(kernel > 0.0 && kernel <= felt, "{what}: {kernel} by the kernel, {felt} felt");
    let allowed = ALLOWED.max((felt - wire.seconds).abs());
    assert!((kernel - wire.seconds).abs() < allowed, "{what}: {kernel} by the kernel, {wire:?}");
}

#[test]
fn connections_and_queries_have_the_times_of_their_packets() {
    let lab = harness::lab();
    let (report, wire) = captured(&lab, &Agent::default().config(WITHOUT_EGRESS).unprivileged());
    let on_wire = |what: &str, nth: usize| wire.iter().filter(|trip| trip.what == what).nth(nth);
    let mut seen = 0;
    for (nth, (check, key)) in [("connect", "connections"), ("call", "calls")].into_iter().enumerate() {
        let id = format!("monitoring/{check}");
        for connection in list(&report.check(&id)["evidence"][key]) {
            let ip = connection["ip"].as_str().unwrap();
            let felt = report.phase(&id, ip, "tcp");
            let wire = on_wire(&format!("tcp {ip}"), nth);
            assert_true(&format!("{id} {ip}"), felt, &connection["kernel_tcp_seconds"], wire);
            seen += 1;
        }
    }
    for query in list(&report.check("monitoring/dns")["evidence"]["queries"]) {
        let [kind, server] = [&query["query_type"], &query["server"]].map(|text| text.as_str().unwrap());
        let what = format!("{kind} {CLOUDWATCH} {}", server.strip_suffix(":53").unwrap());
        assert_true(&what, query["seconds"].as_f64(), &query["kernel_seconds"], on_wire(&what, 0));
        seen += 1;
    }
    assert!(seen >= 8, "{seen}: two addresses twice, two questions to two servers");
}

#[test]
fn a_ping_that_got_out_has_the_time_of_its_packets() {
    let lab = harness::lab();
    lab.inject(Fault::NatOpenIcmpOnly);
    let (report, wire) = captured(&lab, &Agent::default());
    let probes = list(&report.check("egress/ipv4")["evidence"]["probes"]);
    let replied: Vec<&Value> = probes.iter().filter(|probe| probe["result"] == "reply").collect();
    assert!(replied.len() >= 3, "{probes:#?}");
    for probe in replied {
        let what = format!("ping {}", probe["ip"].as_str().unwrap());
        // The fastest is reported.
        let echoes = wire.iter().filter(|trip| trip.what == what);
        let fastest = echoes.min_by(|one, other| one.seconds.total_cmp(&other.seconds));
        assert_true(&what, probe["after_seconds"].as_f64(), &probe["kernel_seconds"], fastest);
    }
}

/// Its round trip says nothing of the second that was waited for.
#[test]
fn a_packet_that_was_sent_twice_has_no_time_by_the_kernel() {
    let lab = harness::lab();
    lab.set([Fault::SynLost, Fault::DnsLost]);
    let output = lab.run(&Agent::default().config(WITHOUT_EGRESS).once("json"));
    let report = Report::read(&output.stdout).unwrap_or_else(|error| panic!("{error}: {output:?}"));
    let connections = list(&report.check("monitoring/connect")["evidence"]["connections"]);
    assert!(!connections.is_empty());
    for connection in connections {
        let felt = report.phase("monitoring/connect", connection["ip"].as_str().unwrap(), "tcp").unwrap();
        assert!(felt >= 1.0 && connection["kernel_tcp_seconds"].is_null(), "{felt}: {connection:#}");
    }
    let queries = list(&report.check("monitoring/dns")["evidence"]["queries"]);
    let twice: Vec<&Value> = queries.iter().filter(|query| query["retransmitted"] == true).collect();
    assert!(!twice.is_empty() && twice.iter().all(|query| query["kernel_seconds"].is_null()), "{queries:#?}");
}
