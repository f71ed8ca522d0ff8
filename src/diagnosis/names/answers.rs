//! What each side says about a name: this host's lookup with its name servers, and the VPC's resolver.

use std::net::{IpAddr, SocketAddr};
use std::time::Duration;

use super::scope;
use crate::check::Family;
use crate::diagnosis::context::Context;
use crate::network::Scope;
use crate::observation::{DnsEvidence, Observation, Query, QueryResult, Resolver};
use crate::wording;

/// What the two sides say about one name.
pub struct ServerAnswers {
    pub system: ServerAnswer,
    pub vpc: ServerAnswer,
}

pub struct ServerAnswer {
    pub says: Answer,
    server: Option<SocketAddr>,
    took: Duration,
}

pub enum Answer {
    Addresses(Vec<(IpAddr, Scope)>),
    /// NXDOMAIN or NODATA: an answer, and it is no.
    Nothing(&'static str),
    ProbeError(&'static str),
    /// No help at all: nothing, or REFUSED.
    Silence(&'static str),
    NotAsked,
}

impl ServerAnswers {
    pub fn of(context: &Context<'_>, observation: &Observation, evidence: &DnsEvidence) -> Self {
        let scope = |ip| scope(context, observation, ip);
        Self {
            system: ServerAnswer::of_applications(evidence, scope),
            vpc: ServerAnswer::of(evidence, Resolver::Vpc, scope),
        }
    }

    pub fn fact(&self, host: &str) -> String {
        let (system, vpc) = (&self.system, &self.vpc);
        let (one, other) = (system.named("resolver"), vpc.named("VPC resolver"));
        match (system.words(), vpc.words()) {
            (None, None) => format!("{host} could not be looked up"),
            (Some(words), None) => format!("{host}: {one} says {words} {}", system.after()),
            (None, Some(words)) => format!("{host}: {other} says {words} {}", vpc.after()),
            (Some(words), Some(same)) if words == same => {
                format!("{host}: {one} and {other} both say {words} {}", system.after())
            }
            (Some(words), Some(others)) => {
                format!(
                    "{host}: {one} says {words} {}, {other} says {others} {}",
                    system.after(),
                    vpc.after()
                )
            }
        }
    }

    pub fn only_ipv6_is_public(&self) -> bool {
        let Answer::Addresses(ips) = &self.system.says else { return false };
        let all = |wanted, public| {
            let mut of_family = ips.iter().filter(|(ip, _)| Family::of(*ip) == wanted).peekable();
            of_family.peek().is_some() && of_family.all(|(_, scope)| (*scope == Scope::Public) == public)
        };
        all(Family::Ipv4, false) && all(Family::Ipv6, true)
    }
}

impl ServerAnswer {
    /// What the lookup returned, with the listed server that says the same; else what the listed
    /// servers say.
    fn of_applications(evidence: &DnsEvidence, scope: impl Fn(IpAddr) -> Scope) -> Self {
        let looked_up = evidence.lookup.addresses();
        if looked_up.is_empty() {
            return Self::of(evidence, Resolver::System, scope);
        }
        let of_server = |query: &&Query| {
            let said = query.result.addresses();
            query.resolver == Resolver::System && said.iter().any(|ip| looked_up.contains(ip))
        };
        let query = evidence.queries.iter().find(of_server);
        let mut ips: Vec<IpAddr> = looked_up.to_vec();
        // The library sorts by where it can go, which changes.
        ips.sort_unstable();
        Self {
            says: Answer::Addresses(ips.into_iter().map(|ip| (ip, scope(ip))).collect()),
            server: query.map(|query| query.server),
            took: query.map_or(evidence.lookup.took, |query| query.took),
        }
    }

    /// The best of all answers: one positive answer outweighs the silence of a second server.
    fn of(evidence: &DnsEvidence, resolver: Resolver, scope: impl Fn(IpAddr) -> Scope) -> Self {
        let asked = |query: &&Query| query.resolver == resolver && query.name.is_none();
        let queries = || evidence.queries.iter().filter(asked);
        // Of equals the first.
        let best = queries().reduce(|best, next| if weight(next) > weight(best) { next } else { best });
        let Some(best) = best else {
            return Self { says: Answer::NotAsked, server: None, took: Duration::ZERO };
        };
        let mut ips: Vec<(IpAddr, Scope)> = Vec::new();
        for ip in queries().flat_map(|answer| answer.result.addresses()) {
            if !ips.iter().any(|(known, _)| known == ip) {
                ips.push((*ip, scope(*ip)));
            }
        }
        let says = if ips.is_empty() { says(&best.result) } else { Answer::Addresses(ips) };
        Self { says, server: Some(best.server), took: best.took }
    }

    pub fn answers(&self) -> bool {
        matches!(self.says, Answer::Addresses(_) | Answer::Nothing(_))
    }

    /// It leads to other addresses, and none of them is the internet's.
    pub fn knows_better(&self, wrong: &[IpAddr]) -> bool {
        let Answer::Addresses(ips) = &self.says else { return false };
        ips.iter().all(|(ip, scope)| {
            !wrong.contains(ip) && matches!(scope, Scope::Vpc | Scope::Expected | Scope::Private)
        })
    }

    fn named(&self, who: &str) -> String {
        match self.server {
            Some(server) => format!("{who} {}", server.ip()),
            None if who == "resolver" => "getaddrinfo".to_owned(),
            None => who.to_owned(),
        }
    }

    fn after(&self) -> String {
        format!("after {}", wording::duration(self.took))
    }

    pub fn words(&self) -> Option<String> {
        match &self.says {
            Answer::Addresses(ips) => {
                Some(wording::names(ips.iter().map(|(ip, scope)| format!("{ip} ({})", scope.code()))))
            }
            Answer::Nothing(code) | Answer::ProbeError(code) | Answer::Silence(code) => {
                Some((*code).to_owned())
            }
            Answer::NotAsked => None,
        }
    }
}

pub fn says(result: &QueryResult) -> Answer {
    match result {
        QueryResult::Addresses { .. } => Answer::Nothing("no address (NODATA)"),
        QueryResult::Nxdomain => Answer::Nothing("no such name (NXDOMAIN)"),
        QueryResult::Servfail => Answer::ProbeError("SERVFAIL"),
        QueryResult::OtherCode { .. } => Answer::ProbeError("an error code"),
        QueryResult::Truncated { .. } => Answer::ProbeError("a truncated answer"),
        QueryResult::Invalid { .. } => Answer::ProbeError("what is no DNS answer"),
        QueryResult::Refused => Answer::Silence("REFUSED"),
        QueryResult::NotRecursive => Answer::Silence("no recursion"),
        QueryResult::Timeout => Answer::Silence("nothing"),
        QueryResult::Unreachable { .. } => Answer::Silence("nothing (unreachable)"),
    }
}

fn weight(answer: &Query) -> u8 {
    match says(&answer.result) {
        Answer::Nothing(_) if !answer.result.addresses().is_empty() => 3,
        Answer::Nothing(_) => 2,
        Answer::ProbeError(_) => 1,
        Answer::Addresses(_) | Answer::Silence(_) | Answer::NotAsked => 0,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::observation::QueryType;
    use crate::report::fixture::{addresses, query};

    #[test]
    fn of_several_servers_the_one_that_says_most_is_shown() {
        let nothing = || addresses(&[]);
        let (silent, broken) = (QueryResult::Timeout, QueryResult::Servfail);
        for (results, shown) in [
            (vec![silent.clone(), broken.clone(), nothing(), addresses(&["10.0.1.57"])], 4),
            (vec![nothing(), addresses(&["10.0.1.57"]), addresses(&["10.0.2.113"])], 2),
            (vec![nothing(), QueryResult::Nxdomain], 1),
            (vec![silent.clone(), QueryResult::Refused], 1),
            (vec![silent, broken, QueryResult::Nxdomain], 3),
        ] {
            let queries = (1..).zip(results).map(|(number, result)| {
                let server = SocketAddr::from(([10, 0, 0, number], 53));
                Query { server, ..query(Resolver::Vpc, QueryType::A, result) }
            });
            let evidence = DnsEvidence::of("monitoring.us-east-1.amazonaws.com", queries.collect());
            let answer = ServerAnswer::of(&evidence, Resolver::Vpc, |_| Scope::Vpc);
            assert_eq!(answer.server, Some(SocketAddr::from(([10, 0, 0, shown], 53))), "{evidence:?}");
        }
    }
}
