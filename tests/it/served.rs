//! The daemon on the lab's instance, and what it serves there.

use std::path::PathBuf;
use std::time::Duration;

use crate::harness::{BINARY, eventually_or, http};
use crate::lab::{Child, Lab, Run};
use crate::limits::kib;
use crate::prometheus::DAEMON;

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
        let daemon = Self::launch(lab, config, set);
        daemon
            .until("it is ready", |daemon| daemon.get("/-/ready").is_some_and(|answer| answer.status == 200));
        daemon
    }

    /// Without waiting for it.
    pub fn launch(lab: &'a Lab, config: &str, set: impl FnOnce(Run) -> Run) -> Self {
        let file = std::env::temp_dir().join(format!(
            "linkproof-{}-{:x}.toml",
            std::process::id(),
            fastrand::u64(..)
        ));
        std::fs::write(&file, config).unwrap();
        let run = set(Run::new(BINARY).arg("--config").arg(&file).arg("--web.enable-lifecycle"));
        Self { lab, child: lab.spawn(&run.timeout(Duration::from_secs(900))), config: file }
    }

    pub fn rewrite(&self, config: &str) {
        std::fs::write(&self.config, config).unwrap();
    }

    pub fn get(&self, path: &str) -> Option<Answer> {
        self.request("GET", path)
    }

    /// `None` when nobody answered.
    pub fn request(&self, method: &str, path: &str) -> Option<Answer> {
        let answer = http::send(self.lab, DAEMON, method, path, "")?;
        Some(Answer { status: answer.status, body: answer.text() })
    }

    /// The value of one series, by its name and labels as they stand on the page.
    pub fn series(&self, series: &str) -> Option<f64> {
        self.get("/metrics")?.series(series)
    }

    /// A size of its process, by the field of `/proc/PID/status`.
    pub fn kib(&self, field: &str) -> u64 {
        kib(self.child.id(), field)
    }

    pub fn passes(&self, check: &str) -> bool {
        self.get("/metrics").is_some_and(|page| page.passes(check))
    }

    pub fn until(&self, what: &str, holds: impl Fn(&Self) -> bool) {
        eventually_or(what, || holds(self).then_some(()), || self.child.stderr());
    }

    /// What the log said of a check: the words for outcome and reason of each of its lines.
    pub fn outcomes_told(&self, check: &str) -> Vec<String> {
        let start = format!("check={check} ");
        let told = |line: &str| line.split_once(&start).map(|(_, outcome)| outcome.trim().to_owned());
        self.child.stderr().lines().filter_map(told).collect()
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
    pub fn series(&self, series: &str) -> Option<f64> {
        let line = self.body.lines().find_map(|line| line.strip_prefix(series))?;
        line.trim().parse().ok()
    }

    pub fn passes(&self, check: &str) -> bool {
        let series = format!("linkproof_check_success{{check=\"{check}\",");
        self.body.lines().any(|line| line.starts_with(&series) && line.ends_with(" 1"))
    }
}
