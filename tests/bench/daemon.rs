//! The daemon on the lab's instance, and what its page says.

use std::fs;
use std::io::{Read, Write};
use std::net::{Ipv4Addr, TcpStream};
use std::path::Path;
use std::thread;
use std::time::{Duration, Instant};

use flate2::read::GzDecoder;

use crate::lab::{Child, Host, Lab, Run};
use crate::process;

pub const ADDRESSES: usize = 3;

const USUAL_TIMEOUT: Duration = Duration::from_secs(3);

/// As the daemon checks them by default, but for egress, whose cost does not depend on endpoints.
pub fn config(endpoints: usize, more: &str) -> String {
    let names = (1..=endpoints).map(|number| format!("[[endpoint]]\nhost = '{}'\n", name(number)));
    format!("{more}\n[egress]\nenabled = false\n{}", names.collect::<String>())
}

pub fn name(number: usize) -> String {
    format!("zones-{number}.us-east-1.amazonaws.com")
}

const UNIT: &str = include_str!("../../systemd/linkproof.service");

pub struct Daemon<'a> {
    lab: &'a Lab,
    child: Child,
    port: u16,
    pub endpoints: usize,
}

/// What the unit tells the C library's allocator.
fn allocator() -> Vec<(&'static str, &'static str)> {
    let lines = UNIT.lines().filter_map(|line| line.strip_prefix("Environment="));
    let words = lines.flat_map(str::split_whitespace).filter_map(|word| word.split_once('='));
    words.filter(|(name, _)| name.starts_with("MALLOC_")).collect()
}

impl<'a> Daemon<'a> {
    /// Once every check has run and passed.
    pub fn start(
        lab: &'a Lab,
        binary: &Path,
        scratch: &Path,
        (endpoints, interval): (usize, Duration),
        port: u16,
    ) -> Self {
        let timeout = USUAL_TIMEOUT.min(interval - Duration::from_secs(1));
        let (interval, timeout) = (interval.as_secs(), timeout.as_secs());
        let listen =
            format!("interval = '{interval}s'\ntimeout = '{timeout}s'\n[web]\nlisten = '127.0.0.1:{port}'");
        let file = scratch.join(format!("linkproof-{endpoints}.toml"));
        fs::write(&file, config(endpoints, &listen)).unwrap();
        let run = Run::new(binary).arg("--config").arg(&file);
        let child = lab.spawn(&allocator().into_iter().fold(run, |run, (name, value)| run.env(name, value)));
        let daemon = Self { lab, child, port, endpoints };
        let begun = Instant::now();
        while !daemon.try_page().is_some_and(|page| page.contains("\nlinkproof_success 1\n")) {
            assert!(begun.elapsed() < Duration::from_mins(1), "never passed: {}", daemon.child.stderr());
            thread::sleep(Duration::from_millis(500));
        }
        daemon
    }

    pub fn page(&self) -> String {
        self.try_page().expect("the daemon answers")
    }

    fn try_page(&self) -> Option<String> {
        let mut page = String::new();
        GzDecoder::new(self.scrape().ok()?.as_slice()).read_to_string(&mut page).ok()?;
        Some(page)
    }

    /// The body of the answer.
    pub fn get(&self, path: &'static str) -> Vec<u8> {
        get(self.lab, self.port, path, "").unwrap()
    }

    /// As Prometheus asks for it, compressed.
    pub fn scrape(&self) -> std::io::Result<Vec<u8>> {
        let headers = "Accept: application/openmetrics-text;version=1.0.0\r\nAccept-Encoding: gzip\r\n";
        get(self.lab, self.port, "/metrics", headers)
    }

    pub fn cpu(&self) -> f64 {
        process::cpu(self.child.id()).as_secs_f64()
    }

    /// Of the port's thread.
    pub fn port_cpu(&self) -> f64 {
        process::thread_cpu(self.child.id(), "server").as_secs_f64()
    }

    pub fn process(&self) -> u32 {
        self.child.id()
    }

    /// Addresses that were connected to since the daemon started.
    pub fn probed(&self) -> f64 {
        let page = self.page();
        let of = |line: &&str| line.starts_with("linkproof_check_runs_total{") && line.contains("/connect\"");
        let runs = |line: &str| -> Option<f64> { line.rsplit_once(' ')?.1.parse().ok() };
        page.lines().filter(of).filter_map(runs).sum::<f64>() * ADDRESSES as f64
    }

    /// Seconds of CPU for each address probed until the closure returns.
    pub fn cost_while(&self, wait: impl FnOnce()) -> f64 {
        let (probed, cpu) = (self.probed(), self.cpu());
        wait();
        let cpu = self.cpu() - cpu;
        cpu / (self.probed() - probed)
    }
}

/// The body of the answer.
pub fn get(lab: &Lab, port: u16, path: &'static str, headers: &'static str) -> std::io::Result<Vec<u8>> {
    lab.on(Host::Instance, move || {
        let mut stream = TcpStream::connect((Ipv4Addr::LOCALHOST, port))?;
        stream.set_read_timeout(Some(Duration::from_secs(10)))?;
        stream.write_all(format!("GET {path} HTTP/1.0\r\nHost: instance\r\n{headers}\r\n").as_bytes())?;
        let mut answer = Vec::new();
        stream.read_to_end(&mut answer)?;
        let end = answer.windows(4).position(|four| four == b"\r\n\r\n").map_or(0, |at| at + 4);
        Ok(answer.split_off(end))
    })
}
