//! What a person would type, against `--once`; and fping against the ICMP of the egress check.

use std::fs;
use std::path::Path;
use std::thread::sleep;
use std::time::{Duration, Instant, SystemTime};

use crate::Length;
use crate::figure::Figure;
use crate::lab::{CLOUDWATCH, Lab, Run};
use crate::process::{Usage, recorded};

const PINGED: [&str; 3] = ["1.1.1.1", "8.8.8.8", "9.9.9.9"];

pub fn measure(lab: &Lab, binary: &Path, scratch: &Path, length: &Length) -> Vec<Figure> {
    let rounds = length.rounds;
    let by_hand = format!(
        "set -e; export AWS_CA_BUNDLE=/etc/ssl/certs/ca-certificates.crt
        dig {CLOUDWATCH} A; dig {CLOUDWATCH} AAAA
        ping -c 3 -W 1 www.amazon.com && exit 1
        aws cloudwatch list-metrics --namespace AWS/EC2 --region us-east-1"
    );
    let icmp = "[egress]\nprotocols = ['icmp']\nfamilies = ['ipv4']\n";
    let fping = [&["fping", "-q", "-c", "3", "-p", "1000", "-t", "3000"], &PINGED[..]].concat();
    let (mut ours, mut theirs, mut ours_icmp, mut theirs_icmp) = (vec![], vec![], vec![], vec![]);
    for _ in 0..rounds {
        ours.push(once(lab, binary, scratch, ""));
        theirs.push(run(lab, scratch, &["bash", "-c", &by_hand]));
        ours_icmp.push(once(lab, binary, scratch, icmp));
        theirs_icmp.push(run(lab, scratch, &fping));
    }
    let mut figures = Vec::new();
    figures.extend(compare("dig, ping and the AWS CLI", &theirs, "--once", &ours));
    figures.extend(compare("fping", &theirs_icmp, "--once with ICMP alone for egress", &ours_icmp));
    let program = binary.to_str().unwrap();
    let starts = (0..rounds).map(|_| run(lab, scratch, &[program, "--version"]).cpu * 1e3).collect();
    figures.push(Figure::new("CPU, a start of linkproof alone (--version)", "ms", starts));
    let mut first = |what: &str, measure: &dyn Fn() -> f64| {
        let values = (0..rounds).map(|_| measure()).collect();
        figures.push(Figure::new(format!("Start to the first packet, {what}"), "ms", values));
    };
    first("--once", &|| first_packet(lab, || once(lab, binary, scratch, "")));
    first("dig", &|| first_packet(lab, || run(lab, scratch, &["dig", CLOUDWATCH])));
    figures
}

fn compare(them: &str, theirs: &[Usage], us: &str, ours: &[Usage]) -> Vec<Figure> {
    let mut figures = Vec::new();
    let quantities = [
        ("Wall", "s", wall as fn(&Usage) -> f64),
        ("CPU", "ms", |usage| usage.cpu * 1e3),
        ("Peak memory", "MiB", |usage| usage.peak_kib / 1024.0),
    ];
    for (what, unit, of) in quantities {
        let [theirs, ours] = [theirs, ours].map(|all| all.iter().map(of).collect::<Vec<f64>>());
        figures.push(Figure::new(format!("{what}, {us}"), unit, ours.clone()));
        figures.push(Figure::new(format!("{what}, {them}"), unit, theirs.clone()));
        figures.push(Figure::ratio(format!("{what}, {them} to {us}"), &theirs, &ours));
    }
    figures
}

fn wall(usage: &Usage) -> f64 {
    usage.wall
}

/// Runs a program on the instance and returns what it cost.
fn run(lab: &Lab, scratch: &Path, command: &[&str]) -> Usage {
    let usage = recorded(lab, scratch, command);
    assert!(usage.code == 0 || command[0] == "fping", "{command:?}: {usage:?}");
    usage
}

pub fn once(lab: &Lab, binary: &Path, scratch: &Path, config: &str) -> Usage {
    let file = scratch.join("once.toml");
    fs::write(&file, config).unwrap();
    let report = scratch.join("once.json");
    let [binary, file, out] = [binary, &file, &report].map(|path| path.to_str().unwrap());
    let usage =
        recorded(lab, scratch, &[binary, "--config", file, "--once", "--format", "json", "--output", out]);
    assert_eq!(usage.code, 0, "{}", fs::read_to_string(&report).unwrap());
    usage
}

/// Milliseconds from the start of a program to its first packet on the wire.
fn first_packet(lab: &Lab, program: impl FnOnce() -> Usage) -> f64 {
    let filter = "udp or tcp or icmp";
    let tcpdump = lab.spawn(&Run::new("tcpdump").args([
        "-i",
        "eth0",
        "-tt",
        "-n",
        "-l",
        "--immediate-mode",
        "-c",
        "1",
        filter,
    ]));
    until("tcpdump listens", || tcpdump.stderr().contains("listening on"));
    let started = program().started_at;
    until("a packet", || tcpdump.stdout().contains('\n'));
    let seconds: f64 = tcpdump.stdout().split(' ').next().unwrap().parse().unwrap();
    let packet = SystemTime::UNIX_EPOCH + Duration::from_secs_f64(seconds);
    packet.duration_since(started).unwrap().as_secs_f64() * 1e3
}

pub fn until(what: &str, is: impl Fn() -> bool) {
    let begun = Instant::now();
    while !is() {
        assert!(begun.elapsed() < Duration::from_secs(30), "waited in vain: {what}");
        sleep(Duration::from_millis(20));
    }
}
