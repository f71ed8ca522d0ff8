//! The snapshot of everything: whatever is shown, on any surface, renders this one value.

use std::time::{Duration, SystemTime};

use crate::check::{CheckId, Kind};
use crate::diagnosis::Diagnosis;
use crate::observation::{Instance, Observation, State};

#[derive(Clone, Debug, PartialEq)]
pub struct Report {
    pub state: State,
    pub started_at: SystemTime,
    pub finished_at: SystemTime,
    pub instance: Option<Instance>,
    /// In the order of [`CheckId`].
    pub checks: Vec<CheckReport>,
    pub diagnoses: Vec<Diagnosis>,
}

/// A check, with the last attempt and what its history counts.
#[derive(Clone, Debug, PartialEq)]
pub struct CheckReport {
    pub id: CheckId,
    pub interval: Duration,
    /// `None` until the first attempt has ended.
    pub last: Option<Observation>,
    pub last_success_at: Option<SystemTime>,
    pub runs: u64,
    pub failures: u64,
    pub inconclusive: u64,
}
