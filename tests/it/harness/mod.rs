//! What every test needs: a lab, the binary, an HTTP client, a poll, files of its own.

pub mod http;
mod pool;

use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};
use std::{fs, thread};

pub use pool::{Borrowed, lab, own_lab, quiet_lab};

/// The binary under test, as `cargo test` builds it.
pub const BINARY: &str = env!("CARGO_BIN_EXE_linkproof");

/// Longer than anything takes that is waited for, also on a busy machine.
pub const PATIENCE: Duration = Duration::from_secs(30);

const POLL: Duration = Duration::from_millis(20);

/// The binary that ships: time and memory are measured with this one.
pub fn release_binary() -> PathBuf {
    let path = std::env::var_os("LINKPROOF_RELEASE").map(PathBuf::from).unwrap_or_else(|| {
        panic!("LINKPROOF_RELEASE is not set: `make test` builds the release binary and names it there")
    });
    assert!(path.is_file(), "LINKPROOF_RELEASE names {}, where there is no file", path.display());
    path.canonicalize().unwrap_or_else(|error| panic!("{}: {error}", path.display()))
}

/// Asks until there is an answer.
pub fn eventually<T>(what: &str, ask: impl FnMut() -> Option<T>) -> T {
    eventually_or(what, ask, String::new)
}

/// The same, with what `explain` adds to the failure.
pub fn eventually_or<T>(
    what: &str,
    mut ask: impl FnMut() -> Option<T>,
    explain: impl FnOnce() -> String,
) -> T {
    let started = Instant::now();
    while started.elapsed() < PATIENCE {
        if let Some(answer) = ask() {
            return answer;
        }
        thread::sleep(POLL);
    }
    panic!("waited {PATIENCE:?} for {what}\n{}", explain());
}

pub fn packaged(file: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("packaging").join(file)
}

/// Fails where the program is missing, with what to install.
pub fn program(name: &str, package: &str) -> PathBuf {
    let path = Path::new("/usr/bin").join(name);
    assert!(path.exists(), "{name} is missing: apt-get install {package}");
    path
}

/// A directory that is gone afterwards.
pub struct Scratch(pub PathBuf);

impl Scratch {
    pub fn new(name: &str) -> Self {
        let path = Path::new(env!("CARGO_TARGET_TMPDIR")).join(format!("{name}-{}", std::process::id()));
        fs::create_dir_all(&path).unwrap();
        Self(path)
    }

    pub fn write(&self, name: &str, text: &str) -> PathBuf {
        let path = self.0.join(name);
        fs::write(&path, text).unwrap();
        path
    }
}

impl Drop for Scratch {
    fn drop(&mut self) {
        // A leftover in the build directory does no harm.
        let _ = fs::remove_dir_all(&self.0);
    }
}
