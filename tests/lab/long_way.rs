//! A long way back from the internet: what its host sends to the VPC over IPv4 is held for a while,
//! whatever the protocol. This kernel may have no netem, so a program holds the packets.

use std::thread;
use std::time::{Duration, Instant};

use super::host::{Host, Hosts, sysctl, tool};
use super::run::{Child, Run};

/// With the way there, longer than the second after which a SYN is sent again.
const SECONDS: &str = "1.1";

pub const INTERFACE: &str = "long";
const TABLE: &str = "300";
const PROGRAM: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/lab/long_way.py");
const SOON: Duration = Duration::from_secs(10);

/// Dropping it leaves the interface without a program, and a rule that leads nowhere.
pub struct LongWay {
    _program: Child,
}

impl LongWay {
    pub fn open(hosts: &Hosts) -> Result<Self, String> {
        hosts.on(Host::Internet, lay)?;
        let run = Run::new("python3").args(["-S", PROGRAM, INTERFACE, SECONDS]).timeout(Duration::MAX);
        let program = hosts.on(Host::Internet, move || run.start()).map_err(|error| error.to_string())?;
        hosts.on(Host::Internet, await_carrier)?;
        Ok(Self { _program: program })
    }
}

pub fn close(hosts: &Hosts) -> Result<(), String> {
    hosts.on(Host::Internet, || {
        rule("del")?;
        tool("ip", &["tuntap", "del", "dev", INTERFACE, "mode", "tun"], "").map(drop)
    })
}

fn lay() -> Result<(), String> {
    tool("ip", &["tuntap", "add", "dev", INTERFACE, "mode", "tun"], "")?;
    tool("ip", &["link", "set", INTERFACE, "up"], "")?;
    // What comes out of it has this host's own addresses as its source.
    sysctl("net/ipv4/conf/all/rp_filter", "0")?;
    sysctl(&format!("net/ipv4/conf/{INTERFACE}/rp_filter"), "0")?;
    sysctl(&format!("net/ipv4/conf/{INTERFACE}/accept_local"), "1")?;
    tool("ip", &["route", "add", "default", "dev", INTERFACE, "table", TABLE], "")?;
    rule("add")
}

/// What this host itself sends, before the rules of `topology`.
fn rule(action: &str) -> Result<(), String> {
    tool("ip", &["rule", action, "pref", "4", "iif", "lo", "to", "10.0.0.0/8", "lookup", TABLE], "").map(drop)
}

fn await_carrier() -> Result<(), String> {
    let until = Instant::now() + SOON;
    while Instant::now() < until {
        if tool("ip", &["link", "show", INTERFACE], "")?.contains("LOWER_UP") {
            return Ok(());
        }
        thread::sleep(Duration::from_millis(5));
    }
    Err(format!("{PROGRAM} did not open {INTERFACE} within {SOON:?}"))
}
