//! Every phrase, duration, list and address that a person reads, in one wording per fact. Code
//! decides by types; no code reads these texts back.

mod detail;
pub mod egress;
mod failure;
mod gateway;
mod lookup;
mod own_names;
mod summary;
pub mod survey;
mod text;

pub use detail::lines as detail;
pub use failure::{not_attempted, probe_error, query_failure};
pub use lookup::lookup;
pub use own_names::{lasted, located, own_addresses, own_name_failure, passed_by_all};
pub use summary::{Length, summary};
pub use text::{clean, clip, clock_time, duration, list, names, rfc3339, sentence, shorten};

#[cfg(test)]
mod tests;
