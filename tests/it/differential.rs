//! The outcome of `dns` against what an independent program is told at that moment, under random
//! files and name servers. `LINKPROOF_NAMES` sets the number of cases and `LINKPROOF_NAMES_SEED` which
//! ones; `LINKPROOF_NAMES_CASE` runs one alone and shows it.

mod case;

use std::env;
use std::net::IpAddr;
use std::sync::Mutex;
use std::sync::atomic::{AtomicU64, Ordering};
use std::thread;
use std::time::Duration;

use crate::agent::Agent;
use crate::lab::{CLOUDWATCH, Lab, Names};
use crate::nscd::Nscd;
use crate::report::Report;
use crate::state::DNS;
use crate::{harness, lookups, truth};
use case::Case;

/// The cases of every run, so that a change of the code alone can make it fail. Others are looked
/// for with another seed.
const SEED: u64 = 77;

/// Cases in one run of the tests.
const SAMPLE: u64 = 300;

const WITH_NSCD: u64 = 30;

/// Labs side by side: much of a case is waiting for a name server that is silent.
const SIDE_BY_SIDE: u64 = 4;

/// Of a case that fails or stays open, and should not.
const TRIES: u32 = 3;

/// How a disagreement begins whose check passed.
const PASSED: &str = "dns says pass";

/// Times eight lookups more, where chance decides what each is told.
const MORE: usize = 4;

/// Each time all eight are told the same.
const MORE_THROUGH_NSCD: usize = 12;

const CONFIG: &str = "
region = 'us-east-1'
expected_cidrs = ['10.0.0.0/16', '100.64.0.0/16', '2001:db8:1234::/56']
[instance]
metadata = false
[egress]
enabled = false
[[endpoint]]
service = 'monitoring'
timeout = '1s'
";

#[test]
fn dns_says_what_applications_are_told() {
    let number = |name: &str| env::var(name).ok().map(|text| text.parse::<u64>().expect("a number"));
    let seed = number("LINKPROOF_NAMES_SEED").unwrap_or(SEED);
    if let Some(index) = number("LINKPROOF_NAMES_CASE") {
        println!("{:#?}", Case::random(seed, index));
        let wrong = judge(&harness::lab(), seed, index, false);
        assert!(wrong.outcome.is_ok(), "{wrong:?}");
        return;
    }
    let cases = number("LINKPROOF_NAMES").unwrap_or(SAMPLE);
    println!("LINKPROOF_NAMES_SEED={seed}, {cases} cases");
    let (next, judged) = (AtomicU64::new(0), Mutex::new(Vec::new()));
    thread::scope(|scope| {
        for _ in 0..SIDE_BY_SIDE {
            scope.spawn(|| {
                let lab = harness::lab();
                while let Some(index) = Some(next.fetch_add(1, Ordering::Relaxed)).filter(|i| *i < cases) {
                    let found = judge(&lab, seed, index, false);
                    judged.lock().unwrap().push(found);
                }
            });
        }
    });
    report(seed, &judged.into_inner().unwrap());
}

/// A cache daemon of the C library's, started anew for each case, stands between.
#[test]
fn dns_says_what_applications_are_told_through_nscd() {
    let lab = harness::lab();
    report(SEED, &(0..WITH_NSCD).map(|index| judge(&lab, SEED, index, true)).collect::<Vec<_>>());
}

#[derive(Debug)]
struct Judged {
    index: u64,
    /// The first word of the outcome, or what is wrong with it.
    outcome: Result<String, String>,
}

fn report(seed: u64, judged: &[Judged]) {
    let count = |word: &str| judged.iter().filter(|j| j.outcome.as_deref() == Ok(word)).count();
    println!("{} pass, {} fail, {} inconclusive", count("pass"), count("fail"), count("inconclusive"));
    let wrong: Vec<String> = judged
        .iter()
        .filter_map(|Judged { index, outcome }| Some(format!("case {index}: {}", outcome.as_ref().err()?)))
        .collect();
    assert!(wrong.is_empty(), "{} disagreements (seed {seed}):\n{}", wrong.len(), wrong.join("\n"));
    // A sample that shows only one side shows little.
    let least = judged.len() / 20;
    assert!(count("pass") >= least && count("fail") >= least, "too few of one kind (seed {seed})");
}

/// What a busy machine does not see in time fails, so that is judged again. A pass has seen, and
/// is wrong at once.
fn judge(lab: &Lab, seed: u64, index: u64, through_nscd: bool) -> Judged {
    let first = judge_once(lab, seed, index, through_nscd);
    let Err(wrong) = &first.outcome else { return first };
    if wrong.starts_with(PASSED) {
        return first;
    }
    println!("case {index} is judged again: {}", wrong.lines().next().unwrap_or_default());
    let mut others = (0..TRIES).map(|_| judge_once(lab, seed, index, through_nscd));
    let is_settled =
        |judged: &Judged| judged.outcome.as_ref().err().is_none_or(|wrong| wrong.starts_with(PASSED));
    others.find(is_settled).unwrap_or(first)
}

fn judge_once(lab: &Lab, seed: u64, index: u64, through_nscd: bool) -> Judged {
    let case = Case::random(seed, index);
    lab.names(&case.names);
    let nscd = through_nscd.then(|| Nscd::start(lab));
    // Side by side, since both may wait for the same silent server.
    let mut told = lab.spawn(&lookups::program(CLOUDWATCH, &[]));
    let output = lab.run(&Agent::default().config(CONFIG).once("json"));
    while told.is_running() {
        thread::sleep(Duration::from_millis(2));
    }
    let told = told.wait();
    let mut told = lookups::read(&told.stdout, &told.stderr);
    if output.stdout.contains("\"rotate\": true") {
        // Eight lookups may all have started at the same of three servers.
        let more = if nscd.is_some() { MORE_THROUGH_NSCD } else { MORE };
        told.extend((0..more).flat_map(|_| {
            // It keeps the first answer.
            nscd.iter().for_each(Nscd::flush);
            lookups::ask(lab, CLOUDWATCH, &[])
        }));
    }
    drop(nscd);
    lab.names(&Names::default());
    let outcome = match Report::read(&output.stdout) {
        Err(error) => Err(format!("{error}, {}", output.stderr)),
        Ok(report) => {
            let checks = report.checks();
            let dns = checks.iter().find(|(id, _)| id == DNS).map_or("missing", |(_, outcome)| outcome);
            agreement(dns, &told)
                .map_err(|what| format!("{what}\n{}\n{}", case, report.check(DNS)["evidence"]))
        }
    };
    Judged { index, outcome }
}

fn agreement(dns: &str, told: &[lookups::Told]) -> Result<String, String> {
    let is_right = |ip: IpAddr| truth::is_of_the_vpc(ip);
    match lookups::disagreement(dns, told, is_right) {
        Some(wrong) => Err(wrong),
        None if dns.starts_with("inconclusive") => Err(format!("{dns}, although nothing is hidden from it")),
        None => Ok(dns.split(' ').next().unwrap_or_default().to_owned()),
    }
}
