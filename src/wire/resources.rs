//! Whether this process can open what a probe needs. What it cannot look at for want of file
//! descriptors or memory says nothing about the other side.

use std::io;

use nix::errno::Errno;
use socket2::{Domain, Socket, Type};

/// What the queries of one name take at the same time.
const NEEDED: usize = 8;

/// Opens and closes sockets, which sends nothing.
pub fn are_available() -> bool {
    let opened: io::Result<Vec<Socket>> =
        (0..NEEDED).map(|_| Socket::new(Domain::UNIX, Type::DGRAM, None)).collect();
    !opened.is_err_and(|error| are_lacking(&error))
}

/// Whether this process or this host ran out of something.
pub fn are_lacking(error: &io::Error) -> bool {
    let scarce = [
        Errno::EMFILE,
        Errno::ENFILE,
        Errno::ENOBUFS,
        Errno::ENOMEM,
        // No local port is left: at a bind, at a connect over TCP, and over UDP.
        Errno::EADDRINUSE,
        Errno::EADDRNOTAVAIL,
        Errno::EAGAIN,
    ];
    scarce.iter().any(|scarce| error.raw_os_error() == Some(*scarce as i32))
}
