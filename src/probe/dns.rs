//! Questions to name servers: what each of them says of a name, beside what the lookup returned.

mod files;
mod query;
mod socket;

use std::net::{IpAddr, SocketAddr};
use std::time::Duration;

use futures_util::future::join_all;

use crate::check::Family;
use crate::network::{VPC_RESOLVER, VPC_RESOLVER_IPV6};
use crate::observation::{
    HostFiles, Lookup, LookupResult, Query, QueryResult, QueryType, Resolver, Transport,
};
use query::{Question, ask};

pub use files::{lookup_limit, read as host_files};
#[cfg(any(test, fuzzing))]
pub use {files::fuzz as fuzz_files, query::fuzz as fuzz_message};

const PORT: u16 = 53;

/// Names of the search list that are asked for.
const MOST_SEARCHED: usize = 6;

/// Asks each listed name server and the VPC's resolver for `host`, side by side.
pub async fn queries(host: &str, files: &HostFiles, vpc: &[IpAddr], limit: Duration) -> Vec<Query> {
    let listed = ask_all(&files.servers, Resolver::System, host, false, files, limit);
    let (mut queries, of_vpc) = tokio::join!(listed, ask_vpc(vpc, host, files, limit));
    queries.extend(of_vpc);
    queries
}

/// Asks one server for each name, side by side.
pub async fn queries_at(
    names: &[String],
    server: IpAddr,
    families: &[Family],
    limit: Duration,
) -> Vec<Vec<Query>> {
    let server = SocketAddr::new(server, PORT);
    let mut asked = Vec::new();
    for host in names {
        let question = |family: &Family| {
            let query_type = match family {
                Family::Ipv4 => QueryType::A,
                Family::Ipv6 => QueryType::Aaaa,
            };
            let (resolver, transport) = (Resolver::Vpc, Transport::Udp);
            ask(
                Question {
                    server,
                    resolver,
                    host,
                    is_searched: false,
                    edns_only: false,
                    query_type,
                    transport,
                },
                limit,
            )
        };
        asked.push(join_all(families.iter().map(question).collect::<Vec<_>>()));
    }
    join_all(asked).await
}

/// What the VPC's resolver says, at one of its addresses after the other until one answers.
pub async fn ask_vpc(addresses: &[IpAddr], host: &str, files: &HostFiles, limit: Duration) -> Vec<Query> {
    let mut queries = Vec::new();
    for ip in addresses {
        let server = [SocketAddr::new(*ip, PORT)];
        let answers = ask_all(&server, Resolver::Vpc, host, false, files, limit).await;
        let answered = answers.iter().any(|query| query.result.is_conclusive());
        queries.extend(answers);
        if answered {
            break;
        }
    }
    queries
}

/// Asks the listed servers for the names that the search list makes, where the absolute name does
/// not explain what the lookup returned.
pub async fn searched(
    host: &str,
    files: &HostFiles,
    lookup: &Lookup,
    queries: &[Query],
    limit: Duration,
) -> Vec<Query> {
    // Which server a lookup meets is chance there, and each may have these names.
    let is_chance = files.rotates() && files.searches_first(host);
    if is_explained(files, lookup, queries) && !is_chance {
        return vec![];
    }
    let names: Vec<String> = files.searched(host).into_iter().take(MOST_SEARCHED).collect();
    let answers =
        names.iter().map(|name| ask_all(&files.servers, Resolver::System, name, true, files, limit));
    join_all(answers).await.concat()
}

fn is_explained(files: &HostFiles, lookup: &Lookup, queries: &[Query]) -> bool {
    let answers = queries.iter().filter(|query| query.resolver == Resolver::System);
    let absolute: Vec<IpAddr> = answers.flat_map(|query| query.result.addresses()).copied().collect();
    match &lookup.result {
        LookupResult::Addresses { addresses } => {
            let pinned = |ip: &IpAddr| files.hosts.iter().any(|entry| entry.address == *ip);
            addresses.iter().all(|ip| absolute.contains(ip) || pinned(ip))
        }
        LookupResult::Error(_) => absolute.is_empty(),
        LookupResult::TimedOut
        | LookupResult::Crashed { .. }
        | LookupResult::TooManyAddresses { .. }
        | LookupResult::NotRun { .. } => true,
    }
}

async fn ask_all(
    servers: &[SocketAddr],
    resolver: Resolver,
    host: &str,
    is_searched: bool,
    files: &HostFiles,
    limit: Duration,
) -> Vec<Query> {
    let transport = if files.use_vc { Transport::Tcp } else { Transport::Udp };
    let pairs = servers.iter().map(|&server| {
        let (edns_only, query_type) = (files.edns0, QueryType::A);
        let question = Question { server, resolver, host, is_searched, edns_only, query_type, transport };
        ask_both(question, limit)
    });
    join_all(pairs).await.concat()
}

/// The two questions of a lookup. The C library repeats both over TCP once one answer is truncated.
async fn ask_both(question: Question<'_>, limit: Duration) -> Vec<Query> {
    let both = QueryType::BOTH.map(|query_type| Question { query_type, ..question });
    let mut answers = join_all(both.map(|question| ask(question, limit))).await;
    let over_tcp = answers.iter().any(|answer| answer.transport == Transport::Tcp);
    for (question, answer) in both.into_iter().zip(&mut answers) {
        if over_tcp && answer.transport == Transport::Udp && answer.result == QueryResult::Timeout {
            *answer = ask(Question { transport: Transport::Tcp, ..question }, limit).await;
        }
    }
    answers
}

/// The addresses that the name servers have for `host`, with no judgment; or why there are none.
pub async fn addresses(host: &str, limit: Duration) -> Result<Vec<IpAddr>, String> {
    let files = host_files(host);
    let queries = queries(host, &files, &[], limit).await;
    let found: Vec<IpAddr> = queries.iter().flat_map(|query| query.result.addresses()).copied().collect();
    let trouble = queries.iter().find(|query| !matches!(query.result, QueryResult::Addresses { .. }));
    match trouble {
        Some(query) if found.is_empty() => {
            Err(format!("{host}: {} from {}", told(&query.result), query.server))
        }
        None if found.is_empty() => Err(format!("{host} has no address")),
        Some(_) | None => Ok(found),
    }
}

fn told(result: &QueryResult) -> String {
    match result {
        QueryResult::Addresses { .. } => "an answer".to_owned(),
        QueryResult::Nxdomain => "NXDOMAIN".to_owned(),
        QueryResult::Servfail => "SERVFAIL".to_owned(),
        QueryResult::Refused => "REFUSED".to_owned(),
        QueryResult::NotRecursive => "a referral".to_owned(),
        QueryResult::OtherCode { rcode } => format!("response code {rcode}"),
        QueryResult::Truncated { detail } => format!("a truncated answer ({detail})"),
        QueryResult::Timeout => "no answer".to_owned(),
        QueryResult::Unreachable { detail } => format!("no answer ({detail})"),
        QueryResult::Invalid { detail } => format!("no answer to the question ({detail})"),
    }
}

/// Resolvers that are reached over the network. A stub on this machine (127.0.0.53) answers
/// whether or not anything leaves it.
pub fn off_host_resolvers(local_addresses: &[IpAddr]) -> Vec<SocketAddr> {
    off_host(files::servers(), local_addresses)
}

fn off_host(mut resolvers: Vec<SocketAddr>, local_addresses: &[IpAddr]) -> Vec<SocketAddr> {
    resolvers.extend([VPC_RESOLVER, VPC_RESOLVER_IPV6].map(|ip| SocketAddr::new(ip, PORT)));
    resolvers.retain(|resolver| !resolver.ip().is_loopback() && !local_addresses.contains(&resolver.ip()));
    resolvers
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_resolver_on_this_host_vouches_for_nothing() {
        let local_addresses: IpAddr = "10.0.1.23".parse().unwrap();
        let system = ["127.0.0.53:53", "10.0.1.23:53", "10.0.0.2:53"].map(|server| server.parse().unwrap());
        let vpc = [VPC_RESOLVER, VPC_RESOLVER_IPV6].map(|ip| SocketAddr::new(ip, PORT));
        let kept = off_host(system.to_vec(), &[local_addresses]);
        assert_eq!(kept, ["10.0.0.2:53".parse().unwrap(), vpc[0], vpc[1]]);
    }
}
