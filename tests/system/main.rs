//! The packages as an operations team meets them: on a booted systemd, in the hands of dpkg and
//! rpm, and on the other architecture. `make test-system` builds what is looked at here.
#![allow(
    clippy::cast_possible_truncation,
    clippy::cast_sign_loss,
    clippy::disallowed_methods,
    clippy::map_unwrap_or,
    clippy::print_stdout,
    clippy::struct_excessive_bools,
    clippy::unused_self,
    clippy::unwrap_used,
    reason = "tests read clocks and take values for granted"
)]

#[path = "../it/harness/mod.rs"]
#[allow(dead_code, unused_imports, reason = "the tests of the daemon use more of it")]
mod harness;
#[path = "../lab/mod.rs"]
mod lab;
mod machine;
mod manual;
#[path = "../it/monitoring.rs"]
#[allow(dead_code, reason = "the tests of the daemon use more of it")]
mod monitoring;
mod names;
mod packages;
mod provisioning;
mod rehearsal;
mod rpm;
mod service;

use std::env;
use std::path::{Path, PathBuf};

/// Something below target/ that was built beforehand.
fn built(name: &str, by: &str) -> PathBuf {
    let target = env::var_os("CARGO_TARGET_DIR").map_or_else(|| "target".into(), PathBuf::from);
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join(target).join(name);
    assert!(path.exists(), "{} is missing: `{by}` makes it", path.display());
    path
}

/// The one package that ends so.
fn package(end: &str) -> PathBuf {
    let folder = built("packages", "make packages");
    let found: Vec<PathBuf> = folder
        .read_dir()
        .unwrap()
        .map(|entry| entry.unwrap().path())
        .filter(|path| path.to_string_lossy().ends_with(end))
        .collect();
    let [package] = found.as_slice() else {
        panic!("one package *{end} is expected in {}: `make packages` makes it", folder.display());
    };
    package.clone()
}
