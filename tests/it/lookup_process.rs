//! The process in which the daemon looks names up: replaced when it must be, and never left behind.

use std::collections::BTreeSet;
use std::fs;
use std::time::{Duration, Instant};

use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;

use crate::harness;
use crate::lab::{Lab, Names};
use crate::nss;
use crate::served::Daemon;

const FAST: &str = "interval = \"1s\"\ntimeout = \"500ms\"\n[instance]\ninterval = \"1s\"\ntimeout = \"500ms\"\n[egress]\nenabled = false\n[[endpoint]]\nservice = \"monitoring\"\n[[endpoint]]\nservice = \"ssm\"\n";

/// The processes that a process has started, as long as they live.
fn children(parent: u32) -> BTreeSet<i32> {
    let of_thread =
        |entry: fs::DirEntry| fs::read_to_string(entry.path().join("children")).unwrap_or_default();
    let Ok(threads) = fs::read_dir(format!("/proc/{parent}/task")) else { return BTreeSet::new() };
    let lists: Vec<String> = threads.flatten().map(of_thread).collect();
    lists.iter().flat_map(|list| list.split_whitespace()).map(|pid| pid.parse().unwrap()).collect()
}

/// One that has ended may wait for a parent that asks how.
fn lives(pid: i32) -> bool {
    let stat = fs::read_to_string(format!("/proc/{pid}/stat")).unwrap_or_default();
    stat.rsplit_once(") ").is_some_and(|(_, state)| !state.starts_with(['Z', 'X']))
}

/// The one process that looks names up, once there is exactly one.
fn only_child(daemon: &Daemon<'_>) -> i32 {
    let deadline = Instant::now() + Duration::from_secs(20);
    loop {
        let children = children(daemon.child.id());
        if let [child] = children.iter().copied().collect::<Vec<_>>()[..] {
            return child;
        }
        assert!(Instant::now() < deadline, "{children:?}");
        std::thread::sleep(Duration::from_millis(10));
    }
}

fn started(lab: &Lab) -> Daemon<'_> {
    let daemon = Daemon::start(lab, FAST);
    daemon.until("names are looked up", |daemon| daemon.passes("monitoring/dns") && daemon.passes("ssm/dns"));
    daemon
}

#[test]
fn one_process_serves_until_a_file_changes() {
    let lab = harness::lab();
    let daemon = started(&lab);
    let first = only_child(&daemon);
    let command = fs::read_to_string(format!("/proc/{first}/cmdline")).unwrap();
    assert_eq!(command.split('\0').collect::<Vec<_>>(), ["linkproof", "--lookup-helper", ""]);
    let files = fs::read_dir(format!("/proc/{first}/fd")).unwrap();
    let sockets = files
        .flatten()
        .filter_map(|entry| fs::read_link(entry.path()).ok())
        .filter(|target| target.to_string_lossy().starts_with("socket:"));
    // Its channel, as standard input and as the two halves; nothing of the daemon's.
    let distinct: BTreeSet<_> = sockets.collect();
    assert_eq!(distinct.len(), 1, "{distinct:?}");

    lab.names(&Names::default().sources("hosts: files"));
    daemon.until("the change is felt", |daemon| !daemon.passes("monitoring/dns"));
    lab.names(&Names::default());
    daemon.until("and undone", |daemon| daemon.passes("monitoring/dns"));
    assert_ne!(only_child(&daemon), first);
    daemon.until("the first one is gone", |_| !lives(first));
}

#[test]
fn a_process_that_is_killed_or_stopped_is_replaced() {
    let lab = harness::lab();
    let daemon = started(&lab);
    let failures = "linkproof_check_failures_total{check=\"ssm/dns\",target=\"ssm\"}";
    let failed = daemon.series(failures);
    let first = only_child(&daemon);
    kill(Pid::from_raw(first), Signal::SIGKILL).unwrap();
    daemon.until("another runs", |_| children(daemon.child.id()).iter().any(|child| *child != first));
    daemon.until("names are looked up", |daemon| daemon.passes("monitoring/dns") && daemon.passes("ssm/dns"));
    assert_eq!(daemon.series(failures), failed, "no lookup failed for it");

    let second = only_child(&daemon);
    kill(Pid::from_raw(second), Signal::SIGSTOP).unwrap();
    daemon.until("it is replaced", |_| !lives(second));
    daemon.until("names are looked up", |daemon| daemon.passes("monitoring/dns") && daemon.passes("ssm/dns"));
}

#[test]
fn a_module_that_hangs_does_not_gather_processes() {
    let lab = harness::lab();
    lab.names(&Names::default().sources("hosts: files labhangs dns"));
    let daemon = Daemon::start_with(&lab, FAST, |run| run.env("LD_LIBRARY_PATH", nss::modules()));
    daemon.until("the other name is looked up", |daemon| daemon.passes("ssm/dns"));
    let failures = "linkproof_check_failures_total{check=\"monitoring/dns\",target=\"monitoring\"}";
    daemon.until("it hung", |daemon| daemon.series(failures) >= Some(1.0));
    assert!(daemon.passes("ssm/dns"));
    let most = children(daemon.child.id()).len();
    assert!(most <= 2, "one that hangs, and one that serves: {most}");
}

#[test]
fn the_process_ends_with_a_daemon_that_is_killed() {
    let lab = harness::lab();
    let daemon = started(&lab);
    let process = only_child(&daemon);
    daemon.child.signal(Signal::SIGKILL);
    let deadline = Instant::now() + Duration::from_secs(20);
    while lives(process) {
        assert!(Instant::now() < deadline, "it is still there");
        std::thread::sleep(Duration::from_millis(10));
    }
}
