//! The binary. Everything is in the library.

use std::process::ExitCode;

fn main() -> ExitCode {
    linkproof::run(std::env::args_os())
}
