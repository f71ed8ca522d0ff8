//! Which clock a phase is shown by: the kernel's where it knows, else our own.

use std::net::IpAddr;
use std::time::Duration;

use super::counters::exact;
use super::family::Family;
use crate::observation::{Evidence, Phase, ProbeJudgment, ProbeResult, Protocol};

/// The phases of which the kernel can know the time.
const TIMED_BY_KERNEL: [Phase; 3] = [Phase::Query, Phase::Tcp, Phase::Rtt];

/// How many values each clock gave.
#[derive(Debug, Default)]
pub struct Clocks([(u64, u64); TIMED_BY_KERNEL.len()]);

impl Clocks {
    /// Of a check's own phase, or of the phase at an address.
    pub fn time(&mut self, evidence: &Evidence, ip: Option<IpAddr>, (phase, felt): (Phase, Duration)) -> f64 {
        let kernel = kernel_time(evidence, ip, phase);
        if let Some(at) = TIMED_BY_KERNEL.iter().position(|of| *of == phase) {
            let (by_kernel, by_process) = &mut self.0[at];
            *(if kernel.is_some() { by_kernel } else { by_process }) += 1;
        }
        kernel.unwrap_or(felt).as_secs_f64()
    }

    pub fn family(&self) -> Family {
        let mut values = Family::gauge(
            "linkproof_phase_clock_values",
            "Shown durations of a phase, by the clock that they are from: kernel or process.",
        );
        for (phase, (by_kernel, by_process)) in TIMED_BY_KERNEL.iter().zip(self.0) {
            for (clock, count) in [("kernel", by_kernel), ("process", by_process)] {
                if by_kernel + by_process > 0 {
                    values.set(&[("phase", phase.code()), ("clock", clock)], exact(count));
                }
            }
        }
        values
    }
}

fn kernel_time(evidence: &Evidence, ip: Option<IpAddr>, phase: Phase) -> Option<Duration> {
    match (evidence, phase) {
        (Evidence::Connect { connections, .. }, Phase::Tcp) => {
            connections.iter().find(|connection| Some(connection.ip) == ip)?.kernel_tcp
        }
        (Evidence::Call { calls, .. }, Phase::Tcp) => {
            calls.iter().find(|call| Some(call.ip) == ip)?.kernel_tcp
        }
        // The slowest: unless the time of each is known, it is open which one that is.
        (Evidence::Dns(evidence), Phase::Query) => {
            let conclusive = evidence.queries.iter().filter(|query| query.result.is_conclusive());
            conclusive.map(|query| query.kernel).collect::<Option<Vec<_>>>()?.into_iter().max()
        }
        (Evidence::Egress(evidence), Phase::Rtt) => {
            let leaked = evidence.probes.iter().filter(|probe| {
                probe.protocol == Protocol::Icmp && probe.judged == Some(ProbeJudgment::Leak)
            });
            let replies = leaked.filter_map(|probe| match probe.result {
                ProbeResult::Reply { after, kernel, .. } => Some((after, kernel)),
                ProbeResult::NoReply | ProbeResult::Rejected { .. } | ProbeResult::NotSent(_) => None,
            });
            replies.min()?.1
        }
        _ => None,
    }
}
