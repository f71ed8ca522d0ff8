//! What breaks while the daemon runs and is put right again: it says what is wrong, it says it of
//! the right check, and within an interval after the repair everything passes again. The failure
//! stays on the page, no counter starts anew, and no descriptor is lost.

use std::collections::BTreeMap;
use std::fs;
use std::net::UdpSocket;
use std::os::unix::fs::symlink;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use nix::mount::{MsFlags, mount, umount};
use nix::sys::signal::Signal;

use crate::agent;
use crate::harness::{PATIENCE, Scratch, own_lab};
use crate::lab::{Endless, Fault, Host, Lab, RESOLV_CONF};
use crate::served::{Answer, Daemon};
use crate::state::{CALL, CONNECT, CREDENTIALS, DNS, INSTANCE, IPV4};

fn config() -> String {
    agent::every_second("500ms", "interval = '2s'\nwindow = '500ms'\nfamilies = ['ipv4']")
}

const CHECKS: [&str; 6] = [INSTANCE, CREDENTIALS, DNS, CONNECT, CALL, IPV4];

/// The longest interval, the steps that wait for one another, and the machine itself.
const RECOVERED: Duration = Duration::from_secs(2 + 2 + 6);

/// More than attempts under way hold.
const DESCRIPTORS: f64 = 24.0;

/// Breaks something, waits until the check says why, repairs it, and looks for what is left.
fn recovers(daemon: &Daemon<'_>, check: &str, reason: &str, break_it: impl FnOnce(), repair: impl FnOnce()) {
    let passes = |daemon: &Daemon<'_>| {
        daemon.get("/metrics").is_some_and(|page| CHECKS.iter().all(|check| page.passes(check)))
    };
    daemon.until("all is well", passes);
    let before = daemon.get("/metrics").unwrap();
    let told = || daemon.log_lines(&[&format!("check={check} "), &format!("reason=\"{reason}\"")]);
    let told_before = told();
    break_it();
    daemon.until(&format!("{check} says {reason}"), |_| told() > told_before);
    // A scrape may show the report of a moment ago.
    daemon.until(&format!("{check} is shown"), |daemon| !passes(daemon));
    repair();
    let repaired = Instant::now();
    daemon.until(&format!("{check} passes again"), passes);
    assert!(repaired.elapsed() < RECOVERED, "{check}: {:?}\n{}", repaired.elapsed(), daemon.child.stderr());
    let page = daemon.get("/").unwrap().body;
    let failure = page.split("Last failures").nth(1).unwrap_or_default();
    assert!(failure.contains(&format!("<strong>{check}</strong>")), "{check} is not on the page: {failure}");
    nothing_is_lost(daemon, &before);
}

fn nothing_is_lost(daemon: &Daemon<'_>, before: &Answer) {
    let after = daemon.get("/metrics").unwrap();
    let (runs_before, runs_after) = (runs(before), runs(&after));
    assert!(runs_before.len() >= CHECKS.len());
    for (check, runs) in runs_before {
        assert!(runs_after[check] >= runs, "{check}: {runs_after:?}");
    }
    let open = |page: &Answer| page.series("process_open_fds").unwrap();
    daemon.until("descriptors are closed", |daemon| {
        open(&daemon.get("/metrics").unwrap()) <= open(before) + DESCRIPTORS
    });
}

fn runs(page: &Answer) -> BTreeMap<&str, u64> {
    let run = |line| {
        let (check, rest) =
            str::strip_prefix(line, "linkproof_check_runs_total{check=\"")?.split_once('"')?;
        Some((check, rest.rsplit_once(' ')?.1.parse().ok()?))
    };
    page.body.lines().filter_map(run).collect()
}

#[test]
fn interface_metadata_and_credentials_come_back() {
    let lab = own_lab();
    let daemon = Daemon::start(&lab, &config());
    for (fault, check, reason) in [
        (Fault::InstanceLinkDown, INSTANCE, "metadata_unreachable"),
        (Fault::MetadataSilent, INSTANCE, "metadata_timeout"),
        (Fault::MetadataDisabled, INSTANCE, "metadata_disabled"),
        (Fault::CredentialsExpired, CREDENTIALS, "credentials_expired"),
    ] {
        recovers(&daemon, check, reason, || lab.inject(fault), || lab.clear(fault));
    }
}

#[test]
fn name_resolution_comes_back_with_resolv_conf() {
    let lab = own_lab();
    let daemon = Daemon::start(&lab, &config());
    let aside = || lab.on(Host::Instance, || fs::rename(RESOLV_CONF, "/etc/resolv.conf.kept").unwrap());
    let back = || lab.on(Host::Instance, || fs::rename("/etc/resolv.conf.kept", RESOLV_CONF).unwrap());
    // Without the file, the C library asks 127.0.0.1, where nothing listens.
    recovers(&daemon, DNS, "lookup_failed", aside, back);
    // As systemd-resolved and cloud-init do it.
    let linked = || {
        aside();
        lab.on(Host::Instance, || {
            fs::write("/run/other.conf", "nameserver 127.0.0.7\n").unwrap();
            symlink("/run/other.conf", RESOLV_CONF).unwrap();
        });
    };
    recovers(&daemon, DNS, "resolver_unreachable", linked, back);
}

#[test]
fn trust_store_comes_back() {
    let lab = own_lab();
    let bundle = lab.on(Host::Instance, || fs::read("/etc/ssl/certs/ca-certificates.crt").unwrap());
    let store = agent::file("pem", std::str::from_utf8(&bundle).unwrap());
    let daemon = Daemon::start_with(&lab, &config(), |run| run.env("SSL_CERT_FILE", &store));
    let other = rcgen::generate_simple_self_signed(["other.example".to_owned()]).unwrap().cert.pem();
    let replace = |text: &[u8]| {
        let new = store.with_extension("new");
        fs::write(&new, text).unwrap();
        fs::rename(&new, &store).unwrap();
    };
    recovers(
        &daemon,
        CONNECT,
        "certificate_untrusted",
        || replace(other.as_bytes()),
        || {
            replace(&bundle);
            // A store is read a second after it changed, at the latest.
            thread::sleep(Duration::from_secs(1));
        },
    );
}

/// Of the daemon, while it runs.
fn limit_descriptors(daemon: &Daemon<'_>, limit: usize) {
    let set = Command::new("prlimit")
        .args(["--pid", &daemon.child.id().to_string()])
        .arg(format!("--nofile={limit}:16384"))
        .status();
    assert!(set.is_ok_and(|status| status.success()), "prlimit does not work");
}

fn open_descriptors(daemon: &Daemon<'_>) -> usize {
    fs::read_dir(format!("/proc/{}/fd", daemon.child.id())).unwrap().count()
}

/// Nothing can be opened for some seconds. No check blames anything but this host for it.
#[test]
fn descriptors_come_back() {
    let lab = own_lab();
    let daemon = Daemon::start(&lab, &config());
    let failures = || daemon.log_lines(&["outcome=\"fail\""]);
    let exhaust = || limit_descriptors(&daemon, 3);
    let restore = || {
        thread::sleep(Duration::from_secs(3));
        let cpu = cpu_ticks(&daemon);
        thread::sleep(Duration::from_secs(1));
        // Out of descriptors it must not try again and again. A tick is 10 ms.
        assert!(cpu_ticks(&daemon) - cpu < 50, "it spins");
        limit_descriptors(&daemon, 4096);
    };
    recovers(&daemon, CONNECT, "no_resources", exhaust, restore);
    assert_eq!(failures(), 0, "{}", daemon.child.stderr());
    assert!(open_descriptors(&daemon) < 64);
}

fn cpu_ticks(daemon: &Daemon<'_>) -> u64 {
    let stat = fs::read_to_string(format!("/proc/{}/stat", daemon.child.id())).unwrap();
    let fields: Vec<&str> = stat.rsplit_once(") ").unwrap().1.split(' ').collect();
    fields[11].parse::<u64>().unwrap() + fields[12].parse::<u64>().unwrap()
}

/// Stopped for longer than all intervals, as in a virtual machine that is paused.
#[test]
fn a_pause_of_the_process_blames_nothing_and_is_over_at_once() {
    let lab = own_lab();
    let daemon = Daemon::start(&lab, &config());
    daemon.until("all is well", |daemon| CHECKS.iter().all(|check| daemon.passes(check)));
    let before = daemon.get("/metrics").unwrap();
    daemon.child.signal(Signal::SIGSTOP);
    thread::sleep(Duration::from_secs(6));
    daemon.child.signal(Signal::SIGCONT);
    let resumed = Instant::now();
    daemon.until("every check ran again", |daemon| {
        let page = daemon.get("/metrics").unwrap();
        let (then, now) = (runs(&before), runs(&page));
        let again = now.iter().all(|(check, runs)| *runs > then[check] + 1);
        again && CHECKS.iter().all(|check| page.passes(check))
    });
    assert!(resumed.elapsed() < RECOVERED + Duration::from_secs(2), "{:?}", resumed.elapsed());
    let after = daemon.get("/metrics").unwrap();
    nothing_is_lost(&daemon, &before);
    // What was missed is not made up for.
    let most = 3 + resumed.elapsed().as_secs();
    assert!(runs(&after)[DNS] - runs(&before)[DNS] <= most, "{:?} {:?}", runs(&before), runs(&after));
    assert_eq!(daemon.log_lines(&["outcome=\"fail\""]), 0, "{}", daemon.child.stderr());
}

/// Below the folder of the machine's architecture.
fn faketime() -> PathBuf {
    let folders = fs::read_dir("/usr/lib").unwrap().flatten();
    let mut found = folders.map(|folder| folder.path().join("faketime/libfaketime.so.1"));
    found.find(|path| path.exists()).expect("libfaketime is missing: apt-get install faketime")
}

/// A day ahead and back again, and the hour that a wrong clock at boot is behind. The kernel has no
/// wall clock for a namespace, so the C library's is wrapped.
#[test]
fn steps_of_the_clock_change_no_outcome_of_the_network() {
    let (lab, scratch) = (own_lab(), Scratch::new("clock"));
    let offset = scratch.write("offset", "+0");
    let daemon = Daemon::start_with(&lab, &config(), |run| {
        run.env("LD_PRELOAD", faketime())
            .env("FAKETIME_TIMESTAMP_FILE", &offset)
            .env("FAKETIME_NO_CACHE", "1")
            .env("DONT_FAKE_MONOTONIC", "1")
    });
    let step = |by: &str| {
        let new = offset.with_extension("new");
        fs::write(&new, by).unwrap();
        fs::rename(&new, &offset).unwrap();
    };
    for by in ["+1d", "-1h"] {
        recovers(&daemon, CALL, "clock_skew", || step(by), || step("+0"));
    }
    // Names and silence have nothing to do with the time of day.
    for check in [DNS, INSTANCE, IPV4] {
        assert_eq!(daemon.log_lines(&[&format!("check={check} "), "outcome=\"fail\""]), 0, "{check}");
    }
}

/// On the instance, of one page. Gone with the lab.
fn small_disk(lab: &Lab) -> PathBuf {
    let disk = agent::scratch("disk");
    fs::create_dir(&disk).unwrap();
    let at = disk.clone();
    lab.on(Host::Instance, move || {
        mount(Some("disk"), &at, Some("tmpfs"), MsFlags::empty(), Some("size=512k")).unwrap();
    });
    disk
}

#[test]
fn a_full_disk_leaves_the_old_files_whole() {
    let lab = own_lab();
    let disk = small_disk(&lab);
    let (page, report) = (disk.join("linkproof.prom"), disk.join("report.json"));
    let config = format!("{}textfile = '{}'\n", config(), page.display());
    let daemon = Daemon::start(&lab, &config);
    let read = |path: &Path| {
        let path = path.to_owned();
        lab.on(Host::Instance, move || fs::read_to_string(path).unwrap_or_default())
    };
    let is_whole = |page: &str| page.starts_with("# HELP") && page.contains("linkproof_success ");
    daemon.until("the textfile is there", |_| is_whole(&read(&page)));
    let once = || {
        let agent = agent::Agent::default().config("egress.enabled = false\n[[endpoint]]\nservice = 'ssm'\n");
        lab.run(&agent.once("json").arg("--output").arg(&report))
    };
    assert_eq!(once().status.code(), Some(0));
    let old = read(&report);

    let filler = disk.join("filler");
    let fill = filler.clone();
    // Until nothing fits any more; the error is what is wanted.
    lab.on(Host::Instance, move || fs::write(fill, vec![0; 1 << 20]).unwrap_err());
    let full = once();
    assert_eq!(full.status.code(), Some(74), "{full:?}");
    assert!(full.stderr.contains("No space left on device"), "{}", full.stderr);
    assert_eq!(read(&report), old);
    daemon.until("the log says so", |daemon| {
        daemon.log_lines(&["The textfile could not be written.", "No space left on device"]) == 1
    });
    assert!(is_whole(&read(&page)), "{}", read(&page));
    daemon.until("checks go on", |daemon| CHECKS.iter().all(|check| daemon.passes(check)));

    let names = disk.clone();
    let left = lab.on(Host::Instance, move || {
        fs::remove_file(filler).unwrap();
        let names = fs::read_dir(names).unwrap().map(|entry| entry.unwrap().file_name());
        names.map(|name| name.to_string_lossy().into_owned()).collect::<Vec<_>>()
    });
    assert!(!left.iter().any(|name| name.contains(".tmp")), "{left:?}");
    daemon.until("it is written again", |daemon| daemon.log_lines(&["The textfile is written again."]) == 1);
    assert_eq!(once().status.code(), Some(0));
    drop(daemon);
    lab.on(Host::Instance, move || umount(&disk).unwrap());
}

/// The endpoint keeps sending for as long as the answer is read.
#[test]
fn answers_without_an_end_are_cut_off() {
    let lab = own_lab();
    let daemon = Daemon::start(&lab, &config());
    for (endless, check, reason) in
        [(Endless::Head, CONNECT, "response_invalid"), (Endless::Body, CALL, "not_an_aws_answer")]
    {
        let start = || {
            lab.answer_endlessly(Some(endless));
            thread::sleep(Duration::from_secs(3));
        };
        recovers(&daemon, check, reason, start, || lab.answer_endlessly(None));
    }
    let memory = daemon.child.peak_rss().unwrap();
    assert!(memory < 64 << 20, "{} MiB", memory >> 20);
}

/// Answers each question a thousand times, first with another question's number.
fn flood(stop: &AtomicBool, socket: &UdpSocket, upstream: &UdpSocket) {
    const COPIES: usize = 1_000;
    let (mut question, mut answer) = ([0; 1232], [0; 1232]);
    'questions: while !stop.load(Ordering::Relaxed) {
        let Ok((length, client)) = socket.recv_from(&mut question) else { continue };
        if upstream.send(&question[..length]).is_err() {
            continue;
        }
        // An answer that came too late is another question's.
        let length = loop {
            match upstream.recv(&mut answer) {
                Ok(length) if answer[..2] == question[..2] => break length,
                Ok(_) => {}
                Err(_) => continue 'questions,
            }
        };
        let mut other = answer;
        other[0] ^= 0xff;
        for copy in (0..COPIES).map(|n| if n < 2 { &other } else { &answer }) {
            let _ = socket.send_to(&copy[..length], client);
        }
    }
}

#[test]
fn a_resolver_that_floods_delays_nothing() {
    let lab = own_lab();
    let daemon = Daemon::start(&lab, &config());
    daemon.until("all is well", |daemon| CHECKS.iter().all(|check| daemon.passes(check)));
    let (socket, upstream) = lab.on(Host::Instance, || {
        let (socket, upstream) = (UdpSocket::bind("127.0.0.7:53"), UdpSocket::bind("0.0.0.0:0"));
        let (socket, upstream) = (socket.unwrap(), upstream.unwrap());
        upstream.connect("10.0.0.2:53").unwrap();
        for socket in [&socket, &upstream] {
            socket.set_read_timeout(Some(Duration::from_millis(50))).unwrap();
        }
        (socket, upstream)
    });
    let stop = Arc::<AtomicBool>::default();
    let ends = Arc::clone(&stop);
    let flooding = thread::spawn(move || flood(&ends, &socket, &upstream));
    lab.on(Host::Instance, || {
        fs::rename(RESOLV_CONF, "/etc/resolv.conf.kept").unwrap();
        fs::write(RESOLV_CONF, "nameserver 127.0.0.7\n").unwrap();
    });
    let before = daemon.get("/metrics").unwrap();
    let begun = Instant::now();
    daemon.until("five more rounds", |daemon| {
        runs(&daemon.get("/metrics").unwrap())[DNS] >= runs(&before)[DNS] + 5
    });
    assert!(begun.elapsed() < Duration::from_secs(12).min(PATIENCE), "{:?}", begun.elapsed());
    assert!(daemon.passes(DNS) && daemon.passes(CONNECT), "{}", daemon.child.stderr());
    lab.on(Host::Instance, || fs::rename("/etc/resolv.conf.kept", RESOLV_CONF).unwrap());
    stop.store(true, Ordering::Relaxed);
    flooding.join().unwrap();
    daemon.until("all is well", |daemon| CHECKS.iter().all(|check| daemon.passes(check)));
    nothing_is_lost(&daemon, &before);
    assert!(daemon.child.peak_rss().unwrap() < 64 << 20);
}
