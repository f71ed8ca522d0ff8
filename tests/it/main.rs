//! The program as it is installed, in a private subnet that can be broken in every way.

#[path = "../lab/mod.rs"]
mod lab;

mod agent;
mod golden;
#[path = "lab.rs"]
mod lab_itself;
mod pool;
mod report;
mod state;
mod states;
mod truth;
