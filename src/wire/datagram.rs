//! Receiving from a UDP socket, ICMP errors included.
//!
//! The kernel announces an error by itself, without anything to read, and tokio's own `recv`
//! sleeps on: a closed port would look like silence.

use std::io::{self, IoSliceMut};
use std::net::SocketAddr;
use std::os::fd::AsRawFd;
use std::time::SystemTime;

use nix::sys::socket::{MsgFlags, SockaddrStorage, recvmsg};
use nix::sys::time::TimeSpec;
use tokio::io::Interest;
use tokio::net::UdpSocket;

use super::kernel_time::arrival;

/// What came, and when by the kernel's timestamp, where the socket asks for those.
#[derive(Clone, Copy, Debug)]
pub struct Received {
    pub length: usize,
    /// `None` where the kernel does not tell.
    pub from: Option<SocketAddr>,
    pub came: Option<SystemTime>,
}

pub async fn receive(socket: &UdpSocket, buffer: &mut [u8]) -> io::Result<Received> {
    let read = || read(socket, buffer);
    socket.async_io(Interest::READABLE | Interest::ERROR, read).await
}

/// What is there now.
pub fn read(socket: &UdpSocket, buffer: &mut [u8]) -> io::Result<Received> {
    let mut slices = [IoSliceMut::new(buffer)];
    let mut space = nix::cmsg_space!([TimeSpec; 3]);
    let flags = MsgFlags::MSG_DONTWAIT;
    let message = recvmsg::<SockaddrStorage>(socket.as_raw_fd(), &mut slices, Some(&mut space), flags)?;
    let came = message.cmsgs()?.find_map(|control| arrival(&control));
    let from = message.address.as_ref().and_then(socket_address);
    Ok(Received { length: message.bytes, from, came })
}

fn socket_address(address: &SockaddrStorage) -> Option<SocketAddr> {
    let ipv4 = address.as_sockaddr_in().map(|v4| SocketAddr::new(v4.ip().into(), v4.port()));
    ipv4.or_else(|| address.as_sockaddr_in6().map(|v6| SocketAddr::new(v6.ip().into(), v6.port())))
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use tokio::time::timeout;

    use super::*;
    use crate::wire::kernel_time::{Sent, note_arrivals};

    #[tokio::test]
    async fn an_error_that_comes_while_waiting_is_heard() {
        let peer = UdpSocket::bind("127.0.0.1:0").await.unwrap();
        let socket = UdpSocket::bind("127.0.0.1:0").await.unwrap();
        socket.connect(peer.local_addr().unwrap()).await.unwrap();
        let mut buffer = [0; 8];
        // Now it is known to the runtime, and nothing is there to be read.
        assert!(timeout(Duration::from_millis(20), receive(&socket, &mut buffer)).await.is_err());
        let waiting = receive(&socket, &mut buffer);
        let closing = async {
            drop(peer);
            socket.send(b"?").await.unwrap();
        };
        let (result, ()) = timeout(Duration::from_secs(5), async { tokio::join!(waiting, closing) })
            .await
            .expect("the error is received");
        assert_eq!(result.unwrap_err().kind(), io::ErrorKind::ConnectionRefused);
    }

    #[tokio::test]
    async fn a_datagram_is_received() {
        let peer = UdpSocket::bind("127.0.0.1:0").await.unwrap();
        let socket = UdpSocket::bind("127.0.0.1:0").await.unwrap();
        socket.connect(peer.local_addr().unwrap()).await.unwrap();
        peer.send_to(b"answer", socket.local_addr().unwrap()).await.unwrap();
        let mut buffer = [0; 8];
        assert_eq!(receive(&socket, &mut buffer).await.unwrap().length, 6);
        assert_eq!(&buffer[..6], b"answer");
    }

    #[tokio::test]
    async fn the_kernel_notes_when_a_datagram_came_however_late_it_is_read() {
        let peer = UdpSocket::bind("127.0.0.1:0").await.unwrap();
        let socket = UdpSocket::bind("127.0.0.1:0").await.unwrap();
        note_arrivals(&socket);
        // The kernel begins a moment after it was asked.
        tokio::time::sleep(Duration::from_millis(100)).await;
        let sent = Sent::now();
        peer.send_to(b"answer", socket.local_addr().unwrap()).await.unwrap();
        tokio::time::sleep(Duration::from_millis(100)).await;
        let came = receive(&socket, &mut [0; 8]).await.unwrap().came;
        let took = sent.until(came).expect("a timestamp");
        assert!(took < Duration::from_millis(90), "{took:?} is when it was read");
    }
}
