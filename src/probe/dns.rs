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
use hickory_resolver::proto::op::{DnsRequestOptions, DnsResponse, Query, ResponseCode};
use hickory_resolver::proto::rr::{Name, RData, RecordType};
use tokio::time::{Instant, timeout_at};

use crate::check::Family;
use crate::observation::{Answer, DnsSeen, Question, Reply, Resolver, Transport};
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
pub async fn resolve(host: &str, families: &[Family], timeout: Duration) -> DnsSeen {
    let deadline = Instant::now() + timeout;
    let vpc = if families.contains(&Family::Ipv4) { VPC_RESOLVER } else { VPC_RESOLVER_IPV6 };
    let (a, aaaa, vpc_a, vpc_aaaa) = tokio::join!(
        ask_system(host, Question::A, deadline),
        ask_system(host, Question::Aaaa, deadline),
        ask(vpc, Resolver::Vpc, host, Question::A, deadline),
        ask(vpc, Resolver::Vpc, host, Question::Aaaa, deadline),
    );
    let answers = a.into_iter().chain(aaaa).chain([vpc_a, vpc_aaaa]).collect();
    DnsSeen { host: host.to_owned(), answers, hosts_file: system::hosts_file(host) }
}

/// The addresses that applications are told, with no judgement; or why there are none.
pub async fn addresses(host: &str, timeout: Duration) -> Result<Vec<IpAddr>, String> {
    let deadline = Instant::now() + timeout;
    let (a, aaaa) =
        tokio::join!(ask_system(host, Question::A, deadline), ask_system(host, Question::Aaaa, deadline));
    let mut found = Vec::new();
    let mut trouble = None;
    for answer in a.into_iter().chain(aaaa) {
        match answer.reply {
            Reply::Addresses { addresses, .. } => found.extend(addresses),
            reply => trouble = Some(format!("{host}: {} from {}", told(&reply), answer.server)),
        }
    }
    match trouble {
        Some(trouble) if found.is_empty() => Err(trouble),
        _ if found.is_empty() => Err(format!("{host} has no address")),
        _ => Ok(found),
    }
}

fn told(reply: &Reply) -> String {
    match reply {
        Reply::Addresses { .. } => "an answer".to_owned(),
        Reply::Nxdomain => "NXDOMAIN".to_owned(),
        Reply::Servfail => "SERVFAIL".to_owned(),
        Reply::Refused => "REFUSED".to_owned(),
        Reply::OtherCode { rcode } => format!("response code {rcode}"),
        Reply::Truncated { detail } => format!("a truncated answer ({detail})"),
        Reply::Timeout => "no answer".to_owned(),
        Reply::Unreachable { detail } => format!("no answer ({detail})"),
        Reply::Invalid { detail } => format!("no answer to the question ({detail})"),
    }
}

/// Resolvers that are reached over the network. A stub on this machine (127.0.0.53) answers
/// whether or not anything leaves it.
pub fn off_host_resolvers(own: &[IpAddr]) -> Vec<SocketAddr> {
    off_host(system::resolvers(), own)
}

fn off_host(mut resolvers: Vec<SocketAddr>, own: &[IpAddr]) -> Vec<SocketAddr> {
    resolvers.extend([VPC_RESOLVER, VPC_RESOLVER_IPV6]);
    resolvers.retain(|resolver| !resolver.ip().is_loopback() && !own.contains(&resolver.ip()));
    resolvers
}

/// As the C library does it: in the order of `resolv.conf`, on to the next server when one is
/// silent or says that it cannot. Every server that was asked is in the evidence.
async fn ask_system(host: &str, question: Question, deadline: Instant) -> Vec<Answer> {
    let servers = system::resolvers();
    let mut answers = Vec::new();
    for (position, server) in servers.iter().enumerate() {
        let left = u32::try_from(servers.len() - position).unwrap_or(1);
        let until = Instant::now() + deadline.saturating_duration_since(Instant::now()) / left;
        let answer = ask(*server, Resolver::System, host, question, until).await;
        let conclusive = matches!(answer.reply, Reply::Addresses { .. } | Reply::Nxdomain);
        answers.push(answer);
        if conclusive {
            break;
        }
    }
    answers
}

async fn ask(
    server: SocketAddr,
    resolver: Resolver,
    host: &str,
    question: Question,
    deadline: Instant,
) -> Answer {
    let started = Instant::now();
    let provider = Sockets::default();
    let mut transport = Transport::Udp;
    let mut reply = match query(host, question) {
        Ok((query, options)) => {
            let over_udp = ask_udp(server, query.clone(), options, deadline, &provider).await;
            match over_udp {
                Ok(response) if response.metadata.truncation => {
                    transport = Transport::Tcp;
                    match ask_tcp(server, query, options, deadline).await {
                        Ok(response) => read(&response, host, question),
                        Err(error) => Reply::Truncated { detail: format!("over TCP: {error}") },
                    }
                }
                Ok(response) => read(&response, host, question),
                Err(error) => reply_of(&error),
            }
        }
        Err(error) => Reply::Invalid { detail: words(&error) },
    };
    if let Reply::Addresses { addresses, .. } = &reply
        && addresses.len() > MOST_ADDRESSES
    {
        let detail = format!("{} addresses, more than {MOST_ADDRESSES}", addresses.len());
        reply = Reply::Invalid { detail };
    }
    let retransmitted = provider.opened() > 1;
    Answer { server, resolver, question, transport, retransmitted, took: started.elapsed(), reply }
}

fn query(host: &str, question: Question) -> Result<(Query, DnsRequestOptions), NetError> {
    // With the dot: a search list must not lead elsewhere.
    let mut name = Name::from_str_relaxed(host)?;
    name.set_fqdn(true);
    let record_type = match question {
        Question::A => RecordType::A,
        Question::Aaaa => RecordType::AAAA,
    };
    let mut options = DnsRequestOptions::default();
    options.use_edns = true;
    options.edns_payload_len = UDP_PAYLOAD;
    options.recursion_desired = true;
    Ok((Query::query(name, record_type), options))
}

async fn ask_udp(
    server: SocketAddr,
    query: Query,
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
    query: Query,
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

fn read(response: &DnsResponse, host: &str, question: Question) -> Reply {
    match response.metadata.response_code {
        ResponseCode::NoError => {}
        ResponseCode::NXDomain => return Reply::Nxdomain,
        ResponseCode::ServFail => return Reply::Servfail,
        ResponseCode::Refused => return Reply::Refused,
        other => return Reply::OtherCode { rcode: other.into() },
    }
    if response.metadata.truncation {
        return Reply::Truncated { detail: "even over TCP".to_owned() };
    }
    let Ok(mut owner) = Name::from_str_relaxed(host) else {
        return Reply::Invalid { detail: format!("{host} is no name") };
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
        let address = match (&record.data, question) {
            (RData::A(ip), Question::A) => IpAddr::V4(ip.0),
            (RData::AAAA(ip), Question::Aaaa) => IpAddr::V6(ip.0),
            _ => continue,
        };
        shorten(record.ttl);
        addresses.push(address);
    }
    // Servers rotate them, which says nothing.
    addresses.sort_unstable();
    Reply::Addresses { addresses, ttl, aliases }
}

fn reply_of(error: &NetError) -> Reply {
    match error {
        NetError::Timeout => Reply::Timeout,
        NetError::Io(error) if error.kind() == io::ErrorKind::TimedOut => Reply::Timeout,
        NetError::Io(error) => Reply::Unreachable { detail: words(error.as_ref()) },
        NetError::Dns(DnsError::ResponseCode(ResponseCode::ServFail)) => Reply::Servfail,
        NetError::Dns(DnsError::ResponseCode(ResponseCode::Refused)) => Reply::Refused,
        other => Reply::Invalid { detail: words(other) },
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_resolver_on_this_host_vouches_for_nothing() {
        let own: IpAddr = "10.0.1.23".parse().unwrap();
        let system = ["127.0.0.53:53", "10.0.1.23:53", "10.0.0.2:53"].map(|server| server.parse().unwrap());
        let kept = off_host(system.to_vec(), &[own]);
        assert_eq!(kept, ["10.0.0.2:53".parse().unwrap(), VPC_RESOLVER, VPC_RESOLVER_IPV6]);
    }
}
