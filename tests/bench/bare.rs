//! The least that a probe over HTTPS can cost: a connection, a handshake that verifies the chain, a
//! request and its answer, one address after the other in one thread. No limit of time, no evidence.

use std::io::{Read, Write};
use std::net::{IpAddr, SocketAddr, TcpStream};
use std::sync::Arc;
use std::thread::sleep;
use std::time::{Duration, Instant};

use rustls::client::Resumption;
use rustls::{ClientConfig, ClientConnection, RootCertStore, Stream};

use crate::daemon::name;
use crate::lab::address::estate;
use crate::lab::{Child, Lab, Run};

/// Asks every address of so many endpoints once an interval, without an end.
pub fn start(lab: &Lab, endpoints: usize, interval: Duration) -> Child {
    let program = std::env::current_exe().unwrap();
    let numbers = [endpoints.to_string(), interval.as_secs().to_string()];
    lab.spawn(&Run::new(program).arg("bare").args(numbers))
}

pub fn run(endpoints: usize, interval: Duration) -> ! {
    let config = config();
    let probes: Vec<(String, IpAddr)> =
        (1..=endpoints).flat_map(|number| estate(number).map(|ip| (name(number), ip.into()))).collect();
    let gap = interval / u32::try_from(probes.len()).unwrap();
    let mut due = Instant::now();
    for (host, ip) in probes.iter().cycle() {
        ask(&config, host, SocketAddr::new(*ip, 443));
        due += gap;
        sleep(due.saturating_duration_since(Instant::now()));
    }
    unreachable!("the probes never end")
}

fn config() -> Arc<ClientConfig> {
    let mut roots = RootCertStore::empty();
    roots.add_parsable_certificates(rustls_native_certs::load_native_certs().certs);
    let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
    let config = ClientConfig::builder_with_provider(provider).with_safe_default_protocol_versions().unwrap();
    let mut config = config.with_root_certificates(roots).with_no_client_auth();
    config.resumption = Resumption::disabled();
    Arc::new(config)
}

fn ask(config: &Arc<ClientConfig>, host: &str, peer: SocketAddr) {
    let mut tcp = TcpStream::connect(peer).unwrap();
    tcp.set_nodelay(true).unwrap();
    let mut tls = ClientConnection::new(Arc::clone(config), host.to_owned().try_into().unwrap()).unwrap();
    let mut stream = Stream::new(&mut tls, &mut tcp);
    write!(stream, "GET / HTTP/1.1\r\nHost: {host}\r\nConnection: close\r\n\r\n").unwrap();
    let mut answer = [0; 12];
    stream.read_exact(&mut answer).unwrap();
    assert!(answer.starts_with(b"HTTP/1.1 "), "{answer:?}");
}
