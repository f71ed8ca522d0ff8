//! The cause that explains the reasons of all checks at one moment. Pure: reasons in, causes out.

use crate::check::CheckId;

/// A cause, with what shows it and what to change.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Diagnosis {
    pub cause: Cause,
    pub evidence: String,
    pub remedy: String,
    pub explains: Vec<CheckId>,
}

#[derive(Clone, Copy, Debug, Eq, Hash, PartialEq)]
pub enum Cause { PrivateDnsOff }
