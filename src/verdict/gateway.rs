//! `<endpoint>/connect` of a gateway endpoint. Its addresses are public, so a connection is consistent
//! with a gateway only while the egress check of its family passes, and while the same service in
//! another region stays silent: otherwise it may have left by another way. Each family is judged by
//! itself, since an IPv4 gateway does not lead IPv6 anywhere.

use super::Judgment;
use crate::check::Family;
use crate::observation::{
    Address, Connection, ControlResult, EgressProbe, Evidence, GatewayControl, JudgedControl, Observation,
    Outcome, Phase, Protocol, Reason,
};

/// Annotates the control with what it shows for each family of the endpoint's addresses.
pub fn judge_control(control: &mut GatewayControl, addresses: &[Address]) {
    let families = Family::BOTH.into_iter();
    let families = families.filter(|family| addresses.iter().any(|a| Family::of(a.ip) == *family));
    let result = |family| result_of(control.connections.iter().filter(|c| Family::of(c.ip) == family));
    control.judged = families.map(|family| JudgedControl { family, result: result(family) }).collect();
}

fn result_of<'a>(connections: impl Iterator<Item = &'a Connection>) -> ControlResult {
    let results: Vec<ControlResult> = connections.map(of_connection).collect();
    let any = |wanted| results.contains(&wanted).then_some(wanted);
    any(ControlResult::Reply).or_else(|| any(ControlResult::NoReply)).unwrap_or(ControlResult::NotSent)
}

/// A rejection does not count as an answer: its sender is between this host and the service.
fn of_connection(connection: &Connection) -> ControlResult {
    let connected = connection.phases.iter().any(|(phase, _)| *phase == Phase::Tcp);
    match connection.error.as_ref().map(|error| error.reason) {
        _ if connected => ControlResult::Reply,
        Some(
            Reason::ConnectTimeout
            | Reason::ConnectionRefused
            | Reason::ConnectionReset
            | Reason::NetworkUnreachable,
        ) => ControlResult::NoReply,
        Some(_) | None => ControlResult::NotSent,
    }
}

/// An answer of the control is a way out to AWS, by which the endpoint's addresses may have answered.
pub fn with_control(judgment: Judgment, control: &GatewayControl) -> Judgment {
    let judge = |address: Address| {
        let leaks = control.result(Family::of(address.ip)) == ControlResult::Reply;
        let outcome = match address.outcome {
            Outcome::Pass if leaks => Outcome::Fail(Reason::EgressNotClosed),
            outcome => outcome,
        };
        Address { outcome, ..address }
    };
    let addresses: Vec<Address> = judgment.addresses.into_iter().map(judge).collect();
    Judgment { outcome: worst(judgment.outcome, &addresses), addresses }
}

/// Whether an egress check shows that no connection to this port gets out: a pass that sent nothing
/// to it shows nothing of it.
pub fn is_closed(egress: &Observation, port: u16) -> bool {
    let Evidence::Egress(evidence) = &egress.evidence else { return false };
    let is_of_port = |probe: &EgressProbe| {
        probe.protocol == Protocol::Tcp && probe.port == Some(port) && !probe.decoy && probe.host.is_none()
    };
    egress.outcome == Outcome::Pass && evidence.probes.iter().any(is_of_port)
}

/// The outcome of a gateway's connection beside the state of egress. Judging again can only take a pass
/// away: a connection that was made while egress was open shows nothing once it is closed.
pub fn gateway(judgment: Judgment, is_closed: impl Fn(Family) -> bool) -> Judgment {
    let judge = |address: Address| {
        let closed = is_closed(Family::of(address.ip));
        let outcome = match address.outcome {
            Outcome::Pass if !closed => Outcome::Inconclusive(Reason::EgressNotClosed),
            outcome => outcome,
        };
        Address { outcome, ..address }
    };
    let addresses: Vec<Address> = judgment.addresses.into_iter().map(judge).collect();
    Judgment { outcome: worst(judgment.outcome, &addresses), addresses }
}

/// What the addresses come to, where the outcome was theirs and not that of something else.
fn worst(outcome: Outcome, addresses: &[Address]) -> Outcome {
    let is_theirs = matches!(outcome, Outcome::Pass | Outcome::Inconclusive(Reason::EgressNotClosed));
    let worst = Outcome::worst(addresses.iter().map(|address| address.outcome));
    if is_theirs { worst.unwrap_or(Outcome::Inconclusive(Reason::EgressNotClosed)) } else { outcome }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;
    use crate::check::CheckId;
    use crate::network::Scope;
    use crate::observation::{EndpointProtocol, ProbeError};
    use crate::report::fixture::{self, ip};

    const OPEN: Outcome = Outcome::Inconclusive(Reason::EgressNotClosed);
    const LEAK: Outcome = Outcome::Fail(Reason::EgressNotClosed);
    const V4: &str = "203.0.113.30";
    const V6: &str = "2001:db8:ffff::30";

    fn judgment(outcomes: &[(&str, Outcome)]) -> Judgment {
        let address = |(ip, outcome): &(&str, Outcome)| fixture::address(ip, Scope::Public, *outcome, vec![]);
        let addresses: Vec<Address> = outcomes.iter().map(address).collect();
        let outcome = Outcome::worst(addresses.iter().map(|address| address.outcome)).unwrap();
        Judgment { outcome, addresses }
    }

    fn outcomes(judgment: &Judgment) -> Vec<Outcome> {
        [judgment.outcome].into_iter().chain(judgment.addresses.iter().map(|a| a.outcome)).collect()
    }

    #[test]
    fn a_gateway_passes_only_while_egress_of_its_family_is_closed() {
        use Outcome::{Fail, Pass};
        let failed = Fail(Reason::ConnectTimeout);
        for (before, closed, expected) in [
            ([Pass, Pass], [true, true], [Pass, Pass, Pass]),
            ([Pass, Pass], [true, false], [OPEN, Pass, OPEN]),
            ([OPEN, Pass], [true, true], [OPEN, OPEN, Pass]),
            ([Pass, OPEN], [false, false], [OPEN, OPEN, OPEN]),
            ([Pass, failed], [true, true], [failed, Pass, failed]),
            ([Pass, failed], [false, true], [failed, OPEN, failed]),
            ([LEAK, Pass], [true, true], [LEAK, LEAK, Pass]),
        ] {
            let is_closed = |family| if family == Family::Ipv4 { closed[0] } else { closed[1] };
            let judged = gateway(judgment(&[(V4, before[0]), (V6, before[1])]), is_closed);
            assert_eq!(outcomes(&judged), expected, "{before:?} {closed:?}");
            assert_eq!(gateway(judged.clone(), is_closed), judged, "again");
        }
        let late =
            Judgment { outcome: Outcome::Inconclusive(Reason::HostOverloaded), ..judgment(&[(V4, Pass)]) };
        assert_eq!(gateway(late.clone(), |_| true).outcome, late.outcome);
    }

    #[test]
    fn egress_is_closed_for_a_port_that_it_probed() {
        let healthy = fixture::healthy();
        let egress = healthy.checks.iter().find(|check| check.id == CheckId::Egress(Family::Ipv4)).unwrap();
        let egress = egress.last.as_deref().unwrap();
        let closed = |change: &dyn Fn(&mut EgressProbe), port| {
            let mut changed = egress.clone();
            let Evidence::Egress(evidence) = &mut changed.evidence else { panic!("it is egress") };
            evidence.probes.iter_mut().for_each(change);
            is_closed(&changed, port)
        };
        assert!(closed(&|_| (), 443));
        assert!(!closed(&|_| (), 8443));
        assert!(!closed(&|probe| probe.decoy = true, 443));
        assert!(!closed(&|probe| probe.host = Some("www.amazon.com".into()), 443));
        let udp = |probe: &mut EgressProbe| probe.protocol = Protocol::Udp;
        assert!(!closed(&udp, 443));
        let open = Observation { outcome: Outcome::Fail(Reason::TcpConnected), ..egress.clone() };
        assert!(!is_closed(&open, 443));
        let other = healthy.checks.iter().find_map(|check| check.last.as_deref()).unwrap();
        assert!(!is_closed(other, 443), "the instance check probes nothing");
    }

    fn connection(ip_text: &str, error: Option<Reason>, phases: &[Phase]) -> Connection {
        Connection {
            ip: ip(ip_text),
            peer: None,
            protocol: EndpointProtocol::Tcp,
            kernel_tcp: None,
            phases: phases.iter().map(|phase| (*phase, Duration::from_millis(1))).collect(),
            certificate: None,
            http_status: None,
            clock_skew: None,
            signature: None,
            trust_store: None,
            error: error.map(|reason| ProbeError { reason, detail: String::new() }),
        }
    }

    #[test]
    fn a_control_that_answers_fails_the_addresses_of_its_family() {
        use ControlResult::{NoReply, NotSent, Reply};
        use Outcome::Pass;
        let answer = |ip| connection(ip, None, &[Phase::Tcp]);
        let silent = |ip| connection(ip, Some(Reason::ConnectTimeout), &[]);
        let rejected = |ip| connection(ip, Some(Reason::ConnectionRefused), &[]);
        let unsent = |ip| connection(ip, Some(Reason::InternalError), &[]);
        for (connections, results, expected) in [
            (vec![], [NotSent, NotSent], [Pass, Pass, Pass]),
            (vec![silent("203.0.113.31"), silent("2001:db8::31")], [NoReply, NoReply], [Pass, Pass, Pass]),
            (vec![rejected("203.0.113.31"), unsent("2001:db8::31")], [NoReply, NotSent], [Pass, Pass, Pass]),
            (vec![answer("203.0.113.31"), silent("2001:db8::31")], [Reply, NoReply], [LEAK, LEAK, Pass]),
            (vec![silent("203.0.113.31"), answer("203.0.113.32")], [Reply, NotSent], [LEAK, LEAK, Pass]),
            (vec![unsent("2001:db8::32"), answer("2001:db8::31")], [NotSent, Reply], [LEAK, Pass, LEAK]),
        ] {
            let judgment = judgment(&[(V4, Pass), (V6, Pass)]);
            let mut control = GatewayControl { connections, ..GatewayControl::default() };
            judge_control(&mut control, &judgment.addresses);
            assert_eq!(Family::BOTH.map(|family| control.result(family)), results);
            assert_eq!(outcomes(&with_control(judgment, &control)), expected, "{results:?}");
        }
        let mut control = GatewayControl::default();
        judge_control(&mut control, &judgment(&[(V4, Pass)]).addresses);
        let families: Vec<Family> = control.judged.iter().map(|judged| judged.family).collect();
        assert_eq!(families, [Family::Ipv4], "of the endpoint's own addresses");
    }
}
