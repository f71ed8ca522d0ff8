//! TCP connects at targets that should not answer.
//!
//! `connect` does not tell that this host's own packet filter drops a SYN: the kernel tries again, as
//! with one that was lost on the way. Only its notes of the connection do.

use std::io;
use std::net::{IpAddr, SocketAddr};
use std::time::Duration;

use nix::errno::Errno;
use socket2::Type;
use tokio::net::TcpStream;
use tokio::task::JoinSet;
use tokio::time::{Instant, sleep_until, timeout_at};

use super::sockets::{after_sending, not_sent, open, stronger};
use crate::observation::{ProbeResult, SendError};
use crate::wire::icmp_error::queued_error;
use crate::wire::tcp_info::{KEPT_BACK, SYN_RETRANSMISSION, explains, is_kept_back, tcp_round_trip};

/// A SYN is sent again by then, however busy the machine.
const WATCHED: Duration = SYN_RETRANSMISSION.saturating_add(Duration::from_millis(200));

/// A connection now and a fresh one halfway: a filter or a load balancer may treat the second
/// another way, and a route may have opened. Returns how many were begun. In a window that is too short
/// to see a SYN sent again, the first is kept longer.
pub async fn connect_twice(source: IpAddr, peer: SocketAddr, deadline: Instant) -> (u32, ProbeResult) {
    let begun = Instant::now();
    let halfway = begun + deadline.saturating_duration_since(begun) / 2;
    let mut running = JoinSet::new();
    for (start, until) in [(begun, deadline.max(begun + WATCHED)), (halfway, deadline)] {
        running.spawn(async move {
            sleep_until(start).await;
            connect(source, peer, until).await
        });
    }
    let mut result = ProbeResult::NoReply;
    while let Some(Ok(other)) = running.join_next().await {
        result = stronger(result, other);
        if matches!(result, ProbeResult::Reply { .. }) {
            break;
        }
    }
    let sent = match result {
        ProbeResult::NotSent(_) => 0,
        _ if Instant::now() < halfway => 1,
        _ => 2,
    };
    (sent, result)
}

pub async fn connect(source: IpAddr, peer: SocketAddr, deadline: Instant) -> ProbeResult {
    let begun = Instant::now();
    let stream = match begin(source, peer) {
        Ok(stream) => stream,
        Err(error) => return ProbeResult::NotSent(not_sent(&error)),
    };
    match timeout_at(deadline, established(&stream)).await {
        Ok(Ok(())) => {
            let after = begun.elapsed();
            let round_trip = stream.local_addr().ok().and_then(|local| tcp_round_trip(local, peer));
            ProbeResult::Reply {
                replies: 1,
                after,
                kernel: round_trip.filter(|kernel| explains(*kernel, after)),
            }
        }
        Ok(Err(error)) => after_sending(&error, queued_error(&stream).and_then(|error| error.by)),
        Err(_) => silence(&stream, peer),
    }
}

fn silence(stream: &TcpStream, peer: SocketAddr) -> ProbeResult {
    let is_kept_back = stream.local_addr().ok().and_then(|local| is_kept_back(local, peer));
    if is_kept_back == Some(true) {
        return ProbeResult::NotSent(SendError::Blocked { errno: KEPT_BACK.to_owned() });
    }
    ProbeResult::NoReply
}

/// By hand: tokio's own connect drops the socket, and with it who sent an ICMP error.
fn begin(source: IpAddr, peer: SocketAddr) -> io::Result<TcpStream> {
    let socket = open(source, Type::STREAM, None)?;
    match socket.connect(&peer.into()) {
        Err(error) if error.raw_os_error() != Some(Errno::EINPROGRESS as i32) => Err(error),
        Ok(()) | Err(_) => TcpStream::from_std(socket.into()),
    }
}

async fn established(stream: &TcpStream) -> io::Result<()> {
    stream.writable().await?;
    stream.take_error()?.map_or(Ok(()), Err)
}

#[cfg(test)]
mod tests {
    use std::net::Ipv4Addr;
    use std::time::Duration;

    use super::*;

    const LOOPBACK: IpAddr = IpAddr::V4(Ipv4Addr::LOCALHOST);

    #[tokio::test]
    async fn a_connection_is_a_reply_and_a_closed_port_a_reset() {
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
        let peer = listener.local_addr().unwrap();
        let deadline = Instant::now() + Duration::from_secs(5);
        let (sent, result) = connect_twice(LOOPBACK, peer, deadline).await;
        assert!(matches!(result, ProbeResult::Reply { replies: 1, .. }), "{result:?}");
        assert_eq!(sent, 1, "the second was not begun");
        drop(listener);
        let result = connect(LOOPBACK, peer, deadline).await;
        assert!(matches!(result, ProbeResult::Rejected { by: None, reset: true, .. }), "{result:?}");
    }

    #[tokio::test]
    async fn the_source_is_the_one_that_was_asked_for() {
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
        let peer = listener.local_addr().unwrap();
        let source = IpAddr::V4(Ipv4Addr::new(127, 0, 0, 9));
        let deadline = Instant::now() + Duration::from_secs(5);
        let (result, accepted) = tokio::join!(connect(source, peer, deadline), listener.accept());
        assert!(matches!(result, ProbeResult::Reply { .. }), "{result:?}");
        assert_eq!(accepted.unwrap().1.ip(), source);
    }

    #[tokio::test]
    async fn a_source_that_this_host_lacks_sends_nothing() {
        let peer = SocketAddr::from(([127, 0, 0, 1], 9));
        let deadline = Instant::now() + Duration::from_secs(5);
        let result = connect("192.0.2.77".parse().unwrap(), peer, deadline).await;
        assert!(matches!(result, ProbeResult::NotSent(_)), "{result:?}");
    }
}
