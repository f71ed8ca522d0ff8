//! The internet: web servers on every address, the public CloudWatch among them,
//! and DNS. Ping is answered by the kernel.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};
use std::sync::Arc;

use tokio::net::{TcpStream, UdpSocket};

use super::address::{
    PUBLIC_CLOUDWATCH, PUBLIC_CLOUDWATCH_V6, PUBLIC_S3, PUBLIC_S3_ELSEWHERE, PUBLIC_S3_ELSEWHERE_V6,
    PUBLIC_S3_V6, PUBLIC_WEBSITE, PUBLIC_WEBSITE_V6,
};
use super::certificates::Certificate;
use super::clock::Moment;
use super::cloudwatch::{self, page};
use super::peer::{self, Ends, Peers};
use super::request::Door;

const PAGE: &str = "<html><body><h1>This is the internet</h1></body></html>\n";

/// Port 443.
pub async fn serve_tls(peers: Arc<Peers>, stream: TcpStream, ends: Ends) {
    let address = ends.local.ip();
    let of_aws: [IpAddr; 6] = [
        PUBLIC_CLOUDWATCH.into(),
        PUBLIC_CLOUDWATCH_V6.into(),
        PUBLIC_S3.into(),
        PUBLIC_S3_V6.into(),
        PUBLIC_S3_ELSEWHERE.into(),
        PUBLIC_S3_ELSEWHERE_V6.into(),
    ];
    if of_aws.contains(&address) {
        return cloudwatch::serve(peers, Door::Public, stream, ends).await;
    }
    let acceptor = peers.certificates.acceptor(Certificate::Website);
    // Most probes hang up after connecting.
    let Ok(tls) = acceptor.accept(stream).await else {
        return;
    };
    peer::http(tls, |_| async { page(200, "text/html", PAGE, Moment::now()) }).await;
}

/// Port 80.
pub async fn serve_plain(stream: TcpStream) {
    peer::http(stream, |_| async { page(200, "text/html", PAGE, Moment::now()) }).await;
}

/// Answers every question about an address with the website's.
pub async fn serve_dns(socket: std::net::UdpSocket) -> std::io::Result<()> {
    serve_datagrams(socket, dns_answer).await
}

/// NTP (RFC 5905): what came as the transmit timestamp goes back as the origin timestamp.
pub async fn serve_ntp(socket: std::net::UdpSocket) -> std::io::Result<()> {
    serve_datagrams(socket, ntp_answer).await
}

async fn serve_datagrams(
    socket: std::net::UdpSocket,
    answer: fn(&[u8]) -> Option<Vec<u8>>,
) -> std::io::Result<()> {
    socket.set_nonblocking(true)?;
    let socket = UdpSocket::from_std(socket)?;
    let mut buffer = [0; 4096];
    loop {
        // An error here is an ICMP message about an earlier answer.
        let Ok((length, client)) = socket.recv_from(&mut buffer).await else {
            continue;
        };
        if let Some(answer) = answer(&buffer[..length]) {
            // Whether it arrives is the network's business.
            let _ = socket.send_to(&answer, client).await;
        }
    }
}

fn ntp_answer(request: &[u8]) -> Option<Vec<u8>> {
    const CLIENT: u8 = 3;
    const SERVER: u8 = 4;
    let is_request = request.len() == 48 && request[0] & 7 == CLIENT;
    is_request.then(|| {
        let mut answer = vec![0; 48];
        answer[0] = request[0] & !7 | SERVER;
        answer[1] = 1;
        answer[24..32].copy_from_slice(&request[40..]);
        answer
    })
}

fn dns_answer(query: &[u8]) -> Option<Vec<u8>> {
    const HEADER: usize = 12;
    let is_query = query.get(2)? & 0x80 == 0;
    let one_question = query.get(4..6)? == [0, 1];
    if !is_query || !one_question {
        return None;
    }
    let mut end = HEADER;
    while *query.get(end)? != 0 {
        end += usize::from(query[end]) + 1;
    }
    let question = query.get(HEADER..end + 5)?;
    let address = match question[question.len() - 4..] {
        [0, 1, 0, 1] => octets(PUBLIC_WEBSITE),
        [0, 28, 0, 1] => octets_v6(PUBLIC_WEBSITE_V6),
        _ => Vec::new(),
    };
    let mut answer = query[..2].to_vec();
    // A recursive answer without error: one question, one record or none.
    answer.extend([0x81, 0x80, 0, 1, 0, u8::from(!address.is_empty()), 0, 0, 0, 0]);
    answer.extend(question);
    if !address.is_empty() {
        let kind_and_class = &question[question.len() - 4..];
        // The name is a pointer to the question's; TTL 60.
        answer.extend([0xc0, HEADER as u8]);
        answer.extend(kind_and_class);
        answer.extend([0, 0, 0, 60, 0, address.len() as u8]);
        answer.extend(address);
    }
    Some(answer)
}

fn octets(address: Ipv4Addr) -> Vec<u8> {
    address.octets().to_vec()
}

fn octets_v6(address: Ipv6Addr) -> Vec<u8> {
    address.octets().to_vec()
}
