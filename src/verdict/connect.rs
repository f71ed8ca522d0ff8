//! `<endpoint>/connect`: every address completed a connection of its own and spoke HTTP.

use super::{Judgment, of_error};
use crate::check::Family;
use crate::network::Scope;
use crate::observation::{Address, Connection, EndpointProtocol, Outcome, Phase, Reason};

/// `resolved` is what the `dns` step judged; `missing_families` are the families that the instance
/// has no address of: no program on it can connect to such an address.
pub fn connect(resolved: &[Address], connections: &[Connection], missing_families: &[Family]) -> Judgment {
    let addresses: Vec<Address> = resolved
        .iter()
        .map(|address| {
            let connection = connections.iter().find(|connection| connection.ip == address.ip);
            Address {
                outcome: of_address(address, connection, missing_families),
                phases: connection.map(|connection| connection.phases.clone()).unwrap_or_default(),
                ..address.clone()
            }
        })
        .collect();
    let outcome = match Outcome::worst(addresses.iter().map(|address| address.outcome)) {
        None => Outcome::Skipped(Reason::PrerequisiteFailed),
        // Every address is of a family that the instance lacks: nothing on it can get there.
        Some(Outcome::Skipped(Reason::FamilyUnavailable)) => Outcome::Fail(Reason::FamilyUnavailable),
        Some(outcome) => outcome,
    };
    Judgment { outcome, addresses }
}

fn of_address(address: &Address, connection: Option<&Connection>, missing_families: &[Family]) -> Outcome {
    let Some(evidence) = connection else {
        return not_tried(address, missing_families);
    };
    let reached = match &evidence.error {
        Some(error) => of_error(error.reason),
        None if evidence.peer.is_none_or(|peer| peer.ip() != evidence.ip) => {
            Outcome::Fail(Reason::AddressOutsideVpc)
        }
        None if !is_complete(evidence) => Outcome::Fail(Reason::ResponseInvalid),
        None => Outcome::Pass,
    };
    match address.outcome {
        Outcome::Pass => reached,
        // It lies inside the VPC, and answers for another endpoint.
        Outcome::Fail(Reason::NotThisEndpoint) => Outcome::Fail(Reason::NotThisEndpoint),
        // Tried as evidence alone: whatever came of it, this is not the endpoint.
        Outcome::Fail(_) => Outcome::Fail(Reason::AddressOutsideVpc),
        Outcome::Inconclusive(reason) | Outcome::Skipped(reason) => match reached {
            Outcome::Pass => Outcome::Inconclusive(reason),
            Outcome::Fail(_) | Outcome::Inconclusive(_) | Outcome::Skipped(_) => reached,
        },
    }
}

/// Whether the connection got as far as its protocol goes.
fn is_complete(evidence: &Connection) -> bool {
    let reached = |wanted: Phase| evidence.phases.iter().any(|(phase, _)| *phase == wanted);
    match evidence.protocol {
        EndpointProtocol::Https => evidence.http_status.is_some(),
        EndpointProtocol::Tls => reached(Phase::Tls) && evidence.certificate.is_some(),
        EndpointProtocol::Tcp => reached(Phase::Tcp),
    }
}

fn not_tried(address: &Address, missing_families: &[Family]) -> Outcome {
    if missing_families.contains(&Family::of(address.ip)) {
        return Outcome::Skipped(Reason::FamilyUnavailable);
    }
    // Nothing at such an address could be the endpoint, so nothing is sent there.
    if address.scope == Scope::Special {
        return Outcome::Skipped(Reason::PrerequisiteFailed);
    }
    Outcome::Inconclusive(Reason::InternalError)
}

#[cfg(test)]
mod tests {
    use std::net::SocketAddr;
    use std::time::Duration;

    use super::*;
    use crate::observation::ProbeError;
    use crate::verdict::tests::endpoint;

    fn resolved(ip: &str, outcome: Outcome) -> Address {
        let ip = ip.parse().unwrap();
        Address { ip, scope: endpoint().network.scope(ip), outcome, phases: vec![], zone: None }
    }

    fn answered(ip: &str) -> Connection {
        let ip = ip.parse().unwrap();
        Connection {
            ip,
            peer: Some(SocketAddr::new(ip, 443)),
            protocol: EndpointProtocol::Https,
            kernel_tcp: None,
            phases: vec![],
            certificate: None,
            http_status: Some(403),
            clock_skew: None,
            signature: None,
            trust_store: None,
            error: None,
        }
    }

    fn failed(ip: &str, reason: Reason) -> Connection {
        let error = Some(ProbeError { reason, detail: String::new() });
        Connection { peer: None, http_status: None, error, ..answered(ip) }
    }

    const INSIDE: &str = "10.0.1.57";
    const PUBLIC: &str = "203.0.113.20";
    const SIX: &str = "2001:db8:1234:1::57";

    #[test]
    fn every_address_must_have_answered_by_itself() {
        use Outcome::{Fail, Inconclusive, Pass, Skipped};
        let outside = Fail(Reason::PublicAddress);
        let unknown = Inconclusive(Reason::VpcCidrsUnknown);
        let special = Fail(Reason::SpecialAddress);
        let timeout = |ip| failed(ip, Reason::ConnectTimeout);
        let no_peer = Connection { peer: None, ..answered(INSIDE) };
        let no_status = Connection { http_status: None, ..answered(INSIDE) };
        let elsewhere = Connection { peer: answered(PUBLIC).peer, ..answered(INSIDE) };
        for (outcome, connection, judged) in [
            (Pass, answered(INSIDE), Pass),
            (Pass, timeout(INSIDE), Fail(Reason::ConnectTimeout)),
            (Pass, failed(INSIDE, Reason::InternalError), Inconclusive(Reason::InternalError)),
            (Pass, failed(INSIDE, Reason::NoResources), Inconclusive(Reason::NoResources)),
            (Pass, no_peer, Fail(Reason::AddressOutsideVpc)),
            (Pass, elsewhere, Fail(Reason::AddressOutsideVpc)),
            (Pass, no_status, Fail(Reason::ResponseInvalid)),
            (Pass, answered(PUBLIC), Inconclusive(Reason::InternalError)),
            (unknown, answered(INSIDE), unknown),
            (unknown, timeout(INSIDE), Fail(Reason::ConnectTimeout)),
        ] {
            let judgment = connect(&[resolved(INSIDE, outcome)], std::slice::from_ref(&connection), &[]);
            assert_eq!(judgment.outcome, judged, "{outcome:?} {connection:?}");
        }
        for connection in [answered(PUBLIC), timeout(PUBLIC)] {
            let judgment = connect(&[resolved(PUBLIC, outside)], &[connection], &[]);
            assert_eq!(judgment.outcome, Fail(Reason::AddressOutsideVpc));
        }
        let loopback = resolved("127.0.0.1", special);
        assert_eq!(connect(&[loopback], &[], &[]).outcome, Skipped(Reason::PrerequisiteFailed));
        assert_eq!(connect(&[], &[], &[]).outcome, Skipped(Reason::PrerequisiteFailed));
    }

    #[test]
    fn an_address_of_a_family_that_the_instance_lacks_is_skipped_and_shown() {
        let both = [resolved(INSIDE, Outcome::Pass), resolved(SIX, Outcome::Pass)];
        let judgment = connect(&both, &[answered(INSIDE)], &[Family::Ipv6]);
        assert_eq!(judgment.outcome, Outcome::Pass);
        assert_eq!(judgment.addresses[1].outcome, Outcome::Skipped(Reason::FamilyUnavailable));
        let judgment = connect(&both, &[answered(INSIDE)], &[]);
        assert_eq!(judgment.outcome, Outcome::Inconclusive(Reason::InternalError));
        let judgment = connect(&both[1..], &[], &[Family::Ipv6]);
        assert_eq!(judgment.outcome, Outcome::Fail(Reason::FamilyUnavailable));
    }

    #[test]
    fn an_address_is_shown_with_the_times_of_its_connection() {
        let phases = vec![(Phase::Tcp, Duration::from_millis(1))];
        let evidence = Connection { phases: phases.clone(), ..answered(INSIDE) };
        let judgment = connect(&[resolved(INSIDE, Outcome::Pass)], &[evidence], &[]);
        assert_eq!(judgment.addresses[0].phases, phases);
    }

    #[test]
    fn a_connection_must_get_as_far_as_its_protocol_goes() {
        use EndpointProtocol::{Https, Tcp, Tls};
        let certificate = crate::report::fixture::certificate("CN=Amazon");
        let took = |phase| (phase, Duration::from_millis(1));
        let (tcp, tls) = (vec![took(Phase::Tcp)], vec![took(Phase::Tcp), took(Phase::Tls)]);
        let invalid = Outcome::Fail(Reason::ResponseInvalid);
        for (protocol, phases, certificate, http_status, outcome) in [
            (Tcp, vec![], None, None, invalid),
            (Tcp, tcp.clone(), None, None, Outcome::Pass),
            (Tls, tcp, None, None, invalid),
            (Tls, tls.clone(), None, None, invalid),
            (Tls, tls.clone(), Some(certificate.clone()), None, Outcome::Pass),
            (Https, tls, Some(certificate), None, invalid),
        ] {
            let evidence = Connection { protocol, phases, certificate, http_status, ..answered(INSIDE) };
            let judgment = connect(&[resolved(INSIDE, Outcome::Pass)], &[evidence], &[]);
            assert_eq!(judgment.outcome, outcome, "{protocol:?}");
        }
    }

    #[test]
    fn a_gateway_endpoint_is_reached_at_its_public_address() {
        let public = [resolved(PUBLIC, Outcome::Pass)];
        assert_eq!(connect(&public, &[answered(PUBLIC)], &[]).outcome, Outcome::Pass);
        assert_eq!(
            connect(&public, &[failed(PUBLIC, Reason::ConnectTimeout)], &[]).outcome,
            Outcome::Fail(Reason::ConnectTimeout)
        );
    }
}
