//! Every state of the subnet that is known to happen, and what the agent must say of it.
//!
//! Adding one is adding an entry to a table: its name is the test's, and that of its facts in
//! `states/MODULE.txt`.

use crate::lab::Fault;
use crate::projection;
use crate::state::State;

/// Makes a test of each state.
macro_rules! states {
    ($($name:ident: $state:expr;)*) => {
        $(#[test] fn $name() { $state.judge(module_path!(), stringify!($name)); })*

        pub const TABLE: crate::states::Table = &[$((stringify!($name), || $state)),*];
    };
}

mod call;
mod changes;
mod credentials;
mod egress;
mod endpoints;
mod instance;
mod lookup;
mod names;
mod own_names;
mod pairs;
mod path;
mod proof;

/// States by their names.
type Table = &'static [(&'static str, fn() -> State)];

const TABLES: [(&str, Table); 12] = [
    ("call", call::TABLE),
    ("changes", changes::TABLE),
    ("credentials", credentials::TABLE),
    ("egress", egress::TABLE),
    ("endpoints", endpoints::TABLE),
    ("instance", instance::TABLE),
    ("lookup", lookup::TABLE),
    ("names", names::TABLE),
    ("own_names", own_names::TABLE),
    ("pairs", pairs::TABLE),
    ("path", path::TABLE),
    ("proof", proof::TABLE),
];

#[test]
fn every_fault_has_a_state_of_its_own() {
    let states = TABLES.iter().flat_map(|(_, table)| table.iter());
    let alone: Vec<Vec<Fault>> = states.map(|(_, state)| state().faults().to_vec()).collect();
    let missing: Vec<&str> =
        Fault::ALL.iter().filter(|fault| !alone.contains(&vec![**fault])).map(|fault| fault.name()).collect();
    assert!(missing.is_empty(), "no state shows what these do alone: {missing:?}");
}

#[test]
fn golden_facts_belong_to_a_state() {
    for (module, table) in TABLES {
        let known: Vec<&str> = table.iter().map(|(name, _)| *name).collect();
        let states = projection::states(module);
        let gone: Vec<&String> = states.iter().filter(|state| !known.contains(&state.as_str())).collect();
        assert!(gone.is_empty(), "states/{module}.txt has states that are gone: {gone:?}");
    }
}
