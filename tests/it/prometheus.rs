//! linkproof under the real Prometheus and Alertmanager, all on one instance of the lab: from a
//! NAT gateway that somebody opens to the alert in the receiver's hands, and back.

use std::time::{Duration, Instant};

use serde_json::Value;

use crate::harness::{BINARY, Scratch, eventually, http, own_lab};
use crate::lab::{Child, Fault, Lab, Run};
use crate::monitoring::{ALERTMANAGER, Receiver, alertmanager};
pub use crate::monitoring::{DAEMON, PROMETHEUS, Prometheus, job, rules};

/// The default checks, as often as the configuration allows.
pub const HASTY: &str = r#"
interval = "1s"
timeout = "500ms"
[instance]
interval = "1s"
timeout = "500ms"
[credentials]
interval = "1s"
timeout = "500ms"
[egress]
interval = "1s"
window = "500ms"
[[endpoint]]
service = "monitoring"
call = "list-metrics"
call_interval = "1s"
"#;

/// The daemon on the instance, with its first round done.
pub fn daemon(lab: &Lab, scratch: &Scratch, config: &str) -> Child {
    let config = scratch.write("linkproof.toml", config);
    let mut daemon = lab.spawn(&Run::new(BINARY).arg("--config").arg(config));
    eventually("the first round of every check", || {
        assert!(daemon.is_running(), "{}", daemon.stderr());
        let page = http::get(lab, DAEMON, "/metrics", "")?.text();
        let runs = |line: &str| line.starts_with("linkproof_check_runs_total{");
        (page.contains("linkproof_check_runs_total") && !page.lines().any(|l| runs(l) && l.ends_with(" 0")))
            .then_some(())
    });
    daemon
}

#[test]
fn open_nat_alert_fires_and_resolves() {
    let (lab, scratch) = (own_lab(), Scratch::new("pager"));
    let _daemon = daemon(&lab, &scratch, HASTY);
    let receiver = Receiver::open(&lab);
    let _alertmanager = alertmanager(&lab, &scratch, &receiver);
    let jobs = format!("- {{job_name: linkproof, static_configs: [{{targets: ['{DAEMON}']}}]}}\n");
    let more = format!(
        "rule_files: {}\nalerting: {{alertmanagers: [{{static_configs: [{{targets: ['{ALERTMANAGER}']}}]}}]}}",
        rules(&scratch)
    );
    let prometheus = Prometheus::start(&lab, &scratch, &jobs, &more);
    prometheus.until("instance:linkproof_passing:bool == 1");
    let firing = prometheus.query("ALERTS{alertstate='firing'}");
    assert_eq!(firing, [], "a healthy instance has no alerts");

    let opened = Instant::now();
    lab.inject(Fault::NatOpen);
    let alert = receiver.hears("LinkproofEgressOpen", "firing");
    let fired = opened.elapsed();
    assert_eq!(alert["labels"]["check"], "egress/ipv4");
    assert_eq!(alert["labels"]["severity"], "critical");
    let description = alert["annotations"]["description"].as_str().unwrap();
    // The window in which it opened may have heard only a part.
    assert!(description.contains("Reason: ") && description.contains("Cause: "), "{description}");
    let link = alert["annotations"]["runbook_url"].as_str().unwrap();
    let (page, anchor) = link.split_once('#').unwrap();
    assert_eq!(page, format!("http://{DAEMON}/runbook"));
    let runbook = http::get(&lab, DAEMON, "/runbook", "").unwrap();
    assert!(runbook.status == 200 && runbook.text().contains(&format!(" id=\"{anchor}\"")), "{link}");
    prometheus.until(r#"linkproof_diagnosis{cause="internet_route_open"} == 1"#);
    prometheus.until("instance:linkproof_passing:bool == 0");
    prometheus.until(r#"vpc_zone_check:linkproof_passing:ratio{check="egress/ipv4"} == 0"#);

    let closed = Instant::now();
    lab.clear(Fault::NatOpen);
    receiver.hears("LinkproofEgressOpen", "resolved");
    let resolved = closed.elapsed();
    println!(
        "NAT opened: alert delivered after {:.1} s; closed: resolved after {:.1} s (check, scrape and rules each second; a leak is remembered for 5 s here)",
        fired.as_secs_f64(),
        resolved.as_secs_f64()
    );
    assert!(fired < Duration::from_secs(10), "{fired:?}");
}

/// The target answers, and Prometheus takes nothing of it.
#[test]
fn a_sample_limit_that_is_too_low_is_not_a_dead_agent() {
    let (lab, scratch) = (own_lab(), Scratch::new("refused"));
    let _daemon = daemon(&lab, &scratch, HASTY);
    let jobs = format!(
        "- {{job_name: linkproof, sample_limit: 10, static_configs: [{{targets: ['{DAEMON}', '127.0.0.1:1']}}]}}\n"
    );
    let prometheus = Prometheus::start(&lab, &scratch, &jobs, &format!("rule_files: {}", rules(&scratch)));
    let instance = |(labels, _): &(Value, f64)| labels["instance"].as_str().unwrap().to_owned();
    let refused = prometheus.until(r#"ALERTS{alertname="LinkproofScrapeRefused"}"#);
    assert_eq!(refused.iter().map(instance).collect::<Vec<_>>(), [DAEMON.to_string()]);
    let down = prometheus.until(r#"ALERTS{alertname="LinkproofDown"}"#);
    assert_eq!(down.iter().map(instance).collect::<Vec<_>>(), ["127.0.0.1:1"]);
}
