//! The product as its users meet it, and the lab in which it is met.
#![allow(
    clippy::cast_possible_truncation,
    clippy::cast_sign_loss,
    clippy::cast_precision_loss,
    clippy::disallowed_methods,
    clippy::struct_excessive_bools,
    clippy::map_unwrap_or,
    clippy::print_stderr,
    clippy::print_stdout,
    clippy::similar_names,
    clippy::single_match_else,
    clippy::too_many_lines,
    clippy::unused_self,
    clippy::unwrap_used,
    clippy::wrong_self_convention,
    reason = "tests read clocks, print and lay bytes by hand"
)]

#[path = "../lab/mod.rs"]
mod lab;
#[path = "lab.rs"]
mod lab_itself;

mod agent;
mod alerts;
mod budget;
mod catalogue;
mod combinations;
mod daemon;
mod dashboard;
mod differential;
mod discover;
mod documents;
mod egress;
mod endurance;
mod fleet;
mod harness;
mod healthy;
mod horizons;
mod host_limits;
mod hostile;
mod import;
mod input;
mod latency;
mod limits;
mod log;
mod lookup_process;
mod lookups;
mod metrics;
mod monitoring;
mod nscd;
mod nss;
mod output;
mod page;
mod projection;
mod prometheus;
mod recovery;
mod report;
mod screen_reader;
mod series;
mod served;
mod soak;
mod state;
mod states;
mod status;
mod structure;
mod terraform;
mod textfile;
mod truth;
mod units;
mod wait;
mod web;
