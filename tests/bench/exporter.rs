//! prometheus-blackbox-exporter under Prometheus beside the daemon: the same addresses at the same
//! rate, one HTTPS request to each. And beside both, the least that such a request costs.

use std::fs;
use std::path::Path;
use std::thread::{self, sleep};
use std::time::{Duration, Instant};

use serde_json::Value;

use crate::Length;
use crate::bare;
use crate::daemon::{ADDRESSES, Daemon, get, name};
use crate::figure::Figure;
use crate::lab::address::estate;
use crate::lab::{Child, Lab, Run};
use crate::process;

const ENDPOINTS: usize = 100;
const PROBES: usize = ENDPOINTS * ADDRESSES;

const MODULES: &str = "
modules:
  https:
    prober: http
    timeout: 3s
    http:
      preferred_ip_protocol: ip4
      fail_if_not_ssl: true
      # As for linkproof, any answer counts: without a signature the service refuses.
      valid_status_codes: [200, 400, 403, 404]
";

pub fn measure(lab: &Lab, binary: &Path, scratch: &Path, length: &Length) -> Vec<Figure> {
    let &Length { rounds, window } = length;
    let daemon = Daemon::start(lab, binary, scratch, (ENDPOINTS, window), 10042);
    let exporter = lab.spawn(&exporter(scratch));
    let prometheus = lab.spawn(&prometheus(scratch, window));
    let mut bare = bare::start(lab, ENDPOINTS, window);
    let begun = Instant::now();
    while passing(lab) != Some(PROBES as f64) {
        let log = || format!("{}\n{}", exporter.stderr(), prometheus.stderr());
        assert!(begun.elapsed() < window + Duration::from_mins(1), "{:?}: {}", passing(lab), log());
        sleep(Duration::from_secs(1));
    }
    let of = |child: &Child| process::cpu(child.id()).as_secs_f64();
    let (mut ours, mut theirs, mut server, mut least) = (Vec::new(), Vec::new(), Vec::new(), Vec::new());
    for _ in 0..rounds {
        let cost = || daemon.cost_while(|| sleep(window));
        let (before, of_server, of_bare) = (of(&exporter), of(&prometheus), of(&bare));
        ours.push(thread::scope(|scope| scope.spawn(cost).join().unwrap()) * 1e3);
        let each = |cpu: f64| cpu * 1e3 / PROBES as f64;
        theirs.push(each(of(&exporter) - before));
        server.push(each(of(&prometheus) - of_server));
        least.push(each(of(&bare) - of_bare));
    }
    assert_eq!(passing(lab), Some(PROBES as f64));
    assert!(bare.is_running(), "{}", bare.stderr());
    let what = |who: &str| format!("CPU for each address, {who}, {ENDPOINTS} endpoints");
    let with_server: Vec<f64> = theirs.iter().zip(&server).map(|(one, other)| one + other).collect();
    let rss = |kib: u64| vec![kib as f64 / 1024.0];
    vec![
        Figure::new(what("linkproof"), "ms", ours.clone()),
        Figure::new(what("blackbox_exporter"), "ms", theirs.clone()),
        Figure::new(what("its Prometheus"), "ms", server),
        Figure::ratio("CPU, blackbox_exporter to linkproof", &theirs, &ours).at_least(4.0),
        Figure::ratio("CPU, blackbox_exporter with Prometheus to linkproof", &with_server, &ours),
        Figure::new(what("a bare handshake and request"), "ms", least.clone()),
        Figure::ratio("CPU, linkproof to a bare handshake and request", &ours, &least),
        Figure::ratio("CPU, blackbox_exporter to a bare handshake and request", &theirs, &least),
        Figure::new("Resident memory, linkproof", "MiB", rss(process::resident_kib(daemon.process()))),
        Figure::new("Resident memory, blackbox_exporter", "MiB", rss(process::resident_kib(exporter.id()))),
    ]
}

fn exporter(scratch: &Path) -> Run {
    let file = scratch.join("blackbox.yml");
    fs::write(&file, MODULES).unwrap();
    Run::new("prometheus-blackbox-exporter")
        .arg(format!("--config.file={}", file.display()))
        .arg("--web.listen-address=127.0.0.1:9115")
}

fn prometheus(scratch: &Path, interval: Duration) -> Run {
    let targets: String = (1..=ENDPOINTS)
        .map(|number| {
            let addresses = estate(number).map(|ip| format!("'https://{ip}/'")).join(", ");
            format!("  - {{targets: [{addresses}], labels: {{__param_hostname: {}}}}}\n", name(number))
        })
        .collect();
    let config = format!(
        "global: {{scrape_interval: {}s, scrape_timeout: 5s}}\n\
         scrape_configs:\n\
         - job_name: linkproof\n  static_configs: [{{targets: ['127.0.0.1:10042']}}]\n\
         - job_name: https\n  metrics_path: /probe\n  params: {{module: [https]}}\n\
         \x20 relabel_configs:\n\
         \x20 - {{source_labels: [__address__], target_label: __param_target}}\n\
         \x20 - {{source_labels: [__param_target], target_label: instance}}\n\
         \x20 - {{target_label: __address__, replacement: '127.0.0.1:9115'}}\n\
         \x20 static_configs:\n{targets}",
        interval.as_secs()
    );
    let file = scratch.join("prometheus.yml");
    fs::write(&file, config).unwrap();
    Run::new("prometheus")
        .arg(format!("--config.file={}", file.display()))
        .arg(format!("--storage.tsdb.path={}", scratch.join("tsdb").display()))
        .arg("--web.listen-address=127.0.0.1:9090")
}

/// How many addresses the exporter could connect to.
fn passing(lab: &Lab) -> Option<f64> {
    let answer = get(lab, 9090, "/api/v1/query?query=sum(probe_success)", "").ok()?;
    let answer: Value = serde_json::from_slice(&answer).ok()?;
    answer["data"]["result"][0]["value"][1].as_str()?.parse().ok()
}
