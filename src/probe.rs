//! The edges that look at the network: each module calls one library, bounds it in time, and
//! translates what came back into evidence. None of them judges.

pub mod call;
mod clock;
pub mod connect;
pub mod dns;
pub mod egress;
pub mod instance;
pub mod interfaces;
pub mod lookup;
