//! Files that never end, clients that outlive their certificate, and a host that holds us up.

use std::fs;
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use nix::sys::signal::{Signal, kill};
use nix::sys::stat::Mode;
use nix::unistd::{Pid, mkfifo};
use rcgen::{BasicConstraints, CertificateParams, IsCa, Issuer, KeyPair};

use crate::harness::{BINARY, Scratch};
use crate::lab::{Fault, Lab, Run};
use crate::report::Report;
use crate::served::Daemon;

const FAST: &str = "interval = '1s'\ntimeout = '500ms'\n[egress]\ninterval = '2s'\nwindow = '1s'\n";

/// What used to hang is answered within milliseconds.
const SOON: Duration = Duration::from_secs(5);

fn lab() -> Lab {
    Lab::start().unwrap_or_else(|error| panic!("{error}"))
}

/// A FIFO that nobody writes to, and a device without an end.
fn endless(scratch: &Scratch) -> [PathBuf; 2] {
    let fifo = scratch.0.join("fifo");
    if !fifo.exists() {
        mkfifo(&fifo, Mode::S_IRUSR | Mode::S_IWUSR).unwrap();
    }
    [fifo, "/dev/zero".into()]
}

#[test]
fn fifos_and_devices_are_refused_at_start() {
    let (lab, scratch) = (lab(), Scratch::new("hostile-start"));
    for path in endless(&scratch) {
        let shown = path.display();
        let web =
            scratch.write("web.yml", &format!("tls_server_config: {{cert_file: {shown}, key_file: k}}"));
        let configs = [
            path.clone(),
            scratch.write("ca.toml", &format!("ca_file = '{shown}'\n")),
            scratch.write("web.toml", &format!("[web]\nconfig_file = '{shown}'\n")),
            scratch.write("cert.toml", &format!("[web]\nconfig_file = '{}'\n", web.display())),
        ];
        for config in configs {
            let output = lab.run(&Run::new(BINARY).arg("--config").arg(&config).timeout(SOON));
            assert_eq!(output.status.code(), Some(78), "{}: {output:?}", config.display());
            let said = format!("{shown}: not a regular file");
            assert!(output.stderr.contains(&said), "{}: {}", config.display(), output.stderr);
        }
    }
}

#[test]
fn fifos_and_devices_are_refused_at_reload_while_all_else_goes_on() {
    let (lab, scratch) = (lab(), Scratch::new("hostile-reload"));
    let mut daemon = Daemon::start(&lab, FAST);
    for path in endless(&scratch) {
        let ca_file = format!("ca_file = '{}'\n{FAST}", path.display());
        daemon.rewrite(&ca_file);
        let begun = Instant::now();
        assert_eq!(daemon.request("POST", "/-/reload").unwrap().status, 500);
        assert!(begun.elapsed() < SOON, "{:?}", begun.elapsed());
    }
    fs::remove_file(&daemon.config).unwrap();
    mkfifo(&daemon.config, Mode::S_IRUSR | Mode::S_IWUSR).unwrap();
    let failed = || daemon.log_lines(&["Reload failed"]);
    let before = failed();
    daemon.child.signal(Signal::SIGHUP);
    daemon.until("the FIFO is refused", |_| failed() > before);
    assert_eq!(daemon.get("/-/healthy").unwrap().status, 200);
    daemon.child.signal(Signal::SIGTERM);
    let begun = Instant::now();
    while daemon.child.is_running() {
        assert!(begun.elapsed() < SOON, "it does not hear SIGTERM");
        thread::sleep(Duration::from_millis(10));
    }
}

/// A limit of processes holds for a user, and this one has no others.
#[test]
fn too_few_threads_are_an_error_and_no_panic() {
    let (lab, scratch) = (lab(), Scratch::new("hostile-threads"));
    let config = scratch.write("c.toml", "egress.enabled = false\n");
    for most in 2..=8 {
        let once = Run::new("setpriv").args(["--reuid", "64321", "--clear-groups", "prlimit"]);
        let once = once.arg(format!("--nproc={most}:{most}")).arg(BINARY).arg("--config").arg(&config);
        let output = lab.run(&once.arg("--once"));
        let code = output.status.code();
        assert!(code == Some(2) || (most > 4 && code == Some(0)), "{most}: {output:?}");
        assert!(!output.stderr.contains("panicked"), "{most}: {}", output.stderr);
        assert!(most > 3 || output.stderr.contains("cannot start"), "{most}: {}", output.stderr);
    }
}

#[test]
fn without_a_local_port_nothing_is_blamed_on_others() {
    let lab = lab();
    let taken = ["net.ipv4.ip_local_port_range=40000 40003", "net.ipv4.ip_local_reserved_ports=40000-40003"];
    let set = lab.run(&Run::new("sysctl").arg("-qw").args(taken));
    assert!(set.status.success(), "{set:?}");
    let config = crate::agent::file("toml", "region = 'us-east-1'\n[egress]\nwindow = '1s'\n");
    let once = Run::new(BINARY).arg("--config").arg(config).args(["--once", "--format", "json"]);
    let output = lab.run(&once);
    let report = Report::read(&output.stdout).unwrap_or_else(|error| panic!("{error}: {output:?}"));
    for (check, outcome) in report.checks() {
        let says_so =
            ["inconclusive no_resources", "skipped prerequisite_failed"].contains(&outcome.as_str());
        assert!(says_so, "{check}: {outcome}");
    }
    let causes: Vec<String> = report.causes().into_iter().map(|(cause, _)| cause).collect();
    assert_eq!(causes, ["no_resources"]);
}

/// What is refused must cost little too, and must be given back.
#[test]
fn the_worst_files_take_little_memory_at_reload() {
    const MOST_KIB: u64 = 20 * 1024;
    let lab = lab();
    let daemon = Daemon::start(&lab, FAST);
    let before = daemon.kib("RssAnon:");
    let mut peaks = Vec::new();
    let reload = |text: &str| {
        let reloads = || daemon.log_lines(&["eload"]);
        let before = reloads();
        daemon.rewrite(text);
        daemon.child.signal(Signal::SIGHUP);
        daemon.until("it is reloaded or refused", |_| reloads() > before);
    };
    for piece in ["=", "[", "a b\n", "a = 1\n", "\n", "[[endpoint]]\nservice = 'monitoring'\n"] {
        for bytes in [1 << 16, 1 << 20] {
            reload(&piece.repeat(bytes / piece.len()));
            peaks.push((piece, bytes, daemon.kib("RssAnon:").saturating_sub(before)));
        }
    }
    let numbered: String = (0..70_000).map(|number| format!("bad{number} = 1\n")).collect();
    reload(&numbered);
    let peak = daemon.kib("VmHWM:").saturating_sub(daemon.kib("RssFile:")).saturating_sub(before);
    println!("{before} KiB before, {peak} KiB more at most, after each file {peaks:?}");
    assert!(peak < MOST_KIB, "{peak} KiB more than before, after each file {peaks:?}");
}

#[test]
fn thousands_of_mistakes_are_counted_and_fifty_are_shown() {
    let scratch = Scratch::new("hostile-mistakes");
    // Unknown keys, lines that are no TOML, and keys that come twice.
    let kinds: [fn(u32) -> String; 3] =
        [|number| format!("k{number} = 1\n"), |_| "a b\n".to_owned(), |_| "a = 1\n".to_owned()];
    for kind in kinds {
        let file = scratch.write("mistakes.toml", &(0..16_000).map(kind).collect::<String>());
        let begun = Instant::now();
        let output =
            std::process::Command::new(BINARY).arg("--check-config").arg("--config").arg(file).output();
        let output = output.unwrap();
        assert!(begun.elapsed() < Duration::from_secs(10), "{:?}", begun.elapsed());
        assert_eq!(output.status.code(), Some(78));
        let said = String::from_utf8(output.stderr).unwrap();
        assert_eq!(said.lines().count(), 2 * 50 + 1, "{said}");
        assert!(said.trim_end().ends_with("more mistakes; fix these first"), "{said}");
    }
}

#[test]
fn no_session_outlives_the_certificate_of_its_client() {
    let (lab, scratch) = (lab(), Scratch::new("hostile-sessions"));
    let key = KeyPair::generate().unwrap();
    let mut authority = CertificateParams::default();
    authority.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
    scratch.write("ca.pem", &authority.self_signed(&key).unwrap().pem());
    let issuer = Issuer::new(authority, key);
    for name in ["server", "client"] {
        let key = KeyPair::generate().unwrap();
        let params = CertificateParams::new(["localhost".to_owned()]).unwrap();
        scratch.write(&format!("{name}.pem"), &params.signed_by(&key, &issuer).unwrap().pem());
        scratch.write(&format!("{name}.key"), &key.serialize_pem());
    }
    let tls = "tls_server_config:\n  cert_file: server.pem\n  key_file: server.key\n";
    let clients = "  client_auth_type: RequireAndVerifyClientCert\n  client_ca_file: ca.pem\n";
    for (web, resumes) in [(tls.to_owned(), true), (format!("{tls}{clients}"), false)] {
        let web = scratch.write("web.yml", &web);
        let config = format!("{FAST}[web]\nconfig_file = '{}'\n", web.display());
        let daemon = Daemon::launch(&lab, &config, |run| run);
        daemon.until("it listens", |daemon| daemon.log_lines(&["Ready."]) == 1);
        let line = format!(
            "cd {} && openssl s_client -connect 127.0.0.1:10042 -tls1_2 -reconnect -cert client.pem -key client.key </dev/null 2>&1",
            scratch.0.display()
        );
        let said = lab.run(&Run::new("bash").args(["-c", &line])).stdout;
        assert!(said.contains("New, TLSv1.2"), "{said}");
        assert_eq!(said.contains("Reused, TLSv1.2"), resumes, "{said}");
    }
}

/// Stops the daemon for most of the time, as a host without CPU credits does.
struct HeldUp {
    over: Arc<AtomicBool>,
    thread: Option<thread::JoinHandle<()>>,
}

impl HeldUp {
    fn start(daemon: &Daemon<'_>) -> Self {
        let over = Arc::<AtomicBool>::default();
        let (ends, process) = (Arc::clone(&over), Pid::from_raw(daemon.child.id().cast_signed()));
        let thread = thread::spawn(move || {
            while !ends.load(Ordering::Relaxed) {
                kill(process, Signal::SIGSTOP).unwrap();
                thread::sleep(Duration::from_millis(300));
                kill(process, Signal::SIGCONT).unwrap();
                thread::sleep(Duration::from_millis(100));
            }
        });
        Self { over, thread: Some(thread) }
    }
}

impl Drop for HeldUp {
    fn drop(&mut self) {
        self.over.store(true, Ordering::Relaxed);
        if let Some(thread) = self.thread.take() {
            let _ = thread.join();
        }
    }
}

#[test]
fn a_host_that_holds_us_up_spoils_silence_and_hides_no_reply() {
    let lab = lab();
    let daemon = Daemon::start(&lab, FAST);
    daemon.until("all is well", |daemon| daemon.passes("monitoring/connect") && daemon.passes("egress/ipv4"));
    let overloaded =
        |check: &str| daemon.log_lines(&[&format!("check={check} "), "reason=\"host_overloaded\""]);
    let failed = |check: &str| daemon.log_lines(&[&format!("check={check} "), "outcome=\"fail\""]);

    // Silence is spoiled in both directions: no pass of the egress check, no failure of dns.
    let held_up = HeldUp::start(&daemon);
    lab.inject(Fault::DnsSilent);
    daemon.until("silence is spoiled", |_| overloaded("egress/ipv4") > 0 && overloaded("monitoring/dns") > 0);
    daemon.until("the cause is named", |daemon| daemon.log_lines(&["cause=\"host_overloaded\""]) > 0);
    assert_eq!((failed("egress/ipv4"), failed("monitoring/dns")), (0, 0), "{}", daemon.child.stderr());

    // What is heard counts, however late.
    lab.set([Fault::NatOpen, Fault::DnsServfail]);
    daemon.until("a reply is a failure", |_| failed("egress/ipv4") > 0 && failed("monitoring/dns") > 0);
    lab.set([]);
    daemon.until("an answer is a pass", |daemon| daemon.passes("monitoring/dns"));
    assert!(!daemon.passes("egress/ipv4"), "silence is no pass yet");

    drop(held_up);
    daemon.until("silence is a pass again", |daemon| daemon.passes("egress/ipv4"));
}
