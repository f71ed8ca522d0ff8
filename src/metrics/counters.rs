//! What adds up over the attempts of a check, which no single report can tell.

use std::collections::{BTreeMap, BTreeSet};

use super::family::Family;
use crate::check::CheckId;
use crate::observation::{EgressProbe, Evidence, Observation, ProbeJudgment, ProbeResult, Protocol, Reason};
use crate::report::Report;

#[derive(Clone, Debug, Default)]
pub struct Counters {
    reasons: BTreeSet<Reason>,
    /// By target and probe: packets sent, answers received.
    packets: BTreeMap<(String, Protocol), (u64, u64)>,
}

impl Counters {
    pub fn add(&mut self, observation: &Observation) {
        self.reasons.extend(observation.outcome.reason());
        for probe in probes(observation) {
            let (sent, replies) = self.packets.entry((target(probe), probe.protocol)).or_default();
            *sent += u64::from(probe.sent);
            *replies += u64::from(answers(probe));
        }
    }

    /// Learns the current reason and forgets the targets that are aimed at no more.
    pub fn sync(&mut self, last: &Observation) {
        self.reasons.extend(last.outcome.reason());
        if matches!(last.evidence, Evidence::Egress(_)) {
            let current: BTreeSet<(String, Protocol)> =
                probes(last).iter().map(|probe| (target(probe), probe.protocol)).collect();
            self.packets.retain(|key, _| current.contains(key));
        }
    }
}

/// Whether there is anything to count: a healthy endpoint has nothing.
pub fn counts(observation: &Observation) -> bool {
    observation.outcome.reason().is_some() || !probes(observation).is_empty()
}

fn probes(observation: &Observation) -> &[EgressProbe] {
    match &observation.evidence {
        Evidence::Egress(evidence) => &evidence.probes,
        Evidence::NotAttempted(_)
        | Evidence::Instance(_)
        | Evidence::Credentials(_)
        | Evidence::Dns(_)
        | Evidence::Connect { .. }
        | Evidence::Call { .. } => &[],
    }
}

/// The name where there is one: its addresses change, and each would be a series of its own.
fn target(probe: &EgressProbe) -> String {
    probe.host.clone().unwrap_or_else(|| probe.ip.to_string())
}

/// Only what the verdict judged a leak: a proxy's answer for an address that it stands in for is none.
fn answers(probe: &EgressProbe) -> u32 {
    match probe.result {
        ProbeResult::Reply { replies, .. } if probe.judged == Some(ProbeJudgment::Leak) => replies,
        ProbeResult::Reply { .. }
        | ProbeResult::NoReply
        | ProbeResult::Rejected { .. }
        | ProbeResult::NotSent(_) => 0,
    }
}

pub fn families(counters: &BTreeMap<CheckId, Counters>, report: &Report) -> Vec<Family> {
    let mut reasons = Family::gauge(
        "linkproof_check_reason",
        "Reason why the check does not pass: 1 for the current one, 0 for earlier ones.",
    );
    let mut sent = Family::counter(
        "linkproof_egress_sent_total",
        "Packets sent to an internet target (for TCP, connection attempts).",
    );
    let mut replies = Family::counter(
        "linkproof_egress_replies_total",
        "Replies from an internet target; each one is a leak.",
    );
    for (id, counter) in counters {
        let (name, target) = (id.to_string(), id.target());
        let check = ("check", name.as_str());
        let last = report.check(id).and_then(|check| check.last.as_ref());
        let current = last.and_then(|last| last.outcome.reason());
        for reason in &counter.reasons {
            let value = f64::from(u8::from(current == Some(*reason)));
            reasons.set(&[check, ("target", target), ("reason", reason.code())], value);
        }
        for ((target, protocol), (packets, answers)) in &counter.packets {
            let labels = [check, ("target", target), ("protocol", protocol.code())];
            sent.set(&labels, exact(*packets));
            replies.set(&labels, exact(*answers));
        }
    }
    vec![reasons, sent, replies]
}

/// Exact up to 2^53, which a counter here does not reach in the life of a machine.
#[allow(clippy::cast_precision_loss, reason = "see above")]
pub fn exact(count: u64) -> f64 {
    count as f64
}
