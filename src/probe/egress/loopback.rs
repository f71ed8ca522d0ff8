//! A second implementation of ping on loopback, by surge-ping: the control must not rest on the
//! same code as the probes that it vouches for.

use std::net::IpAddr;
use std::time::Duration;

use socket2::Type;
use surge_ping::{Client, Config, ICMP, PingIdentifier, PingSequence};
use tokio::time::Instant;

use crate::observation::IcmpSocket;

/// Whether an echo to a loopback address is answered over this kind of socket.
pub async fn answers(address: IpAddr, socket: IcmpSocket, deadline: Instant) -> bool {
    let sock_type = match socket {
        IcmpSocket::Dgram => Type::DGRAM,
        IcmpSocket::Raw => Type::RAW,
        IcmpSocket::None => return false,
    };
    let kind = if address.is_ipv4() { ICMP::V4 } else { ICMP::V6 };
    let config = Config::builder().kind(kind).sock_type_hint(sock_type).build();
    let Ok(client) = Client::new(&config) else { return false };
    let mut pinger = client.pinger(address, PingIdentifier(fastrand::u16(..))).await;
    let left = deadline.saturating_duration_since(Instant::now());
    pinger.timeout(left.max(Duration::from_millis(1)));
    pinger.ping(PingSequence(0), &fastrand::u64(..).to_be_bytes()).await.is_ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn loopback_answers_and_without_a_socket_nothing_does() {
        for address in ["127.0.0.1", "::1"] {
            let deadline = Instant::now() + Duration::from_secs(5);
            let address: IpAddr = address.parse().unwrap();
            assert!(answers(address, IcmpSocket::Dgram, deadline).await, "{address}");
            assert!(!answers(address, IcmpSocket::None, deadline).await);
        }
    }
}
