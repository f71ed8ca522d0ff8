//! The agent under test: how it is started on the lab's instance.

use std::ffi::OsString;
use std::fs;
use std::path::PathBuf;
use std::process::Command;
use std::sync::atomic::{AtomicU64, Ordering};

use crate::harness::BINARY;
use crate::lab::Run;

/// One way to run it. The default is what a package installs, as root: no configuration, except for
/// a shorter egress window.
#[derive(Clone, Debug)]
pub struct Agent {
    binary: OsString,
    config: Option<String>,
    environment: Vec<(&'static str, String)>,
    arguments: Vec<&'static str>,
    unprivileged: bool,
    whole_window: bool,
}

/// The egress window of most tests: they are not about time, and a lab has no distances.
const WINDOW: &str = "window = \"1s\"";

impl Default for Agent {
    fn default() -> Self {
        Self {
            binary: BINARY.into(),
            config: None,
            environment: Vec::new(),
            arguments: Vec::new(),
            unprivileged: false,
            whole_window: false,
        }
    }
}

impl Agent {
    pub fn binary(mut self, binary: impl Into<OsString>) -> Self {
        self.binary = binary.into();
        self
    }

    pub fn config(mut self, toml: &str) -> Self {
        self.config = Some(toml.to_owned());
        self
    }

    pub fn env(mut self, name: &'static str, value: &str) -> Self {
        self.environment.push((name, value.to_owned()));
        self
    }

    pub fn environment(&self) -> &[(&'static str, String)] {
        &self.environment
    }

    pub fn args(mut self, arguments: &[&'static str]) -> Self {
        self.arguments.extend(arguments);
        self
    }

    /// As nobody, without any capability: what the packaged service runs as.
    pub fn unprivileged(mut self) -> Self {
        self.unprivileged = true;
        self
    }

    /// The egress window that is shipped.
    pub fn whole_window(mut self) -> Self {
        self.whole_window = true;
        self
    }

    /// One round, the report in this format on standard output.
    pub fn once(&self, format: &str) -> Run {
        self.run().args(["--once", "--format", format]).args(&self.arguments)
    }

    pub fn daemon(&self) -> Run {
        self.run().args(&self.arguments)
    }

    fn run(&self) -> Run {
        let mut run = Run::new(&self.binary);
        if let Some(config) = self.file() {
            run = run.arg("--config").arg(file("toml", &config));
        }
        for (name, value) in &self.environment {
            run = run.env(name, value);
        }
        if self.unprivileged { run.unprivileged() } else { run }
    }
}

impl Agent {
    /// What was asked for, with the short window where it says nothing of one.
    fn file(&self) -> Option<String> {
        let config = self.config.as_deref().unwrap_or_default();
        let sets = |line: &str| line.starts_with("window = ") || line.starts_with("egress.");
        let says = config.lines().any(|line| sets(line.trim_start()));
        if self.whole_window || says {
            return self.config.clone();
        }
        let table = "[egress]\n";
        Some(match config.split_once(table) {
            Some((before, after)) => format!("{before}{table}{WINDOW}\n{after}"),
            None => format!("{config}\n{table}{WINDOW}\n"),
        })
    }
}

/// Everything once a second, with a call; `egress` is the table of that name.
pub fn every_second(timeout: &str, egress: &str) -> String {
    format!(
        "interval = '1s'
        timeout = '{timeout}'
        [instance]
        interval = '1s'
        timeout = '{timeout}'
        [credentials]
        interval = '1s'
        timeout = '{timeout}'
        [egress]
        {egress}
        [[endpoint]]
        service = 'monitoring'
        call = 'list-metrics'
        call_interval = '1s'
        [web]
        listen = '127.0.0.1:10042'
        "
    )
}

/// A file of its own under the build's scratch directory, readable by everybody.
pub fn file(extension: &str, text: &str) -> PathBuf {
    let path = scratch(extension);
    fs::write(&path, text).unwrap_or_else(|error| panic!("cannot write {}: {error}", path.display()));
    path
}

/// A file that nobody ever finishes reading, as on a network file system whose server is gone.
pub fn frozen() -> PathBuf {
    let path = scratch("frozen");
    let made = Command::new("mkfifo").args(["--mode", "644"]).arg(&path).status();
    assert!(made.is_ok_and(|status| status.success()), "cannot make {}", path.display());
    path
}

/// A path that no other test uses.
pub fn scratch(extension: &str) -> PathBuf {
    static FILES: AtomicU64 = AtomicU64::new(0);
    let number = FILES.fetch_add(1, Ordering::Relaxed);
    PathBuf::from(env!("CARGO_TARGET_TMPDIR")).join(format!("{}-{number}.{extension}", std::process::id()))
}
