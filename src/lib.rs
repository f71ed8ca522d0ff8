//! linkproof
#![forbid(unsafe_code)]
mod check;
mod config;
mod diagnosis;
mod metrics;
mod network;
mod observation;
mod plan;
mod report;
mod serve;
