//! Gives libFuzzer the target of `src/fuzz.rs` that `FUZZ_TARGET` names.
#![no_main]

use std::env;
use std::sync::LazyLock;

use libfuzzer_sys::fuzz_target;
use linkproof::fuzz::{Target, find};

static TARGET: LazyLock<Target> = LazyLock::new(|| {
    let name = env::var("FUZZ_TARGET").unwrap_or_default();
    find(&name).unwrap_or_else(|| panic!("FUZZ_TARGET={name}: no such target"))
});

fuzz_target!(|bytes: &[u8]| (TARGET.run)(bytes));
