//! The files that the C library reads once and then remembers.

use std::fs;
use std::os::unix::fs::MetadataExt;

/// What decides how names are looked up. The last one comes and goes with nscd, which a process
/// that met it dead does not ask again for a hundred lookups.
const FILES: [&str; 6] = [
    "/etc/nsswitch.conf",
    "/etc/resolv.conf",
    "/etc/hosts",
    "/etc/host.conf",
    "/etc/gai.conf",
    "/var/run/nscd/socket",
];

/// Which version of each file there is.
#[derive(Debug, Eq, PartialEq)]
pub struct Versions([Option<Version>; FILES.len()]);

#[derive(Debug, Eq, PartialEq)]
struct Version {
    device: u64,
    inode: u64,
    size: u64,
    modified: (i64, i64),
    changed: (i64, i64),
}

impl Versions {
    pub fn now() -> Self {
        Self(FILES.map(version))
    }
}

fn version(path: &str) -> Option<Version> {
    // What cannot be seen and what is not there are the same to the library.
    let file = fs::metadata(path).ok()?;
    Some(Version {
        device: file.dev(),
        inode: file.ino(),
        size: file.size(),
        modified: (file.mtime(), file.mtime_nsec()),
        changed: (file.ctime(), file.ctime_nsec()),
    })
}
