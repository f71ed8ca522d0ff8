//! Real resolvers: unbound as the VPC resolver, and a second one as a company's
//! own. Each is described by a value, and started anew when the value changes, so
//! that no cached answer of an earlier state survives.

use std::fs;
use std::io;
use std::net::{IpAddr, UdpSocket};
use std::process::{Child, Command, Stdio};
use std::thread;
use std::time::{Duration, Instant};

use super::address::{CORPORATE_DNS, RESOLVER, RESOLVER_LINK_LOCAL, RESOLVER_V6};
use super::fault::{Fault, Faults};
use super::host::{Host, TOOL_PATH, Thread};
use super::nat64::WELL_KNOWN;
use super::slow_resolver::{Habit, SlowResolver};
use super::zone;

/// unbound starts in a fifth of a second; a busy machine may need far longer.
const START_TIMEOUT: Duration = Duration::from_secs(20);

/// How a resolver is set up.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Setup {
    host: Host,
    addresses: Vec<IpAddr>,
    zone: String,
    options: String,
    modules: &'static str,
    habit: Option<Habit>,
}

impl Setup {
    pub fn vpc(faults: &Faults, records: &str, dns64: bool) -> Self {
        let mut options = String::new();
        if faults.has(Fault::DnsServfail) {
            // A trust anchor for keys that do not exist fails at once; a dead
            // upstream would take a second and look like a time-out.
            options += &format!(
                "trust-anchor: \"{}. DS 12345 8 2 {}\"\n",
                zone::CLOUDWATCH,
                "0123456789ABCDEF".repeat(4)
            );
        }
        if faults.has_any(&[Fault::DnsTruncated, Fault::DnsTruncatedNoTcp]) {
            options += "max-udp-size: 256\n";
        }
        let access = if faults.has(Fault::DnsRefused) { "refuse" } else { "allow" };
        options += &format!("access-control: 0.0.0.0/0 {access}\naccess-control: ::/0 {access}\n");
        Self {
            host: Host::Router,
            addresses: vec![RESOLVER.into(), RESOLVER_LINK_LOCAL.into(), RESOLVER_V6.into()],
            zone: zone::vpc(faults) + records,
            options,
            modules: if dns64 { "dns64 validator iterator" } else { "validator iterator" },
            habit: faults.first(&[(Fault::DnsSlow, Habit::Late), (Fault::DnsLost, Habit::Deaf)]),
        }
    }

    /// The company's resolver runs only while someone is meant to ask it.
    pub fn corporate(faults: &Faults) -> Option<Self> {
        zone::corporate(faults).map(|zone| Self {
            host: Host::CorporateDns,
            addresses: vec![CORPORATE_DNS.into()],
            zone,
            options: "access-control: 0.0.0.0/0 allow\n".to_owned(),
            modules: "validator iterator",
            habit: None,
        })
    }

    pub fn host(&self) -> Host {
        self.host
    }

    fn config(&self, directory: &str) -> String {
        let mut interfaces = "interface: 127.0.0.1\n".to_owned();
        if self.habit.is_none() {
            for address in &self.addresses {
                interfaces += &format!("interface: {address}\n");
            }
        }
        format!(
            "server:\n{interfaces}{options}\
             chroot: \"\"\nusername: \"\"\npidfile: \"\"\nlogfile: \"\"\ndirectory: \"{directory}\"\n\
             use-syslog: no\ndo-daemonize: no\nnum-threads: 1\nmodule-config: \"{modules}\"\ndns64-prefix: {WELL_KNOWN}\n\
             minimal-responses: yes\nip-freebind: yes\n\
             remote-control:\ncontrol-enable: no\n\
             auth-zone:\nname: \".\"\nzonefile: \"{directory}/root.zone\"\n\
             for-downstream: no\nfor-upstream: yes\nfallback-enabled: no\n",
            options = self.options,
            modules = self.modules,
        )
    }
}

/// A running resolver; dropping it stops it.
pub struct Resolver {
    unbound: Child,
    slow: Option<SlowResolver>,
}

impl Resolver {
    /// Returns once it answers.
    pub fn start(setup: &Setup, thread: &Thread) -> Result<Self, String> {
        let setup = setup.clone();
        thread.on(move || {
            let name = setup.host.name();
            let subject = |error: String| format!("the resolver on {name} did not start: {error}");
            let directory = format!("/run/unbound-{name}");
            let unbound = launch(&setup, &directory)
                .map_err(|error| subject(format!("{error}; is unbound installed?")))?;
            let mut started = Self { unbound, slow: None };
            started.wait_until_it_answers(&directory).map_err(subject)?;
            if let Some(habit) = setup.habit {
                let slow = SlowResolver::start(&setup.addresses, habit)
                    .map_err(|error| subject(error.to_string()))?;
                started.slow = Some(slow);
            }
            Ok(started)
        })
    }

    fn wait_until_it_answers(&mut self, directory: &str) -> Result<(), String> {
        let deadline = Instant::now() + START_TIMEOUT;
        let log = || fs::read_to_string(format!("{directory}/log")).unwrap_or_default();
        while Instant::now() < deadline {
            if answers() {
                return Ok(());
            }
            if let Ok(Some(status)) = self.unbound.try_wait() {
                return Err(format!("unbound ended with {status}; it said:\n{}", log()));
            }
            thread::sleep(Duration::from_millis(2));
        }
        Err(format!("no answer within {START_TIMEOUT:?}; unbound said:\n{}", log()))
    }
}

impl Drop for Resolver {
    fn drop(&mut self) {
        // It may have ended by itself; either way it is gone afterwards.
        let _ = self.unbound.kill();
        let _ = self.unbound.wait();
    }
}

fn launch(setup: &Setup, directory: &str) -> io::Result<Child> {
    fs::create_dir_all(directory)?;
    fs::write(format!("{directory}/unbound.conf"), setup.config(directory))?;
    fs::write(format!("{directory}/root.zone"), &setup.zone)?;
    let log = fs::File::create(format!("{directory}/log"))?;
    Command::new("setpriv")
        .args(["--pdeathsig", "KILL", "--", "unbound", "-d", "-c"])
        .arg(format!("{directory}/unbound.conf"))
        .env_clear()
        .env("PATH", TOOL_PATH)
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        .stderr(log)
        .spawn()
}

/// Asks for a name over loopback. Any answer will do: the one before was stopped
/// before this one was started.
fn answers() -> bool {
    const QUERY: &[u8] = b"\x12\x34\x01\x00\x00\x01\x00\x00\x00\x00\x00\x00\x02ns\x03lab\x00\x00\x01\x00\x01";
    let ask = || -> io::Result<usize> {
        let socket = UdpSocket::bind("127.0.0.1:0")?;
        socket.set_read_timeout(Some(Duration::from_millis(100)))?;
        socket.connect("127.0.0.1:53")?;
        socket.send(QUERY)?;
        socket.recv(&mut [0; 512])
    };
    ask().is_ok()
}
