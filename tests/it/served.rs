//! The daemon on the lab's instance, and what it serves there.

use std::io::{Read, Write};
use std::net::{Ipv4Addr, TcpStream};
use std::path::PathBuf;
use std::time::{Duration, Instant};

use crate::lab::{Child, Host, Lab, Run};

pub const LINKPROOF: &str = env!("CARGO_BIN_EXE_linkproof");
const PORT: u16 = 10042;

/// Generous: what is waited for comes in milliseconds, and a loaded machine must not decide.
const PATIENCE: Duration = Duration::from_secs(20);

pub struct Daemon<'a> {
    pub lab: &'a Lab,
    pub child: Child,
    pub config: PathBuf,
}

impl<'a> Daemon<'a> {
    /// Ready, with this configuration.
    pub fn start(lab: &'a Lab, config: &str) -> Self {
        Self::start_with(lab, config, |run| run)
    }

    pub fn start_with(lab: &'a Lab, config: &str, set: impl FnOnce(Run) -> Run) -> Self {
        let file = std::env::temp_dir().join(format!(
            "linkproof-{}-{:x}.toml",
            std::process::id(),
            fastrand::u64(..)
        ));
        std::fs::write(&file, config).unwrap();
        let run = set(Run::new(LINKPROOF).arg("--config").arg(&file).arg("--web.enable-lifecycle"));
        let daemon = Self { lab, child: lab.spawn(&run.timeout(Duration::from_secs(900))), config: file };
        daemon
            .until("it is ready", |daemon| daemon.get("/-/ready").is_some_and(|answer| answer.status == 200));
        daemon
    }

    pub fn rewrite(&self, config: &str) {
        std::fs::write(&self.config, config).unwrap();
    }

    pub fn get(&self, path: &str) -> Option<Answer> {
        self.request("GET", path)
    }

    /// `None` when nobody answered.
    pub fn request(&self, method: &str, path: &str) -> Option<Answer> {
        let request = format!("{method} {path} HTTP/1.1\r\nHost: instance\r\nConnection: close\r\n\r\n");
        self.lab.on(Host::Instance, move || {
            let mut stream = TcpStream::connect((Ipv4Addr::LOCALHOST, PORT)).ok()?;
            stream.set_read_timeout(Some(PATIENCE)).ok()?;
            stream.write_all(request.as_bytes()).ok()?;
            let mut text = String::new();
            stream.read_to_string(&mut text).ok()?;
            Answer::read(&text)
        })
    }

    /// The value of one series, by its name and labels as they stand on the page.
    pub fn series(&self, series: &str) -> Option<f64> {
        self.get("/metrics")?.series(series)
    }

    pub fn passes(&self, check: &str) -> bool {
        self.get("/metrics").is_some_and(|page| page.passes(check))
    }

    pub fn until(&self, what: &str, holds: impl Fn(&Self) -> bool) {
        let begun = Instant::now();
        while !holds(self) {
            assert!(begun.elapsed() < PATIENCE, "not within {PATIENCE:?}: {what}\n{}", self.child.stderr());
            std::thread::sleep(Duration::from_millis(20));
        }
    }

    pub fn log_lines(&self, words: &[&str]) -> usize {
        self.child.stderr().lines().filter(|line| words.iter().all(|word| line.contains(word))).count()
    }
}

impl Drop for Daemon<'_> {
    fn drop(&mut self) {
        let _ = std::fs::remove_file(&self.config);
    }
}

#[derive(Clone, Debug)]
pub struct Answer {
    pub status: u16,
    pub body: String,
}

impl Answer {
    fn read(text: &str) -> Option<Self> {
        let (head, body) = text.split_once("\r\n\r\n")?;
        let status = head.split(' ').nth(1)?.parse().ok()?;
        Some(Self { status, body: body.to_owned() })
    }

    pub fn series(&self, series: &str) -> Option<f64> {
        let line = self.body.lines().find_map(|line| line.strip_prefix(series))?;
        line.trim().parse().ok()
    }

    pub fn passes(&self, check: &str) -> bool {
        let series = format!("linkproof_check_success{{check=\"{check}\",");
        self.body.lines().any(|line| line.starts_with(&series) && line.ends_with(" 1"))
    }
}
