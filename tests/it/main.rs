//! The product as its users meet it, and the lab in which it is met.
#![allow(
    clippy::cast_possible_truncation,
    clippy::cast_sign_loss,
    clippy::cast_precision_loss,
    clippy::disallowed_methods,
    clippy::struct_excessive_bools,
    clippy::print_stderr,
    clippy::print_stdout,
    clippy::similar_names,
    clippy::too_many_lines,
    clippy::unused_self,
    clippy::unwrap_used,
    reason = "tests read clocks, print and lay bytes by hand"
)]

#[path = "../lab/mod.rs"]
mod lab;
#[path = "lab.rs"]
mod lab_itself;

mod agent;
mod daemon;
mod endurance;
mod golden;
mod healthy;
mod input;
mod limits;
mod pool;
mod report;
mod served;
mod state;
mod states;
mod structure;
mod truth;
mod wait;
