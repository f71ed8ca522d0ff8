//! A real Prometheus and Alertmanager on the instance of a lab, with the rules and routes that ship.

use std::net::{Ipv4Addr, SocketAddr, TcpListener};
use std::sync::mpsc;
use std::time::Instant;
use std::{fs, thread};

use serde_json::Value;

use crate::harness::{PATIENCE, Scratch, eventually, http, packaged, program};
use crate::lab::{Child, Host, Lab, Run};

/// In a namespace of its own a port is nobody else's.
pub const DAEMON: SocketAddr = loopback(10042);
pub const PROMETHEUS: SocketAddr = loopback(9090);
pub const ALERTMANAGER: SocketAddr = loopback(9093);

const fn loopback(port: u16) -> SocketAddr {
    SocketAddr::new(std::net::IpAddr::V4(Ipv4Addr::LOCALHOST), port)
}

/// The shipped configuration's job, with targets that the lab has instead of EC2's.
pub fn job(file: &str, target: impl std::fmt::Display) -> String {
    let shipped = fs::read_to_string(packaged("prometheus").join(file)).unwrap();
    let (_, job) = shipped.split_once("scrape_configs:\n").unwrap();
    let (before, rest) = job.split_once("    ec2_sd_configs:\n").unwrap();
    let (_, after) = rest.split_once("    relabel_configs:\n").unwrap();
    let end =
        ["    metric_relabel_configs:", "    sample_limit:"].iter().filter_map(|next| after.find(next)).min();
    let after = &after[end.unwrap()..];
    format!(
        "{before}    static_configs: [{{targets: ['{target}'], labels: {{vpc: vpc-1, zone: use1-az1}}}}]\n{after}"
    )
}

/// A real Prometheus on the instance.
pub struct Prometheus<'a> {
    lab: &'a Lab,
    process: Child,
}

impl<'a> Prometheus<'a> {
    /// That scrapes and evaluates each second.
    pub fn start(lab: &'a Lab, scratch: &Scratch, jobs: &str, more: &str) -> Self {
        Self::paced(1, lab, scratch, jobs, more)
    }

    pub fn paced(seconds: u64, lab: &'a Lab, scratch: &Scratch, jobs: &str, more: &str) -> Self {
        let (each, timeout) = (format!("{seconds}s"), "1s");
        let config = format!(
            "global: {{scrape_interval: {each}, scrape_timeout: {timeout}, evaluation_interval: {each}}}\n{more}\nscrape_configs:\n{jobs}"
        );
        let config = scratch.write("prometheus.yml", &config);
        let run = Run::new(program("prometheus", "prometheus"))
            .arg(format!("--config.file={}", config.display()))
            .arg(format!("--storage.tsdb.path={}", scratch.0.join("tsdb").display()))
            .arg(format!("--web.listen-address={PROMETHEUS}"))
            .arg("--web.enable-remote-write-receiver");
        let mut process = lab.spawn(&run);
        eventually("Prometheus to be ready", || {
            assert!(process.is_running(), "{}", process.stderr());
            (http::get(lab, PROMETHEUS, "/-/ready", "")?.status == 200).then_some(())
        });
        Self { lab, process }
    }

    pub fn process(&self) -> u32 {
        self.process.id()
    }

    /// The most memory that it held so far, in bytes.
    pub fn resident(&self) -> u64 {
        self.process.peak_rss().unwrap_or_default()
    }

    /// The series that a query returns, each with its value. An error of the query is one of the test.
    pub fn query(&self, query: &str) -> Vec<(Value, f64)> {
        let path = format!("/api/v1/query?query={}", http::escaped(query));
        let answer = self.get(&path);
        assert_eq!(answer["status"], "success", "{query}: {answer}");
        let result = answer["data"]["result"].as_array().cloned().unwrap_or_default();
        let sample = |series: Value| {
            let value = series["value"][1].as_str().unwrap().parse().unwrap();
            (series["metric"].clone(), value)
        };
        result.into_iter().map(sample).collect()
    }

    /// Waits until the query returns something.
    pub fn until(&self, query: &str) -> Vec<(Value, f64)> {
        eventually(query, || Some(self.query(query)).filter(|series| !series.is_empty()))
    }

    pub fn get(&self, path: &str) -> Value {
        let answer = http::get(self.lab, PROMETHEUS, path, "").expect("Prometheus answers");
        serde_json::from_slice(&answer.body).unwrap_or_else(|_| panic!("{path}: {}", answer.text()))
    }
}

/// The one that alerts are delivered to.
pub struct Receiver {
    address: SocketAddr,
    notifications: mpsc::Receiver<Value>,
}

impl Receiver {
    pub fn open(lab: &Lab) -> Self {
        let listener = lab.on(Host::Instance, || TcpListener::bind(loopback(0))).unwrap();
        let address = listener.local_addr().unwrap();
        let (sink, notifications) = mpsc::channel();
        thread::spawn(move || {
            for mut stream in listener.incoming().flatten() {
                let Some((_, body)) = http::request(&mut stream) else { continue };
                http::respond(&mut stream, "text/plain", b"");
                if sink.send(serde_json::from_slice(&body).unwrap()).is_err() {
                    return;
                }
            }
        });
        Self { address, notifications }
    }

    /// Waits for an alert of that name in that state.
    pub fn hears(&self, alert: &str, status: &str) -> Value {
        let deadline = Instant::now() + PATIENCE;
        loop {
            let left = deadline.saturating_duration_since(Instant::now());
            let Ok(notification) = self.notifications.recv_timeout(left) else {
                panic!("no {alert} came {status} within {PATIENCE:?}");
            };
            let alerts = notification["alerts"].as_array().unwrap();
            let wanted = |one: &&Value| one["labels"]["alertname"] == alert && one["status"] == status;
            if let Some(found) = alerts.iter().find(wanted) {
                return found.clone();
            }
        }
    }
}

/// The shipped routing, delivered to the test.
pub fn alertmanager(lab: &Lab, scratch: &Scratch, receiver: &Receiver) -> Child {
    let shipped = fs::read_to_string(packaged("prometheus/alertmanager.yml")).unwrap();
    let config = shipped.replace("https://pager.example/linkproof", &format!("http://{}/", receiver.address));
    assert_ne!(config, shipped, "the shipped receiver has another address");
    let config = scratch.write("alertmanager.yml", &config);
    let run = Run::new(program("prometheus-alertmanager", "prometheus-alertmanager"))
        .arg(format!("--config.file={}", config.display()))
        .arg(format!("--storage.path={}", scratch.0.join("alertmanager").display()))
        .arg(format!("--web.listen-address={ALERTMANAGER}"))
        .arg("--cluster.listen-address=");
    let process = lab.spawn(&run);
    let ready = || (http::get(lab, ALERTMANAGER, "/-/ready", "")?.status == 200).then_some(());
    eventually("Alertmanager to be ready", ready);
    process
}

/// The shipped rules, with the ten minutes that a leak is remembered cut to five seconds.
pub fn rules(scratch: &Scratch) -> String {
    let shipped = fs::read_to_string(packaged("prometheus/alerts.yml")).unwrap();
    assert!(shipped.contains("[10m]"));
    let alerts = scratch.write("alerts.yml", &shipped.replace("[10m]", "[5s]"));
    format!("[{}, {}]", alerts.display(), packaged("prometheus/recording.yml").display())
}
