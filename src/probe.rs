//! The edges that look at the network: each module calls one library, bounds it in time, and
//! translates what came back into evidence. None of them judges.

pub mod dns;
