//! The packets on the instance's interface with the kernel's timestamps, as round trips: an account
//! of how long the network took that is not the agent's.

use std::collections::HashMap;
use std::path::{Path, PathBuf};
use std::thread::sleep;
use std::time::{Duration, Instant};

use nix::sys::signal::Signal;

use super::{Child, Lab, Run};

/// As the agent's own questions have it. The C library asks without EDNS.
const EDNS: &str = "[1au]";

/// A packet and the answer to it.
#[derive(Clone, Debug)]
pub struct RoundTrip {
    /// `tcp 10.0.1.57`, `A example.com 10.0.0.2` or `ping 1.1.1.1`.
    pub what: String,
    /// Seconds since 1970.
    pub sent_at: f64,
    pub seconds: f64,
}

/// A running tcpdump.
pub struct Capture<'a> {
    lab: &'a Lab,
    tcpdump: Child,
    file: PathBuf,
}

const TIMES: [&str; 3] = ["-nn", "-tt", "--time-stamp-precision=nano"];

impl<'a> Capture<'a> {
    /// Into this file, which is made anew.
    pub fn start(lab: &'a Lab, file: &Path) -> Self {
        let path = file.to_str().expect("a plain path");
        let run = Run::new("tcpdump").args(["-i", "eth0", "-Z", "root", "-B", "8192", "-w", path]);
        let run = run.args(TIMES).args(["tcp or udp or icmp"]);
        let tcpdump = lab.spawn(&run.timeout(Duration::from_mins(10)));
        let begun = Instant::now();
        while !tcpdump.stderr().contains("listening on") {
            assert!(begun.elapsed() < Duration::from_secs(30), "tcpdump: {}", tcpdump.stderr());
            sleep(Duration::from_millis(20));
        }
        Self { lab, tcpdump, file: file.to_owned() }
    }

    /// What was answered, in the order in which it was sent.
    pub fn stop(self) -> Vec<RoundTrip> {
        // Packets reach tcpdump in blocks, each after a second at most.
        sleep(Duration::from_millis(1100));
        self.tcpdump.signal(Signal::SIGINT);
        let output = self.tcpdump.wait();
        assert!(output.stderr.contains("\n0 packets dropped by kernel"), "{}", output.stderr);
        let read = Run::new("tcpdump").args(["-r", self.file.to_str().expect("a plain path")]);
        let output = self.lab.run(&read.args(TIMES));
        assert!(output.status.success(), "{}", output.stderr);
        round_trips(&output.stdout)
    }
}

fn round_trips(packets: &str) -> Vec<RoundTrip> {
    let mut asked: HashMap<String, (f64, String)> = HashMap::new();
    let mut found = Vec::new();
    for line in packets.lines() {
        match packet(line) {
            Some((at, Packet::Question { key, what })) => {
                asked.insert(key, (at, what));
            }
            Some((at, Packet::Answer { key })) => {
                if let Some((sent_at, what)) = asked.remove(&key) {
                    found.push(RoundTrip { what, sent_at, seconds: at - sent_at });
                }
            }
            None => {}
        }
    }
    found.sort_by(|one, other| one.sent_at.total_cmp(&other.sent_at));
    found
}

enum Packet {
    /// By its key an answer is known.
    Question {
        key: String,
        what: String,
    },
    Answer {
        key: String,
    },
}

/// `1790000000.000000001 IP 10.0.1.23.40000 > 10.0.1.57.443: Flags [S], ..`
fn packet(line: &str) -> Option<(f64, Packet)> {
    let (time, line) = line.split_once(" IP ").or_else(|| line.split_once(" IP6 "))?;
    let (ends, what) = line.split_once(": ")?;
    let (source, target) = ends.split_once(" > ")?;
    let ip = |end: &str| end.rsplit_once('.').map(|(ip, _)| ip.to_owned());
    let packet = if what.starts_with("Flags [S],") {
        Packet::Question { key: format!("{source} {target}"), what: format!("tcp {}", ip(target)?) }
    } else if what.starts_with("Flags [S.],") {
        Packet::Answer { key: format!("{target} {source}") }
    } else if let Some(echo) = what.strip_prefix("ICMP echo request, ") {
        let key = format!("{source} {target} {}", until_length(echo));
        Packet::Question { key, what: format!("ping {target}") }
    } else if let Some(echo) = what.strip_prefix("ICMP echo reply, ") {
        Packet::Answer { key: format!("{target} {source} {}", until_length(echo)) }
    } else if let Some((id, question)) = what.split_once(&format!(" {EDNS} ")) {
        let mut words = question.split(' ');
        let (kind, name) = (words.next()?.strip_suffix('?')?, words.next()?.strip_suffix('.')?);
        let key = format!("{source} {target} {}", number(id));
        Packet::Question { key, what: format!("{kind} {name} {}", ip(target)?) }
    } else {
        Packet::Answer { key: format!("{target} {source} {}", number(what)) }
    };
    Some((time.parse().ok()?, packet))
}

/// `id 7, seq 1` of `id 7, seq 1, length 40`.
fn until_length(echo: &str) -> &str {
    echo.split(", length").next().unwrap_or_default()
}

/// The id at the start of a DNS message.
fn number(what: &str) -> &str {
    what.split(|c: char| !c.is_ascii_digit()).next().unwrap_or_default()
}
