//! A lab whose process is killed: the kernel has to take all of it away.

use std::collections::BTreeSet;
use std::fs;
use std::io::{BufRead, BufReader};
use std::path::Path;
use std::process::{Command, Stdio};
use std::thread;
use std::time::{Duration, Instant};

use crate::harness::BINARY;

#[test]
fn a_killed_process_leaves_nothing_behind() {
    // The lab as a program of its own, which `make test` builds.
    let program = Path::new(BINARY).with_file_name("examples").join("lab");
    assert!(program.exists(), "{} is missing: cargo build --example lab", program.display());
    let mut holder = Command::new(program)
        .args(["run", "--fault", "system-resolver-differs", "--"])
        .args(["sh", "-c", "echo the lab is up; exec sleep 600"])
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    let mut lines = BufReader::new(holder.stdout.take().unwrap()).lines();
    assert!(
        lines.any(|line| line.is_ok_and(|line| line.ends_with("the lab is up"))),
        "the lab did not come up"
    );
    let children = children(holder.id());
    let namespaces = namespaces(holder.id());
    assert_eq!(children.len(), 3, "two resolvers and a program on the instance");
    assert_eq!(namespaces.len(), 7, "six hosts, and where the process itself is");
    // Before they go: afterwards the kernel gives their numbers to the labs of other tests.
    let own = namespaces_of_thread("self");
    let shared = |process: u32| {
        let used = self::namespaces(process).into_iter();
        used.filter(|used| namespaces.contains(used) && Some(used) != own.as_ref()).collect::<Vec<String>>()
    };
    let sharing: Vec<u32> = processes().into_iter().filter(|process| !shared(*process).is_empty()).collect();
    assert!(sharing.contains(&holder.id()));

    holder.kill().unwrap();
    holder.wait().unwrap();
    let deadline = Instant::now() + Duration::from_secs(5);
    let mut left = children.clone();
    while !left.is_empty() && Instant::now() < deadline {
        thread::sleep(Duration::from_millis(10));
        left.retain(|child| fs::exists(format!("/proc/{child}")).unwrap_or(true));
    }
    assert_eq!(left, Vec::<u32>::new(), "these are still running");
    for process in sharing {
        let leftover = shared(process);
        assert!(leftover.is_empty(), "process {process} keeps {leftover:?}");
    }
}

fn processes() -> Vec<u32> {
    let entries = fs::read_dir("/proc").unwrap().flatten();
    entries.filter_map(|entry| entry.file_name().to_str()?.parse().ok()).collect()
}

fn children(parent: u32) -> Vec<u32> {
    let is_child = |process: &u32| {
        let stat = fs::read_to_string(format!("/proc/{process}/status")).unwrap_or_default();
        stat.lines().any(|line| line.strip_prefix("PPid:").is_some_and(|id| id.trim() == parent.to_string()))
    };
    processes().into_iter().filter(is_child).collect()
}

fn namespaces(process: u32) -> BTreeSet<String> {
    let threads = fs::read_dir(format!("/proc/{process}/task")).into_iter().flatten().flatten();
    threads
        .filter_map(|thread| {
            namespaces_of_thread(&format!("{process}/task/{}", thread.file_name().to_str()?))
        })
        .collect()
}

fn namespaces_of_thread(thread: &str) -> Option<String> {
    let link = fs::read_link(format!("/proc/{thread}/ns/net")).ok()?;
    Some(link.to_string_lossy().into_owned())
}
