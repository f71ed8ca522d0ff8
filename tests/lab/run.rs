//! Programs on the instance: how to start one, and what came of it.

use std::env;
use std::ffi::{OsStr, OsString};
use std::fs;
use std::io::{self, Read};
use std::process::{Command, ExitStatus, Stdio};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant};

use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;

use super::host::TOOL_PATH;
use super::instance::HOME;

/// Nothing that is run in the lab takes this long.
const DEFAULT_TIMEOUT: Duration = Duration::from_mins(1);
/// Fine enough for `took`, and cheap.
const POLL: Duration = Duration::from_millis(1);

/// A program to be run on the instance. It sees PATH, an empty HOME and what is set
/// here, and nothing else of the environment.
#[derive(Clone, Debug)]
pub struct Run {
    program: OsString,
    arguments: Vec<OsString>,
    environment: Vec<(OsString, OsString)>,
    unprivileged: bool,
    terminal: bool,
    timeout: Duration,
}

impl Run {
    pub fn new(program: impl AsRef<OsStr>) -> Self {
        Self {
            program: program.as_ref().to_owned(),
            arguments: Vec::new(),
            environment: Vec::new(),
            unprivileged: false,
            terminal: false,
            timeout: DEFAULT_TIMEOUT,
        }
    }

    pub fn arg(mut self, argument: impl AsRef<OsStr>) -> Self {
        self.arguments.push(argument.as_ref().to_owned());
        self
    }

    pub fn args<A: AsRef<OsStr>>(mut self, arguments: impl IntoIterator<Item = A>) -> Self {
        self.arguments.extend(arguments.into_iter().map(|argument| argument.as_ref().to_owned()));
        self
    }

    pub fn env(mut self, name: impl AsRef<OsStr>, value: impl AsRef<OsStr>) -> Self {
        self.environment.push((name.as_ref().to_owned(), value.as_ref().to_owned()));
        self
    }

    /// As nobody, without any capability.
    pub fn unprivileged(mut self) -> Self {
        self.unprivileged = true;
        self
    }

    /// On this process's own terminal: the output is not captured, there is no time
    /// limit, and TERM and NO_COLOR are passed on.
    pub fn on_terminal(mut self) -> Self {
        self.terminal = true;
        self
    }

    /// How long `wait` waits before it kills the program.
    pub fn timeout(mut self, timeout: Duration) -> Self {
        self.timeout = timeout;
        self
    }

    /// Must be called on the instance's thread, which the program dies with.
    pub(super) fn start(&self) -> io::Result<Child> {
        let mut command = self.command();
        if !self.terminal {
            command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped());
        }
        let started = Instant::now();
        let mut process = command.spawn()?;
        let stdout = process.stdout.take().map(Capture::start);
        let stderr = process.stderr.take().map(Capture::start);
        let timeout = (!self.terminal).then_some(self.timeout);
        Ok(Child { process, started, timeout, stdout, stderr, peak_rss: None })
    }

    fn command(&self) -> Command {
        let mut command = Command::new("setpriv");
        if self.unprivileged {
            command.args(["--reuid", "65534", "--regid", "65534", "--clear-groups"]);
            command.args(["--inh-caps=-all", "--bounding-set=-all", "--no-new-privs"]);
        }
        command.args(["--pdeathsig", "KILL", "--"]).arg(&self.program).args(&self.arguments);
        let path =
            env::var("PATH").map_or_else(|_| TOOL_PATH.to_owned(), |path| format!("{path}:{TOOL_PATH}"));
        command.env_clear().env("PATH", path).env("HOME", HOME);
        if self.terminal {
            let shown = ["TERM", "COLORTERM", "NO_COLOR"];
            command.envs(shown.iter().filter_map(|name| Some((name, env::var_os(name)?))));
        }
        command.envs(self.environment.iter().map(|(name, value)| (name, value)));
        command
    }
}

/// What came of a program.
#[derive(Clone, Debug)]
pub struct Output {
    pub status: ExitStatus,
    pub stdout: String,
    pub stderr: String,
    pub took: Duration,
    /// In bytes; the last sample before the end, so a very short program has none.
    pub peak_rss: Option<u64>,
    /// It ran into its time limit and was killed.
    pub timed_out: bool,
}

/// A running program. Dropping it kills it.
#[derive(Debug)]
pub struct Child {
    process: std::process::Child,
    started: Instant,
    timeout: Option<Duration>,
    stdout: Option<Capture>,
    stderr: Option<Capture>,
    peak_rss: Option<u64>,
}

impl Child {
    pub fn id(&self) -> u32 {
        self.process.id()
    }

    /// What it has written so far.
    pub fn stdout(&self) -> String {
        self.stdout.as_ref().map(Capture::text).unwrap_or_default()
    }

    pub fn stderr(&self) -> String {
        self.stderr.as_ref().map(Capture::text).unwrap_or_default()
    }

    pub fn signal(&self, signal: Signal) {
        // It may have ended already; then there is nobody to tell.
        let _ = kill(Pid::from_raw(self.process.id().cast_signed()), signal);
    }

    pub fn is_running(&mut self) -> bool {
        matches!(self.process.try_wait(), Ok(None))
    }

    /// The most memory that it held so far, in bytes.
    pub fn peak_rss(&self) -> Option<u64> {
        let status = fs::read_to_string(format!("/proc/{}/status", self.process.id())).ok()?;
        let line = status.lines().find_map(|line| line.strip_prefix("VmHWM:"))?;
        let kibibytes: u64 = line.trim().strip_suffix(" kB")?.parse().ok()?;
        Some(kibibytes * 1024)
    }

    /// Waits for its end, or for its time limit and kills it.
    pub fn wait(mut self) -> Output {
        let mut timed_out = false;
        let status = loop {
            match self.process.try_wait() {
                Ok(Some(status)) => break status,
                Ok(None) => {}
                Err(error) => panic!("cannot wait for a program on the instance: {error}"),
            }
            self.peak_rss = self.peak_rss().or(self.peak_rss);
            if self.timeout.is_some_and(|timeout| self.started.elapsed() > timeout) {
                timed_out = true;
                self.signal(Signal::SIGKILL);
            }
            thread::sleep(POLL);
        };
        let took = self.started.elapsed();
        let finish = |capture: Option<Capture>| capture.map(Capture::finish).unwrap_or_default();
        Output {
            status,
            stdout: finish(self.stdout.take()),
            stderr: finish(self.stderr.take()),
            took,
            peak_rss: self.peak_rss,
            timed_out,
        }
    }
}

impl Drop for Child {
    fn drop(&mut self) {
        // It may have ended by itself; either way it is gone afterwards.
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}

/// Reads a pipe as it fills, so that the program never waits for a reader.
#[derive(Debug)]
struct Capture {
    bytes: Arc<Mutex<Vec<u8>>>,
    reader: JoinHandle<()>,
}

impl Capture {
    fn start(mut pipe: impl Read + Send + 'static) -> Self {
        let bytes = Arc::new(Mutex::new(Vec::new()));
        let filled = Arc::clone(&bytes);
        let reader = thread::spawn(move || {
            let mut buffer = [0; 8192];
            while let Ok(length @ 1..) = pipe.read(&mut buffer) {
                filled.lock().unwrap_or_else(PoisonError::into_inner).extend(&buffer[..length]);
            }
        });
        Self { bytes, reader }
    }

    fn text(&self) -> String {
        String::from_utf8_lossy(&self.bytes.lock().unwrap_or_else(PoisonError::into_inner)).into_owned()
    }

    /// All of it. A grandchild that outlives the program may hold the pipe open, so
    /// this waits for a moment only.
    fn finish(self) -> String {
        let deadline = Instant::now() + Duration::from_secs(1);
        while !self.reader.is_finished() && Instant::now() < deadline {
            thread::sleep(POLL);
        }
        self.text()
    }
}
