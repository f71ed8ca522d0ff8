//! The textfile under the real node_exporter, for instances where only its port is open.

use std::fs;
use std::net::SocketAddr;
use std::os::unix::fs::{MetadataExt, PermissionsExt};

use nix::sys::signal::Signal;

use crate::harness::{BINARY, Scratch, eventually, http, own_lab, program};
use crate::lab::{Fault, Run};
use crate::log::rounds;
use crate::metrics::assert_clean;
use crate::prometheus::{HASTY, Prometheus, daemon, job, rules};

const NODE_EXPORTER: &str = "127.0.0.1:9100";

#[test]
fn node_exporter_serves_the_textfile() {
    let (lab, scratch) = (own_lab(), Scratch::new("textfile"));
    let file = scratch.0.join("linkproof.prom");
    let daemon = daemon(&lab, &scratch, &format!("{HASTY}[web]\ntextfile = \"{}\"\n", file.display()));
    let run = Run::new(program("prometheus-node-exporter", "prometheus-node-exporter"))
        .arg(format!("--collector.textfile.directory={}", scratch.0.display()))
        .arg(format!("--web.listen-address={NODE_EXPORTER}"));
    let node_exporter = lab.spawn(&run);
    let address: SocketAddr = NODE_EXPORTER.parse().unwrap();
    // Its whole page, so that names that both have would show.
    let page = eventually("node_exporter to have all of it", || {
        let page = http::get(&lab, address, "/metrics", "").filter(|answer| answer.status == 200)?.text();
        page.contains("linkproof_check_success{check=\"monitoring/call\",target=\"monitoring\"} 1")
            .then_some(page)
    });
    assert!(page.contains("node_textfile_scrape_error 0"));
    // It serves what is left where names collide, and complains.
    assert!(!node_exporter.stderr().contains("collected before"), "{}", node_exporter.stderr());

    // The shipped job, but for the way it finds its targets.
    let job = job("textfile.yml", NODE_EXPORTER);
    let prometheus = Prometheus::start(&lab, &scratch, &job, &format!("rule_files: {}", rules(&scratch)));
    prometheus.until(r#"instance:linkproof_passing:bool{job="linkproof"} == 1"#);
    assert_eq!(prometheus.query(r#"{job="linkproof",__name__=~"node_.+|process_.+"}"#), []);
    lab.inject(Fault::NatOpen);
    prometheus.until(r#"ALERTS{alertname="LinkproofEgressOpen",alertstate="firing"}"#);

    // Whole files only, each a new one, and nothing left beside them.
    let before = fs::metadata(&file).unwrap();
    assert_eq!(before.permissions().mode() & 0o777, 0o644);
    eventually("a new file", || (fs::metadata(&file).unwrap().ino() != before.ino()).then_some(()));
    assert_clean(&fs::read_to_string(&file).unwrap());
    daemon.signal(Signal::SIGTERM);
    daemon.wait();
    let left: Vec<_> = fs::read_dir(&scratch.0).unwrap().map(|entry| entry.unwrap().file_name()).collect();
    assert!(!left.iter().any(|name| name.to_string_lossy().contains(".tmp")), "{left:?}");
}

#[test]
fn once_writes_the_textfile() {
    let (lab, scratch) = (own_lab(), Scratch::new("once-prom"));
    let file = scratch.0.join("once.prom");
    let run = Run::new(BINARY).args(["--once", "--format", "prometheus", "--output"]);
    let output = lab.run(&run.arg(&file));
    assert_eq!(output.status.code(), Some(0), "{}", output.stderr);
    let page = fs::read_to_string(&file).unwrap();
    assert_clean(&page);
    assert!(page.contains("linkproof_check_success{check=\"egress/ipv4\",target=\"ipv4\"} 1"));
    assert!(page.contains("linkproof_check_duration_seconds_count{kind=\"egress\"} 2"));
}

#[test]
fn unwritable_textfile_is_logged_once() {
    let (lab, scratch) = (own_lab(), Scratch::new("no-textfile"));
    let config = format!("{HASTY}[web]\ntextfile = \"{}/absent/linkproof.prom\"\n", scratch.0.display());
    let daemon = daemon(&lab, &scratch, &config);
    // It is tried again after five seconds.
    rounds(&lab, 7);
    fs::create_dir(scratch.0.join("absent")).unwrap();
    eventually("the file to be written again", || {
        daemon.stderr().contains("The textfile is written again.").then_some(())
    });
    assert_eq!(
        daemon.stderr().matches("The textfile could not be written.").count(),
        1,
        "{}",
        daemon.stderr()
    );
}

#[test]
fn a_file_of_another_program_is_left_as_it_is() {
    let (lab, scratch) = (own_lab(), Scratch::new("foreign-textfile"));
    let file = scratch.0.join("other.prom");
    fs::write(&file, "node_backup_success 1\n").unwrap();
    let daemon = daemon(&lab, &scratch, &format!("{HASTY}[web]\ntextfile = \"{}\"\n", file.display()));
    eventually("the file to be refused", || {
        let said = ["The textfile could not be written.", "other.prom is left as it is"];
        daemon.stderr().lines().find(|line| said.iter().all(|words| line.contains(words))).map(|_| ())
    });
    assert_eq!(fs::read_to_string(&file).unwrap(), "node_backup_success 1\n");
    fs::remove_file(&file).unwrap();
    eventually("its own file", || {
        fs::read_to_string(&file).ok().filter(|page| page.contains("linkproof_success"))
    });
    // Its own file is written anew.
    fs::write(&file, "").unwrap();
    eventually("the file to be filled", || {
        fs::read_to_string(&file).ok().filter(|page| page.contains("linkproof_success"))
    });
}
