//! How names are looked up on the instance, where a test sets more than a fault does: its files,
//! and name servers that do as they are told.

use std::collections::BTreeMap;
use std::fs;
use std::net::SocketAddr;
use std::os::unix::fs::PermissionsExt;

use super::host::{Host, Hosts};
use super::name_server::{Behavior, NameServer};

pub const RESOLV_CONF: &str = "/etc/resolv.conf";
pub const HOSTS: &str = "/etc/hosts";
pub const NSSWITCH: &str = "/etc/nsswitch.conf";

/// What the instance has in every other state.
pub const USUAL_NSSWITCH: &str = "passwd: files\ngroup: files\nhosts: files dns\n";

/// What differs from the state that the faults make.
#[derive(Clone, Debug, Default, Eq, PartialEq)]
pub struct Names {
    files: BTreeMap<&'static str, Vec<u8>>,
    /// Files that their owner alone may read.
    private: Vec<&'static str>,
    servers: Vec<(Host, SocketAddr, Behavior)>,
    /// Further lines of the VPC resolver's zone.
    pub records: String,
    pub link_local_blocked: bool,
}

impl Names {
    pub fn resolv_conf(self, content: impl Into<Vec<u8>>) -> Self {
        self.file(RESOLV_CONF, content)
    }

    pub fn hosts(self, content: impl Into<Vec<u8>>) -> Self {
        self.file(HOSTS, content)
    }

    /// The `hosts` line.
    pub fn sources(self, sources: &str) -> Self {
        self.file(NSSWITCH, format!("passwd: files\ngroup: files\n{sources}\n"))
    }

    pub fn nsswitch(self, content: impl Into<Vec<u8>>) -> Self {
        self.file(NSSWITCH, content)
    }

    pub fn behaviors(&self) -> Vec<&Behavior> {
        self.servers.iter().map(|(.., behavior)| behavior).collect()
    }

    fn file(mut self, path: &'static str, content: impl Into<Vec<u8>>) -> Self {
        self.files.insert(path, content.into());
        self
    }

    pub fn private(mut self, path: &'static str) -> Self {
        self.private.push(path);
        self
    }

    pub fn server(mut self, host: Host, address: &str, behavior: Behavior) -> Self {
        self.servers.push((host, address.parse().expect("an address"), behavior));
        self
    }

    /// A name that the VPC resolver knows beside its usual ones.
    pub fn record(mut self, name: &str, address: &str) -> Self {
        let kind = if address.contains(':') { "AAAA" } else { "A" };
        self.records += &format!("{name}. 60 IN {kind} {address}\n");
        self
    }

    /// A packet filter on the instance drops what is for 169.254.169.253.
    pub fn link_local_blocked(mut self) -> Self {
        self.link_local_blocked = true;
        self
    }

    pub fn content<'a>(&'a self, path: &str, usual: &'a str) -> &'a [u8] {
        self.files.get(path).map_or(usual.as_bytes(), Vec::as_slice)
    }

    pub fn mode(&self, path: &str) -> u32 {
        if self.private.contains(&path) { 0o600 } else { 0o644 }
    }

    pub fn start_servers(&self, hosts: &Hosts) -> Result<Vec<NameServer>, String> {
        let start = |(host, address, behavior): &(Host, SocketAddr, Behavior)| {
            let (address, behavior) = (*address, behavior.clone());
            let started = hosts.on(*host, move || NameServer::start(address, &behavior));
            started.map_err(|error| format!("no name server at {address} on {}: {error}", host.name()))
        };
        self.servers.iter().map(start).collect()
    }
}

/// Replaces a file of the instance. Runs there.
pub fn write(path: &str, content: &[u8], mode: u32) -> Result<(), String> {
    let wrong = |error| format!("cannot write {path} on the instance: {error}");
    // Under another name first: a lookup must not meet half a file.
    let new = format!("{path}.new");
    fs::write(&new, content).map_err(wrong)?;
    fs::set_permissions(&new, fs::Permissions::from_mode(mode)).map_err(wrong)?;
    fs::rename(&new, path).map_err(wrong)
}
