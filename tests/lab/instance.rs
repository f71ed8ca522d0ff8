//! The instance's files: an /etc of its own, laid over the machine's, with the
//! lab's resolver and a trust store that holds the lab's authorities alone. The
//! machine's own /etc stays as it is.

use std::fs;
use std::net::IpAddr;
use std::path::Path;

use nix::mount::{MsFlags, mount};
use nix::sched::{CloneFlags, unshare};

use super::address::{CORPORATE_DNS, NOBODY, PUBLIC_CLOUDWATCH, RESOLVER, RESOLVER_V6};
use super::fault::{Fault, Faults};
use super::host::tool;
use super::zone::{CLOUDWATCH, SEARCHED};

/// An empty home, so that no configuration of the machine's user takes part.
pub const HOME: &str = "/run/instance/home";

/// Runs once, on the instance.
pub fn prepare(trusted: &[String]) -> Result<(), String> {
    for directory in ["etc", "work", "certs", "home"] {
        let path = format!("/run/instance/{directory}");
        fs::create_dir_all(&path).map_err(|error| format!("cannot create {path}: {error}"))?;
    }
    unshare(CloneFlags::CLONE_NEWNS).map_err(|error| format!("cannot create a mount namespace ({error})"))?;
    let layers = "lowerdir=/etc,upperdir=/run/instance/etc,workdir=/run/instance/work";
    mount(Some("overlay"), "/etc", Some("overlay"), MsFlags::empty(), Some(layers)).map_err(|error| {
        format!("cannot lay the instance's /etc over the machine's ({error}): the kernel needs overlayfs (`modprobe overlay`)")
    })?;
    trust(trusted)
}

/// What the instance's resolv.conf says under these faults.
pub fn resolv_conf(faults: &Faults) -> String {
    let servers = if faults.has_any(&super::zone::OF_THE_COMPANY) {
        vec![CORPORATE_DNS]
    } else if faults.has(Fault::SystemResolverSilent) {
        vec![NOBODY, RESOLVER]
    } else {
        vec![RESOLVER]
    };
    let servers: Vec<IpAddr> = if faults.has_any(&[Fault::InstanceIpv4Absent, Fault::MetadataOverLinkLocal]) {
        vec![RESOLVER_V6.into()]
    } else {
        servers.into_iter().map(IpAddr::from).collect()
    };
    let servers: String = servers.iter().map(|server| format!("nameserver {server}\n")).collect();
    if faults.has(Fault::SearchListCatches) {
        return format!("search {SEARCHED}\noptions ndots:5\n{servers}");
    }
    format!("search ec2.internal\n{servers}")
}

/// What the instance's hosts file says under these faults.
pub fn hosts_file(faults: &Faults) -> String {
    let pinned = if faults.has(Fault::HostsFilePins) {
        format!("{PUBLIC_CLOUDWATCH} {CLOUDWATCH}\n")
    } else {
        String::new()
    };
    format!("127.0.0.1 localhost\n::1 localhost\n{pinned}")
}

fn trust(trusted: &[String]) -> Result<(), String> {
    let directory = Path::new("/run/instance/certs");
    let write = |name: &str, text: &str| {
        let path = directory.join(name);
        fs::write(&path, text).map_err(|error| format!("cannot write {}: {error}", path.display()))
    };
    write("ca-certificates.crt", &trusted.concat())?;
    for (number, authority) in trusted.iter().enumerate() {
        write(&format!("lab-{number}.pem"), authority)?;
    }
    let nothing = None::<&str>;
    mount(Some(directory), "/etc/ssl/certs", nothing, MsFlags::MS_BIND, nothing)
        .map_err(|error| format!("cannot replace /etc/ssl/certs ({error}): is ca-certificates installed?"))?;
    // OpenSSL finds an authority in a folder by the hash of its name.
    tool("openssl", &["rehash", "/etc/ssl/certs"], "").map(drop)
}
