//! How long it may take and how much it may hold: of the release build, which is what ships.

use std::fs;
use std::thread;
use std::time::{Duration, Instant, SystemTime};

use crate::agent::{Agent, every_second};
use crate::harness::{Borrowed, eventually, http, own_lab, quiet_lab, release_binary};
use crate::lab::{ESTATE, Fault, Output};
use crate::prometheus::DAEMON;
use crate::report::Report;
use crate::state::{CALL, DNS};

/// The waiting window of the egress check is the longest thing in a healthy subnet.
const WINDOW: Duration = Duration::from_secs(1);

/// Others use the machine as well: the best of these is what the program needs.
const RUNS: usize = 5;

fn once(lab: &Borrowed, agent: Agent) -> (Output, Report) {
    let output = lab.run(&agent.binary(release_binary()).once("json"));
    let report = Report::read(&output.stdout).unwrap_or_else(|error| panic!("{error}: {output:?}"));
    (output, report)
}

/// The least of several measurements, with all of them for the message.
fn best(mut measure: impl FnMut() -> Duration) -> (Duration, Vec<Duration>) {
    let all: Vec<Duration> = (0..RUNS).map(|_| measure()).collect();
    (all.iter().copied().min().unwrap_or_default(), all)
}

#[test]
fn healthy_endpoint_takes_at_most_100_ms() {
    let lab = quiet_lab();
    let (best, all) = best(|| {
        let (_, report) = once(&lab, Agent::default());
        assert!(report.says_pass(CALL));
        report.ended_at(CALL).duration_since(report.started_at(DNS)).unwrap()
    });
    assert!(best <= Duration::from_millis(100), "{all:?}");
    println!("from the start of dns to the end of the call: {all:?}");
}

#[test]
fn healthy_round_takes_300_ms_beyond_its_window() {
    let lab = quiet_lab();
    let (best, all) = best(|| {
        let (output, _) = once(&lab, Agent::default());
        assert_eq!(output.status.code(), Some(0));
        output.took
    });
    assert!(WINDOW < best && best <= WINDOW + Duration::from_millis(300), "{all:?}");
    println!("a round: {all:?}");
}

/// Metadata takes 2 s, then the C library up to 15 s.
#[test]
fn silent_subnet_is_reported_within_20_s() {
    let lab = quiet_lab();
    lab.set([Fault::DnsSilent, Fault::MetadataSilent, Fault::EndpointSgSilent, Fault::SystemResolverSilent]);
    let config = "region = 'us-east-1'\nexpected_cidrs = ['10.0.0.0/16']\n";
    let (output, report) = once(&lab, Agent::default().config(config));
    assert_eq!((output.status.code(), report.outcome()), (Some(1), "fail"));
    assert!(output.took <= Duration::from_secs(20), "{:?}", output.took);
}

/// A dead one takes its three seconds, and the nineteen others the time that they always take.
#[test]
fn dead_endpoint_delays_no_other() {
    const OTHERS: u32 = 19;
    let name = |number: u32| format!("partner-{number}.us-east-1.amazonaws.com");
    let config: String = (1..=OTHERS + 1).map(|n| format!("[[endpoint]]\nhost = '{}'\n", name(n))).collect();
    let lab = quiet_lab();
    let (_, report) = once(&lab, Agent::default().config(&config));
    let check = |number: u32| format!("{}/connect", name(number));
    assert!(report.seconds(&check(OTHERS + 1)) >= 3.0, "it is not dead");
    let begun = report.started_at(&format!("{}/dns", name(1)));
    let within = |at: SystemTime| at.duration_since(begun).unwrap_or_default() <= WINDOW;
    for number in 1..=OTHERS {
        assert!(report.says_pass(&check(number)), "{}", check(number));
        assert!(within(report.ended_at(&check(number))), "{} was late", check(number));
    }
    let requests = lab.requests();
    assert_eq!(requests.len(), OTHERS as usize);
    assert!(requests.iter().all(|request| within(request.at)), "{requests:#?}");
}

/// Of them ten are the program's own file, which the kernel shares and can drop.
#[test]
fn the_daemon_stays_below_13_mib_while_it_checks_every_second() {
    const LIMIT_KIB: u64 = 13 * 1024;
    const MINUTE: Duration = Duration::from_secs(60);
    let often = &every_second("500ms", "interval = '1s'\nwindow = '500ms'");
    // Of its own, since it takes a minute: nobody who measures time shall wait for it.
    let lab = own_lab();
    let mut daemon = lab.spawn(&Agent::default().binary(release_binary()).config(often).daemon());
    let begun = Instant::now();
    let mut resident = Vec::new();
    while begun.elapsed() < MINUTE {
        thread::sleep(Duration::from_secs(1));
        assert!(daemon.is_running(), "it ended: {}", daemon.stderr());
        resident.push(kib(daemon.id(), "VmRSS:"));
    }
    let peak = kib(daemon.id(), "VmHWM:");
    let calls = lab.requests().iter().filter(|request| request.operation.is_some()).count();
    assert!(calls >= 60, "it made {calls} calls only");
    println!("resident {resident:?} KiB, at most {peak} KiB, {calls} calls");
    assert!(peak < LIMIT_KIB, "{peak} KiB, resident each second: {resident:?}");
}

/// Of the unit: what it tells the C library's allocator.
fn allocator() -> Vec<(&'static str, &'static str)> {
    let unit = include_str!("../../systemd/linkproof.service");
    let lines = unit.lines().filter_map(|line| line.strip_prefix("Environment="));
    let words = lines.flat_map(str::split_whitespace).filter_map(|word| word.split_once('='));
    words.filter(|(name, _)| name.starts_with("MALLOC_")).collect()
}

#[test]
fn two_hundred_endpoints_of_three_addresses_stay_below_20_mib() {
    const LIMIT_KIB: u64 = 20 * 1024;
    const SCRAPES: usize = 20;
    const SCRAPE: &str = "Accept: application/openmetrics-text\r\nAccept-Encoding: gzip\r\n";
    let names = (1..=ESTATE).map(|n| format!("[[endpoint]]\nhost = 'zones-{n}.us-east-1.amazonaws.com'\n"));
    let config = format!(
        "interval = '10s'\n[web]\nlisten = '{DAEMON}'\n[egress]\nenabled = false\n{}",
        names.collect::<String>()
    );
    let lab = own_lab();
    let agent = Agent::default().binary(release_binary()).config(&config);
    let agent = allocator().into_iter().fold(agent, |agent, (name, value)| agent.env(name, value));
    let daemon = lab.spawn(&agent.daemon());
    eventually("every endpoint to pass", || {
        http::get(&lab, DAEMON, "/metrics", "")?.text().contains("\nlinkproof_success 1\n").then_some(())
    });
    let resident: Vec<u64> = (0..SCRAPES)
        .map(|_| {
            thread::sleep(Duration::from_millis(500));
            assert_eq!(http::get(&lab, DAEMON, "/metrics", SCRAPE).unwrap().status, 200);
            kib(daemon.id(), "VmRSS:")
        })
        .collect();
    let peak = kib(daemon.id(), "VmHWM:");
    println!("resident after each scrape {resident:?} KiB, at most {peak} KiB");
    assert!(peak < LIMIT_KIB, "{peak} KiB, after each scrape {resident:?}");
}

pub fn kib(process: u32, field: &str) -> u64 {
    let status = fs::read_to_string(format!("/proc/{process}/status")).unwrap_or_default();
    let value = status.lines().find_map(|line| line.strip_prefix(field)?.trim().strip_suffix(" kB"));
    value.and_then(|value| value.parse().ok()).unwrap_or_else(|| panic!("no {field} of process {process}"))
}
