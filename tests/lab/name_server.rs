//! A name server that does as it is told: every habit that real ones have, and some that none
//! should. It answers for any name, and differently for a name with something behind it, as a
//! search list makes them.

use std::collections::VecDeque;
use std::io::{self, Read, Write};
use std::net::{IpAddr, SocketAddr, TcpListener, TcpStream, UdpSocket};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant};

use super::zone::CLOUDWATCH;

/// How often the threads look whether they should end.
const POLL: Duration = Duration::from_millis(20);

const A: u16 = 1;
const CNAME: u16 = 5;
const AAAA: u16 = 28;
const TTL: u32 = 60;

const FORMERR: u8 = 1;
const SERVFAIL: u8 = 2;
const NXDOMAIN: u8 = 3;
const REFUSED: u8 = 5;

#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Behavior {
    pub a: Answer,
    pub aaaa: Answer,
    /// For the name with a suffix of a search list.
    pub searched: Answer,
    pub edns: Edns,
    pub delay: Duration,
    pub over_udp: bool,
    pub over_tcp: bool,
}

#[derive(Clone, Debug, Eq, PartialEq)]
pub enum Answer {
    /// Of the family that is asked for.
    Addresses(Vec<IpAddr>),
    /// By way of an alias, whose record stands before or behind the addresses.
    Alias {
        first: bool,
        addresses: Vec<IpAddr>,
    },
    NoData,
    NxDomain,
    ServFail,
    Refused,
    /// Any other code.
    Code(u8),
    /// A server that does not look up for others, and says so by saying nothing.
    Referral,
    Silent,
    /// More over TCP, or so it says.
    Truncated(Vec<IpAddr>),
    /// Half a message.
    Cut,
    /// The answer to another question.
    OtherQuestion(Vec<IpAddr>),
}

#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Edns {
    Ignored,
    FormErr,
    Silent,
}

impl Behavior {
    pub fn of(a: Answer, aaaa: Answer) -> Self {
        Self {
            a,
            aaaa,
            searched: Answer::NxDomain,
            edns: Edns::Ignored,
            delay: Duration::ZERO,
            over_udp: true,
            over_tcp: true,
        }
    }

    pub fn addresses(ips: &[IpAddr]) -> Self {
        let of = |ipv4| ips.iter().copied().filter(|ip| ip.is_ipv4() == ipv4).collect();
        Self::of(Answer::Addresses(of(true)), Answer::Addresses(of(false)))
    }
}

/// A running server; dropping it stops it.
pub struct NameServer {
    stop: Arc<AtomicBool>,
    threads: Vec<JoinHandle<()>>,
}

impl NameServer {
    /// Call it on the thread of the host that has the address.
    pub fn start(address: SocketAddr, behavior: &Behavior) -> io::Result<Self> {
        let stop = Arc::new(AtomicBool::new(false));
        let behavior = Arc::new(behavior.clone());
        let datagrams = bind(|| UdpSocket::bind(address))?;
        datagrams.set_read_timeout(Some(POLL))?;
        let connections = bind(|| TcpListener::bind(address))?;
        connections.set_nonblocking(true)?;
        let (stopped, behaves) = (Arc::clone(&stop), Arc::clone(&behavior));
        let udp = thread::spawn(move || serve_datagrams(&datagrams, &behaves, &stopped));
        let stopped = Arc::clone(&stop);
        let tcp = thread::spawn(move || serve_connections(&connections, &behavior, &stopped));
        Ok(Self { stop, threads: vec![udp, tcp] })
    }
}

impl Drop for NameServer {
    fn drop(&mut self) {
        self.stop.store(true, Ordering::Relaxed);
        for thread in self.threads.drain(..) {
            // A server's thread has nothing to report.
            let _ = thread.join();
        }
    }
}

/// A program that is being started holds the sockets of the server before for a moment.
fn bind<T>(open: impl Fn() -> io::Result<T>) -> io::Result<T> {
    let deadline = Instant::now() + Duration::from_secs(5);
    loop {
        match open() {
            Err(error) if error.kind() == io::ErrorKind::AddrInUse && Instant::now() < deadline => {
                thread::sleep(POLL);
            }
            opened => return opened,
        }
    }
}

/// One thread holds the replies and the socket, so that nothing keeps the port once it ends.
fn serve_datagrams(socket: &UdpSocket, behavior: &Behavior, stop: &AtomicBool) {
    let mut held: VecDeque<(Instant, SocketAddr, Vec<u8>)> = VecDeque::new();
    let mut buffer = [0; 1500];
    while !stop.load(Ordering::Relaxed) {
        if let Ok((length, client)) = socket.recv_from(&mut buffer)
            && let Some(reply) = reply(&buffer[..length], behavior).filter(|_| behavior.over_udp)
        {
            held.push_back((Instant::now() + behavior.delay, client, reply));
        }
        while held.front().is_some_and(|(due, ..)| *due <= Instant::now()) {
            let Some((_, client, reply)) = held.pop_front() else { break };
            // The client may have given up.
            let _ = socket.send_to(&reply, client);
        }
    }
}

fn serve_connections(listener: &TcpListener, behavior: &Arc<Behavior>, stop: &AtomicBool) {
    while !stop.load(Ordering::Relaxed) {
        match listener.accept() {
            Ok((client, _)) if behavior.over_tcp => {
                let behavior = Arc::clone(behavior);
                // Either side may hang up at any time.
                thread::spawn(move || converse(client, &behavior));
            }
            Ok(_) => {}
            Err(_) => thread::sleep(POLL),
        }
    }
}

fn converse(mut client: TcpStream, behavior: &Behavior) -> io::Result<()> {
    client.set_nonblocking(false)?;
    client.set_read_timeout(Some(Duration::from_secs(5)))?;
    loop {
        let mut length = [0; 2];
        client.read_exact(&mut length)?;
        let mut query = vec![0; usize::from(u16::from_be_bytes(length))];
        client.read_exact(&mut query)?;
        let Some(mut reply) = reply(&query, behavior) else { continue };
        // Nothing is truncated here.
        reply[2] &= !0x02;
        thread::sleep(behavior.delay);
        let length = u16::try_from(reply.len()).unwrap_or(u16::MAX).to_be_bytes();
        client.write_all(&[&length[..], &reply].concat())?;
    }
}

/// None is silence.
fn reply(query: &[u8], behavior: &Behavior) -> Option<Vec<u8>> {
    let end = question_end(query)?;
    let query_type = u16::from_be_bytes([query[end - 4], query[end - 3]]);
    // Only the record of EDNS can stand behind the question.
    match (query[11] > 0, behavior.edns) {
        (true, Edns::FormErr) => return Some(message(query, end, FORMERR, true, &[])),
        (true, Edns::Silent) => return None,
        (_, Edns::Ignored) | (false, Edns::FormErr | Edns::Silent) => {}
    }
    let name = name(&query[12..end - 4]);
    let answer = if name.eq_ignore_ascii_case(CLOUDWATCH) {
        if query_type == A { &behavior.a } else { &behavior.aaaa }
    } else {
        &behavior.searched
    };
    let of_type = |ips: &[IpAddr]| -> Vec<IpAddr> {
        ips.iter().copied().filter(|ip| ip.is_ipv4() == (query_type == A)).collect()
    };
    let records = |ips: &[IpAddr], owner: &[u8]| -> Vec<Vec<u8>> {
        of_type(ips).into_iter().map(|ip| address_record(owner, ip)).collect()
    };
    // The name of the question, by its place in the message.
    let same = [0xc0, 12];
    Some(match answer {
        Answer::Addresses(ips) => message(query, end, 0, true, &records(ips, &same)),
        Answer::Alias { first, addresses } => {
            let target = b"\x05alias\x07example\x00";
            let alias = record(&same, CNAME, target);
            let mut all = records(addresses, target);
            all.insert(if *first { 0 } else { all.len() }, alias);
            message(query, end, 0, true, &all)
        }
        Answer::NoData => message(query, end, 0, true, &[]),
        Answer::NxDomain => message(query, end, NXDOMAIN, true, &[]),
        Answer::ServFail => message(query, end, SERVFAIL, true, &[]),
        Answer::Refused => message(query, end, REFUSED, false, &[]),
        Answer::Code(code) => message(query, end, *code, true, &[]),
        Answer::Referral => message(query, end, 0, false, &[]),
        Answer::Silent => return None,
        Answer::Truncated(ips) => {
            let mut cut = message(query, end, 0, true, &records(ips, &same));
            cut[2] |= 0x02;
            cut
        }
        Answer::Cut => {
            let whole = message(query, end, 0, true, &records(&["10.0.1.57".parse().ok()?], &same));
            whole[..whole.len().saturating_sub(6)].to_vec()
        }
        Answer::OtherQuestion(ips) => {
            let mut other = message(query, end, 0, true, &records(ips, &same));
            // The first letter of the name.
            other[13] = b'x';
            other
        }
    })
}

/// Where the question ends, with its type and class.
fn question_end(query: &[u8]) -> Option<usize> {
    let name = query.get(12..)?;
    let end = 12 + name.iter().position(|byte| *byte == 0)? + 5;
    (query.len() >= end).then_some(end)
}

fn name(wire: &[u8]) -> String {
    let mut labels = Vec::new();
    let mut rest = wire;
    while let Some((&length, tail)) = rest.split_first().filter(|(length, _)| **length > 0) {
        let (label, tail) = tail.split_at(usize::from(length).min(tail.len()));
        labels.push(String::from_utf8_lossy(label).into_owned());
        rest = tail;
    }
    labels.join(".")
}

fn message(query: &[u8], end: usize, code: u8, recursive: bool, records: &[Vec<u8>]) -> Vec<u8> {
    let count = u16::try_from(records.len()).unwrap_or(u16::MAX).to_be_bytes();
    let (answers, available) = (0x80 | (query[2] & 0x01), if recursive { 0x80 } else { 0 });
    let header = [query[0], query[1], answers, available | code, 0, 1, count[0], count[1], 0, 0, 0, 0];
    [&header[..], &query[12..end], &records.concat()].concat()
}

fn address_record(owner: &[u8], ip: IpAddr) -> Vec<u8> {
    match ip {
        IpAddr::V4(ip) => record(owner, A, &ip.octets()),
        IpAddr::V6(ip) => record(owner, AAAA, &ip.octets()),
    }
}

fn record(owner: &[u8], record_type: u16, data: &[u8]) -> Vec<u8> {
    let length = u16::try_from(data.len()).unwrap_or(u16::MAX);
    let class = 1_u16;
    [owner, &record_type.to_be_bytes(), &class.to_be_bytes(), &TTL.to_be_bytes(), &length.to_be_bytes(), data]
        .concat()
}
