//! `<endpoint>/connect` of a gateway endpoint. Its addresses are public, so a connection shows the
//! gateway only while the egress check passes: otherwise it may have crossed the internet.

use crate::observation::{Outcome, Reason};

/// The outcome of a gateway's connection beside the state of egress. Judging again after egress
/// has changed gives the same result as judging anew.
pub fn gateway(outcome: Outcome, egress_is_closed: bool) -> Outcome {
    match outcome {
        Outcome::Pass | Outcome::Inconclusive(Reason::EgressNotClosed) if egress_is_closed => Outcome::Pass,
        Outcome::Pass => Outcome::Inconclusive(Reason::EgressNotClosed),
        Outcome::Fail(_) | Outcome::Inconclusive(_) | Outcome::Skipped(_) => outcome,
    }
}

/// Whether both families together show that nothing gets out. Without an egress check it does not.
pub fn egress_is_closed(outcomes: impl IntoIterator<Item = Outcome>) -> bool {
    let mut passed = false;
    for outcome in outcomes {
        match outcome {
            Outcome::Pass => passed = true,
            Outcome::Skipped(Reason::FamilyUnavailable) => {}
            Outcome::Skipped(_) | Outcome::Inconclusive(_) | Outcome::Fail(_) => return false,
        }
    }
    passed
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_gateway_passes_only_while_egress_is_closed() {
        use Outcome::{Fail, Inconclusive, Pass};
        let open = Inconclusive(Reason::EgressNotClosed);
        let failed = Fail(Reason::ConnectTimeout);
        for (outcome, closed, expected) in [
            (Pass, true, Pass),
            (Pass, false, open),
            (open, true, Pass),
            (open, false, open),
            (failed, true, failed),
            (failed, false, failed),
        ] {
            assert_eq!(gateway(outcome, closed), expected, "{outcome:?} {closed}");
        }
    }

    #[test]
    fn egress_is_closed_only_where_a_family_passed_and_none_is_in_doubt() {
        use Outcome::{Fail, Inconclusive, Pass, Skipped};
        let absent = Skipped(Reason::FamilyUnavailable);
        for (outcomes, closed) in [
            (vec![], false),
            (vec![absent], false),
            (vec![Pass, absent], true),
            (vec![Pass, Pass], true),
            (vec![Pass, Fail(Reason::TcpConnected)], false),
            (vec![Pass, Inconclusive(Reason::ControlFailed)], false),
            (vec![Pass, Skipped(Reason::PrerequisiteFailed)], false),
        ] {
            assert_eq!(egress_is_closed(outcomes.clone()), closed, "{outcomes:?}");
        }
    }
}
