//! Receiving from a connected UDP socket, ICMP errors included.
//!
//! The kernel announces an error by itself, without anything to read, and tokio's own `recv`
//! sleeps on: a closed port would look like silence.

use std::io;
use std::os::fd::AsRawFd;

use nix::sys::socket::{MsgFlags, recv};
use tokio::io::Interest;
use tokio::net::UdpSocket;

pub async fn receive(socket: &UdpSocket, buffer: &mut [u8]) -> io::Result<usize> {
    let read = || Ok(recv(socket.as_raw_fd(), buffer, MsgFlags::MSG_DONTWAIT)?);
    socket.async_io(Interest::READABLE | Interest::ERROR, read).await
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use tokio::time::timeout;

    use super::*;

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
        assert_eq!(receive(&socket, &mut buffer).await.unwrap(), 6);
        assert_eq!(&buffer[..6], b"answer");
    }
}
