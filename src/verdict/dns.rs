//! `<endpoint>/dns`: every address that applications are told lies where an endpoint can be.

use std::collections::BTreeSet;
use std::net::IpAddr;

use super::Judgement;
use crate::check::Family;
use crate::network::{Network, Scope};
use crate::observation::{Address, Answer, DnsSeen, Outcome, Phase, Question, Reason, Reply, Resolver};
use crate::plan::Ladder;

/// `lacking` are the families that the instance has no address of.
pub fn dns(seen: &DnsSeen, lacking: &[Family], ladder: &Ladder) -> Judgement {
    let addresses = addresses(seen, lacking, ladder);
    let outcome = [
        of_addresses(&addresses),
        of_replies(seen, &addresses),
        of_agreement(seen, ladder.require_agreement),
    ];
    // Addresses come first: a public one says more than the resolver's silence beside it.
    let outcome = Outcome::worst(outcome.into_iter().flatten()).unwrap_or(Outcome::Fail(Reason::NoAddress));
    Judgement { outcome, addresses }
}

fn addresses(seen: &DnsSeen, lacking: &[Family], ladder: &Ladder) -> Vec<Address> {
    let told: BTreeSet<IpAddr> =
        seen.hosts_file.iter().copied().chain(told_by(seen, Resolver::System)).collect();
    let usable = |ip: &IpAddr| !lacking.contains(&Family::of(*ip));
    let any_usable = told.iter().any(usable);
    told.iter()
        .map(|&ip| {
            let scope = ladder.network.scope(ip);
            let phases = seen
                .answers
                .iter()
                .find(|answer| answer.resolver == Resolver::System && listed(answer).contains(&ip))
                .map(|answer| vec![(Phase::Query, answer.took)]);
            // Nobody here can go there, so it harms nobody, as long as there is another. Loopback
            // is always there.
            let beside = any_usable && !usable(&ip) && scope != Scope::Special;
            Address {
                ip,
                scope,
                outcome: if beside {
                    Outcome::Skipped(Reason::FamilyUnavailable)
                } else {
                    of_scope(scope, &ladder.network, ladder.gateway)
                },
                phases: phases.unwrap_or_default(),
            }
        })
        .collect()
}

fn of_scope(scope: Scope, network: &Network, gateway: bool) -> Outcome {
    match scope {
        Scope::Vpc | Scope::Expected => Outcome::Pass,
        Scope::Special => Outcome::Fail(Reason::SpecialAddress),
        // A gateway endpoint is a route, not an address: its names stay public by design.
        Scope::Public if gateway => Outcome::Pass,
        Scope::Public | Scope::Private if !network.is_known() => {
            Outcome::Inconclusive(Reason::VpcCidrsUnknown)
        }
        Scope::Public => Outcome::Fail(Reason::PublicAddress),
        Scope::Private => Outcome::Fail(Reason::OutsideVpc),
    }
}

fn of_addresses(addresses: &[Address]) -> Option<Outcome> {
    let worst = Outcome::worst(addresses.iter().map(|address| address.outcome))?;
    let mixed = addresses.iter().any(|address| address.outcome == Outcome::Pass);
    match worst {
        Outcome::Fail(_) if mixed => Some(Outcome::Fail(Reason::MixedAddresses)),
        Outcome::Fail(_) | Outcome::Inconclusive(_) | Outcome::Skipped(_) | Outcome::Pass => Some(worst),
    }
}

/// A question that got no usable reply fails the check, even beside one that did: half of
/// what an application asks stays open.
fn of_replies(seen: &DnsSeen, addresses: &[Address]) -> Option<Outcome> {
    let reasons = [Question::A, Question::Aaaa].map(|question| match last_answer(seen, question) {
        None => Some(Reason::ResolverUnreachable),
        Some(answer) => reason_of(&answer.reply),
    });
    if let Some(reason) = reasons.into_iter().flatten().next() {
        return Some(Outcome::Fail(reason));
    }
    addresses.is_empty().then_some(Outcome::Fail(Reason::NoAddress))
}

fn reason_of(reply: &Reply) -> Option<Reason> {
    match reply {
        Reply::Addresses { .. } => None,
        Reply::Nxdomain => Some(Reason::NameNotFound),
        Reply::Servfail | Reply::OtherCode { .. } | Reply::Invalid { .. } => Some(Reason::ServerFailure),
        Reply::Refused => Some(Reason::QueryRefused),
        Reply::Truncated { .. } => Some(Reason::Truncated),
        Reply::Timeout => Some(Reason::QueryTimeout),
        Reply::Unreachable { .. } => Some(Reason::ResolverUnreachable),
    }
}

fn of_agreement(seen: &DnsSeen, required: bool) -> Option<Outcome> {
    if !required {
        return None;
    }
    let replies = seen.answers.iter().filter(|answer| answer.resolver == Resolver::Vpc);
    let answered: Vec<Question> =
        replies.filter(|answer| is_definite(&answer.reply)).map(|answer| answer.question).collect();
    if !answered.contains(&Question::A) || !answered.contains(&Question::Aaaa) {
        return Some(Outcome::Inconclusive(Reason::ResolversDisagree));
    }
    let system: BTreeSet<IpAddr> = told_by(seen, Resolver::System).collect();
    let vpc: BTreeSet<IpAddr> = told_by(seen, Resolver::Vpc).collect();
    (system != vpc).then_some(Outcome::Fail(Reason::ResolversDisagree))
}

fn is_definite(reply: &Reply) -> bool {
    matches!(reply, Reply::Addresses { .. } | Reply::Nxdomain)
}

fn told_by(seen: &DnsSeen, resolver: Resolver) -> impl Iterator<Item = IpAddr> {
    seen.answers
        .iter()
        .filter(move |answer| answer.resolver == resolver)
        .flat_map(|answer| listed(answer).iter().copied())
}

fn listed(answer: &Answer) -> &[IpAddr] {
    match &answer.reply {
        Reply::Addresses { addresses, .. } => addresses,
        Reply::Nxdomain
        | Reply::Servfail
        | Reply::Refused
        | Reply::OtherCode { .. }
        | Reply::Truncated { .. }
        | Reply::Timeout
        | Reply::Unreachable { .. }
        | Reply::Invalid { .. } => &[],
    }
}

/// The system's servers are asked in turn until one answers: the last word counts.
fn last_answer(seen: &DnsSeen, question: Question) -> Option<&Answer> {
    seen.answers.iter().rfind(|answer| answer.resolver == Resolver::System && answer.question == question)
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;
    use crate::observation::Transport;
    use crate::verdict::tests::ladder;

    fn answer(resolver: Resolver, question: Question, reply: Reply) -> Answer {
        Answer {
            server: "10.0.0.2:53".parse().unwrap(),
            resolver,
            question,
            transport: Transport::Udp,
            retransmitted: false,
            took: Duration::from_millis(1),
            reply,
        }
    }

    fn told(ips: &[&str]) -> Reply {
        let addresses = ips.iter().map(|ip| ip.parse().unwrap()).collect();
        Reply::Addresses { addresses, ttl: Some(60), aliases: vec![] }
    }

    fn seen(a: Reply, aaaa: Reply) -> DnsSeen {
        let answers =
            vec![answer(Resolver::System, Question::A, a), answer(Resolver::System, Question::Aaaa, aaaa)];
        DnsSeen { host: "monitoring.us-east-1.amazonaws.com".into(), answers, hosts_file: vec![] }
    }

    fn judged(seen: &DnsSeen) -> Outcome {
        dns(seen, &[], &ladder()).outcome
    }

    const INSIDE: &[&str] = &["10.0.1.57", "10.0.2.113"];

    #[test]
    fn every_address_must_be_inside() {
        use Outcome::{Fail, Pass};
        for (a, aaaa, outcome) in [
            (INSIDE, &[] as &[&str], Pass),
            (INSIDE, &["2001:db8:1234:1::57"], Pass),
            (&[], &["2001:db8:1234:1::57"], Pass),
            (&[], &[], Fail(Reason::NoAddress)),
            (&["203.0.113.20"], &[], Fail(Reason::PublicAddress)),
            (&["10.0.1.57", "203.0.113.20"], &[], Fail(Reason::MixedAddresses)),
            (INSIDE, &["2001:db8:ffff::20"], Fail(Reason::MixedAddresses)),
            (&["10.99.0.57"], &[], Fail(Reason::OutsideVpc)),
            (&["127.0.0.1"], &[], Fail(Reason::SpecialAddress)),
        ] {
            assert_eq!(judged(&seen(told(a), told(aaaa))), outcome, "{a:?} {aaaa:?}");
        }
    }

    #[test]
    fn an_address_of_a_family_that_the_instance_lacks_is_skipped_beside_another() {
        use Outcome::{Fail, Pass};
        for (a, aaaa, outcome) in [
            (INSIDE, "2001:db8:ffff::20", Pass),
            (INSIDE, "2001:db8:1234:1::57", Pass),
            (INSIDE, "::1", Fail(Reason::MixedAddresses)),
            (&["203.0.113.20"], "2001:db8:1234:1::57", Fail(Reason::PublicAddress)),
            (&[], "2001:db8:ffff::20", Fail(Reason::PublicAddress)),
            (&[], "2001:db8:1234:1::57", Pass),
        ] {
            let seen = seen(told(a), told(&[aaaa]));
            assert_eq!(dns(&seen, &[Family::Ipv6], &ladder()).outcome, outcome, "{a:?} {aaaa}");
        }
        let judgement = dns(&seen(told(INSIDE), told(&["2001:db8:ffff::20"])), &[Family::Ipv6], &ladder());
        let ipv6 = judgement.addresses.last().map(|address| address.outcome);
        assert_eq!(ipv6, Some(Outcome::Skipped(Reason::FamilyUnavailable)));
    }

    #[test]
    fn each_kind_of_silence_has_its_reason_on_either_question() {
        let detail = String::new;
        for (reply, reason) in [
            (Reply::Nxdomain, Reason::NameNotFound),
            (Reply::Servfail, Reason::ServerFailure),
            (Reply::OtherCode { rcode: 4 }, Reason::ServerFailure),
            (Reply::Invalid { detail: detail() }, Reason::ServerFailure),
            (Reply::Refused, Reason::QueryRefused),
            (Reply::Truncated { detail: detail() }, Reason::Truncated),
            (Reply::Timeout, Reason::QueryTimeout),
            (Reply::Unreachable { detail: detail() }, Reason::ResolverUnreachable),
        ] {
            assert_eq!(judged(&seen(reply.clone(), reply.clone())), Outcome::Fail(reason));
            assert_eq!(judged(&seen(told(INSIDE), reply.clone())), Outcome::Fail(reason));
            assert_eq!(judged(&seen(reply, told(&[]))), Outcome::Fail(reason));
        }
        assert_eq!(judged(&seen(Reply::Timeout, Reply::Refused)), Outcome::Fail(Reason::QueryTimeout));
        let unasked = DnsSeen { answers: vec![], ..seen(told(&[]), told(&[])) };
        assert_eq!(judged(&unasked), Outcome::Fail(Reason::ResolverUnreachable));
    }

    #[test]
    fn a_public_address_is_told_even_beside_a_question_left_open() {
        let seen = seen(told(&["203.0.113.20"]), Reply::Timeout);
        assert_eq!(judged(&seen), Outcome::Fail(Reason::PublicAddress));
    }

    #[test]
    fn the_last_server_asked_has_the_last_word() {
        let mut seen = seen(Reply::Timeout, Reply::Timeout);
        seen.answers.push(answer(Resolver::System, Question::A, told(INSIDE)));
        seen.answers.push(answer(Resolver::System, Question::Aaaa, told(&[])));
        assert_eq!(judged(&seen), Outcome::Pass);
    }

    #[test]
    fn an_address_is_shown_with_the_time_of_the_answer_that_told_it() {
        let mut seen = seen(told(INSIDE), told(&["2001:db8:1234:1::57"]));
        let slow =
            Answer { took: Duration::from_millis(9), ..answer(Resolver::Vpc, Question::A, told(INSIDE)) };
        seen.answers.insert(0, slow);
        seen.answers[2].took = Duration::from_millis(2);
        let judgement = dns(&seen, &[], &ladder());
        let took: Vec<u128> = judgement.addresses.iter().map(|a| a.phases[0].1.as_millis()).collect();
        assert_eq!(took, [1, 1, 2]);
    }

    #[test]
    fn nothing_is_guessed_while_the_vpc_is_unknown() {
        let blind = Ladder { network: Network::default(), ..ladder() };
        for ip in ["10.0.1.57", "203.0.113.20"] {
            let outcome = dns(&seen(told(&[ip]), told(&[])), &[], &blind).outcome;
            assert_eq!(outcome, Outcome::Inconclusive(Reason::VpcCidrsUnknown), "{ip}");
        }
        let outcome = dns(&seen(told(&["127.0.0.1"]), told(&[])), &[], &blind).outcome;
        assert_eq!(outcome, Outcome::Fail(Reason::SpecialAddress));
    }

    #[test]
    fn a_hosts_file_entry_is_what_applications_get() {
        let mut seen = seen(told(INSIDE), told(&[]));
        seen.hosts_file = vec!["203.0.113.20".parse().unwrap()];
        assert_eq!(judged(&seen), Outcome::Fail(Reason::MixedAddresses));
    }

    #[test]
    fn the_vpc_resolver_fails_the_check_only_where_agreement_is_required() {
        let strict = Ladder { require_agreement: true, ..ladder() };
        let with_vpc = |a: Reply, aaaa: Reply| {
            let mut seen = seen(told(INSIDE), told(&[]));
            seen.answers.push(answer(Resolver::Vpc, Question::A, a));
            seen.answers.push(answer(Resolver::Vpc, Question::Aaaa, aaaa));
            seen
        };
        let disagree = Outcome::Fail(Reason::ResolversDisagree);
        let unknown = Outcome::Inconclusive(Reason::ResolversDisagree);
        for (seen, outcome) in [
            (with_vpc(told(INSIDE), told(&[])), Outcome::Pass),
            (with_vpc(told(&["10.0.2.113", "10.0.1.57"]), told(&[])), Outcome::Pass),
            (with_vpc(told(&["10.0.1.57"]), told(&[])), disagree),
            (with_vpc(Reply::Nxdomain, Reply::Nxdomain), disagree),
            (with_vpc(told(INSIDE), Reply::Timeout), unknown),
            (seen(told(INSIDE), told(&[])), unknown),
        ] {
            assert_eq!(dns(&seen, &[], &strict).outcome, outcome, "{seen:?}");
            assert_eq!(judged(&seen), Outcome::Pass);
        }
    }

    #[test]
    fn a_gateway_endpoint_keeps_its_public_addresses() {
        let gateway = Ladder { gateway: true, ..ladder() };
        assert_eq!(dns(&seen(told(&["203.0.113.99"]), told(&[])), &[], &gateway).outcome, Outcome::Pass);
        let outcome = dns(&seen(told(&["127.0.0.1"]), told(&[])), &[], &gateway).outcome;
        assert_eq!(outcome, Outcome::Fail(Reason::SpecialAddress));
    }
}
