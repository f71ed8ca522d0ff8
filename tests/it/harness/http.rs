//! The least of HTTP that a test needs to ask a server on a host of the lab.

use std::io::{Read, Write};
use std::net::{SocketAddr, TcpStream};

use super::PATIENCE;
use crate::lab::{Host, Lab};

#[derive(Debug)]
pub struct Answer {
    pub status: u16,
    /// In lower case.
    pub head: String,
    pub body: Vec<u8>,
}

impl Answer {
    pub fn text(&self) -> String {
        String::from_utf8_lossy(&self.body).into_owned()
    }
}

/// From the instance. `None` where nobody listens.
pub fn get(lab: &Lab, address: SocketAddr, path: &str, headers: &str) -> Option<Answer> {
    send(lab, address, "GET", path, headers)
}

/// The same with any method.
pub fn send(lab: &Lab, address: SocketAddr, method: &str, path: &str, headers: &str) -> Option<Answer> {
    let stream = lab.on(Host::Instance, move || TcpStream::connect_timeout(&address, PATIENCE)).ok()?;
    converse(stream, &format!("{method} {path} HTTP/1.0\r\nHost: lab\r\n{headers}\r\n"))
}

/// HTTP 1.0, so that the answer ends with the connection and comes in no chunks.
fn converse(mut stream: TcpStream, request: &str) -> Option<Answer> {
    stream.set_read_timeout(Some(PATIENCE)).ok()?;
    stream.write_all(request.as_bytes()).ok()?;
    let mut bytes = Vec::new();
    stream.read_to_end(&mut bytes).ok()?;
    let end = bytes.windows(4).position(|four| four == b"\r\n\r\n")?;
    let head = String::from_utf8_lossy(&bytes[..end]).to_ascii_lowercase();
    let status = head.split(' ').nth(1)?.parse().ok()?;
    Some(Answer { status, head, body: bytes.split_off(end + 4) })
}

/// For a query string.
pub fn escaped(text: &str) -> String {
    let escape = |byte: u8| match byte {
        b'a'..=b'z' | b'A'..=b'Z' | b'0'..=b'9' | b'-' | b'_' | b'.' => char::from(byte).to_string(),
        _ => format!("%{byte:02X}"),
    };
    text.bytes().map(escape).collect()
}

/// Reads one request, head and body.
pub fn request(stream: &mut TcpStream) -> Option<(String, Vec<u8>)> {
    stream.set_read_timeout(Some(PATIENCE)).ok()?;
    let (mut bytes, mut buffer) = (Vec::new(), [0; 4096]);
    loop {
        if let Some(end) = bytes.windows(4).position(|four| four == b"\r\n\r\n") {
            let head = String::from_utf8_lossy(&bytes[..end]).to_ascii_lowercase();
            let length = head.lines().find_map(|line| line.strip_prefix("content-length:"));
            let length = length.map_or(Some(0), |length| length.trim().parse::<usize>().ok())?;
            if bytes.len() >= end + 4 + length {
                return Some((head, bytes.split_off(end + 4)));
            }
        }
        match stream.read(&mut buffer).ok()? {
            0 => return None,
            read => bytes.extend(&buffer[..read]),
        }
    }
}

pub fn respond(stream: &mut TcpStream, content_type: &str, body: &[u8]) {
    let head = format!(
        "HTTP/1.1 200 OK\r\nContent-Type: {content_type}\r\nContent-Length: {}\r\nConnection: close\r\n\r\n",
        body.len()
    );
    // A client that went away has what it wanted.
    let _ = stream.write_all(head.as_bytes()).and_then(|()| stream.write_all(body));
}
