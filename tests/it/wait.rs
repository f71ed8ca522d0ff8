//! `--wait`: rounds until one passes as a whole, and no longer.

use std::time::Duration;

use crate::agent::Agent;
use crate::harness::{self, BINARY, Borrowed, eventually};
use crate::lab::{Child, Fault, Output, Run};
use crate::report::Report;

/// What a busy machine adds.
const SLACK: Duration = Duration::from_secs(1);

fn start(lab: &Borrowed, wait: &'static str) -> Child {
    lab.spawn(&Agent::default().args(&["--wait", wait]).once("json"))
}

/// It logs each round that did not pass.
fn until_a_round_is_over(child: &mut Child) {
    eventually("the end of a round", || {
        let said = child.stderr();
        assert!(child.is_running(), "it ended: {said}");
        said.contains("seconds_left").then_some(())
    });
}

fn outcome(output: &Output) -> (Option<i32>, String) {
    let report = Report::read(&output.stdout).unwrap_or_else(|error| panic!("{error}: {output:?}"));
    (output.status.code(), report.outcome().to_owned())
}

fn healed(fault: Fault) -> Output {
    let lab = harness::lab();
    lab.set([fault]);
    let mut child = start(&lab, "60s");
    until_a_round_is_over(&mut child);
    lab.clear(fault);
    child.wait()
}

#[test]
fn wait_outlasts_a_fault() {
    for fault in [Fault::EndpointSgRefused, Fault::PrivateDnsOff, Fault::MetadataRefused] {
        let output = healed(fault);
        assert_eq!(outcome(&output), (Some(0), "pass".to_owned()), "{}: {}", fault.name(), output.stderr);
    }
}

#[test]
fn wait_outlasts_a_missing_role() {
    let output = healed(Fault::RoleMissing);
    assert_eq!(outcome(&output), (Some(0), "pass".to_owned()), "{}", output.stderr);
}

/// Sooner or later a lossy way out looks closed for a whole window.
#[test]
fn a_leak_is_final_at_once() {
    for fault in [Fault::NatOpen, Fault::NatOpenLossy, Fault::Ipv6EgressOpen] {
        let lab = harness::lab();
        lab.set([fault]);
        let output = start(&lab, "60s").wait();
        assert_eq!(outcome(&output), (Some(1), "fail".to_owned()), "{}", fault.name());
        assert!(output.took < Duration::from_secs(5), "{}: {:?}", fault.name(), output.took);
        assert!(!output.stderr.contains("seconds_left"), "there was a second round: {}", output.stderr);
    }
}

/// Metadata runs into its timeout of 2 s and the connection into one of 3 s, so a round takes 5 s: the
/// first is longer than a wait of 1 s, and one of those that follow is under way when 8 s are over.
#[test]
fn wait_ends_within_its_time_and_one_step() {
    let lab = harness::lab();
    lab.set([Fault::MetadataSilent, Fault::EndpointSgSilent]);
    for (wait, seconds) in [("1s", 1), ("8s", 8)] {
        let config = "region = 'us-east-1'\nexpected_cidrs = ['10.0.0.0/16']\n";
        let output = lab.run(&Agent::default().config(config).args(&["--wait", wait]).once("json"));
        assert_eq!(outcome(&output).0, Some(1), "{wait}: {}", output.stderr);
        let most = Duration::from_secs(seconds + 3) + SLACK;
        println!("--wait {wait} took {:?}", output.took);
        assert!(output.took < most, "{wait}: {:?}", output.took);
    }
}

/// Nothing was looked at, which is not the same as a check that failed.
#[test]
fn a_start_that_fails_is_no_failed_check() {
    let lab = harness::lab();
    let start = format!("ulimit -n 4; exec {BINARY} --once");
    let output = lab.run(&Run::new("sh").arg("-c").arg(start));
    assert_eq!(output.status.code(), Some(2), "{output:?}");
    assert!(output.stderr.contains("cannot start"), "{output:?}");
}

#[test]
fn wait_ends_with_its_last_round() {
    let lab = harness::lab();
    lab.set([Fault::RoleDenied]);
    let output = start(&lab, "4s").wait();
    assert_eq!(outcome(&output), (Some(1), "fail".to_owned()));
    assert!(output.stderr.contains("seconds_left"), "there was one round only: {}", output.stderr);
    assert!(output.took < Duration::from_secs(8), "{:?}", output.took);
}
