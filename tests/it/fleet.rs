//! A fleet of five hundred under one Prometheus: each target an address of its own on loopback
//! that serves the page of a real linkproof.

use std::fs;
use std::io::Write;
use std::net::TcpListener;
use std::sync::Arc;
use std::thread;
use std::time::{Duration, Instant};

use flate2::Compression;
use flate2::write::GzEncoder;

use crate::harness::{Scratch, eventually, http, own_lab, program};
use crate::lab::{Fault, Host, Lab, Run};
use crate::prometheus::{DAEMON, HASTY, PROMETHEUS, Prometheus, daemon, job, rules};

const INSTANCES: usize = 500;
/// Those with a way out: one in each zone.
const LEAKS: usize = 6;
const ZONES: usize = 3;
const INTERVAL: u64 = 5;
const MEASURED: Duration = Duration::from_secs(10);

fn address(instance: usize) -> String {
    format!("127.1.{}.{}", instance / 250, instance % 250 + 1)
}

fn place(instance: usize) -> (usize, usize) {
    (instance / ZONES % 2, instance % ZONES)
}

fn is_leaky(address: &str) -> bool {
    (0..LEAKS).any(|leak| self::address(leak) == address)
}

/// Compressed once, as the page is for each scrape of a real one.
fn page(lab: &Lab) -> Vec<u8> {
    let page = http::get(lab, DAEMON, "/metrics", "Accept: application/openmetrics-text\r\n").unwrap();
    let mut encoder = GzEncoder::new(Vec::new(), Compression::fast());
    encoder.write_all(&page.body).unwrap();
    encoder.finish().unwrap()
}

fn serve(lab: &Lab, healthy: Vec<u8>, leaky: Vec<u8>) -> u16 {
    let listener = lab.on(Host::Instance, || TcpListener::bind("0.0.0.0:0")).unwrap();
    let port = listener.local_addr().unwrap().port();
    let pages = Arc::new((healthy, leaky));
    for _ in 0..4 {
        let (listener, pages) = (listener.try_clone().unwrap(), Arc::clone(&pages));
        thread::spawn(move || {
            for mut stream in listener.incoming().flatten() {
                let asked = stream.local_addr().unwrap().ip().to_string();
                let page = if is_leaky(&asked) { &pages.1 } else { &pages.0 };
                if http::request(&mut stream).is_some() {
                    let head = "application/openmetrics-text; version=1.0.0; charset=utf-8\r\nContent-Encoding: gzip";
                    http::respond(&mut stream, head, page);
                }
            }
        });
    }
    port
}

fn jobs(port: u16) -> String {
    let mut groups = String::new();
    for vpc in 0..2 {
        for zone in 0..ZONES {
            let here = (0..INSTANCES).filter(|instance| place(*instance) == (vpc, zone));
            let targets: Vec<String> =
                here.map(|instance| format!("'{}:{port}'", address(instance))).collect();
            groups += &format!(
                "  - {{targets: [{}], labels: {{vpc: vpc-{vpc}, zone: use1-az{zone}}}}}\n",
                targets.join(", ")
            );
        }
    }
    format!("- job_name: linkproof\n  static_configs:\n{groups}")
}

/// Seconds of CPU that a process has used.
fn cpu(process: u32) -> f64 {
    let stat = fs::read_to_string(format!("/proc/{process}/stat")).unwrap();
    let (_, fields) = stat.rsplit_once(") ").unwrap();
    let ticks: Vec<f64> = fields.split(' ').skip(11).take(2).map(|field| field.parse().unwrap()).collect();
    // USER_HZ, the same on every architecture that Linux runs on today.
    (ticks[0] + ticks[1]) / 100.0
}

#[test]
fn one_prometheus_holds_five_hundred_instances_and_finds_the_six_that_leak() {
    let (lab, scratch) = (own_lab(), Scratch::new("fleet"));
    let pages = {
        let _daemon = daemon(&lab, &scratch, HASTY);
        let says = |words: &str| {
            eventually(words, || {
                http::get(&lab, DAEMON, "/metrics", "")?.text().contains(words).then_some(())
            });
        };
        says("linkproof_check_success{check=\"egress/ipv4\",target=\"ipv4\"} 1");
        let healthy = page(&lab);
        lab.inject(Fault::NatOpen);
        says("linkproof_diagnosis{cause=\"internet_route_open\",check=\"egress/ipv4\"");
        (healthy, page(&lab))
    };
    let port = serve(&lab, pages.0, pages.1);
    let prometheus =
        Prometheus::paced(INTERVAL, &lab, &scratch, &jobs(port), &format!("rule_files: {}", rules(&scratch)));
    prometheus.until(&format!("count(up{{job=\"linkproof\"}} == 1) == {INSTANCES}"));
    prometheus.until(&format!("sum(vpc_zone:linkproof_instances:count) == {INSTANCES}"));

    let (started, before) = (Instant::now(), cpu(prometheus.process()));
    thread::sleep(MEASURED);
    let share = (cpu(prometheus.process()) - before) / started.elapsed().as_secs_f64();

    let alerts = "count(ALERTS{alertname=\"LinkproofEgressOpen\",alertstate=\"firing\"})";
    prometheus.until(&format!("{alerts} == {LEAKS}"));
    prometheus.until(&format!("sum(instance:linkproof_passing:bool) == {}", INSTANCES - LEAKS));
    assert_eq!(prometheus.query("vpc_zone:linkproof_passing:ratio < 1").len(), 2 * ZONES);
    assert_eq!(prometheus.query("up{job=\"linkproof\"} == 0"), []);
    let slowest = prometheus.query("max(scrape_duration_seconds)")[0].1;
    let samples = prometheus.query("sum(scrape_samples_scraped)")[0].1;
    let series = prometheus.query("sum(scrape_samples_post_metric_relabeling)")[0].1;
    println!(
        "{INSTANCES} instances every {INTERVAL} s: {:.0} samples a second, {series:.0} series, {:.0} % of one core, \
         {:.0} MiB resident, the slowest scrape {:.0} ms; every 30 s that is {:.1} % of one core",
        samples / INTERVAL as f64,
        share * 100.0,
        prometheus.resident() as f64 / f64::from(1 << 20),
        slowest * 1000.0,
        share * 100.0 * INTERVAL as f64 / 30.0
    );
}

#[test]
fn an_agent_inside_sends_what_a_prometheus_outside_alerts_on() {
    let (lab, scratch) = (own_lab(), Scratch::new("agent"));
    let _daemon = daemon(&lab, &scratch, HASTY);
    let outside = Prometheus::start(&lab, &scratch, "  []", &format!("rule_files: {}", rules(&scratch)));

    // The shipped configuration, but for where it finds its targets and where it sends to.
    let job = job("agent.yml", DAEMON);
    let (job, _) = job.split_once("\nremote_write:\n").unwrap();
    let config = format!(
        "global: {{scrape_interval: 1s, scrape_timeout: 1s}}\nscrape_configs:\n{job}\nremote_write: [{{url: 'http://{PROMETHEUS}/api/v1/write'}}]\n"
    );
    let run = Run::new(program("prometheus", "prometheus"))
        .arg("--enable-feature=agent")
        .arg(format!("--config.file={}", scratch.write("agent.yml", &config).display()))
        .arg(format!("--storage.agent.path={}", scratch.0.join("agent").display()))
        .arg("--web.listen-address=127.0.0.1:9091");
    let _agent = lab.spawn(&run);
    outside.until(r#"vpc_zone:linkproof_passing:ratio{vpc="vpc-1",zone="use1-az1"} == 1"#);
    lab.inject(Fault::NatOpen);
    outside.until(r#"ALERTS{alertname="LinkproofEgressOpen",alertstate="firing"}"#);
    outside.until(r#"vpc_zone:linkproof_passing:ratio{vpc="vpc-1",zone="use1-az1"} == 0"#);
}
