//! A resolver with a bad habit: it holds every query back, or does not hear a question the first
//! time, then asks the real one over loopback. Plain threads, since what they open must be opened
//! in the router's namespace.

use std::collections::{HashSet, VecDeque};
use std::io;
use std::net::{IpAddr, Shutdown, SocketAddr, TcpListener, TcpStream, UdpSocket};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant};

/// Longer than a careless client waits, shorter than a patient one's time-out.
const DELAY: Duration = Duration::from_secs(1);
/// How often the threads look whether they should end.
const POLL: Duration = Duration::from_millis(20);
const ANSWER_TIMEOUT: Duration = Duration::from_secs(5);
const REAL_RESOLVER: &str = "127.0.0.1:53";

#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Habit {
    /// Answers everything late.
    Late,
    /// Hears every second datagram of one question.
    Deaf,
}

pub struct SlowResolver {
    stop: Arc<AtomicBool>,
    threads: Vec<JoinHandle<()>>,
}

impl SlowResolver {
    /// Call it on the thread of the host that has these addresses.
    pub fn start(addresses: &[IpAddr], habit: Habit) -> io::Result<Self> {
        let stop = Arc::new(AtomicBool::new(false));
        let mut threads = Vec::new();
        for address in addresses {
            let datagrams = UdpSocket::bind(SocketAddr::new(*address, 53))?;
            datagrams.set_read_timeout(Some(POLL))?;
            let stopped = Arc::clone(&stop);
            threads.push(thread::spawn(move || relay_datagrams(&datagrams, habit, &stopped)));

            let connections = TcpListener::bind(SocketAddr::new(*address, 53))?;
            connections.set_nonblocking(true)?;
            let stopped = Arc::clone(&stop);
            threads.push(thread::spawn(move || relay_connections(&connections, habit, &stopped)));
        }
        Ok(Self { stop, threads })
    }
}

impl Habit {
    fn delay(self) -> Duration {
        match self {
            Self::Late => DELAY,
            Self::Deaf => Duration::ZERO,
        }
    }
}

impl Drop for SlowResolver {
    fn drop(&mut self) {
        self.stop.store(true, Ordering::Relaxed);
        for thread in self.threads.drain(..) {
            // A relay thread has nothing to report.
            let _ = thread.join();
        }
    }
}

/// One thread holds the queries and the socket, so that nothing keeps the port
/// once it ends.
fn relay_datagrams(socket: &UdpSocket, habit: Habit, stop: &AtomicBool) {
    let mut held: VecDeque<(Instant, SocketAddr, Vec<u8>)> = VecDeque::new();
    let mut missed: HashSet<Vec<u8>> = HashSet::new();
    let mut buffer = [0; 4096];
    while !stop.load(Ordering::Relaxed) {
        if let Ok((length, client)) = socket.recv_from(&mut buffer) {
            let query = buffer[..length].to_vec();
            // Behind the number, which may be another each time.
            let question = query.get(2..).unwrap_or_default().to_vec();
            if habit == Habit::Late || missed.remove(&question) {
                held.push_back((Instant::now() + habit.delay(), client, query));
            } else {
                missed.insert(question);
            }
        }
        while held.front().is_some_and(|(due, ..)| *due <= Instant::now()) {
            let Some((_, client, query)) = held.pop_front() else {
                break;
            };
            if let Ok(answer) = ask(&query) {
                // The client may have given up.
                let _ = socket.send_to(&answer, client);
            }
        }
    }
}

fn ask(query: &[u8]) -> io::Result<Vec<u8>> {
    let socket = UdpSocket::bind("127.0.0.1:0")?;
    socket.set_read_timeout(Some(ANSWER_TIMEOUT))?;
    socket.connect(REAL_RESOLVER)?;
    socket.send(query)?;
    let mut answer = vec![0; 65_535];
    let length = socket.recv(&mut answer)?;
    answer.truncate(length);
    Ok(answer)
}

fn relay_connections(listener: &TcpListener, habit: Habit, stop: &AtomicBool) {
    while !stop.load(Ordering::Relaxed) {
        match listener.accept() {
            Ok((client, _)) => {
                thread::spawn(move || {
                    // Either side may hang up at any time; that ends the relay.
                    let _ = relay(client, habit.delay());
                });
            }
            Err(_) => thread::sleep(POLL),
        }
    }
}

fn relay(mut client: TcpStream, delay: Duration) -> io::Result<()> {
    client.set_nonblocking(false)?;
    thread::sleep(delay);
    let mut real = TcpStream::connect(REAL_RESOLVER)?;
    let (mut client_reader, mut real_writer) = (client.try_clone()?, real.try_clone()?);
    let upstream = thread::spawn(move || {
        // As above.
        let _ = io::copy(&mut client_reader, &mut real_writer);
        let _ = real_writer.shutdown(Shutdown::Write);
    });
    io::copy(&mut real, &mut client)?;
    client.shutdown(Shutdown::Both)?;
    // The copy above ended it.
    let _ = upstream.join();
    Ok(())
}
