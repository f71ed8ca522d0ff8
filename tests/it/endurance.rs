//! Random faults come and go while the daemon runs. What was true is written down by the one who
//! made it so; what was said is sampled all along; afterwards the two are compared.

use std::collections::BTreeMap;
use std::fs;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use crate::harness::own_lab;
use crate::lab::{Fault, Lab};
use crate::served::Daemon;

const CONFIG: &str = "interval = \"1s\"\ntimeout = \"500ms\"\n[[endpoint]]\nservice = \"monitoring\"\ncall = \"list-metrics\"\ncall_interval = \"1s\"\n[instance]\ninterval = \"1s\"\ntimeout = \"500ms\"\n[credentials]\ninterval = \"1s\"\ntimeout = \"500ms\"\n[egress]\ninterval = \"3s\"\nwindow = \"2500ms\"\n";

/// Faults of names restart the name server, and a query that it has not answered is lost. The C library
/// asks again after five seconds by default, and with this option after one.
const RESOLVER_OPTIONS: &str = "timeout:1";
const LOST_QUERY: Duration = Duration::from_secs(1);
/// An interval, the timeouts of the three steps of one run, and a lost query.
const ENDPOINT: Duration = Duration::from_millis(1_000 + 3 * 500).saturating_add(LOST_QUERY);
/// An interval and a window, which is long enough for a first SYN to be sent again.
const EGRESS: Duration = Duration::from_millis(3_000 + 2_500);
/// The machine itself.
const MACHINE: Duration = Duration::from_millis(1_000);

fn longest_allowed(check: &str) -> Duration {
    MACHINE + if check.starts_with("egress") { EGRESS } else { ENDPOINT }
}

/// Each fault, and the check that cannot be true while it is there.
const FAULTS: &[(Fault, &str)] = &[
    (Fault::NatOpen, "egress/ipv4"),
    (Fault::NatOpenIcmpOnly, "egress/ipv4"),
    (Fault::NatOpenTcpOnly, "egress/ipv4"),
    (Fault::NatOpenUdpOnly, "egress/ipv4"),
    (Fault::NatOpenNtpOnly, "egress/ipv4"),
    (Fault::NatOpenFirstSynLost, "egress/ipv4"),
    (Fault::NatOpenSlow, "egress/ipv4"),
    (Fault::SecondInterfaceOpen, "egress/ipv4"),
    (Fault::SecondaryAddressOpen, "egress/ipv4"),
    (Fault::EgressRejectedOutside, "egress/ipv4"),
    (Fault::Ipv6EgressOpen, "egress/ipv6"),
    (Fault::Nat64Open, "egress/ipv6"),
    (Fault::PrivateDnsOff, "monitoring/dns"),
    (Fault::DnsServfail, "monitoring/dns"),
    (Fault::DnsMixed, "monitoring/dns"),
    (Fault::SystemResolverElsewhere, "monitoring/dns"),
    (Fault::HostsFilePins, "monitoring/dns"),
    (Fault::DnsStale, "monitoring/connect"),
    (Fault::EndpointSgSilent, "monitoring/connect"),
    (Fault::EndpointASilent, "monitoring/connect"),
    (Fault::CertificateExpired, "monitoring/connect"),
    (Fault::ResponseSilent, "monitoring/connect"),
    (Fault::EndpointReturnBlocked, "monitoring/connect"),
    (Fault::EndpointMuteAfterHandshake, "monitoring/connect"),
    (Fault::MtuBlackHoleOutwards, "monitoring/connect"),
    (Fault::HostDropsLarge, "monitoring/connect"),
    (Fault::EndpointBUnrouted, "monitoring/connect"),
    (Fault::CallSilent, "monitoring/call"),
    (Fault::RoleDenied, "monitoring/call"),
    (Fault::Throttled, "monitoring/call"),
    (Fault::ClockAhead, "monitoring/call"),
    (Fault::RoleMissing, "credentials"),
    (Fault::MetadataSilent, "instance"),
    (Fault::MetadataDisabled, "instance"),
];

/// A stretch in which a check was broken, from the change that broke it to the one that healed.
struct Broken {
    check: &'static str,
    by: Vec<Fault>,
    from: Instant,
    to: Instant,
}

struct Sample {
    asked: Instant,
    passing: BTreeMap<&'static str, bool>,
}

#[test]
fn no_broken_truth_is_reported_as_passing_for_longer_than_an_interval_and_its_timeouts() {
    let lab = own_lab();
    let daemon = Daemon::start_with(&lab, CONFIG, |run| run.env("RES_OPTIONS", RESOLVER_OPTIONS));
    daemon.until("all is well", |daemon| FAULTS.iter().all(|(_, check)| daemon.passes(check)));
    let seconds =
        std::env::var("LINKPROOF_TRUTH_SECONDS").ok().and_then(|text| text.parse().ok()).unwrap_or(60);
    let seed = std::env::var("LINKPROOF_TRUTH_SEED")
        .ok()
        .and_then(|text| text.parse().ok())
        .unwrap_or(fastrand::u64(..));
    println!("LINKPROOF_TRUTH_SEED={seed} LINKPROOF_TRUTH_SECONDS={seconds}");
    let before = Held::by(&daemon);
    let over = AtomicBool::new(false);
    let (samples, broken) = thread::scope(|scope| {
        let sampler = scope.spawn(|| sample_until(&daemon, &over));
        let broken = trouble(&lab, &mut fastrand::Rng::with_seed(seed), Duration::from_secs(seconds));
        over.store(true, Ordering::Relaxed);
        (sampler.join().unwrap(), broken)
    });
    let mut longest = Duration::ZERO;
    for stretch in &broken {
        for sample in samples.iter().filter(|sample| stretch.from < sample.asked && sample.asked < stretch.to)
        {
            if sample.passing[stretch.check] {
                let after = sample.asked - stretch.from;
                longest = longest.max(after);
                assert!(
                    after <= longest_allowed(stretch.check),
                    "{} said pass {after:?} after {:?} broke it (seed {seed})",
                    stretch.check,
                    stretch.by,
                );
            }
        }
    }
    println!(
        "{} stretches, {} samples; the longest stale pass lasted {longest:?}",
        broken.len(),
        samples.len()
    );
    let page = daemon.get("/metrics").unwrap().body;
    let [runs, packets] = ["check_runs", "egress_sent"].map(|counter| total(&page, counter));
    println!("{runs} runs of checks, {packets} packets to targets of egress");
    lab.set([]);
    daemon.until("all is well again", |daemon| FAULTS.iter().all(|(_, check)| daemon.passes(check)));
    let after = Held::by(&daemon);
    println!("before the faults {before:?}, after them {after:?}");
    assert!(after.exceeds(&before).is_none(), "{:?} (seed {seed})", after.exceeds(&before));
    assert!(broken.len() >= 3 && samples.len() >= 20, "too little happened to show anything");
}

/// Of all series of a counter.
fn total(page: &str, counter: &str) -> u64 {
    let name = format!("linkproof_{counter}_total{{");
    let value = |line: &str| line.rsplit_once(' ')?.1.parse::<u64>().ok();
    page.lines().filter(|line| line.starts_with(&name)).filter_map(value).sum()
}

/// What a leak would make grow.
#[derive(Debug)]
struct Held {
    descriptors: usize,
    threads: usize,
    series: usize,
    resident_kib: u64,
}

impl Held {
    /// The least of some moments: attempts under way hold more.
    fn by(daemon: &Daemon<'_>) -> Self {
        let moments = (0..50).map(|_| {
            thread::sleep(Duration::from_millis(100));
            Self::at_this_moment(daemon)
        });
        let least = |one: Self, other: Self| Self {
            descriptors: one.descriptors.min(other.descriptors),
            threads: one.threads.min(other.threads),
            series: one.series.min(other.series),
            resident_kib: one.resident_kib.min(other.resident_kib),
        };
        moments.reduce(least).unwrap()
    }

    fn at_this_moment(daemon: &Daemon<'_>) -> Self {
        let process = daemon.child.id();
        let entries = |folder: &str| fs::read_dir(format!("/proc/{process}/{folder}")).unwrap().count();
        let status = fs::read_to_string(format!("/proc/{process}/status")).unwrap();
        let resident = status.lines().find_map(|line| line.strip_prefix("VmRSS:")).unwrap();
        let page = daemon.get("/metrics").unwrap().body;
        Self {
            descriptors: entries("fd"),
            threads: entries("task"),
            series: page.lines().filter(|line| !line.starts_with('#')).count(),
            resident_kib: resident.trim().trim_end_matches(" kB").parse().unwrap(),
        }
    }

    /// What has grown by more than the last failures that are kept, and the workers that rest.
    fn exceeds(&self, before: &Self) -> Option<&'static str> {
        let grown = [
            ("descriptors", self.descriptors > before.descriptors + 4),
            ("threads", self.threads > before.threads + 8),
            ("series", self.series > before.series + 60),
            ("memory", self.resident_kib > before.resident_kib + 16 * 1024),
        ];
        grown.into_iter().find_map(|(what, grown)| grown.then_some(what))
    }
}

fn sample_until(daemon: &Daemon<'_>, over: &AtomicBool) -> Vec<Sample> {
    let mut samples = Vec::new();
    while !over.load(Ordering::Relaxed) {
        let asked = Instant::now();
        if let Some(page) = daemon.get("/metrics") {
            samples.push(Sample {
                asked,
                passing: FAULTS.iter().map(|(_, check)| (*check, page.passes(check))).collect(),
            });
        }
        thread::sleep(Duration::from_millis(100));
    }
    samples
}

/// Switches one fault at a time on or off, and keeps the record.
fn trouble(lab: &Lab, random: &mut fastrand::Rng, duration: Duration) -> Vec<Broken> {
    let begun = Instant::now();
    let mut active: Vec<(Fault, &'static str)> = Vec::new();
    let mut open: BTreeMap<&'static str, (Instant, Vec<Fault>)> = BTreeMap::new();
    let mut broken = Vec::new();
    while begun.elapsed() < duration {
        let before = Instant::now();
        let (fault, check) = FAULTS[random.usize(..FAULTS.len())];
        match active.iter().position(|(known, _)| *known == fault) {
            Some(at) => drop(active.remove(at)),
            None if active.len() < 3 => active.push((fault, check)),
            None => drop(active.remove(0)),
        }
        lab.set(active.iter().map(|(fault, _)| *fault));
        let after = Instant::now();
        for (_, check) in FAULTS {
            let by: Vec<Fault> =
                active.iter().filter(|(_, broken)| broken == check).map(|(fault, _)| *fault).collect();
            match (open.contains_key(check), by.is_empty()) {
                (false, false) => drop(open.insert(check, (after, by))),
                (true, true) => {
                    if let Some((from, by)) = open.remove(check) {
                        broken.push(Broken { check, by, from, to: before });
                    }
                }
                (true, false) | (false, true) => {}
            }
        }
        thread::sleep(Duration::from_millis(random.u64(500..6_000)));
    }
    broken.extend(open.into_iter().map(|(check, (from, by))| Broken { check, by, from, to: Instant::now() }));
    broken
}
