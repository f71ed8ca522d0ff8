//! The process in which lookups run. `getaddrinfo` cannot be cancelled, remembers files that have
//! changed since, and runs the code of NSS modules that may hang or crash: all of that ends with
//! this process, and the daemon starts another.

use std::io;
use std::net::{Ipv4Addr, UdpSocket};
use std::os::fd::AsFd;
use std::os::unix::net::UnixStream;
use std::sync::{Arc, Mutex, PoisonError};
use std::thread;
use std::time::Duration;

use dns_lookup::{AddrInfoHints, SockType, getaddrinfo};
use nix::sys::resource::{Resource, getrlimit, setrlimit};
use nix::sys::signal::{Signal, raise};
use tokio::time::Instant;

use super::message::{self, Answer, Request, Response};
use crate::wire::failure::words;
use crate::wire::resources;

/// One byte holds no core dump, and unlike 0 it also stops the dump where `core_pattern` names a program
/// (`do_coredump` in the kernel).
const NO_CORE: u64 = 1;

/// Answers the daemon at the other end of standard input, until there is none.
///
/// Standard input is a socket that goes both ways, since a module may write to standard output.
pub fn run() -> io::Result<()> {
    run_with(look_up)
}

pub fn run_with(lookup: fn(&str) -> Answer) -> io::Result<()> {
    let requests = UnixStream::from(io::stdin().as_fd().try_clone_to_owned()?);
    // Not a socket: a person started it.
    requests.local_addr()?;
    // A module that crashes does so every time: that must not fill the disk. Best effort, since
    // a sandbox may forbid it.
    if let Ok((_, hard)) = getrlimit(Resource::RLIMIT_CORE) {
        let _ = setrlimit(Resource::RLIMIT_CORE, hard.min(NO_CORE), hard);
    }
    let served = serve(requests, lookup);
    // Lookups may still be running, in modules that would block an orderly exit.
    let _ = raise(Signal::SIGKILL);
    served
}

/// A thread for each lookup: the daemon limits how many there are, and a new thread has no
/// resolver state from an earlier one.
fn serve(mut requests: UnixStream, lookup: fn(&str) -> Answer) -> io::Result<()> {
    let answers = Arc::new(Mutex::new(requests.try_clone()?));
    loop {
        let Request { id, host } = message::read(&mut requests)?;
        let to = Arc::clone(&answers);
        let thread = thread::Builder::new().name("lookup".to_owned()).spawn(move || {
            let started = Instant::now();
            let answer = lookup(&host);
            send(&to, &Response { id, took: started.elapsed(), answer });
        });
        if let Err(error) = thread {
            let answer = Answer::NoThread(error.to_string());
            send(&answers, &Response { id, took: Duration::ZERO, answer });
        }
    }
}

fn send(to: &Mutex<UnixStream>, response: &Response) {
    let mut channel = to.lock().unwrap_or_else(PoisonError::into_inner);
    // Without a daemon at the other end the process is about to end.
    let _ = message::write(&mut *channel, response);
}

/// The library says the same where a server is silent and where it could not open a socket.
fn lack() -> Option<io::Error> {
    UdpSocket::bind((Ipv4Addr::UNSPECIFIED, 0)).err().filter(resources::are_lacking)
}

/// As an application calls it: any family, flags 0.
pub fn look_up(host: &str) -> Answer {
    let hints = AddrInfoHints { socktype: SockType::Stream.into(), ..AddrInfoHints::default() };
    let found = match getaddrinfo(Some(host), None, Some(hints)) {
        Ok(found) => found.collect::<io::Result<Vec<_>>>(),
        Err(error) => {
            let eai = error.error_num();
            if let Some(lack) = lack() {
                return Answer::of_error(eai, lack.raw_os_error(), &words(&lack));
            }
            let error = io::Error::from(error);
            let message = error.to_string();
            // The crate's words before the library's.
            let message = message.trim_start_matches("failed to lookup address information: ");
            return Answer::of_error(eai, error.raw_os_error(), message);
        }
    };
    match found {
        Ok(found) => Answer::of_addresses(found.iter().map(|info| info.sockaddr.ip())),
        Err(error) => Answer::of_error(0, None, &error.to_string()),
    }
}
