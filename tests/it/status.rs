//! `linkproof status` and `linkproof check`: the running daemon's report, by its own port.

use serde_json::Value;

use crate::harness::{BINARY, Scratch, eventually, own_lab};
use crate::lab::{Fault, Lab, Output, Run};
use crate::prometheus::{DAEMON, HASTY, daemon};
use crate::served::Daemon;

/// Nothing is due again while the test runs.
const RARELY: &str = "interval = \"10m\"\ntimeout = \"500ms\"\n[instance]\ninterval = \"10m\"\ntimeout = \"500ms\"\n[credentials]\ninterval = \"10m\"\ntimeout = \"1s\"\n[egress]\ninterval = \"10m\"\nwindow = \"500ms\"\n";

fn ask(lab: &Lab, arguments: &[&str]) -> Output {
    lab.run(&Run::new(BINARY).args(arguments).arg("--address").arg(DAEMON.to_string()))
}

#[test]
fn status_prints_the_daemons_report_and_exits_with_its_outcome() {
    let (lab, scratch) = (own_lab(), Scratch::new("status"));
    let silent = ask(&lab, &["status"]);
    assert_eq!((silent.status.code(), silent.stdout.as_str()), (Some(74), ""), "{silent:?}");
    assert!(silent.stderr.contains("systemctl status linkproof"), "{}", silent.stderr);

    let _daemon = daemon(&lab, &scratch, HASTY);
    let text = eventually("everything to pass", || {
        let output = ask(&lab, &["status"]);
        (output.status.code() == Some(0)).then_some(output.stdout)
    });
    assert!(text.lines().last().unwrap().starts_with("PASS: "), "{text}");
    lab.inject(Fault::NatOpen);
    let json = eventually("the leak to be reported", || {
        let output = ask(&lab, &["status", "--format", "json"]);
        (output.status.code() == Some(1)).then_some(output.stdout)
    });
    let report: Value = serde_json::from_str(&json).unwrap();
    assert_eq!((&report["schema"], &report["outcome"]), (&Value::from(1), &Value::from("fail")));

    // The configuration says where the daemon listens; without one it is the default port.
    let config = scratch.write("status.toml", "[web]\nlisten = \"[::]:10042\"\n");
    let output = lab.run(&Run::new(BINARY).args(["status", "--format", "junit", "--config"]).arg(config));
    assert_eq!(output.status.code(), Some(1), "{output:?}");
    assert!(output.stdout.contains("<testsuite"), "{}", output.stdout);

    let refused = ask(&lab, &["check"]);
    assert_eq!(refused.status.code(), Some(74), "{refused:?}");
    assert!(refused.stderr.contains("--web.enable-lifecycle"), "{}", refused.stderr);
}

#[test]
fn check_runs_everything_at_once() {
    let lab = own_lab();
    let daemon = Daemon::start(&lab, RARELY);
    daemon
        .until("the first round", |daemon| daemon.passes("monitoring/call") && daemon.passes("egress/ipv4"));
    let runs = |check: &str| {
        let series = format!("linkproof_check_runs_total{{check=\"{check}\",target=");
        let page = daemon.get("/metrics").unwrap().body;
        let line = page.lines().find(|line| line.starts_with(&series)).unwrap();
        line.rsplit_once(' ').unwrap().1.parse::<u32>().unwrap()
    };
    let checks = ["instance", "credentials", "monitoring/dns", "monitoring/connect", "monitoring/call"];
    let earlier = checks.map(runs);
    lab.inject(Fault::NatOpen);
    let before = ask(&lab, &["status"]);
    assert_eq!(before.status.code(), Some(0), "{before:?}");
    let after = ask(&lab, &["check"]);
    assert_eq!(after.status.code(), Some(1), "{after:?}");
    assert!(after.stdout.contains("egress/ipv4") && after.stdout.contains("FAIL"), "{}", after.stdout);
    assert_eq!(checks.map(runs), earlier.map(|runs| runs + 1), "{checks:?}");
}

#[test]
fn a_port_with_tls_is_refused_with_what_to_do() {
    let (lab, scratch) = (own_lab(), Scratch::new("status-users"));
    let web = scratch.write(
        "web.yml",
        "basic_auth_users:\n  a: $2y$10$HoP5dF57r0Qs8y82fFF5yuOqRSUR34SsT9AWajXhXQmL7pV2jaBjS\n",
    );
    let config = scratch.write("linkproof.toml", &format!("[web]\nconfig_file = \"{}\"\n", web.display()));
    let _daemon = lab.spawn(&Run::new(BINARY).arg("--config").arg(config));
    let refused = eventually("the daemon to answer", || {
        let output = ask(&lab, &["status"]);
        output.stderr.contains("refused: ").then_some(output)
    });
    assert_eq!((refused.status.code(), refused.stdout.as_str()), (Some(74), ""));
    assert!(refused.stderr.contains("use curl"), "{}", refused.stderr);
}
