//! linkproof verifies from inside a private subnet that AWS service names resolve to interface
//! endpoints, that AWS answers ListMetrics over every network interface of the CloudWatch endpoint, and
//! that nothing reaches the internet.
//! `CONTRIBUTING.md` says how to build, test and extend it.
//!
//! # The rule above all
//!
//! A pass needs evidence. Four outcomes keep "broken" apart from "could not look"
//! ([`observation::Outcome`]), and only [`verdict`] gives a pass.
//!
//! # The flow
//!
//! ```text
//! linkproof.toml ── config ── Config ──┐
//! instance metadata ────── Instance ───┴─ plan ── schedule ── attempt ── Observation
//!                                                    │  probes look, verdicts judge
//!                                                    ▼  bounded channel
//!                                       engine: folds; the one owner of state
//!                                                    ▼  watch<Store>: a report is made when it is read
//!                       metrics · status page · journal · text, JSON, JUnit · systemd status
//! ```
//!
//! `--once` and the daemon differ only in the driver: [`once`] runs one round of the plan,
//! [`schedule`] repeats it on the clock.
//!
//! # The layers
//!
//! Dependencies point down; `tests/it/structure.rs` checks that.
//!
//! | layer | modules | may use |
//! |---|---|---|
//! | words | [`check`], [`network`], [`observation`], [`suggestion`], [`mod@file`], [`wording`] | data, how it is written, and the one way to read a file |
//! | decisions | [`catalogue`], [`config`], [`estate`], [`plan`], [`verdict`], [`diagnosis`], [`report`], [`explain`], [`survey`] | words; no clock, socket or client |
//! | edges | [`threads`], [`wire`], [`probe`], [`metrics`], [`access`], [`serve`], [`notify`] | one library each, never one another |
//! | motion | [`attempt`], [`schedule`], [`engine`], [`once`], [`discover`] | tokio, and the probes behind [`attempt::Probes`] |
//! | assembly | [`cli`], [`app`] | everything |

#![allow(rustdoc::private_intra_doc_links, reason = "this page describes the private modules")]

mod access;
mod app;
mod attempt;
mod catalogue;
mod check;
mod cli;
mod config;
mod diagnosis;
mod discover;
mod engine;
mod estate;
mod explain;
mod file;
#[cfg(fuzzing)]
pub mod fuzz;
#[cfg(all(test, not(fuzzing)))]
mod fuzz;
mod metrics;
mod network;
mod notify;
mod observation;
mod once;
mod plan;
mod probe;
#[cfg(fuzzing)]
pub mod pure;
#[cfg(all(test, not(fuzzing)))]
mod pure;
mod report;
mod schedule;
mod serve;
mod suggestion;
mod survey;
mod threads;
mod verdict;
mod wire;
mod wording;

pub use app::run;
