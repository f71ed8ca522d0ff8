//! What the C library's lookup did, after its name: `returned 10.0.1.57`.

use super::text::{duration, list};
use crate::observation::{Lookup, LookupResult};

pub fn lookup(lookup: &Lookup) -> String {
    match &lookup.result {
        LookupResult::Addresses { addresses } => {
            // Their order changes from one lookup to the next.
            let mut addresses = addresses.clone();
            addresses.sort_unstable();
            format!("returned {}", list(addresses))
        }
        LookupResult::Error(error) => format!("failed with {} ({})", error.code, error.message),
        LookupResult::TimedOut => format!("did not return within {}", duration(lookup.took)),
        LookupResult::Crashed { end } => format!("ended its process ({end})"),
        LookupResult::TooManyAddresses { count } => format!("returned at least {count} addresses"),
        LookupResult::NotRun { because } => format!("did not run: {because}"),
    }
}
