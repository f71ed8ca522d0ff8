//! What our own lateness spoils: only what our timeout or silence decided, in both directions. A
//! reply, a refusal, a DNS code or a certificate error stands, however late we read it.

use std::time::Duration;

use super::Judgment;
use crate::observation::{ControlResult, Evidence, Outcome, ProbeResult, Reason};

/// A result stands if the wait was at least this many times the lateness.
const TOLERANCE: u32 = 10;

/// `late` is how late the attempt's runtime was at worst, `wait` the timeout or window.
pub fn with_lateness(judgment: Judgment, evidence: &Evidence, late: Duration, wait: Duration) -> Judgment {
    if late.saturating_mul(TOLERANCE) <= wait {
        return judgment;
    }
    let Judgment { outcome, addresses } = judgment;
    let addresses: Vec<_> = addresses
        .into_iter()
        .map(|mut address| {
            address.outcome = spoiled(address.outcome);
            address
        })
        .collect();
    let is_silence = outcome == Outcome::Pass && rests_on_silence(evidence);
    let overall = if is_silence { OVERLOADED } else { spoiled(outcome) };
    // One address timed out and another refused: the refusal is a failure of its own.
    let outcome = if overall == outcome {
        outcome
    } else {
        let others = addresses.iter().map(|address| address.outcome);
        Outcome::worst(others.chain([overall])).unwrap_or(overall)
    };
    Judgment { outcome, addresses }
}

const OVERLOADED: Outcome = Outcome::Inconclusive(Reason::HostOverloaded);

fn spoiled(outcome: Outcome) -> Outcome {
    match outcome {
        Outcome::Fail(reason) | Outcome::Inconclusive(reason) if decided_by_time(reason) => OVERLOADED,
        Outcome::Pass | Outcome::Skipped(_) | Outcome::Fail(_) | Outcome::Inconclusive(_) => outcome,
    }
}

/// Whether the reason says that nothing came in time.
fn decided_by_time(reason: Reason) -> bool {
    matches!(
        reason,
        Reason::QueryTimeout
            | Reason::LookupTimeout
            | Reason::ConnectTimeout
            | Reason::TlsTimeout
            | Reason::RequestUnacknowledged
            | Reason::ResponseTimeout
            | Reason::MetadataTimeout
            | Reason::CredentialsTimeout
            | Reason::ControlFailed
    )
}

/// The egress check passes on silence. Where there is no route there was nothing to wait for.
fn rests_on_silence(evidence: &Evidence) -> bool {
    match evidence {
        Evidence::Egress(egress) => egress.probes.iter().any(|probe| probe.result == ProbeResult::NoReply),
        // A gateway passes beside a control that was silent.
        Evidence::Connect { control: Some(control), .. } => {
            control.judged.iter().any(|judged| judged.result == ControlResult::NoReply)
        }
        Evidence::Dns(_)
        | Evidence::Connect { .. }
        | Evidence::Call { .. }
        | Evidence::Instance(_)
        | Evidence::Credentials(_)
        | Evidence::NotAttempted { .. } => false,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::check::Family;
    use crate::network::Scope;
    use crate::observation::{
        Address, EgressEvidence, EgressProbe, GatewayControl, IcmpSocket, JudgedControl, NotAttempted,
        Protocol, SendError,
    };

    const WAIT: Duration = Duration::from_secs(3);
    const LATE: Duration = Duration::from_millis(301);

    fn judgment(outcome: Outcome, addresses: &[Outcome]) -> Judgment {
        let address = |outcome: &Outcome| Address {
            ip: "10.0.1.57".parse().unwrap(),
            scope: Scope::Vpc,
            outcome: *outcome,
            phases: vec![],
            zone: None,
        };
        Judgment { outcome, addresses: addresses.iter().map(address).collect() }
    }

    fn not_attempted() -> Evidence {
        Evidence::NotAttempted(NotAttempted::NoAddress)
    }

    fn late(outcome: Outcome, addresses: &[Outcome]) -> Judgment {
        with_lateness(judgment(outcome, addresses), &not_attempted(), LATE, WAIT)
    }

    fn egress(result: ProbeResult) -> Evidence {
        let protocol = Protocol::Tcp;
        let ip = "1.1.1.1".parse().unwrap();
        Evidence::Egress(EgressEvidence {
            gaps: vec![],
            family: Family::Ipv4,
            window: WAIT,
            sources: vec![],
            family_disabled: None,
            controls_passed: None,
            left_out: vec![],
            icmp_socket: IcmpSocket::Dgram,
            probes: vec![EgressProbe {
                host: None,
                source: ip,
                decoy: false,
                ip,
                protocol,
                port: None,
                sent: 3,
                result,
                judged: None,
            }],
            controls: vec![],
            unresolved: vec![],
        })
    }

    #[test]
    fn only_timeouts_and_silence_are_spoiled() {
        for reason in Reason::ALL.iter().copied() {
            let others = [Reason::ControlFailed, Reason::RequestUnacknowledged];
            let by_time = reason.code().ends_with("timeout") || others.contains(&reason);
            let expected = if by_time { OVERLOADED } else { Outcome::Fail(reason) };
            assert_eq!(late(Outcome::Fail(reason), &[]).outcome, expected, "{reason}");
        }
        assert_eq!(late(Outcome::Pass, &[Outcome::Pass]), judgment(Outcome::Pass, &[Outcome::Pass]));
        let skipped = Outcome::Skipped(Reason::PrerequisiteFailed);
        assert_eq!(late(skipped, &[]).outcome, skipped);
    }

    #[test]
    fn a_tenth_of_the_wait_is_tolerated() {
        let timeout = Outcome::Fail(Reason::ConnectTimeout);
        let judged = |late| with_lateness(judgment(timeout, &[]), &not_attempted(), late, WAIT).outcome;
        assert_eq!(judged(WAIT / 10), timeout);
        assert_eq!(judged(WAIT / 10 + Duration::from_nanos(1)), OVERLOADED);
        assert_eq!(judged(Duration::MAX), OVERLOADED);
    }

    #[test]
    fn a_silent_window_does_not_pass_and_a_reply_is_always_a_fail() {
        let judged =
            |outcome, result| with_lateness(judgment(outcome, &[]), &egress(result), LATE, WAIT).outcome;
        assert_eq!(judged(Outcome::Pass, ProbeResult::NoReply), OVERLOADED);
        let no_route = ProbeResult::NotSent(SendError::NoRoute);
        assert_eq!(judged(Outcome::Pass, no_route), Outcome::Pass);
        for reason in [Reason::TcpConnected, Reason::IcmpReply, Reason::UdpReply, Reason::ErrorFromOutside] {
            assert_eq!(judged(Outcome::Fail(reason), ProbeResult::NoReply), Outcome::Fail(reason));
        }
    }

    #[test]
    fn a_gateway_does_not_pass_beside_a_control_that_may_have_been_missed() {
        for (result, outcome) in [
            (ControlResult::NoReply, OVERLOADED),
            // The pass claims nothing of it.
            (ControlResult::NotSent, Outcome::Pass),
        ] {
            let judged = vec![JudgedControl { family: Family::Ipv4, result }];
            let control = Some(GatewayControl { judged, ..GatewayControl::default() });
            let (host, connections) = ("s3.us-east-1.amazonaws.com".to_owned(), vec![]);
            let evidence = Evidence::Connect { host, port: 443, connections, control };
            let judgment = judgment(Outcome::Pass, &[Outcome::Pass]);
            assert_eq!(with_lateness(judgment, &evidence, LATE, WAIT).outcome, outcome, "{result:?}");
        }
    }

    #[test]
    fn what_another_address_said_stands() {
        let timeout = Outcome::Fail(Reason::ConnectTimeout);
        let refused = Outcome::Fail(Reason::ConnectionRefused);
        assert_eq!(late(timeout, &[timeout, refused]), judgment(refused, &[OVERLOADED, refused]));
        assert_eq!(
            late(timeout, &[timeout, Outcome::Pass]),
            judgment(OVERLOADED, &[OVERLOADED, Outcome::Pass])
        );
    }
}
