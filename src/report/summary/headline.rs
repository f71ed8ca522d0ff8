//! What fits beside the name of the check in a table of 100 columns: the summary without what
//! the table says already, or what can wait for the evidence.

use std::collections::BTreeSet;
use std::net::IpAddr;

use super::summary;
use crate::observation::{Evidence, Heard, InstanceSeen, Observation, Outcome, Outgoing};
use crate::report::words::list;

pub fn headline(observation: &Observation) -> String {
    let whole = summary(observation);
    let passed = observation.outcome == Outcome::Pass;
    match &observation.evidence {
        Evidence::NotAttempted { because } => because.clone(),
        Evidence::Instance(seen) if passed => place(seen).unwrap_or(whole),
        Evidence::Credentials(seen) if passed => {
            let key = seen.access_key_id.as_deref().unwrap_or_default();
            without(&whole, &format!("{key} "))
        }
        Evidence::Dns(seen) => {
            without(&without(&whole, &seen.host), " resolved to ").trim_start_matches(": ").to_owned()
        }
        Evidence::Call { calls, proof: Some(proof), .. } if passed => {
            let count = calls.len();
            format!("{count} of {count} answered; {} proves PrivateLink", proof.key())
        }
        Evidence::Call { .. } if passed => whole.split(" (request id").next().unwrap_or_default().to_owned(),
        Evidence::Egress(seen) if passed => {
            let unrouted = |heard: &Heard| *heard == Heard::Unsent(Outgoing::NoRoute);
            if seen.shots.iter().all(|shot| unrouted(&shot.heard)) {
                return whole;
            }
            // Of "silence: .., none answered; control: ..": the silence, and what vouches for it.
            let targets: BTreeSet<IpAddr> = seen.shots.iter().map(|shot| shot.ip).collect();
            match whole.split_once("; ") {
                Some((_, control)) => format!("{} targets silent; {control}", targets.len()),
                None => whole,
            }
        }
        Evidence::Instance(_)
        | Evidence::Credentials(_)
        | Evidence::Connect { .. }
        | Evidence::Call { .. }
        | Evidence::Egress(_) => whole,
    }
}

fn place(seen: &InstanceSeen) -> Option<String> {
    let instance = seen.instance.as_ref()?;
    let zone = instance.zone.clone().or_else(|| instance.region.clone());
    Some(list(zone.into_iter().chain(instance.vpc_id.clone()))).filter(|place| !place.is_empty())
}

fn without(text: &str, prefix: &str) -> String {
    text.strip_prefix(prefix).unwrap_or(text).to_owned()
}
