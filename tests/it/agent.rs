//! The agent under test: how it is started on the lab's instance.

use std::ffi::OsString;
use std::fs;
use std::path::PathBuf;
use std::process::Command;
use std::sync::atomic::{AtomicU64, Ordering};

use crate::harness::BINARY;
use crate::lab::Run;

/// One way to run it. The default is what a package installs: no configuration, as root.
#[derive(Clone, Debug)]
pub struct Agent {
    binary: OsString,
    config: Option<String>,
    environment: Vec<(&'static str, String)>,
    arguments: Vec<&'static str>,
    unprivileged: bool,
}

impl Default for Agent {
    fn default() -> Self {
        Self {
            binary: BINARY.into(),
            config: None,
            environment: Vec::new(),
            arguments: Vec::new(),
            unprivileged: false,
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

    /// One round, the report in this format on standard output.
    pub fn once(&self, format: &str) -> Run {
        self.run().args(["--once", "--format", format]).args(&self.arguments)
    }

    pub fn daemon(&self) -> Run {
        self.run().args(&self.arguments)
    }

    fn run(&self) -> Run {
        let mut run = Run::new(&self.binary);
        if let Some(config) = &self.config {
            run = run.arg("--config").arg(file("toml", config));
        }
        for (name, value) in &self.environment {
            run = run.env(name, value);
        }
        if self.unprivileged { run.unprivileged() } else { run }
    }
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
