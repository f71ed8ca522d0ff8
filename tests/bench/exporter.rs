//! prometheus-blackbox-exporter under Prometheus beside the daemon: the same addresses at the same
//! rate, one HTTPS request to each. A second one sends the DNS questions that the daemon also sends.
//! And beside all, the least that an HTTPS request costs.

use std::fs;
use std::net::Ipv4Addr;
use std::path::Path;
use std::thread::{self, sleep};
use std::time::{Duration, Instant};

use serde_json::Value;

use crate::Length;
use crate::bare;
use crate::daemon::{ADDRESSES, Daemon, get, name};
use crate::figure::Figure;
use crate::lab::address::{RESOLVER, RESOLVER_LINK_LOCAL, estate};
use crate::lab::{Child, Lab, Run};
use crate::process;

const ENDPOINTS: usize = 100;
const PROBES: usize = ENDPOINTS * ADDRESSES;

/// The name servers that the daemon asks, and what for.
const SERVERS: [Ipv4Addr; 2] = [RESOLVER, RESOLVER_LINK_LOCAL];
const TYPES: [&str; 2] = ["A", "AAAA"];
const QUESTIONS: usize = ENDPOINTS * SERVERS.len() * TYPES.len();

const HTTPS: &str = "
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
    let exporter = lab.spawn(&exporter(scratch, "https", HTTPS, 9115));
    let questions = lab.spawn(&self::exporter(scratch, "dns", &dns(), 9116));
    let prometheus = lab.spawn(&prometheus(scratch, window));
    let mut bare = bare::start(lab, ENDPOINTS, window);
    let begun = Instant::now();
    let all_pass = || passing(lab, "https") == PROBES && passing(lab, "dns") == QUESTIONS;
    while !all_pass() {
        let log = || format!("{}\n{}\n{}", exporter.stderr(), questions.stderr(), prometheus.stderr());
        assert!(begun.elapsed() < window + Duration::from_mins(1), "never passed: {}", log());
        sleep(Duration::from_secs(1));
    }
    let of = |child: &Child| process::cpu(child.id()).as_secs_f64();
    let (mut ours, mut theirs, mut server, mut least) = (Vec::new(), Vec::new(), Vec::new(), Vec::new());
    let mut with_questions = Vec::new();
    for _ in 0..rounds {
        let cost = || daemon.cost_while(|| sleep(window));
        let (before, of_dns, of_server, of_bare) =
            (of(&exporter), of(&questions), of(&prometheus), of(&bare));
        ours.push(thread::scope(|scope| scope.spawn(cost).join().unwrap()) * 1e3);
        let each = |cpu: f64| cpu * 1e3 / PROBES as f64;
        theirs.push(each(of(&exporter) - before));
        with_questions.push(each(of(&exporter) - before + of(&questions) - of_dns));
        server.push(each(of(&prometheus) - of_server));
        least.push(each(of(&bare) - of_bare));
    }
    assert!(all_pass(), "{}", exporter.stderr());
    assert!(bare.is_running(), "{}", bare.stderr());
    let what = |who: &str| format!("CPU for each address, {who}, {ENDPOINTS} endpoints");
    let with_server: Vec<f64> = with_questions.iter().zip(&server).map(|(one, other)| one + other).collect();
    let rss = |kib: u64| vec![kib as f64 / 1024.0];
    vec![
        Figure::new(what("linkproof"), "ms", ours.clone()),
        Figure::new(what("blackbox_exporter"), "ms", theirs.clone()),
        Figure::new(what("blackbox_exporter with the DNS questions"), "ms", with_questions.clone()),
        Figure::new(what("their Prometheus"), "ms", server),
        Figure::ratio("CPU, blackbox_exporter to linkproof", &theirs, &ours).at_least(4.0),
        Figure::ratio("CPU, blackbox_exporter with the DNS questions to linkproof", &with_questions, &ours)
            .at_least(4.0),
        Figure::ratio("CPU, the same with Prometheus to linkproof", &with_server, &ours),
        Figure::new(what("a bare handshake and request"), "ms", least.clone()),
        Figure::ratio("CPU, linkproof to a bare handshake and request", &ours, &least),
        Figure::ratio("CPU, blackbox_exporter to a bare handshake and request", &theirs, &least),
        Figure::new("Resident memory, linkproof", "MiB", rss(process::resident_kib(daemon.process()))),
        Figure::new("Resident memory, blackbox_exporter", "MiB", rss(process::resident_kib(exporter.id()))),
    ]
}

fn exporter(scratch: &Path, name: &str, modules: &str, port: u16) -> Run {
    let file = scratch.join(format!("blackbox-{name}.yml"));
    fs::write(&file, format!("modules:{modules}")).unwrap();
    Run::new("prometheus-blackbox-exporter")
        .arg(format!("--config.file={}", file.display()))
        .arg(format!("--web.listen-address=127.0.0.1:{port}"))
}

/// The module has the name to ask for, the target is the name server.
fn dns() -> String {
    let module = |number: usize, kind: &str| {
        let dns = format!("query_name: {}, query_type: {kind}, preferred_ip_protocol: ip4", name(number));
        format!("\n  {kind}-{number}: {{prober: dns, timeout: 3s, dns: {{{dns}}}}}")
    };
    (1..=ENDPOINTS).flat_map(|number| TYPES.map(|kind| module(number, kind))).collect()
}

fn prometheus(scratch: &Path, interval: Duration) -> Run {
    let targets: String = (1..=ENDPOINTS)
        .map(|number| {
            let addresses = estate(number).map(|ip| format!("'https://{ip}/'")).join(", ");
            format!("  - {{targets: [{addresses}], labels: {{__param_hostname: {}}}}}\n", name(number))
        })
        .collect();
    let servers = SERVERS.map(|server| format!("'{server}:53'")).join(", ");
    let question = |number: usize, kind: &str| {
        let labels = format!("__param_module: {kind}-{number}, module: {kind}-{number}");
        format!("  - {{targets: [{servers}], labels: {{{labels}}}}}\n")
    };
    let questions: String =
        (1..=ENDPOINTS).flat_map(|number| TYPES.map(|kind| question(number, kind))).collect();
    let relabel = |port: u16| {
        format!(
            "  relabel_configs:\n\
             \x20 - {{source_labels: [__address__], target_label: __param_target}}\n\
             \x20 - {{source_labels: [__param_target], target_label: instance}}\n\
             \x20 - {{target_label: __address__, replacement: '127.0.0.1:{port}'}}\n"
        )
    };
    let config = format!(
        "global: {{scrape_interval: {}s, scrape_timeout: 5s}}\n\
         scrape_configs:\n\
         - job_name: linkproof\n  static_configs: [{{targets: ['127.0.0.1:10042']}}]\n\
         - job_name: https\n  metrics_path: /probe\n  params: {{module: [https]}}\n{}\
         \x20 static_configs:\n{targets}\
         - job_name: dns\n  metrics_path: /probe\n{}\
         \x20 static_configs:\n{questions}",
        interval.as_secs(),
        relabel(9115),
        relabel(9116),
    );
    let file = scratch.join("prometheus.yml");
    fs::write(&file, config).unwrap();
    Run::new("prometheus")
        .arg(format!("--config.file={}", file.display()))
        .arg(format!("--storage.tsdb.path={}", scratch.join("tsdb").display()))
        .arg("--web.listen-address=127.0.0.1:9090")
}

/// How many probes of a job pass.
fn passing(lab: &Lab, job: &str) -> usize {
    let answer = get(lab, 9090, "/api/v1/query?query=sum%20by(job)(probe_success)", "").unwrap_or_default();
    let answer: Value = serde_json::from_slice(&answer).unwrap_or_default();
    let sums = answer["data"]["result"].as_array().into_iter().flatten();
    let of_job = sums.filter(|sum| sum["metric"]["job"] == job);
    of_job.filter_map(|sum| sum["value"][1].as_str()?.parse::<usize>().ok()).sum()
}
