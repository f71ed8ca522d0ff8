//! NAT64, as a NAT gateway does it for a subnet without IPv4: tayga translates on the router.

use std::fs;
use std::process::{Child, Command, Stdio};
use std::thread;
use std::time::{Duration, Instant};

use super::host::{TOOL_PATH, Thread, tool};

/// What DNS64 puts in front of an IPv4 address, and a NAT gateway translates.
pub const WELL_KNOWN: &str = "64:ff9b::/96";

/// tayga follows RFC 6052: by the well-known prefix it does not translate to private addresses, which
/// a NAT gateway does. So the router exchanges the prefix on the way, and tayga gets this one.
const PREFIX: &str = "2001:db8:6464::/96";

/// A subnet of the VPC, from which translated packets come.
const SUBNET: &str = "10.0.4.0/24";
const CONFIG: &str = "tun-device nat64
ipv4-addr 10.0.4.254
prefix 2001:db8:6464::/96
dynamic-pool 10.0.4.0/25
data-dir /run/nat64
";

const DIRECTORY: &str = "/run/nat64";

/// It starts in a few milliseconds; a busy machine may need far longer.
const START_TIMEOUT: Duration = Duration::from_secs(20);

/// The rules of the router's forward chain.
pub const FORWARD: &str = "iifname instance oifname nat64 accept
iifname nat64 oifname instance accept
iifname nat64 oifname { endpoint-a, endpoint-b } tcp dport 443 accept
iifname { endpoint-a, endpoint-b } oifname nat64 tcp sport 443 accept
iifname nat64 oifname internet jump egress
iifname internet oifname nat64 jump egress
";

/// The chain of the router that exchanges the prefix. Connection tracking does so on the way back.
pub fn exchange() -> String {
    format!(
        "chain nat64 {{\ntype nat hook prerouting priority dstnat; policy accept;\n\
         iifname instance ip6 daddr {WELL_KNOWN} dnat ip6 prefix to {PREFIX}\n}}\n"
    )
}

/// The running translator. The kernel takes its device away when it ends.
pub struct Translator(Child);

impl Translator {
    /// Returns once packets can be sent through it.
    pub fn start(router: &Thread) -> Result<Self, String> {
        router.on(|| {
            let mut started = Self(launch().map_err(|error| format!("{error}; is tayga installed?"))?);
            started.wait_for_its_device()?;
            let batch = format!(
                "link set nat64 addrgenmode none\nlink set nat64 up\n\
                 route add {PREFIX} dev nat64\nroute add {SUBNET} dev nat64\n"
            );
            tool("ip", &["-batch", "-"], &batch)?;
            Ok(started)
        })
    }

    fn wait_for_its_device(&mut self) -> Result<(), String> {
        let deadline = Instant::now() + START_TIMEOUT;
        while Instant::now() < deadline {
            if tool("ip", &["link", "show", "nat64"], "").is_ok() {
                return Ok(());
            }
            if let Ok(Some(status)) = self.0.try_wait() {
                let log = fs::read_to_string(format!("{DIRECTORY}/log")).unwrap_or_default();
                return Err(format!("tayga ended with {status}; it said:\n{log}"));
            }
            thread::sleep(Duration::from_millis(2));
        }
        Err(format!("tayga made no device within {START_TIMEOUT:?}"))
    }
}

impl Drop for Translator {
    fn drop(&mut self) {
        // It may have ended by itself; either way it is gone afterwards.
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

fn launch() -> std::io::Result<Child> {
    fs::create_dir_all(DIRECTORY)?;
    fs::write(format!("{DIRECTORY}/tayga.conf"), CONFIG)?;
    let log = fs::File::create(format!("{DIRECTORY}/log"))?;
    Command::new("setpriv")
        .args(["--pdeathsig", "KILL", "--", "tayga", "--nodetach", "-d", "--config"])
        .arg(format!("{DIRECTORY}/tayga.conf"))
        .env_clear()
        .env("PATH", TOOL_PATH)
        .stdin(Stdio::null())
        .stdout(log.try_clone()?)
        .stderr(log)
        .spawn()
}
