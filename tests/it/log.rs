//! The log of the daemon: a line for each change, with its fields, and silence while nothing changes.

use serde_json::Value;

use crate::harness::{BINARY, Scratch, eventually, http, own_lab};
use crate::lab::{Child, Fault, Lab, Run};
use crate::prometheus::{DAEMON, HASTY};

/// What systemd tells a service whose standard error is the journal, and what is left of that in
/// a program that the service started with another one.
const JOURNAL: &str = "export JOURNAL_STREAM=$(stat -L -c %d:%i /proc/self/fd/2);";
const INHERITED: &str = "export JOURNAL_STREAM=8:1;";

/// The daemon, once all its checks pass.
fn settled(lab: &Lab, scratch: &Scratch, options: &[&str], journal: &str) -> Child {
    let config = scratch.write("linkproof.toml", HASTY);
    let line = format!("{journal} exec \"$@\"");
    let run = Run::new("bash").args(["-c", &line, "bash", BINARY, "--config"]);
    let daemon = lab.spawn(&run.arg(config).args(options));
    says(lab, "PASS");
    daemon
}

fn says(lab: &Lab, verdict: &str) {
    let words = format!("<strong>{verdict}</strong>");
    eventually(&words, || http::get(lab, DAEMON, "/", "")?.text().contains(&words).then_some(()));
    // The log names causes a moment after the page does.
    rounds(lab, 1);
}

/// Lets every check run as many times more.
pub fn rounds(lab: &Lab, more: u64) {
    let runs = || {
        let page = http::get(lab, DAEMON, "/metrics", "")?.text();
        let of = |line: &str| {
            line.starts_with("linkproof_check_runs_total").then(|| line.rsplit(' ').next()?.parse().ok())
        };
        page.lines().filter_map(|line| of(line).flatten()).min()
    };
    let now: u64 = eventually("the runs", runs);
    eventually("more rounds", || (runs()? >= now + more).then_some(()));
}

fn json(line: &str) -> Value {
    serde_json::from_str(line).unwrap_or_else(|error| panic!("{error}: {line}"))
}

#[test]
fn json_log_has_one_line_per_change() {
    let (lab, scratch) = (own_lab(), Scratch::new("log-json"));
    let daemon = settled(&lab, &scratch, &["--log.format", "json"], JOURNAL);
    let settled = daemon.stderr();
    rounds(&lab, 3);
    assert_eq!(daemon.stderr(), settled, "nothing changed, and something was said");

    lab.inject(Fault::PrivateDnsOff);
    says(&lab, "FAIL");
    rounds(&lab, 3);
    lab.clear(Fault::PrivateDnsOff);
    says(&lab, "PASS");
    let said = daemon.stderr();
    let lines: Vec<Value> = said[settled.len()..].lines().map(json).collect();
    let of = |check: &str| -> Vec<(String, String, String)> {
        let field = |line: &Value, name: &str| line[name].as_str().unwrap_or_default().to_owned();
        let of_check = lines.iter().filter(|line| line["check"] == check);
        of_check.map(|line| (field(line, "level"), field(line, "outcome"), field(line, "reason"))).collect()
    };
    let owned = |(level, outcome, reason): (&str, &str, &str)| (level.into(), outcome.into(), reason.into());
    let dns = [("WARN", "fail", "public_address"), ("INFO", "pass", "")].map(owned);
    // The lab restarts its resolver to set a fault, and a lookup may meet that moment.
    let settled: Vec<_> =
        of("monitoring/dns").into_iter().filter(|line| line.2 != "resolver_unreachable").collect();
    assert_eq!(settled, dns, "{said}");
    let cause: Vec<&Value> = lines.iter().filter(|line| line["cause"] == "private_dns_off").collect();
    assert_eq!(cause.len(), 2, "it came and it went: {said}");
    assert!(cause[0]["remedy"].as_str().unwrap().contains("Enable private DNS names"));
    for line in lines {
        for field in ["timestamp", "level", "message"] {
            assert!(line[field].is_string(), "no {field}: {line}");
        }
    }
}

#[test]
fn journal_lines_carry_severity_and_no_time() {
    let (lab, scratch) = (own_lab(), Scratch::new("log-journal"));
    let daemon = settled(&lab, &scratch, &[], JOURNAL);
    lab.inject(Fault::NatOpen);
    says(&lab, "FAIL");
    let said = daemon.stderr();
    assert!(!said.contains('\u{1b}'), "{said}");
    // The journal stamps each line itself, and takes the severity off it.
    assert!(said.starts_with("<6>Ready. listen="), "{said}");
    assert!(said.lines().all(|line| line.starts_with("<6>") || line.starts_with("<4>")), "{said}");
    let leak: Vec<&str> =
        said.lines().filter(|line| line.contains("check=egress/ipv4 outcome=\"fail\"")).collect();
    assert!(leak.len() == 1 && leak[0].starts_with("<4>"), "{said}");
    assert!(leak[0].contains("reason=\"icmp_reply\""), "{said}");
}

#[test]
fn log_level_filters_lines() {
    let (lab, scratch) = (own_lab(), Scratch::new("log-level"));
    let daemon = settled(&lab, &scratch, &["--log.level", "warn"], INHERITED);
    assert_eq!(daemon.stderr(), "", "all is well");
    lab.inject(Fault::NatOpen);
    says(&lab, "FAIL");
    assert!(!daemon.stderr().starts_with('<'), "this is no journal: {}", daemon.stderr());
    assert!(
        daemon.stderr().contains("internet_route_open") || daemon.stderr().contains("egress"),
        "{}",
        daemon.stderr()
    );
    drop(daemon);
    lab.set([]);
    let daemon = settled(&lab, &scratch, &["--log.level", "error"], "");
    lab.inject(Fault::NatOpen);
    says(&lab, "FAIL");
    assert_eq!(daemon.stderr(), "", "a finding is no error of the agent");
}
