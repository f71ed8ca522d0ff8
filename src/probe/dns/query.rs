//! One question to one known server, over hickory's `net` layer, and its raw answer. Nothing is
//! cached, coalesced, searched or answered locally.

use std::io;
use std::net::{IpAddr, SocketAddr};
use std::pin::pin;
use std::time::Duration;

use hickory_resolver::net::runtime::TokioRuntimeProvider;
use hickory_resolver::net::tcp::TcpClientStream;
use hickory_resolver::net::udp::UdpClientStream;
use hickory_resolver::net::xfer::{DnsExchange, DnsHandle, FirstAnswer};
use hickory_resolver::net::{DnsError, NetError};
use hickory_resolver::proto::ProtoError;
use hickory_resolver::proto::op::{DnsRequestOptions, DnsResponse, Query as DnsQuestion, ResponseCode};
use hickory_resolver::proto::rr::{Name, RData, RecordType};
use tokio::time::{Instant, timeout_at};

use super::socket::Sockets;
use crate::observation::{Query, QueryResult, QueryType, Resolver, Transport};
use crate::wire::failure::words;

/// What leaves room for IPv6's least MTU (RFC 9715).
const UDP_PAYLOAD: u16 = 1232;

/// More would be a zone gone mad; an endpoint has one address a zone and family.
const MOST_ADDRESSES: usize = 256;

/// A chain longer than this is a loop.
const LONGEST_CHAIN: usize = 16;

/// Response codes of a server that does not know EDNS (RFC 6891, section 7): FORMERR, NOTIMP, BADVERS.
const EDNS_REFUSED: [u16; 3] = [1, 4, 16];

/// What is asked.
#[derive(Clone, Copy, Debug)]
pub struct Question<'a> {
    pub server: SocketAddr,
    pub resolver: Resolver,
    pub host: &'a str,
    /// The name is one that the search list made.
    pub is_searched: bool,
    /// The C library sends EDNS too, so that a question without it would tell what no application
    /// is told.
    pub edns_only: bool,
    pub query_type: QueryType,
    pub transport: Transport,
}

pub async fn ask(question: Question<'_>, limit: Duration) -> Query {
    let started = Instant::now();
    let deadline = started + limit;
    let provider = Sockets::default();
    let (mut answer, mut edns_refused) = if question.edns_only {
        (exchange(question, true, deadline, &provider).await, false)
    } else {
        ask_twice(question, started + limit / 2, deadline, &provider).await
    };
    let sent = provider.opened();
    if matches!(answer.result, QueryResult::OtherCode { rcode } if EDNS_REFUSED.contains(&rcode)) {
        let without = exchange(question, false, deadline, &provider).await;
        edns_refused = without.result != answer.result;
        answer = without;
    }
    if answer.result.addresses().len() > MOST_ADDRESSES {
        let count = answer.result.addresses().len();
        let detail = format!("{count} addresses, more than {MOST_ADDRESSES}");
        answer.result = QueryResult::Invalid { detail };
    }
    let is_answered = answer.transport == Transport::Udp && answer.result != QueryResult::Timeout;
    let is_unsent = matches!(answer.result, QueryResult::Unreachable { .. });
    Query {
        name: question.is_searched.then(|| question.host.to_owned()),
        server: question.server,
        resolver: question.resolver,
        query_type: question.query_type,
        transport: answer.transport,
        retransmitted: sent > 1,
        edns_refused,
        alias_last: answer.alias_last,
        blocked_here: is_unsent && provider.is_blocked_here(),
        unrouted_here: is_unsent && provider.is_unrouted_here(),
        took: started.elapsed(),
        kernel: provider.kernel_time().filter(|_| is_answered),
        result: answer.result,
    }
}

/// A server that drops what it does not know answers the C library, which does not send EDNS. So a
/// question that is not answered `by` then is asked without EDNS beside the first.
async fn ask_twice(
    question: Question<'_>,
    by: Instant,
    deadline: Instant,
    provider: &Sockets,
) -> (Answer, bool) {
    let mut with = pin!(exchange(question, true, deadline, provider));
    if let Ok(answer) = timeout_at(by, &mut with).await {
        return (answer, false);
    }
    let others = Sockets::default();
    tokio::select! {
        biased;
        answer = with => (answer, false),
        without = exchange(question, false, deadline, &others) => {
            let answered = without.result != QueryResult::Timeout;
            (without, answered)
        }
    }
}

struct Answer {
    result: QueryResult,
    transport: Transport,
    alias_last: bool,
}

async fn exchange(asked: Question<'_>, edns: bool, deadline: Instant, provider: &Sockets) -> Answer {
    let failed = |result, transport| Answer { result, transport, alias_last: false };
    let read = |response: &DnsResponse, transport| Answer {
        result: read(response, asked.host, asked.query_type),
        transport,
        alias_last: is_alias_last(response),
    };
    let (question, options) = match request(asked.host, asked.query_type, edns) {
        Ok(request) => request,
        Err(error) => return failed(QueryResult::Invalid { detail: words(&error) }, asked.transport),
    };
    if asked.transport == Transport::Tcp {
        return match ask_tcp(asked.server, question, options, deadline).await {
            Ok(response) => read(&response, Transport::Tcp),
            Err(error) => failed(reply_of(&error), Transport::Tcp),
        };
    }
    match ask_udp(asked.server, question.clone(), options, deadline, provider).await {
        Ok(response) if response.metadata.truncation => {
            match ask_tcp(asked.server, question, options, deadline).await {
                Ok(response) => read(&response, Transport::Tcp),
                Err(error) => {
                    failed(QueryResult::Truncated { detail: format!("over TCP: {error}") }, Transport::Tcp)
                }
            }
        }
        Ok(response) => read(&response, Transport::Udp),
        Err(error) => failed(reply_of(&error), Transport::Udp),
    }
}

fn is_alias_last(response: &DnsResponse) -> bool {
    let is_alias = |data: &RData| matches!(data, RData::CNAME(_));
    let first_other = response.answers.iter().position(|record| !is_alias(&record.data));
    let last_alias = response.answers.iter().rposition(|record| is_alias(&record.data));
    first_other.zip(last_alias).is_some_and(|(other, alias)| other < alias)
}

fn request(
    host: &str,
    query_type: QueryType,
    edns: bool,
) -> Result<(DnsQuestion, DnsRequestOptions), NetError> {
    let name = wire_name(host)?;
    let record_type = match query_type {
        QueryType::A => RecordType::A,
        QueryType::Aaaa => RecordType::AAAA,
    };
    let mut options = DnsRequestOptions::default();
    options.use_edns = edns;
    options.edns_payload_len = UDP_PAYLOAD;
    options.recursion_desired = true;
    Ok((DnsQuestion::query(name, record_type), options))
}

/// Takes any bytes as labels: the C library also asks for names that are not valid host names, such
/// as "(none)" from a search list. The name is absolute, so no search list applies to it.
fn wire_name(host: &str) -> Result<Name, ProtoError> {
    Name::from_labels(host.trim_end_matches('.').split('.').map(str::as_bytes))
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
    // first are still received.
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
    let Ok(mut owner) = wire_name(host) else {
        return QueryResult::Invalid { detail: format!("{host} is not a DNS name") };
    };
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
    // The library goes on to the next server.
    let refers = response.answers.is_empty() && response.additionals.is_empty();
    if refers && !response.metadata.authoritative && !response.metadata.recursion_available {
        return QueryResult::NotRecursive;
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

/// Reads a message, and returns the text in it that a report shows.
#[cfg(any(test, fuzzing))]
pub fn fuzz(bytes: &[u8]) -> Vec<String> {
    let Ok(response) = DnsResponse::from_buffer(bytes.to_vec()) else { return vec![] };
    is_alias_last(&response);
    let host =
        response.answers.first().map_or_else(|| "example.com".to_owned(), |first| first.name.to_string());
    let read = |query_type| match read(&response, &host, query_type) {
        QueryResult::Addresses { aliases, .. } => aliases,
        QueryResult::Invalid { detail } | QueryResult::Truncated { detail } => vec![detail],
        _ => vec![],
    };
    QueryType::BOTH.into_iter().flat_map(read).collect()
}
