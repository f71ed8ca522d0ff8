//! linkproof
#![forbid(unsafe_code)]
mod attempt;
mod catalogue;
mod check;
mod config;
mod diagnosis;
mod network;
mod observation;
mod plan;
mod probe;
mod report;
mod verdict;
mod wire;
