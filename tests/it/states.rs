//! Every state of the subnet that is known to happen, and what the agent must say of it.
//!
//! Adding one is adding an entry to a table: its name is the test's, and that of the golden text.

use crate::lab::Fault;

/// Makes a test of each state.
macro_rules! states {
    ($($name:ident: $state:expr;)*) => {
        $(#[test] fn $name() { $state.judge(stringify!($name)); })*

        #[allow(dead_code, reason = "a table of several faults shows none alone")]
        pub const TABLE: &[fn() -> crate::state::State] = &[$(|| $state),*];
    };
}

mod call;
mod changes;
mod egress;
mod endpoints;
mod instance;
mod names;
mod pairs;
mod path;
mod proof;

#[test]
fn every_fault_has_a_state_of_its_own() {
    let tables = [
        call::TABLE,
        changes::TABLE,
        egress::TABLE,
        endpoints::TABLE,
        instance::TABLE,
        names::TABLE,
        path::TABLE,
        proof::TABLE,
    ];
    let alone: Vec<Vec<Fault>> =
        tables.iter().flat_map(|table| table.iter()).map(|state| state().faults().to_vec()).collect();
    let missing: Vec<&str> =
        Fault::ALL.iter().filter(|fault| !alone.contains(&vec![**fault])).map(|fault| fault.name()).collect();
    assert!(missing.is_empty(), "no state shows what these do alone: {missing:?}");
}
