//! `--wait`: rounds until one passes as a whole, and no longer.

use std::time::Duration;

use crate::agent::Agent;
use crate::harness::{self, Borrowed, eventually};
use crate::lab::{Child, Fault, Output};
use crate::report::Report;

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

#[test]
fn wait_ends_with_its_last_round() {
    let lab = harness::lab();
    lab.set([Fault::RoleDenied]);
    let output = start(&lab, "4s").wait();
    assert_eq!(outcome(&output), (Some(1), "fail".to_owned()));
    assert!(output.stderr.contains("seconds_left"), "there was one round only: {}", output.stderr);
    assert!(output.took < Duration::from_secs(8), "{:?}", output.took);
}
