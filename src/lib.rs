//! linkproof
#![forbid(unsafe_code)]
mod app;
mod attempt;
mod catalogue;
mod check;
mod cli;
mod config;
mod diagnosis;
mod engine;
mod metrics;
mod network;
mod notify;
mod observation;
mod once;
mod plan;
mod probe;
mod report;
mod schedule;
mod serve;
mod verdict;
mod wire;

pub use app::run;
