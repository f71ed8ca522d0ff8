//! Questions to resolvers, over hickory's `net` layer: one question goes to one known server
//! and its raw answer comes back. Nothing is cached, coalesced, searched or answered locally.

mod socket;
mod system;

use std::io;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::time::Duration;

use hickory_resolver::net::runtime::TokioRuntimeProvider;
use hickory_resolver::net::tcp::TcpClientStream;
use hickory_resolver::net::udp::UdpClientStream;
use hickory_resolver::net::xfer::{DnsExchange, DnsHandle, FirstAnswer};
use hickory_resolver::net::{DnsError, NetError};
use hickory_resolver::proto::op::{DnsRequestOptions, DnsResponse, Query as DnsQuestion, ResponseCode};
use hickory_resolver::proto::rr::{Name, RData, RecordType};
use tokio::time::{Instant, timeout_at};

use crate::check::Family;
use crate::observation::{DnsEvidence, Query, QueryResult, QueryType, Resolver, Transport};
use crate::wire::failure::words;
use socket::Sockets;

/// The VPC's resolver, where every VPC has it ("Amazon DNS server" in the VPC user guide).
const VPC_RESOLVER: SocketAddr = SocketAddr::new(IpAddr::V4(Ipv4Addr::new(169, 254, 169, 253)), 53);
const VPC_RESOLVER_IPV6: SocketAddr =
    SocketAddr::new(IpAddr::V6(Ipv6Addr::new(0xfd00, 0xec2, 0, 0, 0, 0, 0, 0x253)), 53);

/// What leaves room for IPv6's least MTU (RFC 9715).
const UDP_PAYLOAD: u16 = 1232;

/// More would be a zone gone mad; an endpoint has one address a zone and family.
const MOST_ADDRESSES: usize = 256;

/// A chain longer than this is a loop.
const LONGEST_CHAIN: usize = 16;

/// Asks everybody for `host`, side by side; `families` are those of the instance's addresses.
pub async fn resolve(host: &str, families: &[Family], timeout: Duration) -> DnsEvidence {
    let deadline = Instant::now() + timeout;
    let vpc = if families.contains(&Family::Ipv4) { VPC_RESOLVER } else { VPC_RESOLVER_IPV6 };
    let (a, aaaa, vpc_a, vpc_aaaa) = tokio::join!(
        ask_system(host, QueryType::A, deadline),
        ask_system(host, QueryType::Aaaa, deadline),
        ask(vpc, Resolver::Vpc, host, QueryType::A, deadline),
        ask(vpc, Resolver::Vpc, host, QueryType::Aaaa, deadline),
    );
    let queries = a.into_iter().chain(aaaa).chain([vpc_a, vpc_aaaa]).collect();
    DnsEvidence { host: host.to_owned(), queries, hosts_file: system::hosts_file(host) }
}

/// The addresses that applications are told, not judged; or why there are none.
pub async fn addresses(host: &str, timeout: Duration) -> Result<Vec<IpAddr>, String> {
    let deadline = Instant::now() + timeout;
    let (a, aaaa) =
        tokio::join!(ask_system(host, QueryType::A, deadline), ask_system(host, QueryType::Aaaa, deadline));
    let mut found = Vec::new();
    let mut trouble = None;
    for answer in a.into_iter().chain(aaaa) {
        match answer.result {
            QueryResult::Addresses { addresses, .. } => found.extend(addresses),
            result => trouble = Some(format!("{host}: {} from {}", told(&result), answer.server)),
        }
    }
    match trouble {
        Some(trouble) if found.is_empty() => Err(trouble),
        _ if found.is_empty() => Err(format!("{host} has no address")),
        _ => Ok(found),
    }
}

fn told(result: &QueryResult) -> String {
    match result {
        QueryResult::Addresses { .. } => "an answer".to_owned(),
        QueryResult::Nxdomain => "NXDOMAIN".to_owned(),
        QueryResult::Servfail => "SERVFAIL".to_owned(),
        QueryResult::Refused => "REFUSED".to_owned(),
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
    off_host(system::resolvers(), local_addresses)
}

fn off_host(mut resolvers: Vec<SocketAddr>, local_addresses: &[IpAddr]) -> Vec<SocketAddr> {
    resolvers.extend([VPC_RESOLVER, VPC_RESOLVER_IPV6]);
    resolvers.retain(|resolver| !resolver.ip().is_loopback() && !local_addresses.contains(&resolver.ip()));
    resolvers
}

/// As the C library does it: in the order of `resolv.conf`, on to the next server when one is
/// silent or says that it cannot. Every server that was asked is in the evidence.
async fn ask_system(host: &str, query_type: QueryType, deadline: Instant) -> Vec<Query> {
    let servers = system::resolvers();
    let mut queries = Vec::new();
    for (position, server) in servers.iter().enumerate() {
        let left = u32::try_from(servers.len() - position).unwrap_or(1);
        let until = Instant::now() + deadline.saturating_duration_since(Instant::now()) / left;
        let answer = ask(*server, Resolver::System, host, query_type, until).await;
        let conclusive = matches!(answer.result, QueryResult::Addresses { .. } | QueryResult::Nxdomain);
        queries.push(answer);
        if conclusive {
            break;
        }
    }
    queries
}

async fn ask(
    server: SocketAddr,
    resolver: Resolver,
    host: &str,
    query_type: QueryType,
    deadline: Instant,
) -> Query {
    let started = Instant::now();
    let provider = Sockets::default();
    let mut transport = Transport::Udp;
    let mut result = match query(host, query_type) {
        Ok((query, options)) => {
            let over_udp = ask_udp(server, query.clone(), options, deadline, &provider).await;
            match over_udp {
                Ok(response) if response.metadata.truncation => {
                    transport = Transport::Tcp;
                    match ask_tcp(server, query, options, deadline).await {
                        Ok(response) => read(&response, host, query_type),
                        Err(error) => QueryResult::Truncated { detail: format!("over TCP: {error}") },
                    }
                }
                Ok(response) => read(&response, host, query_type),
                Err(error) => reply_of(&error),
            }
        }
        Err(error) => QueryResult::Invalid { detail: words(&error) },
    };
    if let QueryResult::Addresses { addresses, .. } = &result
        && addresses.len() > MOST_ADDRESSES
    {
        let detail = format!("{} addresses, more than {MOST_ADDRESSES}", addresses.len());
        result = QueryResult::Invalid { detail };
    }
    let retransmitted = provider.opened() > 1;
    Query { server, resolver, query_type, transport, retransmitted, took: started.elapsed(), result }
}

fn query(host: &str, query_type: QueryType) -> Result<(DnsQuestion, DnsRequestOptions), NetError> {
    // With the dot: a search list must not lead elsewhere.
    let mut name = Name::from_str_relaxed(host)?;
    name.set_fqdn(true);
    let record_type = match query_type {
        QueryType::A => RecordType::A,
        QueryType::Aaaa => RecordType::AAAA,
    };
    let mut options = DnsRequestOptions::default();
    options.use_edns = true;
    options.edns_payload_len = UDP_PAYLOAD;
    options.recursion_desired = true;
    Ok((DnsQuestion::query(name, record_type), options))
}

async fn ask_udp(
    server: SocketAddr,
    query: DnsQuestion,
    mut options: DnsRequestOptions,
    deadline: Instant,
    provider: &Sockets,
) -> Result<DnsResponse, NetError> {
    let left = deadline.saturating_duration_since(Instant::now());
    // A third of the time for the first datagram, two for the second: late answers to the
    // first are still heard.
    options.retry_interval = left / 3;
    let exchange: DnsExchange<Sockets> = UdpClientStream::builder(server, provider.clone())
        .with_timeout(Some(left))
        .with_max_retries(2) // Datagrams in all, whatever the name says.
        .with_retry_interval_floor(0)
        .with_os_port_selection(true)
        .exchange();
    match timeout_at(deadline, exchange.lookup(query, options).first_answer()).await {
        Ok(response) => response,
        Err(_) => Err(NetError::Timeout),
    }
}

async fn ask_tcp(
    server: SocketAddr,
    query: DnsQuestion,
    options: DnsRequestOptions,
    deadline: Instant,
) -> Result<DnsResponse, NetError> {
    let left = deadline.saturating_duration_since(Instant::now());
    // Outlives the exchange: it owns the task that drives the connection.
    let provider = TokioRuntimeProvider::default();
    let asking = async {
        let exchange = TcpClientStream::exchange(server, None, left, Some(1), provider.clone()).await?;
        exchange.lookup(query, options).first_answer().await
    };
    match timeout_at(deadline, asking).await {
        Ok(response) => response,
        Err(_) => Err(NetError::Timeout),
    }
}

fn read(response: &DnsResponse, host: &str, query_type: QueryType) -> QueryResult {
    match response.metadata.response_code {
        ResponseCode::NoError => {}
        ResponseCode::NXDomain => return QueryResult::Nxdomain,
        ResponseCode::ServFail => return QueryResult::Servfail,
        ResponseCode::Refused => return QueryResult::Refused,
        other => return QueryResult::OtherCode { rcode: other.into() },
    }
    if response.metadata.truncation {
        return QueryResult::Truncated { detail: "even over TCP".to_owned() };
    }
    let Ok(mut owner) = Name::from_str_relaxed(host) else {
        return QueryResult::Invalid { detail: format!("{host} is no name") };
    };
    owner.set_fqdn(true);
    let mut aliases = Vec::new();
    let mut ttl: Option<u32> = None;
    let mut shorten = |record: u32| ttl = Some(ttl.map_or(record, |ttl| ttl.min(record)));
    while aliases.len() < LONGEST_CHAIN {
        let alias = response.answers.iter().find_map(|record| match &record.data {
            RData::CNAME(target) if record.name == owner => Some((target.0.clone(), record.ttl)),
            _ => None,
        });
        let Some((target, seconds)) = alias else { break };
        shorten(seconds);
        aliases.push(target.to_string());
        owner = target;
    }
    let mut addresses = Vec::new();
    for record in response.answers.iter().filter(|record| record.name == owner) {
        let address = match (&record.data, query_type) {
            (RData::A(ip), QueryType::A) => IpAddr::V4(ip.0),
            (RData::AAAA(ip), QueryType::Aaaa) => IpAddr::V6(ip.0),
            _ => continue,
        };
        shorten(record.ttl);
        addresses.push(address);
    }
    // Servers rotate them, which says nothing.
    addresses.sort_unstable();
    QueryResult::Addresses { addresses, ttl, aliases }
}

fn reply_of(error: &NetError) -> QueryResult {
    match error {
        NetError::Timeout => QueryResult::Timeout,
        NetError::Io(error) if error.kind() == io::ErrorKind::TimedOut => QueryResult::Timeout,
        NetError::Io(error) => QueryResult::Unreachable { detail: words(error.as_ref()) },
        NetError::Dns(DnsError::ResponseCode(ResponseCode::ServFail)) => QueryResult::Servfail,
        NetError::Dns(DnsError::ResponseCode(ResponseCode::Refused)) => QueryResult::Refused,
        other => QueryResult::Invalid { detail: words(other) },
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_resolver_on_this_host_vouches_for_nothing() {
        let local_addresses: IpAddr = "10.0.1.23".parse().unwrap();
        let system = ["127.0.0.53:53", "10.0.1.23:53", "10.0.0.2:53"].map(|server| server.parse().unwrap());
        let kept = off_host(system.to_vec(), &[local_addresses]);
        assert_eq!(kept, ["10.0.0.2:53".parse().unwrap(), VPC_RESOLVER, VPC_RESOLVER_IPV6]);
    }
}
