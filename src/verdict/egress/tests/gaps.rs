//! What the probes did not look at.

use super::*;

#[test]
fn routes_that_refuse_the_targets_alone_are_no_closed_subnet() {
    let mut unrouted = without_routes();
    assert_eq!(outcome(&unrouted), Outcome::Pass);
    let source = SOURCE.parse().unwrap();
    unrouted.gaps = vec![EgressGap::RoutedElsewhere { source, to: "3.5.7.9".parse().unwrap() }];
    assert_eq!(outcome(&unrouted), Outcome::Inconclusive(Reason::RouteNotProbed));
}

#[test]
fn silence_passes_only_where_every_route_was_probed() {
    let other = EgressGap::OtherRoute { range: None, rule: Some(77), router: None, interface: "tun0".into() };
    let silent = EgressGap::RouterSilent { router: SOURCE.parse().unwrap(), interface: "eth0".into() };
    let range = EgressGap::SourcesNotProbed { range: "10.0.1.128/25".parse().unwrap() };
    for gap in [other, silent, range, EgressGap::RoutesUnknown { why: "EPERM".into() }] {
        for mut evidence in [silence(), without_routes()] {
            assert_eq!(outcome(&evidence), Outcome::Pass);
            evidence.gaps = vec![gap.clone()];
            assert_eq!(outcome(&evidence), Outcome::Inconclusive(Reason::RouteNotProbed), "{gap:?}");
        }
    }
}

#[test]
fn a_target_of_the_operator_that_was_not_probed_leaves_the_check_open() {
    let gap = EgressGap::TargetNotProbed { host: "probe.corp.example".into(), why: "no address".into() };
    let mut quiet = silence();
    quiet.gaps = vec![gap.clone()];
    assert_eq!(outcome(&quiet), Outcome::Inconclusive(Reason::TooFewTargets));
    let mut leak = evidence(|_, _| answer());
    leak.probes.retain(|probe| !probe.decoy);
    leak.gaps = vec![gap];
    assert_eq!(outcome(&leak), Outcome::Fail(Reason::IcmpReply), "a leak goes first");
}
