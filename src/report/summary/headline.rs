//! What fits beside the name of the check in a table of 100 columns: the summary without what
//! the table says already, or what can wait for the evidence.

use std::collections::BTreeSet;
use std::net::IpAddr;

use super::{answers, egress, is_provable, whole};
use crate::observation::{
    Address, Evidence, InstanceEvidence, Observation, Outcome, ProbeResult, Proof, SendError,
};
use crate::report::words::list;

pub fn headline(observation: &Observation) -> String {
    let whole = whole(observation);
    let passed = observation.outcome == Outcome::Pass;
    match &observation.evidence {
        Evidence::NotAttempted { because } => because.clone(),
        Evidence::Instance(evidence) if passed => place(evidence).unwrap_or(whole),
        Evidence::Credentials(evidence) if passed => {
            let key = evidence.access_key_id.as_deref().unwrap_or_default();
            without(&whole, &format!("{key} "))
        }
        Evidence::Dns(evidence) => {
            let answer = without(&without(&whole, &evidence.host), " resolved to ");
            let answer = answer.trim_start_matches(": ");
            if passed { counted(observation, answer) } else { answer.to_owned() }
        }
        Evidence::Connect { .. } if passed => counted(observation, &whole),
        // How fast the one is that answered can wait until the others do.
        Evidence::Connect { .. } => match whole.rsplit_once(" answered in ") {
            Some((before, _)) => format!("{before} answered"),
            None => whole,
        },
        Evidence::Call { proof, .. } if passed => answered(observation, *proof),
        Evidence::Egress(evidence) if passed => {
            let unrouted = |result: &ProbeResult| *result == ProbeResult::NotSent(SendError::NoRoute);
            if evidence.probes.iter().all(|probe| unrouted(&probe.result)) {
                return whole;
            }
            // Of "silence: .., none answered; control: ..": the silence, and what vouches for it.
            let targets: BTreeSet<IpAddr> = evidence.probes.iter().map(|probe| probe.ip).collect();
            match whole.split_once("; ") {
                Some((_, control)) => format!("{} targets silent; {control}", targets.len()),
                None => whole,
            }
        }
        Evidence::Egress(evidence) => match observation.outcome {
            Outcome::Fail(reason) => egress::brief(reason, evidence),
            Outcome::Pass | Outcome::Inconclusive(_) | Outcome::Skipped(_) => whole,
        },
        Evidence::Instance(_) | Evidence::Credentials(_) | Evidence::Call { .. } => whole,
    }
}

/// Long lists of addresses leave no room for what was seen of them: how many is enough of a pass.
fn counted(observation: &Observation, text: &str) -> String {
    const FITS: usize = 36;
    let alike = |outcome| {
        let ips = observation.addresses.iter().filter(move |address| address.outcome == outcome);
        ips.map(|address| address.ip).collect::<Vec<IpAddr>>()
    };
    let outcomes: Vec<Outcome> = observation.addresses.iter().map(|address| address.outcome).collect();
    outcomes.into_iter().map(alike).fold(text.to_owned(), |text, ips| {
        let all = list(&ips);
        if all.len() > FITS { text.replace(&all, &format!("{} addresses", ips.len())) } else { text }
    })
}

/// Who answered, and in brief who was not called.
fn answered(observation: &Observation, proof: Option<Proof>) -> String {
    let (answered, missed): (Vec<&Address>, Vec<&Address>) =
        observation.addresses.iter().partition(|address| address.outcome == Outcome::Pass);
    let total = observation.addresses.len();
    if let Some(proof) = proof.filter(|_| is_provable(&answered)) {
        return format!("{} of {total} answered; {} proves PrivateLink", answered.len(), proof.key());
    }
    let evidence = answers(&answered, total);
    if missed.is_empty() {
        return evidence;
    }
    let missed: Vec<IpAddr> = missed.iter().map(|address| address.ip).collect();
    let missed = if missed.len() == 1 { list(missed) } else { missed.len().to_string() };
    format!("{}; {missed} not called", without(&evidence, "ListMetrics ").trim_end_matches(" interfaces"))
}

fn place(evidence: &InstanceEvidence) -> Option<String> {
    let instance = evidence.instance.as_ref()?;
    let zone = instance.zone.clone().or_else(|| instance.region.clone());
    Some(list(zone.into_iter().chain(instance.vpc_id.clone()))).filter(|place| !place.is_empty())
}

fn without(text: &str, prefix: &str) -> String {
    text.strip_prefix(prefix).unwrap_or(text).to_owned()
}
