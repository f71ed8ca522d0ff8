//! What goes between the daemon and its lookup process: frames of a length and as much JSON.
//! Both ends are the same binary, so the format has no versions.

use std::io::{self, Read, Write};
use std::net::IpAddr;
use std::time::Duration;

use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};

/// Room for [`MOST_ADDRESSES`] IPv6 addresses; a longer frame is not ours.
pub const LONGEST_FRAME: usize = 16 * 1024;

/// An endpoint has one address a zone and family.
pub const MOST_ADDRESSES: usize = 256;

/// The library's longest is 60 characters; a module may bring its own.
const LONGEST_MESSAGE: usize = 200;

#[derive(Debug, Deserialize, Serialize)]
pub struct Request {
    pub id: u64,
    pub host: String,
}

#[derive(Debug, Deserialize, Serialize)]
pub struct Response {
    pub id: u64,
    pub took: Duration,
    pub answer: Answer,
}

#[derive(Debug, Deserialize, Eq, PartialEq, Serialize)]
pub enum Answer {
    Addresses(Vec<IpAddr>),
    Error {
        eai: i32,
        errno: Option<i32>,
        message: String,
    },
    TooManyAddresses(usize),
    /// The process could not start a thread for it.
    NoThread(String),
}

impl Answer {
    /// Each address once, in the order of the library.
    pub fn of_addresses(addresses: impl IntoIterator<Item = IpAddr>) -> Self {
        let mut kept = Vec::new();
        for address in addresses {
            if !kept.contains(&address) {
                kept.push(address);
            }
            if kept.len() > MOST_ADDRESSES {
                return Self::TooManyAddresses(kept.len());
            }
        }
        Self::Addresses(kept)
    }

    pub fn of_error(eai: i32, errno: Option<i32>, message: &str) -> Self {
        Self::Error { eai, errno, message: message.chars().take(LONGEST_MESSAGE).collect() }
    }
}

/// A message with its length before it.
pub fn encode(message: &impl Serialize) -> io::Result<Vec<u8>> {
    let body = serde_json::to_vec(message)?;
    let length = u32::try_from(body.len()).ok().filter(|_| body.len() <= LONGEST_FRAME);
    let length = length.ok_or_else(|| io::Error::from(io::ErrorKind::FileTooLarge))?;
    Ok([&length.to_be_bytes()[..], &body].concat())
}

pub fn decode<T: DeserializeOwned>(body: &[u8]) -> io::Result<T> {
    Ok(serde_json::from_slice(body)?)
}

/// How long the body is that follows these four bytes.
pub fn body_length(length: [u8; 4]) -> io::Result<usize> {
    let length = usize::try_from(u32::from_be_bytes(length)).unwrap_or(usize::MAX);
    if length > LONGEST_FRAME { Err(io::ErrorKind::InvalidData.into()) } else { Ok(length) }
}

pub fn write(channel: &mut impl Write, message: &impl Serialize) -> io::Result<()> {
    channel.write_all(&encode(message)?)
}

pub fn read<T: DeserializeOwned>(channel: &mut impl Read) -> io::Result<T> {
    let mut length = [0; 4];
    channel.read_exact(&mut length)?;
    let mut body = vec![0; body_length(length)?];
    channel.read_exact(&mut body)?;
    decode(&body)
}

#[cfg(test)]
mod tests {
    use std::net::Ipv6Addr;

    use super::*;

    #[test]
    fn addresses_keep_their_order_and_come_once() {
        let [a, b]: [IpAddr; 2] = ["10.0.2.113", "10.0.1.57"].map(|ip| ip.parse().unwrap());
        assert_eq!(Answer::of_addresses([a, b, a]), Answer::Addresses(vec![a, b]));
    }

    #[test]
    fn the_longest_answer_fits_a_frame_and_one_more_is_an_error() {
        let address = |n: u16| {
            IpAddr::from(Ipv6Addr::new(0x2001, 0xdb80, 0xffff, 0xffff, 0xeeee, 0xdddd, 0xcccc, 0xf000 + n))
        };
        let response = |count| Response {
            id: u64::MAX,
            took: Duration::MAX,
            answer: Answer::of_addresses((0..count).map(address)),
        };
        let mut channel = Vec::new();
        write(&mut channel, &response(256)).unwrap();
        let back: Response = read(&mut &channel[..]).unwrap();
        assert_eq!(back.answer, response(256).answer);
        assert_eq!(response(257).answer, Answer::TooManyAddresses(257));
    }

    #[test]
    fn what_is_not_a_frame_is_an_error() {
        for bytes in [&b"\xff\xff\xff\xff{}"[..], b"\x00\x00\x00\x02{}", b"\x00\x00\x00\x09{}", b"\x00"] {
            assert!(read::<Request>(&mut &bytes[..]).is_err(), "{bytes:?}");
        }
    }

    #[test]
    fn a_message_of_a_module_is_cut() {
        let Answer::Error { message, .. } = Answer::of_error(-4, None, &"ä".repeat(9000)) else { panic!() };
        assert_eq!(message.chars().count(), LONGEST_MESSAGE);
    }
}
