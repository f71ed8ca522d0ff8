//! The daemon's life: it starts whatever is broken, follows what changes, and ends when told.

use std::fs;
use std::os::unix::net::UnixDatagram;
use std::thread;
use std::time::{Duration, Instant};

use nix::sys::signal::Signal;

use crate::agent;
use crate::harness::{BINARY, own_lab};
use crate::lab::{Fault, Host};
use crate::served::Daemon;

const FAST: &str = "interval = \"1s\"\ntimeout = \"500ms\"\n[instance]\ninterval = \"1s\"\ntimeout = \"500ms\"\n[credentials]\ninterval = \"2s\"\ntimeout = \"1s\"\n[egress]\ninterval = \"2s\"\nwindow = \"500ms\"\n";

#[test]
fn it_starts_while_everything_is_dead_and_picks_up_what_comes_back() {
    let lab = own_lab();
    lab.set([Fault::DnsSilent, Fault::MetadataSilent, Fault::EndpointSgSilent]);
    let daemon = Daemon::start(&lab, FAST);
    daemon.until("metadata was looked for", |daemon| {
        daemon.series("linkproof_check_failures_total{check=\"instance\",target=\"instance\"}") > Some(0.0)
    });
    assert!(!daemon.passes("monitoring/dns"));
    assert_eq!(daemon.get("/-/healthy").map(|answer| answer.status), Some(200));
    lab.set([]);
    for check in
        ["instance", "credentials", "monitoring/dns", "monitoring/connect", "monitoring/call", "egress/ipv4"]
    {
        daemon.until(check, |daemon| daemon.passes(check));
    }
}

#[test]
fn a_transition_is_told_once_with_its_evidence() {
    let lab = own_lab();
    let daemon = Daemon::start(&lab, FAST);
    daemon.until("all is well", |daemon| daemon.passes("monitoring/call") && daemon.passes("egress/ipv4"));
    lab.inject(Fault::EndpointBSilent);
    let failures = "linkproof_check_failures_total{check=\"monitoring/connect\",target=\"monitoring\"}";
    daemon.until("it failed three times", |daemon| daemon.series(failures) >= Some(3.0));
    let evidence = ["check=monitoring/connect", "outcome=\"fail\"", "10.0.2.113", "connect_timeout"];
    assert!(daemon.log_lines(&evidence) > 0, "{}", daemon.child.stderr());
    assert!(daemon.log_lines(&["cause=\"endpoint_interface_down\""]) > 0, "{}", daemon.child.stderr());
    lab.clear(Fault::EndpointBSilent);
    let pass = "outcome=\"pass\"";
    daemon.until("it passes again", |daemon| {
        daemon.outcomes_told("monitoring/connect").last().is_some_and(|told| told == pass)
    });
    // How many there are depends on the machine: one that is busy makes a check inconclusive.
    for check in ["monitoring/connect", "monitoring/dns"] {
        let told = daemon.outcomes_told(check);
        assert!(told.windows(2).all(|pair| pair[0] != pair[1]), "{check}: {told:?}");
        assert!(told.contains(&pass.to_owned()), "{check}: {told:?}");
    }
}

#[test]
fn a_reload_is_read_as_a_whole_or_not_at_all() {
    let lab = own_lab();
    let daemon = Daemon::start(&lab, FAST);
    daemon.until("it runs", |daemon| daemon.passes("monitoring/connect"));
    let reloaded = "linkproof_config_last_reload_successful";

    daemon.rewrite("intervall = \"1s\"\n[egress]\ntcp_ports = [\"x\"]\n");
    let refused = daemon.request("POST", "/-/reload").unwrap();
    assert_eq!(refused.status, 500);
    assert!(!refused.body.contains("intervall"), "{}", refused.body);
    for mistake in [":1:1:", "intervall", ":3:14:"] {
        daemon.until(mistake, |daemon| daemon.log_lines(&[mistake]) > 0);
    }
    assert_eq!(daemon.series(reloaded), Some(0.0));
    assert!(daemon.passes("monitoring/connect"), "the old configuration stays in force");
    let page = || daemon.get("/").unwrap().body;
    assert!(page().contains("<p class=\"warning\">The reload at "), "{}", page());

    daemon.rewrite(&format!("{FAST}[[endpoint]]\nservice = \"ssm\"\n"));
    daemon.child.signal(Signal::SIGHUP);
    daemon.until("the new endpoint is looked at", |daemon| daemon.passes("ssm/connect"));
    assert_eq!(daemon.series(reloaded), Some(1.0));
    assert!(!page().contains("The reload at "));
    let page = daemon.get("/metrics").unwrap().body;
    assert!(!page.contains("monitoring/"), "the series of what is gone are gone");
    assert_eq!(daemon.request("GET", "/-/reload").unwrap().status, 405);
}

#[test]
fn changes_that_wait_for_a_restart_are_named() {
    let lab = own_lab();
    let daemon = Daemon::start(&lab, FAST);
    daemon.rewrite(&format!("{FAST}[log]\nlevel = \"warn\"\n[web]\nopen_health = true\n"));
    assert_eq!(daemon.request("POST", "/-/reload").unwrap().status, 200);
    let note = "Restart linkproof to apply the changes of [web] open_health, [log]";
    daemon.until("the page says so", |daemon| daemon.get("/").unwrap().body.contains(note));
    // The whole reload is one line of the log.
    assert_eq!(daemon.log_lines(&["Configuration reloaded. ", note]), 1);
    daemon.rewrite(FAST);
    assert_eq!(daemon.request("POST", "/-/reload").unwrap().status, 200);
    assert!(!daemon.get("/").unwrap().body.contains("Restart linkproof"));
}

#[test]
fn the_log_table_sets_level_and_format_and_options_go_first() {
    let lab = own_lab();
    let config = format!("{FAST}[log]\nformat = \"json\"\n");
    let daemon = Daemon::start(&lab, &config);
    daemon.until("it logs", |daemon| daemon.log_lines(&["\"message\":\"Ready.\""]) == 1);
    drop(daemon);
    let daemon =
        Daemon::start_with(&lab, &config, |run| run.args(["--log.format", "text", "--log.level", "error"]));
    daemon.until("it runs", |daemon| daemon.passes("monitoring/connect"));
    assert_eq!(daemon.child.stderr(), "");
}

#[test]
fn sigterm_ends_it_within_a_second() {
    let lab = own_lab();
    let mut daemon = Daemon::start(&lab, FAST);
    daemon.until("it runs", |daemon| daemon.passes("monitoring/connect"));
    daemon.child.signal(Signal::SIGTERM);
    let begun = Instant::now();
    while daemon.child.is_running() {
        assert!(begun.elapsed() < Duration::from_secs(1), "{}", daemon.child.stderr());
        thread::sleep(Duration::from_millis(5));
    }
    assert_eq!(daemon.log_lines(&["Stopping."]), 1);
}

#[test]
fn a_port_that_is_taken_is_said_with_what_to_do() {
    let lab = own_lab();
    let first = Daemon::start(&lab, FAST);
    let second = lab.run(&crate::lab::Run::new(BINARY).arg("--config").arg(&first.config));
    assert_eq!(second.status.code(), Some(2));
    for words in ["cannot listen on [::]:10042", "--web.listen-address"] {
        assert!(second.stderr.contains(words), "{}", second.stderr);
    }
}

#[test]
fn on_a_terminal_it_shows_what_it_waits_for_and_then_the_report_in_color() {
    let lab = own_lab();
    lab.set([Fault::DnsServfail]);
    let config = agent::file("toml", "[egress]\nwindow = '1s'\n");
    let line = format!("{BINARY} --config {} --once --wait 4s", config.display());
    // `script` gives it a terminal of its own.
    let output = lab.run(&crate::lab::Run::new("script").args(["-qec", &line, "/dev/null"]));
    assert_eq!(output.status.code(), Some(1), "{output:?}");
    let (progress, report) = output.stdout.split_once("linkproof 0.").unwrap_or_default();
    assert!(progress.contains("FAIL: ") && progress.contains("s left)"), "{progress:?}");
    assert!(report.contains("\u{1b}[") && report.contains("SERVFAIL"), "{report:?}");
}

/// Nothing in the process can tell that it is stuck; systemd can, since the watchdog is not fed.
#[test]
fn what_holds_the_engine_starves_the_watchdog() {
    let lab = own_lab();
    let path = agent::scratch("notify");
    let socket = UnixDatagram::bind(&path).unwrap();
    socket.set_read_timeout(Some(Duration::from_secs(1))).unwrap();
    let daemon = Daemon::start_with(&lab, FAST, |run| run.env("NOTIFY_SOCKET", &path));
    daemon.until("it works", |daemon| daemon.passes("monitoring/dns"));
    // The engine turns once a second.
    let fed = |within| {
        let begun = Instant::now();
        let mut message = [0; 4096];
        while begun.elapsed() < within {
            if socket.recv(&mut message).is_ok_and(|length| message[..length].starts_with(b"WATCHDOG=1")) {
                return true;
            }
        }
        false
    };
    assert!(fed(Duration::from_secs(5)));

    daemon.child.signal(Signal::SIGSTOP);
    let begun = Instant::now();
    while fed(Duration::from_secs(5)) {
        assert!(begun.elapsed() < Duration::from_secs(20), "it is fed in spite of an engine that is stuck");
    }
    daemon.child.signal(Signal::SIGCONT);
    assert!(fed(Duration::from_secs(10)));
}

#[test]
fn a_service_manager_that_does_not_read_holds_nothing() {
    let lab = own_lab();
    let path = agent::scratch("notify");
    let bound = path.clone();
    let unread = lab.on(Host::Instance, move || {
        fs::write("/proc/sys/net/unix/max_dgram_qlen", "1").unwrap();
        UnixDatagram::bind(bound).unwrap()
    });
    let daemon = Daemon::start_with(&lab, FAST, |run| run.env("NOTIFY_SOCKET", &path));
    daemon.until("it works", |daemon| daemon.passes("monitoring/dns"));
    // One message waits in the socket, the next holds its sender.
    thread::sleep(Duration::from_secs(5));
    lab.set([Fault::DnsServfail]);
    daemon.until("checks go on", |daemon| !daemon.passes("monitoring/dns"));
    drop(unread);
}

/// As on a network file system whose server is gone.
#[test]
fn a_resolv_conf_that_never_ends_holds_nothing_but_lookups() {
    let lab = own_lab();
    let daemon = Daemon::start(&lab, FAST);
    daemon.until("it works", |daemon| daemon.passes("monitoring/dns"));
    let frozen = agent::frozen();
    lab.on(Host::Instance, move || {
        fs::rename("/etc/resolv.conf", "/etc/resolv.conf.kept").unwrap();
        std::os::unix::fs::symlink(&frozen, "/etc/resolv.conf").unwrap();
    });
    daemon.until("the check feels it", |daemon| !daemon.passes("monitoring/dns"));
    assert_eq!(daemon.get("/-/healthy").map(|answer| answer.status), Some(200));
    lab.on(Host::Instance, || fs::rename("/etc/resolv.conf.kept", "/etc/resolv.conf").unwrap());
    daemon.until("it works again", |daemon| daemon.passes("monitoring/dns"));
}
