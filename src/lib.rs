//! linkproof proves from inside a private subnet that AWS service names resolve to interface
//! endpoints, that CloudWatch answers over every one of them, and that nothing gets out.
//!
//! # The rule above all
//!
//! It never says pass about what it did not see. Four outcomes keep "broken" and "could not look"
//! apart ([`observation::Outcome`]), passes are given in one place only ([`verdict`]), and each
//! needs its evidence: an address by membership in a range that somebody vouched for, a
//! connection by its socket's peer, silence by packets that were really sent and by controls that
//! were heard in the same window.
//!
//! # The flow
//!
//! ```text
//! linkproof.toml ── config ── Config ──┐
//! instance metadata ────── Instance ───┴─ plan ── schedule ── attempt ── Observation
//!                                                    │  probes look, verdicts judge
//!                                                    ▼  bounded channel
//!                                       engine: folds, diagnoses; the one owner of state
//!                                                    ▼  watch<Arc<Report>>
//!                       metrics · status page · journal · text, JSON, JUnit · systemd status
//! ```
//!
//! `--once` and the daemon share everything but the driver: [`once`] makes one round of the plan,
//! [`schedule`] repeats it on the clock.
//!
//! # The layers
//!
//! Dependencies point down only; `tests/it/structure.rs` holds the table.
//!
//! | layer | modules | what they may know |
//! |---|---|---|
//! | words | [`check`], [`network`], [`observation`], [`suggestion`], [`wording`] | data, and how it is written |
//! | decisions | [`catalogue`], [`config`], [`estate`], [`plan`], [`verdict`], [`diagnosis`], [`report`] | pure: no clock, socket or client |
//! | edges | [`wire`], [`probe`], [`metrics`], [`access`], [`serve`], [`notify`] | one library each, never one another |
//! | motion | [`attempt`], [`schedule`], [`engine`], [`once`] | tokio, and the probes behind [`attempt::Probes`] |
//! | assembly | [`cli`], [`app`] | all |
//!
//! # Where the next change goes
//!
//! - A new way to fail: a [`observation::Reason`], given by the verdict of its check; the compiler
//!   then asks for its words ([`report`]) and its cause ([`diagnosis`]).
//! - A new cause: `diagnosis/cause.rs`, a rule beside its kin, a scenario in `tests/scenarios`, a
//!   section in `packaging/runbook.md`; tests hold the last two.
//! - A new state of the world: a fault of the lab (`tests/lab`) and its line in the table of
//!   states (`tests/it`).
//! - A new service: a line in `catalogue/services.tsv`.
//! - A new kind of check: evidence and outcome first, then a probe, and its step in [`attempt`].

#![allow(
    rustdoc::private_intra_doc_links,
    reason = "the architecture is for those who see the private modules"
)]

mod access;
mod app;
mod attempt;
mod catalogue;
mod check;
mod cli;
mod config;
mod diagnosis;
mod engine;
mod estate;
mod explain;
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
mod suggestion;
mod verdict;
mod wire;
mod wording;

pub use app::run;
